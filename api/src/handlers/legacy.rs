//! The upload endpoints of the older clients (bash, Python, npm, the uploader): all that they say is in the query.

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use engine::db::commits::{Commit, CommitState};
use engine::db::owners::get_owner;
use engine::db::repos::{find_repo, get_repo, list_repos_named};
use engine::db::uploads::{Envelope, UPLOAD_FLAGS, UploadKind};
use serde::Serialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::intake::{
    CommitFacts, Created, Existing, NewUploadFacts, commit_url, create_upload, receive,
    upsert_commit,
};
use super::rest::Detail;
use crate::app::App;
use crate::auth::upload::{SERVICES, Target, find_token, require_activated};
use crate::error::{Error, Result};
use crate::middleware::base::BaseUrl;

const INVALID: &str = "Invalid request parameters";
const UNDETERMINED: &str = "Could not determine repo and owner";
const AMBIGUOUS: &str = "Found too many repos";
const UNKNOWN: &str = "Could not find a repository, try using repo upload token";
const TOKENLESS: &str = "Your CI provider is not compatible with tokenless uploads, please upload using your \
    repository token to resolve this.";
/// Longest page of a build, in characters after the scheme.
const BUILD_URL_CHARS: usize = 200;
/// Longest name of a repository, in characters.
const REPO_CHARS: usize = 255;

/// `/upload/v4` and `/upload/v2`.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/upload/v4", post(create_v4))
        .route("/upload/v2", post(create_v2))
}

/// `POST /upload/v4`: announces an upload; the answer is two lines, the result's page and the URL for the bytes. One
/// line feed between and none after, as clients split at it.
#[utoipa::path(post, path = "/upload/v4", tag = "uploads", params(OldUploadQuery), security((), ("upload_token" = [])),
    responses((status = 200, description = "two lines: the page of the result, and the URL that takes the bytes by PUT",
        content_type = "text/plain", body = String),
        (status = 400, content_type = "text/plain", body = String), (status = 404, content_type = "text/plain", body = String),
        (status = 413, body = Detail)))]
pub async fn create_v4(
    State(app): State<App>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    base: BaseUrl,
) -> Result<Response> {
    let announced = announce(&app, &headers, &base, query)
        .await
        .map_err(|error| spoken(&headers, error))?;
    let text = format!("{}\n{}", announced.page, announced.created.put_url);
    Ok(([(CONTENT_TYPE, "text/plain")], text).into_response())
}

/// `POST /upload/v2`: the same with the bytes in the body. The answer has a space after each colon, which the bash
/// client searches for.
#[utoipa::path(post, path = "/upload/v2", tag = "uploads", params(OldUploadQuery), security((), ("upload_token" = [])),
    request_body(content = String, content_type = "text/plain", description = "the reports"),
    responses((status = 200, body = OldUploadResult),
        (status = 400, content_type = "text/plain", body = String), (status = 404, content_type = "text/plain", body = String),
        (status = 413, body = Detail)))]
pub async fn create_v2(
    State(app): State<App>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    base: BaseUrl,
    body: Body,
) -> Result<Response> {
    let announced = announce(&app, &headers, &base, query)
        .await
        .map_err(|error| spoken(&headers, error))?;
    let upload = &announced.created.upload;
    receive(&app, upload, body)
        .await
        .map_err(|error| spoken(&headers, error))?;
    let text = format!(
        r#"{{"message": "Coverage reports upload successfully", "uploaded": true, "queued": true, "id": {}, "url": {}}}"#,
        json!(upload.external_id),
        json!(announced.page),
    );
    Ok(([(CONTENT_TYPE, "application/json")], text).into_response())
}

/// What older clients say of an upload.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OldUploadQuery {
    /// The commit's hash: 40 characters, or those of Mercurial behind a number and a colon.
    pub commit: String,
    /// The repository's upload token; also in the header `X-Upload-Token`.
    pub token: Option<String>,
    /// `owner/repo`, where no token says it.
    pub slug: Option<String>,
    /// The CI's word.
    pub service: Option<String>,
    /// The commit's branch.
    pub branch: Option<String>,
    /// The number of its pull request.
    pub pr: Option<String>,
    /// Flags, joined by commas.
    pub flags: Option<String>,
    /// The CI's name of the build.
    pub build: Option<String>,
    /// The CI's page of the build.
    pub build_url: Option<String>,
    /// The CI's name of the job.
    pub job: Option<String>,
    /// What to call it.
    pub name: Option<String>,
    /// The hash of the commit's first parent.
    pub parent: Option<String>,
    /// The uploading program.
    pub package: Option<String>,
}

