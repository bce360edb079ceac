//! Which two commits a request compares, and what is known of them before anything is compared.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use engine::db::Conn;
use engine::db::branches::find_branch;
use engine::db::commits::{Commit, find_commit, list_commits_of, list_parents};
use engine::db::diffs::StoredDiff;
use engine::db::owners::Owner;
use engine::db::pulls::{Pull, find_pull};
use engine::db::repos::Repo;
use engine::db::uploads::{UploadPack, list_packs};
use engine::diff::Diff;
use serde_json::{Map, Value, json};
use utoipa::IntoParams;

use super::super::commits::{CommitBody, read_owners};
use super::super::rest::RepoKey;
use super::super::rest::etag::Tag;
use super::super::rest::params::Params;
use super::super::rest::report::Packs;
use crate::app::App;
use crate::auth::viewer::Viewer;
use crate::base::{Base, Rule, choose_base};
use crate::diffs::{self, GitAuthor, GitCommit};
use crate::error::{Error, Result};
use crate::forges::name_of;
use crate::middleware::base::BaseUrl;
use crate::times::iso;

/// How long a request waits for the text of a file.
const SOURCE_WAIT: Duration = Duration::from_millis(1_500);
/// Commits between base and head that are listed where nobody else tells them.
const LISTED_COMMITS: i64 = 250;

/// Which commits to compare: those of a pull request, or any two.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CompareQuery {
    /// The number of a pull request; its base and head are compared.
    pullid: Option<i64>,
    /// The commit or branch that is compared with.
    base: Option<String>,
    /// The commit or branch that is compared.
    head: Option<String>,
    /// Only files that the diff names, or only those that it does not; for `compare/` alone.
    has_diff: Option<bool>,
}

impl CompareQuery {
    fn new(params: &Params) -> Result<CompareQuery> {
        Ok(CompareQuery {
            pullid: params.number("pullid")?,
            base: params.text("base"),
            head: params.text("head"),
            has_diff: yes_or_no(params, "has_diff")?,
        })
    }
}

/// A yes or a no in any usual spelling. Errors: 400 naming the parameter.
fn yes_or_no(params: &Params, name: &str) -> Result<Option<bool>> {
    let Some(text) = params.text(name) else {
        return Ok(None);
    };
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "t" | "true" | "on" | "1" => Ok(Some(true)),
        "n" | "no" | "f" | "false" | "off" | "0" => Ok(Some(false)),
        _ => Err(Error::Field(
            name.into(),
            format!("\"{text}\" is not a valid boolean; send true or false."),
        )),
    }
}

/// A request to compare two commits of a repository that its sender may read.
pub struct Asked {
    owner: Owner,
    repo: Repo,
    chosen: Base,
    head: Commit,
    base: BaseUrl,
    uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) has_diff: Option<bool>,
}

/// Two commits, with all that an answer about them is made from.
pub(super) struct Pair {
    pub(super) owner: Owner,
    pub(super) repo: Repo,
    pub(super) base: Commit,
    pub(super) head: Commit,
    pub(super) rule: Rule,
    /// The commit that the diff starts from, where it is not the base itself.
    pub(super) named: Option<String>,
    pub(super) base_uploads: Vec<UploadPack>,
    pub(super) head_uploads: Vec<UploadPack>,
    /// What leads from the base, or the commit that stands for it, to the head.
    pub(super) diff: KnownDiff,
    /// What leads from the base to the commit that the diff starts from.
    pub(super) shift: Option<StoredDiff>,
    /// The commits from head down to base.
    pub(super) git_commits: Vec<GitCommit>,
    /// Those of them that are known.
    pub(super) commits: Vec<CommitBody>,
}

/// What is known of the lines that differ.
pub(super) enum KnownDiff {
    /// Base and head are one commit.
    None,
    /// A diff was given or fetched.
    Stored(StoredDiff),
    /// Nobody told.
    Unknown,
}

impl KnownDiff {
    fn of(same: bool, stored: Option<StoredDiff>) -> KnownDiff {
        match stored {
            _ if same => KnownDiff::None,
            Some(stored) => KnownDiff::Stored(stored),
            None => KnownDiff::Unknown,
        }
    }

    /// The stored one.
    pub(super) fn stored(&self) -> Option<&StoredDiff> {
        match self {
            KnownDiff::Stored(stored) => Some(stored),
            _ => None,
        }
    }

    /// Whether it is known which lines differ.
    pub(super) fn is_known(&self) -> bool {
        !matches!(self, KnownDiff::Unknown)
    }

