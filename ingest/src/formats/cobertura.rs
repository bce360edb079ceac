//! Cobertura XML, as Cobertura, coverage.py, coverlet, gocover-cobertura and scoverage write it.
//! Source: coverage-04.dtd.

use std::borrow::Cow;

use engine::model::{ArmId, Coverage, FileBuilder, FileCoverage, Kind};
use engine::simd::{Level, Work, widely};
use hashbrown::HashMap;
use memchr::memchr;

use super::pieces::{cut_xml, differs, forget, is_first, read_pieces};
use super::{Context, MAX_LINE};
use crate::detect::{Format, is_mono};
use crate::error::{Failure, Result};
use crate::number::{count, digits, integer, truncated};
use crate::report_fixes::IgnoredLines;
use crate::xml::{Fixed, Markup, Scanner};

/// Adds the classes of a document, under the paths of their files.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let pieces = cut_xml(content, b"</class>", |before, behind| {
        differs(before, behind, b"filename=\"", b'"')
    });
    let problems = context.problems.len();
    let read = |piece, context: &mut Context<'_>| {
        Reader::new(piece, !is_first(piece, content)).read(context)
    };
    let read = read_pieces(&pieces, context, read);
    let may_be_other = !matches!(&read, Ok(all) if all.iter().all(|files| !files.has_assembly));
    if may_be_other && is_mono(content) {
        forget(context, problems);
        context.format = Some(Format::Mono);
        return super::mono::parse(content, context);
    }
    let mut all = read?.into_iter();
    let mut whole = all.next().unwrap_or_default();
    for files in all {
        if !whole.include(files) {
            context.problems.truncate(problems);
            whole = Reader::new(content, false).read(context)?;
            break;
        }
    }
    rename(whole, context)
}

/// What was read of a document or of a part of one.
#[derive(Default)]
struct Files<'a> {
    names: Vec<Cow<'a, str>>,
    /// As many.
    files: Vec<FileCoverage>,
    by_name: HashMap<Cow<'a, str>, usize>,
    sources: Vec<String>,
    /// Whether there is an element that Mono's reports have.
    has_assembly: bool,
}

impl<'a> Files<'a> {
    /// Adds what was read behind this. `false` when both speak of one file: their lines must be read
    /// in their order.
    fn include(&mut self, other: Files<'a>) -> bool {
        for (name, file) in other.names.into_iter().zip(other.files) {
            if self
                .by_name
                .insert(name.clone(), self.names.len())
                .is_some()
            {
                return false;
            }
            self.names.push(name);
            self.files.push(file);
        }
        self.sources.extend(other.sources);
        true
    }
}

/// The lines of one file, under the name that the report gives it.
struct Class<'a, 'c> {
    name: Cow<'a, str>,
    said: Said,
    ignored: Option<&'c IgnoredLines>,
}

/// What the report has said of a file, until it speaks of it again.
enum Said {
    Once(FileCoverage),
    /// More than once, so that it may be many times.
    Again(Box<FileBuilder>),
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
    /// Whether the root was opened.
    is_inside: bool,
    scanner: Scanner<'a>,
    classes: Vec<Class<'a, 'c>>,
    by_name: HashMap<Cow<'a, str>, usize>,
    sources: Vec<String>,
    has_assembly: bool,
    /// The class that is open.
    current: Option<usize>,
    /// Its lines.
    lines: FileBuilder,
    line: Option<Line<'a>>,
    missed: Vec<ArmId>,
}

impl<'a, 'c> Reader<'a, 'c> {
    fn new(content: &'a [u8], is_inside: bool) -> Reader<'a, 'c> {
        Reader {
            is_inside,
            scanner: Scanner::new(content),
            classes: Vec::new(),
            by_name: HashMap::new(),
            sources: Vec::new(),
            has_assembly: false,
            current: None,
            lines: FileBuilder::new(),
            line: None,
            missed: Vec::new(),
        }
    }

