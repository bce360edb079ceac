//! GitHub, and GitHub Enterprise. Source: GitHub's REST API, version 2022-11-28.

use std::collections::HashSet;

use async_trait::async_trait;
use engine::db::pulls::PullState;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::http::{self, Http};
use crate::patch::{Change, FilePatch, diff};
use crate::{Author, Commit, Comparison, Entry, Provider, Pull, RepoName, Settings};

const JSON: &str = "application/vnd.github.v3+json";
const DIFF: &str = "application/vnd.github.v3.diff";
const RAW: &str = "application/vnd.github.v3.raw";
/// Files that a comparison lists at most; of more, the diff itself must be asked for.
const COMPARED_FILES: usize = 300;
/// Pages of a pull request's commits, of 100 each.
const COMMIT_PAGES: u32 = 3;
/// Commits of a page.
const PAGE: usize = 100;

pub(crate) struct GitHub(Http);

impl GitHub {
    pub(crate) fn new(settings: &Settings) -> Result<GitHub> {
        let http = Http::new(&settings.api_url, "token", settings.key.as_ref())?;
        Ok(GitHub(http))
    }

    /// The commit that a pull request really starts from: the first ancestor of its head that is not part of it.
    async fn start_of(&self, pull: &str, head: &str) -> Result<Option<String>> {
        let mut commits: Vec<CommitJson> = Vec::new();
        for page in 1..=COMMIT_PAGES {
            let page = page.to_string();
            let query = [("per_page", "100"), ("page", &page)];
            let found: Vec<CommitJson> = self
                .0
                .json(&format!("{pull}/commits"), &query, JSON)
                .await?;
            let is_last = found.len() < PAGE;
            commits.extend(found);
            if is_last {
                break;
            }
        }
        let own: HashSet<&str> = commits.iter().map(|commit| &*commit.sha).collect();
        let mut at = head;
        for _ in 0..commits.len() {
            let Some(commit) = commits.iter().find(|commit| commit.sha == at) else {
                return Ok(None);
            };
            let Some(parent) = commit.parents.first() else {
                return Ok(None);
            };
            if !own.contains(&*parent.sha) {
                return Ok(Some(parent.sha.clone()));
            }
            at = &parent.sha;
        }
        Ok(None)
    }
}

fn of(repo: &RepoName) -> String {
    format!(
        "/repos/{}/{}",
        http::part(&repo.owner),
        http::part(&repo.name)
    )
}

#[derive(Deserialize)]
struct CompareJson {
    #[serde(default)]
    files: Vec<FileJson>,
    #[serde(default)]
    commits: Vec<CommitJson>,
    base_commit: Option<CommitJson>,
}

#[derive(Deserialize)]
struct FileJson {
    filename: String,
    previous_filename: Option<String>,
    status: String,
    #[serde(default)]
    changes: u64,
    patch: Option<String>,
}

impl FileJson {
    /// Whether its lines are left out because they are many.
    fn is_cut(&self) -> bool {
        self.patch.is_none() && self.changes > 0
    }
}

impl From<FileJson> for FilePatch {
    fn from(file: FileJson) -> FilePatch {
        FilePatch {
            change: match file.status.as_str() {
                "added" => Change::New,
                "removed" => Change::Deleted,
                _ => Change::Modified,
            },
            before: file
                .previous_filename
                .unwrap_or_else(|| file.filename.clone()),
            after: file.filename,
            hunks: file.patch,
        }
    }
}

#[derive(Deserialize)]
struct CommitJson {
    sha: String,
    commit: Option<GitJson>,
    author: Option<UserJson>,
    #[serde(default)]
    parents: Vec<ShaJson>,
}

#[derive(Deserialize)]
struct GitJson {
    message: Option<String>,
    author: Option<PersonJson>,
    committer: Option<PersonJson>,
}

#[derive(Deserialize)]
struct PersonJson {
    name: Option<String>,
    email: Option<String>,
    date: Option<String>,
}

#[derive(Deserialize)]
struct UserJson {
    id: Option<i64>,
    login: Option<String>,
}

#[derive(Deserialize)]
struct ShaJson {
    sha: String,
}

