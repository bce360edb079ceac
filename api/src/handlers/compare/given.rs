//! A diff that a client gives, where no git provider tells it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use engine::db::commits::find_commit;
use engine::db::diffs::DiffSource;
use engine::db::repos::{Repo, find_repo};
use engine::diff::Diff;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::rest::params::Params;
use super::super::rest::{Detail, RepoKey};
use crate::app::App;
use crate::auth::scope::Scope;
use crate::auth::upload::{Target, find_token, header_token, opens};
use crate::auth::viewer::{Viewer, Who, service_name};
use crate::diffs;
use crate::error::{Error, Result};
use crate::sync::enqueue_sync;

/// Longest hash of a commit, in characters.
const SHA_CHARS: usize = 64;

/// A diff that is stored now.
#[derive(Serialize, ToSchema)]
pub struct GivenBody {
    /// The commit that it starts from.
    base: String,
    /// The commit that it leads to.
    head: String,
    /// BLAKE3 of its text.
    hash: String,
    /// Files that it names.
    files: usize,
    /// Lines that it adds.
    added: usize,
    /// Lines that it removes.
    removed: usize,
}

/// `PUT …/compare/diff?base=…&head=…`: the output of `git diff base...head`, for a server that no git provider tells
/// it. By the repository's upload token, or an API token that sees the repository and allows uploads or changes.
#[utoipa::path(put, path = "/{service}/{owner}/repos/{repo}/compare/diff", tag = "compare",
    params(RepoKey, ("base" = String, Query, description = "the hash of the commit that the diff starts from"),
        ("head" = String, Query, description = "the hash of the commit that it leads to")),
    request_body(content = String, content_type = "text/x-diff"),
    responses((status = 201, body = GivenBody), (status = 400, description = "a parameter or the diff is wrong"),
        (status = 401, body = Detail), (status = 403, body = Detail), (status = 404, body = Detail),
        (status = 413, description = "the diff is too large")))]
pub async fn put_diff(
    State(app): State<App>,
    Path(key): Path<RepoKey>,
    params: Params,
    headers: HeaderMap,
    viewer: Result<Viewer>,
    body: Bytes,
) -> Result<(StatusCode, Json<GivenBody>)> {
    let Target { repo, .. } = writable_repo(&app, &key, &headers, viewer).await?;
    let (base, head) = (sha(&params, "base")?, sha(&params, "head")?);
    let text = String::from_utf8_lossy(&body).into_owned();
    let parse = tokio::task::spawn_blocking(move || Diff::parse(&text).map(|diff| (diff, text)));
    let (diff, text) = parse.await.map_err(|error| engine::Error::Closed {
        what: format!("worker thread ({error})"),
    })??;
    if diff.files().is_empty() && !text.trim().is_empty() {
        return Err(Error::List(
            "The body names no file; send the output of `git diff base...head`.".into(),
        ));
    }
    let stats = diff.files().iter().map(|file| file.stats());
    let (added, removed) = stats.fold((0, 0), |sum, file| (sum.0 + file.0, sum.1 + file.1));
    let source = DiffSource::Client;
    let stored = diffs::store(&app, &repo, (&base, &head), source, text, None).await?;
    sync_head(&app, &repo, &head).await?;
    let body = GivenBody {
        base,
        head,
        hash: stored.hash,
        files: diff.files().len(),
        added,
        removed,
    };
    Ok((StatusCode::CREATED, Json(body)))
}

/// With a diff, the lines that a pull request changes can be counted.
async fn sync_head(app: &App, repo: &Repo, head: &str) -> Result<()> {
    let known = find_commit(&mut app.db.read().await?, repo.id, head).await?;
    if let Some(commit) = known.filter(|commit| commit.pull_id.is_some()) {
        let now_us = app.clock.now_us();
        let queued = app
            .db
            .write(move |conn| Box::pin(async move { enqueue_sync(conn, &commit, now_us).await }));
        queued.await?;
    }
    Ok(())
}

/// The repository, if the caller may give something to it.
async fn writable_repo(
    app: &App,
    key: &RepoKey,
    headers: &HeaderMap,
    viewer: Result<Viewer>,
) -> Result<Target> {
    let token = match header_token(headers)? {
        Some(token) => Some(find_token(app, token).await?.ok_or_else(unknown)?),
        None => None,
    };
    let viewer = viewer?;
    if token.is_none() {
        if viewer.who == Who::Anonymous {
            return Err(unknown());
        }
        if !viewer.allows(Scope::Upload) {
            viewer.require(Scope::Write)?;
        }
    }
    let service = service_name(&key.service);
    let service = service.ok_or_else(|| Error::not_found("Invalid service for Owner."))?;
    let mut conn = app.db.read().await?;
    let (owner, repo) = find_repo(&mut conn, service, &key.owner, &key.repo)
        .await?
        .ok_or_else(|| Error::not_found("No Repository matches the given query."))?;
    let target = Target { owner, repo };
    let may = match &token {
        Some(token) => opens(token, &target),
        None => viewer.private_repos(target.owner.id) == engine::db::repos::PrivateRepos::All,
    };
    may.then_some(target).ok_or_else(Error::forbidden)
}

fn unknown() -> Error {
    let detail = "Authentication credentials were not provided.";
    Error::Unauthorized("Token", detail.into())
}

fn sha(params: &Params, name: &str) -> Result<String> {
    let required = || Error::Field(name.into(), "This field is required.".into());
    let sha = params.text(name).ok_or_else(required)?;
    match sha.len() <= SHA_CHARS && sha.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(sha),
        false => Err(Error::Field(
            name.into(),
            format!("\"{sha}\" is not the whole hash of a commit."),
        )),
    }
}
