//! The upload endpoints that current clients use: commit, report, upload, and all three in one.

mod bodies;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, HeaderName, USER_AGENT};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use engine::db::commits::{self, Commit, CommitFilter};
use engine::db::journal::Verdict;
use engine::db::uploads::{Envelope, UploadKind, UploadState, count_by_state};
use ingest::job::{Note, enqueue_refresh};
use ingest::yamls::{Scope, store_yaml};
use serde_json::{Map, Value};

use super::intake::{
    CommitFacts, Created, Existing, NAME_CHARS, NewUploadFacts, commit_url, create_upload,
    upsert_commit,
};
use super::page::{PageOf, PageQuery, Paging, list_page};
use super::rest::{BadUpload, Detail};
use crate::app::App;
use crate::auth::upload::{Target, Tokenless, authorise, find_target};
use crate::error::{Error, Result};
use crate::middleware::base::BaseUrl;
use crate::times;

pub use bodies::*;

/// Tells our own uploader that the storage takes zstd.
const ACCEPTS: (HeaderName, &str) = (HeaderName::from_static("hitline-accept-encoding"), "zstd");
/// Variables in which CIs count the attempts of a build from 1: GitHub Actions, Azure Pipelines, Bitbucket Pipelines.
const ATTEMPT_VARIABLES: [&str; 3] = [
    "GITHUB_RUN_ATTEMPT",
    "SYSTEM_JOBATTEMPT",
    "BITBUCKET_STEP_RUN_NUMBER",
];
/// Longest hash, branch, CI word or URL that is stored, in characters.
const TEXT_CHARS: usize = 1024;

/// Paths below `/upload/{service}/{slug}`.
pub fn routes() -> Router<App> {
    Router::new()
        .route(
            "/upload/{service}/{slug}/commits",
            post(create_commit).get(list_commits),
        )
        .route(
            "/upload/{service}/{slug}/commits/{sha}/reports",
            post(create_report),
        )
        .route(
            "/upload/{service}/{slug}/commits/{sha}/reports/{code}/uploads",
            post(create),
        )
        .route(
            "/upload/{service}/{slug}/commits/{sha}/reports/{code}/results",
            get(get_results).post(create_results),
        )
        .route(
            "/upload/{service}/{slug}/upload-coverage",
            post(upload_coverage),
        )
        .route(
            "/upload/{service}/{slug}/commits/{sha}/empty-upload",
            post(empty_upload),
        )
        .route(
            "/upload/{service}/{slug}/commits/{sha}/upload-complete",
            post(upload_complete),
        )
}

/// A body that may be JSON or a form, with its fields checked one by one.
pub struct Fields(Map<String, Value>);

impl Fields {
    /// Reads the body of a call. Errors as clients print them: 400, 413 or 415 with what is wrong.
    pub fn parse(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Fields> {
        let body = body.map_err(|e| Error::Detail(e.status(), e.body_text()))?;
        let content_type = headers
            .get(CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        let essence = content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Fields::from_json(&body),
            "application/x-www-form-urlencoded" => Ok(Fields::from_form(&body)),
            "" if body.is_empty() => Ok(Fields(Map::new())),
            _ => {
                let detail = format!("Unsupported media type \"{content_type}\" in request.");
                Err(Error::Detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
            }
        }
    }

    fn from_json(body: &[u8]) -> Result<Fields> {
        if body.is_empty() {
            return Ok(Fields(Map::new()));
        }
        let value: Value = serde_json::from_slice(body).map_err(|e| {
            Error::Detail(StatusCode::BAD_REQUEST, format!("JSON parse error - {e}"))
        })?;
        let got = match value {
            Value::Object(fields) => return Ok(Fields(fields)),
            Value::Array(_) => "list",
            Value::String(_) => "str",
            Value::Number(_) => "int",
            Value::Bool(_) => "bool",
            Value::Null => "NoneType",
        };
        let text = format!("Invalid data. Expected a dictionary, but got {got}.");
        Err(Error::Field("non_field_errors".into(), text))
    }

    fn from_form(body: &[u8]) -> Fields {
        let pairs = form_urlencoded::parse(body).into_owned();
        Fields(
            pairs
                .map(|(name, value)| (name, Value::String(value)))
                .collect(),
        )
    }

    /// An optional text; null is absent, a number is its digits, a blank or long one is refused.
    pub fn text(&self, field: &str) -> Result<Option<String>> {
        let text = match self.0.get(field) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text.trim().to_string(),
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => return Err(Error::Field(field.into(), "Not a valid string.".into())),
        };
        if text.is_empty() {
            return Err(Error::Field(
                field.into(),
                "This field may not be blank.".into(),
            ));
        }
        if text.chars().count() > TEXT_CHARS {
            let why = format!("Ensure this field has no more than {TEXT_CHARS} characters.");
            return Err(Error::Field(field.into(), why));
        }
        Ok(Some(text))
    }

    /// An optional text that clients leave blank when they know nothing.
    pub fn text_or_blank(&self, field: &str) -> Result<Option<String>> {
        match self.0.get(field) {
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            _ => self.text(field),
        }
    }

    /// A text that must be there.
    pub fn required(&self, field: &str) -> Result<String> {
        let missing = if self.0.contains_key(field) {
            "This field may not be null."
        } else {
            "This field is required."
        };
        self.text(field)?
            .ok_or_else(|| Error::Field(field.into(), missing.into()))
    }

    /// An optional whole number, also as text.
    pub fn integer(&self, field: &str) -> Result<Option<i64>> {
        let invalid = || Error::Field(field.into(), "A valid integer is required.".into());
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => number.as_i64().map(Some).ok_or_else(invalid),
            Some(Value::String(text)) => text.trim().parse().map(Some).map_err(|_| invalid()),
            Some(_) => Err(invalid()),
        }
    }

