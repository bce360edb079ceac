//! Each provider's client against a server that answers as the provider documents, and notes what it was asked.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use engine::db::pulls::PullState;
use engine::diff::Diff;
use engine::secret::Secret;
use forge::{Error, Kind, Provider, RepoName, Settings, connect, find_codecov_yml};

const KEY: &str = "s3cret";

/// What the stand-in says on one path with its query.
#[derive(Clone)]
struct Said {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// A provider that answers what it was told to, each path's answers in turn and the last one for good.
#[derive(Clone, Default)]
struct StandIn {
    answers: Arc<Mutex<HashMap<String, Vec<Said>>>>,
    asked: Arc<Mutex<Vec<(String, HeaderMap)>>>,
    url: String,
}

impl StandIn {
    async fn start() -> StandIn {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api", listener.local_addr().unwrap());
        let stand_in = StandIn {
            url,
            ..StandIn::default()
        };
        let app = Router::new().fallback(answer).with_state(stand_in.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        stand_in
    }

    fn say(&self, path: &str, body: impl Into<String>) {
        self.say_with(path, 200, &[], body);
    }

    fn say_with(
        &self,
        path: &str,
        status: u16,
        headers: &[(&'static str, &str)],
        body: impl Into<String>,
    ) {
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let said = Said {
            status,
            headers: headers.collect(),
            body: body.into(),
        };
        let mut answers = self.answers.lock().unwrap();
        answers.entry(format!("/api{path}")).or_default().push(said);
    }

    fn client(&self, kind: Kind) -> Arc<dyn Provider> {
        let settings = Settings {
            kind,
            api_url: format!("{}/", self.url),
            key: Some(Secret::new(KEY)),
        };
        connect(&settings).unwrap()
    }

    /// Paths in the order in which they were asked for.
    fn paths(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .map(|(path, _)| path.replacen("/api", "", 1))
            .collect()
    }

    fn header(&self, at: usize, name: &str) -> String {
        let asked = self.asked.lock().unwrap();
        asked[at].1[name].to_str().unwrap().to_owned()
    }
}

async fn answer(State(stand_in): State<StandIn>, request: Request) -> Response {
    let path = request.uri().path_and_query().unwrap().to_string();
    let headers = request.headers().clone();
    stand_in.asked.lock().unwrap().push((path.clone(), headers));
    let mut answers = stand_in.answers.lock().unwrap();
    let Some(said) = answers.get_mut(&path) else {
        return (StatusCode::NOT_FOUND, r#"{"message":"Not Found"}"#).into_response();
    };
    let said = match said.len() {
        1 => said[0].clone(),
        _ => said.remove(0),
    };
    let mut answer = said.body.into_response();
    *answer.status_mut() = StatusCode::from_u16(said.status).unwrap();
    for (name, value) in said.headers {
        answer.headers_mut().insert(name, value.parse().unwrap());
    }
    answer
}

fn widgets() -> RepoName {
    RepoName {
        owner: "acme".into(),
        name: "widgets".into(),
    }
}

/// Path, former path, kind of change, added and removed lines of a file.
type FileShape = (String, Option<String>, &'static str, (usize, usize));

fn files(text: &str) -> Vec<FileShape> {
    let diff = Diff::parse(text).unwrap();
    let files = diff.files().iter();
    files
        .map(|file| {
            let (path, from) = (file.path.clone(), file.renamed_from.clone());
            (path, from, file.change.as_str(), file.stats())
        })
        .collect()
}

#[tokio::test]
async fn github_compares_two_commits() {
    let github = StandIn::start().await;
    let commit = |sha: &str, parent: &str| {
        format!(
            r#"{{"sha":"{sha}","parents":[{{"sha":"{parent}"}}],"author":{{"id":5,"login":"ada"}},
            "commit":{{"message":"why {sha}","author":{{"name":"Ada","email":"a@x","date":"2026-01-01T00:00:00Z"}},
            "committer":{{"name":"Ada","email":"a@x","date":"2026-01-02T00:00:00Z"}}}}}}"#
        )
    };
    let (base, one, two) = (commit("b", "a"), commit("c", "b"), commit("d", "c"));
    github.say(
        "/repos/acme/widgets/compare/b...d",
        format!(
            r#"{{"base_commit":{base},"commits":[{one},{two}],"files":[
            {{"filename":"new.rs","previous_filename":"old.rs","status":"renamed","changes":2,"patch":"@@ -1 +1 @@\n-x\n+y"}},
            {{"filename":"born.rs","status":"added","changes":1,"patch":"@@ -0,0 +1 @@\n+x"}},
            {{"filename":"i.png","status":"modified","changes":0}}]}}"#
        ),
    );
    let client = github.client(Kind::GitHub);
    let compared = client.compare(&widgets(), "b", "d").await.unwrap();
    let expected = [
        ("born.rs".into(), None, "new", (1, 0)),
        ("i.png".into(), None, "binary", (0, 0)),
        ("new.rs".into(), Some("old.rs".into()), "modified", (1, 1)),
    ];
    assert_eq!(files(&compared.diff), expected);
    let shas: Vec<&str> = compared.commits.iter().map(|commit| &*commit.sha).collect();
    assert_eq!(shas, ["d", "c", "b"]);
    let newest = &compared.commits[0];
    assert_eq!(newest.timestamp_us, Some(1_767_312_000_000_000));
    assert_eq!(newest.author.username.as_deref(), Some("ada"));
    assert_eq!(
        (newest.author.id.as_deref(), newest.author.email.as_deref()),
        (Some("5"), Some("a@x"))
    );
    assert_eq!(github.header(0, "authorization"), format!("token {KEY}"));
    assert_eq!(github.header(0, "accept"), "application/vnd.github.v3+json");
    assert!(github.header(0, "user-agent").starts_with("hitline/"));
}

#[tokio::test]
async fn github_is_asked_for_the_diff_itself_where_its_list_is_cut() {
    let github = StandIn::start().await;
    let path = "/repos/acme/widgets/compare/b...d";
    github.say(
        path,
        r#"{"files":[{"filename":"big.rs","status":"modified","changes":9}]}"#,
    );
    github.say(
        path,
        "diff --git a/big.rs b/big.rs\n--- a/big.rs\n+++ b/big.rs\n@@ -1 +1 @@\n-x\n+y\n",
    );
    let client = github.client(Kind::GitHub);
    let compared = client.compare(&widgets(), "b", "d").await.unwrap();
    assert_eq!(
        files(&compared.diff),
        [("big.rs".into(), None, "modified", (1, 1))]
    );
    assert_eq!(github.header(1, "accept"), "application/vnd.github.v3.diff");
}

#[tokio::test]
async fn github_tells_where_a_pull_request_starts() {
    let github = StandIn::start().await;
    github.say(
        "/repos/acme/widgets/pulls/7",
        r#"{"title":"Faster","state":"closed","merged":true,"user":{"id":5,"login":"ada"},
        "base":{"sha":"moved-on","ref":"main"},"head":{"sha":"d","ref":"topic"}}"#,
    );
    github.say(
        "/repos/acme/widgets/pulls/7/commits?per_page=100&page=1",
        r#"[{"sha":"c","parents":[{"sha":"b"}]},{"sha":"d","parents":[{"sha":"c"}]}]"#,
    );
    let pull = github
        .client(Kind::GitHub)
        .pull(&widgets(), 7)
        .await
        .unwrap();
    assert_eq!(pull.state, PullState::Merged);
    assert_eq!(
        (pull.base_sha.as_deref(), pull.head_sha.as_deref()),
        (Some("b"), Some("d"))
    );
    assert_eq!(
        (pull.base_branch.as_deref(), pull.title.as_deref()),
        (Some("main"), Some("Faster"))
    );
    assert_eq!(pull.author.username.as_deref(), Some("ada"));
}

