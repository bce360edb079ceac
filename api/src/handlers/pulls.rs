//! Pull requests: as the REST API shows them, and as the older API lets uploaders name the base of one.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use engine::db::commits::find_commit;
use engine::db::pulls::{
    self, Pull, PullDetail, PullFilter, PullState, find_pull, find_pull_detail, set_user_base,
};
use engine::db::repos::{Repo, find_repo};
use engine::id::OwnerId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::commits::read_owners;
use super::page::{PageOf, PageQuery, Paging, list_page};
use super::repos::OwnerBody;
use super::rest::params::Params;
use super::rest::totals::{CommitTotals, PatchCoverage, parse_totals};
use super::rest::{BadUpload, Detail, FieldErrors, RepoKey};
use super::uploads::Fields;
use crate::app::App;
use crate::auth::upload::{Target, find_token, header_token, opens};
use crate::auth::viewer::{Viewer, service_name};
use crate::error::{Error, Result};
use crate::sync::enqueue_sync;
use crate::times;

/// `/api/v1/{service}/{owner}/{repo}/pulls`, also without `v1`.
pub fn routes() -> Router<App> {
    let one = || get(get_old_pull).put(set_base).patch(set_base);
    Router::new()
        .route(
            "/api/v1/{service}/{owner}/{repo}/pulls",
            get(list_old_pulls),
        )
        .route("/api/v1/{service}/{owner}/{repo}/pulls/{number}", one())
        .route("/api/{service}/{owner}/{repo}/pulls", get(list_old_pulls))
        .route("/api/{service}/{owner}/{repo}/pulls/{number}", one())
}

/// A pull request.
#[derive(Serialize, ToSchema)]
pub struct PullBody {
    /// Its number at the provider.
    pub pullid: i64,
    /// Its title.
    #[schema(required)]
    pub title: Option<String>,
    /// Totals of the commit that it is compared with.
    #[schema(required)]
    pub base_totals: Option<CommitTotals>,
    /// Totals of its newest commit.
    #[schema(required)]
    pub head_totals: Option<CommitTotals>,
    /// When it last changed.
    #[schema(format = DateTime)]
    pub updatestamp: String,
    /// `open`, `merged` or `closed`.
    pub state: String,
    /// Whether the other checks of its newest commit passed.
    #[schema(required)]
    pub ci_passed: Option<bool>,
    /// Who opened it.
    #[schema(required)]
    pub author: Option<OwnerBody>,
    /// Coverage of the lines that it changes; null until it is known.
    #[schema(required)]
    pub patch: Option<PatchCoverage>,
    /// The newest commit's hash.
    #[schema(required)]
    pub head: Option<String>,
    /// The hash of the commit that it is compared with.
    #[schema(required)]
    pub base: Option<String>,
}

impl PullBody {
    fn new(detail: PullDetail, authors: &HashMap<OwnerId, OwnerBody>) -> Result<PullBody> {
        let pull = detail.pull;
        Ok(PullBody {
            pullid: pull.number,
            title: pull.title,
            base_totals: parse_totals(detail.base_totals.as_deref())?,
            head_totals: parse_totals(detail.head_totals.as_deref())?,
            updatestamp: times::iso(pull.updated_us),
            state: pull.state.to_string(),
            ci_passed: detail.head_ci_passed,
            author: pull.author_id.and_then(|id| authors.get(&id).cloned()),
            patch: parse_totals(pull.patch.as_deref())?,
            head: pull.head_sha,
            base: pull
                .compared_to
                .or(pull.user_provided_base_sha)
                .or(pull.base_sha),
        })
    }
}

/// Which pull requests to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PullQuery {
    /// Only those so far: `open`, `merged` or `closed`.
    #[param(value_type = Option<String>)]
    pub state: Option<PullState>,
    /// Only those that changed at this day or moment or later.
    #[param(value_type = Option<String>)]
    pub start_date: Option<i64>,
    /// `pullid` or `-pullid`.
    #[param(default = "-pullid")]
    pub ordering: Option<String>,
}

impl PullQuery {
    fn read(params: &Params) -> Result<PullQuery> {
        Ok(PullQuery {
            state: params.choice("state")?,
            start_date: params.moment("start_date")?,
            ordering: params.text("ordering"),
        })
    }

