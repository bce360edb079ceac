//! Commits, their reports and their uploads.

use std::collections::{BTreeSet, HashMap};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse as _, Response};
use engine::db::commits::{self, Commit, CommitFilter, CommitState, find_commit};
use engine::db::owners;
use engine::db::uploads::{self, UploadDetail, UploadState, list_packs};
use engine::db::{Conn, repos::Repo};
use engine::id::OwnerId;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::page::{PageOf, PageQuery, Paging, list_page};
use super::repos::OwnerBody;
use super::rest::etag::Tag;
use super::rest::fields::FileFields;
use super::rest::params::Params;
use super::rest::report::{self, FileBody, Lines, Packs};
use super::rest::totals::{CommitTotals, ReportTotals, UploadTotals, parse_totals};
use super::rest::{CommitKey, Detail, FieldErrors, RepoKey, get_known_commit};
use crate::app::App;
use crate::auth::viewer::Viewer;
use crate::error::{Error, Result};
use crate::middleware::base::BaseUrl;
use crate::times::{iso, spaced};

/// A commit.
#[derive(Clone, Serialize, ToSchema)]
pub struct CommitBody {
    /// Its hash in git.
    pub commitid: String,
    /// Its message.
    pub message: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub timestamp: String,
    /// Whether the other checks passed.
    pub ci_passed: Option<bool>,
    /// Who wrote it.
    pub author: Option<OwnerBody>,
    /// Its branch.
    pub branch: Option<String>,
    /// Totals of its report.
    pub totals: Option<CommitTotals>,
    /// `complete`, `pending`, `error` or `skipped`.
    pub state: Option<String>,
    /// The hash of its first parent.
    pub parent: Option<String>,
}

impl CommitBody {
    pub(super) fn new(commit: Commit, authors: &HashMap<OwnerId, OwnerBody>) -> Result<CommitBody> {
        Ok(CommitBody {
            totals: parse_totals(commit.totals.as_deref())?,
            commitid: commit.sha,
            message: commit.message,
            timestamp: iso(commit.timestamp_us),
            ci_passed: commit.ci_passed,
            author: commit.author_id.and_then(|id| authors.get(&id).cloned()),
            branch: commit.branch,
            state: commit.state.map(|state| state.to_string()),
            parent: commit.parent_sha,
        })
    }
}

/// A commit with its report.
#[derive(Serialize, ToSchema)]
pub struct CommitDetail {
    /// The commit.
    #[serde(flatten)]
    pub commit: CommitBody,
    /// Its report; null until there is one.
    pub report: Option<CommitReport>,
}

/// The report of a commit.
#[derive(Serialize, ToSchema)]
pub struct CommitReport {
    /// Its totals.
    pub totals: ReportTotals,
    /// Its files, by path.
    pub files: Vec<FileBody>,
}

/// Which commits to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CommitQuery {
    /// Only those of this branch.
    pub branch: Option<String>,
    /// Only those whose result is so far: `complete`, `pending`, `error` or `skipped`.
    pub state: Option<String>,
    /// Only those of this author, by name or id.
    pub author: Option<String>,
    /// Only those of this pull request.
    pub pull: Option<i64>,
    /// Only those made at this day or moment or later.
    pub since: Option<String>,
    /// Only those made at this day or moment or earlier.
    pub until: Option<String>,
}

/// `GET …/commits/`: the commits of a repository, newest first.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/commits/", tag = "commits",
    params(RepoKey, CommitQuery, PageQuery),
    responses((status = 200, body = PageOf<CommitBody>), (status = 400, body = FieldErrors),
        (status = 404, body = Detail)))]
