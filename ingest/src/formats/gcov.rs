//! gcov's text. Source: gcc.gnu.org/onlinedocs, "Invoking gcov".

use engine::model::{Coverage, Kind};
use memchr::{memchr, memmem};

use super::Context;
use super::sources::{Source, counted, required_line};
use crate::error::{Failure, Result};
use crate::number::{digits, integer};
use crate::settings::GcovBranches;

/// Adds the one source file that the text is about.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let (first, rest) = split_line(content);
    let Some(path) = find_path(first, context)? else {
        return Ok(());
    };
    let mut reader = Reader {
        counts_first: !path.ends_with(".swift"),
        branches: context.parsers.gcov_branches,
        source: Source::new(path, context),
        current: None,
        is_method: false,
        excludes: memmem::find(rest, b"LCOV_EXCL_").is_some(),
        is_excluding: false,
    };
    let mut rest = rest;
    while !rest.is_empty() {
        let line;
        (line, rest) = split_line(rest);
        reader.line(line, context)?;
    }
    reader.finish_line();
    reader.source.finish(context);
    Ok(())
}

/// The first line without its line break, and what is behind it.
#[inline]
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b'\n', text) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[]),
    }
}

/// The path of the source that the first line names. What gcov calls its output may say more.
fn find_path(first: &[u8], context: &Context<'_>) -> Result<Option<String>> {
    let source = first
        .split(|&byte| byte == b':')
        .nth(3)
        .ok_or_else(|| Failure::fails("gcov: the first line names no source"))?;
    let source = String::from_utf8_lossy(source.trim_ascii_end());
    let source = source.trim_start_matches(['.', '/']);
    let output = context
        .name
        .strip_suffix(".gcov")
        .filter(|output| output.ends_with(source));
    let filled = |path: Option<String>| path.filter(|path| !path.is_empty());
    let named = output.map(|output| context.paths.fix(output)).transpose()?;
    if let Some(path) = named.and_then(filled) {
        return Ok(Some(path));
    }
    Ok(filled(context.paths.fix(source)?))
}

struct Reader<'a, 'c> {
    /// Whether counts stand before line numbers.
    counts_first: bool,
    branches: GcovBranches,
    source: Source<'c>,
    /// The line that branches belong to.
    current: Option<Line<'a>>,
    /// Whether the next line that counts starts a function.
    is_method: bool,
    /// Whether any line of the file is excluded.
    excludes: bool,
    is_excluding: bool,
}

/// A line whose branches may still come.
struct Line<'a> {
    number: u32,
    kind: Kind,
    coverage: Coverage,
    text: &'a [u8],
    arms: Arms,
}

/// What becomes of the branches of a line.
enum Arms {
    /// None came yet.
    Unknown,
    /// They do not count.
    Ignored,
    Counted {
        taken: u32,
        total: u32,
    },
}

