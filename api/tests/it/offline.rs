//! `hitline report`, `compare` and `check` in a checkout: the numbers of a server, without one.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::app::TestApp;
use crate::rest;
use crate::uploader::git;

const BASE_LCOV: &str = "SF:src/a.py
DA:1,1
DA:2,1
DA:3,0
end_of_record
SF:lib/b.go
DA:1,1
DA:4,1
end_of_record
";
const HEAD_LCOV: &str = "SF:src/a.py
DA:1,1
DA:2,0
DA:3,1
DA:4,0
end_of_record
SF:lib/b.go
DA:1,1
DA:4,1
DA:6,1
end_of_record
";
const COBERTURA: &str = r#"<?xml version="1.0"?>
<coverage version="7.0" line-rate="0.5"><packages><package name="src"><classes>
<class name="c.py" filename="src/c.py"><lines>
<line number="1" hits="4"/>
<line number="2" hits="1" branch="true" condition-coverage="50% (1/2)"/>
</lines></class></classes></package></packages></coverage>
"#;
const YAML: &str = "ignore: [src/generated]
coverage:
  status:
    project:
      default: {target: 60%}
      lib: {target: 100%, paths: [lib/]}
    patch:
      default: {target: 50%, informational: true}
";

/// A checkout of two commits, with the coverage of each where it is checked out.
struct Checkout {
    folder: tempfile::TempDir,
    base: String,
    head: String,
}

impl Checkout {
    fn new() -> Checkout {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let commit = |message: &str| {
            git(folder.path(), &["add", "."]);
            git(folder.path(), &["commit", "-qm", message]);
            git(folder.path(), &["rev-parse", "HEAD"])
        };
        git(folder.path(), &["init", "-q", "-b", "main"]);
        let remote = ["remote", "add", "origin", "git@github.com:acme/widgets.git"];
        git(folder.path(), &remote);
        write(".gitignore", "*.info\n*.xml\n*.pack\n");
        write("codecov.yml", YAML);
        write("src/a.py", "a = 1\nb = 2\nc = 3\n");
        write("src/c.py", "a = 1\nb = 2\n");
        // The fixes leave out line 6, a brace alone.
        write(
            "lib/b.go",
            "package b\n\nfunc b() {\n\tb := 1\n\t_ = b\n}\n",
        );
        write("lcov.info", BASE_LCOV);
        let base = commit("first");
        let saved = hitline(folder.path(), &["report", "--save", "base.pack"]);
        assert!(saved.status.success(), "{saved:?}");
        write("src/a.py", "a = 1\nb = 2\nc = 3\nd = 4\n");
        write("lcov.info", HEAD_LCOV);
        write("coverage.xml", COBERTURA);
        let head = commit("second");
        Checkout { folder, base, head }
    }

    fn run(&self, args: &[&str]) -> Output {
        hitline(self.folder.path(), args)
    }

    /// What a command prints, which must succeed.
    fn text(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.text(args)).unwrap()
    }

    fn range(&self) -> String {
        format!("{}..{}", self.base, self.head)
    }
}

fn hitline(folder: &Path, args: &[&str]) -> Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_hitline"))
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .args(args)
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn report_has_the_totals_that_a_server_counts() {
    let checkout = Checkout::new();
    let offline = checkout.json(&["report", "--json"]);
    assert_eq!(offline["totals"]["lines"], 8);

    let app = TestApp::start().await;
    let token = app.upload_token("github/acme/widgets").await;
    let upload = ["upload", "--url", &app.url, "--token", &token];
    let output = tokio::task::block_in_place(|| checkout.run(&upload));
    assert!(output.status.success(), "{output:?}");
    app.settled().await;
    let path = format!("github/acme/repos/widgets/totals/?sha={}", checkout.head);
    let mut online = rest::get(&app, &path).await;
    online.as_object_mut().unwrap().remove("commit_file_url");
    assert_eq!(offline, online);
}

#[test]
fn export_read_back_gives_the_same_totals() {
    let checkout = Checkout::new();
    let expected = checkout.json(&["report", "--json"]);
    for (format, name) in [
        ("lcov", "again/lcov.info"),
        ("cobertura", "again/coverage.xml"),
    ] {
        std::fs::create_dir_all(checkout.folder.path().join("again")).unwrap();
        checkout.text(&["report", "--format", format, "--output", name]);
        let again = checkout.json(&["report", "--json", "--disable-search", "--file", name]);
        assert_eq!(again, expected, "{format}");
        std::fs::remove_file(checkout.folder.path().join(name)).unwrap();
    }
}

#[test]
fn report_prints_a_table_for_people() {
    insta::assert_snapshot!(Checkout::new().text(&["report"]));
}

