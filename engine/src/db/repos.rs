//! Repositories. Names compare without case.

use sqlx::FromRow;

use super::Conn;
use super::owners::Owner;
use super::part::{Key, Kind, List, Listed, Order, Part, Way};
use crate::error::{Error, Result};
use crate::id::{OwnerId, RepoId};

/// Names that one filter may hold.
pub const FILTER_NAMES: usize = 500;

macro_rules! columns {
    () => {
        "id, owner_id, name, private, active, activated, default_branch, language, created_us, updated_us"
    };
}

/// One repository.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Repo {
    /// Its id.
    pub id: RepoId,
    /// Whose it is.
    pub owner_id: OwnerId,
    /// The name in URLs, as first or last written.
    pub name: String,
    /// Whether only some may see it.
    pub private: bool,
    /// Whether it has received an upload.
    pub active: bool,
    /// Whether uploads are accepted.
    pub activated: bool,
    /// The branch that uploads without one belong to.
    pub default_branch: String,
    /// The main programming language, if the provider told.
    pub language: Option<String>,
    /// When it became known, microseconds.
    pub created_us: i64,
    /// When it last changed, microseconds.
    pub updated_us: i64,
}

/// A repository to insert.
#[derive(Clone, Debug)]
pub struct NewRepo {
    /// The id if it is new.
    pub id: RepoId,
    /// Whose it is.
    pub owner_id: OwnerId,
    /// The name in URLs.
    pub name: String,
    /// Whether only some may see it.
    pub private: bool,
}

/// Which repositories of an owner to list; the default lists the public ones.
#[derive(Clone, Debug, Default)]
pub struct RepoFilter {
    /// Only those that have (or have not) received an upload.
    pub active: Option<bool>,
    /// Only those of these names, compared without case; empty means all. At most `FILTER_NAMES`.
    pub names: Vec<String>,
    /// Only those whose name contains this text, compared without case.
    pub search: Option<String>,
    /// Which private ones.
    pub private: PrivateRepos,
}

/// Which private repositories of an owner someone sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrivateRepos {
    /// None of them.
    #[default]
    None,
    /// Those that this user may read.
    ReadBy(OwnerId),
    /// All of them.
    All,
}

/// The repository and its owner by their names, compared without case.
pub async fn find_repo(
    conn: &mut Conn,
    service: &str,
    owner: &str,
    name: &str,
) -> Result<Option<(Owner, Repo)>> {
    const SQL: &str = "select repo.id, repo.owner_id, repo.name, repo.private, repo.active, repo.activated,
            repo.default_branch, repo.language, repo.created_us, repo.updated_us,
            owner.service, owner.username, owner.name as owner_name, owner.upload_token_required, owner.auto_activate,
            owner.created_us as owner_created_us
        from owner join repo on repo.owner_id = owner.id and repo.name_key = $3
        where owner.service = $1 and owner.username_key = $2";
    let (owner_key, key) = (owner.to_lowercase(), name.to_lowercase());
    let row: Option<OwnedRepo> = on!(conn, |c| sqlx::query_as(SQL)
        .bind(service)
        .bind(owner_key.as_str())
        .bind(key.as_str())
        .fetch_optional(c))?;
    Ok(row.map(OwnedRepo::split))
}

/// A repository beside its owner.
#[derive(FromRow)]
struct OwnedRepo {
    #[sqlx(flatten)]
    repo: Repo,
    service: String,
    username: String,
    owner_name: Option<String>,
    upload_token_required: bool,
    auto_activate: bool,
    owner_created_us: i64,
}

impl OwnedRepo {
    fn split(self) -> (Owner, Repo) {
        let owner = Owner {
            id: self.repo.owner_id,
            service: self.service,
            username: self.username,
            name: self.owner_name,
            upload_token_required: self.upload_token_required,
            auto_activate: self.auto_activate,
            created_us: self.owner_created_us,
        };
        (owner, self.repo)
    }
}

/// The owner's repository of this name, compared without case.
pub async fn find_repo_of_owner(
    conn: &mut Conn,
    owner: OwnerId,
    name: &str,
) -> Result<Option<Repo>> {
    const SQL: &str = concat!(
        "select ",
        columns!(),
        " from repo where owner_id = $1 and name_key = $2"
    );
    let key = name.to_lowercase();
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(owner)
        .bind(key.as_str())
        .fetch_optional(c))?)
}

