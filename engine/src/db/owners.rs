//! Owners: users, organisations and groups of a git provider. Names compare without case.

use sqlx::FromRow;

use super::part::{Key, Kind, List, Listed, Order, Part, Way};
use super::{Conn, dialect};
use crate::error::{Error, Result};
use crate::id::OwnerId;

macro_rules! columns {
    () => {
        "id, service, username, name, upload_token_required, auto_activate, created_us"
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
    /// Whether its members are activated when they first read something private.
    pub auto_activate: bool,
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

/// A part of a provider's owners in order of their ids: all, or the user `member` and those it belongs to.
pub async fn list_owners(
    conn: &mut Conn,
    service: &str,
    member: Option<OwnerId>,
    part: impl Into<Part>,
) -> Result<Listed<Owner>> {
    const OLDEST: Order = Order(&[("id", Way::Up, Kind::Int)]);
    let mut list = List::of(columns!(), "owner", "service =", service, OLDEST);
    if let Some(user) = member {
        let user = list.place(user.0);
        list.and(&format!(
            "(id = {user} or id in (select owner_id from member where user_id = {user} and belongs))"
        ));
    }
    let key = |owner: &Owner| vec![Key::Int(owner.id.0)];
    list.read(conn, part.into(), key).await
}

/// The owners of these ids, as far as they are known; a caller asks for one page's at most.
pub async fn list_owners_by_id(conn: &mut Conn, ids: &[OwnerId]) -> Result<Vec<Owner>> {
    let sql = format!(
        "select {} from owner where id in ({})",
        columns!(),
        dialect::places(1, ids.len())
    );
    Ok(on!(conn, |c| ids
        .iter()
        .fold(sqlx::query_as(&sql), |query, id| query.bind(*id))
        .fetch_all(c))?)
}

/// Stores what is known of a user beside its username; `None` leaves a value as it is. Errors: `NotFound`.
pub async fn set_owner_names(
    conn: &mut Conn,
    id: OwnerId,
    name: Option<&str>,
    email: Option<&str>,
) -> Result<()> {
    const SQL: &str =
        "update owner set name = coalesce($2, name), email = coalesce($3, email) where id = $1";
    match exec!(conn, sqlx::query(SQL).bind(id).bind(name).bind(email))? {
        0 => Err(Error::not_found(format_args!("owner {id}"))),
        _ => Ok(()),
    }
}

/// Says whether members of the owner are activated when they first read something private. Errors: `NotFound`.
pub async fn set_auto_activate(conn: &mut Conn, id: OwnerId, automatic: bool) -> Result<()> {
    const SQL: &str = "update owner set auto_activate = $2 where id = $1";
    match exec!(conn, sqlx::query(SQL).bind(id).bind(automatic))? {
        0 => Err(Error::not_found(format_args!("owner {id}"))),
        _ => Ok(()),
    }
}
