//! What a commit's report would be with other settings: its uploads are read again, and nothing is kept.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use engine::codecov_yml::{YamlError, parse, validate};
use engine::db::Page;
use engine::db::commits::Commit;
use engine::db::uploads::{
    Envelope, UploadDetail, UploadKind, UploadState, UploadType, list_packs, list_uploads,
};
use engine::fold::{PackSet, join_file, with_lines_of};
use engine::mmap::Mapped;
use engine::model::{FileCoverage, Totals};
use ingest::envelope::Kind;
use ingest::process;
use ingest::yamls::Effective;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::commits::readable_commit;
use super::rest::totals::ReportTotals;
use super::rest::{CommitKey, Detail};
use super::yamls::{BadSettings, refusal};
use crate::app::App;
use crate::auth::viewer::Viewer;
use crate::error::{Error, Result};

/// Uploads that one question reads again, at most.
const UPLOADS_MAX: i64 = 200;
/// Bytes of uploads that one question reads again, at most.
const READ_MAX_BYTES: i64 = 64 << 20;
/// Files that are shown to change, at most.
const FILES_SHOWN: usize = 1_000;

type Files = BTreeMap<Box<str>, FileCoverage>;

/// Other settings: the text of a `codecov.yml` in the place of the commit's, or only other `fixes`.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhatIf {
    /// The text of a `codecov.yml`.
    pub yaml: Option<String>,
    /// Rules `before::after` for paths, in the place of those that hold.
    pub fixes: Option<Vec<String>>,
}

/// What the report would be.
#[derive(Serialize, ToSchema)]
pub struct WhatIfBody {
    /// Counts of the report as it is and as it would be.
    pub totals: Change,
    /// The files whose counts change, by path; the first 1000.
    pub files: Vec<FileChange>,
    /// How many files change.
    pub files_changed: usize,
    /// What became of each upload.
    pub uploads: Vec<UploadOutcome>,
}

/// Counts before and after; null where there is nothing.
#[derive(Serialize, ToSchema)]
pub struct Change {
    /// As it is.
    pub before: Option<ReportTotals>,
    /// As it would be.
    pub after: Option<ReportTotals>,
}

/// A file whose counts change.
#[derive(Serialize, ToSchema)]
pub struct FileChange {
    /// Its path.
    pub name: String,
    /// Its counts.
    #[serde(flatten)]
    pub totals: Change,
}

/// What became of an upload.
#[derive(Serialize, ToSchema)]
pub struct UploadOutcome {
    /// The id by which the uploader knows it.
    pub external_id: String,
    /// Why it would give nothing.
    pub error: Option<String>,
    /// Which of its paths match files of the repository, which do not, and what would mend them.
    #[schema(value_type = Object)]
    pub paths: Value,
}

/// `POST …/commits/{sha}/what-if`: reads a commit's uploads again with other settings. Nothing is kept.
#[utoipa::path(post, path = "/{service}/{owner}/repos/{repo}/commits/{sha}/what-if", tag = "settings", params(CommitKey),
    request_body(content((WhatIf = "application/json"), (String = "application/yaml"))),
    responses((status = 200, body = WhatIfBody), (status = 400, body = BadSettings), (status = 404, body = Detail),
        (status = 413, body = Detail)))]
