//! What all upload endpoints share: making an upload known, and taking its bytes.

use axum::body::Body;
use engine::blob::{BlobWriter, Method};
use engine::db::branches::touch_branch;
use engine::db::commits::{Commit, CommitState, NewCommit};
use engine::db::journal::Verdict;
use engine::db::owners::Owner;
use engine::db::pulls::upsert_pull;
use engine::db::repos::{Repo, activate_repo};
use engine::db::uploads::{Envelope, NewUpload, Upload, UploadKind, UploadType};
use engine::db::{commits, uploads};
use engine::id::{CommitId, RepoId, UploadId};
use futures_util::StreamExt as _;
use ingest::arrival::{self, UPLOAD_MAX_BYTES};
use ingest::job;
use serde_json::Value;
use uuid::Uuid;

use crate::app::App;
use crate::config::UPLOAD_URL_US;
use crate::error::{Error, Result};
use crate::middleware::base::BaseUrl;
use crate::sync::enqueue_sync;
use crate::times;

/// Longest name of an upload, in characters.
pub const NAME_CHARS: usize = 100;
/// After its URL has ended, an upload that is still arriving has so long to arrive.
const GRACE_US: i64 = 5 * 60 * 1_000_000;
/// So long are bytes looked for that go straight to the object store.
const DIRECT_US: i64 = 24 * 3600 * 1_000_000;

/// What a call says of its commit.
#[derive(Clone, Debug, Default)]
pub struct CommitFacts {
    /// Its hash.
    pub sha: String,
    /// The hash of its first parent.
    pub parent_sha: Option<String>,
    /// Its git branch.
    pub branch: Option<String>,
    /// The number of its pull request.
    pub pull_id: Option<i64>,
}

/// What becomes of a commit that is known already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is given what it lacks.
    Filled,
    /// What the call says takes the place of what is stored.
    Overwritten,
}

/// Makes a commit known, with its branch and its pull request. `state` is what it has at first.
pub async fn upsert_commit(
    app: &App,
    repo: RepoId,
    facts: CommitFacts,
    state: Option<CommitState>,
    existing: Existing,
) -> Result<Commit> {
    let now_us = app.clock.now_us();
    let new = NewCommit {
        id: CommitId::generate(now_us),
        repo_id: repo,
        sha: facts.sha,
        parent_sha: facts.parent_sha,
        branch: facts.branch,
        pull_id: facts.pull_id,
        message: None,
        author_id: None,
        timestamp_us: now_us,
        state,
    };
    let asks = !app.forges.is_empty();
    let written = app.db.write(move |conn| {
        Box::pin(async move {
            let commit = match existing {
                Existing::Filled => commits::upsert_commit(conn, &new, now_us).await?,
                Existing::Overwritten => commits::overwrite_commit(conn, &new, now_us).await?,
            };
            if let Some(branch) = &commit.branch {
                touch_branch(
                    conn,
                    commit.repo_id,
                    branch,
                    &commit.sha,
                    commit.timestamp_us,
                    now_us,
                )
                .await?;
            }
            if let Some(number) = commit.pull_id {
                upsert_pull(conn, commit.repo_id, number, Some(&commit.sha), now_us).await?;
            }
            if asks && commit.message.is_none() {
                enqueue_sync(conn, &commit, now_us).await?;
            }
            Ok(commit)
        })
    });
    Ok(written.await?)
}

/// Everything that an upload call says, whichever endpoint took it.
#[derive(Clone, Debug)]
pub struct NewUploadFacts {
    /// What the upload holds.
    pub kind: UploadKind,
    /// The form of its body.
    pub envelope: Envelope,
    /// The CI's word.
    pub provider: Option<String>,
    /// The CI's name of the build.
    pub build_code: Option<String>,
    /// The CI's page of the build.
    pub build_url: Option<String>,
    /// The CI's name of the job.
    pub job_code: Option<String>,
    /// The uploader's name for it.
    pub name: Option<String>,
    /// Its flags.
    pub flags: Vec<String>,
    /// Environment values, an object.
    pub env: Option<Value>,
    /// The uploading program and its version.
    pub uploader: Option<String>,
    /// How often the CI has run the build, from 1, where that is told.
    pub attempt: Option<i64>,
}

/// An upload that is now known.
#[derive(Clone, Debug)]
pub struct Created {
    /// Its id.
    pub id: UploadId,
    /// The UUID by which clients know it.
    pub external_id: String,
    /// When it was made, microseconds.
    pub created_us: i64,
    /// Where its bytes go.
    pub put_url: String,
    /// The key of its bytes.
    pub storage_path: String,
    /// Its row.
    pub upload: Upload,
}

