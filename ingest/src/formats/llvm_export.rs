//! llvm-cov's export as JSON (`-format=text`), which `cargo llvm-cov --json` and Swift write too.
//! Sources: LLVM, "Source-based Code Coverage" and the head comment of `CoverageExporterJson.cpp`.
//!
//! Lines are counted as llvm-cov counts them: a line has the count of the region that goes on from
//! the line before, or of one that starts on it, whichever is greater. Branches count by their arms.

use engine::model::{ArmId, Coverage, FileBuilder, Kind};

use super::{Attempt, Context, FoundFile, MAX_LINE};
use crate::detect::Format;
use crate::error::{ProblemCode, Result};
use crate::json::{self, Cursor, Step, Value};
use crate::number::digits;

/// What the document says it is.
const TYPE: &str = "llvm.coverage.json.export";
/// Lines without a segment that the files of one document may have above one for each of their bytes: a few bytes could
/// name ten million.
const FREE_LINES: usize = 1_000_000;
/// The key that a file has first, as llvm-cov writes it.
const OPENING: &[u8] = b"\"branches\"";

/// Adds the files of a document that is an export for sure, if it is JSON.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    add_all(read(content)?.files, context)
}

/// Adds the files of a document, unless it is no export.
pub(super) fn attempt(content: &[u8], context: &mut Context<'_>) -> Result<Attempt> {
    match read(content) {
        Ok(document) if document.is_export => {
            context.format = Some(Format::LlvmExport);
            add_all(document.files, context).map(|()| Attempt::Read)
        }
        _ => Ok(Attempt::OtherFormat),
    }
}

struct Document {
    files: Vec<File>,
    is_export: bool,
}

/// What was read of one file.
struct File {
    name: String,
    lines: FoundFile,
    /// Bytes that it was read from.
    bytes: usize,
    /// Lines of it without a segment.
    between: usize,
    /// Whether these were too many.
    is_exhausted: bool,
    /// Whether a line was left out because of [`MAX_LINE`] or because there were too many.
    cut: bool,
}

fn read(content: &[u8]) -> Step<Document> {
    let mut cursor = Cursor::new(content);
    let mut files = Files {
        files: Vec::new(),
        free: FREE_LINES,
    };
    let (mut is_export, mut is_other) = (false, false);
    cursor.object(|cursor, key| match &*key {
        "data" if cursor.peek()? == b'[' => cursor.array(|cursor| files.export(cursor)),
        "type" => {
            is_export = matches!(cursor.value()?, Value::Text(text) if text == TYPE);
            Ok(())
        }
        key => {
            is_other |= !matches!(key, "version" | "cargo_llvm_cov");
            cursor.skip()
        }
    })?;
    cursor.end()?;
    cursor.check_text()?;
    Ok(Document {
        files: files.files,
        is_export: is_export && !is_other,
    })
}

fn add_all(files: Vec<File>, context: &mut Context<'_>) -> Result<()> {
    for file in files {
        let Some(path) = context
            .paths
            .fix(&file.name)?
            .filter(|path| !path.is_empty())
        else {
            continue;
        };
        if file.cut {
            let message = format!("{path}: lines are left out; the greatest is {MAX_LINE}");
            context.problem(None, ProblemCode::LineTooLarge, message);
        }
        context.add_file(path, file.lines);
    }
    Ok(())
}

/// A place from which on a count holds.
#[derive(Clone, Copy, Debug)]
struct Segment {
    line: u32,
    count: u64,
    has_count: bool,
    is_entry: bool,
    is_gap: bool,
}

impl Segment {
    /// Whether code that is counted starts here.
    fn starts_region(&self) -> bool {
        self.is_entry && self.has_count && !self.is_gap
    }
}

/// A condition: its place and whether it was true, and false.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Condition {
    place: [u32; 4],
    taken: [bool; 2],
}

/// The files of a document.
struct Files {
    files: Vec<File>,
    /// Lines without a segment that may still be above the bytes that are read.
    free: usize,
}

