//! Cobertura XML, as Cobertura, coverage.py, coverlet, gocover-cobertura and scoverage write it.
//! Source: coverage-04.dtd.

use std::collections::HashMap;

use engine::model::{ArmId, Coverage, FileBuilder, FileCoverage, Kind};
use memchr::memchr;

use super::{Context, MAX_LINE};
use crate::error::{Failure, Result};
use crate::number::{count, digits, integer, truncated};
use crate::report_fixes::IgnoredLines;
use crate::xml::{Markup, Scanner};

/// Adds the classes of a document, under the paths of their files.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut reader = Reader::new(content);
    reader.read(context)?;
    let Reader {
        classes, sources, ..
    } = reader;
    rename(classes, &sources, context)
}

/// The lines of one file, under the name that the report gives it.
struct Class<'c> {
    name: String,
    lines: FileBuilder,
    ignored: Option<&'c IgnoredLines>,
}

/// What was read of a `line` element whose end has not come yet.
#[derive(Default)]
struct Line<'a> {
    number: Option<&'a [u8]>,
    hits: Option<&'a [u8]>,
    is_branch: bool,
    condition: Option<&'a [u8]>,
    missing: Option<&'a [u8]>,
    /// Ids of conditions that are not fully covered.
    conditions: Vec<String>,
}

struct Reader<'a, 'c> {
    scanner: Scanner<'a>,
    classes: Vec<Class<'c>>,
    by_name: HashMap<String, usize>,
    sources: Vec<String>,
    current: Option<usize>,
    line: Option<Line<'a>>,
    missed: Vec<ArmId>,
}

impl<'a, 'c> Reader<'a, 'c> {
    fn new(content: &'a [u8]) -> Reader<'a, 'c> {
        Reader {
            scanner: Scanner::new(content),
            classes: Vec::new(),
            by_name: HashMap::new(),
            sources: Vec::new(),
            current: None,
            line: None,
            missed: Vec::new(),
        }
    }

    fn read(&mut self, context: &mut Context<'c>) -> Result<()> {
        let mut is_root = true;
        loop {
            if let (Some(at), None) = (self.current, &self.line) {
                take_plain_lines(&mut self.scanner, &mut self.classes[at]);
                if let Some((line, length)) = branch_line(self.scanner.rest()) {
                    self.scanner.advance(length);
                    self.line = Some(line);
                    self.finish_line(context)?;
                    continue;
                }
            }
            let Some(markup) = self.scanner.next() else {
                break;
            };
            match markup {
                Markup::Open(_) | Markup::Empty(_) if is_root => {
                    is_root = false;
                    if let Some(date) = self
                        .scanner
                        .text_attribute(b"timestamp")
                        .filter(|date| !date.is_empty())
                    {
                        context.age.check_lenient("Cobertura", &date)?;
                    }
                }
                Markup::Open(b"line") => {
                    self.finish_line(context)?;
                    self.line = Some(self.start_line());
                }
                Markup::Empty(b"line") => {
                    self.finish_line(context)?;
                    self.line = Some(self.start_line());
                    self.finish_line(context)?;
                }
                Markup::Close(b"line") => self.finish_line(context)?,
                Markup::Open(b"condition") | Markup::Empty(b"condition") => self.condition()?,
                Markup::Open(b"class") => {
                    self.finish_line(context)?;
                    self.start_class(context)?;
                }
                Markup::Close(b"class") => {
                    self.finish_line(context)?;
                    self.current = None;
                }
                Markup::Empty(b"class") => {
                    self.check_class()?;
                }
                Markup::Open(b"source") => self.source(),
                Markup::Open(b"statement") | Markup::Empty(b"statement") => {
                    self.statement(context)?
                }
                _ => {}
            }
        }
        self.finish_line(context)
    }

    fn source(&mut self) {
        let source = self.scanner.decode(self.scanner.text());
        if source.starts_with('/') {
            self.sources.push(source.into_owned());
        }
    }

