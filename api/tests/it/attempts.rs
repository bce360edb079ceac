//! Uploads that come again: a newer attempt of a build, the same bytes, and how many are expected.

use engine::clock::Clock;
use reqwest::Client;
use serde_json::{Value, json};

use crate::api::{Api, HEAD};
use crate::app::TestApp;
use crate::rest;

const FIRST: &str = "SF:src/a.py\nDA:1,1\nDA:2,1\nend_of_record\n";
const SECOND: &str = "SF:src/a.py\nDA:1,1\nDA:2,0\nend_of_record\n";

/// A server with a public repository, and its upload token.
async fn gadgets() -> (Api, String) {
    let api = Api::start().await;
    let token = api.app.public_repo("github/acme/gadgets").await;
    (api, token)
}

fn facts(more: Value) -> Value {
    let mut facts = json!({
        "commitid": HEAD, "branch": "main", "ci_service": "github-actions", "job_code": "CI",
        "cli_args": {"build_code": "999"},
    });
    facts
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    facts
}

async fn coverage(api: &Api) -> (Value, Value) {
    let commit = rest::get(
        &api.app,
        &format!("github/acme/repos/gadgets/commits/{HEAD}/"),
    )
    .await;
    let totals = &commit["totals"];
    (totals["hits"].clone(), totals["sessions"].clone())
}

async fn list(api: &Api, what: &str) -> Vec<Value> {
    let path = format!("github/acme/repos/gadgets/commits/{HEAD}/{what}?page_size=100");
    let list = rest::get(&api.app, &path).await;
    list["results"].as_array().unwrap().clone()
}

#[tokio::test]
async fn newer_attempt_takes_the_place_of_the_older() {
    let (api, token) = gadgets().await;
    let upload = async |more: Value, report: &str| {
        api.upload(&token, "gadgets", facts(more), "lcov.info", report)
            .await;
    };
    upload(json!({"attempt": 1, "flags": ["unit"]}), FIRST).await;
    upload(json!({"attempt": 1, "flags": ["e2e"]}), SECOND).await;
    assert_eq!(coverage(&api).await, (json!(2), json!(2)));
    // Told by the CI's own variable.
    let env = json!({"env": {"GITHUB_RUN_ATTEMPT": "2"}, "flags": ["unit"]});
    upload(env, SECOND).await;
    assert_eq!(coverage(&api).await, (json!(1), json!(2)));
    let uploads = list(&api, "uploads/").await;
    let shown: Vec<_> = uploads
        .iter()
        .map(|upload| (&upload["attempt"], &upload["superseded"]))
        .collect();
    let [yes, no] = [json!(true), json!(false)];
    let [one, two] = [json!(1), json!(2)];
    assert_eq!(shown, [(&one, &yes), (&one, &no), (&two, &no)]);
    let steps = list(&api, "journal").await;
    let noted = steps.iter().filter(|step| step["step"] == "superseded");
    assert_eq!(noted.count(), 1);
}

#[tokio::test]
async fn uploads_without_attempts_all_count() {
    let (api, token) = gadgets().await;
    for report in [FIRST, SECOND] {
        api.upload(&token, "gadgets", facts(json!({})), "lcov.info", report)
            .await;
    }
    assert_eq!(coverage(&api).await, (json!(2), json!(2)));
}

#[tokio::test]
async fn same_bytes_are_read_once() {
    let (api, token) = gadgets().await;
    let read_before = async || {
        let steps = list(&api, "journal").await;
        let said = |step: &&Value| {
            let message = step["message"].as_str().unwrap();
            step["step"] == "parsed" && message.ends_with("the same bytes were read before")
        };
        steps.iter().filter(said).count()
    };
    let upload = async |more: Value| {
        api.upload(&token, "gadgets", facts(more), "lcov.info", FIRST)
            .await;
    };
    upload(json!({})).await;
    upload(json!({})).await;
    assert_eq!(read_before().await, 1);
    upload(json!({"flags": ["unit"]})).await; // paths of a flag could differ
    upload(json!({"flags": ["unit"], "yaml": "ignore: [src/]\n"})).await;
    assert_eq!(
        read_before().await,
        1,
        "other settings may read it otherwise"
    );
    assert_eq!(coverage(&api).await, (json!(2), json!(3)));
}

#[tokio::test]
async fn commit_is_settled_when_the_expected_uploads_are_there() {
    let (api, token) = gadgets().await;
    let status = async || {
        let path = format!("github/acme/repos/gadgets/commits/{HEAD}/status");
        let status = rest::get(&api.app, &path).await;
        (
            status["expected_uploads"].clone(),
            status["settled"].clone(),
        )
    };
    let upload = async |more: Value, report: &str| {
        api.upload(&token, "gadgets", facts(more), "lcov.info", report)
            .await;
    };
    upload(json!({"expected_uploads": 2}), FIRST).await;
    assert_eq!(status().await, (json!(2), json!(false)));
    let steps = list(&api, "journal").await;
    let gate = steps.iter().find(|step| step["step"] == "gate").unwrap();
    assert_eq!(
        (&gate["code"], &gate["verdict"]),
        (&json!("not_enough_builds"), &json!("waiting"))
    );
    upload(json!({}), SECOND).await;
    assert_eq!(status().await, (json!(2), json!(true)));
}

#[tokio::test]
async fn client_that_says_it_is_done_is_noted() {
    let (api, token) = gadgets().await;
    api.upload(&token, "gadgets", facts(json!({})), "lcov.info", FIRST)
        .await;
    let url = format!(
        "{}/upload/github/acme::::gadgets/commits/{HEAD}/upload-complete",
        api.app.url
    );
    let said = Client::new()
        .post(url)
        .header("authorization", format!("token {token}"));
    assert_eq!(said.send().await.unwrap().status(), 200);
    let steps = list(&api, "journal").await;
    let noted = steps.last().unwrap();
    assert_eq!(
        (&noted["step"], &noted["verdict"]),
        (&json!("completed"), &json!("ok"))
    );
}

#[tokio::test]
async fn full_queue_takes_no_new_uploads() {
    let app = TestApp::start_with(Clock::system(), |config| config.queue_max = 0).await;
    let token = app.public_repo("github/acme/gadgets").await;
    let announced = Client::new()
        .post(format!(
            "{}/upload/github/acme::::gadgets/upload-coverage",
            app.url
        ))
        .header("authorization", format!("token {token}"))
        .json(&json!({"commitid": HEAD, "branch": "main"}));
    let answer = announced.send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "30");
}

#[tokio::test]
async fn attempts_and_expected_uploads_count_from_one() {
    let (api, token) = gadgets().await;
    for field in ["attempt", "expected_uploads"] {
        let announced = Client::new()
            .post(format!(
                "{}/upload/github/acme::::gadgets/upload-coverage",
                api.app.url
            ))
            .header("authorization", format!("token {token}"))
            .json(&facts(json!({ field: 0 })));
        let answer = announced.send().await.unwrap();
        assert_eq!(answer.status(), 400);
        let told: Value = answer.json().await.unwrap();
        let expected = json!({ field: ["Ensure this value is greater than or equal to 1."] });
        assert_eq!(told, expected);
    }
}
