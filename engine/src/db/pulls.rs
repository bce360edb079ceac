//! Pull requests (merge requests).

use sqlx::FromRow;

use super::Conn;
use super::part::{Key, Kind, List, Listed, Order, Part, Way};
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

/// A pull request with what is known of the two commits that it compares.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct PullDetail {
    /// The pull request.
    #[sqlx(flatten)]
    pub pull: Pull,
    /// The totals of its base, as JSON.
    pub base_totals: Option<String>,
    /// The totals of its head, as JSON.
    pub head_totals: Option<String>,
    /// Whether the other checks of its head passed.
    pub head_ci_passed: Option<bool>,
}

macro_rules! detail_columns {
    () => {
        concat!(
            columns!(),
            ", (select totals from commits where commits.repo_id = pull.repo_id
                 and sha = coalesce(compared_to, user_provided_base_sha, base_sha)) as base_totals,
             (select totals from commits where commits.repo_id = pull.repo_id and sha = head_sha) as head_totals,
             (select ci_passed from commits where commits.repo_id = pull.repo_id and sha = head_sha)
                 as head_ci_passed"
        )
    };
}

/// Which pull requests of a repository to list; the default lists all.
#[derive(Clone, Copy, Debug, Default)]
pub struct PullFilter {
    /// Only those so far in their life.
    pub state: Option<PullState>,
    /// Only those that changed at this time or later, microseconds.
    pub since_us: Option<i64>,
    /// From the smallest number on, instead of from the largest.
    pub oldest_first: bool,
}

/// A part of a repository's pull requests, by their numbers.
pub async fn list_pulls(
    conn: &mut Conn,
    repo: RepoId,
    filter: PullFilter,
    part: impl Into<Part>,
) -> Result<Listed<PullDetail>> {
    const NEWEST: Order = Order(&[("number", Way::Down, Kind::Int)]);
    const OLDEST: Order = Order(&[("number", Way::Up, Kind::Int)]);
    let order = if filter.oldest_first { OLDEST } else { NEWEST };
    let mut list = List::of(detail_columns!(), "pull", "repo_id =", repo.0, order);
    if let Some(state) = filter.state {
        list.and_value("state =", state.as_str());
    }
    if let Some(since_us) = filter.since_us {
        list.and_value("updated_us >=", since_us);
    }
    let key = |detail: &PullDetail| vec![Key::Int(detail.pull.number)];
    list.read(conn, part.into(), key).await
}

/// The repository's pull request of this number, with its commits.
pub async fn find_pull_detail(
    conn: &mut Conn,
    repo: RepoId,
    number: i64,
) -> Result<Option<PullDetail>> {
    const SQL: &str = concat!(
        "select ",
        detail_columns!(),
        " from pull where repo_id = $1 and number = $2"
    );
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(repo)
        .bind(number)
        .fetch_optional(c))?)
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
