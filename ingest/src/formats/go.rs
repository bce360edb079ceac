//! Go's cover profiles. Source: golang.org/x/tools/cover, `profile.go`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::BuildHasher;
use std::ops::Range;

use engine::model::{Coverage, FileBuilder, Kind, State};
use engine::simd::{self, AHEAD, Level, Work, widely};
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use memchr::memchr;

use super::{Body, Context, Found, MAX_LINE};
use crate::error::{Failure, ProblemCode, Result};
use crate::number::Window;
use crate::report_fixes::IgnoredLines;

/// The lines that the regions of any profile may span, counted with repetition.
const MIN_SPANNED_LINES: u64 = 10_000_000;
/// The lines that regions may span for each byte of a larger profile.
const SPANNED_LINES_PER_BYTE: u64 = 4;
/// Stands for the end of a line.
const OPEN: u32 = u32::MAX;

/// A region of a file and how often it ran.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Region {
    start_line: u32,
    start_column: u32,
    end_line: u32,
    end_column: u32,
    hits: u64,
}

/// What is known of one line: columns `start..end` ran so often.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Part {
    start: u32,
    end: u32,
    hits: u64,
}

/// Adds the files of a profile. A line that is none makes the whole file unrecognised.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<Body> {
    let problems = context.problems.len();
    let mut lines = Lines::new(content);
    if read_once(&mut lines, context)? == Order::Scattered {
        context.found = Found::default();
        context.problems.truncate(problems);
        lines = Lines::new(content);
        read_scattered(&mut lines, context)?;
    }
    Ok(if lines.ends_record {
        0..0
    } else {
        0..content.len()
    })
}

/// How the regions of one file stand in a profile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    /// In a row.
    Together,
    /// In several rows: the profile was merged from others.
    Scattered,
}

/// Adds each file when the next begins. Of a scattered profile, not all was read.
fn read_once(lines: &mut Lines<'_>, context: &mut Context<'_>) -> Result<Order> {
    let (mut names, hasher) = (HashTable::new(), DefaultHashBuilder::default());
    let mut regions = Vec::new();
    let mut file = FileBuilder::new();
    let mut failure = None; // a line that is no region counts more, wherever it stands
    while let Some(name) = lines.next_row(&mut regions)? {
        let hash = hasher.hash_one(name);
        let is_it = |&(other, seen): &(u64, &[u8])| other == hash && seen == name;
        match names.entry(hash, is_it, |&(hash, _)| hash) {
            Entry::Vacant(free) => free.insert((hash, name)),
            Entry::Occupied(_) => return Ok(Order::Scattered),
        };
        let added = lines.check_spanned();
        let added = added.and_then(|()| add_file(name, &mut regions, &mut file, context));
        failure = failure.or(added.err());
    }
    match failure {
        Some(failure) => Err(failure),
        None => Ok(Order::Together),
    }
}

/// Collects the regions of all files, then adds the files in the order in which they came.
fn read_scattered(lines: &mut Lines<'_>, context: &mut Context<'_>) -> Result<()> {
    let mut files: Vec<Gathered<'_>> = Vec::new();
    let mut places: HashMap<&[u8], usize> = HashMap::new();
    let mut row = Vec::new();
    while let Some(name) = lines.next_row(&mut row)? {
        let place = *places.entry(name).or_insert_with(|| {
            files.push(Gathered {
                name,
                regions: Vec::new(),
                distinct: 0,
            });
            files.len() - 1
        });
        files[place].add(&row);
    }
    lines.check_spanned()?;
    let mut file = FileBuilder::new();
    for mut gathered in files {
        add_file(gathered.name, &mut gathered.regions, &mut file, context)?;
    }
    Ok(())
}

/// The regions of a file that came so far.
struct Gathered<'a> {
    name: &'a [u8],
    regions: Vec<Region>,
    /// Regions after the last time that repeated ones were dropped.
    distinct: usize,
}

impl Gathered<'_> {
    /// Adds regions. Merged profiles repeat them, so what is kept is about as much as is distinct.
    fn add(&mut self, row: &[Region]) {
        self.regions.extend_from_slice(row);
        if self.regions.len() > 2 * self.distinct.max(row.len()) {
            sort(&mut self.regions);
            self.regions.shrink_to(2 * self.regions.len());
            self.distinct = self.regions.len();
        }
    }
}

