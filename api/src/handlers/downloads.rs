//! Raw uploads, for those who want to see what CI sent.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use engine::blob::Method;
use engine::db::uploads::find_upload_by_path;
use serde::Deserialize;
use utoipa::IntoParams;

use super::rest::{Detail, RepoKey};
use crate::app::App;
use crate::auth::viewer::Viewer;
use crate::config::DOWNLOAD_URL_US;
use crate::error::{Error, Result};
use crate::middleware::base::BaseUrl;

/// `/upload/{service}/{owner}/{repo}/download`.
pub fn routes() -> Router<App> {
    Router::new().route("/upload/{service}/{owner}/{repo}/download", get(download))
}

/// Which bytes.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DownloadQuery {
    /// The upload's `storage_path`.
    #[param(value_type = String)]
    path: Option<String>,
}

/// `GET …/download?path=`: 302 to a signed URL of an upload's bytes. 404 if the path is none of this repository's
/// uploads, or its bytes are gone, or the caller may not see it.
#[utoipa::path(get, path = "/upload/{service}/{owner}/{repo}/download", tag = "uploads", params(RepoKey, DownloadQuery),
    responses((status = 302, description = "a signed URL of the bytes, in `Location`"), (status = 401, body = Detail),
        (status = 403, body = Detail), (status = 404, body = Detail)))]
pub async fn download(
    State(app): State<App>,
    viewer: Viewer,
    base: BaseUrl,
    Path((service, owner, repo)): Path<(String, String, String)>,
    Query(query): Query<DownloadQuery>,
) -> Result<Response> {
    let not_found = || Error::not_found("Requested report could not be found");
    let (mut conn, _, repo) = viewer.readable_repo(&app, &service, &owner, &repo).await?;
    let path = query.path.ok_or_else(not_found)?;
    let upload = find_upload_by_path(&mut conn, &path).await?;
    upload
        .filter(|upload| upload.repo_id == repo.id)
        .ok_or_else(not_found)?;
    drop(conn);
    app.blobs.size(&path).await?.ok_or_else(not_found)?;
    let expires_us = app.clock.now_us() + DOWNLOAD_URL_US;
    let url = app
        .object_url(&base.0, Method::Get, &path, expires_us)
        .await?;
    Ok((StatusCode::FOUND, [(header::LOCATION, url)]).into_response())
}
