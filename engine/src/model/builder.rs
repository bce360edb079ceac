//! Collects what one upload says of one file.

use std::ops::Range;

use super::file::same_session;
use super::part::{Part, Said};
use super::{ArmId, Branch, Complexity, Coverage, Evidence, FileCoverage, Kind};
use crate::simd::{self, Level, Plain, ROWS};

/// Late rows that are kept before they are merged, at least.
const MIN_LATE_ROWS: usize = 1 << 16;

/// Takes the lines of a file in any order; ascending plain lines are the fast path.
///
/// A line that was seen before either merges with what was said ([`append`](Self::append)) or
/// replaces it ([`assign`](Self::assign)). Lines are 1-based; line 0 is a bug of the caller.
#[derive(Clone, Debug, Default)]
pub struct FileBuilder {
    /// Rows that came in ascending order.
    sorted: FileCoverage,
    /// The last line of `sorted`.
    last: u32,
    /// The row of `sorted` behind the last that is not plain.
    plain_from: usize,
    /// Rows that came late, in the order of their coming, and whether each replaces.
    late: FileCoverage,
    replaces: Vec<bool>,
    parts: Said,
}

impl FileBuilder {
    /// An empty file.
    pub fn new() -> FileBuilder {
        FileBuilder::default()
    }

    /// A builder that goes on where a file ends.
    pub fn resume(file: FileCoverage) -> FileBuilder {
        let mut builder = FileBuilder::new();
        file.parts.iter().for_each(|&part| builder.part(part));
        builder.last = file.lines.last().copied().unwrap_or(0);
        builder.plain_from = file.len();
        builder.sorted = FileCoverage {
            parts: Vec::new(),
            ..file
        };
        builder
    }

    /// Appends the lines of a file, as [`FileCoverage::append`] does. Costs its lines alone, and a part
    /// of sorting them.
    pub fn append_file(&mut self, file: &FileCoverage) {
        file.rows()
            .for_each(|(line, evidence)| self.add(line, &evidence, false));
        file.parts.iter().for_each(|&part| self.part(part));
    }

