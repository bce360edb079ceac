//! The shapes of the answers.

use std::collections::HashMap;

use engine::compare::{Cause, FileComparison, Line, all_lines, excerpts, state_changes};
use engine::diff::{Change, Side};
use engine::model::Totals;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::commits::CommitBody;
use super::super::rest::report::code;
use super::super::rest::totals::ReportTotals;
use super::asked::Pair;
use super::made::Compared;
use super::why::Reasons;
use crate::app::App;
use crate::diffs::GitCommit;
use crate::error::Result;

/// The comparison of two commits.
#[derive(Serialize, ToSchema)]
pub(super) struct CompareBody {
    /// The hash of the commit that is compared with.
    base_commit: String,
    /// The hash of the commit that is compared.
    head_commit: String,
    /// Counts of both reports and of the lines that the diff adds.
    totals: TotalsBody,
    /// The known commits from head down to base.
    commit_uploads: Vec<CommitBody>,
    /// What git says of the difference.
    diff: DiffBody,
    /// The files of the head report, by path.
    #[schema(value_type = Vec<FileBody>)]
    files: [(); 0],
    /// Paths of the diff that neither report has.
    untracked: Vec<String>,
    /// Why the numbers are what they are.
    reasons: Reasons,
}

/// Counts in base, in head, and of the lines that the diff adds; each null if unknown.
#[derive(Serialize, ToSchema)]
pub(super) struct TotalsBody {
    base: Option<ReportTotals>,
    head: Option<ReportTotals>,
    patch: Option<ReportTotals>,
}

impl TotalsBody {
    fn new(base: Option<Totals>, head: Option<Totals>, patch: Option<Totals>) -> TotalsBody {
        TotalsBody {
            base: base.map(Into::into),
            head: head.map(Into::into),
            patch: patch.map(Into::into),
        }
    }
}

impl Compared {
    /// Counts of the whole reports.
    pub(super) fn all_totals(&self, pair: &Pair) -> TotalsBody {
        let patch = pair.diff.is_known().then_some(self.comparison.patch);
        TotalsBody::new(self.base_totals, Some(self.head_totals), patch)
    }
}

/// What git says of the difference.
#[derive(Serialize, ToSchema)]
struct DiffBody {
    /// The commits from head down to base.
    git_commits: Vec<GitCommit>,
}

impl CompareBody {
    pub(super) async fn new(app: &App, pair: &Pair, compared: &Compared) -> Result<CompareBody> {
        Ok(CompareBody {
            base_commit: pair.base.sha.clone(),
            head_commit: pair.head.sha.clone(),
            totals: compared.all_totals(pair),
            commit_uploads: pair.commits.clone(),
            diff: DiffBody {
                git_commits: pair.git_commits.clone(),
            },
            files: [],
            untracked: compared.untracked().into_iter().map(Into::into).collect(),
            reasons: Reasons::new(app, pair, compared).await?,
        })
    }
}

/// One file of a comparison.
#[derive(Serialize, ToSchema)]
pub(super) struct FileBody {
    /// Its paths.
    name: NameBody,
    /// Its counts.
    totals: TotalsBody,
    /// Whether the diff names it.
    has_diff: bool,
    /// How many lines the diff adds and removes; null if it does not name the file.
    stats: Option<StatsBody>,
    /// How many shared lines of each state there are more or fewer than before.
    change_summary: SummaryBody,
    /// The lines of the diff's hunks; in `file/`, all.
    lines: Vec<LineBody>,
}

/// The paths of a file; null where the report does not have it.
#[derive(Serialize, ToSchema)]
struct NameBody {
    base: Option<String>,
    head: Option<String>,
}

/// How many lines a diff adds and removes.
#[derive(Serialize, ToSchema)]
struct StatsBody {
    added: usize,
    removed: usize,
}

/// Signed changes of counts; those that nothing touches are absent.
#[derive(Default, Serialize, ToSchema)]
struct SummaryBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    hits: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    misses: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partials: Option<i64>,
}

impl FileBody {
    pub(super) fn new(
        compared: &Compared,
        path: &str,
        head: Totals,
        lines: Vec<LineBody>,
    ) -> FileBody {
        let base = compared.base_entry(path);
        let edits = compared.edits(path);
        let stats = edits.map(|file| {
            let (added, removed) = file.stats();
            StatsBody { added, removed }
        });
        let [hits, misses, partials] = compared
            .changes(path)
            .map_or([None; 3], |file| state_changes(&file.lines));
        FileBody {
            name: NameBody {
                base: base.map(|(path, _)| path.to_owned()),
                head: Some(path.to_owned()),
            },
            totals: TotalsBody::new(
                base.map(|(_, totals)| totals),
                Some(head),
                compared.patch(path),
            ),
            has_diff: edits.is_some(),
            stats,
            change_summary: SummaryBody {
                hits,
                misses,
                partials,
            },
            lines,
        }
    }
}

