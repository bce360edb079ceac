//! The evidence of one file, in columns.

use std::ops::Range;

use super::line::{either_or, intersect};
use super::part::{self, Part};
use super::{ArmId, Arms, Complexity, Coverage, Evidence, Kind, Missed, Totals};
use crate::simd::{self, Level};

pub(crate) const KIND: u8 = 0b11;
pub(crate) const HITS: u8 = 1 << 2;
pub(crate) const IGNORED: u8 = 1 << 3;
pub(crate) const PARTIAL: u8 = 1 << 4;
pub(crate) const ARMS: u8 = 1 << 5;
pub(crate) const COMPLEXITY: u8 = 1 << 6;

/// What few rows have, in columns of their own.
const SPARSE: u8 = ARMS | COMPLEXITY;

/// The mark of a plain line with a hit count and nothing else: by far the most.
pub(crate) const PLAIN: u8 = HITS;

/// The branch of one line that has arms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArmRow {
    /// The most arms that one session took.
    pub taken: u32,
    /// The most arms that one session knows.
    pub total: u32,
    /// Ids in the column of missed arms that are this line's; `None` when unknown.
    pub missed: Option<u32>,
    /// Whether sessions that differ were joined.
    pub mixed: bool,
    /// If no session names arms that it missed: the most arms of one that took all of its arms, or 0.
    pub unnamed: Option<u32>,
}

/// A branch of one session that names each arm that it missed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Branch {
    /// The line, 1-based.
    pub line: u32,
    /// Method, where a function starts here, or branch.
    pub kind: Kind,
    /// Arms that were taken, at most all.
    pub taken: u32,
    /// All arms.
    pub total: u32,
}

impl Branch {
    /// Arms that were missed.
    pub fn missed(&self) -> u32 {
        self.total - self.taken
    }

    /// What its line is.
    pub(super) fn coverage(&self) -> Coverage {
        let (taken, total) = (self.taken, self.total);
        Coverage::Arms { taken, total }
    }

    fn row(&self) -> ArmRow {
        let missed = self.missed();
        ArmRow {
            taken: self.taken,
            total: self.total,
            missed: Some(missed),
            mixed: false,
            unnamed: Arms::unnamed(self.taken, self.total, Some(missed as usize)),
        }
    }
}

/// The evidence of one file: a row per line, sorted by line, each line once.
///
/// Columns of equal length hold what every row has; branches and complexity, which few rows have,
/// stand in columns of their own, in the order of their rows. Parts of lines stand beside the rows:
/// each belongs to a line that has one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FileCoverage {
    pub(crate) lines: Vec<u32>,
    pub(crate) hits: Vec<u64>,
    pub(crate) marks: Vec<u8>,
    pub(crate) arms: Vec<ArmRow>,
    pub(crate) missed: Vec<ArmId>,
    pub(crate) complexity: Vec<Complexity>,
    pub(crate) parts: Vec<Part>,
}

impl FileCoverage {
    /// Plain lines, which ascend, with their hit counts, which are as many.
    pub fn of_plain(lines: Vec<u32>, hits: Vec<u64>) -> FileCoverage {
        debug_assert_eq!(lines.len(), hits.len());
        debug_assert!(lines.is_sorted_by(|a, b| a < b), "rows ascend");
        FileCoverage {
            marks: vec![PLAIN; lines.len()],
            lines,
            hits,
            ..FileCoverage::default()
        }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The line of the last row.
    pub fn last_line(&self) -> Option<u32> {
        self.lines.last().copied()
    }

    /// The rows, ascending: (1-based line, evidence).
    pub fn rows(&self) -> Rows<'_> {
        Rows {
            file: self,
            row: 0,
            arm: 0,
            missed: 0,
            complexity: 0,
        }
    }

    /// What is known of columns of lines: sorted by line, start, end and coverage, each part once.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Adds a row behind the last. The line must be greater than the last row's.
    pub fn push(&mut self, line: u32, evidence: &Evidence<'_>) {
        debug_assert!(
            self.lines.last().is_none_or(|&last| last < line),
            "rows ascend"
        );
        self.push_unordered(line, evidence);
    }

    pub(super) fn push_unordered(&mut self, line: u32, evidence: &Evidence<'_>) {
        let marks = self.push_sparse(evidence);
        self.lines.push(line);
        self.hits.push(evidence.hits.unwrap_or(0));
        self.marks.push(marks);
    }

