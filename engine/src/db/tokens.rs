//! Tokens of uploaders and of API clients, known only by their hashes (`secret::hash_token`).

use sqlx::FromRow;

use super::Conn;
use super::part::{Key, Kind, List, Listed, Order, Part, Way};
use crate::error::{Error, Result};
use crate::id::{OwnerId, RepoId, TokenId};

/// What an upload token opens: a repository, all of an owner's, or (both absent) the whole instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub struct UploadToken {
    /// Its id.
    pub id: TokenId,
    /// The one repository that it opens.
    pub repo_id: Option<RepoId>,
    /// The owner whose repositories it opens.
    pub owner_id: Option<OwnerId>,
}

macro_rules! columns {
    () => {
        "id, owner_id, name, scope, created_us, expires_us, last_used_us"
    };
}

/// An API client's token.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct ApiToken {
    /// Its id.
    pub id: TokenId,
    /// The owner whose repositories it opens; absent: the whole instance.
    pub owner_id: Option<OwnerId>,
    /// What its maker calls it.
    pub name: String,
    /// What it allows.
    pub scope: String,
    /// When it was made, microseconds.
    pub created_us: i64,
    /// When it ends, microseconds.
    pub expires_us: Option<i64>,
    /// When it was last used, microseconds, about.
    pub last_used_us: Option<i64>,
}

/// An API token to insert.
#[derive(Clone, Debug)]
pub struct NewApiToken {
    /// Its id.
    pub id: TokenId,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// The owner whose repositories it opens; absent: the whole instance.
    pub owner_id: Option<OwnerId>,
    /// What its maker calls it.
    pub name: String,
    /// What it allows.
    pub scope: String,
    /// When it ends, microseconds.
    pub expires_us: Option<i64>,
}

/// Inserts an upload token. Errors: `Conflict` if the hash is known.
pub async fn insert_upload_token(
    conn: &mut Conn,
    token: &UploadToken,
    hash: &[u8; 32],
    now_us: i64,
) -> Result<()> {
    const SQL: &str = "insert into upload_token (id, hash, repo_id, owner_id, created_us) values ($1, $2, $3, $4, $5)";
    let query = exec!(
        conn,
        sqlx::query(SQL)
            .bind(token.id)
            .bind(&hash[..])
            .bind(token.repo_id)
            .bind(token.owner_id)
            .bind(now_us)
    );
    query?;
    Ok(())
}

/// The upload token of this hash, unless it was revoked.
pub async fn find_upload_token(conn: &mut Conn, hash: &[u8; 32]) -> Result<Option<UploadToken>> {
    const SQL: &str =
        "select id, repo_id, owner_id from upload_token where hash = $1 and revoked_us is null";
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(&hash[..])
        .fetch_optional(c))?)
}

/// Ends an upload token. Errors: `NotFound` if there is none, or it was revoked before.
pub async fn revoke_upload_token(conn: &mut Conn, id: TokenId, now_us: i64) -> Result<()> {
    const SQL: &str =
        "update upload_token set revoked_us = $2 where id = $1 and revoked_us is null";
    found(id, exec!(conn, sqlx::query(SQL).bind(id).bind(now_us))?)
}

/// Ends all upload tokens of a repository; returns how many. The one that can be shown again will be another.
pub async fn revoke_upload_tokens_of_repo(
    conn: &mut Conn,
    repo: RepoId,
    now_us: i64,
) -> Result<u64> {
    const SQL: &str =
        "update upload_token set revoked_us = $2 where repo_id = $1 and revoked_us is null";
    const NEXT: &str = "update repo set token_generation = token_generation + 1 where id = $1";
    exec!(conn, sqlx::query(NEXT).bind(repo))?;
    Ok(exec!(conn, sqlx::query(SQL).bind(repo).bind(now_us))?)
}

/// How often the repository's upload tokens were revoked. Errors: `NotFound`.
pub async fn get_token_generation(conn: &mut Conn, repo: RepoId) -> Result<i64> {
    const SQL: &str = "select token_generation from repo where id = $1";
    on!(conn, |c| sqlx::query_scalar(SQL)
        .bind(repo)
        .fetch_optional(c))?
    .ok_or_else(|| Error::not_found(format_args!("repository {repo}")))
}

/// Inserts an API token. Errors: `Conflict` if the hash is known.
pub async fn insert_api_token(conn: &mut Conn, new: &NewApiToken, now_us: i64) -> Result<()> {
    const SQL: &str =
        "insert into api_token (id, hash, owner_id, name, scope, created_us, expires_us)
        values ($1, $2, $3, $4, $5, $6, $7)";
    exec!(
        conn,
        sqlx::query(SQL)
            .bind(new.id)
            .bind(&new.hash[..])
            .bind(new.owner_id)
            .bind(new.name.as_str())
            .bind(new.scope.as_str())
            .bind(now_us)
            .bind(new.expires_us)
    )?;
    Ok(())
}

/// The API token of this hash, unless it was revoked or has ended.
pub async fn find_api_token(
    conn: &mut Conn,
    hash: &[u8; 32],
    now_us: i64,
) -> Result<Option<ApiToken>> {
    const SQL: &str = concat!(
        "select ",
        columns!(),
        " from api_token where hash = $1 and revoked_us is null and (expires_us is null or expires_us > $2)"
    );
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(&hash[..])
        .bind(now_us)
        .fetch_optional(c))?)
}

/// A part of the API tokens that were not revoked, newest first: of one owner, or of all and the instance.
pub async fn list_api_tokens(
    conn: &mut Conn,
    owner: Option<OwnerId>,
    part: impl Into<Part>,
) -> Result<Listed<ApiToken>> {
    const NEWEST: Order = Order(&[("id", Way::Down, Kind::Int)]);
    let mut list = match owner {
        Some(owner) => List::of(columns!(), "api_token", "owner_id =", owner.0, NEWEST),
        None => List::of(columns!(), "api_token", "id >", 0, NEWEST),
    };
    list.and("revoked_us is null");
    let key = |token: &ApiToken| vec![Key::Int(token.id.0)];
    list.read(conn, part.into(), key).await
}

/// Notes that the API token was used. Callers do so at most once a minute per token.
pub async fn touch_api_token(conn: &mut Conn, id: TokenId, now_us: i64) -> Result<()> {
    const SQL: &str = "update api_token set last_used_us = $2 where id = $1";
    exec!(conn, sqlx::query(SQL).bind(id).bind(now_us))?;
    Ok(())
}

/// Ends an API token, if it is this owner's, where one is given.
/// Errors: `NotFound` if there is none, or it was revoked before.
pub async fn revoke_api_token(
    conn: &mut Conn,
    id: TokenId,
    owner: Option<OwnerId>,
    now_us: i64,
) -> Result<()> {
    const SQL: &str = "update api_token set revoked_us = $2
        where id = $1 and revoked_us is null and ($3 is null or owner_id = $3)";
    let rows = exec!(conn, sqlx::query(SQL).bind(id).bind(now_us).bind(owner))?;
    found(id, rows)
}

fn found(id: TokenId, rows: u64) -> Result<()> {
    match rows {
        0 => Err(Error::not_found(format_args!("token {id}"))),
        _ => Ok(()),
    }
}
