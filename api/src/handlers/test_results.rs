//! Results of test runs: announced here, sent to the storage like any upload.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use engine::db::commits::CommitState;
use engine::db::uploads::{Envelope, UploadKind};

use super::intake::{Existing, NewUploadFacts, create_upload, upsert_commit};
use super::rest::{BadUpload, Detail};
use super::side::{authorise_body, commit_facts};
use super::uploads::{AnnouncedResults, Fields, TestResultsRequest};
use crate::app::App;
use crate::error::Result;
use crate::middleware::base::BaseUrl;

/// `/upload/test_results/v1`.
pub fn routes() -> Router<App> {
    Router::new().route("/upload/test_results/v1", post(create))
}

/// `POST /upload/test_results/v1`: 201 with the URL that takes the results; nothing at all when the client has found
/// none. Clients name build, page and job in two ways.
#[utoipa::path(post, path = "/upload/test_results/v1", tag = "uploads", security((), ("upload_token" = [])),
    request_body(content((TestResultsRequest = "application/json"), (TestResultsRequest = "application/x-www-form-urlencoded"))),
    responses((status = 201, description = "where the results go; nothing if none were found", body = AnnouncedResults), (status = 400, body = BadUpload),
        (status = 404, body = Detail), (status = 401, body = Detail), (status = 403, body = Detail), (status = 413, body = Detail),
        (status = 415, body = Detail)))]
pub async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    base: BaseUrl,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response> {
    let fields = Fields::parse(&headers, body)?;
    let service = fields.text_or_blank("service")?;
    let target = authorise_body(&app, &headers, &fields, service.as_deref()).await?;
    let facts = facts(&headers, &fields)?;
    let commit = commit_facts(&fields, &target)?;
    let commit = upsert_commit(
        &app,
        target.repo.id,
        commit,
        Some(CommitState::Pending),
        Existing::Filled,
    )
    .await?;
    if fields.truth("file_not_found")? {
        return Ok(StatusCode::CREATED.into_response());
    }
    let created = create_upload(&app, &base, &target.repo, &commit, facts).await?;
    let body = AnnouncedResults {
        raw_upload_location: created.put_url,
    };
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

fn facts(headers: &HeaderMap, fields: &Fields) -> Result<NewUploadFacts> {
    let either = |first: &str, second: &str| match fields.text_or_blank(first) {
        Ok(None) => fields.text_or_blank(second),
        found => found,
    };
    Ok(NewUploadFacts {
        kind: UploadKind::TestResults,
        envelope: Envelope::V1,
        provider: fields.text_or_blank("ci_service")?,
        build_code: fields
            .text_or_blank("build")?
            .or_else(|| fields.build_code()),
        build_url: either("buildUrl", "ci_url")?,
        job_code: either("code", "job_code")?,
        name: fields.text_or_blank("name")?,
        flags: fields.flags()?,
        env: fields.env()?,
        uploader: fields.uploader(headers),
        attempt: None,
    })
}
