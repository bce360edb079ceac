//! GitLab. Source: GitLab's REST API, version 4.

use async_trait::async_trait;
use engine::db::pulls::PullState;
use serde::Deserialize;

use crate::error::Result;
use crate::http::{self, Http, PAGES};
use crate::patch::{Change, FilePatch, diff};
use crate::{Author, Commit, Comparison, Entry, Provider, Pull, RepoName, Settings};

const JSON: &str = "application/json";

pub(crate) struct GitLab(Http);

impl GitLab {
    pub(crate) fn new(settings: &Settings) -> Result<GitLab> {
        let http = Http::new(&settings.api_url, "Bearer", settings.key.as_ref())?;
        Ok(GitLab(http))
    }

    /// The user who has this address. A commit tells none itself; that nobody is found is no fault.
    async fn user(&self, search: &str) -> Option<UserJson> {
        let users: Result<Vec<UserJson>> = self.0.json("/users", &[("search", search)], JSON).await;
        users.ok()?.into_iter().next()
    }
}

/// The repository's path in the API; groups within groups are divided by slashes there.
fn of(repo: &RepoName) -> String {
    let slug = format!("{}/{}", repo.owner.replace(':', "/"), repo.name);
    format!("/projects/{}", http::part(&slug))
}

#[derive(Deserialize)]
struct CompareJson {
    #[serde(default)]
    diffs: Vec<FileJson>,
    #[serde(default)]
    commits: Vec<CommitJson>,
}

#[derive(Deserialize)]
struct FileJson {
    old_path: String,
    new_path: String,
    #[serde(default)]
    new_file: bool,
    #[serde(default)]
    deleted_file: bool,
    #[serde(default)]
    diff: String,
}

impl From<FileJson> for FilePatch {
    fn from(file: FileJson) -> FilePatch {
        let is_binary = file.diff.starts_with("Binary files");
        FilePatch {
            change: match (file.new_file, file.deleted_file) {
                (true, _) => Change::New,
                (_, true) => Change::Deleted,
                _ => Change::Modified,
            },
            before: file.old_path,
            after: file.new_path,
            hunks: (!is_binary).then_some(file.diff),
        }
    }
}

#[derive(Deserialize)]
struct CommitJson {
    id: String,
    message: Option<String>,
    author_name: Option<String>,
    author_email: Option<String>,
    committed_date: Option<String>,
    created_at: Option<String>,
    #[serde(default)]
    parent_ids: Vec<String>,
}

impl From<CommitJson> for Commit {
    fn from(json: CommitJson) -> Commit {
        let date = json.committed_date.or(json.created_at);
        Commit {
            sha: json.id,
            message: json.message,
            timestamp_us: date.as_deref().and_then(http::time_us),
            author: Author {
                id: None,
                username: None,
                name: json.author_name,
                email: json.author_email,
            },
            parents: json.parent_ids,
        }
    }
}

#[derive(Deserialize)]
struct UserJson {
    id: Option<i64>,
    username: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct PullJson {
    title: Option<String>,
    state: String,
    sha: Option<String>,
    target_branch: Option<String>,
    diff_refs: Option<RefsJson>,
    author: Option<UserJson>,
}

#[derive(Deserialize)]
struct RefsJson {
    base_sha: Option<String>,
}

#[derive(Deserialize)]
struct ContentJson {
    content: String,
}

#[derive(Deserialize)]
struct EntryJson {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[async_trait]
impl Provider for GitLab {
    async fn compare(&self, repo: &RepoName, base: &str, head: &str) -> Result<Comparison> {
        let path = format!("{}/repository/compare/", of(repo));
        let query = [("from", base), ("to", head)];
        let json: CompareJson = self.0.json(&path, &query, JSON).await?;
        let files: Vec<FilePatch> = json.diffs.into_iter().map(FilePatch::from).collect();
        Ok(Comparison {
            diff: diff(&files),
            commits: json.commits.into_iter().rev().map(Commit::from).collect(),
        })
    }

    async fn commit(&self, repo: &RepoName, sha: &str) -> Result<Commit> {
        let path = format!("{}/repository/commits/{}", of(repo), http::part(sha));
        let mut commit: Commit = self.0.json::<CommitJson>(&path, &[], JSON).await?.into();
        let search = commit.author.email.clone().or(commit.author.name.clone());
        if let Some(search) = search
            && let Some(user) = self.user(&search).await
        {
            commit.author.id = user.id.map(|id| id.to_string());
            commit.author.username = user.username;
        }
        Ok(commit)
    }

    async fn pull(&self, repo: &RepoName, number: i64) -> Result<Pull> {
        let path = format!("{}/merge_requests/{number}", of(repo));
        let json: PullJson = self.0.json(&path, &[], JSON).await?;
        let mut base_sha = json.diff_refs.and_then(|refs| refs.base_sha);
        if base_sha.is_none() {
            let commits = format!("{path}/commits");
            let commits: Vec<CommitJson> = self.0.json(&commits, &[], JSON).await?;
            let oldest = commits.into_iter().next_back();
            base_sha = oldest.and_then(|commit| commit.parent_ids.into_iter().next());
        }
        let state = match json.state.as_str() {
            "merged" => PullState::Merged,
            "opened" | "reopened" => PullState::Open,
            _ => PullState::Closed,
        };
        Ok(Pull {
            title: json.title,
            state,
            base_sha,
            base_branch: json.target_branch,
            head_sha: json.sha,
            author: json.author.map_or_else(Author::default, |user| Author {
                id: user.id.map(|id| id.to_string()),
                username: user.username,
                name: user.name,
                email: None,
            }),
        })
    }

    async fn file(&self, repo: &RepoName, path: &str, at: &str) -> Result<String> {
        let path = format!("{}/repository/files/{}", of(repo), http::part(path));
        let json: ContentJson = self.0.json(&path, &[("ref", at)], JSON).await?;
        http::base64_text(&json.content)
    }

    async fn list(&self, repo: &RepoName, folder: &str, at: &str) -> Result<Vec<Entry>> {
        let path = format!("{}/repository/tree", of(repo));
        let mut entries = Vec::new();
        let mut page = "1".to_owned();
        for _ in 0..PAGES {
            let query = [
                ("ref", at),
                ("path", folder),
                ("per_page", "100"),
                ("page", &*page),
            ];
            let reply = self.0.page(&path, &query).await?;
            let found: Vec<EntryJson> = http::parse(&reply.body)?;
            entries.extend(found.into_iter().map(|entry| Entry {
                is_folder: entry.kind == "tree",
                path: entry.path,
            }));
            let next = reply
                .headers
                .get("x-next-page")
                .and_then(|next| next.to_str().ok());
            match next.filter(|next| !next.is_empty()) {
                Some(next) => page = next.to_owned(),
                None => break,
            }
        }
        Ok(entries)
    }
}
