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
    pub(super) pullid: Option<i64>,
    /// The commit or branch that is compared with.
    pub(super) base: Option<String>,
    /// The commit or branch that is compared.
    pub(super) head: Option<String>,
    /// Only files that the diff names, or only those that it does not; for `compare/` alone.
    pub(super) has_diff: Option<bool>,
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
    pub(super) pair: Pair,
    /// Names the answer.
    pub(super) tag: Tag,
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

/// The text of a file.
pub(super) enum Source {
    /// There is no provider to tell it, or it says this.
    Known(Option<String>),
    /// The provider did not tell in time.
    Untold,
}

impl Source {
    /// The text, if it is known.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Source::Known(text) => text.as_deref(),
            Source::Untold => None,
        }
    }
}

impl Pair {
    /// The text of a file in head.
    pub(super) async fn source(&self, app: &App, path: &str) -> Source {
        let Some(provider) = app.forges.of(&self.owner) else {
            return Source::Known(None);
        };
        let name = name_of(&self.owner, &self.repo);
        let asked = provider.file(&name, path, &self.head.sha);
        match tokio::time::timeout(SOURCE_WAIT, asked).await {
            Ok(Ok(text)) => Source::Known(Some(text)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the git provider does not tell a file");
                Source::Untold
            }
            Err(_) => Source::Untold,
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
        let (conn, owner, repo) = viewer
            .readable_repo(app, &key.service, &key.owner, &key.repo)
            .await?;
        let query = CompareQuery::new(&Params::of(&parts.uri))?;
        let pair = Pair::of(app, conn, (owner, repo), &query).await?;
        Ok(Asked {
            tag: pair.tag(app, &base, &parts.uri)?,
            pair,
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
    let known = list_commits_of(conn, repo.id, &[base.clone(), head.clone()]).await?;
    let named = |sha: &str| known.iter().find(|commit| commit.sha == sha).cloned();
    let (commit, rule) = match named(base) {
        Some(commit) => (commit, Rule::Explicit),
        None => (branch_head(conn, repo, base).await?, Rule::BranchHead),
    };
    let head = match named(head) {
        Some(commit) => commit,
        None => branch_head(conn, repo, head).await?,
    };
    Ok((Base::exact(commit, rule), head))
}

/// The head of the branch of this name. Errors: 404 naming what is unknown.
async fn branch_head(conn: &mut Conn, repo: &Repo, name: &str) -> Result<Commit> {
    let Some(branch) = find_branch(conn, repo.id, name).await? else {
        let detail = format!("Commit or branch '{name}' not found!");
        return Err(Error::not_found(detail));
    };
    let head = find_commit(conn, repo.id, &branch.head).await?;
    head.ok_or_else(|| {
        let sha = &branch.head;
        Error::not_found(format!(
            "Head commit '{sha}' for branch '{name}' not found!"
        ))
    })
}

impl Pair {
    /// Finds which two commits are meant, and reads what an answer is made from. Errors: 400 for a query that names
    /// none, 404 for what is unknown or has no report.
    pub(super) async fn of(
        app: &App,
        mut conn: Conn,
        names: (Owner, Repo),
        query: &CompareQuery,
    ) -> Result<Pair> {
        let repo = &names.1;
        let (chosen, head) = match query.pullid {
            Some(number) => of_pull(app, &mut conn, repo, number).await?,
            None => of_refs(&mut conn, repo, query).await?,
        };
        Pair::read(app, conn, names, chosen, head).await
    }

    async fn read(
        app: &App,
        mut conn: Conn,
        (owner, repo): (Owner, Repo),
        chosen: Base,
        head: Commit,
    ) -> Result<Pair> {
        let base = chosen.commit;
        let base_uploads = list_packs(&mut conn, base.id).await?;
        let head_uploads = list_packs(&mut conn, head.id).await?;
        if head_uploads.is_empty() {
            let detail = "Raw report not found for base or head reference.";
            return Err(Error::not_found(detail));
        }
        let named = chosen.named.filter(|sha| *sha != base.sha);
        let start = named.as_deref().unwrap_or(&base.sha);
        let is_same = start == head.sha;
        let (mut stored, mut shift) = (None, None);
        if !is_same {
            (conn, stored) = diffs::find_soon(app, conn, &owner, &repo, start, &head.sha).await?;
        }
        if let Some(named) = &named {
            (conn, shift) = diffs::find_soon(app, conn, &owner, &repo, &base.sha, named).await?;
        }
        let diff = KnownDiff::of(is_same, stored);
        let (git_commits, commits) = read_commits(&mut conn, &base, &head, &diff).await?;
        Ok(Pair {
            owner,
            repo,
            base,
            head,
            rule: chosen.rule,
            named,
            base_uploads,
            head_uploads,
            diff,
            shift,
            git_commits,
            commits,
        })
    }

    /// Names an answer to what was asked at this URL.
    fn tag(&self, app: &App, base: &BaseUrl, uri: &Uri) -> Result<Tag> {
        let packs = |uploads: &[UploadPack]| Packs::new(uploads, None);
        let sets: Vec<Packs> = [&self.base_uploads, &self.head_uploads]
            .into_iter()
            .filter_map(|uploads| packs(uploads).transpose())
            .collect::<engine::Result<_>>()?;
        let hash = |stored: Option<&StoredDiff>| stored.map(|stored| stored.hash.clone());
        let flags = |uploads: &[UploadPack]| -> Vec<Value> {
            let facts = |upload: &UploadPack| json!([upload.flags, upload.source.is_some()]);
            uploads.iter().map(facts).collect()
        };
        let facts = json!([
            self.base.sha,
            self.head.sha,
            self.rule.as_str(),
            self.named,
            hash(self.diff.stored()),
            hash(self.shift.as_ref()),
            flags(&self.base_uploads),
            flags(&self.head_uploads),
            self.git_commits,
            self.commits,
            app.forges.of(&self.owner).is_some(),
        ]);
        let sets: Vec<_> = sets.iter().map(|packs| &packs.all).collect();
        Ok(Tag::new(base, uri, &sets, &facts.to_string()))
    }
}

/// The commits from head down to base: as the diff's giver told them, else as uploads named their parents.
async fn read_commits(
    conn: &mut Conn,
    base: &Commit,
    head: &Commit,
    diff: &KnownDiff,
) -> Result<(Vec<GitCommit>, Vec<CommitBody>)> {
    let told = diff.stored().map(diffs::commits).transpose()?.flatten();
    let known = match &told {
        Some(told) => {
            let shas: Vec<String> = told.iter().map(|told| told.commitid.clone()).collect();
            in_order(list_commits_of(conn, head.repo_id, &shas).await?, &shas)
        }
        None => walk_to_base(conn, base, head).await?,
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
async fn walk_to_base(conn: &mut Conn, base: &Commit, head: &Commit) -> Result<Vec<Commit>> {
    let mut commits = vec![head.clone()];
    // A commit is mostly compared with its parent, which is known: no query then.
    if head.parent_sha.as_ref() == Some(&base.sha) {
        commits.push(base.clone());
    } else if base.sha != head.sha {
        let until = Some(&*base.sha);
        let parents = list_parents(conn, head.repo_id, &head.sha, until, LISTED_COMMITS).await?;
        match parents.last() {
            Some(last) if last.sha == base.sha => commits.extend(parents),
            _ => commits.push(base.clone()),
        }
    }
    Ok(commits)
}

fn in_order(commits: Vec<Commit>, shas: &[String]) -> Vec<Commit> {
    let mut by_sha: HashMap<String, Commit> = commits
        .into_iter()
        .map(|commit| (commit.sha.clone(), commit))
        .collect();
    shas.iter().filter_map(|sha| by_sha.remove(sha)).collect()
}
