//! Real services for tests: a PostgreSQL and an S3 server of the test process's own, Redis, and databases that vanish with the
//! test.

mod nginx;
mod postgres;
mod redis;
mod s3;
mod server;
mod tls;

use tempfile::TempDir;

pub use nginx::Nginx;
pub use postgres::{PostgresServer, postgres};
pub use redis::{RedisServer, redis_server, redis_server_tls};
pub use s3::{bucket, virtual_host_endpoint};
pub use server::installed;
pub use tls::Certificate;

use crate::clock::Clock;
use crate::db::Db;

/// A database with all its tables, for one test; dropping it removes what it stored.
pub struct TestDb {
    /// The handle.
    pub db: Db,
    /// Its URL.
    pub url: String,
    _folder: Option<TempDir>,
}

/// A fresh SQLite database with all its tables.
pub async fn temp_sqlite(clock: Clock) -> TestDb {
    let folder = tempfile::tempdir().expect("make a temporary folder");
    let url = format!(
        "sqlite://{}",
        folder.path().join("hitline.sqlite").display()
    );
    let mut test = open(url, clock).await;
    test._folder = Some(folder);
    test
}

async fn open(url: String, clock: Clock) -> TestDb {
    let db = Db::open(&url, clock).await.expect("open the database");
    db.migrate().await.expect("create the tables");
    TestDb {
        db,
        url,
        _folder: None,
    }
}
