//! Single lines: which uploads say what of each, and when a line gained or lost coverage.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use engine::db::commits::{Commit, CommitFilter, find_commit, list_commits};
use engine::db::diffs::find_diff;
use engine::db::repos::Repo;
use engine::db::uploads::{UploadPack, list_external_ids, list_packs};
use engine::db::{Conn, Key, Part, Place, Side};
use engine::diff::Diff;
use engine::flag_expr::FlagExpr;
use engine::fold::PackSet;
use engine::id::UploadId;
use engine::model::{FileCoverage, State as LineState};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::commits::readable_commit;
use super::rest::params::Params;
use super::rest::report::code;
use super::rest::{CommitKey, Detail, RepoKey};
use crate::app::App;
use crate::auth::viewer::Viewer;
use crate::diffs;
use crate::error::{Error, Result};
use crate::middleware::base::BaseUrl;
use crate::times::iso;

/// Uploads whose evidence one answer looks into.
const UPLOADS_MAX: usize = 1_000;
/// What a path keeps of its spelling in a URL.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'.')
    .remove(b'-')
    .remove(b'_');
/// Commits that one answer walks back, at most and unless asked.
const COMMITS_MAX: i64 = 500;
const COMMITS_USUAL: i64 = 100;
/// A walk that takes longer ends where it is.
const WALK_MAX: Duration = Duration::from_millis(2000);

/// Names a file of a commit.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct PathKey {
    /// The file's path in the repository.
    pub path: String,
}

/// Which lines to tell of.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ProvenanceQuery {
    /// Only lines for whose hits this holds: flags with `and`, `or`, `not` and parentheses, as `unit and not e2e`.
    #[param(nullable = false)]
    pub expr: Option<String>,
}

/// Which uploads say what of a file's lines.
#[derive(Serialize, ToSchema)]
pub struct ProvenanceBody {
    /// The file.
    pub path: String,
    /// The commit.
    pub commit_sha: String,
    /// The uploads that speak of the file; lines name them by their place here.
    pub uploads: Vec<SpeakingUpload>,
    /// The lines, ascending.
    pub lines: Vec<ProvenLine>,
}

/// An upload that speaks of a file.
#[derive(Serialize, ToSchema)]
pub struct SpeakingUpload {
    /// The id by which the uploader knows it.
    pub upload: String,
    /// Its name.
    pub name: Option<String>,
    /// Its flags.
    pub flags: Vec<String>,
}

/// What uploads say of a line.
#[derive(Serialize, ToSchema)]
pub struct ProvenLine {
    /// Its number.
    pub line: u32,
    /// Its coverage in the whole report: 0 a hit, 1 a miss, 2 a partial, -1 ignored, or null.
    pub coverage: Option<i8>,
    /// Uploads in which it ran, also in part.
    pub hit_by: Vec<usize>,
    /// Uploads that know it, and in which it did not run.
    pub missed_by: Vec<usize>,
    /// Flags of the uploads in which it ran.
    pub flags: BTreeSet<String>,
}

/// `GET …/commits/{sha}/lines/{path}`: which uploads and flags hit each line of a file.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/commits/{sha}/lines/{path}", tag = "commits",
    params(CommitKey, PathKey, ProvenanceQuery),
    responses((status = 200, body = ProvenanceBody), (status = 400, description = "expr is no question about flags"),
        (status = 404, body = Detail)))]
pub async fn get_provenance(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<CommitKey>,
    Path(PathKey { path }): Path<PathKey>,
    params: Params,
) -> Result<Json<ProvenanceBody>> {
    let query = ProvenanceQuery {
        expr: params.text("expr"),
    };
    let expression = query.expr.as_deref().map(FlagExpr::parse).transpose();
    let expression = expression.map_err(|error| Error::Field("expr".into(), error.to_string()))?;
    let (mut conn, _, commit) = readable_commit(&app, viewer, &key).await?;
    let packs = list_packs(&mut conn, commit.id).await?;
    let (first, last) = (UploadId(0), UploadId(i64::MAX));
    let names = list_external_ids(&mut conn, commit.id, first, last).await?;
    drop(conn);
    if packs.len() > UPLOADS_MAX {
        let detail = format!(
            "The commit has {} uploads; at most {UPLOADS_MAX} are looked into.",
            packs.len()
        );
        return Err(Error::List(detail));
    }
    let whole = app.folds.file(&PackSet::of_uploads(&packs)?, &path).await?;
    let whole = whole
        .ok_or_else(|| Error::not_found(format!("coverage info not found for path '{path}'")))?;
    let said = said_by_each(&app, &packs, &path).await?;
    let lines = prove(&whole, &said, expression.as_ref());
    let uploads = said.into_iter().map(|(upload, _)| SpeakingUpload {
        upload: names.get(&upload.upload_id).cloned().unwrap_or_default(),
        name: upload.name.clone(),
        flags: upload.flags.clone(),
    });
    Ok(Json(ProvenanceBody {
        path,
        commit_sha: commit.sha,
        uploads: uploads.collect(),
        lines,
    }))
}