/// Reads a profile row by row: a row are lines in a row that speak of one file.
struct Lines<'a> {
    rest: &'a [u8],
    /// Lines that the regions so far span, and how many they may.
    spanned: u64,
    may_span: u64,
    /// Whether a line was read that ends a record of LCOV.
    ends_record: bool,
}

impl<'a> Lines<'a> {
    fn new(content: &'a [u8]) -> Lines<'a> {
        let may_span = content.len() as u64 * SPANNED_LINES_PER_BYTE;
        Lines {
            rest: content,
            spanned: 0,
            may_span: may_span.max(MIN_SPANNED_LINES),
            ends_record: false,
        }
    }

    /// Reads the regions of the next row; gives the name of its file, or `None` at the end.
    fn next_row(&mut self, regions: &mut Vec<Region>) -> Result<Option<&'a [u8]>> {
        regions.clear();
        let mut name = None;
        while !self.rest.is_empty() {
            let length = memchr(b'\n', self.rest).unwrap_or(self.rest.len());
            let line = &self.rest[..length];
            self.ends_record |= line.starts_with(b"end_of_record");
            let said = any_line(line.strip_suffix(b"\r").unwrap_or(line))?;
            if let Some((named, region)) = said {
                if *name.get_or_insert(named) != named {
                    break;
                }
                self.add(region, regions);
            }
            self.rest = self.rest.get(length + 1..).unwrap_or_default();
            if let Some((named, _)) = said {
                // Behind the name stands a colon.
                let start = &line[..named.len() + 1];
                let lines = &mut *self;
                widely(TakePlain {
                    lines,
                    start,
                    regions,
                });
            }
        }
        Ok(name)
    }

    /// Takes the run of ordinary lines that start like the last.
    #[inline(always)]
    fn take_plain(&mut self, start: &[u8], regions: &mut Vec<Region>, level: impl Level) {
        while let Some(behind) = self.rest.strip_prefix(start)
            && let Some((region, length)) = plain_region(behind, level)
        {
            simd::prefetch(self.rest, AHEAD);
            self.rest = &behind[length..];
            self.add(region, regions);
        }
    }

    #[inline(always)]
    fn add(&mut self, region: Region, regions: &mut Vec<Region>) {
        self.spanned += u64::from(region.end_line.saturating_sub(region.start_line));
        regions.push(region);
    }

    fn check_spanned(&self) -> Result<()> {
        let Lines {
            spanned, may_span, ..
        } = self;
        if spanned > may_span {
            return Err(Failure::fails(format!(
                "go: regions span {spanned} lines; the most for a profile of this size is {may_span}"
            )));
        }
        Ok(())
    }
}

/// [`Lines::take_plain`] as work.
struct TakePlain<'b, 'a> {
    lines: &'b mut Lines<'a>,
    start: &'a [u8],
    regions: &'b mut Vec<Region>,
}

impl Work for TakePlain<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Level>(self, level: L) {
        self.lines.take_plain(self.start, self.regions, level);
    }
}

/// One line of any form: the file and its region, or nothing when the line says nothing.
fn any_line(line: &[u8]) -> Result<Option<(&[u8], Region)>> {
    if line.is_empty() || line.starts_with(b"mode: ") {
        return Ok(None);
    }
    let Some(colon) = memchr(b':', line) else {
        return Ok(None);
    };
    let (name, right) = (&line[..colon], &line[colon + 1..]);
    if right.is_empty() || right.ends_with(b"%") {
        return Ok(None);
    }
    let region = any_region(right).ok_or_else(|| {
        Failure::corrupt(format!(
            "go: {:?} is no region",
            String::from_utf8_lossy(line)
        ))
    })?;
    Ok(Some((name, region)))
}

