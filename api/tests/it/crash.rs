//! A server that is killed again and again loses nothing that it has acknowledged, and counts nothing twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use tokio::sync::watch;

use crate::node::{Node, announce, pause, until};

const SHA: &str = "2860f81aa39cc1cb303961df7496b50053b835c3";
const UPLOADS: usize = 200;
/// Clients that send at once.
const CLIENTS: usize = 8;
const KILLS: usize = 6;
/// A kill comes so long after a step of a client at most, so that it meets the server anywhere between two.
const SCATTER_US: u64 = 20_000;
/// A client gives up a step after so long.
const PATIENCE: Duration = Duration::from_secs(60);
const SEED: u64 = 0x0068_6974_6c69_6e65;

#[tokio::test]
async fn every_acknowledged_upload_is_merged_once_however_often_the_server_is_killed() {
    let (calm, _) = run(&[]).await;
    let mut seed = SEED;
    let kills: Vec<Kill> = (1..=KILLS)
        .map(|nth| Kill::random(&mut seed, nth))
        .collect();
    let (killed, journal) = run(&kills).await;
    assert_eq!(killed, calm, "totals after kills at {kills:?}");
    for (id, times) in journal {
        assert_eq!(
            times, 1,
            "upload {id} was merged {times} times, with kills at {kills:?}"
        );
    }
}

/// When the server is killed: after so many steps of all clients together, and a moment more.
#[derive(Debug)]
struct Kill {
    steps: usize,
    after: Duration,
}

impl Kill {
    fn random(seed: &mut u64, nth: usize) -> Kill {
        let between = 2 * UPLOADS / (KILLS + 1);
        let early = next(seed) as usize % (between / 2);
        Kill {
            steps: nth * between - early,
            after: Duration::from_micros(next(seed) % SCATTER_US),
        }
    }
}

/// Sends all uploads while the server is killed; the totals of the commit, and how often each acknowledged upload was
/// merged.
async fn run(kills: &[Kill]) -> (Value, BTreeMap<String, usize>) {
    let mut node = Node::start().await;
    let token = node.add_repo("widgets").await;
    let (steps, mut done) = watch::channel(0);
    let fleet = Fleet {
        url: node.url.clone(),
        token,
        next: AtomicUsize::new(0),
        steps,
    };
    let killing = async {
        for kill in kills {
            done.wait_for(|&steps| steps >= kill.steps).await.unwrap();
            pause(kill.after).await;
            node.crash().await;
        }
    };
    let (acknowledged, ()) = tokio::join!(join_all((0..CLIENTS).map(|_| fleet.work())), killing);
    let mut merged: BTreeMap<String, usize> = acknowledged
        .into_iter()
        .flatten()
        .map(|id| (id, 0))
        .collect();
    assert_eq!(merged.len(), UPLOADS);
    let uploads = node.settled(SHA).await;
    let count = |state: &str| {
        uploads
            .iter()
            .filter(|upload| upload["state"] == state)
            .count()
    };
    assert_eq!(count("merged"), UPLOADS);
    assert_eq!(
        count("started"),
        uploads.len() - UPLOADS,
        "only calls whose answer was lost may wait for bytes"
    );
    let totals = node.totals_of(SHA, UPLOADS).await;
    for step in node
        .journal(SHA)
        .await
        .iter()
        .filter(|step| step["step"] == "merged")
    {
        let times = merged.get_mut(step["upload"].as_str().unwrap());
        *times.expect("only acknowledged uploads are merged") += 1;
    }
    (totals, merged)
}

/// The clients of one run.
struct Fleet {
    url: String,
    token: String,
    next: AtomicUsize,
    /// Acknowledged steps.
    steps: watch::Sender<usize>,
}

impl Fleet {
    /// Sends one upload after the other; the ids of those that the server has acknowledged.
    async fn work(&self) -> Vec<String> {
        let mut ids = Vec::new();
        loop {
            let nth = self.next.fetch_add(1, Ordering::SeqCst);
            if nth >= UPLOADS {
                return ids;
            }
            let created = self
                .step(|| announce(&self.url, &self.token, SHA), 201)
                .await;
            let created: Value = serde_json::from_str(&created).unwrap();
            let url = created["raw_upload_location"].as_str().unwrap();
            self.step(|| Client::new().put(url).body(report(nth)), 200)
                .await;
            ids.push(created["external_id"].as_str().unwrap().to_owned());
        }
    }

    /// Sends a request until it is answered, as clients do when the server is away or in trouble; the body of the answer.
    async fn step(&self, request: impl Fn() -> RequestBuilder, expected: u16) -> String {
        let (status, body) = until("the server answers", PATIENCE, async || {
            let answer = request().send().await.ok()?;
            let status = answer.status().as_u16();
            let body = answer.text().await.ok()?;
            (status < 500).then_some((status, body))
        })
        .await;
        assert_eq!(status, expected, "{body}");
        self.steps.send_modify(|steps| *steps += 1);
        body
    }
}

/// A report whose lines overlap with those of others, so that totals tell whether each was counted.
fn report(nth: usize) -> String {
    let mut text = String::new();
    for file in [nth % 7, 7 + nth % 5] {
        text += &format!("SF:src/m{file}.c\n");
        for line in 1..=60 {
            let hits = usize::from((nth * 31 + line * 17).is_multiple_of(211));
            text += &format!("DA:{line},{hits}\n");
        }
        text += &format!("DA:{},1\nend_of_record\n", 1000 + nth);
    }
    text
}

/// The next number of a fixed sequence (SplitMix64).
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
