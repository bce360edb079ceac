//! coverage.py's JSON. Source: coverage.readthedocs.io, "JSON reporting".
//!
//! Read in one pass, without building the document. Keys of other formats, which go before this
//! one, are watched for on the way.

use std::borrow::Cow;

use super::{Attempt, Context, MAX_LINE};
use crate::detect::Format;
use crate::error::{Failure, ProblemCode, Result};
use crate::json::{self, Cursor, Step, Stop};
use engine::model::{FileBuilder, FileCoverage};

/// Adds the files of a document that is coverage.py's for sure, if it is JSON.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    match read(content)? {
        Some(document) => document.add(context),
        None => Err(Failure::corrupt("coverage.py: the file is no JSON of its")),
    }
}

/// Adds the files of a document, unless other formats could claim it.
pub(super) fn attempt(content: &[u8], context: &mut Context<'_>) -> Result<Attempt> {
    match read(content) {
        Ok(Some(document)) if !document.maybe_other => {
            context.format = Some(Format::CoveragePy);
            document.add(context).map(|()| Attempt::Read)
        }
        _ => Ok(Attempt::OtherFormat),
    }
}

/// What was read of a document.
struct Document<'a> {
    /// The files; what one lacks counts only once the document is known to be coverage.py's.
    files: Vec<Entry<'a>>,
    /// Whether a key was seen that may mean another format.
    maybe_other: bool,
}

/// The name of a file, and the file.
type Entry<'a> = (Cow<'a, str>, Result<File>);

impl Document<'_> {
    fn add(self, context: &mut Context<'_>) -> Result<()> {
        self.files
            .into_iter()
            .try_for_each(|(name, file)| add_file(&name, file?, context))
    }
}

fn read(content: &[u8]) -> Result<Option<Document<'_>>> {
    match document(content) {
        Ok((files, keys)) => Ok((keys.files && keys.contexts).then_some(Document {
            files,
            maybe_other: keys.other || (keys.kind && keys.file),
        })),
        Err(Stop::Broken) => Ok(None),
        Err(Stop::Fails(reason)) => Err(Failure::fails(reason)),
    }
}

/// Which keys a document has.
#[derive(Default)]
struct Keys {
    files: bool,
    contexts: bool,
    other: bool,
    kind: bool,
    file: bool,
}

/// The lines of one file.
struct File {
    lines: FileCoverage,
    /// Whether a line was left out because of [`MAX_LINE`].
    cut: bool,
}

/// Line numbers of one list, sorted. A list of the next file takes its place in memory.
#[derive(Default)]
struct Lines {
    numbers: Vec<u32>,
    cut: bool,
}

impl Lines {
    /// Adds a number of the report. Codecov skips what is below 1.
    #[inline]
    fn push(&mut self, number: u64) {
        if number <= u64::from(MAX_LINE) {
            if number > 0 {
                self.numbers.push(number as u32);
            }
        } else {
            self.cut = true;
        }
    }
}

/// Rows of one file. Those of the next take their place in memory.
#[derive(Default)]
struct Rows {
    lines: Vec<u32>,
    hits: Vec<u64>,
}

/// Lines that ran and lines that did not, both sorted. One that is in both ran.
fn merge(executed: &Lines, missing: &Lines, rows: &mut Rows) -> File {
    let (ran, missed) = (&executed.numbers[..], &missing.numbers[..]);
    let most = ran.len() + missed.len();
    rows.lines.resize(most, 0);
    rows.hits.resize(most, 0);
    let (mut i, mut j, mut count) = (0, 0, 0);
    // Which list is next is as good as random, so nothing branches on it.
    for (line, hits) in rows.lines.iter_mut().zip(&mut rows.hits) {
        let (a, b) = match (ran.get(i), missed.get(j)) {
            (Some(&a), Some(&b)) => (a, b),
            (Some(&a), None) => (a, u32::MAX),
            (None, Some(&b)) => (u32::MAX, b),
            (None, None) => break,
        };
        *line = a.min(b);
        *hits = u64::from(a <= b);
        i += usize::from(a <= b);
        j += usize::from(b <= a);
        count += 1;
    }
    rows.lines.truncate(count);
    rows.hits.truncate(count);
    let mut file = FileBuilder::new();
    file.plain(&rows.lines, &rows.hits);
    File {
        lines: file.finish(),
        cut: executed.cut | missing.cut,
    }
}

