//! Reports as folds: the join of the packs of a set of uploads, cached under the hash of their names.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use crate::blob::Blobs;
use crate::cache::{Cache, CacheKey};
use crate::model::FileCoverage;
use crate::pack::{self, FileEntry, Header, Pack, PackName, decode_chunk};
use crate::{Error, Result};

/// How often a report is made again when its entries are evicted while it is read.
const REBUILDS_MAX: u32 = 3;

/// The packs that a report is folded from: a set, so that order and repetition make no difference.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PackSet(BTreeSet<PackName>);

impl PackSet {
    /// Names the fold: a lone pack is its own fold.
    pub fn key(&self) -> CacheKey {
        let mut names = self.0.iter();
        if let (Some(name), None) = (names.next(), names.next()) {
            return name.0;
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"hitline fold 1");
        for name in &self.0 {
            hasher.update(&name.0);
        }
        *hasher.finalize().as_bytes()
    }

    /// The key as 64 hex digits.
    pub fn key_hex(&self) -> String {
        hex::encode(self.key())
    }

    /// Whether there is no pack.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<PackName> for PackSet {
    fn from_iter<I: IntoIterator<Item = PackName>>(names: I) -> PackSet {
        PackSet(names.into_iter().collect())
    }
}

/// Makes, keeps and reads reports.
#[derive(Clone)]
pub struct Folds {
    cache: Arc<Cache>,
    blobs: Arc<dyn Blobs>,
    running: Arc<Mutex<HashMap<CacheKey, Arc<tokio::sync::Mutex<()>>>>>,
}

impl Folds {
    /// Folds over this cache and the packs of this object store.
    pub fn new(cache: Arc<Cache>, blobs: Arc<dyn Blobs>) -> Folds {
        Folds {
            cache,
            blobs,
            running: Arc::default(),
        }
    }

    /// Stores a new pack: in the object store, then in the cache. Idempotent.
    pub async fn store(&self, pack: Pack) -> Result<()> {
        self.blobs
            .put(&pack.name().blob_key(), pack.bytes().clone())
            .await?;
        let cache = self.cache.clone();
        blocking(move || cache.insert(pack.name().0, &pack)).await
    }

    /// The path table of the report of these packs. A cached one costs a look-up; otherwise the
    /// packs are joined once, however many ask. No packs are an empty report.
    pub async fn report(&self, packs: &PackSet) -> Result<Arc<Header>> {
        if packs.is_empty() {
            return Ok(Arc::new(Header::default()));
        }
        let key = packs.key();
        if let Some(header) = self.cached(key).await? {
            return Ok(header);
        }
        let turn = self.turn(key);
        let _turn = turn.lock().await;
        let header = match self.cached(key).await? {
            Some(header) => header,
            None => self.fold(key, packs).await?,
        };
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&key);
        Ok(header)
    }

    /// The evidence of one file of the report of these packs.
    pub async fn file(&self, packs: &PackSet, path: &str) -> Result<Option<FileCoverage>> {
        for _ in 0..REBUILDS_MAX {
            let header = self.report(packs).await?;
            let Some(entry) = header.find(path).cloned() else {
                return Ok(None);
            };
            let (cache, key) = (self.cache.clone(), packs.key());
            if let Some(file) = blocking(move || cache.file(&key, &entry)).await? {
                return Ok(Some(file));
            }
            self.forget(packs).await?;
        }
        Err(Error::Busy {
            what: "cache".into(),
        })
    }

    /// The evidence of several files of the report, in the order of `entries`, which stand in its
    /// header. Decoded in parallel.
    pub async fn files(
        &self,
        packs: &PackSet,
        entries: Vec<FileEntry>,
    ) -> Result<Vec<FileCoverage>> {
        for _ in 0..REBUILDS_MAX {
            let (cache, key, wanted) = (self.cache.clone(), packs.key(), entries.clone());
            let read = move || -> Result<Option<Vec<FileCoverage>>> {
                wanted
                    .par_iter()
                    .map(|entry| cache.file(&key, entry))
                    .collect()
            };
            if let Some(files) = blocking(read).await? {
                return Ok(files);
            }
            self.forget(packs).await?;
            self.report(packs).await?;
        }
        Err(Error::Busy {
            what: "cache".into(),
        })
    }

    async fn cached(&self, key: CacheKey) -> Result<Option<Arc<Header>>> {
        let cache = self.cache.clone();
        blocking(move || cache.header(&key)).await
    }

    /// Drops a header whose chunks are gone, so that the report is made again.
    async fn forget(&self, packs: &PackSet) -> Result<()> {
        let (cache, key) = (self.cache.clone(), packs.key());
        blocking(move || cache.remove(&key)).await
    }

    /// The lock of those who want the same report at once.
    fn turn(&self, key: CacheKey) -> Arc<tokio::sync::Mutex<()>> {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(key)
            .or_default()
            .clone()
    }

    async fn fold(&self, key: CacheKey, packs: &PackSet) -> Result<Arc<Header>> {
        let mut sources = Vec::with_capacity(packs.0.len());
        for &name in &packs.0 {
            sources.push(self.source(name).await?);
        }
        let cache = self.cache.clone();
        blocking(move || {
            let sources = sources
                .into_iter()
                .map(|source| source.open(&cache))
                .collect::<Result<Vec<_>>>()?;
            let report = match &sources[..] {
                [Opened::Fetched(pack)] => pack.clone(),
                sources => pack::encode(&join(sources)?, sources.len() as u32)?,
            };
            cache.insert(key, &report)?;
            Ok(Arc::new(report.header().clone()))
        })
        .await
    }

    /// A pack: from the cache if it is there, else from the object store.
    async fn source(&self, name: PackName) -> Result<Source> {
        if let Some(header) = self.cached(name.0).await? {
            return Ok(Source::Cached(name, header));
        }
        Ok(Source::Fetched(
            name,
            self.blobs.get(&name.blob_key()).await?,
        ))
    }
}

