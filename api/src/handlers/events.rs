//! The journal of a commit as it is written: server-sent events, which a client takes up again where it lost them.
//! Source: HTML Standard, "Server-sent events".

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use engine::db::commits::Commit;
use engine::db::journal::{Step, list_steps_after, topic};
use engine::id::{JournalId, RepoId};
use futures_util::Stream;
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::commits::readable_commit;
use super::journal::{StepBody, names_of};
use super::rest::{CommitKey, Detail};
use crate::app::App;
use crate::auth::viewer::Viewer;
use crate::error::{Error, Result};

/// Steps that are read at once.
const BATCH_STEPS: i64 = 200;
/// A stream ends after so long; its client comes back.
const STREAM_MAX: Duration = Duration::from_secs(600);
/// A line that says nothing is sent after so long, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Steps are numbered before they are committed: one may appear so much later than a later one.
const LATE_US: i64 = 5_000_000;
/// Names of steps that were sent lately and are not sent again, at most.
const SENT_KEPT: usize = 10_000;

/// `GET …/commits/{sha}/events`: each step of the commit's journal as an event, those before first. `Last-Event-ID`
/// names the last one that the client has. Within five seconds two steps may come in another order than they have in
/// the journal.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/commits/{sha}/events", tag = "commits",
    params(CommitKey, ("Last-Event-ID" = Option<String>, Header, description = "The last event that the client has")),
    responses(
        (status = 200, description = "Events: the step's word, its id, and `data` as the journal shows it",
            content((String = "text/event-stream"))),
        (status = 400, description = "Last-Event-ID is no id"),
        (status = 404, body = Detail)))]
pub async fn get_events(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<CommitKey>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = std::result::Result<Event, Infallible>>>> {
    let after = match headers.get("last-event-id") {
        None => JournalId(0),
        Some(id) => id
            .to_str()
            .ok()
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| {
                Error::Field(
                    "Last-Event-ID".into(),
                    "A valid event id is required.".into(),
                )
            })?,
    };
    let (conn, repo, commit) = readable_commit(&app, viewer, &key).await?;
    drop(conn);
    let events = Events::new(app, repo.id, commit, after);
    let stream = stream::unfold(events, async |mut events| {
        let event = events.next().await?;
        Some((Ok(event), events))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// A stream of events under way.
struct Events {
    app: App,
    repo: RepoId,
    commit: Commit,
    wake: watch::Receiver<u64>,
    until: Instant,
    /// The last step that the client had when it came.
    after: JournalId,
    /// Of the steps that were sent, the last.
    last: JournalId,
    sent: BTreeSet<JournalId>,
    ready: VecDeque<Event>,
}

impl Events {
    fn new(app: App, repo: RepoId, commit: Commit, after: JournalId) -> Events {
        Events {
            wake: app.db.subscribe(&topic(&commit.sha)),
            app,
            repo,
            commit,
            until: Instant::now() + STREAM_MAX,
            after,
            last: after,
            sent: BTreeSet::new(),
            ready: VecDeque::new(),
        }
    }

    /// The next event, when there is one; `None` when the stream ends.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            self.wake.borrow_and_update();
            match self.read().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) => {
                    tracing::error!(%error, "a stream of events ends");
                    return None;
                }
            }
            match timeout_at(self.until, self.wake.changed()).await {
                Ok(Ok(())) => {}
                _ => return None,
            }
        }
    }

    /// Makes ready what was not sent yet; gives how many steps those are.
    async fn read(&mut self) -> engine::Result<usize> {
        let mut from = self.last.before_us(LATE_US).max(self.after);
        let mut count = 0;
        while count < BATCH_STEPS as usize {
            let mut conn = self.app.db.read().await?;
            let sha = &self.commit.sha;
            let steps = list_steps_after(&mut conn, self.repo, sha, from, BATCH_STEPS).await?;
            let Some(last) = steps.last().map(|step| step.id) else {
                break;
            };
            from = last;
            let names = names_of(&mut conn, self.commit.id, &steps).await?;
            for step in steps {
                if self.sent.insert(step.id) {
                    self.last = self.last.max(step.id);
                    let upload = step.upload_id.and_then(|id| names.get(&id).cloned());
                    self.ready.push_back(event(step, upload)?);
                    count += 1;
                }
            }
        }
        while self.sent.len() > SENT_KEPT {
            self.sent.pop_first();
        }
        Ok(count)
    }
}

fn event(step: Step, upload: Option<String>) -> engine::Result<Event> {
    let event = Event::default().id(step.id.to_string()).event(&step.step);
    let body = StepBody::new(step, upload)?;
    event
        .json_data(body)
        .map_err(|e| engine::Error::invalid("event", e))
}
