//! A Redis server for tests, which ends with the test.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Child;

use super::Certificate;
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

impl RedisServer {
    /// Runs one with these options more.
    fn run(port: u16, options: &[String]) -> RedisServer {
        let folder = tempfile::Builder::new()
            .prefix("hitline-redis-")
            .tempdir()
            .expect("make a temporary folder")
            .keep();
        let config = folder.join("config");
        let lines = [
            "bind 127.0.0.1",
            &format!("port {port}"),
            "save \"\"",
            "appendonly no",
        ];
        let lines = lines.into_iter().chain(options.iter().map(String::as_str));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        std::fs::write(&config, format!("{text}dir {}\n", folder.display()))
            .expect("write the configuration");
        let mut words: Vec<OsString> = vec!["redis-server".into(), config.into()];
        if options.iter().any(|option| option.starts_with("sentinel ")) {
            words.push("--sentinel".into());
        }
        let process = run_guarded(&folder, &words);
        await_port(port, "redis-server", &folder);
        RedisServer {
            url: format!("redis://127.0.0.1:{port}"),
            process,
        }
    }

    /// Starts a server that follows this one.
    pub fn replica(&self) -> RedisServer {
        let port = self.url.rsplit(':').next().expect("a URL has a port");
        RedisServer::run(free_port(), &[format!("replicaof 127.0.0.1 {port}")])
    }

    /// Starts a sentinel that watches this server, alone, under the name `main`, and replaces it soon.
    pub fn sentinel(&self) -> RedisServer {
        let port = self.url.rsplit(':').next().expect("a URL has a port");
        let options = [
            format!("sentinel monitor main 127.0.0.1 {port} 1"),
            "sentinel down-after-milliseconds main 300".to_owned(),
            "sentinel failover-timeout main 2000".to_owned(),
        ];
        RedisServer::run(free_port(), &options)
    }
}

/// Starts a server of one test's own. Panics with its log if it does not start: `script/bootstrap` installs it.
pub fn redis_server() -> RedisServer {
    RedisServer::run(free_port(), &[])
}

/// Starts one that is reached over TLS alone.
pub fn redis_server_tls(certificate: &Certificate) -> RedisServer {
    let port = free_port();
    let file = |path: PathBuf| path.display().to_string();
    let options = [
        "port 0".to_owned(),
        format!("tls-port {port}"),
        format!("tls-cert-file {}", file(certificate.file())),
        format!("tls-ca-cert-file {}", file(certificate.file())),
        format!("tls-key-file {}", file(certificate.key_file())),
        "tls-auth-clients no".to_owned(),
    ];
    let mut server = RedisServer::run(port, &options);
    server.url = format!("rediss://127.0.0.1:{port}");
    server
}
