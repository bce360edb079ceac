//! A report as if it had been made for a later commit: its files and lines go where a diff moves them.

use std::collections::HashMap;

use super::Report;
use crate::Result;
use crate::carryforward::{Segment, shift_lines};
use crate::diff::{Change, Diff, FileDiff};
use crate::model::{FileCoverage, Totals};

/// Another report, moved along a diff. Counts of files stay those of the other report.
pub struct Shifted<R> {
    report: R,
    /// By path.
    files: Vec<Moved>,
}

struct Moved {
    path: Box<str>,
    totals: Totals,
    /// Its place in the other report.
    at: usize,
    segments: Vec<Segment>,
}

impl<R: Report> Shifted<R> {
    /// Moves a report along the diff from its own commit to another. Without a diff nothing moves.
    pub fn new(report: R, diff: Option<&Diff>) -> Shifted<R> {
        let files = diff.map_or(&[][..], Diff::files);
        let edited: HashMap<&str, &FileDiff> = files
            .iter()
            .filter_map(|file| Some((file.base_path()?, file)))
            .collect();
        let moved = report
            .files()
            .enumerate()
            .filter_map(|(at, (path, totals))| {
                let edit = edited.get(path);
                if edit.is_some_and(|file| file.change == Change::Deleted) {
                    return None;
                }
                Some(Moved {
                    path: edit.map_or(path, |file| &file.path).into(),
                    totals,
                    at,
                    segments: edit.map_or_else(Vec::new, |file| file.segments()),
                })
            });
        let mut files: Vec<Moved> = moved.collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
        Shifted { report, files }
    }

    /// The file of that path, if it is there.
    pub fn find(&self, path: &str) -> Result<Option<FileCoverage>> {
        self.place(path).map(|at| self.file(at)).transpose()
    }

    /// The counts of the file of that path, if it is there.
    pub fn totals(&self, path: &str) -> Option<Totals> {
        Some(self.files[self.place(path)?].totals)
    }

    /// Moves the lines of another report of the same commit likewise.
    pub fn move_lines(&self, path: &str, file: &FileCoverage) -> FileCoverage {
        match self.place(path) {
            Some(at) => shift_lines(file, &self.files[at].segments),
            None => file.clone(),
        }
    }

    fn place(&self, path: &str) -> Option<usize> {
        let found = self.files.binary_search_by(|file| (*file.path).cmp(path));
        found.ok()
    }
}

impl<R: Report> Report for Shifted<R> {
    fn files(&self) -> impl ExactSizeIterator<Item = (&str, Totals)> {
        self.files.iter().map(|file| (&*file.path, file.totals))
    }

    fn file(&self, at: usize) -> Result<FileCoverage> {
        let moved = &self.files[at];
        let file = self.report.file(moved.at)?;
        Ok(match moved.segments.is_empty() {
            true => file,
            false => shift_lines(&file, &moved.segments),
        })
    }

    /// Of a file whose lines move, nothing is known to be the same.
    fn fingerprint(&self, at: usize) -> &[u8] {
        let moved = &self.files[at];
        match moved.segments.is_empty() {
            true => self.report.fingerprint(moved.at),
            false => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{InMemory, hits};
    use super::*;

    #[test]
    fn files_and_lines_go_where_the_diff_moves_them() {
        let report = InMemory(vec![
            ("a.rs", hits(&[(1, 1), (5, 2)])),
            ("b.rs", hits(&[(1, 1)])),
            ("gone.rs", hits(&[(1, 1)])),
        ]);
        let diff = Diff::parse(
            "diff --git a/a.rs b/z.rs\nrename from a.rs\nrename to z.rs\n--- a/a.rs\n+++ b/z.rs\n@@ -2,0 +3,2 @@\n+x\n+y\n\
             diff --git a/gone.rs b/gone.rs\ndeleted file mode 1\n",
        )
        .unwrap();
        let shifted = Shifted::new(report, Some(&diff));
        let paths: Vec<&str> = shifted.files().map(|(path, _)| path).collect();
        assert_eq!(paths, ["b.rs", "z.rs"]);
        let lines = |file: FileCoverage| file.rows().map(|(line, _)| line).collect::<Vec<_>>();
        assert_eq!(lines(shifted.find("z.rs").unwrap().unwrap()), [1, 7]);
        assert_eq!(lines(shifted.find("b.rs").unwrap().unwrap()), [1]);
        assert_eq!(shifted.find("a.rs").unwrap(), None);
        assert!(shifted.fingerprint(1).is_empty() && !shifted.fingerprint(0).is_empty());
    }
}
