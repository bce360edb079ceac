//! Commits, and the result that was counted for them.

use std::collections::HashMap;

use sqlx::FromRow;

use super::measures::date_measures;
use super::part::{Key, Kind, List, Listed, Order, Part, Way};
use super::{Conn, dialect};
use crate::error::{Error, Result};
use crate::id::{CommitId, OwnerId, RepoId};

/// Commits that one walk of parents visits at most.
pub const WALK_COMMITS: i64 = 1000;

macro_rules! columns {
    () => {
        "id, repo_id, sha, parent_sha, branch, pull_id, message, author_id, timestamp_us, created_us, updated_us,
         state, ci_passed, totals, fold, report_created, expected_uploads"
    };
}

words! {
    /// How far a commit's result is; a commit that only the modern endpoints touched has none yet.
    CommitState {
        /// Uploads are awaited or processed.
        Pending = "pending",
        /// Its report holds something.
        Complete = "complete",
        /// Its report is empty, or could not be made.
        Error = "error",
        /// Nobody is to be notified.
        Skipped = "skipped",
    }
}

/// One commit.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Commit {
    /// Its id.
    pub id: CommitId,
    /// Its repository.
    pub repo_id: RepoId,
    /// Its hash in git.
    pub sha: String,
    /// The hash of its first parent.
    pub parent_sha: Option<String>,
    /// Its git branch.
    pub branch: Option<String>,
    /// The number of its pull request.
    pub pull_id: Option<i64>,
    /// Its message.
    pub message: Option<String>,
    /// Who wrote it.
    pub author_id: Option<OwnerId>,
    /// When it was made, microseconds; when it became known, until the provider tells.
    pub timestamp_us: i64,
    /// When it became known, microseconds.
    pub created_us: i64,
    /// When it last changed, microseconds.
    pub updated_us: i64,
    /// How far its result is.
    pub state: Option<CommitState>,
    /// Whether the other checks passed.
    pub ci_passed: Option<bool>,
    /// The totals of its report, as JSON.
    pub totals: Option<String>,
    /// The key of the fold that `totals` was counted from.
    pub fold: Option<String>,
    /// Whether a client has created its report.
    pub report_created: bool,
    /// How many uploads a client said that it will have.
    pub expected_uploads: Option<i64>,
}

/// A commit to insert.
#[derive(Clone, Debug)]
pub struct NewCommit {
    /// The id if it is new.
    pub id: CommitId,
    /// Its repository.
    pub repo_id: RepoId,
    /// Its hash in git.
    pub sha: String,
    /// The hash of its first parent.
    pub parent_sha: Option<String>,
    /// Its git branch.
    pub branch: Option<String>,
    /// The number of its pull request.
    pub pull_id: Option<i64>,
    /// Its message.
    pub message: Option<String>,
    /// Who wrote it.
    pub author_id: Option<OwnerId>,
    /// When it was made, microseconds.
    pub timestamp_us: i64,
    /// How far its result is.
    pub state: Option<CommitState>,
}

/// The text of an upsert, given for branch, pull request and parent which of the two values is preferred.
macro_rules! upsert_sql {
    ($branch:literal, $pull:literal, $parent:literal) => {
        concat!(
            "insert into commits (id, repo_id, sha, parent_sha, branch, pull_id, message, author_id, timestamp_us,
                 created_us, updated_us, state)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11)
             on conflict (repo_id, sha) do update set
                 parent_sha = coalesce(",
            $parent,
            "), branch = coalesce(",
            $branch,
            "), pull_id = coalesce(",
            $pull,
            "), message = coalesce(commits.message, excluded.message),
                 author_id = coalesce(commits.author_id, excluded.author_id),
                 state = coalesce(commits.state, excluded.state)
             returning ",
            columns!()
        )
    };
}

/// Inserts the commit, or fills what an existing one lacks and overwrites nothing. It is new if its id is `new.id`.
pub async fn upsert_commit(conn: &mut Conn, new: &NewCommit, now_us: i64) -> Result<Commit> {
    const SQL: &str = upsert_sql!(
        "commits.branch, excluded.branch",
        "commits.pull_id, excluded.pull_id",
        "commits.parent_sha, excluded.parent_sha"
    );
    upsert(conn, SQL, new, now_us).await
}

