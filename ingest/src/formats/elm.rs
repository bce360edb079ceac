//! elm-coverage's JSON. Source: github.com/zwilias/elm-coverage, "codecov" reporter.

use std::borrow::Cow;
use std::collections::HashMap;

use super::sections::{self, Place, Said, column, whole_number};
use super::{Context, Found};
use crate::error::{Failure, Result};
use crate::json::{Cursor, Step, Stop};

/// The most lines that all sections of one report may span, counted with repetition.
const MAX_SPANNED_LINES: i64 = 50_000_000;

/// Adds the files of a report: sections by module, and paths of modules.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut cursor = Cursor::new(content);
    let (mut modules, mut data) = (HashMap::new(), None);
    cursor.object(|cursor, key| match &*key {
        "coverageData" => {
            data = Some(cursor.raw()?);
            Ok(())
        }
        "moduleMap" => {
            modules = paths(cursor)?;
            Ok(())
        }
        _ => cursor.skip(),
    })?;
    cursor.end()?;
    let Some(data) = data else {
        return Err(Failure::fails("elm: the report has no coverageData"));
    };
    add_modules(&mut Cursor::new(data), &modules, context)
}

/// Paths by module.
type Paths<'a> = HashMap<Cow<'a, str>, Cow<'a, str>>;

fn paths<'a>(cursor: &mut Cursor<'a>) -> Step<Paths<'a>> {
    let mut paths = HashMap::new();
    if cursor.peek()? != b'{' {
        return Stop::fails("elm: moduleMap is no object");
    }
    cursor.object(|cursor, module| {
        if let Some(path) = super::lines::text(cursor)? {
            paths.insert(module, path);
        }
        Ok(())
    })?;
    Ok(paths)
}

fn add_modules(
    cursor: &mut Cursor<'_>,
    modules: &Paths<'_>,
    context: &mut Context<'_>,
) -> Result<()> {
    if cursor.peek()? != b'{' {
        return Err(Failure::fails("elm: coverageData is no object"));
    }
    context.found = Found::default();
    let mut said = Vec::new();
    let mut spanned = 0;
    let mut first = true;
    cursor.expect(b'{')?;
    while let Some(module) = cursor.key(&mut first)? {
        let Some(path) = modules.get(&module) else {
            return Err(Failure::fails(format!("elm: module {module} has no path")));
        };
        match context.paths.fix(path)?.filter(|path| !path.is_empty()) {
            None => cursor.skip()?,
            Some(path) => {
                add_sections(cursor, &path, &mut said, &mut spanned, context)?;
                sections::add(&mut said, path, context);
            }
        }
    }
    Ok(())
}

fn add_sections(
    cursor: &mut Cursor<'_>,
    path: &str,
    said: &mut Vec<Said>,
    spanned: &mut i64,
    context: &mut Context<'_>,
) -> Result<()> {
    if cursor.peek()? != b'[' {
        return Err(Failure::fails(format!(
            "elm: the sections of {path} are no array"
        )));
    }
    cursor.expect(b'[')?;
    let mut first = true;
    while cursor.element(&mut first)? {
        let section = section(cursor)?;
        if section.from.line < 1 {
            let line = section.from.line;
            return Err(Failure::fails(format!(
                "elm: a section of {path} starts at line {line}; lines start at 1"
            )));
        }
        let inner = section.to.line.saturating_sub(section.from.line).max(0);
        *spanned = spanned.saturating_add(inner);
        if *spanned > MAX_SPANNED_LINES {
            return Err(Failure::fails(format!(
                "elm: sections span more than {MAX_SPANNED_LINES} lines"
            )));
        }
        add_section(&section, path, said, context);
    }
    Ok(())
}

/// Says all lines of a section but the last, on which the next one mostly starts.
fn add_section(section: &Section, path: &str, said: &mut Vec<Said>, context: &mut Context<'_>) {
    let Section {
        from,
        to,
        hits,
        complexity,
    } = *section;
    let ends = (to.line == from.line).then(|| column(to.column));
    if let Some(line) = context.checked_line(from.line, path) {
        let columns = Some((column(from.column), ends));
        said.push(Said {
            line,
            hits,
            complexity,
            columns,
        });
    }
    for line in from.line + 1..to.line {
        let Some(line) = context.checked_line(line, path) else {
            return;
        };
        said.push(Said {
            line,
            hits,
            complexity: None,
            columns: None,
        });
    }
}

struct Section {
    from: Place,
    to: Place,
    hits: u64,
    complexity: Option<u32>,
}

fn section(cursor: &mut Cursor<'_>) -> Step<Section> {
    if cursor.peek()? != b'{' {
        return Stop::fails("elm: a section is no object");
    }
    let (mut from, mut to, mut hits, mut complexity) = (None, None, 0, None);
    cursor.object(|cursor, key| {
        match &*key {
            "from" => from = Some(Place::read(cursor)?),
            "to" => to = Some(Place::read(cursor)?),
            "count" => hits = count(cursor)?,
            "complexity" => complexity = whole_number(cursor)?.map(column),
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    match (from, to) {
        (Some(from), Some(to)) => Ok(Section {
            from,
            to,
            hits,
            complexity,
        }),
        _ => Stop::fails("elm: a section has no from or no to"),
    }
}

fn count(cursor: &mut Cursor<'_>) -> Step<u64> {
    match whole_number(cursor)? {
        Some(count) => Ok(count.max(0) as u64),
        None => Stop::fails("elm: the count of a section is no integer"),
    }
}
