//! A commit's report for other tools, in their formats, streamed as fast as the client takes it.

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::Response;
use engine::db::uploads::list_packs;
use engine::fold::{Folds, PackSet};
use engine::model::Totals;
use engine::pack::{FileEntry, Header};
use futures_util::stream;
use ingest::export::{ArmCounts, Format, Writer};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

use super::commits::readable_commit;
use super::rest::etag::Tag;
use super::rest::params::Params;
use super::rest::{CommitKey, Detail};
use crate::app::App;
use crate::auth::viewer::Viewer;
use crate::error::{Error, Result};
use crate::middleware::base::BaseUrl;

/// Files that are decoded at once, at most.
const BATCH_FILES: usize = 500;
/// Counted lines that are decoded at once, at most, unless one file has more.
const BATCH_LINES: u64 = 100_000;

/// Names a format.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct FormatKey {
    /// `lcov`, `cobertura` or `ndjson`.
    pub format: String,
}

/// What is exported.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// Only what uploads with this flag say; several flags add up.
    #[param(value_type = Option<Vec<String>>, nullable = false)]
    pub flag: Vec<String>,
}

/// `GET …/commits/{sha}/export/{format}`: the commit's report in that format.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/commits/{sha}/export/{format}", tag = "commits",
    params(CommitKey, FormatKey, ExportQuery),
    responses(
        (status = 200, description = "The report",
            content((String = "text/plain"), (String = "application/xml"), (String = "application/x-ndjson"))),
        (status = 304, description = "as the client knows it"),
        (status = 404, body = Detail)))]
pub async fn get_export(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<CommitKey>,
    Path(FormatKey { format }): Path<FormatKey>,
    base: BaseUrl,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    let format = Format::parse(&format).ok_or_else(|| {
        let names = Format::ALL.map(Format::as_str).join(", ");
        Error::not_found(format!("There is no format {format}; there are {names}."))
    })?;
    let query = ExportQuery {
        flag: Params::of(&uri).all("flag"),
    };
    let (mut conn, _, commit) = readable_commit(&app, viewer, &key).await?;
    let mut uploads = list_packs(&mut conn, commit.id).await?;
    drop(conn);
    if uploads.is_empty() {
        let sha = &commit.sha;
        return Err(Error::not_found(format!(
            "No coverage report found for commit {sha}"
        )));
    }
    if !query.flag.is_empty() {
        uploads.retain(|upload| upload.flags.iter().any(|flag| query.flag.contains(flag)));
    }
    let packs = PackSet::of_uploads(&uploads)?;
    let tag = Tag::new(&base, &uri, &[&packs], &commit.sha);
    if let Some(unchanged) = tag.unchanged(&headers) {
        return Ok(unchanged);
    }
    let header = app.folds.report(&packs).await?;
    let mut totals = header.totals();
    totals.sessions = uploads.len() as u64;
    let mut answer = Response::new(write(&app, packs, header, totals, format).await?);
    let content_type = HeaderValue::from_static(format.content_type());
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    let name = format!("attachment; filename=\"{}\"", format.file_name());
    if let Ok(name) = HeaderValue::from_str(&name) {
        answer.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    Ok(tag.on(answer))
}

/// The body. What goes wrong until the first batch is an error; later, the body ends before its end.
async fn write(
    app: &App,
    packs: PackSet,
    header: Arc<Header>,
    totals: Totals,
    format: Format,
) -> Result<Body> {
    let files = Files {
        folds: app.folds.clone(),
        packs,
        header,
        next: 0,
    };
    let mut arms = ArmCounts::default();
    if format.tells_arms_first() {
        let mut counted = files.clone();
        while let Some(batch) = counted.next_batch().await? {
            batch.iter().for_each(|(_, file)| arms.add(file));
        }
    }
    let mut export = Export {
        writer: Writer::new(format),
        files,
        is_done: false,
    };
    let mut first = Vec::new();
    export
        .writer
        .start(&totals, arms, app.clock.now_us(), &mut first);
    export.write_batch(&mut first).await?;
    let rest = stream::try_unfold(export, next_part);
    let first = stream::once(async move { Ok(Bytes::from(first)) });
    Ok(Body::from_stream(stream::StreamExt::chain(first, rest)))
}

async fn next_part(mut export: Export) -> engine::Result<Option<(Bytes, Export)>> {
    if export.is_done {
        return Ok(None);
    }
    let mut part = Vec::new();
    if let Err(error) = export.write_batch(&mut part).await {
        tracing::error!(%error, "export breaks off");
        return Err(error);
    }
    Ok(Some((part.into(), export)))
}

/// An export under way.
struct Export {
    writer: Writer,
    files: Files,
    is_done: bool,
}

impl Export {
    /// Writes the next files, or the end.
    async fn write_batch(&mut self, out: &mut Vec<u8>) -> engine::Result<()> {
        match self.files.next_batch().await? {
            Some(batch) => batch
                .iter()
                .for_each(|(path, file)| self.writer.file(path, file, out)),
            None => {
                self.writer.end(out);
                self.is_done = true;
            }
        }
        Ok(())
    }
}

/// The files of a report, a batch at a time.
#[derive(Clone)]
struct Files {
    folds: Folds,
    packs: PackSet,
    header: Arc<Header>,
    next: usize,
}

impl Files {
    async fn next_batch(
        &mut self,
    ) -> engine::Result<Option<Vec<(Box<str>, engine::model::FileCoverage)>>> {
        let mut lines = 0;
        let within = |(count, file): &(usize, &FileEntry)| {
            lines += file.totals.lines;
            *count == 0 || (*count < BATCH_FILES && lines <= BATCH_LINES)
        };
        let left = self.header.files[self.next..].iter().enumerate();
        let entries: Vec<FileEntry> = left
            .take_while(within)
            .map(|(_, file)| file.clone())
            .collect();
        if entries.is_empty() {
            return Ok(None);
        }
        self.next += entries.len();
        let paths: Vec<Box<str>> = entries.iter().map(|file| file.path.clone()).collect();
        let files = self.folds.files(&self.packs, entries).await?;
        Ok(Some(paths.into_iter().zip(files).collect()))
    }
}
