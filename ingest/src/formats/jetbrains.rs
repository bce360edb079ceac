//! dotCover's DetailedXML. Source: jetbrains.com/help/dotcover, "Coverage report formats".

use engine::model::{Coverage, Part};

use super::Context;
use super::sources::{Numbered, required, required_line};
use crate::error::{Failure, Result};
use crate::xml::{Markup, Scanner};

/// Adds the files of a document. Only the first line of a statement counts.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut scanner = Scanner::new(content);
    let mut files = Numbered::default();
    while let Some(markup) = scanner.next() {
        match markup {
            Markup::Open(b"Statement") | Markup::Empty(b"Statement") => {
                statement(&scanner, &mut files, context)?;
            }
            Markup::Open(b"File") | Markup::Empty(b"File") => {
                let number = scanner
                    .attribute(b"Index")
                    .ok_or_else(|| missing("File", "Index"))?;
                let name = scanner
                    .text_attribute(b"Name")
                    .ok_or_else(|| missing("File", "Name"))?;
                files.declare(number, &name, context)?;
            }
            _ => {}
        }
    }
    files.finish(context)
}

fn missing(element: &str, attribute: &str) -> Failure {
    Failure::fails(format!("dotcover: a {element} has no {attribute}"))
}

/// What a statement says, as it is written.
#[derive(Default)]
struct Statement<'a> {
    line: Option<&'a [u8]>,
    end_line: Option<&'a [u8]>,
    column: Option<&'a [u8]>,
    end_column: Option<&'a [u8]>,
    is_covered: Option<bool>,
}

fn statement<'a>(
    scanner: &Scanner<'a>,
    files: &mut Numbered<'a>,
    context: &mut Context<'_>,
) -> Result<()> {
    let mut number = None;
    let mut found = Statement::default();
    for &(name, value) in scanner.attributes() {
        match name {
            b"FileIndex" => number = Some(value),
            b"Line" => found.line = Some(value),
            b"EndLine" => found.end_line = Some(value),
            b"Column" => found.column = Some(value),
            b"EndColumn" => found.end_column = Some(value),
            b"Covered" => found.is_covered = Some(value == b"True"),
            _ => {}
        }
    }
    let slot = files.at(number.ok_or_else(|| missing("Statement", "FileIndex"))?);
    if let Some(Some((line, hits, part))) = slot.check(found.read(context)) {
        slot.lines().hits(line, hits);
        if let Some(part) = part {
            slot.lines().part(part);
        }
    }
    Ok(())
}

impl Statement<'_> {
    /// The line, its hits, and its columns when the statement stands on one line.
    fn read(&self, context: &mut Context<'_>) -> Result<Option<(u32, u64, Option<Part>)>> {
        let number =
            |value, name| required(value, name).map(|n| n.clamp(0, i64::from(u32::MAX)) as u32);
        let end_line = number(self.end_line, "dotcover: EndLine of a statement")?;
        let start = number(self.column, "dotcover: Column of a statement")?;
        let end = number(self.end_column, "dotcover: EndColumn of a statement")?;
        let hits = u64::from(
            self.is_covered
                .ok_or_else(|| missing("Statement", "Covered"))?,
        );
        let line = required_line(self.line, "dotcover: Line of a statement", context)?;
        Ok(line.map(|line| {
            let coverage = Coverage::Hits(hits);
            let part = Part {
                line,
                start,
                end: Some(end),
                coverage,
            };
            (line, hits, (line == end_line).then_some(part))
        }))
    }
}
