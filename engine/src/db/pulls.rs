//! Pull requests (merge requests).

use sqlx::FromRow;

use super::Conn;
use crate::error::Result;
use crate::id::RepoId;

macro_rules! columns {
    () => {
        "repo_id, number, base_sha, head_sha, user_provided_base_sha, state, title, updated_us"
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
    /// When it last changed, microseconds.
    pub updated_us: i64,
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
