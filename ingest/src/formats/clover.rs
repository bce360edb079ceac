//! Clover's XML, as Atlassian's Clover, PHPUnit and Istanbul write it.
//! Source: Clover's `coverage.xsd`; PHPUnit's `Report\Clover`.

use engine::model::{Complexity, Coverage, FileBuilder, FileCoverage, Kind};

use super::{Context, MAX_LINE};
use crate::error::{Failure, Result};
use crate::number::{count, integer};
use crate::report_fixes::IgnoredLines;
use crate::xml::{Markup, Scanner};

/// Adds the files of a document.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut scanner = Scanner::new(content);
    let mut reader = Reader::default();
    let mut is_root = true;
    while let Some(markup) = scanner.next() {
        match markup {
            Markup::Open(_) | Markup::Empty(_) if is_root => {
                is_root = false;
                check_age(&scanner, context)?;
            }
            Markup::Empty(b"line") => reader.line(&scanner, context),
            Markup::Open(b"file") => {
                reader.finish_file(context)?;
                reader.start_file(&scanner, context)?;
            }
            Markup::Close(b"file") => reader.finish_file(context)?,
            Markup::Empty(b"file") => drop(path_of(&scanner)?),
            Markup::Open(name) => reader.open(name, &scanner, context),
            Markup::Empty(b"metrics") => reader.metrics(&scanner),
            Markup::Close(_) => reader.depth = reader.depth.saturating_sub(1),
            _ => {}
        }
    }
    reader.finish_file(context)
}

/// Refuses a report that is too old. `DD-MM-YYYY` is the one order of dates that needs turning.
fn check_age(root: &Scanner<'_>, context: &Context<'_>) -> Result<()> {
    let date = root.text_attribute(b"generated").unwrap_or_default();
    if date.is_empty() || !context.age.is_limited() {
        return Ok(());
    }
    if !date.contains('-') {
        return context.age.check_strict("Clover", &date);
    }
    let mut parts: Vec<&str> = date.split('-').collect();
    if parts.len() < 3 {
        let reason = format!("Clover: date {date:?} has fewer than three parts");
        return Err(Failure::fails(reason));
    }
    parts.swap(0, 1);
    context.age.check_strict("Clover", &parts.join("-"))
}

#[derive(Default)]
struct Reader<'c> {
    file: Option<File<'c>>,
    lines: FileBuilder,
    /// Elements of the file that are open.
    depth: usize,
}

/// The file that is open.
struct File<'c> {
    path: String,
    ignored: Option<&'c IgnoredLines>,
    /// Whether the file itself has a line, rather than something in it.
    has_line: bool,
    /// The last line of the source, where the file's ending makes that count.
    end: End,
    /// The first line that cannot be read. It counts unless it is behind the end of the source.
    wrong: Option<(i64, Failure)>,
}

/// Where a source ends. PHPUnit counts a closing brace behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Unlimited,
    /// Told by the first `metrics` that says.
    Asked,
    Line(i64),
}

impl<'c> Reader<'c> {
    fn start_file(&mut self, scanner: &Scanner<'_>, context: &mut Context<'c>) -> Result<()> {
        self.depth = 0;
        let path = path_of(scanner)?;
        let is_php = path.ends_with(".php");
        let is_vendored = path.starts_with("vendor/") || path.contains("/vendor/");
        if path.contains('{') || (is_php && is_vendored) {
            return Ok(());
        }
        let Some(path) = context.paths.fix(&path)?.filter(|path| !path.is_empty()) else {
            return Ok(());
        };
        let ignored = context.ignored.get(&path);
        let end = if is_php { End::Asked } else { End::Unlimited };
        self.file = Some(File {
            path,
            ignored,
            has_line: false,
            end,
            wrong: None,
        });
        Ok(())
    }

    /// An element that has more in it.
    fn open(&mut self, name: &[u8], scanner: &Scanner<'_>, context: &mut Context<'_>) {
        match name {
            b"line" => self.line(scanner, context),
            b"metrics" => self.metrics(scanner),
            _ => {}
        }
        self.depth += 1;
    }

    fn metrics(&mut self, scanner: &Scanner<'_>) {
        if let Some(file) = &mut self.file
            && file.end == End::Asked
            && let Some(end) = scanner.attribute(b"loc").and_then(integer)
        {
            file.end = if end == 0 {
                End::Unlimited
            } else {
                End::Line(end)
            };
        }
    }

