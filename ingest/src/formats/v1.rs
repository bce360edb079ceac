//! Codecov's own JSON, and SimpleCov's result sets of RSpec and MiniTest, which look alike.
//!
//! Source: Codecov's documentation, "Codecov custom coverage format".

use engine::model::Kind;

use super::lines::{Cell, Lines, coverage, coverage_of_integer};
use super::{Body, Context, Found};
use crate::error::{Failure, Result};
use crate::json::{Cursor, Step, Value};

const FORMAT: &str = "v1";

/// Where coverage may stand in a document; the greatest that is there counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Coverage,
    MiniTest,
    RSpec,
}

/// Adds the files of a report; tells where they stand in it. A key that is no line makes the whole
/// file unrecognised.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<Body> {
    let mut cursor = Cursor::new(content);
    let mut first = true;
    let mut best: Option<Place> = None;
    let mut read = Ok(0..0);
    cursor.expect(b'{')?;
    while let Some(key) = cursor.key(&mut first)? {
        let place = match &*key {
            "RSpec" => Some(Place::RSpec),
            "MiniTest" => Some(Place::MiniTest),
            "coverage" => Some(Place::Coverage),
            _ => None,
        };
        if place.is_none() || place < best {
            cursor.skip()?;
            continue;
        }
        best = place;
        context.found = Found::default();
        let before = cursor.clone();
        read = coverage_at(place, &mut cursor, context).map(|()| before.at()..cursor.at());
        if read.is_err() {
            cursor = before;
            cursor.skip()?;
        }
    }
    cursor.end()?;
    read
}

fn coverage_at(
    place: Option<Place>,
    cursor: &mut Cursor<'_>,
    context: &mut Context<'_>,
) -> Result<()> {
    if cursor.peek()? != b'{' {
        cursor.skip()?;
        return Ok(());
    }
    if place == Some(Place::Coverage) {
        return files(cursor, context);
    }
    let mut first = true;
    cursor.expect(b'{')?;
    while let Some(key) = cursor.key(&mut first)? {
        if key == "coverage" {
            context.found = Found::default();
            coverage_at(Some(Place::Coverage), cursor, context)?;
        } else {
            cursor.skip()?;
        }
    }
    Ok(())
}

fn files(cursor: &mut Cursor<'_>, context: &mut Context<'_>) -> Result<()> {
    let mut first = true;
    let mut lines = Lines::default();
    cursor.expect(b'{')?;
    while let Some(name) = cursor.key(&mut first)? {
        lines.clear();
        values(&mut lines, cursor)?;
        if let Some(key) = lines.no_line() {
            let reason = format!("{FORMAT}: {key:?} of {name} is no line");
            let is_there = context
                .paths
                .fix(&name)?
                .is_some_and(|path| !path.is_empty());
            if is_there && !lines.is_shapeless() {
                return Err(Failure::corrupt(reason));
            }
        }
        lines.skip_below_one();
        lines.add(FORMAT, &name, context)?;
    }
    Ok(())
}

/// Reads an array, whose first value is of no line, an object of lines, or an object that has an
/// array under `lines`, whose first value is of line 1.
fn values(lines: &mut Lines, cursor: &mut Cursor<'_>) -> Step<()> {
    let mut first = true;
    match cursor.peek()? {
        b'[' => {
            cursor.expect(b'[')?;
            if cursor.element(&mut first)? {
                cursor.skip()?;
                lines.open_list(cursor, &mut first, 1, in_array)?;
            }
            Ok(())
        }
        b'{' => {
            cursor.expect(b'{')?;
            let mut has_list = false;
            loop {
                if !has_list {
                    lines.short_entries(cursor, &mut first)?;
                }
                let Some(key) = cursor.key(&mut first)? else {
                    return Ok(());
                };
                match &*key {
                    "lines" => {
                        has_list = true;
                        lines.clear();
                        lines.list(cursor, 1, in_array)?;
                    }
                    _ if has_list => cursor.skip()?,
                    key => lines.entry(cursor, key, in_object)?,
                }
            }
        }
        _ => lines.skip_shapeless(cursor),
    }
}

fn in_array(value: &Value<'_>) -> Cell {
    match value {
        Value::Null => Cell::Skipped,
        value => in_object(value),
    }
}

/// Texts and booleans are branches, unless a text is a number.
fn in_object(value: &Value<'_>) -> Cell {
    let (kind, coverage) = match value {
        Value::Text(text) => match coverage_of_integer(text) {
            Some(hits) => (Kind::Line, Some(hits)),
            None => (Kind::Branch, coverage(value)),
        },
        Value::Bool(_) => (Kind::Branch, coverage(value)),
        _ => (Kind::Line, coverage(value)),
    };
    coverage.map_or(Cell::Wrong, |coverage| Cell::Row(kind, coverage))
}
