//! An object that is written piece by piece.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use tempfile::NamedTempFile;

use super::{Blobs, blocking, check_key, io_error};
use crate::error::{Error, Result};
use crate::mmap::Mapped;

/// A finished object: its length and its name by content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Length.
    pub size_bytes: u64,
    /// BLAKE3 of the bytes.
    pub hash: blake3::Hash,
}

impl Sealed {
    /// What a finished file is; reads it whole. Errors: `Io`.
    pub fn of(file: File) -> Result<Sealed> {
        let bytes = Mapped::sealed(file)?;
        Ok(Sealed {
            size_bytes: bytes.len() as u64,
            hash: blake3::hash(&bytes),
        })
    }
}

/// An object in the making, in a file of the store's scratch folder; if it is dropped before it is sealed, nothing of
/// it stays.
pub struct BlobWriter {
    blobs: Arc<dyn Blobs>,
    key: String,
    state: Option<Writing>,
}

struct Writing {
    file: NamedTempFile,
    hasher: blake3::Hasher,
    size_bytes: u64,
}

impl BlobWriter {
    /// Starts an object of this key; nothing shows until it is sealed.
    pub async fn create(blobs: Arc<dyn Blobs>, key: &str) -> Result<BlobWriter> {
        check_key(key)?;
        let folder = blobs.scratch().to_owned();
        let file = blocking(move || {
            NamedTempFile::new_in(&folder)
                .map_err(|error| io_error("create a file in", &folder, error))
        })
        .await?;
        Ok(BlobWriter {
            blobs,
            key: key.to_owned(),
            state: Some(Writing {
                file,
                hasher: blake3::Hasher::new(),
                size_bytes: 0,
            }),
        })
    }

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
        let path = writing.file.into_temp_path();
        self.blobs.put_file(&self.key, &path).await?;
        Ok(Sealed {
            size_bytes: writing.size_bytes,
            hash: writing.hasher.finalize(),
        })
    }

    fn take(&mut self) -> Result<Writing> {
        self.state.take().ok_or_else(|| Error::Closed {
            what: format!("writer of blob {}", self.key),
        })
    }
}
