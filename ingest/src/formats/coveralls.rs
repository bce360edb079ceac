//! Coveralls' JSON. Source: docs.coveralls.io, "API Reference", `source_files`.

use std::borrow::Cow;

use super::lines::{Lines, Listed, unless_null};
use super::{Body, Context};
use crate::error::Result;
use crate::json::{Cursor, Step, Stop};

const LISTED: Listed = Listed {
    format: "coveralls",
    name: "name",
    values: "coverage",
    read: values,
};

/// Adds the files of a report; tells where they stand in it.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<Body> {
    LISTED.parse("source_files", content, context)
}

/// Reads an array, or a text that is the JSON of one.
fn values(lines: &mut Lines, cursor: &mut Cursor<'_>) -> Step<()> {
    if cursor.peek()? != b'"' {
        return lines.list(cursor, 1, unless_null);
    }
    let text: Cow<'_, str> = cursor.string()?;
    let mut inner = Cursor::new(text.as_bytes());
    let read = lines
        .list(&mut inner, 1, unless_null)
        .and_then(|()| inner.end());
    match read {
        Err(Stop::Broken) => Stop::fails("coveralls: a text of coverage is no JSON"),
        read => read,
    }
}
