//! One upload, from its body to the evidence that it brings.

use std::any::Any;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use engine::model::{FileCoverage, Totals};
use rayon::prelude::*;

use crate::age::AgeLimit;
use crate::detect::{Format, detect, guess};
use crate::envelope::{self, Budget, Envelope, Fixes, Kind, UploadedFile};
use crate::error::{ErrorCode, Failure, Problem, ProblemCode, Result, UploadError};
use crate::formats::{self, Attempt, Context, Found};
use crate::paths::{Asked, Diagnosis, PathFixer, diagnose};
use crate::report_fixes::Ignored;
use crate::settings::Settings;
use crate::xml::to_utf8;

/// What came of an upload.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The evidence, sorted by path; empty when there is an error.
    pub files: Vec<(String, FileCoverage)>,
    /// Counts over `files`, of one session.
    pub totals: Totals,
    /// The uploaded files, in their order.
    pub reports: Vec<Report>,
    /// What is odd in them.
    pub problems: Vec<Problem>,
    /// What became of the paths that the reports name.
    pub paths: Diagnosis,
    /// Why there is no evidence.
    pub error: Option<UploadError>,
}

/// One uploaded file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Its name, empty when unknown.
    pub name: String,
    /// Its format, when one was recognised.
    pub format: Option<Format>,
    /// Its size, unpacked.
    pub size_bytes: u64,
    /// Files of the repository that it speaks of.
    pub files: usize,
}

/// Processes the body of an upload as it was received. Files are read in parallel on rayon's pool;
/// the result does not depend on how. Never panics: what breaks a reader is an error.
pub fn process(
    body: &[u8],
    kind: Kind,
    settings: &Settings,
    flags: &[String],
    now_us: i64,
) -> Outcome {
    let budget = Budget::new(body.len());
    let body = match envelope::unwrap(body, &budget) {
        Ok(body) => body,
        Err(failure) => return Outcome::failed(failure),
    };
    match envelope::open(&body, kind) {
        Ok(envelope) => process_files(&envelope, &budget, settings, flags, now_us),
        Err(failure) => Outcome::failed(failure),
    }
}

/// Processes the files of an opened upload.
pub fn process_files(
    envelope: &Envelope<'_>,
    budget: &Budget,
    settings: &Settings,
    flags: &[String],
    now_us: i64,
) -> Outcome {
    let fixer = PathFixer::new(settings, envelope.network.iter().map(|path| &**path), flags);
    let ignored = match read_fixes(&envelope.fixes, &fixer) {
        Ok(ignored) => ignored,
        Err(failure) => return Outcome::failed(failure),
    };
    let reader = Reader {
        budget,
        settings,
        fixer: &fixer,
        ignored: &ignored,
        now_us,
    };
    let files = counted_files(&envelope.files);
    let mut read: Vec<Read> = files
        .par_iter()
        .map(|file| reader.read_or_catch(file))
        .collect();
    let asked: Vec<Asked> = read
        .iter_mut()
        .filter_map(|read| read.asked.take())
        .collect();
    let mut outcome = match first_failure(&read) {
        None => fold(read),
        Some(failure) => {
            let (reports, problems) = read
                .into_iter()
                .map(|read| (read.report, read.problems))
                .unzip::<_, _, Vec<_>, Vec<_>>();
            Outcome {
                reports,
                problems: problems.concat(),
                ..Outcome::failed(failure)
            }
        }
    };
    outcome.paths = diagnose(&fixer, &settings.fixes, &asked);
    outcome
}

impl Outcome {
    fn failed(failure: Failure) -> Outcome {
        Outcome {
            error: Some(failure.into()),
            ..Outcome::default()
        }
    }
}

fn read_fixes(fixes: &Fixes<'_>, fixer: &PathFixer) -> Result<Ignored> {
    match fixes {
        Fixes::None => Ok(Ignored::default()),
        Fixes::Text(text) => Ignored::from_text(text, |path| fixer.fix(path)),
        Fixes::Json(value) => Ignored::from_json(value),
    }
}

