//! What nodes share, in Redis: counts that end with their second, and bytes that end when they were said to.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo as _, RedisResult, TlsCertificates, TlsMode,
};
use tokio::sync::Mutex;

use super::{Memory, Shared};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// What stands in front of every name, so that the server may have other users.
const PREFIX: &str = "hitline:";
/// How long an answer may take before the server counts as away.
const PATIENCE: Duration = Duration::from_millis(250);
/// The same for an operator who asks.
const PING_LIMIT: Duration = Duration::from_secs(3);
/// A server that was away is not asked for so long.
const AWAY_US: i64 = 1_000_000;
/// A count is kept a little longer than its second.
const COUNT_SECONDS: i64 = 3;

/// What a URL of Redis looks like.
const FORMS: &str = "expected redis://host:port, rediss://host:port over TLS, or redis+sentinel://host:port,host:port/master";

/// What nodes share, in Redis.
pub struct Redis {
    servers: Servers,
    connection: Mutex<Option<MultiplexedConnection>>,
    clock: Clock,
    /// Not asked before this time, microseconds.
    away_until_us: AtomicI64,
    /// Counts meanwhile.
    here: Memory,
}

/// Whom to ask.
enum Servers {
    One(Box<Client>),
    /// The one that sentinels name now.
    Sentinels(Box<Mutex<SentinelClient>>),
}

impl Servers {
    /// `redis://[user:password@]host[:port][/db]`, `rediss://` over TLS, or with `+sentinel` several hosts, which are the
    /// sentinels', and the name of the group of servers in the place of the database: `/master[/db]`. `authority` is who
    /// vouches for them over TLS, in PEM, in place of the usual ones.
    fn parse(url: &str, authority: Option<&[u8]>) -> Result<Servers> {
        if url.starts_with("rediss") {
            // Libraries here bring two; one that was chosen already stays.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let trusted = authority.map(|authority| TlsCertificates {
            client_tls: None,
            root_cert: Some(authority.to_vec()),
        });
        let parsed = match (url.split_once("+sentinel://"), trusted) {
            (Some((scheme, rest)), trusted) => Servers::sentinels(scheme, rest, trusted),
            (None, Some(trusted)) if url.starts_with("rediss:") => {
                Client::build_with_tls(url, trusted)
                    .ok()
                    .map(|client| Servers::One(Box::new(client)))
            }
            (None, _) => Client::open(url)
                .ok()
                .map(|client| Servers::One(Box::new(client))),
        };
        // The URL may hold a password: it is not told.
        parsed.ok_or_else(|| Error::invalid("Redis URL", FORMS))
    }

    fn sentinels(scheme: &str, rest: &str, trusted: Option<TlsCertificates>) -> Option<Servers> {
        let (user, places) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (hosts, group) = places.split_once('/')?;
        let (master, db) = group.split_once('/').unwrap_or((group, "0"));
        if master.is_empty() || !matches!(scheme, "redis" | "rediss") {
            return None;
        }
        let address = |url: String| Some(url.into_connection_info().ok()?.addr().clone());
        let hosts = hosts
            .split(',')
            .map(|host| address(format!("{scheme}://{host}")));
        let kind = SentinelServerType::Master;
        let mut client =
            SentinelClientBuilder::new(hosts.collect::<Option<Vec<_>>>()?, master, kind).ok()?;
        // Spelled as that of one server, so that name, password and database are read as there.
        let user = match user {
            "" => String::new(),
            user => format!("{user}@"),
        };
        let server = format!("redis://{user}server/{db}")
            .into_connection_info()
            .ok()?;
        let server = server.redis_settings();
        client = client.set_client_to_redis_db(server.db());
        if let Some(name) = server.username() {
            client = client.set_client_to_redis_username(name);
        }
        if let Some(password) = server.password() {
            client = client.set_client_to_redis_password(password);
        }
        if scheme == "rediss" {
            client = client
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_tls_mode(TlsMode::Secure);
            if let Some(trusted) = trusted {
                client = client
                    .set_client_to_redis_certificates(trusted.clone())
                    .set_client_to_sentinel_certificates(trusted);
            }
        }
        let client = client.build().ok()?;
        Some(Servers::Sentinels(Box::new(Mutex::new(client))))
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        match self {
            Servers::One(client) => {
                client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await
            }
            Servers::Sentinels(client) => {
                let mut client = client.lock().await;
                client.get_async_connection_with_config(&config).await
            }
        }
    }
}

