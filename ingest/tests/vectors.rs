//! Recorded cases: every folder of `tests/data` is one. `UPDATE_EXPECT=1` writes what came of it.
//!
//! A folder has either `input.*` (with optional `yaml.json`, `network.txt`, `name.txt` and
//! `fixes.txt`) or `scenario.json`, and `expected.json`. A case that deliberately differs from what
//! Codecov makes of it has a `differs.txt` with the reason.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use ingest::envelope::{Budget, Envelope, Fixes, UploadedFile};
use ingest::settings::Settings;
use ingest::{process_files, shown};
use serde_json::Value;

/// 2026-11-24 12:00 UTC: reports of the cases are years older, or years younger.
const NOW_US: i64 = 1_795_521_600_000_000;

#[test]
fn every_case_gives_what_was_expected() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let cases = folders(&data)
        .iter()
        .flat_map(|group| folders(group))
        .collect::<Vec<_>>();
    assert!(
        cases.len() > 100,
        "cases are missing from {}",
        data.display()
    );
    let wrong: Vec<String> = cases.iter().filter_map(|case| check(case)).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} cases differ\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// What is wrong with a case; `None` when nothing is.
fn check(case: &Path) -> Option<String> {
    let found = comparable(run(case));
    let path = case.join("expected.json");
    let expected = fs::read_to_string(&path).unwrap_or_else(|_| "null".into());
    let expected = comparable(serde_json::from_str(&expected).unwrap());
    if found != expected && std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
        return None;
    }
    (found != expected).then(|| {
        format!(
            "{}\n  expected {expected}\n  found    {found}",
            case.display()
        )
    })
}

fn run(case: &Path) -> Value {
    if let Some(scenario) = text(case, "scenario.json") {
        return shown::run_scenario(&serde_json::from_str(&scenario).unwrap(), case, NOW_US)
            .unwrap();
    }
    let settings = text(case, "yaml.json")
        .map(|yaml| Settings::parse(&yaml))
        .unwrap_or_default();
    let network = text(case, "network.txt").unwrap_or_default();
    let name = text(case, "name.txt").unwrap_or_default();
    let mut envelope = Envelope {
        network: network
            .lines()
            .filter(|path| !path.is_empty())
            .map(Into::into)
            .collect(),
        files: vec![UploadedFile::new(name.trim(), input(case))],
        ..Envelope::default()
    };
    if let Some(fixes) = text(case, "fixes.txt") {
        envelope.fixes = Fixes::Text(fixes.into());
    }
    shown::render_single(&process_files(
        &envelope,
        &Budget::new(0),
        &settings,
        &[],
        NOW_US,
    ))
}

fn text(case: &Path, name: &str) -> Option<String> {
    fs::read_to_string(case.join(name)).ok()
}

fn input(case: &Path) -> Vec<u8> {
    let mut entries = fs::read_dir(case)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let input = entries.find(|path| path.file_stem().is_some_and(|stem| stem == "input"));
    fs::read(input.unwrap_or_else(|| panic!("{} has no input", case.display()))).unwrap()
}

/// Leaves out what is ours alone, and the words of errors that have none in common.
fn comparable(mut value: Value) -> Value {
    if let Some(map) = value.as_object_mut() {
        map.remove("problems");
        map.remove("exception");
        if map
            .get("error")
            .is_some_and(|error| error == "unknown_processing")
        {
            map.remove("message");
        }
        for value in map.values_mut() {
            *value = comparable(value.take());
        }
    } else if let Some(list) = value.as_array_mut() {
        for value in list {
            *value = comparable(value.take());
        }
    }
    value
}
