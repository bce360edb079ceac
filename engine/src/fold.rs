//! Reports as folds: the join of the packs of a set of uploads, cached under the hash of their names.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use rayon::prelude::*;
use tokio::sync::Semaphore;

use crate::blob::Blobs;
use crate::cache::{Cache, CacheKey};
use crate::db::uploads::UploadPack;
use crate::model::FileCoverage;
use crate::pack::{self, EncodedFile, FileEntry, Header, OpenReport, Pack, PackName, decode_chunk};
use crate::shared::Shared;
use crate::{Error, Result};

/// How often a report is made again when its entries are evicted while it is read.
const REBUILDS_MAX: u32 = 3;

/// How many files are worth being read in parallel.
const MANY: usize = 32;

/// Packs that are fetched at once for one report.
const OPENED_AT_ONCE: usize = 8;

/// Chunks of reports that are joined at once, in bytes, about.
const JOINED_AT_ONCE_BYTES: usize = 256 << 20;

/// Packs of the sets that were folded lately, in all, 32 bytes each.
const RECENT_PACKS: usize = 1 << 14;

/// Bytes of the chunks of a fold that is left for other nodes, at most.
const SHARED_MAX_BYTES: usize = 32 << 20;
/// So long is it left.
const SHARED_KEEPS: Duration = Duration::from_secs(3600);
/// Folds of which a node remembers that it has left them.
const SHARED_KNOWN: usize = 1 << 10;

/// Heavy work that is under way at once for each core: while one waits for the disk, another computes.
const TURNS_PER_CORE: usize = 4;

/// The packs that a report is folded from: sets, so that order and repetition make no difference.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PackSet {
    joined: BTreeSet<PackName>,
    /// Packs that only add lines which the joined ones lack.
    beside: BTreeSet<PackName>,
}

impl PackSet {
    /// The packs of a commit's report.
    pub fn of_uploads(uploads: &[UploadPack]) -> Result<PackSet> {
        let mut packs = PackSet::default();
        for upload in uploads {
            let set = match upload.joined {
                true => &mut packs.joined,
                false => &mut packs.beside,
            };
            set.insert(upload.pack.parse()?);
        }
        packs.beside.retain(|name| !packs.joined.contains(name));
        Ok(packs)
    }

    /// Names the fold: a lone pack is its own fold.
    pub fn key(&self) -> CacheKey {
        let mut names = self.names();
        if let (Some(name), None) = (names.next(), names.next()) {
            return name.0;
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"hitline fold 1");
        for name in &self.joined {
            hasher.update(&name.0);
        }
        if !self.beside.is_empty() {
            hasher.update(b"beside");
            for name in &self.beside {
                hasher.update(&name.0);
            }
        }
        *hasher.finalize().as_bytes()
    }

    /// Every pack, the joined ones first.
    fn names(&self) -> impl Iterator<Item = PackName> {
        self.joined.iter().chain(&self.beside).copied()
    }

    /// The key as 64 hex digits.
    pub fn key_hex(&self) -> String {
        hex::encode(self.key())
    }

    /// Whether it is no fold, but at most one pack.
    fn is_lone(&self) -> bool {
        self.joined.len() + self.beside.len() < 2
    }

    /// Whether there is no pack.
    pub fn is_empty(&self) -> bool {
        self.joined.is_empty() && self.beside.is_empty()
    }
}

impl FromIterator<PackName> for PackSet {
    fn from_iter<I: IntoIterator<Item = PackName>>(names: I) -> PackSet {
        PackSet {
            joined: names.into_iter().collect(),
            beside: BTreeSet::new(),
        }
    }
}

/// Makes, keeps and reads reports.
#[derive(Clone)]
pub struct Folds {
    cache: Arc<Cache>,
    blobs: Arc<dyn Blobs>,
    running: Arc<Running>,
    recent: Arc<Mutex<Recent>>,
    turns: Arc<Semaphore>,
    others: Option<Others>,
    counts: Arc<Counts>,
}

