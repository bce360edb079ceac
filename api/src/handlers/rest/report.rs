//! A commit's report, of all uploads or of one flag, and its files as a stream of JSON.
//!
//! A report may hold millions of lines: files are decoded and written in batches of a bounded
//! size, as fast as the client takes them.

use std::ops::Range;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use engine::db::uploads::UploadPack;
use engine::fold::{Folds, PackSet};
use engine::model::{Coverage, FileCoverage, State, Totals};
use engine::pack::{FileEntry, Header};
use futures_util::stream;
use ingest::components::Component;
use serde::ser::SerializeSeq as _;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::fields::{Fields, FileFields, Selected};
use super::totals::ReportTotals;
use crate::app::App;
use crate::error::Result;

/// Files that are decoded at once, at most.
const BATCH_FILES: usize = 500;
/// Counted lines that are decoded at once, at most, unless one file has more.
const BATCH_LINES: u64 = 100_000;

/// What a report is made from; no report has been read yet.
pub struct Packs {
    /// Of every upload: its files are listed.
    pub all: PackSet,
    /// Of the uploads that are counted.
    pub counted: PackSet,
    sessions: u64,
    filtered: bool,
    component: Option<Component>,
}

impl Packs {
    /// The packs of these uploads, of which those with the flag are counted. `None` if there are
    /// no uploads.
    pub fn new(uploads: &[UploadPack], flag: Option<&str>) -> engine::Result<Option<Packs>> {
        if uploads.is_empty() {
            return Ok(None);
        }
        let counts = |upload: &&UploadPack| {
            flag.is_none_or(|flag| upload.flags.iter().any(|name| name == flag))
        };
        let counted: Vec<_> = uploads.iter().filter(counts).collect();
        let all = PackSet::of_uploads(uploads)?;
        Ok(Some(Packs {
            sessions: counted.len() as u64,
            counted: match flag {
                None => all.clone(),
                Some(_) => counted
                    .iter()
                    .map(|upload| upload.pack.parse())
                    .collect::<engine::Result<_>>()?,
            },
            all,
            filtered: flag.is_some(),
            component: None,
        }))
    }

    /// The packs of these uploads for a component: its files are listed, and what uploads with its flags, and with
    /// `flag`, say is counted. Nothing is listed when the component does not have that flag.
    pub fn of_component(
        uploads: &[UploadPack],
        flag: Option<&str>,
        component: &Component,
    ) -> engine::Result<Option<Packs>> {
        if flag.is_some_and(|flag| !component.has_flag(flag)) {
            return Ok(Some(Packs {
                all: PackSet::default(),
                counted: PackSet::default(),
                sessions: 0,
                filtered: false,
                component: None,
            }));
        }
        let Some(mut packs) = Packs::new(uploads, flag)? else {
            return Ok(None);
        };
        if component.names_flags() {
            let has_flag = |upload: &&UploadPack| {
                flag.is_none_or(|flag| upload.flags.iter().any(|name| name == flag))
            };
            let counted: Vec<_> = uploads
                .iter()
                .filter(has_flag)
                .filter(|upload| component.counts(upload))
                .collect();
            packs.sessions = counted.len() as u64;
            packs.counted = counted
                .iter()
                .map(|upload| upload.pack.parse())
                .collect::<engine::Result<_>>()?;
            packs.filtered = true;
        }
        packs.component = Some(component.clone());
        Ok(Some(packs))
    }

    /// What else makes the report, for a tag: how many uploads are counted, as the same pack may come from several,
    /// and the component.
    pub fn facts(&self) -> String {
        match &self.component {
            None => self.sessions.to_string(),
            Some(component) => format!("{} {component:?}", self.sessions),
        }
    }

    /// Reads the report's table of files.
    pub async fn read(self, app: &App) -> engine::Result<Report> {
        let mut listed = app.folds.report(&self.all).await?;
        if let Some(component) = &self.component {
            let mut some = (*listed).clone();
            some.files
                .retain(|file| component.paths.includes(&file.path));
            listed = Arc::new(some);
        }
        let counted = match self.filtered {
            true => Some(app.folds.report(&self.counted).await?),
            false => None,
        };
        Ok(Report {
            packs: self.counted,
            sessions: self.sessions,
            listed,
            counted,
        })
    }
}

/// A report's table of files.
pub struct Report {
    packs: PackSet,
    sessions: u64,
    listed: Arc<Header>,
    /// The files of the counted uploads, if those are not all.
    counted: Option<Arc<Header>>,
}

