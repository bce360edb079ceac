//! The handles that every part of the program shares.

use std::sync::Arc;

use engine::blob::{Blobs, LocalBlobs};
use engine::cache::{Cache, CacheLimits};
use engine::clock::Clock;
use engine::db::Db;
use engine::db::settings::get_or_insert_setting;
use engine::fold::Folds;
use engine::secret::{Secret, new_signing_key};
use engine::{Error, Result};
use ingest::job::Worker;
use ingest::yamls::Yamls;

use crate::config::Config;
use crate::diffs::Fetching;
use crate::forges::Forges;
use crate::handlers::graphs::Drawn;
use crate::handlers::rest::etag::Answers;
use crate::middleware::limit::RateLimit;
use crate::sync::Sync;

/// Handles on the node's parts; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Facts and the queue.
    pub db: Db,
    /// Raw uploads and packs.
    pub blobs: LocalBlobs,
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
    /// The rate limit of upload calls.
    pub upload_limit: Arc<RateLimit>,
    /// The rate limit of wrong API tokens.
    pub refusal_limit: Arc<RateLimit>,
    /// The instance's key, from which signatures and graph tokens follow.
    pub key: Secret,
    /// Graphs that were drawn.
    pub graphs: Arc<Drawn>,
    /// Answers that were given.
    pub answers: Arc<Answers>,
}

impl App {
    /// Opens the node's parts, and brings the database's tables to this version. `role` names the
    /// node's own cache folder, as two processes cannot share one.
    pub async fn open(config: Config, clock: Clock, role: &str) -> Result<App> {
        let data = config.data.clone();
        std::fs::create_dir_all(&data)
            .map_err(|e| Error::io(format!("create {}", data.display()), e))?;
        let db = open_db(&config, clock.clone()).await?;
        let key = signing_key(&db).await?;
        let blobs = LocalBlobs::open(&data.join("blobs"), key.clone(), clock.clone())?;
        let cache = Arc::new(Cache::open(
            &data.join("cache").join(role),
            CacheLimits::default(),
        )?);
        let folds = Folds::new(cache, Arc::new(blobs.clone()));
        let yamls = Yamls::new(config.site.clone());
        let forges = Forges::connect(&config.forges)?;
        let upload_limit = Arc::new(RateLimit::per_second(config.uploads_per_second));
        let refusal_limit = Arc::new(RateLimit::per_second(config.wrong_tokens_per_second));
        Ok(App {
            db,
            blobs,
            folds,
            yamls,
            forges,
            fetching: Arc::default(),
            clock,
            config: Arc::new(config),
            upload_limit,
            refusal_limit,
            key,
            graphs: Arc::default(),
            answers: Arc::default(),
        })
    }

    /// A worker on this node's parts.
    pub fn worker(&self) -> Worker {
        let blobs: Arc<dyn Blobs> = Arc::new(self.blobs.clone());
        let name = format!("{}-{}", std::process::id(), uuid::Uuid::new_v4());
        Worker::new(
            self.db.clone(),
            blobs,
            self.folds.clone(),
            self.yamls.clone(),
            self.clock.clone(),
            name,
            self.config.jobs,
        )
        .with_errand(Arc::new(Sync(self.clone())))
    }
}

/// Opens the database and brings its tables to this version.
pub async fn open_db(config: &Config, clock: Clock) -> Result<Db> {
    let db = Db::open(config.database_url.expose(), clock).await?;
    db.migrate().await?;
    Ok(db)
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
