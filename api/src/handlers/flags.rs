//! Flags: their coverage now and over time.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use engine::db::commits::Commit;
use engine::db::flags::{self, Flag, set_flag_deleted};
use engine::db::measures::{MeasureKind, list_measures};
use engine::db::{Conn, repos::Repo};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::page::{PageOf, PageQuery, Paging, list_page};
use super::rest::params::Params;
use super::rest::totals::stored_percent;
use super::rest::{Detail, RepoKey, find_meant_commit};
use super::trend::{DatesQuery, Since, TrendPoint, TrendQuery};
use crate::app::App;
use crate::auth::admin::Admin;
use crate::auth::viewer::Viewer;
use crate::error::{Error, Result};

/// What stands behind a flag's name in the path of its coverage over time.
const TREND: &str = "/coverage";

/// Names a flag.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct FlagKey {
    /// The provider, by its long or short name.
    pub service: String,
    /// The owner's name, in any case.
    pub owner: String,
    /// The repository's name, in any case.
    pub repo: String,
    /// The flag's name, which may hold slashes.
    pub flag: String,
}

/// Of which commit.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MeantQuery {
    /// The commit; without one, the head of the branch.
    pub sha: Option<String>,
    /// The branch; without one, the repository's default branch.
    pub branch: Option<String>,
}

impl MeantQuery {
    /// The commit that a query names.
    pub fn new(params: &Params) -> MeantQuery {
        MeantQuery {
            sha: params.text("sha"),
            branch: params.text("branch"),
        }
    }

    /// The commit that is meant. Errors: 404 naming what is unknown.
    pub async fn find(&self, conn: &mut Conn, repo: &Repo) -> Result<Commit> {
        find_meant_commit(conn, repo, self.sha.as_deref(), self.branch.as_deref()).await
    }

    fn names_one(&self) -> bool {
        self.sha.is_some() || self.branch.is_some()
    }
}

/// A flag.
#[derive(Serialize, ToSchema)]
pub struct FlagBody {
    /// Its name.
    pub flag_name: String,
    /// Hits of its lines, percent, with 5 decimals; 0 without lines, null without a report.
    pub coverage: Option<f64>,
}

/// `GET …/flags/`: the flags of a repository, by name, with their coverage in one commit.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/flags/", tag = "flags",
    params(RepoKey, MeantQuery, PageQuery),
    responses((status = 200, body = PageOf<FlagBody>), (status = 404, body = Detail)))]
pub async fn list_flags(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<RepoKey>,
    params: Params,
    paging: Paging,
) -> Result<Json<PageOf<FlagBody>>> {
    let (mut conn, _, repo) = viewer
        .readable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    let meant = MeantQuery::new(&params);
    let commit = match meant.find(&mut conn, &repo).await {
        Ok(commit) => Some(commit),
        Err(_) if !meant.names_one() => None,
        Err(unknown) => return Err(unknown),
    };
    let measures = match commit.filter(|commit| commit.fold.is_some()) {
        Some(commit) => Some(list_measures(&mut conn, commit.id, MeasureKind::Flag).await?),
        None => None,
    };
    let page = list_page!(paging, |part| {
        flags::page_flags(&mut conn, repo.id, part).await
    });
    Ok(Json(page.try_map(|flag: Flag| {
        let coverage = measures.as_ref().map(|measures| {
            let totals = measures.get(&flag.name).copied().unwrap_or_default();
            stored_percent(&totals).unwrap_or(0.0)
        });
        Ok(FlagBody {
            flag_name: flag.name,
            coverage,
        })
    })?))
}

/// `GET …/flags/{flag}/coverage`: a flag's coverage over time, on all branches.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/flags/{flag}/coverage", tag = "flags",
    params(FlagKey, DatesQuery, PageQuery),
    responses((status = 200, body = PageOf<TrendPoint>), (status = 400, description = "a date is none"),
        (status = 404, body = Detail), (status = 422, body = Detail)))]
pub async fn get_trend(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<FlagKey>,
    params: Params,
    paging: Paging,
) -> Result<Json<PageOf<TrendPoint>>> {
    let Some(flag) = key.flag.strip_suffix(TREND) else {
        return Err(Error::not_found("Not found."));
    };
    let (conn, _, repo) = viewer
        .readable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    let query = TrendQuery::new(&params, Since::Ever, app.clock.now_us())?;
    let series = query.series(repo.id, MeasureKind::Flag, flag, None);
    query.answer(conn, series, &paging).await
}

/// `DELETE …/flags/{flag}`: hides a flag; it is listed and carried forward no more. What was uploaded stays.
#[utoipa::path(delete, path = "/{service}/{owner}/repos/{repo}/flags/{flag}", tag = "flags", params(FlagKey),
    responses((status = 204), (status = 401, body = Detail), (status = 403, body = Detail), (status = 404, body = Detail)))]
pub async fn delete_flag(
    State(app): State<App>,
    admin: Admin,
    Path(key): Path<FlagKey>,
) -> Result<StatusCode> {
    set_deleted(&app, admin, key, true).await
}

/// `PUT …/flags/{flag}`: shows a hidden flag again.
#[utoipa::path(put, path = "/{service}/{owner}/repos/{repo}/flags/{flag}", tag = "flags", params(FlagKey),
    responses((status = 204), (status = 401, body = Detail), (status = 403, body = Detail), (status = 404, body = Detail)))]
pub async fn restore_flag(
    State(app): State<App>,
    admin: Admin,
    Path(key): Path<FlagKey>,
) -> Result<StatusCode> {
    set_deleted(&app, admin, key, false).await
}

async fn set_deleted(app: &App, admin: Admin, key: FlagKey, deleted: bool) -> Result<StatusCode> {
    let repo = admin
        .changeable_repo(app, &key.service, &key.owner, &key.repo)
        .await?;
    let name = key.flag.clone();
    let changed = app.db.write(move |conn| {
        Box::pin(async move { set_flag_deleted(conn, repo.id, &name, deleted).await })
    });
    match changed.await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Error::not_found(format!("There is no flag {}.", key.flag))),
    }
}
