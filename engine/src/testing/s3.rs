//! An S3 server for tests: one per test process, which ends with it; one bucket per test.

use std::process::Child;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::server::{await_port, free_port, installed, run_guarded};
use crate::blob::S3Settings;
use crate::secret::Secret;

const ACCESS_KEY: &str = "hitline-test";
const SECRET_KEY: &str = "hitline-test-secret";

struct Server {
    endpoint: String,
    _process: Child,
}

static SERVER: OnceLock<Server> = OnceLock::new();
static BUCKETS: AtomicU32 = AtomicU32::new(0);

/// A bucket that is not there yet, on a real S3 server, `s3s-fs`.
pub async fn bucket() -> S3Settings {
    let server = tokio::task::spawn_blocking(|| SERVER.get_or_init(start))
        .await
        .expect("start an S3 server");
    S3Settings {
        endpoint: server.endpoint.clone(),
        public_endpoint: None,
        region: "us-east-1".into(),
        bucket: format!("test-{}", BUCKETS.fetch_add(1, Ordering::SeqCst)),
        creates_bucket: true,
        virtual_host: None,
        access_key: ACCESS_KEY.into(),
        secret_key: Secret::new(SECRET_KEY),
        session_token: None,
        ca_file: None,
    }
}

fn start() -> Server {
    let program = installed("tools/bin/s3s-fs");
    let folder = tempfile::Builder::new()
        .prefix("hitline-s3-")
        .tempdir()
        .expect("make a temporary folder")
        .keep();
    let data = folder.join("data");
    std::fs::create_dir(&data).expect("make the data folder");
    let port = free_port();
    let mut words = vec![program.into()];
    words.extend(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY].map(Into::into));
    words.extend(["--host", "127.0.0.1", "--port"].map(Into::into));
    words.extend([port.to_string().into(), data.into()]);
    let process = run_guarded(&folder, &words);
    await_port(port, "s3s-fs", &folder);
    Server {
        endpoint: format!("http://127.0.0.1:{port}"),
        _process: process,
    }
}