/// Where folds are left for other nodes, and which were.
#[derive(Clone)]
struct Others {
    shared: Arc<dyn Shared>,
    left: Arc<quick_cache::sync::Cache<CacheKey, ()>>,
}

/// Where reports were found.
#[derive(Default)]
struct Counts {
    memory: AtomicU64,
    cache: AtomicU64,
    others: AtomicU64,
    joined: AtomicU64,
    extended: AtomicU64,
}

impl Counts {
    fn add(place: &AtomicU64) {
        place.fetch_add(1, Ordering::Relaxed);
    }
}

/// The reports that are being made, each with the lock of those who want it at once.
type Running = Mutex<HashMap<CacheKey, Arc<tokio::sync::Mutex<()>>>>;

impl Folds {
    /// Folds over this cache and the packs of this object store.
    pub fn new(cache: Arc<Cache>, blobs: Arc<dyn Blobs>) -> Folds {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Folds {
            cache,
            blobs,
            running: Arc::default(),
            recent: Arc::default(),
            turns: Arc::new(Semaphore::new(TURNS_PER_CORE * cores)),
            others: None,
            counts: Arc::default(),
        }
    }

    /// The same, which leaves folds for other nodes, and takes theirs.
    pub fn with_shared(mut self, shared: Arc<dyn Shared>) -> Folds {
        let left = Arc::new(quick_cache::sync::Cache::new(SHARED_KNOWN));
        self.others = Some(Others { shared, left });
        self
    }