/// The files that count: beside a `coverage/coverage.json` the same coverage as LCOV does not.
fn counted_files<'a, 'b>(files: &'b [UploadedFile<'a>]) -> Vec<&'b UploadedFile<'a>> {
    let has_json = files
        .iter()
        .any(|file| file.name == "coverage/coverage.json");
    files
        .iter()
        .filter(|file| !has_json || file.name != "coverage/coverage.lcov")
        .collect()
}

/// What was read of one uploaded file.
struct Read {
    report: Report,
    found: Found,
    problems: Vec<Problem>,
    asked: Option<Asked>,
    /// Why the whole upload fails.
    failure: Option<Failure>,
}

impl Read {
    fn failed(file: &UploadedFile<'_>, failure: Failure) -> Read {
        let report = Report {
            name: file.name.to_string(),
            format: None,
            size_bytes: 0,
            files: 0,
        };
        Read {
            report,
            found: Found::default(),
            problems: Vec::new(),
            asked: None,
            failure: Some(failure),
        }
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    budget: &'a Budget,
    settings: &'a Settings,
    fixer: &'a PathFixer,
    ignored: &'a Ignored,
    now_us: i64,
}

impl Reader<'_> {
    fn read_or_catch(self, file: &UploadedFile<'_>) -> Read {
        let read = catch_unwind(AssertUnwindSafe(|| self.read(file))).unwrap_or_else(|panic| {
            Err(Failure::fails(format!(
                "reading {:?} broke: {}",
                file.name,
                panic_text(&*panic)
            )))
        });
        read.unwrap_or_else(|failure| Read::failed(file, failure))
    }

    fn read(self, file: &UploadedFile<'_>) -> Result<Read> {
        let packed = file.read(self.budget)?;
        // gcov packs its JSON itself.
        let (unpacked, broken) = match envelope::unwrap_named(&packed, &file.name, self.budget) {
            Ok(content) => (content, None),
            Err(failure) => (Cow::Borrowed(&*packed), Some(failure)),
        };
        let content = to_utf8(&unpacked);
        let paths = self.fixer.for_file(&file.name);
        let mut context = Context {
            name: &file.name,
            format: None,
            paths: &paths,
            parsers: self.settings.parsers,
            age: AgeLimit::new(&self.settings.max_age, self.now_us),
            ignored: self.ignored,
            found: Found::default(),
            problems: Vec::new(),
        };
        if let Some(failure) = broken {
            context.problem(None, ProblemCode::Unrecognised, failure.to_string());
        }
        let failure = read_content(&content, &mut context).err();
        note_unresolved(&mut context);
        let Context {
            format,
            found,
            problems,
            ..
        } = context;
        let size_bytes = content.len() as u64;
        let report = Report {
            name: file.name.to_string(),
            format,
            size_bytes,
            files: found.len(),
        };
        Ok(Read {
            report,
            found,
            problems,
            asked: Some(paths.into_asked()),
            failure,
        })
    }
}

/// Reads the content in whichever format it is.
fn read_content(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    if content.is_empty() {
        context.problem(None, ProblemCode::EmptyFile, "the file is empty".into());
        return Ok(());
    }
    if let Some(format) = guess(context.name, content)
        && formats::attempt(format, content, context)? == Attempt::Read
    {
        note_lines(context);
        return Ok(());
    }
    let Some(format) = detect(context.name, content)? else {
        context.problem(
            None,
            ProblemCode::Unrecognised,
            "no known format fits the content".into(),
        );
        return Ok(());
    };
    context.format = Some(format);
    match formats::parse(format, content, context) {
        Ok(()) => note_lines(context),
        Err(Failure::Corrupt(reason)) => {
            context.found = Found::default();
            context.problem(None, ProblemCode::Unrecognised, reason.into_owned());
        }
        Err(failure) => return Err(failure),
    }
    Ok(())
}

fn note_lines(context: &mut Context<'_>) {
    let is_said = |problem: &Problem| problem.code == ProblemCode::NoLines;
    if context.found.is_empty() && !context.problems.iter().any(is_said) {
        context.problem(
            None,
            ProblemCode::NoLines,
            "no line of the report counts".into(),
        );
    }
}