    fn read(mut self, context: &mut Context<'c>) -> Result<Files<'a>> {
        loop {
            if let (Some(at), None) = (self.current, &self.line) {
                let ignored = self.classes[at].ignored;
                let reader = &mut self;
                widely(TakeUsualLines {
                    reader,
                    ignored,
                    context,
                });
            }
            let Some(markup) = self.scanner.next() else {
                break;
            };
            match markup {
                Markup::Open(_) | Markup::Empty(_) if !self.is_inside => {
                    self.is_inside = true;
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
                    self.finish_class();
                }
                Markup::Empty(b"class") => {
                    self.check_class()?;
                }
                Markup::Open(b"assembly") | Markup::Empty(b"assembly") => self.has_assembly = true,
                Markup::Open(b"source") => self.source(),
                Markup::Open(b"statement") | Markup::Empty(b"statement") => {
                    self.statement(context)?
                }
                _ => {}
            }
        }
        self.finish_line(context)?;
        self.finish_class();
        Ok(self.into_files())
    }

    fn into_files(self) -> Files<'a> {
        let (mut names, mut files) = (Vec::new(), Vec::new());
        for class in self.classes {
            names.push(class.name);
            files.push(match class.said {
                Said::Once(file) => file,
                Said::Again(lines) => lines.finish(),
            });
        }
        Files {
            names,
            files,
            by_name: self.by_name,
            sources: self.sources,
            has_assembly: self.has_assembly,
        }
    }

    fn source(&mut self) {
        let source = self.scanner.text_content();
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
        self.finish_class();
        let name = self.scanner.decode(self.check_class()?);
        if name.is_empty() {
            return Ok(());
        }
        let is_last = self.classes.last().is_some_and(|last| last.name == name);
        let seen = match is_last {
            true => Some(self.classes.len() - 1),
            false => self.by_name.get(&name).copied(),
        };
        let Some(at) = seen else {
            self.by_name.insert(name.clone(), self.classes.len());
            self.current = Some(self.classes.len());
            self.classes.push(Class {
                ignored: context.ignored.get(&name),
                name,
                said: Said::Once(FileCoverage::default()),
            });
            return Ok(());
        };
        let said = &mut self.classes[at].said;
        self.lines = match std::mem::replace(said, Said::Again(Box::default())) {
            Said::Once(file) => FileBuilder::resume(file),
            Said::Again(lines) => *lines,
        };
        self.current = Some(at);
        Ok(())
    }

    fn finish_class(&mut self) {
        let Some(at) = self.current.take() else {
            return;
        };
        match &mut self.classes[at].said {
            Said::Once(file) => *file = self.lines.take(),
            Said::Again(lines) => **lines = std::mem::take(&mut self.lines),
        }
    }

    /// Takes the run of lines at the scanner that are spelt as most tools spell them.
    #[inline(always)]
    fn take_usual_lines(&mut self, ignored: Option<&IgnoredLines>, context: &Context<'_>) {
        let start = self.scanner.rest();
        let Some(line_start) = usual_start(start) else {
            return;
        };
        let mut rest = start;
        while let Some((number, hits, end)) = usual_line(rest, line_start) {
            let (said, behind) = match end.text(b"\"/>") {
                Some(behind) => (Usual::Hits(hits), behind),
                None => match usual_end(hits, end) {
                    Some(said) => said,
                    None => break,
                },
            };
            rest = behind.rest();
            match said {
                _ if ignored.is_some_and(|lines| lines.contains(number)) => {}
                Usual::Hits(hits) => self.lines.hits(number, hits),
                Usual::Branch(branch) => self.add_branch(number, branch, context),
            }
        }
        self.scanner.advance(start.len() - rest.len());
    }

    fn start_line(&self) -> Line<'a> {
        let mut line = Line::default();
        let mut branch = None;
        for &(name, value) in self.scanner.attributes() {
            let attribute = match name {
                b"number" => &mut line.number,
                b"hits" => &mut line.hits,
                b"branch" => &mut branch,
                b"condition-coverage" => &mut line.condition,
                b"missing-branches" => &mut line.missing,
                _ => continue,
            };
            attribute.get_or_insert(value);
        }
        line.is_branch = branch.is_some_and(|branch| branch.eq_ignore_ascii_case(b"true"));
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
        let class = &self.classes[at];
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
        let is_ignored = class.ignored.is_some_and(|lines| lines.contains(number));
        if let Some(branch) = line.branch() {
            if !is_ignored {
                self.add_branch(number, branch, context);
            }
            return Ok(());
        }
        let coverage = line
            .hits
            .and_then(hits_of)
            .ok_or_else(|| wrong("hits", line.hits))?;
        if coverage == Coverage::Hits(u64::MAX) {
            context.count_too_large(&class.name, number);
        }
        match coverage {
            _ if is_ignored => {}
            Coverage::Hits(hits) => self.lines.hits(number, hits),
            coverage => self.lines.append(number, Kind::Line, coverage, None, None),
        }
        Ok(())
    }

    fn add_branch(&mut self, number: u32, branch: Branch<'_>, context: &Context<'_>) {
        if context.parsers.cobertura_partials_as_hits && !branch.starts_with_zero {
            return self.lines.hits(number, 1);
        }
        let handles_missing = context.parsers.cobertura_handle_missing_conditions;
        missing_arms(branch, handles_missing, &mut self.missed);
        let (taken, total) = (branch.taken, branch.total);
        let missed = (!self.missed.is_empty()).then_some(&self.missed[..]);
        let coverage = Coverage::Arms { taken, total };
        self.lines
            .append(number, Kind::Branch, coverage, missed, None);
    }

    /// A `statement` of scoverage's report.
    fn statement(&mut self, context: &mut Context<'_>) -> Result<()> {
        let Some(at) = self.current else {
            return Ok(());
        };
        let class = &self.classes[at];
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
            self.lines.append(line, kind, signed_hits(hits), None, None);
        }
        Ok(())
    }
}

