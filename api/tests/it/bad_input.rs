//! What clients send that is wrong, or too much: each has its status, a text that a person can act on and a row in the
//! journal, and the server takes the next upload as if nothing had been.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use engine::clock::Clock;
use engine::db::Page;
use engine::db::journal::{Step, Verdict, list_steps};
use engine::db::uploads::{Upload, UploadState, find_upload};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use ingest::arrival::UPLOAD_MAX_BYTES;
use reqwest::Client;
use serde_json::{Value, json};

use crate::app::TestApp;
use crate::node::{Node, announce, until};

const SHA: &str = "2860f81aa39cc1cb303961df7496b50053b835c3";
const GOOD_SHA: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const WRONG_TOKEN: &str = "00000000-0000-4000-8000-000000000000";
const LCOV: &str = "SF:src/app.py\nDA:1,1\nDA:2,0\nend_of_record\n";
const MB: usize = 1 << 20;
/// A report of 200 MB may cost the server so much memory at most.
const PEAK_BYTES: u64 = 512 << 20;
/// Giving an upload up takes the server so long at most.
const GIVEN_UP: Duration = Duration::from_secs(30);
/// After so long, nobody waits for the bytes of an upload any more.
const GIVEN_UP_US: i64 = 30 * 60 * 1_000_000;

/// A server with a repository.
struct Ci {
    node: Node,
    token: String,
}

impl Ci {
    async fn start() -> Ci {
        let node = Node::start().await;
        let token = node.add_repo("widgets").await;
        Ci { node, token }
    }

    async fn upload(&self, body: impl Into<reqwest::Body>) -> Value {
        let id = self.node.upload(&self.token, SHA, body).await;
        let uploads = self.node.settled(SHA).await;
        let steps = self.node.journal(SHA).await;
        let step = steps
            .into_iter()
            .find(|step| step["step"] == "parsed" && step["upload"] == *id);
        let step = step.unwrap_or_else(|| panic!("upload {id} was never parsed: {uploads:?}"));
        let state = if step["verdict"] == "error" {
            "error"
        } else {
            "merged"
        };
        assert_eq!(uploads[0]["state"], state, "{step}");
        step
    }

    /// Sends what must not count; asserts why, that the journal tells so in these words, and that the server goes on.
    async fn rejects(mut self, body: impl Into<reqwest::Body>, code: &str, words: &[&str]) {
        let step = self.upload(body).await;
        assert_eq!([&step["verdict"], &step["code"]], ["error", code], "{step}");
        let told = step.to_string();
        assert!(words.iter().all(|words| told.contains(words)), "{step}");
        self.goes_on().await;
    }

    /// Whether the same process takes and counts a good upload.
    async fn goes_on(&mut self) {
        self.node.ready().await;
        self.node.upload(&self.token, GOOD_SHA, LCOV).await;
        let uploads = self.node.settled(GOOD_SHA).await;
        assert_eq!(uploads[0]["state"], "merged", "{uploads:?}");
    }

    /// Files, hits and misses of what was sent.
    async fn counts(&self) -> Value {
        let totals = self.node.totals_of(SHA, 1).await;
        json!([totals["files"], totals["hits"], totals["misses"]])
    }
}

#[tokio::test]
async fn wrong_token_is_refused() {
    let mut ci = Ci::start().await;
    let answer = ci.node.announce(WRONG_TOKEN, SHA).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["www-authenticate"], "Token");
    assert_eq!(
        answer.json::<Value>().await.unwrap(),
        json!({"detail": "Not valid tokenless upload"})
    );
    let url = format!("{}/upload/v4?commit={SHA}&token={WRONG_TOKEN}", ci.node.url);
    let answer = Client::new().post(url).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    let text = format!("Could not find a repository associated with upload token {WRONG_TOKEN}");
    assert_eq!(answer.text().await.unwrap(), text);
    ci.goes_on().await;
}

#[tokio::test]
async fn unknown_repository_is_named_and_another_one_is_forbidden() {
    let mut ci = Ci::start().await;
    ci.node.add_repo("gadgets").await;
    for (repo, status, body) in [
        ("nothing", 400, json!(["Repository not found"])),
        (
            "gadgets",
            403,
            json!({"detail": "You do not have permission to perform this action."}),
        ),
    ] {
        let answer = Client::new()
            .post(format!(
                "{}/upload/github/acme::::{repo}/upload-coverage",
                ci.node.url
            ))
            .header("Authorization", format!("token {}", ci.token))
            .json(&json!({"commitid": SHA}))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.json::<Value>().await.unwrap(), body);
    }
    ci.goes_on().await;
}

