//! Pull requests in both APIs, and runs of tests.

use engine::db::pulls::{set_user_base, upsert_pull};
use engine::db::repos::find_repo;
use engine::db::test_runs::{Outcome, TestRun, insert_test_run};
use engine::id::{RepoId, TestRunId};
use reqwest::header::{AUTHORIZATION, LOCATION};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::api::{Api, HEAD, PARENT, WIDGETS};

impl Api {
    async fn repo(&self) -> RepoId {
        let mut conn = self.app.db().read().await.unwrap();
        let found = find_repo(&mut conn, "github", "acme", "widgets").await;
        found.unwrap().unwrap().1.id
    }

    async fn add_pulls(&self) {
        let (repo, now_us) = (self.repo().await, self.app.app.clock.now_us());
        let added = self.app.db().write(move |conn| {
            Box::pin(async move {
                upsert_pull(conn, repo, 7, Some(HEAD), now_us).await?;
                set_user_base(conn, repo, 7, PARENT, now_us).await?;
                upsert_pull(conn, repo, 9, None, now_us).await
            })
        });
        added.await.unwrap();
    }

    async fn add_run(&self, name: &str, outcome: Outcome, properties: Option<Value>) {
        let run = TestRun {
            id: TestRunId::generate(self.app.app.clock.now_us()),
            repo_id: self.repo().await,
            upload_id: None,
            commit_sha: HEAD.into(),
            branch: Some("main".into()),
            test_id: "0a".into(),
            name: Some(name.into()),
            classname: Some("Cases".into()),
            testsuite: Some("unit".into()),
            computed_name: Some(format!("Cases::{name}")),
            outcome,
            duration_seconds: Some(0.5),
            failure_message: None,
            framework: None,
            filename: None,
            flags: Some(r#"["unit"]"#.into()),
            properties: properties.map(|value| value.to_string()),
            timestamp_us: 1_790_000_000_000_000,
        };
        let added = self
            .app
            .db()
            .write(move |conn| Box::pin(async move { insert_test_run(conn, &run).await }));
        added.await.unwrap();
    }
}

#[tokio::test]
async fn pull_requests_come_with_the_totals_of_both_their_commits() {
    let api = Api::start().await;
    api.add_pulls().await;
    insta::assert_json_snapshot!("pulls", api.shown(&format!("{WIDGETS}/pulls/")).await);
    let one = api.shown(&format!("{WIDGETS}/pulls/7/")).await;
    assert_eq!(one["base_totals"]["hits"], 1);
    for (query, numbers) in [
        ("", vec![9, 7]),
        ("?ordering=pullid", vec![7, 9]),
        ("?state=open", vec![9, 7]),
        ("?state=merged", vec![]),
        ("?start_date=2020-01-01", vec![9, 7]),
        ("?start_date=2999-01-01", vec![]),
        ("?cursor=&page_size=1", vec![9]),
        ("?cursor=&page_size=1&ordering=pullid", vec![7]),
    ] {
        let page = api.get(&format!("{WIDGETS}/pulls{query}")).await.body;
        let found = page["results"].as_array().unwrap().iter();
        let found: Vec<_> = found.map(|pull| pull["pullid"].clone()).collect();
        assert_eq!(found, numbers, "{query}");
        let cursor = query.contains("cursor");
        assert_eq!(
            page.get("count").is_none() && page.get("total_pages").is_none(),
            cursor
        );
    }
    let refusals = api
        .refusals(&[
            &format!("{WIDGETS}/pulls/8/"),
            &format!("{WIDGETS}/pulls/x/"),
            &format!("{WIDGETS}/pulls/?state=x"),
            &format!("{WIDGETS}/pulls/?start_date=x"),
        ])
        .await;
    insta::assert_json_snapshot!("pull_refusals", refusals);
}

#[tokio::test]
async fn uploaders_read_and_name_bases_with_their_repository_s_token() {
    let api = Api::start().await;
    api.add_pulls().await;
    let token = api.app.upload_token("github/acme/widgets").await;
    let ask = async |method: Method, path: &str, token: &str| {
        let asked = Client::new()
            .request(method, format!("{}{path}", api.app.url))
            .header(AUTHORIZATION, format!("token {token}"))
            .form(&[("user_provided_base_sha", HEAD)]);
        let answer = asked.send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.json::<Value>().await.unwrap(),
        )
    };
    for begin in ["/api/v1", "/api"] {
        let path = format!("{begin}/gh/acme/widgets/pulls");
        let (status, list) = ask(Method::GET, &path, &token).await;
        assert_eq!(
            (status, &list["results"][1]["user_provided_base_sha"]),
            (200, &json!(PARENT))
        );
        let (status, one) = ask(Method::GET, &format!("{path}/7/"), &token).await;
        assert_eq!((status, &one["head"]), (200, &json!(HEAD)));
        let (status, changed) = ask(Method::PATCH, &format!("{path}/9"), &token).await;
        assert_eq!(
            (status, &changed["user_provided_base_sha"]),
            (200, &json!(HEAD))
        );
        assert_eq!(ask(Method::GET, &format!("{path}/8"), &token).await.0, 404);
        assert_eq!(ask(Method::GET, &path, "wrong").await.0, 401);
    }
}