impl Files {
    /// Reads one element of `data`. Functions are not looked at: segments have their counts.
    fn export(&mut self, cursor: &mut Cursor<'_>) -> Step<()> {
        if cursor.peek()? != b'{' {
            return cursor.skip();
        }
        cursor.object(|cursor, key| match &*key {
            "files" if cursor.peek()? == b'[' => self.read(cursor),
            _ => cursor.skip(),
        })
    }

    fn read(&mut self, cursor: &mut Cursor<'_>) -> Step<()> {
        let mut again = cursor.clone();
        let mut files = read_files(cursor, Some(OPENING), self.free)?;
        let mut left = lines_left(self.free, &files);
        if left.is_none() {
            // What is left out then depends on the files before.
            files = read_files(&mut again, None, self.free)?;
            left = lines_left(self.free, &files);
        }
        self.free = left.unwrap_or(0);
        self.files.extend(files);
        Ok(())
    }
}

/// Reads an array of files, in parallel if their first key is told.
fn read_files(cursor: &mut Cursor<'_>, opening: Option<&[u8]>, free: usize) -> Step<Vec<File>> {
    let files = json::elements(cursor, opening, |reader: &mut Reader, cursor| {
        reader.file(cursor, free)
    })?;
    Ok(files.into_iter().flatten().collect())
}

/// Lines without a segment that may be had after these files; `None` when one of them, read after the others, would have
/// had too many.
fn lines_left(free: usize, files: &[File]) -> Option<usize> {
    files.iter().try_fold(free, |left, file| {
        let left = (left + file.bytes).checked_sub(file.between);
        left.filter(|_| !file.is_exhausted)
    })
}

/// Reads files one by one; what it needs for one takes the place of what the last one had.
#[derive(Default)]
struct Reader {
    segments: Vec<Segment>,
    conditions: Vec<Condition>,
    rows: (Vec<u32>, Vec<u64>),
    missed: Vec<ArmId>,
    builder: FileBuilder,
    /// Lines without a segment that may still be added, once a file was read.
    lines_left: Option<usize>,
}

impl Reader {
    /// Reads a file; `None` where none stands. `free` is how many lines without a segment may be above the bytes.
    fn file(&mut self, cursor: &mut Cursor<'_>, free: usize) -> Step<Option<File>> {
        if cursor.peek()? != b'{' {
            return cursor.skip().map(|()| None);
        }
        let before = cursor.rest().len();
        self.segments.clear();
        self.conditions.clear();
        let mut name = None;
        cursor.object(|cursor, key| match &*key {
            "filename" => {
                name = match cursor.value()? {
                    Value::Text(text) => Some(text.into_owned()),
                    Value::Array | Value::Object => return cursor.skip(),
                    _ => None,
                };
                Ok(())
            }
            "segments" if cursor.peek()? == b'[' => {
                self.segments.clear();
                segments(cursor, &mut self.segments)
            }
            "branches" if cursor.peek()? == b'[' => {
                self.conditions.clear();
                cursor.array(|cursor| condition(cursor, &mut self.conditions))
            }
            _ => cursor.skip(),
        })?;
        let bytes = before - cursor.rest().len();
        let left = self.lines_left.unwrap_or(free) + bytes;
        Ok(name.map(|name| self.build(name, bytes, left)))
    }

    fn build(&mut self, name: String, bytes: usize, left: usize) -> File {
        let (mut between, mut is_exhausted) = (left, false);
        let mut cut = self.count_lines(&mut between, &mut is_exhausted);
        self.lines_left = Some(between);
        self.builder.plain(&self.rows.0, &self.rows.1);
        // One condition may come once for each instantiation of a template.
        self.conditions.sort_unstable();
        self.conditions.dedup_by(|later, first| {
            let same = later.place == first.place;
            if same {
                first.taken = [0, 1].map(|arm| first.taken[arm] | later.taken[arm]);
            }
            same
        });
        for conditions in self.conditions.chunk_by(|a, b| a.place[0] == b.place[0]) {
            let line = conditions[0].place[0];
            if line == 0 || line > MAX_LINE {
                cut |= line > MAX_LINE;
                continue;
            }
            let coverage = arms(conditions, &mut self.missed);
            let missed = (!self.missed.is_empty()).then_some(&self.missed[..]);
            self.builder
                .assign(line, Kind::Branch, coverage, missed, None);
        }
        File {
            name,
            lines: FoundFile::new(self.builder.take(), false),
            bytes,
            between: left - between,
            is_exhausted,
            cut,
        }
    }

