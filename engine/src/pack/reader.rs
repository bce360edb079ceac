//! Opens packs.

use bytes::Bytes;

use super::{FileEntry, Header, MAGIC, PREFIX_BYTES, PackName, VERSION, decode_chunk};
use crate::model::FileCoverage;
use crate::{Error, Result};

/// A pack, made or opened: its bytes were checked. Chunks are decoded one by one.
#[derive(Clone, Debug)]
pub struct Pack {
    pub(super) name: PackName,
    pub(super) header: Header,
    pub(super) bytes: Bytes,
    pub(super) chunks_start: usize,
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
        let chunk_bytes = (rest.len() - length) as u64;
        let inside = |file: &FileEntry| {
            file.offset
                .checked_add(u64::from(file.length))
                .is_some_and(|end| end <= chunk_bytes)
        };
        if !header.files.iter().all(inside) {
            return Err(corrupt("a chunk lies outside it"));
        }
        Ok(Pack {
            name,
            header,
            chunks_start: PREFIX_BYTES + length,
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

    /// The path table.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The path table as it is stored.
    pub fn header_bytes(&self) -> &[u8] {
        &self.bytes[PREFIX_BYTES..self.chunks_start]
    }

    /// The compressed chunk of a file of this pack's header.
    pub fn chunk(&self, file: &FileEntry) -> &[u8] {
        let start = self.chunks_start + file.offset as usize;
        &self.bytes[start..start + file.length as usize]
    }

    /// The evidence of a file of this pack's header. Errors: `Corrupt`.
    pub fn file(&self, file: &FileEntry) -> Result<FileCoverage> {
        decode_chunk(self.chunk(file), file.size)
    }
}