#[tokio::test]
async fn github_finds_the_settings_file_at_the_top_or_in_a_folder() {
    let github = StandIn::start().await;
    let top = "/repos/acme/widgets/contents?ref=d";
    github.say(
        top,
        r#"[{"path":"README.md","type":"file"},{"path":".github","type":"dir"},{"path":"codecov.yml","type":"dir"}]"#,
    );
    github.say(
        "/repos/acme/widgets/contents/.github?ref=d",
        r#"[{"path":".github/.codecov.yaml","type":"file"}]"#,
    );
    github.say(
        "/repos/acme/widgets/contents/.github/.codecov.yaml?ref=d",
        r#"{"encoding":"base64","content":"Y29kZWNv\ndjoge30=\n"}"#,
    );
    let client = github.client(Kind::GitHub);
    let found = find_codecov_yml(&*client, &widgets(), "d").await.unwrap();
    assert_eq!(found.as_deref(), Some("codecov: {}"));
    github.say("/repos/acme/widgets/contents?ref=e", "[]");
    let found = find_codecov_yml(&*client, &widgets(), "e").await.unwrap();
    assert_eq!(found, None);
    github.say(
        "/repos/acme/widgets/contents/a%20b.rs?ref=d",
        r#"{"encoding":"none","content":""}"#,
    );
    github.say("/repos/acme/widgets/contents/a%20b.rs?ref=d", "large");
    let file = client.file(&widgets(), "a b.rs", "d").await.unwrap();
    assert_eq!(file, "large");
}

