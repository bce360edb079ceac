//! gcov's JSON (`--json-format`), packed or not. Source: GCC, "Invoking gcov".
//!
//! Branches count by their arms, those that exceptions take aside: the compiler adds them to nearly
//! every call. A line on which a function starts is a method, unless it branches.

use engine::model::{ArmId, Coverage, FileBuilder, Kind};

use super::{Context, MAX_LINE};
use crate::error::{Failure, ProblemCode, Result};
use crate::json::{Cursor, Step, Value};
use crate::number::integer;

/// Adds the files of a document.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut cursor = Cursor::new(content);
    let mut document = Document::default();
    cursor.object(|cursor, key| match &*key {
        "files" if cursor.peek()? == b'[' => cursor.array(|cursor| {
            document.files.extend(file(cursor)?);
            Ok(())
        }),
        "current_working_directory" => {
            document.folder = text(cursor)?;
            Ok(())
        }
        _ => cursor.skip(),
    })?;
    cursor.end()?;
    document.add(context)
}

#[derive(Default)]
struct Document {
    files: Vec<File>,
    /// Where the compiler ran, below which paths stand.
    folder: Option<String>,
}

impl Document {
    fn add(self, context: &mut Context<'_>) -> Result<()> {
        let bases: Vec<String> = self.folder.into_iter().collect();
        let mut builder = FileBuilder::new();
        for file in self.files {
            let path = context.paths.fix_below(&file.name, &bases)?;
            let Some(path) = path.filter(|path| !path.is_empty()) else {
                continue;
            };
            if let Some(line) = file.below_one {
                return Err(Failure::fails(format!(
                    "gcov: line {line} of {path}: lines start at 1"
                )));
            }
            if file.cut {
                let message = format!("{path}: lines beyond {MAX_LINE} are left out");
                context.problem(None, ProblemCode::LineTooLarge, message);
            }
            file.build(&mut builder);
            let lines = builder.take();
            let lines = match context.ignored.get(&path) {
                Some(ignored) => lines.filter(|line| !ignored.contains(line)),
                None => lines,
            };
            context.found.add(path, lines);
        }
        Ok(())
    }
}

/// What is said of one line: several times where it is in several functions.
#[derive(Clone, Copy, Debug)]
struct Line {
    number: u32,
    hits: u64,
    /// Where its arms are among those of the file.
    arms: (u32, u32),
}

#[derive(Default)]
struct File {
    name: String,
    lines: Vec<Line>,
    /// Whether each arm was taken.
    arms: Vec<bool>,
    /// First lines of functions, sorted.
    functions: Vec<u32>,
    /// Whether a line was left out because of [`MAX_LINE`].
    cut: bool,
    /// The first line that cannot be one.
    below_one: Option<i64>,
}

impl File {
    fn build(&self, builder: &mut FileBuilder) {
        let mut missed = Vec::new();
        for line in &self.lines {
            let arms = &self.arms[line.arms.0 as usize..line.arms.1 as usize];
            let starts_function = || self.functions.binary_search(&line.number).is_ok();
            match arms {
                [] | [_] if !starts_function() => builder.hits(line.number, line.hits),
                [] | [_] => {
                    let hits = Coverage::Hits(line.hits);
                    builder.append(line.number, Kind::Method, hits, None, None);
                }
                arms => {
                    let coverage = coverage_of_arms(arms, &mut missed);
                    let missed = (!missed.is_empty()).then_some(&missed[..]);
                    builder.append(line.number, Kind::Branch, coverage, missed, None);
                }
            }
        }
    }
}

/// The coverage of a line's arms, and the names of those that were missed.
fn coverage_of_arms(arms: &[bool], missed: &mut Vec<ArmId>) -> Coverage {
    missed.clear();
    let missing = arms.iter().enumerate().filter(|arm| !arm.1);
    missed.extend(missing.map(|(arm, _)| ArmId::pair(0, arm as u32)));
    missed.sort_unstable();
    Coverage::Arms {
        taken: (arms.len() - missed.len()) as u32,
        total: arms.len() as u32,
    }
}

