//! Other programs that read coverage reports, on the same files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::generate::Kind;
use crate::program::{self, Ended, Run};

/// The root that gcovr puts in front of the paths of generated reports.
const ROOT: &str = "/home/runner/work/app/app";

/// A program beside which we measure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Reads tracefiles, JaCoCo and Go profiles, and writes a tracefile.
    Grcov,
    /// Sums up a tracefile.
    Lcov,
    /// Reads Cobertura, and writes a summary.
    Gcovr,
    /// Reads what a report says of the lines of a diff.
    DiffCover,
    /// Sums up Istanbul's reports.
    Nyc,
}

impl Peer {
    const ALL: [Peer; 5] = [
        Peer::Grcov,
        Peer::Lcov,
        Peer::Gcovr,
        Peer::DiffCover,
        Peer::Nyc,
    ];

    /// Those that read this format.
    pub(crate) fn of(kind: Kind) -> impl Iterator<Item = Peer> {
        Peer::ALL.into_iter().filter(move |peer| match peer {
            Peer::Grcov => matches!(kind, Kind::Lcov | Kind::Jacoco | Kind::Go),
            Peer::Lcov => kind == Kind::Lcov,
            Peer::Gcovr => kind == Kind::Cobertura,
            Peer::Nyc => kind == Kind::Istanbul,
            Peer::DiffCover => matches!(
                kind,
                Kind::Lcov | Kind::Cobertura | Kind::Clover | Kind::Jacoco
            ),
        })
    }

    /// The program and what it does.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Grcov => "grcov, to a tracefile",
            Peer::Lcov => "lcov --summary",
            Peer::Gcovr => "gcovr, to a summary",
            Peer::DiffCover => "diff-cover, a diff of one source",
            Peer::Nyc => "nyc report, to a summary",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Peer::Grcov => "grcov",
            Peer::Lcov => "lcov",
            Peer::Gcovr => "gcovr",
            Peer::DiffCover => "diff-cover",
            Peer::Nyc => "nyc",
        }
    }

    /// Reads the report on one core; `None` when the program is not installed.
    pub(crate) fn read(
        self,
        report: &Path,
        source: &str,
        scratch: &Path,
        limit: Duration,
    ) -> Result<Option<Run>> {
        let Some(program) = find(self.program()) else {
            return Ok(None);
        };
        let mut command = Command::new(program);
        command.current_dir(scratch);
        match self {
            Peer::Grcov => command.arg(report).args([
                "--branch",
                "--threads",
                "1",
                "-t",
                "lcov",
                "-o",
                "peer.out",
            ]),
            Peer::Lcov => command
                .args(["--rc", "lcov_branch_coverage=1", "--summary"])
                .arg(report),
            Peer::Gcovr => command
                .args([
                    "--root",
                    ROOT,
                    "--filter",
                    ".*",
                    "--json-summary",
                    "peer.out",
                ])
                .arg("--cobertura-add-tracefile")
                .arg(report),
            Peer::DiffCover => {
                write_diff(scratch, source)?;
                command.arg(report).args(["--diff-file", "peer.diff"])
            }
            Peer::Nyc => {
                let folder = scratch.join("peer.nyc");
                fs::create_dir_all(&folder)?;
                fs::hard_link(report, folder.join("report.json"))?;
                let options = ["--reporter=text-summary", "--exclude-after-remap=false"];
                command
                    .args(["report", "--temp-dir"])
                    .arg(folder)
                    .args(options)
            }
        };
        let run = program::run(&mut command, limit)?;
        if self == Peer::Nyc {
            fs::remove_dir_all(scratch.join("peer.nyc"))?;
        }
        let out = scratch.join("peer.out");
        let empty = fs::metadata(&out).is_ok_and(|out| out.len() == 0);
        if out.exists() {
            fs::remove_file(out)?;
        }
        let ended = match run.ended {
            Ended::Well(_) if empty => Ended::Badly("it wrote nothing".into()),
            Ended::Well(said) if String::from_utf8_lossy(&said).contains("( 0/0 )") => {
                Ended::Badly("it counts no lines".into())
            }
            ended => ended,
        };
        Ok(Some(Run { ended, ..run }))
    }
}

/// A diff that adds the first lines of a source, in a repository.
fn write_diff(folder: &Path, source: &str) -> Result<()> {
    const LINES: usize = 40;
    if !folder.join(".git").exists() {
        Command::new("git")
            .args(["init", "-q"])
            .current_dir(folder)
            .status()?;
    }
    let added = "+code\n".repeat(LINES);
    let diff = format!(
        "diff --git a/{source} b/{source}\nindex 1111111..2222222 100644\n--- a/{source}\n+++ b/{source}\n@@ -0,0 +1,{LINES} @@\n{added}"
    );
    Ok(fs::write(folder.join("peer.diff"), diff)?)
}

/// The program on the path, which `script/bench` sets.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}
