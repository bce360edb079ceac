//! Carrying flags forward: sessions of a parent's report that stand in for uploads which a commit
//! does not have. Which flags and paths are carried, how the sessions are called, what becomes of
//! their lines, and when new uploads take their place.
//!
//! Pure functions; what the settings say comes in as arguments.

use std::collections::BTreeSet;

use crate::model::{Coverage, Evidence, FileCoverage, Part};

/// Runs of segments that one diff may have, each in the order of lines. A diff as git writes it is one
/// run; segments behind more are left out.
const MAX_RUNS: usize = 64;

/// The name of a carried session that had none.
const NAMELESS: &str = "Carriedforward";

/// Of the flags of some sessions, those that are carried forward; sorted, each once. Of a base report's
/// sessions, uploaded and carried ones alike, these are carried; of new uploads that gave something,
/// carried sessions that have these give way.
pub fn carried_flags<'a>(
    sessions: impl IntoIterator<Item = &'a [String]>,
    carries: impl Fn(&str) -> bool,
) -> Vec<String> {
    let flags: BTreeSet<&String> = sessions.into_iter().flatten().collect();
    let carried = flags.into_iter().filter(|flag| carries(flag));
    carried.cloned().collect()
}

/// What the settings say of the paths of one flag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FlagPaths<P> {
    /// Nothing is said of the flag.
    Unknown,
    /// The flag covers every path.
    All,
    /// The flag covers the paths of these patterns.
    Only(Vec<P>),
}

/// The patterns of paths that are carried with some flags: those of all that name any, sorted, each
/// once. Empty, so that every path is carried, if one of them covers every path.
pub fn carried_paths<P: Ord>(flags: impl IntoIterator<Item = FlagPaths<P>>) -> Vec<P> {
    let mut patterns = BTreeSet::new();
    for paths in flags {
        match paths {
            FlagPaths::Unknown => {}
            FlagPaths::Only(paths) if !paths.is_empty() => patterns.extend(paths),
            FlagPaths::All | FlagPaths::Only(_) => return Vec::new(),
        }
    }
    patterns.into_iter().collect()
}

/// Whether a session has any of the flags: it is carried with them, or gives way to new uploads of them.
pub fn has_any(session: &[String], flags: &[String]) -> bool {
    session.iter().any(|flag| flags.contains(flag))
}

/// The id of a new session beside these: their count, or the next that is free.
pub fn next_session_id(taken: &BTreeSet<u32>) -> u32 {
    let mut id = taken.len() as u32;
    while taken.contains(&id) {
        id += 1;
    }
    id
}

/// What a session is called when it is carried once more: `CF[1] - name`, then `CF[2] - name`.
pub fn carried_name(name: Option<&str>) -> String {
    let name = name.unwrap_or_default();
    if name.is_empty() {
        return NAMELESS.to_owned();
    }
    if let Some((times, rest)) = numbered(name) {
        return format!("CF[{}]{rest}", times + 1);
    }
    let plain = name.trim_start_matches("CF ");
    let times = (name.len() - plain.len()) / "CF ".len();
    format!("CF[{}] - {plain}", times + 1)
}

/// The number of `CF[3] - name` and what follows the bracket.
fn numbered(name: &str) -> Option<(u32, &str)> {
    let (number, rest) = name.strip_prefix("CF[")?.split_once(']')?;
    let is_number = number.bytes().all(|b| b.is_ascii_digit());
    let times = number
        .parse::<u32>()
        .ok()
        .filter(|&times| times < u32::MAX)?;
    is_number.then_some((times, rest))
}

/// What is left of a file of a report when some of its sessions go. A line that only they speak of is
/// gone. A line that they speak of beside others is what those make of it, by how many arms each took,
/// not by which; its kind and complexity stay. Linear in rows and sessions.
pub fn without_sessions(
    report: &FileCoverage,
    kept: &[&FileCoverage],
    dropped: &[&FileCoverage],
) -> FileCoverage {
    let mut kept_rows: Vec<_> = kept.iter().map(|file| file.rows().peekable()).collect();
    let mut dropped_rows: Vec<_> = dropped.iter().map(|file| file.rows().peekable()).collect();
    let mut left = FileCoverage::default();
    for (line, row) in report.rows() {
        let mut said = kept_rows.iter_mut().filter_map(|rows| row_at(rows, line));
        let first = said.next();
        let coverage = said.fold(first, |all, next| Some(all?.merge(next, None)));
        let loses = dropped_rows
            .iter_mut()
            .filter_map(|rows| row_at(rows, line))
            .count()
            > 0;
        match coverage {
            None => {}
            Some(_) if !loses => left.push(line, &row),
            Some(coverage) => {
                let evidence = Evidence::of_session(row.kind, coverage, None, row.complexity);
                left.push(line, &evidence);
            }
        }
    }
    left.parts = parts_left(kept, &left.lines);
    left
}