impl From<CommitJson> for Commit {
    fn from(json: CommitJson) -> Commit {
        let (message, author, committer) = match json.commit {
            Some(git) => (git.message, git.author, git.committer),
            None => (None, None, None),
        };
        let date = committer.and_then(|person| person.date);
        let user = json.author;
        let (name, email) = author.map_or((None, None), |person| (person.name, person.email));
        Commit {
            sha: json.sha,
            message,
            timestamp_us: date.as_deref().and_then(http::time_us),
            author: Author {
                id: user
                    .as_ref()
                    .and_then(|user| user.id)
                    .map(|id| id.to_string()),
                username: user.and_then(|user| user.login),
                name,
                email,
            },
            parents: json.parents.into_iter().map(|parent| parent.sha).collect(),
        }
    }
}

#[derive(Deserialize)]
struct PullJson {
    title: Option<String>,
    state: String,
    #[serde(default)]
    merged: bool,
    base: EndJson,
    head: EndJson,
    user: Option<UserJson>,
}

#[derive(Deserialize)]
struct EndJson {
    sha: String,
    #[serde(rename = "ref")]
    branch: Option<String>,
}

#[derive(Deserialize)]
struct ContentJson {
    #[serde(default)]
    content: String,
    #[serde(default)]
    encoding: String,
}

#[derive(Deserialize)]
struct EntryJson {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[async_trait]
impl Provider for GitHub {
    async fn compare(&self, repo: &RepoName, base: &str, head: &str) -> Result<Comparison> {
        let (base, head) = (http::part(base), http::part(head));
        let path = format!("{}/compare/{base}...{head}", of(repo));
        let json: CompareJson = self.0.json(&path, &[], JSON).await?;
        let is_cut = json.files.len() >= COMPARED_FILES || json.files.iter().any(FileJson::is_cut);
        let whole = match is_cut {
            true => self.0.text(&path, &[], DIFF).await.ok(),
            false => None,
        };
        let newest_first = json.commits.into_iter().rev().chain(json.base_commit);
        let files = || {
            json.files
                .into_iter()
                .map(FilePatch::from)
                .collect::<Vec<_>>()
        };
        Ok(Comparison {
            commits: newest_first.map(Commit::from).collect(),
            diff: whole.unwrap_or_else(|| diff(&files())),
        })
    }

    async fn commit(&self, repo: &RepoName, sha: &str) -> Result<Commit> {
        let path = format!("{}/commits/{}", of(repo), http::part(sha));
        match self.0.json::<CommitJson>(&path, &[], JSON).await {
            // What cannot be a commit at all is refused so.
            Err(Error::Refused {
                status: 422,
                message,
            }) => Err(Error::NotFound(message)),
            found => found.map(Commit::from),
        }
    }

    async fn pull(&self, repo: &RepoName, number: i64) -> Result<Pull> {
        let path = format!("{}/pulls/{number}", of(repo));
        let json: PullJson = self.0.json(&path, &[], JSON).await?;
        let start = self.start_of(&path, &json.head.sha).await?;
        let state = match json.state.as_str() {
            _ if json.merged => PullState::Merged,
            "open" => PullState::Open,
            _ => PullState::Closed,
        };
        Ok(Pull {
            title: json.title,
            state,
            base_sha: Some(start.unwrap_or(json.base.sha)),
            base_branch: json.base.branch,
            head_sha: Some(json.head.sha),
            author: json.user.map_or_else(Author::default, |user| Author {
                id: user.id.map(|id| id.to_string()),
                username: user.login,
                ..Author::default()
            }),
        })
    }

    async fn file(&self, repo: &RepoName, path: &str, at: &str) -> Result<String> {
        let path = format!("{}/contents/{}", of(repo), http::path(path));
        let json: ContentJson = self.0.json(&path, &[("ref", at)], JSON).await?;
        match json.encoding.as_str() {
            "base64" => http::base64_text(&json.content),
            // Larger than a megabyte.
            _ => self.0.text(&path, &[("ref", at)], RAW).await,
        }
    }

    async fn list(&self, repo: &RepoName, folder: &str, at: &str) -> Result<Vec<Entry>> {
        let path = match folder {
            "" => format!("{}/contents", of(repo)),
            folder => format!("{}/contents/{}", of(repo), http::path(folder)),
        };
        let entries: Vec<EntryJson> = self.0.json(&path, &[("ref", at)], JSON).await?;
        let entry = |entry: EntryJson| Entry {
            is_folder: entry.kind == "dir",
            path: entry.path,
        };
        Ok(entries.into_iter().map(entry).collect())
    }
}
