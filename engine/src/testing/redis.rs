//! A Redis server for tests, which ends with the test.

use std::net::TcpStream;
use std::process::Child;
use std::time::Instant;

use super::server::{START_PAUSE, START_TIMEOUT, free_port, run_guarded};

/// A running server; it is killed when dropped.
pub struct RedisServer {
    /// Where it is.
    pub url: String,
    process: Child,
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // Gone when this is done, so that tests may rely on it.
        let _ = self.process.wait();
    }
}

/// Starts a server of one test's own. Panics if it is not installed.
pub fn redis_server() -> RedisServer {
    let folder = tempfile::Builder::new()
        .prefix("hitline-redis-")
        .tempdir()
        .expect("make a temporary folder")
        .keep();
    let port = free_port();
    let mut words = vec!["redis-server".into()];
    words.extend(["--bind", "127.0.0.1", "--port"].map(Into::into));
    words.push(port.to_string().into());
    words.extend(["--save", "", "--appendonly", "no", "--dir"].map(Into::into));
    words.push(folder.clone().into());
    let process = run_guarded(&folder, &words);
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(
            begun.elapsed() < START_TIMEOUT,
            "redis-server does not start, apt-get install redis-server: {}",
            std::fs::read_to_string(folder.join("log")).unwrap_or_default()
        );
        std::thread::sleep(START_PAUSE);
    }
    RedisServer {
        url: format!("redis://127.0.0.1:{port}"),
        process,
    }
}
