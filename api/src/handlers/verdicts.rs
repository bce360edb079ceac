//! What became of one upload, answered once it is known: a client that uploads can wait for its numbers.
//!
//! A request waits at most [`WAIT_MAX`]; who wants to know asks again.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use engine::compare::patch;
use engine::db::Conn;
use engine::db::commits::{Commit, get_commit};
use engine::db::diffs::find_diff;
use engine::db::journal::{Step, Verdict, find_step, topic};
use engine::db::owners::Owner;
use engine::db::pulls::find_pull;
use engine::db::repos::{Repo, get_repo};
use engine::db::uploads::{Upload, UploadState, find_upload, list_packs};
use engine::fold::PackSet;
use engine::model::Totals;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use utoipa::{IntoParams, ToSchema};

use super::commits::{readable_commit, stored_json};
use super::intake::commit_url;
use super::paths::UploadKey;
use super::rest::params::Params;
use super::rest::totals::{ReportTotals, UploadTotals, parse_totals};
use super::rest::{CommitKey, Detail};
use super::uploads::{authorise_on_commit, find_commit};
use crate::app::App;
use crate::auth::viewer::{Viewer, service_name};
use crate::base::choose_base;
use crate::diffs;
use crate::error::{Error, Result};
use crate::middleware::base::BaseUrl;

/// The longest that one request waits: an answer must come within 3 seconds.
pub const WAIT_MAX: Duration = Duration::from_millis(2500);

/// The path for clients that hold an upload token.
pub fn routes() -> Router<App> {
    Router::new().route(
        "/upload/{service}/{slug}/commits/{sha}/uploads/{upload}",
        get(get_by_uploader),
    )
}

/// How long to wait.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Seconds to wait for the result, if it is not there yet; an answer comes within 3 all the same.
    #[param(minimum = 0, nullable = false)]
    pub wait: Option<i64>,
}

/// What became of an upload.
#[derive(Serialize, ToSchema)]
pub struct VerdictBody {
    /// The id by which the uploader knows it.
    pub upload: String,
    /// `started`, `uploaded`, `merged`, `processed` or `error`.
    pub state: String,
    /// Whether nothing more is to come: it is counted, or it failed.
    pub done: bool,
    /// The commit.
    pub commitid: String,
    /// The page that shows it.
    pub url: String,
    /// Counts of the commit's report; null until there is one.
    pub totals: Option<ReportTotals>,
    /// Counts of the lines that the commit adds; null until the upload is counted, and where the diff is not known.
    pub patch: Option<ReportTotals>,
    /// Counts of this upload alone.
    pub upload_totals: Option<UploadTotals>,
    /// Why it yields nothing.
    pub errors: Vec<Trouble>,
    /// What is odd about it, at most 50.
    pub warnings: Vec<Trouble>,
    /// Paths of its reports that match no file of the repository.
    pub unmatched_paths: u64,
    /// Lines for `fixes` of the codecov.yml that would mend them.
    pub fixes: Vec<String>,
}

/// Something about an upload that a person should know.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Trouble {
    /// Its code.
    pub code: String,
    /// What it is, for people.
    pub message: String,
    /// The report that it is in.
    pub file: Option<String>,
    /// The line of it.
    pub line: Option<u64>,
}

/// `GET …/commits/{sha}/uploads/{upload}/verdict`: what became of an upload, if need be a moment later.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/commits/{sha}/uploads/{upload}/verdict", tag = "commits",
    params(CommitKey, UploadKey, WaitQuery),
    responses((status = 200, body = VerdictBody), (status = 400, description = "wait is no number"),
        (status = 404, body = Detail)))]
pub async fn get_verdict(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<CommitKey>,
    Path(UploadKey { upload }): Path<UploadKey>,
    params: Params,
    base: BaseUrl,
) -> Result<Json<VerdictBody>> {
    let wait = wait_of(&params)?.unwrap_or_default();
    let (mut conn, repo, commit) = readable_commit(&app, viewer, &key).await?;
    let service = service_name(&key.service).ok_or_else(|| Error::not_found("Not found."))?;
    let owner = engine::db::owners::find_owner(&mut conn, service, &key.owner).await?;
    let owner = owner.ok_or_else(|| Error::not_found("Not found."))?;
    drop(conn);
    let url = commit_url(&base, &owner, &repo, &commit.sha);
    let upload = upload_of(&app, &commit, &upload).await?;
    Ok(Json(await_verdict(&app, &upload, url, wait).await?))
}

/// `GET /upload/{service}/{slug}/commits/{sha}/uploads/{upload}`: the same for who uploads.
async fn get_by_uploader(
    State(app): State<App>,
    Path((service, slug, sha, upload)): Path<(String, String, String, String)>,
    headers: HeaderMap,
    params: Params,
    base: BaseUrl,
) -> Result<Json<VerdictBody>> {
    let target = authorise_on_commit(&app, &headers, &service, &slug, &sha).await?;
    let wait = wait_of(&params)?.unwrap_or_default();
    let commit = find_commit(&app, &target, &sha).await?;
    let url = commit_url(&base, &target.owner, &target.repo, &commit.sha);
    let upload = upload_of(&app, &commit, &upload).await?;
    Ok(Json(await_verdict(&app, &upload, url, wait).await?))
}

/// What became of an upload whose bytes have just come; the caller may know it.
pub async fn after_bytes(
    app: &App,
    base: &BaseUrl,
    upload: &Upload,
    wait: Duration,
) -> Result<VerdictBody> {
    let mut conn = app.db.read().await?;
    let commit = get_commit(&mut conn, upload.commit_id).await?;
    let repo: Repo = get_repo(&mut conn, upload.repo_id).await?;
    let owner: Owner = engine::db::owners::get_owner(&mut conn, repo.owner_id).await?;
    drop(conn);
    let url = commit_url(base, &owner, &repo, &commit.sha);
    await_verdict(app, upload, url, wait).await
}