/// `sl.sc,el.ec statements hits` with single blanks, its line break included.
#[inline(always)]
fn plain_region(text: &[u8], level: impl Level) -> Option<(Region, usize)> {
    let mut window = Window::new(text, level)?;
    let mut next = || window.next_other();
    let (a, b, c, d, e, end) = (next(), next(), next(), next(), next(), next());
    let is_spelt = (window.byte(a) == b'.')
        & (window.byte(b) == b',')
        & (window.byte(c) == b'.')
        & (window.byte(d) == b' ')
        & (window.byte(e) == b' ')
        & (window.byte(end) == b'\n');
    let digits = [
        a,
        b.wrapping_sub(a + 1),
        c.wrapping_sub(b + 1),
        d.wrapping_sub(c + 1),
        e.wrapping_sub(d + 1),
        end.wrapping_sub(e + 1),
    ];
    let are_numbers = digits
        .iter()
        .fold(true, |all, &digits| all & (1..=8).contains(&digits));
    if !(is_spelt & are_numbers) {
        return None;
    }
    let (start_line, start_column) = window.numbers((0, a), (a + 1, b));
    let (end_line, end_column) = window.numbers((b + 1, c), (c + 1, d));
    let hits = window.number(e + 1, end);
    Some((
        region(start_line, start_column, end_line, end_column, hits),
        end + 1,
    ))
}

fn any_region(text: &[u8]) -> Option<Region> {
    let text = std::str::from_utf8(text).ok()?;
    let mut fields = text.split_whitespace();
    let (place, _, hits) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() {
        return None;
    }
    let (start, end) = place.split_once(',')?;
    let point = |text: &str| {
        let (line, column) = text.split_once('.')?;
        Some((line.parse::<u64>().ok()?, column.parse::<u64>().ok()?))
    };
    let ((start_line, start_column), (end_line, end_column)) = (point(start)?, point(end)?);
    let hits = crate::number::count(hits.as_bytes())?.value;
    Some(region(start_line, start_column, end_line, end_column, hits))
}

#[inline(always)]
fn region(start_line: u64, start_column: u64, end_line: u64, end_column: u64, hits: u64) -> Region {
    let column = |column: u64| column.min(u64::from(OPEN - 2)) as u32;
    let line = |line: u64| line.min(u64::from(MAX_LINE) + 1) as u32;
    Region {
        start_line: line(start_line),
        start_column: column(start_column),
        end_line: line(end_line),
        end_column: column(end_column),
        hits,
    }
}

fn add_file(
    name: &[u8],
    regions: &mut Vec<Region>,
    file: &mut FileBuilder,
    context: &mut Context<'_>,
) -> Result<()> {
    let name = String::from_utf8_lossy(name);
    let Some(path) = context.paths.fix(&name)?.filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    sort(regions);
    if regions.first().is_some_and(|first| first.start_line == 0) {
        return Err(Failure::fails(format!(
            "go: a region of {name} starts at line 0"
        )));
    }
    if regions.iter().any(|region| region.end_line > MAX_LINE) {
        let message = format!("{path}: lines beyond {MAX_LINE} are left out");
        context.problem(None, ProblemCode::LineTooLarge, message);
    }
    let mut lines = Said {
        ignored: context.ignored.get(&path),
        partials_as_hits: context.parsers.go_partials_as_hits,
        parts: Vec::new(),
        several: Several::default(),
        file,
    };
    sweep(regions, &mut lines);
    context.found.add(path, file.take());
    Ok(())
}

/// Sorts regions, each place once, with the highest of its counts, which is what shows.
fn sort(regions: &mut Vec<Region>) {
    for i in 0..regions.len() {
        let region = regions[i];
        if region.end_line < region.start_line {
            // Both its ends count all the same.
            regions[i] = Region {
                end_line: region.start_line,
                end_column: OPEN,
                ..region
            };
            if region.end_column > CLOSING_COLUMNS {
                regions.push(Region {
                    start_line: region.end_line,
                    start_column: 0,
                    ..region
                });
            }
        }
    }
    if regions.is_sorted_by(|a, b| (a.start_line, a.start_column) < (b.start_line, b.start_column))
    {
        return;
    }
    regions.sort_unstable();
    let place = |region: &Region| Region { hits: 0, ..*region };
    regions.dedup_by(|next, kept| {
        let same = place(next) == place(kept);
        if same {
            kept.hits = next.hits;
        }
        same
    });
}

