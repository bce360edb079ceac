//! Evaluations: runs whose properties tell scores and costs, and what they come to together.

use std::collections::BTreeMap;

use engine::db::test_runs::{Outcome, TestRun};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// What the evaluations of a commit say together.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// How long one took on average.
    pub avg_duration_seconds: f64,
    /// What one cost on average, of those that tell.
    pub avg_cost: f64,
    /// How many there are.
    pub total_items: i64,
    /// How many passed.
    pub passed_items: i64,
    /// How many did not.
    pub failed_items: i64,
    /// Each score by its name.
    pub scores: BTreeMap<String, Score>,
}

/// A score over several evaluations.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
pub struct Score {
    /// All together.
    pub sum: f64,
    /// On average, of those that have it.
    pub avg: f64,
}

/// Two commits' evaluations.
#[derive(PartialEq, Debug, Serialize, ToSchema)]
pub struct Comparison {
    /// Of the earlier commit.
    pub base: Summary,
    /// Of the later one.
    pub head: Summary,
    /// By how many percent the later one's differ.
    pub diff: Change,
}

/// Differences in percent.
#[derive(PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Of the average duration.
    pub avg_duration_seconds: f64,
    /// Of the average cost.
    pub avg_cost: f64,
    /// How many there are more; not in percent.
    pub total_items: i64,
    /// How many more passed; not in percent.
    pub passed_items: i64,
    /// How many more did not; not in percent.
    pub failed_items: i64,
    /// Of each score.
    pub scores: BTreeMap<String, Score>,
}

/// Numbers to be averaged.
#[derive(Default)]
struct Sum {
    sum: f64,
    count: f64,
}

impl Sum {
    fn add(&mut self, number: f64) {
        self.sum += number;
        self.count += 1.0;
    }

    fn average(&self) -> f64 {
        if self.count == 0.0 {
            0.0
        } else {
            self.sum / self.count
        }
    }
}

impl Summary {
    /// What these runs say together; `None` if one of them tells a score or a cost that is no number.
    pub(super) fn of(runs: &[TestRun]) -> Option<Summary> {
        let (mut duration, mut cost) = (Sum::default(), Sum::default());
        let mut scores: BTreeMap<String, Sum> = BTreeMap::new();
        for run in runs {
            if let Some(seconds) = run.duration_seconds {
                duration.add(seconds);
            }
            let properties = read_properties(run)?;
            if let Some(value) = properties.get("cost").filter(|cost| !cost.is_null()) {
                cost.add(value.as_f64()?);
            }
            for (name, value) in read_scores(properties.get("scores"))? {
                scores.entry(name).or_default().add(value);
            }
        }
        let total = runs.len() as i64;
        let passed = runs
            .iter()
            .filter(|run| run.outcome == Outcome::Pass)
            .count() as i64;
        let score = |(name, sum): (String, Sum)| {
            let avg = sum.average();
            (name, Score { sum: sum.sum, avg })
        };
        Some(Summary {
            avg_duration_seconds: duration.average(),
            avg_cost: cost.average(),
            total_items: total,
            passed_items: passed,
            failed_items: total - passed,
            scores: scores.into_iter().map(score).collect(),
        })
    }
}

/// The properties may be text that holds JSON, and may stand in an object of their own.
fn read_properties(run: &TestRun) -> Option<Value> {
    let mut value: Value = serde_json::from_str(run.properties.as_deref()?).ok()?;
    if let Value::String(text) = &value {
        value = serde_json::from_str(text).ok()?;
    }
    for wrapper in ["eval", "evals"] {
        if let Some(inner) = value.get_mut(wrapper) {
            return Some(inner.take());
        }
    }
    Some(value)
}

/// `{name: {value}}` or `[{name, value}]`; a value may be called a score.
fn read_scores(scores: Option<&Value>) -> Option<Vec<(String, f64)>> {
    let value = |score: &Value| {
        let value = score.get("value").or_else(|| score.get("score"))?;
        value.as_f64()
    };
    match scores {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Object(scores)) => scores
            .iter()
            .map(|(name, score)| Some((name.clone(), value(score)?)))
            .collect(),
        Some(Value::Array(scores)) => scores
            .iter()
            .map(|score| Some((score.get("name")?.as_str()?.to_owned(), value(score)?)))
            .collect(),
        Some(_) => None,
    }
}

