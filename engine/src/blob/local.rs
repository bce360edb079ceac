//! Objects as files of one folder.
//!
//! A file is written under `tmp/`, synced, renamed to `data/{key}`, and its folder synced: it is whole or absent.
//! What is under `data/` is only ever unlinked or replaced by rename, never written or truncated, so it may be mapped.

use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tempfile::NamedTempFile;

use super::{Blobs, LIST_KEYS, Method, blocking, check_key, io_error, open_scratch};
use crate::error::{Error, Result};

/// An object store in a local folder; cheap to clone.
#[derive(Clone)]
pub struct LocalBlobs(Arc<Inner>);

struct Inner {
    data: PathBuf,
    tmp: PathBuf,
}

impl LocalBlobs {
    /// Opens the store in this folder, makes it if absent, and removes what a dead process left in `tmp/`.
    pub fn open(folder: &Path) -> Result<LocalBlobs> {
        let inner = Inner {
            data: folder.join("data"),
            tmp: folder.join("tmp"),
        };
        fs::create_dir_all(&inner.data).map_err(|error| io_error("create", &inner.data, error))?;
        open_scratch(&inner.tmp)?;
        Ok(LocalBlobs(Arc::new(inner)))
    }

    /// The key's file, which need not exist.
    fn path(&self, key: &str) -> Result<PathBuf> {
        check_key(key)?;
        Ok(self.0.data.join(key))
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
            blobs.0.seal_temporary(&key, file)
        })
        .await
    }

    async fn put_file(&self, key: &str, path: &Path) -> Result<()> {
        check_key(key)?;
        let (blobs, key, path) = (self.clone(), key.to_owned(), path.to_owned());
        blocking(move || {
            let mut source = File::open(&path).map_err(|error| io_error("open", &path, error))?;
            let mut is_elsewhere = false;
            let sealed = blobs.0.seal(&key, &source, |target| {
                let renamed = fs::rename(&path, target);
                is_elsewhere =
                    matches!(&renamed, Err(e) if e.kind() == io::ErrorKind::CrossesDevices);
                renamed
            });
            if !is_elsewhere {
                return sealed;
            }
            let mut file = blobs.0.temporary()?;
            io::copy(&mut source, &mut file).map_err(|error| io_error("copy", &path, error))?;
            blobs.0.seal_temporary(&key, file)?;
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

    async fn presign(&self, _: Method, key: &str, _: i64) -> Result<Option<String>> {
        check_key(key).map(|()| None)
    }

    fn scratch(&self) -> &Path {
        &self.0.tmp
    }
}

impl Inner {
    fn temporary(&self) -> Result<NamedTempFile> {
        NamedTempFile::new_in(&self.tmp)
            .map_err(|error| io_error("create a file in", &self.tmp, error))
    }

    fn seal_temporary(&self, key: &str, file: NamedTempFile) -> Result<()> {
        let (file, path) = file.into_parts();
        self.seal(key, &file, |target| {
            path.persist(target).map_err(|error| error.error)
        })
    }

    /// Makes the file the object of this key, durably; `rename` moves it there.
    fn seal(
        &self,
        key: &str,
        file: &File,
        rename: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<()> {
        let path = self.data.join(key);
        let folder = path
            .parent()
            .expect("a key's file is below the data folder");
        self.create_folders(folder)?;
        file.sync_all()
            .map_err(|error| io_error("sync the file of", &path, error))?;
        rename(&path).map_err(|error| io_error("rename to", &path, error))?;
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
