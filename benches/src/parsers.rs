//! How fast each parser is, against what the machine needs to look at the same bytes.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::generate::{Kind, Shape, network, write_report};

/// Times that a program reads a file in one run, so that starting it does not count.
const READS: usize = 10;
/// Runs, of which the best counts.
const RUNS: u32 = 7;

/// The table, a row for each format.
pub(crate) fn measure(hitline: &Path, shape: Shape, now_us: i64) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let mut table = String::from(
        "| format | MB | lines | Hitline, MB/s | reader | reader, MB/s | Hitline to reader |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for kind in Kind::ALL {
        let path = folder.path().join(kind.file_name());
        let mut out = BufWriter::new(File::create(&path)?);
        write_report(kind, shape, now_us, &mut out)?;
        out.flush()?;
        let paths = folder.path().join("network");
        fs::write(&paths, network(kind, shape).join("\n"))?;

        let parsed = parse(hitline, &path, &paths)?;
        let reader = if kind.has_lines() {
            ["wc", "-l"].as_slice()
        } else {
            &["cat"]
        };
        let read = best_mb_per_s(reader, &path)?;
        let ours = parsed["mb_per_s_best"]
            .as_f64()
            .context("mb_per_s_best is missing")?;
        table += &format!(
            "| {} | {:.1} | {} | {ours:.0} | `{}` | {read:.0} | {:.3} |\n",
            kind.name(),
            fs::metadata(&path)?.len() as f64 / 1e6,
            parsed["lines"],
            reader.join(" "),
            ours / read
        );
        fs::remove_file(&path)?;
    }
    Ok(table)
}

/// What `hitline parse --time` says, on one core.
fn parse(hitline: &Path, report: &Path, paths: &Path) -> Result<Value> {
    let mut command = Command::new(hitline);
    command
        .arg("parse")
        .arg(report)
        .arg("--network")
        .arg(paths)
        .args(["--time", &RUNS.to_string()]);
    let done = command
        .env("RAYON_NUM_THREADS", "1")
        .stderr(Stdio::inherit())
        .output()?;
    anyhow::ensure!(
        done.status.success(),
        "hitline parse {}: {}",
        report.display(),
        done.status
    );
    Ok(serde_json::from_slice(&done.stdout)?)
}

/// How fast the program reads the file.
fn best_mb_per_s(program: &[&str], path: &Path) -> Result<f64> {
    let bytes = fs::metadata(path)?.len() as f64 * READS as f64;
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let begun = Instant::now();
        let files = vec![path; READS];
        let status = Command::new(program[0])
            .args(&program[1..])
            .args(files)
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