    /// Replaces a plain row behind which all rows are plain.
    #[inline]
    pub(super) fn replace_plain(&mut self, row: usize, evidence: &Evidence<'_>) {
        debug_assert_eq!(self.marks[row], PLAIN);
        self.marks[row] = self.push_sparse(evidence);
        self.hits[row] = evidence.hits.unwrap_or(0);
    }

    /// Adds what few rows have behind the last row that has it; gives the marks of the row.
    #[inline]
    fn push_sparse(&mut self, evidence: &Evidence<'_>) -> u8 {
        let mut marks = evidence.kind as u8;
        if evidence.hits.is_some() {
            marks |= HITS;
        }
        if evidence.ignored {
            marks |= IGNORED;
        }
        if evidence.partial {
            marks |= PARTIAL;
        }
        if let Some(arms) = evidence.arms {
            marks |= ARMS;
            self.push_arms(arms);
        }
        if let Some(complexity) = evidence.complexity {
            marks |= COMPLEXITY;
            self.complexity.push(complexity);
        }
        marks
    }

    #[inline]
    pub(super) fn push_plain(&mut self, line: u32, hits: u64) {
        self.lines.push(line);
        self.hits.push(hits);
        self.marks.push(PLAIN);
    }

    #[inline]
    pub(super) fn push_plain_lines(&mut self, lines: Range<u32>, hits: u64) {
        const SHORT: usize = 16;
        if lines.len() <= SHORT && lines.start < u32::MAX - SHORT as u32 {
            let column: [u32; SHORT] = std::array::from_fn(|at| lines.start + at as u32);
            return self.push_plain_rows(&column, &[hits; SHORT], lines.len());
        }
        self.lines.extend(lines);
        self.hits.resize(self.lines.len(), hits);
        self.marks.resize(self.lines.len(), PLAIN);
    }

    /// Adds the first of plain rows.
    #[inline(always)]
    pub(super) fn push_plain_rows<const N: usize>(
        &mut self,
        lines: &[u32; N],
        hits: &[u64; N],
        rows: usize,
    ) {
        // As many rows are written at once, always, and those too many taken back.
        let rows = self.len() + rows;
        self.lines.extend_from_slice(lines);
        self.hits.extend_from_slice(hits);
        self.marks.extend_from_slice(&[PLAIN; N]);
        self.lines.truncate(rows);
        self.hits.truncate(rows);
        self.marks.truncate(rows);
    }

    pub(crate) fn clear(&mut self) {
        self.lines.clear();
        self.hits.clear();
        self.marks.clear();
        self.arms.clear();
        self.missed.clear();
        self.complexity.clear();
        self.parts.clear();
    }

    #[inline(always)]
    pub(super) fn push_plain_run(&mut self, lines: &[u32], hits: &[u64]) {
        self.lines.extend_from_slice(lines);
        self.hits.extend_from_slice(hits);
        self.marks.resize(self.lines.len(), PLAIN);
    }

    /// Adds rows with hits and nothing else, of these kinds.
    pub(super) fn push_counted(&mut self, lines: &[u32], hits: &[u64], kinds: &[Kind]) {
        self.lines.extend_from_slice(lines);
        self.hits.extend_from_slice(hits);
        self.marks
            .extend(kinds.iter().map(|&kind| HITS | kind as u8));
    }

    /// Makes a plain row one that does not count.
    #[inline]
    pub(super) fn uncount(&mut self, row: usize) {
        debug_assert_eq!(self.marks[row], PLAIN);
        self.marks[row] = Kind::Line as u8;
        self.hits[row] = 0;
    }

    /// Replaces a plain row behind which all rows are plain by a branch; the ids of its missed arms are
    /// pushed apart.
    #[inline(always)]
    pub(super) fn replace_by_branch(&mut self, row: usize, branch: &Branch) {
        debug_assert_eq!(self.marks[row], PLAIN);
        self.marks[row] = ARMS | branch.kind as u8;
        self.hits[row] = 0;
        self.arms.push(branch.row());
    }

