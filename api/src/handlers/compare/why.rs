//! Why the numbers of a comparison are what they are: reason codes for programs and people.

use std::collections::{BTreeMap, BTreeSet};

use engine::compare::{Cause, Session, causes};
use engine::db::uploads::UploadPack;
use serde::Serialize;
use utoipa::ToSchema;

use super::asked::Pair;
use super::made::Compared;
use super::rows::names;
use crate::app::App;
use crate::error::Result;

/// Files with indirect changes whose causes are told, at most.
const FILES_MAX: usize = 50;
/// Look-ups of what one upload says of one file, at most, for a whole comparison.
const LOOKUPS_MAX: usize = 4_000;

/// Why the numbers are what they are.
#[derive(Serialize, ToSchema)]
pub(super) struct Reasons {
    /// Which base was chosen.
    base: BaseReason,
    /// What is known of the lines that differ.
    diff: DiffReason,
    /// How many uploads each report has.
    uploads: UploadCounts,
    /// Uploads that base has and head lacks, or has only from an earlier commit.
    missing_uploads: Vec<MissingUpload>,
    /// How many files have changes that the diff does not name.
    indirect_files: usize,
    /// The causes of those changes, for the first files that have any.
    indirect: Vec<IndirectReason>,
}

/// Which base was chosen, and by which rule.
#[derive(Serialize, ToSchema)]
struct BaseReason {
    /// Its hash.
    sha: String,
    /// `explicit`, `branch_head`, `user_provided`, `pull_base`, `stand_in` or `ancestor`.
    rule: &'static str,
    /// The hash of the commit that it stands in for.
    stands_in_for: Option<String>,
    /// Whether its lines were moved to where that commit has them.
    is_shifted: bool,
    /// `no_base_report` if it has no report.
    code: Option<&'static str>,
}

/// What is known of the lines that differ.
#[derive(Serialize, ToSchema)]
struct DiffReason {
    /// `provider` or `client`; null without a diff.
    source: Option<String>,
    /// BLAKE3 of its text.
    hash: Option<String>,
    /// `no_diff` if nobody told: lines are compared by their numbers then.
    code: Option<&'static str>,
}

/// How many uploads each report has.
#[derive(Serialize, ToSchema)]
struct UploadCounts {
    base: usize,
    head: usize,
}

/// An upload of base that head does not have.
#[derive(Serialize, ToSchema)]
struct MissingUpload {
    /// `upload_missing`, or `flag_carried` if head has it from an earlier commit.
    code: &'static str,
    /// Its flags.
    flags: Vec<String>,
    /// The uploader's name for it.
    name: Option<String>,
}

/// Why lines of a file changed that the diff does not name.
#[derive(Serialize, ToSchema)]
struct IndirectReason {
    /// The file.
    path: String,
    /// Lines by cause: `upload_missing`, `flag_carried`, `upload_added`, `session_differs` or `no_diff`.
    lines: BTreeMap<&'static str, u64>,
}

impl Reasons {
    /// The reasons of a comparison; reads what the uploads say of some files.
    pub(super) async fn new(app: &App, pair: &Pair, compared: &Compared) -> Result<Reasons> {
        let changed = compared.comparison.files.iter();
        let changed: Vec<String> = changed
            .filter(|file| !file.lines.indirect.is_empty())
            .map(|file| file.path.clone())
            .collect();
        let uploads = pair.base_uploads.len() + pair.head_uploads.len();
        let most = FILES_MAX.min(LOOKUPS_MAX / uploads.max(1));
        let shown = &changed[..changed.len().min(most)];
        let found = causes_of(app, pair, compared, shown).await?;
        let indirect = shown.iter().zip(found).map(|(path, causes)| {
            let mut lines = BTreeMap::new();
            for (_, cause) in causes {
                *lines.entry(cause.as_str()).or_default() += 1;
            }
            IndirectReason {
                path: path.clone(),
                lines,
            }
        });
        Ok(Reasons {
            base: BaseReason {
                sha: pair.base.sha.clone(),
                rule: pair.rule.as_str(),
                stands_in_for: pair.named.clone(),
                is_shifted: pair.shift.is_some(),
                code: pair.base_uploads.is_empty().then_some("no_base_report"),
            },
            diff: DiffReason {
                source: pair.diff.stored().map(|diff| diff.source.to_string()),
                hash: pair.diff.stored().map(|diff| diff.hash.clone()),
                code: (!pair.diff.is_known()).then_some("no_diff"),
            },
            uploads: UploadCounts {
                base: pair.base_uploads.len(),
                head: pair.head_uploads.len(),
            },
            missing_uploads: missing_uploads(pair),
            indirect_files: changed.len(),
            indirect: indirect.collect(),
        })
    }
}

