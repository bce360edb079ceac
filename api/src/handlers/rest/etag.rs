//! Answers that a client may keep: named by what they were made from, so that an unchanged one is
//! never made twice.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use engine::fold::PackSet;

use crate::middleware::base::BaseUrl;

/// The name of an answer. Weak, as compression changes its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tag(String);

impl Tag {
    /// Names what is said about these packs under this URL, when `facts` is all else that it is
    /// made from.
    pub fn new(base: &BaseUrl, uri: &Uri, packs: &[&PackSet], facts: &str) -> Tag {
        let mut hasher = blake3::Hasher::new();
        for text in [env!("CARGO_PKG_VERSION"), &base.0, &uri.to_string(), facts] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        for packs in packs {
            hasher.update(&packs.key());
        }
        let hex = hasher.finalize().to_hex();
        Tag(format!("W/\"{}\"", &hex[..32]))
    }

    /// Names these bytes.
    pub fn of(content: &[u8]) -> Tag {
        let hex = blake3::hash(content).to_hex();
        Tag(format!("W/\"{}\"", &hex[..32]))
    }

    /// The answer that spares the client the body, if it has the same.
    pub fn unchanged(&self, headers: &HeaderMap) -> Option<Response> {
        let known = headers.get_all(IF_NONE_MATCH).iter();
        let mut tags = known
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        tags.any(|tag| tag.trim() == "*" || opaque(tag) == opaque(&self.0))
            .then(|| self.on(StatusCode::NOT_MODIFIED.into_response()))
    }

    /// The answer with its name.
    pub fn on(&self, mut answer: Response<Body>) -> Response<Body> {
        let tag = HeaderValue::from_str(&self.0).expect("a tag is hex digits in quotes");
        answer.headers_mut().insert(ETAG, tag);
        answer
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        answer
    }
}

fn opaque(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_tag_is_found_among_others_weak_or_not() {
        let uri = Uri::from_static("/a");
        let tag = Tag::new(&BaseUrl("http://h".into()), &uri, &[], "");
        let answer = |known: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, known.parse().unwrap());
            tag.unchanged(&headers).map(|answer| answer.status())
        };
        let known = Some(StatusCode::NOT_MODIFIED);
        assert_eq!(answer(&format!("\"x\", {}", tag.0)), known);
        assert_eq!(answer(opaque(&tag.0)), known);
        assert_eq!(answer("*"), known);
        assert_eq!(answer("\"x\""), None);
        assert_ne!(
            tag,
            Tag::new(&BaseUrl("http://h".into()), &uri, &[], "more")
        );
    }
}
