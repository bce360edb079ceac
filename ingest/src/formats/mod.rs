//! One file per format. A reader takes the content of one uploaded file and adds what it
//! understands of it to its [`Context`].

mod bullseye;
mod clover;
mod cobertura;
mod covdir;
mod coverage_py;
mod coverage_sqlite;
mod coveralls;
mod dlst;
mod elm;
mod flowcover;
mod found;
mod gap;
mod gcov;
mod gcov_json;
mod go;
mod istanbul;
mod jacoco;
mod jacoco_csv;
mod jetbrains;
mod lcov;
mod lines;
mod llvm_export;
mod lua;
mod mono;
mod opencover;
mod pieces;
mod r;
mod salesforce;
mod scala;
mod scoverage;
mod sections;
mod simplecov;
mod sonar;
mod sources;
mod v1;
mod vb;
mod vb2;
mod xcode;
mod xcode_plist;

use crate::age::AgeLimit;
use crate::detect::{Format, detect_around};
use crate::error::{Problem, ProblemCode, Result};
use crate::paths::FilePaths;
use crate::report_fixes::Ignored;
use crate::settings::Parsers;

pub(crate) use found::Found;
use found::FoundFile;

/// What became of a document that was read before its format was known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Attempt {
    /// It is of the format, and was read.
    Read,
    /// It may be of another format, or broken; nothing was added.
    OtherFormat,
}

/// Where what was read of a document need not be looked at again to tell its format, in bytes: the value of a JSON document
/// that holds its files, or lines none of which ends a record of LCOV.
pub(crate) type Body = std::ops::Range<usize>;

/// The greatest line number that is kept.
pub const MAX_LINE: u32 = 10_000_000;
/// Problems that one uploaded file may give; further ones are left out.
pub const MAX_PROBLEMS: usize = 20;

/// What a reader needs to know, and where it puts what it found.
pub(crate) struct Context<'a> {
    /// The name of the uploaded file, empty when unknown.
    pub(crate) name: &'a str,
    /// The format that was recognised.
    pub(crate) format: Option<Format>,
    pub(crate) paths: &'a FilePaths<'a>,
    pub(crate) parsers: Parsers,
    pub(crate) age: AgeLimit<'a>,
    pub(crate) ignored: &'a Ignored,
    pub(crate) found: Found,
    pub(crate) problems: Vec<Problem>,
}

impl Context<'_> {
    /// Notes a problem of this file.
    pub(crate) fn problem(&mut self, line: Option<u64>, code: ProblemCode, message: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem {
                file: self.name.to_owned(),
                line,
                code,
                message,
            });
        }
    }

    /// The line, if it is one that may be kept; notes a problem where it is too large.
    fn checked_line(&mut self, line: i64, path: &str) -> Option<u32> {
        if line > i64::from(MAX_LINE) {
            let message = format!("{path}: line {line} is left out; the greatest is {MAX_LINE}");
            self.problem(None, ProblemCode::LineTooLarge, message);
            return None;
        }
        u32::try_from(line).ok().filter(|&line| line > 0)
    }

    /// Notes that a count did not fit.
    fn count_too_large(&mut self, path: &str, line: u32) {
        let message =
            format!("{path}: the count of line {line} does not fit 64 bits and was lowered");
        self.problem(None, ProblemCode::CountTooLarge, message);
    }
}

