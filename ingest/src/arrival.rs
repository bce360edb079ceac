//! Bytes that arrive: how they become a fact, and how long they are waited for.
//!
//! An upload's bytes come through our own server, which knows when they are durable, or straight to the object store,
//! which does not tell us. So the store is looked at: for the latter again and again, and for both once more before an
//! upload is given up. Bytes that come later still count, as long as they are looked for.

use engine::blob::{Blobs, Sealed};
use engine::clock::Clock;
use engine::db::commits::{Commit, get_commit};
use engine::db::journal::Verdict;
use engine::db::uploads::{self, Upload, UploadState, mark_error, mark_uploaded};
use engine::db::{Conn, Db};
use engine::id::UploadId;
use engine::queue::{self, Job, NewJob};
use engine::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::job::{Note, enqueue_process, enqueue_refresh};

/// Looks for an upload's bytes.
pub const ARRIVE: &str = "arrive";

/// Longest body of an upload, in bytes.
pub const UPLOAD_MAX_BYTES: u64 = 2 << 30;

/// Pause before bytes that go straight to the object store are first looked for.
const FIRST_US: i64 = 250_000;
/// The longest pause between two looks.
const LAST_US: i64 = 3_600_000_000;

/// What is looked for, and how long.
#[derive(Serialize, Deserialize)]
struct Arrival {
    upload: UploadId,
    /// Then the upload is given up.
    until_us: i64,
    /// Till then its bytes are looked for all the same.
    last_us: i64,
}

/// What a look finds.
enum Found {
    Nothing,
    Whole(Sealed),
    /// More bytes than an upload may have: so many.
    TooLong(u64),
}

/// Enqueues the one look before an upload is given up, for bytes that come through our own server.
pub async fn expect_here(
    conn: &mut Conn,
    upload: UploadId,
    until_us: i64,
    now_us: i64,
) -> Result<()> {
    let last_us = until_us;
    let arrival = Arrival {
        upload,
        until_us,
        last_us,
    };
    enqueue(conn, &arrival, until_us, now_us).await
}

/// Enqueues the looking for bytes that go straight to the object store.
pub async fn expect_there(
    conn: &mut Conn,
    upload: UploadId,
    until_us: i64,
    last_us: i64,
    now_us: i64,
) -> Result<()> {
    let arrival = Arrival {
        upload,
        until_us,
        last_us,
    };
    enqueue(conn, &arrival, now_us + FIRST_US, now_us).await
}

async fn enqueue(conn: &mut Conn, arrival: &Arrival, at_us: i64, now_us: i64) -> Result<()> {
    let job = NewJob::new(ARRIVE, arrival, at_us)?.with_key(arrival.upload.to_string());
    queue::enqueue(conn, &job, now_us).await
}

/// Makes durable bytes a fact, and enqueues their reading. Of several calls for one upload the first counts.
pub async fn mark_arrived(
    conn: &mut Conn,
    upload: UploadId,
    commit: &Commit,
    sealed: Sealed,
    (begun_us, now_us): (i64, i64),
) -> Result<()> {
    let size_bytes = i64::try_from(sealed.size_bytes).unwrap_or(i64::MAX);
    let hash = sealed.hash.to_hex();
    if !mark_uploaded(conn, upload, size_bytes, &hash, now_us).await? {
        return Ok(());
    }
    let message = format!("{size_bytes} bytes are durable");
    let detail = json!({ "size_bytes": size_bytes, "blake3": hash.as_str() });
    Note::new(
        commit,
        Some(upload),
        "received",
        message,
        (begun_us, now_us),
    )
    .with_detail(detail)
    .write(conn)
    .await?;
    enqueue_process(conn, upload, commit.repo_id, now_us).await
}

/// Does the work of an [`ARRIVE`] job.
pub(crate) async fn look(db: &Db, blobs: &dyn Blobs, clock: &Clock, job: &Job) -> Result<()> {
    let arrival: Arrival = job.payload()?;
    let upload = uploads::get_upload(&mut db.read().await?, arrival.upload).await?;
    let found = match upload.body_hash {
        None => find(blobs, &upload.storage_path).await?,
        Some(_) => Found::Nothing,
    };
    let (job, clock) = (job.clone(), clock.clone());
    let looked = db.write(move |conn| {
        Box::pin(async move {
            let now_us = clock.now_us();
            let upload = uploads::get_upload(conn, arrival.upload).await?;
            match found {
                Found::Whole(sealed) => {
                    let commit = get_commit(conn, upload.commit_id).await?;
                    let at = (upload.created_us, now_us);
                    mark_arrived(conn, upload.id, &commit, sealed, at).await?;
                }
                Found::TooLong(size_bytes) => {
                    let message = format!(
                        "the upload has {size_bytes} bytes, of {UPLOAD_MAX_BYTES} that it may have; split the report into \
                         several uploads"
                    );
                    fail(conn, &upload, "unknown_storage", message, now_us).await?;
                }
                Found::Nothing if upload.body_hash.is_none() => {
                    wait_on(conn, &arrival, &upload, now_us).await?;
                }
                Found::Nothing => {}
            }
            queue::finish(conn, &job).await
        })
    });
    looked.await
}

/// The object's size and hash, if it is there.
async fn find(blobs: &dyn Blobs, key: &str) -> Result<Found> {
    match blobs.size(key).await? {
        None => return Ok(Found::Nothing),
        Some(size_bytes) if size_bytes > UPLOAD_MAX_BYTES => {
            return Ok(Found::TooLong(size_bytes));
        }
        Some(_) => {}
    }
    let file = blobs.open(key).await?;
    let hashed = tokio::task::spawn_blocking(move || Sealed::of(file).map(Found::Whole));
    let closed = |_| Error::Closed {
        what: "hashing".into(),
    };
    hashed.await.map_err(closed)?
}

/// Gives the upload up if it is time, and looks again if there is time left: the longer nothing came, the later.
async fn wait_on(conn: &mut Conn, arrival: &Arrival, upload: &Upload, now_us: i64) -> Result<()> {
    if now_us >= arrival.until_us && upload.state == UploadState::Started {
        let message = "the bytes of the upload never arrived; upload again".to_string();
        fail(conn, upload, "file_not_in_storage", message, now_us).await?;
    }
    if now_us < arrival.last_us {
        let pause_us = ((now_us - upload.created_us) / 2).clamp(FIRST_US, LAST_US);
        let next_us = (now_us + pause_us).min(arrival.last_us);
        let next_us = match now_us < arrival.until_us {
            true => next_us.min(arrival.until_us),
            false => next_us,
        };
        enqueue(conn, arrival, next_us, now_us).await?;
    }
    Ok(())
}

async fn fail(
    conn: &mut Conn,
    upload: &Upload,
    code: &str,
    message: String,
    now_us: i64,
) -> Result<()> {
    let params = json!({ "location": upload.storage_path, "message": message }).to_string();
    mark_error(conn, upload.id, code, &params, now_us).await?;
    let commit = get_commit(conn, upload.commit_id).await?;
    let waited = (upload.created_us, now_us);
    Note::new(&commit, Some(upload.id), "received", message, waited)
        .with_verdict(Verdict::Error, Some(code))
        .write(conn)
        .await?;
    enqueue_refresh(conn, commit.id, now_us).await
}
