//! The lines of a file as base and head have them, side by side.

use std::ops::Range;

use crate::diff::{Diff, FileDiff, Hunk, Side};
use crate::model::{Coverage, FileCoverage, State};

/// Lines of a file that are shown at most; those behind are left out.
const SHOWN_LINES: usize = 1 << 20;
/// Lines that are shown before and behind one of interest.
const PADDING: usize = 3;

/// One line, as base and head have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// Its text without a mark; `None` where nobody told it.
    pub text: Option<&'a str>,
    /// Who has it, if it stands in a hunk of the diff.
    pub side: Option<Side>,
    /// Its number in base.
    pub base: Option<u32>,
    /// Its number in head.
    pub head: Option<u32>,
    /// Its coverage in base.
    pub base_coverage: Option<Coverage>,
    /// Its coverage in head.
    pub head_coverage: Option<Coverage>,
}

impl Line<'_> {
    /// Whether only head has it.
    pub fn is_added(&self) -> bool {
        self.side == Some(Side::Head)
    }

    /// Whether only base has it.
    pub fn is_removed(&self) -> bool {
        self.side == Some(Side::Base)
    }

    /// Whether it counts otherwise in head than in base.
    pub fn differs(&self) -> bool {
        shown(self.base_coverage) != shown(self.head_coverage)
    }
}

/// What is told apart of a coverage: its state, and whether it is left out on purpose.
fn shown(coverage: Option<Coverage>) -> (Option<State>, bool) {
    let state = coverage.and_then(Coverage::state);
    (state, coverage == Some(Coverage::Ignored))
}

/// The lines of the file's hunks, with their coverage. Linear.
pub fn hunk_lines<'a>(
    diff: &'a Diff,
    file: &'a FileDiff,
    base: Option<&FileCoverage>,
    head: Option<&FileCoverage>,
) -> Vec<Line<'a>> {
    let mut sides = Sides::new(base, head);
    for hunk in &file.hunks {
        sides.write_hunk(diff, hunk);
    }
    sides.lines
}

/// All lines of the file: of its hunks, of the source in head if that is known, and those that are counted.
/// Linear.
pub fn all_lines<'a>(
    edits: Option<(&'a Diff, &'a FileDiff)>,
    base: Option<&FileCoverage>,
    head: Option<&FileCoverage>,
    source: Option<&'a str>,
) -> Vec<Line<'a>> {
    let mut sides = Sides::new(base, head);
    sides.source = source.map(|text| text.lines().collect());
    if let Some((diff, file)) = edits {
        for hunk in &file.hunks {
            sides.write_until(hunk.head_start());
            sides.write_hunk(diff, hunk);
        }
    }
    let last = |file: Option<&FileCoverage>| file.and_then(FileCoverage::last_line).unwrap_or(0);
    let source = sides.source.as_ref().map_or(0, Vec::len) as u32;
    // The end of base, in the numbers of head.
    let base_end = i64::from(last(base)) - i64::from(sides.base_next) + i64::from(sides.head_next);
    let end = base_end.max(i64::from(last(head).max(source)));
    sides.write_until(u32::try_from(end).unwrap_or(0).saturating_add(1));
    sides.lines
}

/// Walks through both versions of a file in step.
struct Sides<'a> {
    base: Covered,
    head: Covered,
    base_next: u32,
    head_next: u32,
    source: Option<Vec<&'a str>>,
    lines: Vec<Line<'a>>,
}

