//! What nodes share: one suite for every store, and what becomes of it when a server goes away.

use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::clock::Clock;
use engine::shared::{Memory, Redis, Shared};
use engine::testing::{Certificate, redis_server, redis_server_tls};

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
    suite(
        &Redis::open(&server.url, None, clock.clone()).unwrap(),
        &clock,
    )
    .await;
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
    let node = || Redis::open(&server.url, None, Clock::manual(START_US)).unwrap();
    let (one, other) = (node(), node());
    assert_eq!((one.count("a").await, other.count("a").await), (1, 2));
    one.put("answer", Bytes::from_static(b"\0made"), LONG).await;
    assert_eq!(other.get("answer").await.unwrap(), &b"\0made"[..]);
}

#[tokio::test]
async fn a_server_that_goes_away_costs_nothing_but_what_it_kept() {
    let server = redis_server();
    let clock = Clock::manual(START_US);
    let shared = Redis::open(&server.url, None, clock.clone()).unwrap();
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
    let told = Redis::open("http://host", None, clock)
        .err()
        .unwrap()
        .to_string();
    assert!(told.contains("redis://host:port"), "{told}");
}

#[tokio::test]
async fn sentinels_name_the_server_that_takes_over() {
    let server = redis_server();
    let replica = server.replica();
    let sentinel = server.sentinel();
    let place = sentinel.url.replace("redis://", "");
    let url = format!("redis+sentinel://127.0.0.1:1,{place}/main");
    let shared = Redis::open(&url, None, Clock::system()).unwrap();
    let kept = async || {
        shared
            .put("answer", Bytes::from_static(b"made"), LONG)
            .await;
        shared.get("answer").await.is_some()
    };
    until("the sentinel knows the server", &kept).await;
    // It learns of the replica from the server, every ten seconds or when it is asked to.
    let knows = async || {
        let asked = Command::new("redis-cli")
            .args(["-u", &sentinel.url, "sentinel", "replicas", "main"])
            .output();
        let said = String::from_utf8(asked.unwrap().stdout).unwrap();
        said.contains(replica.url.rsplit(':').next().unwrap()) && said.contains("\nok\n")
    };
    until("the sentinel knows the replica", &knows).await;
    drop(server);
    until("the replica has taken over", &kept).await;
    assert!(shared.ping().await.is_ok());
}

/// Asks again and again until it is so.
async fn until(fact: &str, ask: &impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !ask().await {
        assert!(begun.elapsed() < LONG, "not true after {LONG:?}: {fact}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn private_authority_vouches_for_a_server_over_tls() {
    let certificate = Certificate::make();
    let server = redis_server_tls(&certificate);
    let authority = std::fs::read(certificate.file()).unwrap();
    let open = |authority: Option<&[u8]>| Redis::open(&server.url, authority, Clock::system());
    let trusting = open(Some(&authority)).unwrap();
    trusting.ping().await.unwrap();
    trusting
        .put("answer", Bytes::from_static(b"made"), LONG)
        .await;
    assert_eq!(trusting.get("answer").await.unwrap(), &b"made"[..]);
    assert!(open(None).unwrap().ping().await.is_err());
}

#[test]
fn urls_of_sentinels_are_told_apart() {
    let open = |url: &str| Redis::open(url, None, Clock::system());
    for url in [
        "redis+sentinel://a:26379,b:26379/main",
        "rediss+sentinel://user:secret@a/main/2",
    ] {
        assert!(open(url).is_ok(), "{url}");
    }
    for url in [
        "redis+sentinel://user:secret@a:26379",
        "redis+sentinel://user:secret@a:26379/",
        "http+sentinel://user:secret@a/main",
    ] {
        let told = open(url).err().unwrap().to_string();
        assert!(
            told.contains("redis+sentinel://host") && !told.contains("secret"),
            "{told}"
        );
    }
}