/// What each upload that speaks of the file says of it.
async fn said_by_each<'a>(
    app: &App,
    uploads: &'a [UploadPack],
    path: &str,
) -> Result<Vec<(&'a UploadPack, FileCoverage)>> {
    let mut said = Vec::new();
    for upload in uploads {
        let alone: PackSet = std::iter::once(upload.pack.parse()?).collect();
        if let Some(file) = app.folds.file(&alone, path).await? {
            said.push((upload, file));
        }
    }
    Ok(said)
}

/// Reads the uploads' lines side by side with those of the whole report. Linear in all of them.
fn prove(
    whole: &FileCoverage,
    said: &[(&UploadPack, FileCoverage)],
    expression: Option<&FlagExpr>,
) -> Vec<ProvenLine> {
    let mut sides: Vec<_> = said
        .iter()
        .map(|(_, file)| file.rows().peekable())
        .collect();
    let mut lines = Vec::with_capacity(whole.len());
    for (line, row) in whole.rows() {
        let mut proven = ProvenLine {
            line,
            coverage: code(row.coverage()),
            hit_by: Vec::new(),
            missed_by: Vec::new(),
            flags: BTreeSet::new(),
        };
        for (at, side) in sides.iter_mut().enumerate() {
            while side.next_if(|(own, _)| *own < line).is_some() {}
            let Some((_, own)) = side.next_if(|(own, _)| *own == line) else {
                continue;
            };
            match own.coverage().state() {
                None => {}
                Some(LineState::Miss) => proven.missed_by.push(at),
                Some(LineState::Hit | LineState::Partial) => {
                    proven.hit_by.push(at);
                    proven.flags.extend(said[at].0.flags.iter().cloned());
                }
            }
        }
        if expression.is_none_or(|expression| expression.holds(|flag| proven.flags.contains(flag)))
        {
            lines.push(proven);
        }
    }
    lines
}

/// Names a line.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct LineKey {
    /// The file's path in the repository.
    pub path: String,
    /// The line's number.
    #[param(minimum = 1)]
    pub line: u32,
}

/// How far to look back.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// The branch; without one, the repository's default branch.
    #[param(nullable = false)]
    pub branch: Option<String>,
    /// How many commits to look at, at most 500.
    #[param(default = 100, minimum = 1, maximum = 500, nullable = false)]
    pub limit: Option<i64>,
    /// The commit to begin with, which is of the branch.
    #[param(nullable = false)]
    pub from: Option<String>,
    /// The newer commit that the first one is compared with; path and line are those of this one then.
    #[param(nullable = false)]
    pub after: Option<String>,
}

/// When a line gained or lost coverage. It is followed to older commits along the diffs that are known here; where none
/// is known between two commits, it keeps its path and number.
#[derive(Serialize, ToSchema)]
pub struct HistoryBody {
    /// The file in the newest commit.
    pub path: String,
    /// The line in the newest commit.
    pub line: u32,
    /// The branch.
    pub branch: String,
    /// Commits with a report that were looked at.
    pub walked: u64,
    /// What changed, newest first.
    pub changes: Vec<LineChange>,
    /// The coverage in the oldest commit that was looked at.
    pub oldest: Option<i8>,
    /// The address to go on with; null where the line or the branch begins.
    pub next: Option<String>,
}

