//! Git branches and their heads.

use sqlx::FromRow;

use super::{Conn, Page};
use crate::error::Result;
use crate::id::RepoId;

macro_rules! columns {
    () => {
        "repo_id, name, head, head_timestamp_us, updated_us"
    };
}

/// One branch.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Branch {
    /// Its repository.
    pub repo_id: RepoId,
    /// Its name.
    pub name: String,
    /// The hash of its newest commit.
    pub head: String,
    /// When that commit was made, microseconds.
    pub head_timestamp_us: i64,
    /// When the head last moved, microseconds.
    pub updated_us: i64,
}

/// The order of a list of branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BranchOrder {
    /// By name, ascending.
    Name,
    /// By name, descending.
    NameDescending,
    /// Longest unchanged first.
    Updated,
    /// Last changed first.
    UpdatedDescending,
}

/// The repository's branch of this name; git's names have case.
pub async fn find_branch(conn: &mut Conn, repo: RepoId, name: &str) -> Result<Option<Branch>> {
    const SQL: &str = concat!(
        "select ",
        columns!(),
        " from branch where repo_id = $1 and name = $2"
    );
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(repo)
        .bind(name)
        .fetch_optional(c))?)
}

/// One page of a repository's branches, and how many there are in all.
pub async fn list_branches(
    conn: &mut Conn,
    repo: RepoId,
    order: BranchOrder,
    page: Page,
) -> Result<(Vec<Branch>, i64)> {
    const COUNT: &str = "select cast(count(*) as bigint) from branch where repo_id = $1";
    macro_rules! rows {
        ($order:literal) => {
            concat!(
                "select ",
                columns!(),
                " from branch where repo_id = $1 order by ",
                $order,
                " limit $2 offset $3"
            )
        };
    }
    let sql = match order {
        BranchOrder::Name => rows!("name"),
        BranchOrder::NameDescending => rows!("name desc"),
        BranchOrder::Updated => rows!("updated_us, name"),
        BranchOrder::UpdatedDescending => rows!("updated_us desc, name"),
    };
    let total = on!(conn, |c| sqlx::query_scalar(COUNT).bind(repo).fetch_one(c))?;
    let rows = on!(conn, |c| sqlx::query_as(sql)
        .bind(repo)
        .bind(page.limit)
        .bind(page.offset)
        .fetch_all(c))?;
    Ok((rows, total))
}

/// Makes the branch known, or moves its head to this commit unless the present head is younger. Idempotent, in any order.
pub async fn touch_branch(
    conn: &mut Conn,
    repo: RepoId,
    name: &str,
    sha: &str,
    timestamp_us: i64,
    now_us: i64,
) -> Result<()> {
    const SQL: &str = "insert into branch (repo_id, name, head, head_timestamp_us, updated_us)
        values ($1, $2, $3, $4, $5)
        on conflict (repo_id, name) do update
        set head = excluded.head, head_timestamp_us = excluded.head_timestamp_us, updated_us = excluded.updated_us
        where excluded.head_timestamp_us >= branch.head_timestamp_us";
    exec!(
        conn,
        sqlx::query(SQL)
            .bind(repo)
            .bind(name)
            .bind(sha)
            .bind(timestamp_us)
            .bind(now_us)
    )?;
    Ok(())
}
