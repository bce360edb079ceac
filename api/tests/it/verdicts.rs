//! What became of an upload, told to whoever waits for it.

use reqwest::Client;
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};

use crate::api::{Api, HEAD, envelope, hide};

const LCOV: &str = "SF:src/a.c
DA:1,1
DA:2,0
end_of_record
";

/// Announces an upload of `HEAD` to `acme/gadgets`; gives the answer.
async fn announce(api: &Api, token: &str) -> Value {
    let url = format!(
        "{}/upload/github/acme::::gadgets/upload-coverage",
        api.app.url
    );
    let facts = json!({"commitid": HEAD, "branch": "main"});
    let asked = Client::new()
        .post(url)
        .header(AUTHORIZATION, format!("token {token}"))
        .json(&facts);
    asked.send().await.unwrap().json().await.unwrap()
}

/// Puts the body; gives the verdict that the answer has with `wait`.
async fn put(announced: &Value, body: String) -> Value {
    let url = format!(
        "{}&wait=60",
        announced["raw_upload_location"].as_str().unwrap()
    );
    let answer = Client::new().put(url).body(body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

/// What the uploader is told of the upload: status and body.
async fn verdict(api: &Api, token: &str, announced: &Value, query: &str) -> (u16, Value) {
    let upload = announced["external_id"].as_str().unwrap();
    let url = format!(
        "{}/upload/github/acme::::gadgets/commits/{HEAD}/uploads/{upload}{query}",
        api.app.url
    );
    let asked = Client::new()
        .get(url)
        .header(AUTHORIZATION, format!("token {token}"));
    let answer = asked.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn shown(mut verdict: Value, api: &Api) -> Value {
    hide(&mut verdict, &api.app.url);
    verdict
}

#[tokio::test]
async fn put_that_waits_is_answered_with_the_numbers() {
    let api = Api::start().await;
    let token = api.app.public_repo("github/acme/gadgets").await;
    let announced = announce(&api, &token).await;
    let told = put(&announced, envelope("lcov.info", LCOV)).await;
    assert_eq!(told["done"], true);
    let (status, again) = verdict(&api, &token, &announced, "").await;
    assert_eq!((status, &again), (200, &told));
    let upload = announced["external_id"].as_str().unwrap();
    let path = format!("github/acme/repos/gadgets/commits/{HEAD}/uploads/{upload}/verdict?wait=1");
    let by_api = crate::rest::get(&api.app, &path).await;
    assert_eq!(by_api, told);
    insta::assert_json_snapshot!(shown(told, &api));
}

#[tokio::test]
async fn patch_is_told_where_the_diff_is_known() {
    let api = Api::start().await;
    let token = api.app.public_repo("github/acme/gadgets").await;
    let parent = "b".repeat(40);
    let diff =
        "diff --git a/src/a.c b/src/a.c\n--- a/src/a.c\n+++ b/src/a.c\n@@ -1 +1,2 @@\n a;\n+b;\n";
    let url = format!(
        "{}/api/v2/github/acme/repos/gadgets/compare/diff?base={parent}&head={HEAD}",
        api.app.url
    );
    let given = Client::new()
        .put(url)
        .header(AUTHORIZATION, format!("token {token}"))
        .body(diff);
    assert_eq!(given.send().await.unwrap().status(), 201);
    let url = format!("{}/upload/github/acme::::gadgets/commits", api.app.url);
    let known = Client::new()
        .post(url)
        .header(AUTHORIZATION, format!("token {token}"))
        .json(&json!({"commitid": HEAD, "branch": "main", "parent_commit_id": parent}));
    assert_eq!(known.send().await.unwrap().status(), 201);
    let announced = announce(&api, &token).await;
    let told = put(&announced, envelope("lcov.info", LCOV)).await;
    let patch = &told["patch"];
    assert_eq!(
        (&patch["lines"], &patch["misses"]),
        (&json!(1), &json!(1)),
        "{told}"
    );
}

#[tokio::test]
async fn who_asks_before_the_bytes_come_is_woken_by_the_result() {
    let api = Api::start().await;
    let token = api.app.public_repo("github/acme/gadgets").await;
    let announced = announce(&api, &token).await;
    let (status, early) = verdict(&api, &token, &announced, "?wait=0").await;
    assert_eq!(
        (status, &early["state"], &early["done"]),
        (200, &json!("started"), &json!(false))
    );
    let location = announced["raw_upload_location"].as_str().unwrap();
    let body = envelope("lcov.info", LCOV);
    let (sent, told) = tokio::join!(
        Client::new().put(location).body(body).send(),
        verdict(&api, &token, &announced, "?wait=3"),
    );
    assert_eq!(sent.unwrap().status(), 200);
    assert_eq!(told.1["totals"]["lines"], 2, "{told:?}");
}

#[tokio::test]
async fn upload_that_yields_nothing_says_why() {
    let api = Api::start().await;
    let token = api.app.public_repo("github/acme/gadgets").await;
    let announced = announce(&api, &token).await;
    let told = put(&announced, envelope("notes.txt", "no report at all")).await;
    let expected = "No coverage files found in upload.";
    assert_eq!(told["errors"][0]["message"], expected, "{told}");
    insta::assert_json_snapshot!(shown(told, &api));
}

#[tokio::test]
async fn verdict_is_for_those_who_may_see_it() {
    let api = Api::start().await;
    let token = api.app.upload_token("github/acme/gadgets").await;
    let announced = announce(&api, &token).await;
    assert_eq!(
        verdict(&api, "00000000-0000-4000-8000-000000000000", &announced, "")
            .await
            .0,
        401
    );
    assert_eq!(verdict(&api, &token, &announced, "?wait=soon").await.0, 400);
    let unknown = json!({"external_id": "none"});
    assert_eq!(verdict(&api, &token, &unknown, "").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn hitline_upload_waits_for_the_result_if_asked() {
    let api = Api::start().await;
    let token = api.app.upload_token("github/acme/gadgets").await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    std::fs::write(folder.path().join("src/a.c"), "a;\nb;\n").unwrap();
    let upload = async |report: &str| {
        std::fs::write(folder.path().join("lcov.info"), report).unwrap();
        let mut upload = tokio::process::Command::new(env!("CARGO_BIN_EXE_hitline"));
        upload.current_dir(folder.path()).env_clear().args([
            "upload",
            "--url",
            &api.app.url,
            "--token",
            &token,
            "--sha",
            HEAD,
            "--branch",
            "main",
            "--slug",
            "acme/gadgets",
            "--git-service",
            "github",
            "--wait",
        ]);
        let output = upload.output().await.unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, said) = upload(LCOV).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("coverage 50.0 % (1 of 2 lines, 1 uploads)"),
        "{said}"
    );
    let (code, said) = upload("TN:\n").await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the upload yields no coverage: "), "{said}");
}
