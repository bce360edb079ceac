//! Owners and their repositories.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use engine::db::Conn;
use engine::db::commits::list_default_totals;
use engine::db::owners::{self, Owner, find_owner};
use engine::db::repos::{self, Repo, RepoFilter};
use engine::id::RepoId;
use engine::secret::graph_token;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::page::{PageOf, PageQuery, Paging, list_page};
use super::rest::params::Params;
use super::rest::totals::{CommitTotals, parse_totals};
use super::rest::{Detail, OwnerKey, RepoKey};
use crate::app::App;
use crate::auth::scope::Scope;
use crate::auth::tokens::show_upload_token;
use crate::auth::viewer::{Viewer, Who, service_name};
use crate::error::{Error, Result};
use crate::times::iso;

/// A repository shows the totals of a commit that is at least so old: numbers do not jump while
/// its uploads arrive.
const SETTLED_US: i64 = 3_600_000_000;

/// A user, organisation or group of a provider.
#[derive(Clone, Serialize, ToSchema)]
pub struct OwnerBody {
    /// The provider's long name.
    pub service: String,
    /// The name in URLs.
    pub username: String,
    /// The name for people.
    pub name: Option<String>,
}

impl From<Owner> for OwnerBody {
    fn from(owner: Owner) -> OwnerBody {
        OwnerBody {
            service: owner.service,
            username: owner.username,
            name: owner.name,
        }
    }
}

/// A repository.
#[derive(Serialize, ToSchema)]
pub struct RepoBody {
    /// The name in URLs.
    pub name: String,
    /// Whether only some may see it.
    pub private: bool,
    /// When it last changed.
    #[schema(format = DateTime)]
    pub updatestamp: String,
    /// Whose it is.
    pub author: OwnerBody,
    /// The main programming language.
    pub language: Option<String>,
    /// The default branch.
    pub branch: String,
    /// Whether it has received an upload.
    pub active: bool,
    /// Whether uploads are accepted.
    pub activated: bool,
    /// Totals of the newest complete commit on the default branch that is more than an hour old.
    pub totals: Option<CommitTotals>,
}

impl RepoBody {
    fn new(owner: &Owner, repo: Repo, totals: &HashMap<RepoId, String>) -> Result<RepoBody> {
        Ok(RepoBody {
            totals: parse_totals(totals.get(&repo.id).map(String::as_str))?,
            name: repo.name,
            private: repo.private,
            updatestamp: iso(repo.updated_us),
            author: owner.clone().into(),
            language: repo.language,
            branch: repo.default_branch,
            active: repo.active,
            activated: repo.activated,
        })
    }
}

/// Which repositories to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RepoQuery {
    /// Only those that have, or have not, received an upload: `true` or `false`.
    pub active: Option<bool>,
    /// Only those of these names; may be given several times.
    pub names: Vec<String>,
    /// Only those whose name contains this text.
    pub search: Option<String>,
    /// Totals of the newest complete commit, however young.
    pub fresh: Option<bool>,
}

impl RepoQuery {
    fn new(params: &Params) -> RepoQuery {
        RepoQuery {
            active: params.flag("active"),
            names: params.all("names"),
            search: params.text("search"),
            fresh: params.flag("fresh"),
        }
    }
}

/// `GET /{service}/`: the caller's own owner and those that it is a member of.
#[utoipa::path(get, path = "/{service}/", tag = "owners",
    params(("service" = String, Path, description = "the provider, by its long or short name"), PageQuery),
    responses((status = 200, body = PageOf<OwnerBody>), (status = 401, body = Detail), (status = 404, body = Detail)))]
pub async fn list_owners(
    State(app): State<App>,
    viewer: Viewer,
    Path(service): Path<String>,
    paging: Paging,
) -> Result<Json<PageOf<OwnerBody>>> {
    let member = match viewer.known()? {
        Who::Owner(own) => Some(own),
        Who::Anonymous | Who::Instance => None,
    };
    let service = known_service(&service)?;
    let mut conn = app.db.read().await?;
    let page = list_page!(paging, |part| {
        owners::list_owners(&mut conn, service, member, part).await
    });
    Ok(Json(page.try_map(|owner| Ok(owner.into()))?))
}

/// `GET /{service}/{owner}/`: one owner.
#[utoipa::path(get, path = "/{service}/{owner}/", tag = "owners", params(OwnerKey),
    responses((status = 200, body = OwnerBody), (status = 404, body = Detail)))]