    /// Fills the rows from the segments. Tells whether lines were left out; `left` are those without a segment that may
    /// be added, and `is_exhausted` says that they were not enough.
    fn count_lines(&mut self, left: &mut usize, is_exhausted: &mut bool) -> bool {
        self.rows.0.clear();
        self.rows.1.clear();
        let mut wrapped: Option<Segment> = None;
        for starts in self.segments.chunk_by(|a, b| a.line == b.line) {
            let line = starts[0].line;
            if let Some(before) = wrapped {
                if line <= before.line || line > MAX_LINE {
                    return true;
                }
                let between = (line - before.line - 1) as usize;
                if before.has_count {
                    *is_exhausted = between > *left;
                    if *is_exhausted {
                        return true;
                    }
                    *left -= between;
                    self.rows.0.extend(before.line + 1..line);
                    self.rows.1.resize(self.rows.0.len(), before.count);
                }
            }
            if line > MAX_LINE {
                return true;
            }
            if line > 0
                && let Some(count) = count_of(starts, wrapped)
            {
                self.rows.0.push(line);
                self.rows.1.push(count);
            }
            wrapped = starts.last().copied();
        }
        false
    }
}

/// The count of a line on which segments start; `None` when it has no code. `wrapped` goes on from
/// the line before.
fn count_of(starts: &[Segment], wrapped: Option<Segment>) -> Option<u64> {
    let skipped_starts = starts[0].is_entry && !starts[0].has_count;
    let goes_on = wrapped.is_some_and(|wrapped| wrapped.has_count) && !skipped_starts;
    let has_entry = starts.iter().any(|start| start.is_entry && start.has_count);
    if !goes_on && !has_entry {
        return None;
    }
    let started = starts.iter().filter(|start| start.starts_region());
    let counts = wrapped.iter().chain(started).map(|segment| segment.count);
    Some(counts.max().unwrap_or(0))
}

/// The arms of the conditions on one line, and the names of those that were missed.
fn arms(conditions: &[Condition], missed: &mut Vec<ArmId>) -> Coverage {
    missed.clear();
    for (block, condition) in conditions.iter().enumerate() {
        for (arm, _) in condition.taken.iter().enumerate().filter(|arm| !arm.1) {
            missed.push(ArmId::pair(block as u32, arm as u32));
        }
    }
    missed.sort_unstable();
    let total = 2 * conditions.len() as u32;
    Coverage::Arms {
        taken: total - missed.len() as u32,
        total,
    }
}

impl Segment {
    /// Of `[line, column, count, has_count, is_region_entry, is_gap_region]`.
    fn new([line, _, count, has_count, is_entry, is_gap]: [u64; 6]) -> Segment {
        Segment {
            line: narrow(line),
            count,
            has_count: has_count != 0,
            is_entry: is_entry != 0,
            is_gap: is_gap != 0,
        }
    }
}

/// Reads an array of segments; the last cell of one may be absent.
fn segments(cursor: &mut Cursor<'_>, segments: &mut Vec<Segment>) -> Step<()> {
    let mut first = true;
    cursor.expect(b'[')?;
    loop {
        cursor.short_rows(&mut first, |cells| segments.push(Segment::new(cells)));
        if !cursor.element(&mut first)? {
            return Ok(());
        }
        let mut cells = [0; 6];
        if numbers(cursor, &mut cells)? >= 5 {
            segments.push(Segment::new(cells));
        }
    }
}

