//! Flows recorded from real clients (codecov-cli, the uploader, bash, Python, npm, bundle analyzer), replayed.
//!
//! A flow is a file in `tests/captures`: what the client sends, what each request must be answered, and what the
//! commit holds when all is processed. `{{token}}` stands for the repository's upload token, `{{any}}` for any
//! text without a space, and another `{{name}}` keeps what was answered there for later requests. A body with
//! `"gzip"` is compressed before it is sent, as the client did; one with `"chunked"` goes without its length.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::TestApp;
use crate::rest;

const SHA: &str = "2860f81aa39cc1cb303961df7496b50053b835c3";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Flow {
    name: String,
    #[serde(default = "widgets")]
    repo: String,
    #[serde(default)]
    given: Vec<Given>,
    requests: Vec<Request>,
    #[serde(default)]
    then: Then,
}

fn widgets() -> String {
    "github/acme/widgets".to_owned()
}

/// What an earlier step of the CI run had made.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Given {
    Commit,
    Report,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    #[serde(default)]
    gzip: bool,
    #[serde(default)]
    chunked: bool,
    #[serde(default)]
    body: String,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    status: u16,
    content_type: Option<String>,
    /// The body, byte for byte.
    text: Option<String>,
    /// The body, with these keys and no others.
    json: Option<Value>,
    /// The body, with at least these keys.
    json_has: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Then {
    /// Fields of each upload of the commit.
    uploads: Option<Vec<Value>>,
    /// Line coverage of each file of the commit's report.
    lines: Option<BTreeMap<String, Value>>,
}

/// What placeholders stand for.
type Names = BTreeMap<String, String>;

