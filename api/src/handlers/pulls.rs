//! Base picking: an uploader says which commit its pull request is compared with.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::routing::put;
use axum::{Json, Router};
use engine::db::commits::find_commit;
use engine::db::pulls::{Pull, PullState, set_user_base};
use engine::db::repos::find_repo;
use serde::Serialize;

use super::uploads::Fields;
use crate::app::App;
use crate::auth::upload::{Target, find_token, header_token, opens};
use crate::auth::viewer::service_name;
use crate::error::{Error, Result};
use crate::sync::enqueue_sync;
use crate::times;

/// The pull requests of a repository, as clients of two ages name them.
pub fn routes() -> Router<App> {
    Router::new()
        .route(
            "/api/v1/{service}/{owner}/{repo}/pulls/{number}",
            put(set_base),
        )
        .route(
            "/api/{service}/{owner}/{repo}/pulls/{number}",
            put(set_base),
        )
}

#[derive(Serialize)]
struct PullBody {
    pullid: i64,
    title: Option<String>,
    base: Option<String>,
    head: Option<String>,
    compared_to: Option<String>,
    updatestamp: String,
    state: PullState,
    user_provided_base_sha: Option<String>,
}

impl PullBody {
    fn new(pull: Pull) -> PullBody {
        PullBody {
            pullid: pull.number,
            title: pull.title,
            base: pull.base_sha,
            head: pull.head_sha,
            compared_to: None,
            updatestamp: times::iso_micros(pull.updated_us),
            state: pull.state,
            user_provided_base_sha: pull.user_provided_base_sha,
        }
    }
}

/// `PUT …/pulls/{number}`: stores the base and makes the pull request known. Only the repository's own token will do.
async fn set_base(
    State(app): State<App>,
    Path((service, owner, repo, number)): Path<(String, String, String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<PullBody>> {
    let token = match header_token(&headers)? {
        Some(token) => find_token(&app, token)
            .await?
            .filter(|token| token.repo_id.is_some()),
        None => None,
    };
    let missing = "Authentication credentials were not provided.";
    let token = token.ok_or_else(|| Error::Unauthorized("Token", missing.into()))?;
    let found = find_repo(
        &mut app.db.read().await?,
        provider(&service)?,
        &owner,
        &repo,
    )
    .await?;
    let (owner, repo) = found.ok_or_else(|| Error::not_found("Not found."))?;
    let target = Target { owner, repo };
    if !opens(&token, &target) {
        return Err(Error::forbidden());
    }
    let number = number.parse().ok().filter(|&number: &i64| number > 0);
    let number = number
        .ok_or_else(|| Error::Field("pullid".into(), "A valid integer is required.".into()))?;
    let base = Fields::parse(&headers, body)?.required("user_provided_base_sha")?;
    let (repo, now_us) = (target.repo.id, app.clock.now_us());
    let stored = app.db.write(move |conn| {
        Box::pin(async move {
            let pull = set_user_base(conn, repo, number, &base, now_us).await?;
            if let Some(sha) = &pull.head_sha
                && let Some(head) = find_commit(conn, repo, sha).await?
            {
                enqueue_sync(conn, head.id, now_us).await?;
            }
            Ok(pull)
        })
    });
    Ok(Json(PullBody::new(stored.await?)))
}

/// The provider that a client means; under GitHub Actions, a client names the CI in its place.
fn provider(service: &str) -> Result<&'static str> {
    let service = if service == "github-actions" {
        "github"
    } else {
        service
    };
    service_name(service).ok_or_else(|| Error::not_found(format!("Service not found: {service}")))
}
