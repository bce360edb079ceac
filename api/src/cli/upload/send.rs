//! Talks to the server: announces an upload, then puts its body where the server says.
//!
//! Both requests may be repeated: the body stays in its file, and an announcement whose answer was lost leaves at
//! worst an upload that never gets a body. Redirects are not followed, as they would lose the body or the token.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::io::ReaderStream;

use super::payload::Body;

/// How often one request is sent before it is given up.
const MAX_ATTEMPTS: u32 = 4;
/// The wait before the first repetition; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait that a server's `Retry-After` may ask for.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long an answer may take, beside the time for sending a body.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The slowest link that a body is sent over, in bytes a second.
const MIN_BYTES_PER_SECOND: u64 = 64 * 1024;
/// How long one request for a verdict waits at the server.
const VERDICT_WAIT_SECONDS: u64 = 2;
/// How much of an answer is read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// How much of a server's words is shown, in characters.
const MAX_SHOWN_CHARS: usize = 500;
/// How much of the body is read at once.
const READ_BYTES: usize = 256 * 1024;
/// The header by which a server names the content encodings that it takes for a body.
const ACCEPT_HEADER: &str = "hitline-accept-encoding";

/// A server and the token to show it.
pub(super) struct Server {
    client: Client,
    url: String,
    token: Option<String>,
    first_wait: Duration,
}

/// The server's answer to an announcement.
#[derive(Debug)]
pub(super) struct Announced {
    /// Where the body goes; authorises by itself.
    pub(super) location: Url,
    /// The page that will show the result, if the server names one.
    pub(super) result_url: Option<String>,
    /// Whether the body may be compressed with zstd.
    pub(super) takes_zstd: bool,
    /// The id of the upload, if the server tells what becomes of it.
    pub(super) upload: Option<String>,
}

/// How a body is encoded.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Encoding {
    Identity,
    Zstd,
}

