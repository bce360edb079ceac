//! How fast each parser is, against what the machine needs to look at the same bytes, and against other programs.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;
use tempfile::TempDir;

use crate::generate::{Kind, Shape, network, write_report};
use crate::peers::Peer;
use crate::program::{self, Ended};

/// Times that a program reads a file in one run, so that starting it does not count.
const READS: usize = 10;
/// Bytes that the runs of one measurement read, about; they are many where the report is small.
const BYTES_READ: u64 = 1 << 30;
/// Runs of one measurement, of which the best counts, at least and at most.
const RUNS: (u64, u64) = (3, 2000);
/// Time that Hitline may take for one measurement.
const LIMIT: Duration = Duration::from_secs(180);

/// What reports are measured with.
pub(crate) struct Bench {
    hitline: PathBuf,
    folder: TempDir,
    now_us: i64,
    quick: bool,
}

/// A generated report, until it is dropped.
pub(crate) struct Report {
    kind: Kind,
    path: PathBuf,
    network: PathBuf,
    /// The first of its sources.
    source: String,
    /// Its size.
    pub(crate) bytes: u64,
}

impl Drop for Report {
    fn drop(&mut self) {
        // What cannot be removed goes with the folder.
        let _ = fs::remove_file(&self.path);
    }
}

/// What `hitline parse --time` says.
pub(crate) struct Timed {
    pub(crate) lines: u64,
    /// Of the best run.
    pub(crate) seconds: f64,
    /// Of the whole process, all its runs and its start.
    pub(crate) all_seconds: f64,
    /// The most memory, without and with the mapped report, in MB.
    pub(crate) own_mb: f64,
    pub(crate) all_mb: f64,
}

impl Bench {
    /// Measures with this program. A quick measurement reads less, and tells less.
    pub(crate) fn new(hitline: &Path, now_us: i64, quick: bool) -> Result<Bench> {
        Ok(Bench {
            hitline: hitline.to_owned(),
            folder: tempfile::tempdir()?,
            now_us,
            quick,
        })
    }

    /// Writes a report, to be removed again.
    pub(crate) fn report(&self, kind: Kind, shape: Shape) -> Result<Report> {
        let path = self.folder.path().join(kind.file_name());
        let (name, Shape { files, lines, .. }) = (kind.name(), shape);
        eprintln!("benches: {name}, {files} sources, {lines} lines");
        let mut out = BufWriter::new(File::create(&path)?);
        write_report(kind, shape, self.now_us, &mut out)?;
        out.flush()?;
        let paths = self.folder.path().join("network");
        let sources = network(kind, shape);
        fs::write(&paths, sources.join("\n"))?;
        Ok(Report {
            kind,
            bytes: fs::metadata(&path)?.len(),
            path,
            network: paths,
            source: sources.into_iter().next().unwrap_or_default(),
        })
    }

    /// Reads the report on so many cores; the error is why it could not be read.
    pub(crate) fn parse(
        &self,
        report: &Report,
        cores: usize,
        runs: u64,
    ) -> Result<Result<Timed, String>> {
        let mut command = Command::new(&self.hitline);
        command.arg("parse").arg(&report.path).arg("--network");
        command.arg(&report.network);
        command.args(["--time", &runs.to_string()]);
        command.env("RAYON_NUM_THREADS", cores.to_string());
        Ok(
            timed(&mut command, LIMIT)?.and_then(|timed| match timed.lines {
                0 => Err("not read".into()),
                _ => Ok(timed),
            }),
        )
    }

    /// The program, and how it does on the report: cells of a table.
    pub(crate) fn peer_cells(&self, peer: Peer, report: &Report) -> Result<String> {
        Ok(self.peer(peer, report)?.0)
    }

    /// Program, seconds, MB/s and memory, and the seconds alone, if it came to an end or was late.
    fn peer(&self, peer: Peer, report: &Report) -> Result<(String, Option<f64>)> {
        let name = peer.name();
        let limit = self.peer_limit();
        let folder = self.folder.path();
        let Some(run) = peer.read(&report.path, &report.source, folder, limit)? else {
            return Ok((format!("{name} | not installed | |"), None));
        };
        let (seconds, memory) = (run.elapsed.as_secs_f64(), run.peak_mb);
        let mb = report.bytes as f64 / 1e6;
        Ok(match run.ended {
            Ended::Well(_) => {
                let speed = mb / seconds;
                let cells = format!("{name} | {seconds:.2} | {speed:.1} | {memory:.0}");
                (cells, Some(seconds))
            }
            Ended::Badly(reason) => {
                let cells = format!("{name} | {seconds:.2}, fails: {reason} | | {memory:.0}");
                (cells, None)
            }
            Ended::Late => {
                let cells = format!("{name} | stopped after {seconds:.0} | | {memory:.0}");
                (cells, Some(seconds))
            }
        })
    }

