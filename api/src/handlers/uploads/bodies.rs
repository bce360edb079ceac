//! The shapes of upload calls. Requests are read field by field, as clients spell them in several ways; here they are
//! described. Answers are made from these.

use std::collections::HashMap;

use engine::db::commits::Commit;
use engine::db::uploads::UploadState;
use engine::id::CommitId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::auth::upload::Target;
use crate::times;

/// Names a repository as uploaders do.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct SlugKey {
    /// The provider's long name.
    pub service: String,
    /// `owner::::repo`; groups within groups are joined by `:::`.
    #[param(example = "acme::::widgets")]
    pub slug: String,
}

/// Names a commit as uploaders do.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct SlugCommitKey {
    /// The provider's long name.
    pub service: String,
    /// `owner::::repo`; groups within groups are joined by `:::`.
    #[param(example = "acme::::widgets")]
    pub slug: String,
    /// The commit's whole hash.
    pub sha: String,
}

/// Names a report as uploaders do.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct SlugReportKey {
    /// The provider's long name.
    pub service: String,
    /// `owner::::repo`; groups within groups are joined by `:::`.
    #[param(example = "acme::::widgets")]
    pub slug: String,
    /// The commit's whole hash.
    pub sha: String,
    /// Always `default`.
    #[param(example = "default")]
    pub code: String,
}

/// A commit to make known.
#[derive(Deserialize, ToSchema)]
pub struct CommitRequest {
    /// Its hash in git.
    #[schema(min_length = 1, max_length = 1024)]
    pub commitid: String,
    /// The hash of its first parent.
    pub parent_commit_id: Option<String>,
    /// Its git branch.
    pub branch: Option<String>,
    /// The number of its pull request.
    pub pullid: Option<i64>,
    /// How many uploads it will have; nobody is notified before they are there.
    #[schema(minimum = 1)]
    pub expected_uploads: Option<i64>,
}

/// A report to make known.
#[derive(Deserialize, ToSchema)]
pub struct ReportRequest {
    /// Always `default`.
    pub code: Option<String>,
}

/// An upload to announce.
#[derive(Deserialize, ToSchema)]
pub struct UploadRequest {
    /// The CI's word, as `github-actions`.
    pub ci_service: Option<String>,
    /// The CI's page of the build.
    pub ci_url: Option<String>,
    /// The CI's name of the job.
    pub job_code: Option<String>,
    /// What to call it.
    pub name: Option<String>,
    /// Its flags.
    pub flags: Option<Vec<String>>,
    /// Environment values that tell builds apart.
    pub env: Option<HashMap<String, Option<String>>>,
    /// The uploading program's version.
    pub version: Option<String>,
    /// How often the CI has run the build, from 1. An upload of a newer attempt takes the place of an older one of the same
    /// build, job, name and flags.
    #[schema(minimum = 1)]
    pub attempt: Option<i64>,
}

/// A commit and an upload of it at once.
#[derive(Deserialize, ToSchema)]
pub struct CommitUploadRequest {
    /// The commit.
    #[serde(flatten)]
    pub commit: CommitRequest,
    /// The upload.
    #[serde(flatten)]
    pub upload: UploadRequest,
}

/// A commit that needs no coverage.
#[derive(Deserialize, ToSchema)]
pub struct EmptyRequest {
    /// Whether it passes whatever it changes.
    pub should_force: Option<bool>,
}

/// A commit as uploaders see it.
#[derive(Serialize, ToSchema)]
pub struct KnownCommit {
    /// Its message.
    pub message: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub timestamp: String,
    /// Whether the other checks passed.
    pub ci_passed: Option<bool>,
    /// `complete`, `pending`, `error` or `skipped`.
    pub state: Option<String>,
    /// Its repository.
    pub repository: KnownRepo,
    /// Always null.
    #[schema(value_type = Option<String>)]
    pub author: Value,
    /// Its hash in git.
    pub commitid: String,
    /// The hash of its first parent.
    pub parent_commit_id: Option<String>,
    /// The number of its pull request.
    pub pullid: Option<i64>,
    /// Its git branch.
    pub branch: Option<String>,
}

/// A repository as uploaders see it.
#[derive(Serialize, ToSchema)]
pub struct KnownRepo {
    /// The name in URLs.
    pub name: String,
    /// Whether only some may see it.
    pub is_private: bool,
    /// Whether it has received an upload.
    pub active: bool,
    /// The main programming language.
    pub language: Option<String>,
    /// Always null.
    #[schema(value_type = Option<String>)]
    pub yaml: Value,
}

impl KnownCommit {
    /// The commit, and its repository.
    pub fn new(target: &Target, commit: &Commit) -> KnownCommit {
        let repo = &target.repo;
        KnownCommit {
            message: commit.message.clone(),
            timestamp: times::iso(commit.timestamp_us),
            ci_passed: commit.ci_passed,
            state: commit.state.map(|state| state.to_string()),
            repository: KnownRepo {
                name: repo.name.clone(),
                is_private: repo.private,
                active: repo.active,
                language: repo.language.clone(),
                yaml: Value::Null,
            },
            author: Value::Null,
            commitid: commit.sha.clone(),
            parent_commit_id: commit.parent_sha.clone(),
            pullid: commit.pull_id,
            branch: commit.branch.clone(),
        }
    }
}

