//! luacov's report. Source: lunarmodules.github.io/luacov, `luacov.reporter`.

use engine::model::{Coverage, Kind};
use memchr::{memchr, memmem};

use super::Context;
use super::sources::{Named, counted};
use crate::error::{ProblemCode, Result};
use crate::number::digits;

/// Adds the files of a report: names and listings between lines of `=`.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut sources = Named::default();
    let mut start = 0;
    let at_line_start = memmem::find_iter(content, b"\n=").map(|at| at + 1);
    for at in std::iter::once(0).chain(at_line_start) {
        let rest = &content[at..];
        let line = &rest[..memchr(b'\n', rest).unwrap_or(rest.len())];
        if is_rule(line) {
            chunk(&content[start..at], &mut sources, context)?;
            start = (at + line.len() + 1).min(content.len());
        }
    }
    chunk(&content[start..], &mut sources, context)?;
    sources.finish(context);
    Ok(())
}

/// Whether a line consists of `=`.
fn is_rule(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    !line.is_empty() && line.iter().all(|&byte| byte == b'=')
}

/// What stands between two rules: a name, the listing of the file named last, or the summary.
fn chunk<'c>(chunk: &[u8], sources: &mut Named<'c>, context: &mut Context<'c>) -> Result<()> {
    let name = chunk.trim_ascii_end();
    if name == b"Summary" {
        sources.leave();
    } else if name.ends_with(b".lua") || name.ends_with(b".lisp") {
        select(name, sources, context)?;
    } else {
        listing(chunk, sources, context);
    }
    Ok(())
}

/// Turns to the file of that name. A listing that ends like a name is taken for one, as it has
/// always been: it names no file.
fn select<'c>(name: &[u8], sources: &mut Named<'c>, context: &mut Context<'c>) -> Result<()> {
    if memchr(b'\n', name).is_none() {
        let name = String::from_utf8_lossy(name).replace('\t', " ");
        return sources.select(&name, context);
    }
    if let Some(source) = sources.current() {
        let path = &source.path;
        let message = format!("{path}: the listing ends like the name of a file and is left out");
        context.problem(None, ProblemCode::NoLines, message);
    }
    sources.leave();
    Ok(())
}

fn listing<'c>(listing: &[u8], sources: &mut Named<'c>, context: &mut Context<'c>) {
    let Some(source) = sources.current() else {
        return;
    };
    let mut rest = listing;
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let text = skip_blanks(rest);
        let length = memchr(b'\n', text).unwrap_or(text.len());
        let line = &text[..length];
        rest = text.get(length + 1..).unwrap_or_default();
        let (hits, digits) = digits(line);
        let is_plain = (1..18).contains(&digits)
            && matches!(line.get(digits), None | Some(b' ' | b'\t' | b'\r'));
        if line.is_empty() {
            continue;
        }
        let Some(number) = context.checked_line(number, &source.path) else {
            return;
        };
        if is_plain {
            source.hits(number, hits);
        } else if matches!(line[0], b'*' | b'0'..=b'9' | b'-' | b'+')
            && let Some(coverage) = odd_count(line)
        {
            source.append(number, Kind::Line, coverage);
        }
    }
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
    &text[blanks.count()..]
}

/// The coverage that the first word of a line stands for: `***0` is what was never run.
fn odd_count(line: &[u8]) -> Option<Coverage> {
    let word = line
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .next()
        .unwrap_or_default()
        .trim_ascii_end();
    if word.ends_with(b"*0") {
        return counted(b"0");
    }
    counted(word)
}
