//! A replica of PostgreSQL for the reads of reports: asked only when it has all that its primary has committed, so that
//! whoever has written anything, to whichever node, reads it.

use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres};

use super::{POSTGRES_CONNECTIONS, POSTGRES_LIMITS};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// Looks at a replica that lags, and the pause between two.
const LOOKS: u32 = 3;
const LOOK_PAUSE: Duration = Duration::from_millis(3);
/// How long a replica may take to answer that before the primary is asked.
const PATIENCE: Duration = Duration::from_millis(250);
/// A replica that was away is not asked for so long.
const AWAY_US: i64 = 1_000_000;

/// A replica.
#[derive(Clone)]
pub(super) struct Replica {
    pool: PgPool,
    clock: Clock,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    away_until_us: AtomicI64,
    reads: AtomicU64,
}

impl Replica {
    /// It is not asked yet, and need not be there. Errors: `Invalid` for what is no URL of PostgreSQL.
    pub(super) fn new(url: &str, clock: Clock) -> Result<Replica> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| Error::invalid("replica URL", "expected postgres://user@host/name"))?
            .application_name("hitline reads")
            .options(POSTGRES_LIMITS)
            .options([("default_transaction_read_only", "on")]);
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        Ok(Replica {
            pool,
            clock,
            shared: Arc::default(),
        })
    }

    /// A connection to the replica, if it has all that was committed on the primary until now.
    pub(super) async fn read(&self, primary: &PgPool) -> Option<PoolConnection<Postgres>> {
        let Shared {
            away_until_us,
            reads,
        } = &*self.shared;
        if self.clock.now_us() < away_until_us.load(Ordering::Relaxed) {
            return None;
        }
        let why = match tokio::time::timeout(PATIENCE, self.caught_up(primary)).await {
            Ok(Ok(found)) => {
                reads.fetch_add(u64::from(found.is_some()), Ordering::Relaxed);
                return found;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it is silent".to_owned(),
        };
        tracing::warn!(why, "the replica does not answer; the primary is asked");
        let until_us = self.clock.now_us() + AWAY_US;
        away_until_us.store(until_us, Ordering::Relaxed);
        None
    }

    async fn caught_up(
        &self,
        primary: &PgPool,
    ) -> Result<Option<PoolConnection<Postgres>>, sqlx::Error> {
        const COMMITTED: &str = "select pg_current_wal_flush_lsn()::text";
        const HAS: &str = "select pg_last_wal_replay_lsn() >= $1::pg_lsn";
        let committed: String = sqlx::query_scalar(COMMITTED).fetch_one(primary).await?;
        let mut conn = self.pool.acquire().await?;
        for look in 1..=LOOKS {
            // Null on a server that follows none.
            let has: Option<bool> = sqlx::query_scalar(HAS)
                .bind(&committed)
                .fetch_one(&mut *conn)
                .await?;
            match has {
                Some(true) => return Ok(Some(conn)),
                Some(false) if look < LOOKS => tokio::time::sleep(LOOK_PAUSE).await,
                _ => break,
            }
        }
        Ok(None)
    }

    /// How many reads it was lent for.
    pub(super) fn reads(&self) -> u64 {
        self.shared.reads.load(Ordering::Relaxed)
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}
