//! Counts of a file or a report.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::{Coverage, Evidence, Kind, State};

/// Counts only: a ratio is derived at the edge and never stored. Sums add part by part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Files; 0 in the totals of one file.
    pub files: u64,
    /// Counted lines: hits, misses and partials.
    pub lines: u64,
    /// Lines of which every part ran.
    pub hits: u64,
    /// Lines that never ran.
    pub misses: u64,
    /// Lines that ran in part.
    pub partials: u64,
    /// Lines of kind branch, counted or not.
    pub branches: u64,
    /// Lines of kind method, counted or not.
    pub methods: u64,
    /// Uploads that the report was folded from; 0 in the totals of one file.
    pub sessions: u64,
    /// Sum of covered complexity.
    pub complexity: u64,
    /// Sum of complexity in all.
    pub complexity_total: u64,
}

impl Totals {
    /// Counts one line.
    pub fn add_line(&mut self, evidence: &Evidence<'_>) {
        self.add(evidence.kind, evidence.coverage());
        if let Some(complexity) = evidence.complexity {
            self.complexity += u64::from(complexity.covered);
            self.complexity_total += u64::from(complexity.total.unwrap_or(0));
        }
    }

    /// Counts one line without complexity.
    pub fn add(&mut self, kind: Kind, coverage: Coverage) {
        match coverage.state() {
            Some(State::Hit) => self.hits += 1,
            Some(State::Miss) => self.misses += 1,
            Some(State::Partial) => self.partials += 1,
            None => {}
        }
        self.lines += u64::from(coverage.state().is_some());
        match kind {
            Kind::Line => {}
            Kind::Method => self.methods += 1,
            Kind::Branch => self.branches += 1,
        }
    }

    /// Hits of all lines, 0..=1; `None` without lines. Partials do not count as hits.
    pub fn ratio(&self) -> Option<f64> {
        (self.lines > 0).then(|| self.hits as f64 / self.lines as f64)
    }

    /// Codecov's text of the percentage: `100`, `0`, else 5 decimals; `None` without lines.
    pub fn coverage_text(&self) -> Option<String> {
        match self.ratio()? {
            _ if self.hits == self.lines => Some("100".into()),
            _ if self.hits == 0 => Some("0".into()),
            ratio => Some(format!("{:.5}", ratio * 100.0)),
        }
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.files += other.files;
        self.lines += other.lines;
        self.hits += other.hits;
        self.misses += other.misses;
        self.partials += other.partials;
        self.branches += other.branches;
        self.methods += other.methods;
        self.sessions += other.sessions;
        self.complexity += other.complexity;
        self.complexity_total += other.complexity_total;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_five_decimals_except_the_exact_ends() {
        let text = |hits, lines| {
            Totals {
                hits,
                lines,
                ..Totals::default()
            }
            .coverage_text()
        };
        assert_eq!(text(0, 0), None);
        assert_eq!(text(3, 3).as_deref(), Some("100"));
        assert_eq!(text(0, 3).as_deref(), Some("0"));
        assert_eq!(text(2, 3).as_deref(), Some("66.66667"));
        assert_eq!(text(1, 2).as_deref(), Some("50.00000"));
    }
}