    fn check_class(&self) -> Result<&'a [u8]> {
        self.scanner
            .attribute(b"filename")
            .ok_or_else(|| Failure::fails("cobertura: a class has no filename"))
    }

    fn start_class(&mut self, context: &Context<'c>) -> Result<()> {
        let name = self.scanner.decode(self.check_class()?);
        if name.is_empty() {
            self.current = None;
            return Ok(());
        }
        let at = match self.by_name.get(&*name) {
            Some(&at) => at,
            None => {
                let name = name.into_owned();
                let ignored = context.ignored.get(&name);
                self.by_name.insert(name.clone(), self.classes.len());
                self.classes.push(Class {
                    name,
                    lines: FileBuilder::new(),
                    ignored,
                });
                self.classes.len() - 1
            }
        };
        self.current = Some(at);
        Ok(())
    }

    fn start_line(&self) -> Line<'a> {
        let mut line = Line::default();
        for &(name, value) in self.scanner.attributes() {
            match name {
                b"number" => line.number = Some(value),
                b"hits" => line.hits = Some(value),
                b"branch" => line.is_branch = value.eq_ignore_ascii_case(b"true"),
                b"condition-coverage" => line.condition = Some(value),
                b"missing-branches" => line.missing = Some(value),
                _ => {}
            }
        }
        line
    }

    fn condition(&mut self) -> Result<()> {
        let Some(line) = self.line.as_mut().filter(|_| self.current.is_some()) else {
            return Ok(());
        };
        if self.scanner.attribute(b"coverage") == Some(b"100%") {
            return Ok(());
        }
        let part = |name: &[u8]| {
            let missing = || Failure::fails("cobertura: a condition has no number or no type");
            self.scanner.text_attribute(name).ok_or_else(missing)
        };
        line.conditions
            .push(format!("{}:{}", part(b"number")?, part(b"type")?));
        Ok(())
    }

    fn finish_line(&mut self, context: &mut Context<'_>) -> Result<()> {
        let Some(line) = self.line.take() else {
            return Ok(());
        };
        let Some(at) = self.current else {
            return Ok(());
        };
        let class = &mut self.classes[at];
        if line.number == Some(b"undefined") {
            return Ok(());
        }
        let wrong = |what: &str, value: Option<&[u8]>| match value {
            Some(value) => Failure::fails(format!(
                "cobertura: {what} {:?} of {} is no number",
                String::from_utf8_lossy(value),
                class.name
            )),
            None => Failure::fails(format!("cobertura: a line of {} has no {what}", class.name)),
        };
        let number = line
            .number
            .and_then(integer)
            .ok_or_else(|| wrong("number", line.number))?;
        let Some(number) = context.checked_line(number, &class.name) else {
            return Ok(());
        };
        let mut kind = Kind::Line;
        let mut coverage = match line.condition.filter(|_| line.is_branch).and_then(arms_of) {
            Some((taken, total)) => {
                kind = Kind::Branch;
                Coverage::Arms { taken, total }
            }
            None => {
                let count = line
                    .hits
                    .and_then(hits_of)
                    .ok_or_else(|| wrong("hits", line.hits))?;
                if count == Coverage::Hits(u64::MAX) {
                    context.count_too_large(&class.name, number);
                }
                count
            }
        };
        if class.ignored.is_some_and(|lines| lines.contains(number)) {
            return Ok(());
        }
        let handles_missing = context.parsers.cobertura_handle_missing_conditions;
        missing_arms(&line, coverage, handles_missing, &mut self.missed);
        self.missed.sort_unstable();
        self.missed.dedup();
        if context.parsers.cobertura_partials_as_hits
            && let Coverage::Arms { taken: 1.., .. } = coverage
        {
            (coverage, kind) = (Coverage::Hits(1), Kind::Line);
            self.missed.clear();
        }
        match (coverage, kind) {
            (Coverage::Hits(hits), Kind::Line) => class.lines.hits(number, hits),
            _ => {
                let missed = (!self.missed.is_empty()).then_some(&self.missed[..]);
                class.lines.append(number, kind, coverage, missed, None);
            }
        }
        Ok(())
    }

    /// A `statement` of scoverage's report.
    fn statement(&mut self, context: &mut Context<'_>) -> Result<()> {
        let Some(at) = self.current else {
            return Ok(());
        };
        let class = &mut self.classes[at];
        let attribute = |name: &[u8]| self.scanner.attribute(name);
        if attribute(b"ignored") == Some(b"true") {
            return Ok(());
        }
        let number = |name: &[u8]| {
            attribute(name).and_then(integer).ok_or_else(|| {
                let name = String::from_utf8_lossy(name);
                Failure::fails(format!(
                    "cobertura: a statement of {} has no number {name}",
                    class.name
                ))
            })
        };
        let (hits, line) = (number(b"invocation-count")?, number(b"line")?);
        if line < 1 {
            return Err(Failure::fails(format!(
                "cobertura: a statement of {} is at line {line}",
                class.name
            )));
        }
        let Some(line) = context.checked_line(line, &class.name) else {
            return Ok(());
        };
        let kind = match (attribute(b"branch"), attribute(b"method")) {
            (Some(b"true"), _) => Kind::Branch,
            (_, Some([_, ..])) => Kind::Method,
            _ => Kind::Line,
        };
        if !class.ignored.is_some_and(|lines| lines.contains(line)) {
            class
                .lines
                .append(line, kind, signed_hits(hits), None, None);
        }
        Ok(())
    }
}

