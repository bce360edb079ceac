//! One suite for every object store, and what only some promise.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;
use engine::blob::{
    BlobWriter, Blobs, KEY_BYTES, LocalBlobs, Method, S3Blobs, S3Settings, Sealed, check_key,
};
use engine::clock::Clock;
use engine::secret::Secret;
use engine::testing::{Certificate, Nginx, bucket};
use tempfile::TempDir;

fn local() -> (TempDir, LocalBlobs) {
    let folder = tempfile::tempdir().unwrap();
    let blobs = LocalBlobs::open(folder.path()).unwrap();
    (folder, blobs)
}

async fn s3(change: impl FnOnce(&mut S3Settings)) -> (TempDir, S3Blobs) {
    let scratch = tempfile::tempdir().unwrap();
    let mut settings = bucket().await;
    change(&mut settings);
    let blobs = S3Blobs::open(&settings, scratch.path(), Clock::system()).await;
    (scratch, blobs.unwrap())
}

#[tokio::test]
async fn suite_on_a_local_folder() {
    let (_folder, blobs) = local();
    blob_suite(Arc::new(blobs)).await;
}

#[tokio::test]
async fn suite_on_s3() {
    let (_scratch, blobs) = s3(|_| {}).await;
    blob_suite(Arc::new(blobs)).await;
}

#[tokio::test]
async fn suite_on_s3_over_tls() {
    let certificate = Certificate::make();
    let nginx = Nginx::before(&bucket().await.endpoint, &certificate);
    let (_scratch, blobs) = s3(|settings| {
        settings.endpoint = nginx.url.clone();
        settings.ca_file = Some(certificate.file());
    })
    .await;
    blob_suite(Arc::new(blobs)).await;
}

#[tokio::test]
async fn a_store_whose_authority_nobody_vouches_for_gets_nothing() {
    let certificate = Certificate::make();
    let nginx = Nginx::before(&bucket().await.endpoint, &certificate);
    let (_scratch, blobs) = s3(|settings| settings.endpoint = nginx.url.clone()).await;
    let told = blobs
        .put("raw/1", Bytes::new())
        .await
        .unwrap_err()
        .to_string();
    assert!(told.contains("certificate"), "{told}");
}

async fn blob_suite(blobs: Arc<dyn Blobs>) {
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
    large_object_suite(&*blobs).await;
    writer_suite(&blobs).await;
    assert_eq!(
        std::fs::read_dir(blobs.scratch()).unwrap().count(),
        0,
        "nothing stays in the scratch folder"
    );
}

#[tokio::test]
async fn a_file_of_another_disk_is_copied_and_taken_away() {
    let (_folder, blobs) = local();
    let file = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
    std::fs::write(file.path(), "from memory").unwrap();
    blobs.put_file("packs/file", file.path()).await.unwrap();
    assert!(!file.path().exists());
    assert_eq!(blobs.get("packs/file").await.unwrap(), "from memory");
    assert_eq!(std::fs::read_dir(blobs.scratch()).unwrap().count(), 0);
}

/// An object of several parts, whose last is short.
async fn large_object_suite(blobs: &dyn Blobs) {
    let bytes: Vec<u8> = (0..40_000_000_u32).map(|at| (at / 7) as u8).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    blobs.put_file("raw/large", file.path()).await.unwrap();
    assert_eq!(
        blobs.size("raw/large").await.unwrap(),
        Some(bytes.len() as u64)
    );
    let mut opened = Vec::new();
    let mut file = blobs.open("raw/large").await.unwrap();
    file.read_to_end(&mut opened).unwrap();
    assert!(opened == bytes && blobs.get("raw/large").await.unwrap() == bytes);
    let sealed = Sealed::of(blobs.open("raw/large").await.unwrap()).unwrap();
    assert_eq!(sealed.hash, blake3::hash(&bytes));
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

async fn writer_suite(blobs: &Arc<dyn Blobs>) {
    let mut dropped = BlobWriter::create(blobs.clone(), "raw/2").await.unwrap();
    dropped
        .write_chunk(Bytes::from_static(b"half"))
        .await
        .unwrap();
    assert_eq!(blobs.size("raw/2").await.unwrap(), None);
    drop(dropped);
    assert_eq!(blobs.size("raw/2").await.unwrap(), None);

    let mut writer = BlobWriter::create(blobs.clone(), "raw/2").await.unwrap();
    for chunk in ["one ", "two"] {
        writer.write_chunk(Bytes::from(chunk)).await.unwrap();
    }
    assert_eq!(writer.size_bytes(), 7);
    let sealed = writer.seal().await.unwrap();
    assert_eq!(
        (sealed.size_bytes, sealed.hash),
        (7, blake3::hash(b"one two"))
    );
    assert_eq!(blobs.get("raw/2").await.unwrap(), "one two");
}

#[tokio::test]
async fn clients_of_a_public_store_use_its_own_urls() {
    let (_scratch, blobs) = s3(|settings| {
        settings.public_endpoint = Some(settings.endpoint.clone());
    })
    .await;
    let soon_us = Clock::system().now_us() + 60_000_000;
    let url = async |method| {
        blobs
            .presign(method, "raw/1", soon_us)
            .await
            .unwrap()
            .unwrap()
    };
    let put = url(Method::Put).await;
    assert!(put.contains("X-Amz-Signature="), "{put}");
    let client = reqwest::Client::new();
    let sent = client.put(put).body("by a client").send().await.unwrap();
    assert!(sent.status().is_success(), "{sent:?}");
    assert_eq!(blobs.get("raw/1").await.unwrap(), "by a client");
    let got = client.get(url(Method::Get).await).send().await.unwrap();
    assert_eq!(got.text().await.unwrap(), "by a client");
    let wrong = url(Method::Get).await.replace("raw/1", "raw/2");
    assert_eq!(client.get(wrong).send().await.unwrap().status(), 403);

    let (_scratch, hidden) = s3(|_| {}).await;
    assert_eq!(
        hidden.presign(Method::Get, "raw/1", soon_us).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_bucket_that_nobody_makes_and_a_wrong_key_are_named() {
    let scratch = tempfile::tempdir().unwrap();
    let refusal = async |change: fn(&mut S3Settings)| {
        let mut settings = bucket().await;
        change(&mut settings);
        let opened = S3Blobs::open(&settings, scratch.path(), Clock::system()).await;
        opened.err().unwrap().to_string()
    };
    let told = refusal(|settings| settings.endpoint = "http://host/path".into()).await;
    assert!(told.contains("without a path"), "{told}");
    let told = refusal(|settings| settings.secret_key = Secret::new("wrong")).await;
    assert!(told.contains("let the key in"), "{told}");
    let told = refusal(|settings| settings.creates_bucket = false).await;
    assert!(told.contains("make it"), "{told}");
}

#[test]
fn stale_temporary_file_is_removed_at_start_and_a_fresh_one_stays() {
    let (folder, _) = local();
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
    LocalBlobs::open(folder.path()).unwrap();
    assert!(!stale.exists() && fresh.exists());
}
