//! Xcode's `xccoverage.plist`: a property list, XML or binary, of an archive whose objects refer to
//! each other by number. Source: developer.apple.com, `NSKeyedArchiver`; for the binary form the
//! comments of CoreFoundation's `CFBinaryPList.c`.

mod binary;
mod text;

use std::borrow::Cow;

use engine::model::{Coverage, Kind, Part};

use super::Context;
use super::sources::Source;
use crate::error::{Failure, Result};

/// The object that lists the targets.
const TARGETS: usize = 2;
/// A range of so many columns is a bracket and is left out.
const BRACKET_COLUMNS: u64 = 2;

/// Adds the files of an archive.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let objects = match content.strip_prefix(binary::MAGIC) {
        Some(_) => binary::read(content),
        None => text::read(content),
    };
    let archive = Archive {
        objects: objects.ok_or_else(|| Failure::fails("xccoverage: not an archive of objects"))?,
        steps: content.len(),
    };
    archive.add_files(context)
}

/// The objects of an archive, as far as coverage is concerned.
#[derive(Default)]
struct Objects<'a> {
    objects: Vec<Object<'a>>,
    /// The numbers that lists hold, one list behind the other.
    numbers: Vec<u32>,
}

#[derive(Clone)]
enum Object<'a> {
    Text(Cow<'a, str>),
    /// What `NS.objects` holds: a range of `numbers`.
    List(usize, usize),
    Record(Record),
    Other,
}

/// The keys of an object that matter.
#[derive(Clone, Copy, Default)]
struct Record {
    /// `c`: hits of a line, or the first column of a range.
    count: Option<u64>,
    /// `len`: the columns of a range.
    length: Option<u64>,
    /// `x`: whether a line can be run, or the hits of a range.
    executed: Option<u64>,
    /// `s`: the ranges of a line; 0 is none.
    ranges: Option<u32>,
    source_files: Option<u32>,
    location: Option<u32>,
    lines: Option<u32>,
}

/// What stands under a key.
#[derive(Clone, Copy)]
enum Item {
    /// An integer or a truth value.
    Number(u64),
    /// The number of another object.
    Reference(u32),
    Other,
}

impl Item {
    /// The number of the object that is referred to; one that no object has when it is none.
    fn reference(self) -> u32 {
        match self {
            Item::Reference(number) => number,
            Item::Number(_) | Item::Other => u32::MAX,
        }
    }
}

impl Record {
    fn set(&mut self, key: &[u8], item: Item) {
        match (key, item) {
            (b"c", Item::Number(count)) => self.count = Some(count),
            (b"len", Item::Number(length)) => self.length = Some(length),
            (b"x", Item::Number(executed)) => self.executed = Some(executed),
            (b"s", Item::Reference(ranges)) => self.ranges = Some(ranges),
            (b"sourceFiles", Item::Reference(files)) => self.source_files = Some(files),
            (b"documentLocation", Item::Reference(location)) => self.location = Some(location),
            (b"lines", Item::Reference(lines)) => self.lines = Some(lines),
            _ => {}
        }
    }
}

struct Archive<'a> {
    objects: Objects<'a>,
    /// How many more objects may be looked at: each takes a byte of the file, or it is looked at too
    /// often.
    steps: usize,
}

fn missing(what: &str) -> Failure {
    Failure::fails(format!("xccoverage: {what} is missing"))
}

impl Archive<'_> {
    fn add_files(mut self, context: &mut Context<'_>) -> Result<()> {
        for target in self.list(TARGETS, "the list of targets")? {
            let target = self.record(self.objects.numbers[target], "a target")?;
            let files = target.source_files.ok_or_else(|| missing("sourceFiles"))?;
            for file in self.list(files as usize, "sourceFiles")? {
                let file = self.record(self.objects.numbers[file], "a source file")?;
                self.add_file(file, context)?;
            }
        }
        Ok(())
    }

    fn add_file(&mut self, file: Record, context: &mut Context<'_>) -> Result<()> {
        let location = file.location.ok_or_else(|| missing("documentLocation"))?;
        let name = match self.objects.objects.get(location as usize) {
            Some(Object::Text(name)) => name.clone(),
            _ => return Err(missing("the text of a documentLocation")),
        };
        let path = context.paths.fix(&name)?.filter(|path| !path.is_empty());
        let Some(path) = path else { return Ok(()) };
        let mut source = Source::new(path, context);
        let lines = file.lines.ok_or_else(|| missing("lines"))?;
        let lines = self.list(lines as usize, "lines")?;
        for (number, line) in (1..).zip(lines) {
            let line = self.record(self.objects.numbers[line], "a line")?;
            if line.executed.ok_or_else(|| missing("x of a line"))? == 0 {
                continue;
            }
            let Some(number) = context.checked_line(number, &source.path) else {
                break;
            };
            self.add_line(&mut source, number, line)?;
        }
        source.finish(context);
        Ok(())
    }

    fn add_line(&mut self, source: &mut Source<'_>, number: u32, line: Record) -> Result<()> {
        match line.ranges.ok_or_else(|| missing("s of a line"))? {
            0 => source.hits(number, line.count.ok_or_else(|| missing("c of a line"))?),
            ranges => {
                let (mut taken, mut total) = (0, 0);
                for range in self.list(ranges as usize, "the ranges of a line")? {
                    let range = self.record(self.objects.numbers[range], "a range")?;
                    let Some(part) = part_of(range, number)? else {
                        continue;
                    };
                    total += 1;
                    taken += u32::from(part.coverage != Coverage::Hits(0));
                    source.part(part);
                }
                source.append(number, Kind::Branch, Coverage::Arms { taken, total });
            }
        }
        Ok(())
    }

    /// The places in `numbers` of what a list holds.
    fn list(&mut self, number: usize, what: &str) -> Result<std::ops::Range<usize>> {
        match self.objects.objects.get(number) {
            Some(&Object::List(start, end)) => Ok(start..end),
            _ => Err(missing(what)),
        }
    }

    fn record(&mut self, number: u32, what: &str) -> Result<Record> {
        self.steps = self.steps.checked_sub(1).ok_or_else(|| {
            Failure::fails(
                "xccoverage: objects refer to each other more often than there are bytes",
            )
        })?;
        match self.objects.objects.get(number as usize) {
            Some(&Object::Record(record)) => Ok(record),
            _ => Err(missing(what)),
        }
    }
}

/// A range of columns; `None` for a bracket.
fn part_of(range: Record, line: u32) -> Result<Option<Part>> {
    let (Some(start), Some(length), Some(hits)) = (range.count, range.length, range.executed)
    else {
        return Err(missing("c, len or x of a range"));
    };
    let column = |column: u64| u32::try_from(column).unwrap_or(u32::MAX);
    Ok((length != BRACKET_COLUMNS).then(|| Part {
        line,
        start: column(start),
        end: Some(column(start.saturating_add(length))),
        coverage: Coverage::Hits(hits),
    }))
}
