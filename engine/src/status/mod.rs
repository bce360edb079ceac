//! Statuses: whether a commit's coverage is good enough, by the rules of its codecov.yml.
//!
//! The rules are values, and so is what they are applied to: a server that posts statuses and a command that ends
//! with an exit code give the same verdicts. Source: Codecov's reference of commit statuses.

mod percent;
mod rules;

pub use percent::{Percent, Rounding};
pub use rules::{Kind, RULES_MAX, RemovedCode, Rule, is_merge_queue, rules};

use crate::compare::FileComparison;
use crate::model::{State, Totals};

/// Characters of a commit's hash that a message shows.
const SHORT_SHA: usize = 7;
/// Head may be below the adjusted base by less than this.
const ADJUSTED_SLACK: Percent = Percent::from_hundred_thousandths(500);

/// What a rule is applied to. Totals are those of the rule's flags and paths; files are those of the whole comparison.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Counts of the head report, if there is one.
    pub head: Option<Totals>,
    /// Counts of the base report, if there is one.
    pub base: Option<Totals>,
    /// Counts of the lines that the diff adds, if there is a diff.
    pub patch: Option<Totals>,
    /// What differs, file by file.
    pub files: &'a [FileComparison],
    /// The base commit, if it is known.
    pub base_sha: Option<&'a str>,
    /// The head commit.
    pub head_sha: &'a str,
    /// How figures are shown.
    pub rounding: Rounding,
}

/// How a status ends, in the providers' words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Good enough.
    Success,
    /// Not good enough.
    Failure,
    /// It could not be told, and the rule asks for this word.
    Error,
    /// It could not be told, and nothing is to be said.
    Ignore,
}

impl Outcome {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Error => "error",
            Outcome::Ignore => "ignore",
        }
    }
}

/// What a rule says of a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// How it ends.
    pub outcome: Outcome,
    /// Why, in one line.
    pub message: String,
}

impl Verdict {
    fn new(outcome: Outcome, message: impl Into<String>) -> Verdict {
        Verdict {
            outcome,
            message: message.into(),
        }
    }
}

/// Applies a rule.
pub fn evaluate(rule: &Rule, facts: &Facts<'_>) -> Verdict {
    match rule.kind {
        Kind::Project => project(rule, facts),
        Kind::Patch => patch(rule, facts),
        Kind::Changes => changes(rule, facts),
    }
}

/// The coverage of the whole report against a target, or against base.
fn project(rule: &Rule, facts: &Facts<'_>) -> Verdict {
    let unknown = |message: &str| Verdict::new(rule.if_not_found, message);
    let Some(head) = facts.head.as_ref().and_then(Percent::of) else {
        return unknown("No coverage information found on head");
    };
    let Some(base_totals) = &facts.base else {
        return unknown("No report found to compare against");
    };
    let Some(base) = Percent::of(base_totals) else {
        return unknown("No coverage information found on base report");
    };
    let target = rule.target.unwrap_or(base);
    let mut message = project_message(rule, facts, head, target);
    if head >= target - rule.threshold {
        return Verdict::new(Outcome::Success, message);
    }
    match excuse(rule, facts, head, base_totals) {
        Some(excuse) => {
            message.push_str(&excuse);
            Verdict::new(Outcome::Success, message)
        }
        None => Verdict::new(Outcome::Failure, message),
    }
}

fn project_message(rule: &Rule, facts: &Facts<'_>, head: Percent, target: Percent) -> String {
    let shown = |percent| facts.rounding.show(percent);
    match rule.target {
        Some(_) => format!("{}% (target {}%)", shown(head), shown(target)),
        None => format!(
            "{}% ({}%) compared to {}",
            shown(head),
            facts.rounding.show_signed(head - target),
            short(facts.base_sha)
        ),
    }
}

