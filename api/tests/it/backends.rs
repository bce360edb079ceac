//! Where the servers of tests keep things: in a folder, or, with `HITLINE_TEST_BACKENDS=cluster`, in PostgreSQL and S3,
//! beside Redis.

use std::sync::Arc;

use api::config::Config;
use engine::blob::S3Settings;
use engine::clock::Clock;
use engine::secret::Secret;
use engine::testing::{RedisServer, bucket, postgres, redis_server};

/// A database and a bucket of one test's own.
#[derive(Clone)]
pub(crate) struct Backends {
    pub(crate) database_url: String,
    pub(crate) s3: S3Settings,
    pub(crate) redis_url: String,
    /// Through which a program asks the store.
    pub(crate) http_proxy: Option<String>,
    _redis: Arc<RedisServer>,
}

impl Backends {
    /// Those that the environment asks for; `None` for a folder.
    pub(crate) async fn chosen() -> Option<Backends> {
        match std::env::var("HITLINE_TEST_BACKENDS").as_deref() {
            Ok("cluster") => Some(Backends::cluster().await),
            Ok("") | Err(_) => None,
            Ok(other) => panic!("HITLINE_TEST_BACKENDS is {other:?}; it can be cluster"),
        }
    }

    /// PostgreSQL and S3.
    pub(crate) async fn cluster() -> Backends {
        let redis = redis_server();
        Backends {
            database_url: postgres(Clock::system()).await.url,
            s3: bucket().await,
            redis_url: redis.url.clone(),
            http_proxy: None,
            _redis: Arc::new(redis),
        }
    }

    /// Names them in a configuration.
    pub(crate) fn configure(&self, config: &mut Config) {
        config.database_url = Secret::new(self.database_url.clone());
        config.s3 = Some(self.s3.clone());
        config.redis_url = Some(Secret::new(self.redis_url.clone()));
    }

    /// Names them in a program's environment.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let secret = self.s3.secret_key.expose();
        let known = [
            ("HITLINE_DATABASE_URL", &*self.database_url),
            ("HITLINE__REDIS_URL", &self.redis_url),
            ("HITLINE__S3__ENDPOINT", &self.s3.endpoint),
            ("HITLINE__S3__BUCKET", &self.s3.bucket),
            ("HITLINE__S3__CREATE_BUCKET", "true"),
            ("HITLINE__S3__ACCESS_KEY_ID", &self.s3.access_key),
            ("HITLINE__S3__SECRET_ACCESS_KEY", secret),
        ];
        let named = |name, value: Option<String>| value.map(|value| (name, value));
        let virtual_host = self.s3.virtual_host.map(|named| named.to_string());
        let authority = self.s3.ca_file.as_ref();
        let chosen = [
            named("HITLINE__S3__VIRTUAL_HOST", virtual_host),
            named(
                "HITLINE__S3__CA_FILE",
                authority.map(|file| file.display().to_string()),
            ),
            named("HTTP_PROXY", self.http_proxy.clone()),
        ];
        let known = known.map(|(name, value)| (name, value.to_owned()));
        known
            .into_iter()
            .chain(chosen.into_iter().flatten())
            .collect()
    }
}