    /// Whether nothing was said yet.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty() && self.late.is_empty()
    }

    /// Appends a plain line with a hit count.
    #[inline]
    pub fn hits(&mut self, line: u32, hits: u64) {
        debug_assert!(line > 0, "lines are 1-based");
        if line > self.last {
            self.last = line;
            self.sorted.push_plain(line, hits);
        } else {
            self.late_hits(line, hits);
        }
    }

    #[cold]
    fn late_hits(&mut self, line: u32, hits: u64) {
        self.late.push_plain(line, hits);
        self.replaces.push(false);
        self.fold_late();
    }

    /// Folds late rows when they are many, so that what is kept is as much as lines differ.
    fn fold_late(&mut self) {
        if self.late.len() > self.sorted.len().max(MIN_LATE_ROWS) {
            self.fold_late_now();
        }
    }

    fn fold_late_now(&mut self) {
        let late = std::mem::take(&mut self.late);
        let replaces = std::mem::take(&mut self.replaces);
        self.sorted = merge_late(&std::mem::take(&mut self.sorted), &late, &replaces);
        self.last = self.sorted.last_line().unwrap_or(0);
        self.plain_from = self.sorted.len();
    }

    /// Appends plain lines in a row that have one hit count.
    #[inline]
    pub fn run(&mut self, lines: Range<u32>, hits: u64) {
        if lines.start > self.last && !lines.is_empty() {
            self.last = lines.end - 1;
            self.sorted.push_plain_lines(lines, hits);
        } else {
            lines.for_each(|line| self.hits(line, hits));
        }
    }

    /// Appends plain lines with their hit counts, which are as many. Inlined always, so that it is compiled as
    /// what it is used in.
    #[inline(always)]
    pub fn plain(&mut self, lines: &[u32], hits: &[u64]) {
        debug_assert_eq!(lines.len(), hits.len());
        let ascends = lines
            .windows(2)
            .fold(true, |ascends, pair| ascends & (pair[0] < pair[1]));
        match (lines.first(), lines.last()) {
            (Some(&first), Some(&last)) if ascends && first > self.last => {
                self.last = last;
                self.sorted.push_plain_run(lines, hits);
            }
            _ => self.hits_of_each(lines, hits),
        }
    }

    /// Appends the first `rows` plain lines with their hit counts, which are as many: as [`plain`](Self::plain) does, faster
    /// where these are few.
    #[inline(always)]
    pub fn plain_rows(
        &mut self,
        lines: &[u64; ROWS],
        hits: &[u64; ROWS],
        rows: usize,
        level: impl Level,
    ) {
        let narrow = lines.map(|line| line as u32);
        if level.ascending(lines, self.last.into()) < rows {
            return self.hits_of_each(&narrow[..rows], &hits[..rows]);
        }
        if rows > 0 {
            self.last = narrow[rows - 1];
        }
        self.sorted.push_plain_rows(&narrow, hits, rows);
    }

    #[cold]
    fn hits_of_each(&mut self, lines: &[u32], hits: &[u64]) {
        for (&line, &hits) in lines.iter().zip(hits) {
            self.hits(line, hits);
        }
    }

    /// Appends lines with their hit counts and what they are, which are as many.
    pub fn counted(&mut self, lines: &[u32], hits: &[u64], kinds: &[Kind]) {
        debug_assert!(lines.len() == hits.len() && lines.len() == kinds.len());
        if self.last < lines.first().copied().unwrap_or(0) && lines.is_sorted_by(|a, b| a < b) {
            self.last = lines.last().copied().unwrap_or(0);
            self.sorted.push_counted(lines, hits, kinds);
            self.plain_from = self.sorted.len();
            return;
        }
        for ((&line, &hits), &kind) in lines.iter().zip(hits).zip(kinds) {
            self.append(line, kind, Coverage::Hits(hits), None, None);
        }
    }

    /// Like [`plain`](Self::plain), but for the lines at places that ascend: those do not count, whatever
    /// their hits are.
    pub fn plain_but(
        &mut self,
        lines: &[u32],
        hits: &[u64],
        uncounted: impl Iterator<Item = usize>,
    ) {
        let before = self.sorted.len();
        let mut uncounted = uncounted.peekable();
        if self.last < lines.first().copied().unwrap_or(0) && lines.is_sorted_by(|a, b| a < b) {
            self.plain(lines, hits);
            for place in uncounted {
                self.sorted.uncount(before + place);
                self.plain_from = self.sorted.len();
            }
            return;
        }
        for (place, (&line, &hits)) in lines.iter().zip(hits).enumerate() {
            match uncounted.next_if_eq(&place) {
                Some(_) => self.append(line, Kind::Line, Coverage::Null, None, None),
                None => self.hits(line, hits),
            }
        }
    }

    /// Adds a line, merging it with what the same upload said of it before: the first kind that is
    /// not [`Kind::Line`] stays, complexity is lost. `missed` must be sorted.
    pub fn append(
        &mut self,
        line: u32,
        kind: Kind,
        coverage: Coverage,
        missed: Option<&[ArmId]>,
        complexity: Option<Complexity>,
    ) {
        self.add(
            line,
            &Evidence::of_session(kind, coverage, missed, complexity),
            false,
        );
    }

    /// Adds columns of a line. They are dropped if the line is [assigned](Self::assign) later, or is
    /// never said.
    pub fn part(&mut self, part: Part) {
        self.parts.push(part);
    }

    /// Adds a line in place of what was said of it and its columns before. `missed` must be sorted.
    #[inline]
    pub fn assign(
        &mut self,
        line: u32,
        kind: Kind,
        coverage: Coverage,
        missed: Option<&[ArmId]>,
        complexity: Option<Complexity>,
    ) {
        self.parts.renew(line);
        self.add(
            line,
            &Evidence::of_session(kind, coverage, missed, complexity),
            true,
        );
    }

    /// Adds branches, which ascend by line, in place of what was said of their lines and their columns
    /// before. `missed` are the ids of the arms that each missed, sorted, one branch after the other.
    pub fn assign_branches(&mut self, branches: &[Branch], missed: &[ArmId]) {
        let placed = simd::widely(PlaceBranches(self, branches));
        let (placed, rest) = branches.split_at(placed);
        let ids = placed.iter().map(|branch| branch.missed() as usize).sum();
        let (of_placed, mut missed) = missed.split_at(ids);
        self.sorted.missed.extend_from_slice(of_placed);
        for branch in rest {
            let (ids, others) = missed.split_at(branch.missed() as usize);
            let named = (!ids.is_empty()).then_some(ids);
            self.assign(branch.line, branch.kind, branch.coverage(), named, None);
            missed = others;
        }
    }

    #[inline]
    fn add(&mut self, line: u32, evidence: &Evidence<'_>, replaces: bool) {
        debug_assert!(line > 0, "lines are 1-based");
        if line > self.last {
            self.last = line;
            self.sorted.push(line, evidence);
            self.plain_from = self.sorted.len();
        } else if replaces && self.late.is_empty() && self.find_plain(line) {
            self.sorted.replace_plain(self.plain_from, evidence);
            self.plain_from += 1;
        } else {
            self.late.push_unordered(line, evidence);
            self.replaces.push(replaces);
            self.fold_late();
        }
    }

    /// Whether a line stands among the plain rows at the end. Moves on to it, so that lines that are
    /// asked for in ascending order are found in linear time.
    #[inline]
    fn find_plain(&mut self, line: u32) -> bool {
        let rest = &self.sorted.lines[self.plain_from..];
        if rest.first().is_none_or(|&first| first > line) {
            return false;
        }
        self.plain_from += count_before(rest, line);
        self.sorted.lines.get(self.plain_from) == Some(&line)
    }

    /// The file, in no more memory than it needs; the builder is empty then, and keeps its own memory
    /// for the next. As costly as [`finish`](Self::finish) and a copy.
    pub fn take(&mut self) -> FileCoverage {
        if !self.late.is_empty() {
            return std::mem::take(self).finish();
        }
        let mut file = self.sorted.clone();
        if !self.parts.is_empty() {
            file.parts = self.parts.take(&file.lines);
        }
        self.clear();
        file
    }

    /// Forgets what was said.
    pub fn clear(&mut self) {
        self.sorted.clear();
        self.late.clear();
        self.replaces.clear();
        self.parts.clear();
        (self.last, self.plain_from) = (0, 0);
    }

    /// The file. Linear when lines came in order; late lines are sorted.
    pub fn finish(mut self) -> FileCoverage {
        let mut parts = std::mem::take(&mut self.parts);
        let mut file = self.finish_rows();
        if !parts.is_empty() {
            file.parts = parts.take(&file.lines);
        }
        file
    }

    fn finish_rows(self) -> FileCoverage {
        if self.late.is_empty() {
            return self.sorted;
        }
        merge_late(&self.sorted, &self.late, &self.replaces)
    }
}