/// An upload whose bytes are durable.
#[derive(Serialize, ToSchema)]
pub struct OldUploadResult {
    /// In words for people.
    pub message: String,
    /// Always true.
    pub uploaded: bool,
    /// Always true.
    pub queued: bool,
    /// The id by which to ask for it.
    pub id: String,
    /// The page that shows its commit.
    pub url: String,
}

/// An upload that is now known.
struct Announced {
    created: Created,
    /// The page that will show its result.
    page: String,
}

async fn announce(
    app: &App,
    headers: &HeaderMap,
    base: &BaseUrl,
    query: Vec<(String, String)>,
) -> Result<Announced> {
    let params = Params::read(query).map_err(|invalid| {
        tracing::info!(
            parameter = invalid.0,
            "older client sent a parameter that is not valid"
        );
        Error::Plain(StatusCode::BAD_REQUEST, INVALID.into())
    })?;
    let target = find_target(app, headers, &params).await?;
    require_activated(&target.repo)?;
    let commit = know_commit(app, &target, &params).await?;
    let page = commit_url(base, &target.owner, &target.repo, &commit.sha);
    let facts = NewUploadFacts {
        kind: UploadKind::Coverage,
        envelope: Envelope::Legacy,
        provider: params.service,
        build_code: params.build,
        build_url: params.build_url,
        job_code: params.job,
        name: params.name,
        flags: params.flags,
        env: None,
        uploader: params.package,
        attempt: None,
    };
    let created = create_upload(app, base, &target.repo, &commit, facts).await?;
    Ok(Announced { created, page })
}

async fn know_commit(app: &App, target: &Target, params: &Params) -> Result<Commit> {
    let branch = match (&params.branch, params.pull_id) {
        (None, None) => Some(target.repo.default_branch.clone()),
        (branch, _) => branch.clone(),
    };
    let facts = CommitFacts {
        sha: params.commit.clone(),
        parent_sha: params.parent.clone(),
        branch,
        pull_id: params.pull_id,
    };
    upsert_commit(
        app,
        target.repo.id,
        facts,
        Some(CommitState::Pending),
        Existing::Overwritten,
    )
    .await
}

/// The repository that the token or, for a token of the whole instance, the slug names.
async fn find_target(app: &App, headers: &HeaderMap, params: &Params) -> Result<Target> {
    let header = headers
        .get("x-upload-token")
        .and_then(|token| token.to_str().ok())
        .map(str::trim);
    let Some(token) = params
        .token
        .as_deref()
        .or(header)
        .filter(|token| !token.is_empty())
    else {
        return Err(Error::not_found(TOKENLESS));
    };
    let Some(found) = find_token(app, token).await? else {
        return Err(match TokenForm::of(token) {
            TokenForm::Uuid => Error::not_found(format!(
                "Could not find a repository associated with upload token {token}"
            )),
            TokenForm::Jwt => Error::Plain(StatusCode::BAD_REQUEST, UNDETERMINED.into()),
            TokenForm::Other => Error::Plain(StatusCode::BAD_REQUEST, INVALID.into()),
        });
    };
    match (found.repo_id, found.owner_id) {
        (Some(repo), _) => {
            let mut conn = app.db.read().await?;
            let repo = get_repo(&mut conn, repo).await?;
            let owner = get_owner(&mut conn, repo.owner_id).await?;
            Ok(Target { owner, repo })
        }
        (None, Some(_)) => Err(Error::not_found(format!(
            "Could not find a repository associated with upload token {token}"
        ))),
        (None, None) => find_by_slug(app, params).await,
    }
}

/// The one repository of this slug, on the provider that `service` names, or on any if it names a CI.
async fn find_by_slug(app: &App, params: &Params) -> Result<Target> {
    let (owner, name) = params
        .slug
        .as_ref()
        .ok_or_else(|| Error::not_found(UNKNOWN))?;
    let mut conn = app.db.read().await?;
    if let Some(service) = params
        .service
        .as_deref()
        .filter(|service| SERVICES.contains(service))
    {
        let found = find_repo(&mut conn, service, owner, name).await?;
        let (owner, repo) = found.ok_or_else(|| Error::not_found(UNKNOWN))?;
        return Ok(Target { owner, repo });
    }
    let mut repos = list_repos_named(&mut conn, owner, name).await?;
    match (repos.pop(), repos.is_empty()) {
        (None, _) => Err(Error::not_found(UNKNOWN)),
        (Some(_), false) => Err(Error::Plain(StatusCode::BAD_REQUEST, AMBIGUOUS.into())),
        (Some(repo), true) => {
            let owner = get_owner(&mut conn, repo.owner_id).await?;
            Ok(Target { owner, repo })
        }
    }
}

/// What a token looks like.
enum TokenForm {
    Uuid,
    Jwt,
    Other,
}

