//! Settings: what an owner, a repository and a commit say, and what holds.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use engine::codecov_yml::YamlError;
use engine::db::yamls::{find_owner_yaml, get_repo_yamls, get_yaml, list_commit_errors};
use ingest::yamls::{Scope, delete_yaml, store_yaml};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::commits::{readable_commit, stored_json};
use super::rest::{CommitKey, Detail, OwnerKey, RepoKey};
use crate::app::App;
use crate::auth::admin::Admin;
use crate::auth::viewer::Viewer;
use crate::error::{Error, Result};

/// Keys of notifications whose values are nobody's but the owner's.
const SECRETS: [&str; 4] = ["url", "password", "nickserv_password", "to"];
/// What is shown in their place.
const HIDDEN: &str = "(secret)";

/// The `codecov.yml` of an owner or a repository.
#[derive(Serialize, ToSchema)]
pub struct YamlBody {
    /// As it was written; null where there is none.
    pub yaml: Option<String>,
    /// In its final form; null where there is none.
    #[schema(value_type = Option<Object>)]
    pub parsed: Option<Value>,
    /// The commit that it was taken from; null where it was given by itself.
    pub sha: Option<String>,
}

/// Why a text is no `codecov.yml`.
#[derive(Serialize, ToSchema)]
pub struct InvalidYaml {
    /// All that is wrong, for people.
    pub detail: String,
    /// What is wrong, one by one.
    pub issues: Vec<YamlIssue>,
}

/// What is wrong with a call that brings settings.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum BadSettings {
    /// The text is no `codecov.yml`.
    Yaml(InvalidYaml),
    /// The call as a whole.
    List(Vec<String>),
}

/// One thing that is wrong with a `codecov.yml`.
#[derive(Serialize, ToSchema)]
pub struct YamlIssue {
    /// Keys and indexes on the way to it.
    pub path: Vec<String>,
    /// Its line, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub remedy: Option<String>,
}

/// What holds for a commit.
#[derive(Serialize, ToSchema)]
pub struct EffectiveBody {
    /// Keys and values in their final form. Secrets of notifications are left out.
    #[schema(value_type = Object)]
    pub yaml: Value,
    /// Per key, its parts joined with dots, who says so: `default`, `site`, `owner`, `repository` or `commit`.
    pub origin: BTreeMap<String, &'static str>,
    /// What is wrong with the commit's own file, if it is not used.
    pub errors: Vec<CommitErrorBody>,
}

/// What is wrong with a commit as a whole.
#[derive(Serialize, ToSchema)]
pub struct CommitErrorBody {
    /// For programs, as `invalid_yaml`.
    pub error_code: String,
    /// Of a file that is no `codecov.yml`: `location`, `line`, `message` and `remedy`.
    #[schema(value_type = Object)]
    pub error_params: Value,
}

/// `GET /api/v2/{service}/{owner}/yaml`: what an owner's repositories have in common.
#[utoipa::path(get, path = "/{service}/{owner}/yaml", tag = "settings", params(OwnerKey),
    responses((status = 200, body = YamlBody), (status = 401, body = Detail), (status = 403, body = Detail),
        (status = 404, body = Detail)))]
pub async fn get_owner_yaml(
    State(app): State<App>,
    admin: Admin,
    Path(key): Path<OwnerKey>,
) -> Result<Json<YamlBody>> {
    let owner = admin
        .changeable_owner(&app, &key.service, &key.owner)
        .await?;
    let text = find_owner_yaml(&mut app.db.read().await?, owner.id).await?;
    Ok(Json(YamlBody::new(text, None)))
}

/// `PUT /api/v2/{service}/{owner}/yaml`: the body is the text. It holds from the next upload on.
#[utoipa::path(put, path = "/{service}/{owner}/yaml", tag = "settings", params(OwnerKey),
    request_body(content = String, content_type = "application/yaml"),
    responses((status = 200, body = YamlBody), (status = 400, body = InvalidYaml), (status = 401, body = Detail),
        (status = 403, body = Detail), (status = 404, body = Detail)))]
pub async fn put_owner_yaml(
    State(app): State<App>,
    admin: Admin,
    Path(key): Path<OwnerKey>,
    body: Bytes,
) -> Result<Json<YamlBody>> {
    let owner = admin
        .changeable_owner(&app, &key.service, &key.owner)
        .await?;
    put(&app, Scope::Owner(owner.id), &body).await
}

/// `DELETE /api/v2/{service}/{owner}/yaml`. 204, again and again.
#[utoipa::path(delete, path = "/{service}/{owner}/yaml", tag = "settings", params(OwnerKey),
    responses((status = 204), (status = 401, body = Detail), (status = 403, body = Detail), (status = 404, body = Detail)))]
pub async fn delete_owner_yaml(
    State(app): State<App>,
    admin: Admin,
    Path(key): Path<OwnerKey>,
) -> Result<StatusCode> {
    let owner = admin
        .changeable_owner(&app, &key.service, &key.owner)
        .await?;
    delete(&app, Scope::Owner(owner.id)).await
}

/// `GET …/repos/{repo}/yaml`: what a repository says where a commit has no file of its own.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/yaml", tag = "settings", params(RepoKey),
    responses((status = 200, body = YamlBody), (status = 401, body = Detail), (status = 403, body = Detail),
        (status = 404, body = Detail)))]
