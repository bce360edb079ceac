//! Percentages without the errors of fractions: what is compared is what is stored, five decimals.

use std::ops::Sub;

use serde_json::{Map, Value};

use crate::model::Totals;

/// Parts of a percent.
const UNIT: i64 = 100_000;
/// Decimals of a part.
const UNIT_DECIMALS: u32 = 5;
/// Larger figures mean nothing, and would not fit.
const LARGEST: f64 = 1e9;

/// A percentage, or the difference of two, exact to five decimals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Percent(i64);

impl Percent {
    /// Nothing.
    pub const ZERO: Percent = Percent(0);

    /// So many hundred-thousandths of a percent.
    pub const fn from_hundred_thousandths(parts: i64) -> Percent {
        Percent(parts)
    }

    /// The nearest to a number; of no number, or one beyond all reason, zero.
    pub fn from_f64(percent: f64) -> Percent {
        match percent.abs() <= LARGEST {
            true => Percent((percent * UNIT as f64).round() as i64),
            false => Percent::ZERO,
        }
    }

    /// Hits of all lines; `None` without lines.
    pub fn of(totals: &Totals) -> Option<Percent> {
        let percent: f64 = totals.coverage_text()?.parse().ok()?;
        Some(Percent::from_f64(percent))
    }

    /// The same, of counts.
    pub fn of_parts(hits: u64, lines: u64) -> Option<Percent> {
        Percent::of(&Totals {
            hits,
            lines,
            ..Totals::default()
        })
    }

    /// As a number.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / UNIT as f64
    }
}

impl Sub for Percent {
    type Output = Percent;

    fn sub(self, other: Percent) -> Percent {
        Percent(self.0 - other.0)
    }
}

/// How figures are shown: `coverage.precision` and `coverage.round`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rounding {
    decimals: u32,
    to: To,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum To {
    Lower,
    Upper,
    /// A tie goes to the even digit.
    Nearest,
}

/// Two decimals, to the nearest: what holds where nothing is said.
impl Default for Rounding {
    fn default() -> Rounding {
        Rounding {
            decimals: 2,
            to: To::Nearest,
        }
    }
}

impl Rounding {
    /// What a codecov.yml in its final form says.
    pub fn of(yaml: &Map<String, Value>) -> Rounding {
        let said = |key: &str| yaml.get("coverage").and_then(|coverage| coverage.get(key));
        let decimals = said("precision").and_then(Value::as_u64).unwrap_or(2);
        Rounding {
            decimals: u32::try_from(decimals).unwrap_or(2).min(UNIT_DECIMALS),
            to: match said("round").and_then(Value::as_str) {
                Some("down") => To::Lower,
                Some("up") => To::Upper,
                _ => To::Nearest,
            },
        }
    }

    /// The figure with its decimals, also where they are zeros.
    pub fn show(self, percent: Percent) -> String {
        let rounded = self.round(percent);
        let scale = 10_i64.pow(self.decimals);
        let sign = if rounded < 0 { "-" } else { "" };
        let (whole, part) = (rounded.abs() / scale, rounded.abs() % scale);
        match self.decimals as usize {
            0 => format!("{sign}{whole}"),
            decimals => format!("{sign}{whole}.{part:0decimals$}"),
        }
    }

    /// The same with its sign, also where it is a plus.
    pub fn show_signed(self, percent: Percent) -> String {
        let shown = self.show(percent);
        match shown.starts_with('-') {
            true => shown,
            false => format!("+{shown}"),
        }
    }

    /// In units of the last decimal.
    fn round(self, Percent(parts): Percent) -> i64 {
        let step = 10_i64.pow(UNIT_DECIMALS - self.decimals);
        let (below, rest) = (parts.div_euclid(step), parts.rem_euclid(step));
        match self.to {
            To::Lower => below,
            To::Upper => below + i64::from(rest > 0),
            To::Nearest => below + i64::from(2 * rest + (below & 1) > step),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(percent: f64, round: &str, precision: u64) -> String {
        let yaml = json!({"coverage": {"round": round, "precision": precision}});
        let rounding = Rounding::of(yaml.as_object().expect("an object"));
        rounding.show_signed(Percent::from_f64(percent))
    }

    #[test]
    fn figures_are_rounded_as_the_settings_say_and_keep_their_zeros() {
        assert_eq!(shown(79.999, "down", 2), "+79.99");
        assert_eq!(shown(79.991, "up", 1), "+80.0");
        assert_eq!(shown(80.0, "down", 2), "+80.00");
        assert_eq!(shown(0.125, "nearest", 2), "+0.12");
        assert_eq!(shown(0.135, "nearest", 2), "+0.14");
        assert_eq!(shown(-1.255, "down", 2), "-1.26");
        assert_eq!(shown(-1.255, "up", 2), "-1.25");
        assert_eq!(shown(-0.001, "nearest", 2), "+0.00");
        assert_eq!(shown(66.66667, "nearest", 0), "+67");
        assert_eq!(shown(66.66667, "nearest", 5), "+66.66667");
    }

    #[test]
    fn differences_are_exact() {
        let percent = Percent::from_f64;
        assert_eq!(percent(80.0) - percent(0.1), percent(79.9));
        assert_eq!(percent(f64::NAN), Percent::ZERO);
        assert_eq!(Percent::of_parts(0, 0), None);
        assert_eq!(Percent::of_parts(2, 3), Some(percent(66.66667)));
    }
}
