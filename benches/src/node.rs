//! A server of our own, started for the measurement: how soon it is ready, what it weighs, how soon it shows an upload.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use futures_util::stream;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use reqwest::header::CONTENT_LENGTH;
use reqwest::{Body, Client};
use serde_json::{Value, json};

use crate::generate::{Kind, Shape, network, write_report};

/// How long a server may take to start, or an upload to show.
const LIMIT: Duration = Duration::from_secs(60);
/// Time between two questions.
const POLL: Duration = Duration::from_millis(1);
/// Time after which a server that nobody asks is idle.
const SETTLE: Duration = Duration::from_secs(2);
/// Starts that are timed.
const STARTS: usize = 7;
/// Size of the pieces in which a body is sent, in bytes.
const PIECE_BYTES: usize = 64 << 10;
/// Uploads that come before those that count.
const WARM_UP: usize = 2;

/// A running server.
struct Node {
    process: Child,
    url: String,
    /// From the start of the process until it said that it is ready.
    start: Duration,
}

impl Drop for Node {
    fn drop(&mut self) {
        // A process that has ended already is as good as one that is ended here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Node {
    fn start(hitline: &Path, data: &Path) -> Result<Node> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let begun = Instant::now();
        let mut command = Command::new(hitline);
        command
            .args(["serve", "--listen", &address, "--data"])
            .arg(data)
            .env("HITLINE_LOG", "warn");
        let process = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", hitline.display()))?;
        let mut node = Node {
            process,
            url: format!("http://{address}"),
            start: Duration::ZERO,
        };
        while !is_ready(&address) {
            if let Some(status) = node.process.try_wait()? {
                bail!("the server ended: {status}");
            }
            if begun.elapsed() > LIMIT {
                bail!("the server is not ready after {LIMIT:?}");
            }
            std::thread::sleep(POLL);
        }
        node.start = begun.elapsed();
        Ok(node)
    }

    /// What it holds in memory, mapped files included, in MB.
    fn resident_mb(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("VmRSS is missing")?;
        let kib: f64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .context("VmRSS is no number")?;
        Ok(kib * 1024.0 / 1e6)
    }
}

/// Whether `/readyz` answers 200.
fn is_ready(address: &str) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// The tables of start, memory and latency.
pub(crate) async fn measure(hitline: &Path, seed: u64, now_us: i64) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let node = Node::start(hitline, &data)?;
    let first_start = node.start;
    tokio::time::sleep(SETTLE).await;
    let idle_mb = node.resident_mb()?;

    let client = Uploader::new(hitline, &data, &node.url, seed)?;
    let mut latency = String::from(
        "| LCOV upload | uploads | p50, ms | p90, ms | greatest, ms |\n| --- | --- | --- | --- | --- |\n",
    );
    for (lines, files, uploads) in [(10_000, 50, 40), (500_000, 2000, 10)] {
        let mut taken = Vec::new();
        for i in 0..WARM_UP + uploads {
            let shape = Shape {
                files,
                lines,
                seed: seed + i as u64,
            };
            let visible = client.upload(shape, now_us).await?;
            if i >= WARM_UP {
                taken.push(visible.as_secs_f64() * 1e3);
            }
        }
        taken.sort_by(f64::total_cmp);
        let at = |part: f64| taken[((taken.len() - 1) as f64 * part).round() as usize];
        latency += &format!(
            "| {lines} lines, {files} files | {uploads} | {:.0} | {:.0} | {:.0} |\n",
            at(0.5),
            at(0.9),
            at(1.0)
        );
    }
    tokio::time::sleep(SETTLE).await;
    let worked_mb = node.resident_mb()?;
    drop(node);

    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(Node::start(hitline, &data)?.start);
    }
    starts.sort();
    Ok(format!(
        "## Last byte of the PUT to totals in the API\n\n{latency}\n\
         ## Start and memory\n\n| what | value |\n| --- | --- |\n\
         | start to ready, new data folder | {:.0} ms |\n\
         | start to ready, the folder after these uploads, median of {STARTS} | {:.0} ms |\n\
         | resident memory, idle after the start | {idle_mb:.0} MB |\n\
         | resident memory, idle after these uploads | {worked_mb:.0} MB |\n",
        first_start.as_secs_f64() * 1e3,
        starts[STARTS / 2].as_secs_f64() * 1e3,
    ))
}

/// A client that uploads to one repository.
struct Uploader {
    client: Client,
    url: String,
    upload_token: String,
    api_token: String,
    commits: std::cell::RefCell<StdRng>,
}

