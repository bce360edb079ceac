//! Uploaders: clients that announce and send reports of a few commits, one after the other, and wait until all are counted.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How long one answer may take before it counts as failed.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// How long all that was sent may take to be counted.
const COUNT_LIMIT: Duration = Duration::from_secs(1800);
/// A commit is looked at again after so long.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// Times that can be told, in microseconds.
const HISTOGRAM_MAX_US: u64 = 3_600_000_000;
/// Lines of one file of a report.
const FILE_LINES: usize = 100;

#[derive(Args)]
pub(crate) struct Options {
    /// The server: http://host:port.
    #[arg(long)]
    server: String,
    /// The public repository that is uploaded to, as service/owner/name.
    #[arg(long)]
    repo: String,
    /// Its upload token.
    #[arg(long, env = "HITLINE_TOKEN", hide_env_values = true)]
    token: String,
    /// Uploads in all.
    #[arg(long, default_value_t = 1000)]
    uploads: usize,
    /// Commits that they belong to, in turn.
    #[arg(long, default_value_t = 100)]
    commits: usize,
    /// Instrumented lines of each report.
    #[arg(long, default_value_t = 1000)]
    lines: usize,
    /// Clients that send at once.
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// What to call this run in the table.
    #[arg(long, default_value = "uploads")]
    name: String,
    /// Number that tells this run's commits from others'.
    #[arg(long, default_value_t = 1)]
    seed: u32,
}

/// What all clients share.
struct Uploaders {
    client: Client,
    announce_url: String,
    token: String,
    next: AtomicUsize,
    shas: Vec<String>,
    options: Options,
}

pub(crate) async fn run(options: Options) -> Result<()> {
    let server = options.server.trim_end_matches('/').to_owned();
    let place = options.repo.clone();
    let (service, owner, repo) = parts(&place)?;
    ensure!(
        options.commits > 0 && options.lines > 0,
        "there must be commits and lines"
    );
    let sha = |commit| format!("{:08x}{commit:032x}", options.seed);
    let uploaders = Arc::new(Uploaders {
        client: Client::builder().timeout(ANSWER_LIMIT).build()?,
        announce_url: format!("{server}/upload/{service}/{owner}::::{repo}/upload-coverage"),
        token: options.token.clone(),
        next: AtomicUsize::new(0),
        shas: (0..options.commits.min(options.uploads)).map(sha).collect(),
        options,
    });
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..uploaders.options.clients {
        clients.spawn(uploaders.clone().work());
    }
    let mut acknowledged = Histogram::new_with_max(HISTOGRAM_MAX_US, 3)?;
    while let Some(client) = clients.join_next().await {
        acknowledged.add(client??)?;
    }
    let sent = begun.elapsed();
    let api = format!("{server}/api/v2/{service}/{owner}/repos/{repo}/commits");
    for sha in &uploaders.shas {
        uploaders.await_counted(&format!("{api}/{sha}")).await?;
    }
    let counted = begun.elapsed();
    let mut waited = Histogram::new_with_max(HISTOGRAM_MAX_US, 3)?;
    for sha in &uploaders.shas {
        uploaders
            .add_waits(&format!("{api}/{sha}/journal"), &mut waited)
            .await?;
    }
    let Options {
        name,
        uploads,
        lines,
        ..
    } = &uploaders.options;
    let rate = |time: Duration| *uploads as f64 / time.as_secs_f64();
    let ms = |times: &Histogram<u64>, quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
    println!(
        "| run | uploads | lines each | accepted/s | counted/s | accepted: p50, ms | p99, ms | waits for a worker: p50, ms | p99, ms |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    println!(
        "| {name} | {uploads} | {lines} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} | {:.1} |",
        rate(sent),
        rate(counted),
        ms(&acknowledged, 0.5),
        ms(&acknowledged, 0.99),
        ms(&waited, 0.5),
        ms(&waited, 0.99),
    );
    Ok(())
}

fn parts(repo: &str) -> Result<(&str, &str, &str)> {
    let parts = repo.split_once('/').and_then(|(service, rest)| {
        let (owner, name) = rest.split_once('/')?;
        Some((service, owner, name))
    });
    parts.with_context(|| format!("--repo {repo}: expected service/owner/name"))
}

