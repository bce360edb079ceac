//! SonarQube's generic test coverage. Source: docs.sonarsource.com, "Generic test data".

use engine::model::{Coverage, FileBuilder, Kind};

use super::Context;
use super::pieces::{cut_xml, read_apart};
use crate::error::{Failure, ProblemCode, Result};
use crate::number::integer;
use crate::report_fixes::IgnoredLines;
use crate::xml::{Markup, Scanner};

/// Adds the files of a document, which do not depend on each other.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let pieces = cut_xml(content, b"</file>", |_, _| true);
    read_apart(content, &pieces, context, parse_piece)
}

fn parse_piece(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut scanner = Scanner::new(content);
    let mut file: Option<File<'_>> = None;
    let mut lines = FileBuilder::new();
    while let Some(markup) = scanner.next() {
        match markup {
            Markup::Open(b"lineToCover") | Markup::Empty(b"lineToCover") => {
                if let Some(file) = &file {
                    add_line(&scanner, file, &mut lines, context);
                }
            }
            Markup::Open(b"file") | Markup::Close(b"file") => {
                if let Some(file) = file.take() {
                    context.found.add(file.path, lines.take());
                }
                if matches!(markup, Markup::Open(_)) {
                    file = start_file(&scanner, context)?;
                }
            }
            _ => {}
        }
    }
    if let Some(file) = file {
        context.found.add(file.path, lines.take());
    }
    Ok(())
}

/// The file that is open.
struct File<'c> {
    path: String,
    ignored: Option<&'c IgnoredLines>,
}

fn start_file<'c>(scanner: &Scanner<'_>, context: &Context<'c>) -> Result<Option<File<'c>>> {
    let path = scanner
        .text_attribute(b"path")
        .ok_or_else(|| Failure::fails("sonar: a file has no path"))?;
    let path = context.paths.fix(&path)?.filter(|path| !path.is_empty());
    Ok(path.map(|path| File {
        ignored: context.ignored.get(&path),
        path,
    }))
}

/// Adds a line. One that cannot be read is left out.
fn add_line(
    scanner: &Scanner<'_>,
    file: &File<'_>,
    lines: &mut FileBuilder,
    context: &mut Context<'_>,
) {
    let (number, coverage) = match read_line(scanner) {
        Ok(line) => line,
        Err(what) => {
            let message = format!("{}: a line without a valid {what} is left out", file.path);
            return context.problem(None, ProblemCode::NoLines, message);
        }
    };
    let Some(number) = context.checked_line(number, &file.path) else {
        return;
    };
    if file.ignored.is_some_and(|lines| lines.contains(number)) {
        return;
    }
    match coverage {
        Coverage::Hits(hits) => lines.hits(number, hits),
        arms => lines.append(number, Kind::Branch, arms, None, None),
    }
}

/// The number and the coverage of a line; the name of an attribute that is wrong else. Where the line
/// has branches they tell, as SonarQube counts them too.
fn read_line(scanner: &Scanner<'_>) -> std::result::Result<(i64, Coverage), &'static str> {
    let number = scanner.attribute(b"lineNumber").and_then(integer);
    let number = number.ok_or("lineNumber")?;
    let arms = |name: &'static str| match scanner.attribute(name.as_bytes()) {
        None => Ok(0),
        Some(text) => integer(text)
            .and_then(|arms| u32::try_from(arms).ok())
            .ok_or(name),
    };
    let total = arms("branchesToCover")?;
    if total > 0 {
        let taken = arms("coveredBranches")?.min(total);
        return Ok((number, Coverage::Arms { taken, total }));
    }
    match scanner.attribute(b"covered").map(<[u8]>::trim_ascii) {
        Some(b"true" | b"1") => Ok((number, Coverage::Hits(1))),
        Some(b"false" | b"0") => Ok((number, Coverage::Hits(0))),
        _ => Err("covered"),
    }
}