/// One line, as both commits have it.
#[derive(Serialize, ToSchema)]
pub(super) struct LineBody {
    /// Its text; in a hunk of the diff, behind `+`, `-` or a blank. Empty where nobody told it.
    value: String,
    /// Its numbers; null where the commit does not have it.
    number: SidesBody<u32>,
    /// Its coverage: 0 for a hit, 1 a miss, 2 a partial, -1 ignored, or null.
    coverage: SidesBody<i8>,
    /// Whether it stands in a hunk of the diff.
    is_diff: bool,
    /// Whether only head has it.
    added: bool,
    /// Whether only base has it.
    removed: bool,
    /// Uploads of head that hit it; null for none.
    sessions: Option<u32>,
    /// Why a line that both commits have is covered otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
}

/// Something of base and of head.
#[derive(Serialize, ToSchema)]
struct SidesBody<T> {
    base: Option<T>,
    head: Option<T>,
}

impl LineBody {
    /// A line, with the numbers of uploads by line of head and the causes of changes by the same.
    pub(super) fn new(
        line: &Line<'_>,
        sessions: &HashMap<u32, u32>,
        causes: &HashMap<u32, Cause>,
    ) -> LineBody {
        let mark = match line.side {
            None => "",
            Some(Side::Both) => " ",
            Some(Side::Head) => "+",
            Some(Side::Base) => "-",
        };
        let of_head = |head: u32| sessions.get(&head).copied();
        let is_shared = line.base.is_some() && line.head.is_some();
        let cause = line
            .head
            .filter(|_| is_shared)
            .and_then(|head| causes.get(&head));
        LineBody {
            value: format!("{mark}{}", line.text.unwrap_or_default()),
            number: SidesBody {
                base: line.base,
                head: line.head,
            },
            coverage: SidesBody {
                base: line.base_coverage.and_then(code),
                head: line.head_coverage.and_then(code),
            },
            is_diff: line.side.is_some(),
            added: line.is_added(),
            removed: line.is_removed(),
            sessions: line.head.and_then(of_head),
            cause: cause.map(|cause| cause.as_str()),
        }
    }
}

/// The parts of a file that differ.
#[derive(Serialize, ToSchema)]
pub(super) struct SegmentsBody {
    /// In order.
    segments: Vec<SegmentBody>,
}

/// A part of a file that differs, with three lines before and behind.
#[derive(Serialize, ToSchema)]
struct SegmentBody {
    /// First line and number of lines in base and in head, as `-4,43 +4,3`.
    header: String,
    /// Whether a line that both commits have is covered otherwise.
    has_unintended_changes: bool,
    /// Its lines.
    lines: Vec<SegmentLine>,
}

/// One line of such a part.
#[derive(Serialize, ToSchema)]
struct SegmentLine {
    /// Its number in base.
    base_number: Option<u32>,
    /// Its number in head.
    head_number: Option<u32>,
    /// 0 for a hit, 1 a miss, 2 a partial, -1 ignored, or null.
    base_coverage: Option<i8>,
    /// The same in head.
    head_coverage: Option<i8>,
    /// Its text behind a mark and a blank.
    content: String,
}

impl SegmentsBody {
    /// The parts of the file that has this path in head; an unknown one has none.
    pub(super) fn new(
        compared: &Compared,
        path: &str,
        source: Option<&str>,
    ) -> Result<SegmentsBody> {
        let (base, head) = match compared.head_entry(path) {
            Some(_) => compared.evidence(path)?,
            None => {
                return Ok(SegmentsBody {
                    segments: Vec::new(),
                });
            }
        };
        let edits = compared.edits(path).map(|file| (&*compared.diff, file));
        let lines = all_lines(edits, base.as_ref(), head.as_ref(), source);
        let segments = excerpts(&lines).into_iter().map(|part| SegmentBody {
            header: format!(
                "-{},{} +{},{}",
                part.base.0, part.base.1, part.head.0, part.head.1
            ),
            has_unintended_changes: part.has_indirect_changes,
            lines: lines[part.lines].iter().map(SegmentLine::new).collect(),
        });
        Ok(SegmentsBody {
            segments: segments.collect(),
        })
    }
}

