//! The durable queue: a job commits in the transaction of the fact that asks for it, and ends in that of its result.
//!
//! A job is claimed under a lease. A worker that dies loses its lease, and another claims the job again, so jobs must be
//! idempotent; `finish` fails for a worker that has lost its lease, which undoes what it would have written twice.
//! Jobs of one kind and key coalesce while one waits. Workers sleep until the next job is due or a wake-up comes.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::FromRow;
use tokio::sync::watch;

use crate::db::{Conn, Db, Page, dialect, exec, on};
use crate::error::{Error, Result};
use crate::id::JobId;

/// The topic (`Db::subscribe`) that wakes workers.
pub const TOPIC: &str = "jobs";
/// How long a claim holds unless it is renewed.
pub const LEASE_US: i64 = 15_000_000;
/// Attempts before a job is dead.
pub const MAX_ATTEMPTS: i64 = 8;
/// Pause before the second attempt; each later pause is twice as long, and up to a quarter longer by chance.
pub const BACKOFF_FIRST_US: i64 = 1_000_000;
/// The longest pause between attempts, without the quarter.
pub const BACKOFF_LAST_US: i64 = 900_000_000;
/// What one job of a lane puts the next of it behind those of other lanes: about what a small upload takes.
const TURN_US: i64 = 20_000;
/// Longest stored reason, in characters.
const REASON_CHARS: usize = 2000;

macro_rules! columns {
    () => {
        "id, kind, dedupe_key, payload, due_us, attempt, max_attempts, worker, reason, created_us"
    };
}

/// A job to enqueue.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// What is to be done.
    pub kind: &'static str,
    /// While a job of this kind and key waits, no second one is needed.
    pub dedupe_key: Option<String>,
    /// What it is to be done with, as JSON.
    pub payload: String,
    /// Its earliest start, microseconds.
    pub run_after_us: i64,
    /// Attempts before it is dead.
    pub max_attempts: i64,
    /// Whose work it is, for jobs that wait in turn with others'.
    pub lane: Option<i64>,
}

impl NewJob {
    /// A job that may start at `run_after_us`. Errors: `Invalid` if the payload is not JSON.
    pub fn new(kind: &'static str, payload: &impl Serialize, run_after_us: i64) -> Result<NewJob> {
        let payload =
            serde_json::to_string(payload).map_err(|error| Error::invalid("job payload", error))?;
        Ok(NewJob {
            kind,
            dedupe_key: None,
            payload,
            run_after_us,
            max_attempts: MAX_ATTEMPTS,
            lane: None,
        })
    }

    /// The same job, which waits in turn with those of other lanes: however many of one lane are due, the first of
    /// another is claimed soon.
    pub fn in_lane(self, lane: i64) -> NewJob {
        NewJob {
            lane: Some(lane),
            ..self
        }
    }

    /// The same job, which coalesces with those of this key.
    pub fn with_key(self, key: impl Into<String>) -> NewJob {
        NewJob {
            dedupe_key: Some(key.into()),
            ..self
        }
    }
}

/// A claimed or dead job.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What is to be done.
    pub kind: String,
    /// The key by which it coalesces.
    pub dedupe_key: Option<String>,
    /// What it is to be done with, as JSON.
    pub payload: String,
    /// The end of its lease if it runs, else its earliest start, microseconds; 0 for at once.
    pub due_us: i64,
    /// How often it was claimed; with the id, it names one claim.
    pub attempt: i64,
    /// Attempts before it is dead.
    pub max_attempts: i64,
    /// Who claimed it last.
    pub worker: Option<String>,
    /// Why its last attempt failed.
    pub reason: Option<String>,
    /// When it was enqueued, microseconds.
    pub created_us: i64,
}

impl Job {
    /// The payload as the kind's own type. Errors: `Corrupt`.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.payload).map_err(|error| {
            Error::corrupt(
                format_args!("payload of {} job {}", self.kind, self.id),
                error,
            )
        })
    }
}

/// What became of a failed job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retried {
    /// It starts again, not before this time in microseconds.
    At(i64),
    /// A job of the same kind and key waits and will do its work.
    Coalesced,
    /// It has no attempts left: `list_dead` shows it with its reason.
    Dead,
}

/// How many jobs there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Waiting to start.
    pub ready: i64,
    /// Claimed.
    pub running: i64,
    /// Given up.
    pub dead: i64,
}

