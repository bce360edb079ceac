//! The stored form of coverage: the evidence of one upload, or the fold of several.
//!
//! A pack is immutable and named by the hash of its bytes, so that it can be cached anywhere and
//! needs no invalidation. Its layout stands in `schemas/pack.fbs`; every version that was ever
//! released stays readable.

mod chunk;
mod compress;
mod header;
mod reader;
mod report;
mod selected;
mod writer;

pub(crate) use chunk::decode_chunk_into;
pub use chunk::{decode_chunk, encode_chunk};
pub use header::{FileEntry, Header};
pub use reader::Pack;
pub use report::OpenReport;
pub use selected::Selected;
pub(crate) use writer::EncodedFile;
pub use writer::encode;
pub(crate) use writer::pack;

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// The format's version, in the fifth byte of every pack.
pub const VERSION: u8 = 2;
/// Version of the parsers: part of every pack, so that a better parser makes another pack.
pub const PARSER: u32 = 1;

/// What every pack starts with.
pub const MAGIC: [u8; 4] = *b"HLPK";
/// Bytes before the compressed header: magic, version, padding, its length.
const PREFIX_BYTES: usize = 12;

/// The hash of a pack's bytes: BLAKE3, 32 bytes, shown as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackName(pub [u8; 32]);

impl PackName {
    /// The name of these bytes.
    pub fn of(bytes: &[u8]) -> PackName {
        PackName(*blake3::hash(bytes).as_bytes())
    }

    /// Where the object store keeps the pack.
    pub fn blob_key(self) -> String {
        format!("packs/{self}")
    }
}

impl fmt::Display for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for PackName {
    type Err = Error;

    fn from_str(text: &str) -> Result<PackName> {
        let mut name = [0; 32];
        hex::decode_to_slice(text, &mut name).map_err(|e| Error::invalid("pack name", e))?;
        Ok(PackName(name))
    }
}
