//! URLs of objects that our own server honours.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::{Method, check_key};
use crate::clock::Clock;
use crate::error::Result;
use crate::secret::Secret;

/// The path in front of the key in our URLs.
const URL_PATH: &str = "/blob/";

/// Signs URLs, and knows its own signatures again. Nodes of one key honour each other's. Cheap to clone.
#[derive(Clone)]
pub struct UrlSigner {
    key: Secret,
    clock: Clock,
}

impl UrlSigner {
    /// Signs with this key.
    pub fn new(key: Secret, clock: Clock) -> UrlSigner {
        UrlSigner { key, clock }
    }

    /// A URL below `base` (as `https://host`) that allows anyone this method on this key until `expires_us`. Errors:
    /// `Invalid` for a key that `check_key` refuses.
    pub fn url(&self, base: &str, method: Method, key: &str, expires_us: i64) -> Result<String> {
        check_key(key)?;
        let expires = expires_us.div_euclid(1_000_000);
        let signature = self.sign(method, key, expires);
        let base = base.trim_end_matches('/');
        Ok(format!(
            "{base}{URL_PATH}{key}?expires={expires}&method={}&signature={signature}",
            method.as_str()
        ))
    }

    /// Whether this signature, of a URL, allows this method on this key now: `expires` is seconds since 1970, as in the
    /// URL. Takes the same time for every wrong signature.
    pub fn verify(&self, method: Method, key: &str, expires: i64, signature: &str) -> bool {
        let fresh = self.clock.now_us() < expires.saturating_mul(1_000_000);
        let expected = self.sign(method, key, expires);
        let same = expected.as_bytes().ct_eq(signature.as_bytes());
        bool::from(same) && fresh && check_key(key).is_ok()
    }

    fn sign(&self, method: Method, key: &str, expires: i64) -> String {
        let secret = self.key.expose().as_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key of any length will do");
        mac.update(format!("{}\n{key}\n{expires}", method.as_str()).as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_US: i64 = 1_790_000_000_000_000;

    #[test]
    fn signature_opens_one_method_of_one_key_until_it_expires() {
        let clock = Clock::manual(START_US);
        let signer = UrlSigner::new(Secret::new("key"), clock.clone());
        let expires = START_US / 1_000_000 + 10;
        let url = signer.url("https://h/", Method::Put, "raw/1", expires * 1_000_000);
        let url = url.unwrap();
        let signature = url.rsplit_once("signature=").unwrap().1;
        assert_eq!(
            url,
            format!("https://h/blob/raw/1?expires={expires}&method=PUT&signature={signature}")
        );

        assert!(signer.verify(Method::Put, "raw/1", expires, signature));
        assert!(!signer.verify(Method::Get, "raw/1", expires, signature));
        assert!(!signer.verify(Method::Put, "raw/2", expires, signature));
        assert!(!signer.verify(Method::Put, "raw/1", expires + 1, signature));
        assert!(!signer.verify(Method::Put, "raw/1", expires, &signature[1..]));
        clock.advance_us(10_000_000);
        assert!(!signer.verify(Method::Put, "raw/1", expires, signature));
    }
}
