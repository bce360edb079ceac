//! SimpleCov's JSON. Source: github.com/simplecov-ruby/simplecov, `lib/simplecov/formatter`.

use engine::model::{Coverage, Kind};

use super::lines::{Cell, Lines, Listed, as_it_is};
use super::{Body, Context};
use crate::error::Result;
use crate::json::{Cursor, Step, Value};

const LISTED: Listed = Listed {
    format: "simplecov",
    name: "filename",
    values: "coverage",
    read: values,
};

/// Adds the files of a report; tells where they stand in it.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<Body> {
    LISTED.parse("files", content, context)
}

/// Reads an array, or since 0.18 an object that has it under `lines`.
fn values(lines: &mut Lines, cursor: &mut Cursor<'_>) -> Step<()> {
    if cursor.peek()? != b'{' {
        return lines.list(cursor, 1, reading);
    }
    cursor.object(|cursor, key| match &*key {
        "lines" => {
            lines.clear();
            lines.list(cursor, 1, reading)
        }
        _ => cursor.skip(),
    })
}

/// Lines that are never relevant are kept: they do not count, but the file does.
fn reading(value: &Value<'_>) -> Cell {
    match value {
        Value::Text(text) if text == "ignored" => Cell::Row(Kind::Line, Coverage::Ignored),
        value => as_it_is(value),
    }
}
