//! The node's cache of packs and folds, in RocksDB.
//!
//! Nothing here is truth: every entry can be made again from packs in the object store, so writes
//! skip the log, a damaged directory is thrown away, and any look-up may miss. An entry is named by
//! content ([`CacheKey`]), so it is never stale. The least recently used entries go when the
//! bound is reached.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rocksdb::{
    BlockBasedOptions, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRawIterator,
    IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions,
};

use crate::model::FileCoverage;
use crate::pack::{FileEntry, Header, OpenReport, decode_chunk};
use crate::{Error, Result};

/// Names an entry: a pack's name, or a fold's key. 32 bytes.
pub type CacheKey = [u8; 32];

/// Headers: key → compressed header.
const HEADERS: &str = "header";
/// Chunks: key ‖ path → chunk, which RocksDB compresses with its neighbours.
const CHUNKS: &str = "chunk";
/// Evicts down to this part of the bound, so that evictions come in batches.
const EVICT_TO: f64 = 0.9;
/// Files of the decoded headers that are kept in memory, over all headers.
const HEADER_FILES_MAX: u64 = 400_000;
const KEY_BYTES: usize = 32;

/// How much the cache may take.
#[derive(Clone, Copy, Debug)]
pub struct CacheLimits {
    /// Bytes of entries, before they are compressed.
    pub disk_bytes: u64,
    /// Bytes of RocksDB's block cache in memory.
    pub memory_bytes: usize,
}

impl Default for CacheLimits {
    /// 8 GiB of entries, which take less than half of that on disk; 16 MiB in memory.
    fn default() -> CacheLimits {
        CacheLimits {
            disk_bytes: 8 << 30,
            memory_bytes: 16 << 20,
        }
    }
}

/// The cache. Shared by reference; calls block on the disk.
pub struct Cache {
    db: DB,
    limits: CacheLimits,
    usage: Mutex<Usage>,
    headers: quick_cache::sync::Cache<CacheKey, Arc<Header>, ByFiles>,
}

/// Which entries there are, how large, and in which order they were last used.
#[derive(Default)]
struct Usage {
    entries: HashMap<CacheKey, (u64, u64)>,
    by_sequence: BTreeMap<u64, CacheKey>,
    sequence: u64,
    bytes: u64,
}

#[derive(Clone)]
struct ByFiles;

impl quick_cache::Weighter<CacheKey, Arc<Header>> for ByFiles {
    fn weight(&self, _: &CacheKey, header: &Arc<Header>) -> u64 {
        header.files.len() as u64 + 1
    }
}

impl Cache {
    /// Opens the cache in a directory of its own, and makes it anew if it is damaged.
    /// Errors: `Io` when not even an empty one can be made there.
    pub fn open(dir: &Path, limits: CacheLimits) -> Result<Cache> {
        let db = open_db(dir, limits).or_else(|error| {
            tracing::warn!(%error, dir = %dir.display(), "cache is damaged; starting with an empty one");
            std::fs::remove_dir_all(dir)
                .map_err(|e| Error::io(format!("remove damaged cache {}", dir.display()), e))?;
            open_db(dir, limits).map_err(|e| rocks("open", e))
        })?;
        let usage = Usage::load(&db)?;
        let headers = quick_cache::sync::Cache::with_weighter(256, HEADER_FILES_MAX, ByFiles);
        Ok(Cache {
            db,
            limits,
            usage: Mutex::new(usage),
            headers,
        })
    }

    /// The path table of an entry, if it is in memory: no look at the disk. Marks it as used.
    pub fn header_in_memory(&self, key: &CacheKey) -> Option<Arc<Header>> {
        let header = self.headers.get(key)?;
        self.usage().touch(key);
        Some(header)
    }

    /// The path table of an entry. Marks it as used.
    pub fn header(&self, key: &CacheKey) -> Result<Option<Arc<Header>>> {
        if let Some(header) = self.header_in_memory(key) {
            return Ok(Some(header));
        }
        let stored = self
            .db
            .get_pinned_cf(self.column(HEADERS), key)
            .map_err(|e| rocks("read header", e))?;
        let Some(header) = stored.and_then(|stored| Header::from_bytes(&stored).ok()) else {
            return Ok(None);
        };
        self.usage().touch(key);
        let header = Arc::new(header);
        self.headers.insert(*key, header.clone());
        Ok(Some(header))
    }

