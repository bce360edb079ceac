//! Makes packs.

use rayon::prelude::*;

use super::{
    FileEntry, Header, MAGIC, PARSER, PREFIX_BYTES, Pack, PackName, VERSION, encode_chunk,
};
use crate::model::FileCoverage;
use crate::{Error, Result};

/// Encodes the evidence of `sessions` uploads. `files` must be sorted by path, each path once.
///
/// Deterministic: the same evidence gives the same bytes. Chunks are encoded in parallel.
pub fn encode<P: AsRef<str> + Sync>(files: &[(P, FileCoverage)], sessions: u32) -> Result<Pack> {
    debug_assert!(
        files.is_sorted_by(|a, b| a.0.as_ref() < b.0.as_ref()),
        "paths are sorted"
    );
    let chunks: Vec<(Vec<u8>, u32)> = files
        .par_iter()
        .map(|(_, file)| encode_chunk(file))
        .collect::<Result<_>>()?;
    let mut offset = 0;
    let mut entries = Vec::with_capacity(files.len());
    for ((path, file), (chunk, size)) in files.iter().zip(&chunks) {
        entries.push(FileEntry {
            path: path.as_ref().into(),
            totals: file.totals(),
            offset,
            length: chunk.len() as u32,
            size: *size,
        });
        offset += chunk.len() as u64;
    }
    let header = Header {
        parser: PARSER,
        sessions,
        files: entries,
    };
    let header_bytes = header.encode()?;
    let bytes = assemble(&header_bytes, &chunks, offset as usize)?;
    let chunks_start = PREFIX_BYTES + header_bytes.len();
    Ok(Pack {
        name: PackName::of(&bytes),
        header,
        bytes: bytes.into(),
        chunks_start,
    })
}

fn assemble(header: &[u8], chunks: &[(Vec<u8>, u32)], chunk_bytes: usize) -> Result<Vec<u8>> {
    let header_length = u32::try_from(header.len())
        .map_err(|_| Error::invalid("pack", "its header is over 4 GiB"))?;
    let mut bytes = Vec::with_capacity(PREFIX_BYTES + header.len() + chunk_bytes);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[VERSION, 0, 0, 0]);
    bytes.extend_from_slice(&header_length.to_le_bytes());
    bytes.extend_from_slice(header);
    for (chunk, _) in chunks {
        bytes.extend_from_slice(chunk);
    }
    Ok(bytes)
}
