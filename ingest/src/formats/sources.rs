//! Source files that a report speaks of piece by piece, under names or numbers of its own. Pieces of
//! one file meet in one builder, so that the work is linear in the report.

use engine::model::{Coverage, FileBuilder, Kind, Part};
use hashbrown::HashMap;

use super::Context;
use crate::error::{Failure, ProblemCode, Result};
use crate::number::{count, integer};
use crate::report_fixes::IgnoredLines;

/// Lines that the ranges of one report may span beyond one for each of its bytes.
const MORE_SPANNED_LINES: u64 = 100_000;

/// What a report says of one file of the repository.
pub(super) struct Source<'c> {
    /// The path in the repository.
    pub(super) path: String,
    ignored: Option<&'c IgnoredLines>,
    lines: FileBuilder,
}

impl<'c> Source<'c> {
    /// A file of which nothing was said yet.
    pub(super) fn new(path: String, context: &Context<'c>) -> Source<'c> {
        let ignored = context.ignored.get(&path);
        Source {
            path,
            ignored,
            lines: FileBuilder::new(),
        }
    }

    /// Appends a plain line with its hits.
    #[inline]
    pub(super) fn hits(&mut self, line: u32, hits: u64) {
        if self.keeps(line) {
            self.lines.hits(line, hits);
        }
    }

    /// Appends a line.
    pub(super) fn append(&mut self, line: u32, kind: Kind, coverage: Coverage) {
        match (kind, coverage) {
            (Kind::Line, Coverage::Hits(hits)) => self.hits(line, hits),
            _ if self.keeps(line) => self.lines.append(line, kind, coverage, None, None),
            _ => {}
        }
    }

    /// Adds what is known of columns of a line.
    pub(super) fn part(&mut self, part: Part) {
        if self.keeps(part.line) {
            self.lines.part(part);
        }
    }

    /// Adds the file to what was found.
    pub(super) fn finish(self, context: &mut Context<'_>) {
        context.found.add(self.path, self.lines.finish());
    }

    #[inline]
    fn keeps(&self, line: u32) -> bool {
        !self.ignored.is_some_and(|lines| lines.contains(line))
    }
}

/// Files by the names that a report gives them; each name is looked up once.
#[derive(Default)]
pub(super) struct Named<'c> {
    by_name: HashMap<String, Option<usize>>,
    sources: Vec<Source<'c>>,
    current: Option<usize>,
}

impl<'c> Named<'c> {
    /// Turns to the file of that name; a name that has no path is none.
    pub(super) fn select(&mut self, name: &str, context: &Context<'c>) -> Result<()> {
        if let Some(&known) = self.by_name.get(name) {
            self.current = known;
            return Ok(());
        }
        let path = context.paths.fix(name)?.filter(|path| !path.is_empty());
        self.current = path.map(|path| {
            self.sources.push(Source::new(path, context));
            self.sources.len() - 1
        });
        self.by_name.insert(name.to_owned(), self.current);
        Ok(())
    }

    /// Turns to no file.
    pub(super) fn leave(&mut self) {
        self.current = None;
    }

    /// The file that was turned to last.
    #[inline]
    pub(super) fn current(&mut self) -> Option<&mut Source<'c>> {
        self.sources.get_mut(self.current?)
    }

    /// Adds the files to what was found.
    pub(super) fn finish(self, context: &mut Context<'_>) {
        self.sources
            .into_iter()
            .for_each(|source| source.finish(context));
    }
}

/// Files by the numbers that a report gives them, which it may do behind their lines.
#[derive(Default)]
pub(super) struct Numbered<'a> {
    /// The files of the part of the report that is read now.
    open: Slots<'a>,
    /// The files of the parts before.
    settled: Slots<'a>,
}

#[derive(Default)]
struct Slots<'a> {
    by_number: HashMap<&'a [u8], usize>,
    slots: Vec<(&'a [u8], Slot)>,
    last: usize,
}

/// The lines under one number.
#[derive(Default)]
pub(super) struct Slot {
    is_declared: bool,
    path: Option<String>,
    lines: FileBuilder,
    /// What is wrong with the lines, which matters when the file counts.
    failure: Option<Failure>,
}

impl<'a> Slots<'a> {
    #[inline]
    fn at(&mut self, number: &'a [u8]) -> &mut Slot {
        let is_last = self
            .slots
            .get(self.last)
            .is_some_and(|slot| slot.0 == number);
        if !is_last {
            self.last = *self.by_number.entry(number).or_insert_with(|| {
                self.slots.push((number, Slot::default()));
                self.slots.len() - 1
            });
        }
        &mut self.slots[self.last].1
    }
}

