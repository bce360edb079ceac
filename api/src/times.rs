//! Times as the API writes them.

use chrono::{DateTime, SecondsFormat, Utc};

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

#[cfg(test)]
mod tests {
    use super::*;

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