impl Report {
    /// All files.
    pub fn all(&self) -> Range<usize> {
        0..self.listed.files.len()
    }

    /// The files whose path starts with `prefix`; they stand together.
    pub fn starting_with(&self, prefix: &str) -> Range<usize> {
        let files = &self.listed.files;
        let start = files.partition_point(|file| &*file.path < prefix);
        let count = files[start..].partition_point(|file| file.path.starts_with(prefix));
        start..start + count
    }

    /// Whether there is a file of that path.
    pub fn holds(&self, path: &str) -> bool {
        self.listed.find(path).is_some()
    }

    /// Counts of these files. With a flag, files without counted lines are not files.
    pub fn totals(&self, range: Range<usize>) -> Totals {
        let mut totals = Totals::default();
        for at in range {
            let file = self.file_totals(at);
            totals += file;
            totals.files += u64::from(self.counted.is_none() || file.lines > 0);
        }
        totals.sessions = self.sessions;
        totals
    }

    /// Path and counts of these files.
    pub fn files(&self, range: Range<usize>) -> Vec<(&str, Totals)> {
        range
            .map(|at| (&*self.listed.files[at].path, self.file_totals(at)))
            .collect()
    }

    fn file_totals(&self, at: usize) -> Totals {
        self.entry(at)
            .map_or_else(Totals::default, |entry| entry.totals)
    }

    /// The file in the table of what is counted.
    fn entry(&self, at: usize) -> Option<&FileEntry> {
        let listed = &self.listed.files[at];
        match &self.counted {
            None => Some(listed),
            Some(counted) => counted.find(&listed.path),
        }
    }
}

/// One file of a report.
#[derive(Serialize, ToSchema)]
pub struct FileBody {
    /// Its path.
    pub name: String,
    /// Its counts.
    pub totals: ReportTotals,
    /// Each line with 0 for a hit, 1 a miss, 2 a partial, -1 ignored, or null; absent in `totals`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Vec<Option<i64>>>>)]
    pub line_coverage: Option<LineCoverage>,
}

/// A file's lines as `[[line, code], …]`, ascending.
pub struct LineCoverage(pub FileCoverage);

impl Serialize for LineCoverage {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(self.0.len()))?;
        for (line, evidence) in self.0.rows() {
            list.serialize_element(&(line, code(evidence.coverage())))?;
        }
        list.end()
    }
}

/// The API's number for how a line is covered.
pub fn code(coverage: Coverage) -> Option<i8> {
    match coverage.state() {
        Some(State::Hit) => Some(0),
        Some(State::Miss) => Some(1),
        Some(State::Partial) => Some(2),
        None if coverage == Coverage::Ignored => Some(-1),
        None => None,
    }
}

/// Whether the lines of each file are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// With `line_coverage`.
    Shown,
    /// Without.
    Hidden,
}

/// Answers `body`, whose one empty list `files` is filled with these files of the report while it
/// is sent, as far as they are wanted. Errors: what goes wrong until the first batch of files is read; later, the body ends
/// before its end.
pub async fn answer(
    app: &App,
    body: &impl Serialize,
    report: Report,
    range: Range<usize>,
    lines: Lines,
    fields: &FileFields,
) -> Result<Response> {
    let mut body = serde_json::to_value(body).map_err(|e| engine::Error::invalid("answer", e))?;
    fields.prune(&mut body);
    let files = Files {
        folds: app.folds.clone(),
        report,
        range,
        lines: match fields.want_of_each("line_coverage") {
            true => lines,
            false => Lines::Hidden,
        },
        fields: fields.of_each(),
        comma: false,
    };
    let mut answer = answer_files(&body, files).await?;
    answer.extensions_mut().insert(Selected);
    Ok(answer)
}

/// Rows that are written to a list of a body one batch after the other, with commas between them.
pub trait Batches: Send + 'static {
    /// Whether all are written.
    fn is_done(&self) -> bool;

    /// Writes the next ones.
    fn write_batch(&mut self, out: &mut Vec<u8>)
    -> impl Future<Output = engine::Result<()>> + Send;
}

/// Answers `body`, whose one empty list `files` is filled with these while it is sent. Errors: what goes wrong until
/// the first batch is read; later, the body ends before its end.
pub async fn answer_files(body: &impl Serialize, files: impl Batches) -> Result<Response> {
    answer_list(body, "files", files).await
}

