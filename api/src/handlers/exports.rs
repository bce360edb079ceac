//! A commit's report for other tools, in their formats, streamed as fast as the client takes it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::Response;
use engine::db::uploads::{UploadDetail, UploadKind, UploadPack, list_packs, list_uploads};
use engine::db::{Conn, Page};
use engine::fold::{Folds, PackSet};
use engine::id::{CommitId, UploadId};
use engine::model::FileCoverage;
use engine::pack::{FileEntry, Header};
use engine::stored::{About, ChunkWriter, Session, report_json};
use futures_util::stream;
use ingest::export::{ArmCounts, Format, Writer};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

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
/// Uploads whose rows are read at once.
const PAGE_UPLOADS: i64 = 500;
/// The name of the form in which Codecov stores reports.
const STORED: &str = "codecov";

/// Names a format.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct FormatKey {
    /// `lcov`, `cobertura`, `ndjson`, `parquet` or `codecov`, the form in which Codecov stores reports.
    pub format: String,
}

/// A report as Codecov stores it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is written as it is read; this describes it")]
pub struct StoredBody {
    /// Files, sessions and totals.
    #[schema(value_type = Object)]
    report: (),
    /// The chunks: what each session says of each line, file by file.
    chunks: String,
}

/// What is exported.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// Only what uploads with this flag say; several flags add up.
    #[param(value_type = Option<Vec<String>>, nullable = false)]
    pub flag: Vec<String>,
}

/// What an export is written as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As tools read it.
    Plain(Format),
    /// As Codecov stores it: `{"report", "chunks"}`, the second a text.
    Stored,
}

impl Form {
    /// Errors: 404 naming the forms that there are.
    fn parse(name: &str) -> Result<Form> {
        match Format::parse(name) {
            Some(format) => Ok(Form::Plain(format)),
            None if name == STORED => Ok(Form::Stored),
            None => {
                let names = Format::ALL.map(Format::as_str).join(", ");
                let detail = format!("There is no format {name}; there are {names}, {STORED}.");
                Err(Error::not_found(detail))
            }
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Form::Plain(format) => format.content_type(),
            Form::Stored => "application/json",
        }
    }

    fn file_name(self) -> &'static str {
        match self {
            Form::Plain(format) => format.file_name(),
            Form::Stored => "codecov.json",
        }
    }
}

/// `GET …/commits/{sha}/export/{format}`: the commit's report in that format.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/commits/{sha}/export/{format}", tag = "commits",
    params(CommitKey, FormatKey, ExportQuery),
    responses(
        (status = 200, description = "The report", content(
            (String = "text/plain"), (String = "application/xml"), (String = "application/x-ndjson"), (Vec<u8> = "application/vnd.apache.parquet"),
            (StoredBody = "application/json"))),
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
    let form = Form::parse(&format)?;
    let query = ExportQuery {
        flag: Params::of(&uri).all("flag"),
    };
    let (mut conn, _, commit) = readable_commit(&app, viewer, &key).await?;
    let mut uploads = list_packs(&mut conn, commit.id).await?;
    if uploads.is_empty() {
        let sha = &commit.sha;
        let detail = format!("No coverage report found for commit {sha}");
        return Err(Error::not_found(detail));
    }
    if !query.flag.is_empty() {
        uploads.retain(|upload| upload.flags.iter().any(|flag| query.flag.contains(flag)));
    }
    let packs = PackSet::of_uploads(&uploads)?;
    let tag = Tag::new(
        &base,
        &uri,
        &[&packs],
        &format!("{} {}", commit.sha, uploads.len()),
    );
    if let Some(unchanged) = tag.unchanged(&headers) {
        return Ok(unchanged);
    }
    let details = match form {
        Form::Plain(_) => HashMap::new(),
        Form::Stored => list_details(&mut conn, commit.id).await?,
    };
    drop(conn); // Folding takes long.
    let files = Files {
        folds: app.folds.clone(),
        header: app.folds.report(&packs).await?,
        packs,
        next: 0,
    };
    let body = match form {
        Form::Plain(format) => start_plain(&app, files, format, uploads.len()).await?,
        Form::Stored => start_stored(&app, files, &uploads, &details).await?,
    };
    let mut answer = Response::new(body);
    let content_type = HeaderValue::from_static(form.content_type());
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    let name = format!("attachment; filename=\"{}\"", form.file_name());
    if let Ok(name) = HeaderValue::from_str(&name) {
        answer.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    Ok(tag.on(answer))
}

async fn start_plain(app: &App, files: Files, format: Format, uploads: usize) -> Result<Body> {
    let mut totals = files.header.totals();
    totals.sessions = uploads as u64;
    let mut arms = ArmCounts::default();
    if format.tells_arms_first() {
        let mut counted = files.clone();
        while let Some(batch) = counted.next_batch().await? {
            batch.files.iter().for_each(|(_, file)| arms.add(file));
        }
    }
    let (mut writer, mut head) = (Writer::new(format), Vec::new());
    writer.start(&totals, arms, app.clock.now_us(), &mut head);
    stream_body(head, files, Out::Plain(writer)).await
}

/// The stored form names what each upload says of each line, so that each upload's files are read beside the report's.
async fn start_stored(
    app: &App,
    files: Files,
    uploads: &[UploadPack],
    details: &HashMap<UploadId, UploadDetail>,
) -> Result<Body> {
    let mut said = Vec::with_capacity(uploads.len());
    let mut sessions = Vec::with_capacity(uploads.len());
    for upload in uploads {
        let Some(detail) = details.get(&upload.upload_id) else {
            continue;
        };
        let packs: PackSet = std::iter::once(upload.pack.parse()?).collect();
        let header = app.folds.report(&packs).await?;
        let id = u32::try_from(detail.upload.order_number.unwrap_or(0)).unwrap_or(0);
        sessions.push(Session {
            id,
            about: about(detail),
            totals: header.totals(),
        });
        said.push(Side { id, packs, header });
    }
    let listed = files.header.files.iter();
    let report = report_json(listed.map(|file| (&*file.path, file.totals)), &sessions);
    said.sort_by_key(|side| side.id);
    let head = format!("{{\"report\":{report},\"chunks\":\"").into_bytes();
    let writer = ChunkWriter::new(Vec::new());
    stream_body(head, files, Out::Stored(writer, said)).await
}

/// The rows of a commit's coverage uploads.
async fn list_details(
    conn: &mut Conn,
    commit: CommitId,
) -> engine::Result<HashMap<UploadId, UploadDetail>> {
    let mut details = HashMap::new();
    loop {
        let page = Page {
            limit: PAGE_UPLOADS,
            offset: details.len() as i64,
        };
        let part = list_uploads(conn, commit, Some(UploadKind::Coverage), page)
            .await?
            .rows;
        if part.is_empty() {
            return Ok(details);
        }
        details.extend(part.into_iter().map(|detail| (detail.upload.id, detail)));
    }
}

fn about(detail: &UploadDetail) -> About<'_> {
    let upload = &detail.upload;
    About {
        name: upload.name.as_deref(),
        flags: &detail.flags,
        created_s: Some(upload.created_us / 1_000_000),
        archive: Some(&upload.storage_path),
        provider: upload.provider.as_deref(),
        build: upload.build_code.as_deref(),
        job: upload.job_code.as_deref(),
        url: upload.build_url.as_deref(),
        state: Some(upload.state.as_str()),
        env: upload.env.as_deref(),
        carried_from: upload.carried_from.as_deref(),
    }
}