pub async fn get_repo_yaml(
    State(app): State<App>,
    admin: Admin,
    Path(key): Path<RepoKey>,
) -> Result<Json<YamlBody>> {
    let repo = admin
        .changeable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    let mut conn = app.db.read().await?;
    let hashes = get_repo_yamls(&mut conn, repo.id).await?;
    let text = match &hashes.repo_hash {
        Some(hash) => Some(get_yaml(&mut conn, hash).await?),
        None => None,
    };
    Ok(Json(YamlBody::new(text, hashes.repo_sha)))
}

/// `PUT …/repos/{repo}/yaml`: the body is the text. A file in the repository takes its place with the next commit on
/// the default branch that brings one.
#[utoipa::path(put, path = "/{service}/{owner}/repos/{repo}/yaml", tag = "settings", params(RepoKey),
    request_body(content = String, content_type = "application/yaml"),
    responses((status = 200, body = YamlBody), (status = 400, body = InvalidYaml), (status = 401, body = Detail),
        (status = 403, body = Detail), (status = 404, body = Detail)))]
pub async fn put_repo_yaml(
    State(app): State<App>,
    admin: Admin,
    Path(key): Path<RepoKey>,
    body: Bytes,
) -> Result<Json<YamlBody>> {
    let repo = admin
        .changeable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    put(&app, Scope::Repo(repo.id), &body).await
}

/// `DELETE …/repos/{repo}/yaml`. 204, again and again.
#[utoipa::path(delete, path = "/{service}/{owner}/repos/{repo}/yaml", tag = "settings", params(RepoKey),
    responses((status = 204), (status = 401, body = Detail), (status = 403, body = Detail), (status = 404, body = Detail)))]
pub async fn delete_repo_yaml(
    State(app): State<App>,
    admin: Admin,
    Path(key): Path<RepoKey>,
) -> Result<StatusCode> {
    let repo = admin
        .changeable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    delete(&app, Scope::Repo(repo.id)).await
}

/// `GET …/commits/{sha}/yaml`: what holds for a commit, and who says so.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/commits/{sha}/yaml", tag = "settings", params(CommitKey),
    responses((status = 200, body = EffectiveBody), (status = 404, body = Detail)))]
pub async fn get_commit_yaml(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<CommitKey>,
) -> Result<Json<EffectiveBody>> {
    let (mut conn, _, commit) = readable_commit(&app, viewer, &key).await?;
    let effective = app.yamls.of_commit(&mut conn, commit.id).await?;
    let origin = effective.origin.iter();
    let errors = list_commit_errors(&mut conn, commit.id).await?.into_iter();
    Ok(Json(EffectiveBody {
        yaml: without_secrets(effective.yaml.clone()),
        origin: origin
            .map(|(key, source)| (key.clone(), source.as_str()))
            .collect(),
        errors: errors
            .map(|error| {
                Ok(CommitErrorBody {
                    error_code: error.code,
                    error_params: stored_json(&error.params)?,
                })
            })
            .collect::<Result<_>>()?,
    }))
}

impl YamlBody {
    fn new(yaml: Option<String>, sha: Option<String>) -> YamlBody {
        let parsed = yaml
            .as_deref()
            .and_then(|text| engine::codecov_yml::parse(text).ok());
        YamlBody {
            yaml,
            parsed: parsed.map(Value::Object),
            sha,
        }
    }
}

async fn put(app: &App, scope: Scope, body: &[u8]) -> Result<Json<YamlBody>> {
    let text = String::from_utf8_lossy(body).into_owned();
    let (yamls, now_us, written) = (app.yamls.clone(), app.clock.now_us(), text.clone());
    let stored = app.db.write(move |conn| {
        Box::pin(async move { store_yaml(conn, &yamls, scope, &written, now_us).await })
    });
    match stored.await? {
        Ok(_) => Ok(Json(YamlBody::new(Some(text), None))),
        Err(error) => Err(refusal(&error)),
    }
}

/// 400 with everything that is wrong.
pub(super) fn refusal(error: &YamlError) -> Error {
    let issues = match error {
        YamlError::Invalid(errors) => errors.issues(),
        _ => &[],
    };
    let issues = issues.iter().map(|issue| YamlIssue {
        path: issue.path.clone(),
        line: issue.line,
        message: issue.message.clone(),
        remedy: issue.remedy.clone(),
    });
    let body = InvalidYaml {
        detail: error.to_string(),
        issues: issues.collect(),
    };
    Error::Body(StatusCode::BAD_REQUEST, json!(body))
}

async fn delete(app: &App, scope: Scope) -> Result<StatusCode> {
    let now_us = app.clock.now_us();
    let deleted = app
        .db
        .write(move |conn| Box::pin(async move { delete_yaml(conn, scope, now_us).await }));
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The settings without what their owner alone should know.
fn without_secrets(mut yaml: Map<String, Value>) -> Value {
    if let Some(Value::Object(services)) =
        yaml.get_mut("coverage").and_then(|c| c.get_mut("notify"))
    {
        let titles = services.values_mut().filter_map(Value::as_object_mut);
        for settings in titles.flat_map(|titles| titles.values_mut()) {
            for key in SECRETS {
                if let Some(secret) = settings.get_mut(key) {
                    *secret = json!(HIDDEN);
                }
            }
        }
    }
    Value::Object(yaml)
}
