//! Comparison of commits as API clients see it.

use reqwest::header::{AUTHORIZATION, ETAG, IF_NONE_MATCH};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::api::{Api, HEAD as WIDGETS_HEAD, PARENT as WIDGETS_PARENT, WIDGETS, envelope, hide};
use crate::app::TestApp;

pub(crate) const BASE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
pub(crate) const HEAD: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const LONE: &str = "cccccccccccccccccccccccccccccccccccccccc";
const BARE: &str = "dddddddddddddddddddddddddddddddddddddddd";

/// Of the base: unit tests of three files, and end-to-end tests of one of them.
const BASE_UNIT: &str = "TN:
SF:src/main.py
DA:1,1
DA:2,1
DA:3,0
DA:4,1
DA:12,1
end_of_record
SF:src/old.py
DA:1,1
DA:2,0
end_of_record
SF:src/gone.py
DA:1,1
end_of_record
SF:src/same.py
DA:1,7
end_of_record
";
const BASE_E2E: &str = "TN:
SF:src/main.py
DA:12,1
DA:13,1
end_of_record
";
/// Of the head: unit tests alone.
const HEAD_UNIT: &str = "TN:
SF:src/main.py
DA:1,1
DA:2,3
DA:3,0
DA:4,2
DA:5,0
DA:13,0
DA:14,0
end_of_record
SF:src/new.py
DA:1,1
DA:2,1
end_of_record
SF:src/born.py
DA:1,1
DA:2,0
end_of_record
SF:src/same.py
DA:1,9
end_of_record
";
pub(crate) const DIFF: &str = "\
diff --git a/src/main.py b/src/main.py
--- a/src/main.py
+++ b/src/main.py
@@ -1,4 +1,5 @@
 def one():
-    old
+    fresh
+    more
     kept
     last
diff --git a/src/old.py b/src/new.py
similarity index 100%
rename from src/old.py
rename to src/new.py
diff --git a/src/born.py b/src/born.py
new file mode 100644
--- /dev/null
+++ b/src/born.py
@@ -0,0 +1,2 @@
+born
+bad
diff --git a/src/gone.py b/src/gone.py
deleted file mode 100644
--- a/src/gone.py
+++ /dev/null
@@ -1 +0,0 @@
-gone
diff --git a/README.md b/README.md
--- a/README.md
+++ b/README.md
@@ -1 +1 @@
-hello
+Hello
";

/// A server that holds `acme/widgets` with a base, its child, and a commit that nothing leads to.
pub(crate) struct Scene {
    pub(crate) app: TestApp,
    pub(crate) upload_token: String,
    pub(crate) api_token: String,
}

impl Scene {
    async fn start() -> Scene {
        Scene::on(TestApp::start().await).await
    }

    /// The same on a server with settings of its own.
    pub(crate) async fn on(app: TestApp) -> Scene {
        let scene = Scene {
            upload_token: app.upload_token("github/acme/widgets").await,
            api_token: app.api_token("acme").await,
            app,
        };
        let base = json!({"commitid": BASE, "branch": "main"});
        scene.upload(&base, "unit", BASE_UNIT).await;
        scene.upload(&base, "e2e", BASE_E2E).await;
        let head = json!({
            "commitid": HEAD, "branch": "topic", "parent_commit_id": BASE, "pullid": 7,
        });
        scene.upload(&head, "unit", HEAD_UNIT).await;
        let lone = json!({"commitid": LONE, "branch": "lone", "pullid": 8});
        scene.upload(&lone, "unit", BASE_UNIT).await;
        scene
    }

    async fn upload(&self, facts: &Value, flag: &str, report: &str) {
        let mut facts = facts.clone();
        facts["flags"] = json!([flag]);
        let url = format!(
            "{}/upload/github/acme::::widgets/upload-coverage",
            self.app.url
        );
        let announced = Client::new()
            .post(url)
            .header(AUTHORIZATION, format!("token {}", self.upload_token))
            .json(&facts);
        let created: Value = announced.send().await.unwrap().json().await.unwrap();
        let put = Client::new().put(created["raw_upload_location"].as_str().unwrap());
        let body = envelope("lcov.info", report);
        assert_eq!(put.body(body).send().await.unwrap().status(), 200);
        self.app.settled().await;
    }

