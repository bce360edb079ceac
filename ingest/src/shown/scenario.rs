//! Scenarios: small stories in JSON, of uploads that become one report, or of paths to be fixed.

use std::collections::BTreeMap;
use std::path::Path;

use engine::fold::{counts_beside, join_file};
use engine::model::{FileBuilder, FileCoverage, Totals, parts_of};
use engine::stored;
use serde_json::{Map, Value, json};

use super::select::{PathPatterns, render_diff, rounded};
use super::{
    Counts, render_complexity, render_file, render_line, render_missed, render_parts, render_totals,
};
use crate::envelope::{self, Budget, Envelope, Fixes, UploadedFile, clean_network_path};
use crate::paths::PathFixer;
use crate::process::{Outcome, process, process_files};
use crate::settings::Settings;

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

/// The files of a report.
pub(super) type Files = BTreeMap<String, FileCoverage>;

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
        if scenario["serialize"] == true {
            self.render_stored(&report, &mut shown);
        }
        if !self.errors.is_empty() {
            shown.insert("errors".into(), json!(self.errors));
        }
        Value::Object(shown)
    }

    fn render_file(&self, path: &str, file: &FileCoverage) -> Value {
        let mut shown = render_file(file);
        if let Some(shown) = shown.as_object_mut() {
            shown.shift_remove("branches");
            shown.shift_remove("partials");
            let lines = file.rows().map(|(line, _)| (line.to_string(), json!([])));
            let mut sessions: Map<String, Value> = lines.collect();
            for (id, session) in self.sessions.iter().enumerate() {
                let said = session
                    .files
                    .get(path)
                    .filter(|said| counts_beside(path, said, file));
                if let Some(said) = said {
                    render_session(id, said, &mut sessions);
                }
            }
            shown.insert("line_sessions".into(), Value::Object(sessions));
        }
        shown
    }

    /// The report in the form in which Codecov stores it.
    fn render_stored(&self, report: &Files, shown: &mut Map<String, Value>) {
        let sessions = self.sessions.iter().enumerate();
        let sessions: Vec<stored::Session<'_>> = sessions
            .map(|(id, session)| stored::Session {
                id: id as u32,
                about: stored::About {
                    flags: &session.flags,
                    ..stored::About::default()
                },
                files: &session.files,
            })
            .collect();
        let totals = report
            .iter()
            .map(|(path, file)| (path.as_str(), file.totals()));
        let json = stored::report_json(totals, &sessions);
        let mut writer = stored::ChunkWriter::new(Vec::new(), &sessions);
        let chunks = report
            .iter()
            .try_for_each(|(path, file)| writer.write(path, file))
            .and_then(|()| writer.finish())
            .expect("memory takes what is written");
        shown.insert("report_json".into(), json);
        shown.insert("chunks".into(), String::from_utf8_lossy(&chunks).into());
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

/// Adds what a session says of a file to the lines that `lines` has.
fn render_session(id: usize, said: &FileCoverage, lines: &mut Map<String, Value>) {
    let mut parts = said.parts();
    for (line, row) in said.rows() {
        let parts = parts_of(&mut parts, line);
        if let Some(Value::Array(sessions)) = lines.get_mut(&line.to_string()) {
            sessions.push(json!([
                id,
                render_line(row.coverage(), parts),
                render_missed(&row),
                render_parts(parts),
                render_complexity(&row)
            ]));
        }
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
