//! Comparison of two commits: of reports, files, excerpts, flags, components.

mod asked;
mod bodies;
mod given;
mod made;
mod parts;
mod rows;
mod why;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::reports::FileKey;
use super::rest::report::answer_files;
use super::rest::{Detail, RepoKey};
use crate::app::App;
use crate::error::{Error, Result};

use asked::Asked;
use bodies::{CompareBody, FileBody, ImpactedFile, SegmentsBody};
use made::{Compared, Extent};
use rows::{Rows, whole_file};

pub use asked::CompareQuery;
pub use given::put_diff;
pub(crate) use made::packs;
pub use parts::{get_components, get_flags};

/// The most bytes of a diff that a client may give.
pub const DIFF_MAX_BYTES: usize = 64 << 20;

/// OpenAPI's entries of these paths.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    get_compare,
    get_file,
    get_segments,
    get_impacted_files,
    parts::get_flags,
    parts::get_components,
    given::put_diff
))]
pub struct Paths;

/// `GET …/compare/`: what differs between two commits, with every file of the head report.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/compare/", tag = "compare",
    params(RepoKey, CompareQuery),
    responses((status = 200, body = CompareBody), (status = 304, description = "as the client knows it"),
        (status = 400, description = "a parameter is missing or wrong"), (status = 404, body = Detail)))]
pub async fn get_compare(State(app): State<App>, asked: Asked) -> Result<Response> {
    let (pair, tag) = asked.read(&app).await?;
    if let Some(answer) = tag.unchanged(&asked.headers) {
        return Ok(answer);
    }
    let extent = match asked.has_diff {
        Some(true) => Extent::Diff,
        _ => Extent::All,
    };
    let compared = Compared::new(&app, &pair, extent).await?;
    let body = CompareBody::new(&app, &pair, &compared).await?;
    let rows = Rows::new(&app, &pair, compared, asked.has_diff);
    Ok(tag.on(answer_files(&body, rows).await?))
}

/// A comparison with the files that it bears on.
#[derive(Serialize, ToSchema)]
struct ImpactedBody {
    #[serde(flatten)]
    compare: Value,
    /// `processed`, or `error` where base has no report.
    state: &'static str,
}

/// `GET …/compare/impacted_files`: the same with the files that differ in place of those of the head report.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/compare/impacted_files", tag = "compare",
    params(RepoKey, CompareQuery),
    responses((status = 200, body = ImpactedBody), (status = 304, description = "as the client knows it"),
        (status = 400, description = "a parameter is missing or wrong"), (status = 404, body = Detail)))]
pub async fn get_impacted_files(State(app): State<App>, asked: Asked) -> Result<Response> {
    let (pair, tag) = asked.read(&app).await?;
    if let Some(answer) = tag.unchanged(&asked.headers) {
        return Ok(answer);
    }
    let compared = Compared::new(&app, &pair, Extent::All).await?;
    let body = CompareBody::new(&app, &pair, &compared).await?;
    let (files, state) = match pair.base_uploads.is_empty() {
        true => (Vec::new(), "error"),
        false => (ImpactedFile::list(&compared), "processed"),
    };
    let mut compare =
        serde_json::to_value(&body).map_err(|e| engine::Error::invalid("answer", e))?;
    compare["files"] = json!(files);
    for commit in compare["commit_uploads"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        add_internal_author(commit);
    }
    Ok(tag.on(Json(ImpactedBody { compare, state }).into_response()))
}

/// Clients of this answer know authors with more keys than elsewhere.
fn add_internal_author(commit: &mut Value) {
    if let Some(author) = commit["author"].as_object_mut() {
        for key in ["avatar_url", "stats", "ownerid", "integration_id"] {
            author.insert(key.into(), Value::Null);
        }
    }
}

/// `GET …/compare/file/{path}`: one file line by line.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/compare/file/{path}", tag = "compare",
    params(FileKey, CompareQuery),
    responses((status = 200, body = FileBody), (status = 304, description = "as the client knows it"),
        (status = 400, description = "a parameter is missing or wrong"), (status = 404, body = Detail)))]
pub async fn get_file(
    State(app): State<App>,
    Path(key): Path<FileKey>,
    asked: Asked,
) -> Result<Response> {
    let (pair, tag) = asked.read(&app).await?;
    if let Some(answer) = tag.unchanged(&asked.headers) {
        return Ok(answer);
    }
    let compared = Compared::new(&app, &pair, Extent::File(key.path.clone())).await?;
    if compared.head_entry(&key.path).is_none() {
        return Err(Error::not_found("File not found in head report."));
    }
    let source = pair.source(&app, &key.path).await;
    let body = whole_file(&app, &pair, &compared, &key.path, source.as_deref()).await?;
    Ok(tag.on(Json(body).into_response()))
}

/// `GET …/compare/segments/{path}`: the parts of one file that differ.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/compare/segments/{path}", tag = "compare",
    params(FileKey, CompareQuery),
    responses((status = 200, body = SegmentsBody), (status = 304, description = "as the client knows it"),
        (status = 400, description = "a parameter is missing or wrong"), (status = 404, body = Detail)))]
pub async fn get_segments(
    State(app): State<App>,
    Path(key): Path<FileKey>,
    asked: Asked,
) -> Result<Response> {
    let (pair, tag) = asked.read(&app).await?;
    if let Some(answer) = tag.unchanged(&asked.headers) {
        return Ok(answer);
    }
    let compared = Compared::new(&app, &pair, Extent::File(key.path.clone())).await?;
    let source = match compared.head_entry(&key.path) {
        Some(_) => pair.source(&app, &key.path).await,
        None => None,
    };
    let body = SegmentsBody::new(&compared, &key.path, source.as_deref())?;
    Ok(tag.on(Json(body).into_response()))
}