pub async fn ask(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<CommitKey>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<WhatIfBody>> {
    let asked = WhatIf::parse(&headers, &body)?;
    let (mut conn, _, commit) = readable_commit(&app, viewer, &key).await?;
    let now = app.yamls.of_commit(&mut conn, commit.id).await?;
    let own = asked.settings(&now)?;
    let trial = app.yamls.of_trial(&mut conn, commit.id, &own).await?;
    let page = Page::first(UPLOADS_MAX + 1);
    let listed = list_uploads(&mut conn, commit.id, Some(UploadKind::Coverage), page).await?;
    let (uploads, count) = (listed.rows, listed.count.unwrap_or(0));
    let packs = list_packs(&mut conn, commit.id).await?;
    drop(conn);
    let bytes: i64 = uploads
        .iter()
        .filter_map(|detail| detail.upload.size_bytes)
        .sum();
    if count > UPLOADS_MAX || bytes > READ_MAX_BYTES {
        let detail = format!(
            "The commit has {count} uploads of {bytes} bytes; at most {UPLOADS_MAX} of {READ_MAX_BYTES} bytes are read again."
        );
        return Err(Error::Detail(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let before = app.folds.report(&PackSet::of_uploads(&packs)?).await?;
    let mut totals = before.totals();
    totals.sessions = packs.len() as u64;
    let before: BTreeMap<Box<str>, Totals> = before
        .files
        .iter()
        .map(|file| (file.path.clone(), file.totals))
        .collect();
    let (read, outcomes) = read_again(&app, &commit, uploads, &trial).await?;
    Ok(Json(WhatIfBody::new((totals, before), read, outcomes)))
}

impl WhatIf {
    fn parse(headers: &HeaderMap, body: &[u8]) -> Result<WhatIf> {
        let kind = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("application/json")) {
            return serde_json::from_slice(body).map_err(|e| Error::List(e.to_string()));
        }
        Ok(WhatIf {
            yaml: Some(String::from_utf8_lossy(body).into_owned()),
            fixes: None,
        })
    }

    /// What the commit's own file would say. Errors: 400 with what is wrong in it.
    fn settings(&self, now: &Effective) -> Result<Map<String, Value>> {
        let mut own = match &self.yaml {
            Some(text) => parse(text).map_err(|error| refusal(&error))?,
            None => now.yaml.clone(),
        };
        if let Some(fixes) = &self.fixes {
            let fixes = Map::from_iter([("fixes".to_owned(), json!(fixes))]);
            own.extend(validate(fixes).map_err(|error| refusal(&error))?);
        } else if self.yaml.is_none() {
            return Err(refusal(&YamlError::Empty));
        }
        Ok(own)
    }
}

/// The report of uploads that were read again.
#[derive(Default)]
struct Read {
    joined: Files,
    beside: Files,
    sessions: u64,
}

impl Read {
    fn add(&mut self, joined: bool, files: impl IntoIterator<Item = (Box<str>, FileCoverage)>) {
        let report = match joined {
            true => &mut self.joined,
            false => &mut self.beside,
        };
        for (path, file) in files {
            let file = match report.remove(&path) {
                Some(before) => join_file(&path, before, file),
                None => file,
            };
            report.insert(path, file);
        }
        self.sessions += 1;
    }

    fn report(mut self) -> (Totals, BTreeMap<Box<str>, Totals>) {
        for (path, file) in self.beside {
            let file = match self.joined.remove(&path) {
                Some(first) => with_lines_of(&first, &file),
                None => file,
            };
            self.joined.insert(path, file);
        }
        let mut all = Totals {
            sessions: self.sessions,
            ..Totals::default()
        };
        let files = self
            .joined
            .into_iter()
            .map(|(path, file)| (path, file.totals()));
        let files: BTreeMap<_, _> = files.collect();
        for totals in files.values() {
            all += *totals;
            all.files += 1;
        }
        (all, files)
    }
}

/// Reads a commit's uploads with these settings; what was carried forward stays as it is.
async fn read_again(
    app: &App,
    commit: &Commit,
    uploads: Vec<UploadDetail>,
    trial: &Effective,
) -> Result<(Read, Vec<UploadOutcome>)> {
    let mut read = Read::default();
    let mut outcomes = Vec::new();
    for UploadDetail { upload, flags, .. } in uploads {
        let joined = trial.settings.joins(&flags);
        if upload.upload_type == UploadType::CarriedForward {
            let name = upload.pack.as_deref().unwrap_or_default();
            let packs = PackSet::from_iter([name.parse()?]);
            let entries = app.folds.report(&packs).await?.files.clone();
            let paths: Vec<_> = entries.iter().map(|entry| entry.path.clone()).collect();
            let files = app.folds.files(&packs, entries).await?;
            read.add(joined, paths.into_iter().zip(files));
            continue;
        }
        if !matches!(upload.state, UploadState::Merged | UploadState::Error)
            || upload.body_hash.is_none()
            || upload.superseded
        {
            continue;
        }
        let file = app.blobs.open(&upload.storage_path).await?;
        let kind = match upload.envelope {
            Envelope::V1 => Kind::V1,
            Envelope::Legacy => Kind::Legacy,
        };
        let (settings, now_us) = (trial.settings.clone(), upload.created_us);
        let outcome = tokio::task::spawn_blocking(move || -> engine::Result<_> {
            let body = Mapped::sealed(file)?;
            Ok(process(&body, kind, &settings, &flags, now_us))
        });
        let outcome = outcome.await.map_err(|error| engine::Error::Closed {
            what: format!("parser thread ({error})"),
        })??;
        if outcome.error.is_none() {
            let files = outcome
                .files
                .into_iter()
                .map(|(path, file)| (path.into_boxed_str(), file));
            read.add(joined, files);
        }
        outcomes.push(UploadOutcome {
            external_id: upload.external_id,
            error: outcome.error.map(|error| error.message),
            paths: json!(outcome.paths),
        });
    }
    tracing::debug!(
        commit_sha = commit.sha,
        uploads = outcomes.len(),
        "uploads were read again"
    );
    Ok((read, outcomes))
}

impl WhatIfBody {
    fn new(
        (totals, before): (Totals, BTreeMap<Box<str>, Totals>),
        read: Read,
        uploads: Vec<UploadOutcome>,
    ) -> WhatIfBody {
        let (all, after) = read.report();
        let names = before
            .keys()
            .chain(after.keys().filter(|path| !before.contains_key(*path)));
        let mut names: Vec<&str> = names
            .filter(|path| before.get(*path) != after.get(*path))
            .map(|path| &**path)
            .collect();
        names.sort_unstable();
        let shown = names.iter().take(FILES_SHOWN).map(|&name| FileChange {
            name: name.to_owned(),
            totals: Change {
                before: before.get(name).map(|&totals| totals.into()),
                after: after.get(name).map(|&totals| totals.into()),
            },
        });
        WhatIfBody {
            files: shown.collect(),
            files_changed: names.len(),
            totals: Change {
                before: (!before.is_empty()).then(|| totals.into()),
                after: (!after.is_empty()).then(|| all.into()),
            },
            uploads,
        }
    }
}
