//! Scenarios: small stories in JSON, of uploads that become one report, or of paths to be fixed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use engine::carryforward::next_session_id;
use engine::fold::{counts_beside, join_file};
use engine::model::{FileBuilder, FileCoverage, Totals, parts_of};
use engine::stored;
use serde_json::{Map, Value, json};

use super::carry::{beside_new, carry_forward, give_way, shift};
use super::select::{render_diff, rounded};
use super::{
    Counts, render_complexity, render_file, render_line, render_missed, render_parts, render_totals,
};
use crate::envelope::{self, Budget, Envelope, Fixes, UploadedFile, clean_network_path};
use crate::filter::PathPatterns;
use crate::paths::PathFixer;
use crate::process::{Outcome, process, process_files};
use crate::settings::Settings;

/// Runs a scenario whose files stand in `folder`. `now_us` is the time of its uploads.
pub fn run_scenario(scenario: &Value, folder: &Path, now_us: i64) -> std::io::Result<Value> {
    let settings = settings_of(scenario);
    if scenario["paths"].is_array() {
        return Ok(json!({ "paths": run_paths(scenario, &settings) }));
    }
    let run = |key: &str| run_uploads(scenario, key, &settings, folder, now_us);
    let mut story = Story::default();
    for upload in run("uploads")? {
        story.add(upload);
    }
    let mut shown = carry_forward(&mut story, scenario, &settings);
    shift(&mut story, &scenario["shift_diff"]);
    if scenario["after"].is_array() {
        let after = run("after")?;
        let read = after.iter().filter(|upload| upload.outcome.error.is_none());
        let gone = give_way(&mut story, read.map(|upload| &upload.flags[..]), &settings);
        shown.insert("deleted_sessions".into(), json!(gone));
        for upload in after {
            story.add(upload);
        }
    }
    shown.extend(story.render(scenario));
    Ok(Value::Object(shown))
}

fn settings_of(scenario: &Value) -> Settings {
    match &scenario["yaml"] {
        Value::Null => Settings::default(),
        yaml => Settings::parse(&yaml.to_string()),
    }
}

/// The texts of a list.
pub(super) fn texts(list: &Value) -> Vec<String> {
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

/// An upload of a scenario.
struct Upload {
    number: usize,
    flags: Vec<String>,
    name: Option<String>,
    /// Whether it joins what others say of a line; otherwise it only adds lines that they lack.
    joined: bool,
    outcome: Outcome,
}

fn run_uploads(
    scenario: &Value,
    key: &str,
    settings: &Settings,
    folder: &Path,
    now_us: i64,
) -> std::io::Result<Vec<Upload>> {
    let uploads = scenario[key].as_array().into_iter().flatten().enumerate();
    let run = uploads.map(|(number, upload)| {
        let flags = texts(&upload["flags"]);
        Ok(Upload {
            number,
            name: upload["upload_name"].as_str().map(str::to_owned),
            joined: settings.joins(&flags),
            outcome: run_upload(scenario, upload, &flags, settings, folder, now_us)?,
            flags,
        })
    });
    run.collect()
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
pub(super) struct Story {
    /// In the order of their coming.
    pub(super) sessions: Vec<Session>,
    /// The report that was carried forward, if one was.
    pub(super) carried: Option<Files>,
    errors: Vec<Value>,
}

/// What one upload says.
pub(super) struct Session {
    pub(super) id: u32,
    pub(super) flags: Vec<String>,
    pub(super) name: Option<String>,
    /// The commit from whose report it was carried forward.
    pub(super) carried_from: Option<String>,
    joined: bool,
    pub(super) files: Files,
}

/// The files of a report.
pub(super) type Files = BTreeMap<String, FileCoverage>;

impl Story {
    fn add(&mut self, upload: Upload) {
        if let Some(error) = upload.outcome.error {
            let (code, message) = (error.code.as_str(), error.message);
            self.errors
                .push(json!({ "upload": upload.number, "error": code, "message": message }));
            return;
        }
        let taken: BTreeSet<u32> = self.sessions.iter().map(|session| session.id).collect();
        self.sessions.push(Session {
            id: next_session_id(&taken),
            flags: upload.flags,
            name: upload.name,
            carried_from: None,
            joined: upload.joined,
            files: upload.outcome.files.into_iter().collect(),
        });
    }

    /// The report of all sessions.
    pub(super) fn report(&self) -> Files {
        let all = self.joined_report();
        match &self.carried {
            Some(carried) => beside_new(carried, &self.sessions, all),
            None => all,
        }
    }

    fn joined_report(&self) -> Files {
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

    fn render(&self, scenario: &Value) -> Map<String, Value> {
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
        let sessions = self.sessions.iter().map(Session::render);
        shown.insert("sessions".into(), Value::Object(sessions.collect()));
        if scenario["serialize"] == true {
            self.render_stored(&report, &mut shown);
        }
        if !self.errors.is_empty() {
            shown.insert("errors".into(), json!(self.errors));
        }
        shown
    }

    fn render_file(&self, path: &str, file: &FileCoverage) -> Value {
        let mut shown = render_file(file);
        if let Some(shown) = shown.as_object_mut() {
            shown.shift_remove("branches");
            shown.shift_remove("partials");
            let lines = file.rows().map(|(line, _)| (line.to_string(), json!([])));
            let mut sessions: Map<String, Value> = lines.collect();
            for session in &self.sessions {
                let said = session
                    .files
                    .get(path)
                    .filter(|said| counts_beside(path, said, file));
                if let Some(said) = said {
                    render_session(session.id, said, &mut sessions);
                }
            }
            shown.insert("line_sessions".into(), Value::Object(sessions));
        }
        shown
    }

    /// The report in the form in which Codecov stores it.
    fn render_stored(&self, report: &Files, shown: &mut Map<String, Value>) {
        let sessions = self.sessions.iter();
        let sessions: Vec<stored::Session<'_>> = sessions
            .map(|session| stored::Session {
                id: session.id,
                about: stored::About {
                    name: session.name.as_deref(),
                    flags: &session.flags,
                    carried_from: session.carried_from.as_deref(),
                    ..stored::About::default()
                },
                totals: totals_of(session.files.values(), 1),
            })
            .collect();
        let totals = report
            .iter()
            .map(|(path, file)| (path.as_str(), file.totals()));
        let json = stored::report_json(totals, &sessions);
        let mut by_id: Vec<&Session> = self.sessions.iter().collect();
        by_id.sort_by_key(|session| session.id);
        let mut writer = stored::ChunkWriter::new(Vec::new());
        let write = |(path, file): (&String, &FileCoverage)| {
            let said = by_id.iter();
            let said: Vec<_> = said
                .filter_map(|session| Some((session.id, session.files.get(path)?)))
                .collect();
            writer.write(path, file, &said)
        };
        let chunks = report
            .iter()
            .try_for_each(write)
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

impl Session {
    fn render(&self) -> (String, Value) {
        let flags = (!self.flags.is_empty()).then_some(&self.flags);
        let (kind, extras) = match &self.carried_from {
            Some(from) => ("carriedforward", json!({ "carriedforward_from": from })),
            None => ("uploaded", json!({})),
        };
        let shown = json!({ "flags": flags, "type": kind, "name": self.name, "extras": extras });
        (self.id.to_string(), shown)
    }
}

/// Adds what a session says of a file to the lines that `lines` has.
fn render_session(id: u32, said: &FileCoverage, lines: &mut Map<String, Value>) {
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
