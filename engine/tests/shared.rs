//! What nodes share: one suite for every store, and what becomes of it when a server goes away.

use std::time::Duration;

use bytes::Bytes;
use engine::clock::Clock;
use engine::shared::{Memory, Redis, Shared};
use engine::testing::redis_server;

const START_US: i64 = 1_790_000_000_000_000;
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn suite_in_memory() {
    let clock = Clock::manual(START_US);
    suite(&Memory::new(clock.clone()), &clock).await;
}

#[tokio::test]
async fn suite_in_redis() {
    let (server, clock) = (redis_server(), Clock::manual(START_US));
    suite(&Redis::open(&server.url, clock.clone()).unwrap(), &clock).await;
}

async fn suite(shared: &dyn Shared, clock: &Clock) {
    for expected in 1..=3 {
        assert_eq!(shared.count("a").await, expected);
    }
    assert_eq!(shared.count("b").await, 1);
    clock.advance_us(1_000_000);
    assert_eq!(shared.count("a").await, 1, "a new second");
    assert_eq!(shared.get("answer").await, None);
}

#[tokio::test]
async fn nodes_share_what_redis_keeps() {
    let server = redis_server();
    let node = || Redis::open(&server.url, Clock::manual(START_US)).unwrap();
    let (one, other) = (node(), node());
    assert_eq!((one.count("a").await, other.count("a").await), (1, 2));
    one.put("answer", Bytes::from_static(b"\0made"), LONG).await;
    assert_eq!(other.get("answer").await.unwrap(), &b"\0made"[..]);
}

#[tokio::test]
async fn a_server_that_goes_away_costs_nothing_but_what_it_kept() {
    let server = redis_server();
    let clock = Clock::manual(START_US);
    let shared = Redis::open(&server.url, clock.clone()).unwrap();
    shared
        .put("answer", Bytes::from_static(b"made"), LONG)
        .await;
    assert_eq!(shared.count("a").await, 1);
    drop(server);
    assert_eq!(shared.count("a").await, 1, "counted here");
    assert_eq!(shared.count("a").await, 2);
    assert_eq!(shared.get("answer").await, None);
    shared
        .put("answer", Bytes::from_static(b"made"), LONG)
        .await;
    clock.advance_us(2_000_000);
    assert_eq!(shared.count("a").await, 1);
    let told = Redis::open("http://host", clock).err().unwrap().to_string();
    assert!(told.contains("redis://host:port"), "{told}");
}