/// Like `upsert_commit`, but a new branch, pull request or parent takes the place of the stored one (the older clients' rule).
pub async fn overwrite_commit(conn: &mut Conn, new: &NewCommit, now_us: i64) -> Result<Commit> {
    const SQL: &str = upsert_sql!(
        "excluded.branch, commits.branch",
        "excluded.pull_id, commits.pull_id",
        "excluded.parent_sha, commits.parent_sha"
    );
    upsert(conn, SQL, new, now_us).await
}

async fn upsert(
    conn: &mut Conn,
    sql: &'static str,
    new: &NewCommit,
    now_us: i64,
) -> Result<Commit> {
    let commit: Commit = on!(conn, |c| sqlx::query_as(sql)
        .bind(new.id)
        .bind(new.repo_id)
        .bind(new.sha.as_str())
        .bind(new.parent_sha.as_deref())
        .bind(new.branch.as_deref())
        .bind(new.pull_id)
        .bind(new.message.as_deref())
        .bind(new.author_id)
        .bind(new.timestamp_us)
        .bind(now_us)
        .bind(new.state)
        .fetch_one(c))?;
    if commit.id != new.id {
        date_measures(conn, commit.id).await?;
    }
    Ok(commit)
}

/// The repository's commit of this hash.
pub async fn find_commit(conn: &mut Conn, repo: RepoId, sha: &str) -> Result<Option<Commit>> {
    const SQL: &str = concat!(
        "select ",
        columns!(),
        " from commits where repo_id = $1 and sha = $2"
    );
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(repo)
        .bind(sha)
        .fetch_optional(c))?)
}

/// The commit of this id. Errors: `NotFound`.
pub async fn get_commit(conn: &mut Conn, id: CommitId) -> Result<Commit> {
    const SQL: &str = concat!("select ", columns!(), " from commits where id = $1");
    on!(conn, |c| sqlx::query_as(SQL).bind(id).fetch_optional(c))?
        .ok_or_else(|| Error::not_found(format_args!("commit {id}")))
}

/// Which commits of a repository to list; the default lists all.
#[derive(Clone, Debug, Default)]
pub struct CommitFilter {
    /// Only those of this git branch.
    pub branch: Option<String>,
    /// Only those whose result is so far.
    pub state: Option<CommitState>,
    /// Only those that this owner wrote.
    pub author: Option<OwnerId>,
    /// Only those of this pull request.
    pub pull: Option<i64>,
    /// Only those made at this time or later, microseconds.
    pub since_us: Option<i64>,
    /// Only those made at this time or earlier, microseconds.
    pub until_us: Option<i64>,
}

/// A part of a repository's commits, newest first.
pub async fn list_commits(
    conn: &mut Conn,
    repo: RepoId,
    filter: &CommitFilter,
    part: impl Into<Part>,
) -> Result<Listed<Commit>> {
    const NEWEST: Order = Order(&[
        ("timestamp_us", Way::Down, Kind::Int),
        ("id", Way::Up, Kind::Int),
    ]);
    let mut list = List::of(columns!(), "commits", "repo_id =", repo.0, NEWEST);
    for (left, number) in [
        ("author_id =", filter.author.map(|id| id.0)),
        ("pull_id =", filter.pull),
        ("timestamp_us >=", filter.since_us),
        ("timestamp_us <=", filter.until_us),
    ] {
        if let Some(number) = number {
            list.and_value(left, number);
        }
    }
    if let Some(branch) = &filter.branch {
        list.and_value("branch =", branch.as_str());
    }
    if let Some(state) = filter.state {
        list.and_value("state =", state.as_str());
    }
    let key = |commit: &Commit| vec![Key::Int(commit.timestamp_us), Key::Int(commit.id.0)];
    list.read(conn, part.into(), key).await
}

