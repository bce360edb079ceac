//! What fuzz targets call: readers as uploads reach them, and what must hold of whatever they find.

use engine::model::FileCoverage;

use crate::AgeLimit;
use crate::detect::{Format, detect};
use crate::envelope::{Budget, Envelope, Kind, UploadedFile};
use crate::formats::{self, Context, Found, MAX_LINE, MAX_PROBLEMS};
use crate::json::Cursor;
use crate::paths::PathFixer;
use crate::process::{Outcome, process, process_files};
use crate::report_fixes::Ignored;
use crate::settings::{MaxAge, Settings};
use crate::xml::{Scanner, to_utf8};

/// When the uploads of fuzz targets arrive, in microseconds since 1970.
const NOW_US: i64 = 1_795_521_600_000_000;

/// Every choice that settings give to readers.
const CHOICES: &str = "
codecov: {max_report_age: false}
parsers:
  lcov: {partials_as_hits: true}
  go: {partials_as_hits: true}
  jacoco: {partials_as_hits: true}
  cobertura: {partials_as_hits: true, handle_missing_conditions: true}
  gcov: {branch_detection: {conditional: true, loop: true, method: true, macro: true}}
  javascript: {enable_partials: true}
";

/// The settings for an input: two kinds of them, by its length.
fn settings_for(content: &[u8]) -> Settings {
    if content.len() % 2 == 0 {
        return Settings::parse(CHOICES);
    }
    Settings {
        max_age: MaxAge::Any,
        ..Settings::default()
    }
}

/// Reads content as a file of the format, whatever it is. Panics where the reader breaks its word.
pub fn read_as(format: Format, content: &[u8]) {
    let content = to_utf8(content);
    let settings = settings_for(&content);
    let fixer = PathFixer::new(&settings, [], &[]);
    let paths = fixer.for_file("report");
    let mut context = Context {
        name: "report",
        format: Some(format),
        paths: &paths,
        parsers: settings.parsers,
        age: AgeLimit::new(&settings.max_age, NOW_US),
        ignored: &Ignored::default(),
        found: Found::default(),
        problems: Vec::new(),
    };
    let result = formats::parse(format, &content, &mut context);
    assert!(
        context.problems.len() <= MAX_PROBLEMS,
        "problems are bounded"
    );
    if result.is_ok() {
        for (path, file) in context.found.into_sorted().0 {
            check_file(&path, &file);
        }
    }
}

/// Reads content as an upload of one file of that name, whose format is to be found out.
pub fn detect_and_read(name: &str, content: &[u8]) {
    let _ = detect(name, &to_utf8(content));
    let envelope = Envelope {
        files: vec![UploadedFile::new(name, content)],
        ..Envelope::default()
    };
    let budget = Budget::new(content.len());
    check(&process_files(
        &envelope,
        &budget,
        &settings_for(content),
        &[],
        NOW_US,
    ));
}

/// Reads a body as an upload of that kind.
pub fn open(kind: Kind, body: &[u8]) {
    check(&process(body, kind, &settings_for(body), &[], NOW_US));
}

/// Walks through XML as readers do: to its end, and no further.
pub fn scan_xml(content: &[u8]) {
    let content = to_utf8(content);
    let mut scanner = Scanner::new(&content);
    let mut left = scanner.rest().len();
    while scanner.next().is_some() {
        let names: Vec<&[u8]> = scanner.attributes().iter().map(|(name, _)| *name).collect();
        for name in names {
            scanner
                .text_attribute(name)
                .expect("an attribute that was listed is found");
        }
        let now_left = scanner.rest().len();
        assert!(now_left < left, "every piece of markup is a step");
        left = now_left;
    }
}

/// Walks through JSON: what serde_json takes, the cursor does.
pub fn scan_json(content: &[u8]) {
    let mut cursor = Cursor::new(content);
    let read = cursor.skip().and_then(|()| cursor.end());
    let is_json = serde_json::from_slice::<serde_json::Value>(content).is_ok();
    assert!(read.is_ok() || !is_json, "serde_json takes it: {read:?}");
}

fn check(outcome: &Outcome) {
    assert!(
        outcome.error.is_none() || outcome.files.is_empty(),
        "an error has no files"
    );
    for (path, file) in &outcome.files {
        check_file(path, file);
    }
    let sorted = outcome.files.is_sorted_by(|a, b| a.0 < b.0);
    assert!(sorted, "files are sorted, each once");
}

fn check_file(path: &str, file: &FileCoverage) {
    assert!(
        !path.is_empty() && !file.is_empty(),
        "files have a path and lines"
    );
    let mut last = 0;
    for (line, _) in file.rows() {
        assert!(
            last < line && line <= MAX_LINE,
            "lines ascend: {last}, {line}"
        );
        last = line;
    }
    let totals = file.totals();
    assert_eq!(totals.lines, totals.hits + totals.misses + totals.partials);
    let mut twice = file.append(file);
    twice = twice.join(&twice);
    assert_eq!(twice.len(), file.len(), "saying all again adds no line");
}