/// Enqueues the job in the caller's transaction and wakes workers after its commit. If a job of its kind and key waits,
/// that one stays, and moves forward to this one's time if that is earlier.
pub async fn enqueue(conn: &mut Conn, job: &NewJob, now_us: i64) -> Result<()> {
    const SQL: &str =
        "insert into job (id, kind, dedupe_key, payload, state, due_us, attempt, max_attempts, created_us, lane, rank_us)
        values ($1, $2, $3, $4, 'ready', $5, 0, $6, $7, $8, $9)
        on conflict (kind, dedupe_key) where state = 'ready' do update
        set due_us = case when excluded.due_us < job.due_us then excluded.due_us else job.due_us end,
            rank_us = case when excluded.rank_us < job.rank_us then excluded.rank_us else job.rank_us end";
    // What is due at once is due whatever the clocks of those who look for it say.
    let due_us = match job.run_after_us <= now_us {
        true => 0,
        false => job.run_after_us,
    };
    let rank_us = match job.lane {
        Some(lane) => job
            .run_after_us
            .max(last_rank_us(conn, lane).await? + TURN_US),
        None => job.run_after_us,
    };
    exec!(
        conn,
        sqlx::query(SQL)
            .bind(JobId::generate(now_us))
            .bind(job.kind)
            .bind(job.dedupe_key.as_deref())
            .bind(job.payload.as_str())
            .bind(due_us)
            .bind(job.max_attempts)
            .bind(now_us)
            .bind(job.lane)
            .bind(rank_us)
    )?;
    conn.notify(TOPIC);
    Ok(())
}

/// The rank of the last job that waits in a lane, or 0.
async fn last_rank_us(conn: &mut Conn, lane: i64) -> Result<i64> {
    const SQL: &str =
        "select rank_us from job where lane = $1 and state = 'ready' order by rank_us desc limit 1";
    let last: Option<i64> = on!(conn, |c| sqlx::query_scalar(SQL)
        .bind(lane)
        .fetch_optional(c))?;
    Ok(last.unwrap_or(0))
}

/// Claims up to `limit` due jobs of these kinds: first those of no lane, oldest first, then lanes in turn, each for this worker alone until its lease ends.
/// Jobs whose last allowed attempt lost its lease become dead on the way.
pub async fn claim(
    db: &Db,
    worker: &str,
    kinds: &[&str],
    limit: i64,
    lease_us: i64,
) -> Result<Vec<Job>> {
    let now_us = db.clock().now_us();
    let worker = worker.to_owned();
    let kinds: Vec<String> = kinds.iter().map(|&kind| kind.to_owned()).collect();
    db.write(move |conn| {
        Box::pin(async move {
            bury_abandoned(conn, now_us).await?;
            let lease = (now_us, now_us + lease_us);
            let mut jobs = claim_due(
                conn,
                &worker,
                &kinds,
                limit,
                lease,
                ("lane is null", "due_us"),
            )
            .await?;
            let left = limit - jobs.len() as i64;
            if left > 0 {
                // In its order of ranks, past the few that are not due.
                let lanes = ("lane is not null", "rank_us");
                jobs.extend(claim_due(conn, &worker, &kinds, left, lease, lanes).await?);
            }
            jobs.sort_by_key(|job| job.id);
            Ok(jobs)
        })
    })
    .await
}

async fn claim_due(
    conn: &mut Conn,
    worker: &str,
    kinds: &[String],
    limit: i64,
    (now_us, until_us): (i64, i64),
    (condition, order): (&str, &str),
) -> Result<Vec<Job>> {
    let sql = format!(
        "with due as (select id from job where {condition} and state <> 'dead' and due_us <= $1 and kind in ({})
             order by {order}, id limit $2 {})
         update job set state = 'running', worker = $3, due_us = $4, attempt = attempt + 1
         where id in (select id from due) returning {}",
        dialect::places(5, kinds.len()),
        dialect::skip_locked(conn),
        columns!()
    );
    Ok(on!(conn, |c| {
        let query = sqlx::query_as(&sql)
            .bind(now_us)
            .bind(limit)
            .bind(worker)
            .bind(until_us);
        kinds
            .iter()
            .fold(query, |query, kind| query.bind(kind.as_str()))
            .fetch_all(c)
    })?)
}