pub async fn list_commits(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<RepoKey>,
    params: Params,
    paging: Paging,
) -> Result<Json<PageOf<CommitBody>>> {
    let (mut conn, owner, repo) = viewer
        .readable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    let filter = CommitFilter {
        branch: params.text("branch"),
        state: params.choice("state")?,
        author: match params.text("author") {
            Some(name) => Some(find_author(&mut conn, &owner.service, &name).await?),
            None => None,
        },
        pull: params.number("pull")?,
        since_us: params.moment("since")?,
        until_us: params.moment("until")?,
    };
    let page = list_page!(paging, |part| {
        commits::list_commits(&mut conn, repo.id, &filter, part).await
    });
    let authors = page.results.iter().filter_map(|commit| commit.author_id);
    let authors = read_owners(&mut conn, authors).await?;
    Ok(Json(
        page.try_map(|commit| CommitBody::new(commit, &authors))?,
    ))
}

/// `GET …/commits/{sha}/`: one commit with the lines of its whole report.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/commits/{sha}/", tag = "commits",
    params(CommitKey),
    responses((status = 200, body = CommitDetail), (status = 304, description = "as the client knows it"),
        (status = 404, body = Detail)))]
pub async fn get_commit(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<CommitKey>,
    base: BaseUrl,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    let (mut conn, _, repo) = viewer
        .readable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    let commit = find_commit(&mut conn, repo.id, &key.sha).await?;
    let commit = commit.ok_or_else(|| Error::not_found("No Commit matches the given query."))?;
    let (commit, packs) = read_commit(&mut conn, commit).await?;
    drop(conn);
    let tag = detail_tag(&base, &uri, &commit, packs.as_ref());
    let fields = FileFields::of(&uri, &["report", "files"]);
    let make = answer_detail(&app, commit, packs, Lines::Shown, &fields, |detail| detail);
    app.answers.find_or_make(&tag, &headers, make).await
}

/// A commit as it is shown, and what its report is made from.
pub(super) async fn read_commit(
    conn: &mut Conn,
    commit: Commit,
) -> Result<(CommitBody, Option<Packs>)> {
    let packs = Packs::new(&list_packs(conn, commit.id).await?, None)?;
    let authors = read_owners(conn, commit.author_id.into_iter()).await?;
    Ok((CommitBody::new(commit, &authors)?, packs))
}

/// Names the answer that shows this, and the report of these packs.
pub(super) fn detail_tag(
    base: &BaseUrl,
    uri: &Uri,
    shown: impl Serialize,
    packs: Option<&Packs>,
) -> Tag {
    let facts = json!([shown, packs.map(Packs::facts)]).to_string();
    let sets: Vec<_> = packs.iter().map(|packs| &packs.all).collect();
    Tag::new(base, uri, &sets, &facts)
}

/// Answers a commit with its report, in a body that `within` makes of it.
pub(super) async fn answer_detail<T: Serialize>(
    app: &App,
    commit: CommitBody,
    packs: Option<Packs>,
    lines: Lines,
    fields: &FileFields,
    within: impl FnOnce(CommitDetail) -> T,
) -> Result<Response> {
    let report_depth = fields.depth() - 1;
    let Some(packs) = packs.filter(|_| fields.want_up_to(report_depth)) else {
        return Ok(Json(within(CommitDetail {
            commit,
            report: None,
        }))
        .into_response());
    };
    let report = packs.read(app).await?;
    let all = report.all();
    let totals = report.totals(all.clone()).into();
    let detail = CommitDetail {
        commit,
        report: Some(CommitReport {
            totals,
            files: Vec::new(),
        }),
    };
    report::answer(app, &within(detail), report, all, lines, fields).await
}

/// A commit's state, without its report.
#[derive(Serialize, ToSchema)]
pub struct CommitStatus {
    /// Its hash in git.
    pub commitid: String,
    /// `complete`, `pending`, `error` or `skipped`; null before any upload.
    #[schema(required)]
    pub state: Option<String>,
    /// When it last changed.
    #[schema(format = DateTime)]
    pub updatestamp: String,
    /// Totals of its report; null until there is one.
    #[schema(required)]
    pub totals: Option<CommitTotals>,
    /// Its coverage uploads by how far they are: `started` awaits its bytes, `uploaded` waits to be read, `merged` is
    /// counted, `complete` is carried forward, `error` yields nothing.
    pub uploads: UploadCounts,
    /// How many uploads a client said that it will have.
    #[schema(required)]
    pub expected_uploads: Option<i64>,
    /// Whether all that has arrived is counted, and as much has as was said.
    pub settled: bool,
}

