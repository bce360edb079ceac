//! What every list and every read has in common: cursors, filters, wanted fields, names, deadlines, headers.

use std::time::Duration;

use engine::clock::Clock;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, IF_NONE_MATCH, RETRY_AFTER};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use crate::api::{Api, EMPTY, HEAD, PARENT, WIDGETS};
use crate::app::TestApp;

/// A deadline that a read cannot keep while it waits for a connection.
const SHORT: Duration = Duration::from_millis(50);
/// Connections that read one SQLite file at most.
const SQLITE_READERS: usize = 8;

fn shas(page: &Value) -> Vec<&str> {
    let rows = page["results"].as_array().unwrap().iter();
    rows.map(|row| row["commitid"].as_str().unwrap()).collect()
}

impl Api {
    /// Follows a link to another page.
    async fn follow(&self, link: &Value) -> Value {
        let base = format!("{}/api/v2/", self.app.url);
        let path = link
            .as_str()
            .unwrap()
            .strip_prefix(&base)
            .unwrap()
            .to_owned();
        self.get(&path).await.body
    }

    async fn plainly(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut asked = Client::new().request(method, format!("{}{path}", self.app.url));
        for (name, value) in headers {
            asked = asked.header(*name, *value);
        }
        asked.send().await.unwrap()
    }
}

#[tokio::test]
async fn every_list_can_be_read_by_place_forwards_and_back() {
    let api = Api::start().await;
    let path = format!("{WIDGETS}/commits/?cursor=&page_size=1");
    let first = api.get(&path).await.body;
    assert_eq!(shas(&first), [EMPTY]);
    assert!(first.get("count").is_none() && first["previous"].is_null());
    let second = api.follow(&first["next"]).await;
    assert_eq!(shas(&second), [HEAD]);
    let third = api.follow(&second["next"]).await;
    assert_eq!(shas(&third), [PARENT]);
    assert!(third["next"].is_null());
    let back = api.follow(&third["previous"]).await;
    assert_eq!(back["results"], second["results"]);
    let begin = api.follow(&back["previous"]).await;
    assert_eq!(begin["results"], first["results"]);
    for list in [
        "github/",
        "github/acme/repos/",
        "github/acme/users/",
        &format!("{WIDGETS}/branches/"),
        &format!("{WIDGETS}/branches/?ordering=name"),
        &format!("{WIDGETS}/pulls/"),
        &format!("{WIDGETS}/test-analytics/"),
        &format!("{WIDGETS}/flags/"),
        &format!("{WIDGETS}/coverage/?interval=1d"),
        &format!("{WIDGETS}/commits/{HEAD}/uploads/"),
        &format!("{WIDGETS}/commits/{HEAD}/journal/"),
    ] {
        let sign = if list.contains('?') { '&' } else { '?' };
        let numbered = api.get(&format!("{list}{sign}page_size=1000")).await.body;
        let mut page = api
            .get(&format!("{list}{sign}cursor=&page_size=1"))
            .await
            .body;
        let mut rows = page["results"].as_array().unwrap().clone();
        while !page["next"].is_null() {
            page = api.follow(&page["next"]).await;
            rows.extend(page["results"].as_array().unwrap().clone());
        }
        assert_eq!(Value::Array(rows), numbered["results"], "{list}");
    }
    for cursor in ["x", "WyJhIiwieCJd"] {
        let answer = api
            .get(&format!("{WIDGETS}/commits/?cursor={cursor}"))
            .await;
        assert_eq!(answer.status, 404);
        assert_eq!(answer.body, json!({"detail": "Invalid cursor"}));
    }
}

#[tokio::test]
async fn commits_are_found_by_state_author_time_and_pull_request() {
    let api = Api::start().await;
    for (query, found) in [
        ("state=complete", vec![HEAD, PARENT]),
        ("state=error", vec![]),
        ("branch=feat/x", vec![EMPTY]),
        ("author=nobody", vec![]),
        ("pull=5", vec![]),
        ("since=2020-01-01&branch=main", vec![HEAD, PARENT]),
        ("until=2020-01-01T12:00:00Z", vec![]),
    ] {
        let page = api.get(&format!("{WIDGETS}/commits/?{query}")).await.body;
        assert_eq!(shas(&page), found, "{query}");
    }
    let refusals = api
        .refusals(&[
            &format!("{WIDGETS}/commits/?state=done"),
            &format!("{WIDGETS}/commits/?since=yesterday"),
            &format!("{WIDGETS}/commits/?pull=x"),
        ])
        .await;
    insta::assert_json_snapshot!("commit_filters", refusals);
}

