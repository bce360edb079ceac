//! The handles that every part of the program shares.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::blob::{Blobs, LocalBlobs, Method, S3Blobs, UrlSigner};
use engine::cache::{Cache, CacheLimits};
use engine::clock::Clock;
use engine::db::Db;
use engine::db::settings::get_or_insert_setting;
use engine::fold::Folds;
use engine::secret::{Secret, new_signing_key};
use engine::shared::{Memory, Redis, Shared};
use engine::{Error, Result};
use ingest::job::Worker;
use ingest::yamls::Yamls;

use crate::config::Config;
use crate::diffs::Fetching;
use crate::forges::Forges;
use crate::handlers::graphs::Drawn;
use crate::handlers::rest::etag::Answers;
use crate::middleware::limit::Backlog;
use crate::prefetch::Hot;
use crate::sync::Sync;

/// Processes that share a data folder, at most.
const CACHES_MAX: u32 = 64;

/// Handles on the node's parts; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Facts and the queue.
    pub db: Db,
    /// Raw uploads and packs.
    pub blobs: Arc<dyn Blobs>,
    /// URLs of objects that go through this server.
    pub object_urls: UrlSigner,
    /// Reports.
    pub folds: Folds,
    /// Which `codecov.yml` holds.
    pub yamls: Yamls,
    /// Git providers.
    pub forges: Forges,
    /// Turns of those who ask them for diffs.
    pub fetching: Arc<Fetching>,
    /// Time.
    pub clock: Clock,
    /// Settings.
    pub config: Arc<Config>,
    /// What nodes share for a while.
    pub shared: Arc<dyn Shared>,
    /// The instance's key, from which signatures and graph tokens follow.
    pub key: Secret,
    /// Graphs that were drawn.
    pub graphs: Arc<Drawn>,
    /// Answers that were given.
    pub answers: Arc<Answers>,
    /// Repositories that were asked for lately.
    pub hot: Arc<Hot>,
    /// How many jobs wait.
    pub backlog: Arc<Backlog>,
    /// Says that the cache's folder is this process's own.
    _cache_lock: Arc<File>,
}

impl App {
    /// Opens the node's parts, and brings the database's tables to this version.
    pub async fn open(config: Config, clock: Clock) -> Result<App> {
        let data = config.data.clone();
        std::fs::create_dir_all(&data)
            .map_err(|e| Error::io(format!("create {}", data.display()), e))?;
        let db = open_db(&config, clock.clone()).await?;
        let key = signing_key(&db).await?;
        let blobs = open_blobs(&config, clock.clone()).await?;
        let (folder, cache_lock) = claim_cache(&data.join("cache"))?;
        let cache = Arc::new(Cache::open(&folder, CacheLimits::default())?);
        let yamls = Yamls::new(config.site.clone());
        let forges = Forges::connect(&config.forges)?;
        let folds = Folds::new(cache, blobs.clone());
        let (shared, folds): (Arc<dyn Shared>, Folds) = match &config.redis_url {
            Some(url) => {
                let redis = Arc::new(open_redis(&config, url, clock.clone())?);
                (redis.clone(), folds.with_shared(redis))
            }
            None => (Arc::new(Memory::new(clock.clone())), folds),
        };
        Ok(App {
            db,
            blobs,
            object_urls: UrlSigner::new(key.clone(), clock.clone()),
            folds,
            yamls,
            forges,
            fetching: Arc::default(),
            hot: Arc::new(Hot::new(clock.clone())),
            clock,
            config: Arc::new(config),
            answers: Arc::new(Answers::new(shared.clone())),
            shared,
            key,
            graphs: Arc::default(),
            backlog: Arc::default(),
            _cache_lock: Arc::new(cache_lock),
        })
    }

    /// A URL that allows anyone this method on this object until `expires_us`: the store's own, or one below `base`.
    pub async fn object_url(
        &self,
        base: &str,
        method: Method,
        key: &str,
        expires_us: i64,
    ) -> Result<String> {
        match self.blobs.presign(method, key, expires_us).await? {
            Some(url) => Ok(url),
            None => self.object_urls.url(base, method, key, expires_us),
        }
    }

    /// A worker on this node's parts.
    pub fn worker(&self) -> Worker {
        let name = format!("{}-{}", std::process::id(), uuid::Uuid::new_v4());
        Worker::new(
            self.db.clone(),
            self.blobs.clone(),
            self.folds.clone(),
            self.yamls.clone(),
            self.clock.clone(),
            name,
            self.config.jobs,
        )
        .with_shared(self.shared.clone())
        .with_errand(Arc::new(Sync(self.clone())))
    }
}

/// A cache folder of this process alone, as RocksDB wants: the first below `folder` that no other process has.
fn claim_cache(folder: &Path) -> Result<(PathBuf, File)> {
    let io = |error| Error::io(format!("claim a cache in {}", folder.display()), error);
    std::fs::create_dir_all(folder).map_err(io)?;
    for number in 0..CACHES_MAX {
        let lock = File::create(folder.join(format!("{number}.lock"))).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => return Ok((folder.join(number.to_string()), lock)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
    }
    Err(Error::conflict(format_args!(
        "{CACHES_MAX} processes use {}; give this one a data folder of its own",
        folder.display()
    )))
}

/// Opens the object store: the bucket, or a folder of the data folder.
pub async fn open_blobs(config: &Config, clock: Clock) -> Result<Arc<dyn Blobs>> {
    let folder = config.data.join("blobs");
    Ok(match &config.s3 {
        Some(settings) => Arc::new(S3Blobs::open(settings, &folder.join("tmp"), clock).await?),
        None => Arc::new(LocalBlobs::open(&folder)?),
    })
}

/// Opens the database and brings its tables to this version.
pub async fn open_db(config: &Config, clock: Clock) -> Result<Db> {
    let mut db = Db::open(config.database_url.expose(), clock).await?;
    if let Some(url) = &config.replica_url {
        db = db.with_replica(url.expose())?;
    }
    db.migrate().await?;
    Ok(db)
}

/// The configured Redis. Errors: `Invalid`, or `Io` where its authority cannot be read.
pub fn open_redis(config: &Config, url: &Secret, clock: Clock) -> Result<Redis> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|e| Error::io(format!("read {}", path.display()), e))
    };
    let authority = config.redis_ca_file.as_ref().map(read).transpose()?;
    Redis::open(url.expose(), authority.as_deref(), clock)
}

/// The instance's key: made at the first start, kept in the database.
pub async fn signing_key(db: &Db) -> Result<Secret> {
    let fresh = new_signing_key();
    let key = db.write(move |conn| {
        Box::pin(
            async move { get_or_insert_setting(conn, "url_signing_key", fresh.expose()).await },
        )
    });
    Ok(Secret::new(key.await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_one_data_folder_have_a_cache_each() {
        let data = tempfile::tempdir().unwrap();
        let (first, lock) = claim_cache(data.path()).unwrap();
        let (second, _other) = claim_cache(data.path()).unwrap();
        assert_ne!(first, second);
        drop(lock);
        assert_eq!(claim_cache(data.path()).unwrap().0, first);
    }
}
