//! Opens packs.

use bytes::Bytes;

use super::{FileEntry, Header, MAGIC, PREFIX_BYTES, PackName, VERSION, decode_chunk};
use crate::model::FileCoverage;
use crate::{Error, Result};

/// An open pack. Chunks are decoded one by one, as they are asked for.
#[derive(Clone, Debug)]
pub struct Pack {
    header: Header,
    chunks: Bytes,
}

impl Pack {
    /// Opens bytes that claim to be the pack of that name. Errors: `Corrupt` when they are not.
    /// Costs one hash of the bytes and the decoding of the header.
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
        if version != VERSION {
            return Err(corrupt(&format!(
                "version {version}; this program reads {VERSION}"
            )));
        }
        let length = u32::from_le_bytes(length) as usize;
        let header = Header::decode(
            rest.get(..length)
                .ok_or_else(|| corrupt("a cut-off header"))?,
        )?;
        Ok(Pack {
            header,
            chunks: bytes.slice(PREFIX_BYTES + length..),
        })
    }

    /// The path table.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The compressed chunk of a file of this pack's header. Errors: `Corrupt`.
    pub fn chunk(&self, file: &FileEntry) -> Result<&[u8]> {
        let start = usize::try_from(file.offset).ok();
        let end = start.and_then(|start| start.checked_add(file.length as usize));
        start
            .zip(end)
            .and_then(|(start, end)| self.chunks.get(start..end))
            .ok_or_else(|| Error::corrupt(&file.path, "its chunk lies outside the pack"))
    }

    /// The evidence of a file of this pack's header. Errors: `Corrupt`.
    pub fn file(&self, file: &FileEntry) -> Result<FileCoverage> {
        decode_chunk(self.chunk(file)?, file.size)
    }
}