/// Reads one element of `files`; one without a name is none.
fn file(cursor: &mut Cursor<'_>) -> Step<Option<File>> {
    if cursor.peek()? != b'{' {
        return cursor.skip().map(|()| None);
    }
    let (mut file, mut name) = (File::default(), None);
    cursor.object(|cursor, key| match &*key {
        "file" => {
            name = text(cursor)?;
            Ok(())
        }
        "lines" if cursor.peek()? == b'[' => cursor.array(|cursor| file.line(cursor)),
        "functions" if cursor.peek()? == b'[' => cursor.array(|cursor| file.function(cursor)),
        _ => cursor.skip(),
    })?;
    file.functions.sort_unstable();
    Ok(name.map(|name| File { name, ..file }))
}

impl File {
    fn line(&mut self, cursor: &mut Cursor<'_>) -> Step<()> {
        let (mut number, mut hits) = (0, 0);
        let start = self.arms.len() as u32;
        self.object(cursor, |file, cursor, key| match key {
            "line_number" => {
                number = whole(cursor)?;
                Ok(())
            }
            "count" => {
                hits = whole(cursor)?;
                Ok(())
            }
            "branches" if cursor.peek()? == b'[' => cursor.array(|cursor| file.arm(cursor)),
            _ => cursor.skip(),
        })?;
        let arms = (start, self.arms.len() as u32);
        if number < 1 {
            self.below_one.get_or_insert(number);
        } else if number > i64::from(MAX_LINE) {
            self.cut = true;
        } else {
            self.lines.push(Line {
                number: number as u32,
                hits: hits.max(0) as u64,
                arms,
            });
        }
        Ok(())
    }

    fn arm(&mut self, cursor: &mut Cursor<'_>) -> Step<()> {
        let (mut taken, mut throws) = (false, false);
        self.object(cursor, |_, cursor, key| match key {
            "count" => {
                taken = whole(cursor)? > 0;
                Ok(())
            }
            "throw" => {
                throws = cursor.raw()? == b"true";
                Ok(())
            }
            _ => cursor.skip(),
        })?;
        if !throws {
            self.arms.push(taken);
        }
        Ok(())
    }

    fn function(&mut self, cursor: &mut Cursor<'_>) -> Step<()> {
        self.object(cursor, |file, cursor, key| match key {
            "start_line" => {
                file.functions.extend(u32::try_from(whole(cursor)?).ok());
                Ok(())
            }
            _ => cursor.skip(),
        })
    }

    /// Walks through the object at the cursor; anything else is skipped.
    fn object(
        &mut self,
        cursor: &mut Cursor<'_>,
        mut each: impl FnMut(&mut File, &mut Cursor<'_>, &str) -> Step<()>,
    ) -> Step<()> {
        if cursor.peek()? != b'{' {
            return cursor.skip();
        }
        cursor.object(|cursor, key| each(self, cursor, &key))
    }
}

fn text(cursor: &mut Cursor<'_>) -> Step<Option<String>> {
    match cursor.value()? {
        Value::Text(text) => Ok(Some(text.into_owned())),
        Value::Array | Value::Object => cursor.skip().map(|()| None),
        _ => Ok(None),
    }
}

/// The integer at the cursor, the nearest one that fits; 0 for another value.
fn whole(cursor: &mut Cursor<'_>) -> Step<i64> {
    if let Some(number) = cursor.natural() {
        return Ok(i64::try_from(number).unwrap_or(i64::MAX));
    }
    match cursor.value()? {
        Value::Number(number) => Ok(integer(number).unwrap_or(0)),
        Value::Array | Value::Object => cursor.skip().map(|()| 0),
        _ => Ok(0),
    }
}
