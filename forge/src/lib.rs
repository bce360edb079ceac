//! Where code lives: clients of GitHub, GitLab and Bitbucket.
//!
//! Each provider answers the same few questions: what differs between two commits, what a commit, a pull request, a
//! file or a folder is. Nothing here knows a database table, or who asks.

mod bitbucket;
mod codecov_yml;
mod error;
mod github;
mod gitlab;
mod http;
mod patch;

use std::sync::Arc;

use async_trait::async_trait;
use engine::db::pulls::PullState;
use engine::secret::Secret;

pub use codecov_yml::find_codecov_yml;
pub use error::{Error, Result};

/// The questions that a provider answers. Calls take as long as the provider does, within a bound; each is repeated when
/// it failed for a passing reason.
#[async_trait]
pub trait Provider: Send + Sync {
    /// What `head` changes since it left `base`.
    async fn compare(&self, repo: &RepoName, base: &str, head: &str) -> Result<Comparison>;

    /// One commit, by its hash.
    async fn commit(&self, repo: &RepoName, sha: &str) -> Result<Commit>;

    /// One pull request (merge request), by its number.
    async fn pull(&self, repo: &RepoName, number: i64) -> Result<Pull>;

    /// The text of a file at a commit.
    async fn file(&self, repo: &RepoName, path: &str, at: &str) -> Result<String>;

    /// What stands in a folder at a commit, in the provider's order; an empty name is the top.
    async fn list(&self, repo: &RepoName, folder: &str, at: &str) -> Result<Vec<Entry>>;
}

/// Names a repository.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RepoName {
    /// Its owner; a group within a group is `group:subgroup`.
    pub owner: String,
    /// Its name.
    pub name: String,
}

/// What one commit changes since another.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Comparison {
    /// The changes as `git diff` writes them.
    pub diff: String,
    /// The commits between the two, newest first; behind them the base, where the provider tells it.
    pub commits: Vec<Commit>,
}

/// One commit.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Commit {
    /// Its hash.
    pub sha: String,
    /// Its message.
    pub message: Option<String>,
    /// When it was made, microseconds since 1970.
    pub timestamp_us: Option<i64>,
    /// Who wrote it.
    pub author: Author,
    /// The hashes of its parents, the first first.
    pub parents: Vec<String>,
}

/// Who wrote a commit, or opened a pull request; what the provider does not tell is absent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Author {
    /// The provider's id.
    pub id: Option<String>,
    /// The name in URLs.
    pub username: Option<String>,
    /// The name for people.
    pub name: Option<String>,
    /// The address that the commit names.
    pub email: Option<String>,
}

/// One pull request.
#[derive(Clone, PartialEq, Debug)]
pub struct Pull {
    /// Its title.
    pub title: Option<String>,
    /// Where it is in its life.
    pub state: PullState,
    /// The commit that it starts from.
    pub base_sha: Option<String>,
    /// The branch that it is to be merged into.
    pub base_branch: Option<String>,
    /// Its newest commit.
    pub head_sha: Option<String>,
    /// Who opened it.
    pub author: Author,
}

/// A file or folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its path in the repository.
    pub path: String,
    /// Whether it is a folder.
    pub is_folder: bool,
}

/// Which API a provider has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// GitHub's, also of GitHub Enterprise.
    GitHub,
    /// GitLab's.
    GitLab,
    /// Bitbucket Cloud's.
    Bitbucket,
}

/// How a provider is reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which API it has.
    pub kind: Kind,
    /// The URL of the API, without a trailing slash.
    pub api_url: String,
    /// The token of the account that reads; public repositories may be read without one.
    pub key: Option<Secret>,
}

/// A client of that provider. Errors: `Settings` for a URL or token that HTTP cannot carry.
pub fn connect(settings: &Settings) -> Result<Arc<dyn Provider>> {
    Ok(match settings.kind {
        Kind::GitHub => Arc::new(github::GitHub::new(settings)?),
        Kind::GitLab => Arc::new(gitlab::GitLab::new(settings)?),
        Kind::Bitbucket => Arc::new(bitbucket::Bitbucket::new(settings)?),
    })
}
