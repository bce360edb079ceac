//! A job that fails again and again: given up with a word in the journal, and revived when its cause is mended.

use std::time::Duration;

use engine::clock::Clock;
use engine::db::Page;
use engine::db::journal::{Step, list_steps};
use engine::db::repos::find_repo;
use engine::queue;
use reqwest::Client;
use serde_json::Value;
use tokio::process::Command;

use crate::app::TestApp;
use crate::node::{announce, until};
use crate::rest;

const SHA: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const WAKING: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
/// Longer than the pause before any attempt.
const LATER_US: i64 = 2 * queue::BACKOFF_LAST_US;
const SOON: Duration = Duration::from_secs(60);

async fn steps(test: &TestApp) -> Vec<Step> {
    let mut conn = test.db().read().await.unwrap();
    let found = find_repo(&mut conn, "github", "acme", "widgets").await;
    let repo = found.unwrap().unwrap().1.id;
    let page = Page::first(100);
    list_steps(&mut conn, repo, SHA, page).await.unwrap().rows
}

async fn admin(test: &TestApp, words: &[&str]) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_hitline"))
        .arg("admin")
        .args(words)
        .env_clear()
        .env("HITLINE_DATA", test.data())
        .output()
        .await
        .unwrap();
    assert!(done.status.success(), "{words:?}: {done:?}");
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test]
async fn a_job_that_keeps_failing_is_given_up_and_can_be_revived() {
    let clock = Clock::manual(Clock::system().now_us());
    let test = TestApp::start_on(None, clock.clone(), |_| {}).await;
    let token = test.upload_token("github/acme/widgets").await;
    let announced = async |sha: &str| {
        let answer = announce(&test.url, &token, sha).send().await.unwrap();
        answer.json::<Value>().await.unwrap()
    };
    let packs = test.data().join("blobs/data/packs");
    std::fs::write(&packs, "where packs should go").unwrap();
    let upload = announced(SHA).await;
    let put = Client::new().put(upload["raw_upload_location"].as_str().unwrap());
    let body = "SF:src/a.py\nDA:1,1\nend_of_record\n<<<<<< EOF\n";
    assert_eq!(put.body(body).send().await.unwrap().status(), 200);

    let dead = until("the job is given up", SOON, async || {
        let mut conn = test.db().read().await.unwrap();
        let depth = queue::depth(&mut conn).await.unwrap();
        if depth.running == 0 && depth.dead == 0 {
            clock.advance_us(LATER_US);
            announced(WAKING).await; // the queue looks at the clock when something happens
        }
        (depth.dead > 0).then_some(depth.dead)
    })
    .await;
    assert_eq!(dead, 1);
    let steps = steps(&test).await;
    let given_up = steps
        .iter()
        .find(|step| step.code.as_deref() == Some("given_up"));
    assert!(given_up.is_some(), "{steps:?}");

    std::fs::remove_file(&packs).unwrap();
    let listed = admin(&test, &["job", "list"]).await;
    let fields: Vec<&str> = listed.trim().split('\t').collect();
    assert_eq!(fields[2], queue::MAX_ATTEMPTS.to_string());
    admin(&test, &["job", "revive", fields[0]]).await;
    announced(WAKING).await;
    until("the upload is merged", SOON, async || {
        let uploads = rest::uploads(&test, SHA).await;
        (uploads[0]["state"] == "merged").then_some(())
    })
    .await;
}