#[tokio::test]
async fn malformed_call_is_told_what_is_wrong() {
    let mut ci = Ci::start().await;
    for (body, key) in [
        ("{\"commitid\": ", "detail"),
        ("[]", "non_field_errors"),
        ("{}", "commitid"),
    ] {
        let answer = ci
            .node
            .announce(&ci.token, SHA)
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 400, "{body}");
        let told: Value = answer.json().await.unwrap();
        assert!(told.get(key).is_some(), "{body}: {told}");
    }
    ci.goes_on().await;
}

#[tokio::test]
async fn body_without_a_byte_is_an_empty_report() {
    Ci::start()
        .await
        .rejects("", "report_empty", &["No coverage files found"])
        .await;
}

#[tokio::test]
async fn empty_report_is_named() {
    let body = payload(&["src/app.py"], &[("lcov.info", pack(b""))]);
    Ci::start()
        .await
        .rejects(body, "report_empty", &["lcov.info", "the file is empty"])
        .await;
}

#[tokio::test]
async fn truncated_zlib_names_the_file_that_is_cut_off() {
    let mut packed = pack(LCOV.repeat(50).as_bytes());
    packed.truncate(packed.len() / 2);
    let body = payload(&["src/app.py"], &[("cut/lcov.info", packed)]);
    Ci::start()
        .await
        .rejects(body, "unknown_storage", &["cut/lcov.info", "cut off"])
        .await;
}

#[tokio::test]
async fn report_of_another_format_under_a_known_name_is_read_for_what_it_is() {
    let mut ci = Ci::start().await;
    let step = ci
        .upload(payload(
            &["src/app.py"],
            &[("coverage.xml", pack(LCOV.as_bytes()))],
        ))
        .await;
    assert_eq!(step["verdict"], "ok", "{step}");
    assert_eq!(ci.counts().await, json!([1, 1, 1]));
    ci.goes_on().await;
}

#[tokio::test]
async fn what_is_no_coverage_under_a_known_name_is_rejected_with_the_name() {
    let page = pack(b"<!doctype html><html><body>502 Bad Gateway</body></html>");
    let body = payload(&["src/app.py"], &[("jacoco.xml", page)]);
    Ci::start()
        .await
        .rejects(
            body,
            "report_empty",
            &["jacoco.xml", "no known format fits"],
        )
        .await;
}

#[tokio::test]
async fn line_of_200_mb_is_read_in_bounded_memory() {
    let mut ci = Ci::start().await;
    let chunk = Bytes::from(vec![b'x'; MB]);
    let start =
        Bytes::from("src/app.py\n<<<<<< network\n# path=lcov.info\nSF:src/app.py\nDA:1,1\nXX:");
    let end = Bytes::from("\nDA:2,0\nend_of_record\n<<<<<< EOF\n");
    let chunks = std::iter::once(start)
        .chain(std::iter::repeat_n(chunk, 200))
        .chain([end]);
    let stream = futures_util::stream::iter(chunks.map(Ok::<Bytes, std::io::Error>));
    let step = ci.upload(reqwest::Body::wrap_stream(stream)).await;
    assert_eq!(step["verdict"], "ok", "{step}");
    assert_eq!(ci.counts().await, json!([1, 1, 1]));
    let peak = ci.node.peak_memory_bytes();
    assert!(peak < PEAK_BYTES, "the server took {} MB", peak / MB as u64);
    ci.goes_on().await;
}