    /// The evidence of one file of an entry's header; `None` when the entry was evicted meanwhile, or
    /// is damaged. One point look-up.
    pub fn file(&self, key: &CacheKey, file: &FileEntry) -> Result<Option<FileCoverage>> {
        let stored = self
            .db
            .get_pinned_cf(self.column(CHUNKS), chunk_key(key, &file.path))
            .map_err(|e| rocks("read chunk", e))?;
        Ok(stored.and_then(|chunk| decode_chunk(&chunk).ok()))
    }

    /// Whether there is an entry of that key.
    pub fn holds(&self, key: &CacheKey) -> bool {
        self.usage().entries.contains_key(key)
    }

    /// The chunk of one file of an entry; `None` when the entry was evicted. One point look-up.
    pub fn chunk(&self, key: &CacheKey, path: &str) -> Result<Option<Box<[u8]>>> {
        let stored = self
            .db
            .get_pinned_cf(self.column(CHUNKS), chunk_key(key, path))
            .map_err(|e| rocks("read chunk", e))?;
        Ok(stored.map(|chunk| Box::from(&*chunk)))
    }

    /// The chunks of these files of an entry, in their order; `None` for one that was evicted. A few are
    /// looked up; over many goes a walk that leaps where they are far from each other.
    pub fn chunks_of(&self, key: &CacheKey, files: &[FileEntry]) -> Result<Vec<Option<Box<[u8]>>>> {
        const FEW: usize = 8;
        if files.len() < FEW {
            return files
                .iter()
                .map(|file| self.chunk(key, &file.path))
                .collect();
        }
        let mut walk = self.db.raw_iterator_cf(self.column(CHUNKS));
        let mut chunks = Vec::with_capacity(files.len());
        for file in files {
            let wanted = chunk_key(key, &file.path);
            leap(&mut walk, &wanted);
            let is_here = walk.key().is_some_and(|here| here == wanted);
            chunks.push(walk.value().filter(|_| is_here).map(Box::from));
        }
        walk.status().map_err(|e| rocks("read chunks", e))?;
        Ok(chunks)
    }

    /// An entry with all of its files, of which this is the header; `None` when it was evicted. A walk over its bytes.
    pub fn report(&self, key: &CacheKey, header: Arc<Header>) -> Result<Option<OpenReport>> {
        let mut options = ReadOptions::default();
        options.set_iterate_range(rocksdb::PrefixRange(&key[..]));
        let mut walk = self.db.raw_iterator_cf_opt(self.column(CHUNKS), options);
        walk.seek_to_first();
        let mut chunks = Vec::with_capacity(chunk_bytes(&header) as usize);
        for file in &header.files {
            let is_next = chunks.len() as u64 == file.offset;
            match walk.value() {
                Some(chunk) if is_next && chunk.len() == file.length as usize => {
                    chunks.extend_from_slice(chunk);
                }
                _ => break,
            }
            walk.next();
        }
        walk.status().map_err(|e| rocks("read chunks", e))?;
        let is_whole = chunks.len() as u64 == chunk_bytes(&header);
        Ok(is_whole.then(|| OpenReport::new(header, chunks)))
    }

    /// Keeps an entry, and evicts others when the bound is passed.
    pub fn insert(&self, key: CacheKey, entry: &OpenReport) -> Result<()> {
        let mut batch = WriteBatch::default();
        let chunks = self.column(CHUNKS);
        for file in &entry.header().files {
            batch.put_cf(chunks, chunk_key(&key, &file.path), entry.chunk(file));
        }
        batch.put_cf(self.column(HEADERS), key, entry.header().to_bytes()?);
        self.db
            .write_opt(batch, &unlogged())
            .map_err(|e| rocks("write entry", e))?;
        self.headers.insert(key, entry.shared_header());
        let evicted = {
            let mut usage = self.usage();
            usage.insert(key, chunk_bytes(entry.header()));
            usage.evict(self.limits.disk_bytes)
        };
        self.delete(&evicted)
    }

    /// Drops an entry.
    pub fn remove(&self, key: &CacheKey) -> Result<()> {
        self.usage().remove(key);
        self.delete(&[*key])
    }

    /// Bytes of all entries.
    pub fn size_bytes(&self) -> u64 {
        self.usage().bytes
    }

    /// Drops the chunks of an entry, as if the disk had lost them.
    #[cfg(test)]
    pub(crate) fn lose_chunks(&self, key: &CacheKey) {
        let mut end = [0xff; KEY_BYTES + 1];
        end[..KEY_BYTES].copy_from_slice(key);
        self.db
            .delete_range_cf(self.column(CHUNKS), &key[..], &end[..])
            .expect("the cache takes writes");
    }