impl<'a> Sides<'a> {
    fn new(base: Option<&FileCoverage>, head: Option<&FileCoverage>) -> Sides<'a> {
        Sides {
            base: Covered::new(base),
            head: Covered::new(head),
            base_next: 1,
            head_next: 1,
            source: None,
            lines: Vec::new(),
        }
    }

    /// Writes the shared lines before this one of head.
    fn write_until(&mut self, head_end: u32) {
        while self.head_next < head_end && self.lines.len() < SHOWN_LINES {
            let source = self.source.as_ref();
            let text = source.and_then(|lines| lines.get(self.head_next as usize - 1).copied());
            self.write(None, text);
        }
    }

    fn write_hunk(&mut self, diff: &'a Diff, hunk: &'a Hunk) {
        self.base_next = hunk.base_start();
        self.head_next = hunk.head_start();
        for (side, text) in diff.lines(hunk) {
            if self.lines.len() >= SHOWN_LINES {
                return;
            }
            self.write(Some(side), Some(text));
        }
    }

    fn write(&mut self, side: Option<Side>, text: Option<&'a str>) {
        let base = (side != Some(Side::Head)).then_some(self.base_next);
        let head = (side != Some(Side::Base)).then_some(self.head_next);
        self.base_next = self.base_next.saturating_add(u32::from(base.is_some()));
        self.head_next = self.head_next.saturating_add(u32::from(head.is_some()));
        self.lines.push(Line {
            text,
            side,
            base,
            head,
            base_coverage: base.and_then(|line| self.base.of(line)),
            head_coverage: head.and_then(|line| self.head.of(line)),
        });
    }
}

/// The coverage of a file's lines, to look up.
struct Covered(Vec<(u32, Coverage)>);

impl Covered {
    fn new(file: Option<&FileCoverage>) -> Covered {
        let rows = file.into_iter().flat_map(FileCoverage::rows);
        Covered(rows.map(|(line, row)| (line, row.coverage())).collect())
    }

    fn of(&self, line: u32) -> Option<Coverage> {
        let found = self.0.binary_search_by_key(&line, |(line, _)| *line).ok()?;
        Some(self.0[found].1).filter(|coverage| *coverage != Coverage::Null)
    }
}

/// How many shared lines of each state head has more or fewer than base, of those that both count:
/// hits, misses, partials; `None` where no line came or went.
pub fn state_changes(changes: &super::LineChanges) -> [Option<i64>; 3] {
    let mut counts = [None; 3];
    let mut count = |state: Option<State>, by: i64| {
        let place = match state {
            Some(State::Hit) => 0,
            Some(State::Miss) => 1,
            Some(State::Partial) => 2,
            None => return,
        };
        *counts[place].get_or_insert(0) += by;
    };
    for change in &changes.indirect {
        if change.base.is_some() && change.head.is_some() && change.changes_state() {
            count(change.base.and_then(Coverage::state), -1);
            count(change.head.and_then(Coverage::state), 1);
        }
    }
    counts
}

/// A run of lines around some of interest: added, removed, or covered otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excerpt {
    /// Its places among the lines.
    pub lines: Range<usize>,
    /// First line and number of lines in base.
    pub base: (u32, u32),
    /// First line and number of lines in head.
    pub head: (u32, u32),
    /// Whether a line is covered otherwise that was neither added nor removed.
    pub has_indirect_changes: bool,
}

/// The runs of lines that are of interest, in order. Linear.
pub fn excerpts(lines: &[Line<'_>]) -> Vec<Excerpt> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if !(line.is_added() || line.is_removed() || line.differs()) {
            continue;
        }
        match ranges.last_mut() {
            Some(range) if at - (range.end - 1) <= 2 * PADDING => range.end = at + 1,
            _ => ranges.push(at..at + 1),
        }
    }
    let padded = ranges.into_iter().map(|range| {
        let end = (range.end + PADDING).min(lines.len());
        excerpt(lines, range.start.saturating_sub(PADDING)..end)
    });
    padded.collect()
}