    /// How many reports were found in each place, since the start: in memory, in the cache, with other nodes; joined from
    /// packs; joined from packs and the fold of a part of them.
    pub fn counts(&self) -> [(&'static str, u64); 5] {
        let Counts {
            memory,
            cache,
            others,
            joined,
            extended,
        } = &*self.counts;
        [
            ("memory", memory),
            ("cache", cache),
            ("others", others),
            ("joined", joined),
            ("extended", extended),
        ]
        .map(|(place, count)| (place, count.load(Ordering::Relaxed)))
    }

    /// Stores a new pack: in the object store, then in the cache. Idempotent.
    pub async fn store(&self, pack: Pack) -> Result<()> {
        self.blobs
            .put(&pack.name().blob_key(), pack.bytes().clone())
            .await?;
        let cache = self.cache.clone();
        blocking(move || cache.insert(pack.name().0, pack.report())).await
    }

    /// The path table of the report of these packs. A cached one costs a look-up; otherwise the
    /// packs are joined once, however many ask. No packs are an empty report.
    pub async fn report(&self, packs: &PackSet) -> Result<Arc<Header>> {
        if packs.is_empty() {
            return Ok(Arc::new(Header::default()));
        }
        let key = packs.key();
        if let Some(header) = self.cache.header_in_memory(&key) {
            Counts::add(&self.counts.memory);
            return Ok(header);
        }
        if let Some(header) = self.cached(key).await? {
            Counts::add(&self.counts.cache);
            return Ok(header);
        }
        let turn = Turn::of(key, &self.running);
        let _alone = turn.lock.lock().await;
        if let Some(header) = self.cached(key).await? {
            Counts::add(&self.counts.cache);
            return Ok(header);
        }
        if let Some(header) = self.take_shared(key, packs).await? {
            Counts::add(&self.counts.others);
            self.remember(packs);
            return Ok(header);
        }
        self.fold(key, packs).await
    }

    /// Leaves the report of these packs for other nodes, if there are any: what is joined from several packs, is in the
    /// cache, and is not too large. Costs its compression, once.
    pub async fn share(&self, packs: &PackSet) {
        let key = packs.key();
        let Some(others) = &self.others else { return };
        if packs.is_lone() || others.left.get(&key).is_some() {
            return;
        }
        let cache = self.cache.clone();
        let packed = self.in_turn(move || {
            let report = open_cached(&cache, key)?;
            let report = report.filter(|report| report.size_bytes() <= SHARED_MAX_BYTES);
            report.map(pack::pack).transpose()
        });
        match packed.await {
            Ok(Some(pack)) => {
                let bytes = [&pack.name().0[..], pack.bytes()].concat();
                let name = shared_name(&key);
                others.shared.put(&name, bytes.into(), SHARED_KEEPS).await;
                others.left.insert(key, ());
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "a fold is not shared"),
        }
    }

    /// The report of these packs as another node has left it, in the cache now.
    async fn take_shared(&self, key: CacheKey, packs: &PackSet) -> Result<Option<Arc<Header>>> {
        let Some(others) = self.others.as_ref().filter(|_| !packs.is_lone()) else {
            return Ok(None);
        };
        let Some(bytes) = others.shared.get(&shared_name(&key)).await else {
            return Ok(None);
        };
        others.left.insert(key, ());
        let cache = self.cache.clone();
        self.in_turn(move || {
            let Some((name, rest)) = bytes.split_first_chunk() else {
                return Ok(None);
            };
            let Ok(pack) = Pack::open(PackName(*name), bytes.slice_ref(rest)) else {
                return Ok(None);
            };
            cache.insert(key, pack.report())?;
            Ok(Some(pack.report().shared_header()))
        })
        .await
    }

    /// Remembers that the cache has the fold of these packs, if it is of use for others.
    fn remember(&self, packs: &PackSet) {
        if packs.beside.is_empty() && packs.joined.len() > 1 {
            self.recent().push(packs);
        }
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
    /// header. Many are decoded in parallel.
    pub async fn files(
        &self,
        packs: &PackSet,
        entries: Vec<FileEntry>,
    ) -> Result<Vec<FileCoverage>> {
        for _ in 0..REBUILDS_MAX {
            let (cache, key, wanted) = (self.cache.clone(), packs.key(), entries.clone());
            let read = move || {
                let chunks = cache.chunks_of(&key, &wanted)?;
                map_all(&chunks, |chunk| {
                    let file = chunk.as_ref().map(|chunk| decode_chunk(chunk));
                    Ok(file.and_then(Result::ok))
                })
            };
            let files = match entries.len() < MANY {
                true => blocking(read).await?,
                false => self.in_turn(read).await?,
            };
            if let Some(files) = files.into_iter().collect() {
                return Ok(files);
            }
            self.forget(packs).await?;
            self.report(packs).await?;
        }
        Err(Error::Busy {
            what: "cache".into(),
        })
    }

    /// The report of these packs with its files in memory: all of them, or those of `paths`
    /// that it has. Costs a walk over the report's bytes, or a look-up per path.
    pub async fn open_report(
        &self,
        packs: &PackSet,
        paths: Option<Vec<String>>,
    ) -> Result<OpenReport> {
        for _ in 0..REBUILDS_MAX {
            let header = self.report(packs).await?;
            if packs.is_empty() {
                return Ok(OpenReport::default());
            }
            let (cache, key) = (self.cache.clone(), packs.key());
            let read = match paths.clone() {
                None => self.in_turn(move || cache.report(&key, header)).await?,
                Some(paths) => blocking(move || read_some(&cache, &key, &header, paths)).await?,
            };
            if let Some(report) = read {
                return Ok(report);
            }
            self.forget(packs).await?;
        }
        Err(Error::Busy {
            what: "cache".into(),
        })
    }

    /// What each of these uploads says of these files, in the order of both; `None` for a file of which it says
    /// nothing. A look-up per pack and path: the packs' tables of files are not read.
    pub async fn said(
        &self,
        packs: &[PackName],
        paths: &[String],
    ) -> Result<Vec<Vec<Option<FileCoverage>>>> {
        if paths.is_empty() {
            return Ok(packs.iter().map(|_| Vec::new()).collect());
        }
        for &pack in packs.iter().filter(|pack| !self.cache.holds(&pack.0)) {
            self.report(&PackSet::from_iter([pack])).await?;
        }
        let (cache, packs, paths) = (self.cache.clone(), packs.to_vec(), paths.to_vec());
        blocking(move || {
            let places = packs
                .iter()
                .flat_map(|pack| paths.iter().map(move |path| (pack, path)));
            let places: Vec<(&PackName, &String)> = places.collect();
            let files = map_all(&places, |(pack, path)| {
                let chunk = cache.chunk(&pack.0, path)?;
                chunk.map(|chunk| decode_chunk(&chunk)).transpose()
            })?;
            let mut files = files.into_iter();
            let of_pack = |_| files.by_ref().take(paths.len()).collect();
            Ok(packs.iter().map(of_pack).collect())
        })
        .await
    }

    /// Does heavy work, so much at once at most and in the order of its coming: else all that wait would share the
    /// processors, and the last of them would wait for all. The work must not wait for other such work.
    pub async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = self.turns.clone().acquire_owned().await;
        let turn = turn.map_err(|error| Error::Closed {
            what: format!("turns ({error})"),
        })?;
        blocking(move || {
            let _turn = turn;
            work()
        })
        .await
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

    /// Joins the packs. What the cache has of them, or of a part of them, may be damaged: then it is dropped, and all are
    /// fetched.
    async fn fold(&self, key: CacheKey, packs: &PackSet) -> Result<Arc<Header>> {
        match self.fold_once(key, packs).await {
            Err(Error::Corrupt { what, why }) => {
                tracing::warn!(what, why, "a fold failed; fetching its packs again");
                *self.recent() = Recent::default();
                let (cache, names) = (self.cache.clone(), packs.names().collect::<Vec<_>>());
                blocking(move || names.iter().try_for_each(|name| cache.remove(&name.0))).await?;
                self.fold_once(key, packs).await
            }
            done => done,
        }
    }

    async fn fold_once(&self, key: CacheKey, packs: &PackSet) -> Result<Arc<Header>> {
        let (part, missing) = match self.open_part(packs).await? {
            Some((part, missing)) => {
                Counts::add(&self.counts.extended);
                (part, missing)
            }
            None => {
                Counts::add(&self.counts.joined);
                let all = packs.joined.iter().copied().collect();
                (OpenReport::default(), all)
            }
        };
        let is_cheap = !part.header().files.is_empty();
        let joined = self.join_packs(part, missing).await?;
        let beside = packs.beside.iter().copied().collect();
        let beside = self.join_packs(OpenReport::default(), beside).await?;
        let cache = self.cache.clone();
        let header = self.in_turn(move || {
            let report = join(vec![joined, beside], |_, file, beside| {
                *file = with_lines_of(file, beside);
            })?;
            cache.insert(key, &report)?;
            Ok(report.shared_header())
        });
        let header = header.await?;
        self.remember(packs);
        if self.others.is_some() && !is_cheap {
            let (folds, packs) = (self.clone(), packs.clone());
            tokio::spawn(async move { folds.share(&packs).await });
        }
        Ok(header)
    }

    /// Joins packs to what is joined already, as many at once as memory has room for.
    async fn join_packs(&self, part: OpenReport, names: Vec<PackName>) -> Result<OpenReport> {
        let mut opened = vec![part];
        let mut opening = stream::iter(names)
            .map(|name| self.open(name))
            .buffered(OPENED_AT_ONCE);
        while let Some(report) = opening.next().await {
            opened.push(report?);
            let bytes: usize = opened.iter().map(OpenReport::size_bytes).sum();
            if bytes > JOINED_AT_ONCE_BYTES {
                let reports = std::mem::take(&mut opened);
                opened.push(self.in_turn(|| join(reports, join_file_in)).await?);
            }
        }
        drop(opening);
        self.in_turn(|| join(opened, join_file_in)).await
    }

    /// The fold of a part of the packs, if the cache has one, and the packs that it lacks.
    async fn open_part(&self, packs: &PackSet) -> Result<Option<(OpenReport, Vec<PackName>)>> {
        let part = match packs.beside.is_empty() {
            true => self.recent().largest_part(packs).cloned(),
            false => None,
        };
        let Some(part) = part else { return Ok(None) };
        let (cache, key) = (self.cache.clone(), part.key());
        let opened = blocking(move || open_cached(&cache, key)).await?;
        let missing = packs.joined.difference(&part.joined).copied();
        Ok(opened.map(|opened| (opened, missing.collect())))
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pack: from the cache if it is there, else from the object store.
    async fn open(&self, name: PackName) -> Result<OpenReport> {
        let cache = self.cache.clone();
        if let Some(cached) = blocking(move || open_cached(&cache, name.0)).await? {
            return Ok(cached);
        }
        let bytes = self.blobs.get(&name.blob_key()).await?;
        blocking(move || Ok(Pack::open(name, bytes)?.report().clone())).await
    }
}

/// What other nodes know a fold by.
fn shared_name(key: &CacheKey) -> String {
    format!("fold:{}", hex::encode(key))
}

fn read_some(
    cache: &Cache,
    key: &CacheKey,
    header: &Header,
    mut paths: Vec<String>,
) -> Result<Option<OpenReport>> {
    paths.sort_unstable();
    paths.dedup();
    let entries = paths.iter().filter_map(|path| header.find(path).cloned());
    let mut files: Vec<FileEntry> = entries.collect();
    let found = cache.chunks_of(key, &files)?;
    let mut chunks = Vec::new();
    for (file, chunk) in files.iter_mut().zip(found) {
        let Some(chunk) = chunk else {
            return Ok(None);
        };
        (file.offset, file.length) = (chunks.len() as u64, chunk.len() as u32);
        chunks.extend_from_slice(&chunk);
    }
    let header = Header {
        parser: header.parser,
        sessions: header.sessions,
        files,
    };
    Ok(Some(OpenReport::new(header, chunks)))
}

/// One of those who want the same report at once. The last to go takes the lock away.
struct Turn<'a> {
    key: CacheKey,
    running: &'a Running,
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl Turn<'_> {
    fn of(key: CacheKey, running: &Running) -> Turn<'_> {
        let mut reports = running.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = reports.entry(key).or_default().clone();
        Turn { key, running, lock }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut reports = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        self.lock = Arc::default(); // no longer the one that the others hold, whom it counts now
        if reports
            .get(&self.key)
            .is_some_and(|lock| Arc::strong_count(lock) == 1)
        {
            reports.remove(&self.key);
        }
    }
}

/// Sets of packs that were folded lately, of which the cache may still have the folds: uploads of a commit come one after
/// the other, and the fold of the next is that of the last and one more.
#[derive(Default)]
struct Recent {
    /// The last comes last.
    sets: VecDeque<PackSet>,
    /// Packs of all of them.
    packs: usize,
}

impl Recent {
    fn push(&mut self, set: &PackSet) {
        self.packs += set.joined.len();
        self.sets.push_back(set.clone());
        while self.packs > RECENT_PACKS
            && let Some(oldest) = self.sets.pop_front()
        {
            self.packs -= oldest.joined.len();
        }
    }

