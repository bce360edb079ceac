//! `codecov.yml` in the server: whose it is, what it does to uploads, flags and components, and coverage over time.

use engine::clock::Clock;
use engine::db::diffs::{DiffSource, StoredDiff, upsert_diff};
use engine::db::repos::find_repo;
use reqwest::header::AUTHORIZATION;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::api::envelope;
use crate::app::TestApp;

const WIDGETS: &str = "github/acme/repos/widgets";
/// 2026-11-02, a Monday, noon.
const MONDAY_US: i64 = 1_793_620_800_000_000;
const DAY_US: i64 = 86_400_000_000;

const UNIT: &str =
    "SF:src/a.py\nDA:1,1\nDA:2,0\nend_of_record\nSF:lib/b.py\nDA:1,1\nend_of_record\n";
const E2E: &str = "SF:src/a.py\nDA:2,1\nDA:3,0\nend_of_record\n";

/// A server with the private repository `acme/widgets`.
struct Server {
    app: TestApp,
    upload_token: String,
    admin: String,
    reader: String,
}

impl Server {
    async fn start() -> Server {
        let app = TestApp::start_at(Clock::manual(MONDAY_US)).await;
        Server {
            upload_token: app.upload_token("github/acme/widgets").await,
            admin: app.admin_token("acme").await,
            reader: app.api_token("acme").await,
            app,
        }
    }

