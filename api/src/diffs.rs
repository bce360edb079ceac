//! Diffs between commits: stored once, under the hash of their text, and read back.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use engine::db::Conn;
use engine::db::diffs::{DiffSource, StoredDiff, find_diff, upsert_diff};
use engine::db::owners::Owner;
use engine::db::repos::Repo;
use engine::diff::Diff;
use engine::{Error, Result};
use forge::Provider;
use ingest::diffs::{diff_key, read_diff};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use crate::app::App;
use crate::forges::name_of;
use crate::times::iso;

/// How long a request waits for the provider.
const REQUEST_WAIT: Duration = Duration::from_millis(2_000);
/// After how many seconds a request that waited in vain may come back.
const RETRY_AFTER_S: u32 = 2;
/// Diffs that are fetched at once.
const FETCHES_MAX: usize = 16;
/// Requests that may have a provider asked for them at once, those among them that no longer wait.
const ASKED_MAX: usize = 256;
/// How hard the text is compressed in the object store.
const LEVEL: i32 = 3;

/// A commit, as git tells of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GitCommit {
    /// Its hash.
    pub commitid: String,
    /// Its message.
    pub message: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub timestamp: Option<String>,
    /// Who wrote it.
    pub author: GitAuthor,
}

/// Who wrote a commit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GitAuthor {
    /// The provider's id.
    pub id: Option<String>,
    /// The name in URLs.
    pub username: Option<String>,
    /// The name for people.
    pub name: Option<String>,
    /// The address that the commit names.
    pub email: Option<String>,
}

/// Stores the diff from one commit to another: its text, then the fact. Idempotent.
pub async fn store(
    app: &App,
    repo: &Repo,
    (base_sha, head_sha): (&str, &str),
    source: DiffSource,
    text: String,
    commits: Option<&[GitCommit]>,
) -> Result<StoredDiff> {
    let size_bytes = text.len() as i64;
    let (hash, packed) = tokio::task::spawn_blocking(move || {
        let packed = zstd::bulk::compress(text.as_bytes(), LEVEL);
        (blake3::hash(text.as_bytes()).to_hex().to_string(), packed)
    })
    .await
    .map_err(|error| Error::Closed {
        what: format!("worker thread ({error})"),
    })?;
    let packed = packed.map_err(|error| Error::io("compress a diff", error))?;
    app.blobs.put(&diff_key(&hash), Bytes::from(packed)).await?;
    let commits = commits.map(serde_json::to_string).transpose();
    let new = StoredDiff {
        repo_id: repo.id,
        base_sha: base_sha.into(),
        head_sha: head_sha.into(),
        source,
        hash,
        size_bytes,
        commits: commits.map_err(|error| Error::invalid("commits", error))?,
        created_us: app.clock.now_us(),
    };
    let stored = new.clone();
    app.db
        .write(move |conn| Box::pin(async move { upsert_diff(conn, &new).await }))
        .await?;
    Ok(stored)
}

/// Why there is no diff.
#[derive(Debug)]
pub enum Trouble {
    /// The git provider did not tell it.
    Provider(forge::Error),
    /// It could not be stored or looked up.
    Engine(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Engine(error)
    }
}

/// The diff from one commit to another: the stored one, else what the git provider tells. What a client gave is used
/// where no provider is set up, or does not tell. `None` if nobody told.
pub async fn find_or_fetch(
    app: &App,
    owner: &Owner,
    repo: &Repo,
    base_sha: &str,
    head_sha: &str,
) -> Result<Option<StoredDiff>, Trouble> {
    let stored = find_diff(&mut app.db.read().await?, repo.id, base_sha, head_sha).await?;
    let is_told = |diff: &StoredDiff| diff.source == DiffSource::Provider;
    let Some(provider) = app
        .forges
        .of(owner)
        .filter(|_| !stored.as_ref().is_some_and(is_told))
    else {
        return Ok(stored);
    };
    let fetched = fetch(app, &*provider, owner, repo, (base_sha, head_sha)).await;
    match (fetched, stored) {
        (Ok(diff), _) => Ok(Some(diff)),
        (Err(_), Some(given)) => Ok(Some(given)),
        (Err(trouble), None) => Err(trouble),
    }
}