    /// The largest of them that is a part of this set. Packs beside others depend on all of those.
    fn largest_part(&self, of: &PackSet) -> Option<&PackSet> {
        let is_part =
            |set: &&PackSet| set.joined.len() < of.joined.len() && set.joined.is_subset(&of.joined);
        let parts = self.sets.iter().filter(is_part);
        parts.max_by_key(|set| set.joined.len())
    }
}

/// An entry as the cache has it. A header whose chunks are missing is dropped.
fn open_cached(cache: &Cache, key: CacheKey) -> Result<Option<OpenReport>> {
    let Some(header) = cache.header(&key)? else {
        return Ok(None);
    };
    let report = cache.report(&key, header)?;
    if report.is_none() {
        cache.remove(&key)?;
    }
    Ok(report)
}

/// Joins reports file by file, in parallel: `join` joins what two say of a path, in their order, into the first; the
/// second holds anything then. Linear in the evidence.
fn join(
    mut reports: Vec<OpenReport>,
    join: impl Fn(&str, &mut FileCoverage, &mut FileCoverage) + Sync,
) -> Result<OpenReport> {
    reports.retain(|report| report.header().sessions > 0);
    if let [report] = &reports[..] {
        return Ok(report.clone());
    }
    let mut groups = by_path(&reports);
    groups.par_sort_unstable_by(|a, b| a.path.cmp(b.path));
    let files = groups
        .par_iter()
        .map_init(Default::default, |(file, next), group| {
            let mut sources = group.sources.iter();
            let mut read = |to: &mut FileCoverage| {
                let source = sources.next();
                let read =
                    source.map(|&(report, at)| reports[report as usize].read_file(at as usize, to));
                read.transpose()
            };
            read(file)?;
            while read(next)?.is_some() {
                join(group.path, file, next);
            }
            EncodedFile::new(group.path, file)
        });
    let files = files.collect::<Result<_>>()?;
    let sessions = reports.iter().map(|report| report.header().sessions).sum();
    Ok(OpenReport::of(files, sessions))
}

/// What reports say of one path.
struct SamePath<'a> {
    path: &'a str,
    /// Reports, in their order, and the file's place in the header of each.
    sources: Vec<(u32, u32)>,
}