impl Uploader {
    fn new(hitline: &Path, data: &Path, url: &str, seed: u64) -> Result<Uploader> {
        Ok(Uploader {
            client: Client::builder().build()?,
            url: url.into(),
            upload_token: admin(hitline, data, &["repo", "add", "github/acme/widgets"])?,
            api_token: admin(hitline, data, &["token", "add", "--owner", "acme"])?,
            commits: std::cell::RefCell::new(StdRng::seed_from_u64(seed)),
        })
    }

    /// Uploads a report for a new commit; returns the time from the PUT's last byte to the commit's totals.
    async fn upload(&self, shape: Shape, now_us: i64) -> Result<Duration> {
        let body = body(shape, now_us)?;
        let commit: [u8; 20] = self.commits.borrow_mut().random();
        let sha: String = commit.iter().map(|byte| format!("{byte:02x}")).collect();
        let announce = self.client.post(format!(
            "{}/upload/github/acme::::widgets/upload-coverage",
            self.url
        ));
        let announce = announce.header("Authorization", format!("token {}", self.upload_token));
        let answer = announce
            .json(&json!({ "commitid": sha, "branch": "main" }))
            .send()
            .await?
            .error_for_status()?;
        let created: Value = answer.json().await?;
        let place = created["raw_upload_location"]
            .as_str()
            .context("raw_upload_location is missing")?;

        let (length, last_byte) = (body.len(), Arc::new(OnceLock::new()));
        let body = Body::wrap_stream(stamped(body, last_byte.clone()));
        self.client
            .put(place)
            .header(CONTENT_LENGTH, length)
            .body(body)
            .send()
            .await?
            .error_for_status()?;
        let begun = *last_byte.get().context("no byte was sent")?;
        while !self.has_totals(&sha).await? {
            if begun.elapsed() > LIMIT {
                bail!("commit {sha} has no totals after {LIMIT:?}");
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(begun.elapsed())
    }

    async fn has_totals(&self, sha: &str) -> Result<bool> {
        let url = format!(
            "{}/api/v2/github/acme/repos/widgets/commits/?page_size=1",
            self.url
        );
        let answer = self
            .client
            .get(url)
            .bearer_auth(&self.api_token)
            .send()
            .await?
            .error_for_status()?;
        let page: Value = answer.json().await?;
        let newest = &page["results"][0];
        Ok(newest["commitid"] == sha
            && newest["totals"]["lines"]
                .as_u64()
                .is_some_and(|lines| lines > 0))
    }
}

/// The body in pieces; notes when the last is taken.
fn stamped(
    body: Bytes,
    last_byte: Arc<OnceLock<Instant>>,
) -> impl stream::Stream<Item = std::io::Result<Bytes>> {
    stream::unfold(body, move |mut rest| {
        let piece = rest.split_to(rest.len().min(PIECE_BYTES));
        if rest.is_empty() {
            last_byte.get_or_init(Instant::now);
        }
        std::future::ready((!piece.is_empty()).then_some((Ok(piece), rest)))
    })
}

/// What codecov-cli would send for the report.
fn body(shape: Shape, now_us: i64) -> Result<Bytes> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    write_report(Kind::Lcov, shape, now_us, &mut packed)?;
    let data = base64_simd::STANDARD.encode_to_string(packed.finish()?);
    let body = json!({
        "report_fixes": { "format": "legacy", "value": {} },
        "network_files": network(Kind::Lcov, shape),
        "coverage_files": [
            { "filename": Kind::Lcov.file_name(), "format": "base64+compressed", "data": data, "labels": "" },
        ],
        "metadata": {},
    });
    Ok(serde_json::to_vec(&body)?.into())
}

/// Runs an `admin` command; returns what it prints.
fn admin(hitline: &Path, data: &Path, words: &[&str]) -> Result<String> {
    let done = Command::new(hitline)
        .arg("admin")
        .args(words)
        .arg("--data")
        .arg(data)
        .stderr(Stdio::inherit())
        .output()?;
    anyhow::ensure!(
        done.status.success(),
        "hitline admin {}: {}",
        words.join(" "),
        done.status
    );
    Ok(String::from_utf8(done.stdout)?.trim().to_owned())
}

/// The program that was built beside this one.
pub(crate) fn hitline() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("hitline");
    anyhow::ensure!(
        path.exists(),
        "{} is missing: build the whole workspace",
        path.display()
    );
    Ok(path)
}
