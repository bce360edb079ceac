//! Go's cover profiles. Source: golang.org/x/tools/cover, `profile.go`.

use std::collections::{BinaryHeap, HashMap};

use engine::model::{Coverage, FileBuilder, Kind, State};
use memchr::memchr;

use super::{Context, MAX_LINE};
use crate::error::{Failure, ProblemCode, Result};
use crate::number::Window;

/// The most lines that all regions of one profile may span, counted with repetition.
const MAX_SPANNED_LINES: u64 = 500_000_000;
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
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut files: Vec<(&[u8], Vec<Region>)> = Vec::new();
    let mut by_name: HashMap<&[u8], usize> = HashMap::new();
    let mut current = 0;
    let mut spanned: u64 = 0;
    let mut rest = content;
    while !rest.is_empty() {
        // Most lines name the same file as the last.
        let known = files.get(current).map(|(name, _)| *name).and_then(|name| {
            let after = rest.strip_prefix(name)?.strip_prefix(b":")?;
            plain_region(after)
        });
        if let Some((region, length)) = known {
            let (name, regions) = &mut files[current];
            rest = &rest[name.len() + 1 + length..];
            spanned += u64::from(region.end_line.saturating_sub(region.start_line));
            regions.push(region);
            continue;
        }
        let length = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest[..length]
            .strip_suffix(b"\r")
            .unwrap_or(&rest[..length]);
        rest = rest.get(length + 1..).unwrap_or_default();
        let Some((name, region)) = any_line(line)? else {
            continue;
        };
        current = *by_name.entry(name).or_insert_with(|| {
            files.push((name, Vec::new()));
            files.len() - 1
        });
        spanned += u64::from(region.end_line.saturating_sub(region.start_line));
        files[current].1.push(region);
    }
    if spanned > MAX_SPANNED_LINES {
        return Err(Failure::fails(format!(
            "go: regions span {spanned} lines; the most is {MAX_SPANNED_LINES}"
        )));
    }
    let mut file = FileBuilder::new();
    for (name, regions) in files {
        add_file(&String::from_utf8_lossy(name), regions, &mut file, context)?;
    }
    Ok(())
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
#[inline]
fn plain_region(text: &[u8]) -> Option<(Region, usize)> {
    let mut window = Window::<4>::new(text)?;
    let mut end = || window.next_other();
    let ends = [end(), end(), end(), end(), end(), end()];
    let starts = [
        0,
        ends[0] + 1,
        ends[1] + 1,
        ends[2] + 1,
        ends[3] + 1,
        ends[4] + 1,
    ];
    let number = |i: usize| window.number(starts[i], ends[i]);
    let is_plain = ends.map(|end| window.byte(end)) == *b".,.  \n"
        && (0..6).all(|i| (1..=8).contains(&(ends[i] - starts[i])));
    is_plain.then(|| {
        (
            region(number(0), number(1), number(2), number(3), number(5)),
            ends[5] + 1,
        )
    })
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

#[inline]
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
    name: &str,
    mut regions: Vec<Region>,
    file: &mut FileBuilder,
    context: &mut Context<'_>,
) -> Result<()> {
    let Some(path) = context.paths.fix(name)?.filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    if !regions.is_sorted_by(|a, b| a < b) {
        regions.sort_unstable();
        regions.dedup();
    }
    if regions.first().is_some_and(|first| first.start_line == 0) {
        return Err(Failure::fails(format!(
            "go: a region of {name} starts at line 0"
        )));
    }
    if regions.iter().any(|region| region.end_line > MAX_LINE) {
        let message = format!("{path}: lines beyond {MAX_LINE} are left out");
        context.problem(None, ProblemCode::LineTooLarge, message);
    }
    let partials_as_hits = context.parsers.go_partials_as_hits;
    let ignored = context.ignored.get(&path);
    sweep(&regions, |line, parts| {
        if ignored.is_some_and(|lines| lines.contains(line)) {
            return;
        }
        match parts {
            [only] => file.hits(line, only.hits),
            _ => match several(parts) {
                Coverage::Hits(hits) => file.hits(line, hits),
                partial if partials_as_hits && partial.state() == Some(State::Partial) => {
                    file.hits(line, 1)
                }
                coverage => file.append(line, Kind::Line, coverage, None, None),
            },
        }
    });
    context.found.add(path, file.take());
    Ok(())
}

