//! Coverage over time, in bins of equal width.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use engine::db::measures::{Bin, MeasureKind, Series, find_bin_before, list_bins};
use engine::db::{Conn, Page};
use engine::id::RepoId;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::page::{PageOf, PageQuery, Paging, list_page};
use super::rest::params::Params;
use super::rest::totals::five_decimals;
use super::rest::{Detail, RepoKey};
use crate::app::App;
use crate::auth::viewer::Viewer;
use crate::error::{Error, Result};
use crate::times::iso;

const HOUR_US: i64 = 3_600 * 1_000_000;
const DAY_US: i64 = 24 * HOUR_US;
/// 2000-01-03, a Monday: every bin begins a whole number of bins from here.
const ORIGIN_US: i64 = 946_857_600 * 1_000_000;
/// 2000-01-01, from which on coverage is shown unless asked otherwise.
const START_US: i64 = ORIGIN_US - 2 * DAY_US;
/// The widest bin, in hours or days.
const WIDTH_MAX: i64 = 3_660;

/// Over which time.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DatesQuery {
    /// The width of a bin: `1d`, `7d`, `30d`, or any number of days or hours, as `6h`.
    pub interval: String,
    /// The first day or moment; the bin before it comes too, if there is none at it.
    pub start_date: Option<String>,
    /// The last day or moment; now if absent.
    pub end_date: Option<String>,
}

/// Of which branch.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct BranchQuery {
    /// The branch; without one, the repository's default branch.
    pub branch: Option<String>,
}

/// One bin.
#[derive(Serialize, ToSchema)]
pub struct TrendPoint {
    /// When it begins.
    #[schema(format = DateTime)]
    pub timestamp: String,
    /// The lowest coverage of its commits, percent.
    pub min: f64,
    /// The highest.
    pub max: f64,
    /// The mean.
    pub avg: f64,
}

/// Where a series begins that is not said to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Since {
    /// In 2000, or with what stood before.
    Century,
    /// With its first commit.
    Ever,
}

/// What is asked of a series.
pub(super) struct TrendQuery {
    bin_us: i64,
    start_us: i64,
    end_us: i64,
    since: Since,
}

/// `GET …/coverage/`: the coverage of a branch over time.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/coverage/", tag = "coverage",
    params(RepoKey, DatesQuery, BranchQuery, PageQuery),
    responses((status = 200, body = PageOf<TrendPoint>), (status = 400, description = "a date is none"),
        (status = 404, body = Detail), (status = 422, body = Detail)))]
pub async fn get_trend(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<RepoKey>,
    params: Params,
    paging: Paging,
) -> Result<Json<PageOf<TrendPoint>>> {
    let (conn, _, repo) = viewer
        .readable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    let query = TrendQuery::new(&params, Since::Century, app.clock.now_us())?;
    let branch = params.text("branch").unwrap_or(repo.default_branch);
    let series = query.series(repo.id, MeasureKind::Report, "", Some(branch));
    query.answer(conn, series, &paging).await
}

impl TrendQuery {
    /// Reads a query. Errors: 422 without an interval, 400 naming a date that is none.
    pub(super) fn new(params: &Params, since: Since, now_us: i64) -> Result<TrendQuery> {
        let bin_us = params.last("interval").and_then(width_us).ok_or_else(|| {
            let detail = "You must specify an interval (1d/7d/30d)";
            Error::Detail(StatusCode::UNPROCESSABLE_ENTITY, detail.into())
        })?;
        let earliest_us = match since {
            Since::Century => START_US,
            Since::Ever => 0,
        };
        Ok(TrendQuery {
            bin_us,
            start_us: moment_us(params, "start_date")?.unwrap_or(earliest_us),
            end_us: moment_us(params, "end_date")?.unwrap_or(now_us),
            since,
        })
    }

    /// The bins that are asked for: those that begin in the asked time.
    pub(super) fn series(
        &self,
        repo: RepoId,
        kind: MeasureKind,
        name: &str,
        branch: Option<String>,
    ) -> Series {
        let before = ORIGIN_US.div_euclid(self.bin_us) + 1;
        let origin_us = ORIGIN_US - before * self.bin_us;
        let from_origin = |us: i64| us.max(0) - origin_us;
        Series {
            repo,
            kind,
            name: name.to_owned(),
            branch,
            origin_us,
            bin_us: self.bin_us,
            first_bin: (from_origin(self.start_us) + self.bin_us - 1) / self.bin_us,
            last_bin: from_origin(self.end_us) / self.bin_us,
        }
    }

