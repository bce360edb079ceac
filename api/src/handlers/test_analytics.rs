//! Runs of tests, and what evaluations among them say.

mod evals;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use engine::db::Conn;
use engine::db::test_runs::{Outcome, TestRun, TestRunFilter, list_evaluations, list_test_runs};
use engine::id::RepoId;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::commits::stored_json;
use super::page::{PageOf, PageQuery, Paging, list_page};
use super::rest::params::Params;
use super::rest::{Detail, FieldErrors, RepoKey};
use crate::app::App;
use crate::auth::viewer::{Viewer, service_name};
use crate::error::{Error, Result};
use crate::middleware::base::BaseUrl;
use crate::times::iso;

pub use evals::{Change, Comparison, Score, Summary};

/// One run of one test.
#[derive(Serialize, ToSchema)]
pub struct TestRunBody {
    /// Names the test across runs, hex.
    pub test_id: String,
    /// The test's name.
    #[schema(required)]
    pub name: Option<String>,
    /// Its class.
    #[schema(required)]
    pub classname: Option<String>,
    /// Its suite.
    #[schema(required)]
    pub testsuite: Option<String>,
    /// The name for people.
    #[schema(required)]
    pub computed_name: Option<String>,
    /// `pass`, `failure`, `skip`, `error` or `flaky_fail`.
    pub outcome: String,
    /// How long it took.
    #[schema(required)]
    pub duration_seconds: Option<f64>,
    /// What it says of its failure.
    #[schema(required)]
    pub failure_message: Option<String>,
    /// The tool that ran it.
    #[schema(required)]
    pub framework: Option<String>,
    /// Its file.
    #[schema(required)]
    pub filename: Option<String>,
    /// The repository's id.
    pub repo_id: i64,
    /// The commit that was tested.
    #[schema(required)]
    pub commit_sha: Option<String>,
    /// Its git branch.
    #[schema(required)]
    pub branch: Option<String>,
    /// The flags of its upload.
    #[schema(required)]
    pub flags: Option<Vec<String>>,
    /// The upload's id.
    #[schema(required)]
    pub upload_id: Option<i64>,
    /// What the run tells beyond this.
    pub properties: Option<Value>,
    /// When it ran.
    #[schema(format = DateTime)]
    pub timestamp: String,
}

impl TestRunBody {
    fn new(run: TestRun) -> Result<TestRunBody> {
        let flags = run.flags.as_deref().map(serde_json::from_str);
        let corrupt = |error| engine::Error::corrupt("flags of a test run", error);
        Ok(TestRunBody {
            test_id: run.test_id,
            name: run.name,
            classname: run.classname,
            testsuite: run.testsuite,
            computed_name: run.computed_name,
            outcome: run.outcome.to_string(),
            duration_seconds: run.duration_seconds,
            failure_message: run.failure_message,
            framework: run.framework,
            filename: run.filename,
            repo_id: run.repo_id.0,
            commit_sha: Some(run.commit_sha),
            branch: run.branch,
            flags: flags.transpose().map_err(corrupt)?,
            upload_id: run.upload_id.map(|id| id.0),
            properties: run.properties.as_deref().map(stored_json).transpose()?,
            timestamp: iso(run.timestamp_us),
        })
    }
}

/// Which runs to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TestRunQuery {
    /// Only those of this commit.
    pub commit_sha: Option<String>,
    /// Only those of this branch.
    pub branch: Option<String>,
    /// Only those that ended so: `pass`, `failure`, `skip`, `error` or `flaky_fail`.
    #[param(value_type = Option<String>)]
    pub outcome: Option<Outcome>,
    /// Only those that took as long or longer, in seconds.
    pub duration_min: Option<f64>,
    /// Only those that took as long or less, in seconds.
    pub duration_max: Option<f64>,
}

/// `GET …/test-analytics/`: runs of tests, newest first.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/test-analytics/", tag = "tests",
    params(RepoKey, TestRunQuery, PageQuery),
    responses((status = 200, body = PageOf<TestRunBody>), (status = 400, body = FieldErrors),
        (status = 401, body = Detail), (status = 403, body = Detail), (status = 404, body = Detail)))]