    /// Writes other bytes in place of a chunk.
    #[cfg(test)]
    pub(crate) fn damage_chunk(&self, key: &CacheKey, path: &str) {
        self.db
            .put_cf(self.column(CHUNKS), chunk_key(key, path), b"rubbish")
            .expect("the cache takes writes");
    }

    fn delete(&self, keys: &[CacheKey]) -> Result<()> {
        let mut batch = WriteBatch::default();
        for key in keys {
            self.headers.remove(key);
            batch.delete_cf(self.column(HEADERS), key);
            let mut end = [0xff; KEY_BYTES + 1];
            end[..KEY_BYTES].copy_from_slice(key);
            batch.delete_range_cf(self.column(CHUNKS), &key[..], &end[..]);
        }
        self.db
            .write_opt(batch, &unlogged())
            .map_err(|e| rocks("evict", e))
    }

    fn column(&self, name: &'static str) -> &ColumnFamily {
        self.db
            .cf_handle(name)
            .expect("opened with all column families")
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Usage {
    /// Counts what a former run left. Its order of use is lost; the order of keys stands in.
    fn load(db: &DB) -> Result<Usage> {
        let mut usage = Usage::default();
        let headers = db
            .cf_handle(HEADERS)
            .expect("opened with all column families");
        for entry in db.iterator_cf(headers, IteratorMode::Start) {
            let (key, header) = entry.map_err(|e| rocks("list entries", e))?;
            if let (Ok(key), Ok(header)) = (CacheKey::try_from(&*key), Header::from_bytes(&header))
            {
                usage.insert(key, chunk_bytes(&header));
            }
        }
        Ok(usage)
    }

    fn insert(&mut self, key: CacheKey, bytes: u64) {
        self.sequence += 1;
        if let Some((sequence, bytes)) = self.entries.insert(key, (self.sequence, bytes)) {
            self.by_sequence.remove(&sequence);
            self.bytes -= bytes;
        }
        self.by_sequence.insert(self.sequence, key);
        self.bytes += bytes;
    }

    fn touch(&mut self, key: &CacheKey) {
        if let Some(&(_, bytes)) = self.entries.get(key) {
            self.insert(*key, bytes);
        }
    }

    fn remove(&mut self, key: &CacheKey) {
        if let Some((sequence, bytes)) = self.entries.remove(key) {
            self.by_sequence.remove(&sequence);
            self.bytes -= bytes;
        }
    }

    /// The entries to delete so that the rest fits. Never the one that was used last.
    fn evict(&mut self, limit_bytes: u64) -> Vec<CacheKey> {
        let mut evicted = Vec::new();
        if self.bytes <= limit_bytes {
            return evicted;
        }
        let goal_bytes = (limit_bytes as f64 * EVICT_TO) as u64;
        while self.bytes > goal_bytes && self.entries.len() > 1 {
            let Some((_, &key)) = self.by_sequence.first_key_value() else {
                break;
            };
            self.remove(&key);
            evicted.push(key);
        }
        evicted
    }
}

/// What an entry counts: the bytes of its chunks, of which the disk holds fewer.
fn chunk_bytes(header: &Header) -> u64 {
    header.files.iter().map(|file| u64::from(file.length)).sum()
}

/// Moves to the first key that is not less than this one.
fn leap(walk: &mut DBRawIterator<'_>, wanted: &[u8]) {
    /// As many steps cost what a search does.
    const STEPS: usize = 8;
    for _ in 0..STEPS {
        match walk.key().map(|here| here.cmp(wanted)) {
            Some(Ordering::Equal) => return,
            Some(Ordering::Less) => walk.next(),
            Some(Ordering::Greater) | None => break,
        }
    }
    walk.seek(wanted);
}

fn open_db(dir: &Path, limits: CacheLimits) -> std::result::Result<DB, rocksdb::Error> {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_atomic_flush(true);
    options.set_max_open_files(256);
    options.set_keep_log_file_num(2);
    options.set_max_background_jobs(2);
    let block_cache = rocksdb::Cache::new_lru_cache(limits.memory_bytes);
    let columns = [HEADERS, CHUNKS].map(|name| {
        let mut table = BlockBasedOptions::default();
        table.set_bloom_filter(10.0, false);
        table.set_block_cache(&block_cache);
        table.set_cache_index_and_filter_blocks(true);
        let mut column = Options::default();
        column.set_block_based_table_factory(&table);
        column.set_compression_type(DBCompressionType::None);
        column.set_bottommost_compression_type(DBCompressionType::Lz4);
        column.set_write_buffer_size(16 << 20);
        ColumnFamilyDescriptor::new(name, column)
    });
    DB::open_cf_descriptors(&options, dir, columns)
}

fn unlogged() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}

fn chunk_key(key: &CacheKey, path: &str) -> Vec<u8> {
    [&key[..], path.as_bytes()].concat()
}

fn rocks(what: &str, error: rocksdb::Error) -> Error {
    Error::io(format!("cache: {what}"), std::io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FileBuilder;
    use crate::pack::{self, Pack};

    fn entry(seed: u32) -> Pack {
        let mut file = FileBuilder::new();
        (1..200).for_each(|line| file.hits(line, u64::from((line * seed) % 7)));
        pack::encode(&[(format!("src/{seed}.rs"), file.finish())], 1).expect("evidence encodes")
    }

    fn cache(disk_bytes: u64) -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let limits = CacheLimits {
            disk_bytes,
            ..CacheLimits::default()
        };
        let cache = Cache::open(&dir.path().join("cache"), limits).expect("an empty cache opens");
        (dir, cache)
    }

    #[test]
    fn an_entry_gives_back_its_header_and_files() {
        let (_dir, cache) = cache(1 << 20);
        let entry = entry(3);
        cache
            .insert(entry.name().0, entry.report())
            .expect("insert");
        let header = cache
            .header(&entry.name().0)
            .expect("read")
            .expect("present");
        assert_eq!(*header, *entry.header());
        let file = cache
            .file(&entry.name().0, &header.files[0])
            .expect("read")
            .expect("present");
        assert_eq!(file.totals(), header.files[0].totals);
    }

    #[test]
    fn many_chunks_are_those_that_each_look_up_gives() {
        let file = |at: u32| {
            let mut file = FileBuilder::new();
            file.hits(at + 1, u64::from(at));
            (format!("src/{at:03}.rs"), file.finish())
        };
        let files: Vec<_> = (0..100).map(file).collect();
        let pack = pack::encode(&files, 1).expect("evidence encodes");
        let (_dir, cache) = cache(1 << 30);
        for (key, pack) in [
            ([1; 32], entry(1)),
            ([2; 32], pack.clone()),
            ([3; 32], entry(2)),
        ] {
            cache
                .insert(key, pack.report())
                .expect("the cache takes writes");
        }
        let all = &pack.header().files;
        let mut unknown = all.clone();
        unknown[50].path = "src/050.rs.more".into();
        let far: Vec<_> = all.iter().step_by(12).cloned().collect();
        let backwards: Vec<_> = all.iter().rev().cloned().collect();
        for wanted in [all, &unknown, &far, &backwards, &all[..3].to_vec()] {
            for key in [[2; 32], [3; 32], [9; 32]] {
                let chunks = cache.chunks_of(&key, wanted).expect("the cache is read");
                let one = |file: &FileEntry| cache.chunk(&key, &file.path).expect("it is read");
                assert_eq!(chunks, wanted.iter().map(one).collect::<Vec<_>>());
            }
        }
        assert!(
            cache
                .chunks_of(&[2; 32], all)
                .unwrap()
                .iter()
                .all(Option::is_some)
        );
    }

    #[test]
    fn the_least_recently_used_entry_goes_first() {
        let entries: Vec<Pack> = (1..=4).map(entry).collect();
        let (_dir, cache) = cache(
            entries
                .iter()
                .take(3)
                .map(|e| chunk_bytes(e.header()))
                .sum(),
        );
        for entry in &entries[..3] {
            cache
                .insert(entry.name().0, entry.report())
                .expect("insert");
        }
        cache
            .header(&entries[0].name().0)
            .expect("read")
            .expect("present");
        cache
            .insert(entries[3].name().0, entries[3].report())
            .expect("insert");
        let present = entries
            .iter()
            .map(|e| cache.header(&e.name().0).expect("read").is_some());
        assert_eq!(present.collect::<Vec<_>>(), [true, false, false, true]);
    }

    #[test]
    fn a_damaged_directory_is_made_anew() {
        let (dir, cache) = cache(1 << 20);
        drop(cache);
        std::fs::write(dir.path().join("cache/CURRENT"), "rubbish").expect("write");
        let cache =
            Cache::open(&dir.path().join("cache"), CacheLimits::default()).expect("opens anew");
        assert_eq!(cache.size_bytes(), 0);
    }
}
