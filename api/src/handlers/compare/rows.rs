//! The files of a comparison, written as fast as the client takes them.

use std::collections::HashMap;

use engine::compare::{Cause, all_lines, hunk_lines};
use engine::db::uploads::UploadPack;
use engine::model::{FileCoverage, State};
use engine::pack::PackName;

use super::super::rest::report::Batches;
use super::asked::Pair;
use super::bodies::{FileBody, LineBody};
use super::made::Compared;
use super::why::causes_of;
use crate::app::App;
use crate::error::Result;

/// Files that are written at once, at most.
const BATCH_FILES: usize = 500;
/// Files with a diff that are written at once, at most: what each upload says of them is read.
const BATCH_DIFFS: usize = 32;

/// The files of head that are still to be written.
pub(super) struct Rows {
    app: App,
    uploads: Vec<UploadPack>,
    compared: Compared,
    /// Places among the files of head.
    places: Vec<usize>,
    next: usize,
}

impl Rows {
    /// All files that were looked into, or only those with or without a diff.
    pub(super) fn new(app: &App, pair: &Pair, compared: Compared, has_diff: Option<bool>) -> Rows {
        let files = compared.head_files().iter().enumerate();
        let wanted = files.filter(|(_, file)| {
            has_diff.is_none_or(|wanted| wanted == compared.edits(&file.path).is_some())
        });
        Rows {
            places: wanted.map(|(at, _)| at).collect(),
            app: app.clone(),
            uploads: pair.head_uploads.clone(),
            compared,
            next: 0,
        }
    }

    fn next_batch(&mut self) -> Vec<usize> {
        let files = self.compared.head_files();
        let mut diffs = 0;
        let within = |(count, at): &(usize, &usize)| {
            diffs += usize::from(self.compared.edits(&files[**at].path).is_some());
            *count < BATCH_FILES && diffs <= BATCH_DIFFS
        };
        let rest = self.places[self.next..].iter().enumerate();
        rest.take_while(within).map(|(_, at)| *at).collect()
    }
}

impl Batches for Rows {
    fn is_done(&self) -> bool {
        self.next == self.places.len()
    }

    async fn write_batch(&mut self, out: &mut Vec<u8>) -> engine::Result<()> {
        let batch = self.next_batch();
        let files = self.compared.head_files();
        let paths = batch.iter().map(|at| files[*at].path.to_string());
        let edited: Vec<String> = paths
            .filter(|path| self.compared.edits(path).is_some())
            .collect();
        let mut hits = hits_by_upload(&self.app, &self.uploads, &edited)
            .await?
            .into_iter();
        for (count, at) in batch.iter().enumerate() {
            if self.next + count > 0 {
                out.push(b',');
            }
            let file = &files[*at];
            let lines = match self.compared.edits(&file.path) {
                None => Vec::new(),
                Some(edits) => {
                    let hits = hits.next().unwrap_or_default();
                    let (base, head) = self.compared.evidence(&file.path)?;
                    let diff = &self.compared.diff;
                    let lines = hunk_lines(diff, edits, base.as_ref(), head.as_ref());
                    let none = HashMap::new();
                    lines
                        .iter()
                        .map(|line| LineBody::new(line, &hits, &none))
                        .collect()
                }
            };
            let body = FileBody::new(&self.compared, &file.path, file.totals, lines);
            serde_json::to_writer(&mut *out, &body)
                .map_err(|e| engine::Error::invalid("answer", e))?;
        }
        self.next += batch.len();
        Ok(())
    }
}

/// One file of head with all its lines, and why some changed that the diff does not name.
pub(super) async fn whole_file(
    app: &App,
    pair: &Pair,
    compared: &Compared,
    path: &str,
    source: Option<&str>,
) -> Result<FileBody> {
    let paths = [path.to_owned()];
    let hits = hits_by_upload(app, &pair.head_uploads, &paths).await?;
    let hits = hits.into_iter().next().unwrap_or_default();
    let found = causes_of(app, pair, compared, &paths).await?;
    let causes: HashMap<u32, Cause> = found
        .into_iter()
        .next()
        .unwrap_or_default()
        .into_iter()
        .collect();
    let (base, head) = compared.evidence(path)?;
    let edits = compared.edits(path).map(|file| (&*compared.diff, file));
    let lines = all_lines(edits, base.as_ref(), head.as_ref(), source);
    let lines = lines.iter().map(|line| LineBody::new(line, &hits, &causes));
    let totals = compared.head_entry(path).map(|entry| entry.totals);
    Ok(FileBody::new(
        compared,
        path,
        totals.unwrap_or_default(),
        lines.collect(),
    ))
}

/// The packs of these uploads, in their order.
pub(super) fn names(uploads: &[UploadPack]) -> engine::Result<Vec<PackName>> {
    uploads.iter().map(|upload| upload.pack.parse()).collect()
}

/// For each file, how many uploads hit each line; a line that none hits is absent.
async fn hits_by_upload(
    app: &App,
    uploads: &[UploadPack],
    paths: &[String],
) -> engine::Result<Vec<HashMap<u32, u32>>> {
    let mut hits: Vec<HashMap<u32, u32>> = paths.iter().map(|_| HashMap::new()).collect();
    for said in app.folds.said(&names(uploads)?, paths).await? {
        for (hits, file) in hits.iter_mut().zip(&said) {
            for (line, row) in file.iter().flat_map(FileCoverage::rows) {
                if row.coverage().state() == Some(State::Hit) {
                    *hits.entry(line).or_default() += 1;
                }
            }
        }
    }
    Ok(hits)
}