    /// Status and body of a call with that token.
    async fn call(&self, method: Method, token: &str, path: &str, body: &str) -> (u16, Value) {
        let url = format!("{}/api/v2/{path}", self.app.url);
        let asked = Client::new().request(method, url).bearer_auth(token);
        let answer = asked.body(body.to_owned()).send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        let body = match text.is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}")),
        };
        (status, body)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, &self.reader, path, "").await
    }

    /// The body of a read that must succeed.
    async fn read(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Stores a `codecov.yml` that must be one.
    async fn put_yaml(&self, path: &str, text: &str) -> Value {
        let (status, body) = self.call(Method::PUT, &self.admin, path, text).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Makes a commit known.
    async fn commit(&self, facts: Value) {
        let url = format!("{}/upload/github/acme::::widgets/commits", self.app.url);
        let authorization = format!("token {}", self.upload_token);
        let made = Client::new()
            .post(url)
            .header(AUTHORIZATION, authorization)
            .json(&facts);
        assert_eq!(made.send().await.unwrap().status(), 201);
        self.app.settled().await;
    }

    /// Sends a report and waits until it is counted.
    async fn upload(&self, facts: Value, report: &str) {
        let url = format!(
            "{}/upload/github/acme::::widgets/upload-coverage",
            self.app.url
        );
        let authorization = format!("token {}", self.upload_token);
        let announced = Client::new()
            .post(url)
            .header(AUTHORIZATION, authorization)
            .json(&facts);
        let created: Value = announced.send().await.unwrap().json().await.unwrap();
        let put = Client::new().put(created["raw_upload_location"].as_str().unwrap());
        let body = envelope("lcov.info", report);
        assert_eq!(put.body(body).send().await.unwrap().status(), 200);
        self.app.settled().await;
    }

    /// Names of the files of a commit's report.
    async fn files(&self, sha: &str) -> Vec<String> {
        let body = self.read(&format!("{WIDGETS}/totals/?sha={sha}")).await;
        let files = body["files"].as_array().unwrap().iter();
        files
            .map(|file| file["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Name, type, state and flags of a commit's uploads.
    async fn uploads(&self, sha: &str) -> Value {
        let page = self.read(&format!("{WIDGETS}/commits/{sha}/uploads")).await;
        let uploads = page["results"].as_array().unwrap().iter();
        let shown = |u: &Value| {
            json!([
                u["name"],
                u["upload_type"],
                u["state"],
                u["flags"],
                u["upload_extras"]
            ])
        };
        uploads.map(shown).collect()
    }
}

/// The hash of a commit.
fn sha(letter: char) -> String {
    letter.to_string().repeat(40)
}

fn facts(letter: char, parent: Option<char>, flag: &str) -> Value {
    json!({
        "commitid": sha(letter), "branch": "main", "parent_commit_id": parent.map(sha), "flags": [flag], "name": flag,
    })
}

#[tokio::test]
async fn settings_are_kept_for_owners_and_repositories_by_those_who_may() {
    let server = Server::start().await;
    for path in ["github/acme/yaml", "github/acme/repos/widgets/yaml"] {
        let (status, body) = server.call(Method::GET, &server.admin, path, "").await;
        assert_eq!(
            (status, body),
            (200, json!({"yaml": null, "parsed": null, "sha": null}))
        );
        let text = "# ours\ncoverage: {range: '70...90'}\n";
        let stored = server.put_yaml(path, text).await;
        let parsed = json!({"coverage": {"range": [70.0, 90.0]}});
        assert_eq!(stored, json!({"yaml": text, "parsed": parsed, "sha": null}));
        assert_eq!(
            server.call(Method::GET, &server.admin, path, "").await,
            (200, stored)
        );
        let (status, body) = server
            .call(
                Method::PUT,
                &server.admin,
                path,
                "coverage:\n  precison: 2\n",
            )
            .await;
        assert_eq!(status, 400);
        assert_eq!(
            body["issues"],
            json!([{
                "path": ["coverage", "precison"], "line": 2, "message": "unknown field", "remedy": "did you mean precision?",
            }])
        );
        assert_eq!(
            server.call(Method::GET, &server.reader, path, "").await.0,
            403
        );
        let other = server.app.admin_token("other").await;
        assert_eq!(
            server
                .call(Method::PUT, &other, path, "comment: false")
                .await
                .0,
            403
        );
        for _ in 0..2 {
            assert_eq!(
                server.call(Method::DELETE, &server.admin, path, "").await.0,
                204
            );
        }
        let (_, body) = server.call(Method::GET, &server.admin, path, "").await;
        assert_eq!(body["yaml"], Value::Null);
    }
}

#[tokio::test]
async fn what_holds_for_a_commit_is_told_with_who_says_so() {
    let server = Server::start().await;
    server
        .put_yaml(
            "github/acme/yaml",
            "coverage: {round: up, precision: 1}\ncomment: false\n",
        )
        .await;
    let own = "coverage:\n  precision: 3\n  notify: {slack: {default: {url: 'https://hooks/x'}}}\n";
    server
        .commit(json!({"commitid": sha('a'), "branch": "main", "yaml": own}))
        .await;
    let path = format!("{WIDGETS}/commits/{}/yaml", sha('a'));
    insta::assert_json_snapshot!("commit_yaml", server.read(&path).await);
    // The newest commit of the default branch speaks for the repository.
    let (_, of_repo) = server
        .call(
            Method::GET,
            &server.admin,
            "github/acme/repos/widgets/yaml",
            "",
        )
        .await;
    assert_eq!(
        (&of_repo["yaml"], &of_repo["sha"]),
        (&json!(own), &json!(sha('a')))
    );
    server
        .commit(json!({"commitid": sha('b'), "branch": "feat", "yaml": "comment: true"}))
        .await;
    let (_, unchanged) = server
        .call(
            Method::GET,
            &server.admin,
            "github/acme/repos/widgets/yaml",
            "",
        )
        .await;
    assert_eq!(unchanged, of_repo);
}

#[tokio::test]
async fn a_commit_whose_file_is_no_codecov_yml_falls_back_on_the_repository_s() {
    let server = Server::start().await;
    server
        .put_yaml("github/acme/repos/widgets/yaml", "ignore: [lib/]")
        .await;
    let mut broken = facts('a', None, "unit");
    broken["yaml"] = json!("ignore: [src/]\ncoverage:\n  precison: 2\n");
    server.upload(broken, UNIT).await;
    assert_eq!(server.files(&sha('a')).await, ["src/a.py"]);
    let holds = server
        .read(&format!("{WIDGETS}/commits/{}/yaml", sha('a')))
        .await;
    insta::assert_json_snapshot!("invalid_yaml", holds["errors"]);
    let journal = server
        .read(&format!("{WIDGETS}/commits/{}/journal", sha('a')))
        .await;
    let steps = journal["results"].as_array().unwrap().iter();
    let told: Vec<_> = steps.filter(|step| step["step"] == "yaml").collect();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0]["verdict"], &told[0]["code"]),
        (&json!("warning"), &json!("invalid_yaml"))
    );
    assert!(
        told[0]["message"]
            .as_str()
            .unwrap()
            .contains("line 3: coverage.precison")
    );
}

#[tokio::test]
async fn flags_are_carried_forward_until_they_are_uploaded_again() {
    let server = Server::start().await;
    let yaml = "flags: {e2e: {carryforward: true}, part: {carryforward: true, paths: [src/]}, unit: {carryforward: false}}";
    server
        .put_yaml("github/acme/repos/widgets/yaml", yaml)
        .await;
    server.upload(facts('a', None, "unit"), UNIT).await;
    server.upload(facts('a', None, "e2e"), E2E).await;
    // A chain: the second commit carries, the third carries what the second carried.
    for (commit, parent) in [('b', 'a'), ('c', 'b')] {
        server
            .upload(facts(commit, Some(parent), "unit"), UNIT)
            .await;
    }
    insta::assert_json_snapshot!(
        "carried_uploads",
        json!({
            "b": server.uploads(&sha('b')).await, "c": server.uploads(&sha('c')).await,
        })
    );
    let totals = server
        .read(&format!("{WIDGETS}/totals/?sha={}", sha('c')))
        .await["totals"]
        .clone();
    assert_eq!(
        (&totals["lines"], &totals["hits"], &totals["sessions"]),
        (&json!(4), &json!(3), &json!(2))
    );
    // The flag itself takes the carried one's place.
    server
        .upload(
            facts('c', Some('b'), "e2e"),
            "SF:src/a.py\nDA:3,1\nend_of_record\n",
        )
        .await;
    let uploads = server.uploads(&sha('c')).await;
    let kinds: Vec<_> = uploads
        .as_array()
        .unwrap()
        .iter()
        .map(|upload| &upload[1])
        .collect();
    assert_eq!(kinds, ["uploaded", "uploaded"]);
    // What comes late for an earlier commit reaches those that carry it.
    server.upload(facts('a', None, "part"), UNIT).await;
    let late = server
        .read(&format!("{WIDGETS}/totals/?sha={}&flag=part", sha('c')))
        .await;
    let with_lines = |file: &Value| file["totals"]["lines"] != 0;
    let files: Vec<_> = late["files"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|file| with_lines(file))
        .collect();
    assert_eq!(
        (late["totals"]["sessions"].clone(), files.len()),
        (json!(1), 1)
    );
    assert_eq!(files[0]["name"], "src/a.py");
}

#[tokio::test]
async fn a_deleted_flag_is_listed_and_carried_no_more() {
    let server = Server::start().await;
    server
        .put_yaml(
            "github/acme/repos/widgets/yaml",
            "flag_management: {default_rules: {carryforward: true}}",
        )
        .await;
    server.upload(facts('a', None, "e2e/web"), E2E).await;
    let flag = format!("{WIDGETS}/flags/e2e/web");
    assert_eq!(
        server
            .call(Method::DELETE, &server.reader, &flag, "")
            .await
            .0,
        403
    );
    assert_eq!(
        server
            .call(Method::DELETE, &server.admin, &flag, "")
            .await
            .0,
        204
    );
    assert_eq!(
        server
            .call(
                Method::DELETE,
                &server.admin,
                &format!("{WIDGETS}/flags/none"),
                ""
            )
            .await
            .0,
        404
    );
    assert_eq!(server.read(&format!("{WIDGETS}/flags/")).await["count"], 0);
    server.upload(facts('b', Some('a'), "unit"), UNIT).await;
    assert_eq!(server.uploads(&sha('b')).await.as_array().unwrap().len(), 1);
    assert_eq!(
        server.call(Method::PUT, &server.admin, &flag, "").await.0,
        204
    );
    server.upload(facts('c', Some('a'), "unit"), UNIT).await;
    assert_eq!(server.uploads(&sha('c')).await.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_flag_that_is_not_joined_only_adds_lines() {
    let server = Server::start().await;
    server
        .put_yaml(
            "github/acme/repos/widgets/yaml",
            "flags: {e2e: {joined: false}}",
        )
        .await;
    server.upload(facts('a', None, "unit"), UNIT).await;
    server.upload(facts('a', None, "e2e"), E2E).await;
    let report = server.read(&format!("{WIDGETS}/report/?path=src/")).await;
    assert_eq!(
        report["files"][0]["line_coverage"],
        json!([[1, 0], [2, 1], [3, 1]])
    );
    let of_flag = server
        .read(&format!("{WIDGETS}/report/?path=src/&flag=e2e"))
        .await;
    assert_eq!(
        of_flag["files"][0]["line_coverage"],
        json!([[2, 0], [3, 1]])
    );
}

#[tokio::test]
async fn flags_and_components_show_their_coverage() {
    let server = Server::start().await;
    let yaml = "component_management:
  default_rules: {flag_regexes: [unit.*]}
  individual_components:
    - {component_id: app, name: App, paths: [src/]}
    - {component_id: web, paths: [src/], flag_regexes: [e2e]}
    - {component_id: none, name: None, paths: [doc/]}
";
    assert_eq!(server.read(&format!("{WIDGETS}/flags/")).await["count"], 0);
    server
        .put_yaml("github/acme/repos/widgets/yaml", yaml)
        .await;
    server.upload(facts('a', None, "unit"), UNIT).await;
    server.upload(facts('a', None, "e2e"), E2E).await;
    server
        .commit(json!({"commitid": sha('b'), "branch": "feat"}))
        .await;
    insta::assert_json_snapshot!(
        "flags",
        server.read(&format!("{WIDGETS}/flags/")).await["results"]
    );
    insta::assert_json_snapshot!(
        "components",
        server.read(&format!("{WIDGETS}/components/")).await
    );
    let without_report = server
        .read(&format!("{WIDGETS}/components/?branch=feat"))
        .await;
    assert_eq!(
        without_report[0],
        json!({"component_id": "app", "name": "App", "coverage": null})
    );
    let flags = server.read(&format!("{WIDGETS}/flags/?branch=feat")).await;
    assert_eq!(
        flags["results"][0],
        json!({"flag_name": "e2e", "coverage": null})
    );
    assert_eq!(
        server
            .get(&format!("{WIDGETS}/components/?branch=none"))
            .await
            .0,
        404
    );
    for (query, lines, files) in [
        ("component_id=app", 2, 1),
        ("component_id=web", 2, 1),
        ("component_id=web&flag=unit", 0, 0),
        ("component_id=app&path=lib/", 0, 0),
        ("component_id=none", 0, 0),
    ] {
        let body = server.read(&format!("{WIDGETS}/totals/?{query}")).await;
        assert_eq!(body["totals"]["lines"], lines, "{query}");
        assert_eq!(body["files"].as_array().unwrap().len(), files, "{query}");
    }
    let tree = server
        .read(&format!("{WIDGETS}/report/tree?component_id=app&depth=3"))
        .await;
    assert_eq!(
        (tree.as_array().unwrap().len(), &tree[0]["hits"]),
        (1, &json!(1))
    );
    let (status, body) = server
        .get(&format!("{WIDGETS}/totals/?component_id=x"))
        .await;
    let detail = format!("The component x does not exist in commit {}", sha('a'));
    assert_eq!((status, body), (404, json!({ "detail": detail })));
}

#[tokio::test]
async fn coverage_over_time_comes_in_bins() {
    let server = Server::start().await;
    server
        .upload(
            facts('a', None, "unit"),
            "SF:a\nDA:1,1\nDA:2,0\nDA:3,0\nend_of_record\n",
        )
        .await;
    server.app.app.clock.advance_us(DAY_US);
    server
        .upload(
            facts('b', None, "unit"),
            "SF:a\nDA:1,1\nDA:2,1\nDA:3,0\nend_of_record\n",
        )
        .await;
    server.app.app.clock.advance_us(DAY_US / 4);
    server
        .upload(facts('c', None, "unit"), "SF:a\nDA:1,1\nend_of_record\n")
        .await;
    let mut side = facts('d', None, "unit");
    side["branch"] = json!("side");
    server.upload(side, "SF:a\nDA:1,0\nend_of_record\n").await;
    let trend =
        async |path: &str| server.read(&format!("{WIDGETS}/{path}")).await["results"].clone();
    let starts = |bins: &Value| -> Vec<String> {
        let bins = bins.as_array().unwrap().iter();
        bins.map(|bin| bin["timestamp"].as_str().unwrap()[..13].to_owned())
            .collect()
    };
    insta::assert_json_snapshot!("trend", trend("coverage/?interval=1d").await);
    insta::assert_json_snapshot!("flag_trend", trend("flags/unit/coverage?interval=1d").await);
    assert_eq!(
        starts(&trend("coverage/?interval=7d").await),
        ["2026-11-02T00"]
    );
    assert_eq!(starts(&trend("coverage/?interval=6h").await).len(), 3);
    // A bin before the start comes too, where none begins at it; an end is a whole bin.
    assert_eq!(
        starts(&trend("coverage/?interval=1d&start_date=2026-11-03").await),
        ["2026-11-03T00"]
    );
    assert_eq!(
        starts(&trend("coverage/?interval=1d&start_date=2026-11-04").await),
        ["2026-11-03T00"]
    );
    assert_eq!(
        starts(&trend("coverage/?interval=1d&end_date=2026-11-02").await),
        ["2026-11-02T00"]
    );
    assert_eq!(
        starts(&trend("flags/unit/coverage?interval=1d&start_date=2026-11-04").await).len(),
        0
    );
    assert_eq!(
        trend("coverage/?interval=1d&branch=side").await[0]["max"],
        0.0
    );
    assert_eq!(
        server
            .read(&format!("{WIDGETS}/flags/unheard/coverage?interval=1d"))
            .await["count"],
        0
    );
    let second = server
        .read(&format!(
            "{WIDGETS}/coverage/?interval=1d&page=2&page_size=1"
        ))
        .await;
    assert_eq!(
        (&second["count"], starts(&second["results"])),
        (&json!(2), vec!["2026-11-03T00".to_owned()])
    );
    let refused = json!({"detail": "You must specify an interval (1d/7d/30d)"});
    for query in ["", "?interval=1w"] {
        assert_eq!(
            server.get(&format!("{WIDGETS}/coverage/{query}")).await,
            (422, refused.clone())
        );
    }
    let no_date = json!({"start_date": ["Enter a valid date/time."]});
    let soon = format!("{WIDGETS}/coverage/?interval=1d&start_date=soon");
    assert_eq!(server.get(&soon).await, (400, no_date));
}

#[tokio::test]
async fn what_the_settings_wait_for_is_told_in_the_journal() {
    let server = Server::start().await;
    server
        .put_yaml(
            "github/acme/repos/widgets/yaml",
            "codecov: {notify: {after_n_builds: 2}}",
        )
        .await;
    server.upload(facts('a', None, "unit"), UNIT).await;
    let gates = async || {
        let journal = server
            .read(&format!("{WIDGETS}/commits/{}/journal", sha('a')))
            .await;
        let steps = journal["results"].as_array().unwrap().clone();
        steps
            .into_iter()
            .filter(|step| step["step"] == "gate")
            .collect::<Vec<_>>()
    };
    let waiting = gates().await;
    assert_eq!(
        (waiting.len(), &waiting[0]["code"]),
        (1, &json!("not_enough_builds"))
    );
    server.upload(facts('a', None, "e2e"), E2E).await;
    assert_eq!(gates().await.len(), 1);
}

#[tokio::test]
async fn validate_answers_in_the_forms_that_clients_read() {
    let app = TestApp::start().await;
    let ask = async |method: Method, path: &str, body: &str| {
        let asked = Client::new().request(method, format!("{}{path}", app.url));
        let answer = asked.body(body.to_owned()).send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.text().await.unwrap().replace(&app.url, "[url]"),
        )
    };
    let mut told = Vec::new();
    for path in ["/validate", "/validate/v1", "/validate/v2"] {
        told.push(json!(["GET", path, ask(Method::GET, path, "").await]));
    }
    let bodies = [
        "",
        "- a",
        "a: [",
        "coverage: {range: '70...90'}",
        "comment:\n  require_foo: 1\n",
    ];
    for path in ["/validate", "/validate/v2?source=github"] {
        for body in bodies {
            told.push(json!([
                "POST",
                path,
                body,
                ask(Method::POST, path, body).await
            ]));
        }
    }
    insta::assert_json_snapshot!("validate", told);
}

#[tokio::test]
async fn other_settings_are_tried_on_stored_uploads_and_nothing_is_kept() {
    let server = Server::start().await;
    server.upload(facts('a', None, "unit"), UNIT).await;
    server.upload(facts('a', None, "e2e"), E2E).await;
    let path = format!("{WIDGETS}/commits/{}/what-if", sha('a'));
    let before = server.read(&format!("{WIDGETS}/report/")).await;
    let (status, mut answer) = server
        .call(
            Method::POST,
            &server.reader,
            &path,
            "ignore: [lib/]\nfixes: ['src/::app/']\n",
        )
        .await;
    assert_eq!(status, 200, "{answer}");
    for upload in answer["uploads"].as_array_mut().unwrap() {
        upload["external_id"] = json!("[id]");
    }
    insta::assert_json_snapshot!("what_if", answer);
    assert_eq!(server.read(&format!("{WIDGETS}/report/")).await, before);
    let (status, body) = server
        .call(
            Method::POST,
            &server.reader,
            &path,
            "coverage: {precison: 1}",
        )
        .await;
    assert_eq!(
        (status, &body["issues"][0]["path"]),
        (400, &json!(["coverage", "precison"]))
    );
    assert_eq!(
        server.call(Method::POST, &server.reader, &path, "").await.0,
        400
    );
    let url = format!("{}/api/v2/{path}", server.app.url);
    let fixes = json!({"fixes": ["src/::app/"]});
    let asked = Client::new()
        .post(url)
        .bearer_auth(&server.reader)
        .json(&fixes);
    let answer: Value = asked.send().await.unwrap().json().await.unwrap();
    let names: Vec<_> = answer["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| &file["name"])
        .collect();
    assert_eq!(names, ["app/a.py", "src/a.py"]);
}

#[tokio::test]
async fn what_is_carried_moves_along_a_known_diff() {
    let server = Server::start().await;
    let yaml = "flags: {e2e: {carryforward: true}}";
    server
        .put_yaml("github/acme/repos/widgets/yaml", yaml)
        .await;
    server.upload(facts('a', None, "e2e"), E2E).await;
    let text = "diff --git a/src/a.py b/src/a.py\n--- a/src/a.py\n+++ b/src/a.py\n@@ -0,0 +1,2 @@\n+one\n+two\n";
    let packed = zstd::bulk::compress(text.as_bytes(), 3).unwrap();
    let app = &server.app.app;
    app.blobs.put("diffs/moved", packed.into()).await.unwrap();
    let mut conn = app.db.read().await.unwrap();
    let (_, repo) = find_repo(&mut conn, "github", "acme", "widgets")
        .await
        .unwrap()
        .unwrap();
    drop(conn);
    let diff = StoredDiff {
        repo_id: repo.id,
        base_sha: sha('a'),
        head_sha: sha('b'),
        source: DiffSource::Client,
        hash: "moved".into(),
        size_bytes: text.len() as i64,
        commits: None,
        created_us: MONDAY_US,
    };
    let stored = app
        .db
        .write(move |conn| Box::pin(async move { upsert_diff(conn, &diff).await }));
    stored.await.unwrap();
    let other = "SF:lib/b.py\nDA:1,1\nend_of_record\n";
    server.upload(facts('b', Some('a'), "unit"), other).await;
    let report = server
        .read(&format!("{WIDGETS}/report/?sha={}&path=src/", sha('b')))
        .await;
    assert_eq!(report["files"][0]["line_coverage"], json!([[4, 0], [5, 1]]));
}
