//! What became of the paths that an upload's reports name.

use axum::Json;
use axum::extract::{Path, State};
use engine::db::journal::find_step;
use engine::db::uploads::find_upload;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::commits::{readable_commit, stored_json};
use super::rest::{CommitKey, Detail};
use crate::app::App;
use crate::auth::viewer::Viewer;
use crate::error::{Error, Result};

/// Names an upload of a commit.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct UploadKey {
    /// The id by which the uploader knows it.
    pub upload: String,
}

/// What became of the paths that an upload's reports name.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct PathsBody {
    /// Files in the list of the repository's files that came with the upload; without any, paths are taken as they are.
    network: u64,
    /// Paths that the reports name, counted for each report.
    named: u64,
    /// Paths that match no file of the repository, or several alike.
    unmatched: u64,
    /// Paths that the settings leave out.
    left_out: u64,
    /// How many of the unmatched paths were looked into.
    examined: u64,
    /// Of these, how many the rules would mend.
    mended: u64,
    /// Lines for `fixes` of the codecov.yml, in their order.
    rules: Vec<RuleBody>,
    /// Paths that no rule would mend, by folder, most first; at most 20 groups.
    unmended: Vec<PathGroupBody>,
    /// Paths that the settings leave out, by pattern, most first; at most 20 groups.
    left_out_by: Vec<PathGroupBody>,
}

/// A line for `fixes`.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct RuleBody {
    /// As it stands there, `before::after`.
    fix: String,
    /// Unmatched paths that it speaks of.
    paths: u64,
    /// Of these, how many it would mend.
    mended: u64,
    /// Some of those.
    examples: Vec<MendedBody>,
}

/// A path, and the file that it would become.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct MendedBody {
    /// As a report names it.
    path: String,
    /// The file of the repository.
    becomes: String,
}

/// Paths that have something in common.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct PathGroupBody {
    /// Their folder, empty for the top; or the pattern that leaves them out.
    name: String,
    /// How many they are.
    paths: u64,
    /// Some of them.
    examples: Vec<String>,
}

/// `GET …/uploads/{upload}/paths`: which paths of an upload match nothing, and the `fixes` that would mend them.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/commits/{sha}/uploads/{upload}/paths", tag = "commits",
    params(CommitKey, UploadKey),
    responses((status = 200, body = PathsBody), (status = 404, body = Detail)))]
pub async fn get_paths(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<CommitKey>,
    Path(UploadKey { upload: name }): Path<UploadKey>,
) -> Result<Json<PathsBody>> {
    let (mut conn, _, commit) = readable_commit(&app, viewer, &key).await?;
    let upload = find_upload(&mut conn, &name)
        .await?
        .filter(|upload| upload.commit_id == commit.id)
        .ok_or_else(|| Error::not_found(format!("The commit has no upload {name}.")))?;
    let step = find_step(&mut conn, upload.id, "parsed").await?;
    let detail = step.and_then(|step| step.detail);
    let mut detail = detail.as_deref().map_or(Ok(Value::Null), stored_json)?;
    let Some(paths) = detail.get_mut("paths").map(Value::take) else {
        let detail = format!("The paths of upload {name} are not known: it was not read.");
        return Err(Error::not_found(detail));
    };
    let body = serde_json::from_value(paths);
    Ok(Json(
        body.map_err(|e| engine::Error::corrupt("stored paths", e))?,
    ))
}