enum Source {
    Cached(PackName, Arc<Header>),
    Fetched(PackName, bytes::Bytes),
}

/// A pack with its chunks in memory.
enum Opened {
    /// Chunks in the order of the header's paths.
    Cached(Arc<Header>, Vec<Box<[u8]>>),
    Fetched(Pack),
}

impl Source {
    fn open(self, cache: &Cache) -> Result<Opened> {
        match self {
            Source::Cached(name, header) => {
                let chunks = cache.chunks(&name.0).collect::<Result<Vec<_>>>()?;
                if chunks.len() != header.files.len() {
                    return Err(Error::Busy {
                        what: format!("cache of pack {name}"),
                    });
                }
                Ok(Opened::Cached(header, chunks))
            }
            Source::Fetched(name, bytes) => Ok(Opened::Fetched(Pack::open(name, bytes)?)),
        }
    }
}

impl Opened {
    fn header(&self) -> &Header {
        match self {
            Opened::Cached(header, _) => header,
            Opened::Fetched(pack) => pack.header(),
        }
    }

    fn file(&self, at: usize) -> Result<FileCoverage> {
        match self {
            Opened::Cached(header, chunks) => decode_chunk(&chunks[at], header.files[at].size),
            Opened::Fetched(pack) => pack.file(&pack.header().files[at]),
        }
    }
}

/// Joins packs file by file, in parallel. Linear in the evidence.
fn join(packs: &[Opened]) -> Result<Vec<(Box<str>, FileCoverage)>> {
    let mut by_path: Vec<(&str, usize, usize)> = packs
        .iter()
        .enumerate()
        .flat_map(|(p, pack)| {
            pack.header()
                .files
                .iter()
                .enumerate()
                .map(move |(f, file)| (&*file.path, p, f))
        })
        .collect();
    by_path.par_sort_unstable();
    let same_path: Vec<&[(&str, usize, usize)]> = by_path.chunk_by(|a, b| a.0 == b.0).collect();
    same_path
        .par_iter()
        .map(|sources| {
            let path = sources[0].0;
            let mut files = sources.iter().map(|&(_, p, f)| packs[p].file(f));
            let first = files.next().expect("a group has a member")?;
            let joined = files.try_fold(first, |joined, file| {
                Ok::<_, Error>(join_file(path, joined, file?))
            })?;
            Ok((path.into(), joined))
        })
        .collect()
}

/// Joins what two uploads say of a file.
///
/// A Ruby file that an upload loaded but never ran lists lines that a run does not (`def`, `end`),
/// all missed: it yields to one that ran. Source: Codecov's rule for SimpleCov reports.
pub fn join_file(path: &str, a: FileCoverage, b: FileCoverage) -> FileCoverage {
    if path.ends_with(".rb") {
        match (all_missed(&a), all_missed(&b)) {
            (true, false) => return b,
            (false, true) => return a,
            _ => {}
        }
    }
    a.join(&b)
}

fn all_missed(file: &FileCoverage) -> bool {
    let totals = file.totals();
    totals.lines == totals.misses
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Closed {
            what: format!("worker thread ({error})"),
        })?
}