impl Server {
    /// A server at `url`, with or without a path. Errors: an address that is not http or https, a token that no
    /// header can carry.
    pub(super) fn new(url: &str, token: Option<String>) -> Result<Server> {
        let parsed = Url::parse(url)
            .ok()
            .filter(|parsed| matches!(parsed.scheme(), "http" | "https"));
        if parsed.is_none() {
            bail!(
                "server address {url:?} is no http or https address: give one with --url, as https://coverage.example"
            );
        }
        if token
            .as_ref()
            .is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            bail!(
                "the token has spaces or characters that no token has: check --token, HITLINE_TOKEN or CODECOV_TOKEN"
            );
        }
        let builder = || {
            Client::builder()
                .user_agent(concat!("hitline/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
        };
        let client = match builder().build() {
            // A bare container has no certificates and needs none for plain http.
            Err(_) if parsed.is_some_and(|parsed| parsed.scheme() == "http") => {
                builder().tls_certs_only([]).build()
            }
            built => built,
        };
        let client =
            client.context("set up https: install the system's certificates (ca-certificates)")?;
        Ok(Server {
            client,
            url: url.trim_end_matches('/').to_owned(),
            token,
            first_wait: FIRST_WAIT,
        })
    }

    /// Announces an upload at `path` and learns where its body goes. Errors: what the server refused and what to
    /// do about it.
    pub(super) async fn announce(&self, path: &str, announcement: &Value) -> Result<Announced> {
        let url = format!("{}{path}", self.url);
        let make = || {
            let request = self
                .client
                .post(&url)
                .timeout(ANSWER_TIMEOUT)
                .json(announcement);
            self.authorised(request)
        };
        let response = self.send("announce the upload", make).await?;
        let takes_zstd = lists_zstd(response.headers().get(ACCEPT_HEADER));
        let text = read_text(response).await;
        let answer: Answer = serde_json::from_str(&text).with_context(|| {
            format!("read the answer to {url}: is this the address of a coverage server?")
        })?;
        let location = Url::parse(&answer.raw_upload_location)
            .context("read raw_upload_location: the server must answer with an absolute address")?;
        Ok(Announced {
            location,
            result_url: answer.url.filter(|url| !url.is_empty()),
            takes_zstd,
            upload: answer.external_id.filter(|_| takes_zstd),
        })
    }

    /// Puts the body at `location`, streamed from its file with its length. The token is not sent there.
    pub(super) async fn put(&self, location: &Url, body: &Body, encoding: Encoding) -> Result<()> {
        let timeout = ANSWER_TIMEOUT + Duration::from_secs(body.size_bytes / MIN_BYTES_PER_SECOND);
        let make = || {
            let file = tokio::fs::File::from_std(body.reader()?);
            let stream = ReaderStream::with_capacity(file, READ_BYTES);
            let request = self
                .client
                .put(location.clone())
                .timeout(timeout)
                .header(CONTENT_LENGTH, body.size_bytes);
            let request = match encoding {
                Encoding::Identity => request,
                Encoding::Zstd => request.header(CONTENT_ENCODING, "zstd"),
            };
            Ok(request.body(reqwest::Body::wrap_stream(stream)))
        };
        self.send("store the upload", make).await?;
        Ok(())
    }

    /// What the server says at `path` of an upload, once nothing more is to come or `wait` is over.
    pub(super) async fn verdict(&self, path: &str, wait: Duration) -> Result<Value> {
        let until = tokio::time::Instant::now() + wait;
        let url = format!("{}{path}?wait={VERDICT_WAIT_SECONDS}", self.url);
        loop {
            let make = || self.authorised(self.client.get(&url).timeout(ANSWER_TIMEOUT));
            let response = self.send("ask for the result", make).await?;
            let verdict: Value = serde_json::from_str(&read_text(response).await)
                .with_context(|| format!("read the answer to {url}"))?;
            if verdict["done"] == true || tokio::time::Instant::now() >= until {
                return Ok(verdict);
            }
        }
    }

    fn authorised(&self, request: RequestBuilder) -> Result<RequestBuilder> {
        let Some(token) = &self.token else {
            return Ok(request);
        };
        let mut value = HeaderValue::from_str(&format!("token {token}"))?;
        value.set_sensitive(true);
        Ok(request.header(AUTHORIZATION, value))
    }

    /// Sends what `make` makes until it succeeds, is refused, or `MAX_ATTEMPTS` are used up.
    async fn send(
        &self,
        step: &str,
        make: impl Fn() -> Result<RequestBuilder>,
    ) -> Result<Response> {
        let mut wait = self.first_wait;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let is_last = attempt == MAX_ATTEMPTS;
            let (failure, asked) = match make()?.send().await {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) if is_last || !is_transient(response.status()) => {
                    bail!("{step}: {}", self.explain(response).await)
                }
                Ok(response) => (
                    format!("the server answered {}", response.status()),
                    retry_after(&response),
                ),
                Err(error) if is_last || error.is_builder() => {
                    let reached = host_of(error.url()).unwrap_or_else(|| self.url.clone());
                    return Err(error.without_url()).with_context(|| {
                        format!("{step}: {reached} cannot be reached: check the network and --url")
                    });
                }
                Err(error) => (
                    format!("{:#}", anyhow::Error::from(error.without_url())),
                    None,
                ),
            };
            let pause = asked.unwrap_or(wait).min(MAX_WAIT);
            eprintln!(
                "hitline: {step}: {failure}; again in {:.1} s",
                pause.as_secs_f64()
            );
            tokio::time::sleep(pause).await;
            wait *= 2;
        }
    }

    /// The server's refusal in one line, and what to do. Never holds the token.
    async fn explain(&self, response: Response) -> String {
        let status = response.status();
        let target = host_of(Some(response.url())).unwrap_or_default();
        let moved_to = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let words = message_of(&read_text(response).await);
        let words = match &self.token {
            Some(token) => words.replace(token.as_str(), "<token>"),
            None => words,
        };
        let remedy = match (status, moved_to) {
            (status, Some(address)) if status.is_redirection() => {
                let address = Url::parse(&address).ok().and_then(|address| host_of(Some(&address))).unwrap_or(address);
                format!(": it has moved to {address}, give that address with --url")
            }
            (StatusCode::UNAUTHORIZED, _) => match self.token {
                Some(_) => ": check --token, HITLINE_TOKEN or CODECOV_TOKEN",
                None => ": give the repository's upload token with --token, HITLINE_TOKEN or CODECOV_TOKEN",
            }
            .to_owned(),
            (StatusCode::FORBIDDEN, _) => ": does the token belong to this repository?".to_owned(),
            (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _) => {
                ": is --url the address of a coverage server?".to_owned()
            }
            (StatusCode::PAYLOAD_TOO_LARGE, _) => ": upload fewer reports at once, with --file or --dir".to_owned(),
            _ => String::new(),
        };
        format!("{target} answered {status} {words:?}{remedy}")
    }
}