/// A commit whose report says something else of the line than the one before.
#[derive(Serialize, ToSchema)]
pub struct LineChange {
    /// The commit.
    pub commit_sha: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub timestamp: String,
    /// The file in this commit.
    pub path: String,
    /// The line in this commit.
    pub line: u32,
    /// The coverage before: 0 a hit, 1 a miss, 2 a partial, -1 ignored; null where the line was not known.
    pub before: Option<i8>,
    /// The coverage since.
    pub after: Option<i8>,
    /// `added` where the commit's diff adds the line, `gained` where it was no hit and became one, `lost` the other way,
    /// else `changed`.
    pub kind: &'static str,
}

/// `GET …/lines/{path}/{line}/history`: when a line gained or lost coverage along a branch.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/lines/{path}/{line}/history", tag = "reports",
    params(RepoKey, LineKey, HistoryQuery),
    responses((status = 200, body = HistoryBody), (status = 400, description = "a parameter is no number"),
        (status = 404, body = Detail)))]
pub async fn get_history(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<RepoKey>,
    Path(Rest { rest }): Path<Rest>,
    params: Params,
    base: BaseUrl,
) -> Result<Json<HistoryBody>> {
    let LineKey { path, line } = line_of(&rest)?;
    let query = HistoryQuery {
        branch: params.text("branch"),
        limit: params.number("limit")?,
        from: params.text("from"),
        after: params.text("after"),
    };
    let (mut conn, _, repo) = viewer
        .readable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    let limit = query.limit.unwrap_or(COMMITS_USUAL).clamp(1, COMMITS_MAX);
    let branch = query.branch.unwrap_or_else(|| repo.default_branch.clone());
    let commits = commits_from(&mut conn, &repo, &branch, query.from.as_deref(), limit + 1).await?;
    let mut walk = Walk::new(&path, line);
    let newer = match &query.after {
        Some(sha) => {
            let newer = find_commit(&mut conn, repo.id, sha).await?;
            Some(newer.ok_or_else(|| unknown(sha))?)
        }
        None => None,
    };
    drop(conn); // Who holds one connection must not wait for another.
    if let Some(newer) = newer {
        walk.look(&app, newer).await?;
        walk.walked = 0;
    }
    let until = Instant::now() + WALK_MAX;
    let mut next = None;
    for (looked, commit) in (0..).zip(commits) {
        if looked == limit || (looked > 0 && Instant::now() > until) {
            let place = [
                ("branch", &*branch),
                ("limit", &limit.to_string()),
                ("from", &commit.sha),
            ];
            next = Some(walk.address(&base, &key, &place));
            break;
        }
        if !walk.look(&app, commit).await? {
            break;
        }
    }
    Ok(Json(HistoryBody {
        path,
        line,
        branch,
        walked: walk.walked,
        oldest: walk.newer.and_then(|(_, coverage)| coverage),
        changes: walk.changes,
        next,
    }))
}

/// What follows `lines/`.
#[derive(Deserialize)]
pub struct Rest {
    rest: String,
}

/// Takes `{path}/{line}/history` apart.
fn line_of(rest: &str) -> Result<LineKey> {
    let parts = || {
        let (path, line) = rest.strip_suffix("/history")?.rsplit_once('/')?;
        let line: u32 = line.parse().ok().filter(|line| *line > 0)?;
        Some(LineKey {
            path: path.to_owned(),
            line,
        })
    };
    parts().ok_or_else(|| Error::not_found("Not found."))
}

fn unknown(sha: &str) -> Error {
    Error::not_found(format!(
        "The commit {sha} is not in our records. Please specify valid commit."
    ))
}

/// The branch's commits, newest first, from that one on.
async fn commits_from(
    conn: &mut Conn,
    repo: &Repo,
    branch: &str,
    from: Option<&str>,
    limit: i64,
) -> Result<Vec<Commit>> {
    let filter = CommitFilter {
        branch: Some(branch.to_owned()),
        ..CommitFilter::default()
    };
    let mut commits = Vec::new();
    let mut place = None;
    if let Some(sha) = from {
        let first = find_commit(conn, repo.id, sha).await?;
        let first = first.filter(|commit| commit.branch.as_deref() == Some(branch));
        let first = first.ok_or_else(|| unknown(sha))?;
        place = Some(Place {
            side: Side::After,
            key: vec![Key::Int(first.timestamp_us), Key::Int(first.id.0)],
        });
        commits.push(first);
    }
    let limit = limit - commits.len() as i64;
    let part = Part::Beside { limit, from: place };
    let listed = list_commits(conn, repo.id, &filter, part).await?;
    commits.extend(listed.rows);
    Ok(commits)
}

