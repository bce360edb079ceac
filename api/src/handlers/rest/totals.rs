//! Counts in the three shapes that clients know, with the coverage that is derived from them.

use engine::model::Totals;
use engine::{Error, Result};
use serde::Serialize;
use utoipa::ToSchema;

/// Counts of a commit as a list shows them.
#[derive(Clone, Serialize, ToSchema)]
pub struct CommitTotals {
    /// Files.
    pub files: u64,
    /// Counted lines.
    pub lines: u64,
    /// Lines of which every part ran.
    pub hits: u64,
    /// Lines that never ran.
    pub misses: u64,
    /// Lines that ran in part.
    pub partials: u64,
    /// Hits of all lines, percent, cut to two decimals; null without lines.
    pub coverage: Option<f64>,
    /// Lines with a branch.
    pub branches: u64,
    /// Lines where a method starts.
    pub methods: u64,
    /// Uploads.
    pub sessions: u64,
    /// Covered complexity.
    pub complexity: f64,
    /// Complexity in all.
    pub complexity_total: f64,
    /// Covered complexity of all, percent, cut to two decimals.
    pub complexity_ratio: f64,
    /// Always 0.
    pub diff: u8,
}

/// Counts of a report, or of one of its files.
#[derive(Serialize, ToSchema)]
pub struct ReportTotals {
    /// Files; 0 in the totals of a file.
    pub files: u64,
    /// Counted lines.
    pub lines: u64,
    /// Lines of which every part ran.
    pub hits: u64,
    /// Lines that never ran.
    pub misses: u64,
    /// Lines that ran in part.
    pub partials: u64,
    /// Hits of all lines, percent, cut to two decimals; 0 without lines.
    pub coverage: f64,
    /// Lines with a branch.
    pub branches: u64,
    /// Lines where a method starts.
    pub methods: u64,
    /// Always 0.
    pub messages: u64,
    /// Uploads; 0 in the totals of a file.
    pub sessions: u64,
    /// Covered complexity.
    pub complexity: f64,
    /// Complexity in all.
    pub complexity_total: f64,
    /// Covered complexity of all, percent, cut to two decimals.
    pub complexity_ratio: f64,
    /// Always 0.
    pub diff: u8,
}

/// Counts of one upload.
#[derive(Serialize, ToSchema)]
pub struct UploadTotals {
    /// Files.
    pub files: u64,
    /// Counted lines.
    pub lines: u64,
    /// Lines of which every part ran.
    pub hits: u64,
    /// Lines that never ran.
    pub misses: u64,
    /// Lines that ran in part.
    pub partials: u64,
    /// Hits of all lines, percent, cut to two decimals; null without lines.
    pub coverage: Option<f64>,
    /// Lines with a branch.
    pub branches: u64,
    /// Lines where a method starts.
    pub methods: u64,
}

/// Counts of the lines that a pull request changes.
#[derive(Serialize, ToSchema)]
pub struct PatchCoverage {
    /// Lines of which every part ran.
    pub hits: u64,
    /// Lines that never ran.
    pub misses: u64,
    /// Lines that ran in part.
    pub partials: u64,
    /// Hits of all lines, percent, rounded to two decimals; 0 without lines.
    pub coverage: f64,
}

impl From<Totals> for PatchCoverage {
    fn from(t: Totals) -> PatchCoverage {
        let lines = t.hits + t.misses + t.partials;
        let percent = 100.0 * t.hits as f64 / lines.max(1) as f64;
        PatchCoverage {
            hits: t.hits,
            misses: t.misses,
            partials: t.partials,
            coverage: (percent * 100.0).round() / 100.0,
        }
    }
}

impl From<Totals> for CommitTotals {
    fn from(t: Totals) -> CommitTotals {
        CommitTotals {
            files: t.files,
            lines: t.lines,
            hits: t.hits,
            misses: t.misses,
            partials: t.partials,
            coverage: percent(t.hits, t.lines),
            branches: t.branches,
            methods: t.methods,
            sessions: t.sessions,
            complexity: t.complexity as f64,
            complexity_total: t.complexity_total as f64,
            complexity_ratio: percent(t.complexity, t.complexity_total).unwrap_or(0.0),
            diff: 0,
        }
    }
}

impl From<Totals> for ReportTotals {
    fn from(t: Totals) -> ReportTotals {
        ReportTotals {
            files: t.files,
            lines: t.lines,
            hits: t.hits,
            misses: t.misses,
            partials: t.partials,
            coverage: percent(t.hits, t.lines).unwrap_or(0.0),
            branches: t.branches,
            methods: t.methods,
            messages: 0,
            sessions: t.sessions,
            complexity: t.complexity as f64,
            complexity_total: t.complexity_total as f64,
            complexity_ratio: percent(t.complexity, t.complexity_total).unwrap_or(0.0),
            diff: 0,
        }
    }
}

impl From<Totals> for UploadTotals {
    fn from(t: Totals) -> UploadTotals {
        UploadTotals {
            files: t.files,
            lines: t.lines,
            hits: t.hits,
            misses: t.misses,
            partials: t.partials,
            coverage: percent(t.hits, t.lines),
            branches: t.branches,
            methods: t.methods,
        }
    }
}

/// Stored counts in the shape `T`. Errors: `Corrupt`.
pub fn parse_totals<T: From<Totals>>(stored: Option<&str>) -> Result<Option<T>> {
    let Some(text) = stored else {
        return Ok(None);
    };
    let totals: Totals = serde_json::from_str(text).map_err(|e| Error::corrupt("totals", e))?;
    Ok(Some(totals.into()))
}

/// The coverage of these counts in percent, cut to two decimals; `None` without lines.
pub fn cut_percent(totals: &Totals) -> Option<f64> {
    percent(totals.hits, totals.lines)
}

/// The coverage of these counts in percent, with the 5 decimals that are stored; `None` without lines.
pub fn stored_percent(totals: &Totals) -> Option<f64> {
    totals.ratio().map(|ratio| five_decimals(100.0 * ratio))
}

/// A percentage, rounded to 5 decimals.
pub fn five_decimals(percent: f64) -> f64 {
    (percent * 1e5).round() / 1e5
}

/// `part` of `all` in percent, cut (not rounded) to two decimals, without the errors of fractions.
fn percent(part: u64, all: u64) -> Option<f64> {
    let hundredths = (u128::from(part) * 10_000).checked_div(u128::from(all))?;
    Some(hundredths as f64 / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_cut() {
        assert_eq!(percent(19, 24), Some(79.16));
        assert_eq!(percent(2, 3), Some(66.66));
        assert_eq!(percent(29, 100), Some(29.0));
        assert_eq!(percent(99_999, 100_000), Some(99.99));
        assert_eq!(percent(0, 0), None);
    }
}
