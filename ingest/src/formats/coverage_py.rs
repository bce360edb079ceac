//! coverage.py's JSON. Source: coverage.readthedocs.io, "JSON reporting".
//!
//! Read in one pass, without building the document. Keys of other formats, which go before this
//! one, are watched for on the way.

use super::{Attempt, Context, MAX_LINE};
use crate::detect::Format;
use crate::error::{Failure, ProblemCode, Result};
use crate::json::{Cursor, Step, Stop};
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
struct Document {
    /// The files; what one lacks counts only once the document is known to be coverage.py's.
    files: Vec<(String, Result<File>)>,
    /// Whether a key was seen that may mean another format.
    maybe_other: bool,
}

impl Document {
    fn add(self, context: &mut Context<'_>) -> Result<()> {
        self.files
            .into_iter()
            .try_for_each(|(name, file)| add_file(&name, file?, context))
    }
}

fn read(content: &[u8]) -> Result<Option<Document>> {
    let mut reader = Reader {
        cursor: Cursor::new(content),
        files: Vec::new(),
        executed: Lines::default(),
        missing: Lines::default(),
        rows: Rows::default(),
    };
    match reader.document() {
        Ok(keys) => Ok((keys.files && keys.contexts).then_some(Document {
            files: reader.files,
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

impl Rows {
    #[inline]
    fn push(&mut self, line: u32, hits: u64) {
        self.lines.push(line);
        self.hits.push(hits);
    }
}

/// Lines that ran and lines that did not, both sorted. One that is in both ran.
fn merge(executed: &Lines, missing: &Lines, rows: &mut Rows) -> File {
    rows.lines.clear();
    rows.hits.clear();
    let mut missed = &missing.numbers[..];
    for &line in &executed.numbers {
        while let [before, rest @ ..] = missed
            && *before < line
        {
            rows.push(*before, 0);
            missed = rest;
        }
        rows.push(line, 1);
    }
    missed.iter().for_each(|&line| rows.push(line, 0));
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

struct Reader<'a> {
    cursor: Cursor<'a>,
    files: Vec<(String, Result<File>)>,
    executed: Lines,
    missing: Lines,
    rows: Rows,
}

impl Reader<'_> {
    fn document(&mut self) -> Step<Keys> {
        let mut keys = Keys::default();
        let mut files_wrong = false;
        self.cursor.expect(b'{')?;
        let mut first = true;
        while let Some(key) = self.cursor.key(&mut first)? {
            let is_object = self.cursor.peek()? == b'{';
            match &*key {
                "files" => {
                    keys.files = true;
                    self.files.clear();
                    files_wrong = !is_object;
                    if is_object {
                        self.files()?;
                        continue;
                    }
                }
                "meta" if is_object => {
                    self.meta(&mut keys)?;
                    continue;
                }
                // Whether some of these decide depends on their values: the general rules look at them.
                "coverage" | "RSpec" | "MiniTest" | "fileReports" | "source_files"
                | "coverageData" | "uploader" | "flowStatus" | "command_name" => keys.other = true,
                "Type" => keys.kind = true,
                "File" => keys.file = true,
                _ => {}
            }
            self.cursor.skip()?;
        }
        self.cursor.end()?;
        if files_wrong && keys.contexts {
            return Err(Stop::Fails("coverage.py: files is no object".into()));
        }
        Ok(keys)
    }

    fn meta(&mut self, keys: &mut Keys) -> Step<()> {
        self.cursor.expect(b'{')?;
        keys.contexts = false;
        let mut first = true;
        while let Some(key) = self.cursor.key(&mut first)? {
            keys.contexts |= key == "show_contexts";
            keys.other |= key == "simplecov_version";
            self.cursor.skip()?;
        }
        Ok(())
    }

    fn files(&mut self) -> Step<()> {
        self.cursor.expect(b'{')?;
        let mut first = true;
        while let Some(name) = self.cursor.key(&mut first)? {
            let lines = match self.cursor.peek()? {
                b'{' => self.file(&name)?,
                _ => {
                    self.cursor.skip()?;
                    Err(Failure::fails(format!("coverage.py: {name} is no object")))
                }
            };
            self.files.push((name.into_owned(), lines));
        }
        Ok(())
    }

    fn file(&mut self, name: &str) -> Step<Result<File>> {
        let (mut executed, mut missing) = (List::Absent, List::Absent);
        self.cursor.expect(b'{')?;
        let mut first = true;
        while let Some(key) = self.cursor.key(&mut first)? {
            match &*key {
                "executed_lines" => executed = line_numbers(&mut self.cursor, &mut self.executed)?,
                "missing_lines" => missing = line_numbers(&mut self.cursor, &mut self.missing)?,
                _ => self.cursor.skip()?,
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
