//! JaCoCo XML. Source: jacoco.org, `report.dtd`.

use std::collections::HashMap;

use engine::model::{Complexity, Coverage, FileBuilder, Kind};
use memchr::memchr;

use super::number::{count, digits, integer};
use super::{Context, MAX_LINE};
use crate::error::{Failure, Result};
use crate::xml::{Markup, Scanner};

/// Adds the source files of a document.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut scanner = Scanner::new(content);
    let mut reader = Reader::default();
    let mut is_root = true;
    loop {
        if let Some(source) = &mut reader.source {
            source.take_plain_lines(&mut scanner);
        }
        if reader.method.is_none() {
            skip_counters(&mut scanner);
        }
        let Some(markup) = scanner.next() else { break };
        match markup {
            Markup::Open(_) | Markup::Empty(_) if is_root => {
                is_root = false;
                reader.prefix =
                    project_prefix(&scanner.text_attribute(b"name").unwrap_or_default());
            }
            Markup::Open(b"line") | Markup::Empty(b"line") => reader.line(&scanner, context)?,
            Markup::Open(b"counter") | Markup::Empty(b"counter") => reader.counter(&scanner)?,
            Markup::Open(b"method") => reader.method(&scanner)?,
            Markup::Close(b"method") => reader.method = None,
            Markup::Open(b"class") => {
                let name = scanner
                    .text_attribute(b"name")
                    .unwrap_or_default()
                    .into_owned();
                reader.class = (!name.contains('$')).then_some(name);
            }
            Markup::Close(b"class") => reader.class = None,
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
    prefix: String,
    knows_date: bool,
    package: String,
    /// Complexity of the package's methods by line, in their order, by class name.
    complexity: HashMap<String, Vec<(u32, Complexity)>>,
    /// The class that is open, unless it is a nested one.
    class: Option<String>,
    /// The line of the method that is open and whose complexity is not known yet.
    method: Option<u32>,
    source: Option<Source>,
}

/// The source file that is open.
struct Source {
    path: String,
    lines: FileBuilder,
    /// Complexity of methods, sorted by line, each line once.
    complexity: Vec<(u32, Complexity)>,
    /// Methods before this one start before the last plain line.
    method: usize,
    /// The last plain line.
    last: u32,
    /// Whether every line may be taken as it comes.
    is_plain: bool,
}

impl Source {
    /// Takes the run of lines at the scanner that are written as JaCoCo writes them.
    #[inline]
    fn take_plain_lines(&mut self, scanner: &mut Scanner<'_>) {
        if !self.is_plain {
            return;
        }
        while let Some((line, hits, length)) = plain_line(scanner.rest()) {
            while self
                .complexity
                .get(self.method)
                .is_some_and(|method| method.0 < line)
            {
                self.method += 1;
            }
            let method = self.complexity.get(self.method);
            if line <= self.last || method.is_some_and(|method| method.0 == line) {
                return;
            }
            self.last = line;
            self.lines.hits(line, hits);
            scanner.advance(length);
        }
    }
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
        self.complexity
            .entry(class.clone())
            .or_default()
            .push((line, complexity));
        Ok(())
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
            lines: FileBuilder::new(),
            complexity,
            method: 0,
            last: 0,
            is_plain,
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
        if context.parsers.jacoco_partials_as_hits {
            if let Coverage::Arms { taken, total } = coverage {
                if taken > 0 && taken != total {
                    coverage = Coverage::Hits(1);
                }
            }
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
            source.lines.append(line, kind, coverage, None, complexity);
        }
        Ok(())
    }

    fn finish_source(&mut self, context: &mut Context<'_>) {
        if let Some(source) = self.source.take() {
            context.found.add(source.path, source.lines.finish());
        }
    }
}

/// Skips the run of counters at the scanner: those of a method whose complexity is known, and of
/// what has none.
#[inline]
fn skip_counters(scanner: &mut Scanner<'_>) {
    while scanner.rest().starts_with(b"<counter type=\"") {
        match memchr(b'>', scanner.rest()) {
            Some(end) if scanner.rest()[..end].ends_with(b"\"/") => scanner.advance(end + 1),
            _ => return,
        }
    }
}

/// `<line nr="1" mi="0" ci="2" mb="0" cb="0"/>`: (line, covered instructions, bytes).
#[inline]
fn plain_line(text: &[u8]) -> Option<(u32, u64, usize)> {
    let rest = text.strip_prefix(b"<line nr=\"")?;
    let (line, a) = digits(rest);
    if a == 0 || line == 0 || line > u64::from(MAX_LINE) {
        return None;
    }
    let rest = rest[a..].strip_prefix(b"\" mi=\"")?;
    let (_, b) = digits(rest);
    let rest = rest[b..].strip_prefix(b"\" ci=\"")?;
    let (hits, c) = digits(rest);
    if b == 0 || c == 0 || c > 18 || !rest[c..].starts_with(b"\" mb=\"0\" cb=\"0\"/>") {
        return None;
    }
    Some((line as u32, hits, 10 + a + 6 + b + 6 + c + 17))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_takes_its_whole_length() {
        let text = br#"<line nr="12" mi="0" ci="34" mb="0" cb="0"/>"#;
        assert_eq!(plain_line(text), Some((12, 34, text.len())));
        assert_eq!(
            plain_line(br#"<line nr="12" mi="0" ci="34" mb="1" cb="0"/>"#),
            None
        );
    }
}
