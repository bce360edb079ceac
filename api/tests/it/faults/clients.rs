//! Clients that are slow, many, or say everything twice.

use std::time::Duration;

use engine::clock::Clock;
use engine::db::uploads::find_upload;
use futures_util::future::join_all;
use ingest::job::enqueue_process;
use reqwest::Client;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::app::TestApp;
use crate::fleet::{self, SHA, send};
use crate::node::{Node, announce, pause};
use crate::rest;

use super::{UPLOADS, calm};

/// Clients that send a byte now and then.
const SLOW: usize = 300;
/// Clients that are there and say nothing.
const SILENT: usize = 10_000;
/// Files that this test and the server need beside those.
const OTHER_FILES: u64 = 2_500;
const PACE: Duration = Duration::from_millis(100);
const HOUR_US: i64 = 3_600_000_000;

#[tokio::test]
async fn slow_clients_keep_nobody_waiting() {
    let calm = calm(UPLOADS).await;
    let mut node = Node::start_alone().await;
    let address = node.url.trim_start_matches("http://").to_owned();
    let disturbed = send(&mut node, UPLOADS, async |_, mut done| {
        let slow = join_all((0..SLOW).map(|nth| trickle(&address, nth)));
        tokio::select! {
            _ = slow => unreachable!("slow clients do not come to an end"),
            all = done.wait_for(|&done| done == 2 * UPLOADS) => drop(all.unwrap()),
        }
    })
    .await;
    disturbed.assert_is_that_of(&calm, "slow clients");
}

/// Sends a head, or a body, byte by byte.
async fn trickle(address: &str, nth: usize) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = match nth % 2 {
        0 => "GET /api/v2/github/ HTTP/1.1\r\n".to_owned(),
        _ => format!(
            "POST /upload/github/a::::b/upload-coverage HTTP/1.1\r\nhost: {address}\r\ncontent-length: 100000\r\n\r\n"
        ),
    };
    stream.write_all(head.as_bytes()).await.unwrap();
    loop {
        pause(PACE).await;
        if stream.write_all(b"x").await.is_err() {
            stream = TcpStream::connect(address).await.unwrap();
        }
    }
}

#[tokio::test]
#[ignore = "needs many open files: script/test --faults"]
async fn ten_thousand_open_connections_keep_nobody_waiting() {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let needed = SILENT as u64 + OTHER_FILES;
    assert!(
        files >= needed,
        "this needs {needed} open files: ulimit -Hn says {files}"
    );
    let calm = calm(UPLOADS).await;
    let mut node = Node::start_alone().await;
    let address = node.url.trim_start_matches("http://").to_owned();
    let mut silent = Vec::with_capacity(SILENT);
    for _ in 0..SILENT {
        silent.push(TcpStream::connect(&address).await.unwrap());
    }
    let disturbed = send(&mut node, UPLOADS, async |_, _| {}).await;
    disturbed.assert_is_that_of(&calm, "many connections");
    let mb = node.peak_memory_bytes() >> 20;
    assert!(mb < 512, "the server took {mb} MB");
}

#[tokio::test]
async fn what_is_delivered_twice_counts_once() {
    let test = TestApp::start().await;
    let token = test.upload_token("github/acme/widgets").await;
    let mut created = Vec::new();
    for nth in 0..12 {
        let answer = announce(&test.url, &token, SHA).send().await.unwrap();
        let announced: Value = answer.json().await.unwrap();
        let place = announced["raw_upload_location"].as_str().unwrap();
        let put = async || {
            let sent = Client::new()
                .put(place)
                .body(fleet::report(nth))
                .send()
                .await;
            sent.unwrap().status().as_u16()
        };
        assert_eq!(tokio::join!(put(), put(), put()), (200, 200, 200));
        created.push(announced["external_id"].as_str().unwrap().to_owned());
    }
    for id in created.clone() {
        let clock = test.app.clock.clone();
        let again = test.db().write(move |conn| {
            Box::pin(async move {
                let upload = find_upload(conn, &id).await?.unwrap();
                for _ in 0..3 {
                    enqueue_process(conn, upload.id, upload.repo_id, clock.now_us()).await?;
                }
                Ok(())
            })
        });
        again.await.unwrap();
    }
    test.settled().await;
    merged_once(&test, created.len()).await;
}

#[tokio::test]
async fn every_acknowledged_upload_is_merged_once_though_the_clock_jumps() {
    let clock = Clock::manual(Clock::system().now_us());
    let test = TestApp::start_at(clock.clone()).await;
    let token = test.upload_token("github/acme/widgets").await;
    for nth in 0..24 {
        fleet::send_one(&test.url, &token, nth).await;
        // Back by hours, ahead by more, a little each time.
        clock.advance_us(match nth % 3 {
            0 => -2 * HOUR_US,
            1 => 5 * HOUR_US,
            _ => 1,
        });
    }
    test.settled().await;
    merged_once(&test, 24).await;
}

/// So many uploads are merged, each once.
async fn merged_once(test: &TestApp, uploads: usize) {
    let path = format!("github/acme/repos/widgets/commits/{SHA}");
    let journal = rest::get(test, &format!("{path}/journal?page_size=1000")).await;
    let steps = journal["results"].as_array().unwrap();
    let merged: Vec<_> = steps
        .iter()
        .filter(|step| step["step"] == "merged")
        .map(|step| step["upload"].as_str().unwrap())
        .collect();
    let distinct: std::collections::BTreeSet<_> = merged.iter().collect();
    assert_eq!((merged.len(), distinct.len()), (uploads, uploads));
    let commit = rest::get(test, &format!("{path}/")).await;
    assert_eq!(commit["totals"]["sessions"], uploads);
}