/// [`Reader::take_usual_lines`] as work.
struct TakeUsualLines<'r, 'a, 'c> {
    reader: &'r mut Reader<'a, 'c>,
    ignored: Option<&'c IgnoredLines>,
    context: &'r Context<'c>,
}

impl Work for TakeUsualLines<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Level>(self, _: L) {
        self.reader.take_usual_lines(self.ignored, self.context);
    }
}

impl<'a> Line<'a> {
    /// The branch of the line, where it tells the numbers of it.
    fn branch(&self) -> Option<Branch<'_>> {
        let condition = self.condition.filter(|_| self.is_branch)?;
        let (taken, total) = arms_of(condition)?;
        let bracket = memchr(b'(', condition)?;
        Some(Branch {
            taken,
            total,
            starts_with_zero: condition.get(bracket + 1) == Some(&b'0'),
            missing: self.missing.unwrap_or_default(),
            conditions: &self.conditions,
        })
    }
}

/// The arms of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Branch<'a> {
    taken: u32,
    total: u32,
    /// Whether the text of `taken` does.
    starts_with_zero: bool,
    /// `missing-branches`.
    missing: &'a [u8],
    /// Ids of conditions that are not fully covered.
    conditions: &'a [String],
}

/// What a line says that is spelt as most tools spell it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Usual<'a> {
    Hits(u64),
    Branch(Branch<'a>),
}

/// What a line starts with up to its number: blanks, and `<line number="`.
fn usual_start(text: &[u8]) -> Option<&[u8]> {
    let behind = Fixed::behind_blanks(text).text(b"<line number=\"")?;
    Some(&text[..text.len() - behind.rest().len()])
}

/// A line that starts as others do: its number, its hits, and what follows.
#[inline(always)]
fn usual_line<'a>(text: &'a [u8], start: &[u8]) -> Option<(u32, u64, Fixed<'a>)> {
    let line = match text.strip_prefix(start) {
        Some(behind) => Fixed::at(behind),
        None => Fixed::at(&text[usual_start(text)?.len()..]),
    };
    let (number, line) = line.number()?;
    let (hits, end) = line.text(b"\" hits=\"")?.number()?;
    let number = u32::try_from(number).ok()?;
    (1..=MAX_LINE)
        .contains(&number)
        .then_some((number, hits, end))
}