    /// An optional whole number from 1 on, also as text.
    fn positive(&self, field: &str) -> Result<Option<i64>> {
        match self.integer(field)? {
            Some(..1) => {
                let why = "Ensure this value is greater than or equal to 1.";
                Err(Error::Field(field.into(), why.into()))
            }
            number => Ok(number),
        }
    }

    /// An optional truth value; absent is false.
    pub fn truth(&self, field: &str) -> Result<bool> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(truth)) => Ok(*truth),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(Error::Field(
                field.into(),
                "Must be a valid boolean.".into(),
            )),
        }
    }

    /// A truth value that must be there.
    pub fn required_truth(&self, field: &str) -> Result<bool> {
        match self.0.get(field) {
            None => Err(Error::Field(field.into(), "This field is required.".into())),
            Some(Value::Null) => Err(Error::Field(
                field.into(),
                "This field may not be null.".into(),
            )),
            Some(_) => self.truth(field),
        }
    }

    /// Names of flags; null and absent are none.
    pub fn flags(&self) -> Result<Vec<String>> {
        let got = match self.0.get("flags") {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(flags)) => {
                let names = flags.iter().map(|flag| match flag {
                    Value::String(name) if !name.trim().is_empty() => Ok(name.trim().to_string()),
                    _ => Err(Error::Field(
                        "flags".into(),
                        "This field may not be blank.".into(),
                    )),
                });
                return names.collect();
            }
            Some(Value::String(_)) => "str",
            Some(Value::Object(_)) => "dict",
            Some(Value::Bool(_)) => "bool",
            Some(Value::Number(_)) => "int",
        };
        let why = format!("Expected a list of items but got type \"{got}\".");
        Err(Error::Field("flags".into(), why))
    }

    /// The text of the commit's `codecov.yml`; only our own client sends it.
    pub fn yaml(&self) -> Result<Option<String>> {
        match self.0.get("yaml") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Error::Field("yaml".into(), "Not a valid string.".into())),
        }
    }

    /// The environment values, an object.
    pub fn env(&self) -> Result<Option<Value>> {
        match self.0.get("env") {
            None | Some(Value::Null) => Ok(None),
            Some(env @ Value::Object(_)) => Ok(Some(env.clone())),
            Some(_) => Err(Error::Field(
                "env".into(),
                "Expected a dictionary of items.".into(),
            )),
        }
    }

    /// The build number, which clients give only among their own arguments.
    pub fn build_code(&self) -> Option<String> {
        match self.0.get("cli_args")?.get("build_code")? {
            Value::String(code) if !code.is_empty() => {
                Some(code.chars().take(TEXT_CHARS).collect())
            }
            Value::Number(code) => Some(code.to_string()),
            _ => None,
        }
    }

    /// The uploading program.
    pub fn uploader(&self, headers: &HeaderMap) -> Option<String> {
        let agent = headers
            .get(USER_AGENT)
            .and_then(|agent| agent.to_str().ok());
        let version = self
            .0
            .get("version")
            .and_then(Value::as_str)
            .map(|version| format!("codecov-{version}"));
        version
            .or_else(|| agent.map(Into::into))
            .map(|text| text.chars().take(TEXT_CHARS).collect())
    }
}