/// The files of reports, those of a path together. Linear: those of one commit mostly list the same paths, so that the
/// next path is mostly that of the next group.
fn by_path(reports: &[OpenReport]) -> Vec<SamePath<'_>> {
    let mut groups: Vec<SamePath<'_>> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (number, report) in reports.iter().enumerate() {
        let mut next = 0;
        for (at, file) in report.header().files.iter().enumerate() {
            let path = &*file.path;
            let is_next = groups.get(next).is_some_and(|group| group.path == path);
            let place = match is_next {
                true => next,
                false => *places.entry(path).or_insert_with(|| {
                    groups.push(SamePath {
                        path,
                        sources: Vec::with_capacity(reports.len()),
                    });
                    groups.len() - 1
                }),
            };
            groups[place].sources.push((number as u32, at as u32));
            next = place + 1;
        }
    }
    groups
}

/// The file with the lines of the other that it lacks.
pub fn with_lines_of(file: &FileCoverage, other: &FileCoverage) -> FileCoverage {
    let lacks = |line: u32| file.lines.binary_search(&line).is_err();
    file.join(&other.filter(lacks))
}

/// Joins what two uploads say of a file.
///
/// A Ruby file that an upload loaded but never ran lists lines that a run does not (`def`, `end`),
/// all missed: it yields to one that ran. Source: Codecov's rule for SimpleCov reports.
pub fn join_file(path: &str, mut a: FileCoverage, mut b: FileCoverage) -> FileCoverage {
    join_file_in(path, &mut a, &mut b);
    a
}

