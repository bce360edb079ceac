//! What differs between the coverage of two commits.
//!
//! A line that the diff adds or removes differs for a reason that the author sees. A line that both
//! commits share, but whose coverage differs, is an *indirect change*.

mod causes;
mod shifted;
mod side_by_side;

use std::collections::HashMap;

use rayon::prelude::*;

pub use causes::{Cause, Session, causes};
pub use shifted::Shifted;
pub use side_by_side::{Excerpt, Line, all_lines, excerpts, hunk_lines, state_changes};

use crate::Result;
use crate::diff::{Change, Diff, Edits, FileDiff};
use crate::model::{Coverage, FileCoverage, State, Totals};

/// The coverage of a report's files, as a comparison asks for it.
pub trait Report: Sync {
    /// The paths, ascending, with their counts.
    fn files(&self) -> impl ExactSizeIterator<Item = (&str, Totals)>;

    /// The evidence of the file at that place of [`files`](Self::files).
    fn file(&self, at: usize) -> Result<FileCoverage>;

    /// Bytes that are the same only where the evidence is; to skip what does not differ.
    fn fingerprint(&self, at: usize) -> &[u8];
}

/// The comparison of two reports.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Comparison {
    /// Counts of the whole base report.
    pub base: Totals,
    /// Counts of the whole head report.
    pub head: Totals,
    /// Counts of the lines that the diff adds, over the files that it names and head reports.
    pub patch: Totals,
    /// The files that differ in something, sorted by path.
    pub files: Vec<FileComparison>,
}

/// One file of a comparison.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileComparison {
    /// The path in head; of a file that head lacks, the path that it would have there.
    pub path: String,
    /// The path in base, if the base report has the file.
    pub base_path: Option<String>,
    /// What the diff says became of the file, if it names it.
    pub change: Option<Change>,
    /// Its counts in base, if the base report has it.
    pub base: Option<Totals>,
    /// Its counts in head, if the head report has it.
    pub head: Option<Totals>,
    /// Line by line.
    pub lines: LineChanges,
}

/// What differs in the lines of a file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LineChanges {
    /// Lines of head that the diff adds and the head report counts, ascending.
    pub added: Vec<(u32, Coverage)>,
    /// Lines of base that the diff removes and the base report counts, ascending.
    pub removed: Vec<(u32, Coverage)>,
    /// Lines that both commits share and whose coverage differs, ascending.
    pub indirect: Vec<IndirectChange>,
}

/// A line that both commits share, and whose coverage differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndirectChange {
    /// Its number in base.
    pub base_line: u32,
    /// Its number in head.
    pub head_line: u32,
    /// Its coverage in base; `None` where the report does not count it.
    pub base: Option<Coverage>,
    /// Its coverage in head.
    pub head: Option<Coverage>,
}

impl IndirectChange {
    /// Whether the line also counts differently: a branch that takes other arms may still be partial.
    pub fn changes_state(&self) -> bool {
        self.base.and_then(Coverage::state) != self.head.and_then(Coverage::state)
    }
}

impl LineChanges {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.indirect.is_empty()
    }

    /// Counts of the added lines: hits, misses and partials only.
    pub fn patch(&self) -> Totals {
        count(&self.added)
    }

    /// Counts of the removed lines: hits, misses and partials only.
    pub fn removed(&self) -> Totals {
        count(&self.removed)
    }

    /// Added lines that were missed, and shared lines that are now.
    pub fn misses(&self) -> usize {
        let missed = |coverage: Coverage| coverage.state() == Some(State::Miss);
        let added = self.added.iter().filter(|(_, coverage)| missed(*coverage));
        let indirect = self.indirect.iter().filter_map(|change| change.head);
        added.count() + indirect.filter(|&coverage| missed(coverage)).count()
    }
}

fn count(lines: &[(u32, Coverage)]) -> Totals {
    let mut totals = Totals::default();
    for (_, coverage) in lines {
        totals.add(Default::default(), *coverage);
    }
    totals
}