impl TokenForm {
    fn of(token: &str) -> TokenForm {
        match uuid::Uuid::try_parse(token) {
            Ok(_) => TokenForm::Uuid,
            Err(_) if token.split('.').count() == 3 => TokenForm::Jwt,
            Err(_) => TokenForm::Other,
        }
    }
}

/// The error as this client reads it: JSON if it asks for that alone, else the text itself.
fn spoken(headers: &HeaderMap, error: Error) -> Error {
    let (status, text) = match error {
        Error::Plain(status, text) | Error::Detail(status, text) => (status, text),
        Error::List(text) => (StatusCode::BAD_REQUEST, text),
        other => return other,
    };
    let accept = headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or("*/*");
    let plain =
        accept.contains("text/plain") || accept.contains("*/*") || accept.contains("text/*");
    match accept.contains("json") && !plain {
        true => Error::Detail(status, text),
        false => Error::Plain(status, text),
    }
}

/// The query, checked and made uniform.
#[derive(Debug, Default, PartialEq, Eq)]
struct Params {
    commit: String,
    token: Option<String>,
    slug: Option<(String, String)>,
    service: Option<String>,
    pull_id: Option<i64>,
    branch: Option<String>,
    parent: Option<String>,
    flags: Vec<String>,
    build: Option<String>,
    build_url: Option<String>,
    job: Option<String>,
    name: Option<String>,
    package: Option<String>,
}

/// Names the parameter that is not valid.
#[derive(Debug, PartialEq, Eq)]
struct Invalid(&'static str);

impl Params {
    /// Reads the query. An empty value counts as absent, the last of several as given; flags are joined.
    fn read(query: Vec<(String, String)>) -> Result<Params, Invalid> {
        let mut params = Params::default();
        let (mut commit, mut pull, mut travis_job) = (None, None, None);
        for (key, value) in query {
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            let text = Some(value.to_owned());
            match key.as_str() {
                "commit" => commit = Some(read_commit(value)?),
                "token" => params.token = text,
                "slug" => params.slug = Some(read_slug(value)?),
                "service" => params.service = Some(value.replace("travis-org", "travis")),
                "pr" | "pull_request" => pull = read_pull(value)?,
                "branch" => params.branch = read_branch(value),
                "parent" => params.parent = text,
                "flags" => read_flags(value, &mut params.flags)?,
                "build" => params.build = text,
                "build_url" => params.build_url = Some(read_build_url(value)?),
                "job" => params.job = text,
                "travis_job_id" => travis_job = text,
                "name" => params.name = text,
                "package" => params.package = text,
                _ => {}
            }
        }
        params.commit = commit.ok_or(Invalid("commit"))?;
        params.job = params.job.or(travis_job);
        let of_branch = params.branch.as_deref().and_then(pull_of_branch);
        params.branch = params.branch.filter(|_| of_branch.is_none());
        params.pull_id = of_branch.or(pull);
        Ok(params)
    }
}

/// 40 word characters (git), or a number, a colon and 12 word characters (Mercurial), in lower case.
fn read_commit(text: &str) -> Result<String, Invalid> {
    let word = |text: &str, length| text.len() == length && text.bytes().all(is_word);
    let mercurial = |(number, hash): (&str, &str)| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && word(hash, 12)
    };
    match word(text, 40) || text.split_once(':').is_some_and(mercurial) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(Invalid("commit")),
    }
}

/// `owner/repo` or `group/subgroup/repo`; groups are stored with colons between.
fn read_slug(text: &str) -> Result<(String, String), Invalid> {
    let (owner, repo) = text.rsplit_once('/').ok_or(Invalid("slug"))?;
    let owner_like = |byte| is_word(byte) || b"-.~/".contains(&byte);
    let repo_like = |byte| is_word(byte) || b"-.".contains(&byte);
    let valid = !owner.is_empty()
        && owner.bytes().all(owner_like)
        && (1..=REPO_CHARS).contains(&repo.len())
        && repo.bytes().all(repo_like);
    match valid {
        true => Ok((owner.replace('/', ":"), repo.to_owned())),
        false => Err(Invalid("slug")),
    }
}

/// A number, or a word that says that there is none (or that does not say which).
fn read_pull(text: &str) -> Result<Option<i64>, Invalid> {
    match text {
        "false" | "null" | "undefined" | "true" => Ok(None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map(Some).map_err(|_| Invalid("pr"))
        }
        _ => Err(Invalid("pr")),
    }
}

fn read_branch(text: &str) -> Option<String> {
    let branch = text.strip_prefix("origin/").unwrap_or(text);
    let branch = branch.strip_prefix("refs/heads/").unwrap_or(branch);
    (branch != "HEAD" && !branch.is_empty()).then(|| branch.to_owned())
}

