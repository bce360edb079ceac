//! GAP's profiles: a JSON object on each line. Source: gap-packages.github.io/profiling, "Format".

use std::borrow::Cow;

use memchr::memchr;

use super::Context;
use super::sources::Named;
use crate::error::{Failure, Result};
use crate::json::{Cursor, Step, Stop, Value};
use crate::number::digits;

/// Adds the files of a profile.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut sources = Named::default();
    let mut rest = content;
    while !rest.is_empty() {
        if let Some((is_run, line, length)) = plain_line(rest) {
            add(&mut sources, line, is_run, context)?;
            rest = &rest[length..];
            continue;
        }
        let length = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest[..length].trim_ascii();
        rest = rest.get(length + 1..).unwrap_or_default();
        if !line.is_empty() {
            any_line(line, &mut sources, context)?;
        }
    }
    sources.finish(context);
    Ok(())
}

/// `{"Type":"E","Line":1,"FileId":1}` as GAP writes it, its line break included: (whether the line
/// ran, line, bytes).
#[inline]
fn plain_line(text: &[u8]) -> Option<(bool, i64, usize)> {
    let [kind, rest @ ..] = text.strip_prefix(b"{\"Type\":\"")? else {
        return None;
    };
    if !matches!(kind, b'E' | b'R') {
        return None;
    }
    let rest = rest.strip_prefix(b"\",\"Line\":")?;
    let (line, a) = digits(rest);
    let rest = rest[a..].strip_prefix(b",\"FileId\":")?;
    let (_, b) = digits(rest);
    let rest = rest[b..].strip_prefix(b"}\n")?;
    let is_plain = (1..9).contains(&a) && (1..9).contains(&b);
    is_plain.then_some((*kind == b'E', line as i64, text.len() - rest.len()))
}

/// What a line says, as far as it matters.
#[derive(Default)]
struct Entry<'a> {
    kind: Option<Value<'a>>,
    file: Option<Cow<'a, str>>,
    line: Option<i64>,
}

fn any_line<'c>(line: &[u8], sources: &mut Named<'c>, context: &mut Context<'c>) -> Result<()> {
    let entry = read(line).map_err(|stop| match stop {
        Stop::Broken => Failure::fails("gap: a line is no JSON object"),
        Stop::Fails(reason) => Failure::fails(reason),
    })?;
    let missing = |key| Failure::fails(format!("gap: a line has no {key}"));
    match entry.kind.ok_or_else(|| missing("Type"))? {
        Value::Text(kind) if kind == "S" => {
            let file = entry.file.ok_or_else(|| missing("File"))?;
            sources.select(&file, context)
        }
        kind => {
            let is_run = kind != Value::Text(Cow::Borrowed("R"));
            if sources.current().is_none() {
                return Ok(());
            }
            add(
                sources,
                entry.line.ok_or_else(|| missing("number Line"))?,
                is_run,
                context,
            )
        }
    }
}

fn read(line: &[u8]) -> Step<Entry<'_>> {
    let mut entry = Entry::default();
    let mut cursor = Cursor::new(line);
    cursor.object(|cursor, key| {
        match (&*key, cursor.value()?) {
            (_, Value::Array | Value::Object) => cursor.skip()?,
            ("Type", kind) => entry.kind = Some(kind),
            ("File", Value::Text(file)) => entry.file = Some(file),
            ("Line", Value::Number(number)) => {
                entry.line = std::str::from_utf8(number)
                    .ok()
                    .and_then(|text| text.parse().ok());
            }
            _ => {}
        }
        Ok(())
    })?;
    cursor.end()?;
    Ok(entry)
}

#[inline]
fn add<'c>(
    sources: &mut Named<'c>,
    line: i64,
    is_run: bool,
    context: &mut Context<'c>,
) -> Result<()> {
    let Some(source) = sources.current() else {
        return Ok(());
    };
    if line < 1 {
        let path = &source.path;
        return Err(Failure::fails(format!(
            "gap: line {line} of {path}: lines start at 1"
        )));
    }
    if let Some(line) = context.checked_line(line, &source.path) {
        source.hits(line, u64::from(is_run));
    }
    Ok(())
}