    /// Time that another program may take for one report.
    pub(crate) fn peer_limit(&self) -> Duration {
        Duration::from_secs(if self.quick { 10 } else { 60 })
    }

    /// Times that a report is read at most.
    pub(crate) fn most_times(&self) -> u64 {
        if self.quick { 10 } else { u64::MAX }
    }

    /// The program that is measured.
    pub(crate) fn hitline(&self) -> &Path {
        &self.hitline
    }

    /// Where generated reports are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn runs(&self, bytes: u64) -> u64 {
        let bytes_read = if self.quick {
            BYTES_READ >> 3
        } else {
            BYTES_READ
        };
        (bytes_read / bytes.max(1)).clamp(RUNS.0, RUNS.1)
    }
}

/// Runs `hitline parse --time`; the error is why there is no time.
pub(crate) fn timed(command: &mut Command, limit: Duration) -> Result<Result<Timed, String>> {
    let run = program::run(command, limit)?;
    let said: Value = match run.ended {
        Ended::Late => return Ok(Err(format!("more than {} s", limit.as_secs()))),
        Ended::Badly(reason) => return Ok(Err(reason)),
        Ended::Well(said) => serde_json::from_slice(&said)?,
    };
    Ok(Ok(Timed {
        lines: said["lines"].as_u64().unwrap_or(0),
        seconds: said["seconds_best"].as_f64().unwrap_or(f64::INFINITY),
        all_seconds: run.elapsed.as_secs_f64(),
        own_mb: run.peak_own_mb,
        all_mb: run.peak_mb,
    }))
}

/// Writes the large report of each format, and the files of its repository beside it.
pub(crate) fn write_inputs(folder: &Path, shape: Shape, now_us: i64) -> Result<()> {
    fs::create_dir_all(folder)?;
    for kind in Kind::ALL {
        let shape = large(kind, shape);
        let path = folder.join(kind.file_name());
        let mut out = BufWriter::new(File::create(&path)?);
        write_report(kind, shape, now_us, &mut out)?;
        out.flush()?;
        let beside = folder.join(format!("{}.network", kind.file_name()));
        fs::write(
            beside,
            network(kind, shape).join(
                "
",
            ),
        )?;
    }
    Ok(())
}

/// The shape of the large report of a format.
fn large(kind: Kind, shape: Shape) -> Shape {
    Shape {
        files: shape.files / kind.weight(),
        lines: shape.lines / kind.weight(),
        ..shape
    }
}

/// Three tables: each format on a large report, other programs on the same, and each format on other reports.
pub(crate) fn measure(bench: &Bench, shape: Shape) -> Result<String> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for kind in Kind::ALL {
        let report = bench.report(kind, large(kind, shape))?;
        let parsed = bench.parse(&report, 1, bench.runs(report.bytes))?;
        ours.push(parser_row(bench, &report, &parsed)?);
        for peer in Peer::of(kind) {
            theirs.push(peer_row(bench, peer, &report, &parsed)?);
        }
    }
    let (files, lines) = (shape.files, shape.lines);
    let mut text = format!(
        "\n## Parsers\n\nOne core, best of several runs: report to merged evidence with fixed paths, {files} sources of about {lines} lines \
         (fewer in those of Istanbul, OpenCover and scoverage; gcov's report is of one source). Memory is the peak of the process, without and with the mapped report. \
         Aims are for a processor on which `wc -l` reads 6 GB/s: a quarter of that for LCOV, Go and XML.\n\n\
         | format | MB | lines | Hitline, MB/s | aim, MB/s | lines/s, M | reader | reader, MB/s | Hitline to reader | memory, own and all, MB |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n{}",
        ours.concat()
    );
    text += &format!(
        "\n## Other programs\n\nThe same reports, one core, once each, {} s at most. Starting counts, and writing where the program writes; \
         of those that are stopped, the figure is at least that.\n\n\
         | format | program | seconds | MB/s | memory, MB | Hitline is faster |\n| --- | --- | --- | --- | --- | --- |\n{}",
        bench.peer_limit().as_secs(),
        theirs.concat()
    );
    Ok(text + &classes(bench, shape)?)
}