/// Compares two reports. Without a diff every line is taken as shared. Only files that differ are
/// decoded, in parallel. Linear in the paths and in the lines of those files.
pub fn compare(base: &impl Report, head: &impl Report, diff: &Diff) -> Result<Comparison> {
    let base_files: Vec<(&str, Totals)> = base.files().collect();
    let head_files: Vec<(&str, Totals)> = head.files().collect();
    let pairs = pair(&base_files, &head_files, diff);
    let compared = pairs.par_iter().map(|pair| {
        let same = |(b, h): (usize, usize)| base.fingerprint(b) == head.fingerprint(h);
        let edits = pair.diff.map(FileDiff::edits).unwrap_or_default();
        let is_edited = edits != Edits::default();
        if !is_edited && pair.base.zip(pair.head).is_some_and(same) {
            return Ok(None);
        }
        let before = pair.base.map(|at| base.file(at)).transpose()?;
        let after = pair.head.map(|at| head.file(at)).transpose()?;
        let lines = match pair.diff.map(|file| file.change) {
            Some(Change::New | Change::Deleted) => LineChanges {
                indirect: Vec::new(),
                ..compare_lines(before.as_ref(), after.as_ref(), &edits)
            },
            _ => compare_lines(before.as_ref(), after.as_ref(), &edits),
        };
        let both = before.is_some() && after.is_some();
        if both && !is_edited && lines.is_empty() {
            return Ok(None);
        }
        Ok(Some(FileComparison {
            path: pair.path.to_owned(),
            base_path: pair.base.map(|at| base_files[at].0.to_owned()),
            change: pair.diff.map(|file| file.change),
            base: pair.base.map(|at| base_files[at].1),
            head: pair.head.map(|at| head_files[at].1),
            lines,
        }))
    });
    let files: Vec<Option<FileComparison>> = compared.collect::<Result<_>>()?;
    let files: Vec<FileComparison> = files.into_iter().flatten().collect();
    let in_patch = pairs.iter().filter(|pair| {
        let change = pair.diff.map(|file| file.change);
        pair.head.is_some() && matches!(change, Some(Change::New | Change::Modified))
    });
    let mut patch = Totals {
        files: in_patch.count() as u64,
        ..Totals::default()
    };
    for file in &files {
        patch += file.lines.patch();
    }
    Ok(Comparison {
        base: total(&base_files),
        head: total(&head_files),
        patch,
        files,
    })
}

/// Counts of the lines that the diff adds, over the files that it names and the report has. Decodes only those.
pub fn patch(head: &impl Report, diff: &Diff) -> Result<Totals> {
    let places: HashMap<&str, usize> = head
        .files()
        .enumerate()
        .map(|(at, (path, _))| (path, at))
        .collect();
    let named = diff.files().iter().filter_map(|file| {
        let is_patch = matches!(file.change, Change::New | Change::Modified);
        Some((file, *places.get(file.path.as_str()).filter(|_| is_patch)?))
    });
    let mut patch = Totals::default();
    for (file, at) in named {
        let head = head.file(at)?;
        patch += compare_lines(None, Some(&head), &file.edits()).patch();
        patch.files += 1;
    }
    Ok(patch)
}

fn total(files: &[(&str, Totals)]) -> Totals {
    let mut total = Totals {
        files: files.len() as u64,
        ..Totals::default()
    };
    for (_, totals) in files {
        total += *totals;
    }
    total
}

/// A file, and where the reports have it.
struct Pair<'a> {
    path: &'a str,
    base: Option<usize>,
    head: Option<usize>,
    diff: Option<&'a FileDiff>,
}