#[tokio::test]
async fn gitlab_names_projects_by_their_whole_path() {
    let gitlab = StandIn::start().await;
    let repo = RepoName {
        owner: "group:sub".into(),
        name: "widgets".into(),
    };
    let project = "/projects/group%2Fsub%2Fwidgets";
    gitlab.say(
        &format!("{project}/repository/compare/?from=b&to=d"),
        r#"{"commits":[{"id":"c","parent_ids":["b"]},{"id":"d","parent_ids":["c"],"message":"m",
        "author_name":"Ada","author_email":"a@x","committed_date":"2026-01-02T00:00:00.000+00:00"}],
        "diffs":[{"old_path":"a.rs","new_path":"a.rs","diff":"@@ -1 +1 @@\n-x\n+y\n"},
        {"old_path":"d.rs","new_path":"d.rs","deleted_file":true,"diff":"@@ -1 +0,0 @@\n-x\n"}]}"#,
    );
    let client = gitlab.client(Kind::GitLab);
    let compared = client.compare(&repo, "b", "d").await.unwrap();
    let expected = [
        ("a.rs".into(), None, "modified", (1, 1)),
        ("d.rs".into(), None, "deleted", (0, 0)),
    ];
    assert_eq!(files(&compared.diff), expected);
    assert_eq!(compared.commits[0].sha, "d");
    assert_eq!(gitlab.header(0, "authorization"), format!("Bearer {KEY}"));

    gitlab.say(
        &format!("{project}/repository/commits/d"),
        r#"{"id":"d","author_email":"a@x","parent_ids":["c"]}"#,
    );
    gitlab.say(
        "/users?search=a%40x",
        r#"[{"id":9,"username":"ada","name":"Ada"}]"#,
    );
    let commit = client.commit(&repo, "d").await.unwrap();
    assert_eq!(commit.parents, ["c"]);
    assert_eq!(commit.author.username.as_deref(), Some("ada"));

    gitlab.say(
        &format!("{project}/merge_requests/7"),
        r#"{"title":"T","state":"opened","sha":"d","target_branch":"main","diff_refs":null,
        "author":{"id":9,"username":"ada"}}"#,
    );
    gitlab.say(
        &format!("{project}/merge_requests/7/commits"),
        r#"[{"id":"d","parent_ids":["c"]},{"id":"c","parent_ids":["b"]}]"#,
    );
    let pull = client.pull(&repo, 7).await.unwrap();
    assert_eq!(
        (pull.state, pull.base_sha.as_deref()),
        (PullState::Open, Some("b"))
    );

    let tree = format!("{project}/repository/tree?ref=d&path=&per_page=100&page=");
    gitlab.say_with(
        &format!("{tree}1"),
        200,
        &[("x-next-page", "2")],
        r#"[{"path":"src","type":"tree"}]"#,
    );
    gitlab.say_with(
        &format!("{tree}2"),
        200,
        &[("x-next-page", "")],
        r#"[{"path":"codecov.yml","type":"blob"}]"#,
    );
    gitlab.say(
        &format!("{project}/repository/files/codecov.yml?ref=d"),
        r#"{"encoding":"base64","content":"eDogMQ=="}"#,
    );
    let found = find_codecov_yml(&*client, &repo, "d").await.unwrap();
    assert_eq!(found.as_deref(), Some("x: 1"));
}