fn missing_uploads(pair: &Pair) -> Vec<MissingUpload> {
    let keys = |sent_only: bool| -> BTreeSet<String> {
        let uploads = pair.head_uploads.iter();
        let wanted = uploads.filter(|upload| !sent_only || upload.source.is_none());
        wanted.map(key).collect()
    };
    let (sent, all) = (keys(true), keys(false));
    let base: BTreeMap<String, &UploadPack> = pair
        .base_uploads
        .iter()
        .map(|upload| (key(upload), upload))
        .collect();
    let missing = base.into_iter().filter(|(key, _)| !sent.contains(key));
    let missing = missing.map(|(key, upload)| MissingUpload {
        code: match all.contains(&key) {
            true => Cause::FlagCarried.as_str(),
            false => Cause::UploadMissing.as_str(),
        },
        flags: upload.flags.clone(),
        name: upload.name.clone(),
    });
    missing.collect()
}

/// What an upload is known by from commit to commit: its flags, or its name where it has none.
fn key(upload: &UploadPack) -> String {
    match (&upload.flags[..], &upload.name) {
        ([], Some(name)) => format!("name {name}"),
        (flags, _) => flags.join(","),
    }
}

/// For each of these files of head, the lines of head that changed though the diff does not name them, with the
/// cause.
pub(super) async fn causes_of(
    app: &App,
    pair: &Pair,
    compared: &Compared,
    paths: &[String],
) -> Result<Vec<Vec<(u32, Cause)>>> {
    if !pair.diff.is_known() {
        let unknown = |path: &String| {
            let changes = compared.changes(path).map(|file| &file.lines.indirect);
            let lines = changes.into_iter().flatten();
            lines
                .map(|change| (change.head_line, Cause::NoDiff))
                .collect()
        };
        return Ok(paths.iter().map(unknown).collect());
    }
    let base_paths: Vec<String> = paths
        .iter()
        .map(|path| {
            compared
                .base_entry(path)
                .map_or(path.as_str(), |(base, _)| base)
                .to_owned()
        })
        .collect();
    let mut base = sessions(app, &pair.base_uploads, &base_paths).await?;
    let head = sessions(app, &pair.head_uploads, paths).await?;
    for (path, sessions) in paths.iter().zip(&mut base) {
        for session in sessions {
            session.file = compared.moved(path, &session.file);
        }
    }
    let found = paths
        .iter()
        .zip(base.iter().zip(&head))
        .map(|(path, (base, head))| {
            let Some(file) = compared.changes(path) else {
                return Vec::new();
            };
            let lines = file.lines.indirect.iter().map(|change| change.head_line);
            lines
                .zip(causes(&file.lines.indirect, base, head))
                .collect()
        });
    Ok(found.collect())
}

/// For each file, what each upload says of it.
async fn sessions(
    app: &App,
    uploads: &[UploadPack],
    paths: &[String],
) -> engine::Result<Vec<Vec<Session>>> {
    let mut sessions: Vec<Vec<Session>> = paths.iter().map(|_| Vec::new()).collect();
    let said = app.folds.said(&names(uploads)?, paths).await?;
    for (upload, said) in uploads.iter().zip(said) {
        for (sessions, file) in sessions.iter_mut().zip(said) {
            sessions.extend(file.map(|file| Session {
                key: key(upload),
                is_carried: upload.source.is_some(),
                file,
            }));
        }
    }
    Ok(sessions)
}
