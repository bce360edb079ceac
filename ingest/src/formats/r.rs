//! The JSON that R's covr uploads. Source: covr, `R/codecov.R`.

use engine::model::{Coverage, Kind};

use super::lines::{Cell, Listed, coverage_of_integer, coverage_of_number};
use super::{Body, Context};
use crate::error::Result;
use crate::json::Value;

/// Lists start with line 0, of which nothing must be said.
const LISTED: Listed = Listed {
    format: "covr",
    name: "name",
    values: "coverage",
    read: |lines, cursor| lines.list(cursor, 0, reading),
};

/// Adds the files of a report; tells where they stand in it.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<Body> {
    LISTED.parse("files", content, context)
}

/// Values are made integers: a fraction of 1 is 0.
fn reading(value: &Value<'_>) -> Cell {
    let row = |coverage| Cell::Row(Kind::Line, coverage);
    match value {
        Value::Null => Cell::Skipped,
        Value::Bool(is_hit) => row(Coverage::Hits(u64::from(*is_hit))),
        Value::Number(number) => row(coverage_of_number(whole_part(number))),
        Value::Text(text) => coverage_of_integer(text).map_or(Cell::Wrong, row),
        Value::Array | Value::Object => Cell::Wrong,
    }
}

/// What stands before the point of a number without an exponent.
fn whole_part(number: &[u8]) -> &[u8] {
    let has_exponent = number.iter().any(|byte| matches!(byte, b'e' | b'E'));
    match number.iter().position(|&byte| byte == b'.') {
        Some(point) if !has_exponent => &number[..point],
        _ => number,
    }
}
