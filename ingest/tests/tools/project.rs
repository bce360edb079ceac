//! A copy of a project, the tools that measure it, and what is read of their reports.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use engine::clock::Clock;
use engine::model::{Kind, State};
use ingest::envelope::{Budget, Envelope, UploadedFile};
use ingest::settings::Settings;
use ingest::{Outcome, process_files};
use regex::Regex;
use tempfile::TempDir;

/// A project in a folder of its own, which vanishes with it.
pub(crate) struct Project {
    folder: TempDir,
    sources: Vec<String>,
}

impl Project {
    /// A copy of `tests/projects/{name}`.
    pub(crate) fn copy(name: &str) -> Project {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/projects")
            .join(name);
        let folder = tempfile::tempdir().unwrap();
        let mut sources = Vec::new();
        copy(&from, folder.path(), "", &mut sources);
        Project { folder, sources }
    }

    /// Runs a tool in the project; the command line is split at blanks. What it prints on either stream.
    pub(crate) fn run(&self, command: &str) -> String {
        self.run_with(&[], command)
    }

    /// Runs a tool with these variables in its environment.
    pub(crate) fn run_with(&self, variables: &[(&str, &str)], command: &str) -> String {
        let mut words = command.split_whitespace();
        let tool = words.next().unwrap();
        let mut started = Command::new(find(tool));
        started
            .args(words)
            .current_dir(self.folder.path())
            .envs(variables.iter().copied());
        let done = started.output().unwrap();
        let printed = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        assert!(
            done.status.success(),
            "{command}: {}\n{printed}",
            done.status
        );
        printed
    }

    /// The files in a folder of the project whose name ends so.
    pub(crate) fn files(&self, folder: &str, ending: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.folder.path().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(ending))
            .collect();
        names.sort();
        names
    }

    /// The text of one of its files.
    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// Keeps what a tool printed as a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Reads reports as one upload. They must say something, and nothing odd.
    pub(crate) fn read(&self, reports: &[impl AsRef<str>]) -> Lines {
        self.read_with("{}", reports)
    }

    /// Reads reports with a codecov.yml.
    pub(crate) fn read_with(&self, yaml: &str, reports: &[impl AsRef<str>]) -> Lines {
        let outcome = self.upload_with(yaml, reports);
        assert_eq!(outcome.problems, []);
        Lines::count(outcome)
    }

    /// What comes of an upload of these reports, whatever that is.
    pub(crate) fn upload(&self, reports: &[impl AsRef<str>]) -> Outcome {
        self.upload_with("{}", reports)
    }

    /// What comes of an upload of these reports, in a repository of the project's files with this codecov.yml.
    fn upload_with(&self, yaml: &str, reports: &[impl AsRef<str>]) -> Outcome {
        let file = |name: &str| {
            UploadedFile::new(
                name.to_owned(),
                fs::read(self.folder.path().join(name)).unwrap(),
            )
        };
        let envelope = Envelope {
            network: self
                .sources
                .iter()
                .map(|path| path.as_str().into())
                .collect(),
            files: reports.iter().map(|name| file(name.as_ref())).collect(),
            ..Envelope::default()
        };
        let settings = Settings::parse(yaml);
        let now_us = Clock::system().now_us();
        process_files(&envelope, &Budget::new(0), &settings, &[], now_us)
    }
}

fn copy(from: &Path, to: &Path, prefix: &str, sources: &mut Vec<String>) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (name, target) = (entry.file_name(), to.join(entry.file_name()));
        let path = format!("{prefix}{}", name.to_str().unwrap());
        if entry.path().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target, &format!("{path}/"), sources);
        } else {
            fs::copy(entry.path(), &target).unwrap();
            sources.push(path);
        }
    }
}

/// What was read, counted.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) outcome: Outcome,
    pub(crate) lines: u64,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) partials: u64,
    /// Arms of all lines that branch, and how many of them were taken.
    pub(crate) arms: u64,
    pub(crate) arms_taken: u64,
}