/// Reads a file of a known format.
pub(crate) fn parse(format: Format, content: &[u8], context: &mut Context<'_>) -> Result<()> {
    match format {
        Format::Bullseye => bullseye::parse(content, context),
        Format::Clover => clover::parse(content, context),
        Format::Cobertura => cobertura::parse(content, context),
        Format::Covdir => covdir::parse(content, context).map(drop),
        Format::CoveragePy => coverage_py::parse(content, context),
        Format::CoverageSqlite => coverage_sqlite::parse(content, context),
        Format::Coveralls => coveralls::parse(content, context).map(drop),
        Format::Dlst => dlst::parse(content, context),
        Format::Elm => elm::parse(content, context).map(drop),
        Format::Flowcover => flowcover::parse(content, context).map(drop),
        Format::Gap => gap::parse(content, context),
        Format::Gcov => gcov::parse(content, context),
        Format::GcovJson => gcov_json::parse(content, context),
        Format::Go => go::parse(content, context).map(drop),
        Format::Node => istanbul::parse(content, context),
        Format::Jacoco => jacoco::parse(content, context),
        Format::JacocoCsv => jacoco_csv::parse(content, context),
        Format::Jetbrains => jetbrains::parse(content, context),
        Format::Lcov => lcov::parse(content, context),
        Format::LlvmExport => llvm_export::parse(content, context),
        Format::Lua => lua::parse(content, context),
        Format::Mono => mono::parse(content, context),
        Format::OpenCover => opencover::parse(content, context),
        Format::R => r::parse(content, context).map(drop),
        Format::Salesforce => salesforce::parse(content, context).map(drop),
        Format::Scala => scala::parse(content, context).map(drop),
        Format::Scoverage => scoverage::parse(content, context),
        Format::Simplecov => simplecov::parse(content, context).map(drop),
        Format::Sonar => sonar::parse(content, context),
        Format::V1 => v1::parse(content, context).map(drop),
        Format::Vb => vb::parse(content, context),
        Format::Vb2 => vb2::parse(content, context),
        Format::Xcode => xcode::parse(content, context),
        Format::XcodePlist => xcode_plist::parse(content, context),
    }
}

/// Tries to read a file that may be of a format; see [`guess`](crate::detect::guess).
pub(crate) fn attempt(
    format: Format,
    content: &[u8],
    context: &mut Context<'_>,
) -> Result<Attempt> {
    match format {
        Format::CoveragePy => coverage_py::attempt(content, context),
        Format::LlvmExport => llvm_export::attempt(content, context),
        Format::Node => istanbul::attempt(content, context),
        Format::Covdir => attempt_body(covdir::parse, format, content, context),
        Format::Coveralls => attempt_body(coveralls::parse, format, content, context),
        Format::Elm => attempt_body(elm::parse, format, content, context),
        Format::Flowcover => attempt_body(flowcover::parse, format, content, context),
        Format::Go => attempt_body(go::parse, format, content, context),
        Format::R => attempt_body(r::parse, format, content, context),
        Format::Salesforce => attempt_body(salesforce::parse, format, content, context),
        Format::Scala => attempt_body(scala::parse, format, content, context),
        Format::Simplecov => attempt_body(simplecov::parse, format, content, context),
        Format::V1 => attempt_body(v1::parse, format, content, context),
        _ => Ok(Attempt::OtherFormat),
    }
}

/// Reads a file aside, and takes that over if the file is of the format: told by all but its body, which
/// is not read again.
fn attempt_body(
    parse: fn(&[u8], &mut Context<'_>) -> Result<Body>,
    format: Format,
    content: &[u8],
    context: &mut Context<'_>,
) -> Result<Attempt> {
    let paths = context.paths.anew();
    let mut aside = Context {
        name: context.name,
        format: Some(format),
        paths: &paths,
        parsers: context.parsers,
        age: context.age,
        ignored: context.ignored,
        found: Found::default(),
        problems: Vec::new(),
    };
    let Ok(body) = parse(content, &mut aside) else {
        return Ok(Attempt::OtherFormat);
    };
    if detect_around(context.name, content, &body)? != Some(format) {
        return Ok(Attempt::OtherFormat);
    }
    let Context {
        found, problems, ..
    } = aside;
    context.format = Some(format);
    context.found = found;
    context.problems.extend(problems);
    context.problems.truncate(MAX_PROBLEMS);
    context.paths.include(paths);
    Ok(Attempt::Read)
}