pub async fn list_runs(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<RepoKey>,
    params: Params,
    paging: Paging,
) -> Result<Json<PageOf<TestRunBody>>> {
    let (mut conn, _, repo) = viewer
        .readable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    let filter = TestRunFilter {
        commit_sha: params.text("commit_sha"),
        branch: params.text("branch"),
        outcome: params.choice("outcome")?,
        duration_min: params.fraction("duration_min")?,
        duration_max: params.fraction("duration_max")?,
    };
    let page = list_page!(paging, |part| {
        list_test_runs(&mut conn, repo.id, &filter, part).await
    });
    Ok(Json(page.try_map(TestRunBody::new)?))
}

/// Where what was under an older path is now.
#[derive(Serialize, ToSchema)]
pub struct Moved {
    /// In words for people.
    pub detail: String,
    /// The URL to ask instead.
    pub new_endpoint: String,
}

/// `…/test-results/…`: moved; clients are told where to, in the body.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/test-results/", tag = "tests", params(RepoKey),
    responses((status = 301, body = Moved)))]
pub async fn moved(Path(key): Path<RepoKey>, base: BaseUrl) -> Response {
    let service = service_name(&key.service).unwrap_or(&key.service);
    let body = Moved {
        detail: "This endpoint has been deprecated. Please use /test-analytics/ instead.".into(),
        new_endpoint: format!(
            "{}/api/v2/{service}/{}/repos/{}/test-analytics/",
            base.0, key.owner, key.repo
        ),
    };
    (StatusCode::MOVED_PERMANENTLY, Json(body)).into_response()
}

/// Which evaluations to summarise.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SummaryQuery {
    /// The commit that was evaluated.
    pub commit: Option<String>,
    /// Only those of this class.
    pub classname: Option<String>,
}

/// `GET …/evals/summary`: what the evaluations of a commit say together.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/evals/summary", tag = "tests",
    params(RepoKey, SummaryQuery),
    responses((status = 200, body = Summary), (status = 401, body = Detail), (status = 403, body = Detail),
        (status = 404, body = Detail)))]
pub async fn summarise(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<RepoKey>,
    params: Params,
) -> Result<Json<Summary>> {
    let (mut conn, _, repo) = viewer
        .readable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    let query = SummaryQuery {
        commit: params.text("commit"),
        classname: params.text("classname"),
    };
    let sha = query.commit.as_deref().unwrap_or_default();
    let classname = query.classname.as_deref();
    Ok(Json(
        read_summary(&mut conn, repo.id, sha, classname).await?,
    ))
}

/// Which two commits' evaluations to compare.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CompareQuery {
    /// The earlier commit.
    #[param(value_type = String)]
    pub base_sha: Option<String>,
    /// The later commit.
    #[param(value_type = String)]
    pub head_sha: Option<String>,
}

/// What went wrong, where evaluations are asked for.
#[derive(Serialize, ToSchema)]
pub struct EvalError {
    /// In words for people.
    pub error: String,
}

/// `GET …/evals/compare`: the evaluations of two commits, and by how many percent they differ.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/evals/compare", tag = "tests",
    params(RepoKey, CompareQuery),
    responses((status = 200, body = Comparison), (status = 400, body = EvalError), (status = 401, body = Detail),
        (status = 403, body = Detail), (status = 404, body = Detail)))]
pub async fn compare(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<RepoKey>,
    params: Params,
) -> Result<Json<Comparison>> {
    let (mut conn, _, repo) = viewer
        .readable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    let query = CompareQuery {
        base_sha: params.text("base_sha"),
        head_sha: params.text("head_sha"),
    };
    let (Some(base), Some(head)) = (query.base_sha, query.head_sha) else {
        let body = json!({ "error": "Both base_sha and head_sha are required" });
        return Err(Error::Body(StatusCode::BAD_REQUEST, body));
    };
    let base = read_summary(&mut conn, repo.id, &base, None).await?;
    let head = read_summary(&mut conn, repo.id, &head, None).await?;
    Ok(Json(Comparison::new(base, head)))
}

async fn read_summary(
    conn: &mut Conn,
    repo: RepoId,
    sha: &str,
    classname: Option<&str>,
) -> Result<Summary> {
    let runs = list_evaluations(conn, repo, sha, classname).await?;
    Summary::of(&runs).ok_or_else(|| {
        let body = json!({ "error": "Error aggregating data" });
        Error::Body(StatusCode::INTERNAL_SERVER_ERROR, body)
    })
}