    #[inline]
    fn push_arms(&mut self, arms: Arms<'_>) {
        let ids = arms.missed.ids();
        self.missed.extend_from_slice(ids.unwrap_or(&[]));
        let missed = ids.map(|ids| ids.len() as u32);
        self.arms.push(ArmRow {
            taken: arms.taken,
            total: arms.total,
            missed,
            mixed: arms.mixed,
            unnamed: arms.unnamed,
        });
    }

    /// Counts the file; `files` and `sessions` stay 0. A few passes over columns where rows are plain, branches of one
    /// session, or do not count, else one over the plain rows and one over the others.
    pub fn totals(&self) -> Totals {
        if let Some(totals) = simd::widely(CountColumns(self)) {
            return totals;
        }
        let mut totals = simd::widely(CountPlain(self));
        self.count_others(&mut totals);
        for complexity in &self.complexity {
            totals.complexity += u64::from(complexity.covered);
            totals.complexity_total += u64::from(complexity.total.unwrap_or(0));
        }
        totals
    }

    /// Counts the rows that are not plain; looks for them by eight at once.
    fn count_others(&self, totals: &mut Totals) {
        const ALL_PLAIN: u64 = u64::from_le_bytes([PLAIN; 8]);
        let mut others = self.rows();
        let mut count = |row: usize| {
            let (kind, coverage) = others.shown(self.marks[row], self.hits[row]);
            totals.add(kind, coverage);
        };
        let (words, rest) = self.marks.as_chunks();
        for (at, word) in words.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            // Bare rows do not count.
            let mut odd = nonzero_bytes(word ^ ALL_PLAIN) & nonzero_bytes(word);
            while odd != 0 {
                count(8 * at + (odd.trailing_zeros() / 8) as usize);
                odd &= odd - 1;
            }
        }
        let first = self.len() - rest.len();
        (first..self.len())
            .filter(|&row| self.marks[row] != PLAIN)
            .for_each(count);
    }

    /// Joins two uploads' evidence of a file. Commutative, associative, idempotent.
    ///
    /// Linear in rows; a pass of column maxima where both know the same lines.
    pub fn join(&self, other: &FileCoverage) -> FileCoverage {
        let mut joined = self.clone();
        joined.join_in(other);
        joined
    }

    /// Joins another upload's evidence into this, as [`join`](Self::join) does. Where both know the same lines, no memory is
    /// needed but for arms.
    pub fn join_in(&mut self, other: &FileCoverage) {
        let parts = match other.parts.is_empty() {
            true => std::mem::take(&mut self.parts),
            false => part::union(&self.parts, &other.parts),
        };
        match self.lines == other.lines {
            true => self.join_same_lines(other),
            false => *self = self.join_by_line(other),
        }
        self.parts = parts;
    }

    fn join_same_lines(&mut self, other: &FileCoverage) {
        let is_sparse = |file: &FileCoverage| !file.arms.is_empty() || !file.complexity.is_empty();
        if is_sparse(self) || is_sparse(other) {
            let marks = self.marks.iter().zip(&other.marks);
            let have_same = marks.fold(true, |same, (x, y)| same & ((x ^ y) & SPARSE == 0));
            match have_same && self.complexity.is_empty() {
                true => self.join_arms(other),
                false => self.join_sparse(other),
            }
        }
        simd::widely(JoinColumns(self, other));
    }

    /// Joins the arms of files whose same rows have some, as [`Arms::join`] does: half of the time of joining a report
    /// with branches went into that.
    fn join_arms(&mut self, other: &FileCoverage) {
        let mut missed = Vec::with_capacity(self.missed.len().max(other.missed.len()));
        let (mut of_self, mut of_other) = (&self.missed[..], &other.missed[..]);
        for (row, with) in self.arms.iter_mut().zip(&other.arms) {
            let (a, b) = (take_ids(&mut of_self, row), take_ids(&mut of_other, with));
            let said = |row: &ArmRow| (row.taken, row.total, row.missed, row.unnamed);
            let same = said(row) == said(with) && a == b;
            let before = missed.len();
            match (row.missed, with.missed) {
                (Some(_), Some(_)) if !same => intersect(a, b, &mut missed),
                (Some(_), _) => missed.extend_from_slice(a),
                (None, _) => missed.extend_from_slice(b),
            }
            let known = row.missed.or(with.missed);
            row.missed = known.map(|_| (missed.len() - before) as u32);
            row.mixed |= with.mixed | !same;
            row.unnamed = row.unnamed.zip(with.unnamed).map(|(a, b)| a.max(b));
            row.taken = row.taken.max(with.taken);
            row.total = row.total.max(with.total);
        }
        self.missed = missed;
    }

    /// Joins what few rows have, of files with the same lines.
    fn join_sparse(&mut self, other: &FileCoverage) {
        let mut joined = FileCoverage {
            arms: Vec::with_capacity(self.arms.len().max(other.arms.len())),
            missed: Vec::with_capacity(self.missed.len().min(other.missed.len())),
            ..FileCoverage::default()
        };
        let (mut a, mut b) = (self.rows(), other.rows());
        let mut scratch = Vec::new();
        let mut join = |x: u8, y: u8| {
            let (left, right) = (a.arms_of(x), b.arms_of(y));
            if let Some(arms) = either_or(left, right, |a, b| a.join(b, &mut scratch)) {
                joined.push_arms(arms);
            }
            let (left, right) = (a.complexity_of(x), b.complexity_of(y));
            let complexity = either_or(left, right, Complexity::join);
            joined.complexity.extend(complexity);
        };
        // Rows without are passed by eight at once.
        const SPARSES: u64 = u64::from_le_bytes([SPARSE; 8]);
        let (words, rest) = self.marks.as_chunks::<8>();
        let (others, other_rest) = other.marks.as_chunks::<8>();
        for (xs, ys) in words.iter().zip(others) {
            if (u64::from_le_bytes(*xs) | u64::from_le_bytes(*ys)) & SPARSES != 0 {
                xs.iter().zip(ys).for_each(|(&x, &y)| join(x, y));
            }
        }
        rest.iter().zip(other_rest).for_each(|(&x, &y)| join(x, y));
        self.arms = joined.arms;
        self.missed = joined.missed;
        self.complexity = joined.complexity;
    }

    fn join_by_line(&self, other: &FileCoverage) -> FileCoverage {
        let mut joined = FileCoverage::with_capacity(self.len().max(other.len()));
        let (mut a, mut b) = (self.rows(), other.rows());
        let mut scratch = Vec::new();
        loop {
            match (a.line(), b.line()) {
                (None, None) => return joined,
                (Some(x), Some(y)) if x == y => {
                    let (left, right) = (a.next_row(), b.next_row());
                    joined.push(x, &left.join(&right, &mut scratch));
                }
                (Some(x), y) if y.is_none_or(|y| x < y) => joined.push(x, &a.next_row()),
                (_, Some(y)) => joined.push(y, &b.next_row()),
                (Some(_), None) => unreachable!("covered by the guard above"),
            }
        }
    }

    /// Merges a later report of the same upload into this one, as Codecov merges the records of one
    /// session: kinds and arms in all are the first's, a repeated line loses its complexity.
    /// Parts are both's.
    pub fn append(&self, later: &FileCoverage) -> FileCoverage {
        let mut merged = FileCoverage::with_capacity(self.len().max(later.len()));
        merged.parts = part::union(&self.parts, &later.parts);
        let (mut a, mut b) = (self.rows(), later.rows());
        loop {
            match (a.line(), b.line()) {
                (None, None) => return merged,
                (Some(x), Some(y)) if x == y => {
                    let (left, right) = (a.next_row(), b.next_row());
                    merged.push_same_session(x, &left, &right);
                }
                (Some(x), y) if y.is_none_or(|y| x < y) => merged.push(x, &a.next_row()),
                (_, Some(y)) => merged.push(y, &b.next_row()),
                (Some(_), None) => unreachable!("covered by the guard above"),
            }
        }
    }

    pub(super) fn push_same_session(&mut self, line: u32, a: &Evidence<'_>, b: &Evidence<'_>) {
        let (first, second) = (a.coverage(), b.coverage());
        if let (Coverage::Hits(x), Coverage::Hits(y), Kind::Line, Kind::Line) =
            (first, second, a.kind, b.kind)
        {
            return self.push_plain(line, x.max(y));
        }
        self.push(line, &same_session(a, b, &mut Vec::new()));
    }

    /// Rewrites the only row, but for the ids of its missed arms. Both have arms.
    pub(super) fn rewrite_only_row(&mut self, evidence: &Evidence<'static>) {
        debug_assert_eq!(self.len(), 1);
        let missed = self.arms[0].missed;
        self.arms.clear();
        self.complexity.clear();
        self.marks[0] = self.push_sparse(evidence);
        self.hits[0] = evidence.hits.unwrap_or(0);
        self.arms[0].missed = missed;
    }

    pub(super) fn with_capacity(rows: usize) -> FileCoverage {
        FileCoverage {
            lines: Vec::with_capacity(rows),
            hits: Vec::with_capacity(rows),
            marks: Vec::with_capacity(rows),
            ..FileCoverage::default()
        }
    }

    /// The rows whose line `keep` accepts, and their parts.
    pub fn filter(&self, mut keep: impl FnMut(u32) -> bool) -> FileCoverage {
        let mut kept = FileCoverage::with_capacity(self.len());
        for (line, evidence) in self.rows().filter(|(line, _)| keep(*line)) {
            kept.push(line, &evidence);
        }
        kept.parts = self.parts.clone();
        part::keep_lines(&mut kept.parts, &kept.lines);
        kept
    }
}

