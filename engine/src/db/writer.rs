//! SQLite's one writer: the closures that wait are committed together, with one sync of the disk.
//!
//! Each closure runs in a savepoint, so one that fails undoes only itself. Answers go out after the commit.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::part::Counts;
use super::wake::Topics;
use super::{Conn, Held};
use crate::error::{Error, Result};

/// Closures that may wait; more make their callers wait.
const QUEUE_CLOSURES: usize = 1024;
/// Closures committed together at most, so that the first ones are not kept waiting.
const GROUP_CLOSURES: usize = 128;

/// The sending side of the writer task; the task ends when all clones are dropped or one closes it.
#[derive(Clone)]
pub(crate) struct Writer(mpsc::Sender<Task>);

enum Task {
    Write(Write),
    Close(oneshot::Sender<()>),
}

type Write = Box<dyn for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Outcome> + Send>;

/// What a closure left behind: whether its changes stay, and how to tell its caller.
struct Outcome {
    keep: bool,
    answer: Answer,
}

type Answer = Box<dyn FnOnce(Result<(), &str>) + Send>;

impl Writer {
    pub(crate) fn start(conn: SqliteConnection, topics: Topics, counts: Counts) -> Writer {
        let (sender, receiver) = mpsc::channel(QUEUE_CLOSURES);
        let conn = Conn::new(Held::SqliteWriter(conn), counts);
        tokio::spawn(run(conn, receiver, topics));
        Writer(sender)
    }

    pub(crate) async fn write<T, F>(&self, closure: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let write: Write = Box::new(move |conn| {
            Box::pin(async move {
                let result = closure(conn).await;
                Outcome {
                    keep: result.is_ok(),
                    answer: answer(sender, result),
                }
            })
        });
        let closed = || Error::Closed {
            what: "database writer".into(),
        };
        self.0
            .send(Task::Write(write))
            .await
            .map_err(|_| closed())?;
        receiver.await.map_err(|_| closed())?
    }

    pub(crate) async fn close(&self) {
        let (sender, receiver) = oneshot::channel();
        if self.0.send(Task::Close(sender)).await.is_ok() {
            let _ = receiver.await;
        }
    }
}

/// Sends the result, or the group's failure in place of a success.
fn answer<T: Send + 'static>(sender: oneshot::Sender<Result<T>>, result: Result<T>) -> Answer {
    Box::new(move |commit| {
        let result = match (result, commit) {
            (Ok(_), Err(why)) => Err(Error::Commit(why.to_owned())),
            (result, _) => result,
        };
        let _ = sender.send(result);
    })
}

async fn run(mut conn: Conn, mut tasks: mpsc::Receiver<Task>, topics: Topics) {
    let mut closing = None;
    while closing.is_none() {
        let Some(first) = tasks.recv().await else {
            break;
        };
        let mut group = Vec::new();
        let mut next = Some(first);
        while let Some(task) = next {
            match task {
                Task::Write(write) => group.push(write),
                Task::Close(done) => closing = Some(done),
            }
            next = if closing.is_none() && group.len() < GROUP_CLOSURES {
                tasks.try_recv().ok()
            } else {
                None
            };
        }
        if !group.is_empty() {
            write_group(&mut conn, group, &topics).await;
        }
    }
    tasks.close();
    if let Held::SqliteWriter(conn) = conn.held
        && let Err(error) = conn.close().await
    {
        tracing::warn!(%error, "closing the database failed");
    }
    if let Some(done) = closing {
        let _ = done.send(());
    }
}

/// Runs the closures in one transaction and answers each of them after the commit.
/// A panicking closure counts as failed; its caller learns it from the dropped answer.
async fn write_group(conn: &mut Conn, group: Vec<Write>, topics: &Topics) {
    let mut answers = Vec::with_capacity(group.len());
    let mut woken = BTreeSet::new();
    let result = in_transaction(conn, group, &mut answers, &mut woken).await;
    if result.is_err() {
        let _ = execute(conn, "rollback").await;
    }
    if result.is_ok() {
        woken.iter().for_each(|topic| topics.wake(topic));
    }
    let result = result.map_err(|error| error.to_string());
    for answer in answers {
        answer(result.as_ref().map(|_| ()).map_err(String::as_str));
    }
}

async fn in_transaction(
    conn: &mut Conn,
    group: Vec<Write>,
    answers: &mut Vec<Answer>,
    woken: &mut BTreeSet<String>,
) -> Result<(), sqlx::Error> {
    execute(conn, "begin immediate").await?;
    for write in group {
        execute(conn, "savepoint one").await?;
        let outcome = AssertUnwindSafe(write(conn)).catch_unwind().await;
        let topics = std::mem::take(&mut conn.topics);
        let keep = outcome.as_ref().is_ok_and(|outcome| outcome.keep);
        if let Ok(outcome) = outcome {
            answers.push(outcome.answer);
        }
        if keep {
            woken.extend(topics);
        } else {
            execute(conn, "rollback to one").await?;
        }
        execute(conn, "release one").await?;
    }
    execute(conn, "commit").await
}

async fn execute(conn: &mut Conn, sql: &'static str) -> Result<(), sqlx::Error> {
    exec!(conn, sqlx::query(sql)).map(|_| ())
}
