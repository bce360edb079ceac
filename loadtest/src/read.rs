//! Readers: as many clients as asked for, each with one question at a time, or questions at a steady rate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use reqwest::Client;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::ask::{Fleet, ROUTES, Route};

/// Questions of the open model that may be under way at once.
const UNDER_WAY_MAX: usize = 2000;
/// How long one answer may take before it counts as failed.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Time of answers that can be told, in microseconds.
const HISTOGRAM_MAX_US: u64 = 60_000_000;

#[derive(Args)]
pub(crate) struct Options {
    /// The server: http://host:port.
    #[arg(long)]
    server: String,
    /// Clients that ask at once; each asks anew when it has its answer.
    #[arg(long, default_value_t = 100, conflicts_with = "rate")]
    clients: usize,
    /// Mean of the exponentially distributed pause of a client between two questions, in milliseconds.
    #[arg(long, default_value_t = 0, conflicts_with = "rate")]
    think_ms: u64,
    /// Questions a second, whatever the answers take (an open model). Times count from when a question was due.
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds of each run.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Seconds before each run whose answers do not count: connections are made, and caches filled.
    #[arg(long, default_value_t = 0)]
    warm_up: u64,
    /// Only routes whose names contain this text.
    #[arg(long, default_value = "")]
    route: String,
    /// All routes mixed in one run, in place of one run each.
    #[arg(long)]
    mixed: bool,
    /// Seed of what is drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A token of the API, if the server wants one.
    #[arg(long, env = "HITLINE_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// What the answers to one route were.
struct Seen {
    times_us: Histogram<u64>,
    bytes: u64,
    /// Answers other than 200, by status; 0 stands for no answer.
    failed: BTreeMap<u16, u64>,
}

impl Seen {
    fn new() -> Result<Seen> {
        Ok(Seen {
            times_us: Histogram::new_with_max(HISTOGRAM_MAX_US, 3)?,
            bytes: 0,
            failed: BTreeMap::new(),
        })
    }

    fn add(&mut self, answer: Answer) {
        self.times_us.saturating_record(answer.time_us);
        self.bytes += answer.bytes;
        if answer.status != 200 {
            *self.failed.entry(answer.status).or_default() += 1;
        }
    }

