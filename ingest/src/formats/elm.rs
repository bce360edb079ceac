//! elm-coverage's JSON. Source: github.com/zwilias/elm-coverage, "codecov" reporter.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::sections::{self, Place, Said, column, whole_number};
use super::{Body, Context};
use crate::error::{Failure, Result};
use crate::json::{Cursor, Step, Stop};

/// The most lines that all sections of one report may span, counted with repetition.
const MAX_SPANNED_LINES: i64 = 50_000_000;

/// Adds the files of a report, sections by module and paths of modules; tells where the sections stand.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<Body> {
    let mut cursor = Cursor::new(content);
    let (mut paths_of, mut modules, mut body) = (HashMap::new(), Modules::default(), None);
    let mut first = true;
    cursor.expect(b'{')?;
    while let Some(key) = cursor.key(&mut first)? {
        match &*key {
            "coverageData" => {
                let start = cursor.at();
                modules = Modules::read(&mut cursor)?;
                body = Some(start..cursor.at());
            }
            "moduleMap" => paths_of = paths(&mut cursor)?,
            _ => cursor.skip()?,
        }
    }
    cursor.end()?;
    let body = body.ok_or_else(|| Failure::fails("elm: the report has no coverageData"))?;
    modules.add(&paths_of, context)?;
    Ok(body)
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

/// What was read before it is known which modules are of the repository: only of those it counts what
/// is wrong.
#[derive(Default)]
struct Modules<'a> {
    /// Names, and which of `sections` are theirs.
    modules: Vec<(Cow<'a, str>, Result<Range<usize>>)>,
    sections: Vec<Section>,
}

impl<'a> Modules<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Modules<'a>> {
        if cursor.peek()? != b'{' {
            return Err(Failure::fails("elm: coverageData is no object"));
        }
        let mut modules = Modules::default();
        let mut first = true;
        cursor.expect(b'{')?;
        while let Some(module) = cursor.key(&mut first)? {
            let before = cursor.clone();
            let start = modules.sections.len();
            let read = modules.read_sections(cursor, &module);
            if read.is_err() {
                *cursor = before;
                cursor.skip()?;
            }
            let end = modules.sections.len();
            modules.modules.push((module, read.map(|()| start..end)));
        }
        Ok(modules)
    }

    fn read_sections(&mut self, cursor: &mut Cursor<'_>, module: &str) -> Result<()> {
        if cursor.peek()? != b'[' {
            return Err(Failure::fails(format!(
                "elm: the sections of {module} are no array"
            )));
        }
        Ok(cursor.array(|cursor| {
            self.sections.push(section(cursor)?);
            Ok(())
        })?)
    }

    fn add(self, paths: &Paths<'_>, context: &mut Context<'_>) -> Result<()> {
        let (mut said, mut spanned) = (Vec::new(), 0);
        for (module, sections) in self.modules {
            let Some(path) = paths.get(&module) else {
                return Err(Failure::fails(format!("elm: module {module} has no path")));
            };
            if let Some(path) = context.paths.fix(path)?.filter(|path| !path.is_empty()) {
                for section in &self.sections[sections?] {
                    check_section(section, &path, &mut spanned)?;
                    add_section(section, &path, &mut said, context);
                }
                sections::add(&mut said, path, context);
            }
        }
        Ok(())
    }
}

fn check_section(section: &Section, path: &str, spanned: &mut i64) -> Result<()> {
    let line = section.from.line;
    if line < 1 {
        return Err(Failure::fails(format!(
            "elm: a section of {path} starts at line {line}; lines start at 1"
        )));
    }
    let inner = section.to.line.saturating_sub(line).max(0);
    *spanned = spanned.saturating_add(inner);
    if *spanned > MAX_SPANNED_LINES {
        return Err(Failure::fails(format!(
            "elm: sections span more than {MAX_SPANNED_LINES} lines"
        )));
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
    cursor.expect(b'{')?;
    let mut first = true;
    while let Some(key) = cursor.plain_key(&mut first)? {
        match &*key {
            b"from" => from = Some(Place::read(cursor)?),
            b"to" => to = Some(Place::read(cursor)?),
            b"count" => hits = count(cursor)?,
            b"complexity" => complexity = whole_number(cursor)?.map(column),
            _ => cursor.skip()?,
        }
    }
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