/// What stands behind the hits of a line: nothing, `branch="false"`, or the coverage of its condition.
#[inline(always)]
fn usual_end(hits: u64, line: Fixed<'_>) -> Option<(Usual<'_>, Fixed<'_>)> {
    let plain = |rest| Some((Usual::Hits(hits), rest));
    let Some(branch) = line.text(b"\" branch=\"") else {
        let end = line.text(b"\"/>").or_else(|| line.text(b"\" />"));
        return plain(end.or_else(|| line.text(b"\"></line>"))?);
    };
    if let Some(no) = branch.text(b"false\"").or_else(|| branch.text(b"False\"")) {
        return plain(no.text(b"/>").or_else(|| no.text(b" />"))?);
    }
    let yes = branch.text(b"true\"").or_else(|| branch.text(b"True\""))?;
    let (_, condition) = yes.text(b" condition-coverage=\"")?.number()?;
    let arms = condition.text(b"% (")?;
    let starts_with_zero = arms.rest().starts_with(b"0");
    let (taken, rest) = arms.number()?;
    let (total, rest) = rest.text(b"/")?.number()?;
    let rest = rest.text(b")\"")?;
    let (missing, rest) = match rest.text(b" missing-branches=\"") {
        Some(value) => value.value()?,
        None => (&[][..], rest),
    };
    let branch = Branch {
        taken: u32::try_from(taken).ok()?,
        total: u32::try_from(total).ok()?,
        starts_with_zero,
        missing,
        conditions: &[],
    };
    let rest = rest.text(b"/>").or_else(|| rest.text(b" />"))?;
    Some((Usual::Branch(branch), rest))
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

/// Collects the arms that a line misses, sorted, in `arms`.
fn missing_arms(branch: Branch<'_>, handles_missing: bool, arms: &mut Vec<ArmId>) {
    arms.clear();
    if branch.missing.is_empty() {
        unnamed_arms(branch, handles_missing, arms);
    } else {
        let names = || branch.missing.split(|&byte| byte == b',');
        arms.extend(names().map(arm_of));
        if arms.len() > 1 && names().all(|name| name == b"exit") {
            arms.push(ArmId::parse("loop"));
        }
    }
    arms.sort_unstable();
    arms.dedup();
}

fn arm_of(name: &[u8]) -> ArmId {
    match std::str::from_utf8(name) {
        Ok(name) => ArmId::parse(name),
        Err(_) => ArmId::parse(&String::from_utf8_lossy(name)),
    }
}

/// Collects the arms of conditions that are not fully covered, and those that the numbers leave.
fn unnamed_arms(branch: Branch<'_>, handles_missing: bool, arms: &mut Vec<ArmId>) {
    arms.extend(branch.conditions.iter().map(|name| ArmId::parse(name)));
    let known = arms.len() as u32;
    let until = if handles_missing {
        branch.total.saturating_sub(branch.taken)
    } else if branch.starts_with_zero {
        branch.total
    } else {
        0
    };
    if known < branch.total {
        arms.extend((known..until.min(MAX_UNNAMED_ARMS)).map(|k| ArmId::parse(&k.to_string())));
    }
}

/// Stores the files under the paths that the fixer gives them, installed packages last. Where two
/// names mean one path the later replaces the earlier.
fn rename(read: Files<'_>, context: &mut Context<'_>) -> Result<()> {
    let Files {
        mut names,
        mut files,
        mut by_name,
        sources,
        ..
    } = read;
    let is_installed =
        |name: &str| name.contains("/dist-packages/") || name.contains("/site-packages/");
    let (last, mut order): (Vec<usize>, Vec<usize>) =
        (0..names.len()).partition(|&at| is_installed(&names[at]));
    order.extend(last);
    let mut stored = Vec::with_capacity(order.len());
    for at in order {
        let fixed = context.paths.fix_below(&names[at], &sources)?;
        let file = std::mem::take(&mut files[at]);
        let Some(path) = fixed.filter(|path| !path.is_empty() && !file.is_empty()) else {
            continue;
        };
        let place = if names[at] == path {
            at
        } else {
            let path = Cow::Owned(path);
            *by_name.entry(path).or_insert_with_key(|path| {
                names.push(path.clone());
                files.push(FileCoverage::default());
                files.len() - 1
            })
        };
        files[place] = file;
        stored.push(place);
    }
    for at in stored {
        let path = std::mem::take(&mut names[at]).into_owned();
        context.found.add(path, std::mem::take(&mut files[at]));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_line_takes_its_whole_length() {
        let branch = |taken, missing| {
            Usual::Branch(Branch {
                taken,
                total: 2,
                starts_with_zero: taken == 0,
                missing,
                conditions: &[],
            })
        };
        for (text, said) in [
            (r#"<line number="7" hits="2"/>"#, Some(Usual::Hits(2))),
            (r#"<line number="7" hits="2" />"#, Some(Usual::Hits(2))),
            (r#"<line number="7" hits="2"></line>"#, Some(Usual::Hits(2))),
            (
                r#"<line number="7" hits="2" branch="False" />"#,
                Some(Usual::Hits(2)),
            ),
            (
                r#"<line number="7" hits="2" branch="true" condition-coverage="50% (1/2)"/>"#,
                Some(branch(1, b"")),
            ),
            (
                r#"<line number="7" hits="2" branch="True" condition-coverage="0% (0/2)" missing-branches="8,exit" />"#,
                Some(branch(0, b"8,exit")),
            ),
            (r#"<line number="0" hits="2"/>"#, None),
            (r#"<line number="7" hits="-2"/>"#, None),
            (r#"<line number="7" hits="2">"#, None),
            (r#"<line number="7" hits="2" branch="true"/>"#, None),
        ] {
            let line = format!("\r\n\t {text}<");
            let start = usual_start(line.as_bytes()).unwrap();
            let read = usual_line(line.as_bytes(), start);
            assert_eq!(read, usual_line(line.as_bytes(), b"another start"));
            let read = read.and_then(|(number, hits, end)| Some((number, usual_end(hits, end)?)));
            let read = read.map(|(number, (said, rest))| (number, said, rest.rest()));
            assert_eq!(read, said.map(|said| (7, said, &b"<"[..])), "{text}");
        }
    }
}
