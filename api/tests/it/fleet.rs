//! Clients that send uploads of one commit until the server has acknowledged each, whatever happens to it meanwhile.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use tokio::sync::watch;

use crate::node::{Node, announce, until};

/// The commit that they send uploads of.
pub(crate) const SHA: &str = "2860f81aa39cc1cb303961df7496b50053b835c3";
/// Clients that send at once.
const CLIENTS: usize = 8;
/// A client gives up a step after so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// What became of the uploads of a fleet.
pub(crate) struct Outcome {
    /// The totals of the commit.
    pub(crate) totals: Value,
    /// How often each acknowledged upload was merged, by its id.
    pub(crate) merged: BTreeMap<String, usize>,
    /// The longest time in which no step of any client was acknowledged.
    pub(crate) longest_pause: Duration,
}

impl Outcome {
    /// Each acknowledged upload was merged once, and the report is that of a run without trouble.
    pub(crate) fn assert_is_that_of(&self, calm: &Outcome, trouble: &str) {
        assert_eq!(self.totals, calm.totals, "totals after {trouble}");
        for (id, times) in &self.merged {
            assert_eq!(
                *times, 1,
                "upload {id} was merged {times} times, after {trouble}"
            );
        }
        let (uploads, pause) = (self.merged.len(), self.longest_pause.as_secs_f64());
        println!(
            "{trouble}: {uploads} uploads acknowledged, each merged once; longest pause {pause:.2} s"
        );
    }
}

/// Sends uploads to a node while `trouble` goes on, which is told of the acknowledged steps, two for each upload.
pub(crate) async fn send(
    node: &mut Node,
    uploads: usize,
    trouble: impl AsyncFnOnce(&mut Node, watch::Receiver<usize>),
) -> Outcome {
    let token = node.add_repo("widgets").await;
    let (steps, done) = watch::channel(0);
    let fleet = Fleet {
        url: node.url.clone(),
        token,
        uploads,
        next: AtomicUsize::new(0),
        steps,
        last: Mutex::new((Instant::now(), Duration::ZERO)),
    };
    let clients = join_all((0..CLIENTS).map(|_| fleet.work()));
    let (acknowledged, ()) = tokio::join!(clients, trouble(node, done));
    let ids = acknowledged.into_iter().flatten();
    let mut merged: BTreeMap<String, usize> = ids.map(|id| (id, 0)).collect();
    assert_eq!(merged.len(), uploads);
    let listed = node.settled(SHA).await;
    let count = |state: &str| {
        listed
            .iter()
            .filter(|upload| upload["state"] == state)
            .count()
    };
    assert_eq!(count("merged"), uploads);
    assert_eq!(
        count("started"),
        listed.len() - uploads,
        "only calls whose answer was lost may wait for bytes"
    );
    let totals = node.totals_of(SHA, uploads).await;
    let journal = node.journal(SHA).await;
    for step in journal.iter().filter(|step| step["step"] == "merged") {
        let times = merged.get_mut(step["upload"].as_str().unwrap());
        *times.expect("only acknowledged uploads are merged") += 1;
    }
    let (_, longest_pause) = *fleet.last.lock().unwrap();
    Outcome {
        totals,
        merged,
        longest_pause,
    }
}

/// The clients of one run.
struct Fleet {
    url: String,
    token: String,
    uploads: usize,
    next: AtomicUsize,
    /// Acknowledged steps.
    steps: watch::Sender<usize>,
    /// When the last was, and the longest time between two.
    last: Mutex<(Instant, Duration)>,
}

impl Fleet {
    /// Sends one upload after the other; the ids of those that the server has acknowledged.
    async fn work(&self) -> Vec<String> {
        let mut ids = Vec::new();
        loop {
            let nth = self.next.fetch_add(1, Ordering::SeqCst);
            if nth >= self.uploads {
                return ids;
            }
            let created = self
                .step(|| announce(&self.url, &self.token, SHA), 201)
                .await;
            let created: Value = serde_json::from_str(&created).unwrap();
            let url = created["raw_upload_location"].as_str().unwrap();
            self.step(|| Client::new().put(url).body(report(nth)), 200)
                .await;
            ids.push(created["external_id"].as_str().unwrap().to_owned());
        }
    }

    /// Sends a request until it is answered, as clients do when the server is away or in trouble; the body of the answer.
    async fn step(&self, request: impl Fn() -> RequestBuilder, expected: u16) -> String {
        let (status, body) = until("the server answers", PATIENCE, async || {
            let answer = request().send().await.ok()?;
            let status = answer.status().as_u16();
            let body = answer.text().await.ok()?;
            (status < 500).then_some((status, body))
        })
        .await;
        assert_eq!(status, expected, "{body}");
        self.steps.send_modify(|steps| *steps += 1);
        let mut last = self.last.lock().unwrap();
        *last = (Instant::now(), last.1.max(last.0.elapsed()));
        body
    }
}

/// Sends the nth report of [`SHA`] to the server at `url`, which must take it; the upload's id.
pub(crate) async fn send_one(url: &str, token: &str, nth: usize) -> String {
    let answer = announce(url, token, SHA).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let created: Value = answer.json().await.unwrap();
    let place = created["raw_upload_location"].as_str().unwrap();
    let sent = Client::new().put(place).body(report(nth)).send().await;
    assert_eq!(sent.unwrap().status(), 200);
    created["external_id"].as_str().unwrap().to_owned()
}

/// A report whose lines overlap with those of others, so that totals tell whether each was counted.
pub(crate) fn report(nth: usize) -> String {
    let mut text = String::new();
    for file in [nth % 7, 7 + nth % 5] {
        text += &format!("SF:src/m{file}.c\n");
        for line in 1..=60 {
            let hits = usize::from((nth * 31 + line * 17).is_multiple_of(211));
            text += &format!("DA:{line},{hits}\n");
        }
        text += &format!("DA:{},1\nend_of_record\n", 1000 + nth);
    }
    text
}
