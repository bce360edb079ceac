//! A report in memory.

use std::sync::Arc;

use bytes::Bytes;

use super::{FileEntry, Header, decode_chunk, decode_chunk_into};
use crate::Result;
use crate::compare::Report;
use crate::model::{FileCoverage, Totals};

/// A report, or a part of it, whose files stand in memory as chunks. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct OpenReport {
    header: Arc<Header>,
    chunks: Bytes,
}

impl OpenReport {
    /// A report of these chunks, where the header says that they are.
    pub(crate) fn new(header: impl Into<Arc<Header>>, chunks: impl Into<Bytes>) -> OpenReport {
        OpenReport {
            header: header.into(),
            chunks: chunks.into(),
        }
    }

    /// The same from elsewhere. Errors: why they cannot be.
    pub(super) fn checked(header: Header, chunks: Vec<u8>) -> Result<OpenReport, String> {
        let is_inside = |file: &FileEntry| {
            let end = file.offset.checked_add(u64::from(file.length));
            end.is_some_and(|end| end <= chunks.len() as u64)
        };
        match header.files.iter().all(is_inside) {
            true => Ok(OpenReport::new(header, chunks)),
            false => Err("a chunk lies outside it".into()),
        }
    }

    /// The table of its files.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The same, shared.
    pub(crate) fn shared_header(&self) -> Arc<Header> {
        self.header.clone()
    }

    /// Bytes of its chunks.
    pub(crate) fn size_bytes(&self) -> usize {
        self.chunks.len()
    }

    /// All chunks.
    pub(super) fn chunks(&self) -> &[u8] {
        &self.chunks
    }

    /// The chunk of a file of its header.
    pub(crate) fn chunk(&self, file: &FileEntry) -> &[u8] {
        let start = file.offset as usize;
        &self.chunks[start..start + file.length as usize]
    }

    /// The evidence of the file of that path, if it is there. Errors: `Corrupt`.
    pub fn find(&self, path: &str) -> Result<Option<FileCoverage>> {
        let found = self.header.find(path).map(|file| self.chunk(file));
        found.map(decode_chunk).transpose()
    }

    /// Reads the file at that place of the header in place of what `to` has.
    pub(crate) fn read_file(&self, at: usize, to: &mut FileCoverage) -> Result<()> {
        decode_chunk_into(self.chunk(&self.header.files[at]), to)
    }
}

impl Report for OpenReport {
    fn files(&self) -> impl ExactSizeIterator<Item = (&str, Totals)> {
        self.header
            .files
            .iter()
            .map(|file| (&*file.path, file.totals))
    }

    fn file(&self, at: usize) -> Result<FileCoverage> {
        decode_chunk(self.chunk(&self.header.files[at]))
    }

    /// Encoding is deterministic, so equal evidence has equal bytes.
    fn fingerprint(&self, at: usize) -> &[u8] {
        self.chunk(&self.header.files[at])
    }
}