#[tokio::test]
async fn bitbucket_names_the_range_the_other_way_round_and_lists_in_pages() {
    let bitbucket = StandIn::start().await;
    let repo = "/repositories/acme/widgets";
    bitbucket.say(
        &format!("{repo}/diff/d..b?context=1"),
        "diff --git a/a.rs b/a.rs\n--- a/a.rs\n+++ b/a.rs\n@@ -1 +1 @@\n-x\n+y\n",
    );
    let next = format!("{}{repo}/commits?page=2", bitbucket.url);
    bitbucket.say(
        &format!("{repo}/commits?include=d&exclude=b&pagelen=100"),
        format!(
            r#"{{"values":[{{"hash":"d","message":"m","date":"2026-01-02T00:00:00+00:00","parents":[{{"hash":"c"}}],
            "author":{{"raw":"Ada <a@x>","user":{{"uuid":"{{u-1}}","nickname":"ada"}}}}}}],"next":"{next}"}}"#
        ),
    );
    bitbucket.say(
        &format!("{repo}/commits?page=2"),
        r#"{"values":[{"hash":"c"}]}"#,
    );
    let client = bitbucket.client(Kind::Bitbucket);
    let compared = client.compare(&widgets(), "b", "d").await.unwrap();
    assert_eq!(
        files(&compared.diff),
        [("a.rs".into(), None, "modified", (1, 1))]
    );
    let newest = &compared.commits[0];
    assert_eq!(compared.commits.len(), 2);
    assert_eq!(
        (newest.author.id.as_deref(), newest.author.email.as_deref()),
        (Some("u-1"), Some("a@x"))
    );

    bitbucket.say(
        &format!("{repo}/pullrequests/7"),
        r#"{"title":"T","state":"DECLINED","author":{"nickname":"ada"},
        "source":{"branch":{"name":"topic"},"commit":{"hash":"dd"}},
        "destination":{"branch":{"name":"main"},"commit":{"hash":"bb"}}}"#,
    );
    bitbucket.say(&format!("{repo}/commit/dd"), r#"{"hash":"dddd"}"#);
    bitbucket.say(&format!("{repo}/commit/bb"), r#"{"hash":"bbbb"}"#);
    let pull = client.pull(&widgets(), 7).await.unwrap();
    assert_eq!(pull.state, PullState::Closed);
    assert_eq!(
        (pull.base_sha.as_deref(), pull.head_sha.as_deref()),
        (Some("bbbb"), Some("dddd"))
    );
    assert_eq!(pull.base_branch.as_deref(), Some("main"));

    bitbucket.say(
        &format!("{repo}/src/d/?pagelen=100"),
        r#"{"values":[{"path":"src","type":"commit_directory"},{"path":"codecov.yml","type":"commit_file"}]}"#,
    );
    bitbucket.say(&format!("{repo}/src/d/codecov.yml"), "x: 1");
    let found = find_codecov_yml(&*client, &widgets(), "d").await.unwrap();
    assert_eq!(found.as_deref(), Some("x: 1"));
}

#[tokio::test]
async fn a_list_that_goes_on_elsewhere_is_not_followed() {
    let bitbucket = StandIn::start().await;
    bitbucket.say(
        "/repositories/acme/widgets/src/d/?pagelen=100",
        r#"{"values":[],"next":"http://127.0.0.1:1/api/steal"}"#,
    );
    let client = bitbucket.client(Kind::Bitbucket);
    let refused = client.list(&widgets(), "", "d").await.unwrap_err();
    assert!(matches!(refused, Error::Odd(_)), "{refused}");
}

#[tokio::test]
async fn passing_faults_are_tried_again_and_others_are_not() {
    let github = StandIn::start().await;
    let client = github.client(Kind::GitHub);
    let ask = async |sha: &str| client.commit(&widgets(), sha).await;
    let path = |sha: &str| format!("/repos/acme/widgets/commits/{sha}");

    github.say_with(&path("slow"), 502, &[], "bad gateway");
    github.say(&path("slow"), r#"{"sha":"slow"}"#);
    assert_eq!(ask("slow").await.unwrap().sha, "slow");
    assert_eq!(github.paths().len(), 2);

    github.say_with(&path("down"), 503, &[], r#"{"message":"resting"}"#);
    let failed = Error::Failed {
        status: 503,
        message: "resting".into(),
    };
    assert_eq!(ask("down").await, Err(failed));
    assert_eq!(github.paths().len(), 5);

    let message = || "Bad credentials".to_owned();
    github.say_with(&path("token"), 401, &[], r#"{"message":"Bad credentials"}"#);
    assert_eq!(ask("token").await, Err(Error::Unauthorized(message())));
    github.say_with(&path("odd"), 422, &[], r#"{"message":"No commit found"}"#);
    assert_eq!(
        ask("odd").await,
        Err(Error::NotFound("No commit found".into()))
    );
    github.say_with(&path("limit"), 403, &[("retry-after", "3600")], "{}");
    let limited = Error::RateLimited {
        retry_after_s: 3600,
    };
    assert_eq!(ask("limit").await, Err(limited));
    github.say(&path("text"), "hello");
    assert!(matches!(ask("text").await, Err(Error::Odd(_))));
    assert_eq!(github.paths().len(), 9);
    for error in [
        ask("token").await.unwrap_err(),
        ask("down").await.unwrap_err(),
    ] {
        assert!(!format!("{error} {error:?}").contains(KEY));
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_out_of_reach() {
    let settings = Settings {
        kind: Kind::GitLab,
        api_url: "http://127.0.0.1:1/api/v4".into(),
        key: None,
    };
    let client = connect(&settings).unwrap();
    let error = client.commit(&widgets(), "a").await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
    assert!(
        connect(&Settings {
            api_url: "nowhere".into(),
            ..settings
        })
        .is_err()
    );
}
