//! Git branches and their heads.

use sqlx::FromRow;

use super::Conn;
use super::part::{Key, Kind, List, Listed, Order, Part, Way};
use crate::error::Result;
use crate::id::{OwnerId, RepoId};

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

impl BranchOrder {
    fn columns(self) -> Order {
        Order(match self {
            BranchOrder::Name => &[("name", Way::Up, Kind::Text)],
            BranchOrder::NameDescending => &[("name", Way::Down, Kind::Text)],
            BranchOrder::Updated => &[
                ("updated_us", Way::Up, Kind::Int),
                ("name", Way::Up, Kind::Text),
            ],
            BranchOrder::UpdatedDescending => &[
                ("updated_us", Way::Down, Kind::Int),
                ("name", Way::Up, Kind::Text),
            ],
        })
    }
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

/// A part of a repository's branches; with `author`, of those with a commit that this owner wrote.
pub async fn list_branches(
    conn: &mut Conn,
    repo: RepoId,
    author: Option<OwnerId>,
    order: BranchOrder,
    part: impl Into<Part>,
) -> Result<Listed<Branch>> {
    let columns = order.columns();
    let mut list = List::of(columns!(), "branch", "repo_id =", repo.0, columns);
    if let Some(author) = author {
        let place = list.place(author.0);
        list.and(&format!(
            "exists (select 1 from commits where commits.repo_id = branch.repo_id
                 and commits.branch = branch.name and author_id = {place})"
        ));
    }
    let by_name = columns.0.len() == 1;
    let key = |branch: &Branch| {
        let name = Key::Text(branch.name.clone());
        match by_name {
            true => vec![name],
            false => vec![Key::Int(branch.updated_us), name],
        }
    };
    list.read(conn, part.into(), key).await
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
