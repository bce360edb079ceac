//! The path table of a pack.

use flatbuffers::FlatBufferBuilder;

use super::compress::{compress, decompress};
use crate::model::Totals;
use crate::schema::pack as fb;
use crate::{Error, Result};

/// Largest header that is read, uncompressed: about 4 million files.
const HEADER_MAX_BYTES: usize = 512 << 20;

/// One file of a pack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileEntry {
    /// Path in the repository.
    pub path: Box<str>,
    /// Counts of the file; `files` and `sessions` are 0.
    pub totals: Totals,
    /// Where its chunk starts, from the first chunk, in bytes.
    pub offset: u64,
    /// Bytes of its chunk.
    pub length: u32,
}

/// Chunks that are compressed together.
pub(super) struct Group {
    /// Bytes of the chunks.
    pub(super) size: u32,
    /// Bytes that they are compressed to.
    pub(super) length: u32,
}

/// A header as it is stored.
pub(super) struct Stored {
    pub(super) header: Header,
    /// Empty in version 1.
    pub(super) groups: Vec<Group>,
    /// Bytes of each file's chunk in version 1, where the entries tell those of its frame.
    pub(super) sizes: Vec<u32>,
}

/// Which files a pack knows, and their counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Version of the parsers that made the evidence.
    pub parser: u32,
    /// Uploads joined: 1 in an upload's pack.
    pub sessions: u32,
    /// Sorted by path, each path once.
    pub files: Vec<FileEntry>,
}

impl Header {
    /// The file of that path. Binary search.
    pub fn find(&self, path: &str) -> Option<&FileEntry> {
        let found = self
            .files
            .binary_search_by(|file| (*file.path).cmp(path))
            .ok()?;
        self.files.get(found)
    }

    /// Counts of the whole report. One pass over the files.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals {
            sessions: u64::from(self.sessions),
            ..Totals::default()
        };
        for file in &self.files {
            totals += file.totals;
        }
        totals.files = self.files.len() as u64;
        totals
    }

    /// The compressed form, beside chunks in these groups; or beside chunks that stand alone. Deterministic.
    pub(super) fn encode(&self, groups: &[Group]) -> Result<Vec<u8>> {
        let mut fbb = FlatBufferBuilder::with_capacity(self.files.len() * 160);
        let files: Vec<_> = self
            .files
            .iter()
            .map(|file| {
                let path = fbb.create_string(&file.path);
                let t = &file.totals;
                let totals = fb::FileTotals::new(
                    t.lines,
                    t.hits,
                    t.misses,
                    t.partials,
                    t.branches,
                    t.methods,
                    t.complexity,
                    t.complexity_total,
                );
                let args = fb::FileArgs {
                    path: Some(path),
                    offset: file.offset,
                    length: file.length,
                    size: 0,
                    totals: Some(&totals),
                };
                fb::File::create(&mut fbb, &args)
            })
            .collect();
        let files = fbb.create_vector(&files);
        let groups = groups
            .iter()
            .map(|group| fb::Group::new(group.size, group.length));
        let groups = fbb.create_vector(&groups.collect::<Vec<_>>());
        let args = fb::HeaderArgs {
            parser: self.parser,
            sessions: self.sessions,
            files: Some(files),
            groups: Some(groups),
        };
        let root = fb::Header::create(&mut fbb, &args);
        fbb.finish_minimal(root);
        compress(fbb.finished_data()).map_err(|e| Error::io("compress pack header", e))
    }

    /// The form in which a cache keeps it.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        self.encode(&[])
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote, verified. Errors: `Corrupt`.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Header> {
        Stored::decode(bytes).map(|stored| stored.header)
    }
}

impl Stored {
    /// Reads what [`Header::encode`] wrote, verified. Errors: `Corrupt`.
    pub(super) fn decode(compressed: &[u8]) -> Result<Stored> {
        let corrupt = |why: String| Error::corrupt("pack header", why);
        let size = zstd::zstd_safe::get_frame_content_size(compressed)
            .ok()
            .flatten()
            .and_then(|size| usize::try_from(size).ok())
            .filter(|&size| size <= HEADER_MAX_BYTES)
            .ok_or_else(|| corrupt("no size, or too large".into()))?;
        let bytes = decompress(compressed, size).map_err(|e| corrupt(e.to_string()))?;
        let options = flatbuffers::VerifierOptions {
            max_tables: usize::MAX,
            max_apparent_size: usize::MAX,
            ..Default::default()
        };
        let header =
            fb::root_as_header_with_opts(&options, &bytes).map_err(|e| corrupt(e.to_string()))?;
        let files: Vec<FileEntry> = header.files().iter().map(file_entry).collect();
        if !files.is_sorted_by(|a, b| a.path < b.path) {
            return Err(corrupt("paths are not sorted".into()));
        }
        let groups = header.groups().into_iter().flatten().map(|group| Group {
            size: group.size(),
            length: group.length(),
        });
        Ok(Stored {
            groups: groups.collect(),
            sizes: header.files().iter().map(|file| file.size()).collect(),
            header: Header {
                parser: header.parser(),
                sessions: header.sessions(),
                files,
            },
        })
    }
}

fn file_entry(file: fb::File<'_>) -> FileEntry {
    let t = file.totals();
    let totals = Totals {
        lines: t.lines(),
        hits: t.hits(),
        misses: t.misses(),
        partials: t.partials(),
        branches: t.branches(),
        methods: t.methods(),
        complexity: t.complexity(),
        complexity_total: t.complexity_total(),
        ..Totals::default()
    };
    FileEntry {
        path: file.path().into(),
        totals,
        offset: file.offset(),
        length: file.length(),
    }
}