#[tokio::test]
async fn every_captured_flow_is_answered_and_counted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no flow in {}", folder.display());
    let mut failures = Vec::new();
    for path in paths {
        let flow: Flow = serde_json::from_slice(&std::fs::read(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if let Err(failure) = replay(&flow).await {
            failures.push(format!("{}: {failure}", flow.name));
        }
    }
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
}

async fn replay(flow: &Flow) -> Result<(), String> {
    let app = TestApp::start().await;
    let token = app.upload_token(&flow.repo).await;
    for given in &flow.given {
        prepare(&app, &token, given).await?;
    }
    let mut names = Names::from([("token".to_owned(), token)]);
    for request in &flow.requests {
        send(&app, request, &mut names)
            .await
            .map_err(|failure| format!("{} {}: {failure}", request.method, request.target))?;
    }
    app.settled().await;
    check_then(&app, &flow.then).await
}

async fn prepare(app: &TestApp, token: &str, given: &Given) -> Result<(), String> {
    let commits = format!("{}/upload/github/acme::::widgets/commits", app.url);
    let (url, body) = match given {
        Given::Commit => (commits, json!({"commitid": SHA, "branch": "main"})),
        Given::Report => (
            format!("{commits}/{SHA}/reports"),
            json!({"code": "default"}),
        ),
    };
    let answer = reqwest::Client::new()
        .post(&url)
        .header("Authorization", format!("token {token}"))
        .json(&body)
        .send()
        .await
        .unwrap();
    if answer.status() == 201 {
        Ok(())
    } else {
        Err(format!("given {url}: answered {}", answer.status()))
    }
}

async fn send(app: &TestApp, request: &Request, names: &mut Names) -> Result<(), String> {
    let mut url = fill(&request.target, names);
    if url.starts_with('/') {
        url = format!("{}{url}", app.url);
    }
    let body = if request.gzip {
        gzip(request.body.as_bytes())
    } else {
        request.body.clone().into_bytes()
    };
    let method: Method = request.method.parse().unwrap();
    let mut sent = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
        .request(method, url);
    for (name, value) in &request.headers {
        sent = sent.header(name, fill(value, names));
    }
    sent = if request.chunked {
        let parts: Vec<std::io::Result<Vec<u8>>> =
            body.chunks(100).map(|part| Ok(part.to_vec())).collect();
        sent.body(reqwest::Body::wrap_stream(futures_util::stream::iter(
            parts,
        )))
    } else {
        sent.body(body)
    };
    let answer = sent.send().await.map_err(|error| error.to_string())?;
    let status = answer.status().as_u16();
    let content_type = answer
        .headers()
        .get("content-type")
        .map(|value| value.to_str().unwrap().to_owned());
    let text = answer.text().await.map_err(|error| error.to_string())?;
    check_answer(
        &request.expect,
        status,
        content_type.as_deref(),
        &text,
        names,
    )
    .map_err(|failure| format!("{failure}; answered {status} {content_type:?} {text:?}"))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn check_answer(
    expect: &Expect,
    status: u16,
    content_type: Option<&str>,
    text: &str,
    names: &mut Names,
) -> Result<(), String> {
    if status != expect.status {
        return Err(format!("status is not {}", expect.status));
    }
    if let Some(want) = &expect.content_type
        && !content_type.is_some_and(|found| found.starts_with(want.as_str()))
    {
        return Err(format!("content type is not {want}"));
    }
    if let Some(want) = &expect.text
        && !text_matches(want, text, names)
    {
        return Err(format!("body is not {want:?}"));
    }
    for (want, keys) in [
        (&expect.json, Keys::Exactly),
        (&expect.json_has, Keys::AtLeast),
    ] {
        if let Some(want) = want {
            let found = serde_json::from_str(text).map_err(|error| error.to_string())?;
            value_matches(want, &found, &keys, names, "body")?;
        }
    }
    Ok(())
}

enum Keys {
    Exactly,
    AtLeast,
}

fn value_matches(
    want: &Value,
    found: &Value,
    keys: &Keys,
    names: &mut Names,
    at: &str,
) -> Result<(), String> {
    match (want, found) {
        (Value::String(want), _) if want == "{{any}}" => Ok(()),
        (Value::String(want), Value::String(found)) if text_matches(want, found, names) => Ok(()),
        (Value::Object(want), Value::Object(found)) => {
            if let Some(extra) = found.keys().find(|key| !want.contains_key(*key))
                && matches!(keys, Keys::Exactly)
            {
                return Err(format!("{at}.{extra} is unexpected"));
            }
            want.iter().try_for_each(|(key, want)| {
                let found = found
                    .get(key)
                    .ok_or_else(|| format!("{at}.{key} is missing"))?;
                value_matches(want, found, keys, names, &format!("{at}.{key}"))
            })
        }
        _ if want == found => Ok(()),
        _ => Err(format!("{at} is {found}, not {want}")),
    }
}

/// Whether the text is the pattern with something in place of its placeholders; keeps what that was.
fn text_matches(pattern: &str, text: &str, names: &mut Names) -> bool {
    let Some((before, rest)) = pattern.split_once("{{") else {
        return pattern == text;
    };
    let (name, after) = rest
        .split_once("}}")
        .expect("a placeholder that is opened is closed");
    let Some(text) = text.strip_prefix(before) else {
        return false;
    };
    let longest = text.find(char::is_whitespace).unwrap_or(text.len());
    (1..=longest)
        .rev()
        .filter(|&end| text.is_char_boundary(end))
        .any(|end| {
            let matched = text_matches(after, &text[end..], names);
            if matched && name != "any" {
                names.insert(name.to_owned(), text[..end].to_owned());
            }
            matched
        })
}

fn fill(pattern: &str, names: &Names) -> String {
    names
        .iter()
        .fold(pattern.to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{{{name}}}}}"), value)
        })
}

async fn check_then(app: &TestApp, then: &Then) -> Result<(), String> {
    if let Some(want) = &then.uploads {
        let found = rest::uploads(app, SHA).await;
        if found.len() != want.len() {
            return Err(format!("{} uploads, not {}", found.len(), want.len()));
        }
        for (want, found) in want.iter().zip(&found) {
            value_matches(want, found, &Keys::AtLeast, &mut Names::new(), "upload")?;
        }
    }
    if let Some(want) = &then.lines {
        let path = format!("github/acme/repos/widgets/report/?sha={SHA}");
        let report = rest::get(app, &path).await;
        let found: BTreeMap<String, Value> = report["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| {
                let name = file["name"].as_str().unwrap().to_owned();
                (name, file["line_coverage"].clone())
            })
            .collect();
        if found != *want {
            return Err(format!("lines are {found:?}, not {want:?}"));
        }
    }
    Ok(())
}