/// What ends in the first columns is a closing brace.
const CLOSING_COLUMNS: u32 = 2;

/// Tells all lines that regions touch, ascending. Regions must be sorted.
fn sweep(regions: &[Region], lines: &mut Said<'_>) {
    let mut rest = regions;
    while let [region, behind @ ..] = rest {
        let next = behind.first().map_or(u32::MAX, |next| next.start_line);
        if region.end_line < next {
            lines.alone(region);
            rest = behind;
        } else {
            rest = sweep_cluster(rest, lines);
        }
    }
}

/// Tells the lines of regions that share lines, one with the next; gives the regions behind them.
/// Where no region starts or ends, the highest count of those that are open is that of the line.
fn sweep_cluster<'a>(regions: &'a [Region], lines: &mut Said<'_>) -> &'a [Region] {
    let mut rest = regions;
    let mut spanning: BinaryHeap<(u64, u32)> = BinaryHeap::new();
    let mut ending = BinaryHeap::new();
    let mut line = rest[0].start_line;
    loop {
        while let Some(&Reverse((end, column, hits))) = ending.peek()
            && end == line
        {
            ending.pop();
            if column > CLOSING_COLUMNS {
                lines.parts.push(Part {
                    start: 0,
                    end: column,
                    hits,
                });
            }
        }
        if let Some(hits) = highest(&mut spanning, line) {
            lines.parts.push(Part {
                start: 0,
                end: OPEN,
                hits,
            });
        }
        while let [region, behind @ ..] = rest
            && region.start_line == line
        {
            rest = behind;
            let ends = region.end_line == line;
            lines.parts.push(Part {
                start: region.start_column,
                end: if ends { region.end_column } else { OPEN },
                hits: region.hits,
            });
            if !ends {
                spanning.push((region.hits, region.end_line));
                ending.push(Reverse((region.end_line, region.end_column, region.hits)));
            }
        }
        lines.tell(line);
        let Some(&Reverse((end, ..))) = ending.peek() else {
            return rest;
        };
        let next = rest
            .first()
            .map_or(end, |region| end.min(region.start_line));
        if let Some(hits) = highest(&mut spanning, line) {
            lines.run(line + 1..next, hits);
        }
        line = next;
    }
}

/// The highest count of regions that end behind a line; lines are asked for ascending.
fn highest(spanning: &mut BinaryHeap<(u64, u32)>, line: u32) -> Option<u64> {
    while spanning.peek().is_some_and(|&(_, end)| end <= line) {
        spanning.pop();
    }
    spanning.peek().map(|&(hits, _)| hits)
}

/// What is said of the lines of one file.
struct Said<'a> {
    ignored: Option<&'a IgnoredLines>,
    partials_as_hits: bool,
    /// Parts of the next line.
    parts: Vec<Part>,
    several: Several,
    file: &'a mut FileBuilder,
}

impl Said<'_> {
    /// Tells the lines of a region that shares none with others.
    #[inline]
    fn alone(&mut self, region: &Region) {
        let is_last = region.end_line == region.start_line || region.end_column > CLOSING_COLUMNS;
        self.run(
            region.start_line..region.end_line + u32::from(is_last),
            region.hits,
        );
    }

    /// Tells lines of which all is known to have run so often.
    #[inline]
    fn run(&mut self, lines: Range<u32>, hits: u64) {
        let lines = lines.start..lines.end.min(MAX_LINE + 1);
        match self.ignored {
            None => self.file.run(lines, hits),
            Some(ignored) => lines
                .filter(|&line| !ignored.contains(line))
                .for_each(|line| self.file.hits(line, hits)),
        }
    }

    /// Tells a line by its parts, and makes ready for the next.
    fn tell(&mut self, line: u32) {
        let parts = &mut self.parts;
        parts.sort_unstable();
        parts.dedup_by(|next, kept| {
            let same = (next.start, next.end) == (kept.start, kept.end);
            if same {
                kept.hits = next.hits;
            }
            same
        });
        let coverage = match parts[..] {
            [] => return,
            [only] => Coverage::Hits(only.hits),
            _ => self.several.coverage(parts),
        };
        parts.clear();
        if line > MAX_LINE || self.ignored.is_some_and(|ignored| ignored.contains(line)) {
            return;
        }
        match coverage {
            Coverage::Hits(hits) => self.file.hits(line, hits),
            partial if self.partials_as_hits && partial.state() == Some(State::Partial) => {
                self.file.hits(line, 1)
            }
            coverage => self.file.append(line, Kind::Line, coverage, None, None),
        }
    }
}

