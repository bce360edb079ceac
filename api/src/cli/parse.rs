//! `hitline parse`: the server's engine, offline, on report files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use engine::clock::Clock;
use engine::mmap::Mapped;
use ingest::envelope::{Budget, Envelope, Fixes, UploadedFile};
use ingest::settings::Settings;
use ingest::shown::{render_single, run_scenario};
use ingest::{Outcome, process_files};
use serde_json::{Value, json};

use super::print;

/// Arguments of `parse`.
#[derive(Args)]
pub(super) struct ParseArgs {
    /// Report files, all of one upload; with --scenario one scenario file
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The reports' name, as an uploader would send it; it can decide format and paths
    #[arg(long)]
    name: Option<String>,
    /// A file with the repository's paths, one a line
    #[arg(long)]
    network: Option<PathBuf>,
    /// A codecov.yml, as YAML or JSON
    #[arg(long)]
    yaml: Option<PathBuf>,
    /// A file with report fixes, in the text form of the older uploaders
    #[arg(long)]
    fixes: Option<PathBuf>,
    /// A flag of the upload; may be given several times
    #[arg(long = "flag", value_name = "NAME")]
    flags: Vec<String>,
    /// The file is a scenario: a JSON object with uploads that become one report
    #[arg(long)]
    scenario: bool,
    /// Parse N times in this process and print seconds and MB/s instead of the coverage
    #[arg(long, value_name = "N")]
    time: Option<u32>,
    /// Tell which paths match no file of --network or are left out, and the fixes that would mend them
    #[arg(long, value_enum, value_name = "AS", num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    explain: Option<Explain>,
}

/// The form of an explanation.
#[derive(Clone, Copy, ValueEnum)]
enum Explain {
    /// For people
    Text,
    /// For programs: what the API answers for an upload
    Json,
}

/// Parses and prints.
pub(super) fn run(args: &ParseArgs) -> anyhow::Result<()> {
    let now_us = Clock::system().now_us();
    if args.scenario {
        let file = &args.files[0];
        let scenario: Value =
            serde_json::from_slice(&fs::read(file).with_context(|| file.display().to_string())?)
                .with_context(|| format!("{} is no JSON", file.display()))?;
        let folder = file.parent().unwrap_or(Path::new("."));
        return print(&serde_json::to_string_pretty(&run_scenario(
            &scenario, folder, now_us,
        )?)?);
    }
    let input = Input::read(args)?;
    if let Some(runs) = args.time {
        return print(&serde_json::to_string(&time(&input, runs.max(1), now_us))?);
    }
    let outcome = input.process(now_us);
    match args.explain {
        None => print(&serde_json::to_string_pretty(&render_single(&outcome))?),
        Some(Explain::Json) => print(&serde_json::to_string_pretty(&outcome.paths)?),
        Some(Explain::Text) => print(outcome.paths.to_string().trim_end()),
    }
}

/// The files of the command line, in memory.
struct Input {
    reports: Vec<(String, Mapped)>,
    network: String,
    fixes: Option<String>,
    settings: Settings,
    flags: Vec<String>,
}

impl Input {
    fn read(args: &ParseArgs) -> anyhow::Result<Input> {
        let text = |path: &Option<PathBuf>| match path {
            Some(path) => fs::read_to_string(path)
                .with_context(|| path.display().to_string())
                .map(Some),
            None => Ok(None),
        };
        let reports = args.files.iter().map(|path| {
            let name = args.name.clone().unwrap_or_default();
            let file = fs::File::open(path).with_context(|| path.display().to_string())?;
            Ok((name, Mapped::sealed(file)?))
        });
        Ok(Input {
            reports: reports.collect::<anyhow::Result<_>>()?,
            network: text(&args.network)?.unwrap_or_default(),
            fixes: text(&args.fixes)?,
            settings: Settings::parse(text(&args.yaml)?.as_deref().unwrap_or("{}")),
            flags: args.flags.clone(),
        })
    }

    fn bytes(&self) -> usize {
        self.reports.iter().map(|(_, report)| report.len()).sum()
    }

    fn process(&self, now_us: i64) -> Outcome {
        let files = self
            .reports
            .iter()
            .map(|(name, report)| UploadedFile::new(name.as_str(), &report[..]));
        let envelope = Envelope {
            network: self
                .network
                .lines()
                .filter(|path| !path.is_empty())
                .map(Into::into)
                .collect(),
            files: files.collect(),
            fixes: self
                .fixes
                .as_deref()
                .map_or(Fixes::None, |text| Fixes::Text(text.into())),
        };
        process_files(
            &envelope,
            &Budget::new(self.bytes()),
            &self.settings,
            &self.flags,
            now_us,
        )
    }
}

/// Times the runs; the best and the median count.
fn time(input: &Input, runs: u32, now_us: i64) -> Value {
    let mut lines = 0;
    let mut seconds: Vec<f64> = (0..runs)
        .map(|_| {
            let begun = Instant::now();
            let outcome = input.process(now_us);
            lines = outcome.totals.lines;
            begun.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    let (best, median) = (seconds[0], seconds[seconds.len() / 2]);
    let mb = input.bytes() as f64 / 1e6;
    json!({
        "runs": runs,
        "bytes": input.bytes(),
        "lines": lines,
        "seconds_best": best,
        "seconds_median": median,
        "mb_per_s_best": mb / best,
        "mb_per_s_median": mb / median,
    })
}
