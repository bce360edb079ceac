//! A Redis server for tests, which ends with the test.

use std::process::Child;

use super::server::{await_port, free_port, run_guarded};

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

/// Starts a server of one test's own. Panics with its log if it does not start: `script/bootstrap` installs it.
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
    await_port(port, "redis-server", &folder);
    RedisServer {
        url: format!("redis://127.0.0.1:{port}"),
        process,
    }
}
