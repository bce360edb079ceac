//! The REST API as its clients see it: the shape of every answer, and who gets which.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use reqwest::header::{AUTHORIZATION, ETAG, IF_NONE_MATCH, WWW_AUTHENTICATE};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::app::TestApp;

/// The commit whose report has two uploads.
pub(crate) const HEAD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
pub(crate) const PARENT: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
pub(crate) const EMPTY: &str = "cccccccccccccccccccccccccccccccccccccccc";
pub(crate) const WIDGETS: &str = "github/acme/repos/widgets";

pub(crate) const UNIT: &str = "TN:
SF:src/app/main.py
DA:1,3
DA:2,0
DA:3,1
end_of_record
SF:src/app/util.py
DA:1,1
end_of_record
SF:lib/one/two/deep.py
DA:5,0
end_of_record
";
const E2E: &str = r#"<?xml version="1.0"?>
<coverage version="7.0" line-rate="0.5"><packages><package name="app"><classes>
<class name="main.py" filename="src/app/main.py"><lines>
<line number="2" hits="4"/>
<line number="4" hits="1" branch="true" condition-coverage="50% (1/2)"/>
</lines></class></classes></package></packages></coverage>
"#;
const OLD: &str = "TN:
SF:src/app/gone.py
DA:7,1
DA:8,0
end_of_record
";

/// A server that holds `acme/widgets`, which is private, with two commits that have reports and one that has none.
pub(crate) struct Api {
    pub(crate) app: TestApp,
    pub(crate) token: String,
}

/// What the server said.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    pub(crate) tag: Option<String>,
    pub(crate) scheme: Option<String>,
}

impl Api {
    /// Starts it; all uploads are counted.
    pub(crate) async fn start() -> Api {
        Api::start_on(TestApp::start().await).await
    }

    /// The same on a server of the caller's.
    pub(crate) async fn start_on(app: TestApp) -> Api {
        let upload_token = app.upload_token("github/acme/widgets").await;
        let token = app.api_token("acme").await;
        let api = Api { app, token };
        let old = json!({"commitid": PARENT, "branch": "main", "flags": ["unit"]});
        api.upload(&upload_token, "widgets", old, "old.info", OLD)
            .await;
        for (flag, name, report) in [("unit", "lcov.info", UNIT), ("e2e", "coverage.xml", E2E)] {
            let facts = json!({
                "commitid": HEAD, "branch": "main", "parent_commit_id": PARENT, "flags": [flag],
                "ci_service": "local", "name": flag, "job_code": "7", "env": {"OS": "linux"},
            });
            api.upload(&upload_token, "widgets", facts, name, report)
                .await;
        }
        let url = format!("{}/upload/github/acme::::widgets/commits", api.app.url);
        let empty = json!({"commitid": EMPTY, "branch": "feat/x", "parent_commit_id": HEAD});
        let made = Client::new()
            .post(url)
            .header(AUTHORIZATION, format!("token {upload_token}"))
            .json(&empty);
        assert_eq!(made.send().await.unwrap().status(), 201);
        api
    }

    /// Sends one report as the current clients do, and waits until it is counted.
    pub(crate) async fn upload(
        &self,
        token: &str,
        repo: &str,
        facts: Value,
        name: &str,
        report: &str,
    ) {
        self.upload_body(token, repo, facts, envelope(name, report))
            .await;
    }

    /// The same with a body of any kind.
    async fn upload_body(&self, token: &str, repo: &str, facts: Value, body: String) {
        let url = format!(
            "{}/upload/github/acme::::{repo}/upload-coverage",
            self.app.url
        );
        let authorization = format!("token {token}");
        let announced = Client::new()
            .post(url)
            .header(AUTHORIZATION, authorization)
            .json(&facts);
        let created: Value = announced.send().await.unwrap().json().await.unwrap();
        let put = Client::new().put(created["raw_upload_location"].as_str().unwrap());
        assert_eq!(put.body(body).send().await.unwrap().status(), 200);
        self.app.settled().await;
    }