impl Redis {
    /// A server by its URL, or the one that sentinels name; over TLS trusted by this authority, in PEM, or by the usual
    /// ones. It is not asked yet, and need not be there. Errors: `Invalid` for what is no such URL or authority.
    pub fn open(url: &str, authority: Option<&[u8]>, clock: Clock) -> Result<Redis> {
        Ok(Redis {
            servers: Servers::parse(url, authority)?,
            connection: Mutex::default(),
            here: Memory::new(clock.clone()),
            clock,
            away_until_us: AtomicI64::new(0),
        })
    }

    /// Whether a server answers. Errors: why not.
    pub async fn ping(&self) -> Result<(), String> {
        let pinged = async {
            let mut connection = self.servers.connect().await?;
            redis::cmd("PING").query_async::<()>(&mut connection).await
        };
        match tokio::time::timeout(PING_LIMIT, pinged).await {
            Ok(pinged) => pinged.map_err(|error| error.to_string()),
            Err(_) => Err("it is silent".to_owned()),
        }
    }

    /// What the server answers; `None` when it is away, and for a while after.
    async fn ask<T, F>(&self, asked: impl FnOnce(MultiplexedConnection) -> F) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        if self.clock.now_us() < self.away_until_us.load(Ordering::Relaxed) {
            return None;
        }
        let answered = async { asked(self.connection().await?).await };
        let answer = match tokio::time::timeout(2 * PATIENCE, answered).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it is silent".to_owned(),
        };
        let until_us = self.clock.now_us() + AWAY_US;
        self.away_until_us.store(until_us, Ordering::Relaxed);
        *self.connection.lock().await = None; // by now another may be the master
        tracing::warn!(error = answer, "Redis does not answer; going on without it");
        None
    }

    /// The connection that all share, made if there is none.
    async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        let mut shared = self.connection.lock().await;
        if let Some(connection) = &*shared {
            return Ok(connection.clone());
        }
        let connection = self.servers.connect().await?;
        *shared = Some(connection.clone());
        Ok(connection)
    }
}

#[async_trait::async_trait]
impl Shared for Redis {
    async fn count(&self, name: &str) -> u64 {
        let second = self.clock.now_us().div_euclid(1_000_000);
        let key = format!("{PREFIX}count:{name}:{second}");
        let counted = self.ask(|mut connection| async move {
            let mut both = redis::pipe();
            both.incr(&key, 1).expire(&key, COUNT_SECONDS).ignore();
            let (events,): (u64,) = both.query_async(&mut connection).await?;
            Ok(events)
        });
        match counted.await {
            Some(events) => events,
            None => self.here.count_here(name),
        }
    }

    async fn get(&self, name: &str) -> Option<Bytes> {
        let mut get = redis::cmd("GET");
        get.arg(format!("{PREFIX}{name}"));
        let got = self.ask(|mut connection| async move { get.query_async(&mut connection).await });
        let found: Option<Vec<u8>> = got.await?;
        found.map(Bytes::from)
    }

    async fn put(&self, name: &str, bytes: Bytes, keeps: Duration) {
        let mut set = redis::cmd("SET");
        set.arg(format!("{PREFIX}{name}")).arg(&bytes[..]);
        set.arg("PX").arg(keeps.as_millis() as u64);
        let put = self.ask(|mut connection| async move { set.query_async(&mut connection).await });
        let _: Option<()> = put.await;
    }
}
