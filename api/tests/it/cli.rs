//! The real codecov-cli, as CI runs it, against a running server.
//!
//! `script/bootstrap` installs the client. It runs in a checkout of github.com/acme/widgets that holds two coverage
//! reports and a test report, without the machine's own CI variables.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::app::TestApp;
use crate::rest;

const REPO: &str = "github/acme/widgets";
const PARENT: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const COBERTURA: &str = r#"<?xml version="1.0"?>
<coverage version="7" line-rate="0.5" branch-rate="0"><packages><package name="src"><classes>
<class name="app.py" filename="src/app.py" line-rate="0.5"><lines>
<line number="1" hits="1"/><line number="2" hits="0"/>
</lines></class></classes></package></packages></coverage>
"#;
const LCOV: &str = "TN:\nSF:src/main.go\nDA:4,1\nDA:5,0\nLF:2\nLH:1\nend_of_record\n";
const JUNIT: &str = r#"<?xml version="1.0"?>
<testsuites><testsuite name="s" tests="1"><testcase classname="c" name="a" time="0.1"/></testsuite></testsuites>
"#;

/// A server, a repository that it knows, and a checkout of that repository.
struct Ci {
    app: TestApp,
    token: String,
    folder: tempfile::TempDir,
    sha: String,
}

/// What the client said and its exit code.
struct Said {
    stderr: String,
    code: Option<i32>,
}

impl Ci {
    async fn start() -> Self {
        let app = TestApp::start().await;
        let token = app.upload_token(REPO).await;
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("src/app.py", "a = 1\nb = 2\n"),
            (
                "src/main.go",
                "package main\n\nfunc main() {\n\ta := 1\n\tb := a\n}\n",
            ),
            ("coverage.xml", COBERTURA),
            ("lcov.info", LCOV),
            ("junit.xml", JUNIT),
        ] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        git(folder.path(), "init -q -b main").await;
        git(
            folder.path(),
            "remote add origin git@github.com:acme/widgets.git",
        )
        .await;
        git(folder.path(), "add -A").await;
        git(
            folder.path(),
            "-c user.name=ci -c user.email=ci@localhost commit -q -m first",
        )
        .await;
        let sha = git(folder.path(), "rev-parse HEAD").await;
        Self {
            app,
            token,
            folder,
            sha,
        }
    }

    /// Runs `codecovcli -u URL {words} -t TOKEN`; the words are cut at spaces.
    async fn run(&self, words: &str) -> Said {
        let words = format!("{words} -t {}", self.token);
        codecovcli(self.folder.path(), &self.app.url, &words, &[]).await
    }

    /// As `run`, for the commands that also need the git service; it must succeed and complain of nothing.
    async fn run_well(&self, words: &str) -> Said {
        let said = self.run(&format!("{words} --git-service github")).await;
        assert_eq!(said.code, Some(0), "{words}: {}", said.stderr);
        assert!(
            !said.stderr.contains("error - "),
            "{words}: {}",
            said.stderr
        );
        said
    }

    /// The uploads of the commit, when all is processed.
    async fn uploads(&self) -> Vec<Value> {
        self.app.settled().await;
        rest::uploads(&self.app, &self.sha).await
    }

    /// Hits, misses and files of the commit's report, when all is processed.
    async fn counts(&self) -> Value {
        self.app.settled().await;
        let path = format!("github/acme/repos/widgets/totals/?sha={}", self.sha);
        let totals = rest::get(&self.app, &path).await["totals"].clone();
        json!([totals["files"], totals["hits"], totals["misses"]])
    }
}

