//! Reports: totals, lines, one file, a tree of directories.

mod tree;

use std::ops::Range;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use engine::db::Conn;
use engine::db::commits::{Commit, CommitState, list_parents};
use engine::db::repos::Repo;
use engine::db::uploads::list_packs;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::intake::commit_url;
use super::rest::etag::Tag;
use super::rest::fields::FileFields;
use super::rest::params::Params;
use super::rest::report::{self, FileBody, LineCoverage, Lines, Packs, Report};
use super::rest::totals::ReportTotals;
use super::rest::{Detail, RepoKey, find_meant_commit};
use crate::app::App;
use crate::auth::viewer::Viewer;
use crate::error::{Error, Result};
use crate::middleware::base::BaseUrl;

pub use tree::Node;

/// Parents that a search for a file walks back, at most.
const WALK_BACK_MAX: i64 = 20;
/// Levels of a tree, at most; deeper directories stay closed.
const DEPTH_MAX: i64 = 128;

/// Which part of which report.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReportQuery {
    /// The commit; without one, the head of the branch.
    pub sha: Option<String>,
    /// The branch; without one, the repository's default branch.
    pub branch: Option<String>,
    /// Only files whose path starts with this text.
    pub path: Option<String>,
    /// Only what uploads with this flag say; other files are listed without lines.
    pub flag: Option<String>,
    /// Only files of this component.
    pub component_id: Option<String>,
}

impl ReportQuery {
    fn new(params: &Params) -> ReportQuery {
        ReportQuery {
            sha: params.text("sha"),
            branch: params.text("branch"),
            path: params.text("path"),
            flag: params.text("flag"),
            component_id: params.text("component_id"),
        }
    }
}

/// How deep a tree is.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TreeQuery {
    /// Levels of directories.
    #[param(default = 1)]
    pub depth: Option<i64>,
}

/// Where to look for a file.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FileQuery {
    /// The commit; without one, the head of the branch.
    pub sha: Option<String>,
    /// The branch; without one, the repository's default branch.
    pub branch: Option<String>,
    /// How many parents to go back until a complete report holds the file, at most 20.
    #[param(default = 0)]
    pub walk_back: Option<i64>,
    /// The last commit to look at.
    pub oldest_sha: Option<String>,
}

/// Names a file.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct FileKey {
    /// The provider, by its long or short name.
    pub service: String,
    /// The owner's name, in any case.
    pub owner: String,
    /// The repository's name, in any case.
    pub repo: String,
    /// The file's path in the repository.
    pub path: String,
}

/// A report.
#[derive(Serialize, ToSchema)]
pub struct ReportBody {
    /// Totals of the files below.
    pub totals: ReportTotals,
    /// The files, by path.
    pub files: Vec<FileBody>,
    /// The page that shows them.
    pub commit_file_url: String,
}

/// One file of a report.
#[derive(Serialize, ToSchema)]
pub struct FileReport {
    /// The file.
    #[serde(flatten)]
    pub file: FileBody,
    /// The commit whose report holds it.
    pub commit_sha: String,
    /// The page that shows it.
    pub commit_file_url: String,
}

/// `GET …/totals/`: a report without lines.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/totals/", tag = "reports",
    params(RepoKey, ReportQuery),
    responses((status = 200, body = ReportBody), (status = 304, description = "as the client knows it"),
        (status = 404, body = Detail)))]
pub async fn get_totals(State(app): State<App>, asked: Asked) -> Result<Response> {
    answer_report(&app, asked, Lines::Hidden).await
}

/// `GET …/report/`: a report with the coverage of each line.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/report/", tag = "reports",
    params(RepoKey, ReportQuery),
    responses((status = 200, body = ReportBody), (status = 304, description = "as the client knows it"),
        (status = 404, body = Detail)))]
pub async fn get_report(State(app): State<App>, asked: Asked) -> Result<Response> {
    answer_report(&app, asked, Lines::Shown).await
}