/// Joins the columns that every row has, of files with the same lines, into the first.
struct JoinColumns<'a>(&'a mut FileCoverage, &'a FileCoverage);

impl simd::Work for JoinColumns<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Level>(self, _: L) {
        let JoinColumns(into, other) = self;
        for (into, &hits) in into.hits.iter_mut().zip(&other.hits) {
            *into = hits.max(*into);
        }
        for (into, &marks) in into.marks.iter_mut().zip(&other.marks) {
            *into = join_marks(*into, marks);
        }
    }
}

/// Counts a file all of whose rows are plain, have arms of one session and nothing else, or are bare lines, which do not
/// count; `None` for another.
struct CountColumns<'a>(&'a FileCoverage);

impl simd::Work for CountColumns<'_> {
    type Output = Option<Totals>;

    #[inline(always)]
    fn run<L: Level>(self, level: L) -> Option<Totals> {
        let FileCoverage {
            hits, marks, arms, ..
        } = self.0;
        let method_and_branch = [Kind::Method, Kind::Branch].map(|kind| ARMS | kind as u8);
        let [methods, branches] = count_equal(marks, method_and_branch, level);
        let [plain, bare] = count_equal(marks, [PLAIN, Kind::Line as u8], level);
        let lines = marks.len() as u64 - bare;
        let is_mixed = arms.iter().fold(false, |mixed, row| mixed | row.mixed);
        if methods + branches != arms.len() as u64
            || methods + branches + plain != lines
            || is_mixed
        {
            return None;
        }
        // Rows with arms alone, and bare ones, have no hits.
        let zeros: u64 = hits.iter().map(|&hits| u64::from(hits == 0)).sum();
        let mut totals = Totals {
            lines,
            hits: marks.len() as u64 - zeros,
            misses: zeros - bare - arms.len() as u64,
            methods,
            branches,
            ..Totals::default()
        };
        for row in arms {
            totals.hits += u64::from(row.taken == row.total);
            totals.misses += u64::from((row.taken == 0) & (row.total != 0));
        }
        totals.partials = lines - totals.hits - totals.misses;
        Some(totals)
    }
}