async fn git(folder: &Path, words: &str) -> String {
    let done = Command::new("git")
        .args(words.split(' '))
        .current_dir(folder)
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .await
        .expect("git is missing, script/bootstrap installs it");
    assert!(done.status.success(), "git {words}: {done:?}");
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

async fn codecovcli(folder: &Path, url: &str, words: &str, env: &[(&str, &str)]) -> Said {
    let program = installed();
    let done = Command::new(&program)
        .args(["-u", url])
        .args(words.split(' '))
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LANG", "C.UTF-8")
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap_or_else(|error| panic!("{}: {error}, run script/bootstrap", program.display()));
    Said {
        stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
        code: done.status.code(),
    }
}

fn installed() -> PathBuf {
    engine::testing::installed("venv/bin/codecovcli")
}

#[tokio::test]
async fn a_commit_made_twice_is_kept_once() {
    let ci = Ci::start().await;
    for _ in 0..2 {
        let said = ci.run_well("create-commit -Z -B main -P 5").await;
        assert!(said.stderr.contains("Commit creating complete"));
    }
    let commits = rest::get(&ci.app, "github/acme/repos/widgets/commits/").await;
    assert_eq!(commits["count"], 1);
    assert_eq!(commits["results"][0]["commitid"], ci.sha.as_str());
    assert_eq!(commits["results"][0]["branch"], "main");
}

#[tokio::test]
async fn a_report_is_refused_until_its_commit_exists() {
    let ci = Ci::start().await;
    let said = ci.run("create-report -Z --git-service github").await;
    assert_eq!(said.code, Some(1));
    assert!(
        said.stderr.contains(r#"["Commit SHA not found"]"#),
        "{}",
        said.stderr
    );
    ci.run_well("create-commit -Z").await;
    ci.run_well("create-report -Z").await;
}

#[tokio::test]
async fn an_upload_keeps_what_the_client_says_of_it() {
    let ci = Ci::start().await;
    ci.run_well("create-commit -Z").await;
    ci.run_well("create-report -Z").await;
    let said = ci
        .run_well("do-upload -Z --plugin noop -F unit -F py3 -e LANG -e NOT_SET -n nm -b 77 --job-code j1")
        .await;
    assert!(said.stderr.contains(&format!("commit/{}", ci.sha)));
    let uploads = ci.uploads().await;
    assert_eq!(uploads.len(), 1);
    let upload = &uploads[0];
    assert_eq!(upload["state"], "merged");
    assert_eq!(upload["flags"], json!(["py3", "unit"]));
    assert_eq!(upload["env"], json!({"LANG": "C.UTF-8", "NOT_SET": null}));
    assert_eq!(upload["name"], "nm");
    assert_eq!(upload["build_code"], "77");
    assert_eq!(upload["job_code"], "j1");
    assert_eq!(ci.counts().await, json!([2, 2, 2]));
}

#[tokio::test]
async fn upload_process_makes_commit_report_and_upload() {
    let ci = Ci::start().await;
    ci.run_well("upload-process -Z --plugin noop").await;
    assert_eq!(ci.counts().await, json!([2, 2, 2]));
}

#[tokio::test]
async fn upload_coverage_does_all_in_one_call() {
    let ci = Ci::start().await;
    ci.run_well(&format!(
        "upload-coverage -Z --plugin noop --parent-sha {PARENT} -P 5"
    ))
    .await;
    assert_eq!(ci.uploads().await[0]["state"], "merged");
    assert_eq!(ci.counts().await, json!([2, 2, 2]));
    let path = format!("github/acme/repos/widgets/commits/{}/", ci.sha);
    let commit = rest::get(&ci.app, &path).await;
    assert_eq!(commit["parent"], PARENT);
    assert_eq!(commit["state"], "complete");
}

#[tokio::test]
async fn a_server_url_that_ends_in_a_slash_works() {
    let ci = Ci::start().await;
    let words = format!(
        "upload-coverage -Z --plugin noop --git-service github -t {}",
        ci.token
    );
    let url = format!("{}/", ci.app.url);
    let said = codecovcli(ci.folder.path(), &url, &words, &[]).await;
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(ci.counts().await, json!([2, 2, 2]));
}

#[tokio::test]
async fn a_project_in_nested_groups_is_found() {
    let ci = Ci::start().await;
    let token = ci.app.upload_token("gitlab/grp/sub1/sub2/proj").await;
    let words =
        format!("create-commit -Z -t {token} --git-service gitlab -r grp/sub1/sub2/proj -B main");
    let said = codecovcli(ci.folder.path(), &ci.app.url, &words, &[]).await;
    assert_eq!(said.code, Some(0), "{}", said.stderr);
}

#[tokio::test]
async fn a_forced_empty_upload_passes() {
    let ci = Ci::start().await;
    let said = ci.run_well("empty-upload -Z --force").await;
    assert!(
        said.stderr
            .contains("Force option was enabled. Triggering passing notifications."),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn an_empty_upload_without_changed_files_says_why_it_fails() {
    let ci = Ci::start().await;
    let said = ci.run("empty-upload --git-service github").await;
    assert!(
        said.stderr.contains(r#"Empty Upload failed: {"detail""#),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn send_notifications_counts_the_uploads() {
    let ci = Ci::start().await;
    ci.run_well("create-commit -Z").await;
    let said = ci.run("send-notifications --git-service github").await;
    assert!(
        said.stderr.contains("Upload Completion failed"),
        "{}",
        said.stderr
    );
    ci.run_well("upload-coverage -Z --plugin noop").await;
    ci.app.settled().await;
    let said = ci.run_well("send-notifications -Z").await;
    assert!(
        said.stderr.contains("'uploads_total': 1") && said.stderr.contains("'uploads_success': 1"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn a_run_without_reports_may_still_complete() {
    let ci = Ci::start().await;
    ci.run_well("create-commit -Z").await;
    let said = ci
        .run("do-upload --git-service github --plugin noop --disable-search --handle-no-reports-found")
        .await;
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("uploads_total"), "{}", said.stderr);
}

#[tokio::test]
async fn test_results_are_accepted_with_and_without_files() {
    let ci = Ci::start().await;
    ci.run_well("do-upload -Z --report-type test_results").await;
    assert_eq!(ci.uploads().await.len(), 1);
    let said = ci
        .run("do-upload -Z --git-service github --report-type test_results --disable-search")
        .await;
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(ci.uploads().await.len(), 1);
}

#[tokio::test]
async fn the_legacy_flow_keeps_every_flag() {
    let ci = Ci::start().await;
    ci.run_well("do-upload -Z --legacy --plugin noop -F a -F b")
        .await;
    let uploads = ci.uploads().await;
    assert_eq!(uploads[0]["flags"], json!(["a", "b"]));
    assert_eq!(uploads[0]["state"], "merged");
    assert_eq!(ci.counts().await, json!([2, 2, 2]));
}

#[tokio::test]
async fn a_base_is_picked_with_and_without_a_service() {
    let ci = Ci::start().await;
    let words = format!("pr-base-picking --base-sha {PARENT} --slug acme/widgets");
    let said = ci.run(&format!("{words} --pr 5 --service github")).await;
    assert!(
        said.stderr.contains("Base picking complete"),
        "{}",
        said.stderr
    );
    assert!(!said.stderr.contains("failed"), "{}", said.stderr);
    let on_actions = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_REF", "refs/pull/12/merge"),
        ("GITHUB_HEAD_REF", "feat"),
        ("GITHUB_REPOSITORY", "acme/widgets"),
        ("GITHUB_SHA", ci.sha.as_str()),
    ];
    let words = format!("{words} -t {}", ci.token);
    let said = codecovcli(ci.folder.path(), &ci.app.url, &words, &on_actions).await;
    assert!(
        said.stderr.contains("Base picking complete"),
        "{}",
        said.stderr
    );
    assert!(!said.stderr.contains("failed"), "{}", said.stderr);
}

#[tokio::test]
async fn report_results_are_still_answered() {
    let ci = Ci::start().await;
    ci.run_well("create-commit -Z").await;
    ci.run_well("create-report -Z").await;
    ci.run_well("create-report-results -Z").await;
    let said = ci.run_well("get-report-results").await;
    assert!(
        said.stderr.contains("Finished processing report results"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn a_wrong_token_fails_with_one_line_of_detail() {
    let ci = Ci::start().await;
    let words =
        "create-commit -Z -t 00000000-0000-0000-0000-000000000000 --git-service github -B main";
    let said = codecovcli(ci.folder.path(), &ci.app.url, words, &[]).await;
    assert_eq!(said.code, Some(1));
    let line = said
        .stderr
        .lines()
        .find(|line| line.contains("Commit creating failed"))
        .unwrap_or_else(|| panic!("no failure in {}", said.stderr));
    assert!(line.contains(r#"{"detail":"#), "{line}");
}
