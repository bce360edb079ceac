//! Outcomes as JSON: what `hitline parse` prints, and what recorded cases are compared with.
//!
//! A *scenario* is a small story in JSON: uploads that become one report, or paths to be fixed.

use std::collections::BTreeMap;
use std::path::Path;

use engine::fold::join_file;
use engine::model::{Coverage, Evidence, FileBuilder, FileCoverage, Kind, Totals};
use regex::Regex;
use serde_json::{Map, Value, json};

use crate::envelope::{self, Budget, Envelope, Fixes, UploadedFile, clean_network_path};
use crate::paths::PathFixer;
use crate::process::{Outcome, process, process_files};
use crate::settings::Settings;

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
    let mut columns = [Map::new(), Map::new(), Map::new(), Map::new()];
    let [lines, kinds, branches, complexity] = &mut columns;
    for (line, row) in file.rows() {
        let line = line.to_string();
        lines.insert(line.clone(), render_coverage(row.coverage()));
        if let Some(kind) = render_kind(row.kind) {
            kinds.insert(line.clone(), kind);
        }
        if let Some(missed) = render_missed(&row) {
            branches.insert(line.clone(), missed);
        }
        if let Some(value) = render_complexity(&row) {
            complexity.insert(line, value);
        }
    }
    let mut shown = Map::new();
    for (name, column) in ["lines", "types", "branches", "complexity"]
        .into_iter()
        .zip(columns)
    {
        if name == "lines" || !column.is_empty() {
            shown.insert(name.into(), Value::Object(column));
        }
    }
    shown.insert("totals".into(), render_totals(&file.totals(), Counts::File));
    Value::Object(shown)
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