/// How many marks equal each of some.
#[inline(always)]
fn count_equal<const N: usize>(marks: &[u8], sought: [u8; N], level: impl Level) -> [u64; N] {
    let (many, few) = marks.as_chunks::<64>();
    let mut rest = [u8::MAX; 64]; // which is no mark
    rest[..few.len()].copy_from_slice(few);
    let mut counts = [0; N];
    for marks in many.iter().chain([&rest]) {
        for (count, sought) in counts.iter_mut().zip(sought) {
            *count += u64::from(level.equal_to(marks, sought).count_ones());
        }
    }
    counts
}

/// Counts the plain rows of a file.
struct CountPlain<'a>(&'a FileCoverage);

impl simd::Work for CountPlain<'_> {
    type Output = Totals;

    #[inline(always)]
    fn run<L: Level>(self, _: L) -> Totals {
        let (mut lines, mut misses) = (0, 0);
        for (&marks, &hits) in self.0.marks.iter().zip(&self.0.hits) {
            let plain = u64::from(marks == PLAIN);
            lines += plain;
            misses += plain & u64::from(hits == 0);
        }
        Totals {
            lines,
            misses,
            hits: lines - misses,
            ..Totals::default()
        }
    }
}

/// The highest bit of each byte that is not 0.
#[inline]
fn nonzero_bytes(word: u64) -> u64 {
    const LOW: u64 = u64::from_le_bytes([0x7f; 8]);
    (((word & LOW) + LOW) | word) & !LOW
}

