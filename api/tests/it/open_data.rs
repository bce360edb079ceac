//! Coverage for other programs: exports, events as they happen, who covers a line, and since when.

use futures_util::StreamExt as _;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::api::{Api, HEAD};
use crate::rest;

/// Answers `GET /api/v2/github/acme/repos/{path}` by the owner's token.
async fn get(api: &Api, path: &str, headers: &[(&str, &str)]) -> Response {
    let url = format!("{}/api/v2/github/acme/repos/{path}", api.app.url);
    let mut asked = Client::new()
        .get(url)
        .header(AUTHORIZATION, format!("Bearer {}", api.token));
    for (name, value) in headers {
        asked = asked.header(*name, *value);
    }
    asked.send().await.unwrap()
}

async fn json_of(api: &Api, path: &str) -> Value {
    rest::get(&api.app, &format!("github/acme/repos/{path}")).await
}

#[tokio::test]
async fn exports_hold_the_whole_report() {
    let api = Api::start().await;
    for (format, content_type) in [
        ("lcov", "text/plain; charset=utf-8"),
        ("cobertura", "application/xml"),
        ("ndjson", "application/x-ndjson"),
    ] {
        let path = format!("widgets/commits/{HEAD}/export/{format}");
        let answer = get(&api, &path, &[]).await;
        assert_eq!(answer.headers()[CONTENT_TYPE], content_type);
        let tag = answer.headers()[ETAG].to_str().unwrap().to_owned();
        let text = answer.text().await.unwrap();
        let lines = text
            .lines()
            .map(|line| match line.split_once("timestamp=") {
                Some((before, _)) => before,
                None => line,
            });
        insta::assert_snapshot!(format, lines.collect::<Vec<_>>().join("\n"));
        let again = get(&api, &path, &[(IF_NONE_MATCH.as_str(), &tag)]).await;
        assert_eq!(again.status(), 304);
    }
}

#[tokio::test]
async fn export_as_parquet_is_a_whole_file() {
    let api = Api::start().await;
    let path = format!("widgets/commits/{HEAD}/export/parquet");
    let answer = get(&api, &path, &[]).await;
    let content_type = &answer.headers()[CONTENT_TYPE];
    assert_eq!(content_type, "application/vnd.apache.parquet");
    let bytes = answer.bytes().await.unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    let is_named = |path: &[u8]| bytes.windows(path.len()).any(|part| part == path);
    assert!(is_named(b"arms_total"));
}

#[tokio::test]
async fn stored_form_names_what_each_upload_says_of_each_line() {
    let api = Api::start().await;
    let path = format!("widgets/commits/{HEAD}/export/codecov");
    let mut stored: Value = get(&api, &path, &[]).await.json().await.unwrap();
    for session in stored["report"]["sessions"]
        .as_object_mut()
        .unwrap()
        .values_mut()
    {
        assert!(session["d"].take().as_i64() > Some(1_700_000_000));
        assert!(session["a"].take().as_str().unwrap().starts_with("raw/"));
    }
    insta::assert_json_snapshot!("stored", stored);
}

#[tokio::test]
async fn export_that_is_uploaded_again_gives_the_same_totals() {
    let api = Api::start().await;
    let mut counts = Vec::new();
    let totals = async |repo: &str| {
        let totals = json_of(&api, &format!("{repo}/totals/?sha={HEAD}")).await["totals"].clone();
        json!([
            totals["files"],
            totals["lines"],
            totals["hits"],
            totals["misses"],
            totals["partials"]
        ])
    };
    counts.push(totals("widgets").await);
    for (format, name) in [("lcov", "lcov.info"), ("cobertura", "coverage.xml")] {
        let path = format!("widgets/commits/{HEAD}/export/{format}");
        let export = get(&api, &path, &[]).await.text().await.unwrap();
        let token = api.app.public_repo(&format!("github/acme/{format}")).await;
        let facts = json!({"commitid": HEAD, "branch": "main"});
        api.upload(&token, format, facts, name, &export).await;
        counts.push(totals(format).await);
    }
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
}