impl<'a> Reader<'a, '_> {
    fn line(&mut self, line: &'a [u8], context: &mut Context<'_>) -> Result<()> {
        if self.excludes && self.is_excluded(line) {
            return Ok(());
        }
        match line.first_chunk() {
            Some(b"func") => self.is_method = true,
            Some(b"bran") if self.current.is_some() => self.branch(line),
            Some(b"call") => {}
            _ => self.source_line(line, context)?,
        }
        Ok(())
    }

    /// Whether a line is left out by remarks in the source.
    fn is_excluded(&mut self, line: &[u8]) -> bool {
        let Some(at) = memmem::find(line, b"LCOV_EXCL_") else {
            return self.is_excluding;
        };
        let has = |mark: &[u8]| memmem::find(&line[at..], mark).is_some();
        if has(b"LCOV_EXCL_START") {
            self.is_excluding = true;
        } else if has(b"LCOV_EXCL_END") || has(b"LCOV_EXCL_STOP") {
            self.is_excluding = false;
        } else {
            return self.is_excluding || has(b"LCOV_EXCL_LINE");
        }
        true
    }

    #[inline]
    fn source_line(&mut self, line: &'a [u8], context: &mut Context<'_>) -> Result<()> {
        let Some((first, second, text)) = columns(line) else {
            self.finish_line();
            return Ok(());
        };
        if text.trim_ascii() == b"}" || text.starts_with(b"@implementation") {
            return Ok(());
        }
        self.finish_line();
        let (count, number) = if self.counts_first {
            (first, second)
        } else {
            (second, first)
        };
        if matches!(text.first(), Some(b'{' | b'}')) || count.contains(&b'-') {
            return Ok(());
        }
        let (Some(_), Some(coverage)) = (integer(number), coverage_of(count, text)) else {
            return Ok(());
        };
        let Some(number) = required_line(Some(number), "gcov: line", context)? else {
            return Ok(());
        };
        let kind = match std::mem::take(&mut self.is_method) {
            true => Kind::Method,
            false => Kind::Line,
        };
        self.current = Some(Line {
            number,
            kind,
            coverage,
            text,
            arms: Arms::Unknown,
        });
        Ok(())
    }

    fn branch(&mut self, branch: &[u8]) {
        let Some(line) = &mut self.current else {
            return;
        };
        if let Arms::Unknown = line.arms {
            line.arms = self.branches.of(line);
        }
        if let Arms::Counted { taken, total } = &mut line.arms {
            let has = |words: &[u8]| memmem::find(branch, words).is_some();
            let is_missed = has(b"taken 0") || has(b"never executed");
            *taken = taken.saturating_add(u32::from(!is_missed));
            *total = total.saturating_add(1);
        }
    }

    /// Adds the line whose branches have come.
    #[inline]
    fn finish_line(&mut self) {
        let Some(line) = self.current.take() else {
            return;
        };
        let coverage = match line.arms {
            Arms::Counted { taken, total } => Coverage::Arms { taken, total },
            Arms::Unknown | Arms::Ignored => line.coverage,
        };
        self.source.append(line.number, line.kind, coverage);
    }
}

/// The two columns before a line's text, and the text.
#[inline]
fn columns(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    // As gcov writes them: nine and five wide.
    if let [first @ .., b':', _, _, _, _, _, b':'] = line.get(..16)?
        && !first.contains(&b':')
    {
        return Some((first, &line[10..15], &line[16..]));
    }
    let a = memchr(b':', line)?;
    let b = memchr(b':', &line[a + 1..])? + a + 1;
    Some((&line[..a], &line[a + 1..b], &line[b + 1..]))
}

/// The coverage that a count stands for; `None` when the line does not count.
#[inline]
fn coverage_of(count: &[u8], text: &[u8]) -> Option<Coverage> {
    let count = count.trim_ascii();
    match count {
        b"#####" => {
            let text = text.trim_ascii_start();
            // What no translation unit calls leaves no trace.
            let is_unused = text.starts_with(b"inline") || text.starts_with(b"static");
            (!is_unused).then_some(Coverage::Hits(0))
        }
        b"=====" => Some(Coverage::Hits(0)),
        count => match digits(count) {
            (hits, length) if length == count.len() && (1..18).contains(&length) => {
                Some(Coverage::Hits(hits))
            }
            _ => counted(count),
        },
    }
}

impl GcovBranches {
    /// Whether the branches of a line count; says which lines are branches.
    fn of(self, line: &mut Line<'_>) -> Arms {
        let wanted = if line.kind == Kind::Method && !self.methods {
            false
        } else if is_followed_by_bracket(line.text, &[b"for", b"while"]) {
            line.kind = Kind::Branch;
            self.loops
        } else if is_followed_by_bracket(line.text, &[b"if", b"} else if"]) {
            line.kind = Kind::Branch;
            self.conditionals
        } else {
            self.macros
        };
        match wanted {
            true => Arms::Counted { taken: 0, total: 0 },
            false => Arms::Ignored,
        }
    }
}

/// Whether a text is one of the words behind blanks, then a bracket, with a blank between or not.
fn is_followed_by_bracket(text: &[u8], words: &[&[u8]]) -> bool {
    let rest = text.trim_ascii_start();
    rest.len() < text.len()
        && words
            .iter()
            .filter_map(|word| rest.strip_prefix(*word))
            .any(|rest| match rest {
                [b'(', ..] => true,
                [blank, b'(', ..] => blank.is_ascii_whitespace(),
                _ => false,
            })
}