fn commit_facts(fields: &Fields) -> Result<CommitFacts> {
    Ok(CommitFacts {
        sha: fields.required("commitid")?,
        parent_sha: fields.text_or_blank("parent_commit_id")?,
        branch: fields.text("branch")?,
        pull_id: fields.integer("pullid")?,
    })
}

/// Makes the commit of a call known, or fills what is not known of it. A `codecov.yml` that is none harms nothing.
async fn know_commit(app: &App, target: &Target, fields: &Fields) -> Result<Commit> {
    let yaml = fields.yaml()?;
    let expected = fields.positive("expected_uploads")?;
    let commit = upsert_commit(
        app,
        target.repo.id,
        commit_facts(fields)?,
        None,
        Existing::Filled,
    )
    .await?;
    if let Some(expected) = expected {
        let id = commit.id;
        let noted = app.db.write(move |conn| {
            Box::pin(async move { commits::set_expected_uploads(conn, id, expected).await })
        });
        noted.await?;
    }
    if let Some(text) = yaml {
        let (yamls, now_us) = (app.yamls.clone(), app.clock.now_us());
        let scope = Scope::Commit(commit.id);
        let stored = app.db.write(move |conn| {
            Box::pin(async move { store_yaml(conn, &yamls, scope, &text, now_us).await })
        });
        drop(stored.await?);
    }
    Ok(commit)
}

/// The repository of a call whose body names commit and branch. What is wrong with the body is said
/// only to those who may upload.
async fn authorise_by_body(
    app: &App,
    headers: &HeaderMap,
    service: &str,
    slug: &str,
    fields: Result<Fields>,
) -> Result<(Target, Fields)> {
    let text = |field| {
        fields
            .as_ref()
            .ok()
            .and_then(|fields: &Fields| fields.text(field).ok().flatten())
    };
    let (branch, sha) = (text("branch"), text("commitid"));
    let tokenless = Tokenless::Public {
        branch: branch.as_deref(),
    };
    let target = authorise(app, headers, service, slug, sha.as_deref(), tokenless).await?;
    Ok((target, fields?))
}

/// The commit of this hash. Errors: 400 as clients know it.
pub async fn find_commit(app: &App, target: &Target, sha: &str) -> Result<Commit> {
    let found = commits::find_commit(&mut app.db.read().await?, target.repo.id, sha).await?;
    found.ok_or_else(|| Error::List("Commit SHA not found".into()))
}

/// The repository of a call on a known commit; without a token, the stored commit's branch counts.
pub async fn authorise_on_commit(
    app: &App,
    headers: &HeaderMap,
    service: &str,
    slug: &str,
    sha: &str,
) -> Result<Target> {
    let branch = match find_target(app, service, slug).await? {
        Some(target) => find_commit(app, &target, sha)
            .await
            .ok()
            .and_then(|commit| commit.branch),
        None => None,
    };
    authorise(
        app,
        headers,
        service,
        slug,
        Some(sha),
        Tokenless::Public {
            branch: branch.as_deref(),
        },
    )
    .await
}

fn check_code(code: Option<&str>) -> bool {
    matches!(code, None | Some("default"))
}

fn check_path_code(code: &str) -> Result<()> {
    match check_code(Some(code)) {
        true => Ok(()),
        false => Err(Error::List(
            "Non-default `report_code` has been deprecated".into(),
        )),
    }
}

fn check_field_code(fields: &Fields) -> Result<()> {
    match check_code(fields.text_or_blank("code")?.as_deref()) {
        true => Ok(()),
        false => Err(Error::Field(
            "code".into(),
            "Using a non-default `code` has been deprecated".into(),
        )),
    }
}

/// How often the CI has run the build, as its environment says where the client sends that.
fn attempt_of(env: &Value) -> Option<i64> {
    let said = ATTEMPT_VARIABLES.iter().find_map(|name| env.get(name))?;
    let number = said.as_i64().or_else(|| said.as_str()?.parse().ok());
    number.filter(|number| *number > 0)
}

