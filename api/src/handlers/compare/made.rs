//! Two reports, opened and compared.

use std::sync::Arc;

use engine::compare::{Comparison, FileComparison, LineChanges, Shifted, compare};
use engine::db::uploads::UploadPack;
use engine::diff::{Change, Diff, FileDiff};
use engine::fold::PackSet;
use engine::model::{FileCoverage, Totals};
use engine::pack::{FileEntry, Header, OpenReport};

use super::super::rest::report::Packs;
use super::asked::Pair;
use crate::app::App;
use crate::diffs;

/// Which files are looked into.
pub(super) enum Extent {
    /// All.
    All,
    /// Those that the diff names.
    Diff,
    /// The one that has this path in head.
    File(String),
}

impl Extent {
    /// The paths in head; `None` for all.
    fn paths(&self, diff: &Diff) -> Option<Vec<String>> {
        match self {
            Extent::All => None,
            Extent::Diff => Some(diff.files().iter().map(|file| file.path.clone()).collect()),
            Extent::File(path) => Some(vec![path.clone()]),
        }
    }
}

/// The comparison of two commits.
pub(super) struct Compared {
    /// What leads from base to head.
    pub(super) diff: Arc<Diff>,
    /// What differs in the files that were looked into.
    pub(super) comparison: Comparison,
    /// Counts of the whole base report, if there is one.
    pub(super) base_totals: Option<Totals>,
    /// Counts of the whole head report.
    pub(super) head_totals: Totals,
    base: Shifted<OpenReport>,
    head: OpenReport,
    /// All files of both reports.
    tables: [Arc<Header>; 2],
}

impl Compared {
    /// Opens both reports and compares them. Only files that differ are decoded.
    pub(super) async fn new(app: &App, pair: &Pair, extent: Extent) -> engine::Result<Compared> {
        let diff = pair.diff.read(app).await?;
        let shift = match &pair.shift {
            Some(stored) => Some(diffs::read(app, stored).await?),
            None => None,
        };
        let (base_packs, head_packs) = (packs(&pair.base_uploads)?, packs(&pair.head_uploads)?);
        let head_paths = extent.paths(&diff);
        let base_paths = head_paths.as_ref().map(|paths| {
            let paths = paths.iter().map(|path| base_path(&diff, path));
            let moved = |path| {
                shift
                    .as_ref()
                    .and_then(|shift| before(shift, path))
                    .unwrap_or(path)
            };
            paths.map(|path| moved(path).to_owned()).collect()
        });
        let (base_table, head_table, base, head) = tokio::try_join!(
            app.folds.report(&base_packs),
            app.folds.report(&head_packs),
            app.folds.open_report(&base_packs, base_paths),
            app.folds.open_report(&head_packs, head_paths),
        )?;
        let is_known = !pair.base_uploads.is_empty();
        let (base_count, head_count) = (pair.base_uploads.len(), pair.head_uploads.len());
        let made = app.folds.in_turn(move || {
            let base = Shifted::new(base, shift.as_deref());
            Ok(Compared {
                comparison: compare(&base, &head, &diff)?,
                base_totals: is_known.then(|| totals(&base_table, base_count)),
                head_totals: totals(&head_table, head_count),
                tables: [base_table, head_table],
                diff,
                base,
                head,
            })
        });
        made.await
    }

    /// The files of head that were looked into, by path.
    pub(super) fn head_files(&self) -> &[FileEntry] {
        &self.head.header().files
    }

    /// The file of that path in head.
    pub(super) fn head_entry(&self, path: &str) -> Option<&FileEntry> {
        self.head.header().find(path)
    }

    /// What the diff says of a file of head.
    pub(super) fn edits(&self, path: &str) -> Option<&FileDiff> {
        self.diff.find(path)
    }

    /// The path that a file of head has in base, and its counts there, if the base report has it.
    pub(super) fn base_entry<'a>(&'a self, path: &'a str) -> Option<(&'a str, Totals)> {
        let path = base_path(&self.diff, path);
        Some((path, self.base.totals(path)?))
    }

    /// The evidence of a file of head, in base and in head.
    pub(super) fn evidence(
        &self,
        path: &str,
    ) -> engine::Result<(Option<FileCoverage>, Option<FileCoverage>)> {
        let base = self.base.find(base_path(&self.diff, path))?;
        Ok((base, self.head.find(path)?))
    }

    /// Moves what an upload of the base commit says of a file to the lines that the diff starts from.
    pub(super) fn moved(&self, path: &str, file: &FileCoverage) -> FileCoverage {
        self.base.move_lines(base_path(&self.diff, path), file)
    }

    /// What differs in a file.
    pub(super) fn changes(&self, path: &str) -> Option<&FileComparison> {
        let files = &self.comparison.files;
        let at = files
            .binary_search_by(|file| file.path.as_str().cmp(path))
            .ok()?;
        Some(&files[at])
    }

    /// Counts of the lines that the diff adds to a file of head; `None` where it does not say.
    pub(super) fn patch(&self, path: &str) -> Option<Totals> {
        let change = self.edits(path)?.change;
        let lines = self.changes(path).map(|file| &file.lines);
        matches!(change, Change::New | Change::Modified)
            .then(|| lines.map_or_else(Totals::default, LineChanges::patch))
    }

    /// Paths of the diff that neither report has.
    pub(super) fn untracked(&self) -> Vec<&str> {
        let [base, head] = &self.tables;
        let is_known = |file: &&FileDiff| {
            let before = file.base_path().unwrap_or(&file.path);
            [&**head, base]
                .iter()
                .any(|table| table.find(&file.path).is_some())
                || base.find(before).is_some()
        };
        let files = self.diff.files().iter();
        files
            .filter(|file| !is_known(file))
            .map(|file| &*file.path)
            .collect()
    }
}

/// The packs of these uploads.
pub(crate) fn packs(uploads: &[UploadPack]) -> engine::Result<PackSet> {
    Ok(Packs::new(uploads, None)?.map_or_else(PackSet::default, |packs| packs.all))
}

fn totals(table: &Header, sessions: usize) -> Totals {
    Totals {
        sessions: sessions as u64,
        ..table.totals()
    }
}

/// The path in base of a file that has this path in head.
fn base_path<'a>(diff: &'a Diff, path: &'a str) -> &'a str {
    let file = diff.find(path);
    file.and_then(|file| file.renamed_from.as_deref())
        .unwrap_or(path)
}

/// The path before the diff of a file that has this path after it.
fn before<'a>(diff: &'a Diff, path: &str) -> Option<&'a str> {
    diff.find(path)?.base_path()
}
