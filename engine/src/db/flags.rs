//! Flags: the labels that uploaders give.

use std::collections::HashSet;

use sqlx::FromRow;

use super::Conn;
use super::part::{Key, Kind, List, Listed, Order, Part, Way};
use crate::error::Result;
use crate::id::{FlagId, RepoId, UploadId};

/// One flag of a repository.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Flag {
    /// Its id.
    pub id: FlagId,
    /// Its repository.
    pub repo_id: RepoId,
    /// Its name.
    pub name: String,
    /// Whether it is hidden from lists.
    pub deleted: bool,
}

/// Inserts the flag, or finds it by name; returns the stored row, so its id may not be `id`. Idempotent.
pub async fn upsert_flag(conn: &mut Conn, id: FlagId, repo: RepoId, name: &str) -> Result<Flag> {
    const SQL: &str = "insert into flag (id, repo_id, name) values ($1, $2, $3)
        on conflict (repo_id, name) do update set name = excluded.name returning id, repo_id, name, deleted";
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(id)
        .bind(repo)
        .bind(name)
        .fetch_one(c))?)
}

/// A repository's flags that are not deleted, by name.
pub async fn list_flags(conn: &mut Conn, repo: RepoId) -> Result<Vec<Flag>> {
    const SQL: &str = "select id, repo_id, name, deleted from flag where repo_id = $1 and not deleted order by name";
    Ok(on!(conn, |c| sqlx::query_as(SQL).bind(repo).fetch_all(c))?)
}

/// A part of a repository's flags that are not deleted, by name.
pub async fn page_flags(
    conn: &mut Conn,
    repo: RepoId,
    part: impl Into<Part>,
) -> Result<Listed<Flag>> {
    const COLUMNS: &str = "id, repo_id, name, deleted";
    const BY_NAME: Order = Order(&[("name", Way::Up, Kind::Text)]);
    let mut list = List::of(COLUMNS, "flag", "repo_id =", repo.0, BY_NAME);
    list.and("not deleted");
    let key = |flag: &Flag| vec![Key::Text(flag.name.clone())];
    list.read(conn, part.into(), key).await
}

/// The names of a repository's flags that are deleted.
pub async fn list_deleted_flags(conn: &mut Conn, repo: RepoId) -> Result<HashSet<String>> {
    const SQL: &str = "select name from flag where repo_id = $1 and deleted";
    let names: Vec<String> = on!(conn, |c| sqlx::query_scalar(SQL).bind(repo).fetch_all(c))?;
    Ok(names.into_iter().collect())
}

/// Hides a flag, or shows it again; returns whether there is one of that name. Idempotent.
pub async fn set_flag_deleted(
    conn: &mut Conn,
    repo: RepoId,
    name: &str,
    deleted: bool,
) -> Result<bool> {
    const SQL: &str = "update flag set deleted = $3 where repo_id = $1 and name = $2";
    Ok(exec!(conn, sqlx::query(SQL).bind(repo).bind(name).bind(deleted))? == 1)
}

/// Gives the upload a flag. Idempotent.
pub(crate) async fn insert_upload_flag(
    conn: &mut Conn,
    upload: UploadId,
    flag: FlagId,
) -> Result<()> {
    const SQL: &str = "insert into upload_flag (upload_id, flag_id) values ($1, $2)
        on conflict (upload_id, flag_id) do nothing";
    exec!(conn, sqlx::query(SQL).bind(upload).bind(flag))?;
    Ok(())
}