async fn answer_report(app: &App, asked: Asked, lines: Lines) -> Result<Response> {
    let path = asked.query.path.as_deref().unwrap_or("");
    let packs = asked.packs;
    let make = async {
        let report = packs.read(app).await?;
        let range = match asked.query.component_id {
            Some(_) => report.starting_with(path),
            None => some_files(report.starting_with(path), path)?,
        };
        let kind = if report.holds(path) { "blob" } else { "tree" };
        let body = ReportBody {
            totals: report.totals(range.clone()).into(),
            files: Vec::new(),
            commit_file_url: format!("{}/{kind}/{path}", asked.commit_url),
        };
        let fields = FileFields::of(&asked.uri, &["files"]);
        report::answer(app, &body, report, range, lines, &fields).await
    };
    let answers = &app.answers;
    answers.find_or_make(&asked.tag, &asked.headers, make).await
}

/// `GET …/report/tree`: the directories and files of a report.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/report/tree", tag = "reports",
    params(RepoKey, ReportQuery, TreeQuery),
    responses((status = 200, body = Vec<Node>), (status = 304, description = "as the client knows it"),
        (status = 404, body = Detail)))]
pub async fn get_tree(State(app): State<App>, params: Params, asked: Asked) -> Result<Response> {
    let query = TreeQuery {
        depth: params.number("depth")?,
    };
    let depth = query.depth.unwrap_or(1).clamp(1, DEPTH_MAX) as usize;
    let path = asked.query.path.as_deref().unwrap_or("");
    let path = path.trim_end_matches('/');
    let packs = asked.packs;
    let make = async {
        let report = packs.read(&app).await?;
        let (range, start) = match below(&report, path) {
            Err(_) if asked.query.component_id.is_some() => (0..0, 0),
            found => found?,
        };
        let nodes = tree::grow(&report.files(range), start, depth);
        Ok(Json(nodes).into_response())
    };
    let answers = &app.answers;
    answers.find_or_make(&asked.tag, &asked.headers, make).await
}

/// The files in the directory `path`, or the file of that path, and where in their paths the names
/// of the tree begin.
fn below(report: &Report, path: &str) -> Result<(Range<usize>, usize)> {
    if path.is_empty() {
        return Ok((report.all(), 0));
    }
    if report.holds(path) {
        let start = report.starting_with(path).start;
        return Ok((
            start..start + 1,
            path.rfind('/').map_or(0, |slash| slash + 1),
        ));
    }
    let directory = format!("{path}/");
    Ok((
        some_files(report.starting_with(&directory), path)?,
        directory.len(),
    ))
}

fn some_files(range: Range<usize>, path: &str) -> Result<Range<usize>> {
    match range.is_empty() && !path.is_empty() {
        true => Err(Error::not_found(format!(
            "No files or directories found matching path: {path}"
        ))),
        false => Ok(range),
    }
}

/// `GET …/file_report/{path}/`: one file, of the commit or of the nearest parent that has it.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/file_report/{path}/", tag = "reports",
    params(FileKey, FileQuery),
    responses((status = 200, body = FileReport), (status = 304, description = "as the client knows it"),
        (status = 400, description = "walk_back is no number, or too large"), (status = 404, body = Detail)))]
pub async fn get_file(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<FileKey>,
    params: Params,
    base: BaseUrl,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    let query = FileQuery {
        sha: params.text("sha"),
        branch: params.text("branch"),
        walk_back: params.number("walk_back")?,
        oldest_sha: params.text("oldest_sha"),
    };
    if query.walk_back > Some(WALK_BACK_MAX) {
        return Err(Error::List(format!("walk_back must be <= {WALK_BACK_MAX}")));
    }
    let (mut conn, owner, repo) = viewer
        .readable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    let (sha, branch) = (query.sha.as_deref(), query.branch.as_deref());
    let commit = find_meant_commit(&mut conn, &repo, sha, branch).await?;
    for commit in walk(&mut conn, &repo, commit, &query).await? {
        let Some(packs) = Packs::new(&list_packs(&mut conn, commit.id).await?, None)? else {
            continue;
        };
        let header = app.folds.report(&packs.all).await?;
        let Some(entry) = header.find(&key.path) else {
            continue;
        };
        drop(conn);
        let url = commit_url(&base, &owner, &repo, &commit.sha);
        let tag = Tag::new(&base, &uri, &[&packs.all], &url);
        let make = async {
            let lines = app.folds.files(&packs.all, vec![entry.clone()]).await?;
            let body = FileReport {
                file: FileBody {
                    name: key.path.clone(),
                    totals: entry.totals.into(),
                    line_coverage: lines.into_iter().next().map(LineCoverage),
                },
                commit_sha: commit.sha,
                commit_file_url: format!("{url}/blob/{}", key.path),
            };
            Ok(Json(body).into_response())
        };
        return app.answers.find_or_make(&tag, &headers, make).await;
    }
    Err(Error::not_found(format!(
        "coverage info not found for path '{}'",
        key.path
    )))
}

