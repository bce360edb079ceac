//! Some files of a pack, as a comparison reads them.

use super::{FileEntry, Pack};
use crate::Result;
use crate::compare::Report;
use crate::model::{FileCoverage, Totals};

/// Some files of a pack.
pub struct Selected<'a> {
    pack: &'a Pack,
    files: Vec<&'a FileEntry>,
}

impl<'a> Selected<'a> {
    /// The files of these paths.
    pub fn new(pack: &'a Pack, keep: impl Fn(&str) -> bool) -> Selected<'a> {
        let files = pack.header().files.iter();
        Selected {
            pack,
            files: files.filter(|file| keep(&file.path)).collect(),
        }
    }

    /// Counts over the files.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals {
            files: self.files.len() as u64,
            sessions: u64::from(self.pack.header().sessions),
            ..Totals::default()
        };
        for file in &self.files {
            totals += file.totals;
        }
        totals
    }
}

impl Report for Selected<'_> {
    fn files(&self) -> impl ExactSizeIterator<Item = (&str, Totals)> {
        self.files.iter().map(|file| (&*file.path, file.totals))
    }

    fn file(&self, at: usize) -> Result<FileCoverage> {
        self.pack.file(self.files[at])
    }

    fn fingerprint(&self, at: usize) -> &[u8] {
        self.pack.report().chunk(self.files[at])
    }
}
