//! scoverage's statements. Source: github.com/scoverage/scalac-scoverage-plugin, `Serializer`.

use engine::model::{Coverage, Kind};

use super::Context;
use super::pieces::{cut_xml, differs, read_apart};
use super::sources::{Named, counted, required_line};
use crate::error::{Failure, Result};
use crate::xml::{Markup, Scanner};

/// Counts of more characters are this large, whatever they say.
const LONG_COUNT_BYTES: usize = 5;
const LONG_COUNT: u64 = 99_999;

/// What the children of a statement say, as it is written.
#[derive(Default)]
struct Statement<'a> {
    source: Option<&'a [u8]>,
    line: Option<&'a [u8]>,
    count: Option<&'a [u8]>,
    is_branch: bool,
    is_ignored: bool,
}

/// Adds the files of a document's statements.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let pieces = cut_xml(content, b"</statement>", |before, behind| {
        differs(before, behind, b"<source>", b'<')
    });
    read_apart(content, &pieces, context, parse_piece)
}

fn parse_piece(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut scanner = Scanner::new(content);
    let mut sources = Named::default();
    let mut last = None;
    let mut statement = Statement::default();
    while let Some(markup) = scanner.next() {
        match markup {
            Markup::Open(b"statement") => statement = Statement::default(),
            Markup::Open(b"source") => statement.source = Some(scanner.text()),
            Markup::Open(b"line") => statement.line = Some(scanner.text()),
            Markup::Open(b"count") => statement.count = Some(scanner.text()),
            Markup::Open(b"branch") => statement.is_branch = scanner.text() == b"true",
            Markup::Open(b"ignored") => statement.is_ignored = scanner.text() == b"true",
            Markup::Close(b"statement") if !statement.is_ignored => {
                let source = statement.source.ok_or_else(|| missing("source"))?;
                if last != Some(source) {
                    last = Some(source);
                    sources.select(&scanner.decode(source), context)?;
                }
                statement.add(&mut sources, context)?;
            }
            _ => {}
        }
    }
    sources.finish(context);
    Ok(())
}

fn missing(element: &str) -> Failure {
    Failure::fails(format!("scoverage: a statement has no {element}"))
}

impl Statement<'_> {
    fn add<'c>(&self, sources: &mut Named<'c>, context: &mut Context<'c>) -> Result<()> {
        let Some(source) = sources.current() else {
            return Ok(());
        };
        let line = required_line(self.line, "scoverage: line of a statement", context)?;
        let count = self.count.ok_or_else(|| missing("count"))?;
        let (kind, coverage) = match self.is_branch {
            true => (Kind::Branch, arms_of(count)),
            false if count.len() > LONG_COUNT_BYTES => (Kind::Line, Coverage::Hits(LONG_COUNT)),
            false => {
                let coverage = counted(count).ok_or_else(|| {
                    let (path, count) = (&source.path, String::from_utf8_lossy(count));
                    Failure::fails(format!("scoverage: count {count:?} of {path} is no number"))
                })?;
                (Kind::Line, coverage)
            }
        };
        if let Some(line) = line {
            source.append(line, kind, coverage);
        }
        Ok(())
    }
}

/// A branch statement counts as one of two arms for each time it ran; what is no such number is
/// partly taken.
fn arms_of(count: &[u8]) -> Coverage {
    let taken = match count {
        b"0" => 0,
        [b'1'..=b'9', ..] => match counted(count) {
            Some(Coverage::Hits(taken)) => u32::try_from(taken).unwrap_or(u32::MAX),
            _ => 1,
        },
        _ => 1,
    };
    Coverage::Arms { taken, total: 2 }
}