/// Places the first branches, as many as stand among the plain rows at the end; gives how many. The ids of their missed
/// arms are not pushed.
struct PlaceBranches<'a>(&'a mut FileBuilder, &'a [Branch]);

impl simd::Work for PlaceBranches<'_> {
    type Output = usize;

    #[inline(always)]
    fn run<L: Level>(self, level: L) -> usize {
        /// Lines that are compared at once, and vectors of them.
        const BLOCK: usize = VECTORS * 16;
        const VECTORS: usize = 4;
        let PlaceBranches(file, branches) = self;
        if !file.late.is_empty() || !file.parts.is_empty() {
            return 0;
        }
        let sorted = &mut file.sorted;
        let rows = sorted.len();
        sorted.arms.reserve(branches.len());
        sorted.lines.extend_from_slice(&[u32::MAX; BLOCK]); // so that the last is in a block, too
        let (mut from, mut placed) = (file.plain_from, 0);
        for branch in branches {
            while sorted.lines[from + BLOCK - 1] < branch.line {
                from += BLOCK;
            }
            // Where one stands does not depend on where the one before does: so the processor looks for several.
            let vectors = sorted.lines[from..].as_chunks().0;
            let mut row = from;
            for lines in &vectors[..VECTORS] {
                row += level.count_less(lines, branch.line);
            }
            if row >= rows || sorted.lines[row] != branch.line {
                break;
            }
            sorted.replace_by_branch(row, branch);
            file.plain_from = row + 1;
            placed += 1;
        }
        sorted.lines.truncate(rows);
        placed
    }
}

/// How many of ascending lines stand before one.
#[inline]
fn count_before(lines: &[u32], line: u32) -> usize {
    // The next line that is asked for is some rows on: many are compared at once, without a branch for each.
    let (many, rest) = lines.as_chunks();
    let mut before = 0;
    for lines in many {
        let found = Plain.count_less(lines, line);
        before += found;
        if found < lines.len() {
            return before;
        }
    }
    before + rest.iter().take_while(|&&before| before < line).count()
}

