//! JaCoCo XML. Source: jacoco.org, `report.dtd`.

use engine::model::{Complexity, Coverage, FileBuilder, Kind};
use engine::simd::{Level, Work, widely};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use memchr::memmem;

use super::pieces::{cut_xml, read_pieces};
use super::{Context, MAX_LINE};
use crate::error::{Failure, Result};
use crate::number::{count, integer};
use crate::xml::{Fixed, Markup, Scanner};

/// Adds the source files of a document. Packages do not depend on each other.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let pieces = cut_xml(content, b"</package>", |_, _| true);
    let has_date = |piece: &[u8]| memmem::find(piece, b"<sessioninfo").is_some();
    if pieces.len() == 1 || !has_date(pieces[0]) {
        return parse_piece(content, Reader::default(), context);
    }
    let prefix = root_prefix(content);
    let read = |piece: &[u8], context: &mut Context<'_>| {
        let reader = match std::ptr::eq(piece.as_ptr(), content.as_ptr()) {
            true => Reader::default(),
            false => Reader {
                is_inside: true,
                prefix: prefix.clone(),
                knows_date: true,
                ..Reader::default()
            },
        };
        parse_piece(piece, reader, context)
    };
    read_pieces(&pieces, context, read).map(drop)
}

/// What the project's name puts before paths.
fn root_prefix(content: &[u8]) -> String {
    let mut scanner = Scanner::new(content);
    scanner.next();
    project_prefix(&scanner.text_attribute(b"name").unwrap_or_default())
}

/// Adds the source files of a document, or of a part of one that ends behind a package.
fn parse_piece(content: &[u8], mut reader: Reader, context: &mut Context<'_>) -> Result<()> {
    let mut scanner = Scanner::new(content);
    loop {
        if let Some(source) = &mut reader.source {
            let (scanner, lines) = (&mut scanner, &mut reader.lines);
            widely(TakePlainLines {
                source,
                scanner,
                lines,
            });
        }
        reader.take_usual_methods(&mut scanner);
        let Some(markup) = scanner.next() else { break };
        match markup {
            Markup::Open(_) | Markup::Empty(_) if !reader.is_inside => {
                reader.is_inside = true;
                reader.prefix =
                    project_prefix(&scanner.text_attribute(b"name").unwrap_or_default());
            }
            Markup::Open(b"line") | Markup::Empty(b"line") => reader.line(&scanner, context)?,
            Markup::Open(b"counter") | Markup::Empty(b"counter") => reader.counter(&scanner)?,
            Markup::Open(b"method") => reader.method(&scanner)?,
            Markup::Close(b"method") => reader.method = None,
            Markup::Open(b"class") => {
                reader.finish_class();
                let name = scanner.text_attribute(b"name").unwrap_or_default();
                reader.class = (!name.contains('$')).then(|| name.into_owned());
            }
            Markup::Close(b"class") => reader.finish_class(),
            Markup::Open(b"sourcefile") => {
                reader.finish_source(context);
                reader.start_source(&scanner, context)?;
            }
            Markup::Close(b"sourcefile") => reader.finish_source(context),
            Markup::Open(b"package") => {
                reader.package = scanner
                    .text_attribute(b"name")
                    .unwrap_or_default()
                    .into_owned();
                reader.complexity.clear();
            }
            Markup::Open(b"sessioninfo") | Markup::Empty(b"sessioninfo") if !reader.knows_date => {
                reader.knows_date = true;
                if let Some(date) = scanner
                    .text_attribute(b"start")
                    .filter(|date| !date.is_empty())
                {
                    context.age.check_strict("JaCoCo", &date)?;
                }
            }
            _ => {}
        }
    }
    reader.finish_source(context);
    Ok(())
}

/// The folder that a project's name stands for; empty when it is a title.
fn project_prefix(name: &str) -> String {
    if name.contains(' ') {
        String::new()
    } else {
        name.trim_matches('/').to_owned()
    }
}

#[derive(Default)]
struct Reader {
    /// Whether the root was opened.
    is_inside: bool,
    prefix: String,
    knows_date: bool,
    package: String,
    /// Complexity of the package's methods by line, in their order, by class name.
    complexity: HashMap<String, Vec<(u32, Complexity)>>,
    /// The class that is open, unless it is a nested one.
    class: Option<String>,
    /// Complexity of its methods.
    methods: Vec<(u32, Complexity)>,
    /// The line of the method that is open and whose complexity is not known yet.
    method: Option<u32>,
    source: Option<Source>,
    /// The lines of the source.
    lines: FileBuilder,
}

