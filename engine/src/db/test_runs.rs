//! Runs of tests: one row for each time that a test ran.

use sqlx::FromRow;

use super::Conn;
use super::part::{Key, Kind, List, Listed, Order, Part, Way};
use crate::error::Result;
use crate::id::{RepoId, TestRunId, UploadId};

/// Evaluated runs of one commit that are read at most.
pub const EVALUATIONS: i64 = 100_000;

words! {
    /// How a test ended.
    Outcome {
        /// As it should.
        Pass = "pass",
        /// What it expects is not so.
        Failure = "failure",
        /// It was left out.
        Skip = "skip",
        /// It could not run to its end.
        Error = "error",
        /// It failed, as it does now and then without a cause.
        FlakyFail = "flaky_fail",
    }
}

/// One run of one test.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct TestRun {
    /// Its id.
    pub id: TestRunId,
    /// The repository.
    pub repo_id: RepoId,
    /// The upload that tells of it.
    pub upload_id: Option<UploadId>,
    /// The commit that was tested.
    pub commit_sha: String,
    /// Its git branch.
    pub branch: Option<String>,
    /// Names the test across runs, hex.
    pub test_id: String,
    /// The test's name.
    pub name: Option<String>,
    /// Its class.
    pub classname: Option<String>,
    /// Its suite.
    pub testsuite: Option<String>,
    /// The name for people, made from the others.
    pub computed_name: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub duration_seconds: Option<f64>,
    /// What it says of its failure.
    pub failure_message: Option<String>,
    /// The tool that ran it.
    pub framework: Option<String>,
    /// Its file.
    pub filename: Option<String>,
    /// Flags of its upload, a JSON list.
    pub flags: Option<String>,
    /// What the run tells beyond this, JSON.
    pub properties: Option<String>,
    /// When it ran, microseconds.
    pub timestamp_us: i64,
}

/// Which runs of a repository to list; the default lists all.
#[derive(Clone, Debug, Default)]
pub struct TestRunFilter {
    /// Only those of this commit.
    pub commit_sha: Option<String>,
    /// Only those of this git branch.
    pub branch: Option<String>,
    /// Only those that ended so.
    pub outcome: Option<Outcome>,
    /// Only those that took as long or longer, seconds.
    pub duration_min: Option<f64>,
    /// Only those that took as long or less, seconds.
    pub duration_max: Option<f64>,
}

macro_rules! columns {
    () => {
        "id, repo_id, upload_id, commit_sha, branch, test_id, name, classname, testsuite, computed_name, outcome,
         duration_seconds, failure_message, framework, filename, flags, properties, timestamp_us"
    };
}

/// Inserts a run.
pub async fn insert_test_run(conn: &mut Conn, run: &TestRun) -> Result<()> {
    const SQL: &str = concat!(
        "insert into test_run (",
        columns!(),
        ") values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
    );
    exec!(
        conn,
        sqlx::query(SQL)
            .bind(run.id)
            .bind(run.repo_id)
            .bind(run.upload_id)
            .bind(run.commit_sha.as_str())
            .bind(run.branch.as_deref())
            .bind(run.test_id.as_str())
            .bind(run.name.as_deref())
            .bind(run.classname.as_deref())
            .bind(run.testsuite.as_deref())
            .bind(run.computed_name.as_deref())
            .bind(run.outcome)
            .bind(run.duration_seconds)
            .bind(run.failure_message.as_deref())
            .bind(run.framework.as_deref())
            .bind(run.filename.as_deref())
            .bind(run.flags.as_deref())
            .bind(run.properties.as_deref())
            .bind(run.timestamp_us)
    )?;
    Ok(())
}

/// A part of a repository's runs, newest first.
pub async fn list_test_runs(
    conn: &mut Conn,
    repo: RepoId,
    filter: &TestRunFilter,
    part: impl Into<Part>,
) -> Result<Listed<TestRun>> {
    const NEWEST: Order = Order(&[
        ("timestamp_us", Way::Down, Kind::Int),
        ("id", Way::Up, Kind::Int),
    ]);
    let mut list = List::of(columns!(), "test_run", "repo_id =", repo.0, NEWEST);
    let outcome = filter.outcome.map(Outcome::as_str);
    for (left, text) in [
        ("commit_sha =", filter.commit_sha.as_deref()),
        ("branch =", filter.branch.as_deref()),
        ("outcome =", outcome),
    ] {
        if let Some(text) = text {
            list.and_value(left, text);
        }
    }
    for (left, seconds) in [
        ("duration_seconds >=", filter.duration_min),
        ("duration_seconds <=", filter.duration_max),
    ] {
        if let Some(seconds) = seconds {
            list.and_value(left, seconds);
        }
    }
    let key = |run: &TestRun| vec![Key::Int(run.timestamp_us), Key::Int(run.id.0)];
    list.read(conn, part.into(), key).await
}

/// A commit's runs that tell properties, of one class or of all: at most `EVALUATIONS`.
pub async fn list_evaluations(
    conn: &mut Conn,
    repo: RepoId,
    commit_sha: &str,
    classname: Option<&str>,
) -> Result<Vec<TestRun>> {
    const SQL: &str = concat!(
        "select ",
        columns!(),
        " from test_run where repo_id = $1 and commit_sha = $2 and properties is not null
             and ($3 is null or classname = $3) order by id limit $4"
    );
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(repo)
        .bind(commit_sha)
        .bind(classname)
        .bind(EVALUATIONS)
        .fetch_all(c))?)
}
