//! The metadata database: facts and the queue, on PostgreSQL or SQLite, with one SQL text for both.
//!
//! Reads take a connection (`Db::read`). Writes hand over a closure (`Db::write`) that runs in a transaction:
//! it commits as a whole, durably, before the caller has its answer, or it leaves nothing.
//! On SQLite one task does all writes and commits those that wait together with one sync of the disk.

/// `on!(conn, |c| query.fetch_one(c))`: the same expression on whichever engine `conn` is of.
macro_rules! on {
    ($conn:expr, |$c:ident| $query:expr) => {
        match $conn.link() {
            $crate::db::Link::Postgres($c) => $query.await,
            $crate::db::Link::Sqlite($c) => $query.await,
        }
    };
}

/// `exec!(conn, query)`: a statement without rows; gives the rows affected.
macro_rules! exec {
    ($conn:expr, $query:expr) => {
        match $conn.link() {
            $crate::db::Link::Postgres(c) => {
                $query.execute(c).await.map(|done| done.rows_affected())
            }
            $crate::db::Link::Sqlite(c) => $query.execute(c).await.map(|done| done.rows_affected()),
        }
    };
}

/// An enum that is stored, sent and printed as one lower-case word.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$case_doc:meta])* $case:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$case_doc])* #[serde(rename = $word)] $case),*
        }

        impl $name {
            /// The stored word.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$case => $word),* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::Error;
            fn from_str(word: &str) -> $crate::Result<$name> {
                match word {
                    $($word => Ok($name::$case),)*
                    _ => Err($crate::Error::invalid(stringify!($name), format_args!("unknown word {word:?}"))),
                }
            }
        }

        impl<DB: sqlx::Database> sqlx::Type<DB> for $name where String: sqlx::Type<DB> {
            fn type_info() -> DB::TypeInfo {
                <String as sqlx::Type<DB>>::type_info()
            }
            fn compatible(info: &DB::TypeInfo) -> bool {
                <String as sqlx::Type<DB>>::compatible(info)
            }
        }

        impl<'q, DB: sqlx::Database> sqlx::Encode<'q, DB> for $name where &'q str: sqlx::Encode<'q, DB> {
            fn encode_by_ref(
                &self,
                buffer: &mut <DB as sqlx::Database>::ArgumentBuffer<'q>,
            ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
                <&'q str as sqlx::Encode<'q, DB>>::encode(self.as_str(), buffer)
            }
        }

        impl<'r, DB: sqlx::Database> sqlx::Decode<'r, DB> for $name where &'r str: sqlx::Decode<'r, DB> {
            fn decode(value: <DB as sqlx::Database>::ValueRef<'r>) -> Result<$name, sqlx::error::BoxDynError> {
                Ok(<&str as sqlx::Decode<'r, DB>>::decode(value)?.parse()?)
            }
        }
    };
}

pub(crate) use {exec, on};

pub mod branches;
pub mod commits;
pub(crate) mod dialect;
pub mod diffs;
pub mod flags;
pub mod journal;
pub mod measures;
pub mod members;
pub mod owners;
pub(crate) mod part;
pub mod pulls;
mod replica;
pub mod repos;
pub mod sessions;
pub mod settings;
pub mod test_runs;
pub mod tokens;
pub mod uploads;
mod wake;
mod writer;
pub mod yamls;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection, Postgres, Sqlite, SqliteConnection,
    Transaction,
};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::error::{Error, Result};
use part::Counts;
use replica::Replica;
use wake::Topics;
use writer::Writer;