impl Comparison {
    /// The two, and by how much the second differs.
    pub(super) fn new(base: Summary, head: Summary) -> Comparison {
        let names = base.scores.keys().chain(head.scores.keys());
        let scores = names.map(|name| {
            let of = |summary: &Summary| summary.scores.get(name).cloned().unwrap_or_default();
            let (base, head) = (of(&base), of(&head));
            let score = Score {
                sum: percent(base.sum, head.sum),
                avg: percent(base.avg, head.avg),
            };
            (name.clone(), score)
        });
        let diff = Change {
            avg_duration_seconds: percent(base.avg_duration_seconds, head.avg_duration_seconds),
            avg_cost: percent(base.avg_cost, head.avg_cost),
            total_items: head.total_items - base.total_items,
            passed_items: head.passed_items - base.passed_items,
            failed_items: head.failed_items - base.failed_items,
            scores: scores.collect(),
        };
        Comparison { base, head, diff }
    }
}

fn percent(base: f64, head: f64) -> f64 {
    match (base == 0.0, head == 0.0) {
        (true, true) => 0.0,
        (true, false) => 100.0,
        _ => 100.0 * (head - base) / base,
    }
}

#[cfg(test)]
mod tests {
    use engine::id::{RepoId, TestRunId};

    use super::*;

    fn run(outcome: Outcome, seconds: f64, properties: &str) -> TestRun {
        TestRun {
            id: TestRunId(1),
            repo_id: RepoId(1),
            upload_id: None,
            commit_sha: "c".into(),
            branch: None,
            test_id: "t".into(),
            name: None,
            classname: None,
            testsuite: None,
            computed_name: None,
            outcome,
            duration_seconds: Some(seconds),
            failure_message: None,
            framework: None,
            filename: None,
            flags: None,
            properties: Some(properties.into()),
            timestamp_us: 0,
        }
    }

    #[test]
    fn properties_are_read_in_all_their_spellings() {
        let summary = Summary::of(&[
            run(
                Outcome::Pass,
                1.0,
                r#"{"eval": {"cost": 2, "scores": {"a": {"value": 1}}}}"#,
            ),
            run(
                Outcome::Failure,
                3.0,
                r#"{"evals": {"scores": [{"name": "a", "score": 0.5}]}}"#,
            ),
            run(
                Outcome::Skip,
                2.0,
                r#""{\"scores\": {\"b\": {\"score\": 4}}}""#,
            ),
        ])
        .unwrap();
        let score = |sum, avg| Score { sum, avg };
        assert_eq!(summary.scores["a"], score(1.5, 0.75));
        assert_eq!(summary.scores["b"], score(4.0, 4.0));
        assert_eq!((summary.avg_cost, summary.avg_duration_seconds), (2.0, 2.0));
        let items = (
            summary.total_items,
            summary.passed_items,
            summary.failed_items,
        );
        assert_eq!(items, (3, 1, 2));
    }

    #[test]
    fn a_score_that_is_no_number_is_bad_data() {
        let bad = run(
            Outcome::Pass,
            1.0,
            r#"{"scores": {"a": {"value": "high"}}}"#,
        );
        assert_eq!(Summary::of(&[bad]), None);
    }

    #[test]
    fn differences_are_percentages_of_the_base() {
        let base = Summary::of(&[run(
            Outcome::Pass,
            2.0,
            r#"{"scores": {"a": {"value": 4}}}"#,
        )]);
        let head = Summary::of(&[run(
            Outcome::Pass,
            3.0,
            r#"{"scores": {"a": {"value": 3}}}"#,
        )]);
        let diff = Comparison::new(base.unwrap(), head.unwrap()).diff;
        assert_eq!((diff.avg_duration_seconds, diff.avg_cost), (50.0, 0.0));
        assert_eq!(
            diff.scores["a"],
            Score {
                sum: -25.0,
                avg: -25.0
            }
        );
        assert_eq!((percent(0.0, 1.0), percent(0.0, 0.0)), (100.0, 0.0));
    }
}
