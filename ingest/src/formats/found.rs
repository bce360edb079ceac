//! What a reader found: the evidence of each file.

use std::collections::HashMap;
use std::hash::BuildHasher;

use engine::model::{FileBuilder, FileCoverage, Totals};
use hashbrown::{DefaultHashBuilder, HashTable};

use super::{Context, MAX_LINE};
use crate::error::ProblemCode;

/// A report of a file this many times shorter than what is known of it is kept until the end, so that
/// many of them cost no more than their lines.
const MUCH_SHORTER: usize = 4;

/// The lines of one file, before it is known where it belongs.
#[derive(Debug)]
pub(crate) struct FoundFile {
    lines: FileCoverage,
    /// Counts over the lines.
    totals: Totals,
    /// Whether a line was left out because of [`MAX_LINE`](super::MAX_LINE).
    cut: bool,
}

impl FoundFile {
    /// Counts the lines of a file; `cut` says whether some were too large to be kept.
    pub(super) fn new(lines: FileCoverage, cut: bool) -> FoundFile {
        let totals = lines.totals(); // its columns are at hand now
        FoundFile::counted(lines, totals, cut)
    }

    /// Like [`new`](Self::new), for lines that were counted.
    pub(super) fn counted(lines: FileCoverage, totals: Totals, cut: bool) -> FoundFile {
        FoundFile { lines, totals, cut }
    }

    /// The greatest line.
    #[cfg(test)]
    pub(super) fn last_line(&self) -> Option<u32> {
        self.lines.last_line()
    }
}

impl Context<'_> {
    /// Adds a file but for its lines that are ignored, and notes where it was cut.
    pub(super) fn add_file(&mut self, path: String, file: FoundFile) {
        let FoundFile { lines, totals, cut } = file;
        if cut {
            let message = format!("{path}: lines beyond {MAX_LINE} are left out");
            self.problem(None, ProblemCode::LineTooLarge, message);
        }
        match self.ignored.get(&path) {
            None => self.found.add_counted(path, lines, totals),
            Some(ignored) => {
                let kept = lines.filter(|line| !ignored.contains(line));
                self.found.add(path, kept);
            }
        }
    }
}

/// The files that one reader found, in the order in which they came.
#[derive(Default)]
pub(crate) struct Found {
    files: Vec<(String, FileCoverage)>,
    /// Where the files stand, by path.
    places: HashTable<Place>,
    hasher: DefaultHashBuilder,
    /// Files that grow by short reports, by their places in `files`.
    growing: HashMap<usize, FileBuilder>,
    /// Counts over `files`, unless some were merged.
    totals: Totals,
    is_merged: bool,
}

/// Where a file stands among those that were found. The hash of its path is kept: to make room for more
/// files, no path is looked at.
struct Place {
    hash: u64,
    at: usize,
}

impl Found {
    /// Adds a file, or more of a file that was added before. One without lines does not count.
    pub(crate) fn add(&mut self, path: String, file: FileCoverage) {
        let totals = file.totals(); // its columns are at hand now
        self.add_counted(path, file, totals);
    }

    /// Like [`add`](Self::add), for a file that was counted.
    fn add_counted(&mut self, path: String, file: FileCoverage, totals: Totals) {
        if file.is_empty() {
            return;
        }
        match self.place_of(&path) {
            Ok(place) => self.merge(place, file),
            Err(hash) => {
                self.totals += totals;
                self.push(hash, path, file);
            }
        }
    }

