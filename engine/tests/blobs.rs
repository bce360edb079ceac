//! One suite for every object store, and what only the local folder promises.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::Read as _;

use bytes::Bytes;
use engine::blob::{Blobs, KEY_BYTES, LocalBlobs, Method, check_key};
use engine::clock::Clock;
use engine::secret::Secret;
use tempfile::TempDir;

const START_US: i64 = 1_790_000_000_000_000;

fn local(clock: Clock) -> (TempDir, LocalBlobs) {
    let folder = tempfile::tempdir().unwrap();
    let blobs = LocalBlobs::open(folder.path(), Secret::new("key"), clock).unwrap();
    (folder, blobs)
}

#[tokio::test]
async fn suite_on_a_local_folder() {
    let (_folder, blobs) = local(Clock::system());
    blob_suite(&blobs).await;
}

async fn blob_suite(blobs: &dyn Blobs) {
    assert!(blobs.get("packs/none").await.unwrap_err().is_not_found());
    assert_eq!(blobs.size("packs/none").await.unwrap(), None);

    blobs
        .put("packs/b", Bytes::from_static(b"first"))
        .await
        .unwrap();
    blobs
        .put("packs/b", Bytes::from_static(b"second"))
        .await
        .unwrap();
    blobs.put("packs/a/deep", Bytes::new()).await.unwrap();
    blobs
        .put("raw/1", Bytes::from_static(b"raw"))
        .await
        .unwrap();
    assert_eq!(blobs.get("packs/b").await.unwrap(), "second");
    assert_eq!(blobs.size("packs/b").await.unwrap(), Some(6));

    let mut opened = blobs.open("packs/b").await.unwrap();
    blobs.delete("packs/b").await.unwrap();
    blobs.delete("packs/b").await.unwrap();
    let mut text = String::new();
    opened.read_to_string(&mut text).unwrap();
    assert_eq!(text, "second", "an open object outlives its deletion");

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "from a file").unwrap();
    blobs.put_file("packs/file", file.path()).await.unwrap();
    assert!(!file.path().exists());
    assert_eq!(blobs.get("packs/file").await.unwrap(), "from a file");

    assert_eq!(
        blobs.list("packs/", 9).await.unwrap(),
        ["packs/a/deep", "packs/file"]
    );
    assert_eq!(blobs.list("packs/f", 9).await.unwrap(), ["packs/file"]);
    assert_eq!(
        blobs.list("", 2).await.unwrap(),
        ["packs/a/deep", "packs/file"]
    );
    assert!(blobs.put("../climbs", Bytes::new()).await.is_err());
    assert!(
        blobs
            .presign_put("https://h", "raw/1", START_US)
            .unwrap()
            .starts_with("http")
    );
}

#[test]
fn keys_that_climb_or_need_quoting_are_refused() {
    let long = "k".repeat(KEY_BYTES + 1);
    for key in [
        "",
        "/raw",
        "raw/",
        "raw//1",
        "..",
        "raw/../1",
        "raw/.hidden",
        "a b",
        "ä",
        "a%2f",
        "a\\b",
        "a\0",
        &long,
    ] {
        assert!(check_key(key).is_err(), "{key:?}");
    }
    assert!(check_key("v4/raw/2026-11-24/ABC=/x_1.txt").is_ok());
}

#[tokio::test]
async fn writer_shows_nothing_before_it_is_sealed() {
    let (folder, blobs) = local(Clock::system());
    let mut dropped = blobs.create("raw/1").await.unwrap();
    dropped
        .write_chunk(Bytes::from_static(b"half"))
        .await
        .unwrap();
    assert_eq!(blobs.size("raw/1").await.unwrap(), None);
    drop(dropped);

    let mut writer = blobs.create("raw/1").await.unwrap();
    for chunk in ["one ", "two"] {
        writer.write_chunk(Bytes::from(chunk)).await.unwrap();
    }
    assert_eq!(writer.size_bytes(), 7);
    let sealed = writer.seal().await.unwrap();
    assert_eq!(
        (sealed.size_bytes, sealed.hash),
        (7, blake3::hash(b"one two"))
    );
    assert_eq!(blobs.get("raw/1").await.unwrap(), "one two");
    assert_eq!(
        std::fs::read_dir(folder.path().join("tmp"))
            .unwrap()
            .count(),
        0
    );
    assert_eq!(
        std::fs::read(blobs.path("raw/1").unwrap()).unwrap(),
        b"one two"
    );
}

#[test]
fn signature_opens_one_method_of_one_key_until_it_expires() {
    let clock = Clock::manual(START_US);
    let (_folder, blobs) = local(clock.clone());
    let expires = START_US / 1_000_000 + 10;
    let url = blobs
        .presign_put("https://h/", "raw/1", expires * 1_000_000)
        .unwrap();
    let signature = url.rsplit_once("signature=").unwrap().1;
    assert_eq!(
        url,
        format!("https://h/blob/raw/1?expires={expires}&method=PUT&signature={signature}")
    );

    assert!(blobs.verify(Method::Put, "raw/1", expires, signature));
    assert!(!blobs.verify(Method::Get, "raw/1", expires, signature));
    assert!(!blobs.verify(Method::Put, "raw/2", expires, signature));
    assert!(!blobs.verify(Method::Put, "raw/1", expires + 1, signature));
    assert!(!blobs.verify(Method::Put, "raw/1", expires, &signature[1..]));
    clock.advance_us(10_000_000);
    assert!(!blobs.verify(Method::Put, "raw/1", expires, signature));
}

#[test]
fn stale_temporary_file_is_removed_at_start_and_a_fresh_one_stays() {
    let (folder, _) = local(Clock::system());
    let (stale, fresh) = (
        folder.path().join("tmp/stale"),
        folder.path().join("tmp/fresh"),
    );
    #[expect(clippy::disallowed_methods, reason = "a file's age is the system's")]
    let days_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3 * 24 * 3600);
    std::fs::File::create(&stale)
        .unwrap()
        .set_modified(days_ago)
        .unwrap();
    std::fs::File::create(&fresh).unwrap();
    LocalBlobs::open(folder.path(), Secret::new("key"), Clock::system()).unwrap();
    assert!(!stale.exists() && fresh.exists());
}
