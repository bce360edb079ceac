//! Secrets: text that never reaches a log, tokens, and the hashes that are stored in their place.

use std::fmt;

use hmac::{Hmac, Mac as _};
use rand::TryRngCore as _;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::id::RepoId;

/// What every API token starts with, so that scanners and people know it.
pub const API_TOKEN_PREFIX: &str = "hl_";
/// Characters of a graph token.
const GRAPH_TOKEN_CHARS: usize = 10;
/// Random bytes in an API token and in a signing key.
const RANDOM_BYTES: usize = 32;

/// Text that prints as `[secret]`; read it with `expose`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A token for uploading to one repository or owner: a random UUID's text, as the clients expect.
pub fn new_upload_token() -> Secret {
    Secret(uuid::Uuid::new_v4().to_string())
}

/// The token for uploading to this repository that can be shown again: a UUID that follows from the instance's key,
/// and becomes another one with each generation.
pub fn repo_upload_token(key: &Secret, repo: RepoId, generation: i64) -> Secret {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(b"upload token\n");
    mac.update(&repo.0.to_le_bytes());
    mac.update(&generation.to_le_bytes());
    let bytes = mac.finalize().into_bytes();
    let bytes = std::array::from_fn(|place| bytes[place]);
    let uuid = uuid::Builder::from_random_bytes(bytes).into_uuid();
    Secret(uuid.to_string())
}

/// A token for the API: `hl_` and 43 characters of URL-safe base64, 256 random bits.
pub fn new_api_token() -> Secret {
    Secret(format!("{API_TOKEN_PREFIX}{}", random_text()))
}

/// A key for signing URLs and sessions: 43 characters of URL-safe base64, 256 random bits.
pub fn new_signing_key() -> Secret {
    Secret(random_text())
}

/// SHA-256 of a token, the only form in which it is stored. A UUID counts the same in any case, with or without dashes.
/// One round is enough: tokens are random, not chosen by people.
pub fn hash_token(token: &str) -> [u8; 32] {
    let token = token.trim();
    match uuid::Uuid::try_parse(token) {
        Ok(uuid) => Sha256::digest(uuid.hyphenated().to_string()).into(),
        Err(_) => Sha256::digest(token).into(),
    }
}

/// The token that shows a private repository's badge and graphs, and nothing else: 10 letters and digits that
/// follow from the instance's key, so that none is stored.
pub fn graph_token(key: &Secret, repo: RepoId) -> Secret {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(b"graph token\n");
    mac.update(&repo.0.to_le_bytes());
    let bytes = mac.finalize().into_bytes();
    let pairs = bytes.chunks_exact(2).take(GRAPH_TOKEN_CHARS);
    let letters = pairs.map(|pair| {
        let number = usize::from(u16::from_le_bytes([pair[0], pair[1]]));
        char::from(LETTERS[number % LETTERS.len()])
    });
    Secret(letters.collect())
}

/// Whether `token` is the repository's [`graph_token`]; takes as long for any wrong one.
pub fn is_graph_token(key: &Secret, repo: RepoId, token: &str) -> bool {
    let right = graph_token(key, repo);
    right.expose().as_bytes().ct_eq(token.as_bytes()).into()
}

fn random_text() -> String {
    let mut bytes = [0; RANDOM_BYTES];
    rand::rngs::OsRng
        .try_fill_bytes(&mut bytes)
        .expect("the system gives random bytes");
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_hashes_the_same_in_any_spelling() {
        let dashed = hash_token("0f9a2b4c-1d3e-4f50-8a61-72b8c9d0e1f2");
        assert_eq!(hash_token("0F9A2B4C-1D3E-4F50-8A61-72B8C9D0E1F2"), dashed);
        assert_eq!(hash_token(" 0f9a2b4c1d3e4f508a6172b8c9d0e1f2\n"), dashed);
        assert_ne!(hash_token("hl_0f9a2b4c"), dashed);
    }

    #[test]
    fn graph_token_is_of_one_repository_and_one_instance() {
        let key = Secret::new("k");
        let token = graph_token(&key, RepoId(7));
        assert_eq!(token.expose().len(), 10);
        assert!(
            token
                .expose()
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric())
        );
        assert!(is_graph_token(&key, RepoId(7), token.expose()));
        assert!(!is_graph_token(&key, RepoId(8), token.expose()));
        assert!(!is_graph_token(
            &Secret::new("l"),
            RepoId(7),
            token.expose()
        ));
        assert!(!is_graph_token(&key, RepoId(7), ""));
    }

    #[test]
    fn upload_token_of_a_repository_changes_with_its_generation() {
        let key = Secret::new("k");
        let token = repo_upload_token(&key, RepoId(7), 0);
        assert_eq!(token, repo_upload_token(&key, RepoId(7), 0));
        assert_eq!(token.expose().len(), 36);
        assert_ne!(token, repo_upload_token(&key, RepoId(7), 1));
        assert_ne!(token, repo_upload_token(&key, RepoId(8), 0));
        assert_ne!(token, repo_upload_token(&Secret::new("l"), RepoId(7), 0));
    }

    #[test]
    fn tokens_have_their_documented_form_and_stay_out_of_logs() {
        let token = new_api_token();
        assert_eq!((token.expose().len(), &token.expose()[..3]), (46, "hl_"));
        assert_eq!(new_upload_token().expose().len(), 36);
        assert_eq!(format!("{token:?}"), "[secret]");
    }
}