/// What two records of a line in one session make of it. Ids that both miss go to `both`.
pub(super) fn same_session<'s>(
    a: &Evidence<'s>,
    b: &Evidence<'s>,
    both: &'s mut Vec<ArmId>,
) -> Evidence<'s> {
    let (first, second) = (a.coverage(), b.coverage());
    let missed = match (a.named_missed(), b.named_missed()) {
        (Some(x), Some(y)) => {
            both.clear();
            intersect(x, y, both);
            Some(&both[..])
        }
        (None, Some(_)) if first.is_hit() => Some(&[][..]),
        (Some(_), None) if second.is_hit() => Some(&[][..]),
        (x, y) => x.or(y),
    };
    let kind = if a.kind == Kind::Line { b.kind } else { a.kind };
    let coverage = first.merge(second, missed);
    let mut evidence = Evidence::of_session(kind, coverage, missed, None);
    if let Some(arms) = &mut evidence.arms {
        arms.mixed = missed == Some(&[][..]) && arms.taken == arms.total;
        arms.unnamed = arms.unnamed.filter(|_| !arms.mixed);
    }
    evidence
}

#[inline]
fn kind_of(marks: u8) -> Kind {
    match marks & KIND {
        0 => Kind::Line,
        1 => Kind::Method,
        _ => Kind::Branch,
    }
}

fn join_marks(a: u8, b: u8) -> u8 {
    (a & KIND).max(b & KIND) | ((a | b) & !KIND)
}

/// The ids of a row, of those that are left.
#[inline]
fn take_ids<'a>(left: &mut &'a [ArmId], row: &ArmRow) -> &'a [ArmId] {
    let count = (row.missed.unwrap_or(0) as usize).min(left.len());
    let (ids, rest) = left.split_at(count);
    *left = rest;
    ids
}

/// The rows of a file, ascending by line.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    file: &'a FileCoverage,
    row: usize,
    arm: usize,
    missed: usize,
    complexity: usize,
}

impl<'a> Rows<'a> {
    fn line(&self) -> Option<u32> {
        self.file.lines.get(self.row).copied()
    }