    /// Adds the public repository `acme/{name}` with one report.
    pub(crate) async fn add_public(&self, name: &str) {
        let token = self.app.public_repo(&format!("github/acme/{name}")).await;
        let facts = json!({"commitid": HEAD, "branch": "main"});
        self.upload(&token, name, facts, "lcov.info", UNIT).await;
    }

    /// `GET /api/v2/{path}` by the owner's token.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        self.ask(path, &[(AUTHORIZATION.as_str(), &bearer)]).await
    }

    pub(crate) async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut asked = Client::new().get(format!("{}/api/v2/{path}", self.app.url));
        for (name, value) in headers {
            asked = asked.header(*name, *value);
        }
        let answer = asked.send().await.unwrap();
        let header = |name| {
            let value = answer.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let (tag, scheme) = (header(ETAG), header(WWW_AUTHENTICATE));
        let status = answer.status();
        let text = answer.text().await.unwrap();
        let body = match text.is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}")),
        };
        Answer {
            status,
            body,
            tag,
            scheme,
        }
    }

    /// A body that must be there, with what differs from run to run left out.
    pub(crate) async fn shown(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let mut body = answer.body;
        hide(&mut body, &self.app.url);
        body
    }

    /// Status and body of each path.
    pub(crate) async fn refusals(&self, paths: &[&str]) -> Value {
        let mut answers = Vec::new();
        for path in paths {
            let answer = self.get(path).await;
            answers.push(json!([path, answer.status.as_u16(), answer.body]));
        }
        Value::Array(answers)
    }

    /// What the files of a report say of their lines.
    async fn lines(&self, path: &str) -> Value {
        let body = self.shown(path).await;
        let files = body["files"].as_array().unwrap().iter();
        Value::Array(
            files
                .map(|file| json!([file["name"], file["line_coverage"]]))
                .collect(),
        )
    }

    /// Names of the nodes of a tree, a directory with what it holds.
    async fn tree(&self, query: &str) -> Value {
        fn names(nodes: &Value) -> Value {
            let name = |node: &Value| match node.get("children") {
                None => node["name"].clone(),
                Some(children) => json!([node["name"], names(children)]),
            };
            nodes.as_array().unwrap().iter().map(name).collect()
        }
        names(&self.shown(&format!("{WIDGETS}/report/tree{query}")).await)
    }
}

/// The body of an upload of one report.
pub(crate) fn envelope(name: &str, report: &str) -> String {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(report.as_bytes()).unwrap();
    let data = base64_simd::STANDARD.encode_to_string(encoder.finish().unwrap());
    json!({
        "report_fixes": {"format": "legacy", "value": {}},
        "network_files": [],
        "coverage_files": [
            {"filename": name, "format": "base64+compressed", "data": data, "labels": ""}
        ],
        "metadata": {},
    })
    .to_string()
}

/// Puts a word in the place of what differs from run to run.
pub(crate) fn hide(value: &mut Value, url: &str) {
    const CHANGING: [&str; 8] = [
        "timestamp",
        "updatestamp",
        "created_at",
        "updated_at",
        "started_at",
        "duration_ms",
        "size_bytes",
        "message",
    ];
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                match key.as_str() {
                    "storage_path" | "external_id" | "upload" | "pack" | "blake3"
                        if !field.is_null() =>
                    {
                        *field = json!("[id]");
                    }
                    key if CHANGING.contains(&key) && !field.is_null() => {
                        *field = json!("[changes]")
                    }
                    _ => hide(field, url),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, url)),
        Value::String(text) => *text = text.replace(url, "[url]"),
        _ => {}
    }
}

