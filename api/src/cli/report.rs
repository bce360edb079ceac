//! `hitline report`: what a server would make of the reports here, without one.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use engine::clock::Clock;
use engine::model::Totals;
use ingest::export::{ArmCounts, Format, Writer};
use serde_json::json;

use super::offline::{Head, HeadArgs};
use super::print;
use crate::handlers::rest::report::FileBody;
use crate::handlers::rest::totals::ReportTotals;

/// Arguments of `report`.
#[derive(Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    head: HeadArgs,

    /// Print totals and files as JSON, as the API answers them
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// Print the merged report in this format instead
    #[arg(long, value_enum)]
    format: Option<FormatName>,

    /// Write to this file what else would be printed
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Save the report to this file, for --base of `hitline compare` and `hitline check`
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// A format by its name.
#[derive(Clone, Copy, ValueEnum)]
enum FormatName {
    /// A tracefile
    Lcov,
    /// Cobertura's XML
    Cobertura,
    /// A JSON object a line
    Ndjson,
    /// Apache Parquet: a row a line
    Parquet,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Format {
        match name {
            FormatName::Lcov => Format::Lcov,
            FormatName::Cobertura => Format::Cobertura,
            FormatName::Ndjson => Format::Ndjson,
            FormatName::Parquet => Format::Parquet,
        }
    }
}

/// Reads, prints and saves.
pub(super) fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let head = args.head.read()?;
    if let Some(path) = &args.save {
        fs::write(path, head.pack.bytes()).with_context(|| format!("write {}", path.display()))?;
    }
    for problem in &head.outcome.problems {
        eprintln!("hitline: {}: {}", problem.code.as_str(), problem.message);
    }
    match (args.format, args.json, &args.output) {
        (Some(format), _, output) => export(&head, format.into(), output.as_ref()),
        (None, true, output) => put(&json_of(&head)?, output.as_ref()),
        (None, false, output) => put(&table_of(&head), output.as_ref()),
    }
}

fn put(text: &str, output: Option<&PathBuf>) -> anyhow::Result<()> {
    match output {
        None => print(text.trim_end()),
        Some(path) => fs::write(path, text).with_context(|| format!("write {}", path.display())),
    }
}

fn export(head: &Head, format: Format, output: Option<&PathBuf>) -> anyhow::Result<()> {
    let mut out: Box<dyn std::io::Write> = match output {
        None => Box::new(std::io::stdout().lock()),
        Some(path) => {
            let file =
                fs::File::create(path).with_context(|| format!("write {}", path.display()))?;
            Box::new(std::io::BufWriter::new(file))
        }
    };
    let mut arms = ArmCounts::default();
    let files = &head.outcome.files;
    files.iter().for_each(|(_, file)| arms.add(file));
    let mut writer = Writer::new(format);
    let mut part = Vec::new();
    writer.start(
        &head.outcome.totals,
        arms,
        Clock::system().now_us(),
        &mut part,
    );
    for (path, file) in files {
        writer.file(path, file, &mut part);
        out.write_all(&part)?;
        part.clear();
    }
    writer.end(&mut part);
    out.write_all(&part)?;
    Ok(out.flush()?)
}

fn json_of(head: &Head) -> anyhow::Result<String> {
    let files = head.outcome.files.iter().map(|(path, file)| FileBody {
        name: path.clone(),
        totals: file.totals().into(),
        line_coverage: None,
    });
    let body = json!({
        "totals": ReportTotals::from(head.outcome.totals),
        "files": files.collect::<Vec<_>>(),
    });
    Ok(serde_json::to_string_pretty(&body)?)
}

/// A line for each file, and one for all.
fn table_of(head: &Head) -> String {
    let mut text = String::new();
    for (path, file) in &head.outcome.files {
        text.push_str(&line_of(path, &file.totals()));
    }
    let totals = &head.outcome.totals;
    text.push_str(&line_of(&format!("{} files", totals.files), totals));
    text
}

fn line_of(name: &str, totals: &Totals) -> String {
    let coverage = ReportTotals::from(*totals).coverage;
    format!(
        "{coverage:>6.2} %  {:>9} of {:>9} lines  {:>7} partial  {name}\n",
        totals.hits, totals.lines, totals.partials
    )
}