/// Why a project status passes all the same: the change only took code away, in the way that the rule accepts.
fn excuse(rule: &Rule, facts: &Facts<'_>, head: Percent, base: &Totals) -> Option<String> {
    match rule.removed_code {
        RemovedCode::Off => None,
        RemovedCode::RemovalsOnly => only_removes(facts.files)
            .then(|| ", passed because this change only removed code".to_owned()),
        RemovedCode::AdjustBase if rule.target.is_some() => None,
        RemovedCode::AdjustBase => {
            let adjusted = adjusted_base(facts.files, base)? - rule.threshold;
            (adjusted - head < ADJUSTED_SLACK).then(|| {
                let gained = (head - adjusted).max(Percent::ZERO);
                let (gained, adjusted) = (facts.rounding.show(gained), facts.rounding.show(adjusted));
                format!(
                    ", passed because coverage increased by {gained}% when compared to adjusted base ({adjusted}%)"
                )
            })
        }
        RemovedCode::FullyCoveredPatch => fully_covered(facts).map(str::to_owned),
    }
}

fn only_removes(files: &[FileComparison]) -> bool {
    let quiet =
        |file: &FileComparison| file.lines.added.is_empty() && file.lines.indirect.is_empty();
    files.iter().all(quiet) && files.iter().any(|file| !file.lines.removed.is_empty())
}

/// What base would be without the lines that the diff removes; `None` if nothing is left.
fn adjusted_base(files: &[FileComparison], base: &Totals) -> Option<Percent> {
    let mut removed = Totals::default();
    for file in files {
        removed += file.lines.removed();
    }
    let hits = base.hits.checked_sub(removed.hits)?;
    let misses = base.misses.checked_sub(removed.misses)?;
    let partials = base.partials.checked_sub(removed.partials)?;
    Percent::of_parts(hits, hits + misses + partials)
}

