//! The journal: one row per step of an upload's life, with its duration and verdict.

use sqlx::FromRow;

use super::Conn;
use super::part::{Key, Kind, List, Listed, Order, Part, Way};
use crate::error::Result;
use crate::id::{JournalId, RepoId, UploadId};

macro_rules! columns {
    () => {
        "id, repo_id, commit_sha, upload_id, step, verdict, code, message, detail, started_us, duration_us"
    };
}

words! {
    /// How a step ended.
    Verdict {
        /// As it should.
        Ok = "ok",
        /// With something that a person should know.
        Warning = "warning",
        /// It failed.
        Error = "error",
        /// It waits for something that the message names.
        Waiting = "waiting",
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Step {
    /// Its id.
    pub id: JournalId,
    /// The repository.
    pub repo_id: RepoId,
    /// The commit.
    pub commit_sha: String,
    /// The upload, if the step is one upload's.
    pub upload_id: Option<UploadId>,
    /// The step's word, as `received` or `parsed`.
    pub step: String,
    /// How it ended.
    pub verdict: Verdict,
    /// The problem's code.
    pub code: Option<String>,
    /// What happened, for people.
    pub message: String,
    /// More for programs, as JSON.
    pub detail: Option<String>,
    /// When it began, microseconds.
    pub started_us: i64,
    /// How long it took, microseconds.
    pub duration_us: i64,
}

/// Commits share so many topics.
const TOPICS: u32 = 64;

/// The topic (`Db::subscribe`) that wakes those who wait for a step of this commit. Some commits share one, so that
/// there are never many.
pub fn topic(sha: &str) -> String {
    let place = sha.bytes().fold(0_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    });
    format!("journal/{}", place % TOPICS)
}

/// Inserts one step, and wakes those who wait for it.
pub async fn insert_step(conn: &mut Conn, step: &Step) -> Result<()> {
    const SQL: &str = "insert into journal (id, repo_id, commit_sha, upload_id, step, verdict, code, message, detail,
            started_us, duration_us)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    exec!(
        conn,
        sqlx::query(SQL)
            .bind(step.id)
            .bind(step.repo_id)
            .bind(step.commit_sha.as_str())
            .bind(step.upload_id)
            .bind(step.step.as_str())
            .bind(step.verdict)
            .bind(step.code.as_deref())
            .bind(step.message.as_str())
            .bind(step.detail.as_deref())
            .bind(step.started_us)
            .bind(step.duration_us)
    )?;
    conn.notify(&topic(&step.commit_sha));
    Ok(())
}

/// The last step of that word in an upload's life.
pub async fn find_step(conn: &mut Conn, upload: UploadId, step: &str) -> Result<Option<Step>> {
    const SQL: &str = concat!(
        "select ",
        columns!(),
        " from journal where upload_id = $1 and step = $2 order by id desc limit 1"
    );
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(upload)
        .bind(step)
        .fetch_optional(c))?)
}

/// A part of a commit's steps, in the order in which they were written.
pub async fn list_steps(
    conn: &mut Conn,
    repo: RepoId,
    sha: &str,
    part: impl Into<Part>,
) -> Result<Listed<Step>> {
    const WRITTEN: Order = Order(&[("id", Way::Up, Kind::Int)]);
    let mut list = List::of(columns!(), "journal", "repo_id =", repo.0, WRITTEN);
    list.and_value("commit_sha =", sha);
    let key = |step: &Step| vec![Key::Int(step.id.0)];
    list.read(conn, part.into(), key).await
}

/// The steps of a commit behind this one, in the order of their ids; at most `limit`.
pub async fn list_steps_after(
    conn: &mut Conn,
    repo: RepoId,
    sha: &str,
    after: JournalId,
    limit: i64,
) -> Result<Vec<Step>> {
    const SQL: &str = "select id, repo_id, commit_sha, upload_id, step, verdict, code, message, detail, started_us,
            duration_us
        from journal where repo_id = $1 and commit_sha = $2 and id > $3 order by id limit $4";
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(repo)
        .bind(sha)
        .bind(after)
        .bind(limit)
        .fetch_all(c))?)
}