#[tokio::test]
async fn the_state_of_a_commit_is_told_without_its_report() {
    let api = Api::start().await;
    let head = api.shown(&format!("{WIDGETS}/commits/{HEAD}/status")).await;
    insta::assert_json_snapshot!("commit_status", head);
    let empty = api
        .shown(&format!("{WIDGETS}/commits/{EMPTY}/status"))
        .await;
    assert_eq!(empty["totals"], Value::Null);
    assert_eq!(
        api.get(&format!("{WIDGETS}/commits/none/status"))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn only_wanted_fields_are_sent() {
    let api = Api::start().await;
    let sent = async |path: &str| api.get(&format!("{WIDGETS}/{path}")).await.body;
    assert_eq!(
        sent(&format!(
            "commits/{HEAD}/?fields=commitid,report.totals.hits"
        ))
        .await,
        json!({"commitid": HEAD, "report": {"totals": {"hits": 4}}})
    );
    assert_eq!(
        sent(&format!("commits/{HEAD}/?fields=state")).await,
        json!({"state": "complete"})
    );
    assert_eq!(
        sent("report/?fields=files.name,files.totals.lines&path=lib").await,
        json!({"files": [{"name": "lib/one/two/deep.py", "totals": {"lines": 1}}]})
    );
    let list = sent("commits/?fields=commitid&branch=main").await;
    assert_eq!(
        list["results"],
        json!([{"commitid": HEAD}, {"commitid": PARENT}])
    );
    assert_eq!(list["count"], 2);
    assert_eq!(
        sent("branches/main/?fields=head_commit.commitid").await,
        json!({"head_commit": {"commitid": HEAD}})
    );
}

#[tokio::test]
async fn every_list_has_a_name_that_changes_with_it() {
    let api = Api::start().await;
    let bearer = format!("Bearer {}", api.token);
    let path = format!("{WIDGETS}/commits/");
    let tag = api.get(&path).await.tag.unwrap();
    let headers = [
        (AUTHORIZATION.as_str(), bearer.as_str()),
        (IF_NONE_MATCH.as_str(), &tag),
    ];
    let again = api.ask(&path, &headers).await;
    assert_eq!((again.status.as_u16(), again.body), (304, Value::Null));
    let token = api.app.upload_token("github/acme/widgets").await;
    let facts = json!({"commitid": "d".repeat(40), "branch": "main"});
    api.upload(&token, "widgets", facts, "lcov.info", crate::api::UNIT)
        .await;
    assert_eq!(api.ask(&path, &headers).await.status, 200);
}

#[tokio::test]
async fn a_read_that_takes_too_long_is_told_to_come_again() {
    let short = |config: &mut api::config::Config| config.read_deadline = SHORT;
    let app = TestApp::start_on(None, Clock::system(), short).await;
    let mut held = Vec::new();
    for _ in 0..SQLITE_READERS {
        held.push(app.db().read().await.unwrap());
    }
    let answer = reqwest::get(format!("{}/api/v2/github/acme/", app.url))
        .await
        .unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()[RETRY_AFTER], "1");
    let body: Value = answer.json().await.unwrap();
    assert!(
        body["detail"]
            .as_str()
            .unwrap()
            .starts_with("The answer took longer than 0.05 s")
    );
}

#[tokio::test]
async fn verbs_and_paths_that_do_not_exist_are_told_as_clients_know_it() {
    let api = Api::start().await;
    let path = "/api/v2/github/acme/";
    let head = api.plainly(Method::HEAD, path, &[]).await;
    assert_eq!(
        (head.status().as_u16(), head.text().await.unwrap()),
        (200, String::new())
    );
    let options = api.plainly(Method::OPTIONS, path, &[]).await;
    assert_eq!(options.status(), 200);
    assert!(options.headers()["allow"].to_str().unwrap().contains("GET"));
    let post = api.plainly(Method::POST, path, &[]).await;
    assert_eq!(post.status(), 405);
    let body: Value = post.json().await.unwrap();
    assert_eq!(body, json!({"detail": "Method \"POST\" not allowed."}));
    let lost = api.plainly(Method::GET, "/api/v2/a/b/c/d/e/f", &[]).await;
    assert_eq!(lost.status(), 404);
    let body: Value = lost.json().await.unwrap();
    assert_eq!(body, json!({"error": "Page Not Found (404)"}));
    for path in ["/", "/health/", "/api_health/"] {
        let health = api.plainly(Method::GET, path, &[]).await;
        let version = concat!(env!("CARGO_PKG_VERSION"), " is live!");
        assert_eq!(health.text().await.unwrap(), version);
    }
}

#[tokio::test]
async fn pages_of_any_origin_may_read_and_ours_may_use_a_login() {
    let change = |config: &mut api::config::Config| {
        config.cors_origins = vec!["https://dash.example.org".into()];
    };
    let app = TestApp::start_with(Clock::system(), change).await;
    let ask = async |method: Method, origin: &str| {
        let asked = Client::new()
            .request(method, format!("{}/api/v2/github/acme/", app.url))
            .header("origin", origin)
            .header("access-control-request-method", "GET");
        let answer = asked.send().await.unwrap();
        let header = |name: &str| {
            let value = answer.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let told = [
            "access-control-allow-origin",
            "access-control-allow-credentials",
        ]
        .map(header);
        (
            answer.status().as_u16(),
            told,
            header("access-control-allow-headers"),
        )
    };
    let (status, told, _) = ask(Method::GET, "https://elsewhere.example").await;
    assert_eq!((status, told), (404, [Some("*".into()), None]));
    let (status, told, headers) = ask(Method::OPTIONS, "https://dash.example.org").await;
    let ours = [Some("https://dash.example.org".into()), Some("true".into())];
    assert_eq!((status, told), (200, ours));
    let headers = headers.unwrap();
    assert!(headers.contains("token-type") && headers.contains("baggage"));
    let answer = reqwest::get(format!("{}/api/v2/github/acme/", app.url))
        .await
        .unwrap();
    assert_eq!(answer.headers()["x-frame-options"], "DENY");
    assert_eq!(
        answer.headers()["content-security-policy"],
        "frame-ancestors 'none'"
    );
}

#[tokio::test]
async fn answers_are_packed_as_the_client_can_unpack() {
    let api = Api::start().await;
    let bearer = format!("Bearer {}", api.token);
    for packing in ["gzip", "zstd"] {
        let path = format!("/api/v2/{WIDGETS}/report/");
        let headers = [
            (AUTHORIZATION.as_str(), bearer.as_str()),
            (ACCEPT_ENCODING.as_str(), packing),
        ];
        let answer = api.plainly(Method::GET, &path, &headers).await;
        assert_eq!(answer.headers()["content-encoding"], packing);
    }
}
