//! Clover's XML, as Atlassian's Clover, PHPUnit and Istanbul write it.
//! Source: Clover's `coverage.xsd`; PHPUnit's `Report\Clover`.

use engine::model::{Complexity, Coverage, FileBuilder, FileCoverage, Kind};

use super::pieces::{cut_xml, is_first, read_apart};
use super::{Context, MAX_LINE};
use crate::error::{Failure, Result};
use crate::number::{count, integer};
use crate::report_fixes::IgnoredLines;
use crate::xml::{Fixed, Markup, Scanner};

/// Adds the files of a document, which do not depend on each other.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let pieces = cut_xml(content, b"</file>", |_, _| true);
    read_apart(content, &pieces, context, |piece, context| {
        parse_piece(piece, is_first(piece, content), context)
    })
}

/// Adds the files of a part of a document; `is_root` says whether its root comes first.
fn parse_piece(content: &[u8], mut is_root: bool, context: &mut Context<'_>) -> Result<()> {
    let mut scanner = Scanner::new(content);
    let mut reader = Reader::default();
    loop {
        reader.take_usual_lines(&mut scanner);
        let Some(markup) = scanner.next() else { break };
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

    /// Takes the run of lines at the scanner that are spelt as the known tools spell them.
    #[inline]
    fn take_usual_lines(&mut self, scanner: &mut Scanner<'_>) {
        let Some(file) = &mut self.file else {
            return;
        };
        while let Some((number, line, rest)) = usual_line(scanner.rest()) {
            scanner.advance(scanner.rest().len() - rest.len());
            file.has_line |= self.depth == 0;
            if !file.ignored.is_some_and(|lines| lines.contains(number)) {
                line.add_to(&mut self.lines, number);
            }
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
                    line.add_to(&mut self.lines, number);
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Line {
    kind: Kind,
    coverage: Coverage,
    complexity: Option<Complexity>,
}

impl Line {
    fn statement(hits: u64) -> Line {
        Line {
            kind: Kind::Line,
            coverage: Coverage::Hits(hits),
            complexity: None,
        }
    }

    fn condition(was_true: bool, was_false: bool) -> Line {
        Line {
            kind: Kind::Branch,
            coverage: Coverage::Arms {
                taken: u32::from(was_true) + u32::from(was_false),
                total: 2,
            },
            complexity: None,
        }
    }

    fn method(coverage: Coverage, complexity: u32) -> Line {
        Line {
            kind: Kind::Method,
            coverage,
            complexity: Some(Complexity {
                covered: complexity,
                total: None,
            }),
        }
    }

    /// Reads the attributes of the element; the name of one that is wrong else.
    fn read(scanner: &Scanner<'_>) -> std::result::Result<Line, &'static str> {
        match scanner.attribute(b"type").ok_or("type")? {
            b"cond" => {
                let is_taken = |name: &'static str| {
                    let count = scanner.attribute(name.as_bytes()).and_then(integer);
                    count.map(|count| count != 0).ok_or(name)
                };
                Ok(Line::condition(
                    is_taken("truecount")?,
                    is_taken("falsecount")?,
                ))
            }
            b"method" => {
                let complexity = number_or_zero(scanner, b"complexity").ok_or("complexity")?;
                let complexity = u32::try_from(complexity.max(0)).unwrap_or(u32::MAX);
                Ok(Line::method(hits(scanner)?, complexity))
            }
            _ => Ok(Line {
                coverage: hits(scanner)?,
                ..Line::statement(0)
            }),
        }
    }

    #[inline]
    fn add_to(self, lines: &mut FileBuilder, number: u32) {
        match self {
            Line {
                kind: Kind::Line,
                coverage: Coverage::Hits(hits),
                ..
            } => lines.hits(number, hits),
            Line {
                kind,
                coverage,
                complexity,
            } => {
                lines.append(number, kind, coverage, None, complexity);
            }
        }
    }
}

/// `<line num="1" type="stmt" count="2"/>` behind blanks, or the same of a condition or a method:
/// number, what it says, and what follows.
#[inline]
fn usual_line(text: &[u8]) -> Option<(u32, Line, &[u8])> {
    let line = Fixed::behind_blanks(text).text(b"<line num=\"")?;
    let (number, line) = line.number()?;
    let number = u32::try_from(number).ok()?;
    if !(1..=MAX_LINE).contains(&number) {
        return None;
    }
    let (line, rest) = match line.text(b"\" type=\"stmt\" count=\"") {
        Some(count) => {
            let (hits, rest) = count.number()?;
            (Line::statement(hits), rest)
        }
        None => usual_kinds(line)?,
    };
    Some((number, line, rest.text(b"\"/>")?.rest()))
}

/// The rest of a line behind its number, up to the quote at its end.
#[inline]
fn usual_kinds(line: Fixed<'_>) -> Option<(Line, Fixed<'_>)> {
    if let Some(condition) = line.text(b"\" type=\"cond\"") {
        return usual_arms(condition);
    }
    if let Some(method) = line.text(b"\" type=\"method\" name=\"") {
        return usual_method(method);
    }
    let (hits, rest) = line.text(b"\" count=\"")?.number()?;
    match rest.text(b"\" type=\"stmt") {
        Some(rest) => Some((Line::statement(hits), rest)),
        None => usual_arms(rest.text(b"\" type=\"cond\"")?),
    }
}

#[inline]
fn usual_arms(condition: Fixed<'_>) -> Option<(Line, Fixed<'_>)> {
    let (yes, rest) = condition.text(b" truecount=\"")?.number()?;
    let (no, rest) = rest.text(b"\" falsecount=\"")?.number()?;
    Some((Line::condition(yes > 0, no > 0), rest))
}

/// A method as PHPUnit writes it, from its name on.
#[inline]
fn usual_method(method: Fixed<'_>) -> Option<(Line, Fixed<'_>)> {
    let (_, rest) = method.value()?;
    let (_, rest) = rest.text(b" visibility=\"")?.value()?;
    let (complexity, rest) = rest.text(b" complexity=\"")?.number()?;
    let (_, rest) = rest.text(b"\" crap=\"")?.value()?;
    let (hits, rest) = rest.text(b" count=\"")?.number()?;
    let complexity = u32::try_from(complexity).ok()?;
    Some((Line::method(Coverage::Hits(hits), complexity), rest))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_line_takes_its_whole_length() {
        let half = Line::condition(true, false);
        for (text, said) in [
            (
                r#"<line num="7" type="stmt" count="2"/>"#,
                Some(Line::statement(2)),
            ),
            (
                r#"<line num="7" count="2" type="stmt"/>"#,
                Some(Line::statement(2)),
            ),
            (
                r#"<line num="7" type="cond" truecount="3" falsecount="0"/>"#,
                Some(half),
            ),
            (
                r#"<line num="7" count="3" type="cond" truecount="3" falsecount="0"/>"#,
                Some(half),
            ),
            (
                r#"<line num="7" type="method" name="a&gt;" visibility="public" complexity="4" crap="4.5" count="2"/>"#,
                Some(Line::method(Coverage::Hits(2), 4)),
            ),
            (r#"<line num="0" type="stmt" count="2"/>"#, None),
            (r#"<line num="7" type="stmt" count="2">"#, None),
            (r#"<line num="7" type="stmt" count=""/>"#, None),
            (r#"<line num="7" type="cond" count="2"/>"#, None),
        ] {
            let line = said.map(|said| (7, said, &b"<"[..]));
            assert_eq!(usual_line(format!("\n {text}<").as_bytes()), line, "{text}");
        }
    }
}