#[tokio::test]
async fn runs_of_tests_are_listed_newest_first() {
    let api = Api::start().await;
    api.add_run("adds", Outcome::Pass, None).await;
    api.add_run("divides", Outcome::Failure, Some(json!({"x": 1})))
        .await;
    let mut runs = api
        .shown(&format!("{WIDGETS}/test-analytics/?outcome=failure"))
        .await;
    runs["results"][0]["repo_id"] = json!("[id]");
    insta::assert_json_snapshot!("test_runs", runs);
    for (query, count) in [
        ("", 2),
        ("?branch=main", 2),
        ("?commit_sha=x", 0),
        ("?duration_min=0.4&duration_max=0.6", 2),
        ("?duration_min=0.6", 0),
    ] {
        let page = api
            .get(&format!("{WIDGETS}/test-analytics/{query}"))
            .await
            .body;
        assert_eq!(page["count"], count, "{query}");
    }
    let refused = api
        .get(&format!("{WIDGETS}/test-analytics/?outcome=x"))
        .await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn the_older_list_of_test_results_says_where_it_went() {
    let api = Api::start().await;
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build();
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let url = format!(
            "{}/api/v2/gh/acme/repos/widgets/test-results/5/",
            api.app.url
        );
        let answer = client
            .as_ref()
            .unwrap()
            .request(method, url)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 301);
        assert!(answer.headers().get(LOCATION).is_none());
        let body: Value = answer.json().await.unwrap();
        let new = format!(
            "{}/api/v2/github/acme/repos/widgets/test-analytics/",
            api.app.url
        );
        assert_eq!(body["new_endpoint"], new);
    }
}

#[tokio::test]
async fn evaluations_are_summed_up_and_compared() {
    let api = Api::start().await;
    let scores =
        |value: f64| Some(json!({"eval": {"cost": 2, "scores": {"fit": {"value": value}}}}));
    api.add_run("one", Outcome::Pass, scores(1.0)).await;
    api.add_run("two", Outcome::Failure, scores(0.5)).await;
    let summary = api
        .shown(&format!("{WIDGETS}/evals/summary?commit={HEAD}"))
        .await;
    let compared = format!("{WIDGETS}/evals/compare?base_sha={PARENT}&head_sha={HEAD}");
    let compared = api.shown(&compared).await;
    assert_eq!(compared["head"], summary);
    insta::assert_json_snapshot!("evaluations", compared);
    let refused = api
        .get(&format!("{WIDGETS}/evals/compare?base_sha=x"))
        .await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.body["error"],
        "Both base_sha and head_sha are required"
    );
    api.add_run("three", Outcome::Pass, Some(json!({"scores": 5})))
        .await;
    let bad = api
        .get(&format!("{WIDGETS}/evals/summary?commit={HEAD}"))
        .await;
    assert_eq!(
        (bad.status.as_u16(), bad.body),
        (500, json!({"error": "Error aggregating data"}))
    );
}
