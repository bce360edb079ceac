//! Visual Studio's `CoverageDSPriv`, an exported data set. Source: learn.microsoft.com,
//! `CoverageDS.WriteXml`.

use engine::model::Coverage;

use super::Context;
use super::sources::{Numbered, Span};
use super::vb::add_range;
use crate::error::{Failure, Result};
use crate::xml::{Markup, Scanner};

/// What the children of `Lines` or `SourceFileNames` say, as it is written.
#[derive(Default)]
struct Entry<'a> {
    number: Option<&'a [u8]>,
    name: Option<&'a [u8]>,
    start: Option<&'a [u8]>,
    end: Option<&'a [u8]>,
    coverage: Option<&'a [u8]>,
}

/// Adds the files of a document.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut scanner = Scanner::new(content);
    let mut files = Numbered::default();
    let mut span = Span::new(content);
    let mut entry = Entry::default();
    while let Some(markup) = scanner.next() {
        match markup {
            Markup::Open(b"LnStart") => entry.start = Some(scanner.text()),
            Markup::Open(b"LnEnd") => entry.end = Some(scanner.text()),
            Markup::Open(b"Coverage") => entry.coverage = Some(scanner.text()),
            Markup::Open(b"SourceFileID") => entry.number = Some(scanner.text()),
            Markup::Open(b"SourceFileName") => entry.name = Some(scanner.text()),
            Markup::Open(b"Lines" | b"SourceFileNames") => entry = Entry::default(),
            Markup::Close(b"Lines") => {
                let (number, coverage) = (entry.number()?, entry.coverage()?);
                let range = (entry.start, entry.end);
                add_range(files.at(number), range, coverage, &mut span, context);
            }
            Markup::Close(b"SourceFileNames") => {
                let name = entry.name.ok_or_else(|| missing("SourceFileName"))?;
                files.declare(entry.number()?, &scanner.decode(name), context)?;
            }
            _ => {}
        }
    }
    files.finish(context)
}

fn missing(element: &str) -> Failure {
    Failure::fails(format!("visual studio: an entry has no {element}"))
}

impl<'a> Entry<'a> {
    fn number(&self) -> Result<&'a [u8]> {
        self.number.ok_or_else(|| missing("SourceFileID"))
    }

    fn coverage(&self) -> Result<Coverage> {
        match self.coverage.ok_or_else(|| missing("Coverage"))? {
            b"0" => Ok(Coverage::Hits(1)),
            b"2" => Ok(Coverage::Hits(0)),
            _ => Ok(Coverage::Partial),
        }
    }
}
