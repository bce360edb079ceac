//! Finds coverage reports by their names, in every folder below the search root that is not a dependency's,
//! a tool's or an environment's. What git ignores is searched too: reports are seldom tracked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use globset::{Glob, GlobSet, GlobSetBuilder};
use walkdir::{DirEntry, WalkDir};

use super::payload;

/// The most reports that one upload carries.
pub(super) const MAX_REPORTS: usize = 10_000;

/// The most files that are listed where git is not there to tell.
const MAX_FILES: usize = 1_000_000;

/// Where the settings file may be, below the checkout's root.
const SETTINGS_FOLDERS: [&str; 3] = ["", "dev", ".github"];
/// Names of the settings file.
const SETTINGS_NAMES: [&str; 4] = [
    "codecov.yml",
    ".codecov.yml",
    "codecov.yaml",
    ".codecov.yaml",
];

/// Names of reports, as globs on the file's name.
const REPORT_NAMES: &[&str] = &[
    "*coverage*.*",
    "*.clover",
    "*.cobertura.xml",
    "*.codecov.*",
    "*.coverprofile",
    "*.gcov",
    "*.lcov",
    "*.lst",
    "*[Jj]acoco*.xml",
    "clover.xml",
    "cobertura*.xml",
    "codecov.*",
    "codecov-result.json",
    "cover.out",
    "excoveralls.json",
    "gcov.info",
    "lcov.dat",
    "lcov.info",
    "luacov.report.out",
    "naxsi.info",
    "nosetests.xml",
    "opencover*.xml",
    "pylcov.dat",
    "report.xml",
    "test_cov.xml",
];

/// Endings of files that are no report though a report's name may match: sources, pages, settings, archives.
const OTHER_ENDINGS: &[&str] = &[
    "*js", "am", "bash", "bat", "bw", "cfg", "class", "cmake", "conf", "coverage", "cp", "cpp",
    "crt", "csg", "css", "csv", "dart", "data", "db", "dox", "ec", "egg", "egg-info", "el", "env",
    "erb", "err", "exe", "feature", "ftl", "gif", "go", "gradle", "gz", "h", "html", "in", "jade",
    "jar*", "java", "jpeg", "jpg", "jsx", "kt", "less", "library", "log", "m4", "mak*", "map",
    "md", "module", "mp4", "o", "p12", "pem", "php", "png", "pom*", "profdata", "profraw", "proto",
    "prototxt", "ps1", "pth", "py", "pyc", "pyo", "rake", "rb", "rs", "rsp", "rst", "ru", "sbt",
    "scala", "scss", "sh", "snapshot", "sql", "svg", "swift", "tar.tz", "template", "ts", "tsx",
    "vue", "whl", "xcconfig", "yaml", "yml", "zip",
];

/// Whole names of files that are no report though a report's name may match.
const OTHER_NAMES: &[&str] = &[
    "*.SHA256SUM",
    "*.SHA256SUM.sig",
    "*.serialized",
    "*.sha256sum",
    "*.xcoverage.*",
    "*~",
    ".*coveragerc",
    ".coverage*",
    ".git*",
    "conftest_*.c.gcov",
    "coverage-summary.json",
    "createdFiles.lst",
    "fullLocaleNames.lst",
    "include.lst",
    "inputFiles.lst",
    "phpunit-code-coverage.xml",
    "phpunit-coverage.xml",
    "remapInstanbul.coverage*.json",
    "scoverage.measurements.*",
    "test-result-*-codecoverage.json",
    "test_*_coverage.txt",
    "testrunner-coverage*",
];

/// Names of folders that are not searched.
const OTHER_FOLDERS: &[&str] = &[
    "*.egg-info",
    ".circleci",
    ".env",
    ".envs",
    ".git",
    ".go",
    ".hg",
    ".nyc_output",
    ".tox",
    ".venv",
    ".venvs",
    ".virtualenv",
    ".virtualenvs",
    ".yarn",
    ".yarn-cache",
    "__pycache__",
    "bower_components",
    "env",
    "envs",
    "htmlcov",
    "jspm_packages",
    "node_modules",
    "vendor",
    "venv",
    "venvs",
    "virtualenv",
    "virtualenvs",
];

