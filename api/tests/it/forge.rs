//! A server that asks a git provider: a stand-in that answers as GitHub documents.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use engine::clock::Clock;
use engine::db::pulls::{Pull, PullState, find_pull};
use engine::db::repos::find_repo;
use engine::secret::Secret;
use forge::{Kind, Settings};
use serde_json::{Value, json};

use crate::app::TestApp;
use crate::compare::{BASE, DIFF, HEAD, Scene, between};

/// Answers by path with query; any other is unknown.
type Answers = Arc<Mutex<HashMap<String, String>>>;

async fn start() -> (Answers, BTreeMap<String, Settings>) {
    let answers = Answers::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = Settings {
        kind: Kind::GitHub,
        api_url: format!("http://{}", listener.local_addr().unwrap()),
        key: Some(Secret::new("key")),
    };
    let app = Router::new().fallback(answer).with_state(answers.clone());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (answers, BTreeMap::from([("github".to_owned(), settings)]))
}

async fn answer(State(answers): State<Answers>, request: Request) -> Response {
    let path = request.uri().path_and_query().unwrap().as_str();
    let path = path.replace("/repos/acme/widgets", "");
    match answers.lock().unwrap().get(&path) {
        Some(body) => body.clone().into_response(),
        None => (StatusCode::NOT_FOUND, r#"{"message":"Not Found"}"#).into_response(),
    }
}

fn commit(sha: &str, parent: &str, message: &str) -> Value {
    json!({
        "sha": sha, "parents": [{"sha": parent}], "author": {"id": 5, "login": "ada"},
        "commit": {"message": message, "author": {"name": "Ada", "email": "ada@acme.dev"},
            "committer": {"date": "2026-01-02T03:04:05Z"}},
    })
}

/// What GitHub knows of the two commits and the pull request between them.
fn tell(answers: &Answers) {
    let hunks = DIFF.split_once("+++ b/src/main.py\n").unwrap().1;
    let hunks = hunks.split_once("diff --git").unwrap().0;
    let mut answers = answers.lock().unwrap();
    let mut say = |path: String, body: Value| answers.insert(path, body.to_string());
    say(
        format!("/commits/{HEAD}"),
        commit(HEAD, BASE, "Make it fresh"),
    );
    say(format!("/commits/{BASE}"), commit(BASE, "0", "Begin"));
    let pull = json!({
        "title": "Fresh", "state": "open", "merged": false, "user": {"id": 5, "login": "ada"},
        "base": {"sha": BASE, "ref": "main"}, "head": {"sha": HEAD, "ref": "topic"},
    });
    say("/pulls/7".into(), pull);
    let commits = json!([{"sha": HEAD, "parents": [{"sha": BASE}]}]);
    say("/pulls/7/commits?per_page=100&page=1".into(), commits);
    let compared = json!({
        "base_commit": commit(BASE, "0", "Begin"),
        "commits": [commit(HEAD, BASE, "Make it fresh")],
        "files": [{"filename": "src/main.py", "status": "modified", "changes": 3, "patch": hunks}],
    });
    say(format!("/compare/{BASE}...{HEAD}"), compared);
    let source = "def one():\n    fresh\n    more\n    kept\n    last\nsix\n";
    let content = base64_simd::STANDARD.encode_to_string(source);
    let content = json!({"encoding": "base64", "content": content});
    say(format!("/contents/src/main.py?ref={HEAD}"), content);
}

async fn pull(scene: &Scene, number: i64) -> Pull {
    let mut conn = scene.app.app.db.read().await.unwrap();
    let (_, repo) = find_repo(&mut conn, "github", "acme", "widgets")
        .await
        .unwrap()
        .unwrap();
    find_pull(&mut conn, repo.id, number)
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn an_upload_brings_what_the_provider_knows_of_its_commit_and_pull_request() {
    let (answers, forges) = start().await;
    tell(&answers);
    let app = TestApp::start_with(Clock::system(), |config| config.forges = forges).await;
    let scene = Scene::on(app).await;
    let pull = pull(&scene, 7).await;
    assert_eq!(
        (pull.state, pull.title.as_deref()),
        (PullState::Open, Some("Fresh"))
    );
    assert_eq!(
        (pull.base_sha.as_deref(), pull.compared_to.as_deref()),
        (Some(BASE), Some(BASE))
    );
    let patch: Value = serde_json::from_str(&pull.patch.unwrap()).unwrap();
    assert_eq!((&patch["lines"], &patch["hits"]), (&json!(2), &json!(1)));
    let (_, body) = scene.get("/?pullid=7").await;
    assert_eq!(body["reasons"]["base"]["rule"], "pull_base");
    assert_eq!(body["reasons"]["diff"]["source"], "provider");
    let head = &body["diff"]["git_commits"][0];
    assert_eq!(head["message"], "Make it fresh");
    assert_eq!(head["author"]["email"], "ada@acme.dev");
    assert_eq!(body["commit_uploads"][0]["author"]["username"], "ada");
    assert_eq!(
        body["commit_uploads"][0]["timestamp"],
        "2026-01-02T03:04:05Z"
    );
}

#[tokio::test]
async fn a_file_is_shown_with_its_source_where_the_provider_tells_it() {
    let (answers, forges) = start().await;
    tell(&answers);
    let app = TestApp::start_with(Clock::system(), |config| config.forges = forges).await;
    let scene = Scene::on(app).await;
    let query = between(BASE, HEAD);
    let place = format!("/contents/src/main.py?ref={HEAD}");
    let source = answers.lock().unwrap().remove(&place).unwrap();
    let file = scene.shown(&format!("/file/src/main.py{query}")).await;
    assert!(!file.to_string().contains("six"), "nobody told it");
    answers.lock().unwrap().insert(place, source);
    let file = scene.shown(&format!("/file/src/main.py{query}")).await;
    let values = file["lines"].as_array().unwrap().iter();
    let values: Vec<&str> = values.map(|line| line["value"].as_str().unwrap()).collect();
    let expected = [
        " def one():",
        "-    old",
        "+    fresh",
        "+    more",
        "     kept",
        "     last",
        "six",
    ];
    assert_eq!(values[..7], expected);
    let segments = scene.shown(&format!("/segments/src/main.py{query}")).await;
    let lines = &segments["segments"][0]["lines"];
    assert_eq!(
        (&lines[1]["content"], &lines[6]["content"]),
        (&json!("-     old"), &json!(" six"))
    );
}

#[tokio::test]
async fn what_the_provider_refuses_is_told_with_its_own_code_and_words() {
    let (_, forges) = start().await;
    let app = TestApp::start_with(Clock::system(), |config| config.forges = forges).await;
    let scene = Scene::on(app).await;
    let path = format!("/{}", between(BASE, HEAD));
    let (status, body) = scene.get(&path).await;
    assert_eq!(
        (status.as_u16(), &body),
        (404, &json!({"detail": "Not Found"}))
    );
    let token = format!("token {}", scene.upload_token);
    scene
        .give(&format!("base={BASE}&head={HEAD}"), &token, DIFF)
        .await;
    let (status, body) = scene.get(&path).await;
    assert_eq!(
        (status.as_u16(), &body["reasons"]["diff"]["source"]),
        (200, &json!("client"))
    );
    let (_, steps) = scene.get(&format!("/../commits/{HEAD}/journal")).await;
    let mut steps = steps["results"].as_array().unwrap().iter();
    let synced = steps.find(|step| step["step"] == "synced").unwrap();
    assert_eq!(
        (&synced["verdict"], &synced["code"]),
        (&json!("warning"), &json!("provider_issue"))
    );
}