/// Reads `[line, column, end line, end column, count, count of false, ...]`.
fn condition(cursor: &mut Cursor<'_>, conditions: &mut Vec<Condition>) -> Step<()> {
    let mut cells = [0; 6];
    if numbers(cursor, &mut cells)? >= 6 {
        let [line, column, end_line, end_column, on_true, on_false] = cells;
        conditions.push(Condition {
            place: [line, column, end_line, end_column].map(narrow),
            taken: [on_true > 0, on_false > 0],
        });
    }
    Ok(())
}

/// Reads an array of counts and truths to `cells`, as many as there are; gives how many it had.
fn numbers(cursor: &mut Cursor<'_>, cells: &mut [u64]) -> Step<usize> {
    if cursor.peek()? != b'[' {
        return cursor.skip().map(|()| 0);
    }
    if let Some((count, bytes)) = plain_numbers(cursor.rest(), cells) {
        cursor.advance(bytes);
        return Ok(count);
    }
    let mut count = 0;
    cursor.array(|cursor| {
        let number = match cursor.natural() {
            Some(number) => number,
            None if cursor.take(b"true") => 1,
            None if cursor.take(b"false") => 0,
            None => odd_number(cursor)?,
        };
        if let Some(cell) = cells.get_mut(count) {
            *cell = number;
        }
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

/// Reads an array of nothing but numbers and commas, of as many as there are to `cells`; gives how many it had,
/// and its bytes.
fn plain_numbers(text: &[u8], cells: &mut [u64]) -> Option<(usize, usize)> {
    const MAX_DIGITS: usize = 18;
    let (mut at, mut count) = (1, 0);
    loop {
        let (number, length) = digits(&text[at..]);
        if !(1..=MAX_DIGITS).contains(&length) || (length > 1 && text[at] == b'0') {
            return None;
        }
        if let Some(cell) = cells.get_mut(count) {
            *cell = number;
        }
        count += 1;
        at += length + 1;
        match text.get(at - 1)? {
            b',' => {}
            b']' => return Some((count, at)),
            _ => return None,
        }
    }
}

/// A value that is no plain number: the nearest count.
fn odd_number(cursor: &mut Cursor<'_>) -> Step<u64> {
    match cursor.value()? {
        Value::Number(number) => {
            let number = std::str::from_utf8(number)
                .ok()
                .and_then(|number| number.parse::<f64>().ok());
            Ok(number.unwrap_or(0.0) as u64)
        }
        Value::Array | Value::Object => cursor.skip().map(|()| 0),
        _ => Ok(0),
    }
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, last line and whether lines are left out, of each file, as read by so many threads.
    fn read_by(threads: usize, document: &str) -> Vec<(String, Option<u32>, bool)> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let files = pool.unwrap().install(|| read(document.as_bytes()));
        let files = files.map_err(|_| "no JSON").unwrap().files.into_iter();
        files
            .map(|file| (file.name, file.lines.last_line(), file.cut))
            .collect()
    }

    #[test]
    fn files_of_a_large_document_are_what_they_are_one_by_one() {
        let file = |i: u32, last: u32| {
            let between: String = (2..400)
                .map(|line| format!("[{line},1,{i},true,true,false],"))
                .collect();
            format!(
                r#"{{"branches":[[3,1,3,2,1,0,0,0,4]],"filename":"f{i}.c","segments":[[1,1,5,true,true,false],{between}[{last},1,0,false,false,false]],"summary":{{"branches":{{"count":2}}}}}}"#
            )
        };
        let document = |last: u32| {
            let files: Vec<String> = (0..600).map(|i| file(i, last)).collect();
            format!(
                r#"{{"data":[{{"files":[{}],"functions":[{{"branches":[]}}]}}],"type":"{TYPE}"}}"#,
                files.join(",")
            )
        };
        for last in [500, 30_000] {
            let document = document(last);
            let files = read_by(1, &document);
            assert_eq!(read_by(2, &document), files);
            assert_eq!(files.len(), 600);
            assert_eq!(files.iter().any(|file| file.2), last == 30_000);
        }
    }
}
