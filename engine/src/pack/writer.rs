//! Makes packs.

use rayon::prelude::*;

use super::compress::compress;
use super::header::{Group, Header};
use super::{
    FileEntry, MAGIC, OpenReport, PARSER, PREFIX_BYTES, Pack, PackName, VERSION, encode_chunk,
};
use crate::model::{FileCoverage, Totals};
use crate::{Error, Result};

/// Chunks are compressed together until they have so many bytes: more gain little, and fewer are read by one core.
const GROUP_BYTES: usize = 128 << 10;

/// Encodes the evidence of `sessions` uploads. `files` must be sorted by path, each path once.
///
/// Deterministic: the same evidence gives the same bytes. In parallel.
pub fn encode<P: AsRef<str> + Sync>(files: &[(P, FileCoverage)], sessions: u32) -> Result<Pack> {
    let encoded = files
        .par_iter()
        .map(|(path, file)| EncodedFile::new(path.as_ref(), file));
    pack(OpenReport::of(encoded.collect::<Result<_>>()?, sessions))
}

/// A file of a report in the making.
pub(crate) struct EncodedFile {
    path: Box<str>,
    totals: Totals,
    chunk: Vec<u8>,
}

impl EncodedFile {
    pub(crate) fn new(path: &str, file: &FileCoverage) -> Result<EncodedFile> {
        Ok(EncodedFile {
            path: path.into(),
            totals: file.totals(),
            chunk: encode_chunk(file)?,
        })
    }
}

impl OpenReport {
    /// The report of these files, which are sorted by path, each path once.
    pub(crate) fn of(files: Vec<EncodedFile>, sessions: u32) -> OpenReport {
        debug_assert!(
            files.is_sorted_by(|a, b| a.path < b.path),
            "paths are sorted"
        );
        let mut chunks = Vec::with_capacity(files.iter().map(|file| file.chunk.len()).sum());
        let entries = files.into_iter().map(|file| {
            let offset = chunks.len() as u64;
            chunks.extend_from_slice(&file.chunk);
            FileEntry {
                path: file.path,
                totals: file.totals,
                offset,
                length: file.chunk.len() as u32,
            }
        });
        let header = Header {
            parser: PARSER,
            sessions,
            files: entries.collect(),
        };
        OpenReport::new(header, chunks)
    }
}

/// The pack of a report. In parallel.
pub(crate) fn pack(report: OpenReport) -> Result<Pack> {
    let raw = group(report.header(), report.chunks());
    let frames = raw.par_iter().map(|chunks| compress(chunks));
    let frames = frames
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(|e| Error::io("compress chunks", e))?;
    let groups = raw.iter().zip(&frames).map(|(chunks, frame)| Group {
        size: chunks.len() as u32,
        length: frame.len() as u32,
    });
    let header = report.header().encode(&groups.collect::<Vec<_>>())?;
    let bytes = lay_out(&header, &frames)?;
    Ok(Pack {
        name: PackName::of(&bytes),
        bytes: bytes.into(),
        report,
    })
}

/// The chunks in groups.
fn group<'a>(header: &Header, chunks: &'a [u8]) -> Vec<&'a [u8]> {
    let (mut groups, mut start, mut end) = (Vec::new(), 0, 0);
    for file in &header.files {
        end += file.length as usize;
        if end - start >= GROUP_BYTES {
            groups.push(&chunks[start..end]);
            start = end;
        }
    }
    if start < end {
        groups.push(&chunks[start..end]);
    }
    groups
}

fn lay_out(header: &[u8], frames: &[Vec<u8>]) -> Result<Vec<u8>> {
    let header_length = u32::try_from(header.len())
        .map_err(|_| Error::invalid("pack", "its header is over 4 GiB"))?;
    let frame_bytes: usize = frames.iter().map(Vec::len).sum();
    let mut bytes = Vec::with_capacity(PREFIX_BYTES + header.len() + frame_bytes);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[VERSION, 0, 0, 0]);
    bytes.extend_from_slice(&header_length.to_le_bytes());
    bytes.extend_from_slice(header);
    frames
        .iter()
        .for_each(|frame| bytes.extend_from_slice(frame));
    Ok(bytes)
}