/// Merges rows that came late, in the order of their coming, into rows that ascend.
fn merge_late(sorted: &FileCoverage, late: &FileCoverage, replaces: &[bool]) -> FileCoverage {
    let late: Vec<(u32, Evidence<'_>)> = late.rows().collect();
    let mut order: Vec<u32> = (0..late.len() as u32).collect();
    order.sort_by_key(|&i| late[i as usize].0); // stable: the order of coming decides
    let mut merged = FileCoverage::default();
    let mut sorted = sorted.rows().peekable();
    let mut next = 0;
    while next < order.len() {
        let line = late[order[next] as usize].0;
        while let Some((before, evidence)) = sorted.next_if(|(sorted, _)| *sorted < line) {
            merged.push(before, &evidence);
        }
        let first = sorted
            .next_if(|(sorted, _)| *sorted == line)
            .map(|(_, evidence)| evidence);
        let end = next + order[next..].partition_point(|&i| late[i as usize].0 == line);
        let said = order[next..end]
            .iter()
            .map(|&i| (late[i as usize].1, replaces[i as usize]));
        // Most lines that come late come twice: under their method and under their class.
        match (first, said.len(), said.clone().next()) {
            (Some(first), 1, Some((again, false))) => {
                merged.push_same_session(line, &first, &again);
            }
            _ => push_folded(&mut merged, line, first, said),
        }
        next = end;
    }
    for (line, evidence) in sorted {
        merged.push(line, &evidence);
    }
    merged
}

/// Pushes one line of which several things were said, in order.
fn push_folded<'a>(
    merged: &mut FileCoverage,
    line: u32,
    first: Option<Evidence<'a>>,
    said: impl Iterator<Item = (Evidence<'a>, bool)>,
) {
    let mut said = said.peekable();
    let mut pending = first;
    // Mostly, all that is said are plain hits.
    while let Some(hits) = pending.map_or(Some(0), plain_hits)
        && let Some((evidence, replaces)) = said.peek()
        && let Some(more) = plain_hits(*evidence)
    {
        let hits = if *replaces { more } else { hits.max(more) };
        pending = Some(Evidence::of_session(
            Kind::Line,
            Coverage::Hits(hits),
            None,
            None,
        ));
        said.next();
    }
    if said.peek().is_none() {
        return pending
            .into_iter()
            .for_each(|evidence| merged.push(line, &evidence));
    }
    let mut folded = FileCoverage::default();
    for (evidence, replaces) in said {
        let so_far = folded.rows().next().map(|(_, evidence)| evidence);
        let is_folded = so_far.is_some();
        let mut both = Vec::new();
        let mut step = FileCoverage::default();
        match so_far.or(pending.take()) {
            Some(before) if !replaces => {
                let now = same_session(&before, &evidence, &mut both);
                if is_folded && has_same_ids(&before, &now) {
                    let now = now.without_ids();
                    folded.rewrite_only_row(&now);
                    continue; // Ids may be many: they are not copied for every record.
                }
                step.push(line, &now);
            }
            _ => step.push(line, &evidence),
        }
        folded = step;
    }
    if let Some((line, evidence)) = folded.rows().next() {
        merged.push(line, &evidence);
    }
}

/// Whether both are branches with the very same list of missed arms.
fn has_same_ids(a: &Evidence<'_>, b: &Evidence<'_>) -> bool {
    fn ids<'a>(evidence: &Evidence<'a>) -> Option<&'a [ArmId]> {
        evidence.arms?.missed.ids()
    }
    matches!((ids(a), ids(b)), (Some(a), Some(b)) if std::ptr::eq(a, b))
}

