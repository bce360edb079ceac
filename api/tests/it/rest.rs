//! Reads of the REST API, as a program with an API token would make them.

use serde_json::Value;

use crate::app::TestApp;

/// Answers `GET /api/v2/{path}`, which must be 200 and JSON, for a token of owner `acme`.
pub(crate) async fn get(app: &TestApp, path: &str) -> Value {
    let url = format!("{}/api/v2/{path}", app.url);
    let answer = reqwest::Client::new()
        .get(&url)
        .bearer_auth(app.api_token("acme").await)
        .send()
        .await
        .unwrap();
    let status = answer.status();
    let body = answer.text().await.unwrap();
    assert_eq!(status, 200, "GET {url} answered {body}");
    serde_json::from_str(&body).unwrap()
}

/// Uploads of a commit of `acme/widgets`, in the order of the API.
pub(crate) async fn uploads(app: &TestApp, sha: &str) -> Vec<Value> {
    let page = get(
        app,
        &format!("github/acme/repos/widgets/commits/{sha}/uploads/"),
    )
    .await;
    page["results"].as_array().unwrap().clone()
}
