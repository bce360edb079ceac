//! Flags that are carried forward: which uploads of an earlier commit stand in for those that a commit lacks.
//!
//! The answer follows from the commit's uploads, its nearest ancestor with a report and the settings, so that it may
//! be found again at any time: what is carried and should not be goes, what is missing comes.

use std::collections::HashSet;

use engine::blob::Blobs;
use engine::carryforward::{carried_flags, carried_name, carried_paths, has_any, shift_lines};
use engine::db::Conn;
use engine::db::commits::{Commit, CommitState, list_parents};
use engine::db::diffs::find_diff;
use engine::db::flags::list_deleted_flags;
use engine::db::uploads::{CarriedUpload, UploadPack, delete_carried, insert_carried, list_packs};
use engine::diff::{Diff, FileDiff};
use engine::fold::{Folds, PackSet};
use engine::id::UploadId;
use engine::pack;
use engine::{Error, Result};

use crate::diffs::read_diff;
use crate::filter::PathPatterns;
use crate::settings::Settings;

/// Ancestors among which one with a report is looked for.
const ANCESTORS: i64 = 10;

/// What is to be done so that a commit carries what it should.
#[derive(Debug, Default)]
pub(crate) struct Change {
    add: Vec<CarriedUpload>,
    drop: Vec<UploadId>,
}

impl Change {
    /// Whether nothing is to be done.
    pub(crate) fn is_empty(&self) -> bool {
        self.add.is_empty() && self.drop.is_empty()
    }

    /// Does it, in the caller's transaction, and says what was done. Idempotent.
    pub(crate) async fn apply(
        &self,
        conn: &mut Conn,
        commit: &Commit,
        now_us: i64,
    ) -> Result<String> {
        for &id in &self.drop {
            delete_carried(conn, id).await?;
        }
        for upload in &self.add {
            insert_carried(conn, commit.id, upload, now_us).await?;
        }
        let from = self.add.first().map(|upload| &upload.from_sha);
        Ok(match from {
            Some(sha) => format!(
                "{} uploads are carried forward from {sha}, {} give way",
                self.add.len(),
                self.drop.len()
            ),
            None => format!("{} carried uploads give way to new ones", self.drop.len()),
        })
    }
}

/// Finds what a commit should carry beside its own uploads. Packs of which only some paths are carried are made and
/// stored; each upload is looked at once, however often this runs.
pub(crate) async fn plan(
    conn: &mut Conn,
    folds: &Folds,
    blobs: &dyn Blobs,
    settings: &Settings,
    commit: &Commit,
    uploads: &[UploadPack],
) -> Result<Change> {
    if !settings.carries_anything() || !commit.report_created && uploads.is_empty() {
        return Ok(Change::default());
    }
    let own = uploads.iter().filter(|upload| upload.source.is_none());
    let replaced = carried_flags(own.map(|upload| &upload.flags[..]), |flag| {
        settings.carries_forward(flag)
    });
    let carried = uploads.iter().filter(|upload| upload.source.is_some());
    let Some(source) = find_source(conn, commit).await? else {
        let gone = carried.filter(|upload| has_any(&upload.flags, &replaced));
        let drop = gone.map(|upload| upload.upload_id).collect();
        return Ok(Change {
            add: Vec::new(),
            drop,
        });
    };
    let sessions = list_packs(conn, source.id).await?;
    let deleted = list_deleted_flags(conn, commit.repo_id).await?;
    let wanted = Wanted::new(settings, &sessions, &deleted, &replaced);
    let known: HashSet<UploadId> = carried.clone().filter_map(|upload| upload.source).collect();
    let drop = carried
        .filter(|upload| upload.source.is_none_or(|id| !wanted.has(id)))
        .map(|upload| upload.upload_id)
        .collect();
    let mut add = Vec::new();
    let is_new = |session: &&UploadPack| !known.contains(&session.upload_id);
    let moves = match wanted.sessions.iter().any(is_new) {
        true => find_moves(conn, blobs, &source, commit).await?,
        false => None,
    };
    let shape = Shape {
        source: &source,
        paths: &wanted.paths,
        moves,
        settings,
    };
    for session in wanted.sessions.iter().copied().filter(is_new) {
        add.push(carry(folds, session, &shape).await?);
    }
    Ok(Change { add, drop })
}