fn upload_facts(headers: &HeaderMap, fields: &Fields) -> Result<NewUploadFacts> {
    let name = fields.text_or_blank("name")?;
    if name
        .as_ref()
        .is_some_and(|name| name.chars().count() > NAME_CHARS)
    {
        let why = format!("Ensure this field has no more than {NAME_CHARS} characters.");
        return Err(Error::Field("name".into(), why));
    }
    let env = fields.env()?;
    Ok(NewUploadFacts {
        kind: UploadKind::Coverage,
        envelope: Envelope::V1,
        provider: fields.text_or_blank("ci_service")?,
        build_code: fields.build_code(),
        build_url: fields.text_or_blank("ci_url")?,
        job_code: fields.text_or_blank("job_code")?,
        name,
        flags: fields.flags()?,
        attempt: match fields.positive("attempt")? {
            Some(attempt) => Some(attempt),
            None => env.as_ref().and_then(attempt_of),
        },
        env,
        uploader: fields.uploader(headers),
    })
}

/// `POST …/commits`: makes a commit known. 201, again and again.
#[utoipa::path(post, path = "/upload/{service}/{slug}/commits", tag = "uploads",
    params(SlugKey), security(("upload_token" = [])),
    request_body(content((CommitRequest = "application/json"), (CommitRequest = "application/x-www-form-urlencoded"))),
    responses((status = 201, body = KnownCommit), (status = 400, body = BadUpload), (status = 401, body = Detail), (status = 403, body = Detail), (status = 413, body = Detail),
        (status = 415, body = Detail)))]
pub async fn create_commit(
    State(app): State<App>,
    Path((service, slug)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response> {
    let fields = Fields::parse(&headers, body);
    let (target, fields) = authorise_by_body(&app, &headers, &service, &slug, fields).await?;
    let commit = know_commit(&app, &target, &fields).await?;
    tracing::info!(commit_sha = commit.sha, repo = %commit.repo_id, "commit known");
    Ok((
        StatusCode::CREATED,
        Json(KnownCommit::new(&target, &commit)),
    )
        .into_response())
}

/// `GET …/commits`: the commits of the repository, a page at a time.
#[utoipa::path(get, path = "/upload/{service}/{slug}/commits", tag = "uploads",
    params(SlugKey, PageQuery), security(("upload_token" = [])),
    responses((status = 200, body = PageOf<KnownCommit>), (status = 404, body = Detail), (status = 400, body = BadUpload), (status = 401, body = Detail), (status = 403, body = Detail), (status = 413, body = Detail),
        (status = 415, body = Detail)))]
pub async fn list_commits(
    State(app): State<App>,
    Path((service, slug)): Path<(String, String)>,
    headers: HeaderMap,
    paging: Paging,
) -> Result<Response> {
    let target = authorise(
        &app,
        &headers,
        &service,
        &slug,
        None,
        Tokenless::Public { branch: Some(":") },
    )
    .await?;
    let mut conn = app.db.read().await?;
    let all = CommitFilter::default();
    let page = list_page!(paging, |part| {
        commits::list_commits(&mut conn, target.repo.id, &all, part).await
    });
    Ok(Json(page.try_map(|commit| Ok(KnownCommit::new(&target, &commit)))?).into_response())
}

/// `POST …/reports`: makes the commit's report known. 201, again and again.
#[utoipa::path(post, path = "/upload/{service}/{slug}/commits/{sha}/reports", tag = "uploads",
    params(SlugCommitKey), security(("upload_token" = [])),
    request_body(content((ReportRequest = "application/json"), (ReportRequest = "application/x-www-form-urlencoded"))),
    responses((status = 201, body = KnownReport), (status = 400, body = BadUpload), (status = 401, body = Detail), (status = 403, body = Detail), (status = 413, body = Detail),
        (status = 415, body = Detail)))]