    fn merge(&mut self, other: &Seen) -> Result<()> {
        self.times_us.add(&other.times_us)?;
        self.bytes += other.bytes;
        for (&status, &count) in &other.failed {
            *self.failed.entry(status).or_default() += count;
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Answer {
    time_us: u64,
    bytes: u64,
    status: u16,
}

type Results = BTreeMap<&'static str, Seen>;

/// Everything that readers share.
struct Readers {
    client: Client,
    server: String,
    fleet: Fleet,
    seed: u64,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    let routes: Vec<Route> = ROUTES
        .iter()
        .copied()
        .filter(|route| route.name.contains(&options.route))
        .collect();
    ensure!(
        !routes.is_empty(),
        "no route's name contains {:?}",
        options.route
    );
    let client = client(options)?;
    let server = options.server.trim_end_matches('/').to_owned();
    let fleet = Fleet::find(&client, &server).await?;
    let readers = Arc::new(Readers {
        client,
        server,
        fleet,
        seed: options.seed,
    });
    print_head();
    let runs: Vec<Vec<Route>> = if options.mixed {
        vec![routes]
    } else {
        routes.into_iter().map(|route| vec![route]).collect()
    };
    let mut has_failed = false;
    for routes in runs {
        let results = match options.rate {
            Some(rate) => open_model(&readers, &routes, rate, options).await?,
            None => closed_model(&readers, &routes, options).await?,
        };
        for (route, seen) in &results {
            print_row(route, seen, options.seconds);
            has_failed |= !seen.failed.is_empty();
        }
    }
    if has_failed {
        bail!("some answers were not 200");
    }
    Ok(())
}

fn client(options: &Options) -> Result<Client> {
    let mut headers = reqwest::header::HeaderMap::new();
    if let Some(token) = &options.token {
        headers.insert("authorization", format!("Bearer {token}").parse()?);
    }
    let builder = Client::builder()
        .timeout(ANSWER_LIMIT)
        .default_headers(headers);
    builder.build().context("make a client")
}

/// Clients that each wait for their answer, and a while more, before they ask again.
async fn closed_model(
    readers: &Arc<Readers>,
    routes: &[Route],
    options: &Options,
) -> Result<Results> {
    let (counted, end) = span(options);
    let mut clients = JoinSet::new();
    for number in 0..options.clients as u64 {
        let (readers, routes, think_ms) = (readers.clone(), routes.to_vec(), options.think_ms);
        clients.spawn(async move {
            let mut chance = StdRng::seed_from_u64(readers.seed << 32 | number);
            let mut results = Results::new();
            while Instant::now() < end {
                let route = routes[chance.random_range(0..routes.len())];
                let path = readers.fleet.draw(route, &mut chance);
                let due = Instant::now();
                let answer = readers.ask(&path, due).await;
                if due >= counted {
                    note(&mut results, route, answer)?;
                }
                if think_ms > 0 {
                    let share = -f64::ln(1.0 - chance.random::<f64>());
                    sleep(Duration::from_millis(think_ms).mul_f64(share)).await;
                }
            }
            anyhow::Ok(results)
        });
    }
    let mut results = Results::new();
    while let Some(client) = clients.join_next().await {
        for (route, seen) in client?? {
            results.entry(route).or_insert(Seen::new()?).merge(&seen)?;
        }
    }
    Ok(results)
}

/// Questions that come by chance at a steady rate, whether or not earlier ones have their answers.
async fn open_model(
    readers: &Arc<Readers>,
    routes: &[Route],
    rate: f64,
    options: &Options,
) -> Result<Results> {
    ensure!(rate > 0.0, "--rate {rate}: expected more than 0");
    let mut chance = StdRng::seed_from_u64(options.seed);
    let under_way = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    let mut asked = JoinSet::new();
    let mut due = Instant::now();
    let (counted, end) = span(options);
    let mut results = Results::new();
    while due < end {
        sleep_until(due).await;
        let route = routes[chance.random_range(0..routes.len())];
        let path = readers.fleet.draw(route, &mut chance);
        let (readers, place) = (readers.clone(), under_way.clone().acquire_owned().await?);
        asked.spawn(async move {
            let answer = readers.ask(&path, due).await;
            drop(place);
            (due >= counted).then_some((route, answer))
        });
        while let Some(done) = asked.try_join_next() {
            if let Some((route, answer)) = done? {
                note(&mut results, route, answer)?;
            }
        }
        due += Duration::from_secs_f64(-f64::ln(1.0 - chance.random::<f64>()) / rate);
    }
    while let Some(done) = asked.join_next().await {
        if let Some((route, answer)) = done? {
            note(&mut results, route, answer)?;
        }
    }
    Ok(results)
}

/// From when on questions count, and when the last is asked.
fn span(options: &Options) -> (Instant, Instant) {
    let counted = Instant::now() + Duration::from_secs(options.warm_up);
    (counted, counted + Duration::from_secs(options.seconds))
}

fn note(results: &mut Results, route: Route, answer: Answer) -> Result<()> {
    if !results.contains_key(route.name) {
        results.insert(route.name, Seen::new()?);
    }
    if let Some(seen) = results.get_mut(route.name) {
        seen.add(answer);
    }
    Ok(())
}

impl Readers {
    /// Asks and reads the whole answer. The time counts from `due`.
    async fn ask(&self, path: &str, due: Instant) -> Answer {
        let answered = async {
            let answer = self
                .client
                .get(format!("{}{path}", self.server))
                .send()
                .await?;
            let status = answer.status().as_u16();
            Ok::<_, reqwest::Error>((status, answer.bytes().await?.len() as u64))
        };
        let (status, bytes) = answered.await.unwrap_or_default();
        Answer {
            time_us: due.elapsed().as_micros() as u64,
            bytes,
            status,
        }
    }
}

fn print_head() {
    println!(
        "| route | answers/s | p50, ms | p90, ms | p99, ms | greatest, ms | kB each | not 200 |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
}

fn print_row(route: &str, seen: &Seen, seconds: u64) {
    let ms = |quantile| seen.times_us.value_at_quantile(quantile) as f64 / 1000.0;
    let answers = seen.times_us.len();
    println!(
        "| {route} | {:.0} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {} |",
        answers as f64 / seconds as f64,
        ms(0.5),
        ms(0.9),
        ms(0.99),
        seen.times_us.max() as f64 / 1000.0,
        seen.bytes as f64 / 1000.0 / answers.max(1) as f64,
        failures(seen),
    );
}

fn failures(seen: &Seen) -> String {
    let counts = seen.failed.iter();
    let counts: Vec<String> = counts
        .map(|(status, count)| format!("{count} × {status}"))
        .collect();
    counts.join(", ")
}