/// The commits to look at: the first one, then its complete parents, as far as the query goes.
async fn walk(
    conn: &mut Conn,
    repo: &Repo,
    commit: Commit,
    query: &FileQuery,
) -> Result<Vec<Commit>> {
    let back = query.walk_back.unwrap_or(0).max(0);
    let parents = match back {
        0 => Vec::new(),
        back => list_parents(conn, repo.id, &commit.sha, None, back).await?,
    };
    let mut commits = vec![commit];
    commits.extend(parents);
    if let Some(oldest) = &query.oldest_sha
        && let Some(place) = commits.iter().position(|commit| commit.sha == *oldest)
    {
        commits.truncate(place + 1);
    }
    let mut first = true;
    commits
        .retain(|commit| std::mem::take(&mut first) || commit.state == Some(CommitState::Complete));
    Ok(commits)
}

/// A request for a commit's report that its sender may make.
pub struct Asked {
    query: ReportQuery,
    packs: Packs,
    commit_url: String,
    /// Names the answer.
    tag: Tag,
    uri: Uri,
    headers: HeaderMap,
}

impl axum::extract::FromRequestParts<App> for Asked {
    type Rejection = Error;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        app: &App,
    ) -> Result<Asked> {
        let viewer = Viewer::from_request_parts(parts, app).await?;
        let key = Path::<RepoKey>::from_request_parts(parts, app).await;
        let Path(key) = key.map_err(|e| Error::List(e.body_text()))?;
        let base = BaseUrl::from_request_parts(parts, app).await?;
        let query = ReportQuery::new(&Params::of(&parts.uri));
        let (mut conn, owner, repo) = viewer
            .readable_repo(app, &key.service, &key.owner, &key.repo)
            .await?;
        let (sha, branch) = (query.sha.as_deref(), query.branch.as_deref());
        let commit = find_meant_commit(&mut conn, &repo, sha, branch).await?;
        let packs = find_packs(app, &mut conn, &commit, &query).await?;
        let commit_url = commit_url(&base, &owner, &repo, &commit.sha);
        let facts = format!("{commit_url} {}", packs.facts());
        Ok(Asked {
            tag: Tag::new(&base, &parts.uri, &[&packs.all, &packs.counted], &facts),
            query,
            packs,
            commit_url,
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
        })
    }
}

/// What the report is made from. Errors: 404 for a commit without one, with the commit's state,
/// so that a client knows whether to wait.
async fn find_packs(
    app: &App,
    conn: &mut Conn,
    commit: &Commit,
    query: &ReportQuery,
) -> Result<Packs> {
    let sha = &commit.sha;
    let uploads = list_packs(conn, commit.id).await?;
    let flag = query.flag.as_deref();
    let packs = match &query.component_id {
        None => Packs::new(&uploads, flag)?,
        Some(id) => {
            let effective = app.yamls.of_commit(conn, commit.id).await?;
            let component = effective.component(id).ok_or_else(|| {
                Error::not_found(format!("The component {id} does not exist in commit {sha}"))
            })?;
            Packs::of_component(&uploads, flag, component)?
        }
    };
    packs.ok_or_else(|| {
        let detail = format!("No coverage report found for commit {sha}");
        let state = commit.state;
        Error::Body(
            StatusCode::NOT_FOUND,
            json!({ "detail": detail, "state": state }),
        )
    })
}