/// The missed arms of a branch, sorted. A fully taken branch of one report names none; of reports
/// that were merged, which all named theirs, it names an empty list.
fn render_missed(row: &Evidence<'_>) -> Option<Value> {
    let arms = row.arms?;
    let ids = arms
        .missed
        .ids()
        .filter(|ids| !ids.is_empty() || arms.mixed)?;
    Some(ids.iter().map(|id| json!(id.to_string())).collect())
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

/// Runs a scenario whose files stand in `folder`. Keys of stories that are not told yet (carried
/// forward flags, stored forms) are left out of the answer. `now_us` is the time of its uploads.
pub fn run_scenario(scenario: &Value, folder: &Path, now_us: i64) -> std::io::Result<Value> {
    let settings = settings_of(scenario);
    if scenario["paths"].is_array() {
        return Ok(json!({ "paths": run_paths(scenario, &settings) }));
    }
    let mut report = Story::default();
    for (number, upload) in scenario["uploads"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        let flags = texts(&upload["flags"]);
        let outcome = run_upload(scenario, upload, &flags, &settings, folder, now_us)?;
        report.add(number, settings.joins(&flags), flags, outcome);
    }
    Ok(report.render(scenario))
}

fn settings_of(scenario: &Value) -> Settings {
    match &scenario["yaml"] {
        Value::Null => Settings::default(),
        yaml => Settings::parse(&yaml.to_string()),
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn network_of(list: &Value) -> Vec<String> {
    let cleaned = |path: &String| {
        clean_network_path(path.as_bytes())
            .ok()
            .flatten()
            .map(|path| path.into_owned())
    };
    texts(list).iter().filter_map(cleaned).collect()
}

fn run_paths(scenario: &Value, settings: &Settings) -> Value {
    let network = network_of(&scenario["network"]);
    let fixer = PathFixer::new(
        settings,
        network.iter().map(String::as_str),
        &texts(&scenario["flags"]),
    );
    let bases = texts(&scenario["bases"]);
    let in_file = scenario["base_path"]
        .as_str()
        .map(|name| fixer.for_file(name));
    let fix = |path: &str| match &in_file {
        Some(file) => file.fix_below(path, &bases),
        None => fixer.fix(path),
    };
    let paths = texts(&scenario["paths"]).into_iter();
    Value::Object(
        paths
            .map(|path| (path.clone(), json!(fix(&path).unwrap_or(None))))
            .collect(),
    )
}

fn run_upload(
    scenario: &Value,
    upload: &Value,
    flags: &[String],
    settings: &Settings,
    folder: &Path,
    now_us: i64,
) -> std::io::Result<Outcome> {
    if let Some(raw) = upload["raw"].as_str() {
        return Ok(process(
            raw.as_bytes(),
            envelope::Kind::Legacy,
            settings,
            flags,
            now_us,
        ));
    }
    if upload["v1"].is_object() {
        let body = upload["v1"].to_string();
        return Ok(process(
            body.as_bytes(),
            envelope::Kind::V1,
            settings,
            flags,
            now_us,
        ));
    }
    let network = if upload["network"].is_null() {
        &scenario["network"]
    } else {
        &upload["network"]
    };
    let mut envelope = Envelope {
        network: network_of(network).into_iter().map(Into::into).collect(),
        ..Envelope::default()
    };
    if let Some(fixes) = upload["fixes"].as_str() {
        envelope.fixes = Fixes::Text(fixes.into());
    }
    for file in upload["files"].as_array().into_iter().flatten() {
        let content = match (file["input"].as_str(), file["file"].as_str()) {
            (Some(input), _) => input.as_bytes().to_vec(),
            (None, Some(name)) => std::fs::read(folder.join(name))?,
            (None, None) => Vec::new(),
        };
        envelope.files.push(UploadedFile::new(
            file["name"].as_str().unwrap_or_default(),
            content,
        ));
    }
    Ok(process_files(
        &envelope,
        &Budget::new(0),
        settings,
        flags,
        now_us,
    ))
}

/// The report that uploads become, and what each of them says.
#[derive(Default)]
struct Story {
    sessions: Vec<Session>,
    errors: Vec<Value>,
}

struct Session {
    flags: Vec<String>,
    /// Whether it joins what others say of a line; otherwise it only adds lines that they lack.
    joined: bool,
    files: Files,
}

type Files = BTreeMap<String, FileCoverage>;

impl Story {
    fn add(&mut self, upload: usize, joined: bool, flags: Vec<String>, outcome: Outcome) {
        match outcome.error {
            Some(error) => self.errors.push(
                json!({ "upload": upload, "error": error.code.as_str(), "message": error.message }),
            ),
            None => self.sessions.push(Session {
                flags,
                joined,
                files: outcome.files.into_iter().collect(),
            }),
        }
    }

    /// The report of all sessions.
    fn report(&self) -> Files {
        let (joined, rest): (Vec<_>, Vec<_>) =
            self.sessions.iter().partition(|session| session.joined);
        let files = |sessions: Vec<&Session>| {
            join(
                sessions
                    .into_iter()
                    .flat_map(|session| session.files.clone()),
            )
        };
        let mut report = files(joined);
        for (path, file) in files(rest) {
            match report.get_mut(&path) {
                Some(known) => {
                    let lines: Vec<u32> = known.rows().map(|(line, _)| line).collect();
                    *known = known.join(&file.filter(|line| lines.binary_search(&line).is_err()));
                }
                None => {
                    report.insert(path, file);
                }
            }
        }
        report
    }

    fn render(&self, scenario: &Value) -> Value {
        let mut shown = Map::new();
        let report = self.report();
        if scenario["filter"].is_object() {
            self.render_filtered(&scenario["filter"], &report, &mut shown);
        } else {
            let files = report
                .iter()
                .map(|(path, file)| (path.clone(), self.render_file(path, file)));
            shown.insert("files".into(), Value::Object(files.collect()));
            let totals = totals_of(report.values(), self.sessions.len());
            shown.insert("totals".into(), render_totals(&totals, Counts::Report));
            if scenario["diff"].is_object() {
                shown.insert("diff".into(), render_diff(&scenario["diff"], &report));
            }
            if !scenario["yaml"]["coverage"]["round"].is_null() {
                shown.insert(
                    "rounded_coverage".into(),
                    json!(rounded(&totals, &scenario["yaml"]["coverage"])),
                );
            }
        }
        let sessions = self.sessions.iter().enumerate().map(|(id, session)| {
            let flags = (!session.flags.is_empty()).then_some(&session.flags);
            (
                id.to_string(),
                json!({ "flags": flags, "type": "uploaded", "name": null, "extras": {} }),
            )
        });
        shown.insert("sessions".into(), Value::Object(sessions.collect()));
        if !self.errors.is_empty() {
            shown.insert("errors".into(), json!(self.errors));
        }
        Value::Object(shown)
    }

    fn render_file(&self, path: &str, file: &FileCoverage) -> Value {
        let mut shown = render_file(file);
        if let Some(shown) = shown.as_object_mut() {
            shown.shift_remove("branches");
            let lines = file.rows().map(|(line, _)| (line.to_string(), json!([])));
            let mut sessions: Map<String, Value> = lines.collect();
            for (id, session) in self.sessions.iter().enumerate() {
                let said = session
                    .files
                    .get(path)
                    .filter(|said| counts_beside(path, said, file));
                for (line, row) in said.into_iter().flat_map(FileCoverage::rows) {
                    if let Some(Value::Array(said)) = sessions.get_mut(&line.to_string()) {
                        said.push(json!([
                            id,
                            render_coverage(row.coverage()),
                            render_missed(&row),
                            null,
                            render_complexity(&row)
                        ]));
                    }
                }
            }
            shown.insert("line_sessions".into(), Value::Object(sessions));
        }
        shown
    }

    /// The report of the sessions that `keep` accepts. As Codecov does, it goes by how many arms
    /// each took, not by which.
    fn join_selected(&self, keep: impl Fn(&Session) -> bool, report: &Files) -> Files {
        let kept = self.sessions.iter().filter(|session| keep(session));
        join(kept.flat_map(|session| {
            session
                .files
                .iter()
                .map(|(path, file)| (path.clone(), without_arms(file, report.get(path))))
        }))
    }

    fn render_filtered(&self, filter: &Value, report: &Files, shown: &mut Map<String, Value>) {
        let flags = texts(&filter["flags"]);
        let has_flag = |session: &Session| session.flags.iter().any(|flag| flags.contains(flag));
        let keep = |session: &Session| flags.is_empty() || has_flag(session);
        let paths = PathPatterns::new(&texts(&filter["paths"]));
        let filtered = match &flags[..] {
            [] => report.clone(),
            _ => self.join_selected(keep, report),
        };
        let empty = FileCoverage::default();
        let mut files = Map::new();
        let mut totals = Totals {
            sessions: self.sessions.iter().filter(|s| keep(s)).count() as u64,
            ..Totals::default()
        };
        for path in report.keys().filter(|path| paths.includes(path)) {
            let counted = filtered.get(path).unwrap_or(&empty).totals();
            files.insert(path.clone(), render_totals(&counted, Counts::All));
            totals += counted;
            totals.files += u64::from(counted.lines > 0);
        }
        shown.insert("files".into(), Value::Object(files));
        shown.insert("totals".into(), render_totals(&totals, Counts::Report));
    }
}

/// Joins what several sessions say of each file.
fn join(said: impl Iterator<Item = (String, FileCoverage)>) -> Files {
    let mut files = Files::new();
    for (path, file) in said {
        let joined = match files.remove(&path) {
            Some(before) => join_file(&path, before, file),
            None => file,
        };
        files.insert(path, joined);
    }
    files
}

/// Whether what a session says of a file is part of the report: see [`join_file`] on Ruby.
fn counts_beside(path: &str, said: &FileCoverage, report: &FileCoverage) -> bool {
    let all_missed = |file: &FileCoverage| {
        let totals = file.totals();
        totals.lines == totals.misses
    };
    !path.ends_with(".rb") || !all_missed(said) || all_missed(report)
}

/// A file whose branches name no arms, with the kinds that `report` gives its lines.
fn without_arms(file: &FileCoverage, report: Option<&FileCoverage>) -> FileCoverage {
    let mut kinds = report.into_iter().flat_map(FileCoverage::rows).peekable();
    let mut plain = FileBuilder::new();
    for (line, row) in file.rows() {
        while kinds.next_if(|(other, _)| *other < line).is_some() {}
        let kind = kinds
            .peek()
            .filter(|(other, _)| *other == line)
            .map_or(row.kind, |(_, row)| row.kind);
        plain.append(line, kind, row.coverage(), None, row.complexity);
    }
    plain.finish()
}

fn totals_of<'a>(files: impl Iterator<Item = &'a FileCoverage>, sessions: usize) -> Totals {
    let mut totals = Totals {
        sessions: sessions as u64,
        ..Totals::default()
    };
    for file in files {
        totals += file.totals();
        totals.files += 1;
    }
    totals
}

/// Path patterns of a filter: regular expressions from the start, or whole paths; `!` leaves out.
struct PathPatterns {
    exact: Vec<String>,
    include: Vec<Regex>,
    exclude: Vec<Regex>,
}

impl PathPatterns {
    fn new(patterns: &[String]) -> PathPatterns {
        let (exclude, include): (Vec<&String>, Vec<&String>) = patterns
            .iter()
            .partition(|pattern| pattern.starts_with('!') || pattern.starts_with("^!"));
        let compile = |patterns: Vec<&String>| {
            let bare = patterns.into_iter().map(|pattern| pattern.replace('!', ""));
            bare.filter_map(|pattern| crate::settings::anchored(&pattern))
                .collect()
        };
        PathPatterns {
            exact: patterns.to_vec(),
            include: compile(include),
            exclude: compile(exclude),
        }
    }

    fn includes(&self, path: &str) -> bool {
        let matches = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(path));
        self.exact.iter().any(|exact| exact == path)
            || (!matches(&self.exclude) && (self.include.is_empty() || matches(&self.include)))
    }
}

/// Counts of the lines that a diff adds.
fn render_diff(diff: &Value, report: &Files) -> Value {
    let mut general = Totals::default();
    let mut files = Map::new();
    for (path, change) in diff["files"].as_object().into_iter().flatten() {
        let Some(file) = report
            .get(path)
            .filter(|_| matches!(change["type"].as_str(), Some("modified" | "new")))
        else {
            continue;
        };
        let added = added_lines(change);
        let totals = file
            .filter(|line| added.binary_search(&line).is_ok())
            .totals();
        files.insert(path.clone(), render_diff_totals(&totals));
        general += totals;
        general.files += 1;
    }
    json!({ "general": render_diff_totals(&general), "files": files })
}

fn render_diff_totals(totals: &Totals) -> Value {
    let mut shown = render_totals(totals, Counts::All);
    if totals.lines == 0 {
        shown["complexity"] = Value::Null;
        shown["complexity_total"] = Value::Null;
    }
    shown
}

/// The numbers of the lines that a file's change adds, sorted.
fn added_lines(change: &Value) -> Vec<u32> {
    let mut added = Vec::new();
    for segment in change["segments"].as_array().into_iter().flatten() {
        let start = segment["header"][2]
            .as_str()
            .and_then(|start| start.parse().ok());
        let mut line: u32 = start.filter(|&start| start > 0).unwrap_or(1);
        for text in segment["lines"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if text.starts_with('-') {
                continue;
            }
            if text.starts_with('+') {
                added.push(line);
            }
            line = line.saturating_add(1);
        }
    }
    added.sort_unstable();
    added
}

/// The percentage as the settings round it.
fn rounded(totals: &Totals, settings: &Value) -> Option<String> {
    const STORED_DECIMALS: u32 = 5;
    let text = totals.coverage_text()?;
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, "00000"));
    let stored: u64 = format!("{whole}{decimals}").parse().ok()?;
    let precision = settings["precision"]
        .as_u64()
        .map_or(2, |precision| precision.min(99) as u32);
    if precision >= STORED_DECIMALS {
        return Some(format!(
            "{whole}.{decimals:0<width$}",
            width = precision as usize
        ));
    }
    let unit = 10u64.pow(STORED_DECIMALS - precision);
    let (quotient, rest) = (stored / unit, stored % unit);
    let up = match settings["round"].as_str() {
        Some("up") => rest > 0,
        Some("nearest") => rest * 2 > unit || (rest * 2 == unit && quotient % 2 == 1),
        _ => false,
    };
    let quotient = quotient + u64::from(up);
    let scale = 10u64.pow(precision);
    Some(match precision {
        0 => quotient.to_string(),
        _ => format!(
            "{}.{:0width$}",
            quotient / scale,
            quotient % scale,
            width = precision as usize
        ),
    })
}