fn excerpt(lines: &[Line<'_>], range: Range<usize>) -> Excerpt {
    let shown = &lines[range.clone()];
    let side = |number: fn(&Line<'_>) -> Option<u32>| {
        let mut numbers = shown.iter().filter_map(number);
        let first = numbers.next();
        (
            first.unwrap_or(0),
            first.map_or(0, |_| 1 + numbers.count() as u32),
        )
    };
    let is_indirect = |line: &Line<'_>| !line.is_added() && !line.is_removed() && line.differs();
    Excerpt {
        base: side(|line| line.base),
        head: side(|line| line.head),
        has_indirect_changes: shown.iter().any(is_indirect),
        lines: range,
    }
}

#[cfg(test)]
mod tests {
    use super::super::compare_lines;
    use super::super::tests::hits;
    use super::*;

    const DIFF: &str = "diff --git a/a.rs b/a.rs\n--- a/a.rs\n+++ b/a.rs\n@@ -2,3 +2,3 @@\n same\n-old\n+new\n same\n\
        @@ -20,0 +21 @@\n+born\n";

    fn numbers(lines: &[Line<'_>]) -> Vec<(Option<u32>, Option<u32>)> {
        lines.iter().map(|line| (line.base, line.head)).collect()
    }

    #[test]
    fn lines_of_hunks_have_the_numbers_and_coverage_of_both_sides() {
        let diff = Diff::parse(DIFF).unwrap();
        let file = diff.find("a.rs").unwrap();
        let (base, head) = (hits(&[(2, 1), (3, 0)]), hits(&[(2, 1), (3, 5), (21, 0)]));
        let lines = hunk_lines(&diff, file, Some(&base), Some(&head));
        let expected = [
            (Some(2), Some(2)),
            (Some(3), None),
            (None, Some(3)),
            (Some(4), Some(4)),
            (None, Some(21)),
        ];
        assert_eq!(numbers(&lines), expected);
        let coverage: Vec<_> = lines
            .iter()
            .map(|line| (line.base_coverage, line.head_coverage))
            .collect();
        let hit = |count| Some(Coverage::Hits(count));
        let expected = [
            (hit(1), hit(1)),
            (hit(0), None),
            (None, hit(5)),
            (None, None),
            (None, hit(0)),
        ];
        assert_eq!(coverage, expected);
        assert!(lines[1].is_removed() && lines[2].is_added() && !lines[0].differs());
    }

    #[test]
    fn all_lines_reach_to_the_end_of_the_longer_version() {
        let diff = Diff::parse(DIFF).unwrap();
        let edits = Some((&diff, diff.find("a.rs").unwrap()));
        let source = "one\nsame\nnew\nsame\nfive";
        let base = hits(&[(22, 1)]);
        let lines = all_lines(edits, Some(&base), None, Some(source));
        assert_eq!((lines[0].text, lines[5].text), (Some("one"), Some("five")));
        assert_eq!(
            numbers(&lines[lines.len() - 2..]),
            [(Some(21), Some(22)), (Some(22), Some(23))]
        );
        let far = hits(&[(u32::MAX, 1)]);
        assert_eq!(all_lines(None, None, Some(&far), None).len(), SHOWN_LINES);
        assert!(all_lines(None, None, None, None).is_empty());
    }

    #[test]
    fn excerpts_join_lines_of_interest_that_stand_close() {
        let base = hits(&[(5, 1), (11, 1), (30, 1)]);
        let head = hits(&[(5, 0), (11, 0), (30, 0), (40, 1)]);
        let lines = all_lines(None, Some(&base), Some(&head), None);
        let found = excerpts(&lines);
        let shape: Vec<_> = found
            .iter()
            .map(|part| (part.base, part.head, part.has_indirect_changes))
            .collect();
        let expected = [
            ((2, 13), (2, 13), true),
            ((27, 7), (27, 7), true),
            ((37, 4), (37, 4), true),
        ];
        assert_eq!(shape, expected);
        assert!(excerpts(&[]).is_empty());
    }

    #[test]
    fn changes_of_state_are_counted_where_both_sides_count_the_line() {
        let base = hits(&[(1, 1), (2, 0), (3, 0), (4, 1)]);
        let head = hits(&[(1, 0), (2, 1), (3, 0), (5, 1)]);
        let changes = compare_lines(Some(&base), Some(&head), &Default::default());
        assert_eq!(state_changes(&changes), [Some(0), Some(0), None]);
    }
}