/// The repository of this id. Errors: `NotFound`.
pub async fn get_repo(conn: &mut Conn, id: RepoId) -> Result<Repo> {
    const SQL: &str = concat!("select ", columns!(), " from repo where id = $1");
    on!(conn, |c| sqlx::query_as(SQL).bind(id).fetch_optional(c))?
        .ok_or_else(|| Error::not_found(format_args!("repository {id}")))
}

/// Inserts the repository, or finds it by name and leaves it as it is; its id may not be `new.id`. Idempotent.
pub async fn upsert_repo(conn: &mut Conn, new: &NewRepo, now_us: i64) -> Result<Repo> {
    const SQL: &str = concat!(
        "insert into repo (id, owner_id, name, name_key, private, created_us, updated_us)
         values ($1, $2, $3, $4, $5, $6, $6)
         on conflict (owner_id, name_key) do update set name = excluded.name returning ",
        columns!()
    );
    let key = new.name.to_lowercase();
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(new.id)
        .bind(new.owner_id)
        .bind(new.name.as_str())
        .bind(key.as_str())
        .bind(new.private)
        .bind(now_us)
        .fetch_one(c))?)
}

/// A part of an owner's repositories, newest first. Errors: `Invalid` for more than `FILTER_NAMES` names.
pub async fn list_repos(
    conn: &mut Conn,
    owner: OwnerId,
    filter: &RepoFilter,
    part: impl Into<Part>,
) -> Result<Listed<Repo>> {
    const NEWEST: Order = Order(&[("id", Way::Down, Kind::Int)]);
    if filter.names.len() > FILTER_NAMES {
        return Err(Error::invalid(
            "names",
            format_args!("more than {FILTER_NAMES}"),
        ));
    }
    let mut list = List::of(columns!(), "repo", "owner_id =", owner.0, NEWEST);
    match filter.active {
        Some(true) => list.and("active"),
        Some(false) => list.and("not active"),
        None => {}
    }
    match filter.private {
        PrivateRepos::All => {}
        PrivateRepos::None => list.and("not private"),
        PrivateRepos::ReadBy(user) => {
            let user = list.place(user.0);
            list.and(&format!(
                "(not private or id in (select repo_id from reader where user_id = {user}))"
            ));
        }
    }
    if let Some(text) = &filter.search {
        let pattern = list.place(contains_pattern(text).as_str());
        list.and(&format!("name_key like {pattern} escape '!'"));
    }
    if !filter.names.is_empty() {
        let keys = filter.names.iter().map(|name| name.to_lowercase());
        let places: Vec<_> = keys.map(|key| list.place(key.as_str())).collect();
        list.and(&format!("name_key in ({})", places.join(", ")));
    }
    let key = |repo: &Repo| vec![Key::Int(repo.id.0)];
    list.read(conn, part.into(), key).await
}

/// Every repository of this name whose owner has this name, on any provider: for clients that do not name the provider.
pub async fn list_repos_named(conn: &mut Conn, owner: &str, name: &str) -> Result<Vec<Repo>> {
    const SQL: &str = "select repo.id, owner_id, repo.name, private, active, activated, default_branch, language,
            repo.created_us, updated_us
        from repo join owner on owner.id = owner_id where name_key = $2 and username_key = $1 order by repo.id";
    let (owner, name) = (owner.to_lowercase(), name.to_lowercase());
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(owner.as_str())
        .bind(name.as_str())
        .fetch_all(c))?)
}

/// Notes that the repository has received an upload. Idempotent; writes only the first time.
pub async fn activate_repo(conn: &mut Conn, id: RepoId, now_us: i64) -> Result<()> {
    const SQL: &str = "update repo set active = true, activated = true, updated_us = $2
        where id = $1 and not (active and activated)";
    exec!(conn, sqlx::query(SQL).bind(id).bind(now_us))?;
    Ok(())
}

/// Stores what the provider tells about the repository; `None` leaves a value as it is. Errors: `NotFound`.
pub async fn set_repo_info(
    conn: &mut Conn,
    id: RepoId,
    default_branch: Option<&str>,
    language: Option<&str>,
    now_us: i64,
) -> Result<()> {
    const SQL: &str = "update repo set default_branch = coalesce($2, default_branch),
        language = coalesce($3, language), updated_us = $4 where id = $1";
    let query = exec!(
        conn,
        sqlx::query(SQL)
            .bind(id)
            .bind(default_branch)
            .bind(language)
            .bind(now_us)
    )?;
    match query {
        0 => Err(Error::not_found(format_args!("repository {id}"))),
        _ => Ok(()),
    }
}

/// A `like … escape '!'` pattern for keys that contain this text.
pub(super) fn contains_pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.to_lowercase().chars() {
        if matches!(character, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}