/// How long the query asks to wait; absent if it does not.
pub fn wait_of(params: &Params) -> Result<Option<Duration>> {
    let seconds = params.number("wait")?;
    Ok(seconds.map(|seconds| {
        let seconds = u64::try_from(seconds).unwrap_or(0);
        Duration::from_secs(seconds).min(WAIT_MAX)
    }))
}

async fn upload_of(app: &App, commit: &Commit, name: &str) -> Result<Upload> {
    let found = find_upload(&mut app.db.read().await?, name).await?;
    found
        .filter(|upload| upload.commit_id == commit.id)
        .ok_or_else(|| Error::not_found(format!("The commit has no upload {name}.")))
}

/// Looks again with each step of the commit's journal, until nothing more is to come or the time is over.
async fn await_verdict(
    app: &App,
    upload: &Upload,
    url: String,
    wait: Duration,
) -> Result<VerdictBody> {
    let until = Instant::now() + wait;
    let commit = get_commit(&mut app.db.read().await?, upload.commit_id).await?;
    let mut steps = app.db.subscribe(&topic(&commit.sha));
    loop {
        steps.borrow_and_update();
        let mut verdict = read_verdict(&mut app.db.read().await?, upload, url.clone()).await?;
        if verdict.done {
            verdict.patch = find_patch(app, &commit).await?.map(Into::into);
            return Ok(verdict);
        }
        if !matches!(timeout_at(until, steps.changed()).await, Ok(Ok(()))) {
            return Ok(verdict);
        }
    }
}

/// Counts of the lines that a commit adds, by a diff that is stored already.
async fn find_patch(app: &App, commit: &Commit) -> Result<Option<Totals>> {
    let mut conn = app.db.read().await?;
    let Some(base) = find_base(app, &mut conn, commit).await? else {
        return Ok(None);
    };
    let stored = find_diff(&mut conn, commit.repo_id, &base, &commit.sha).await?;
    let uploads = list_packs(&mut conn, commit.id).await?;
    drop(conn);
    let Some(stored) = stored.filter(|_| !uploads.is_empty()) else {
        return Ok(None);
    };
    let diff = diffs::read(app, &stored).await?;
    let paths = diff.files().iter().map(|file| file.path.clone()).collect();
    let packs = PackSet::of_uploads(&uploads)?;
    let report = app.folds.open_report(&packs, Some(paths)).await?;
    Ok(Some(patch(&report, &diff)?))
}

/// The commit that a patch starts from: the base of its pull request, else its parent.
async fn find_base(app: &App, conn: &mut Conn, commit: &Commit) -> Result<Option<String>> {
    let Some(number) = commit.pull_id else {
        return Ok(commit.parent_sha.clone());
    };
    let Some(pull) = find_pull(conn, commit.repo_id, number).await? else {
        return Ok(commit.parent_sha.clone());
    };
    let repo = get_repo(conn, commit.repo_id).await?;
    let base = choose_base(&app.yamls, conn, &repo, &pull, commit).await?;
    Ok(base.map(|base| base.named.unwrap_or(base.commit.sha)))
}

async fn read_verdict(conn: &mut Conn, upload: &Upload, url: String) -> Result<VerdictBody> {
    let upload = engine::db::uploads::get_upload(conn, upload.id).await?;
    let commit = get_commit(conn, upload.commit_id).await?;
    let parsed = find_step(conn, upload.id, "parsed").await?;
    let received = find_step(conn, upload.id, "received").await?;
    let failed = |step: &&Step| step.verdict == Verdict::Error;
    let errors = [&received, &parsed].into_iter().flatten().filter(failed);
    let detail = parsed.as_ref().and_then(|step| step.detail.as_deref());
    let detail = detail.map_or(Ok(Value::Null), stored_json)?;
    let problems = Option::<Vec<Trouble>>::deserialize(&detail["problems"]);
    let problems = problems.map_err(|e| engine::Error::corrupt("stored problems", e))?;
    let rules = detail["paths"]["rules"].as_array().into_iter().flatten();
    Ok(VerdictBody {
        done: is_done(conn, &upload, &commit).await?,
        state: upload.state.to_string(),
        totals: parse_totals::<Totals>(commit.totals.as_deref())?.map(Into::into),
        patch: None,
        upload_totals: parse_totals::<Totals>(upload.totals.as_deref())?.map(Into::into),
        upload: upload.external_id,
        commitid: commit.sha,
        url,
        errors: errors.map(Trouble::of).collect(),
        warnings: problems.unwrap_or_default(),
        unmatched_paths: detail["paths"]["unmatched"].as_u64().unwrap_or(0),
        fixes: rules
            .filter_map(|rule| rule["fix"].as_str().map(str::to_owned))
            .collect(),
    })
}

impl Trouble {
    fn of(step: &Step) -> Trouble {
        Trouble {
            code: step.code.clone().unwrap_or_default(),
            message: step.message.clone(),
            file: None,
            line: None,
        }
    }
}

/// Whether nothing more is to come. A merged upload is counted when the stored totals are those of all packs.
async fn is_done(conn: &mut Conn, upload: &Upload, commit: &Commit) -> Result<bool> {
    Ok(match upload.state {
        UploadState::Started | UploadState::Uploaded => false,
        UploadState::Processed | UploadState::Error | UploadState::Complete => true,
        UploadState::Merged => {
            let packs = PackSet::of_uploads(&list_packs(conn, commit.id).await?)?;
            commit.fold.as_deref() == Some(&*packs.key_hex())
        }
    })
}