fn parser_row(bench: &Bench, report: &Report, parsed: &Result<Timed, String>) -> Result<String> {
    let mb = report.bytes as f64 / 1e6;
    let name = report.kind.name();
    let parsed = match parsed {
        Ok(parsed) => parsed,
        Err(reason) => return Ok(format!("| {name} | {mb:.1} | | {reason} | | | | | | |\n")),
    };
    let reader = if report.kind.has_lines() {
        ["wc", "-l"].as_slice()
    } else {
        &["cat"]
    };
    let runs = if bench.quick { RUNS.0 } else { 7 };
    let read = best_mb_per_s(reader, &report.path, runs)?;
    let ours = mb / parsed.seconds;
    Ok(format!(
        "| {name} | {mb:.1} | {} | {ours:.0} | {} | {:.1} | `{}` | {read:.0} | {:.3} | {:.0}, {:.0} |\n",
        parsed.lines,
        report.kind.aim_mb_per_s(),
        parsed.lines as f64 / 1e6 / parsed.seconds,
        reader.join(" "),
        ours / read,
        parsed.own_mb,
        parsed.all_mb,
    ))
}

fn peer_row(
    bench: &Bench,
    peer: Peer,
    report: &Report,
    parsed: &Result<Timed, String>,
) -> Result<String> {
    let ours = parsed.as_ref().map_or(f64::NAN, |parsed| parsed.seconds);
    let (cells, seconds) = bench.peer(peer, report)?;
    let faster = match seconds {
        Some(seconds) => format!("{:.0} ×", seconds / ours),
        None => String::new(),
    };
    Ok(format!("| {} | {cells} | {faster} |\n", report.kind.name()))
}

/// The other classes of reports, beside the large one.
fn classes(bench: &Bench, shape: Shape) -> Result<String> {
    let of = |files, lines| Shape {
        files,
        lines,
        ..shape
    };
    let classes = [
        ("tiny, µs", of(1, 20)),
        ("typical", of(500, 50_000)),
        ("one source", of(1, shape.lines / 4)),
        ("slivers", of(shape.lines / 20, shape.lines / 10)),
    ];
    let mut text = format!(
        "\n## Input classes\n\nOne core, MB/s. Tiny is 1 source of 20 lines, in µs; typical 500 of 50000 lines in all; one source \
         has {} lines; slivers are {} sources of 2 lines each.\n\n| format | tiny, µs | typical | one source | slivers |\n| --- | --- | --- | --- | --- |\n",
        shape.lines / 4,
        shape.lines / 20
    );
    for kind in Kind::ALL {
        text += &format!("| {}", kind.name());
        for (class, shape) in classes {
            if kind == Kind::Gcov && class == "slivers" {
                text += " | one source only";
                continue;
            }
            let report = bench.report(kind, shape)?;
            let cell = match bench.parse(&report, 1, bench.runs(report.bytes))? {
                Err(reason) => reason,
                Ok(parsed) if class.starts_with("tiny") => format!("{:.1}", parsed.seconds * 1e6),
                Ok(parsed) => format!("{:.0}", report.bytes as f64 / 1e6 / parsed.seconds),
            };
            text += &format!(" | {cell}");
        }
        text += " |\n";
    }
    Ok(text)
}

/// How fast the program reads the file.
fn best_mb_per_s(program: &[&str], path: &Path, runs: u64) -> Result<f64> {
    let bytes = fs::metadata(path)?.len() as f64 * READS as f64;
    let mut best = f64::INFINITY;
    for _ in 0..runs {
        let begun = Instant::now();
        let status = Command::new(program[0])
            .args(&program[1..])
            .args(vec![path; READS])
            .stdout(Stdio::null())
            .status()?;
        anyhow::ensure!(
            status.success(),
            "{} {}: {status}",
            program[0],
            path.display()
        );
        best = best.min(begun.elapsed().as_secs_f64());
    }
    Ok(bytes / 1e6 / best)
}