/// A walk from newer commits to older ones.
struct Walk {
    /// Commits with a report that were looked at.
    walked: u64,
    /// Where the line is in the commit that was looked at last.
    path: String,
    line: u32,
    /// The commit that was looked at last, and what it says of the line.
    newer: Option<(Commit, Option<i8>)>,
    changes: Vec<LineChange>,
}

impl Walk {
    fn new(path: &str, line: u32) -> Walk {
        Walk {
            walked: 0,
            path: path.to_owned(),
            line,
            newer: None,
            changes: Vec::new(),
        }
    }

    /// Looks at an older commit, and tells whether older ones may have the line. One without a report says nothing.
    async fn look(&mut self, app: &App, commit: Commit) -> Result<bool> {
        let mut conn = app.db.read().await?;
        let packs = list_packs(&mut conn, commit.id).await?;
        if packs.is_empty() {
            return Ok(true);
        }
        let known = match &self.newer {
            Some((newer, _)) => {
                find_diff(&mut conn, commit.repo_id, &commit.sha, &newer.sha).await?
            }
            None => None,
        };
        drop(conn);
        let (path, line) = (self.path.clone(), self.line);
        if let Some(diff) = known
            && self.follow(&*diffs::read(app, &diff).await?).is_break()
        {
            self.change(None, path, line, "added");
            return Ok(false);
        }
        let packs = PackSet::of_uploads(&packs)?;
        let file = app.folds.file(&packs, &self.path).await?;
        let coverage = file.and_then(|file| {
            let mut rows = file.rows();
            rows.find(|(own, _)| *own == self.line)
                .and_then(|(_, row)| code(row.coverage()))
        });
        self.walked += 1;
        let after = self.newer.as_ref().map(|(_, after)| *after);
        match (coverage, after) {
            (_, None) => {}
            (before, Some(after)) if before == after => {}
            (_, Some(Some(0))) => self.change(coverage, path, line, "gained"),
            (Some(0), _) => self.change(coverage, path, line, "lost"),
            _ => self.change(coverage, path, line, "changed"),
        }
        self.newer = Some((commit, coverage));
        Ok(true)
    }

    /// Goes to where the line was before a diff; breaks if the diff adds it.
    fn follow(&mut self, diff: &Diff) -> ControlFlow<()> {
        let Some(file) = diff.find(&self.path) else {
            return ControlFlow::Continue(());
        };
        match (file.base_path(), file.line_in_base(self.line)) {
            (Some(path), Some(line)) => {
                self.line = line;
                self.path = path.to_owned();
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Break(()),
        }
    }

    /// Notes that the commit that was looked at last says something else of the line than the one before.
    fn change(&mut self, before: Option<i8>, path: String, line: u32, kind: &'static str) {
        let Some((newer, after)) = &self.newer else {
            return;
        };
        self.changes.push(LineChange {
            commit_sha: newer.sha.clone(),
            timestamp: iso(newer.timestamp_us),
            path,
            line,
            before,
            after: *after,
            kind,
        });
    }

    /// Where the walk goes on, from such a place on.
    fn address(&self, base: &BaseUrl, key: &RepoKey, place: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(place);
        if let Some((newer, _)) = &self.newer {
            query.append_pair("after", &newer.sha);
        }
        let RepoKey {
            service,
            owner,
            repo,
        } = key;
        let path = utf8_percent_encode(&self.path, IN_PATH);
        let (base, line, query) = (&base.0, self.line, query.finish());
        format!("{base}/api/v2/{service}/{owner}/repos/{repo}/lines/{path}/{line}/history?{query}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_a_line_may_hold_numbers_and_the_word_history() {
        let key = line_of("src/12/history/a.c/7/history").unwrap();
        assert_eq!((&*key.path, key.line), ("src/12/history/a.c", 7));
        for wrong in [
            "a.c/history",
            "a.c/0/history",
            "a.c/x/history",
            "a.c/7",
            "7/history",
        ] {
            assert!(line_of(wrong).is_err(), "{wrong}");
        }
    }
}
