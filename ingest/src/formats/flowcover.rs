//! The JSON of flow-coverage-report: which expressions of JavaScript have a type.
//! Source: github.com/rpl/flow-coverage-report.

use super::sections::{self, Place, Said, column};
use super::{Body, Context, Found};
use crate::error::{Failure, Result};
use crate::json::{Cursor, Step, Stop};

/// Adds the files of a report; tells where they stand in it.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<Body> {
    let mut cursor = Cursor::new(content);
    let mut first = true;
    let mut body = None;
    cursor.expect(b'{')?;
    while let Some(key) = cursor.key(&mut first)? {
        if key == "files" {
            let start = cursor.at();
            add_files(&mut cursor, context)?;
            body = Some(start..cursor.at());
        } else {
            cursor.skip()?;
        }
    }
    cursor.end()?;
    body.ok_or_else(|| Failure::fails("flow: the report has no files"))
}

fn add_files(cursor: &mut Cursor<'_>, context: &mut Context<'_>) -> Result<()> {
    if cursor.peek()? != b'{' {
        return Err(Failure::fails("flow: files is no object"));
    }
    context.found = Found::default();
    let mut locations = Locations::default();
    let mut first = true;
    cursor.expect(b'{')?;
    while let Some(name) = cursor.key(&mut first)? {
        let Some(path) = context.paths.fix(&name)?.filter(|path| !path.is_empty()) else {
            cursor.skip()?;
            continue;
        };
        locations.read(cursor, &name)?;
        let mut said = Vec::with_capacity(locations.covered.len() + locations.uncovered.len());
        for (places, hits) in [(&locations.covered, 1), (&locations.uncovered, 0)] {
            for &place in places {
                said.extend(said_of(place, hits, &path, context)?);
            }
        }
        sections::add(&mut said, path, context);
    }
    Ok(())
}

fn said_of(
    (start, end): (Place, Place),
    hits: u64,
    path: &str,
    context: &mut Context<'_>,
) -> Result<Option<Said>> {
    if start.line < 1 {
        let line = start.line;
        return Err(Failure::fails(format!(
            "flow: line {line} of {path}: lines start at 1"
        )));
    }
    let is_inside = start.line == end.line;
    let columns = is_inside.then(|| (column(start.column), Some(column(end.column))));
    Ok(context.checked_line(start.line, path).map(|line| Said {
        line,
        hits,
        complexity: None,
        columns,
    }))
}

/// Expressions of one file: from, and to.
#[derive(Default)]
struct Locations {
    covered: Vec<(Place, Place)>,
    uncovered: Vec<(Place, Place)>,
}

impl Locations {
    fn read(&mut self, cursor: &mut Cursor<'_>, name: &str) -> Result<()> {
        if cursor.peek()? != b'{' {
            return Err(Failure::fails(format!("flow: {name} is no object")));
        }
        let (mut has_covered, mut has_uncovered) = (false, false);
        self.covered.clear();
        self.uncovered.clear();
        cursor.object(|cursor, key| {
            if key != "expressions" || cursor.peek()? != b'{' {
                return cursor.skip();
            }
            cursor.object(|cursor, key| match &*key {
                "covered_locs" => {
                    has_covered = true;
                    places(cursor, &mut self.covered)
                }
                "uncovered_locs" => {
                    has_uncovered = true;
                    places(cursor, &mut self.uncovered)
                }
                _ => cursor.skip(),
            })
        })?;
        match has_covered && has_uncovered {
            true => Ok(()),
            false => Err(Failure::fails(format!(
                "flow: {name} has no covered_locs or no uncovered_locs"
            ))),
        }
    }
}

fn places(cursor: &mut Cursor<'_>, places: &mut Vec<(Place, Place)>) -> Step<()> {
    places.clear();
    if cursor.peek()? != b'[' {
        return Stop::fails("flow: locations are no array");
    }
    cursor.array(|cursor| {
        if cursor.peek()? != b'{' {
            return Stop::fails("flow: a location is no object");
        }
        let (mut start, mut end) = (None, None);
        cursor.expect(b'{')?;
        let mut first = true;
        while let Some(key) = cursor.plain_key(&mut first)? {
            match &*key {
                b"start" => start = Some(Place::read(cursor)?),
                b"end" => end = Some(Place::read(cursor)?),
                _ => cursor.skip()?,
            }
        }
        let (Some(start), Some(end)) = (start, end) else {
            return Stop::fails("flow: a location has no start or no end");
        };
        places.push((start, end));
        Ok(())
    })
}
