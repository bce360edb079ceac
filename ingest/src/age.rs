//! How old a report may be, and how dates in reports are read.
//!
//! Dates are read the way that clients have come to rely on: as UTC, and leniently. See the
//! tests for what each form means.

use crate::error::{Failure, Result};
use crate::settings::MaxAge;

const DAY_S: i64 = 86_400;

/// Refuses reports that are too old.
#[derive(Clone, Copy, Debug)]
pub struct AgeLimit<'a> {
    max: &'a MaxAge,
    now_s: i64,
}

/// A date that no calendar has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DateError {
    /// No date was found in the text.
    Unreadable,
    /// The month or the day does not exist.
    Impossible,
}

impl<'a> AgeLimit<'a> {
    /// The limit that the settings say, at `now_us` (microseconds since 1970).
    pub fn new(max: &'a MaxAge, now_us: i64) -> AgeLimit<'a> {
        AgeLimit {
            max,
            now_s: now_us.div_euclid(1_000_000),
        }
    }

    /// Whether there is a limit at all.
    pub(crate) fn is_limited(&self) -> bool {
        *self.max != MaxAge::Any
    }

    /// Refuses a report of that date; one whose date cannot be read is taken. `what` names the report.
    pub(crate) fn check_lenient(&self, what: &str, date: &str) -> Result<()> {
        self.check(what, date, |error| match error {
            DateError::Unreadable => Ok(()),
            DateError::Impossible => Err(Failure::fails(format!(
                "{what}: date {date:?} does not exist"
            ))),
        })
    }

    /// Refuses a report of that date; one whose date cannot be read fails.
    pub(crate) fn check_strict(&self, what: &str, date: &str) -> Result<()> {
        self.check(what, date, |_| {
            Err(Failure::fails(format!(
                "{what}: date {date:?} cannot be read"
            )))
        })
    }

    fn check(
        &self,
        what: &str,
        date: &str,
        unread: impl FnOnce(DateError) -> Result<()>,
    ) -> Result<()> {
        let Some(oldest_s) = self.oldest_s() else {
            return Ok(());
        };
        match read_date(in_seconds(date), self.now_s) {
            Ok(date_s) if date_s < oldest_s => {
                Err(Failure::Expired(format!("{what} report expired {date}")))
            }
            Ok(_) => Ok(()),
            Err(error) => unread(error),
        }
    }

    /// The oldest moment that is accepted; `None` when every age is.
    fn oldest_s(&self) -> Option<i64> {
        let today_s = midnight(self.now_s);
        match self.max {
            MaxAge::Any => None,
            MaxAge::Default => Some(today_s - DAY_S / 2),
            MaxAge::Today => Some(today_s),
            MaxAge::Since(seconds) => Some(*seconds),
            MaxAge::Text(text) => Some(read_date(text, self.now_s).unwrap_or(today_s - DAY_S / 2)),
        }
    }
}

/// Milliseconds as seconds: the last three of 13 or more digits go.
fn in_seconds(date: &str) -> &str {
    let digits = date.len() >= 13 && date.bytes().all(|b| b.is_ascii_digit());
    if digits {
        &date[..date.len() - 3]
    } else {
        date
    }
}

fn midnight(now_s: i64) -> i64 {
    now_s.div_euclid(DAY_S) * DAY_S
}

/// Seconds since 1970 of a date in a report or in the settings.
pub(crate) fn read_date(text: &str, now_s: i64) -> std::result::Result<i64, DateError> {
    let text = text.trim();
    if let Some(epoch) = ten_digits(text) {
        return Ok(epoch);
    }
    if let Some(offset) = relative(text) {
        return Ok(midnight(now_s) + offset);
    }
    let numbers = numbers(text);
    let date = match numbers[..] {
        [(year, 4), (month, 1..=2), (day, 1..=2), ..] if starts_numeric(text) => {
            Some((year, month, day))
        }
        [(month, 1..=2), (day, 1..=2), (year, 4), ..] if starts_numeric(text) => {
            Some((year, month, day))
        }
        _ => None,
    };
    if let Some((year, month, day)) = date {
        let time = |i: usize| numbers.get(i).map_or(0, |n| n.0);
        let midnight = days_of(year, month, day).ok_or(DateError::Impossible)? * DAY_S;
        return Ok(midnight + time(3) * 3600 + time(4) * 60 + time(5));
    }
    match numbers[..] {
        // `11-2026-24T10:00:00`, which Clover's turning makes of an ISO date: the first of the month.
        [(month, 2), (year, 4), ..] if starts_numeric(text) => {
            Ok(days_of(year, month, 1).ok_or(DateError::Impossible)? * DAY_S)
        }
        // A year alone, or one that other digits follow: today's day in that year.
        [(digits, 8)] | [(digits, 4)] if text.bytes().all(|b| b.is_ascii_digit()) => {
            let year = if digits > 9999 {
                digits / 10_000
            } else {
                digits
            };
            if !(1900..2100).contains(&year) {
                return Err(DateError::Unreadable);
            }
            let (_, month, day) = civil(now_s.div_euclid(DAY_S));
            days_of(year, month, day)
                .map(|days| days * DAY_S)
                .ok_or(DateError::Impossible)
        }
        // `Tue Nov 24 10:00:00 2026`: the hour is taken for the year.
        [(_, 1..=2), (hour, 2), (_, 2), (_, 2), (_, 4)] => {
            let (_, month, day) = civil(now_s.div_euclid(DAY_S));
            Ok(days_of(2000 + hour, month, day).ok_or(DateError::Impossible)? * DAY_S)
        }
        _ => Err(DateError::Unreadable),
    }
}

fn starts_numeric(text: &str) -> bool {
    text.bytes().next().is_some_and(|b| b.is_ascii_digit())
}

fn ten_digits(text: &str) -> Option<i64> {
    let mut run = 0;
    for (i, byte) in text.bytes().enumerate() {
        run = if byte.is_ascii_digit() { run + 1 } else { 0 };
        if run == 10 {
            return text[i - 9..=i].parse().ok();
        }
    }
    None
}

/// The runs of digits, each with its length. A fraction or a zone stays at the end, unused.
fn numbers(text: &str) -> Vec<(i64, usize)> {
    let runs = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|run| !run.is_empty());
    runs.take(8)
        .filter_map(|run| Some((run.parse().ok()?, run.len())))
        .collect()
}