#[tokio::test]
async fn every_answer_has_its_documented_shape() {
    let api = Api::start().await;
    for (name, path) in [
        ("owners", "github/"),
        ("owner", "gh/ACME/"),
        ("repos", "github/acme/repos/"),
        ("repo", "gh/Acme/repos/Widgets/?fresh=true"),
        ("branches", "github/acme/repos/widgets/branches/"),
        ("branch", "github/acme/repos/widgets/branches/main/"),
        ("commits", "github/acme/repos/widgets/commits/"),
        ("commit", &format!("{WIDGETS}/commits/{HEAD}/")),
        ("uploads", &format!("{WIDGETS}/commits/{HEAD}/uploads/")),
        ("journal", &format!("{WIDGETS}/commits/{HEAD}/journal")),
        ("totals", "github/acme/repos/widgets/totals/"),
        ("report", "github/acme/repos/widgets/report/"),
        ("tree", "github/acme/repos/widgets/report/tree?depth=2"),
        (
            "file",
            "github/acme/repos/widgets/file_report/src/app/main.py/",
        ),
    ] {
        insta::assert_json_snapshot!(name, api.shown(path).await);
    }
}

#[tokio::test]
async fn paths_that_match_nothing_come_with_the_fixes_that_would_mend_them() {
    let api = Api::start().await;
    let token = api.app.upload_token("github/acme/twins").await;
    let report = "SF:lib/a.py\nDA:1,1\nend_of_record\nSF:lib/b.py\nDA:1,0\nend_of_record\n";
    let body = json!({
        "report_fixes": {"format": "legacy", "value": {}},
        "network_files": ["src/core/a.py", "src/core/b.py", "src/web/a.py"],
        "coverage_files": [{"filename": "lcov.info", "format": "text", "data": report, "labels": ""}],
        "metadata": {},
    });
    let facts = json!({"commitid": HEAD, "branch": "main"});
    api.upload_body(&token, "twins", facts, body.to_string())
        .await;
    let commit = format!("github/acme/repos/twins/commits/{HEAD}");
    let uploads = api.get(&format!("{commit}/uploads")).await.body;
    let upload = &uploads["results"][0];
    assert_eq!(upload["errors"][0]["error_code"], "report_empty");
    let upload = upload["external_id"].as_str().unwrap();
    let paths = api.get(&format!("{commit}/uploads/{upload}/paths")).await;
    assert_eq!(paths.status, 200);
    insta::assert_json_snapshot!("lost_paths", paths.body);
    let steps = api.get(&format!("{commit}/journal")).await.body;
    let parsed = steps["results"].as_array().unwrap().iter();
    let mut parsed = parsed.filter(|step| step["step"] == "parsed");
    assert_eq!(parsed.next().unwrap()["detail"]["paths"], paths.body);
    let elsewhere = format!("{WIDGETS}/commits/{HEAD}/uploads/{upload}/paths");
    assert_eq!(api.get(&elsewhere).await.status, 404);
}

#[tokio::test]
async fn a_commit_without_a_report_shows_none() {
    let api = Api::start().await;
    let commit = api.shown(&format!("{WIDGETS}/commits/{EMPTY}/")).await;
    assert_eq!(
        (&commit["report"], &commit["totals"]),
        (&Value::Null, &Value::Null)
    );
    let answer = api.get(&format!("{WIDGETS}/report/?sha={EMPTY}")).await;
    assert_eq!(answer.status, 404);
    let detail = format!("No coverage report found for commit {EMPTY}");
    assert_eq!(answer.body["detail"], detail);
    assert!(answer.body.get("state").is_some());
}

#[tokio::test]
async fn a_young_report_is_not_yet_the_repository_s() {
    let api = Api::start().await;
    assert_eq!(
        api.shown(&format!("{WIDGETS}/")).await["totals"],
        Value::Null
    );
    assert_eq!(
        api.shown(&format!("{WIDGETS}/?fresh=true")).await["totals"]["files"],
        3
    );
}

