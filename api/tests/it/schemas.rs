//! What is generated and committed is up to date.

use std::path::Path;

use api::{install, openapi};
use engine::codecov_yml;

/// Compares a file of `schemas/` with what the program says; `UPDATE_EXPECT=1` rewrites it.
fn check(name: &str, said: String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../schemas")
        .join(name);
    let said = said + "\n";
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &said).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == said,
        "schemas/{name} is not what the program says: run script/gen"
    );
}

#[test]
fn the_openapi_document_is_that_of_the_handlers() {
    check(
        "openapi.json",
        openapi::document().to_pretty_json().unwrap(),
    );
}

#[test]
fn the_json_schemas_are_those_of_the_checks() {
    for (name, schema) in [
        ("codecov-yml.json", codecov_yml::json_schema()),
        ("install.json", install::json_schema()),
    ] {
        check(name, serde_json::to_string_pretty(&schema).unwrap());
    }
}
