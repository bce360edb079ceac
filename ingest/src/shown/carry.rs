//! Flags that a scenario carries forward, and the uploads that come after.

use engine::carryforward::{
    Edit, Segment, carried_flags, carried_name, carried_paths, has_any, shift_lines,
    without_sessions,
};
use engine::model::FileCoverage;
use serde_json::{Map, Value, json};

use super::scenario::{Files, Session, Story, texts};
use crate::filter::PathPatterns;
use crate::settings::Settings;

/// The commit from which is carried where the scenario names none.
const PARENT: &str = "parentsha";

/// Leaves of the story what the scenario carries forward, if it does; gives what is shown of that.
pub(super) fn carry_forward(
    story: &mut Story,
    scenario: &Value,
    settings: &Settings,
) -> Map<String, Value> {
    let mut shown = Map::new();
    let asked = &scenario["carryforward"];
    if scenario["carryforward_auto"] == true {
        let sessions = story.sessions.iter().map(|session| &session.flags[..]);
        let flags = carried_flags(sessions, |flag| settings.carries_forward(flag));
        let paths = carried_paths(flags.iter().map(|flag| settings.carried_paths(flag)));
        let written: Vec<String> = paths
            .iter()
            .map(|path| path.replace(r"\z", r"\Z"))
            .collect();
        shown.insert("carryforward_flags".into(), json!(flags));
        shown.insert("carryforward_paths".into(), json!(written));
        keep_carried(story, &flags, &paths, PARENT);
    } else if asked.is_object() {
        let paths: Vec<String> = texts(&asked["paths"])
            .iter()
            .map(|path| path.replace(r"\Z", r"\z"))
            .collect();
        let from = asked["from"].as_str().unwrap_or(PARENT);
        keep_carried(story, &texts(&asked["flags"]), &paths, from);
    }
    shown
}

fn keep_carried(story: &mut Story, flags: &[String], paths: &[String], from: &str) {
    let patterns = PathPatterns::new(paths);
    let mut report = story.report();
    report.retain(|path, _| patterns.includes(path));
    drop_sessions(story, report, |session| !has_any(&session.flags, flags));
    for session in &mut story.sessions {
        session.name = Some(carried_name(session.name.as_deref()));
        session.carried_from = Some(from.to_owned());
    }
}

/// Takes the carried sessions from the story that give way to uploads with these flags; gives their ids.
pub(super) fn give_way<'a>(
    story: &mut Story,
    uploads: impl Iterator<Item = &'a [String]>,
    settings: &Settings,
) -> Vec<u32> {
    let flags = carried_flags(uploads, |flag| settings.carries_forward(flag));
    let goes =
        |session: &Session| session.carried_from.is_some() && has_any(&session.flags, &flags);
    match story.carried.take() {
        Some(carried) => drop_sessions(story, carried, goes),
        None => Vec::new(),
    }
}

/// Takes sessions from the story, and what only they say from the report, which then is what is
/// carried. Gives the ids of the sessions.
fn drop_sessions(
    story: &mut Story,
    mut report: Files,
    goes: impl Fn(&Session) -> bool,
) -> Vec<u32> {
    let sessions = std::mem::take(&mut story.sessions);
    let (dropped, mut kept): (Vec<Session>, Vec<Session>) = sessions.into_iter().partition(goes);
    if !dropped.is_empty() {
        report.retain(|path, file| {
            *file = without_sessions(file, &of_path(&kept, path), &of_path(&dropped, path));
            file.totals().lines > 0
        });
    }
    for session in &mut kept {
        session.files.retain(|path, _| report.contains_key(path));
    }
    story.sessions = kept;
    story.carried = Some(report);
    let mut ids: Vec<u32> = dropped.iter().map(|session| session.id).collect();
    ids.sort_unstable();
    ids
}

/// What sessions say of a file.
fn of_path<'a>(sessions: &'a [Session], path: &str) -> Vec<&'a FileCoverage> {
    sessions
        .iter()
        .filter_map(|session| session.files.get(path))
        .collect()
}

/// Moves what is known of lines to where a diff moves them. Files that are new or gone stay as they are.
pub(super) fn shift(story: &mut Story, diff: &Value) {
    for (path, change) in diff["files"].as_object().into_iter().flatten() {
        if change["type"] != "modified" {
            continue;
        }
        let segments = segments_of(change);
        let reports = story.sessions.iter_mut().map(|session| &mut session.files);
        for report in reports.chain(&mut story.carried) {
            if let Some(file) = report.get_mut(path) {
                *file = shift_lines(file, &segments);
            }
        }
    }
}

/// The segments of a file's change.
pub(super) fn segments_of(change: &Value) -> Vec<Segment> {
    let segments = change["segments"].as_array().into_iter().flatten();
    let segments = segments.map(|segment| {
        let start = &segment["header"][2];
        let number = start.as_str().and_then(|start| start.parse().ok());
        let number = number.or(start.as_u64().and_then(|start| u32::try_from(start).ok()));
        Segment {
            start: number.unwrap_or(0),
            lines: texts(&segment["lines"])
                .iter()
                .map(|line| edit_of(line))
                .collect(),
        }
    });
    segments.collect()
}

fn edit_of(line: &str) -> Edit {
    match line.as_bytes().first() {
        Some(b'+') => Edit::Added,
        Some(b'-') => Edit::Removed,
        _ => Edit::Same,
    }
}

/// The report of carried sessions and new ones. What is carried of a line stands until a new session
/// speaks of the line; then all sessions that do make it, which `all` has.
pub(super) fn beside_new(carried: &Files, sessions: &[Session], all: Files) -> Files {
    let uploaded = |path: &str| {
        let uploaded = sessions
            .iter()
            .filter(|session| session.carried_from.is_none());
        let mut lines: Vec<u32> = uploaded
            .filter_map(|session| session.files.get(path))
            .flat_map(|file| file.rows().map(|(line, _)| line))
            .collect();
        lines.sort_unstable();
        lines
    };
    let mut report = all;
    for (path, before) in carried {
        let said = uploaded(path);
        let is_new = |line: u32| said.binary_search(&line).is_ok();
        let old = before.filter(|line| !is_new(line));
        let file = report.entry(path.clone()).or_default();
        *file = old.join(&file.filter(is_new));
    }
    report
}