/// The source file that is open.
struct Source {
    path: String,
    /// Complexity of methods, sorted by line, each line once.
    complexity: Vec<(u32, Complexity)>,
    /// Methods before this one start before the last plain line.
    method: usize,
    /// The last plain line.
    last: u32,
    /// Whether every line may be taken as it comes.
    is_plain: bool,
    partials_as_hits: bool,
}

impl Source {
    /// Takes the run of lines at the scanner that are written as JaCoCo writes them.
    #[inline(always)]
    fn take_plain_lines(&mut self, scanner: &mut Scanner<'_>, lines: &mut FileBuilder) {
        if !self.is_plain {
            return;
        }
        while let Some((line, length)) = plain_line(scanner.rest()) {
            while self
                .complexity
                .get(self.method)
                .is_some_and(|method| method.0 < line.number)
            {
                self.method += 1;
            }
            if line.number <= self.last {
                return;
            }
            self.last = line.number;
            let method = self
                .complexity
                .get(self.method)
                .filter(|method| method.0 == line.number);
            match (line.missed | line.taken, method) {
                (0, None) => lines.hits(line.number, line.instructions),
                _ => self.add(line, method.map(|method| method.1), lines),
            }
            scanner.advance(length);
        }
    }

    fn add(&self, line: Line, complexity: Option<Complexity>, lines: &mut FileBuilder) {
        let Line {
            number,
            instructions,
            missed,
            taken,
        } = line;
        let total = taken.saturating_add(missed);
        let (kind, coverage) = match total {
            0 => (Kind::Line, Coverage::Hits(instructions)),
            _ if self.partials_as_hits && missed > 0 && taken > 0 => {
                (Kind::Branch, Coverage::Hits(1))
            }
            _ => (Kind::Branch, Coverage::Arms { taken, total }),
        };
        let kind = if complexity.is_some() {
            Kind::Method
        } else {
            kind
        };
        lines.append(number, kind, coverage, None, complexity);
    }
}

/// [`Source::take_plain_lines`] as work.
struct TakePlainLines<'r, 'a> {
    source: &'r mut Source,
    scanner: &'r mut Scanner<'a>,
    lines: &'r mut FileBuilder,
}

impl Work for TakePlainLines<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Level>(self, _: L) {
        self.source.take_plain_lines(self.scanner, self.lines);
    }
}

/// A `line` element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Line {
    number: u32,
    /// Covered instructions.
    instructions: u64,
    /// Branches that were not taken.
    missed: u32,
    taken: u32,
}

impl Reader {
    fn method(&mut self, scanner: &Scanner<'_>) -> Result<()> {
        if self.class.is_none() {
            return Ok(());
        }
        let line = match scanner.attribute(b"line") {
            None => Some(0),
            Some(line) => integer(line),
        };
        let line =
            line.ok_or_else(|| Failure::fails("jacoco: the line of a method is no number"))?;
        self.method = u32::try_from(line).ok().filter(|&line| line > 0);
        Ok(())
    }

    fn counter(&mut self, scanner: &Scanner<'_>) -> Result<()> {
        let (Some(line), Some(class)) = (self.method, &self.class) else {
            return Ok(());
        };
        if scanner.attribute(b"type") != Some(b"COMPLEXITY") {
            return Ok(());
        }
        self.method = None;
        let number = |name: &[u8]| {
            let number = scanner
                .attribute(name)
                .and_then(integer)
                .and_then(|n| u32::try_from(n).ok());
            number.ok_or_else(|| {
                Failure::fails(format!(
                    "jacoco: a complexity counter of {class} is no number"
                ))
            })
        };
        let (missed, covered) = (number(b"missed")?, number(b"covered")?);
        let complexity = Complexity {
            covered,
            total: Some(missed.saturating_add(covered)),
        };
        self.methods.push((line, complexity));
        Ok(())
    }

    /// Takes the run of methods and counters at the scanner that are written as JaCoCo writes them.
    fn take_usual_methods(&mut self, scanner: &mut Scanner<'_>) {
        let start = scanner.rest();
        let mut rest = Fixed::behind_blanks(start);
        loop {
            if let Some(behind) = other_counter(rest) {
                rest = behind;
            } else if let Some((covered, total, behind)) = complexity_counter(rest) {
                rest = behind;
                if self.class.is_some()
                    && let Some(line) = self.method.take()
                {
                    let total = Some(total);
                    self.methods.push((line, Complexity { covered, total }));
                }
            } else if let Some(behind) = rest.text(b"</method>") {
                rest = behind;
                self.method = None;
            } else if let Some((line, behind)) = usual_method(rest) {
                rest = behind;
                if self.class.is_some() {
                    self.method = Some(line).filter(|&line| line > 0);
                }
            } else {
                break;
            }
            rest = Fixed::behind_blanks(rest.rest());
        }
        scanner.advance(start.len() - rest.rest().len());
    }

