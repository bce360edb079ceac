//! Visual Studio's `results`, as its `CodeCoverage` console writes them. Source: learn.microsoft.com,
//! "Microsoft.CodeCoverage.Console", format `xml`.

use engine::model::{Coverage, Kind};

use super::Context;
use super::sources::{Numbered, Slot, Span, required};
use crate::error::{Failure, Result};
use crate::xml::{Markup, Scanner};

/// Adds the files of a document. Their numbers hold from their module on; a later module that uses
/// a number again takes it away from the file that had it.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut scanner = Scanner::new(content);
    let mut files = Numbered::default();
    let mut span = Span::new(content);
    let mut in_module = false;
    while let Some(markup) = scanner.next() {
        match markup {
            Markup::Open(b"range") | Markup::Empty(b"range") if in_module => {
                range(&scanner, &mut files, &mut span, context)?;
            }
            Markup::Open(b"source_file") | Markup::Empty(b"source_file") if in_module => {
                let number = scanner
                    .attribute(b"id")
                    .ok_or_else(|| missing("source_file", "id"))?;
                let name = scanner
                    .text_attribute(b"path")
                    .ok_or_else(|| missing("source_file", "path"))?;
                files.declare(number, &name, context)?;
            }
            Markup::Open(b"module") => in_module = true,
            Markup::Close(b"module") => {
                in_module = false;
                files.settle();
            }
            _ => {}
        }
    }
    files.finish(context)
}

fn missing(element: &str, attribute: &str) -> Failure {
    Failure::fails(format!("visual studio: a {element} has no {attribute}"))
}

fn range<'a>(
    scanner: &Scanner<'a>,
    files: &mut Numbered<'a>,
    span: &mut Span,
    context: &mut Context<'_>,
) -> Result<()> {
    let (mut number, mut start, mut end, mut covered) = (None, None, None, None);
    for &(name, value) in scanner.attributes() {
        match name {
            b"source_id" => number = Some(value),
            b"start_line" => start = Some(value),
            b"end_line" => end = Some(value),
            b"covered" => covered = Some(value),
            _ => {}
        }
    }
    let slot = files.at(number.ok_or_else(|| missing("range", "source_id"))?);
    let covered = covered.ok_or_else(|| missing("range", "covered"));
    if let Some(covered) = slot.check(covered) {
        let coverage = match covered {
            b"yes" => Coverage::Hits(1),
            b"no" => Coverage::Hits(0),
            _ => Coverage::Partial,
        };
        add_range(slot, (start, end), coverage, span, context);
    }
    Ok(())
}

/// Adds the lines of a range, both ends included.
pub(super) fn add_range(
    slot: &mut Slot,
    (start, end): (Option<&[u8]>, Option<&[u8]>),
    coverage: Coverage,
    span: &mut Span,
    context: &mut Context<'_>,
) {
    let start = slot.check(required(start, "visual studio: the start of a range"));
    let end = slot.check(required(end, "visual studio: the end of a range"));
    let (Some(start), Some(end)) = (start, end) else {
        return;
    };
    for line in slot
        .check(span.lines(start, end, context))
        .into_iter()
        .flatten()
    {
        match coverage {
            Coverage::Hits(hits) => slot.lines().hits(line, hits),
            _ => slot.lines().append(line, Kind::Line, coverage, None, None),
        }
    }
}