/// Puts the files of both reports side by side, those of base under the paths that they have in head;
/// sorted by path.
fn pair<'a>(
    base: &[(&'a str, Totals)],
    head: &[(&'a str, Totals)],
    diff: &'a Diff,
) -> Vec<Pair<'a>> {
    let renamed: HashMap<&str, &str> = diff
        .files()
        .iter()
        .filter_map(|file| Some((file.renamed_from.as_deref()?, file.path.as_str())))
        .collect();
    let mut moved: Vec<(&str, usize)> = base
        .iter()
        .enumerate()
        .map(|(at, (path, _))| (*renamed.get(path).unwrap_or(path), at))
        .collect();
    moved.sort_unstable();
    moved.dedup_by_key(|(path, _)| *path);
    let mut pairs = Vec::with_capacity(base.len().max(head.len()));
    let mut head = head.iter().enumerate().peekable();
    let pair = |path: &'a str, base, head| Pair {
        path,
        base,
        head,
        diff: diff.find(path),
    };
    for (path, at) in moved {
        while let Some((new, (head_path, _))) = head.next_if(|(_, (new, _))| *new < path) {
            pairs.push(pair(head_path, None, Some(new)));
        }
        let same = head.next_if(|(_, (new, _))| *new == path);
        pairs.push(pair(path, Some(at), same.map(|(new, _)| new)));
    }
    pairs.extend(head.map(|(new, (path, _))| pair(path, None, Some(new))));
    pairs
}

/// Compares two versions of a file, of which either may be missing. Linear.
pub fn compare_lines(
    base: Option<&FileCoverage>,
    head: Option<&FileCoverage>,
    edits: &Edits,
) -> LineChanges {
    let mut changes = LineChanges::default();
    let shared_base = shared(base, &edits.removed, &mut changes.removed);
    let shared_head = shared(head, &edits.added, &mut changes.added);
    if base.is_none() || head.is_none() {
        return changes;
    }
    let (mut old, mut new) = (&shared_base[..], &shared_head[..]);
    let mut numbers = Numbers::new(edits);
    loop {
        let at = match (old.first(), new.first()) {
            (Some(a), Some(b)) => a.0.min(b.0),
            (Some(only), None) | (None, Some(only)) => only.0,
            (None, None) => return changes,
        };
        let take = |lines: &mut &[(u32, Coverage)]| {
            let (first, rest) = lines.split_first().filter(|(first, _)| first.0 == at)?;
            *lines = rest;
            Some(first.1)
        };
        let (before, after) = (take(&mut old), take(&mut new));
        if differ(before, after) {
            let (base_line, head_line) = numbers.of(at);
            changes.indirect.push(IndirectChange {
                base_line,
                head_line,
                base: before,
                head: after,
            });
        }
    }
}

/// Whether a line is covered otherwise. How often a hit line ran makes no difference, which arms of a partial
/// line were taken does.
fn differ(base: Option<Coverage>, head: Option<Coverage>) -> bool {
    let state = |coverage: Option<Coverage>| coverage.and_then(Coverage::state);
    match (state(base), state(head)) {
        (Some(State::Hit), Some(State::Hit)) | (Some(State::Miss), Some(State::Miss)) => false,
        _ => base != head,
    }
}

/// The counted lines that both versions share, numbered among the shared lines; the others, with their
/// own numbers, go to `only`.
fn shared(
    file: Option<&FileCoverage>,
    edited: &[u32],
    only: &mut Vec<(u32, Coverage)>,
) -> Vec<(u32, Coverage)> {
    let mut lines = Vec::with_capacity(file.map_or(0, FileCoverage::len));
    let mut before = 0;
    for (line, row) in file.into_iter().flat_map(FileCoverage::rows) {
        let coverage = row.coverage();
        while edited.get(before).is_some_and(|&edited| edited < line) {
            before += 1;
        }
        if coverage == Coverage::Null {
            continue;
        }
        if edited.get(before) == Some(&line) {
            only.push((line, coverage));
        } else {
            lines.push((line - before as u32, coverage));
        }
    }
    lines
}

/// Gives ascending shared lines the numbers that they have on both sides.
struct Numbers<'a> {
    edits: &'a Edits,
    removed: usize,
    added: usize,
}