/// The nearest ancestor that has a report.
async fn find_source(conn: &mut Conn, commit: &Commit) -> Result<Option<Commit>> {
    let parents = list_parents(conn, commit.repo_id, &commit.sha, None, ANCESTORS).await?;
    let has_report = |commit: &Commit| {
        matches!(
            commit.state,
            Some(CommitState::Complete | CommitState::Skipped)
        )
    };
    Ok(parents.into_iter().find(has_report))
}

/// The sessions of a source that are carried, and of which paths.
struct Wanted<'a> {
    sessions: Vec<&'a UploadPack>,
    paths: PathPatterns,
}

impl<'a> Wanted<'a> {
    fn new(
        settings: &Settings,
        sessions: &'a [UploadPack],
        deleted: &HashSet<String>,
        replaced: &[String],
    ) -> Wanted<'a> {
        let flags = carried_flags(sessions.iter().map(|session| &session.flags[..]), |flag| {
            settings.carries_forward(flag) && !deleted.contains(flag)
        });
        let paths = carried_paths(flags.iter().map(|flag| settings.carried_paths(flag)));
        let sessions = sessions.iter().filter(|session| {
            has_any(&session.flags, &flags) && !has_any(&session.flags, replaced)
        });
        Wanted {
            sessions: sessions.collect(),
            paths: PathPatterns::new(&paths),
        }
    }

    fn has(&self, id: UploadId) -> bool {
        self.sessions.iter().any(|session| session.upload_id == id)
    }
}

/// The diff along which lines move, where somebody has told it.
async fn find_moves(
    conn: &mut Conn,
    blobs: &dyn Blobs,
    source: &Commit,
    commit: &Commit,
) -> Result<Option<Diff>> {
    match find_diff(conn, commit.repo_id, &source.sha, &commit.sha).await? {
        Some(stored) => read_diff(blobs, &stored).await.map(Some),
        None => Ok(None),
    }
}

/// How sessions are carried.
struct Shape<'a> {
    source: &'a Commit,
    paths: &'a PathPatterns,
    moves: Option<Diff>,
    settings: &'a Settings,
}

impl Shape<'_> {
    /// The change of a file that both commits have under this path, if its lines move.
    fn moves_of(&self, path: &str) -> Option<&FileDiff> {
        let file = self.moves.as_ref()?.find(path)?;
        let stays = file.change == engine::diff::Change::Modified && file.renamed_from.is_none();
        Some(file).filter(|file| stays && !file.hunks.is_empty())
    }
}

/// One session as it is carried. Only one that changes becomes a pack of its own.
async fn carry(folds: &Folds, session: &UploadPack, shape: &Shape<'_>) -> Result<CarriedUpload> {
    let whole = PackSet::from_iter([session.pack.parse()?]);
    let header = folds.report(&whole).await?;
    let kept = header
        .files
        .iter()
        .filter(|file| shape.paths.includes(&file.path));
    let kept: Vec<_> = kept.cloned().collect();
    let moves = kept.iter().any(|file| shape.moves_of(&file.path).is_some());
    let (pack, totals) = if kept.len() == header.files.len() && !moves {
        (session.pack.clone(), header.totals())
    } else {
        let files = folds.files(&whole, kept.clone()).await?;
        let moved = kept.into_iter().zip(files).map(|(entry, file)| {
            let file = match shape.moves_of(&entry.path) {
                Some(change) => shift_lines(&file, &change.segments()),
                None => file,
            };
            (entry.path, file)
        });
        let pack = pack::encode(&moved.collect::<Vec<_>>(), 1)?;
        let made = (pack.name().to_string(), pack.header().totals());
        folds.store(pack).await?;
        made
    };
    Ok(CarriedUpload {
        source: session.upload_id,
        from_sha: shape.source.sha.clone(),
        name: carried_name(session.name.as_deref()),
        pack,
        totals: serde_json::to_string(&totals).map_err(|e| Error::invalid("totals", e))?,
        joined: shape.settings.joins(&session.flags),
    })
}
