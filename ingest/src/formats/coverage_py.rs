//! coverage.py's JSON. Source: coverage.readthedocs.io, "JSON reporting".
//!
//! Read in one pass, without building the document. Keys of other formats, which go before this
//! one, are watched for on the way.

use super::{Attempt, Context, FoundFile, MAX_LINE};
use crate::detect::Format;
use crate::error::{Failure, Result};
use crate::json::{self, Cursor, Entry, Integers, Step, Stop};
use engine::model::{FileBuilder, FileCoverage, Totals};
use engine::simd::{Level, ROWS, Work, widely};

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
    files: Files<'a>,
    /// Whether a key was seen that may mean another format.
    maybe_other: bool,
}

/// Files by their names; boxed, as a list of them is moved while it grows.
type Files<'a> = Vec<Entry<'a, Result<Box<FoundFile>>>>;

impl Document<'_> {
    fn add(self, context: &mut Context<'_>) -> Result<()> {
        for Entry { key, value, .. } in json::each(self.files) {
            let file = value?;
            if let Some(path) = context.paths.fix(&key)?.filter(|path| !path.is_empty()) {
                context.add_file(path, *file);
            }
        }
        Ok(())
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

/// Line numbers of one list. A list of the next file takes its place in memory.
#[derive(Default)]
struct Lines {
    numbers: Vec<u32>,
    cut: bool,
}

impl Lines {
    fn clear(&mut self) {
        self.numbers.clear();
        self.cut = false;
    }
}

impl Integers for Lines {
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

    #[inline(always)]
    fn push_some(&mut self, numbers: &[u64; ROWS], count: usize) {
        // As many are written always, and those too many taken back.
        let length = self.numbers.len() + count;
        let numbers = numbers.map(|number| number as u32);
        self.numbers.extend_from_slice(&numbers);
        self.numbers.truncate(length);
    }
}

/// What lines of one file are merged in; empty between files.
#[derive(Default)]
struct Merged {
    /// Lines that ran and lines that did not: a bit for each, 64 in a row.
    bits: Vec<[u64; 2]>,
    lines: Vec<u32>,
    hits: Vec<u64>,
}

/// There may be so many lines for each that a report names, so that the bits cost no more than the report.
const LINES_PER_NUMBER: usize = 64;

/// Lines that ran and lines that did not, in any order. One that is in both ran.
fn merge(executed: &Lines, missing: &Lines, merged: &mut Merged) -> Box<FoundFile> {
    let lists = [&executed.numbers[..], &missing.numbers];
    let (file, totals) = widely(Merge { lists, merged });
    Box::new(FoundFile::counted(file, totals, executed.cut | missing.cut))
}

/// Makes a row of each line of both lists.
struct Merge<'a> {
    lists: [&'a [u32]; 2],
    merged: &'a mut Merged,
}

impl Work for Merge<'_> {
    type Output = (FileCoverage, Totals);

    #[inline(always)]
    fn run<L: Level>(self, level: L) -> (FileCoverage, Totals) {
        let Merge {
            lists: [executed, missing],
            merged,
        } = self;
        let greatest = |lines: &[u32]| lines.iter().fold(0, |greatest, &line| line.max(greatest));
        let last = greatest(executed).max(greatest(missing)) as usize;
        if last > LINES_PER_NUMBER * (executed.len() + missing.len() + 64) {
            let mut file = FileBuilder::new();
            missing.iter().for_each(|&line| file.hits(line, 0));
            executed.iter().for_each(|&line| file.hits(line, 1));
            let file = file.finish();
            let totals = file.totals();
            return (file, totals);
        }
        let bits = &mut merged.bits;
        bits.resize(last / 64 + 2, [0; 2]); // one more, as lines are set in two words at once
        set(bits, 0, executed);
        set(bits, 1, missing);
        bits.truncate(last / 64 + 1);
        merged.take(level)
    }
}

impl Merged {
    /// The file of which the bits are set, a row for each, and counts over it.
    #[inline(always)]
    fn take(&mut self, level: impl Level) -> (FileCoverage, Totals) {
        self.lines.clear();
        self.hits.clear();
        let mut places = [0; 64];
        let mut totals = Totals::default();
        for (&[ran, missed], first) in self.bits.iter().zip((0_u32..).step_by(64)) {
            let all = ran | missed;
            let rows = self.lines.len() + level.places(all, 0, 0, &mut places);
            totals.hits += u64::from(ran.count_ones());
            let ran = level.extract(ran, all);
            // As many are written always, and those too many taken back.
            let lines: [u32; 64] = std::array::from_fn(|at| first.wrapping_add(places[at].into()));
            let hits: [u64; 64] = std::array::from_fn(|at| ran >> at & 1);
            self.lines.extend_from_slice(&lines);
            self.hits.extend_from_slice(&hits);
            self.lines.truncate(rows);
            self.hits.truncate(rows);
        }
        self.bits.clear();
        totals.lines = self.lines.len() as u64;
        totals.misses = totals.lines - totals.hits;
        let file = FileCoverage::of_plain(self.lines.clone(), self.hits.clone());
        (file, totals)
    }
}

/// Sets the bits of lines, most of which ascend.
#[inline(always)]
fn set(bits: &mut [[u64; 2]], list: usize, lines: &[u32]) {
    let (many, rest) = lines.as_chunks::<ROWS>();
    let bit = |line: u32| 1_u64 << (line % 64);
    for lines in many {
        // Mostly, all are in one word or in two.
        let place = lines[0] / 64;
        let (mut first, mut second, mut elsewhere) = (0, 0, false);
        for &line in lines {
            let words_on = (line / 64).wrapping_sub(place);
            first |= if words_on == 0 { bit(line) } else { 0 };
            second |= if words_on == 1 { bit(line) } else { 0 };
            elsewhere |= words_on > 1;
        }
        if elsewhere {
            let mut set = |&line: &u32| bits[line as usize / 64][list] |= bit(line);
            lines.iter().for_each(&mut set);
        } else {
            let words = &mut bits[place as usize..][..2];
            words[0][list] |= first;
            words[1][list] |= second;
        }
    }
    for &line in rest {
        bits[line as usize / 64][list] |= bit(line);
    }
}

/// The files of a document, and which keys it has.
fn document(content: &[u8]) -> Step<(Files<'_>, Keys)> {
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

fn read_files<'a>(cursor: &mut Cursor<'a>) -> Step<Files<'a>> {
    json::entries(
        cursor,
        br#""executed_lines""#,
        |reader: &mut Reader, cursor, name| match cursor.peek()? {
            b'{' => reader.file(cursor, name),
            _ => {
                cursor.skip()?;
                Ok(Err(Failure::fails(format!(
                    "coverage.py: {name} is no object"
                ))))
            }
        },
    )
}

/// Reads files one by one; what it needs for one takes the place of what the last one had.
#[derive(Default)]
struct Reader {
    executed: Lines,
    missing: Lines,
    merged: Merged,
}

impl Reader {
    fn file(&mut self, cursor: &mut Cursor<'_>, name: &str) -> Step<Result<Box<FoundFile>>> {
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
        Ok(both.map(|()| merge(&self.executed, &self.missing, &mut self.merged)))
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
    lines.clear();
    if cursor.peek()? != b'[' || !cursor.integers(lines)? {
        cursor.skip()?;
        return Ok(List::Other);
    }
    Ok(List::Read)
}