pub async fn create_report(
    State(app): State<App>,
    Path((service, slug, sha)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response> {
    let target = authorise_on_commit(&app, &headers, &service, &slug, &sha).await?;
    let fields = Fields::parse(&headers, body)?;
    let commit = find_commit(&app, &target, &sha).await?;
    check_field_code(&fields)?;
    mark_report_created(&app, &commit).await?;
    let body = KnownReport {
        external_id: commit.id,
        created_at: times::iso_micros(app.clock.now_us()),
        commit_sha: commit.sha,
        code: None,
    };
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

async fn mark_report_created(app: &App, commit: &Commit) -> Result<()> {
    if commit.report_created {
        return Ok(());
    }
    let (id, now_us) = (commit.id, app.clock.now_us());
    let mut conn = app.db.read().await?;
    let carries = app.yamls.of_commit(&mut conn, id).await?.carries_anything();
    drop(conn);
    let marked = app.db.write(move |conn| {
        Box::pin(async move {
            commits::set_commit_report_created(conn, id, now_us).await?;
            match carries {
                true => enqueue_refresh(conn, id, now_us).await,
                false => Ok(()),
            }
        })
    });
    Ok(marked.await?)
}

/// `POST …/uploads`: announces one upload; the answer says where its bytes go.
#[utoipa::path(post, path = "/upload/{service}/{slug}/commits/{sha}/reports/{code}/uploads", tag = "uploads",
    params(SlugReportKey), security(("upload_token" = [])),
    request_body(content((UploadRequest = "application/json"), (UploadRequest = "application/x-www-form-urlencoded"))),
    responses((status = 201, body = AnnouncedUpload), (status = 429, body = Detail), (status = 400, body = BadUpload), (status = 401, body = Detail), (status = 403, body = Detail), (status = 413, body = Detail),
        (status = 415, body = Detail)))]
pub async fn create(
    State(app): State<App>,
    Path((service, slug, sha, code)): Path<(String, String, String, String)>,
    headers: HeaderMap,
    base: BaseUrl,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response> {
    let target = authorise_on_commit(&app, &headers, &service, &slug, &sha).await?;
    let fields = Fields::parse(&headers, body)?;
    check_path_code(&code)?;
    let commit = find_commit(&app, &target, &sha).await?;
    if !commit.report_created {
        return Err(Error::List("Report not found".into()));
    }
    let facts = upload_facts(&headers, &fields)?;
    let created = create_upload(&app, &base, &target.repo, &commit, facts.clone()).await?;
    let body = AnnouncedUpload {
        external_id: created.external_id,
        created_at: times::iso_micros(created.created_us),
        raw_upload_location: created.put_url,
        state: UploadState::Started,
        provider: facts.provider,
        upload_type: "uploaded",
        url: commit_url(&base, &target.owner, &target.repo, &commit.sha),
        ci_url: facts.build_url,
        flags: facts.flags,
        env: facts.env,
        name: facts.name,
        job_code: facts.job_code,
    };
    Ok((StatusCode::CREATED, [ACCEPTS], Json(body)).into_response())
}

/// `POST …/upload-coverage`: commit, report and upload in one call.
#[utoipa::path(post, path = "/upload/{service}/{slug}/upload-coverage", tag = "uploads",
    params(SlugKey), security(("upload_token" = [])),
    request_body(content((CommitUploadRequest = "application/json"), (CommitUploadRequest = "application/x-www-form-urlencoded"))),
    responses((status = 201, body = AnnouncedCoverage), (status = 429, body = Detail), (status = 400, body = BadUpload), (status = 401, body = Detail), (status = 403, body = Detail), (status = 413, body = Detail),
        (status = 415, body = Detail)))]
pub async fn upload_coverage(
    State(app): State<App>,
    Path((service, slug)): Path<(String, String)>,
    headers: HeaderMap,
    base: BaseUrl,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response> {
    let fields = Fields::parse(&headers, body);
    let (target, fields) = authorise_by_body(&app, &headers, &service, &slug, fields).await?;
    let commit = know_commit(&app, &target, &fields).await?;
    check_field_code(&fields)?;
    mark_report_created(&app, &commit).await?;
    let facts = upload_facts(&headers, &fields)?;
    let Created {
        external_id,
        created_us,
        put_url,
        ..
    } = create_upload(&app, &base, &target.repo, &commit, facts).await?;
    let body = AnnouncedCoverage {
        external_id,
        created_at: times::iso_micros(created_us),
        raw_upload_location: put_url,
        url: commit_url(&base, &target.owner, &target.repo, &commit.sha),
    };
    Ok((StatusCode::CREATED, [ACCEPTS], Json(body)).into_response())
}

/// `POST …/empty-upload`: a commit that needs no coverage. Which files it changed is the provider's
/// to say; without a provider only `should_force` can pass it.
#[utoipa::path(post, path = "/upload/{service}/{slug}/commits/{sha}/empty-upload", tag = "uploads",
    params(SlugCommitKey), security(("upload_token" = [])),
    request_body(content((EmptyRequest = "application/json"), (EmptyRequest = "application/x-www-form-urlencoded"))),
    responses((status = 200, body = EmptyResult), (status = 404, body = Detail), (status = 400, body = BadUpload), (status = 401, body = Detail), (status = 403, body = Detail), (status = 413, body = Detail),
        (status = 415, body = Detail)))]