    fn url(&self, path: &str) -> String {
        let repo = "/api/v2/github/acme/repos/widgets/compare";
        format!("{}{repo}{path}", self.app.url)
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        let url = self.url(path);
        let asked = Client::new().get(url).bearer_auth(&self.api_token);
        let answer = asked.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn post(&self, path: &str, body: &str) -> (StatusCode, Value) {
        let asked = Client::new().post(self.url(path)).body(body.to_owned());
        let answer = asked.bearer_auth(&self.api_token).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    /// A body that must be there, with what differs from run to run left out.
    pub(crate) async fn shown(&self, path: &str) -> Value {
        let (status, mut body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        hide(&mut body, &self.app.url);
        body
    }

    pub(crate) async fn give(
        &self,
        query: &str,
        authorization: &str,
        diff: &str,
    ) -> (StatusCode, Value) {
        let put = Client::new().put(self.url(&format!("/diff?{query}")));
        let answer = put
            .header(AUTHORIZATION, authorization)
            .body(diff.to_owned())
            .send()
            .await
            .unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn give_diff(&self) -> Value {
        let token = format!("token {}", self.upload_token);
        let (status, body) = self
            .give(&format!("base={BASE}&head={HEAD}"), &token, DIFF)
            .await;
        assert_eq!(status, 201, "{body}");
        body
    }
}

pub(crate) fn between(base: &str, head: &str) -> String {
    format!("?base={base}&head={head}")
}

#[tokio::test]
async fn a_comparison_has_every_file_of_head_with_the_lines_of_the_diff() {
    let scene = Scene::start().await;
    insta::assert_json_snapshot!("compare_given", scene.give_diff().await);
    let query = between(BASE, HEAD);
    insta::assert_json_snapshot!("compare", scene.shown(&format!("/{query}")).await);
    insta::assert_json_snapshot!(
        "compare_file",
        scene.shown(&format!("/file/src/main.py{query}")).await
    );
    insta::assert_json_snapshot!(
        "compare_segments",
        scene.shown(&format!("/segments/src/main.py{query}")).await
    );
    insta::assert_json_snapshot!(
        "compare_flags",
        scene.shown(&format!("/flags{query}")).await
    );
    let impacted = scene.shown(&format!("/impacted_files{query}")).await;
    insta::assert_json_snapshot!(
        "compare_impacted",
        json!([
            impacted["state"],
            impacted["commit_uploads"][0],
            impacted["files"]
        ])
    );
}

#[tokio::test]
async fn components_are_those_that_the_settings_of_head_declare() {
    let scene = Scene::start().await;
    scene.give_diff().await;
    let yaml = "component_management:
  individual_components:
    - {component_id: main, name: Main, paths: [src/main.py]}
    - {component_id: rest, paths: ['!src/main.py'], flag_regexes: [unit]}
    - {component_id: e2e, flag_regexes: [e2e]}
";
    let app = scene.app.app.clone();
    let written = scene.app.app.db.write(move |conn| {
        Box::pin(async move {
            let found = engine::db::repos::find_repo(conn, "github", "acme", "widgets").await?;
            let scope = ingest::yamls::Scope::Repo(found.unwrap().1.id);
            ingest::yamls::store_yaml(conn, &app.yamls, scope, yaml, 1).await
        })
    });
    written.await.unwrap().unwrap();
    let rows = scene
        .shown(&format!("/components{}", between(BASE, HEAD)))
        .await;
    let counts = |totals: &Value| {
        json!([
            totals["files"],
            totals["lines"],
            totals["hits"],
            totals["sessions"]
        ])
    };
    let rows = rows.as_array().unwrap().iter().map(|row| {
        json!([
            row["component_id"],
            row["name"],
            counts(&row["base_report_totals"]),
            counts(&row["head_report_totals"]),
            counts(&row["diff_totals"]),
        ])
    });
    let expected = [
        json!(["main", "Main", [1, 6, 5, 2], [1, 7, 3, 1], [1, 2, 1, 0]]),
        json!(["rest", "", [3, 4, 3, 1], [3, 5, 4, 1], [2, 2, 1, 0]]),
        json!(["e2e", "", [1, 2, 2, 1], [0, 0, 0, 0], [0, 0, 0, 0]]),
    ];
    assert_eq!(rows.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn files_are_chosen_by_whether_the_diff_names_them() {
    let scene = Scene::start().await;
    scene.give_diff().await;
    let names = async |has_diff: &str| {
        let path = format!("/{}&has_diff={has_diff}", between(BASE, HEAD));
        let body = scene.shown(&path).await;
        let files = body["files"].as_array().unwrap().iter();
        let names = files.map(|file| file["name"]["head"].as_str().unwrap().to_owned());
        (names.collect::<Vec<_>>(), body["totals"].clone())
    };
    let (with, totals) = names("yes").await;
    assert_eq!(with, ["src/born.py", "src/main.py", "src/new.py"]);
    let (without, same) = names("F").await;
    assert_eq!(without, ["src/same.py"]);
    assert_eq!(totals, same);
    let (status, body) = scene
        .get(&format!("/{}&has_diff=perhaps", between(BASE, HEAD)))
        .await;
    assert_eq!(status, 400);
    assert!(body["has_diff"][0].as_str().unwrap().contains("perhaps"));
}

#[tokio::test]
async fn without_a_diff_lines_are_compared_by_their_numbers_and_the_answer_says_so() {
    let scene = Scene::start().await;
    let body = scene.shown(&format!("/{}", between(BASE, HEAD))).await;
    assert_eq!(body["totals"]["patch"], Value::Null);
    assert_eq!(body["reasons"]["diff"]["code"], "no_diff");
    assert_eq!(body["untracked"], json!([]));
    let main = &body["files"][1];
    assert_eq!(
        main["name"],
        json!({"base": "src/main.py", "head": "src/main.py"})
    );
    assert_eq!(
        (&main["has_diff"], &main["stats"], &main["lines"]),
        (&json!(false), &Value::Null, &json!([]))
    );
    assert_eq!(main["change_summary"], json!({"hits": -1, "misses": 1}));
    let with_diff = scene
        .shown(&format!("/{}&has_diff=true", between(BASE, HEAD)))
        .await;
    assert_eq!(with_diff["files"], json!([]));
}

#[tokio::test]
async fn a_pull_request_is_compared_with_its_base() {
    let scene = Scene::start().await;
    let rule = async |number: i64| {
        let body = scene.shown(&format!("/?pullid={number}")).await;
        (
            body["base_commit"].as_str().unwrap().to_owned(),
            body["reasons"]["base"]["rule"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(rule(7).await, (BASE.into(), "ancestor".into()));
    let url = format!("{}/api/v1/github/acme/widgets/pulls/7", scene.app.url);
    let put = Client::new()
        .put(url)
        .header(AUTHORIZATION, format!("token {}", scene.upload_token))
        .json(&json!({"user_provided_base_sha": LONE}));
    assert_eq!(put.send().await.unwrap().status(), 200);
    assert_eq!(rule(7).await, (LONE.into(), "user_provided".into()));
    let (status, body) = scene.get("/?pullid=8").await;
    assert_eq!(status, 404);
    insta::assert_snapshot!(body["detail"].as_str().unwrap(), @"Sorry, we are missing a commit for that pull request.");
}

#[tokio::test]
async fn a_base_that_stands_in_has_its_lines_moved_to_where_the_pull_request_starts() {
    let scene = Scene::start().await;
    let repo = {
        let mut conn = scene.app.app.db.read().await.unwrap();
        let found = engine::db::repos::find_repo(&mut conn, "github", "acme", "widgets").await;
        found.unwrap().unwrap().1.id
    };
    let start = "e".repeat(40);
    let facts = engine::db::pulls::PullFacts {
        base_sha: Some(start.clone()),
        base_branch: Some("main".into()),
        state: engine::db::pulls::PullState::Open,
        title: None,
        author_id: None,
    };
    let written = scene.app.app.db.write(move |conn| {
        Box::pin(async move {
            engine::db::pulls::set_pull_facts(conn, repo, 8, &facts, 1).await?;
            engine::db::pulls::set_pull_comparison(conn, repo, 8, Some(BASE), None).await
        })
    });
    written.await.unwrap();
    let token = format!("token {}", scene.upload_token);
    // Between the stand-in and the start, two lines came before all others of one file; since then, nothing changed.
    let moved = "diff --git a/src/same.py b/src/same.py\n--- a/src/same.py\n+++ b/src/same.py\n@@ -0,0 +1,2 @@\n+a\n+b\n";
    let (status, _) = scene
        .give(&format!("base={BASE}&head={start}"), &token, moved)
        .await;
    assert_eq!(status, 201);
    let (status, _) = scene
        .give(&format!("base={start}&head={LONE}"), &token, "")
        .await;
    assert_eq!(status, 201);
    let body = scene.shown("/?pullid=8").await;
    assert_eq!(
        body["reasons"]["base"],
        json!({
            "sha": BASE, "rule": "stand_in", "stands_in_for": start, "is_shifted": true, "code": null,
        })
    );
    let lines = scene.shown("/file/src/same.py?pullid=8").await["lines"].clone();
    let codes = lines
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["coverage"].clone());
    assert_eq!(
        codes.collect::<Vec<_>>(),
        [
            json!({"base": null, "head": 0}),
            json!({"base": null, "head": null}),
            json!({"base": 0, "head": null}),
        ]
    );
}

#[tokio::test]
async fn commits_are_named_by_hash_or_branch_and_what_is_unknown_is_told() {
    let scene = Scene::start().await;
    let body = scene.shown("/?base=main&head=topic").await;
    assert_eq!(
        (&body["base_commit"], &body["head_commit"]),
        (&json!(BASE), &json!(HEAD))
    );
    assert_eq!(body["reasons"]["base"]["rule"], "branch_head");
    let bare = format!("{}/upload/github/acme::::widgets/commits", scene.app.url);
    let bare = Client::new()
        .post(bare)
        .header(AUTHORIZATION, format!("token {}", scene.upload_token))
        .json(&json!({"commitid": BARE, "branch": "bare"}));
    assert_eq!(bare.send().await.unwrap().status(), 201);
    let mut answers = Vec::new();
    for path in [
        "/",
        "/?base=main",
        "/?pullid=x",
        "/?pullid=99",
        "/?base=main&head=nowhere",
        &format!("/?base=main&head={BARE}"),
        &format!("/file/src/nothing.py{}", between(BASE, HEAD)),
        &format!("/segments/src/nothing.py{}", between(BASE, HEAD)),
    ] {
        let (status, body) = scene.get(path).await;
        answers.push(json!([path, status.as_u16(), body]));
    }
    insta::assert_json_snapshot!("compare_refusals", answers);
    let without_base = scene.shown(&format!("/{}", between(BARE, HEAD))).await;
    assert_eq!(without_base["totals"]["base"], Value::Null);
    assert_eq!(without_base["reasons"]["base"]["code"], "no_base_report");
    let impacted = scene
        .shown(&format!("/impacted_files{}", between(BARE, HEAD)))
        .await;
    assert_eq!(
        (&impacted["state"], &impacted["files"]),
        (&json!("error"), &json!([]))
    );
}

#[tokio::test]
async fn many_comparisons_are_made_in_one_call() {
    let scene = Scene::start().await;
    scene.give_diff().await;
    let pairs = json!({"pairs": [
        {"base": BASE, "head": HEAD},
        {"base": "main", "head": "topic"},
        {"pullid": 99},
        {"base": "main"},
        {"base": "main", "head": "nowhere"},
        {"base": HEAD, "head": BASE},
    ]});
    let (status, body) = scene.post("/bulk", &pairs.to_string()).await;
    assert_eq!(status, 200);
    insta::assert_json_snapshot!("compare_bulk", body);
    let one = scene.shown(&format!("/{}", between(BASE, HEAD))).await;
    assert_eq!(body["results"][0]["totals"], one["totals"]);
    let (_, none) = scene.post("/bulk", r#"{"pairs": []}"#).await;
    assert_eq!(none, json!({"results": []}));
    let many = json!({"pairs": vec![json!({"pullid": 1}); 101]}).to_string();
    for (body, why) in [
        (&*many, "101 pairs; send at most 100 at once"),
        ("{}", "missing field `pairs`"),
        ("[", "EOF while parsing"),
        (r#"{"pairs": [{"pull": 1}]}"#, "unknown field `pull`"),
    ] {
        let (status, said) = scene.post("/bulk", body).await;
        assert_eq!(status, 400);
        assert!(said[0].as_str().unwrap().starts_with(why), "{said}");
    }
}

#[tokio::test]
async fn an_unchanged_comparison_is_not_sent_again_and_a_new_diff_changes_it() {
    let scene = Scene::start().await;
    let ask = async |tag: Option<String>| {
        let url = scene.url(&format!("/{}", between(BASE, HEAD)));
        let mut asked = Client::new().get(url).bearer_auth(&scene.api_token);
        if let Some(tag) = tag {
            asked = asked.header(IF_NONE_MATCH, tag);
        }
        let answer = asked.send().await.unwrap();
        let tag = answer.headers()[ETAG].to_str().unwrap().to_owned();
        (answer.status().as_u16(), tag)
    };
    let (status, first) = ask(None).await;
    assert_eq!(status, 200);
    assert_eq!(ask(Some(first.clone())).await, (304, first.clone()));
    scene.give_diff().await;
    let (status, second) = ask(Some(first.clone())).await;
    assert_eq!(status, 200);
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_diff_is_taken_from_those_who_may_upload() {
    let scene = Scene::start().await;
    let other = scene.app.upload_token("github/acme/other").await;
    let query = format!("base={BASE}&head={HEAD}");
    let own = format!("token {}", scene.upload_token);
    let bearer = format!("Bearer {}", scene.api_token);
    let other = format!("token {other}");
    for (authorization, query, diff, status) in [
        (&*bearer, &*query, DIFF, 201),
        (&own, &query, DIFF, 201),
        (&other, &query, DIFF, 403),
        ("token nonsense", &query, DIFF, 401),
        ("", &query, DIFF, 401),
        (&own, "base=main&head=topic", DIFF, 400),
        (&own, "base=1", DIFF, 400),
        (&own, &query, "no diff at all", 400),
        (&own, &query, "", 201),
    ] {
        let answer = scene.give(query, authorization, diff).await;
        assert_eq!(answer.0, status, "{query} {}", answer.1);
    }
}

#[tokio::test]
async fn token_that_only_reads_gives_no_diff() {
    let api = Api::start().await;
    let url = format!(
        "{}/api/v2/{WIDGETS}/compare/diff?base={WIDGETS_PARENT}&head={WIDGETS_HEAD}",
        api.app.url
    );
    for (scopes, status) in [("read", 403), ("upload", 201), ("write", 201)] {
        let token = api.app.scoped_token(Some("acme"), scopes).await;
        let given = Client::new().put(&url).bearer_auth(token).body("");
        let answer = given.send().await.unwrap();
        assert_eq!(answer.status(), status, "{scopes}");
    }
}
