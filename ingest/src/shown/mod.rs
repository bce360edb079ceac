//! Outcomes as JSON: what `hitline parse` prints, and what recorded cases are compared with.

mod carry;
mod scenario;
mod select;

pub use scenario::run_scenario;

use engine::model::{Coverage, Evidence, FileCoverage, Fraction, Kind, Part, Totals, parts_of};
use serde_json::{Map, Value, json};

use crate::process::Outcome;

/// The outcome of an upload of one file.
pub fn render_single(outcome: &Outcome) -> Value {
    let processor = outcome
        .reports
        .first()
        .and_then(|report| report.format)
        .map(|format| format.processor());
    let mut shown = Map::new();
    shown.insert("processor".into(), json!(processor));
    match &outcome.error {
        Some(error) => {
            shown.insert("error".into(), json!(error.code.as_str()));
            shown.insert("message".into(), json!(error.message));
        }
        None => {
            let files = outcome
                .files
                .iter()
                .map(|(path, file)| (path.clone(), render_file(file)));
            shown.insert("files".into(), Value::Object(files.collect()));
            shown.insert(
                "totals".into(),
                render_totals(&outcome.totals, Counts::Report),
            );
        }
    }
    if !outcome.problems.is_empty() {
        let problems = outcome.problems.iter().map(|problem| {
            json!({
                "file": problem.file,
                "line": problem.line,
                "code": problem.code.as_str(),
                "message": problem.message,
            })
        });
        shown.insert("problems".into(), problems.collect());
    }
    Value::Object(shown)
}

fn render_file(file: &FileCoverage) -> Value {
    let mut columns: [Map<String, Value>; 5] = Default::default();
    let [lines, kinds, branches, partials, complexity] = &mut columns;
    let mut parts = file.parts();
    for (line, row) in file.rows() {
        let parts = parts_of(&mut parts, line);
        let line = line.to_string();
        lines.insert(line.clone(), render_line(row.coverage(), parts));
        if let Some(kind) = render_kind(row.kind) {
            kinds.insert(line.clone(), kind);
        }
        if let Some(missed) = render_missed(&row) {
            branches.insert(line.clone(), missed);
        }
        if let Some(parts) = render_parts(parts) {
            partials.insert(line.clone(), parts);
        }
        if let Some(value) = render_complexity(&row) {
            complexity.insert(line, value);
        }
    }
    let names = ["lines", "types", "branches", "partials", "complexity"];
    let mut shown = Map::new();
    for (name, column) in names.into_iter().zip(columns) {
        if name == "lines" || !column.is_empty() {
            shown.insert(name.into(), Value::Object(column));
        }
    }
    shown.insert("totals".into(), render_totals(&file.totals(), Counts::File));
    Value::Object(shown)
}

/// The coverage that one session gives a line. Where its only part is a fraction, that is it.
fn render_line(coverage: Coverage, parts: &[Part]) -> Value {
    match parts {
        [part] if part.coverage == coverage => render_part_coverage(coverage),
        _ => render_coverage(coverage),
    }
}

fn render_coverage(coverage: Coverage) -> Value {
    match coverage {
        Coverage::Null => Value::Null,
        Coverage::Ignored => json!(-1),
        Coverage::Partial => json!(true),
        Coverage::Hits(hits) => json!(hits),
        arms @ Coverage::Arms { .. } => json!(arms.to_string()),
    }
}

fn render_kind(kind: Kind) -> Option<Value> {
    match kind {
        Kind::Line => None,
        Kind::Method => Some(json!("m")),
        Kind::Branch => Some(json!("b")),
    }
}

fn render_missed(row: &Evidence<'_>) -> Option<Value> {
    let ids = row.named_missed()?;
    Some(ids.iter().map(|id| json!(id.to_string())).collect())
}

/// The parts of a line: `[[start, end, coverage]]`.
fn render_parts(parts: &[Part]) -> Option<Value> {
    let render = |part: &Part| json!([part.start, part.end, render_part_coverage(part.coverage)]);
    (!parts.is_empty()).then(|| parts.iter().map(render).collect())
}

fn render_part_coverage(coverage: Coverage) -> Value {
    match coverage {
        Coverage::Arms { taken, total } => json!(Fraction { taken, total }.to_string()),
        other => render_coverage(other),
    }
}

fn render_complexity(row: &Evidence<'_>) -> Option<Value> {
    let complexity = row.complexity?;
    Some(match complexity.total {
        Some(total) => json!([complexity.covered, total]),
        None => json!(complexity.covered),
    })
}

/// Which counts are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    /// Those of a file in a report.
    File,
    /// Those of a report.
    Report,
    /// All, as where files are counted by themselves.
    All,
}

fn render_totals(totals: &Totals, counts: Counts) -> Value {
    let mut shown = json!({
        "lines": totals.lines,
        "hits": totals.hits,
        "misses": totals.misses,
        "partials": totals.partials,
        "coverage": totals.coverage_text(),
        "branches": totals.branches,
        "methods": totals.methods,
        "complexity": totals.complexity,
        "complexity_total": totals.complexity_total,
    });
    if counts != Counts::File {
        shown["files"] = json!(totals.files);
        shown["sessions"] = json!(totals.sessions);
    }
    shown
}