    /// One page of the bins. Where none begins just at the start, the one before comes first.
    pub(super) async fn answer(
        &self,
        mut conn: Conn,
        mut series: Series,
        paging: &Paging,
    ) -> Result<Json<PageOf<TrendPoint>>> {
        if self.since == Since::Century
            && let Some(before) = find_bin_before(&mut conn, &series).await?
        {
            let first = list_bins(&mut conn, &series, Page::first(1)).await?.rows;
            let starts = |bin: &Bin| start_us(&series, bin.bin) == self.start_us;
            if !first.first().is_some_and(starts) {
                series.first_bin = before;
            }
        }
        let page = list_page!(paging, |part| { list_bins(&mut conn, &series, part).await });
        Ok(Json(page.try_map(|bin| {
            Ok(TrendPoint {
                timestamp: iso(start_us(&series, bin.bin)),
                min: five_decimals(bin.low),
                max: five_decimals(bin.high),
                avg: five_decimals(bin.mean),
            })
        })?))
    }
}

fn start_us(series: &Series, bin: i64) -> i64 {
    series.origin_us + bin * series.bin_us
}

/// `7d` or `6h` in microseconds.
fn width_us(text: &str) -> Option<i64> {
    let (unit_us, number) = match text.strip_suffix('d') {
        Some(number) => (DAY_US, number),
        None => (HOUR_US, text.strip_suffix('h')?),
    };
    let is_plain = !number.starts_with(['+', '0']);
    let number: i64 = number.parse().ok()?;
    (is_plain && (1..=WIDTH_MAX).contains(&number)).then(|| number * unit_us)
}

/// A day or a moment of a query in microseconds. Errors: 400 naming it.
fn moment_us(params: &Params, name: &str) -> Result<Option<i64>> {
    let Some(text) = params.text(name) else {
        return Ok(None);
    };
    let day = || {
        NaiveDate::parse_from_str(&text, "%Y-%m-%d")
            .ok()?
            .and_hms_opt(0, 0, 0)
    };
    let local = || {
        let forms = [
            "%Y-%m-%dT%H:%M:%S%.f",
            "%Y-%m-%d %H:%M:%S%.f",
            "%Y-%m-%dT%H:%M",
            "%Y-%m-%d %H:%M",
        ];
        forms
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(&text, form).ok())
    };
    let zoned = || {
        // A plus in a query is a space; so is what separates day and time in some spellings.
        let moment = DateTime::parse_from_rfc3339(&text.replacen(' ', "+", 1));
        let moment = moment.or_else(|_| DateTime::parse_from_rfc3339(&text));
        Some(moment.ok()?.naive_utc())
    };
    match day().or_else(local).or_else(zoned) {
        Some(moment) => Ok(Some(moment.and_utc().timestamp_micros())),
        None => Err(Error::Field(name.into(), "Enter a valid date/time.".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::of(&format!("/?{query}").parse().unwrap())
    }

    #[test]
    fn intervals_are_days_or_hours() {
        assert_eq!(
            (width_us("7d"), width_us("6h")),
            (Some(7 * DAY_US), Some(6 * HOUR_US))
        );
        for none in ["", "d", "0d", "7", "1w", "+1d", "99999d", "-1d"] {
            assert_eq!(width_us(none), None, "{none}");
        }
    }

    #[test]
    fn days_and_moments_are_read_in_utc() {
        let us =
            |text: &str| moment_us(&params(&format!("start_date={text}")), "start_date").unwrap();
        let noon = Some(1_640_995_200_000_000 + 12 * HOUR_US);
        assert_eq!(us("2022-01-01"), Some(1_640_995_200_000_000));
        for text in [
            "2022-01-01T12:00:00Z",
            "2022-01-01T12:00:00",
            "2022-01-01%2012:00",
            "2022-01-01T13:00:00%2B01:00",
            "2022-01-01T13:00:00+01:00",
        ] {
            assert_eq!(us(text), noon, "{text}");
        }
        assert!(moment_us(&params("start_date=soon"), "start_date").is_err());
    }

    #[test]
    fn weeks_begin_on_monday() {
        let query = TrendQuery::new(
            &params("interval=7d&start_date=2022-01-05&end_date=2022-01-17"),
            Since::Century,
            0,
        );
        let series = query
            .unwrap()
            .series(RepoId(1), MeasureKind::Report, "", None);
        let starts: Vec<String> = (series.first_bin..=series.last_bin)
            .map(|bin| iso(start_us(&series, bin)))
            .collect();
        assert_eq!(starts, ["2022-01-10T00:00:00Z", "2022-01-17T00:00:00Z"]);
        assert!(series.origin_us <= 0);
    }
}