/// Per repository, the totals as JSON of the newest complete commit on its default branch that is no younger than
/// `until_us`. Repositories without one are absent; each is one look-up in an index.
pub async fn list_default_totals(
    conn: &mut Conn,
    repos: &[RepoId],
    until_us: i64,
) -> Result<HashMap<RepoId, String>> {
    let sql = format!(
        "select repo.id, totals from repo join commits on commits.id = (
             select newest.id from commits as newest
             where newest.repo_id = repo.id and newest.branch = repo.default_branch and newest.state = 'complete'
                 and newest.timestamp_us <= $1
             order by newest.timestamp_us desc, newest.id limit 1)
         where totals is not null and repo.id in ({})",
        dialect::places(2, repos.len())
    );
    macro_rules! bound {
        () => {
            repos
                .iter()
                .fold(sqlx::query_as(&sql).bind(until_us), |query, id| {
                    query.bind(*id)
                })
        };
    }
    let rows: Vec<(RepoId, String)> = on!(conn, |c| bound!().fetch_all(c))?;
    Ok(rows.into_iter().collect())
}

/// The known ancestors of a commit along first parents, nearest first, without itself: at most `limit` and `WALK_COMMITS`.
/// The walk ends where a parent is unknown, and with the commit `until`.
pub async fn list_parents(
    conn: &mut Conn,
    repo: RepoId,
    sha: &str,
    until: Option<&str>,
    limit: i64,
) -> Result<Vec<Commit>> {
    const SQL: &str = concat!(
        "with recursive walk (depth, walked) as (
             select cast(1 as bigint), parent_sha from commits where repo_id = $1 and sha = $2
             union all
             select depth + 1, commits.parent_sha from walk join commits on repo_id = $1 and sha = walked
             where depth < $3 and ($4 is null or walked <> $4))
         select ",
        columns!(),
        " from walk join commits on repo_id = $1 and sha = walked order by depth limit $3"
    );
    let limit = limit.min(WALK_COMMITS);
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(repo)
        .bind(sha)
        .bind(limit)
        .bind(until)
        .fetch_all(c))?)
}

/// The commits whose first parent is this one, oldest first, at most `limit`.
pub async fn list_children(
    conn: &mut Conn,
    repo: RepoId,
    sha: &str,
    limit: i64,
) -> Result<Vec<CommitId>> {
    const SQL: &str =
        "select id from commits where repo_id = $1 and parent_sha = $2 order by id limit $3";
    Ok(on!(conn, |c| sqlx::query_scalar(SQL)
        .bind(repo)
        .bind(sha)
        .bind(limit)
        .fetch_all(c))?)
}

/// Notes how many uploads a commit will have, in place of what was said before. Idempotent.
pub async fn set_expected_uploads(conn: &mut Conn, id: CommitId, expected: i64) -> Result<()> {
    const SQL: &str = "update commits set expected_uploads = $2 where id = $1";
    exec!(conn, sqlx::query(SQL).bind(id).bind(expected))?;
    Ok(())
}

/// Notes that a client has created the commit's report. Idempotent.
pub async fn set_commit_report_created(conn: &mut Conn, id: CommitId, now_us: i64) -> Result<()> {
    const SQL: &str = "update commits set report_created = true, updated_us = $2 where id = $1 and not report_created";
    exec!(conn, sqlx::query(SQL).bind(id).bind(now_us))?;
    Ok(())
}

/// Locks the commit until the transaction ends, so that its set of packs stands still. Errors: `NotFound`.
pub async fn lock_commit(conn: &mut Conn, id: CommitId) -> Result<()> {
    const SQL: &str = "update commits set updated_us = updated_us where id = $1";
    match exec!(conn, sqlx::query(SQL).bind(id))? {
        0 => Err(Error::not_found(format_args!("commit {id}"))),
        _ => Ok(()),
    }
}

/// Stores what was counted from fold `fold`, if the stored result still is that of `from_fold` (the one that the caller
/// started from): a result that another worker brought in the meantime stays. Returns whether it was stored.
pub async fn set_commit_result(
    conn: &mut Conn,
    id: CommitId,
    from_fold: Option<&str>,
    result: &CommitResult,
    now_us: i64,
) -> Result<bool> {
    const SQL: &str = "update commits set state = $3, totals = $4, fold = $5, updated_us = $6
        where id = $1 and coalesce(fold, '') = coalesce($2, '')";
    let rows = exec!(
        conn,
        sqlx::query(SQL)
            .bind(id)
            .bind(from_fold)
            .bind(result.state)
            .bind(result.totals.as_deref())
            .bind(result.fold.as_deref())
            .bind(now_us)
    )?;
    if rows == 1 {
        conn.notify(FOLDED);
    }
    Ok(rows == 1)
}