#[tokio::test]
async fn what_is_unknown_or_wrong_is_named() {
    let api = Api::start().await;
    let refusals = api
        .refusals(&[
            "nowhere/",
            "nowhere/acme/",
            "nowhere/acme/repos/",
            "nowhere/acme/repos/widgets/",
            "github/nobody/",
            "github/nobody/repos/widgets/",
            "github/acme/repos/nothing/",
            "github/acme/repos/widgets/commits/?page=9",
            "github/acme/repos/widgets/commits/?page=x",
            "github/acme/repos/widgets/commits/dddd/",
            "github/acme/repos/widgets/commits/dddd/uploads/",
            "github/acme/repos/widgets/commits/dddd/journal/",
            "github/acme/repos/widgets/branches/none/",
            "github/acme/repos/widgets/totals/?branch=none",
            "github/acme/repos/widgets/totals/?sha=dddd",
            "github/acme/repos/widgets/report/?path=none",
            "github/acme/repos/widgets/report/?component_id=none",
            "github/acme/repos/widgets/report/tree?path=sr",
            "github/acme/repos/widgets/report/tree?depth=x",
            "github/acme/repos/widgets/file_report/none.py",
            "github/acme/repos/widgets/file_report/none.py?walk_back=x",
            "github/acme/repos/widgets/file_report/none.py?walk_back=21",
        ])
        .await;
    insta::assert_json_snapshot!("refusals", refusals);
}

#[tokio::test]
async fn only_a_known_token_is_taken() {
    let api = Api::start().await;
    for (header, detail) in [
        ("Bearer hl_wrong", "Invalid token."),
        ("bearer", "Invalid token header. No credentials provided."),
        (
            "Bearer a b",
            "Invalid token header. Token string should not contain spaces.",
        ),
    ] {
        for path in ["github/acme/", "github/acme/repos/widgets/"] {
            let answer = api.ask(path, &[(AUTHORIZATION.as_str(), header)]).await;
            assert_eq!(answer.status, 401);
            assert_eq!(answer.body, json!({"detail": detail}));
            assert_eq!(answer.scheme.as_deref(), Some("Bearer"));
        }
    }
    let answer = api.ask("github/", &[]).await;
    assert_eq!(answer.status, 401);
    let detail = "Authentication credentials were not provided.";
    assert_eq!(answer.body["detail"], detail);
}

#[tokio::test]
async fn strangers_see_public_repositories_only() {
    let api = Api::start().await;
    api.add_public("open").await;
    let other = format!("Bearer {}", api.app.api_token("other").await);
    let stranger = [(AUTHORIZATION.as_str(), other.as_str())];
    for headers in [&[][..], &stranger[..]] {
        let list = api.ask("github/acme/repos/", headers).await;
        assert_eq!(
            (&list.body["count"], &list.body["results"][0]["name"]),
            (&json!(1), &json!("open"))
        );
        assert_eq!(
            api.ask("github/acme/repos/open/report/", headers)
                .await
                .status,
            200
        );
        for path in [
            "",
            "commits/",
            "report/",
            "branches/main/",
            "file_report/src/app/main.py",
        ] {
            let answer = api.ask(&format!("{WIDGETS}/{path}"), headers).await;
            assert_eq!(answer.status, 404);
            assert_eq!(answer.body, json!({"detail": "Not found."}));
        }
    }
    let owner = api.get("github/acme/repos/").await;
    let names = [
        &owner.body["results"][0]["name"],
        &owner.body["results"][1]["name"],
    ];
    assert_eq!(names, ["open", "widgets"]);
}

