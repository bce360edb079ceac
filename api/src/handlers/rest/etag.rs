//! Answers that a client may keep: named by what they were made from, so that an unchanged one is
//! never made twice, neither for the client that has it nor, while it is asked for often, for others.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use engine::fold::PackSet;
use engine::shared::Shared;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::fields::Selected;
use crate::error::Result;
use crate::middleware::base::BaseUrl;

/// Bytes of an answer that is kept, at most.
const KEPT_MAX_BYTES: u64 = 1 << 20;
/// Bytes of all answers that a node keeps, about.
const ALL_KEPT_BYTES: u64 = 64 << 20;
/// So long are answers kept for other nodes.
const SHARED_FOR: Duration = Duration::from_secs(600);
/// What an answer weighs beside its bytes.
const ENTRY_BYTES: u64 = 256;

/// The name of an answer. Weak, as compression changes its bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
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

    /// Under which nodes share the answer.
    fn shared_name(&self) -> String {
        format!("answer:{}", opaque(&self.0))
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

/// Marks an answer that lacks something for the time being: nothing but its bytes names it, and it is not kept.
#[derive(Clone, Copy)]
pub struct Passing;

/// The answers that were given last, by their names, as far as they are short. Bound in bytes. Nodes that share have
/// those of each other.
pub struct Answers {
    here: Cache<Tag, Response<Bytes>, ByBytes>,
    shared: Arc<dyn Shared>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Tag, Response<Bytes>> for ByBytes {
    fn weight(&self, _: &Tag, kept: &Response<Bytes>) -> u64 {
        ENTRY_BYTES + kept.body().len() as u64
    }
}

impl Answers {
    /// Answers that are shared there.
    pub fn new(shared: Arc<dyn Shared>) -> Answers {
        Answers {
            here: Cache::with_weighter(1024, ALL_KEPT_BYTES, ByBytes),
            shared,
        }
    }

    async fn kept(&self, tag: &Tag) -> Option<Response<Bytes>> {
        if let Some(kept) = self.here.get(tag) {
            return Some(kept);
        }
        let kept = unpack(&self.shared.get(&tag.shared_name()).await?)?;
        self.here.insert(tag.clone(), kept.clone());
        Some(kept)
    }

    /// The answer of this name: none for a client that has it, else the kept one, else what `make` makes. Errors: its
    /// own.
    pub async fn find_or_make(
        &self,
        tag: &Tag,
        headers: &HeaderMap,
        make: impl Future<Output = Result<Response>>,
    ) -> Result<Response> {
        if let Some(unchanged) = tag.unchanged(headers) {
            return Ok(unchanged);
        }
        if let Some(kept) = self.kept(tag).await {
            return Ok(kept.map(Body::from));
        }
        let made = make.await?;
        if made.extensions().get::<Passing>().is_some() {
            return Ok(made);
        }
        let made = tag.on(made);
        let length = made.body().size_hint().exact();
        if made.status() != StatusCode::OK || length.is_none_or(|length| length > KEPT_MAX_BYTES) {
            return Ok(made);
        }
        let (parts, body) = made.into_parts();
        let bytes = to_bytes(body, KEPT_MAX_BYTES as usize)
            .await
            .map_err(|e| engine::Error::invalid("answer", e))?;
        let kept = Response::from_parts(parts, bytes);
        self.here.insert(tag.clone(), kept.clone());
        let packed = pack(&kept);
        self.shared
            .put(&tag.shared_name(), packed, SHARED_FOR)
            .await;
        Ok(kept.map(Body::from))
    }
}

/// An answer of status 200 as nodes hand it on: whether fields of it were selected, its headers by lines, a blank line,
/// and its body.
fn pack(answer: &Response<Bytes>) -> Bytes {
    let is_selected = answer.extensions().get::<Selected>().is_some();
    let mut packed = vec![u8::from(is_selected)];
    for (name, value) in answer.headers() {
        packed.extend_from_slice(name.as_str().as_bytes());
        packed.push(b':');
        packed.extend_from_slice(value.as_bytes());
        packed.push(b'\n');
    }
    packed.push(b'\n');
    packed.extend_from_slice(answer.body());
    packed.into()
}

/// The answer that was packed; `None` for other bytes.
fn unpack(packed: &Bytes) -> Option<Response<Bytes>> {
    let (&selected, _) = packed.split_first()?;
    let mut answer = Response::new(Bytes::new());
    if selected == 1 {
        answer.extensions_mut().insert(Selected);
    }
    let mut at = 1;
    loop {
        let line = &packed[at..at + memchr::memchr(b'\n', packed.get(at..)?)?];
        at += line.len() + 1;
        if line.is_empty() {
            *answer.body_mut() = packed.slice(at..);
            return Some(answer);
        }
        let (name, value) = line.split_at(memchr::memchr(b':', line)?);
        let name = HeaderName::from_bytes(name).ok()?;
        let value = HeaderValue::from_bytes(&value[1..]).ok()?;
        answer.headers_mut().append(name, value);
    }
}

fn opaque(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use engine::clock::Clock;
    use engine::shared::{Memory, Redis};
    use engine::testing::redis_server;

    use super::*;

    fn answers() -> Answers {
        Answers::new(Arc::new(Memory::new(Clock::system())))
    }

    fn text(text: &'static str) -> Response {
        let mut answer = Response::new(Body::from(text));
        answer.extensions_mut().insert(Selected);
        answer
    }

    async fn asked(answers: &Answers, tag: &Tag, made: Response) -> (bool, Bytes) {
        let headers = HeaderMap::new();
        let make = async { Ok(made) };
        let answer = answers.find_or_make(tag, &headers, make).await.unwrap();
        assert!(answer.extensions().get::<Selected>().is_some());
        let is_named = answer.headers().contains_key(ETAG);
        let bytes = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (is_named, bytes)
    }

    #[tokio::test]
    async fn an_answer_is_made_once_unless_it_passes() {
        let answers = answers();
        let (one, other) = (Tag::of(b"1"), Tag::of(b"2"));
        let mut passing = text("half");
        passing.extensions_mut().insert(Passing);
        assert_eq!(asked(&answers, &one, passing).await, (false, "half".into()));
        assert_eq!(asked(&answers, &one, text("a")).await, (true, "a".into()));
        assert_eq!(asked(&answers, &one, text("b")).await, (true, "a".into()));
        assert_eq!(asked(&answers, &other, text("c")).await, (true, "c".into()));
    }

    #[tokio::test]
    async fn what_is_long_or_no_success_is_not_kept() {
        let answers = answers();
        let tag = Tag::of(b"1");
        let long: &'static str = "x".repeat(KEPT_MAX_BYTES as usize + 1).leak();
        assert_eq!(asked(&answers, &tag, text(long)).await.1.len(), long.len());
        let mut failed = text("a");
        *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        assert_eq!(asked(&answers, &tag, failed).await.1, "a");
        assert_eq!(asked(&answers, &tag, text("b")).await, (true, "b".into()));
    }

    #[tokio::test]
    async fn nodes_that_share_have_each_other_s_answers() {
        let server = redis_server();
        let node = || {
            let shared = Redis::open(&server.url, None, Clock::system()).unwrap();
            Answers::new(Arc::new(shared))
        };
        let (one, other) = (node(), node());
        let tag = Tag::of(b"1");
        let mut made = text("a: b\n\nc");
        made.headers_mut()
            .insert("x-two", HeaderValue::from_static("d: e"));
        assert_eq!(asked(&one, &tag, made).await.1, "a: b\n\nc");
        let headers = HeaderMap::new();
        let fails = async { panic!("it is there") };
        let had = other.find_or_make(&tag, &headers, fails).await.unwrap();
        assert_eq!(had.headers()["x-two"], "d: e");
        assert!(had.headers().contains_key(ETAG));
        assert!(had.extensions().get::<Selected>().is_some());
        for odd in [&b""[..], b"\x01", b"\x01a", b"\x01a:b\n", b"\x01\xff:b\n\n"] {
            assert!(unpack(&Bytes::from_static(odd)).is_none(), "{odd:?}");
        }
    }

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
