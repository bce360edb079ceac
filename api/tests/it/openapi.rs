//! The description of the API, held against the API by public tools that `script/bootstrap` installs.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Map, Value};
use tokio::process::Command;

use crate::api::{Api, HEAD, PARENT};

/// Calls that are made up for each operation, at most.
const EXAMPLES: &str = "6";
/// The calls are the same in every run.
const SEED: &str = "20261124";

async fn run(folder: &Path, program: impl AsRef<Path>, words: &[&str]) -> Output {
    let program = installed(program.as_ref());
    let done = Command::new(&program)
        .args(words)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .output()
        .await;
    done.unwrap_or_else(|error| panic!("{}: {error}, run script/bootstrap", program.display()))
}

/// A program below the folder where `script/bootstrap` installs; a bare name is one of the PATH.
fn installed(program: &Path) -> PathBuf {
    if program.components().count() == 1 {
        return program.to_owned();
    }
    engine::testing::installed(program)
}

fn all_said(output: &Output) -> String {
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    said.concat()
}

async fn described(api: &Api, folder: &Path) -> (Value, PathBuf) {
    let schema = api.ask("schema/", &[]).await.body;
    let path = folder.join("openapi.json");
    std::fs::write(&path, schema.to_string()).unwrap();
    (schema, path)
}

#[tokio::test]
async fn a_public_validator_accepts_the_description() {
    let api = Api::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (schema, path) = described(&api, folder.path()).await;
    assert_eq!(schema["openapi"], "3.1.0");
    let output = run(
        folder.path(),
        "venv/bin/openapi-spec-validator",
        &[path.to_str().unwrap()],
    )
    .await;
    assert!(output.status.success(), "{}", all_said(&output));
}

#[tokio::test]
async fn a_generated_client_gets_what_its_types_promise() {
    const PROGRAM: &str = include_str!("../client/client.mts");
    let api = Api::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (_, schema) = described(&api, folder.path()).await;
    let modules = installed(Path::new("npm/node_modules"));
    std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
    std::fs::write(folder.path().join("client.mts"), PROGRAM).unwrap();
    let schema = schema.to_str().unwrap();
    let language = "--strict --module nodenext --target es2022 --lib es2022,dom client.mts";
    let language: Vec<&str> = language.split(' ').collect();
    let steps = [
        (
            "npm/node_modules/.bin/openapi-typescript",
            &[schema, "-o", "api.d.ts"][..],
        ),
        ("npm/node_modules/.bin/tsc", &language),
        (
            "node",
            &["client.mjs", &api.app.url, &api.token, HEAD, PARENT],
        ),
    ];
    let mut said = String::new();
    for (program, words) in steps {
        let output = run(folder.path(), program, words).await;
        assert!(output.status.success(), "{program}: {}", all_said(&output));
        said = String::from_utf8(output.stdout).unwrap();
    }
    let said: Value = serde_json::from_str(&said).unwrap();
    insta::assert_json_snapshot!(said);
}

/// Each path from the server's root, as the tool knows one root only, with a repository that exists.
fn from_root(schema: &mut Value) {
    let base = schema["servers"][0]["url"].as_str().unwrap().to_owned();
    let mut paths = Map::new();
    for (path, mut item) in schema["paths"].as_object().unwrap().clone() {
        let begin = match item.as_object_mut().unwrap().remove("servers") {
            Some(servers) => servers[0]["url"]
                .as_str()
                .unwrap()
                .trim_end_matches('/')
                .to_owned(),
            None => base.clone(),
        };
        for operation in item.as_object_mut().unwrap().values_mut() {
            if let Some(body) = operation.pointer_mut("/requestBody/content") {
                name_known_types(body);
            }
            let parameters = operation.get_mut("parameters");
            for parameter in parameters
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                name_what_exists(parameter);
            }
        }
        paths.insert(format!("{begin}{path}"), item);
    }
    schema["paths"] = Value::Object(paths);
    schema["servers"] = serde_json::json!([{"url": "/"}]);
}

/// The tool sends plain text for what it cannot write.
fn name_known_types(content: &mut Value) {
    let content = content.as_object_mut().unwrap();
    if let Some(diff) = content.remove("text/x-diff") {
        content.insert("text/plain".into(), diff);
    }
}

fn name_what_exists(parameter: &mut Value) {
    if parameter["in"] != "path" {
        return;
    }
    let existing = match parameter["name"].as_str().unwrap() {
        "service" => "github",
        "owner" => "acme",
        "repo" => "widgets",
        "slug" => "acme::::widgets",
        "sha" => HEAD,
        "code" => "default",
        _ => return,
    };
    parameter["schema"] = serde_json::json!({"type": "string", "enum": [existing]});
}

#[tokio::test]
async fn made_up_calls_of_every_operation_are_answered_as_described() {
    let api = Api::start().await;
    let token = api.app.admin_token("acme").await;
    make_up_calls(&api, &format!("Bearer {token}"), ".*").await;
}

#[tokio::test]
async fn made_up_calls_of_uploaders_are_answered_as_described() {
    let api = Api::start().await;
    let token = api.app.upload_token("github/acme/widgets").await;
    make_up_calls(&api, &format!("token {token}"), "^/upload/|/compare/diff$").await;
}

/// Has calls made up by whoever this is, of the operations whose paths match.
async fn make_up_calls(api: &Api, authorization: &str, paths: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (mut schema, path) = described(api, folder.path()).await;
    from_root(&mut schema);
    std::fs::write(&path, schema.to_string()).unwrap();
    let authorization = format!("Authorization: {authorization}");
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,\
        response_headers_conformance,response_schema_conformance";
    let output = run(
        folder.path(),
        "venv/bin/schemathesis",
        &[
            "run",
            path.to_str().unwrap(),
            "--url",
            &api.app.url,
            "--header",
            &authorization,
            "--checks",
            checks,
            "--phases",
            "examples,fuzzing",
            "--max-examples",
            EXAMPLES,
            "--seed",
            SEED,
            "--include-path-regex",
            paths,
            "--exclude-path-regex",
            "/events$", // its answer has no end
            "--continue-on-failure",
            "--generation-deterministic",
        ],
    )
    .await;
    assert!(output.status.success(), "{}", all_said(&output));
}
