//! What the captured flows of the older and side endpoints do not show: refusals, other tokens, raw downloads.

use engine::db::owners::find_owner;
use engine::db::tokens::{UploadToken, insert_upload_token};
use engine::id::TokenId;
use engine::secret::{hash_token, new_upload_token};
use reqwest::{Client, RequestBuilder, StatusCode, redirect};
use serde_json::{Value, json};

use crate::app::TestApp;

const REPO: &str = "github/acme/widgets";
const SHA: &str = "2860f81aa39cc1cb303961df7496b50053b835c3";
const LCOV: &str = "SF:src/app.py\nDA:1,1\nend_of_record\n";

async fn told(request: RequestBuilder) -> (StatusCode, String) {
    let answer = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// A token that opens what an owner has, or the whole instance.
async fn wide_token(test: &TestApp, owner: Option<&str>) -> String {
    let owner_id = match owner {
        Some(owner) => {
            let mut conn = test.app.db.read().await.unwrap();
            Some(
                find_owner(&mut conn, "github", owner)
                    .await
                    .unwrap()
                    .unwrap()
                    .id,
            )
        }
        None => None,
    };
    let (token, now_us) = (new_upload_token(), test.app.clock.now_us());
    let hash = hash_token(token.expose());
    let inserted = test.app.db.write(move |conn| {
        Box::pin(async move {
            let id = TokenId::generate(now_us);
            let row = UploadToken {
                id,
                repo_id: None,
                owner_id,
            };
            insert_upload_token(conn, &row, &hash, now_us).await
        })
    });
    inserted.await.unwrap();
    token.expose().to_owned()
}

#[tokio::test]
async fn refusal_is_text_unless_json_alone_is_asked_for() {
    let test = TestApp::start().await;
    let url = format!("{}/upload/v4?commit=main", test.url);
    let plain = told(Client::new().post(&url).header("Accept", "text/plain")).await;
    assert_eq!(
        plain,
        (
            StatusCode::BAD_REQUEST,
            "Invalid request parameters".to_owned()
        )
    );
    let (_, json) = told(
        Client::new()
            .post(&url)
            .header("Accept", "application/json"),
    )
    .await;
    assert_eq!(json, r#"{"detail":"Invalid request parameters"}"#);
}

#[tokio::test]
async fn instance_token_finds_the_repository_by_its_slug() {
    let test = TestApp::start().await;
    test.upload_token(REPO).await;
    let token = wide_token(&test, None).await;
    let post = |query: &str| {
        let url = format!("{}/upload/v4?commit={SHA}&token={token}&{query}", test.url);
        told(Client::new().post(url))
    };
    assert_eq!(
        post("slug=acme/widgets&service=jenkins").await.0,
        StatusCode::OK
    );
    let unknown = "Could not find a repository, try using repo upload token";
    assert_eq!(
        post("slug=acme/other").await,
        (StatusCode::NOT_FOUND, unknown.to_owned())
    );
    test.upload_token("gitlab/acme/widgets").await;
    let several = "Found too many repos";
    assert_eq!(
        post("slug=acme/widgets").await,
        (StatusCode::BAD_REQUEST, several.to_owned())
    );
    assert_eq!(
        post("slug=acme/widgets&service=gitlab").await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn owner_token_uploads_test_results_of_the_owner_only() {
    let test = TestApp::start().await;
    test.upload_token(REPO).await;
    test.upload_token("github/other/gadgets").await;
    let token = wide_token(&test, Some("acme")).await;
    let post = |body: Value| {
        let url = format!("{}/upload/test_results/v1", test.url);
        let request = Client::new()
            .post(url)
            .header("Authorization", format!("token {token}"));
        told(request.json(&body))
    };
    let slug = |slug: &str| json!({"slug": slug, "commit": SHA, "flags": null});
    assert_eq!(post(slug("acme::::widgets")).await.0, StatusCode::CREATED);
    assert_eq!(
        post(slug("other::::gadgets")).await.0,
        StatusCode::FORBIDDEN
    );
    let unknown = r#"{"detail":"Repository not found."}"#.to_owned();
    assert_eq!(
        post(slug("acme::::none")).await,
        (StatusCode::NOT_FOUND, unknown)
    );
    let missing = r#"{"slug":["This field is required."]}"#.to_owned();
    assert_eq!(
        post(json!({"commit": SHA})).await,
        (StatusCode::BAD_REQUEST, missing)
    );
    let missing = r#"{"commit":["This field is required."]}"#.to_owned();
    assert_eq!(
        post(json!({"slug": "acme::::widgets"})).await,
        (StatusCode::BAD_REQUEST, missing)
    );
}

#[tokio::test]
async fn base_is_picked_with_the_token_of_the_repository_only() {
    let test = TestApp::start().await;
    test.upload_token(REPO).await;
    let other = test.upload_token("github/acme/gadgets").await;
    let put = |repo: &str, token: &str| {
        let url = format!("{}/api/gh/acme/{repo}/pulls/7", test.url);
        let request = Client::new()
            .put(url)
            .header("Authorization", format!("token {token}"));
        told(request.form(&[("user_provided_base_sha", SHA)]))
    };
    let (status, body) = put("widgets", "00000000-0000-4000-8000-000000000000").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        body,
        r#"{"detail":"Authentication credentials were not provided."}"#
    );
    assert_eq!(put("widgets", &other).await.0, StatusCode::FORBIDDEN);
    assert_eq!(put("none", &other).await.0, StatusCode::NOT_FOUND);
    let (status, body) = put("gadgets", &other).await;
    assert_eq!(status, StatusCode::OK);
    let pull: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        [&pull["pullid"], &pull["user_provided_base_sha"]],
        [&json!(7), &json!(SHA)]
    );
}

#[tokio::test]
async fn raw_upload_is_downloaded_by_those_who_may_see_it() {
    let test = TestApp::start().await;
    let token = test.upload_token(REPO).await;
    let v2 = format!("{}/upload/v2?commit={SHA}&token={token}", test.url);
    assert_eq!(
        told(Client::new().post(v2).body(LCOV)).await.0,
        StatusCode::OK
    );
    test.settled().await;
    let keys = test.app.blobs.list("raw/", 10).await.unwrap();
    let url = format!(
        "{}/upload/gh/acme/widgets/download?path={}",
        test.url, keys[0]
    );
    let client = Client::builder()
        .redirect(redirect::Policy::none())
        .build()
        .unwrap();
    assert_eq!(told(client.get(&url)).await.0, StatusCode::NOT_FOUND);
    let reader = test.api_token("acme").await;
    let answer = client.get(&url).bearer_auth(&reader).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::FOUND);
    let signed = answer.headers()["location"].to_str().unwrap();
    assert_eq!(
        told(client.get(signed)).await,
        (StatusCode::OK, LCOV.to_owned())
    );
}
