//! Statistics of JavaScript bundles: announced here, sent to the storage like any upload.

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
use super::uploads::{AnnouncedBundle, BundleRequest, Fields};
use crate::app::App;
use crate::error::Result;
use crate::middleware::base::BaseUrl;

/// `/upload/bundle_analysis/v1`.
pub fn routes() -> Router<App> {
    Router::new().route("/upload/bundle_analysis/v1", post(create))
}

/// `POST /upload/bundle_analysis/v1`: 201 with the URL that takes the statistics. `service` is the CI here, and
/// `git_service` the provider.
#[utoipa::path(post, path = "/upload/bundle_analysis/v1", tag = "uploads", security((), ("upload_token" = [])),
    request_body(content((BundleRequest = "application/json"), (BundleRequest = "application/x-www-form-urlencoded"))),
    responses((status = 201, body = AnnouncedBundle), (status = 400, body = BadUpload),
        (status = 404, body = Detail), (status = 401, body = Detail), (status = 403, body = Detail), (status = 413, body = Detail),
        (status = 415, body = Detail)))]
pub async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    base: BaseUrl,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response> {
    let fields = Fields::parse(&headers, body)?;
    let service = fields.text_or_blank("git_service")?;
    let target = authorise_body(&app, &headers, &fields, service.as_deref()).await?;
    let facts = NewUploadFacts {
        kind: UploadKind::BundleAnalysis,
        envelope: Envelope::V1,
        provider: fields.text_or_blank("service")?,
        build_code: fields.text_or_blank("build")?,
        build_url: fields.text_or_blank("buildURL")?,
        job_code: fields.text_or_blank("job")?,
        name: None,
        flags: Vec::new(),
        env: None,
        uploader: fields.uploader(&headers),
        attempt: None,
    };
    let commit = commit_facts(&fields, &target)?;
    let commit = upsert_commit(
        &app,
        target.repo.id,
        commit,
        Some(CommitState::Pending),
        Existing::Filled,
    )
    .await?;
    let created = create_upload(&app, &base, &target.repo, &commit, facts).await?;
    let body = AnnouncedBundle {
        url: created.put_url,
    };
    Ok((StatusCode::CREATED, Json(body)).into_response())
}