/// The same for a request: it waits a while, and the work goes on when it no longer does. Meanwhile it holds no
/// connection. Errors: 503 then, else the provider's.
pub async fn find_soon(
    app: &App,
    mut conn: Conn,
    owner: &Owner,
    repo: &Repo,
    base_sha: &str,
    head_sha: &str,
) -> crate::error::Result<(Conn, Option<StoredDiff>)> {
    if app.forges.of(owner).is_none() {
        let stored = find_diff(&mut conn, repo.id, base_sha, head_sha).await?;
        return Ok((conn, stored));
    }
    drop(conn);
    let Ok(place) = app.fetching.asked.clone().try_acquire_owned() else {
        return Err(not_told_yet());
    };
    let (worker, owner, repo) = (app.clone(), owner.clone(), repo.clone());
    let (base_sha, head_sha) = (base_sha.to_owned(), head_sha.to_owned());
    let work = tokio::spawn(async move {
        let _place = place;
        find_or_fetch(&worker, &owner, &repo, &base_sha, &head_sha).await
    });
    match tokio::time::timeout(REQUEST_WAIT, work).await {
        Ok(Ok(Ok(diff))) => Ok((app.db.read().await?, diff)),
        Ok(Ok(Err(Trouble::Provider(error)))) => Err(error.into()),
        Ok(Ok(Err(Trouble::Engine(error)))) => Err(error.into()),
        Ok(Err(error)) => Err(Error::Closed {
            what: format!("worker thread ({error})"),
        }
        .into()),
        Err(_) => Err(not_told_yet()),
    }
}

fn not_told_yet() -> crate::error::Error {
    crate::error::Error::Busy(
        StatusCode::SERVICE_UNAVAILABLE,
        "The git provider has not told the diff yet. Try again shortly.".into(),
        RETRY_AFTER_S,
    )
}

/// Asks the provider, unless another one who wants the same has just done so.
async fn fetch(
    app: &App,
    provider: &dyn Provider,
    owner: &Owner,
    repo: &Repo,
    (base_sha, head_sha): (&str, &str),
) -> Result<StoredDiff, Trouble> {
    let _alone = app.fetching.turn(&[base_sha, head_sha]).await;
    let stored = find_diff(&mut app.db.read().await?, repo.id, base_sha, head_sha).await?;
    if let Some(diff) = stored.filter(|diff| diff.source == DiffSource::Provider) {
        return Ok(diff);
    }
    let compared = provider
        .compare(&name_of(owner, repo), base_sha, head_sha)
        .await;
    let compared = compared.map_err(Trouble::Provider)?;
    let commits: Vec<GitCommit> = compared.commits.into_iter().map(GitCommit::from).collect();
    let source = DiffSource::Provider;
    let shas = (base_sha, head_sha);
    Ok(store(app, repo, shas, source, compared.diff, Some(&commits)).await?)
}

impl From<forge::Commit> for GitCommit {
    fn from(commit: forge::Commit) -> GitCommit {
        let forge::Author {
            id,
            username,
            name,
            email,
        } = commit.author;
        GitCommit {
            commitid: commit.sha,
            message: commit.message,
            timestamp: commit.timestamp_us.map(iso),
            author: GitAuthor {
                id,
                username,
                name,
                email,
            },
        }
    }
}

/// Turns of those who fetch: who wants the same waits for the first, and few fetch at once.
pub struct Fetching {
    lanes: [tokio::sync::Mutex<()>; FETCHES_MAX],
    asked: Arc<Semaphore>,
}

impl Default for Fetching {
    fn default() -> Fetching {
        Fetching {
            lanes: Default::default(),
            asked: Arc::new(Semaphore::new(ASKED_MAX)),
        }
    }
}

impl Fetching {
    async fn turn(&self, key: &[&str]) -> tokio::sync::MutexGuard<'_, ()> {
        let mut hasher = blake3::Hasher::new();
        for part in key {
            hasher.update(part.as_bytes());
        }
        let lane = usize::from(hasher.finalize().as_bytes()[0]) % FETCHES_MAX;
        self.lanes[lane].lock().await
    }
}

/// Reads a stored diff. Errors: `NotFound`, `Corrupt`.
pub async fn read(app: &App, stored: &StoredDiff) -> Result<Arc<Diff>> {
    read_diff(&*app.blobs, stored).await.map(Arc::new)
}

/// The commits that the diff's giver told of, newest first.
pub fn commits(stored: &StoredDiff) -> Result<Option<Vec<GitCommit>>> {
    let commits = stored.commits.as_deref().map(serde_json::from_str);
    commits
        .transpose()
        .map_err(|error| Error::corrupt("stored commits", error))
}
