//! What is asked of a report: the lines of a diff, a rounded percentage.

use engine::carryforward::Edit;
use engine::model::Totals;
use serde_json::{Map, Value, json};

use super::carry::segments_of;
use super::scenario::Files;
use super::{Counts, render_totals};

/// Counts of the lines that a diff adds.
pub(super) fn render_diff(diff: &Value, report: &Files) -> Value {
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
    for segment in segments_of(change) {
        let mut line = segment.start.max(1);
        for edit in segment.lines {
            if edit == Edit::Added {
                added.push(line);
            }
            if edit != Edit::Removed {
                line = line.saturating_add(1);
            }
        }
    }
    added.sort_unstable();
    added
}

/// The percentage as the settings round it.
pub(super) fn rounded(totals: &Totals, settings: &Value) -> Option<String> {
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