#[tokio::test]
async fn export_of_flags_holds_what_their_uploads_say() {
    let api = Api::start().await;
    let lines = async |query: &str| {
        let path = format!("widgets/commits/{HEAD}/export/ndjson{query}");
        let text = get(&api, &path, &[]).await.text().await.unwrap();
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        first["totals"]["lines"].as_u64().unwrap()
    };
    assert_eq!(lines("?flag=e2e").await, 2);
    assert_eq!(lines("?flag=unit").await, 5);
    assert_eq!(lines("?flag=unit&flag=e2e").await, lines("").await);
    assert_eq!(lines("?flag=none").await, 0);
    let unknown = get(&api, &format!("widgets/commits/{HEAD}/export/html"), &[]).await;
    assert_eq!(unknown.status(), 404);
}

/// Id and word of each event, until this word has come so often.
async fn events(answer: Response, word: &str, times: usize) -> Vec<(String, String)> {
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()[CONTENT_TYPE], "text/event-stream");
    let (mut stream, mut text) = (answer.bytes_stream(), String::new());
    loop {
        let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
        let events = whole.split("\n\n").filter_map(|event| {
            let field = |name: &str| {
                let mut lines = event.lines();
                lines
                    .find_map(|line| line.strip_prefix(name))
                    .map(|value| value.trim().to_owned())
            };
            Some((field("id:")?, field("event:")?))
        });
        let events: Vec<_> = events.collect();
        if events.iter().filter(|(_, step)| step == word).count() >= times {
            return events;
        }
        let part = stream.next().await.expect("more events").unwrap();
        text.push_str(std::str::from_utf8(&part).unwrap());
    }
}

