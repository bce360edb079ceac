//! Diffs between commits as they are stored.

use engine::blob::Blobs;
use engine::db::diffs::StoredDiff;
use engine::diff::{Diff, MAX_DIFF_BYTES};
use engine::{Error, Result};

/// Where the object store keeps the diff of this hash.
pub fn diff_key(hash: &str) -> String {
    format!("diffs/{hash}")
}

/// Reads a stored diff. Errors: `NotFound`, `Corrupt`.
pub async fn read_diff(blobs: &dyn Blobs, stored: &StoredDiff) -> Result<Diff> {
    let packed = blobs.get(&diff_key(&stored.hash)).await?;
    let size = usize::try_from(stored.size_bytes).unwrap_or(usize::MAX);
    let read = move || {
        let text = zstd::bulk::decompress(&packed, size.min(MAX_DIFF_BYTES));
        let text = text.map_err(|error| Error::corrupt("stored diff", error))?;
        let text = String::from_utf8(text).map_err(|error| Error::corrupt("stored diff", error))?;
        Diff::parse(&text)
    };
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|error| Error::Closed {
        what: format!("worker thread ({error})"),
    })?
}
