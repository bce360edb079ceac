//! Times as the API writes them.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc};

fn utc(us: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(us).unwrap_or_default()
}

/// `2022-01-01T00:00:00Z`, with microseconds when there are any.
pub fn iso(us: i64) -> String {
    let format = if us % 1_000_000 == 0 {
        SecondsFormat::Secs
    } else {
        SecondsFormat::Micros
    };
    utc(us).to_rfc3339_opts(format, true)
}

/// `2022-01-01T00:00:00.000000Z`: always with microseconds.
pub fn iso_micros(us: i64) -> String {
    utc(us).to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// `2022-01-01 00:00:00.000000+00:00`, as an upload's times are written.
pub fn spaced(us: i64) -> String {
    utc(us).format("%Y-%m-%d %H:%M:%S%.6f+00:00").to_string()
}

/// `2022-01-01`, the day in UTC.
pub fn day(us: i64) -> String {
    utc(us).format("%Y-%m-%d").to_string()
}

/// A moment in microseconds: `2022-01-01`, from its beginning, or with a time behind `T` or a space, in UTC unless an
/// offset follows.
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    let zoned = DateTime::parse_from_rfc3339(text).map(|moment| moment.with_timezone(&Utc));
    let local = || {
        let text = text.replacen(' ', "T", 1);
        let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
        let mut read = formats
            .iter()
            .filter_map(|format| NaiveDateTime::parse_from_str(&text, format).ok());
        read.next().map(|moment| moment.and_utc())
    };
    let date = || {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        Some(date.and_time(NaiveTime::MIN).and_utc())
    };
    let moment = zoned.ok().or_else(local).or_else(date)?;
    Some(moment.timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_and_programs_write_them() {
        for text in [
            "2022-01-01",
            "2022-01-01T00:00:00Z",
            "2022-01-01 00:00",
            "2022-01-01T01:00:00+01:00",
            "2022-01-01T00:00:00.000",
        ] {
            assert_eq!(parse(text), Some(1_640_995_200_000_000), "{text}");
        }
        for text in ["", "yesterday", "2022-13-01", "2022-01-01T25:00"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn microseconds_show_only_when_there_are_any() {
        assert_eq!(iso(1_640_995_200_000_000), "2022-01-01T00:00:00Z");
        assert_eq!(iso(1_640_995_200_000_001), "2022-01-01T00:00:00.000001Z");
        assert_eq!(
            spaced(1_640_995_200_000_000),
            "2022-01-01 00:00:00.000000+00:00"
        );
    }
}
