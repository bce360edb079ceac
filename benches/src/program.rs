//! Runs a program with a limit on its time, and watches how much memory it takes.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// Time between two looks at a running program.
const POLL: Duration = Duration::from_millis(1);
/// Length of the reason that is shown of a failed program, in characters.
const REASON_CHARS: usize = 60;

/// How a program ended.
pub(crate) enum Ended {
    /// As it should; what it printed.
    Well(Vec<u8>),
    /// With an error; its last words.
    Badly(String),
    /// Not in time.
    Late,
}

/// A program that ran.
pub(crate) struct Run {
    pub(crate) ended: Ended,
    pub(crate) elapsed: Duration,
    /// The most memory that it held at once, mapped files included, in MB.
    pub(crate) peak_mb: f64,
    /// The most memory of its own, without mapped files, that was seen, in MB.
    pub(crate) peak_own_mb: f64,
}

/// Runs the program.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<Run> {
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(err.try_clone()?);
    let begun = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("start {}", command.get_program().display()))?;
    let (mut peak_mb, mut peak_own_mb) = (0.0f64, 0.0f64);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if begun.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            break None;
        }
        let (all, own) = memory_mb(&child);
        peak_mb = peak_mb.max(all);
        peak_own_mb = peak_own_mb.max(own);
        std::thread::sleep(POLL);
    };
    let elapsed = begun.elapsed();
    Ok(Run {
        ended: ended(status, &mut out, &mut err)?,
        elapsed,
        peak_mb,
        peak_own_mb,
    })
}

fn ended(status: Option<ExitStatus>, out: &mut File, err: &mut File) -> Result<Ended> {
    let Some(status) = status else {
        return Ok(Ended::Late);
    };
    if status.success() {
        return Ok(Ended::Well(written(out)?));
    }
    let words = [written(out)?, written(err)?].concat();
    let words = String::from_utf8_lossy(&words);
    let last = words.lines().rfind(|line| !line.trim().is_empty());
    let last: String = last
        .unwrap_or_default()
        .chars()
        .take(REASON_CHARS)
        .collect();
    Ok(Ended::Badly(format!("{status}: {last}")))
}

fn written(file: &mut File) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The most that the process held so far, and what of its own it holds now; 0 once it has ended.
fn memory_mb(child: &Child) -> (f64, f64) {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let value = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        kib.unwrap_or(0.0) * 1024.0 / 1e6
    };
    (value("VmHWM:"), value("RssAnon:"))
}