/// A report that is now known.
#[derive(Serialize, ToSchema)]
pub struct KnownReport {
    /// Its id.
    #[schema(value_type = String)]
    pub external_id: CommitId,
    /// Now.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Its commit.
    pub commit_sha: String,
    /// Always null.
    pub code: Option<String>,
}

/// An upload that is now known: its bytes go to `raw_upload_location`, by PUT.
#[derive(Serialize, ToSchema)]
pub struct AnnouncedUpload {
    /// The id by which to ask for it.
    pub external_id: String,
    /// Now.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// The URL that takes its bytes; the signature in it is all that it needs.
    pub raw_upload_location: String,
    /// `started`: its bytes are awaited.
    #[schema(value_type = String)]
    pub state: UploadState,
    /// The CI's word.
    pub provider: Option<String>,
    /// `uploaded`.
    pub upload_type: &'static str,
    /// The page that shows its commit.
    pub url: String,
    /// The CI's page of the build.
    pub ci_url: Option<String>,
    /// Its flags.
    pub flags: Vec<String>,
    /// Environment values.
    pub env: Option<Value>,
    /// What it is called.
    pub name: Option<String>,
    /// The CI's name of the job.
    pub job_code: Option<String>,
}

/// An upload that is now known, with its commit: its bytes go to `raw_upload_location`, by PUT.
#[derive(Serialize, ToSchema)]
pub struct AnnouncedCoverage {
    /// The id by which to ask for it.
    pub external_id: String,
    /// Now.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// The URL that takes its bytes; the signature in it is all that it needs.
    pub raw_upload_location: String,
    /// The page that shows its commit.
    pub url: String,
}

/// What was decided of a commit that needs no coverage.
#[derive(Serialize, ToSchema)]
pub struct EmptyResult {
    /// In words for people.
    pub result: &'static str,
    /// Changed files that would need coverage.
    pub non_ignored_files: Vec<String>,
}

/// How a commit's uploads stand.
#[derive(Serialize, ToSchema)]
pub struct UploadsStanding {
    /// All of them.
    pub uploads_total: i64,
    /// Those that are counted.
    pub uploads_success: i64,
    /// Those that are not yet.
    pub uploads_processing: i64,
    /// Those that yield nothing.
    pub uploads_error: i64,
}

/// Results that the client made itself, which nobody does any more.
#[derive(Serialize, ToSchema)]
pub struct OldResults {
    /// Always `completed`.
    pub state: &'static str,
    /// What became of it.
    pub result: OldResult,
}

/// What became of results.
#[derive(Serialize, ToSchema)]
pub struct OldResult {
    /// Always `deprecated`.
    pub state: &'static str,
    /// In words for people.
    pub message: &'static str,
}

/// Test results to announce.
#[derive(Deserialize, ToSchema)]
pub struct TestResultsRequest {
    /// The commit's hash.
    #[schema(min_length = 1, max_length = 1024)]
    pub commit: String,
    /// `owner::::repo`.
    pub slug: String,
    /// The provider.
    pub service: Option<String>,
    /// The commit's branch.
    pub branch: Option<String>,
    /// The number of its pull request.
    pub pr: Option<i64>,
    /// The CI's name of the build.
    pub build: Option<String>,
    /// The CI's page of the build; also `ci_url`.
    #[serde(rename = "buildUrl")]
    pub build_url: Option<String>,
    /// The CI's name of the job; also `job_code`.
    pub code: Option<String>,
    /// Its flags.
    pub flags: Option<Vec<String>>,
    /// The client found none: nothing is to come.
    pub file_not_found: Option<bool>,
}

/// Where the bytes of test results go.
#[derive(Serialize, ToSchema)]
pub struct AnnouncedResults {
    /// The URL that takes them, by PUT.
    pub raw_upload_location: String,
}

/// Statistics of a bundle to announce.
#[derive(Deserialize, ToSchema)]
pub struct BundleRequest {
    /// The commit's hash.
    #[schema(min_length = 1, max_length = 1024)]
    pub commit: String,
    /// `owner::::repo`.
    pub slug: String,
    /// The CI's word.
    pub service: Option<String>,
    /// The provider, where no token says it.
    pub git_service: Option<String>,
    /// The commit's branch.
    pub branch: Option<String>,
    /// The number of its pull request.
    pub pr: Option<i64>,
    /// The CI's name of the build.
    pub build: Option<String>,
    /// The CI's page of the build.
    #[serde(rename = "buildURL")]
    pub build_url: Option<String>,
    /// The CI's name of the job.
    pub job: Option<String>,
}

/// Where the bytes of bundle statistics go.
#[derive(Serialize, ToSchema)]
pub struct AnnouncedBundle {
    /// The URL that takes them, by PUT.
    pub url: String,
}