    fn finish_class(&mut self) {
        if let Some(class) = self.class.take()
            && !self.methods.is_empty()
        {
            let methods = std::mem::take(&mut self.methods);
            match self.complexity.entry(class) {
                Entry::Vacant(free) => drop(free.insert(methods)),
                Entry::Occupied(mut known) => known.get_mut().extend(methods),
            }
        }
        self.methods.clear();
    }

    fn start_source(&mut self, scanner: &Scanner<'_>, context: &Context<'_>) -> Result<()> {
        let name = scanner.text_attribute(b"name").unwrap_or_default();
        let path = format!("{}/{name}", self.package);
        let Some(fixed) = self.find_path(&path, context)? else {
            return Ok(());
        };
        let class = path.split('.').next().unwrap_or_default();
        let is_plain = context.ignored.get(&fixed).is_none();
        let mut complexity = self.complexity.get(class).cloned().unwrap_or_default();
        complexity.reverse();
        complexity.sort_by_key(|method| method.0); // stable: the last of a line comes first now
        complexity.dedup_by_key(|method| method.0);
        self.source = Some(Source {
            path: fixed,
            complexity,
            method: 0,
            last: 0,
            is_plain,
            partials_as_hits: context.parsers.jacoco_partials_as_hits,
        });
        Ok(())
    }

    fn find_path(&self, path: &str, context: &Context<'_>) -> Result<Option<String>> {
        let mut tries = Vec::new();
        if !self.prefix.is_empty() {
            tries.push(format!("{}/{path}", self.prefix));
            tries.push(format!("{}/src/main/java/{path}", self.prefix));
        }
        tries.push(path.to_owned());
        for path in tries {
            if let Some(fixed) = context.paths.fix(&path)?.filter(|fixed| !fixed.is_empty()) {
                return Ok(Some(fixed));
            }
        }
        Ok(None)
    }

    fn line(&mut self, scanner: &Scanner<'_>, context: &mut Context<'_>) -> Result<()> {
        let Some(source) = &mut self.source else {
            return Ok(());
        };
        let attribute = |name: &'static str| {
            scanner.attribute(name.as_bytes()).ok_or_else(|| {
                Failure::fails(format!(
                    "jacoco: a line of {} has no attribute {name:?}",
                    source.path
                ))
            })
        };
        let number = |name: &'static str, value: &[u8]| {
            integer(value).ok_or_else(|| {
                let value = String::from_utf8_lossy(value);
                Failure::fails(format!(
                    "jacoco: {name} {value:?} of {} is no number",
                    source.path
                ))
            })
        };
        let (nr, mb, cb, ci) = (
            attribute("nr")?,
            attribute("mb")?,
            attribute("cb")?,
            attribute("ci")?,
        );
        let line = number("nr", nr)?;
        let arms =
            |value: i64| u32::try_from(value).unwrap_or(if value < 0 { 0 } else { u32::MAX });
        let (mut kind, mut coverage) = if mb != b"0" {
            let (missed, taken) = (arms(number("mb", mb)?), arms(number("cb", cb)?));
            (
                Kind::Branch,
                Coverage::Arms {
                    taken,
                    total: taken.saturating_add(missed),
                },
            )
        } else if cb != b"0" {
            let taken = arms(number("cb", cb)?);
            (
                Kind::Branch,
                Coverage::Arms {
                    taken,
                    total: taken,
                },
            )
        } else {
            let hits = match count(ci) {
                Some(count) => count.value,
                None => number("ci", ci)?.max(0) as u64,
            };
            (Kind::Line, Coverage::Hits(hits))
        };
        let Some(line) = context.checked_line(line, &source.path) else {
            return Ok(());
        };
        if context.parsers.jacoco_partials_as_hits
            && let Coverage::Arms { taken, total } = coverage
            && taken > 0
            && taken != total
        {
            coverage = Coverage::Hits(1);
        }
        let method = source
            .complexity
            .binary_search_by_key(&line, |method| method.0);
        let complexity = method.ok().map(|at| source.complexity[at].1);
        if complexity.is_some() {
            kind = Kind::Method;
        }
        if !context
            .ignored
            .get(&source.path)
            .is_some_and(|lines| lines.contains(line))
        {
            self.lines.append(line, kind, coverage, None, complexity);
        }
        Ok(())
    }

    fn finish_source(&mut self, context: &mut Context<'_>) {
        if let Some(source) = self.source.take() {
            context.found.add(source.path, self.lines.take());
        }
    }
}