    /// Reads the diff; an unknown one names no file.
    pub(super) async fn read(&self, app: &App) -> engine::Result<Arc<Diff>> {
        match self {
            KnownDiff::Stored(stored) => diffs::read(app, stored).await,
            _ => Ok(Arc::default()),
        }
    }
}

impl Pair {
    /// The text of a file in head, where the provider tells it in time.
    pub(super) async fn source(&self, app: &App, path: &str) -> Option<String> {
        let provider = app.forges.of(&self.owner)?;
        let name = name_of(&self.owner, &self.repo);
        let asked = provider.file(&name, path, &self.head.sha);
        match tokio::time::timeout(SOURCE_WAIT, asked).await {
            Ok(Ok(text)) => Some(text),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the git provider does not tell a file");
                None
            }
            Err(_) => None,
        }
    }
}

impl FromRequestParts<App> for Asked {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Asked> {
        let viewer = Viewer::from_request_parts(parts, app).await?;
        let key = Path::<RepoKey>::from_request_parts(parts, app).await;
        let Path(key) = key.map_err(|e| Error::List(e.body_text()))?;
        let base = BaseUrl::from_request_parts(parts, app).await?;
        let (owner, repo) = viewer
            .readable_repo(app, &key.service, &key.owner, &key.repo)
            .await?;
        let query = CompareQuery::new(&Params::of(&parts.uri))?;
        let mut conn = app.db.read().await?;
        let (chosen, head) = match query.pullid {
            Some(number) => of_pull(app, &mut conn, &repo, number).await?,
            None => of_refs(&mut conn, &repo, &query).await?,
        };
        Ok(Asked {
            owner,
            repo,
            chosen,
            head,
            base,
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
            has_diff: query.has_diff,
        })
    }
}

async fn of_pull(app: &App, conn: &mut Conn, repo: &Repo, number: i64) -> Result<(Base, Commit)> {
    let pull: Pull = find_pull(conn, repo.id, number)
        .await?
        .ok_or_else(|| Error::not_found("No Pull matches the given query."))?;
    let missing = || Error::not_found("Sorry, we are missing a commit for that pull request.");
    let head = match &pull.head_sha {
        Some(sha) => find_commit(conn, repo.id, sha).await?,
        None => None,
    };
    let head = head.ok_or_else(missing)?;
    let base = choose_base(&app.yamls, conn, repo, &pull, &head).await?;
    Ok((base.ok_or_else(missing)?, head))
}

async fn of_refs(conn: &mut Conn, repo: &Repo, query: &CompareQuery) -> Result<(Base, Commit)> {
    let (Some(base), Some(head)) = (&query.base, &query.head) else {
        let required = json!(["This field is required."]);
        let missing: Map<String, Value> = [("base", &query.base), ("head", &query.head)]
            .into_iter()
            .filter(|(_, value)| value.is_none())
            .map(|(name, _)| (name.into(), required.clone()))
            .collect();
        return Err(Error::Body(StatusCode::BAD_REQUEST, missing.into()));
    };
    let (commit, rule) = find_ref(conn, repo, base).await?;
    let (head, _) = find_ref(conn, repo, head).await?;
    Ok((Base::exact(commit, rule), head))
}

/// The commit of this hash, or the head of the branch of this name.
async fn find_ref(conn: &mut Conn, repo: &Repo, name: &str) -> Result<(Commit, Rule)> {
    if let Some(commit) = find_commit(conn, repo.id, name).await? {
        return Ok((commit, Rule::Explicit));
    }
    let Some(branch) = find_branch(conn, repo.id, name).await? else {
        let detail = format!("Commit or branch '{name}' not found!");
        return Err(Error::not_found(detail));
    };
    let head = find_commit(conn, repo.id, &branch.head).await?;
    let head = head.ok_or_else(|| {
        let sha = &branch.head;
        Error::not_found(format!(
            "Head commit '{sha}' for branch '{name}' not found!"
        ))
    })?;
    Ok((head, Rule::BranchHead))
}

