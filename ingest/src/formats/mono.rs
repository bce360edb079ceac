//! XML of Mono's code coverage profiler. Source: mono-project.com, `mono/profiler/coverage.c`.

use engine::model::Kind;

use super::Context;
use super::sources::{Named, counted, required_line};
use crate::error::{Failure, Result};
use crate::xml::{Markup, Scanner};

/// Adds the files of a document's methods.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut scanner = Scanner::new(content);
    let mut sources = Named::default();
    while let Some(markup) = scanner.next() {
        match markup {
            Markup::Open(b"statement") | Markup::Empty(b"statement") => {
                statement(&scanner, &mut sources, context)?;
            }
            Markup::Open(b"method") => {
                let name = scanner
                    .text_attribute(b"filename")
                    .ok_or_else(|| Failure::fails("mono: a method has no filename"))?;
                sources.select(&name, context)?;
            }
            Markup::Close(b"method") => sources.leave(),
            _ => {}
        }
    }
    sources.finish(context);
    Ok(())
}

fn statement<'c>(
    scanner: &Scanner<'_>,
    sources: &mut Named<'c>,
    context: &mut Context<'c>,
) -> Result<()> {
    let Some(source) = sources.current() else {
        return Ok(());
    };
    let (mut line, mut counter) = (None, None);
    for &(name, value) in scanner.attributes() {
        match name {
            b"line" => line = Some(value),
            b"counter" => counter = Some(value),
            _ => {}
        }
    }
    let coverage = counter.and_then(counted).ok_or_else(|| {
        let path = &source.path;
        Failure::fails(format!("mono: a statement of {path} has no number counter"))
    })?;
    if let Some(line) = required_line(line, "mono: line of a statement", context)? {
        source.append(line, Kind::Line, coverage);
    }
    Ok(())
}