    fn filter(&self) -> PullFilter {
        PullFilter {
            state: self.state,
            since_us: self.start_date,
            oldest_first: self.ordering.as_deref() == Some("pullid"),
        }
    }
}

/// Names a pull request.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct PullKey {
    /// The provider, by its long or short name.
    pub service: String,
    /// The owner's name, in any case.
    pub owner: String,
    /// The repository's name, in any case.
    pub repo: String,
    /// The pull request's number at the provider.
    #[param(value_type = i64)]
    pub number: String,
}

/// `GET …/pulls/`: the pull requests of a repository, largest number first.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/pulls/", tag = "pulls",
    params(RepoKey, PullQuery, PageQuery),
    responses((status = 200, body = PageOf<PullBody>), (status = 400, body = FieldErrors),
        (status = 401, body = Detail), (status = 403, body = Detail), (status = 404, body = Detail)))]
pub async fn list_pulls(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<RepoKey>,
    params: Params,
    paging: Paging,
) -> Result<Json<PageOf<PullBody>>> {
    let (mut conn, _, repo) = viewer
        .readable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    let filter = PullQuery::read(&params)?.filter();
    let page = list_page!(paging, |part| {
        pulls::list_pulls(&mut conn, repo.id, filter, part).await
    });
    let authors = page.results.iter().filter_map(|row| row.pull.author_id);
    let authors = read_owners(&mut conn, authors).await?;
    Ok(Json(page.try_map(|row| PullBody::new(row, &authors))?))
}

/// `GET …/pulls/{number}/`: one pull request.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/pulls/{number}/", tag = "pulls", params(PullKey),
    responses((status = 200, body = PullBody), (status = 401, body = Detail), (status = 403, body = Detail),
        (status = 404, body = Detail)))]
pub async fn get_pull(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<PullKey>,
) -> Result<Json<PullBody>> {
    let (mut conn, _, repo) = viewer
        .readable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    let found = match key.number.parse() {
        Ok(number) => find_pull_detail(&mut conn, repo.id, number).await?,
        Err(_) => None,
    };
    let pull = found.ok_or_else(unknown)?;
    let authors = read_owners(&mut conn, pull.pull.author_id.into_iter()).await?;
    Ok(Json(PullBody::new(pull, &authors)?))
}

fn unknown() -> Error {
    Error::not_found("No Pull matches the given query.")
}

/// A pull request as uploaders see it.
#[derive(Serialize, ToSchema)]
pub struct OldPullBody {
    /// Its number at the provider.
    pub pullid: i64,
    /// Its title.
    #[schema(required)]
    pub title: Option<String>,
    /// The commit that it branched from, by the provider.
    #[schema(required)]
    pub base: Option<String>,
    /// Its newest commit.
    #[schema(required)]
    pub head: Option<String>,
    /// The known commit whose report it is compared with.
    #[schema(required)]
    pub compared_to: Option<String>,
    /// When it last changed.
    #[schema(format = DateTime)]
    pub updatestamp: String,
    /// `open`, `merged` or `closed`.
    pub state: String,
    /// The commit that an uploader named as its base.
    #[schema(required)]
    pub user_provided_base_sha: Option<String>,
}

impl From<Pull> for OldPullBody {
    fn from(pull: Pull) -> OldPullBody {
        OldPullBody {
            pullid: pull.number,
            title: pull.title,
            base: pull.base_sha,
            head: pull.head_sha,
            compared_to: pull.compared_to,
            updatestamp: times::iso_micros(pull.updated_us),
            state: pull.state.to_string(),
            user_provided_base_sha: pull.user_provided_base_sha,
        }
    }
}

/// The base of a pull request.
#[derive(Deserialize, ToSchema)]
pub struct BaseRequest {
    /// The commit to compare it with.
    pub user_provided_base_sha: String,
}

/// `GET /api/v1/…/pulls/`: the pull requests of the token's repository, for its uploaders.
#[utoipa::path(get, path = "/api/v1/{service}/{owner}/{repo}/pulls", tag = "uploads",
    params(RepoKey, PullQuery, PageQuery), security(("upload_token" = [])),
    responses((status = 200, body = PageOf<OldPullBody>), (status = 400, body = FieldErrors),
        (status = 401, body = Detail), (status = 403, body = Detail), (status = 404, body = Detail)))]