    /// Adds all files of another reader.
    pub(crate) fn include(&mut self, other: Found) {
        self.totals += other.totals;
        self.is_merged |= other.is_merged;
        for (path, file) in other.finish() {
            match self.place_of(&path) {
                Ok(place) => self.merge(place, file),
                Err(hash) => self.push(hash, path, file),
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The files sorted by path, and counts over them.
    pub(crate) fn into_sorted(self) -> (Vec<(String, FileCoverage)>, Totals) {
        let (is_merged, mut totals) = (self.is_merged, self.totals);
        let mut files = self.finish();
        sort(&mut files);
        if is_merged {
            totals = Totals::default();
            files.iter().for_each(|(_, file)| totals += file.totals());
        }
        totals.files = files.len() as u64;
        (files, totals)
    }

    /// Where a file stands, or the hash of its path if it was not added before.
    fn place_of(&self, path: &str) -> Result<usize, u64> {
        let hash = self.hasher.hash_one(path);
        let is_it = |place: &Place| place.hash == hash && self.files[place.at].0 == path;
        self.places
            .find(hash, is_it)
            .map(|place| place.at)
            .ok_or(hash)
    }

    /// Adds a file that was not added before.
    fn push(&mut self, hash: u64, path: String, file: FileCoverage) {
        let at = self.files.len();
        self.places
            .insert_unique(hash, Place { hash, at }, |place| place.hash);
        self.files.push((path, file));
    }

    fn merge(&mut self, place: usize, file: FileCoverage) {
        self.is_merged = true;
        let (path, before) = &mut self.files[place];
        let is_ruby = is_ruby(path);
        let is_growing = self.growing.contains_key(&place);
        let much_shorter = file.len() < before.len() / MUCH_SHORTER;
        if !is_growing && (!much_shorter || is_ruby && is_all_missed(before)) {
            *before = merge_file(path, before, file);
            return;
        }
        let whole = || FileBuilder::resume(std::mem::take(before));
        let builder = self.growing.entry(place).or_insert_with(whole);
        if !(is_ruby && is_all_missed(&file)) {
            builder.append_file(&file);
        }
    }

    /// The files, in the order in which they came.
    fn finish(mut self) -> Vec<(String, FileCoverage)> {
        for (place, builder) in self.growing {
            self.files[place].1 = builder.finish();
        }
        self.files
    }
}

/// Two reports of one file in one upload. Ruby's tools list files that were only loaded as all
/// missed: such a report gives way to one that says something else.
fn merge_file(path: &str, left: &FileCoverage, right: FileCoverage) -> FileCoverage {
    if is_ruby(path) {
        let counts = |file: &FileCoverage| (file.totals().lines, file.totals().misses);
        let differ = counts(left) != counts(&right);
        if differ && is_all_missed(left) {
            return right;
        }
        if differ && is_all_missed(&right) {
            return left.clone();
        }
    }
    left.append(&right)
}

fn is_all_missed(file: &FileCoverage) -> bool {
    let totals = file.totals();
    totals.lines == totals.misses
}

fn is_ruby(path: &str) -> bool {
    path.ends_with(".rb")
}

/// Sorts files by their paths.
fn sort(files: &mut Vec<(String, FileCoverage)>) {
    if files.is_sorted_by(|a, b| a.0 < b.0) {
        return;
    }
    let paths: Vec<&[u8]> = files.iter().map(|(path, _)| path.as_bytes()).collect();
    let mut order: Vec<(u128, usize)> = (0..files.len()).map(|place| (0, place)).collect();
    sort_places(&mut order, &paths, 0);
    let moved = order
        .iter()
        .map(|&(_, place)| std::mem::take(&mut files[place]));
    *files = moved.collect();
}

/// Sorts places of paths by what the paths have from byte `from` on: by 16 bytes at once, then those
/// that are alike by what follows.
fn sort_places(order: &mut [(u128, usize)], paths: &[&[u8]], from: usize) {
    const STEP_BYTES: usize = 16;
    const STEPS: usize = 4;
    let rest = |place: usize| paths[place].get(from..).unwrap_or_default();
    if from >= STEPS * STEP_BYTES {
        order.sort_unstable_by_key(|&(_, place)| paths[place]);
        return;
    }
    for (key, place) in order.iter_mut() {
        let mut start = [0; STEP_BYTES];
        let rest = rest(*place);
        let length = rest.len().min(STEP_BYTES);
        start[..length].copy_from_slice(&rest[..length]);
        *key = u128::from_be_bytes(start);
    }
    order.sort_unstable();
    for alike in order.chunk_by_mut(|a, b| a.0 == b.0) {
        if alike.len() > 1 {
            sort_places(alike, paths, from + STEP_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::model::Coverage;

    fn file(lines: impl IntoIterator<Item = (u32, u64)>) -> FileCoverage {
        let mut file = FileBuilder::new();
        lines
            .into_iter()
            .for_each(|(line, hits)| file.hits(line, hits));
        file.finish()
    }

    #[test]
    fn short_reports_of_a_long_file_are_merged_in_their_order() {
        let mut found = Found::default();
        found.add("a.c".into(), file((1..100).map(|line| (line, 0))));
        for line in [200, 7, 7, 300] {
            found.add("a.c".into(), file([(line, u64::from(line))]));
        }
        let (files, totals) = found.into_sorted();
        let hit: Vec<u32> = files[0]
            .1
            .rows()
            .filter(|(_, row)| row.coverage() != Coverage::Hits(0))
            .map(|(line, _)| line)
            .collect();
        assert_eq!(hit, [7, 200, 300]);
        assert_eq!((totals.files, totals.lines, totals.hits), (1, 101, 3));
    }

    #[test]
    fn a_file_said_anew_in_many_short_reports_takes_linear_time() {
        const REPORTS: u32 = 200_003;
        for name in ["a.c", "a.rb"] {
            let mut found = Found::default();
            for i in 0..REPORTS {
                found.add(name.into(), file([(i * 7919 % REPORTS + 1, 1)]));
            }
            assert_eq!(found.into_sorted().1.hits, u64::from(REPORTS), "{name}");
        }
    }

    #[test]
    fn a_short_report_of_ruby_that_is_all_missed_gives_way() {
        let mut found = Found::default();
        found.add("a.rb".into(), file((1..100).map(|line| (line, 1))));
        for (line, hits) in [(200, 0), (300, 1), (400, 0)] {
            found.add("a.rb".into(), file([(line, hits)]));
        }
        let (_, totals) = found.into_sorted();
        assert_eq!((totals.lines, totals.hits), (100, 100));
    }

    proptest::proptest! {
        #[test]
        fn files_are_sorted_by_path(paths in proptest::collection::hash_set("(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa)?[ab\0]{0,20}", 0..30)) {
            let mut found = Found::default();
            paths.iter().for_each(|path| found.add(path.clone(), file([(1, 1)])));
            let sorted: Vec<String> = found.into_sorted().0.into_iter().map(|(path, _)| path).collect();
            let mut expected: Vec<String> = paths.into_iter().collect();
            expected.sort();
            proptest::prop_assert_eq!(sorted, expected);
        }
    }
}
