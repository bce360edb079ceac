//! Calls over HTTP: bounded in time and size, repeated when they fail for a passing reason.

use std::time::Duration;

use engine::secret::Secret;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::error::{Error, Result};

/// How often a call is made, at most.
const TRIES: u32 = 3;
/// Pause before the second try; the next is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a call may take with all its tries.
const BUDGET: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// Redirects that one call follows, on the same host.
const REDIRECTS: usize = 3;
/// Most bytes of an answer in JSON.
const JSON_BYTES: usize = 32 << 20;
/// Most bytes of a diff or a file.
pub(crate) const TEXT_BYTES: usize = 64 << 20;
/// Most characters that are kept of the provider's words.
const WORDS_CHARS: usize = 300;
/// Pages of a list that are read, at most.
pub(crate) const PAGES: u32 = 10;

/// What may stand in one part of a path as it is.
const PART: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A client of one provider's API.
pub(crate) struct Http {
    client: Client,
    base: String,
}

/// An answer with its body.
pub(crate) struct Reply {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Http {
    /// A client that sends `scheme key` as its authorization.
    pub(crate) fn new(base: &str, scheme: &str, key: Option<&Secret>) -> Result<Http> {
        let settings = |error: &dyn std::fmt::Display| Error::Settings(error.to_string());
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            let value = HeaderValue::from_str(&format!("{scheme} {}", key.expose()));
            let mut value =
                value.map_err(|_| settings(&"the key has characters that no header has"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Url::parse(base).map_err(|error| settings(&error))?;
        let client = Client::builder()
            .user_agent(concat!("hitline/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT)
            .timeout(BUDGET)
            .redirect(redirect::Policy::custom(on_same_host));
        Ok(Http {
            client: client.build().map_err(|error| settings(&error))?,
            base: base.trim_end_matches('/').to_owned(),
        })
    }

    /// Answers a path of the API in JSON.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        accept: &'static str,
    ) -> Result<T> {
        let reply = self.get(&self.url(path), query, accept, JSON_BYTES).await?;
        parse(&reply.body)
    }

    /// Answers a path of the API as text, in which odd bytes are replaced.
    pub(crate) async fn text(
        &self,
        path: &str,
        query: &[(&str, &str)],
        accept: &'static str,
    ) -> Result<String> {
        let reply = self.get(&self.url(path), query, accept, TEXT_BYTES).await?;
        Ok(text(reply.body))
    }

    /// Answers a path of the API.
    pub(crate) async fn page(&self, path: &str, query: &[(&str, &str)]) -> Result<Reply> {
        self.get(&self.url(path), query, "application/json", JSON_BYTES)
            .await
    }

    /// Answers the next page of a list, whose URL the last one told; it must be one of this API.
    pub(crate) async fn next_page(&self, url: &str) -> Result<Reply> {
        if !url
            .strip_prefix(&self.base)
            .is_some_and(|rest| rest.starts_with('/'))
        {
            return Err(Error::Odd("the next page is on another server".into()));
        }
        self.get(url, &[], "application/json", JSON_BYTES).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn get(
        &self,
        url: &str,
        query: &[(&str, &str)],
        accept: &'static str,
        limit: usize,
    ) -> Result<Reply> {
        let end = Instant::now() + BUDGET;
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            let error = match self.try_get(url, query, accept, limit).await {
                Err(error) if error.is_transient() => error,
                done => return done,
            };
            let wait = match &error {
                Error::RateLimited { retry_after_s } => {
                    Duration::from_secs((*retry_after_s).into())
                }
                _ => pause,
            };
            if Instant::now() + wait >= end {
                return Err(error);
            }
            tracing::debug!(%error, "call to the provider is repeated");
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
        self.try_get(url, query, accept, limit).await
    }

    async fn try_get(
        &self,
        url: &str,
        query: &[(&str, &str)],
        accept: &'static str,
        limit: usize,
    ) -> Result<Reply> {
        let call = self.client.get(url).query(query).header(ACCEPT, accept);
        let answer = call.send().await.map_err(unreachable)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = read(answer, limit).await?;
        match status.is_success() {
            true => Ok(Reply { headers, body }),
            false => Err(refusal(status, &headers, &body)),
        }
    }
}

/// The token goes to no other host than the one that it is meant for.
fn on_same_host(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let first = attempt.previous().first();
    let same = first.is_some_and(|first| {
        first.host_str() == attempt.url().host_str() && first.scheme() == attempt.url().scheme()
    });
    match same && attempt.previous().len() <= REDIRECTS {
        true => attempt.follow(),
        false => attempt.stop(),
    }
}

async fn read(mut answer: Response, limit_bytes: usize) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > limit_bytes {
            return Err(Error::TooLarge { limit_bytes });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What went wrong, without the URL: it may hold what only its user should see.
fn unreachable(error: reqwest::Error) -> Error {
    Error::Unreachable(error.without_url().to_string())
}

fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
    let message = words(body);
    let limited = matches!(status.as_u16(), 403 | 429) && is_limit(headers);
    match status.as_u16() {
        401 => Error::Unauthorized(message),
        404 => Error::NotFound(message),
        429 => Error::RateLimited {
            retry_after_s: retry_after_s(headers),
        },
        _ if limited => Error::RateLimited {
            retry_after_s: retry_after_s(headers),
        },
        status @ 500.. => Error::Failed { status, message },
        status => Error::Refused { status, message },
    }
}

fn is_limit(headers: &HeaderMap) -> bool {
    headers.contains_key(RETRY_AFTER)
        || headers
            .get("x-ratelimit-remaining")
            .is_some_and(|left| left == "0")
}

/// As long as the provider says, else a minute.
fn retry_after_s(headers: &HeaderMap) -> u32 {
    let told = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    told.and_then(|text| text.parse().ok()).unwrap_or(60)
}

/// The provider's own words: the message of its JSON, else its text.
fn words(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = json.as_ref().and_then(|json| {
        let places = ["/message", "/error/message", "/error_description", "/error"];
        places
            .iter()
            .find_map(|place| json.pointer(place)?.as_str())
    });
    let words = match message {
        Some(message) => message.to_owned(),
        None => String::from_utf8_lossy(body).into_owned(),
    };
    words.chars().take(WORDS_CHARS).collect()
}

/// Reads JSON. Errors: `Odd`.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| Error::Odd(error.to_string()))
}

/// One part of a path, as URLs have it.
pub(crate) fn part(text: &str) -> String {
    utf8_percent_encode(text, PART).to_string()
}

/// A path whose slashes stay.
pub(crate) fn path(text: &str) -> String {
    text.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// The text of these bytes; those that are no UTF-8 are replaced.
pub(crate) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The text that stands in JSON as base64. Errors: `Odd`.
pub(crate) fn base64_text(encoded: &str) -> Result<String> {
    let bytes = base64_simd::forgiving_decode_to_vec(encoded.as_bytes());
    bytes
        .map(text)
        .map_err(|error| Error::Odd(error.to_string()))
}

/// Microseconds since 1970 of a time as providers write it.
pub(crate) fn time_us(text: &str) -> Option<i64> {
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.timestamp_micros())
}
