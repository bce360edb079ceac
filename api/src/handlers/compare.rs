//! Comparison of two commits: of reports, files, excerpts, flags, components.

mod asked;
mod bodies;
mod bulk;
mod given;
mod made;
mod parts;
mod rows;
mod why;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::reports::FileKey;
use super::rest::etag::Passing;
use super::rest::report::{Batches, answer_files};
use super::rest::{Detail, RepoKey};
use crate::app::App;
use crate::error::{Error, Result};

use asked::{Asked, Pair, Source};
use bodies::{CompareBody, FileBody, ImpactedFile, SegmentsBody};
use made::{Compared, Extent};
use rows::{Rows, whole_file};

pub use asked::CompareQuery;
pub use bulk::compare_many;
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
    given::put_diff,
    bulk::compare_many
))]
pub struct Paths;

/// `GET …/compare/`: what differs between two commits, with every file of the head report.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/compare/", tag = "compare",
    params(RepoKey, CompareQuery),
    responses((status = 200, body = CompareBody), (status = 304, description = "as the client knows it"),
        (status = 400, description = "a parameter is missing or wrong"), (status = 404, body = Detail)))]
pub async fn get_compare(State(app): State<App>, asked: Asked) -> Result<Response> {
    let Asked { pair, has_diff, .. } = asked;
    let make = async {
        let extent = match has_diff {
            Some(true) => Extent::Diff,
            _ => Extent::All,
        };
        let compared = Compared::new(&app, &pair, extent).await?;
        let body = CompareBody::new(&app, &pair, &compared).await?;
        let rows = Rows::new(&app, &pair, compared, has_diff);
        answer_files(&body, rows).await
    };
    let answers = &app.answers;
    answers.find_or_make(&asked.tag, &asked.headers, make).await
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
    let make = answer_impacted(&app, &asked.pair);
    let answers = &app.answers;
    answers.find_or_make(&asked.tag, &asked.headers, make).await
}

async fn answer_impacted(app: &App, pair: &Pair) -> Result<Response> {
    let compared = Compared::new(app, pair, Extent::All).await?;
    let body = CompareBody::new(app, pair, &compared).await?;
    let (files, state) = match pair.base_uploads.is_empty() {
        true => (Vec::new(), "error"),
        false => (ImpactedFile::list(&compared), "processed"),
    };
    let mut compare =
        serde_json::to_value(&body).map_err(|e| engine::Error::invalid("answer", e))?;
    for commit in compare["commit_uploads"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        add_internal_author(commit);
    }
    answer_files(&ImpactedBody { compare, state }, Known(files)).await
}

/// Files that are written at once.
struct Known(Vec<ImpactedFile>);

impl Batches for Known {
    fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    async fn write_batch(&mut self, out: &mut Vec<u8>) -> engine::Result<()> {
        for (at, file) in std::mem::take(&mut self.0).iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            serde_json::to_writer(&mut *out, file)
                .map_err(|e| engine::Error::invalid("answer", e))?;
        }
        Ok(())
    }
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
    let make = answer_file(&app, &asked.pair, &key.path);
    let answers = &app.answers;
    answers.find_or_make(&asked.tag, &asked.headers, make).await
}

async fn answer_file(app: &App, pair: &Pair, path: &str) -> Result<Response> {
    let compared = Compared::new(app, pair, Extent::File(path.to_owned())).await?;
    if compared.head_entry(path).is_none() {
        return Err(Error::not_found("File not found in head report."));
    }
    let source = pair.source(app, path).await;
    let body = whole_file(app, pair, &compared, path, source.text()).await?;
    Ok(told(source, Json(body).into_response()))
}

/// An answer that was made from this text passes if the text may come yet.
fn told(source: Source, mut answer: Response) -> Response {
    if let Source::Untold = source {
        answer.extensions_mut().insert(Passing);
    }
    answer
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
    let make = answer_segments(&app, &asked.pair, &key.path);
    let answers = &app.answers;
    answers.find_or_make(&asked.tag, &asked.headers, make).await
}

async fn answer_segments(app: &App, pair: &Pair, path: &str) -> Result<Response> {
    let compared = Compared::new(app, pair, Extent::File(path.to_owned())).await?;
    let source = match compared.head_entry(path) {
        Some(_) => pair.source(app, path).await,
        None => Source::Known(None),
    };
    let body = SegmentsBody::new(&compared, path, source.text())?;
    Ok(told(source, Json(body).into_response()))
}