/// How many uploads are in each state.
#[derive(Serialize, ToSchema)]
#[expect(
    missing_docs,
    reason = "the names are the stored states, described where they are shown"
)]
pub struct UploadCounts {
    pub started: i64,
    pub uploaded: i64,
    pub merged: i64,
    pub complete: i64,
    pub error: i64,
}

impl UploadCounts {
    fn new(counts: &HashMap<UploadState, i64>) -> UploadCounts {
        let count = |state| counts.get(&state).copied().unwrap_or(0);
        UploadCounts {
            started: count(UploadState::Started),
            uploaded: count(UploadState::Uploaded),
            merged: count(UploadState::Merged),
            complete: count(UploadState::Complete),
            error: count(UploadState::Error),
        }
    }
}

/// `GET …/commits/{sha}/status`: how far a commit's result is, cheap to ask again and again.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/commits/{sha}/status", tag = "commits",
    params(CommitKey),
    responses((status = 200, body = CommitStatus), (status = 404, body = Detail)))]
pub async fn get_status(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<CommitKey>,
) -> Result<Json<CommitStatus>> {
    let (mut conn, _, commit) = readable_commit(&app, viewer, &key).await?;
    let counts = uploads::count_by_state(&mut conn, commit.id).await?;
    let uploads = UploadCounts::new(&counts);
    Ok(Json(CommitStatus {
        totals: parse_totals(commit.totals.as_deref())?,
        commitid: commit.sha,
        state: commit.state.map(|state| state.to_string()),
        updatestamp: iso(commit.updated_us),
        settled: uploads.uploaded == 0
            && commit.state != Some(CommitState::Pending)
            && uploads.merged + uploads.error >= commit.expected_uploads.unwrap_or(0),
        expected_uploads: commit.expected_uploads,
        uploads,
    }))
}

/// The owners of these ids, by one look-up.
pub(super) async fn read_owners(
    conn: &mut Conn,
    ids: impl Iterator<Item = OwnerId>,
) -> Result<HashMap<OwnerId, OwnerBody>> {
    let ids: Vec<_> = ids.collect::<BTreeSet<_>>().into_iter().collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let owners = owners::list_owners_by_id(conn, &ids).await?;
    Ok(owners
        .into_iter()
        .map(|owner| (owner.id, owner.into()))
        .collect())
}

/// The id of an author that is given by name or by id; nobody's if there is no such author.
pub(super) async fn find_author(conn: &mut Conn, service: &str, name: &str) -> Result<OwnerId> {
    let named = owners::find_owner(conn, service, name).await?;
    let by_id = || name.parse().unwrap_or(OwnerId(0));
    Ok(named.map_or_else(by_id, |owner| owner.id))
}

/// An upload.
#[derive(Serialize, ToSchema)]
pub struct UploadBody {
    /// When it became known, as `2022-01-01 00:00:00.000000+00:00`.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
    /// The key of its bytes in the object store.
    pub storage_path: String,
    /// Its flags.
    pub flags: Vec<String>,
    /// The CI's word.
    pub provider: Option<String>,
    /// The CI's name of the build.
    pub build_code: Option<String>,
    /// The uploader's name for it.
    pub name: Option<String>,
    /// The CI's name of the job.
    pub job_code: Option<String>,
    /// The CI's page of the build.
    pub build_url: Option<String>,
    /// `started`, `uploaded`, `processed`, `merged`, `error` or `complete`.
    pub state: String,
    /// The state as a number; null for a carried upload.
    pub state_id: Option<u8>,
    /// The state's name in capitals; null for a carried upload.
    pub state_name: Option<&'static str>,
    /// Environment values that the uploader sent.
    pub env: Option<Value>,
    /// `uploaded` or `carriedforward`.
    pub upload_type: String,
    /// Of a carried upload `carriedforward_from`, the commit that it was carried from.
    pub upload_extras: Value,
    /// Totals of what it holds; null until it was read.
    pub totals: Option<UploadTotals>,
    /// What it holds: `coverage`, `test_results` or `bundle_analysis`.
    pub kind: String,
    /// The id by which the uploader knows it.
    pub external_id: String,
    /// How often the CI has run its build, from 1, where that is known.
    pub attempt: Option<i64>,
    /// Whether an upload of a newer attempt takes its place.
    pub superseded: bool,
    /// Why it could not be read, or what was odd about it.
    pub errors: Vec<UploadErrorBody>,
}

