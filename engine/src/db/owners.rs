//! Owners: users, organisations and groups of a git provider. Names compare without case.

use sqlx::FromRow;

use super::Conn;
use crate::error::{Error, Result};
use crate::id::OwnerId;

macro_rules! columns {
    () => {
        "id, service, username, name, upload_token_required, created_us"
    };
}

/// One owner.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Owner {
    /// Its id.
    pub id: OwnerId,
    /// The provider's word: `github`, `gitlab`, `bitbucket`, …
    pub service: String,
    /// The name in URLs, as first or last written.
    pub username: String,
    /// The name for people.
    pub name: Option<String>,
    /// Whether uploads to its public repositories need a token.
    pub upload_token_required: bool,
    /// When it became known, microseconds.
    pub created_us: i64,
}

/// The owner of this name, compared without case.
pub async fn find_owner(conn: &mut Conn, service: &str, username: &str) -> Result<Option<Owner>> {
    const SQL: &str = concat!(
        "select ",
        columns!(),
        " from owner where service = $1 and username_key = $2"
    );
    let key = username.to_lowercase();
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(service)
        .bind(key.as_str())
        .fetch_optional(c))?)
}

/// The owner of this id. Errors: `NotFound`.
pub async fn get_owner(conn: &mut Conn, id: OwnerId) -> Result<Owner> {
    const SQL: &str = concat!("select ", columns!(), " from owner where id = $1");
    on!(conn, |c| sqlx::query_as(SQL).bind(id).fetch_optional(c))?
        .ok_or_else(|| Error::not_found(format_args!("owner {id}")))
}

/// Inserts the owner, or finds it by name; returns the stored row, so its id may not be `id`. Idempotent.
pub async fn upsert_owner(
    conn: &mut Conn,
    id: OwnerId,
    service: &str,
    username: &str,
    now_us: i64,
) -> Result<Owner> {
    const SQL: &str = concat!(
        "insert into owner (id, service, username, username_key, created_us) values ($1, $2, $3, $4, $5)
         on conflict (service, username_key) do update set username = excluded.username returning ",
        columns!()
    );
    let key = username.to_lowercase();
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(id)
        .bind(service)
        .bind(username)
        .bind(key.as_str())
        .bind(now_us)
        .fetch_one(c))?)
}

/// Says whether uploads to the owner's public repositories need a token. Errors: `NotFound`.
pub async fn set_upload_token_required(conn: &mut Conn, id: OwnerId, required: bool) -> Result<()> {
    const SQL: &str = "update owner set upload_token_required = $2 where id = $1";
    match exec!(conn, sqlx::query(SQL).bind(id).bind(required))? {
        0 => Err(Error::not_found(format_args!("owner {id}"))),
        _ => Ok(()),
    }
}

/// All owners of one provider, in order of their ids.
pub async fn list_owners(conn: &mut Conn, service: &str) -> Result<Vec<Owner>> {
    const SQL: &str = concat!(
        "select ",
        columns!(),
        " from owner where service = $1 order by id"
    );
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(service)
        .fetch_all(c))?)
}
