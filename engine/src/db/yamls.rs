//! Texts of `codecov.yml`, each stored once, and whose they are; what is wrong with a commit as a whole.

use sqlx::FromRow;

use super::Conn;
use crate::error::{Error, Result};
use crate::id::{CommitErrorId, CommitId, OwnerId, RepoId};

/// Which texts hold for a repository, or for one of its commits; each is named by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash, FromRow)]
pub struct YamlHashes {
    /// Whose the repository is.
    pub owner_id: OwnerId,
    /// When the owner became known, microseconds.
    pub owner_created_us: i64,
    /// The owner's text.
    pub owner_hash: Option<String>,
    /// The repository's text.
    pub repo_hash: Option<String>,
    /// The commit from which the repository's text was taken.
    pub repo_sha: Option<String>,
    /// The commit's text.
    pub commit_hash: Option<String>,
}

/// Why a commit as a whole is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct CommitError {
    /// The problem's code, as `invalid_yaml`.
    pub code: String,
    /// Values for its text, as a JSON object.
    pub params: String,
    /// When it was found, microseconds.
    pub created_us: i64,
}

/// The texts that hold for a repository. Errors: `NotFound`.
pub async fn get_repo_yamls(conn: &mut Conn, repo: RepoId) -> Result<YamlHashes> {
    const SQL: &str = "select owner.id as owner_id, owner.created_us as owner_created_us, owner.yaml_hash as owner_hash,
            repo.yaml_hash as repo_hash, repo.yaml_sha as repo_sha, null as commit_hash
        from repo join owner on owner.id = repo.owner_id where repo.id = $1";
    on!(conn, |c| sqlx::query_as(SQL).bind(repo).fetch_optional(c))?
        .ok_or_else(|| Error::not_found(format_args!("repository {repo}")))
}

/// The texts that hold for a commit. Errors: `NotFound`.
pub async fn get_commit_yamls(conn: &mut Conn, commit: CommitId) -> Result<YamlHashes> {
    const SQL: &str = "select owner.id as owner_id, owner.created_us as owner_created_us, owner.yaml_hash as owner_hash,
            repo.yaml_hash as repo_hash, repo.yaml_sha as repo_sha, commits.yaml_hash as commit_hash
        from commits join repo on repo.id = commits.repo_id join owner on owner.id = repo.owner_id
        where commits.id = $1";
    on!(conn, |c| sqlx::query_as(SQL).bind(commit).fetch_optional(c))?
        .ok_or_else(|| Error::not_found(format_args!("commit {commit}")))
}

/// The text of an owner, if it has one. Errors: `NotFound` for an unknown owner.
pub async fn find_owner_yaml(conn: &mut Conn, owner: OwnerId) -> Result<Option<String>> {
    const SQL: &str = "select yaml.text from owner left join yaml on yaml.hash = owner.yaml_hash where owner.id = $1";
    let row: Option<(Option<String>,)> =
        on!(conn, |c| sqlx::query_as(SQL).bind(owner).fetch_optional(c))?;
    row.map(|(text,)| text)
        .ok_or_else(|| Error::not_found(format_args!("owner {owner}")))
}

/// The text of this hash. Errors: `NotFound`.
pub async fn get_yaml(conn: &mut Conn, hash: &str) -> Result<String> {
    const SQL: &str = "select text from yaml where hash = $1";
    on!(conn, |c| sqlx::query_scalar(SQL)
        .bind(hash)
        .fetch_optional(c))?
    .ok_or_else(|| Error::not_found(format_args!("yaml {hash}")))
}

/// Stores a text and gives its hash. Idempotent.
pub async fn insert_yaml(conn: &mut Conn, text: &str, now_us: i64) -> Result<String> {
    const SQL: &str = "insert into yaml (hash, text, created_us) values ($1, $2, $3) on conflict (hash) do nothing";
    let hash = blake3::hash(text.as_bytes()).to_hex().to_string();
    exec!(
        conn,
        sqlx::query(SQL).bind(hash.as_str()).bind(text).bind(now_us)
    )?;
    Ok(hash)
}

/// Gives the owner a text, or none. Errors: `NotFound`.
pub async fn set_owner_yaml(conn: &mut Conn, owner: OwnerId, hash: Option<&str>) -> Result<()> {
    const SQL: &str = "update owner set yaml_hash = $2 where id = $1";
    match exec!(conn, sqlx::query(SQL).bind(owner).bind(hash))? {
        0 => Err(Error::not_found(format_args!("owner {owner}"))),
        _ => Ok(()),
    }
}

/// Gives the repository a text, or none, and says from which commit it is. Errors: `NotFound`.
pub async fn set_repo_yaml(
    conn: &mut Conn,
    repo: RepoId,
    hash: Option<&str>,
    sha: Option<&str>,
    now_us: i64,
) -> Result<()> {
    const SQL: &str =
        "update repo set yaml_hash = $2, yaml_sha = $3, updated_us = $4 where id = $1";
    let changed = exec!(
        conn,
        sqlx::query(SQL)
            .bind(repo)
            .bind(hash)
            .bind(sha)
            .bind(now_us)
    )?;
    match changed {
        0 => Err(Error::not_found(format_args!("repository {repo}"))),
        _ => Ok(()),
    }
}

/// Gives the commit a text, or none. Errors: `NotFound`.
pub async fn set_commit_yaml(conn: &mut Conn, commit: CommitId, hash: Option<&str>) -> Result<()> {
    const SQL: &str = "update commits set yaml_hash = $2 where id = $1";
    match exec!(conn, sqlx::query(SQL).bind(commit).bind(hash))? {
        0 => Err(Error::not_found(format_args!("commit {commit}"))),
        _ => Ok(()),
    }
}

/// Notes what is wrong with a commit: `params` is a JSON object. Of each code the last one stays.
pub async fn upsert_commit_error(
    conn: &mut Conn,
    commit: CommitId,
    code: &str,
    params: &str,
    now_us: i64,
) -> Result<()> {
    const SQL: &str = "insert into commit_error (id, commit_id, code, params, created_us) values ($1, $2, $3, $4, $5)
        on conflict (commit_id, code) do update set params = excluded.params, created_us = excluded.created_us";
    let id = CommitErrorId::generate(now_us);
    exec!(
        conn,
        sqlx::query(SQL)
            .bind(id)
            .bind(commit)
            .bind(code)
            .bind(params)
            .bind(now_us)
    )?;
    Ok(())
}

/// Takes back what was wrong with a commit. Idempotent.
pub async fn delete_commit_error(conn: &mut Conn, commit: CommitId, code: &str) -> Result<()> {
    const SQL: &str = "delete from commit_error where commit_id = $1 and code = $2";
    exec!(conn, sqlx::query(SQL).bind(commit).bind(code))?;
    Ok(())
}

/// What is wrong with a commit as a whole, oldest first.
pub async fn list_commit_errors(conn: &mut Conn, commit: CommitId) -> Result<Vec<CommitError>> {
    const SQL: &str =
        "select code, params, created_us from commit_error where commit_id = $1 order by id";
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(commit)
        .fetch_all(c))?)
}
