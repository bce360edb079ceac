//! The journal of a commit: what happened to its uploads, step by step.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, State};
use engine::db::Conn;
use engine::db::journal;
use engine::db::uploads::list_external_ids;
use engine::id::{CommitId, UploadId};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::commits::{readable_commit, stored_json};
use super::page::{PageOf, PageQuery, Paging, list_page};
use super::rest::{CommitKey, Detail};
use crate::app::App;
use crate::auth::viewer::Viewer;
use crate::error::Result;
use crate::times::iso_micros;

/// One step of an upload's or a report's life.
#[derive(Serialize, ToSchema)]
pub struct StepBody {
    /// Its word, as `received` or `parsed`.
    pub step: String,
    /// `ok`, `warning`, `error` or `waiting`.
    pub verdict: String,
    /// The problem's code.
    pub code: Option<String>,
    /// What happened, for people.
    pub message: String,
    /// More for programs.
    pub detail: Option<Value>,
    /// The id by which the uploader knows the upload, if the step is one upload's.
    pub upload: Option<String>,
    /// When it began.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
}

impl StepBody {
    /// A step, with the id by which the uploader knows the upload.
    pub fn new(step: journal::Step, upload: Option<String>) -> engine::Result<StepBody> {
        Ok(StepBody {
            step: step.step,
            verdict: step.verdict.to_string(),
            code: step.code,
            message: step.message,
            detail: step.detail.as_deref().map(stored_json).transpose()?,
            upload,
            started_at: iso_micros(step.started_us),
            duration_ms: step.duration_us as f64 / 1000.0,
        })
    }
}

/// `GET …/commits/{sha}/journal`: every step of a commit's uploads and report, in order of time.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/commits/{sha}/journal", tag = "commits",
    params(CommitKey, PageQuery),
    responses((status = 200, body = PageOf<StepBody>), (status = 404, body = Detail)))]
pub async fn list_steps(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<CommitKey>,
    paging: Paging,
) -> Result<Json<PageOf<StepBody>>> {
    let (mut conn, repo, commit) = readable_commit(&app, viewer, &key).await?;
    let page = list_page!(paging, |part| {
        journal::list_steps(&mut conn, repo.id, &commit.sha, part).await
    });
    let names = names_of(&mut conn, commit.id, &page.results).await?;
    let page = page.try_map(|step| {
        let upload = step.upload_id.and_then(|id| names.get(&id).cloned());
        Ok(StepBody::new(step, upload)?)
    });
    Ok(Json(page?))
}

/// The ids by which uploaders know the uploads of these steps.
pub async fn names_of(
    conn: &mut Conn,
    commit: CommitId,
    steps: &[journal::Step],
) -> engine::Result<HashMap<UploadId, String>> {
    let uploads = || steps.iter().filter_map(|step| step.upload_id);
    match (uploads().min(), uploads().max()) {
        (Some(first), Some(last)) => list_external_ids(conn, commit, first, last).await,
        _ => Ok(HashMap::new()),
    }
}