#[tokio::test]
async fn repositories_are_found_by_name_and_state() {
    let api = Api::start().await;
    api.app.upload_token("github/acme/gadgets").await;
    for (query, names) in [
        ("", vec!["gadgets", "widgets"]),
        ("?active=true", vec!["widgets"]),
        ("?active=False", vec!["gadgets"]),
        ("?active=1", vec!["gadgets", "widgets"]),
        ("?names=Widgets&names=none", vec!["widgets"]),
        ("?search=ADG", vec!["gadgets"]),
    ] {
        let page = api.shown(&format!("github/acme/repos/{query}")).await;
        let found: Vec<_> = page["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|repo| &repo["name"])
            .collect();
        assert_eq!(found, names, "{query}");
    }
}

#[tokio::test]
async fn lists_come_in_pages_that_link_to_each_other() {
    let api = Api::start().await;
    let first = api
        .shown("gh/acme/repos/widgets/commits?branch=main&page_size=1")
        .await;
    let next = "[url]/api/v2/github/acme/repos/widgets/commits/?branch=main&page_size=1&page=2";
    assert_eq!(first["next"], next);
    assert_eq!(
        (&first["previous"], &first["total_pages"]),
        (&Value::Null, &json!(2))
    );
    let last = api
        .shown(&format!(
            "{WIDGETS}/commits/?branch=main&page_size=1&page=last"
        ))
        .await;
    let previous = "[url]/api/v2/github/acme/repos/widgets/commits/?branch=main&page_size=1";
    assert_eq!(
        (&last["previous"], &last["next"]),
        (&json!(previous), &Value::Null)
    );
    assert_ne!(
        last["results"][0]["commitid"],
        first["results"][0]["commitid"]
    );
}

#[tokio::test]
async fn a_branch_s_name_may_hold_slashes() {
    let api = Api::start().await;
    for name in ["feat/x", "feat%2Fx"] {
        let branch = api.shown(&format!("{WIDGETS}/branches/{name}/")).await;
        assert_eq!(branch["name"], "feat/x");
        assert_eq!(branch["head_commit"]["commitid"], EMPTY);
    }
    let names = api
        .shown(&format!("{WIDGETS}/branches/?ordering=-name"))
        .await;
    assert_eq!(names["results"][0]["name"], "main");
}

#[tokio::test]
async fn a_flag_hides_what_other_uploads_say_but_lists_every_file() {
    let api = Api::start().await;
    let lines = api.lines(&format!("{WIDGETS}/report/?flag=e2e")).await;
    let expected = json!([
        ["lib/one/two/deep.py", []],
        ["src/app/main.py", [[2, 0], [4, 2]]],
        ["src/app/util.py", []],
    ]);
    assert_eq!(lines, expected);
    for (flag, counts) in [
        ("e2e", [1, 2, 1, 1]),
        ("unit", [3, 5, 3, 1]),
        ("none", [0, 0, 0, 0]),
    ] {
        let totals = api.shown(&format!("{WIDGETS}/totals/?flag={flag}")).await["totals"].clone();
        let found = ["files", "lines", "hits", "sessions"].map(|key| totals[key].clone());
        assert_eq!(found, counts.map(Value::from), "{flag}");
    }
}

#[tokio::test]
async fn a_path_is_a_prefix_and_no_pattern() {
    let api = Api::start().await;
    for (path, files, link) in [
        ("src/", 2, "tree/src/"),
        ("src/app/m", 1, "tree/src/app/m"),
        ("src/app/main.py", 1, "blob/src/app/main.py"),
    ] {
        let body = api.shown(&format!("{WIDGETS}/totals/?path={path}")).await;
        assert_eq!(
            (
                &body["totals"]["files"],
                body["files"].as_array().unwrap().len()
            ),
            (&json!(files), files)
        );
        assert_eq!(
            body["commit_file_url"],
            format!("[url]/github/acme/widgets/commit/{HEAD}/{link}")
        );
    }
    assert_eq!(
        api.get(&format!("{WIDGETS}/totals/?path=.*")).await.status,
        404
    );
}

#[tokio::test]
async fn a_tree_opens_as_deep_as_asked_and_joins_lonely_directories() {
    let api = Api::start().await;
    assert_eq!(api.tree("").await, json!(["lib/one/two", "src/app"]));
    let open = json!([
        ["lib/one/two", ["deep.py"]],
        ["src/app", ["main.py", "util.py"]]
    ]);
    assert_eq!(api.tree("?depth=2").await, open);
    assert_eq!(api.tree("?depth=99999").await, open);
    assert_eq!(
        api.tree("?path=src/app").await,
        json!(["main.py", "util.py"])
    );
    assert_eq!(api.tree("?path=src/app/main.py").await, json!(["main.py"]));
    let one = api
        .shown(&format!("{WIDGETS}/report/tree?path=lib/one/&flag=e2e"))
        .await;
    assert_eq!(
        (&one[0]["full_path"], &one[0]["lines"]),
        (&json!("lib/one/two"), &json!(0))
    );
}

#[tokio::test]
async fn a_file_is_looked_for_in_earlier_commits() {
    let api = Api::start().await;
    let file = "file_report/src/app/gone.py";
    let status = async |query: &str| api.get(&format!("{WIDGETS}/{file}?{query}")).await.status;
    assert_eq!(status("").await, 404);
    let found = api.shown(&format!("{WIDGETS}/{file}?walk_back=1")).await;
    assert_eq!(
        (&found["commit_sha"], &found["line_coverage"]),
        (&json!(PARENT), &json!([[7, 0], [8, 1]]))
    );
    assert_eq!(status(&format!("walk_back=1&oldest_sha={HEAD}")).await, 404);
    assert_eq!(status(&format!("sha={EMPTY}&walk_back=1")).await, 404);
    assert_eq!(status(&format!("sha={EMPTY}&walk_back=2")).await, 200);
}

#[tokio::test]
async fn an_unchanged_answer_is_not_sent_again() {
    let api = Api::start().await;
    let bearer = format!("Bearer {}", api.token);
    for path in [
        "report/",
        "totals/?flag=unit",
        "report/tree",
        "file_report/src/app/main.py",
        "branches/main/",
        &format!("commits/{HEAD}/"),
    ] {
        let path = format!("{WIDGETS}/{path}");
        let tag = api.get(&path).await.tag.unwrap();
        let headers = [
            (AUTHORIZATION.as_str(), bearer.as_str()),
            (IF_NONE_MATCH.as_str(), &tag),
        ];
        let again = api.ask(&path, &headers).await;
        assert_eq!(
            (again.status, again.tag),
            (StatusCode::NOT_MODIFIED, Some(tag.clone()))
        );
        let other = format!("{path}{}a=b", if path.contains('?') { '&' } else { '?' });
        assert_eq!(api.ask(&other, &headers).await.status, 200);
    }
}

#[tokio::test]
async fn a_report_of_many_files_comes_whole() {
    let api = Api::start().await;
    let token = api.app.upload_token("github/acme/large").await;
    let files = 1234;
    let report: String = (0..files)
        .map(|file| {
            format!(
                "SF:src/{file:04}.py\nDA:1,{}\nDA:{},1\nend_of_record\n",
                file % 2,
                file + 2
            )
        })
        .collect();
    let facts = json!({"commitid": HEAD, "branch": "main"});
    api.upload(&token, "large", facts, "lcov.info", &report)
        .await;
    let lines = api.lines("github/acme/repos/large/report/").await;
    let lines = lines.as_array().unwrap();
    assert_eq!(lines.len(), files);
    for (file, found) in lines.iter().enumerate() {
        let first = i32::from(file % 2 == 0);
        assert_eq!(
            *found,
            json!([format!("src/{file:04}.py"), [[1, first], [file + 2, 0]]])
        );
    }
}

#[tokio::test]
async fn the_description_names_every_path() {
    let api = Api::start().await;
    let schema = api.ask("schema/", &[]).await.body;
    assert_eq!(schema["info"]["title"], "Hitline API");
    assert_eq!(schema["servers"][0]["url"], "/api/v2");
    let paths: Vec<&String> = schema["paths"].as_object().unwrap().keys().collect();
    insta::assert_json_snapshot!("paths", paths);
}