#[tokio::test]
async fn climbing_paths_in_a_report_lead_nowhere() {
    let mut ci = Ci::start().await;
    let report = "SF:../../../../etc/passwd\nDA:1,1\nend_of_record\nSF:src/../src/app.py\nDA:1,1\nDA:2,0\nend_of_record\n";
    let step = ci
        .upload(payload(
            &["src/app.py"],
            &[("../../lcov.info", pack(report.as_bytes()))],
        ))
        .await;
    assert_eq!(
        [&step["verdict"], &step["code"]],
        ["warning", "paths_unresolved"],
        "{step}"
    );
    assert!(
        step["message"].as_str().unwrap().contains("etc/passwd"),
        "{step}"
    );
    let report = ci.node.get(&format!("report/?sha={SHA}")).await;
    let names: Vec<&Value> = report["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| &file["name"])
        .collect();
    assert_eq!(names, ["src/app.py"]);
    ci.goes_on().await;
}

#[tokio::test]
async fn climbing_keys_and_downloads_lead_nowhere() {
    let mut ci = Ci::start().await;
    let key = "raw/..%2F..%2F..%2Fhitline.db?expires=99999999999&signature=00";
    let download = "upload/github/acme/widgets/download?path=../../hitline.db";
    for (path, status) in [(format!("blob/{key}"), 403), (download.to_owned(), 404)] {
        let answer = reqwest::get(format!("{}/{path}", ci.node.url))
            .await
            .unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
    ci.goes_on().await;
}

#[tokio::test]
async fn a_hundred_thousand_files_of_the_repository_may_be_listed() {
    let mut ci = Ci::start().await;
    let paths: Vec<String> = (0..100_000)
        .map(|n| format!("packages/p{}/src/module_{n}.py", n % 100))
        .collect();
    let network: Vec<&str> = paths.iter().map(String::as_str).collect();
    let report = "SF:/builds/42/packages/p99/src/module_99999.py\nDA:1,1\nDA:2,0\nend_of_record\n";
    let step = ci
        .upload(payload(&network, &[("lcov.info", pack(report.as_bytes()))]))
        .await;
    assert_eq!(step["verdict"], "ok", "{step}");
    let report = ci.node.get(&format!("report/?sha={SHA}")).await;
    assert_eq!(
        report["files"][0]["name"],
        "packages/p99/src/module_99999.py"
    );
    ci.goes_on().await;
}

#[tokio::test]
async fn upload_whose_bytes_never_arrive_is_given_up() {
    let clock = Clock::manual(Clock::system().now_us());
    let test = TestApp::start_at(clock.clone()).await;
    let (lost, step) = given_up(&test, &clock, async |_| ()).await;
    assert_eq!(step.code.as_deref(), Some("file_not_in_storage"));
    assert!(step.message.contains("upload again"), "{}", step.message);

    let late = Client::new().put(lost["raw_upload_location"].as_str().unwrap());
    let answer = late.body(LCOV).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    assert!(answer.text().await.unwrap().contains("expired"));
}

#[tokio::test]
async fn upload_that_is_found_to_be_too_long_is_refused() {
    let clock = Clock::manual(Clock::system().now_us());
    let test = TestApp::start_on(None, clock.clone(), |_| ()).await;
    let store = async |upload: &Upload| {
        let sparse = tempfile::NamedTempFile::new_in(test.app.blobs.scratch()).unwrap();
        sparse.as_file().set_len(UPLOAD_MAX_BYTES + 1).unwrap();
        let stored = test.app.blobs.put_file(&upload.storage_path, sparse.path());
        stored.await.unwrap();
    };
    let (_, step) = given_up(&test, &clock, store).await;
    assert!(
        step.message.contains("has 2147483649 bytes, of 2147483648"),
        "{step:?}"
    );
}

/// Announces an upload, does something, and waits until no bytes are waited for; gives the answer, and the step that says
/// why.
async fn given_up(test: &TestApp, clock: &Clock, act: impl AsyncFnOnce(&Upload)) -> (Value, Step) {
    let token = test.upload_token("github/acme/widgets").await;
    let announced = || async {
        let answer = announce(&test.url, &token, SHA).send().await.unwrap();
        answer.json::<Value>().await.unwrap()
    };

    let lost = announced().await;
    let mut conn = test.app.db.read().await.unwrap();
    let id = lost["external_id"].as_str().unwrap();
    act(&find_upload(&mut conn, id).await.unwrap().unwrap()).await;
    clock.advance_us(GIVEN_UP_US);
    announced().await; // the queue looks at the clock when something happens

    let upload = until("the upload is given up", GIVEN_UP, async || {
        let upload = find_upload(&mut conn, id).await.unwrap().unwrap();
        (upload.state != UploadState::Started).then_some(upload)
    })
    .await;
    assert_eq!(upload.state, UploadState::Error);
    let page = Page {
        limit: 100,
        offset: 0,
    };
    let steps = list_steps(&mut conn, upload.repo_id, SHA, page).await;
    let step = steps
        .unwrap()
        .rows
        .into_iter()
        .find(|step| step.upload_id == Some(upload.id) && step.step == "received")
        .unwrap();
    assert_eq!(step.verdict, Verdict::Error);
    (lost, step)
}

/// The body that the command line client sends, of files that are packed already.
fn payload(network: &[&str], files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let files = files.iter().map(|(name, packed)| {
        let data = base64_simd::STANDARD.encode_to_string(packed);
        json!({"filename": name, "format": "base64+compressed", "data": data, "labels": ""})
    });
    let body = json!({
        "report_fixes": {"format": "legacy", "value": {}},
        "network_files": network,
        "coverage_files": files.collect::<Vec<_>>(),
        "metadata": {},
    });
    body.to_string().into_bytes()
}

fn pack(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}
