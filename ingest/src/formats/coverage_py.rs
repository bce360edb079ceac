//! coverage.py's JSON. Source: coverage.readthedocs.io, "JSON reporting".
//!
//! Read in one pass, without building the document. Keys of other formats, which go before this
//! one, are watched for on the way.

use std::borrow::Cow;

use engine::model::{FileBuilder, FileCoverage};
use memchr::memchr2;

use super::number::digits;
use super::{Context, MAX_LINE};
use crate::detect::Format;
use crate::error::{Failure, ProblemCode, Result};

/// How deep values may be nested.
const MAX_DEPTH: usize = 128;

/// What became of a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Attempt {
    /// It is coverage.py's, and was read.
    Read,
    /// It may be JSON of another format, or no JSON; nothing was added.
    OtherFormat,
}

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
        cursor: Cursor {
            bytes: content,
            at: 0,
        },
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

/// Why reading stopped.
enum Stop {
    /// Not JSON.
    Broken,
    /// JSON in which coverage.py's files are not.
    Fails(String),
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
            self.cursor.skip_value(0)?;
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
            self.cursor.skip_value(1)?;
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
                    self.cursor.skip_value(1)?;
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
                "executed_lines" => executed = self.cursor.line_numbers(&mut self.executed)?,
                "missing_lines" => missing = self.cursor.line_numbers(&mut self.missing)?,
                _ => self.cursor.skip_value(2)?,
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

/// A place in a JSON document.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Step<T> = std::result::Result<T, Stop>;

impl<'a> Cursor<'a> {
    /// The next byte that is no blank.
    #[inline]
    fn peek(&mut self) -> Step<u8> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Ok(byte);
            }
            self.at += 1;
        }
        Err(Stop::Broken)
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Step<()> {
        if self.peek()? != byte {
            return Err(Stop::Broken);
        }
        self.at += 1;
        Ok(())
    }

    fn end(&mut self) -> Step<()> {
        if self.peek().is_ok() {
            Err(Stop::Broken)
        } else {
            Ok(())
        }
    }

    /// The next key of the object that is open, its colon behind; `None` at the object's end.
    fn key(&mut self, first: &mut bool) -> Step<Option<Cow<'a, str>>> {
        let byte = self.peek()?;
        if byte == b'}' {
            self.at += 1;
            return Ok(None);
        }
        if !std::mem::take(first) {
            self.expect(b',')?;
        }
        let key = self.string()?;
        self.expect(b':')?;
        Ok(Some(key))
    }

    fn string(&mut self) -> Step<Cow<'a, str>> {
        self.expect(b'"')?;
        let start = self.at;
        let escaped = self.skip_string()?;
        if escaped {
            let quoted = &self.bytes[start - 1..self.at];
            return Ok(Cow::Owned(
                serde_json::from_slice(quoted).map_err(|_| Stop::Broken)?,
            ));
        }
        let text =
            std::str::from_utf8(&self.bytes[start..self.at - 1]).map_err(|_| Stop::Broken)?;
        Ok(Cow::Borrowed(text))
    }

    /// Skips to behind the closing quote; tells whether there were escapes.
    #[inline]
    fn skip_string(&mut self) -> Step<bool> {
        let mut escaped = false;
        loop {
            let rest = self.bytes.get(self.at..).ok_or(Stop::Broken)?;
            let at = memchr2(b'"', b'\\', rest).ok_or(Stop::Broken)?;
            if rest[at] == b'"' {
                self.at += at + 1;
                return Ok(escaped);
            }
            escaped = true;
            self.at += at + 2;
        }
    }

    /// A list of integers, to `lines`.
    fn line_numbers(&mut self, lines: &mut Lines) -> Step<List> {
        let start = self.at;
        lines.numbers.clear();
        lines.cut = false;
        if self.peek()? == b'[' && self.integers(lines)? {
            if !lines.numbers.is_sorted() {
                lines.numbers.sort_unstable();
            }
            return Ok(List::Read);
        }
        self.at = start;
        self.skip_value(2)?;
        Ok(List::Other)
    }

    /// Whether all values of the list at the cursor are integers.
    fn integers(&mut self, lines: &mut Lines) -> Step<bool> {
        self.expect(b'[')?;
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(true);
        }
        loop {
            let (value, length) = digits(&self.bytes[self.at..]);
            if length > 0 {
                lines.push(value);
            } else {
                let is_negative = self.peek()? == b'-';
                self.at += usize::from(is_negative);
                let (value, length) = digits(&self.bytes[self.at..]);
                if length == 0 {
                    return Ok(false);
                }
                if !is_negative {
                    lines.push(value);
                }
                self.at += length;
            }
            self.at += length;
            // `, ` is what Python writes.
            match &self.bytes[self.at..] {
                [b',', b' ', ..] => self.at += 2,
                [b']', ..] => {
                    self.at += 1;
                    return Ok(true);
                }
                _ => match self.peek()? {
                    b',' => self.at += 1,
                    b']' => {
                        self.at += 1;
                        return Ok(true);
                    }
                    _ => return Ok(false),
                },
            }
        }
    }

    /// Skips a list of numbers and of such lists, if there is nothing else in it. Does not look at
    /// where its commas stand: what a number or a comma too many could be is no other format's.
    fn skip_number_lists(&mut self) -> bool {
        let mut depth = 0_usize;
        for (at, &byte) in self.bytes[self.at..].iter().enumerate() {
            match byte {
                b'0'..=b'9' | b',' | b' ' | b'-' => {}
                b'[' => depth += 1,
                b']' if depth == 1 => {
                    self.at += at + 1;
                    return true;
                }
                b']' => depth -= 1,
                _ => return false,
            }
        }
        false
    }

    /// Skips a value, checking that it is one.
    fn skip_value(&mut self, depth: usize) -> Step<()> {
        if depth > MAX_DEPTH {
            return Err(Stop::Broken);
        }
        match self.peek()? {
            b'{' => {
                self.at += 1;
                let mut first = true;
                loop {
                    if self.peek()? == b'}' {
                        self.at += 1;
                        return Ok(());
                    }
                    if !std::mem::take(&mut first) {
                        self.expect(b',')?;
                    }
                    self.expect(b'"')?;
                    self.skip_string()?;
                    self.expect(b':')?;
                    self.skip_value(depth + 1)?;
                }
            }
            b'[' if self.skip_number_lists() => Ok(()),
            b'[' => {
                self.at += 1;
                let mut first = true;
                loop {
                    if self.peek()? == b']' {
                        self.at += 1;
                        return Ok(());
                    }
                    if !std::mem::take(&mut first) {
                        self.expect(b',')?;
                    }
                    self.skip_value(depth + 1)?;
                }
            }
            b'"' => {
                self.at += 1;
                self.skip_string().map(|_| ())
            }
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            b'-' | b'0'..=b'9' => self.skip_number(),
            _ => Err(Stop::Broken),
        }
    }

    fn word(&mut self, word: &[u8]) -> Step<()> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(Stop::Broken);
        }
        self.at += word.len();
        Ok(())
    }

    #[inline]
    fn skip_number(&mut self) -> Step<()> {
        let start = self.at;
        let in_number =
            |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
        let mut plain = true;
        while let Some(byte) = self.bytes.get(self.at).filter(|byte| in_number(byte)) {
            plain &= byte.is_ascii_digit();
            self.at += 1;
        }
        let number = &self.bytes[start..self.at];
        if plain && (number[0] != b'0' || number.len() == 1) {
            return Ok(());
        }
        serde_json::from_slice::<f64>(number)
            .map(|_| ())
            .map_err(|_| Stop::Broken)
    }
}