/// What a session says of the line. Asked for ascending lines.
fn row_at<'a>(
    rows: &mut std::iter::Peekable<impl Iterator<Item = (u32, Evidence<'a>)>>,
    line: u32,
) -> Option<Coverage> {
    while rows.next_if(|(before, _)| *before < line).is_some() {}
    let (_, row) = rows.next_if(|(same, _)| *same == line)?;
    Some(row.coverage())
}

/// The parts of these lines, sorted, each once.
fn parts_left(sessions: &[&FileCoverage], lines: &[u32]) -> Vec<Part> {
    let parts = sessions.iter().flat_map(|file| file.parts()).copied();
    let known = |part: &Part| lines.binary_search(&part.line).is_ok();
    let mut parts: Vec<Part> = parts.filter(known).collect();
    parts.sort_unstable();
    parts.dedup();
    parts
}

/// A run of changed lines of a file, with their neighbours, as a diff has it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Segment {
    /// The number of its first line in the new file; 0 where the new file has none.
    pub start: u32,
    /// Its lines.
    pub lines: Vec<Edit>,
}

/// What a diff does to one line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edit {
    /// The line is in both files.
    Same,
    /// The line is new.
    Added,
    /// The line is gone.
    Removed,
}

/// Moves what is known of a file's lines to where a diff moves the lines. Lines that are gone take
/// what is known of them along; nothing is known of new ones. Linear in rows and in the diff.
pub fn shift_lines(file: &FileCoverage, segments: &[Segment]) -> FileCoverage {
    let mut shifted = file.clone();
    let mut rest = segments;
    for _ in 0..MAX_RUNS {
        let (moves, count) = Moves::of_run(rest);
        rest = &rest[count..];
        shifted = moves.apply(&shifted);
        if rest.is_empty() {
            break;
        }
    }
    shifted
}

/// Where lines go: from each first line on, by so much, or away.
struct Moves(Vec<(i64, Option<i64>)>);

impl Moves {
    /// The moves of the first segments that come in the order of lines, and how many they are.
    fn of_run(segments: &[Segment]) -> (Moves, usize) {
        let mut moves = Moves(vec![(0, Some(0))]);
        let (mut shift, mut passed) = (0, 1);
        for (number, segment) in segments.iter().enumerate() {
            let mut line = i64::from(segment.start.max(1)) - shift;
            if line < passed && number > 0 {
                return (moves, number);
            }
            for edit in &segment.lines {
                match edit {
                    Edit::Same => line += 1,
                    Edit::Added => {
                        shift += 1;
                        moves.set(line, Some(shift));
                    }
                    Edit::Removed => {
                        moves.set(line, None);
                        line += 1;
                        shift -= 1;
                        moves.set(line, Some(shift));
                    }
                }
            }
            passed = line;
        }
        (moves, segments.len())
    }

    /// From `line` on, which is not before what is known so far.
    fn set(&mut self, line: i64, shift: Option<i64>) {
        if self.0.last().is_some_and(|&(last, _)| last == line) {
            self.0.pop();
        }
        self.0.push((line, shift));
    }

    fn apply(&self, file: &FileCoverage) -> FileCoverage {
        let mut shifted = FileCoverage::default();
        let mut walk = Walk(&self.0);
        for (line, row) in file.rows() {
            if let Some(line) = walk.moved(line) {
                shifted.push(line, &row);
            }
        }
        let mut walk = Walk(&self.0);
        let parts = file.parts().iter();
        let parts = parts.filter_map(|part| {
            Some(Part {
                line: walk.moved(part.line)?,
                ..*part
            })
        });
        shifted.parts = parts.collect();
        shifted
    }
}

/// The moves that are ahead, the first of them in force.
struct Walk<'a>(&'a [(i64, Option<i64>)]);

