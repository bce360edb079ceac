//! The table of contents of `/api/v2`, and what its resources share.

pub mod etag;
pub mod fields;
pub mod params;
pub mod report;
pub mod totals;

use std::collections::HashMap;

use axum::extract::DefaultBodyLimit;
use axum::routing::{any, delete, get, post, put};
use axum::{Json, Router};
use engine::db::Conn;
use engine::db::branches::find_branch;
use engine::db::commits::{Commit, find_commit};
use engine::db::repos::Repo;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    branches, commits, compare, components, docs, events, exports, flags, journal, lines, paths,
    pulls, reports, repos, test_analytics, tokens, trend, users, verdicts, what_if, yamls,
};
use crate::app::App;
use crate::error::{Error, Result};
use crate::openapi;

/// Every read of the REST API. Paths stand without a trailing slash.
pub fn routes() -> Router<App> {
    Router::new()
        .merge(compare_routes())
        .route("/api/v2/schema", get(get_schema))
        .route("/api/v2/docs", get(docs::get_docs))
        .route(
            "/api/v2/tokens",
            get(tokens::list_tokens).post(tokens::create_token),
        )
        .route("/api/v2/tokens/{id}", delete(tokens::revoke_token))
        .route("/api/v2/{service}", get(repos::list_owners))
        .route("/api/v2/{service}/{owner}", get(repos::get_owner))
        .route("/api/v2/{service}/{owner}/users", get(users::list_users))
        .route(
            "/api/v2/{service}/{owner}/users/{user}",
            get(users::get_user).patch(users::set_user),
        )
        .route(
            "/api/v2/{service}/{owner}/user-sessions",
            get(users::list_sessions),
        )
        .route("/api/v2/{service}/{owner}/repos", get(repos::list_repos))
        .route(&in_repo(""), get(repos::get_repo))
        .route(&in_repo("/config"), get(repos::get_config))
        .route(&in_repo("/pulls"), get(pulls::list_pulls))
        .route(&in_repo("/pulls/{number}"), get(pulls::get_pull))
        .route(&in_repo("/test-results"), any(test_analytics::moved))
        .route(
            &in_repo("/test-results/{*rest}"),
            any(test_analytics::moved),
        )
        .route(&in_repo("/test-analytics"), get(test_analytics::list_runs))
        .route(&in_repo("/evals/summary"), get(test_analytics::summarise))
        .route(&in_repo("/evals/compare"), get(test_analytics::compare))
        .route(&in_repo("/branches"), get(branches::list_branches))
        .route(&in_repo("/branches/{*name}"), get(branches::get_branch))
        .route(&in_repo("/commits"), get(commits::list_commits))
        .route(&in_repo("/commits/{sha}"), get(commits::get_commit))
        .route(&in_repo("/commits/{sha}/status"), get(commits::get_status))
        .route(
            &in_repo("/commits/{sha}/uploads"),
            get(commits::list_uploads),
        )
        .route(
            &in_repo("/commits/{sha}/uploads/{upload}/paths"),
            get(paths::get_paths),
        )
        .route(
            &in_repo("/commits/{sha}/uploads/{upload}/verdict"),
            get(verdicts::get_verdict),
        )
        .route(
            &in_repo("/commits/{sha}/export/{format}"),
            get(exports::get_export),
        )
        .route(&in_repo("/commits/{sha}/events"), get(events::get_events))
        .route(
            &in_repo("/commits/{sha}/lines/{*path}"),
            get(lines::get_provenance),
        )
        .route(&in_repo("/lines/{*rest}"), get(lines::get_history))
        .route(&in_repo("/commits/{sha}/journal"), get(journal::list_steps))
        .route(&in_repo("/commits/{sha}/yaml"), get(yamls::get_commit_yaml))
        .route(&in_repo("/commits/{sha}/what-if"), post(what_if::ask))
        .route(
            "/api/v2/{service}/{owner}/yaml",
            get(yamls::get_owner_yaml)
                .put(yamls::put_owner_yaml)
                .delete(yamls::delete_owner_yaml),
        )
        .route(
            &in_repo("/yaml"),
            get(yamls::get_repo_yaml)
                .put(yamls::put_repo_yaml)
                .delete(yamls::delete_repo_yaml),
        )
        .route(&in_repo("/coverage"), get(trend::get_trend))
        .route(&in_repo("/flags"), get(flags::list_flags))
        .route(
            &in_repo("/flags/{*flag}"),
            get(flags::get_trend)
                .put(flags::restore_flag)
                .delete(flags::delete_flag),
        )
        .route(&in_repo("/components"), get(components::list_components))
        .route(&in_repo("/totals"), get(reports::get_totals))
        .route(&in_repo("/report"), get(reports::get_report))
        .route(&in_repo("/report/tree"), get(reports::get_tree))
        .route(&in_repo("/file_report/{*path}"), get(reports::get_file))
}

