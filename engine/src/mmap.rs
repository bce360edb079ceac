//! Files of ours, mapped into memory.

use std::fs::File;
use std::ops::Deref;

use crate::{Error, Result};

/// The bytes of a sealed file, mapped where that works and read where it does not.
pub enum Mapped {
    /// Pages that the system loads and drops as it likes.
    Map(memmap2::Mmap),
    /// A copy in memory: the file is empty, or its file system does not map.
    Copy(Vec<u8>),
}

impl Mapped {
    /// Maps a file that we wrote and sealed ourselves: it is only ever unlinked, never changed or
    /// truncated. Errors: `Io`.
    #[expect(
        unsafe_code,
        reason = "mapping is the one way to parse a file larger than memory"
    )]
    pub fn sealed(mut file: File) -> Result<Mapped> {
        // SAFETY: `Blobs::open` gives files that were written to a temporary name, synced and
        // renamed; no code of ours opens such a file for writing again, and its folder is ours.
        match unsafe { memmap2::Mmap::map(&file) } {
            Ok(map) => Ok(Mapped::Map(map)),
            Err(_) => {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut file, &mut bytes)
                    .map_err(|e| Error::io("read sealed file", e))?;
                Ok(Mapped::Copy(bytes))
            }
        }
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Mapped::Map(map) => map,
            Mapped::Copy(bytes) => bytes,
        }
    }
}