pub async fn empty_upload(
    State(app): State<App>,
    Path((service, slug, sha)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response> {
    let target = authorise(&app, &headers, &service, &slug, Some(&sha), Tokenless::No).await?;
    let fields = Fields::parse(&headers, body)?;
    let commit = find_commit(&app, &target, &sha).await?;
    if !fields.truth("should_force")? {
        return Err(Error::not_found(format!(
            "Unable to get pull request for commit: {}",
            commit.sha
        )));
    }
    let body = EmptyResult {
        result: "Force option was enabled. Triggering passing notifications.",
        non_ignored_files: Vec::new(),
    };
    Ok(Json(body).into_response())
}

/// `POST …/upload-complete`: how the commit's uploads stand. 404 with the same counts when there are none.
#[utoipa::path(post, path = "/upload/{service}/{slug}/commits/{sha}/upload-complete", tag = "uploads",
    params(SlugCommitKey), security(("upload_token" = [])),
    responses((status = 200, body = UploadsStanding), (status = 404, description = "no such commit, or one without uploads", body = UploadsStanding), (status = 400, body = BadUpload), (status = 401, body = Detail), (status = 403, body = Detail), (status = 413, body = Detail),
        (status = 415, body = Detail)))]
pub async fn upload_complete(
    State(app): State<App>,
    Path((service, slug, sha)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    let target = authorise(&app, &headers, &service, &slug, Some(&sha), Tokenless::No).await?;
    let commit = find_commit(&app, &target, &sha).await?;
    let counts = count_by_state(&mut app.db.read().await?, commit.id).await?;
    let count = |states: &[UploadState]| {
        states
            .iter()
            .filter_map(|state| counts.get(state))
            .sum::<i64>()
    };
    let processing = count(&[UploadState::Started, UploadState::Uploaded]);
    let failed = count(&[UploadState::Error]);
    let total: i64 = counts.values().sum();
    let body = UploadsStanding {
        uploads_total: total,
        uploads_success: total - processing - failed,
        uploads_processing: processing,
        uploads_error: failed,
    };
    note_completion(&app, commit, &body).await?;
    let status = if total == 0 {
        StatusCode::NOT_FOUND
    } else {
        StatusCode::OK
    };
    Ok((status, Json(body)).into_response())
}

/// Notes that the client holds the commit's uploads for complete.
async fn note_completion(app: &App, commit: Commit, standing: &UploadsStanding) -> Result<()> {
    let now_us = app.clock.now_us();
    let (total, processing) = (standing.uploads_total, standing.uploads_processing);
    let message =
        format!("a client says that all uploads are made: {total}, {processing} not counted yet");
    let note = Note::new(&commit, None, "completed", message, (now_us, now_us));
    let note = note.with_verdict(
        match processing {
            0 => Verdict::Ok,
            _ => Verdict::Waiting,
        },
        None,
    );
    let noted = app
        .db
        .write(move |conn| Box::pin(async move { note.write(conn).await }));
    Ok(noted.await?)
}

fn deprecated_results() -> Json<OldResults> {
    let result = OldResult {
        state: "deprecated",
        message: "The \"local upload\" functionality has been deprecated.",
    };
    Json(OldResults {
        state: "completed",
        result,
    })
}

/// `GET …/results`: answers what old clients wait for.
#[utoipa::path(get, path = "/upload/{service}/{slug}/commits/{sha}/reports/{code}/results", tag = "uploads",
    params(SlugReportKey), security(("upload_token" = [])),
    responses((status = 200, body = OldResults), (status = 400, body = BadUpload), (status = 401, body = Detail), (status = 403, body = Detail), (status = 413, body = Detail),
        (status = 415, body = Detail)))]
pub async fn get_results(
    State(app): State<App>,
    Path((service, slug, sha, code)): Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Result<Json<OldResults>> {
    authorise_on_commit(&app, &headers, &service, &slug, &sha).await?;
    check_path_code(&code)?;
    Ok(deprecated_results())
}

/// `POST …/results`: the same, 201.
#[utoipa::path(post, path = "/upload/{service}/{slug}/commits/{sha}/reports/{code}/results", tag = "uploads",
    params(SlugReportKey), security(("upload_token" = [])),
    responses((status = 201, body = OldResults), (status = 400, body = BadUpload), (status = 401, body = Detail), (status = 403, body = Detail), (status = 413, body = Detail),
        (status = 415, body = Detail)))]
pub async fn create_results(
    state: State<App>,
    path: Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    let body = get_results(state, path, headers).await?;
    Ok((StatusCode::CREATED, body).into_response())
}
