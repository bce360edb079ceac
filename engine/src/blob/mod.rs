//! The object store: raw uploads and packs, by key. Objects are written whole and never changed.

mod local;
mod s3;
mod signer;
mod writer;

use std::fs::File;
use std::io;
use std::path::Path;

use bytes::Bytes;

pub use local::LocalBlobs;
pub use s3::{S3Blobs, S3Settings};
pub use signer::UrlSigner;
pub use writer::{BlobWriter, Sealed};

use crate::error::{Error, Result};

/// Longest key, in bytes.
pub const KEY_BYTES: usize = 512;
/// Keys that one `list` answers at most.
pub const LIST_KEYS: usize = 10_000;

/// What a signed URL allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// To read the object.
    Get,
    /// To write it.
    Put,
}

impl Method {
    /// HTTP's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Put => "PUT",
        }
    }
}

/// An object store. When a call that writes has answered, the object survives a power cut.
/// Errors of all: `Invalid` for a key that `check_key` refuses, `Io` and `Blob`.
#[async_trait::async_trait]
pub trait Blobs: Send + Sync {
    /// Stores the bytes; an object of the same key is replaced at one moment.
    async fn put(&self, key: &str, bytes: Bytes) -> Result<()>;

    /// Stores a finished file, which nobody writes to, and takes it away: afterwards nothing is at `path`.
    async fn put_file(&self, key: &str, path: &Path) -> Result<()>;

    /// The whole object. Errors: `NotFound`.
    async fn get(&self, key: &str) -> Result<Bytes>;

    /// The object as a file of this machine that nobody changes or truncates while it is open. Errors: `NotFound`.
    async fn open(&self, key: &str) -> Result<File>;

    /// Its length in bytes, if it exists.
    async fn size(&self, key: &str) -> Result<Option<u64>>;

    /// Removes the object. Idempotent.
    async fn delete(&self, key: &str) -> Result<()>;

    /// The first `limit` (at most `LIST_KEYS`) keys that start with `prefix`, sorted.
    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<String>>;

    /// A URL of the store itself, in a form that clients reach, which allows anyone this method on this key until
    /// `expires_us`, or a little longer. `None` when clients go through our own server, with a URL of [`UrlSigner`].
    async fn presign(&self, method: Method, key: &str, expires_us: i64) -> Result<Option<String>>;

    /// A folder of this machine for files that are to be stored; what a dead process left there is removed.
    fn scratch(&self) -> &Path;
}

/// Accepts keys of 1 to `KEY_BYTES` letters, digits and `-_.=+@`, in parts divided by single slashes; no part is `.`, `..` or
/// starts with a dot. So a key can climb nowhere and needs no quoting in a URL's path.
pub fn check_key(key: &str) -> Result<()> {
    let invalid = |why| Err(Error::invalid(format_args!("blob key {key:?}"), why));
    if key.is_empty() || key.len() > KEY_BYTES {
        return Err(Error::invalid(
            "blob key",
            format_args!("{} bytes, expected 1 to {KEY_BYTES}", key.len()),
        ));
    }
    if !key
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/-_.=+@".contains(&byte))
    {
        return invalid("a character that keys do not have");
    }
    if key
        .split('/')
        .any(|part| part.is_empty() || part.starts_with('.'))
    {
        return invalid("a part that is empty or starts with a dot");
    }
    Ok(())
}

/// A file under a scratch folder that has not changed for so long belongs to no running process.
const STALE_SECONDS: u64 = 24 * 3600;

/// Makes the scratch folder if it is absent, and removes what a dead process left there.
fn open_scratch(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| io_error("create", folder, error))?;
    for entry in std::fs::read_dir(folder).map_err(|error| io_error("list", folder, error))? {
        let path = entry
            .map_err(|error| io_error("list", folder, error))?
            .path();
        let age = std::fs::metadata(&path)
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age.as_secs() >= STALE_SECONDS) {
            std::fs::remove_file(&path).map_err(|error| io_error("remove", &path, error))?;
        }
    }
    Ok(())
}

fn io_error(verb: &str, path: &Path, error: io::Error) -> Error {
    Error::io(format_args!("{verb} {}", path.display()), error)
}

/// Runs file work off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(Error::Closed {
            what: "blob worker".into(),
        }),
    }
}