#[tokio::test]
async fn events_are_taken_up_where_a_client_lost_them() {
    let api = Api::start().await;
    let path = format!("widgets/commits/{HEAD}/events");
    let all = events(get(&api, &path, &[]).await, "folded", 2).await;
    let words: Vec<&str> = all.iter().map(|(_, word)| word.as_str()).collect();
    let expected = [
        "created", "received", "parsed", "packed", "merged", "folded",
    ]
    .repeat(2);
    assert_eq!(words, expected);
    let (seen, _) = &all[4];
    let rest = events(
        get(&api, &path, &[("Last-Event-ID", seen)]).await,
        "folded",
        2,
    )
    .await;
    assert_eq!(rest, all[5..]);
    let wrong = get(&api, &path, &[("Last-Event-ID", "x")]).await;
    assert_eq!(wrong.status(), 400);
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_who_waits_for_events() {
    let hasty = |config: &mut api::config::Config| {
        config.drain = std::time::Duration::from_millis(50);
    };
    let api = Api::with(hasty).await;
    let open = get(&api, &format!("widgets/commits/{HEAD}/events"), &[]).await;
    assert_eq!(open.status(), 200);
    api.app.stopped().await;
}

#[tokio::test]
async fn events_come_as_they_happen() {
    let api = Api::start().await;
    let token = api.app.upload_token("github/acme/gadgets").await;
    let facts = || json!({"commitid": HEAD, "branch": "main"});
    api.upload(
        &token,
        "gadgets",
        facts(),
        "lcov.info",
        "SF:a.c\nDA:1,1\nend_of_record\n",
    )
    .await;
    let open = get(&api, &format!("gadgets/commits/{HEAD}/events"), &[]).await;
    let (seen, ()) = tokio::join!(
        events(open, "folded", 2),
        api.upload(
            &token,
            "gadgets",
            facts(),
            "lcov.info",
            "SF:a.c\nDA:2,1\nend_of_record\n"
        ),
    );
    assert_eq!(seen.len(), 12);
}

#[tokio::test]
async fn lines_tell_which_uploads_and_flags_hit_them() {
    let api = Api::start().await;
    let path = format!("widgets/commits/{HEAD}/lines/src/app/main.py");
    let mut proven = json_of(&api, &path).await;
    for upload in proven["uploads"].as_array_mut().unwrap() {
        assert_eq!(upload["upload"].take().as_str().unwrap().len(), 36);
    }
    insta::assert_json_snapshot!("provenance", proven);
    for (expr, lines) in [
        ("unit and not e2e", json!([1, 3])),
        ("unit%20or%20e2e", json!([1, 2, 3, 4])),
        ("not (unit or e2e)", json!([])),
    ] {
        let found = json_of(&api, &format!("{path}?expr={expr}")).await;
        let found: Vec<&Value> = found["lines"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| &line["line"])
            .collect();
        assert_eq!(json!(found), lines, "{expr}");
    }
    let wrong = get(&api, &format!("{path}?expr=unit and"), &[]).await;
    assert_eq!(wrong.status(), 400);
    let body: Value = wrong.json().await.unwrap();
    assert!(
        body["expr"][0]
            .as_str()
            .unwrap()
            .contains("a flag is missing at its end"),
        "{body}"
    );
    let unknown = get(&api, &format!("widgets/commits/{HEAD}/lines/none.py"), &[]).await;
    assert_eq!(unknown.status(), 404);
}

#[tokio::test]
async fn history_tells_when_a_line_gained_or_lost_coverage() {
    let api = Api::start().await;
    let token = api.app.upload_token("github/acme/gadgets").await;
    for (sha, report) in [
        ("1", "SF:a.c\nDA:1,0\nend_of_record\n"),
        ("2", "SF:a.c\nDA:1,4\nend_of_record\n"),
        ("3", "SF:a.c\nDA:1,1\nend_of_record\n"),
        ("4", "SF:b.c\nDA:1,1\nend_of_record\n"),
    ] {
        let facts = json!({"commitid": sha.repeat(40), "branch": "main"});
        api.upload(&token, "gadgets", facts, "lcov.info", report)
            .await;
    }
    let path = "gadgets/lines/a.c/1/history";
    let mut history = json_of(&api, path).await;
    for change in history["changes"].as_array_mut().unwrap() {
        assert!(change["timestamp"].take().is_string());
    }
    insta::assert_json_snapshot!("history", history);
    let part = json_of(&api, &format!("{path}?limit=2")).await;
    let next = part["next"].as_str().unwrap();
    let (_, next) = next.split_once("/repos/").unwrap();
    let rest = json_of(&api, next).await;
    assert_eq!((&part["walked"], &rest["walked"]), (&json!(2), &json!(2)));
    let kinds = |body: &Value| {
        let changes = body["changes"].as_array().unwrap().iter();
        changes
            .map(|change| change["kind"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!([kinds(&part), kinds(&rest)].concat(), kinds(&history));
    assert_eq!((&rest["oldest"], &rest["next"]), (&json!(1), &Value::Null));
    for (path, status) in [
        ("gadgets/lines/a.c/0/history", 404),
        ("gadgets/lines/a.c/1", 404),
        ("gadgets/lines/a.c/1/history?limit=x", 400),
        ("gadgets/lines/a.c/1/history?from=none", 404),
        ("gadgets/lines/a.c/1/history?after=none", 404),
    ] {
        assert_eq!(get(&api, path, &[]).await.status(), status, "{path}");
    }
}

#[tokio::test]
async fn history_follows_a_line_through_diffs_to_where_it_was_added() {
    let api = Api::start().await;
    let token = api.app.upload_token("github/acme/gadgets").await;
    for (sha, report) in [
        ("1", "SF:old.c\nDA:1,1\nend_of_record\n"),
        ("2", "SF:old.c\nDA:1,1\nDA:2,0\nend_of_record\n"),
        ("3", "SF:new.c\nDA:1,0\nDA:4,3\nend_of_record\n"),
    ] {
        let facts = json!({"commitid": sha.repeat(40), "branch": "main"});
        api.upload(&token, "gadgets", facts, "lcov.info", report)
            .await;
    }
    let added = "diff --git a/old.c b/old.c\n--- a/old.c\n+++ b/old.c\n@@ -1,0 +2 @@\n+two\n";
    let moved = "diff --git a/old.c b/new.c\nrename from old.c\nrename to new.c\n--- a/old.c\n+++ b/new.c\n\
        @@ -0,0 +1,2 @@\n+x\n+y\n";
    for (base, head, diff) in [("1", "2", added), ("2", "3", moved)] {
        let [base, head] = [base, head].map(|sha| sha.repeat(40));
        let given = reqwest::Client::new()
            .put(format!(
                "{}/api/v2/github/acme/repos/gadgets/compare/diff?base={base}&head={head}",
                api.app.url
            ))
            .header("authorization", format!("token {token}"))
            .body(diff);
        assert_eq!(given.send().await.unwrap().status(), 201);
    }
    let mut history = json_of(&api, "gadgets/lines/new.c/4/history").await;
    for change in history["changes"].as_array_mut().unwrap() {
        assert!(change["timestamp"].take().is_string());
    }
    insta::assert_json_snapshot!("history_through_diffs", history);
}