impl<'a> Numbered<'a> {
    /// Says which file has a number; `\` in its name means `/`.
    pub(super) fn declare(
        &mut self,
        number: &'a [u8],
        name: &str,
        context: &Context<'_>,
    ) -> Result<()> {
        let path = context.paths.fix(&name.replace('\\', "/"))?;
        let slot = self.open.at(number);
        slot.is_declared = true;
        slot.path = path.filter(|path| !path.is_empty());
        Ok(())
    }

    /// The lines under a number, whose file may still be unknown.
    #[inline]
    pub(super) fn at(&mut self, number: &'a [u8]) -> &mut Slot {
        self.open.at(number)
    }

    /// Ends a part of the report: numbers that are declared behind it do not count for it, and
    /// replace those of it.
    pub(super) fn settle(&mut self) {
        for (number, slot) in std::mem::take(&mut self.open).slots {
            let before = self.settled.at(number);
            if slot.is_declared {
                *before = slot;
            } else if before.is_declared {
                before.include(slot);
            }
        }
    }

    /// Adds the files to what was found.
    pub(super) fn finish(mut self, context: &mut Context<'_>) -> Result<()> {
        self.settle();
        for (_, slot) in self.settled.slots {
            let Some(path) = slot.path else { continue };
            if let Some(failure) = slot.failure {
                return Err(failure);
            }
            let mut file = slot.lines.finish();
            if let Some(ignored) = context.ignored.get(&path) {
                file = file.filter(|line| !ignored.contains(line));
            }
            context.found.add(path, file);
        }
        Ok(())
    }
}

impl Slot {
    /// The builder of the lines.
    #[inline]
    pub(super) fn lines(&mut self) -> &mut FileBuilder {
        &mut self.lines
    }

    /// Keeps what is wrong with the lines, if something is.
    pub(super) fn check<T>(&mut self, read: Result<T>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(failure) => {
                self.failure.get_or_insert(failure);
                None
            }
        }
    }

    fn include(&mut self, later: Slot) {
        for (line, row) in later.lines.finish().rows() {
            self.lines
                .append(line, row.kind, row.coverage(), None, None);
        }
        self.failure = self.failure.take().or(later.failure);
    }
}

/// How many lines ranges may still span: a short report must not stand for an endless one.
pub(super) struct Span {
    left: u64,
}

impl Span {
    /// For the ranges of a report.
    pub(super) fn new(content: &[u8]) -> Span {
        Span {
            left: content.len() as u64 + MORE_SPANNED_LINES,
        }
    }

    /// The lines from `start` to `end` that may be kept; notes a problem where there are too many.
    /// Fails for lines that no file has.
    pub(super) fn lines(
        &mut self,
        start: i64,
        end: i64,
        context: &mut Context<'_>,
    ) -> Result<std::ops::RangeInclusive<u32>> {
        if start > end {
            return Ok(std::ops::RangeInclusive::new(1, 0));
        }
        if start < 1 {
            return Err(Failure::fails(format!(
                "lines {start} to {end}: lines start at 1"
            )));
        }
        let kept = context.checked_line(end, "a range");
        let end = kept.unwrap_or(super::MAX_LINE);
        let start = start.min(i64::from(u32::MAX)) as u32;
        let spanned = u64::from((end + 1).saturating_sub(start));
        if spanned > self.left {
            let message = format!("lines {start} to {end} are left out: ranges span too many");
            context.problem(None, ProblemCode::LineTooLarge, message);
            return Ok(std::ops::RangeInclusive::new(1, 0));
        }
        self.left -= spanned;
        Ok(start..=end)
    }
}

/// An integer of a report; fails when there is none. `what` names the value and where it stands.
#[inline]
pub(super) fn required(value: Option<&[u8]>, what: &str) -> Result<i64> {
    value.and_then(integer).ok_or_else(|| match value {
        Some(value) => Failure::fails(format!(
            "{what} {:?} is no number",
            String::from_utf8_lossy(value)
        )),
        None => Failure::fails(format!("{what} is missing")),
    })
}

/// A line number of a report; `None` when it is too large to be kept. Fails for one below 1.
#[inline]
pub(super) fn required_line(
    value: Option<&[u8]>,
    what: &str,
    context: &mut Context<'_>,
) -> Result<Option<u32>> {
    match required(value, what)? {
        line @ 1.. => Ok(context.checked_line(line, what)),
        line => Err(Failure::fails(format!("{what} {line}: lines start at 1"))),
    }
}

/// The coverage that a count is: -1 excludes the line. `None` when it is no integer.
pub(super) fn counted(text: &[u8]) -> Option<Coverage> {
    if let Some(count) = count(text) {
        return Some(Coverage::Hits(count.value));
    }
    Some(match integer(text)? {
        -1 => Coverage::Ignored,
        hits => Coverage::Hits(hits.unsigned_abs()),
    })
}