/// `<line nr="1" mi="0" ci="2" mb="0" cb="0"/>` behind blanks, with its length in bytes.
#[inline(always)]
fn plain_line(text: &[u8]) -> Option<(Line, usize)> {
    let line = Fixed::behind_blanks(text);
    let (number, rest) = plain_number(line, b"<line nr=\"")?;
    let (_, rest) = plain_number(rest, b"\" mi=\"")?;
    let (instructions, rest) = plain_number(rest, b"\" ci=\"")?;
    let (missed, taken, rest) = match rest.text(b"\" mb=\"0\" cb=\"0\"/>") {
        Some(rest) => (0, 0, rest),
        None => {
            let (missed, rest) = plain_number(rest, b"\" mb=\"")?;
            let (taken, rest) = plain_number(rest, b"\" cb=\"")?;
            (missed, taken, rest.text(b"\"/>")?)
        }
    };
    let rest = rest.rest();
    let line = Line {
        number: number as u32,
        instructions,
        missed: missed as u32,
        taken: taken as u32,
    };
    (1..=MAX_LINE)
        .contains(&line.number)
        .then_some((line, text.len() - rest.len()))
}

/// The number of at most 8 digits behind a text, written plainly, and what follows.
#[inline(always)]
fn plain_number<'a, const N: usize>(line: Fixed<'a>, before: &[u8; N]) -> Option<(u64, Fixed<'a>)> {
    let digits = line.text(before)?;
    if let [digit @ b'0'..=b'9', b'"', ..] = digits.rest() {
        return Some((u64::from(digit - b'0'), digits.text(&[*digit])?));
    }
    let (value, rest) = digits.number()?;
    let is_plain = value < 100_000_000 && (value == 0) == digits.rest().starts_with(b"0");
    let length = digits.rest().len() - rest.rest().len();
    (is_plain && (value > 0 || length == 1)).then_some((value, rest))
}

/// `<method name="f" desc="()V" line="1">`: the line, and what follows.
#[inline]
fn usual_method(text: Fixed<'_>) -> Option<(u32, Fixed<'_>)> {
    let (_, rest) = text.text(b"<method name=\"")?.value()?;
    let (_, rest) = rest.text(b" desc=\"")?.value()?;
    let (line, rest) = rest.text(b" line=\"")?.number()?;
    Some((u32::try_from(line).ok()?, rest.text(b"\">")?))
}

/// `<counter type="COMPLEXITY" missed="1" covered="2"/>`: covered, all, and what follows.
#[inline]
fn complexity_counter(text: Fixed<'_>) -> Option<(u32, u32, Fixed<'_>)> {
    let missed = text.text(b"<counter type=\"COMPLEXITY\" missed=\"")?;
    let (missed, rest) = missed.number()?;
    let (covered, rest) = rest.text(b"\" covered=\"")?.number()?;
    let (missed, covered) = (u32::try_from(missed).ok()?, u32::try_from(covered).ok()?);
    Some((covered, missed.saturating_add(covered), rest.text(b"\"/>")?))
}

/// What follows a counter that is not of complexity.
#[inline]
fn other_counter(text: Fixed<'_>) -> Option<Fixed<'_>> {
    let kind = text.text(b"<counter type=\"")?;
    if kind.rest().starts_with(b"COMPLEXITY") {
        return None;
    }
    kind.behind_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_takes_its_whole_length() {
        let text = br#"<line nr="12" mi="0" ci="34" mb="0" cb="0"/>"#;
        let line = Line {
            number: 12,
            instructions: 34,
            missed: 0,
            taken: 0,
        };
        assert_eq!(plain_line(text), Some((line, text.len())));
        assert_eq!(
            plain_line(br#"<line nr="12" mi="0" ci="34" mb="0" cb="00"/>"#),
            None
        );
        assert_eq!(
            plain_line(br#"<line nr="0" mi="0" ci="34" mb="0" cb="0"/>"#),
            None
        );
    }
}
