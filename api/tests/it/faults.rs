//! What a node depends on fails under load: nothing that was acknowledged is lost, and nothing counts twice.

mod clients;
mod database;
mod disk;
mod kills;
mod network;

use std::process::Command;
use std::time::Duration;

use tokio::sync::watch;

use crate::backends::Backends;
use crate::fleet::{Outcome, send};
use crate::node::{Node, pause};
use crate::proxy::{Proxy, Way};

const UPLOADS: usize = 120;
/// A disturbance lasts so long.
const LASTS: Duration = Duration::from_millis(700);
/// What happens, one after the other, with time to recover between.
const WAYS: [Way; 4] = [Way::Down, Way::Cut(200), Way::Silent, Way::Down];

#[tokio::test]
async fn every_acknowledged_upload_is_merged_once_though_the_object_store_fails() {
    let mut backends = Backends::cluster().await;
    let target = backends.s3.endpoint.replace("http://", "");
    let proxy = Proxy::to(&target).await;
    backends.s3.endpoint = format!("http://{}", proxy.address);
    check(backends, proxy, "the object store failed").await;
}

#[tokio::test]
async fn every_acknowledged_upload_is_merged_once_though_the_database_goes_away() {
    let mut backends = Backends::cluster().await;
    let (user, place) = backends.database_url.split_once('@').unwrap();
    let (target, name) = place.split_once('/').unwrap();
    let proxy = Proxy::to(target).await;
    backends.database_url = format!("{user}@{}/{name}", proxy.address);
    check(backends, proxy, "the database went away").await;
}

#[tokio::test]
async fn every_acknowledged_upload_is_merged_once_though_the_server_is_restarted_under_load() {
    let calm = calm(UPLOADS).await;
    let mut node = Node::start().await;
    let restarted = send(&mut node, UPLOADS, async |node, mut done| {
        for nth in 1..=3 {
            let steps = nth * UPLOADS / 2;
            done.wait_for(|&done| done >= steps).await.unwrap();
            node.restart().await;
        }
    })
    .await;
    restarted.assert_is_that_of(&calm, "restarts");
}

#[tokio::test]
async fn every_acknowledged_upload_is_merged_once_though_redis_goes_away() {
    let mut backends = Backends::cluster().await;
    let target = backends.redis_url.replace("redis://", "");
    let proxy = Proxy::to(&target).await;
    backends.redis_url = format!("redis://{}", proxy.address);
    check(backends, proxy, "Redis went away").await;
}

async fn check(backends: Backends, proxy: Proxy, trouble: &str) {
    let calm = calm(UPLOADS).await;
    let mut node = Node::start_on(Some(backends)).await;
    let disturb = async |_: &mut Node, mut done: watch::Receiver<usize>| {
        for (nth, way) in (1..).zip(WAYS) {
            let steps = nth * 2 * UPLOADS / (WAYS.len() + 1);
            done.wait_for(|&done| done >= steps).await.unwrap();
            proxy.set(way);
            pause(LASTS).await;
            proxy.set(Way::Open);
        }
    };
    let disturbed = send(&mut node, UPLOADS, disturb).await;
    disturbed.assert_is_that_of(&calm, trouble);
}

/// What becomes of so many uploads where nothing goes wrong.
async fn calm(uploads: usize) -> Outcome {
    let mut node = Node::start_alone().await;
    send(&mut node, uploads, async |_, _| {}).await
}

#[tokio::test]
async fn every_acknowledged_upload_is_merged_once_though_redis_is_emptied() {
    let calm = calm(UPLOADS).await;
    let backends = Backends::cluster().await;
    let redis = backends.redis_url.clone();
    let mut node = Node::start_on(Some(backends)).await;
    let disturbed = send(&mut node, UPLOADS, async |_, mut done| {
        for steps in (20..2 * UPLOADS).step_by(20) {
            done.wait_for(|&done| done >= steps).await.unwrap();
            let emptied = Command::new("redis-cli")
                .args(["-u", &redis, "flushall"])
                .output();
            assert!(emptied.unwrap().status.success());
        }
    })
    .await;
    disturbed.assert_is_that_of(&calm, "Redis was emptied");
}