async fn bury_abandoned(conn: &mut Conn, now_us: i64) -> Result<()> {
    const SQL: &str =
        "update job set state = 'dead', reason = 'the worker was lost, and so were all before it'
        where state = 'running' and due_us <= $1 and attempt >= max_attempts";
    exec!(conn, sqlx::query(SQL).bind(now_us))?;
    Ok(())
}

/// Prolongs the lease from now on. Errors: `Conflict` if it was lost.
pub async fn renew(db: &Db, job: &Job, lease_us: i64) -> Result<()> {
    const SQL: &str =
        "update job set due_us = $3 where id = $1 and attempt = $2 and state = 'running'";
    let (id, attempt, until_us) = (job.id, job.attempt, db.clock().now_us() + lease_us);
    let rows = db
        .write(move |conn| {
            Box::pin(async move {
                Ok(exec!(
                    conn,
                    sqlx::query(SQL).bind(id).bind(attempt).bind(until_us)
                )?)
            })
        })
        .await?;
    held(job, rows)
}

/// Ends the job in the transaction of its result. Errors: `Conflict` if the lease was lost; the transaction must not commit.
pub async fn finish(conn: &mut Conn, job: &Job) -> Result<()> {
    const SQL: &str = "delete from job where id = $1 and attempt = $2 and state = 'running'";
    held(
        job,
        exec!(conn, sqlx::query(SQL).bind(job.id).bind(job.attempt))?,
    )
}

/// Gives a failed job back: it starts again after a pause, or is dead if it has no attempts left.
/// Errors: `Conflict` if the lease was lost.
pub async fn retry(conn: &mut Conn, job: &Job, reason: &str, now_us: i64) -> Result<Retried> {
    const SQL: &str = "update job set state = 'ready', due_us = $3, reason = $4
        where id = $1 and attempt = $2 and state = 'running'";
    if job.attempt >= job.max_attempts {
        bury(conn, job, reason).await?;
        return Ok(Retried::Dead);
    }
    if delete_if_one_waits(conn, job.id).await? {
        return Ok(Retried::Coalesced);
    }
    let due_us = now_us + backoff_us(job);
    let rows = exec!(
        conn,
        sqlx::query(SQL)
            .bind(job.id)
            .bind(job.attempt)
            .bind(due_us)
            .bind(shortened(reason))
    )?;
    held(job, rows)?;
    conn.notify(TOPIC);
    Ok(Retried::At(due_us))
}

/// Gives a job up at once, for a failure that no attempt can mend. Errors: `Conflict` if the lease was lost.
pub async fn bury(conn: &mut Conn, job: &Job, reason: &str) -> Result<()> {
    const SQL: &str = "update job set state = 'dead', reason = $3 where id = $1 and attempt = $2 and state = 'running'";
    held(
        job,
        exec!(
            conn,
            sqlx::query(SQL)
                .bind(job.id)
                .bind(job.attempt)
                .bind(shortened(reason))
        )?,
    )
}