pub use part::{Key, Listed, Page, Part, Place, Side};

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Connections that one node holds to PostgreSQL at most, without the one that listens.
const POSTGRES_CONNECTIONS: u32 = 16;
/// What PostgreSQL ends: statements that take longer than any of ours should, that wait so long for a lock, and
/// transactions of a node that has gone silent: others wait for its locks no longer than for a lock at most.
const POSTGRES_LIMITS: [(&str, &str); 3] = [
    ("statement_timeout", "30s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "5s"),
];
/// Connections that read one SQLite file at most.
const SQLITE_READERS: u32 = 8;
/// How long a SQLite statement waits for another process's write.
const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a caller waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may lie idle and still be taken for alive: the pool looks whether it is when it comes back.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// A handle on the metadata database; cheap to clone.
#[derive(Clone)]
pub struct Db {
    engine: Engine,
    topics: Topics,
    counts: Counts,
    clock: Clock,
}

#[derive(Clone)]
enum Engine {
    Postgres {
        pool: sqlx::PgPool,
        replica: Option<Replica>,
        /// For migrations, which may take as long as they take.
        unlimited: Box<PgConnectOptions>,
        _listener: Arc<wake::Listener>,
    },
    Sqlite {
        readers: sqlx::SqlitePool,
        writer: Writer,
        options: Box<SqliteConnectOptions>,
    },
}

impl Db {
    /// Opens `sqlite://path` (created if absent; its folder must exist) or `postgres://…`. Creates no tables: see `migrate`.
    pub async fn open(url: &str, clock: Clock) -> Result<Db> {
        match url.split_once("://").map(|(scheme, _)| scheme) {
            Some("sqlite") => Db::open_sqlite(url, clock).await,
            Some("postgres" | "postgresql") => Db::open_postgres(url, clock).await,
            _ => Err(Error::invalid(
                "database url",
                "expected sqlite://path or postgres://user@host/name",
            )),
        }
    }

    async fn open_sqlite(url: &str, clock: Clock) -> Result<Db> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(SQLITE_BUSY_TIMEOUT)
            .pragma("temp_store", "memory");
        let topics = Topics::default();
        let counts = Counts::new(clock.clone());
        let writer = Writer::start(options.connect().await?, topics.clone(), counts.clone());
        let readers = SqlitePoolOptions::new()
            .max_connections(SQLITE_READERS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .connect_lazy_with(options.clone().pragma("query_only", "on"));
        Ok(Db {
            engine: Engine::Sqlite {
                readers,
                writer,
                options: Box::new(options),
            },
            topics,
            counts,
            clock,
        })
    }

    async fn open_postgres(url: &str, clock: Clock) -> Result<Db> {
        let unlimited = PgConnectOptions::from_str(url)?.application_name("hitline");
        let options = unlimited.clone().options(POSTGRES_LIMITS);
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS + 1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .before_acquire(|conn, lent| {
                Box::pin(async move {
                    if lent.idle_for > TRUSTED_IDLE {
                        conn.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(options)
            .await?;
        let topics = Topics::default();
        let listener = Arc::new(wake::Listener::start(&pool, topics.clone()).await?);
        Ok(Db {
            engine: Engine::Postgres {
                pool,
                replica: None,
                unlimited: Box::new(unlimited),
                _listener: listener,
            },
            topics,
            counts: Counts::new(clock.clone()),
            clock,
        })
    }

    /// The same, which reads reports from this replica as well. Errors: `Invalid` where the database is no PostgreSQL.
    pub fn with_replica(mut self, url: &str) -> Result<Db> {
        match &mut self.engine {
            Engine::Postgres { replica, .. } => {
                *replica = Some(Replica::new(url, self.clock.clone())?);
                Ok(self)
            }
            Engine::Sqlite { .. } => {
                let why = "only a PostgreSQL has replicas; set the database's own URL as well";
                Err(Error::invalid("replica URL", why))
            }
        }
    }

    /// Brings the tables to this program's version; many nodes may call it at once.
    /// Errors: `Migrate`, also when the database has a newer version than this program knows.
    pub async fn migrate(&self) -> Result<()> {
        let result = match &self.engine {
            Engine::Postgres { unlimited, .. } => {
                let mut conn = unlimited.connect().await?;
                let result = MIGRATIONS.run(&mut conn).await;
                conn.close().await?;
                result
            }
            Engine::Sqlite { options, .. } => {
                let _lock = lock_migration(options.get_filename().to_owned()).await?;
                let mut conn = options.connect().await?;
                let result = MIGRATIONS.run(&mut conn).await;
                conn.close().await?;
                result
            }
        };
        result.map_err(|error| match error {
            MigrateError::VersionMissing(version) => Error::Migrate(format!(
                "the database has version {version}, which this program does not know; run a newer hitline"
            )),
            other => Error::Migrate(other.to_string()),
        })
    }

    /// Answers once a statement has gone to the database and back.
    pub async fn ping(&self) -> Result<()> {
        exec!(self.read().await?, sqlx::query("select 1"))?;
        Ok(())
    }

    /// A connection for reading, each statement on its own snapshot.
    pub async fn read(&self) -> Result<Conn> {
        let held = match &self.engine {
            Engine::Postgres { pool, .. } => Held::Postgres(pool.acquire().await?),
            Engine::Sqlite { readers, .. } => Held::SqliteReader(readers.acquire().await?),
        };
        Ok(Conn::new(held, self.counts.clone()))
    }

    /// A connection for the reads of a report: to the replica, if there is one that has all that was committed until now,
    /// else as [`read`](Self::read) gives it. Nobody reads less than they wrote.
    pub async fn read_report(&self) -> Result<Conn> {
        if let Engine::Postgres {
            pool,
            replica: Some(replica),
            ..
        } = &self.engine
            && let Some(conn) = replica.read(pool).await
        {
            return Ok(Conn::new(Held::Postgres(conn), self.counts.clone()));
        }
        self.read().await
    }

    /// How many connections to the replica were lent; `None` without one.
    pub fn replica_reads(&self) -> Option<u64> {
        match &self.engine {
            Engine::Postgres { replica, .. } => replica.as_ref().map(Replica::reads),
            Engine::Sqlite { .. } => None,
        }
    }

    /// Runs the closure in a transaction and answers when it is durable; an error of the closure undoes all of it.
    /// On SQLite others may wait for the closure: it must await nothing but its connection.
    /// Errors: the closure's, `Commit` and `Db`. If the caller stops waiting, the closure may still commit.
    pub async fn write<T, F>(&self, closure: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        match &self.engine {
            Engine::Sqlite { writer, .. } => writer.write(closure).await,
            Engine::Postgres { pool, .. } => {
                let held = Held::PostgresWriter(pool.begin().await?);
                let mut conn = Conn::new(held, self.counts.clone());
                let answer = closure(&mut conn).await?;
                conn.commit_postgres().await?;
                Ok(answer)
            }
        }
    }

    /// A counter that changes after each commit that called `Conn::notify` with this topic; bursts may count once.
    pub fn subscribe(&self, topic: &str) -> watch::Receiver<u64> {
        self.topics.subscribe(topic)
    }

    /// Whether other nodes may use the same database.
    pub fn is_shared(&self) -> bool {
        matches!(self.engine, Engine::Postgres { .. })
    }

    /// The clock that this database's callers share.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The engine's name for people: `postgresql` or `sqlite`.
    pub fn engine_name(&self) -> &'static str {
        match &self.engine {
            Engine::Postgres { .. } => "postgresql",
            Engine::Sqlite { .. } => "sqlite",
        }
    }

    /// Closes all connections, after the writes that were accepted. Later calls fail.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Postgres { pool, replica, .. } => {
                pool.close().await;
                if let Some(replica) = replica {
                    replica.close().await;
                }
            }
            Engine::Sqlite {
                readers, writer, ..
            } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }
}

/// A file lock beside the database, as SQLite's own locks do not span the steps of a migration.
async fn lock_migration(database: PathBuf) -> Result<std::fs::File> {
    let path = database.with_extension("migrate-lock");
    tokio::task::spawn_blocking(move || {
        let io = |error| Error::io(format_args!("lock {}", path.display()), error);
        let file = std::fs::File::create(&path).map_err(io)?;
        file.lock().map_err(io)?;
        Ok(file)
    })
    .await
    .map_err(|_| Error::Closed {
        what: "migration".into(),
    })?
}

/// A connection that queries run on: on its own, or inside a transaction.
pub struct Conn {
    held: Held,
    counts: Counts,
    topics: BTreeSet<String>,
}

enum Held {
    Postgres(PoolConnection<Postgres>),
    PostgresWriter(Transaction<'static, Postgres>),
    SqliteReader(PoolConnection<Sqlite>),
    SqliteWriter(SqliteConnection),
}

/// What `on!` and `exec!` match.
pub(crate) enum Link<'c> {
    Postgres(&'c mut PgConnection),
    Sqlite(&'c mut SqliteConnection),
}

impl Conn {
    fn new(held: Held, counts: Counts) -> Conn {
        Conn {
            held,
            counts,
            topics: BTreeSet::new(),
        }
    }

    pub(crate) fn link(&mut self) -> Link<'_> {
        match &mut self.held {
            Held::Postgres(conn) => Link::Postgres(conn),
            Held::PostgresWriter(transaction) => Link::Postgres(transaction),
            Held::SqliteReader(conn) => Link::Sqlite(conn),
            Held::SqliteWriter(conn) => Link::Sqlite(conn),
        }
    }

    /// Wakes this topic's subscribers, on every node, once the transaction has committed.
    pub fn notify(&mut self, topic: &str) {
        debug_assert!(
            matches!(self.held, Held::PostgresWriter(_) | Held::SqliteWriter(_)),
            "notify belongs in a write"
        );
        if !self.topics.contains(topic) {
            self.topics.insert(topic.to_owned());
        }
    }

    async fn commit_postgres(mut self) -> Result<()> {
        for topic in std::mem::take(&mut self.topics) {
            exec!(
                self,
                sqlx::query(dialect::NOTIFY)
                    .bind(wake::CHANNEL)
                    .bind(topic.as_str())
            )?;
        }
        match self.held {
            Held::PostgresWriter(transaction) => Ok(transaction.commit().await?),
            _ => Ok(()),
        }
    }
}
