//! Repositories. Names compare without case.

use sqlx::FromRow;

use super::owners::{Owner, find_owner};
use super::{Conn, Page, dialect};
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
    /// Private ones too.
    pub visible_private: bool,
}

/// The repository and its owner by their names, compared without case.
pub async fn find_repo(
    conn: &mut Conn,
    service: &str,
    owner: &str,
    name: &str,
) -> Result<Option<(Owner, Repo)>> {
    let Some(owner) = find_owner(conn, service, owner).await? else {
        return Ok(None);
    };
    let repo = find_repo_of_owner(conn, owner.id, name).await?;
    Ok(repo.map(|repo| (owner, repo)))
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

/// One page of an owner's repositories, newest first, and how many there are in all.
/// Errors: `Invalid` for more than `FILTER_NAMES` names.
pub async fn list_repos(
    conn: &mut Conn,
    owner: OwnerId,
    filter: &RepoFilter,
    page: Page,
) -> Result<(Vec<Repo>, i64)> {
    if filter.names.len() > FILTER_NAMES {
        return Err(Error::invalid(
            "names",
            format_args!("more than {FILTER_NAMES}"),
        ));
    }
    let names = filter.names.len();
    let any_name = if names == 0 { "1 = 1 or" } else { "" };
    let condition = format!(
        "from repo where owner_id = $1 and ($2 is null or active = $2) and ($3 or not private)
         and ($4 is null or name_key like $4 escape '!') and ({any_name} name_key in ({}))",
        dialect::places(5, names)
    );
    let count = format!("select cast(count(*) as bigint) {condition}");
    let rows = format!(
        "select {} {condition} order by id desc limit ${} offset ${}",
        columns!(),
        names + 5,
        names + 6
    );
    let keys: Vec<String> = filter
        .names
        .iter()
        .map(|name| name.to_lowercase())
        .collect();
    let pattern = filter.search.as_deref().map(contains_pattern);
    macro_rules! filtered {
        ($query:expr) => {{
            let query = $query
                .bind(owner)
                .bind(filter.active)
                .bind(filter.visible_private)
                .bind(pattern.as_deref());
            keys.iter()
                .fold(query, |query, key| query.bind(key.as_str()))
        }};
    }
    let total = on!(conn, |c| filtered!(sqlx::query_scalar(&count)).fetch_one(c))?;
    let repos = on!(conn, |c| filtered!(sqlx::query_as(&rows))
        .bind(page.limit)
        .bind(page.offset)
        .fetch_all(c))?;
    Ok((repos, total))
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
fn contains_pattern(text: &str) -> String {
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