    fn line(&mut self, scanner: &Scanner<'_>, context: &mut Context<'_>) {
        let Some(file) = &mut self.file else {
            return;
        };
        file.has_line |= self.depth == 0;
        let number = scanner.attribute(b"num").and_then(integer);
        let read = match number {
            Some(..1) => return,
            Some(number) => Line::read(scanner).map(|line| (number, line)),
            None => Err("num"),
        };
        match read {
            Ok((number, line)) => {
                let Some(number) = context.checked_line(number, &file.path) else {
                    return;
                };
                if line.coverage == Coverage::Hits(u64::MAX) {
                    context.count_too_large(&file.path, number);
                }
                if !file.ignored.is_some_and(|lines| lines.contains(number)) {
                    let Line {
                        kind,
                        coverage,
                        complexity,
                    } = line;
                    self.lines.append(number, kind, coverage, None, complexity);
                }
            }
            Err(what) => file.is_wrong(number, what),
        }
    }

    fn finish_file(&mut self, context: &mut Context<'_>) -> Result<()> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let lines = self.lines.take();
        if !file.has_line {
            return Ok(());
        }
        let end = match file.end {
            End::Line(end) => end,
            End::Unlimited | End::Asked => i64::MAX,
        };
        if let Some((line, failure)) = file.wrong
            && line <= end
        {
            return Err(failure);
        }
        context.found.add(file.path, until(lines, end));
        Ok(())
    }
}

impl File<'_> {
    /// Takes note of a line whose attribute `what` is missing or no number.
    fn is_wrong(&mut self, line: Option<i64>, what: &str) {
        let line = line.unwrap_or(i64::MIN);
        if self.wrong.as_ref().is_none_or(|(first, _)| line < *first) {
            let reason = format!("clover: a line of {} has no valid {what}", self.path);
            self.wrong = Some((line, Failure::fails(reason)));
        }
    }
}

/// The path of the `file` that the scanner stands at.
fn path_of(scanner: &Scanner<'_>) -> Result<String> {
    let path = scanner
        .text_attribute(b"path")
        .filter(|path| !path.is_empty());
    let path = path.or_else(|| scanner.text_attribute(b"name"));
    path.map(|path| path.into_owned())
        .ok_or_else(|| Failure::fails("clover: a file has no name"))
}

/// The lines up to the end of the source.
fn until(lines: FileCoverage, end: i64) -> FileCoverage {
    let last = u32::try_from(end.max(0)).unwrap_or(MAX_LINE);
    if lines.last_line().is_none_or(|line| line <= last) {
        return lines;
    }
    lines.filter(|line| line <= last)
}

/// What a `line` element says.
struct Line {
    kind: Kind,
    coverage: Coverage,
    complexity: Option<Complexity>,
}

impl Line {
    /// Reads the attributes of the element; the name of one that is wrong else.
    fn read(scanner: &Scanner<'_>) -> std::result::Result<Line, &'static str> {
        let plain = |kind, coverage, complexity| Line {
            kind,
            coverage,
            complexity,
        };
        match scanner.attribute(b"type").ok_or("type")? {
            b"cond" => {
                let is_taken = |name: &'static str| {
                    let count = scanner.attribute(name.as_bytes()).and_then(integer);
                    count.map(|count| count != 0).ok_or(name)
                };
                let taken = u32::from(is_taken("truecount")?) + u32::from(is_taken("falsecount")?);
                let coverage = Coverage::Arms { taken, total: 2 };
                Ok(plain(Kind::Branch, coverage, None))
            }
            b"method" => {
                let complexity = number_or_zero(scanner, b"complexity").ok_or("complexity")?;
                let complexity = Complexity {
                    covered: u32::try_from(complexity.max(0)).unwrap_or(u32::MAX),
                    total: None,
                };
                Ok(plain(Kind::Method, hits(scanner)?, Some(complexity)))
            }
            _ => Ok(plain(Kind::Line, hits(scanner)?, None)),
        }
    }
}

/// How often a line ran; never where it does not say.
fn hits(scanner: &Scanner<'_>) -> std::result::Result<Coverage, &'static str> {
    if let Some(count) = scanner.attribute(b"count").and_then(count) {
        return Ok(Coverage::Hits(count.value));
    }
    match number_or_zero(scanner, b"count").ok_or("count")? {
        -1 => Ok(Coverage::Ignored),
        hits => Ok(Coverage::Hits(hits.unsigned_abs())),
    }
}

fn number_or_zero(scanner: &Scanner<'_>, name: &[u8]) -> Option<i64> {
    match scanner.attribute(name) {
        None | Some([]) => Some(0),
        Some(text) => integer(text),
    }
}