/// The number in a branch such as `pull/7/merge`: the last one after `pull/` or `pr/`.
fn pull_of_branch(branch: &str) -> Option<i64> {
    let after = |word: &'static str| {
        branch
            .rmatch_indices(word)
            .map(move |(at, word)| at + word.len())
    };
    let mut starts: Vec<usize> = after("pull/").chain(after("pr/")).collect();
    starts.sort_unstable_by(|a, b| b.cmp(a));
    starts.into_iter().find_map(|start| {
        let digits = branch[start..]
            .find(|c: char| !c.is_ascii_digit())
            .map_or(branch.len(), |end| start + end);
        branch[start..digits].parse().ok()
    })
}

fn read_flags(text: &str, flags: &mut Vec<String>) -> Result<(), Invalid> {
    if !text
        .chars()
        .all(|c| c.is_alphanumeric() || "_.,-".contains(c))
    {
        return Err(Invalid("flags"));
    }
    for flag in text.split(',').filter(|flag| !flag.is_empty()) {
        if !flags.iter().any(|known| known == flag) {
            flags.push(flag.to_owned());
        }
    }
    match flags.len() > UPLOAD_FLAGS {
        true => Err(Invalid("flags")),
        false => Ok(()),
    }
}

fn read_build_url(text: &str) -> Result<String, Invalid> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    match rest.is_some_and(|rest| rest.chars().count() <= BUILD_URL_CHARS) {
        true => Ok(text.to_owned()),
        false => Err(Invalid("build_url")),
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "2860F81AA39CC1CB303961DF7496B50053B835C3";

    fn read(pairs: &[(&str, &str)]) -> Result<Params, Invalid> {
        let commit = ("commit".to_owned(), SHA.to_owned());
        let rest = pairs
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()));
        Params::read(std::iter::once(commit).chain(rest).collect())
    }

    #[test]
    fn commits_are_git_or_mercurial_hashes_in_lower_case() {
        assert_eq!(read(&[]).unwrap().commit, SHA.to_lowercase());
        assert_eq!(read_commit("12:0123456789AB"), Ok("12:0123456789ab".into()));
        for wrong in [
            "main",
            &SHA[1..],
            &format!("{SHA}0"),
            ":0123456789ab",
            "1:0123",
        ] {
            assert_eq!(read_commit(wrong), Err(Invalid("commit")), "{wrong}");
        }
        assert_eq!(Params::read(Vec::new()), Err(Invalid("commit")));
    }

    #[test]
    fn repeated_flags_are_joined() {
        let flags = read(&[
            ("flags", "a,b"),
            ("flags", ""),
            ("flags", "c"),
            ("flags", "a"),
        ])
        .unwrap()
        .flags;
        assert_eq!(flags, ["a", "b", "c"]);
        assert_eq!(read(&[("flags", "a b")]), Err(Invalid("flags")));
    }

    #[test]
    fn branches_lose_their_prefixes_and_name_pull_requests() {
        let branch = |text| {
            let params = read(&[("branch", text)]).unwrap();
            (params.branch, params.pull_id)
        };
        assert_eq!(branch("HEAD"), (None, None));
        assert_eq!(branch("origin/main"), (Some("main".into()), None));
        assert_eq!(branch("refs/heads/a/b"), (Some("a/b".into()), None));
        assert_eq!(branch("refs/pull/12/merge"), (None, Some(12)));
        assert_eq!(branch("pr/x"), (Some("pr/x".into()), None));
        assert_eq!(branch("pull/1/pr/22"), (None, Some(22)));
    }

    #[test]
    fn pull_requests_are_numbers_or_words_for_none() {
        assert_eq!(read(&[("pr", "5")]).unwrap().pull_id, Some(5));
        assert_eq!(read(&[("pull_request", "false")]).unwrap().pull_id, None);
        assert_eq!(read(&[("pr", "five")]), Err(Invalid("pr")));
    }

    #[test]
    fn slugs_of_nested_groups_are_joined_with_colons() {
        assert_eq!(read_slug("a/b/repo"), Ok(("a:b".into(), "repo".into())));
        assert_eq!(read_slug("repo"), Err(Invalid("slug")));
        assert_eq!(read_slug("a/re po"), Err(Invalid("slug")));
    }

    #[test]
    fn any_ci_may_upload() {
        assert_eq!(
            read(&[("service", "local")]).unwrap().service.as_deref(),
            Some("local")
        );
        assert_eq!(
            read(&[("service", "travis-org")])
                .unwrap()
                .service
                .as_deref(),
            Some("travis")
        );
    }

    #[test]
    fn pages_of_builds_are_web_pages() {
        assert!(read_build_url("https://ci/77").is_ok());
        assert_eq!(read_build_url("javascript:1"), Err(Invalid("build_url")));
        assert!(read_build_url(&format!("http://{}", "x".repeat(201))).is_err());
    }
}