/// Takes the run of lines at the scanner that say nothing but number and hits.
#[inline]
fn take_plain_lines(scanner: &mut Scanner<'_>, class: &mut Class<'_>) {
    while let Some((line, hits, length)) = plain_line(scanner.rest()) {
        if !class.ignored.is_some_and(|lines| lines.contains(line)) {
            class.lines.hits(line, hits);
        }
        scanner.advance(length);
    }
}

/// `<line number="1" hits="2"/>` behind blanks: (line, hits, bytes).
#[inline]
fn plain_line(text: &[u8]) -> Option<(u32, u64, usize)> {
    let blanks = text
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace())
        .count();
    let rest = text[blanks..].strip_prefix(b"<line number=\"")?;
    let (line, a) = digits(rest);
    if a == 0 || line == 0 || line > u64::from(MAX_LINE) {
        return None;
    }
    let rest = rest[a..].strip_prefix(b"\" hits=\"")?;
    let (hits, b) = digits(rest);
    if b == 0 || b > 18 {
        return None;
    }
    let tail = match &rest[b..] {
        [b'"', b'/', b'>', ..] => 3,
        tail if tail.starts_with(b"\" branch=\"false\"/>") => 18,
        _ => return None,
    };
    Some((line as u32, hits, blanks + 14 + a + 8 + b + tail))
}

/// `<line number="1" hits="2" branch="true" condition-coverage="50% (1/2)"/>` behind blanks, with
/// or without `missing-branches`, and its length in bytes.
fn branch_line(text: &[u8]) -> Option<(Line<'_>, usize)> {
    let mut rest = text.trim_ascii_start().strip_prefix(b"<line")?;
    let mut value = |before: &[u8]| {
        let start = rest.strip_prefix(before)?;
        let end = start.iter().position(|&byte| byte == b'"')?;
        rest = &start[end + 1..];
        Some(&start[..end])
    };
    let line = Line {
        number: Some(value(b" number=\"")?),
        hits: Some(value(b" hits=\"")?),
        is_branch: value(b" branch=\"")?.eq_ignore_ascii_case(b"true"),
        condition: Some(value(b" condition-coverage=\"")?),
        missing: value(b" missing-branches=\""),
        conditions: Vec::new(),
    };
    let rest = rest.strip_prefix(b"/>")?;
    Some((line, text.len() - rest.len()))
}