/// Comparison of two commits.
fn compare_routes() -> Router<App> {
    Router::new()
        .route(
            &in_repo("/compare/diff"),
            put(compare::put_diff).layer(DefaultBodyLimit::max(compare::DIFF_MAX_BYTES)),
        )
        .route(&in_repo("/compare"), get(compare::get_compare))
        .route(&in_repo("/compare/bulk"), post(compare::compare_many))
        .route(&in_repo("/compare/flags"), get(compare::get_flags))
        .route(
            &in_repo("/compare/components"),
            get(compare::get_components),
        )
        .route(
            &in_repo("/compare/impacted_files"),
            get(compare::get_impacted_files),
        )
        .route(&in_repo("/compare/file/{*path}"), get(compare::get_file))
        .route(
            &in_repo("/compare/segments/{*path}"),
            get(compare::get_segments),
        )
}

fn in_repo(rest: &str) -> String {
    format!("/api/v2/{{service}}/{{owner}}/repos/{{repo}}{rest}")
}

/// `GET /api/v2/schema`: this API as OpenAPI.
async fn get_schema() -> Json<utoipa::openapi::OpenApi> {
    Json(openapi::document())
}

/// Names an owner.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OwnerKey {
    /// The provider: `github`, `gitlab`, `bitbucket`, `github_enterprise`, `gitlab_enterprise`,
    /// `bitbucket_server`, or short `gh`, `gl`, `bb`, `ghe`, `gle`, `bbs`.
    pub service: String,
    /// The owner's name in any case; a group within a group is `group:subgroup`.
    pub owner: String,
}

/// Names a repository.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct RepoKey {
    /// The provider, by its long or short name.
    pub service: String,
    /// The owner's name, in any case.
    pub owner: String,
    /// The repository's name, in any case.
    pub repo: String,
}

/// Names a commit.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct CommitKey {
    /// The provider, by its long or short name.
    pub service: String,
    /// The owner's name, in any case.
    pub owner: String,
    /// The repository's name, in any case.
    pub repo: String,
    /// The commit's whole hash.
    pub sha: String,
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
pub struct Detail {
    /// In words for people.
    pub detail: String,
}

/// There is no such thing, or no such path.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum NotFound {
    /// No such thing.
    Thing(Detail),
    /// No such path.
    Path {
        /// In words for people.
        error: String,
    },
}

/// What is wrong with single fields of a body or a query, by their names.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"state": ["Select a valid choice. x is not one of the available choices."]}))]
pub struct FieldErrors(pub HashMap<String, Vec<String>>);

/// What is wrong with an upload call: as a whole, or by the names of its fields.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum BadUpload {
    /// As a whole.
    List(Vec<String>),
    /// By fields.
    Fields(HashMap<String, Vec<String>>),
    /// It cannot be read.
    Detail(Detail),
}

/// The commit that a query means: of this hash, else the head of this branch, else of the default
/// branch. Errors: 404 naming what is unknown.
pub async fn find_meant_commit(
    conn: &mut Conn,
    repo: &Repo,
    sha: Option<&str>,
    branch: Option<&str>,
) -> Result<Commit> {
    if let Some(sha) = sha {
        return get_known_commit(conn, repo, sha).await;
    }
    let name = branch.unwrap_or(&repo.default_branch);
    match find_branch(conn, repo.id, name).await? {
        Some(branch) => get_known_commit(conn, repo, &branch.head).await,
        None => Err(Error::not_found(format!(
            "The branch '{name}' in not in our records. Please provide a valid branch name."
        ))),
    }
}

/// The commit of this hash. Errors: 404 naming it.
pub async fn get_known_commit(conn: &mut Conn, repo: &Repo, sha: &str) -> Result<Commit> {
    find_commit(conn, repo.id, sha).await?.ok_or_else(|| {
        Error::not_found(format!(
            "The commit {sha} is not in our records. Please specify valid commit."
        ))
    })
}
