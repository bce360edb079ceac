//! Pull requests (merge requests).

use sqlx::FromRow;

use super::Conn;
use crate::error::{Error, Result};
use crate::id::{OwnerId, RepoId};

macro_rules! columns {
    () => {
        "repo_id, number, base_sha, head_sha, user_provided_base_sha, state, title, compared_to, base_branch, author_id,
         patch, updated_us"
    };
}

words! {
    /// Where a pull request is in its life.
    PullState {
        /// May still be merged.
        Open = "open",
        /// Was merged.
        Merged = "merged",
        /// Was given up.
        Closed = "closed",
    }
}

/// One pull request.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Pull {
    /// Its repository.
    pub repo_id: RepoId,
    /// Its number at the provider.
    pub number: i64,
    /// The commit that it is compared with, by the provider.
    pub base_sha: Option<String>,
    /// Its newest commit.
    pub head_sha: Option<String>,
    /// The commit that it is compared with, by the uploader.
    pub user_provided_base_sha: Option<String>,
    /// Where it is in its life.
    pub state: PullState,
    /// Its title.
    pub title: Option<String>,
    /// The known commit whose report it is compared with.
    pub compared_to: Option<String>,
    /// The branch that it is to be merged into.
    pub base_branch: Option<String>,
    /// Who opened it.
    pub author_id: Option<OwnerId>,
    /// Counts of the lines that it changes, as JSON, once they are known.
    pub patch: Option<String>,
    /// When it last changed, microseconds.
    pub updated_us: i64,
}

/// What the git provider tells of a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullFacts {
    /// The commit that it is compared with.
    pub base_sha: Option<String>,
    /// The branch that it is to be merged into.
    pub base_branch: Option<String>,
    /// Where it is in its life.
    pub state: PullState,
    /// Its title.
    pub title: Option<String>,
    /// Who opened it.
    pub author_id: Option<OwnerId>,
}

/// The repository's pull request of this number.
pub async fn find_pull(conn: &mut Conn, repo: RepoId, number: i64) -> Result<Option<Pull>> {
    const SQL: &str = concat!(
        "select ",
        columns!(),
        " from pull where repo_id = $1 and number = $2"
    );
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(repo)
        .bind(number)
        .fetch_optional(c))?)
}

/// Makes the pull request known and moves its head, if one is given. Idempotent.
pub async fn upsert_pull(
    conn: &mut Conn,
    repo: RepoId,
    number: i64,
    head_sha: Option<&str>,
    now_us: i64,
) -> Result<Pull> {
    const SQL: &str = concat!(
        "insert into pull (repo_id, number, head_sha, updated_us) values ($1, $2, $3, $4)
         on conflict (repo_id, number) do update
         set head_sha = coalesce(excluded.head_sha, pull.head_sha), updated_us = excluded.updated_us returning ",
        columns!()
    );
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(repo)
        .bind(number)
        .bind(head_sha)
        .bind(now_us)
        .fetch_one(c))?)
}

/// Makes the pull request known and stores the base that the uploader names. Idempotent.
pub async fn set_user_base(
    conn: &mut Conn,
    repo: RepoId,
    number: i64,
    base_sha: &str,
    now_us: i64,
) -> Result<Pull> {
    const SQL: &str = concat!(
        "insert into pull (repo_id, number, user_provided_base_sha, updated_us) values ($1, $2, $3, $4)
         on conflict (repo_id, number) do update
         set user_provided_base_sha = excluded.user_provided_base_sha, updated_us = excluded.updated_us returning ",
        columns!()
    );
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(repo)
        .bind(number)
        .bind(base_sha)
        .bind(now_us)
        .fetch_one(c))?)
}

/// Stores what the provider tells of a known pull request; a known author stays. Errors: `NotFound`.
pub async fn set_pull_facts(
    conn: &mut Conn,
    repo: RepoId,
    number: i64,
    facts: &PullFacts,
    now_us: i64,
) -> Result<()> {
    const SQL: &str = "update pull set base_sha = coalesce($3, base_sha), base_branch = coalesce($4, base_branch),
            state = $5, title = coalesce($6, title), author_id = coalesce(author_id, $7), updated_us = $8
        where repo_id = $1 and number = $2";
    known(
        number,
        exec!(
            conn,
            sqlx::query(SQL)
                .bind(repo)
                .bind(number)
                .bind(facts.base_sha.as_deref())
                .bind(facts.base_branch.as_deref())
                .bind(facts.state)
                .bind(facts.title.as_deref())
                .bind(facts.author_id)
                .bind(now_us)
        )?,
    )
}

/// Stores with which commit a known pull request is compared, and the counts of the lines that it changes, as JSON.
/// Errors: `NotFound`.
pub async fn set_pull_comparison(
    conn: &mut Conn,
    repo: RepoId,
    number: i64,
    compared_to: Option<&str>,
    patch: Option<&str>,
) -> Result<()> {
    const SQL: &str =
        "update pull set compared_to = $3, patch = $4 where repo_id = $1 and number = $2";
    known(
        number,
        exec!(
            conn,
            sqlx::query(SQL)
                .bind(repo)
                .bind(number)
                .bind(compared_to)
                .bind(patch)
        )?,
    )
}

fn known(number: i64, rows: u64) -> Result<()> {
    match rows {
        0 => Err(Error::not_found(format_args!("pull request {number}"))),
        _ => Ok(()),
    }
}