impl Asked {
    /// Reads what the answer is made from, and how it is called. Errors: 404 where head has no report.
    pub(super) async fn read(&self, app: &App) -> Result<(Pair, Tag)> {
        let pair = self.read_pair(app).await?;
        let packs = |uploads: &[UploadPack]| Packs::new(uploads, None);
        let sets: Vec<Packs> = [&pair.base_uploads, &pair.head_uploads]
            .into_iter()
            .filter_map(|uploads| packs(uploads).transpose())
            .collect::<engine::Result<_>>()?;
        let hash = |stored: Option<&StoredDiff>| stored.map(|stored| stored.hash.clone());
        let flags = |uploads: &[UploadPack]| -> Vec<Value> {
            let facts = |upload: &UploadPack| json!([upload.flags, upload.source.is_some()]);
            uploads.iter().map(facts).collect()
        };
        let facts = json!([
            pair.base.sha,
            pair.head.sha,
            pair.rule.as_str(),
            pair.named,
            hash(pair.diff.stored()),
            hash(pair.shift.as_ref()),
            flags(&pair.base_uploads),
            flags(&pair.head_uploads),
            pair.git_commits,
            pair.commits,
        ]);
        let sets: Vec<_> = sets.iter().map(|packs| &packs.all).collect();
        let tag = Tag::new(&self.base, &self.uri, &sets, &facts.to_string());
        Ok((pair, tag))
    }

    async fn read_pair(&self, app: &App) -> Result<Pair> {
        let (base, head) = (&self.chosen.commit, &self.head);
        let mut conn = app.db.read().await?;
        let base_uploads = list_packs(&mut conn, base.id).await?;
        let head_uploads = list_packs(&mut conn, head.id).await?;
        drop(conn);
        if head_uploads.is_empty() {
            let detail = "Raw report not found for base or head reference.";
            return Err(Error::not_found(detail));
        }
        let named = self.chosen.named.clone().filter(|sha| *sha != base.sha);
        let start = named.as_deref().unwrap_or(&base.sha);
        let is_same = start == head.sha;
        let stored = match is_same {
            true => None,
            false => diffs::find_soon(app, &self.owner, &self.repo, start, &head.sha).await?,
        };
        let shift = match &named {
            Some(named) => diffs::find_soon(app, &self.owner, &self.repo, &base.sha, named).await?,
            None => None,
        };
        let diff = KnownDiff::of(is_same, stored);
        let mut conn = app.db.read().await?;
        let (git_commits, commits) = self.read_commits(&mut conn, &diff).await?;
        Ok(Pair {
            owner: self.owner.clone(),
            repo: self.repo.clone(),
            base: base.clone(),
            head: head.clone(),
            rule: self.chosen.rule,
            named,
            base_uploads,
            head_uploads,
            diff,
            shift,
            git_commits,
            commits,
        })
    }

    /// The commits from head down to base: as the diff's giver told them, else as uploads named their parents.
    async fn read_commits(
        &self,
        conn: &mut Conn,
        diff: &KnownDiff,
    ) -> Result<(Vec<GitCommit>, Vec<CommitBody>)> {
        let told = diff.stored().map(diffs::commits).transpose()?.flatten();
        let known = match &told {
            Some(told) => {
                let shas: Vec<String> = told.iter().map(|told| told.commitid.clone()).collect();
                in_order(list_commits_of(conn, self.repo.id, &shas).await?, &shas)
            }
            None => self.walk_to_base(conn).await?,
        };
        let authors = read_owners(conn, known.iter().filter_map(|commit| commit.author_id)).await?;
        let git = |commit: &Commit| GitCommit {
            commitid: commit.sha.clone(),
            message: commit.message.clone(),
            timestamp: Some(iso(commit.timestamp_us)),
            author: commit
                .author_id
                .and_then(|id| authors.get(&id))
                .map_or_else(GitAuthor::default, |author| GitAuthor {
                    id: None,
                    username: Some(author.username.clone()),
                    name: author.name.clone(),
                    email: None,
                }),
        };
        let git_commits = told.unwrap_or_else(|| known.iter().map(git).collect());
        let bodies = known
            .into_iter()
            .map(|commit| CommitBody::new(commit, &authors));
        Ok((git_commits, bodies.collect::<Result<_>>()?))
    }

    /// Head, its parents as far as they are known, and base.
    async fn walk_to_base(&self, conn: &mut Conn) -> Result<Vec<Commit>> {
        let base = &self.chosen.commit;
        let mut commits = vec![self.head.clone()];
        if base.sha != self.head.sha {
            let parents = list_parents(conn, self.repo.id, &self.head.sha, LISTED_COMMITS).await?;
            if parents.iter().any(|parent| parent.sha == base.sha) {
                let between = parents
                    .into_iter()
                    .take_while(|parent| parent.sha != base.sha);
                commits.extend(between);
            }
            commits.push(base.clone());
        }
        Ok(commits)
    }
}

fn in_order(commits: Vec<Commit>, shas: &[String]) -> Vec<Commit> {
    let mut by_sha: HashMap<String, Commit> = commits
        .into_iter()
        .map(|commit| (commit.sha.clone(), commit))
        .collect();
    shas.iter().filter_map(|sha| by_sha.remove(sha)).collect()
}
