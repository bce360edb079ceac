//! What nodes share, in Redis: counts that end with their second, and bytes that end when they were said to.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisResult};

use super::{Memory, Shared};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// What stands in front of every name, so that the server may have other users.
const PREFIX: &str = "hitline:";
/// How long an answer may take before the server counts as away.
const PATIENCE: Duration = Duration::from_millis(250);
/// A server that was away is not asked for so long.
const AWAY_US: i64 = 1_000_000;
/// A count is kept a little longer than its second.
const COUNT_SECONDS: i64 = 3;

/// What nodes share, in Redis.
pub struct Redis {
    connection: ConnectionManager,
    clock: Clock,
    /// Not asked before this time, microseconds.
    away_until_us: AtomicI64,
    /// Counts meanwhile.
    here: Memory,
}

impl Redis {
    /// A server by its URL, `redis://[user:password@]host[:port][/db]`, or `rediss://` over TLS. It is not asked yet, and
    /// need not be there. Errors: `Invalid` for what is no such URL.
    pub fn open(url: &str, clock: Clock) -> Result<Redis> {
        let told = "expected redis://host:port or rediss://host:port";
        let invalid = |_| Error::invalid("Redis URL", told);
        let client = Client::open(url).map_err(invalid)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(1);
        let connection =
            ConnectionManager::new_lazy_with_config(client, config).map_err(invalid)?;
        Ok(Redis {
            connection,
            here: Memory::new(clock.clone()),
            clock,
            away_until_us: AtomicI64::new(0),
        })
    }

    /// What the server answers; `None` when it is away, and for a while after.
    async fn ask<T>(&self, asked: impl Future<Output = RedisResult<T>>) -> Option<T> {
        if self.clock.now_us() < self.away_until_us.load(Ordering::Relaxed) {
            return None;
        }
        let answer = match tokio::time::timeout(2 * PATIENCE, asked).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it is silent".to_owned(),
        };
        let until_us = self.clock.now_us() + AWAY_US;
        self.away_until_us.store(until_us, Ordering::Relaxed);
        tracing::warn!(error = answer, "Redis does not answer; going on without it");
        None
    }
}

#[async_trait::async_trait]
impl Shared for Redis {
    async fn count(&self, name: &str) -> u64 {
        let second = self.clock.now_us().div_euclid(1_000_000);
        let key = format!("{PREFIX}count:{name}:{second}");
        let mut connection = self.connection.clone();
        let counted = async {
            let mut both = redis::pipe();
            both.incr(&key, 1).expire(&key, COUNT_SECONDS).ignore();
            let (events,): (u64,) = both.query_async(&mut connection).await?;
            Ok(events)
        };
        match self.ask(counted).await {
            Some(events) => events,
            None => self.here.count_here(name),
        }
    }

    async fn get(&self, name: &str) -> Option<Bytes> {
        let mut connection = self.connection.clone();
        let mut get = redis::cmd("GET");
        get.arg(format!("{PREFIX}{name}"));
        let found: Option<Vec<u8>> = self.ask(get.query_async(&mut connection)).await?;
        found.map(Bytes::from)
    }

    async fn put(&self, name: &str, bytes: Bytes, keeps: Duration) {
        let mut connection = self.connection.clone();
        let mut set = redis::cmd("SET");
        set.arg(format!("{PREFIX}{name}")).arg(&bytes[..]);
        set.arg("PX").arg(keeps.as_millis() as u64);
        let _: Option<()> = self.ask(set.query_async(&mut connection)).await;
    }
}
