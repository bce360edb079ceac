//! `hitline compare`: what differs between the reports here and those of a base, without a server.

use clap::Args;
use engine::compare::{Comparison, FileComparison, IndirectChange, compare};
use engine::model::{Coverage, Totals};
use engine::pack::Selected;
use serde_json::{Value, json};

use super::offline::{BaseArgs, HeadArgs};
use super::print;
use crate::handlers::rest::report::code;
use crate::handlers::rest::totals::ReportTotals;

/// Lines of a file that are named, at most; more are counted.
const LINES_NAMED: usize = 20;

/// Arguments of `compare`.
#[derive(Args)]
pub(super) struct CompareArgs {
    #[command(flatten)]
    head: HeadArgs,

    #[command(flatten)]
    base: BaseArgs,

    /// Print the comparison as JSON
    #[arg(long)]
    json: bool,
}

/// Compares and prints.
pub(super) fn run(args: &CompareArgs) -> anyhow::Result<()> {
    let head = args.head.read()?;
    let base = args.base.read(&head, &args.head.flags)?;
    let base = base.ok_or_else(|| {
        anyhow::anyhow!(
            "there is nothing to compare with: give a saved report or report files with --base"
        )
    })?;
    let change = args.base.change(&head.root)?;
    let all = |_: &str| true;
    let (base, head) = (Selected::new(&base, all), Selected::new(&head.pack, all));
    let compared = compare(&base, &head, &change.diff)?;
    let patch = change.is_known.then_some(compared.patch);
    match args.json {
        true => print(&serde_json::to_string_pretty(&json_of(&compared, patch))?),
        false => print(text_of(&compared, patch).trim_end()),
    }
}

fn json_of(compared: &Comparison, patch: Option<Totals>) -> Value {
    let files: Vec<Value> = compared.files.iter().map(file_json).collect();
    json!({
        "totals": {
            "base": ReportTotals::from(compared.base),
            "head": ReportTotals::from(compared.head),
            "patch": patch.map(ReportTotals::from),
        },
        "files": files,
    })
}

fn file_json(file: &FileComparison) -> Value {
    let lines = |lines: &[(u32, Coverage)]| -> Vec<Value> {
        let pairs = lines.iter();
        pairs
            .map(|(line, coverage)| json!([line, code(*coverage)]))
            .collect()
    };
    let indirect = file.lines.indirect.iter().map(|change| {
        let side = |line: u32, coverage: Option<Coverage>| json!([line, coverage.and_then(code)]);
        json!([
            side(change.base_line, change.base),
            side(change.head_line, change.head)
        ])
    });
    json!({
        "name": {"base": file.base_path, "head": file.head.is_some().then_some(&file.path)},
        "totals": {
            "base": file.base.map(ReportTotals::from),
            "head": file.head.map(ReportTotals::from),
            "patch": ReportTotals::from(file.lines.patch()),
        },
        "added": lines(&file.lines.added),
        "removed": lines(&file.lines.removed),
        "indirect": indirect.collect::<Vec<_>>(),
    })
}

fn text_of(compared: &Comparison, patch: Option<Totals>) -> String {
    let mut text = format!(
        "base  {}\nhead  {}\n",
        counts(&compared.base),
        counts(&compared.head)
    );
    if let Some(patch) = patch {
        text.push_str(&format!("patch {}\n", counts(&patch)));
    }
    for file in &compared.files {
        let side =
            |totals: Option<Totals>| totals.map_or("none".to_owned(), |totals| percent(&totals));
        text.push_str(&format!(
            "{}: {} to {}\n",
            file.path,
            side(file.base),
            side(file.head)
        ));
        let missed = file
            .lines
            .added
            .iter()
            .filter(|(_, coverage)| !coverage.is_hit());
        let missed: Vec<u32> = missed.map(|(line, _)| *line).collect();
        text.push_str(&named("added lines not covered", &missed));
        let counted = |change: &&IndirectChange| change.changes_state();
        let indirect = file.lines.indirect.iter().filter(counted);
        let indirect: Vec<u32> = indirect.map(|change| change.head_line).collect();
        text.push_str(&named("other lines that changed", &indirect));
    }
    text
}

fn counts(totals: &Totals) -> String {
    format!(
        "{:>8}  {} of {} lines",
        percent(totals),
        totals.hits,
        totals.lines
    )
}

fn percent(totals: &Totals) -> String {
    match totals.lines {
        0 => "-".into(),
        _ => format!("{:.2} %", ReportTotals::from(*totals).coverage),
    }
}

/// A line that names lines; nothing if there are none.
fn named(what: &str, lines: &[u32]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let shown: Vec<String> = lines.iter().take(LINES_NAMED).map(u32::to_string).collect();
    let more = match lines.len().saturating_sub(LINES_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("  {what}: {}{more}\n", shown.join(", "))
}