/// The numbers of the first `(taken/total)` in a `condition-coverage`.
fn arms_of(condition: &[u8]) -> Option<(u32, u32)> {
    let mut rest = condition;
    while let Some(at) = memchr(b'(', rest) {
        rest = &rest[at + 1..];
        let (taken, a) = digits(rest);
        if a == 0 || rest.get(a) != Some(&b'/') {
            continue;
        }
        let (total, b) = digits(&rest[a + 1..]);
        if b > 0 && rest.get(a + 1 + b) == Some(&b')') {
            return Some((u32::try_from(taken).ok()?, u32::try_from(total).ok()?));
        }
    }
    None
}

fn hits_of(text: &[u8]) -> Option<Coverage> {
    if let Some(count) = count(text) {
        return Some(Coverage::Hits(count.value));
    }
    let hits = integer(text).or_else(|| truncated(text).map(|hits| hits as i64))?;
    Some(signed_hits(hits))
}

/// A count that may be negative: -1 excludes the line.
fn signed_hits(hits: i64) -> Coverage {
    if hits == -1 {
        Coverage::Ignored
    } else {
        Coverage::Hits(hits.max(0) as u64)
    }
}

/// Adding arms by their place stops here: more than any source has on a line.
const MAX_UNNAMED_ARMS: u32 = 10_000;

/// Collects the arms that a line misses, in `arms`.
fn missing_arms(line: &Line<'_>, coverage: Coverage, handles_missing: bool, arms: &mut Vec<ArmId>) {
    arms.clear();
    if let Some(missing) = line.missing.filter(|missing| !missing.is_empty()) {
        let names = || missing.split(|&byte| byte == b',');
        arms.extend(names().map(|name| ArmId::parse(&String::from_utf8_lossy(name))));
        if arms.len() > 1 && names().all(|name| name == b"exit") {
            *arms = vec![ArmId::parse("exit"), ArmId::parse("loop")];
        }
        return;
    }
    arms.extend(line.conditions.iter().map(|name| ArmId::parse(name)));
    let Coverage::Arms { taken, total } = coverage else {
        return;
    };
    let after_bracket = |text: &[u8]| memchr(b'(', text).and_then(|at| text.get(at + 1).copied());
    let starts_with_zero = line.condition.and_then(after_bracket) == Some(b'0');
    let known = arms.len() as u32;
    let until = if handles_missing {
        total.saturating_sub(taken)
    } else if starts_with_zero {
        total
    } else {
        0
    };
    if known < total {
        arms.extend((known..until.min(MAX_UNNAMED_ARMS)).map(|k| ArmId::parse(&k.to_string())));
    }
}

/// Stores the files under the paths that the fixer gives them, installed packages last. Where two
/// names mean one path the later replaces the earlier.
fn rename(classes: Vec<Class<'_>>, sources: &[String], context: &mut Context<'_>) -> Result<()> {
    let installed =
        |name: &str| name.contains("/dist-packages/") || name.contains("/site-packages/");
    let mut names: Vec<String> = classes.iter().map(|class| class.name.clone()).collect();
    names.sort_by_key(|name| installed(name)); // stable: else in the order of the report
    let mut files: HashMap<String, FileCoverage> = HashMap::with_capacity(classes.len());
    let mut order = Vec::with_capacity(classes.len());
    for class in classes {
        let file = class.lines.finish();
        if !file.is_empty() {
            files.insert(class.name, file);
        }
    }
    for name in names {
        let fixed = context.paths.fix_below(&name, sources)?;
        let Some(file) = files.remove(&name) else {
            continue;
        };
        if let Some(path) = fixed.filter(|path| !path.is_empty()) {
            files.insert(path.clone(), file);
            order.push(path);
        }
    }
    for path in order {
        if let Some(file) = files.remove(&path) {
            context.found.add(path, file);
        }
    }
    Ok(())
}