/// Seconds that `12h ago`, `3 days ago` or `1w` are away from midnight.
fn relative(text: &str) -> Option<i64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let count: i64 = text[..split].parse().ok()?;
    let mut words = text[split..].split_whitespace();
    let unit = words.next()?;
    let direction = match (words.next(), words.next()) {
        (None, _) => 1,
        (Some("ago"), None) => -1,
        _ => return None,
    };
    let unit_s = match unit {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => DAY_S,
        "w" | "week" | "weeks" => 7 * DAY_S,
        "mo" | "month" | "months" => 30 * DAY_S,
        "y" | "year" | "years" => 365 * DAY_S,
        _ => return None,
    };
    count.checked_mul(unit_s).map(|offset| direction * offset)
}

/// Days since 1970 of a date of the Gregorian calendar; `None` when it does not exist.
fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=longest).contains(&day) || !(1..=9999).contains(&year) {
        return None;
    }
    // Years start in March here, so that the leap day is the last of them.
    let shifted = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year - 719_468)
}

/// (year, month, day) of a day since 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let mut year = 1970 + days.div_euclid(366);
    while days_of(year + 1, 1, 1).is_some_and(|first| first <= days) {
        year += 1;
    }
    let starts = (1..=12)
        .rev()
        .filter_map(|month| Some((month, days_of(year, month, 1)?)));
    let (month, first) = starts
        .clone()
        .find(|(_, first)| *first <= days)
        .unwrap_or((1, days));
    (year, month, days - first + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-24 15:30 UTC.
    const NOW_S: i64 = 1_795_534_200;
    const TODAY_S: i64 = NOW_S - 15 * 3600 - 30 * 60;

    #[test]
    fn dates_are_read_the_way_clients_rely_on() {
        let read = |text| read_date(text, NOW_S);
        assert_eq!(civil(NOW_S / DAY_S), (2026, 11, 24));
        assert_eq!(read("12h ago"), Ok(TODAY_S - 12 * 3600));
        assert_eq!(read("3 days ago"), Ok(TODAY_S - 3 * DAY_S));
        assert_eq!(read("12h"), Ok(TODAY_S + 12 * 3600));
        assert_eq!(read("1700000000"), Ok(1_700_000_000));
        assert_eq!(read("170000000012"), Ok(1_700_000_000));
        assert_eq!(read("20261123"), Ok(TODAY_S));
        assert_eq!(read("2026-11-24T10:00:00.5+02:00"), Ok(TODAY_S + 10 * 3600));
        assert_eq!(read("11/24/2026 10:00:00"), Ok(TODAY_S + 10 * 3600));
        assert_eq!(read("11-24-2026"), Ok(TODAY_S));
        assert_eq!(read("11-2026-30T10:00:00"), Ok(TODAY_S - 23 * DAY_S));
        assert_eq!(read("2026-13-24"), Err(DateError::Impossible));
        assert_eq!(read("2026-02-39"), Err(DateError::Impossible));
        for odd in ["0", "-1", "1.5", "zzz", "", "123456789"] {
            assert_eq!(read(odd), Err(DateError::Unreadable), "{odd}");
        }
        assert!(read("Tue Nov 24 10:00:00 2026").unwrap() < TODAY_S - 15 * 365 * DAY_S);
    }

    #[test]
    fn the_default_limit_is_yesterday_noon() {
        let limit = AgeLimit::new(&MaxAge::Default, NOW_S * 1_000_000);
        let noon = TODAY_S - 12 * 3600;
        assert!(limit.check_strict("Clover", &noon.to_string()).is_ok());
        assert!(matches!(
            limit.check_strict("Clover", &(noon - 1).to_string()),
            Err(Failure::Expired(_))
        ));
        assert!(
            limit.check_strict("Clover", "zzz").is_err()
                && limit.check_lenient("Clover", "zzz").is_ok()
        );
        let any = AgeLimit::new(&MaxAge::Any, NOW_S * 1_000_000);
        assert!(any.check_strict("Clover", "zzz").is_ok());
    }
}