/// The hits of a plain line.
fn plain_hits(evidence: Evidence<'_>) -> Option<u64> {
    let hits = evidence.hits?;
    let is_plain = evidence == Evidence::of_session(Kind::Line, Coverage::Hits(hits), None, None);
    is_plain.then_some(hits)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn shown(file: &FileCoverage) -> Vec<(u32, Kind, Coverage)> {
        file.rows()
            .map(|(line, row)| (line, row.kind, row.coverage()))
            .collect()
    }

    #[test]
    fn lines_come_out_sorted_and_repeated_lines_keep_the_highest_count() {
        let mut file = FileBuilder::new();
        for (line, hits) in [(5, 1), (2, 0), (5, 7), (9, 0), (2, 0)] {
            file.hits(line, hits);
        }
        let expected = [
            (2, Coverage::Hits(0)),
            (5, Coverage::Hits(7)),
            (9, Coverage::Hits(0)),
        ];
        assert_eq!(
            shown(&file.finish()),
            expected.map(|(line, hits)| (line, Kind::Line, hits))
        );
    }

    #[test]
    fn lines_that_do_not_count_stand_among_plain_ones() {
        let null = |line| (line, Kind::Line, Coverage::Null);
        let hits = |line, hits| (line, Kind::Line, Coverage::Hits(hits));
        for lines in [[1, 2, 3], [3, 2, 1]] {
            let mut file = FileBuilder::new();
            file.plain_but(&lines, &[0, 7, 2], [0, 2].into_iter());
            file.hits(9, 5);
            let file = file.finish();
            assert_eq!(shown(&file), [null(1), hits(2, 7), null(3), hits(9, 5)]);
            assert_eq!((file.totals().lines, file.totals().hits), (2, 2));
        }
    }

    #[test]
    fn a_taken_file_leaves_nothing_behind() {
        let mut file = FileBuilder::new();
        let half = Coverage::Arms { taken: 1, total: 2 };
        file.append(7, Kind::Branch, half, Some(&[ArmId::pair(0, 1)]), None);
        assert_eq!(shown(&file.take()), [(7, Kind::Branch, half)]);
        for line in [3, 2] {
            file.hits(line, 1);
        }
        let expected = [2, 3].map(|line| (line, Kind::Line, Coverage::Hits(1)));
        assert_eq!(shown(&file.take()), expected);
        assert!(file.is_empty());
    }

    #[test]
    fn a_line_said_many_times_is_not_kept_as_often() {
        let mut file = FileBuilder::new();
        for hits in 0..4 * MIN_LATE_ROWS as u64 {
            file.hits(7, hits);
            assert!(file.late.len() <= MIN_LATE_ROWS);
        }
        let expected = Coverage::Hits(4 * MIN_LATE_ROWS as u64 - 1);
        assert_eq!(shown(&file.finish()), [(7, Kind::Line, expected)]);
    }

    fn coverage() -> impl Strategy<Value = Coverage> {
        prop_oneof![
            Just(Coverage::Null),
            Just(Coverage::Ignored),
            Just(Coverage::Partial),
            (0..3_u64).prop_map(Coverage::Hits),
            (0..3_u32, 0..3_u32).prop_map(|(taken, total)| Coverage::Arms { taken, total }),
        ]
    }

    proptest! {
        #[test]
        fn late_rows_may_be_folded_at_any_time(
            said in vec((1..4_u32, 0..3_u8, coverage(), option::of(0..3_u32), any::<[bool; 3]>()), 0..12),
        ) {
            let (mut folded, mut whole) = (FileBuilder::new(), FileBuilder::new());
            for (line, kind, coverage, arm, [replaces, is_complex, folds]) in said {
                let kind = [Kind::Line, Kind::Method, Kind::Branch][usize::from(kind)];
                let missed = arm.map(|arm| vec![ArmId::pair(0, 0), ArmId::pair(0, arm + 1)]);
                let complexity = is_complex.then_some(Complexity { covered: 1, total: None });
                for file in [&mut folded, &mut whole] {
                    let add = match replaces {
                        true => FileBuilder::assign,
                        false => FileBuilder::append,
                    };
                    add(file, line, kind, coverage, missed.as_deref(), complexity);
                }
                if folds {
                    folded.fold_late_now();
                }
            }
            prop_assert_eq!(folded.finish(), whole.finish());
        }
    }

    proptest! {
        #[test]
        fn branches_assigned_together_are_as_those_assigned_one_by_one(
            plain in prop_oneof![vec(1..60_u32, 0..50), ascending(1..300, 0..250)],
            others in vec((1..60_u32, coverage(), any::<bool>()), 0..2),
            branches in proptest::collection::btree_map(1..310_u32, (any::<bool>(), 0..3_u32, 0..3_u32), 0..40),
            has_parts in any::<bool>(),
        ) {
            let mut one_by_one = FileBuilder::new();
            plain.iter().for_each(|&line| one_by_one.hits(line, u64::from(line) % 3));
            for (line, coverage, replaces) in others {
                one_by_one.add(line, &Evidence::of_session(Kind::Line, coverage, None, None), replaces);
                if has_parts {
                    one_by_one.part(Part { line, start: 1, end: None, coverage });
                }
            }
            let mut together = one_by_one.clone();
            let branches = branches.into_iter().filter(|&(_, (_, taken, missed))| taken + missed > 0);
            let branches: Vec<Branch> = branches
                .map(|(line, (is_method, taken, missed))| Branch {
                    line,
                    kind: if is_method { Kind::Method } else { Kind::Branch },
                    taken,
                    total: taken + missed,
                })
                .collect();
            let mut missed = Vec::new();
            for branch in &branches {
                let ids: Vec<ArmId> = (0..branch.missed()).map(|arm| ArmId::pair(branch.line, arm)).collect();
                let named = (!ids.is_empty()).then_some(&ids[..]);
                one_by_one.assign(branch.line, branch.kind, branch.coverage(), named, None);
                missed.extend(ids);
            }
            together.assign_branches(&branches, &missed);
            let (one_by_one, together) = (one_by_one.finish(), together.finish());
            prop_assert_eq!(one_by_one.totals(), together.totals());
            prop_assert_eq!(one_by_one, together);
        }
    }

    /// Lines that ascend.
    fn ascending(lines: Range<u32>, count: Range<usize>) -> impl Strategy<Value = Vec<u32>> {
        let lines = proptest::collection::btree_set(lines, count);
        lines.prop_map(|lines| lines.into_iter().collect())
    }

    proptest! {
        #[test]
        fn rows_added_together_are_as_those_added_one_by_one(
            runs in vec((prop_oneof![vec(1..99_u32, 0..ROWS + 1), ascending(1..99, 0..ROWS + 1)], any::<[u64; ROWS]>(), vec(0..3_u8, ROWS)), 0..9),
            has_kinds: bool,
        ) {
            let (mut one_by_one, mut together) = (FileBuilder::new(), FileBuilder::new());
            for (at, (lines, hits, kinds)) in (0..).zip(runs) {
                let lines: Vec<u32> = lines.into_iter().map(|line| 50 * at + line).collect();
                let kinds = kinds.into_iter().map(|kind| [Kind::Line, Kind::Method, Kind::Branch][usize::from(kind)]);
                let kinds: Vec<Kind> = kinds.map(|kind| if has_kinds { kind } else { Kind::Line }).collect();
                for ((&line, &hits), &kind) in lines.iter().zip(&hits).zip(&kinds) {
                    one_by_one.append(line, kind, Coverage::Hits(hits), None, None);
                }
                if has_kinds {
                    together.counted(&lines, &hits[..lines.len()], &kinds[..lines.len()]);
                } else {
                    let any_behind = std::array::from_fn(|row| lines.get(row).map_or(hits[row], |&line| line.into()));
                    together.plain_rows(&any_behind, &hits, lines.len(), Plain);
                }
            }
            prop_assert_eq!(one_by_one.finish(), together.finish());
        }
    }

    #[test]
    fn an_assigned_branch_replaces_the_plain_line() {
        let mut file = FileBuilder::new();
        file.hits(1, 4);
        file.hits(2, 4);
        let half = Coverage::Arms { taken: 1, total: 2 };
        file.assign(1, Kind::Branch, half, Some(&[ArmId::pair(0, 1)]), None);
        let expected = [(1, Kind::Branch, half), (2, Kind::Line, Coverage::Hits(4))];
        assert_eq!(shown(&file.finish()), expected);
    }

    #[test]
    fn a_repeated_line_loses_its_complexity_and_keeps_its_first_kind() {
        let mut file = FileBuilder::new();
        let complexity = Some(Complexity {
            covered: 1,
            total: Some(2),
        });
        file.append(1, Kind::Method, Coverage::Hits(1), None, complexity);
        file.append(1, Kind::Branch, Coverage::Hits(3), None, complexity);
        let file = file.finish();
        assert_eq!(shown(&file), [(1, Kind::Method, Coverage::Hits(3))]);
        assert_eq!(file.totals().complexity, 0);
    }
}
