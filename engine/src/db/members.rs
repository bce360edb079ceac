//! Who belongs to which owner, who is activated there, and who may read which private repository.

use sqlx::FromRow;

use super::Conn;
use super::part::{Key, Kind, List, Listed, Order, Part, Way};
use super::repos::contains_pattern;
use crate::error::Result;
use crate::id::{OwnerId, RepoId};

/// Words that one search may hold; further ones do not count.
pub const SEARCH_WORDS: usize = 8;

/// A user's standing with an owner; the default is a stranger's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromRow)]
pub struct Standing {
    /// Whether the provider counts it among the owner's members.
    pub belongs: bool,
    /// Whether it may read the private repositories that it has access to.
    pub activated: bool,
    /// Whether it is one of the owner's admins.
    pub admin: bool,
}

/// A user that belongs to an owner or is activated there.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Member {
    /// The user.
    pub id: OwnerId,
    /// Its provider's word.
    pub service: String,
    /// The name in URLs.
    pub username: String,
    /// The name for people.
    pub name: Option<String>,
    /// Its e-mail address.
    pub email: Option<String>,
    /// Whether it is activated.
    pub activated: bool,
    /// Whether it is one of the owner's admins.
    pub admin: bool,
    /// When its longest login ends, microseconds.
    pub session_us: Option<i64>,
}

/// Which members of an owner to list; the default lists all.
#[derive(Clone, Debug, Default)]
pub struct MemberFilter {
    /// Only those that are (or are not) activated.
    pub activated: Option<bool>,
    /// Only those that are (or are not) admins.
    pub admin: Option<bool>,
    /// Only those whose names or address contain each of these words.
    pub search: Option<String>,
    /// Only this user.
    pub id: Option<OwnerId>,
}

/// A part of an owner's members, in order of their ids.
pub async fn list_members(
    conn: &mut Conn,
    owner: OwnerId,
    filter: &MemberFilter,
    part: impl Into<Part>,
) -> Result<Listed<Member>> {
    const COLUMNS: &str = "owner.id, service, username, name, email, activated, admin,
        (select max(expires_us) from login_session where login_session.owner_id = owner.id) as session_us";
    const FROM: &str = "member join owner on owner.id = member.user_id";
    const OLDEST: Order = Order(&[("member.user_id", Way::Up, Kind::Int)]);
    let mut list = List::of(COLUMNS, FROM, "member.owner_id =", owner.0, OLDEST);
    list.and("(belongs or activated)");
    for (column, wanted) in [("activated", filter.activated), ("admin", filter.admin)] {
        match wanted {
            Some(true) => list.and(column),
            Some(false) => list.and(&format!("not {column}")),
            None => {}
        }
    }
    if let Some(id) = filter.id {
        list.and_value("member.user_id =", id.0);
    }
    let words = filter
        .search
        .iter()
        .flat_map(|text| text.split_whitespace());
    for word in words.take(SEARCH_WORDS) {
        let pattern = list.place(contains_pattern(word).as_str());
        list.and(&format!(
            "(lower(coalesce(name, '')) like {pattern} escape '!' or username_key like {pattern} escape '!'
                 or lower(coalesce(email, '')) like {pattern} escape '!')"
        ));
    }
    let key = |member: &Member| vec![Key::Int(member.id.0)];
    list.read(conn, part.into(), key).await
}

/// The user's standing with the owner, if there is any.
pub async fn find_standing(
    conn: &mut Conn,
    owner: OwnerId,
    user: OwnerId,
) -> Result<Option<Standing>> {
    const SQL: &str =
        "select belongs, activated, admin from member where owner_id = $1 and user_id = $2";
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(owner)
        .bind(user)
        .fetch_optional(c))?)
}

/// Stores the user's standing with the owner. Idempotent.
pub async fn set_standing(
    conn: &mut Conn,
    owner: OwnerId,
    user: OwnerId,
    standing: Standing,
) -> Result<()> {
    const SQL: &str = "insert into member (owner_id, user_id, belongs, activated, admin) values ($1, $2, $3, $4, $5)
        on conflict (owner_id, user_id) do update
        set belongs = excluded.belongs, activated = excluded.activated, admin = excluded.admin";
    exec!(
        conn,
        sqlx::query(SQL)
            .bind(owner)
            .bind(user)
            .bind(standing.belongs)
            .bind(standing.activated)
            .bind(standing.admin)
    )?;
    Ok(())
}

/// Activates or deactivates the user with every owner that it has a standing with, and with this one. Idempotent.
pub async fn set_activated(
    conn: &mut Conn,
    owner: OwnerId,
    user: OwnerId,
    activated: bool,
) -> Result<()> {
    const HERE: &str = "insert into member (owner_id, user_id, belongs, activated, admin)
        values ($1, $2, false, $3, false)
        on conflict (owner_id, user_id) do update set activated = excluded.activated";
    const EVERYWHERE: &str =
        "update member set activated = $2 where user_id = $1 and activated <> $2";
    exec!(
        conn,
        sqlx::query(HERE).bind(owner).bind(user).bind(activated)
    )?;
    exec!(conn, sqlx::query(EVERYWHERE).bind(user).bind(activated))?;
    Ok(())
}

/// Notes that the user may read the repository. Idempotent.
pub async fn add_reader(conn: &mut Conn, user: OwnerId, repo: RepoId) -> Result<()> {
    const SQL: &str = "insert into reader (user_id, repo_id) values ($1, $2)
        on conflict (user_id, repo_id) do nothing";
    exec!(conn, sqlx::query(SQL).bind(user).bind(repo))?;
    Ok(())
}

/// Takes the right to read the repository from the user. Idempotent.
pub async fn remove_reader(conn: &mut Conn, user: OwnerId, repo: RepoId) -> Result<()> {
    const SQL: &str = "delete from reader where user_id = $1 and repo_id = $2";
    exec!(conn, sqlx::query(SQL).bind(user).bind(repo))?;
    Ok(())
}

/// Whether the user may read the repository.
pub async fn is_reader(conn: &mut Conn, user: OwnerId, repo: RepoId) -> Result<bool> {
    const SQL: &str = "select repo_id from reader where user_id = $1 and repo_id = $2";
    let found: Option<i64> = on!(conn, |c| sqlx::query_scalar(SQL)
        .bind(user)
        .bind(repo)
        .fetch_optional(c))?;
    Ok(found.is_some())
}