/// Why an upload could not be read.
#[derive(Serialize, ToSchema)]
pub struct UploadErrorBody {
    /// For programs.
    pub error_code: String,
    /// More about it.
    pub error_params: Value,
}

impl UploadBody {
    fn new(detail: UploadDetail) -> Result<UploadBody> {
        let upload = detail.upload;
        let (state_id, state_name) = match upload.state {
            UploadState::Started | UploadState::Uploaded => (Some(1), Some("UPLOADED")),
            UploadState::Processed => (Some(2), Some("PROCESSED")),
            UploadState::Error => (Some(3), Some("ERROR")),
            UploadState::Merged => (Some(6), Some("MERGED")),
            UploadState::Complete => (None, None),
        };
        let errors = detail.errors.into_iter().map(|error| {
            let error_params = stored_json(&error.params)?;
            Ok(UploadErrorBody {
                error_code: error.code,
                error_params,
            })
        });
        Ok(UploadBody {
            totals: parse_totals(upload.totals.as_deref())?,
            env: upload.env.as_deref().map(stored_json).transpose()?,
            errors: errors.collect::<Result<_>>()?,
            created_at: spaced(upload.created_us),
            updated_at: spaced(upload.updated_us),
            storage_path: upload.storage_path,
            flags: detail.flags,
            provider: upload.provider,
            build_code: upload.build_code,
            name: upload.name,
            job_code: upload.job_code,
            build_url: upload.build_url,
            state: upload.state.to_string(),
            state_id,
            state_name,
            upload_type: upload.upload_type.to_string(),
            upload_extras: match upload.carried_from {
                Some(sha) => json!({ "carriedforward_from": sha }),
                None => json!({}),
            },
            kind: upload.kind.to_string(),
            external_id: upload.external_id,
            attempt: upload.attempt,
            superseded: upload.superseded,
        })
    }
}

/// `GET …/commits/{sha}/uploads/`: every upload of a commit, oldest first.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/commits/{sha}/uploads/", tag = "commits",
    params(CommitKey, PageQuery),
    responses((status = 200, body = PageOf<UploadBody>), (status = 404, body = Detail)))]
pub async fn list_uploads(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<CommitKey>,
    paging: Paging,
) -> Result<Json<PageOf<UploadBody>>> {
    let (mut conn, _, commit) = readable_commit(&app, viewer, &key).await?;
    let page = list_page!(paging, |part| {
        uploads::list_uploads(&mut conn, commit.id, None, part).await
    });
    Ok(Json(page.try_map(UploadBody::new)?))
}

/// The commit of these names, if the viewer may read its repository.
pub(super) async fn readable_commit(
    app: &App,
    viewer: Viewer,
    key: &CommitKey,
) -> Result<(Conn, Repo, Commit)> {
    let (mut conn, _, repo) = viewer
        .readable_repo(app, &key.service, &key.owner, &key.repo)
        .await?;
    let commit = get_known_commit(&mut conn, &repo, &key.sha).await?;
    Ok((conn, repo, commit))
}

/// JSON that was stored as text. Errors: `Corrupt`.
pub(super) fn stored_json(text: &str) -> engine::Result<Value> {
    serde_json::from_str(text).map_err(|e| engine::Error::corrupt("stored JSON", e))
}