fn note_unresolved(context: &mut Context<'_>) {
    let (asked, lost) = context.paths.unresolved();
    if let Some(first) = lost.first() {
        let message = format!(
            "{} of {asked} paths match no file of the repository, such as {first}",
            lost.len()
        );
        context.problem(None, ProblemCode::PathsUnresolved, message);
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words")
}

/// A body that cannot be unpacked fails before any of its reports does.
fn first_failure(read: &[Read]) -> Option<Failure> {
    let failures = || read.iter().filter_map(|read| read.failure.as_ref());
    failures()
        .find(|failure| matches!(failure, Failure::Storage(_)))
        .or(failures().next())
        .cloned()
}

/// Folds what was read into one upload's evidence. Where two reports speak of one line, the report of
/// more files decides on its kind.
fn fold(read: Vec<Read>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut folded = Found::default();
    for Read {
        report,
        found,
        problems,
        ..
    } in read
    {
        outcome.reports.push(report);
        outcome.problems.extend(problems);
        folded = if folded.is_empty() {
            found
        } else if found.len() > folded.len() {
            merge(found, folded)
        } else {
            merge(folded, found)
        };
    }
    if folded.is_empty() {
        outcome.error = Some(empty_error(&outcome.reports));
        return outcome;
    }
    (outcome.files, outcome.totals) = folded.into_sorted();
    outcome.totals.sessions = 1;
    outcome
}

fn merge(mut left: Found, right: Found) -> Found {
    left.include(right);
    left
}

fn empty_error(reports: &[Report]) -> UploadError {
    const NAMES: usize = 5;
    let named: Vec<&str> = reports
        .iter()
        .map(|report| report.name.as_str())
        .filter(|name| !name.is_empty())
        .collect();
    let message = if named.len() == reports.len() {
        "No coverage files found in upload.".to_owned()
    } else if named.is_empty() {
        "No files found in report.".to_owned()
    } else {
        let shown = named
            .iter()
            .take(NAMES)
            .copied()
            .collect::<Vec<_>>()
            .join(", ");
        let more = match named.len().saturating_sub(NAMES) {
            0 => String::new(),
            more => format!(", (and {more} more)"),
        };
        let (count, all) = (named.len(), reports.len());
        format!("No coverage data extracted. {count} of {all} file(s) were empty: {shown}{more}")
    };
    UploadError {
        code: ErrorCode::ReportEmpty,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_guess_changes_nothing() {
        for (content, expected, files) in [
            (
                r#"{"source_files":[{"name":"a.c","coverage":[1]}],"x":[]}"#,
                Some(Format::Coveralls),
                &["a.c"][..],
            ),
            (
                r#"{"source_files":[{"name":"a.c","coverage":[1]}],"coverage":{"b.c":[null,1]}}"#,
                Some(Format::V1),
                &["b.c"],
            ),
            (
                r#"{"source_files":5,"uploader":"R","files":[{"name":"b.c","coverage":[null,1]}]}"#,
                Some(Format::R),
                &["b.c"],
            ),
            (
                r#"{"children":{"a.c":{"coverage":[1]}},"coverage":{"b.c":[null,1]}}"#,
                Some(Format::V1),
                &["b.c"],
            ),
            (
                r#"{"command_name":"x","files":[{"filename":"a.c","coverage":[1]}]}"#,
                None,
                &[],
            ),
            (r#"{"coverage":{"a.c":[null,1]},"x":,"#, None, &[]),
            (
                "mode: set\nm/a.go:1.1,2.9 1 1\n",
                Some(Format::Go),
                &["m/a.go"],
            ),
            (
                "mode: set\nm/a.go:1.1,2.9 1 1\nend_of_record\nSF:b.c\nDA:1,1\nend_of_record\n",
                Some(Format::Lcov),
                &["b.c"],
            ),
            (
                "mode: set\nm/a.go:1.1,2.9 1 1\nm/b.go has no code",
                None,
                &[],
            ),
        ] {
            let envelope = Envelope {
                files: vec![UploadedFile::new("", content.as_bytes())],
                ..Envelope::default()
            };
            let budget = Budget::new(content.len());
            let outcome = process_files(&envelope, &budget, &Settings::default(), &[], 0);
            let format = outcome.reports.first().and_then(|report| report.format);
            assert_eq!(format, expected, "{content}");
            let found: Vec<&str> = outcome.files.iter().map(|(path, _)| &**path).collect();
            assert_eq!(found, files, "{content}");
        }
    }
}
