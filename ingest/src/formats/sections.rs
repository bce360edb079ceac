//! Sections of source, from a line and column to another, as some JSON formats list them.

use engine::model::{Complexity, Coverage, FileBuilder, FileCoverage, Kind, Part};

use super::Context;
use crate::json::{Cursor, Step, Stop, Value};
use crate::number::{integer, short_number};

/// A line and a column of it, as a report has them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    pub(super) line: i64,
    pub(super) column: i64,
}

impl Place {
    /// Reads an object that has both.
    #[inline]
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Step<Place> {
        if let Some((place, bytes)) = usual_place(cursor.rest()) {
            cursor.advance(bytes);
            return Ok(place);
        }
        Place::read_any(cursor)
    }

    fn read_any(cursor: &mut Cursor<'_>) -> Step<Place> {
        let (mut line, mut column) = (None, None);
        cursor.expect(b'{')?;
        let mut first = true;
        while let Some(key) = cursor.plain_key(&mut first)? {
            match &*key {
                b"line" => line = whole_number(cursor)?,
                b"column" => column = whole_number(cursor)?,
                _ => cursor.skip()?,
            }
        }
        match (line, column) {
            (Some(line), Some(column)) => Ok(Place { line, column }),
            _ => Stop::fails("a place of the report has no line or no column"),
        }
    }
}

/// Reads `{"line":7,"column":12}` or the same with a blank behind colons and commas; gives its bytes, too.
#[inline]
fn usual_place(text: &[u8]) -> Option<(Place, usize)> {
    let rest = text.strip_prefix(b"{\"line\":")?;
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let (line, length) = short_number(rest)?;
    let rest = rest[length..].strip_prefix(b",")?;
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let rest = rest.strip_prefix(b"\"column\":")?;
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let (column, length) = short_number(rest)?;
    let rest = rest[length..].strip_prefix(b"}")?;
    let place = Place {
        line: i64::from(line),
        column: i64::from(column),
    };
    Some((place, text.len() - rest.len()))
}

/// Reads an integer; `None` when something else stands there.
#[inline]
pub(super) fn whole_number(cursor: &mut Cursor<'_>) -> Step<Option<i64>> {
    match cursor.count()? {
        Some(count) => Ok(i64::try_from(count).ok()),
        None => odd_number(cursor),
    }
}

fn odd_number(cursor: &mut Cursor<'_>) -> Step<Option<i64>> {
    Ok(match cursor.value()? {
        Value::Number(number) => integer(number),
        Value::Array | Value::Object => {
            cursor.skip()?;
            None
        }
        _ => None,
    })
}

/// What a section says of one line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub(super) line: u32,
    pub(super) hits: u64,
    pub(super) complexity: Option<u32>,
    /// The columns it speaks of: from, and to if it ends on the line.
    pub(super) columns: Option<(u32, Option<u32>)>,
}

/// A column as it is kept.
pub(super) fn column(column: i64) -> u32 {
    u32::try_from(column.max(0)).unwrap_or(u32::MAX)
}

/// Adds what sections say of the lines of a file: a line has the most hits that any of them gives,
/// and a complexity where only one section speaks of it. Empties `said`.
pub(super) fn add(said: &mut Vec<Said>, path: String, context: &mut Context<'_>) {
    said.sort_by_key(|said| said.line); // stable: of equals the report's order is kept
    let ignored = context.ignored.get(&path);
    let mut file = FileBuilder::new();
    let kept = |line: &[Said]| !ignored.is_some_and(|lines| lines.contains(line[0].line));
    for line in said
        .chunk_by(|a, b| a.line == b.line)
        .filter(|line| kept(line))
    {
        add_line(line, &mut file);
    }
    said.clear();
    let lines: FileCoverage = file.finish();
    context.found.add(path, lines);
}

fn add_line(said: &[Said], file: &mut FileBuilder) {
    let line = said[0].line;
    let hits = said.iter().map(|said| said.hits).max().unwrap_or(0);
    let complexity = match said {
        [only] => only.complexity.map(|covered| Complexity {
            covered,
            total: None,
        }),
        _ => None,
    };
    file.append(line, Kind::Line, Coverage::Hits(hits), None, complexity);
    for said in said {
        if let Some((start, end)) = said.columns {
            file.part(Part {
                line,
                start,
                end,
                coverage: Coverage::Hits(said.hits),
            });
        }
    }
}