#[test]
fn comparison_tells_what_the_diff_adds_and_what_changed_besides() {
    let checkout = Checkout::new();
    let range = checkout.range();
    let compare = ["compare", "--base", "base.pack", "--git", &range];
    insta::assert_snapshot!("compared", checkout.text(&compare));
    let compared = checkout.json(&[&compare[..], &["--json"]].concat());
    insta::assert_json_snapshot!("compared_json", compared);

    let diff = git(
        checkout.folder.path(),
        &["diff", &checkout.base, &checkout.head],
    );
    std::fs::write(checkout.folder.path().join("change.diff"), diff + "\n").unwrap();
    let by_file = [
        "compare",
        "--base",
        "base.pack",
        "--diff",
        "change.diff",
        "--json",
    ];
    assert_eq!(checkout.json(&by_file), compared);
}

#[test]
fn base_may_be_report_files_as_well() {
    let checkout = Checkout::new();
    std::fs::write(checkout.folder.path().join("old.info"), BASE_LCOV).unwrap();
    let compared = checkout.json(&[
        "compare",
        "--exclude",
        "none",
        "--json",
        "-f",
        "lcov.info",
        "--disable-search",
        "--base",
        "old.info",
    ]);
    assert_eq!(compared["totals"]["base"]["lines"], 5);
    assert_eq!(compared["totals"]["patch"], Value::Null);
}

#[test]
fn check_ends_as_the_statuses_do() {
    let checkout = Checkout::new();
    let range = checkout.range();
    let check = ["check", "--base", "base.pack", "--git", &range];
    let output = checkout.run(&check);
    let said = String::from_utf8(output.stdout)
        .unwrap()
        .replace(&checkout.base[..7], "[base]");
    insta::assert_snapshot!("checked", said);
    assert_eq!(output.status.code(), Some(0), "{said}");

    let strict = YAML.replace("60%", "90%");
    std::fs::write(checkout.folder.path().join("strict.yml"), strict).unwrap();
    let strict = checkout.run(&[&check[..], &["--yaml", "strict.yml", "--json"]].concat());
    assert_eq!(strict.status.code(), Some(1));
    let statuses: Value = serde_json::from_slice(&strict.stdout).unwrap();
    let states: Vec<_> = statuses
        .as_array()
        .unwrap()
        .iter()
        .map(|status| &status["state"])
        .collect();
    assert_eq!(json!(states), json!(["failure", "success", "failure"]));
    let stderr = String::from_utf8(strict.stderr).unwrap();
    assert!(stderr.contains("1 of 3 statuses failed"), "{stderr}");
}

#[test]
fn check_leaves_out_statuses_of_other_branches_and_of_pull_requests() {
    let checkout = Checkout::new();
    let yaml = "coverage:
  status:
    project:
      default: {target: 0%, branches: [main]}
      release: {target: 100%, branches: ['release/*', '!release/old']}
      pulls: {target: 100%, only_pulls: true}
    patch: false
";
    std::fs::write(checkout.folder.path().join("places.yml"), yaml).unwrap();
    let judged = |place: &[&str]| {
        let check = [
            "check",
            "--base",
            "base.pack",
            "--json",
            "--yaml",
            "places.yml",
        ];
        let said = checkout.run(&[&check[..], place].concat()).stdout;
        let statuses: Value = serde_json::from_slice(&said).unwrap();
        let contexts = statuses.as_array().unwrap().iter();
        let contexts = contexts.map(|status| status["context"].as_str().unwrap().to_owned());
        contexts.collect::<Vec<_>>().join(" ")
    };
    for (place, expected) in [
        (&[][..], "codecov/project"),
        (&["--branch", "release/2"], "codecov/project/release"),
        (&["--branch", "release/old"], ""),
        (&["--pr", "12"], "codecov/project codecov/project/pulls"),
        (
            &["-B", "gh-readonly-queue/main/pr-7-0a1b"],
            "codecov/project/pulls",
        ),
        (&["-B", "gh-readonly-queue/main/pr--0a1b"], ""),
        (
            &["--all"],
            "codecov/project codecov/project/release codecov/project/pulls",
        ),
    ] {
        assert_eq!(judged(place), expected, "{place:?}");
    }
}

#[test]
fn wrong_input_is_told_with_a_remedy() {
    let checkout = Checkout::new();
    for (args, expected) in [
        (
            &["compare"][..],
            "give a saved report or report files with --base",
        ),
        (&["compare", "--base", "none.pack"], "open none.pack"),
        (
            &["compare", "--base", "base.pack", "--git", "nowhere"],
            "git rev-parse",
        ),
        (
            &["compare", "--base", "base.pack", "--git=--output=x"],
            "git rev-parse",
        ),
        (&["report", "--yaml", "none.yml"], "read none.yml"),
        (
            &["report", "--dir", "lib"],
            "no coverage report found below",
        ),
    ] {
        let output = checkout.run(args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && stderr.contains(expected),
            "{args:?}: {stderr}"
        );
    }
}
