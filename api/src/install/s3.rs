//! Where an installation's bucket is: `hitline.s3`, or Codecov's `services.minio`.

use std::net::IpAddr;

use engine::blob::S3Settings;
use engine::secret::Secret;
use engine::{Error, Result};

use super::Install;

/// The region of stores that have none.
const REGION: &str = "us-east-1";
/// The bucket of Codecov's workers.
const BUCKET: &str = "archive";
/// Codecov's default key, which everybody knows.
const PUBLIC_KEYS: [&str; 2] = ["codecov-default-key", "codecov-default-secret"];

impl Install {
    /// The bucket, if one is named. Errors: `Invalid` for what is missing, and for keys that everybody knows.
    pub(super) fn s3(&self) -> Result<Option<S3Settings>> {
        let ours = |key| self.text(&["hitline", "s3", key]);
        let codecov = |key| self.text(&["services", "minio", key]);
        let either = |key| ours(key).or_else(|| codecov(key)).map(str::to_owned);
        let Some(endpoint) = ours("endpoint")
            .map(str::to_owned)
            .or_else(|| self.minio_endpoint())
        else {
            return Ok(None);
        };
        let missing = |key| {
            let told = format!("hitline.s3.{key}");
            move || Error::invalid(told, "missing, and so is its key of services.minio")
        };
        let access_key = either("access_key_id").ok_or_else(missing("access_key_id"))?;
        let secret_key = either("secret_access_key").ok_or_else(missing("secret_access_key"))?;
        let is_public = PUBLIC_KEYS.contains(&access_key.as_str())
            || PUBLIC_KEYS.contains(&secret_key.as_str());
        if is_public && !is_loopback(&endpoint) {
            return Err(Error::invalid(
                "hitline.s3.secret_access_key",
                "it is Codecov's default, which everybody knows; make a key of your own",
            ));
        }
        let creates = self.get(&["hitline", "s3", "create_bucket"]).as_bool();
        let auto = self.get(&["services", "minio", "auto_create_bucket"]);
        Ok(Some(S3Settings {
            endpoint,
            public_endpoint: ours("public_endpoint").map(str::to_owned),
            region: either("region").unwrap_or_else(|| REGION.into()),
            bucket: either("bucket").unwrap_or_else(|| BUCKET.into()),
            creates_bucket: creates.or(auto.as_bool()).unwrap_or(false),
            virtual_host: self.get(&["hitline", "s3", "virtual_host"]).as_bool(),
            access_key,
            secret_key: Secret::new(secret_key),
            session_token: ours("session_token").map(Secret::new),
            ca_file: ours("ca_file").map(Into::into),
        }))
    }

    /// The endpoint that `services.minio` names.
    fn minio_endpoint(&self) -> Option<String> {
        let host = self.text(&["services", "minio", "host"])?;
        let secure = self.get(&["services", "minio", "verify_ssl"]);
        let scheme = match secure.as_bool().unwrap_or(false) {
            true => "https",
            false => "http",
        };
        let port = self.get(&["services", "minio", "port"]).as_u64();
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{scheme}://{host}{port}"))
    }
}

fn is_loopback(endpoint: &str) -> bool {
    let place = endpoint.rsplit("://").next().unwrap_or_default();
    let host = match place
        .strip_prefix('[')
        .and_then(|place| place.split_once(']'))
    {
        Some((address, _)) => address,
        None => place.split_once(':').map_or(place, |(host, _)| host),
    };
    let address = host.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::Strictness;
    use super::*;

    fn s3(variables: &[(&str, &str)]) -> Result<Option<S3Settings>> {
        let variables = variables
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Install::read(None, variables, Strictness::Strict)
            .unwrap()
            .s3()
    }

    #[test]
    fn codecov_s_keys_name_a_bucket_and_ours_go_before_them() {
        assert!(s3(&[]).unwrap().is_none());
        let codecov = [
            ("SERVICES__MINIO__HOST", "minio"),
            ("SERVICES__MINIO__PORT", "9000"),
            ("SERVICES__MINIO__ACCESS_KEY_ID", "a"),
            ("SERVICES__MINIO__SECRET_ACCESS_KEY", "s"),
            ("SERVICES__MINIO__AUTO_CREATE_BUCKET", "true"),
        ];
        let found = s3(&codecov).unwrap().unwrap();
        assert_eq!(found.endpoint, "http://minio:9000");
        assert_eq!(
            (found.bucket.as_str(), found.creates_bucket),
            ("archive", true)
        );
        assert_eq!(
            (found.region.as_str(), found.public_endpoint),
            (REGION, None)
        );

        let ours = [
            ("HITLINE__S3__ENDPOINT", "https://s3.example.com"),
            ("HITLINE__S3__PUBLIC_ENDPOINT", "https://files.example.com"),
            ("HITLINE__S3__BUCKET", "b"),
            ("HITLINE__S3__CREATE_BUCKET", "false"),
        ];
        let found = s3(&[&codecov[..], &ours].concat()).unwrap().unwrap();
        assert_eq!(found.endpoint, "https://s3.example.com");
        assert_eq!((found.bucket.as_str(), found.creates_bucket), ("b", false));
        assert_eq!(found.access_key, "a");
    }

    #[test]
    fn a_key_that_is_missing_or_known_to_everybody_is_refused() {
        let host = ("SERVICES__MINIO__HOST", "minio");
        let id = ("SERVICES__MINIO__ACCESS_KEY_ID", "codecov-default-key");
        let secret = (
            "SERVICES__MINIO__SECRET_ACCESS_KEY",
            "codecov-default-secret",
        );
        let told = s3(&[host]).unwrap_err().to_string();
        assert!(told.contains("hitline.s3.access_key_id"), "{told}");
        let told = s3(&[host, id, secret]).unwrap_err().to_string();
        assert!(told.contains("everybody knows"), "{told}");
        for near in ["localhost", "127.0.0.1", "[::1]"] {
            assert!(s3(&[("SERVICES__MINIO__HOST", near), id, secret]).is_ok());
        }
    }
}