impl SegmentLine {
    fn new(line: &Line<'_>) -> SegmentLine {
        let mark = match line.side {
            None => " ",
            Some(Side::Both) => "  ",
            Some(Side::Head) => "+ ",
            Some(Side::Base) => "- ",
        };
        SegmentLine {
            base_number: line.base,
            head_number: line.head,
            base_coverage: line.base_coverage.and_then(code),
            head_coverage: line.head_coverage.and_then(code),
            content: format!("{mark}{}", line.text.unwrap_or_default()),
        }
    }
}

/// A file that the comparison bears on.
#[derive(Serialize, ToSchema)]
pub(super) struct ImpactedFile {
    /// The last part of its path in head.
    file_name: Option<String>,
    /// Its path in base; null if it is new.
    base_name: Option<String>,
    /// Its path in head; null if it was deleted.
    head_name: Option<String>,
    /// Whether the diff adds it.
    is_new_file: bool,
    /// Whether it has another path than before.
    is_renamed_file: bool,
    /// Whether the diff deletes it.
    is_deleted_file: bool,
    /// Its counts in base.
    base_coverage: Option<ExactTotals>,
    /// Its counts in head.
    head_coverage: Option<ExactTotals>,
    /// Counts of the lines that the diff adds; null if none of them counts.
    patch_coverage: Option<ExactTotals>,
    /// Percentage points that it gained; null where a side is missing or 0.
    change_coverage: Option<f64>,
    /// Misses among the lines that the diff adds, and among those that changed though it does not name them.
    misses_count: usize,
}

/// Counts of a file, with the coverage in full.
#[derive(Serialize, ToSchema)]
struct ExactTotals {
    /// Always 0.
    files: u64,
    /// Counted lines.
    lines: u64,
    /// Lines of which every part ran.
    hits: u64,
    /// Lines that never ran.
    misses: u64,
    /// Lines that ran in part.
    partials: u64,
    /// Hits of all lines, percent; null without lines.
    coverage: Option<f64>,
    /// Lines with a branch.
    branches: u64,
    /// Lines where a method starts.
    methods: u64,
    /// Always 0.
    messages: u64,
    /// Always 0.
    sessions: u64,
    /// Covered complexity.
    complexity: f64,
    /// Complexity in all.
    complexity_total: f64,
    /// Always 0.
    diff: u8,
}

impl From<Totals> for ExactTotals {
    fn from(t: Totals) -> ExactTotals {
        ExactTotals {
            files: t.files,
            lines: t.lines,
            hits: t.hits,
            misses: t.misses,
            partials: t.partials,
            coverage: t.ratio().map(|ratio| 100.0 * ratio),
            branches: t.branches,
            methods: t.methods,
            messages: 0,
            sessions: t.sessions,
            complexity: t.complexity as f64,
            complexity_total: t.complexity_total as f64,
            diff: 0,
        }
    }
}

impl ImpactedFile {
    /// The files that differ, by path.
    pub(super) fn list(compared: &Compared) -> Vec<ImpactedFile> {
        compared
            .comparison
            .files
            .iter()
            .map(ImpactedFile::new)
            .collect()
    }

    fn new(file: &FileComparison) -> ImpactedFile {
        let is = |change| file.change == Some(change);
        let base_path = || file.base_path.clone().unwrap_or_else(|| file.path.clone());
        let base_name = (!is(Change::New)).then(base_path);
        let head_name = (!is(Change::Deleted)).then(|| file.path.clone());
        let patch = file.lines.patch();
        let percent = |totals: Option<Totals>| totals.and_then(|totals| totals.ratio());
        let change = percent(file.base)
            .filter(|base| *base > 0.0)
            .zip(percent(file.head).filter(|head| *head > 0.0))
            .map(|(base, head)| 100.0 * head - 100.0 * base);
        ImpactedFile {
            file_name: head_name
                .as_deref()
                .map(|path| path.rsplit('/').next().unwrap_or(path).to_owned()),
            is_renamed_file: base_name.is_some() && head_name.is_some() && base_name != head_name,
            base_name,
            head_name,
            is_new_file: is(Change::New),
            is_deleted_file: is(Change::Deleted),
            base_coverage: file.base.map(Into::into),
            head_coverage: file.head.map(Into::into),
            patch_coverage: (patch.lines > 0).then(|| patch.into()),
            change_coverage: change,
            misses_count: file.lines.misses(),
        }
    }
}