impl Walk<'_> {
    /// Where a line goes; asked for ascending lines.
    fn moved(&mut self, line: u32) -> Option<u32> {
        let line = i64::from(line);
        while let [_, rest @ ..] = self.0
            && rest.first().is_some_and(|&(from, _)| from <= line)
        {
            self.0 = rest;
        }
        let (_, shift) = self.0.first()?;
        u32::try_from(line + (*shift)?)
            .ok()
            .filter(|&line| line > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ArmId, FileBuilder, Kind};

    fn flags(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn file(lines: &[(u32, u64)]) -> FileCoverage {
        let mut file = FileBuilder::new();
        for &(line, hits) in lines {
            file.hits(line, hits);
        }
        file.finish()
    }

    fn shown(file: &FileCoverage) -> Vec<(u32, Coverage)> {
        file.rows()
            .map(|(line, row)| (line, row.coverage()))
            .collect()
    }

    #[test]
    fn names_count_how_often_a_session_was_carried() {
        for (name, expected) in [
            (None, "Carriedforward"),
            (Some(""), "Carriedforward"),
            (Some("job"), "CF[1] - job"),
            (Some("CF[1] - job"), "CF[2] - job"),
            (Some("CF[9] - x"), "CF[10] - x"),
            (Some("CF CF old"), "CF[3] - old"),
            (Some("CFG build"), "CF[1] - CFG build"),
            (Some("CF[x]"), "CF[1] - CF[x]"),
            (Some("CF[4294967295]"), "CF[1] - CF[4294967295]"),
        ] {
            assert_eq!(carried_name(name), expected, "{name:?}");
        }
    }

    #[test]
    fn flags_that_the_settings_carry_are_carried() {
        let sessions = [flags(&["unit", "b"]), flags(&[]), flags(&["a", "unit"])];
        let carried = carried_flags(sessions.iter().map(|s| &s[..]), |flag| flag != "b");
        assert_eq!(carried, ["a", "unit"]);
        assert!(has_any(&sessions[0], &carried) && !has_any(&sessions[1], &carried));
    }

    #[test]
    fn one_flag_without_paths_carries_every_path() {
        let only = |paths: &[&'static str]| FlagPaths::Only(paths.to_vec());
        let known = [only(&["lib", "a"]), FlagPaths::Unknown, only(&["lib"])];
        assert_eq!(carried_paths(known.clone()), ["a", "lib"]);
        assert!(carried_paths(known.into_iter().chain([FlagPaths::All])).is_empty());
        assert!(carried_paths([only(&["lib"]), only(&[])]).is_empty());
    }

    #[test]
    fn ids_of_sessions_that_went_are_used_again_where_free() {
        assert_eq!(next_session_id(&BTreeSet::from([1])), 2);
        assert_eq!(next_session_id(&BTreeSet::from([0, 3])), 2);
        assert_eq!(next_session_id(&BTreeSet::new()), 0);
    }

    #[test]
    fn lines_keep_what_the_sessions_that_stay_say_of_them() {
        let branch = |missed: u32| {
            let mut file = FileBuilder::new();
            let half = Coverage::Arms { taken: 1, total: 2 };
            file.append(1, Kind::Branch, half, Some(&[ArmId::pair(0, missed)]), None);
            file.hits(2, 1);
            file.finish()
        };
        let (a, b, gone) = (branch(0), branch(1), file(&[(1, 4), (3, 1)]));
        let report = a.join(&b).join(&gone);
        let left = without_sessions(&report, &[&a, &b], &[&gone]);
        let half = Coverage::Arms { taken: 1, total: 2 };
        assert_eq!(shown(&left), [(1, half), (2, Coverage::Hits(1))]);
        let untouched = without_sessions(&a.join(&b), &[&a, &b], &[&file(&[(2, 0)])]);
        let full = Coverage::Arms { taken: 2, total: 2 };
        assert_eq!(shown(&untouched), [(1, full), (2, Coverage::Hits(1))]);
        assert!(without_sessions(&gone, &[], &[&gone]).is_empty());
    }

    #[test]
    fn lines_move_as_the_diff_moves_them() {
        use Edit::{Added, Removed, Same};
        let lines: Vec<(u32, u64)> = (1..=8).map(|line| (line, u64::from(line))).collect();
        let segment = |start, lines: &[Edit]| Segment {
            start,
            lines: lines.to_vec(),
        };
        let moved = |segments: &[Segment]| {
            let shifted = shift_lines(&file(&lines), segments);
            let hits = |(line, row): (u32, Evidence<'_>)| (line, row.hits.unwrap());
            shifted.rows().map(hits).collect::<Vec<_>>()
        };
        let first = segment(1, &[Same, Removed, Added, Added, Same]);
        let expected = [(1, 1), (4, 3), (5, 4), (6, 5), (7, 6), (8, 7), (9, 8)];
        assert_eq!(moved(std::slice::from_ref(&first)), expected);
        let second = segment(7, &[Removed, Removed, Same]);
        let expected = [(1, 1), (4, 3), (5, 4), (6, 5), (7, 8)];
        assert_eq!(moved(&[first, second]), expected);
        let back = [segment(7, &[Removed]), segment(0, &[Added])];
        let expected = [(2, 1), (3, 2), (4, 3), (5, 4), (6, 5), (7, 6), (8, 8)];
        assert_eq!(moved(&back), expected);
        assert_eq!(moved(&[segment(90, &[Removed, Added])]).len(), 8);
    }

    #[test]
    fn parts_move_with_their_lines() {
        let mut file = FileBuilder::new();
        for line in [3, 5] {
            file.hits(line, 1);
            let coverage = Coverage::Hits(0);
            file.part(Part {
                line,
                start: 1,
                end: None,
                coverage,
            });
        }
        let diff = [Segment {
            start: 3,
            lines: vec![Edit::Removed, Edit::Added, Edit::Added],
        }];
        let shifted = shift_lines(&file.finish(), &diff);
        let lines: Vec<u32> = shifted.parts().iter().map(|part| part.line).collect();
        assert_eq!(lines, [6]);
    }
}
