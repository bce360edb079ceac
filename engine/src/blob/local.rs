//! Objects as files of one folder, with signed URLs that our own server honours.
//!
//! A file is written under `tmp/`, synced, renamed to `data/{key}`, and its folder synced: it is whole or absent.
//! What is under `data/` is only ever unlinked or replaced by rename, never written or truncated, so it may be mapped.

use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use tempfile::NamedTempFile;

use super::{Blobs, LIST_KEYS, Method, check_key};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// The path in front of the key in our URLs.
const URL_PATH: &str = "/blob/";
/// A file under `tmp/` that has not changed for so long belongs to no running process.
const STALE_SECONDS: u64 = 24 * 3600;

/// An object store in a local folder; cheap to clone.
#[derive(Clone)]
pub struct LocalBlobs(Arc<Inner>);

struct Inner {
    data: PathBuf,
    tmp: PathBuf,
    signing_key: Secret,
    clock: Clock,
}

/// A finished object: its length and its name by content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Length.
    pub size_bytes: u64,
    /// BLAKE3 of the bytes.
    pub hash: blake3::Hash,
}

impl LocalBlobs {
    /// Opens the store in this folder, makes it if absent, and removes what a dead process left in `tmp/`.
    pub fn open(folder: &Path, signing_key: Secret, clock: Clock) -> Result<LocalBlobs> {
        let inner = Inner {
            data: folder.join("data"),
            tmp: folder.join("tmp"),
            signing_key,
            clock,
        };
        for made in [&inner.data, &inner.tmp] {
            fs::create_dir_all(made).map_err(|error| io_error("create", made, error))?;
        }
        remove_stale(&inner.tmp)?;
        Ok(LocalBlobs(Arc::new(inner)))
    }

    /// Starts an object that is written piece by piece; nothing shows until it is sealed.
    pub async fn create(&self, key: &str) -> Result<BlobWriter> {
        check_key(key)?;
        let blobs = self.clone();
        let file = blocking(move || blobs.0.temporary()).await?;
        Ok(BlobWriter {
            blobs: self.clone(),
            key: key.to_owned(),
            state: Some(Writing {
                file,
                hasher: blake3::Hasher::new(),
                size_bytes: 0,
            }),
        })
    }

    /// The key's file, for handing it to whoever maps or sends files. It need not exist.
    pub fn path(&self, key: &str) -> Result<PathBuf> {
        check_key(key)?;
        Ok(self.0.data.join(key))
    }

    /// Whether this signature, of `presign`, allows this method on this key now: `expires` is seconds since 1970, as in the URL.
    /// Takes the same time for every wrong signature.
    pub fn verify(&self, method: Method, key: &str, expires: i64, signature: &str) -> bool {
        let fresh = self.0.clock.now_us() < expires.saturating_mul(1_000_000);
        let expected = self.0.sign(method, key, expires);
        let same = expected.as_bytes().ct_eq(signature.as_bytes());
        bool::from(same) && fresh && check_key(key).is_ok()
    }
}

#[async_trait::async_trait]
impl Blobs for LocalBlobs {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        check_key(key)?;
        let (blobs, key) = (self.clone(), key.to_owned());
        blocking(move || {
            let mut file = blobs.0.temporary()?;
            file.write_all(&bytes)
                .map_err(|error| io_error("write", file.path(), error))?;
            blobs.0.seal(&key, file)
        })
        .await
    }

    async fn put_file(&self, key: &str, path: &Path) -> Result<()> {
        check_key(key)?;
        let (blobs, key, path) = (self.clone(), key.to_owned(), path.to_owned());
        blocking(move || {
            let mut source = File::open(&path).map_err(|error| io_error("open", &path, error))?;
            let mut file = blobs.0.temporary()?;
            io::copy(&mut source, &mut file).map_err(|error| io_error("copy", &path, error))?;
            blobs.0.seal(&key, file)?;
            fs::remove_file(&path).map_err(|error| io_error("remove", &path, error))
        })
        .await
    }

    async fn get(&self, key: &str) -> Result<Bytes> {
        let path = self.path(key)?;
        let key = key.to_owned();
        blocking(move || {
            fs::read(&path)
                .map(Bytes::from)
                .map_err(|error| missing_or_io(&key, &path, error))
        })
        .await
    }

    async fn open(&self, key: &str) -> Result<File> {
        let path = self.path(key)?;
        let key = key.to_owned();
        blocking(move || File::open(&path).map_err(|error| missing_or_io(&key, &path, error))).await
    }

    async fn size(&self, key: &str) -> Result<Option<u64>> {
        let path = self.path(key)?;
        blocking(move || match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.is_file().then_some(metadata.len())),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(io_error("look at", &path, error)),
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let path = self.path(key)?;
        blocking(move || match fs::remove_file(&path) {
            Err(error) if !is_absent(&error) => Err(io_error("remove", &path, error)),
            _ => Ok(()),
        })
        .await
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<String>> {
        let (blobs, prefix) = (self.clone(), prefix.to_owned());
        blocking(move || list_keys(&blobs.0.data, &prefix, limit.min(LIST_KEYS))).await
    }

    fn presign(&self, base: &str, method: Method, key: &str, expires_us: i64) -> Result<String> {
        check_key(key)?;
        let expires = expires_us.div_euclid(1_000_000);
        let signature = self.0.sign(method, key, expires);
        let base = base.trim_end_matches('/');
        Ok(format!(
            "{base}{URL_PATH}{key}?expires={expires}&method={}&signature={signature}",
            method.as_str()
        ))
    }
}