fn add_file(name: &str, file: File, context: &mut Context<'_>) -> Result<()> {
    let Some(path) = context.paths.fix(name)?.filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    if file.cut {
        let message = format!("{path}: lines beyond {MAX_LINE} are left out");
        context.problem(None, ProblemCode::LineTooLarge, message);
    }
    let lines = match context.ignored.get(&path) {
        Some(ignored) => file.lines.filter(|line| !ignored.contains(line)),
        None => file.lines,
    };
    context.found.add(path, lines);
    Ok(())
}

/// The files of a document, and which keys it has.
fn document(content: &[u8]) -> Step<(Vec<Entry<'_>>, Keys)> {
    let mut cursor = Cursor::new(content);
    let mut keys = Keys::default();
    let (mut files, mut files_wrong) = (Vec::new(), false);
    cursor.object(|cursor, key| {
        let is_object = cursor.peek()? == b'{';
        match &*key {
            "files" => {
                keys.files = true;
                files_wrong = !is_object;
                files.clear();
                if is_object {
                    files = read_files(cursor)?;
                    return Ok(());
                }
            }
            "meta" if is_object => return meta(cursor, &mut keys),
            // Whether some of these decide depends on their values: the general rules look at them.
            "coverage" | "RSpec" | "MiniTest" | "fileReports" | "source_files" | "coverageData"
            | "uploader" | "flowStatus" | "command_name" => keys.other = true,
            "Type" => keys.kind = true,
            "File" => keys.file = true,
            _ => {}
        }
        cursor.skip_text()
    })?;
    cursor.end()?;
    if files_wrong && keys.contexts {
        return Err(Stop::Fails("coverage.py: files is no object".into()));
    }
    Ok((files, keys))
}

fn meta(cursor: &mut Cursor<'_>, keys: &mut Keys) -> Step<()> {
    keys.contexts = false;
    cursor.object(|cursor, key| {
        keys.contexts |= key == "show_contexts";
        keys.other |= key == "simplecov_version";
        cursor.skip_text()
    })
}

fn read_files<'a>(cursor: &mut Cursor<'a>) -> Step<Vec<Entry<'a>>> {
    let files = json::entries(
        cursor,
        br#""executed_lines""#,
        |reader: &mut Reader, cursor, name| {
            let file = match cursor.peek()? {
                b'{' => reader.file(cursor, &name)?,
                _ => {
                    cursor.skip()?;
                    Err(Failure::fails(format!("coverage.py: {name} is no object")))
                }
            };
            Ok((name, file))
        },
    )?;
    Ok(json::last_of_each(files, |(name, _)| name))
}

/// Reads files one by one; what it needs for one takes the place of what the last one had.
#[derive(Default)]
struct Reader {
    executed: Lines,
    missing: Lines,
    rows: Rows,
}

impl Reader {
    fn file(&mut self, cursor: &mut Cursor<'_>, name: &str) -> Step<Result<File>> {
        let (mut executed, mut missing) = (List::Absent, List::Absent);
        cursor.expect(b'{')?;
        let mut first = true;
        while let Some(key) = cursor.raw_key(&mut first)? {
            match key {
                b"executed_lines" => executed = line_numbers(cursor, &mut self.executed)?,
                b"missing_lines" => missing = line_numbers(cursor, &mut self.missing)?,
                _ => cursor.skip()?,
            }
        }
        let check = |list: List, key: &str| match list {
            List::Read => Ok(()),
            List::Other => Err(Failure::fails(format!(
                "coverage.py: {key} of {name} is no list of lines"
            ))),
            List::Absent => Err(Failure::fails(format!("coverage.py: {name} has no {key}"))),
        };
        let both = check(executed, "executed_lines").and(check(missing, "missing_lines"));
        Ok(both.map(|()| merge(&self.executed, &self.missing, &mut self.rows)))
    }
}

/// What stands where a list of lines should.
#[derive(Clone, Copy)]
enum List {
    Absent,
    Read,
    Other,
}

/// A list of integers, to `lines`.
fn line_numbers(cursor: &mut Cursor<'_>, lines: &mut Lines) -> Step<List> {
    lines.numbers.clear();
    lines.cut = false;
    if cursor.peek()? != b'[' || !cursor.integers(|line| lines.push(line))? {
        cursor.skip()?;
        return Ok(List::Other);
    }
    if !lines.numbers.is_sorted() {
        lines.numbers.sort_unstable();
    }
    Ok(List::Read)
}
