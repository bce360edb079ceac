//! Opens packs.

use bytes::Bytes;
use rayon::prelude::*;

use super::chunk::CHUNK_MAX_BYTES;
use super::compress::{decompress, decompress_to};
use super::header::{Group, Header, Stored};
use super::{FileEntry, MAGIC, OpenReport, PREFIX_BYTES, PackName, VERSION};
use crate::model::FileCoverage;
use crate::{Error, Result};

/// Bytes of all chunks of a pack, at most.
const CHUNKS_MAX_BYTES: u64 = 4 << 30;

/// A pack, made or opened: its bytes were checked, and its chunks stand in memory. Chunks are decoded one by one.
#[derive(Clone, Debug)]
pub struct Pack {
    pub(super) name: PackName,
    pub(super) bytes: Bytes,
    pub(super) report: OpenReport,
}

impl Pack {
    /// Opens bytes that claim to be the pack of that name, of any version. Errors: `Corrupt` when they are not.
    /// Costs one hash of the bytes, and what it takes to decompress them, in parallel.
    pub fn open(name: PackName, bytes: Bytes) -> Result<Pack> {
        let corrupt = |why: &str| Error::corrupt(format!("pack {name}"), why);
        if PackName::of(&bytes) != name {
            return Err(corrupt("its bytes do not have this hash"));
        }
        let (prefix, rest) = bytes
            .split_first_chunk::<PREFIX_BYTES>()
            .ok_or_else(|| corrupt("too short"))?;
        let [m0, m1, m2, m3, version, _, _, _, length @ ..] = *prefix;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(corrupt("not a pack"));
        }
        let length = u32::from_le_bytes(length) as usize;
        let (header, frames) = rest
            .split_at_checked(length)
            .ok_or_else(|| corrupt("a cut-off header"))?;
        let stored = Stored::decode(header)?;
        let report = match version {
            1 => open_lone_frames(stored, frames),
            2 => open_groups(stored, frames),
            _ => {
                return Err(corrupt(&format!(
                    "version {version}; this program reads 1 to {VERSION}"
                )));
            }
        };
        Ok(Pack {
            name,
            report: report.map_err(|why| corrupt(&why))?,
            bytes,
        })
    }

    /// The hash of the bytes.
    pub fn name(&self) -> PackName {
        self.name
    }

    /// What the object store keeps.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What it says.
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// The path table.
    pub fn header(&self) -> &Header {
        self.report.header()
    }

    /// The evidence of a file of this pack's header. Errors: `Corrupt`.
    pub fn file(&self, file: &FileEntry) -> Result<FileCoverage> {
        super::decode_chunk(self.report.chunk(file))
    }
}

fn open_groups(stored: Stored, frames: &[u8]) -> Result<OpenReport, String> {
    let Stored { header, groups, .. } = stored;
    let total: u64 = groups.iter().map(|group| u64::from(group.size)).sum();
    if total > CHUNKS_MAX_BYTES {
        return Err("too large".into());
    }
    let mut chunks = vec![0; total as usize];
    let (mut places, mut frames) = (&mut chunks[..], frames);
    let mut work = Vec::with_capacity(groups.len());
    for Group { size, length } in groups {
        let (place, behind) = places.split_at_mut(size as usize);
        let frame = frames.split_at_checked(length as usize);
        let (frame, rest) = frame.ok_or("a group lies outside it")?;
        work.push((frame, place));
        (places, frames) = (behind, rest);
    }
    work.into_par_iter()
        .try_for_each(|(frame, place)| decompress_to(frame, place))
        .map_err(|error| error.to_string())?;
    OpenReport::checked(header, chunks)
}

/// The chunks of version 1, each a frame of its own.
fn open_lone_frames(stored: Stored, frames: &[u8]) -> Result<OpenReport, String> {
    let Stored {
        mut header, sizes, ..
    } = stored;
    let mut chunks = Vec::new();
    for (file, size) in header.files.iter_mut().zip(sizes) {
        let start = usize::try_from(file.offset).ok();
        let end = start.and_then(|start| start.checked_add(file.length as usize));
        let frame = start
            .zip(end)
            .and_then(|(start, end)| frames.get(start..end));
        let frame = frame.ok_or("a chunk lies outside it")?;
        if size as usize > CHUNK_MAX_BYTES
            || chunks.len() as u64 + u64::from(size) > CHUNKS_MAX_BYTES
        {
            return Err("too large".into());
        }
        let chunk = decompress(frame, size as usize).map_err(|error| error.to_string())?;
        (file.offset, file.length) = (chunks.len() as u64, chunk.len() as u32);
        chunks.extend_from_slice(&chunk);
    }
    OpenReport::checked(header, chunks)
}