pub async fn get_owner(
    State(app): State<App>,
    _viewer: Viewer,
    Path(key): Path<OwnerKey>,
) -> Result<Json<OwnerBody>> {
    let service = known_service(&key.service)?;
    let owner = get_known_owner(&mut app.db.read().await?, service, &key.owner).await?;
    Ok(Json(owner.into()))
}

/// `GET /{service}/{owner}/repos/`: the repositories that the caller may read, newest first.
#[utoipa::path(get, path = "/{service}/{owner}/repos/", tag = "repositories",
    params(OwnerKey, RepoQuery, PageQuery),
    responses((status = 200, body = PageOf<RepoBody>), (status = 404, body = Detail)))]
pub async fn list_repos(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<OwnerKey>,
    params: Params,
    paging: Paging,
) -> Result<Json<PageOf<RepoBody>>> {
    let service =
        service_name(&key.service).ok_or_else(|| Error::not_found("Invalid service for Owner."))?;
    let mut conn = app.db.read().await?;
    let owner = get_known_owner(&mut conn, service, &key.owner).await?;
    let query = RepoQuery::new(&params);
    let until_us = totals_until_us(&app, &query);
    let filter = RepoFilter {
        active: query.active,
        names: query.names,
        search: query.search,
        private: viewer.private_repos(owner.id),
    };
    let page = list_page!(paging, |part| {
        repos::list_repos(&mut conn, owner.id, &filter, part).await
    });
    let ids: Vec<RepoId> = page.results.iter().map(|repo| repo.id).collect();
    let totals = list_default_totals(&mut conn, &ids, until_us).await?;
    Ok(Json(
        page.try_map(|repo| RepoBody::new(&owner, repo, &totals))?,
    ))
}

/// `GET /{service}/{owner}/repos/{repo}/`: one repository.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/", tag = "repositories",
    params(RepoKey, ("fresh" = Option<bool>, Query, description = "totals of the newest complete commit, however young")),
    responses((status = 200, body = RepoBody), (status = 401, body = Detail), (status = 403, body = Detail),
        (status = 404, body = Detail)))]
pub async fn get_repo(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<RepoKey>,
    params: Params,
) -> Result<Json<RepoBody>> {
    let refused = Error::Detail(StatusCode::FORBIDDEN, "User not activated".into());
    let (mut conn, owner, repo) = viewer
        .readable_repo_or(&app, &key.service, &key.owner, &key.repo, refused)
        .await?;
    let until_us = totals_until_us(&app, &RepoQuery::new(&params));
    let totals = list_default_totals(&mut conn, &[repo.id], until_us).await?;
    Ok(Json(RepoBody::new(&owner, repo, &totals)?))
}

/// The repository's tokens.
#[derive(Serialize, ToSchema)]
pub struct ConfigBody {
    /// Uploads to this repository.
    pub upload_token: String,
    /// Shows its badge and its graphs.
    #[schema(required)]
    pub graph_token: Option<String>,
}

/// `GET /{service}/{owner}/repos/{repo}/config/`: the repository's tokens, for members of its owner whose API token may
/// also write or upload.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/config/", tag = "repositories", params(RepoKey),
    responses((status = 200, body = ConfigBody), (status = 401, body = Detail), (status = 403, body = Detail),
        (status = 404, body = Detail)))]
pub async fn get_config(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<RepoKey>,
) -> Result<Json<ConfigBody>> {
    let (mut conn, owner, repo) = viewer
        .readable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    viewer.known()?;
    if !viewer.is_member_of(&mut conn, owner.id).await? {
        return Err(Error::forbidden());
    }
    drop(conn);
    if !viewer.allows(Scope::Upload) {
        viewer.require(Scope::Write)?;
    }
    let token = show_upload_token(&app.db, &app.key, repo.id).await?;
    Ok(Json(ConfigBody {
        upload_token: token.expose().to_owned(),
        graph_token: Some(graph_token(&app.key, repo.id).expose().to_owned()),
    }))
}

fn totals_until_us(app: &App, query: &RepoQuery) -> i64 {
    let now_us = app.clock.now_us();
    match query.fresh {
        Some(true) => now_us,
        _ => now_us - SETTLED_US,
    }
}

pub(super) fn known_service(word: &str) -> Result<&'static str> {
    service_name(word).ok_or_else(|| Error::not_found(format!("Service not found: {word}")))
}

pub(super) async fn get_known_owner(conn: &mut Conn, service: &str, name: &str) -> Result<Owner> {
    let owner = find_owner(conn, service, name).await?;
    owner.ok_or_else(|| Error::not_found("No Owner matches the given query."))
}
