//! Our own uploader against our own server: the binary, a git checkout, and what the API then says.

use std::path::Path;
use std::process::Command;

use crate::app::TestApp;
use crate::rest;

/// Runs git, which must succeed; what it prints.
pub(crate) fn git(folder: &Path, args: &[&str]) -> String {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
    let output = Command::new("git")
        .current_dir(folder)
        .args(identity)
        .args(args)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn hitline_upload_brings_a_checkouts_coverage_to_the_server() {
    let app = TestApp::start().await;
    let token = app.upload_token("github/acme/widgets").await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    std::fs::write(folder.path().join("src/a.py"), "x = 1\ny = 2\n").unwrap();
    std::fs::write(
        folder.path().join("lcov.info"),
        "SF:src/a.py\nDA:1,3\nDA:2,0\nend_of_record\n",
    )
    .unwrap();
    git(folder.path(), &["init", "-q", "-b", "main"]);
    git(
        folder.path(),
        &["remote", "add", "origin", "git@github.com:acme/widgets.git"],
    );
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "-qm", "first"]);
    let sha = git(folder.path(), &["rev-parse", "HEAD"]);

    let mut upload = tokio::process::Command::new(env!("CARGO_BIN_EXE_hitline"));
    upload
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap());
    upload.args([
        "upload", "--url", &app.url, "--token", &token, "--flag", "unit",
    ]);
    let output = upload.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(!said.contains(&token), "the token stays secret: {said}");

    app.settled().await;
    let uploads = rest::uploads(&app, &sha).await;
    assert_eq!(uploads[0]["state"], "merged");
    assert_eq!(uploads[0]["flags"], serde_json::json!(["unit"]));
    let report = rest::get(
        &app,
        &format!("github/acme/repos/widgets/report/?sha={sha}"),
    )
    .await;
    assert_eq!(
        report["files"][0]["line_coverage"],
        serde_json::json!([[1, 0], [2, 1]])
    );
}