/// The same into the first; the second holds anything then.
fn join_file_in(path: &str, a: &mut FileCoverage, b: &mut FileCoverage) {
    if path.ends_with(".rb") {
        match (all_missed(a), all_missed(b)) {
            (true, false) => return std::mem::swap(a, b),
            (false, true) => return,
            _ => {}
        }
    }
    a.join_in(b);
}

/// Whether what an upload says of a file is part of a report that joined it: see [`join_file`].
pub fn counts_beside(path: &str, said: &FileCoverage, report: &FileCoverage) -> bool {
    !path.ends_with(".rb") || !all_missed(said) || all_missed(report)
}

fn all_missed(file: &FileCoverage) -> bool {
    let totals = file.totals();
    totals.lines == totals.misses
}

/// Does the same with each, in parallel where they are many: to hand over a few costs more than to do them.
fn map_all<T: Sync, U: Send>(
    items: &[T],
    each: impl Fn(&T) -> Result<U> + Send + Sync,
) -> Result<Vec<U>> {
    match items.len() < MANY {
        true => items.iter().map(each).collect(),
        false => items.par_iter().map(each).collect(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::LocalBlobs;
    use crate::cache::CacheLimits;
    use crate::compare::Report as _;
    use crate::model::{Coverage, FileBuilder, Part};
    use crate::pack;

    fn folds() -> (tempfile::TempDir, Folds) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let blobs = LocalBlobs::open(&dir.path().join("blobs"));
        let cache = Cache::open(&dir.path().join("cache"), CacheLimits::default());
        let cache = Arc::new(cache.expect("an empty cache opens"));
        let folds = Folds::new(cache, Arc::new(blobs.expect("an empty store opens")));
        (dir, folds)
    }

    /// A pack of a line that every upload hits, with a part that only this one knows.
    fn upload(start: u32) -> Pack {
        let mut file = FileBuilder::new();
        file.hits(1, u64::from(start));
        file.part(Part {
            line: 1,
            start,
            end: Some(start + 1),
            coverage: Coverage::Hits(1),
        });
        pack::encode(&[("a.c", file.finish())], 1).expect("evidence encodes")
    }

    async fn store_two(folds: &Folds) -> (PackSet, [PackName; 2]) {
        let packs = [upload(1), upload(2)];
        let names = packs.each_ref().map(Pack::name);
        for pack in packs {
            folds.store(pack).await.expect("stored");
        }
        (names.into_iter().collect(), names)
    }

    async fn starts(folds: &Folds, packs: &PackSet) -> Vec<u32> {
        let file = folds.file(packs, "a.c").await.expect("folds");
        let file = file.expect("the report has the file");
        file.parts().iter().map(|part| part.start).collect()
    }

    #[tokio::test]
    async fn a_report_has_the_parts_of_all_uploads() {
        let (_dir, folds) = folds();
        let (packs, _) = store_two(&folds).await;
        assert_eq!(starts(&folds, &packs).await, [1, 2]);
    }

    #[tokio::test]
    async fn an_upload_that_is_not_joined_only_adds_lines() {
        let (_dir, folds) = folds();
        let mut uploads = Vec::new();
        for (joined, lines) in [(true, [1, 2]), (false, [2, 3])] {
            let mut file = FileBuilder::new();
            for line in lines {
                file.hits(line, u64::from(!joined));
            }
            let pack = pack::encode(&[("a.c", file.finish())], 1).expect("evidence encodes");
            uploads.push(UploadPack {
                upload_id: crate::id::UploadId(0),
                pack: pack.name().to_string(),
                flags: Vec::new(),
                joined,
                name: None,
                source: None,
            });
            folds.store(pack).await.expect("stored");
        }
        let packs = PackSet::of_uploads(&uploads).expect("names are names");
        let file = folds.file(&packs, "a.c").await.expect("folds");
        let file = file.expect("the report has the file");
        let rows: Vec<_> = file.rows().map(|(line, row)| (line, row.hits)).collect();
        assert_eq!(rows, [(1, Some(0)), (2, Some(0)), (3, Some(1))]);
        let all: PackSet = packs.names().collect();
        assert_ne!(all.key(), packs.key());
    }

    #[tokio::test]
    async fn a_pack_whose_cached_chunks_are_missing_is_fetched_again() {
        let (_dir, folds) = folds();
        let (packs, names) = store_two(&folds).await;
        folds.cache.lose_chunks(&names[0].0);
        assert_eq!(starts(&folds, &packs).await, [1, 2]);
        folds.cache.lose_chunks(&packs.key());
        assert_eq!(starts(&folds, &packs).await, [1, 2]);
    }

    #[tokio::test]
    async fn a_pack_whose_cached_chunks_are_damaged_is_fetched_again() {
        let (_dir, folds) = folds();
        let (packs, names) = store_two(&folds).await;
        folds.cache.damage_chunk(&names[1].0, "a.c");
        assert_eq!(starts(&folds, &packs).await, [1, 2]);
        folds.cache.damage_chunk(&packs.key(), "a.c");
        assert_eq!(starts(&folds, &packs).await, [1, 2]);
        let entries = folds.report(&packs).await.expect("folds").files.clone();
        folds.cache.damage_chunk(&packs.key(), "a.c");
        let files = folds.files(&packs, entries).await.expect("folds");
        assert_eq!(files[0].parts().len(), 2);
    }

    #[tokio::test]
    async fn a_fold_goes_on_from_that_of_a_part_unless_it_is_damaged() {
        let (_dir, folds) = folds();
        let (two, names) = store_two(&folds).await;
        let third = upload(3);
        let three: PackSet = names.into_iter().chain([third.name()]).collect();
        folds.store(third).await.expect("stored");
        assert_eq!(starts(&folds, &two).await, [1, 2]);
        let part = folds.open_part(&three).await.expect("is read");
        assert_eq!(part.map(|(_, missing)| missing.len()), Some(1));
        assert_eq!(starts(&folds, &three).await, [1, 2, 3]);
        let whole = folds.report(&three).await.expect("folds");
        assert_eq!(whole.sessions, 3);

        let fourth = upload(4);
        let four: PackSet = three.names().chain([fourth.name()]).collect();
        folds.store(fourth).await.expect("stored");
        folds.cache.damage_chunk(&three.key(), "a.c");
        assert_eq!(starts(&folds, &four).await, [1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn an_open_report_has_the_files_that_were_asked_for() {
        let (_dir, folds) = folds();
        let (packs, names) = store_two(&folds).await;
        let all = folds.open_report(&packs, None).await.expect("folds");
        assert_eq!(all.header().files.len(), 1);
        folds.cache.lose_chunks(&packs.key());
        folds.cache.lose_chunks(&names[0].0);
        let paths = vec!["a.c".to_owned(), "unknown".to_owned(), "a.c".to_owned()];
        let some = folds.open_report(&packs, Some(paths)).await.expect("folds");
        let file = some.find("a.c").expect("decodes").expect("is there");
        assert_eq!(file.parts().len(), 2);
        assert_eq!(some.fingerprint(0), all.fingerprint(0));
        assert!(some.find("unknown").expect("decodes").is_none());
        let paths = ["unknown".to_owned(), "a.c".to_owned()];
        let said = folds.said(&names[1..2], &paths).await.expect("is read");
        let said = &said[0];
        assert!(said[0].is_none());
        assert_eq!(said[1].as_ref().map(|file| file.parts().len()), Some(1));
        let none = folds.open_report(&PackSet::default(), None).await;
        assert!(none.expect("is empty").header().files.is_empty());
    }

    #[tokio::test]
    async fn a_fold_that_fails_leaves_no_lock_and_works_once_its_pack_is_there() {
        let (_dir, folds) = folds();
        let pack = upload(3);
        let packs = PackSet::from_iter([pack.name()]);
        let (one, other) = tokio::join!(folds.report(&packs), folds.report(&packs));
        assert!(matches!(one, Err(Error::NotFound { .. })) && other.is_err());
        assert!(folds.running.lock().expect("no panic").is_empty());
        folds.store(pack).await.expect("stored");
        assert_eq!(starts(&folds, &packs).await, [3]);
        assert!(folds.running.lock().expect("no panic").is_empty());
    }
}