/// The body. What goes wrong until the first batch is an error; later, the body ends before its end.
async fn stream_body(head: Vec<u8>, files: Files, out: Out) -> Result<Body> {
    let mut export = Export {
        out,
        files,
        is_done: false,
    };
    let mut first = head;
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
    out: Out,
    files: Files,
    is_done: bool,
}

enum Out {
    Plain(Writer),
    Stored(ChunkWriter<Vec<u8>>, Vec<Side>),
}

/// One upload's files.
struct Side {
    id: u32,
    packs: PackSet,
    header: Arc<Header>,
}

impl Export {
    /// Writes the next files, or the end.
    async fn write_batch(&mut self, out: &mut Vec<u8>) -> engine::Result<()> {
        let batch = self.files.next_batch().await?;
        self.is_done = batch.is_none();
        match (&mut self.out, batch) {
            (Out::Plain(writer), Some(batch)) => batch
                .files
                .iter()
                .for_each(|(path, file)| writer.file(path, file, out)),
            (Out::Plain(writer), None) => writer.end(out),
            (Out::Stored(writer, sides), Some(batch)) => {
                write_chunks(&self.files.folds, writer, sides, &batch).await?;
                push_escaped(&std::mem::take(writer.get_mut()), out)?;
            }
            (Out::Stored(..), None) => out.extend_from_slice(b"\"}"),
        }
        Ok(())
    }
}

async fn write_chunks(
    folds: &Folds,
    writer: &mut ChunkWriter<Vec<u8>>,
    sides: &[Side],
    batch: &Batch,
) -> engine::Result<()> {
    let mut said: Vec<Vec<(u32, FileCoverage)>> = batch.files.iter().map(|_| Vec::new()).collect();
    for side in sides {
        let paths = batch.files.iter().enumerate();
        let known = paths.filter_map(|(at, (path, _))| Some((at, side.header.find(path)?.clone())));
        let (places, entries): (Vec<usize>, Vec<FileEntry>) = known.unzip();
        let files = folds.files(&side.packs, entries).await?;
        for (at, file) in places.into_iter().zip(files) {
            said[at].push((side.id, file));
        }
    }
    for ((path, file), said) in batch.files.iter().zip(&said) {
        let said: Vec<_> = said.iter().map(|(id, file)| (*id, file)).collect();
        let written = writer.write(path, file, &said);
        written.map_err(|e| engine::Error::io("write a chunk", e))?;
    }
    Ok(())
}

/// Adds a text as it stands within a JSON string.
fn push_escaped(text: &[u8], out: &mut Vec<u8>) -> engine::Result<()> {
    let text = String::from_utf8_lossy(text);
    let quoted = serde_json::to_string(&text).map_err(|e| engine::Error::invalid("export", e))?;
    out.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
    Ok(())
}

/// A part of a report's files, with their evidence.
struct Batch {
    files: Vec<(Box<str>, FileCoverage)>,
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
    async fn next_batch(&mut self) -> engine::Result<Option<Batch>> {
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
        Ok(Some(Batch {
            files: paths.into_iter().zip(files).collect(),
        }))
    }
}