/// Waits until a job of these kinds is due or a wake-up comes: `wakeups` is `db.subscribe(queue::TOPIC)`.
/// Nothing that was enqueued since the last `claim` is missed.
pub async fn wait(db: &Db, kinds: &[&str], wakeups: &mut watch::Receiver<u64>) -> Result<()> {
    wakeups.borrow_and_update();
    let next_us = next_due_us(&mut db.read().await?, kinds).await?;
    let pause_us = next_us.map(|due_us| (due_us - db.clock().now_us()).max(0).unsigned_abs());
    let due = async {
        match pause_us {
            Some(pause_us) => tokio::time::sleep(Duration::from_micros(pause_us)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = due => Ok(()),
        woken = wakeups.changed() => woken.map_err(|_| Error::Closed { what: "database".into() }),
    }
}

/// When the next job of these kinds starts or the next lease ends, microseconds.
pub async fn next_due_us(conn: &mut Conn, kinds: &[&str]) -> Result<Option<i64>> {
    let sql = format!(
        "select due_us from job where state <> 'dead' and kind in ({}) order by due_us, id limit 1",
        dialect::places(1, kinds.len())
    );
    Ok(on!(conn, |c| kinds
        .iter()
        .fold(sqlx::query_scalar(&sql), |query, &kind| query.bind(kind))
        .fetch_optional(c))?)
}

/// How many jobs wait, run and are dead.
pub async fn depth(conn: &mut Conn) -> Result<Depth> {
    const SQL: &str = "select state, cast(count(*) as bigint) from job group by state";
    let rows: Vec<(String, i64)> = on!(conn, |c| sqlx::query_as(SQL).fetch_all(c))?;
    let count = |state: &str| {
        rows.iter()
            .find(|(name, _)| name == state)
            .map_or(0, |&(_, count)| count)
    };
    Ok(Depth {
        ready: count("ready"),
        running: count("running"),
        dead: count("dead"),
    })
}

/// How many jobs wait, counted up to a limit.
pub async fn waiting(conn: &mut Conn, limit: i64) -> Result<i64> {
    const SQL: &str = "select cast(count(*) as bigint) from
        (select 1 from job where state = 'ready' limit $1) as waiting";
    Ok(on!(conn, |c| sqlx::query_scalar(SQL)
        .bind(limit)
        .fetch_one(c))?)
}

/// How many jobs are due or running: 0 when there is nothing to do now.
pub async fn unfinished(conn: &mut Conn, now_us: i64) -> Result<i64> {
    const SQL: &str = "select cast(count(*) as bigint) from job
        where state = 'running' or (state = 'ready' and due_us <= $1)";
    Ok(on!(conn, |c| sqlx::query_scalar(SQL)
        .bind(now_us)
        .fetch_one(c))?)
}

/// How long the job that has been due longest has waited, microseconds; 0 if none is due.
pub async fn oldest_age_us(conn: &mut Conn, now_us: i64) -> Result<i64> {
    const SQL: &str = "select case when due_us = 0 then created_us else due_us end from job
        where state <> 'dead' and due_us <= $1 order by due_us, id limit 1";
    let oldest: Option<i64> = on!(conn, |c| sqlx::query_scalar(SQL)
        .bind(now_us)
        .fetch_optional(c))?;
    Ok(oldest.map_or(0, |since_us| (now_us - since_us).max(0)))
}

/// One page of the dead jobs, oldest first.
pub async fn list_dead(conn: &mut Conn, page: Page) -> Result<Vec<Job>> {
    const SQL: &str = concat!(
        "select ",
        columns!(),
        " from job where state = 'dead' order by id limit $1 offset $2"
    );
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(page.limit)
        .bind(page.offset)
        .fetch_all(c))?)
}

/// Makes a dead job ready, with `MAX_ATTEMPTS` more attempts; if one of its kind and key waits, that one stands for it.
/// Errors: `NotFound` if it is not dead.
pub async fn revive(conn: &mut Conn, id: JobId, now_us: i64) -> Result<()> {
    const SQL: &str = "update job set state = 'ready', due_us = $2, max_attempts = attempt + $3
        where id = $1 and state = 'dead'";
    if delete_if_one_waits(conn, id).await? {
        return Ok(());
    }
    match exec!(
        conn,
        sqlx::query(SQL).bind(id).bind(now_us).bind(MAX_ATTEMPTS)
    )? {
        0 => Err(Error::not_found(format_args!("dead job {id}"))),
        _ => {
            conn.notify(TOPIC);
            Ok(())
        }
    }
}

/// Deletes a job that is not ready itself, if a ready one of its kind and key exists; returns whether it did.
async fn delete_if_one_waits(conn: &mut Conn, id: JobId) -> Result<bool> {
    const SQL: &str = "delete from job where id = $1 and state <> 'ready' and exists (select 1 from job as waiting
        where waiting.kind = job.kind and waiting.dedupe_key = job.dedupe_key and waiting.state = 'ready')";
    Ok(exec!(conn, sqlx::query(SQL).bind(id))? == 1)
}

fn held(job: &Job, rows: u64) -> Result<()> {
    match rows {
        0 => Err(Error::conflict(format_args!(
            "lease of {} job {} was lost",
            job.kind, job.id
        ))),
        _ => Ok(()),
    }
}

/// Doubles with each attempt; the chance part comes from the id, so that jobs that failed together part.
fn backoff_us(job: &Job) -> i64 {
    let doublings = (job.attempt - 1).clamp(0, 30);
    let pause_us = (BACKOFF_FIRST_US << doublings).min(BACKOFF_LAST_US);
    let scattered = (job.id.0 as u64)
        .wrapping_add(job.attempt as u64)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        >> 32;
    pause_us + (pause_us / 4) * (scattered as i64) / (1 << 32)
}

fn shortened(reason: &str) -> String {
    reason.chars().take(REASON_CHARS).collect()
}