/// Lists the reports to upload, sorted by path and each once: the files `named` by the user, looked up from the
/// current folder and then from `root`, and unless `search` is off every report found below `root`. `excluded`
/// are names or paths of further folders not to search. Errors: a named file that does not exist, `root`
/// cannot be read, more than `MAX_REPORTS`.
pub(super) fn reports(
    root: &Path,
    named: &[PathBuf],
    search: Search,
    excluded: &[PathBuf],
) -> Result<Vec<PathBuf>> {
    let mut reports = BTreeSet::new();
    for file in named {
        reports.insert(locate(root, file)?);
    }
    if search == Search::On {
        add_found(root, excluded, &mut reports)?;
    }
    Ok(reports.into_iter().collect())
}

/// Lists every file below `root` but those in folders that are not searched, relative to it and sorted: the list of
/// a repository's files where git is not there to tell. Errors: `root` cannot be read, more than
/// `MAX_FILES`.
pub(super) fn files(root: &Path) -> Result<Vec<String>> {
    let names = Names::new()?;
    let is_searched = |entry: &DirEntry| {
        entry.depth() == 0
            || !(entry.file_type().is_dir() && names.folders.is_match(entry.file_name()))
    };
    let mut files = Vec::new();
    for entry in WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(is_searched)
    {
        let Some(entry) = readable(root, entry)? else {
            continue;
        };
        if entry.file_type().is_file() {
            files.push(payload::sent_name(root, entry.path()));
        }
        if files.len() > MAX_FILES {
            bail!(
                "more than {MAX_FILES} files below {}: name the repository's folder with --root",
                root.display()
            );
        }
    }
    Ok(files)
}

/// Whether folders are searched or only named files are taken.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Search {
    On,
    Off,
}

fn locate(root: &Path, file: &Path) -> Result<PathBuf> {
    let candidates = [file.to_owned(), root.join(file)];
    let Some(found) = candidates.iter().find(|path| path.is_file()) else {
        bail!(
            "report {} does not exist: name it from the current folder or from {}",
            file.display(),
            root.display()
        );
    };
    found
        .canonicalize()
        .with_context(|| format!("resolve report {}", file.display()))
}

fn add_found(root: &Path, excluded: &[PathBuf], reports: &mut BTreeSet<PathBuf>) -> Result<()> {
    let names = Names::new()?;
    let is_searched = |entry: &DirEntry| {
        entry.depth() == 0
            || !entry.file_type().is_dir()
            || !(names.folders.is_match(entry.file_name())
                || is_excluded(root, entry.path(), excluded))
    };
    for entry in WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(is_searched)
    {
        let Some(entry) = readable(root, entry)? else {
            continue;
        };
        if entry.file_type().is_dir()
            || !names.is_report(entry.file_name())
            || !entry.path().is_file()
        {
            continue;
        }
        let path = entry.path();
        reports.insert(
            path.canonicalize()
                .with_context(|| format!("resolve report {}", path.display()))?,
        );
        if reports.len() > MAX_REPORTS {
            bail!(
                "more than {MAX_REPORTS} reports below {}: narrow the search with --dir or --exclude, or name the \
                 files with --file and --disable-search",
                root.display()
            );
        }
    }
    Ok(())
}

/// Passes over what cannot be read below `root`: another user's folder (a service's data, a cache) must not stop the
/// upload. Errors: `root` itself cannot be read.
fn readable(root: &Path, entry: walkdir::Result<DirEntry>) -> Result<Option<DirEntry>> {
    match entry {
        Ok(entry) => Ok(Some(entry)),
        Err(error) if error.depth() > 0 => {
            eprintln!("hitline: passed over: {error}");
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("search {}", root.display())),
    }
}

fn is_excluded(root: &Path, folder: &Path, excluded: &[PathBuf]) -> bool {
    let relative = folder.strip_prefix(root).unwrap_or(folder);
    excluded.iter().any(|path| {
        relative == path || folder == path || folder.file_name() == Some(path.as_os_str())
    })
}

struct Names {
    reports: GlobSet,
    others: GlobSet,
    folders: GlobSet,
}