impl<'a> Numbers<'a> {
    fn new(edits: &'a Edits) -> Numbers<'a> {
        Numbers {
            edits,
            removed: 0,
            added: 0,
        }
    }

    fn of(&mut self, shared: u32) -> (u32, u32) {
        let number = |edited: &[u32], passed: &mut usize| {
            while edited
                .get(*passed)
                .is_some_and(|&edited| edited <= shared + *passed as u32)
            {
                *passed += 1;
            }
            shared + *passed as u32
        };
        (
            number(&self.edits.removed, &mut self.removed),
            number(&self.edits.added, &mut self.added),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FileBuilder, Kind};

    fn file(lines: &[(u32, Coverage)]) -> FileCoverage {
        let mut file = FileBuilder::new();
        for &(line, coverage) in lines {
            file.append(line, Kind::Line, coverage, None, None);
        }
        file.finish()
    }

    pub(super) fn hits(lines: &[(u32, u64)]) -> FileCoverage {
        let lines: Vec<_> = lines
            .iter()
            .map(|&(line, hits)| (line, Coverage::Hits(hits)))
            .collect();
        file(&lines)
    }

    pub(super) struct InMemory(pub(super) Vec<(&'static str, FileCoverage)>);

    impl Report for InMemory {
        fn files(&self) -> impl ExactSizeIterator<Item = (&str, Totals)> {
            self.0.iter().map(|(path, file)| (*path, file.totals()))
        }

        fn file(&self, at: usize) -> Result<FileCoverage> {
            Ok(self.0[at].1.clone())
        }

        fn fingerprint(&self, at: usize) -> &[u8] {
            self.0[at].0.as_bytes()
        }
    }

    #[test]
    fn shared_lines_are_compared_under_both_numbers() {
        let base = hits(&[(1, 1), (2, 1), (3, 0), (7, 5)]);
        let head = hits(&[(1, 2), (3, 0), (4, 2), (5, 1), (8, 5), (9, 0)]);
        // Base line 2 becomes head lines 2 to 4.
        let edits = Edits {
            removed: vec![2],
            added: vec![2, 3, 4],
        };
        let changes = compare_lines(Some(&base), Some(&head), &edits);
        assert_eq!(changes.removed, [(2, Coverage::Hits(1))]);
        assert_eq!(
            changes.added,
            [(3, Coverage::Hits(0)), (4, Coverage::Hits(2))]
        );
        let indirect: Vec<_> = changes
            .indirect
            .iter()
            .map(|change| (change.base_line, change.head_line, change.base, change.head))
            .collect();
        let expected = [
            (3, 5, Some(Coverage::Hits(0)), Some(Coverage::Hits(1))),
            (6, 8, None, Some(Coverage::Hits(5))),
            (7, 9, Some(Coverage::Hits(5)), Some(Coverage::Hits(0))),
        ];
        assert_eq!(indirect, expected);
        assert_eq!((changes.patch().hits, changes.patch().misses), (1, 1));
        assert_eq!(changes.misses(), 2);
    }

    #[test]
    fn files_are_paired_by_the_name_that_they_have_in_head() {
        let base = InMemory(vec![
            ("gone.rs", hits(&[(1, 1)])),
            ("old.rs", hits(&[(1, 1), (2, 0)])),
            ("same.rs", hits(&[(1, 1)])),
        ]);
        let head = InMemory(vec![
            ("born.rs", hits(&[(1, 0), (2, 3)])),
            ("new.rs", hits(&[(1, 1), (2, 4)])),
            ("same.rs", hits(&[(1, 1)])),
        ]);
        let diff = Diff::parse(
            "diff --git a/old.rs b/new.rs\nrename from old.rs\nrename to new.rs\n\
             diff --git a/born.rs b/born.rs\nnew file mode 1\n--- /dev/null\n+++ b/born.rs\n@@ -0,0 +1,2 @@\n+a\n+b\n",
        )
        .unwrap();
        let compared = compare(&base, &head, &diff).unwrap();
        let shape: Vec<_> = compared
            .files
            .iter()
            .map(|file| {
                (
                    &*file.path,
                    file.base_path.as_deref(),
                    file.lines.added.len(),
                    file.lines.indirect.len(),
                )
            })
            .collect();
        let expected = [
            ("born.rs", None, 2, 0),
            ("gone.rs", Some("gone.rs"), 0, 0),
            ("new.rs", Some("old.rs"), 0, 1),
        ];
        assert_eq!(shape, expected);
        assert_eq!(
            (
                compared.patch.files,
                compared.patch.lines,
                compared.patch.hits
            ),
            (2, 2, 1)
        );
        assert_eq!((compared.base.lines, compared.head.lines), (4, 5));
        assert_eq!(patch(&head, &diff).unwrap(), compared.patch);
    }

    #[test]
    fn other_arms_of_a_partial_line_are_an_indirect_change_of_the_same_state() {
        let arms = |taken, total| file(&[(1, Coverage::Arms { taken, total })]);
        let changes = compare_lines(Some(&arms(1, 2)), Some(&arms(3, 4)), &Edits::default());
        assert_eq!(changes.indirect.len(), 1);
        assert!(!changes.indirect[0].changes_state());
    }
}