impl Uploaders {
    /// Sends until all is sent; how long each upload took until it was acknowledged.
    async fn work(self: Arc<Self>) -> Result<Histogram<u64>> {
        let mut times = Histogram::new_with_max(HISTOGRAM_MAX_US, 3)?;
        loop {
            let nth = self.next.fetch_add(1, Ordering::Relaxed);
            if nth >= self.options.uploads {
                return Ok(times);
            }
            let body = report(nth, self.options.lines);
            let begun = Instant::now();
            let announced = self
                .client
                .post(&self.announce_url)
                .header("authorization", format!("token {}", self.token))
                .json(&json!({
                    "commitid": self.shas[nth % self.shas.len()],
                    "branch": "main",
                    "flags": [format!("job{}", nth % 10)],
                }))
                .send()
                .await?
                .error_for_status()?;
            let announced: Value = announced.json().await?;
            let place = announced["raw_upload_location"].as_str();
            let place = place.context("the answer names no raw_upload_location")?;
            let put = self.client.put(place).body(body).send().await?;
            put.error_for_status()?.bytes().await?;
            times.saturating_record(begun.elapsed().as_micros() as u64);
        }
    }

    async fn get(&self, url: &str) -> Result<Value> {
        let answer = self.client.get(url).send().await?.error_for_status()?;
        Ok(answer.json().await?)
    }

    /// Waits until a commit's report is that of all its uploads.
    async fn await_counted(&self, commit: &str) -> Result<()> {
        let until = Instant::now() + COUNT_LIMIT;
        loop {
            let status = self.get(&format!("{commit}/status")).await?;
            let merged = &status["uploads"]["merged"];
            if status["settled"] == true && status["totals"]["sessions"] == *merged {
                return Ok(());
            }
            ensure!(
                Instant::now() < until,
                "{commit} is not counted after {COUNT_LIMIT:?}"
            );
            sleep(LOOK_PAUSE).await;
        }
    }

    /// Adds how long each upload of a commit waited from the moment its bytes were durable until a worker read it.
    async fn add_waits(&self, journal: &str, waits: &mut Histogram<u64>) -> Result<()> {
        let mut url = format!("{journal}?page_size=1000");
        let mut received = HashMap::new();
        loop {
            let page = self.get(&url).await?;
            for step in page["results"].as_array().into_iter().flatten() {
                let Some(upload) = step["upload"].as_str() else {
                    continue;
                };
                let begun_us = micros(&step["started_at"])?;
                let took_us = step["duration_ms"].as_f64().unwrap_or(0.0) * 1000.0;
                match step["step"].as_str() {
                    Some("received") => {
                        received.insert(upload.to_owned(), begun_us + took_us as i64);
                    }
                    Some("parsed") => {
                        let since_us = received.get(upload).copied().unwrap_or(begun_us);
                        let waited_us = (begun_us - since_us).max(0);
                        waits.saturating_record(waited_us.unsigned_abs());
                    }
                    _ => {}
                }
            }
            match page["next"].as_str() {
                Some(next) => url = next.to_owned(),
                None => return Ok(()),
            }
        }
    }
}

/// The microseconds since 1970 of a time as the API writes it.
fn micros(time: &Value) -> Result<i64> {
    let text = time.as_str().unwrap_or_default();
    let time = chrono::DateTime::parse_from_rfc3339(text);
    Ok(time
        .with_context(|| format!("{text:?} is no time"))?
        .timestamp_micros())
}

/// An upload's body: LCOV of files that all uploads share, in which each has hits of its own.
fn report(nth: usize, lines: usize) -> String {
    let mut by_file: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for line in 0..lines {
        by_file
            .entry(line / FILE_LINES)
            .or_default()
            .push(line % FILE_LINES + 1);
    }
    let mut text = String::with_capacity(lines * 10);
    for (file, lines) in by_file {
        let _ = writeln!(text, "SF:src/area{}/file{file}.c", file % 10);
        for line in lines {
            let hits = usize::from((nth * 31 + line * 17).is_multiple_of(7)) * (nth + 1);
            let _ = writeln!(text, "DA:{line},{hits}");
        }
        text.push_str("end_of_record\n");
    }
    text.push_str("<<<<<< EOF\n");
    text
}