/// Calls `each` for every line that a region touches, ascending, with the parts that are known of it.
/// Regions must be sorted.
fn sweep(regions: &[Region], mut each: impl FnMut(u32, &[Part])) {
    let mut active: Vec<Region> = Vec::new();
    let mut parts: Vec<Part> = Vec::new();
    let mut next = 0;
    let mut line = 0;
    while next < regions.len() || !active.is_empty() {
        if active.is_empty() {
            let region = regions[next];
            line = region.start_line;
            let following = regions
                .get(next + 1)
                .map_or(u32::MAX, |next| next.start_line);
            if (line..following).contains(&region.end_line) && region.end_line <= MAX_LINE {
                each_alone(region, &mut each);
                next += 1;
                continue;
            }
        }
        while let Some(region) = regions.get(next).filter(|region| region.start_line <= line) {
            active.push(*region);
            next += 1;
        }
        if line > MAX_LINE {
            return;
        }
        parts.clear();
        parts.extend(active.iter().filter_map(|region| part_of(region, line)));
        if parts.len() > 1 {
            parts.sort_unstable();
            parts.dedup();
        }
        if !parts.is_empty() {
            each(line, &parts);
        }
        active.retain(|region| region.end_line > line);
        // Lines inside a lone region all have its hits.
        if let [region] = active[..] {
            let until = regions
                .get(next)
                .map_or(u32::MAX, |next| next.start_line)
                .min(region.end_line);
            for inside in line + 1..until.min(MAX_LINE + 1) {
                each(
                    inside,
                    &[Part {
                        start: 0,
                        end: OPEN,
                        hits: region.hits,
                    }],
                );
                line = inside;
            }
        }
        line += 1;
    }
}

/// Calls `each` for every line of a region that shares none with others.
#[inline]
fn each_alone(region: Region, each: &mut impl FnMut(u32, &[Part])) {
    for line in region.start_line..=region.end_line {
        if let Some(part) = part_of(&region, line) {
            each(line, &[part]);
        }
    }
}

/// What a region says of a line that it touches.
fn part_of(region: &Region, line: u32) -> Option<Part> {
    let starts = region.start_line == line;
    let ends = region.end_line == line;
    let start = if starts { region.start_column } else { 0 };
    let end = if ends { region.end_column } else { OPEN };
    // What ends in the first columns is a closing brace.
    (starts || !ends || region.end_column > 2).then_some(Part {
        start,
        end,
        hits: region.hits,
    })
}

/// The coverage of a line of several parts, sorted: hit runs of all runs of columns.
fn several(parts: &[Part]) -> Coverage {
    let closed = parts
        .iter()
        .filter(|part| part.end != OPEN && part.start < part.end);
    let width = match closed.map(|part| part.end).max() {
        Some(end) => end,
        None => parts.iter().map(|part| part.start).max().unwrap_or(0) + 1,
    };
    let mut edges: Vec<u32> = parts
        .iter()
        .flat_map(|part| [part.start, part.end.min(width)])
        .collect();
    edges.sort_unstable();
    edges.dedup();
    let mut runs: Vec<Part> = Vec::new();
    let mut coming = parts.iter().peekable();
    let mut covering = BinaryHeap::new();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn part(start: u32, end: u32, hits: u64) -> Part {
        Part { start, end, hits }
    }

    #[test]
    fn runs_of_columns_are_counted() {
        assert_eq!(
            several(&[part(2, 10, 1), part(12, 20, 0)]),
            Coverage::Arms { taken: 1, total: 2 }
        );
        assert_eq!(
            several(&[part(2, 10, 0), part(2, 10, 3)]),
            Coverage::Hits(3)
        );
        assert_eq!(
            several(&[part(0, OPEN, 5), part(8, OPEN, 0)]),
            Coverage::Hits(5)
        );
        assert_eq!(
            several(&[part(0, 6, 0), part(0, OPEN, 5)]),
            Coverage::Hits(5)
        );
        assert_eq!(several(&[part(0, 1, 4), part(3, 5, 0)]), Coverage::Hits(0));
        assert_eq!(
            several(&[part(0, 5, 2), part(9, OPEN, 0)]),
            Coverage::Arms { taken: 1, total: 2 }
        );
    }
}