pub async fn list_old_pulls(
    State(app): State<App>,
    Path(key): Path<RepoKey>,
    headers: HeaderMap,
    params: Params,
    paging: Paging,
) -> Result<Json<PageOf<OldPullBody>>> {
    let repo = own_repo(&app, &headers, &key.service, &key.owner, &key.repo).await?;
    let filter = PullQuery::read(&params)?.filter();
    let mut conn = app.db.read().await?;
    let page = list_page!(paging, |part| {
        pulls::list_pulls(&mut conn, repo.id, filter, part).await
    });
    Ok(Json(page.try_map(|row| Ok(row.pull.into()))?))
}

/// `GET /api/v1/…/pulls/{number}`: one of them.
#[utoipa::path(get, path = "/api/v1/{service}/{owner}/{repo}/pulls/{number}", tag = "uploads",
    params(PullKey), security(("upload_token" = [])),
    responses((status = 200, body = OldPullBody), (status = 400, body = FieldErrors), (status = 401, body = Detail),
        (status = 403, body = Detail), (status = 404, body = Detail)))]
pub async fn get_old_pull(
    State(app): State<App>,
    Path(key): Path<PullKey>,
    headers: HeaderMap,
) -> Result<Json<OldPullBody>> {
    let repo = own_repo(&app, &headers, &key.service, &key.owner, &key.repo).await?;
    let number = read_number(&key.number)?;
    let pull = find_pull(&mut app.db.read().await?, repo.id, number).await?;
    Ok(Json(pull.ok_or_else(unknown)?.into()))
}

/// `PUT /api/v1/…/pulls/{number}`: stores the base and makes the pull request known. Only the repository's own token
/// will do.
#[utoipa::path(put, path = "/api/v1/{service}/{owner}/{repo}/pulls/{number}", tag = "uploads",
    params(PullKey), security(("upload_token" = [])),
    request_body(content((BaseRequest = "application/json"), (BaseRequest = "application/x-www-form-urlencoded"))),
    responses((status = 200, body = OldPullBody), (status = 400, body = BadUpload), (status = 401, body = Detail),
        (status = 403, body = Detail), (status = 404, body = Detail), (status = 415, body = Detail)))]
pub async fn set_base(
    State(app): State<App>,
    Path(key): Path<PullKey>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<OldPullBody>> {
    let repo = own_repo(&app, &headers, &key.service, &key.owner, &key.repo).await?;
    let number = read_number(&key.number)?;
    let base = Fields::parse(&headers, body)?.required("user_provided_base_sha")?;
    let (repo, now_us) = (repo.id, app.clock.now_us());
    let stored = app.db.write(move |conn| {
        Box::pin(async move {
            let pull = set_user_base(conn, repo, number, &base, now_us).await?;
            if let Some(sha) = &pull.head_sha
                && let Some(head) = find_commit(conn, repo, sha).await?
            {
                enqueue_sync(conn, &head, now_us).await?;
            }
            Ok(pull)
        })
    });
    Ok(Json(stored.await?.into()))
}

fn read_number(text: &str) -> Result<i64> {
    let number = text.parse().ok().filter(|&number: &i64| number > 0);
    number.ok_or_else(|| Error::Field("pullid".into(), "A valid integer is required.".into()))
}

/// The repository of these names, for whoever has its own upload token.
async fn own_repo(
    app: &App,
    headers: &HeaderMap,
    service: &str,
    owner: &str,
    repo: &str,
) -> Result<Repo> {
    let token = match header_token(headers)? {
        Some(token) => find_token(app, token)
            .await?
            .filter(|token| token.repo_id.is_some()),
        None => None,
    };
    let missing = "Authentication credentials were not provided.";
    let token = token.ok_or_else(|| Error::Unauthorized("Token", missing.into()))?;
    let service = provider(service)?;
    let found = find_repo(&mut app.db.read().await?, service, owner, repo).await?;
    let (owner, repo) = found.ok_or_else(|| Error::not_found("Not found."))?;
    let target = Target { owner, repo };
    match opens(&token, &target) {
        true => Ok(target.repo),
        false => Err(Error::forbidden()),
    }
}

/// The provider that a client means; under GitHub Actions, a client names the CI in its place.
fn provider(service: &str) -> Result<&'static str> {
    let service = if service == "github-actions" {
        "github"
    } else {
        service
    };
    service_name(service).ok_or_else(|| Error::not_found(format!("Service not found: {service}")))
}
