//! What is known of columns of a line.

use std::cmp::Ordering;
use std::fmt;

use super::Coverage;

/// Columns of a line and how they ran. Shown beside the line; the line's coverage does not follow
/// from it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Part {
    /// The line, 1-based.
    pub line: u32,
    /// The first column, as the report counts them.
    pub start: u32,
    /// The column behind the last, as the report counts them; `None` for the rest of the line.
    pub end: Option<u32>,
    /// How the columns ran: hits, or the taken share of arms ([`Fraction`]).
    pub coverage: Coverage,
}

/// The parts of a line, which are split off `rest` with those of lines before. Lines that are asked
/// for in ascending order are found in linear time.
pub fn parts_of<'a>(rest: &mut &'a [Part], line: u32) -> &'a [Part] {
    let (start, end) = (
        rest.iter().take_while(|part| part.line < line).count(),
        rest.iter().take_while(|part| part.line <= line).count(),
    );
    let parts = &rest[start..end];
    *rest = &rest[end..];
    parts
}

/// The share of arms that were taken, as Codecov writes that of a part: `1/2`, `1` for all and `0`
/// for none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fraction {
    /// Arms that were taken.
    pub taken: u32,
    /// All arms.
    pub total: u32,
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.taken, self.total) {
            (taken, total) if taken == total => f.write_str("1"),
            (0, _) => f.write_str("0"),
            (taken, total) => write!(f, "{taken}/{total}"),
        }
    }
}

/// The union of two sorted lists without repetition: as sorted, each part once. Linear.
pub(super) fn union(a: &[Part], b: &[Part]) -> Vec<Part> {
    if a.is_empty() || b.is_empty() || a == b {
        return if a.is_empty() { b } else { a }.to_vec();
    }
    let mut all = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
        match x.cmp(y) {
            Ordering::Less => all.extend(a.next()),
            Ordering::Greater => all.extend(b.next()),
            Ordering::Equal => {
                all.extend(a.next());
                b.next();
            }
        }
    }
    all.extend(a.chain(b));
    all
}

/// Keeps the parts of these lines. Both are sorted. Linear in parts, logarithmic in lines.
pub(super) fn keep_lines(parts: &mut Vec<Part>, lines: &[u32]) {
    let mut rest = lines;
    parts.retain(|part| {
        rest = &rest[rest.partition_point(|&line| line < part.line)..];
        rest.first() == Some(&part.line)
    });
}

/// The parts that one upload says of a file, in the order of their coming.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    parts: Vec<Part>,
    /// Lines that were said anew, and how many parts were there before.
    renewed: Vec<(u32, u32)>,
}

impl Said {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn push(&mut self, part: Part) {
        debug_assert!(part.line > 0, "lines are 1-based");
        self.parts.push(part);
    }

    pub(super) fn clear(&mut self) {
        self.parts.clear();
        self.renewed.clear();
    }

    /// Drops the parts of a line that were said so far.
    #[inline]
    pub(super) fn renew(&mut self, line: u32) {
        if !self.parts.is_empty() {
            self.renewed.push((line, self.parts.len() as u32));
        }
    }

    /// The parts of these lines, sorted, each once; none are left. `lines` are sorted.
    pub(super) fn take(&mut self, lines: &[u32]) -> Vec<Part> {
        let mut parts = std::mem::take(&mut self.parts);
        if !self.renewed.is_empty() {
            let mut renewed = std::mem::take(&mut self.renewed);
            renewed.sort_unstable();
            let mut at = 0;
            parts.retain(|part| {
                let of_line = renewed.partition_point(|&(line, _)| line <= part.line);
                let last = of_line.checked_sub(1).map(|last| renewed[last]);
                let dropped = last.is_some_and(|(line, before)| line == part.line && at < before);
                at += 1;
                !dropped
            });
        }
        parts.sort_unstable();
        parts.dedup();
        keep_lines(&mut parts, lines);
        parts
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Coverage, FileBuilder, Kind, Part};

    fn part(line: u32, start: u32, hits: u64) -> Part {
        Part {
            line,
            start,
            end: Some(start + 3),
            coverage: Coverage::Hits(hits),
        }
    }

    #[test]
    fn parts_come_out_sorted_and_once_if_their_line_was_said() {
        let mut file = FileBuilder::new();
        file.hits(2, 1);
        for said in [part(9, 1, 0), part(2, 7, 1), part(2, 1, 0), part(2, 7, 1)] {
            file.part(said);
        }
        file.hits(1, 1);
        assert_eq!(file.finish().parts(), [part(2, 1, 0), part(2, 7, 1)]);
    }

    #[test]
    fn a_line_assigned_anew_drops_its_parts_so_far_and_an_appended_one_keeps_them() {
        let mut file = FileBuilder::new();
        for line in [1, 2] {
            file.part(part(line, 1, 0));
            file.append(line, Kind::Line, Coverage::Hits(0), None, None);
        }
        file.assign(1, Kind::Line, Coverage::Hits(1), None, None);
        file.append(2, Kind::Line, Coverage::Hits(1), None, None);
        file.part(part(1, 5, 1));
        assert_eq!(
            file.clone().finish().parts(),
            [part(1, 5, 1), part(2, 1, 0)]
        );
        assert_eq!(file.take().parts(), [part(1, 5, 1), part(2, 1, 0)]);
        file.hits(1, 1);
        assert!(file.take().parts().is_empty());
    }

    #[test]
    fn a_filtered_file_keeps_the_parts_of_its_lines() {
        let mut file = FileBuilder::new();
        for line in 1..4 {
            file.hits(line, 1);
            file.part(part(line, 1, 1));
        }
        let kept = file.finish().filter(|line| line != 2);
        assert_eq!(kept.parts(), [part(1, 1, 1), part(3, 1, 1)]);
    }
}