impl Lines {
    /// Counts what came of an upload.
    pub(crate) fn count(outcome: Outcome) -> Lines {
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        let totals = outcome.totals;
        let rows = outcome.files.iter().flat_map(|(_, file)| file.rows());
        let arms: Vec<_> = rows.filter_map(|(_, evidence)| evidence.arms).collect();
        Lines {
            lines: totals.lines,
            hits: totals.hits,
            misses: totals.misses,
            partials: totals.partials,
            arms: arms.iter().map(|arms| u64::from(arms.total)).sum(),
            arms_taken: arms.iter().map(|arms| u64::from(arms.taken)).sum(),
            outcome,
        }
    }

    /// Lines that ran at all: most tools call them covered.
    pub(crate) fn covered(&self) -> u64 {
        self.hits + self.partials
    }

    /// The lines of one source, with what they are.
    pub(crate) fn of(&self, path: &str) -> Vec<(u32, Kind, State)> {
        let files = &self.outcome.files;
        let (_, file) = files.iter().find(|(name, _)| name == path).unwrap();
        file.rows()
            .filter_map(|(line, row)| Some((line, row.kind, row.coverage().state()?)))
            .collect()
    }

    /// Lines of one kind: all of them, and those that ran.
    pub(crate) fn of_kind(&self, kind: Kind) -> (u64, u64) {
        let paths = self.outcome.files.iter().map(|(path, _)| path);
        let lines = paths.flat_map(|path| self.of(path));
        let states: Vec<State> = lines
            .filter_map(|(_, found, state)| (found == kind).then_some(state))
            .collect();
        let ran = states.iter().filter(|&&state| state != State::Miss).count();
        (states.len() as u64, ran as u64)
    }
}

/// The numbers in the groups of a pattern, where a tool's text first fits it.
pub(crate) fn figures<const N: usize>(text: &str, pattern: &str) -> [u64; N] {
    let found = Regex::new(pattern).unwrap().captures(text);
    let found = found.unwrap_or_else(|| panic!("nothing fits {pattern} in\n{text}"));
    std::array::from_fn(|i| found[i + 1].parse().unwrap())
}

/// Where a tool is: in the folders of `script/env`, or on the path.
fn find(tool: &str) -> PathBuf {
    let install = match tool {
        "coverage" | "gcovr" => "script/bootstrap (pip)",
        "c8" | "nyc" => "script/bootstrap (npm)",
        "gcc" | "gcov" | "git" | "lcov" => "apt-get install --no-install-recommends gcc git lcov",
        "clang" | "llvm-cov" | "llvm-profdata" => {
            "apt-get install --no-install-recommends clang llvm"
        }
        "go" => "apt-get install --no-install-recommends golang-go",
        "jar" | "java" | "javac" => {
            "apt-get install --no-install-recommends default-jdk-headless libjacoco-java"
        }
        "node" => "a package of Node.js 20 or newer",
        "phpunit" => "apt-get install --no-install-recommends phpunit php-pcov",
        "ruby" => "apt-get install --no-install-recommends ruby-simplecov",
        _ => "what builds it",
    };
    let here = tool.starts_with("./").then(|| PathBuf::from(tool));
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let cache = cache();
    let folders = [cache.join("venv/bin"), cache.join("npm/node_modules/.bin")];
    let mut places = folders.into_iter().chain(std::env::split_paths(&in_path));
    here.or_else(|| {
        places
            .find(|folder| folder.join(tool).is_file())
            .map(|folder| folder.join(tool))
    })
    .unwrap_or_else(|| panic!("{tool} is missing; install it with: {install}"))
}

/// Where `script/bootstrap` puts tools.
fn cache() -> PathBuf {
    std::env::var_os("HITLINE_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/hitline"),
        PathBuf::from,
    )
}