impl Inner {
    fn temporary(&self) -> Result<NamedTempFile> {
        NamedTempFile::new_in(&self.tmp)
            .map_err(|error| io_error("create a file in", &self.tmp, error))
    }

    /// Makes the file the object of this key, durably.
    fn seal(&self, key: &str, file: NamedTempFile) -> Result<()> {
        let path = self.data.join(key);
        let folder = path
            .parent()
            .expect("a key's file is below the data folder");
        self.create_folders(folder)?;
        file.as_file()
            .sync_all()
            .map_err(|error| io_error("sync", file.path(), error))?;
        file.persist(&path)
            .map_err(|error| io_error("rename", &path, error.error))?;
        sync_folder(folder)
    }

    /// Makes the folders down to this one, and syncs the parents of those that are new.
    fn create_folders(&self, folder: &Path) -> Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        let absent: Vec<&Path> = folder
            .ancestors()
            .take_while(|&above| above != self.data && !above.is_dir())
            .collect();
        fs::create_dir_all(folder).map_err(|error| io_error("create", folder, error))?;
        absent
            .iter()
            .filter_map(|made| made.parent())
            .try_for_each(sync_folder)
    }

    fn sign(&self, method: Method, key: &str, expires: i64) -> String {
        let secret = self.signing_key.expose().as_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key of any length will do");
        mac.update(format!("{}\n{key}\n{expires}", method.as_str()).as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }
}

/// An object in the making; if it is dropped before it is sealed, nothing of it stays.
pub struct BlobWriter {
    blobs: LocalBlobs,
    key: String,
    state: Option<Writing>,
}

struct Writing {
    file: NamedTempFile,
    hasher: blake3::Hasher,
    size_bytes: u64,
}

impl BlobWriter {
    /// Appends the bytes. After an error or a dropped call the writer is `Closed`.
    pub async fn write_chunk(&mut self, bytes: Bytes) -> Result<()> {
        let mut writing = self.take()?;
        let writing = blocking(move || {
            let written = writing.file.write_all(&bytes);
            written.map_err(|error| io_error("write", writing.file.path(), error))?;
            writing.hasher.update(&bytes);
            writing.size_bytes += bytes.len() as u64;
            Ok(writing)
        })
        .await?;
        self.state = Some(writing);
        Ok(())
    }

    /// Bytes written so far.
    pub fn size_bytes(&self) -> u64 {
        self.state.as_ref().map_or(0, |writing| writing.size_bytes)
    }

    /// Makes what was written the object of its key, durably.
    pub async fn seal(mut self) -> Result<Sealed> {
        let writing = self.take()?;
        let (blobs, key) = (self.blobs, self.key);
        blocking(move || {
            blobs.0.seal(&key, writing.file)?;
            Ok(Sealed {
                size_bytes: writing.size_bytes,
                hash: writing.hasher.finalize(),
            })
        })
        .await
    }

    fn take(&mut self) -> Result<Writing> {
        self.state.take().ok_or_else(|| Error::Closed {
            what: format!("writer of blob {}", self.key),
        })
    }
}

/// Keys below `data` that start with `prefix`, the smallest `limit`, sorted. Reads only folders that the prefix allows.
fn list_keys(data: &Path, prefix: &str, limit: usize) -> Result<Vec<String>> {
    let mut smallest = BinaryHeap::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let path = data.join(&folder);
        let entries = match fs::read_dir(&path) {
            Err(error) if is_absent(&error) => continue,
            entries => entries.map_err(|error| io_error("list", &path, error))?,
        };
        for entry in entries {
            let entry = entry.map_err(|error| io_error("list", &path, error))?;
            let kind = entry
                .file_type()
                .map_err(|error| io_error("list", &path, error))?;
            let Some(name) = entry
                .file_name()
                .to_str()
                .map(|name| format!("{folder}{name}"))
            else {
                continue;
            };
            if kind.is_dir() {
                let inner = name + "/";
                if inner.starts_with(prefix) || prefix.starts_with(&inner) {
                    folders.push(inner);
                }
            } else if name.starts_with(prefix) {
                smallest.push(name);
                if smallest.len() > limit {
                    smallest.pop();
                }
            }
        }
    }
    Ok(smallest.into_sorted_vec())
}

fn remove_stale(tmp: &Path) -> Result<()> {
    for entry in fs::read_dir(tmp).map_err(|error| io_error("list", tmp, error))? {
        let path = entry.map_err(|error| io_error("list", tmp, error))?.path();
        let age = fs::metadata(&path)
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age.as_secs() >= STALE_SECONDS) {
            fs::remove_file(&path).map_err(|error| io_error("remove", &path, error))?;
        }
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| io_error("sync", folder, error))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn missing_or_io(key: &str, path: &Path, error: io::Error) -> Error {
    match is_absent(&error) {
        true => Error::not_found(format_args!("blob {key}")),
        false => io_error("read", path, error),
    }
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