/// Makes an upload known, in one transaction with the end of waiting for it, and signs its PUT URL. Errors: 503 while too
/// many jobs wait.
pub async fn create_upload(
    app: &App,
    base: &BaseUrl,
    repo: &Repo,
    commit: &Commit,
    facts: NewUploadFacts,
) -> Result<Created> {
    app.backlog.check(app).await?;
    let now_us = app.clock.now_us();
    let external_id = Uuid::new_v4().to_string();
    let storage_path = storage_path(facts.kind, repo, commit, &external_id, now_us);
    let expires_us = now_us + UPLOAD_URL_US;
    let signed = app.blobs.presign(Method::Put, &storage_path, expires_us);
    let (put_url, is_direct) = match signed.await? {
        Some(url) => (url, true),
        None => (
            app.object_urls
                .url(&base.0, Method::Put, &storage_path, expires_us)?,
            false,
        ),
    };
    let id = UploadId::generate(now_us);
    let new = NewUpload {
        id,
        external_id: external_id.clone(),
        repo_id: repo.id,
        commit_id: commit.id,
        kind: facts.kind,
        upload_type: UploadType::Uploaded,
        provider: facts.provider,
        build_code: facts.build_code,
        build_url: facts.build_url,
        job_code: facts.job_code,
        name: facts
            .name
            .map(|name| name.chars().take(NAME_CHARS).collect()),
        env: facts.env.map(|env| env.to_string()),
        storage_path: storage_path.clone(),
        envelope: facts.envelope,
        uploader: facts.uploader,
        attempt: facts.attempt,
        flags: facts.flags,
    };
    let (commit, was_active) = (commit.clone(), repo.active);
    let sha = commit.sha.clone();
    let written = app.db.write(move |conn| {
        Box::pin(async move {
            let upload = uploads::insert_upload(conn, &new, now_us).await?;
            if !was_active {
                activate_repo(conn, upload.repo_id, now_us).await?;
            }
            let until_us = expires_us + GRACE_US;
            match is_direct {
                true => {
                    let last_us = now_us + DIRECT_US;
                    arrival::expect_there(conn, upload.id, until_us, last_us, now_us).await?;
                }
                false => arrival::expect_here(conn, upload.id, until_us, now_us).await?,
            }
            let message = format!("waiting for the bytes of upload {}", upload.external_id);
            let at = (now_us, now_us);
            job::Note::new(&commit, Some(upload.id), "created", message, at)
                .with_verdict(Verdict::Waiting, None)
                .write(conn)
                .await?;
            Ok(upload)
        })
    });
    let upload = written.await?;
    tracing::info!(upload_id = external_id, commit_sha = sha, repo = %repo.id, "upload created");
    Ok(Created {
        id,
        external_id,
        created_us: now_us,
        put_url,
        storage_path,
        upload,
    })
}

fn storage_path(
    kind: UploadKind,
    repo: &Repo,
    commit: &Commit,
    external_id: &str,
    now_us: i64,
) -> String {
    let folder = match kind {
        UploadKind::Coverage => "raw",
        UploadKind::TestResults => "test_results",
        UploadKind::BundleAnalysis => "bundles",
    };
    format!(
        "{folder}/{}/{}/{}/{external_id}",
        times::day(now_us),
        repo.id,
        commit.id
    )
}

/// Takes the bytes of an upload: streams them to a file, seals it, and in one transaction notes the
/// fact and enqueues its processing. Bytes that come again, after a lost answer, are taken for the
/// same; an upload that is already known to be complete stays as it is.
pub async fn receive(app: &App, upload: &Upload, body: Body) -> Result<()> {
    let begun_us = app.clock.now_us();
    if upload.body_hash.is_some() {
        return drain(body).await;
    }
    let mut writer = BlobWriter::create(app.blobs.clone(), &upload.storage_path).await?;
    let mut stream = body.into_data_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| {
            Error::List(format!(
                "the body of upload {} broke off: {error}; send it again",
                upload.external_id
            ))
        })?;
        writer.write_chunk(chunk).await?;
        if writer.size_bytes() > UPLOAD_MAX_BYTES {
            return Err(too_large(upload));
        }
    }
    let sealed = writer.seal().await?;
    let (id, commit_id, clock) = (upload.id, upload.commit_id, app.clock.clone());
    let received = app.db.write(move |conn| {
        Box::pin(async move {
            let commit = commits::get_commit(conn, commit_id).await?;
            let at = (begun_us, clock.now_us());
            arrival::mark_arrived(conn, id, &commit, sealed, at).await?;
            Ok(commit.sha)
        })
    });
    let sha = received.await?;
    metrics::counter!("hitline_upload_bytes_total").increment(sealed.size_bytes);
    tracing::info!(
        upload_id = upload.external_id, commit_sha = sha, repo = %upload.repo_id, size_bytes = sealed.size_bytes,
        "upload received"
    );
    Ok(())
}

async fn drain(body: Body) -> Result<()> {
    let mut stream = body.into_data_stream();
    let mut size_bytes = 0;
    while let Some(Ok(chunk)) = stream.next().await {
        size_bytes += chunk.len() as u64;
        if size_bytes > UPLOAD_MAX_BYTES {
            break;
        }
    }
    Ok(())
}

fn too_large(upload: &Upload) -> Error {
    let detail = format!(
        "Upload {} is larger than {UPLOAD_MAX_BYTES} bytes. Split the report into several uploads.",
        upload.external_id
    );
    Error::Detail(axum::http::StatusCode::PAYLOAD_TOO_LARGE, detail)
}

/// The page that shows a commit.
pub fn commit_url(base: &BaseUrl, owner: &Owner, repo: &Repo, sha: &str) -> String {
    format!(
        "{}/{}/{}/{}/commit/{sha}",
        base.0, owner.service, owner.username, repo.name
    )
}