/// The topic that is woken when reports change.
pub const FOLDED: &str = "folded";

/// The commits that have reports, and their folds, of the branches that moved last; of so many branches.
pub async fn list_heads(
    conn: &mut Conn,
    repo: RepoId,
    branches: i64,
) -> Result<Vec<(CommitId, String)>> {
    const SQL: &str = "select commits.id, commits.fold from
        (select head from branch where repo_id = $1 order by updated_us desc limit $2) moved
        join commits on commits.repo_id = $1 and commits.sha = moved.head
        where commits.fold is not null";
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(repo)
        .bind(branches)
        .fetch_all(c))?)
}

/// What was counted for a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitResult {
    /// How far it is.
    pub state: CommitState,
    /// The totals, as JSON.
    pub totals: Option<String>,
    /// The key of the fold that they were counted from.
    pub fold: Option<String>,
}

/// Stores how far the commit is, and nothing else. Errors: `NotFound`.
pub async fn set_commit_state(
    conn: &mut Conn,
    id: CommitId,
    state: CommitState,
    now_us: i64,
) -> Result<()> {
    const SQL: &str = "update commits set state = $2, updated_us = $3 where id = $1";
    match exec!(conn, sqlx::query(SQL).bind(id).bind(state).bind(now_us))? {
        0 => Err(Error::not_found(format_args!("commit {id}"))),
        _ => Ok(()),
    }
}

/// The known commits of these hashes, in any order. Errors: `Invalid` for more than `WALK_COMMITS`.
pub async fn list_commits_of(
    conn: &mut Conn,
    repo: RepoId,
    shas: &[String],
) -> Result<Vec<Commit>> {
    if shas.len() as i64 > WALK_COMMITS {
        return Err(Error::invalid(
            "commits",
            format_args!("more than {WALK_COMMITS}"),
        ));
    }
    let sql = format!(
        "select {} from commits where repo_id = $1 and sha in ({})",
        columns!(),
        dialect::places(2, shas.len())
    );
    macro_rules! bound {
        () => {
            shas.iter()
                .fold(sqlx::query_as(&sql).bind(repo), |query, sha| {
                    query.bind(sha.as_str())
                })
        };
    }
    Ok(on!(conn, |c| bound!().fetch_all(c))?)
}

/// What the git provider tells of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its message.
    pub message: Option<String>,
    /// Who wrote it.
    pub author_id: Option<OwnerId>,
    /// When it was made, microseconds.
    pub timestamp_us: i64,
    /// The hash of the nearest parent.
    pub parent_sha: Option<String>,
}

/// Stores what the provider tells of a commit; a parent that a client named stays. Errors: `NotFound`.
pub async fn set_commit_info(
    conn: &mut Conn,
    id: CommitId,
    info: &CommitInfo,
    now_us: i64,
) -> Result<()> {
    const SQL: &str =
        "update commits set message = coalesce($2, message), author_id = coalesce($3, author_id),
            timestamp_us = $4, parent_sha = coalesce(parent_sha, $5), updated_us = $6
        where id = $1";
    let rows = exec!(
        conn,
        sqlx::query(SQL)
            .bind(id)
            .bind(info.message.as_deref())
            .bind(info.author_id)
            .bind(info.timestamp_us)
            .bind(info.parent_sha.as_deref())
            .bind(now_us)
    )?;
    match rows {
        0 => Err(Error::not_found(format_args!("commit {id}"))),
        _ => date_measures(conn, id).await,
    }
}

/// The newest commit of a branch from before `before_us` whose other checks did not fail and that is not part of an
/// unmerged pull request: it stands in for a base that is not known.
pub async fn find_stand_in(
    conn: &mut Conn,
    repo: RepoId,
    branch: &str,
    before_us: i64,
) -> Result<Option<Commit>> {
    const SQL: &str = concat!(
        "select ",
        columns!(),
        " from commits where repo_id = $1 and branch = $2 and timestamp_us < $3 and coalesce(ci_passed, true)
             and (pull_id is null or exists (select 1 from pull
                 where pull.repo_id = $1 and number = pull_id and pull.state = 'merged'))
         order by timestamp_us desc, id limit 1"
    );
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(repo)
        .bind(branch)
        .bind(before_us)
        .fetch_optional(c))?)
}
