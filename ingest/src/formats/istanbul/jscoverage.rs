//! Files as jscoverage gives them: hits by line, and conditions by line.

use std::collections::HashMap;

use engine::model::{Coverage, FileBuilder, Kind, Part};

use crate::formats::MAX_LINE;
use crate::formats::lines::coverage;
use crate::json::{Cursor, Step, Value};
use crate::number::integer;

/// Whether lines were left out because of [`MAX_LINE`], or what is wrong with the file.
type Outcome = std::result::Result<bool, String>;

/// Reads a list of hits, whose index is the line, and the conditions on lines.
pub(super) fn read(
    lines: &[u8],
    conditions: Option<&[u8]>,
    file: &mut FileBuilder,
) -> Step<Outcome> {
    let conditions = match conditions {
        Some(conditions) => Conditions::read(&mut Cursor::new(conditions))?,
        None => Conditions::default(),
    };
    let mut cursor = Cursor::new(lines);
    if cursor.peek()? != b'[' {
        return Ok(Err("lineData is no list".into()));
    }
    let (mut outcome, mut line) = (Ok(false), 0);
    cursor.array(|cursor| {
        let value = any_value(cursor)?;
        match (&mut outcome, &value) {
            (Err(_), _) | (_, Value::Null) => {}
            (outcome, _) if line == 0 => *outcome = Err("lineData has a line 0".into()),
            (Ok(cut), _) if line > MAX_LINE => *cut = true,
            (outcome, value) => match (conditions.of(line), coverage(value)) {
                ([], Some(hits)) => file.append(line, Kind::Line, hits, None, None),
                ([], None) => *outcome = Err(format!("hits of line {line} are none")),
                (parts, _) => {
                    file.append(line, Kind::Branch, coverage_of_parts(parts), None, None);
                    parts.iter().for_each(|part| file.part(*part));
                }
            },
        }
        line = line.saturating_add(1);
        Ok(())
    })?;
    Ok(outcome.and_then(|cut| match conditions.fault {
        Some(fault) => Err(fault),
        None => Ok(cut),
    }))
}

/// Reads hits by line.
pub(super) fn read_covered(lines: &[u8], file: &mut FileBuilder) -> Step<Outcome> {
    let mut cursor = Cursor::new(lines);
    if cursor.peek()? != b'{' {
        return Ok(Err("linesCovered is no object".into()));
    }
    let mut outcome = Ok(false);
    cursor.object(|cursor, key| {
        let value = any_value(cursor)?;
        match (&mut outcome, integer(key.as_bytes()), coverage(&value)) {
            (Err(_), ..) => {}
            (Ok(cut), Some(line), _) if line > i64::from(MAX_LINE) => *cut = true,
            (_, Some(line @ 1..), Some(hits)) => {
                file.append(line as u32, Kind::Line, hits, None, None);
            }
            (outcome, ..) => *outcome = Err(format!("linesCovered has {key:?}")),
        }
        Ok(())
    })?;
    Ok(outcome)
}

/// Reads any value; what is no plain one is skipped.
fn any_value<'a>(cursor: &mut Cursor<'a>) -> Step<Value<'a>> {
    let value = cursor.value()?;
    if matches!(value, Value::Array | Value::Object) {
        cursor.skip()?;
    }
    Ok(value)
}

/// The one condition's fraction, or how many of several were seen at all.
fn coverage_of_parts(parts: &[Part]) -> Coverage {
    let is_seen = |part: &&Part| !matches!(part.coverage, Coverage::Arms { taken: 0, .. });
    match parts {
        [part] => match part.coverage {
            Coverage::Arms { taken: 0, .. } => Coverage::Hits(0),
            Coverage::Arms { taken, total } if taken == total => Coverage::Hits(1),
            half => half,
        },
        parts => Coverage::Arms {
            taken: parts.iter().filter(is_seen).count() as u32,
            total: parts.len() as u32,
        },
    }
}

/// Conditions by line.
#[derive(Default)]
struct Conditions {
    parts: Vec<Part>,
    by_line: HashMap<u32, (usize, usize)>,
    fault: Option<String>,
}

impl Conditions {
    fn read(cursor: &mut Cursor<'_>) -> Step<Conditions> {
        let mut conditions = Conditions::default();
        if cursor.peek()? != b'{' {
            conditions.fault = Some("branchData is no object".into());
            return Ok(conditions);
        }
        cursor.object(|cursor, key| {
            // Lines are looked up as texts.
            let line = key
                .parse()
                .ok()
                .filter(|line: &u32| line.to_string() == key);
            match line {
                Some(line) if cursor.peek()? == b'[' => conditions.line(cursor, line),
                _ => cursor.skip(),
            }
        })?;
        Ok(conditions)
    }

    fn of(&self, line: u32) -> &[Part] {
        match self.by_line.get(&line) {
            Some(&(start, end)) => &self.parts[start..end],
            None => &[],
        }
    }

    /// The conditions of one line; the first element of its list is none.
    fn line(&mut self, cursor: &mut Cursor<'_>, line: u32) -> Step<()> {
        let start = self.parts.len();
        let mut is_first = true;
        cursor.array(|cursor| {
            if std::mem::take(&mut is_first) || cursor.peek()? != b'{' {
                return cursor.skip();
            }
            self.condition(cursor, line)
        })?;
        self.by_line.insert(line, (start, self.parts.len()));
        Ok(())
    }

    fn condition(&mut self, cursor: &mut Cursor<'_>, line: u32) -> Step<()> {
        let (mut position, mut length, mut taken) = (0, 0, [false; 2]);
        cursor.object(|cursor, key| {
            let value = any_value(cursor)?;
            match &*key {
                "position" => position = column(&value),
                "nodeLength" => length = column(&value),
                "evalTrue" => taken[0] = is_truthy(&value),
                "evalFalse" => taken[1] = is_truthy(&value),
                _ => {}
            }
            Ok(())
        })?;
        self.parts.push(Part {
            line,
            start: position,
            end: Some(position.saturating_add(length)),
            coverage: Coverage::Arms {
                taken: taken.into_iter().map(u32::from).sum(),
                total: 2,
            },
        });
        Ok(())
    }
}

fn column(value: &Value<'_>) -> u32 {
    let number = match value {
        Value::Number(number) => integer(number),
        _ => None,
    };
    number.unwrap_or(0).clamp(0, i64::from(u32::MAX)) as u32
}

fn is_truthy(value: &Value<'_>) -> bool {
    match value {
        Value::Null | Value::Array | Value::Object => false,
        Value::Bool(truth) => *truth,
        Value::Text(text) => !text.is_empty(),
        Value::Number(_) => coverage(value) != Some(Coverage::Hits(0)),
    }
}