#[derive(Deserialize)]
struct Answer {
    raw_upload_location: String,
    url: Option<String>,
    external_id: Option<String>,
}

fn is_transient(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        )
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response
        .headers()
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

fn lists_zstd(header: Option<&HeaderValue>) -> bool {
    let names = header
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    names
        .split(',')
        .any(|name| name.trim().eq_ignore_ascii_case("zstd"))
}

/// Scheme, host and port of an address: what may be shown of one that carries a signature or a password.
fn host_of(url: Option<&Url>) -> Option<String> {
    url.map(|url| url.origin().ascii_serialization())
}

async fn read_text(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk[..chunk.len().min(MAX_ANSWER_BYTES - bytes.len())]);
        if bytes.len() == MAX_ANSWER_BYTES {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a refusal says: its `detail`, its list of messages, or its text, in one line.
fn message_of(text: &str) -> String {
    let said = match serde_json::from_str(text) {
        Ok(Value::Object(object)) if object.get("detail").is_some_and(Value::is_string) => {
            object["detail"].as_str().unwrap_or_default().to_owned()
        }
        Ok(Value::Array(items)) if items.iter().all(Value::is_string) => items
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join("; "),
        _ => text.to_owned(),
    };
    said.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(MAX_SHOWN_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Bytes;
    use axum::extract::State;
    use axum::http::{HeaderMap, Method, Uri};
    use axum::response::IntoResponse;
    use serde_json::json;

    use super::super::payload::{self, Contents};
    use super::*;

    type Request = (Method, String, HeaderMap, Bytes);
    type Reply = (u16, Vec<(&'static str, String)>, String);

    /// Requests that arrived, and replies that are left to give.
    #[derive(Clone, Default)]
    struct Script {
        requests: Arc<Mutex<Vec<Request>>>,
        replies: Arc<Mutex<Vec<Reply>>>,
    }

    async fn play(
        State(script): State<Script>,
        method: Method,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> impl IntoResponse {
        script
            .requests
            .lock()
            .unwrap()
            .push((method, uri.to_string(), headers, body));
        let (status, extra, text) = script.replies.lock().unwrap().remove(0);
        let mut answer = (StatusCode::from_u16(status).unwrap(), text).into_response();
        for (name, value) in extra {
            answer.headers_mut().insert(name, value.parse().unwrap());
        }
        answer
    }

    async fn start(replies: Vec<Reply>, token: Option<&str>) -> (Script, Server, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Script {
            replies: Arc::new(Mutex::new(replies)),
            ..Script::default()
        };
        let app = Router::new().fallback(play).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let mut server = Server::new(&format!("{url}/"), token.map(str::to_owned)).unwrap();
        server.first_wait = Duration::from_millis(1);
        (script, server, url)
    }

    fn reply(status: u16, text: &str) -> Reply {
        (status, vec![], text.to_owned())
    }

    fn body() -> Body {
        let contents = Contents {
            root: "/".into(),
            reports: vec![],
            network: vec!["a.py".into()],
            fixed: vec![],
        };
        payload::write(&contents).unwrap()
    }

    #[tokio::test]
    async fn upload_is_announced_with_the_token_and_put_without_it() {
        let created =
            json!({"raw_upload_location": "http://h/put?sig=1", "url": "http://h/result"})
                .to_string();
        let zstd = vec![(ACCEPT_HEADER, "gzip, zstd".to_owned())];
        let (script, server, url) =
            start(vec![(201, zstd, created), reply(200, "")], Some("t0ken")).await;

        let announced = server
            .announce("/upload/x", &json!({"commitid": "c"}))
            .await
            .unwrap();
        assert!(announced.takes_zstd);
        assert_eq!(announced.result_url.as_deref(), Some("http://h/result"));
        let location = Url::parse(&format!("{url}/put?sig=1")).unwrap();
        let compressed = payload::compress(&body()).unwrap();
        server
            .put(&location, &compressed, Encoding::Zstd)
            .await
            .unwrap();

        let requests = script.requests.lock().unwrap();
        let (method, path, headers, sent) = &requests[0];
        assert_eq!((method, path.as_str()), (&Method::POST, "/upload/x"));
        assert_eq!(headers["authorization"], "token t0ken");
        assert_eq!(
            serde_json::from_slice::<Value>(sent).unwrap(),
            json!({"commitid": "c"})
        );
        let (method, path, headers, sent) = &requests[1];
        assert_eq!((method, path.as_str()), (&Method::PUT, "/put?sig=1"));
        assert!(
            !headers.contains_key("authorization") && !headers.contains_key("transfer-encoding")
        );
        assert_eq!(headers["content-encoding"], "zstd");
        assert_eq!(headers["content-length"], compressed.size_bytes.to_string());
        let sent: Value = serde_json::from_slice(&zstd::decode_all(&sent[..]).unwrap()).unwrap();
        assert_eq!(sent["network_files"], json!(["a.py"]));
    }

    #[tokio::test]
    async fn body_is_sent_whole_again_after_a_server_error() {
        let busy = (
            503,
            vec![("retry-after", "0".to_owned())],
            "busy".to_owned(),
        );
        let (script, server, url) = start(vec![busy, reply(500, ""), reply(200, "")], None).await;
        let body = body();
        server
            .put(
                &Url::parse(&format!("{url}/put")).unwrap(),
                &body,
                Encoding::Identity,
            )
            .await
            .unwrap();
        let requests = script.requests.lock().unwrap();
        assert_eq!(requests.len(), 3);
        assert!(requests.iter().all(|(_, _, headers, sent)| {
            sent.len() as u64 == body.size_bytes && !headers.contains_key("content-encoding")
        }));
    }

    #[tokio::test]
    async fn server_that_stays_broken_is_given_up() {
        let (script, server, _) =
            start(vec![reply(503, "down"); MAX_ATTEMPTS as usize], None).await;
        let error = server
            .announce("/upload/x", &json!({}))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("answered 503") && error.contains("\"down\""),
            "{error}"
        );
        assert_eq!(script.requests.lock().unwrap().len(), MAX_ATTEMPTS as usize);
    }

    #[tokio::test]
    async fn refusal_is_not_repeated_and_says_what_to_do_but_not_the_token() {
        let cases = [
            (
                reply(401, r#"{"detail":"no such token s3cret"}"#),
                "\"no such token <token>\": check --token",
            ),
            (
                reply(403, r#"{"detail":"no"}"#),
                "\"no\": does the token belong",
            ),
            (
                reply(400, r#"["Repository not found"]"#),
                "400 Bad Request \"Repository not found\"",
            ),
            (
                reply(404, "<html>\nnot here</html>"),
                "\"<html> not here</html>\": is --url the address",
            ),
            (
                (
                    301,
                    vec![("location", "https://new.example/upload/x?a=1".to_owned())],
                    String::new(),
                ),
                "it has moved to https://new.example, give that address with --url",
            ),
            (
                reply(201, "<html>"),
                "is this the address of a coverage server?",
            ),
            (
                reply(201, r#"{"raw_upload_location":"/put"}"#),
                "must answer with an absolute address",
            ),
        ];
        for (reply, expected) in cases {
            let (script, server, _) = start(vec![reply], Some("s3cret")).await;
            let error = format!(
                "{:#}",
                server.announce("/upload/x", &json!({})).await.unwrap_err()
            );
            assert!(
                error.contains(expected) && !error.contains("s3cret"),
                "{error}"
            );
            assert_eq!(script.requests.lock().unwrap().len(), 1);
        }
    }

    #[tokio::test]
    async fn signature_is_not_shown_when_storing_fails() {
        let (_, server, url) = start(vec![reply(403, "expired")], None).await;
        let location = Url::parse(&format!("{url}/put?signature=s3cret")).unwrap();
        let error = server
            .put(&location, &body(), Encoding::Identity)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("expired") && !error.contains("s3cret"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn server_that_cannot_be_reached_is_named() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let mut server = Server::new(&url, None).unwrap();
        server.first_wait = Duration::from_millis(1);
        let error = server
            .announce("/upload/x", &json!({}))
            .await
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            format!("announce the upload: {url} cannot be reached: check the network and --url")
        );
    }

    #[test]
    fn address_and_token_are_checked_before_anything_is_sent() {
        let error = |url, token: Option<&str>| {
            Server::new(url, token.map(str::to_owned))
                .err()
                .unwrap()
                .to_string()
        };
        assert!(
            error("coverage.example", None)
                .starts_with("server address \"coverage.example\" is no http")
        );
        let refused = error("http://h", Some("two words"));
        assert!(
            refused.starts_with("the token has spaces") && !refused.contains("two words"),
            "{refused}"
        );
    }
}