fn fully_covered(facts: &Facts<'_>) -> Option<&'static str> {
    if facts
        .files
        .iter()
        .any(|file| !file.lines.indirect.is_empty())
    {
        return None;
    }
    match facts.patch {
        Some(patch) if patch.lines > 0 => (patch.hits == patch.lines).then_some(
            ", passed because patch was fully covered by tests, and no indirect coverage changes",
        ),
        _ => Some(", passed because coverage was not affected by patch"),
    }
}

/// The coverage of the lines that the diff adds against a target, or against the whole base report.
fn patch(rule: &Rule, facts: &Facts<'_>) -> Verdict {
    let Some(patch) = facts.patch.as_ref().and_then(Percent::of) else {
        let head = short(Some(facts.head_sha));
        return Verdict::new(
            Outcome::Success,
            match facts.base_sha {
                Some(base) => {
                    let base = short(Some(base));
                    format!("Coverage not affected when comparing {base}...{head}")
                }
                None => "Coverage not affected".to_owned(),
            },
        );
    };
    let base = facts.base.as_ref().and_then(Percent::of);
    let Some(target) = rule.target.or(base) else {
        return Verdict::new(rule.if_not_found, "No report found to compare against");
    };
    let shown = |percent| facts.rounding.show(percent);
    if patch < target && patch >= target - rule.threshold {
        let message = format!(
            "{}% of diff hit (within {}% threshold of {}%)",
            shown(patch),
            shown(rule.threshold),
            shown(target)
        );
        return Verdict::new(Outcome::Success, message);
    }
    let outcome = match patch >= target {
        true => Outcome::Success,
        false => Outcome::Failure,
    };
    let message = format!("{}% of diff hit (target {}%)", shown(patch), shown(target));
    Verdict::new(outcome, message)
}

/// Whether files that the diff does not explain lost coverage.
fn changes(rule: &Rule, facts: &Facts<'_>) -> Verdict {
    if facts.base.is_none() {
        return Verdict::new(rule.if_not_found, "No report found to compare against");
    }
    let worse = facts.files.iter().filter(|file| loses(file)).count();
    let files = match worse {
        0 => {
            return Verdict::new(Outcome::Success, "No indirect coverage changes found");
        }
        1 => "file has",
        _ => "files have",
    };
    let outcome = match rule.informational {
        true => Outcome::Success,
        false => Outcome::Failure,
    };
    let message = format!("{worse} {files} indirect coverage changes not visible in diff");
    Verdict::new(outcome, message)
}

/// Whether more of the lines that both commits share are missed or partly run in head.
fn loses(file: &FileComparison) -> bool {
    let uncovered =
        |state: Option<State>| i64::from(matches!(state, Some(State::Miss | State::Partial)));
    let changes = file.lines.indirect.iter();
    let delta: i64 = changes
        .map(|change| {
            let state = |coverage: Option<crate::model::Coverage>| coverage.and_then(|c| c.state());
            uncovered(state(change.head)) - uncovered(state(change.base))
        })
        .sum();
    file.base.is_some() && file.head.is_some() && delta > 0
}

fn short(sha: Option<&str>) -> &str {
    let sha = sha.unwrap_or_default();
    sha.get(..SHORT_SHA).unwrap_or(sha)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{IndirectChange, LineChanges};
    use crate::model::Coverage;

    const HIT: Coverage = Coverage::Hits(1);
    const MISS: Coverage = Coverage::Hits(0);

    fn totals(hits: u64, misses: u64, partials: u64) -> Totals {
        Totals {
            files: 1,
            lines: hits + misses + partials,
            hits,
            misses,
            partials,
            ..Totals::default()
        }
    }

    fn facts<'a>(head: Option<Totals>, base: Option<Totals>, patch: Option<Totals>) -> Facts<'a> {
        Facts {
            head,
            base,
            patch,
            files: &[],
            base_sha: Some("b123456789"),
            head_sha: "a987654321",
            rounding: Rounding::default(),
        }
    }

    fn rule(kind: Kind) -> Rule {
        Rule {
            kind,
            ..Rule::default()
        }
    }

    fn says(rule: &Rule, facts: &Facts<'_>) -> (Outcome, String) {
        let verdict = evaluate(rule, facts);
        (verdict.outcome, verdict.message)
    }

    fn changed(lines: LineChanges) -> FileComparison {
        FileComparison {
            path: "a.c".into(),
            base_path: Some("a.c".into()),
            change: None,
            base: Some(totals(1, 0, 0)),
            head: Some(totals(1, 0, 0)),
            lines,
        }
    }

    #[test]
    fn project_is_compared_with_base_unless_there_is_a_target() {
        let facts = facts(Some(totals(2, 1, 0)), Some(totals(1, 1, 0)), None);
        let auto = rule(Kind::Project);
        let expected = "66.67% (+16.67%) compared to b123456".to_owned();
        assert_eq!(says(&auto, &facts), (Outcome::Success, expected));
        let custom = Rule {
            target: Some(Percent::from_f64(80.0)),
            ..auto
        };
        let expected = "66.67% (target 80.00%)".to_owned();
        assert_eq!(says(&custom, &facts), (Outcome::Failure, expected.clone()));
        let lenient = Rule {
            threshold: Percent::from_f64(13.4),
            ..custom
        };
        assert_eq!(says(&lenient, &facts), (Outcome::Success, expected));
    }

    #[test]
    fn unknown_coverage_ends_as_the_rule_says() {
        let some = Some(totals(1, 1, 0));
        let strict = Rule {
            if_not_found: Outcome::Failure,
            ..rule(Kind::Project)
        };
        for (head, base, message) in [
            (None, some, "No coverage information found on head"),
            (
                Some(totals(0, 0, 0)),
                some,
                "No coverage information found on head",
            ),
            (some, None, "No report found to compare against"),
            (
                some,
                Some(totals(0, 0, 0)),
                "No coverage information found on base report",
            ),
        ] {
            let facts = facts(head, base, None);
            let (outcome, said) = says(&strict, &facts);
            assert_eq!((outcome, &*said), (Outcome::Failure, message));
            assert_eq!(says(&rule(Kind::Project), &facts).0, Outcome::Success);
        }
    }

    #[test]
    fn patch_is_compared_with_the_whole_base_report() {
        let base = Some(totals(3, 1, 0));
        let of = |hits, misses| facts(None, base, Some(totals(hits, misses, 0)));
        let auto = rule(Kind::Patch);
        let failed = (
            Outcome::Failure,
            "50.00% of diff hit (target 75.00%)".to_owned(),
        );
        assert_eq!(says(&auto, &of(1, 1)), failed);
        let passed = (
            Outcome::Success,
            "100.00% of diff hit (target 75.00%)".to_owned(),
        );
        assert_eq!(says(&auto, &of(1, 0)), passed);
        let lenient = Rule {
            threshold: Percent::from_f64(25.0),
            ..auto.clone()
        };
        let within = "50.00% of diff hit (within 25.00% threshold of 75.00%)".to_owned();
        assert_eq!(says(&lenient, &of(1, 1)), (Outcome::Success, within));
        let untouched = "Coverage not affected when comparing b123456...a987654".to_owned();
        assert_eq!(says(&auto, &of(0, 0)), (Outcome::Success, untouched));
        let alone = Facts {
            base: None,
            base_sha: None,
            ..of(0, 0)
        };
        assert_eq!(says(&auto, &alone).1, "Coverage not affected");
        let unknown = Facts {
            base: None,
            ..of(1, 1)
        };
        assert_eq!(
            says(&auto, &unknown).1,
            "No report found to compare against"
        );
    }

    #[test]
    fn base_is_adjusted_by_the_lines_that_are_removed() {
        // 8 of 10 becomes 6 of 8: the two removed lines were covered.
        let files = [changed(LineChanges {
            removed: vec![(1, HIT), (2, HIT)],
            ..LineChanges::default()
        })];
        let facts = Facts {
            files: &files,
            ..facts(Some(totals(6, 2, 0)), Some(totals(8, 2, 0)), None)
        };
        let expected = "75.00% (-5.00%) compared to b123456, passed because coverage increased by 0.00% when \
            compared to adjusted base (75.00%)";
        assert_eq!(
            says(&rule(Kind::Project), &facts),
            (Outcome::Success, expected.to_owned())
        );
        let removals = Rule {
            removed_code: RemovedCode::RemovalsOnly,
            ..rule(Kind::Project)
        };
        let said = says(&removals, &facts);
        assert_eq!(said.0, Outcome::Success);
        assert!(
            said.1
                .ends_with(", passed because this change only removed code"),
            "{}",
            said.1
        );
        let off = Rule {
            removed_code: RemovedCode::Off,
            ..removals
        };
        assert_eq!(says(&off, &facts).0, Outcome::Failure);
    }

    #[test]
    fn covered_patch_excuses_only_without_indirect_changes() {
        let covered = Rule {
            removed_code: RemovedCode::FullyCoveredPatch,
            ..rule(Kind::Project)
        };
        let worse = facts(
            Some(totals(1, 1, 0)),
            Some(totals(2, 1, 0)),
            Some(totals(2, 0, 0)),
        );
        let said = says(&covered, &worse);
        assert_eq!(said.0, Outcome::Success);
        assert!(
            said.1.contains("patch was fully covered by tests"),
            "{}",
            said.1
        );
        let indirect = IndirectChange {
            base_line: 4,
            head_line: 4,
            base: Some(HIT),
            head: Some(MISS),
        };
        let files = [changed(LineChanges {
            indirect: vec![indirect],
            ..LineChanges::default()
        })];
        let unexpected = Facts {
            files: &files,
            ..worse
        };
        assert_eq!(says(&covered, &unexpected).0, Outcome::Failure);
        let said = says(&rule(Kind::Changes), &unexpected);
        let expected = "1 file has indirect coverage changes not visible in diff".to_owned();
        assert_eq!(said, (Outcome::Failure, expected));
        assert_eq!(
            says(&rule(Kind::Changes), &worse).1,
            "No indirect coverage changes found"
        );
    }
}