impl Names {
    fn new() -> Result<Names> {
        let endings = OTHER_ENDINGS.iter().map(|ending| format!("*.{ending}"));
        Ok(Names {
            reports: glob_set(REPORT_NAMES.iter().map(ToString::to_string))?,
            others: glob_set(endings.chain(OTHER_NAMES.iter().map(ToString::to_string)))?,
            folders: glob_set(OTHER_FOLDERS.iter().map(ToString::to_string))?,
        })
    }

    fn is_report(&self, name: &std::ffi::OsStr) -> bool {
        self.reports.is_match(name) && !self.others.is_match(name)
    }
}

fn glob_set(globs: impl Iterator<Item = String>) -> Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        set.add(Glob::new(&glob)?);
    }
    Ok(set.build()?)
}

/// The text of the checkout's `codecov.yml`, for servers that cannot ask a git provider for it.
pub(super) fn settings(root: &Path) -> Option<String> {
    let mut places = SETTINGS_FOLDERS.iter().flat_map(|folder| {
        SETTINGS_NAMES
            .iter()
            .map(move |name| root.join(folder).join(name))
    });
    let is_small = |path: &PathBuf| {
        let bytes = std::fs::metadata(path).map(|file| file.len());
        bytes.is_ok_and(|bytes| bytes <= engine::codecov_yml::MAX_YAML_BYTES as u64)
    };
    std::fs::read_to_string(places.find(is_small)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        folder
    }

    fn found(
        folder: &tempfile::TempDir,
        named: &[PathBuf],
        search: Search,
        excluded: &[PathBuf],
    ) -> Vec<String> {
        let root = folder.path().canonicalize().unwrap();
        let reports = reports(&root, named, search, excluded).unwrap();
        reports
            .iter()
            .map(|path| {
                path.strip_prefix(&root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }

    #[test]
    fn reports_of_the_known_names_are_found() {
        let files = [
            "a/coverage.xml",
            "b.lcov",
            "build/coverage.txt",
            "build/jacocoTestReport.xml",
            "build/testJacoco.xml",
            "clover.xml",
            "cobertura-coverage.xml",
            "cobertura.xml",
            "cover.out",
            "coverage/coverage-final.json",
            "coverage.json",
            "coverage.out",
            "lcov.info",
            "main.c.gcov",
            "pkg/unit.coverprofile",
        ];
        assert_eq!(found(&tree(&files), &[], Search::On, &[]), files);
    }

    #[test]
    fn other_files_of_such_names_are_left_out() {
        let files = [
            ".coverage",
            ".coveragerc",
            "codecov.yml",
            "conftest_1.c.gcov",
            "coverage-summary.json",
            "coverage.css",
            "coverage.js",
            "coverage.py",
            "coverage_test.go",
            "docs/coverage.md",
            "junit.xml",
            "main.go",
        ];
        assert_eq!(
            found(&tree(&files), &[], Search::On, &[]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn folders_of_dependencies_and_excluded_ones_are_not_searched() {
        let folder = tree(&[
            ".git/lcov.info",
            "node_modules/x/lcov.info",
            "old/lcov.info",
            "sub/old/lcov.info",
            "sub/part/lcov.info",
            "sub/pkg.egg-info/lcov.info",
            "venv/lcov.info",
            "web/lcov.info",
        ]);
        assert_eq!(
            found(&folder, &[], Search::On, &["old".into(), "sub/part".into()]),
            ["web/lcov.info"]
        );
    }

    #[test]
    fn named_file_of_any_name_is_taken_and_listed_once() {
        let folder = tree(&["own_report.py", "own_coverage.txt"]);
        assert_eq!(
            found(
                &folder,
                &["own_report.py".into(), "own_coverage.txt".into()],
                Search::On,
                &[]
            ),
            ["own_coverage.txt", "own_report.py"]
        );
        assert_eq!(
            found(&folder, &["own_report.py".into()], Search::Off, &[]),
            ["own_report.py"]
        );
    }

    #[test]
    fn named_file_that_does_not_exist_is_an_error() {
        let error = reports(tree(&[]).path(), &["gone.xml".into()], Search::Off, &[]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("report gone.xml does not exist"),
            "{error}"
        );
    }
}