/// The same for a body whose one empty list has another name.
pub async fn answer_list(
    body: &impl Serialize,
    name: &str,
    mut rows: impl Batches,
) -> Result<Response> {
    let text = serde_json::to_string(body).map_err(|e| engine::Error::invalid("answer", e))?;
    let Some((head, tail)) = text.split_once(&format!("\"{name}\":[]")) else {
        return Ok(json(Body::from(text)));
    };
    let mut first = format!("{head}\"{name}\":[").into_bytes();
    rows.write_batch(&mut first).await?;
    let end = format!("]{tail}");
    if rows.is_done() {
        first.extend_from_slice(end.as_bytes());
        return Ok(json(Body::from(first)));
    }
    let rest = stream::try_unfold(Some(rows), move |rows| next_part(rows, end.clone()));
    let first = stream::once(async move { Ok(Bytes::from(first)) });
    Ok(json(Body::from_stream(stream::StreamExt::chain(
        first, rest,
    ))))
}

async fn next_part<B: Batches>(
    files: Option<B>,
    end: String,
) -> engine::Result<Option<(Bytes, Option<B>)>> {
    let Some(mut files) = files else {
        return Ok(None);
    };
    if files.is_done() {
        return Ok(Some((end.into(), None)));
    }
    let mut part = Vec::new();
    if let Err(error) = files.write_batch(&mut part).await {
        tracing::error!(%error, "report breaks off");
        return Err(error);
    }
    Ok(Some((part.into(), Some(files))))
}

fn json(body: Body) -> Response {
    let mut answer = Response::new(body);
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// The files that are still to be written.
struct Files {
    folds: Folds,
    report: Report,
    range: Range<usize>,
    lines: Lines,
    fields: Option<Fields>,
    comma: bool,
}

impl Batches for Files {
    fn is_done(&self) -> bool {
        self.range.is_empty()
    }

    async fn write_batch(&mut self, out: &mut Vec<u8>) -> engine::Result<()> {
        let batch = self.next_batch();
        let mut lines = self.read_lines(batch.clone()).await?.into_iter();
        for at in batch {
            if std::mem::replace(&mut self.comma, true) {
                out.push(b',');
            }
            let line_coverage = match (self.lines, self.report.entry(at)) {
                (Lines::Hidden, _) => None,
                (Lines::Shown, None) => Some(LineCoverage(FileCoverage::default())),
                (Lines::Shown, Some(_)) => lines.next().map(LineCoverage),
            };
            let file = FileBody {
                name: self.report.listed.files[at].path.to_string(),
                totals: self.report.file_totals(at).into(),
                line_coverage,
            };
            write_file(out, &file, self.fields.as_ref())
                .map_err(|e| engine::Error::invalid("answer", e))?;
        }
        Ok(())
    }
}

impl Files {
    /// Takes the next files, up to the limits of a batch.
    fn next_batch(&mut self) -> Range<usize> {
        let start = self.range.start;
        let mut lines = 0;
        let within = |at: &usize| {
            lines += self.report.file_totals(*at).lines;
            *at == start || (at - start < BATCH_FILES && lines <= BATCH_LINES)
        };
        let end = start + self.range.clone().take_while(within).count();
        self.range.start = end;
        start..end
    }

    /// The lines of those files of the batch that are counted.
    async fn read_lines(&self, batch: Range<usize>) -> engine::Result<Vec<FileCoverage>> {
        if self.lines == Lines::Hidden {
            return Ok(Vec::new());
        }
        let entries: Vec<_> = batch
            .filter_map(|at| self.report.entry(at).cloned())
            .collect();
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        self.folds.files(&self.report.packs, entries).await
    }
}

/// Writes the wanted fields of a file.
fn write_file(
    out: &mut Vec<u8>,
    file: &FileBody,
    fields: Option<&Fields>,
) -> Result<(), serde_json::Error> {
    let Some(fields) = fields else {
        return serde_json::to_writer(out, file);
    };
    let mut value = serde_json::to_value(file)?;
    fields.prune(&mut value);
    serde_json::to_writer(out, &value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_what_clients_know() {
        let codes = [
            Coverage::Hits(7),
            Coverage::Hits(0),
            Coverage::Partial,
            Coverage::Arms { taken: 1, total: 2 },
            Coverage::Arms { taken: 2, total: 2 },
            Coverage::Ignored,
            Coverage::Null,
        ]
        .map(code);
        assert_eq!(
            codes,
            [Some(0), Some(1), Some(2), Some(2), Some(0), Some(-1), None]
        );
    }
}