/// Finds the coverage of lines of several parts; keeps its memory for the next.
#[derive(Default)]
struct Several {
    edges: Vec<u32>,
    runs: Vec<Part>,
    covering: BinaryHeap<(u64, u32)>,
}

impl Several {
    /// The coverage of a line of several parts, sorted: hit runs of all runs of columns.
    fn coverage(&mut self, parts: &[Part]) -> Coverage {
        let Several {
            edges,
            runs,
            covering,
        } = self;
        edges.clear();
        runs.clear();
        covering.clear();
        let closed = parts
            .iter()
            .filter(|part| part.end != OPEN && part.start < part.end);
        let width = match closed.map(|part| part.end).max() {
            Some(end) => end,
            None => parts.iter().map(|part| part.start).max().unwrap_or(0) + 1,
        };
        edges.extend(
            parts
                .iter()
                .flat_map(|part| [part.start, part.end.min(width)]),
        );
        edges.sort_unstable();
        edges.dedup();
        let mut coming = parts.iter().peekable();
        for edge in edges.windows(2) {
            let (start, end) = (edge[0], edge[1]);
            while let Some(part) = coming.next_if(|part| part.start <= start) {
                covering.push((part.hits, part.end.min(width)));
            }
            while covering.peek().is_some_and(|&(_, end)| end <= start) {
                covering.pop();
            }
            let Some(&(hits, _)) = covering.peek() else {
                continue;
            };
            match runs.last_mut().filter(|last| last.hits == hits) {
                Some(last) => last.end = end,
                None => runs.push(Part { start, end, hits }),
            }
        }
        let all = parts.iter().map(|part| part.hits).max().unwrap_or(0);
        if runs
            .first()
            .is_some_and(|first| (first.start, first.end) == (0, 1))
        {
            let first = runs.remove(0);
            if runs.is_empty() {
                return Coverage::Hits(first.hits);
            }
        }
        let open = parts
            .iter()
            .filter(|part| part.end == OPEN)
            .map(|part| part.hits)
            .max();
        if let Some(hits) = open
            && runs
                .last()
                .is_none_or(|last| last.end != width || last.hits != hits)
        {
            runs.push(Part {
                start: width,
                end: OPEN,
                hits,
            });
        }
        match runs[..] {
            [] => Coverage::Hits(all),
            [only] => Coverage::Hits(only.hits),
            _ => {
                let taken = runs.iter().filter(|run| run.hits > 0).count() as u32;
                Coverage::Arms {
                    taken,
                    total: runs.len() as u32,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn part(start: u32, end: u32, hits: u64) -> Part {
        Part { start, end, hits }
    }

    fn of(parts: &[Part]) -> Coverage {
        Several::default().coverage(parts)
    }

    #[test]
    fn runs_of_columns_are_counted() {
        assert_eq!(
            of(&[part(2, 10, 1), part(12, 20, 0)]),
            Coverage::Arms { taken: 1, total: 2 }
        );
        assert_eq!(of(&[part(2, 10, 0), part(2, 10, 3)]), Coverage::Hits(3));
        assert_eq!(of(&[part(0, OPEN, 5), part(8, OPEN, 0)]), Coverage::Hits(5));
        assert_eq!(of(&[part(0, 6, 0), part(0, OPEN, 5)]), Coverage::Hits(5));
        assert_eq!(of(&[part(0, 1, 4), part(3, 5, 0)]), Coverage::Hits(0));
        assert_eq!(
            of(&[part(0, 5, 2), part(9, OPEN, 0)]),
            Coverage::Arms { taken: 1, total: 2 }
        );
    }

    /// The lines of regions, column by column as profiles are understood: slow and plain.
    fn lines_by_column(regions: &[Region]) -> BTreeMap<u32, Coverage> {
        let mut lines: BTreeMap<u32, BTreeSet<Part>> = BTreeMap::new();
        for region in regions {
            let mut say = |line, start, end| {
                lines
                    .entry(line)
                    .or_default()
                    .insert(part(start, end, region.hits));
            };
            if region.start_line == region.end_line {
                say(region.start_line, region.start_column, region.end_column);
                continue;
            }
            say(region.start_line, region.start_column, OPEN);
            (region.start_line + 1..region.end_line).for_each(|line| say(line, 0, OPEN));
            if region.end_column > 2 {
                say(region.end_line, 0, region.end_column);
            }
        }
        let parts = lines.into_iter();
        parts
            .map(|(line, parts)| (line, coverage_by_column(&parts)))
            .collect()
    }

    fn coverage_by_column(parts: &BTreeSet<Part>) -> Coverage {
        let highest = parts.iter().map(|part| part.hits).max().unwrap();
        let closed = parts.iter().filter(|part| part.end != OPEN);
        let last = closed.flat_map(|part| part.start..part.end).max();
        let width = last.unwrap_or_else(|| parts.iter().map(|part| part.start).max().unwrap()) + 1;
        let mut columns: BTreeMap<u32, u64> = BTreeMap::new();
        for part in parts {
            for column in part.start..part.end.min(width) {
                let hits = columns.entry(column).or_default();
                *hits = part.hits.max(*hits);
            }
        }
        let columns: Vec<(u32, u64)> = columns.into_iter().collect();
        let runs = columns.chunk_by(|a, b| a.1 == b.1);
        let mut runs: Vec<Part> = runs
            .map(|run| part(run[0].0, run[run.len() - 1].0 + 1, run[0].1))
            .collect();
        if let [first, rest @ ..] = &runs[..]
            && (first.start, first.end) == (0, 1)
        {
            if rest.is_empty() {
                return Coverage::Hits(first.hits);
            }
            runs.remove(0);
        }
        let open = parts
            .iter()
            .filter(|part| part.end == OPEN)
            .map(|part| part.hits)
            .max();
        let ends_so = |hits| {
            runs.last()
                .is_some_and(|run| (run.end, run.hits) == (width, hits))
        };
        if let Some(hits) = open
            && !ends_so(hits)
        {
            runs.push(part(width, OPEN, hits));
        }
        match runs[..] {
            [] => Coverage::Hits(highest),
            [only] => Coverage::Hits(only.hits),
            _ => Coverage::Arms {
                taken: runs.iter().filter(|run| run.hits > 0).count() as u32,
                total: runs.len() as u32,
            },
        }
    }

    fn swept(mut regions: Vec<Region>) -> BTreeMap<u32, Coverage> {
        let mut file = FileBuilder::new();
        sort(&mut regions);
        let mut lines = Said {
            ignored: None,
            partials_as_hits: false,
            parts: Vec::new(),
            several: Several::default(),
            file: &mut file,
        };
        sweep(&regions, &mut lines);
        let file = file.take();
        file.rows()
            .map(|(line, row)| (line, row.coverage()))
            .collect()
    }

    proptest::proptest! {
        #[test]
        fn a_sweep_tells_what_columns_tell(
            regions in proptest::collection::vec((1..9_u64, 0..7_u64, 1..9_u64, 0..7_u64, 0..4_u64), 0..9),
        ) {
            let regions: Vec<Region> = regions.into_iter().map(|(a, b, c, d, hits)| region(a, b, c, d, hits)).collect();
            proptest::prop_assert_eq!(swept(regions.clone()), lines_by_column(&regions));
        }
    }

    #[test]
    fn regions_inside_each_other_take_linear_time() {
        const DEPTH: u64 = 100_000;
        let nested = (0..DEPTH).map(|i| region(1 + i, 1, 3 * DEPTH - i, 9, i));
        let lines = swept(nested.collect());
        assert_eq!(lines.len() as u64, 3 * DEPTH);
        assert_eq!(lines[&(DEPTH as u32 * 3 / 2)], Coverage::Hits(DEPTH - 1));
    }
}