    fn next_row(&mut self) -> Evidence<'a> {
        let (marks, hits) = (self.file.marks[self.row], self.file.hits[self.row]);
        self.row += 1;
        self.evidence(marks, hits)
    }

    /// The evidence of the next row with these marks, taking what is its own from the sparse columns.
    fn evidence(&mut self, marks: u8, hits: u64) -> Evidence<'a> {
        Evidence {
            kind: kind_of(marks),
            ignored: marks & IGNORED != 0,
            partial: marks & PARTIAL != 0,
            hits: (marks & HITS != 0).then_some(hits),
            arms: self.arms_of(marks),
            complexity: self.complexity_of(marks),
        }
    }

    /// The arms of the next row with these marks, taken from their column.
    #[inline]
    fn arms_of(&mut self, marks: u8) -> Option<Arms<'a>> {
        (marks & ARMS != 0).then(|| self.take_arms()).flatten()
    }

    /// The complexity of the next row with these marks, taken from its column.
    #[inline]
    fn complexity_of(&mut self, marks: u8) -> Option<Complexity> {
        let has = marks & COMPLEXITY != 0;
        has.then(|| self.take_complexity()).flatten()
    }

    /// What the next row with these marks is and shows, taking what is its own from the sparse columns.
    fn shown(&mut self, marks: u8, hits: u64) -> (Kind, Coverage) {
        // Most rows that are not plain are a branch of one session alone.
        if marks & !KIND == ARMS
            && let Some(row) = self.file.arms.get(self.arm)
            && !row.mixed
        {
            self.arm += 1;
            self.missed += row.missed.unwrap_or(0) as usize;
            let (taken, total) = (row.taken, row.total);
            return (kind_of(marks), Coverage::Arms { taken, total });
        }
        let evidence = self.evidence(marks, hits);
        (evidence.kind, evidence.coverage())
    }

    fn take_arms(&mut self) -> Option<Arms<'a>> {
        let row = self.file.arms.get(self.arm)?;
        self.arm += 1;
        let missed = match row.missed {
            None => Missed::Unknown,
            Some(count) => {
                let start = self.missed;
                self.missed += count as usize;
                Missed::Arms(self.file.missed.get(start..self.missed)?)
            }
        };
        Some(Arms {
            taken: row.taken,
            total: row.total,
            missed,
            mixed: row.mixed,
            unnamed: row.unnamed,
        })
    }

    fn take_complexity(&mut self) -> Option<Complexity> {
        let complexity = self.file.complexity.get(self.complexity)?;
        self.complexity += 1;
        Some(*complexity)
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = (u32, Evidence<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.line()?;
        Some((line, self.next_row()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// What a session says of a line.
    type Said = (Coverage, Option<Vec<ArmId>>, Option<Complexity>);

    fn said() -> impl Strategy<Value = Said> {
        let coverage = prop_oneof![
            Just(Coverage::Null),
            Just(Coverage::Ignored),
            (0..300_u64).prop_map(Coverage::Hits),
            (0..3_u32, 0..3_u32).prop_map(|(taken, total)| Coverage::Arms { taken, total }),
        ];
        let ids = (0..9_u32).prop_map(|arms| (0..3).filter(move |arm| arms >> arm & 1 == 1));
        let ids = ids.prop_map(|arms| arms.map(|arm| ArmId::pair(0, arm)).collect());
        let complexity = (0..3_u32).prop_map(|covered| Complexity {
            covered,
            total: None,
        });
        (
            coverage,
            proptest::option::of(ids),
            proptest::option::weighted(0.02, complexity),
        )
    }

    fn file(rows: &[Said]) -> FileCoverage {
        let mut file = FileCoverage::default();
        for (line, (coverage, ids, complexity)) in (1..).zip(rows) {
            let evidence =
                Evidence::of_session(Kind::Branch, *coverage, ids.as_deref(), *complexity);
            file.push(line, &evidence);
        }
        file
    }

    proptest! {
        #[test]
        fn columns_count_as_their_rows_do(
            rows in vec((said(), 0..3_u8), 0..300),
            is_usual: bool,
        ) {
            let mut file = FileCoverage::default();
            let mut totals = Totals::default();
            for (line, ((coverage, ids, complexity), kind)) in (1..).zip(rows) {
                let evidence = match (is_usual, coverage) {
                    (true, Coverage::Arms { .. }) => {
                        let kind = [Kind::Method, Kind::Branch][usize::from(kind) % 2];
                        Evidence::of_session(kind, coverage, ids.as_deref(), None)
                    }
                    (true, Coverage::Hits(hits)) => {
                        Evidence::of_session(Kind::Line, Coverage::Hits(hits % 2), None, None)
                    }
                    (true, _) => Evidence::default(),
                    (false, _) => {
                        let kind = [Kind::Line, Kind::Method, Kind::Branch][usize::from(kind)];
                        Evidence::of_session(kind, coverage, ids.as_deref(), complexity)
                    }
                };
                file.push(line, &evidence);
                totals.add_line(&evidence);
            }
            prop_assert_eq!(file.totals(), totals);
            prop_assert!(!is_usual || simd::widely(CountColumns(&file)).is_some());
        }

        #[test]
        fn columns_join_as_their_rows_do(
            sessions in vec(vec(said(), 40), 3),
            arms_alone in any::<bool>(),
        ) {
            let arms = |(coverage, ids, _): &Said| match coverage {
                Coverage::Arms { .. } => (*coverage, ids.clone(), None),
                _ => (Coverage::Arms { taken: 1, total: 2 }, ids.clone(), None),
            };
            let files = sessions.iter().map(|rows| match arms_alone {
                true => file(&rows.iter().map(arms).collect::<Vec<_>>()),
                false => file(rows),
            });
            let files: Vec<_> = files.collect();
            let (mut columns, mut rows) = (files[0].clone(), files[0].clone());
            for file in &files[1..] {
                columns.join_in(file);
                rows = rows.join_by_line(file);
                prop_assert_eq!(&columns, &rows);
            }
        }
    }
}
