//! What was counted of a commit: of its report, of each flag and of each component; and these counts over time.

use std::collections::HashMap;

use sqlx::FromRow;

use super::Conn;
use super::part::{Key, Kind, Listed, Order, Part, Way, bound};
use crate::error::Result;
use crate::id::{CommitId, RepoId};
use crate::model::Totals;

words! {
    /// What of a commit was counted.
    MeasureKind {
        /// Its report; the name is empty.
        Report = "report",
        /// What uploads with a flag say; the name is the flag's.
        Flag = "flag",
        /// A component; the name is its id.
        Component = "component",
    }
}

/// One count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    /// What was counted.
    pub kind: MeasureKind,
    /// Which one.
    pub name: String,
    /// The counts.
    pub totals: Totals,
}

/// Which counts over time, and in which bins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Of which repository.
    pub repo: RepoId,
    /// What is counted.
    pub kind: MeasureKind,
    /// Which one.
    pub name: String,
    /// Only commits of this branch.
    pub branch: Option<String>,
    /// Where bin 0 begins, microseconds; no later than 1970, so that no bin number is negative.
    pub origin_us: i64,
    /// The width of a bin, microseconds.
    pub bin_us: i64,
    /// The first bin.
    pub first_bin: i64,
    /// The last bin.
    pub last_bin: i64,
}

/// One bin: percentages of the commits in it that have counted lines.
#[derive(Clone, Copy, Debug, PartialEq, FromRow)]
pub struct Bin {
    /// Its number from the origin.
    pub bin: i64,
    /// The lowest percentage.
    pub low: f64,
    /// The highest percentage.
    pub high: f64,
    /// The mean.
    pub mean: f64,
}

/// The counts of a series: what all its queries select from.
macro_rules! counted {
    () => {
        "from measure
         where repo_id = $1 and kind = $2 and name = $3 and lines > 0 and ($4 is null or branch = $4)"
    };
}

/// Takes these counts for those of the commit, in place of all that were stored.
pub async fn set_measures(conn: &mut Conn, commit: CommitId, measures: &[Measure]) -> Result<()> {
    const CLEAR: &str = "delete from measure where commit_id = $1";
    const SQL: &str =
        "insert into measure (commit_id, kind, name, files, lines, hits, misses, partials, repo_id, branch, timestamp_us)
        select id, $2, $3, $4, $5, $6, $7, $8, repo_id, branch, timestamp_us from commits where id = $1";
    exec!(conn, sqlx::query(CLEAR).bind(commit))?;
    for Measure { kind, name, totals } in measures {
        exec!(
            conn,
            sqlx::query(SQL)
                .bind(commit)
                .bind(*kind)
                .bind(name.as_str())
                .bind(totals.files as i64)
                .bind(totals.lines as i64)
                .bind(totals.hits as i64)
                .bind(totals.misses as i64)
                .bind(totals.partials as i64)
        )?;
    }
    Ok(())
}

/// Takes the commit's branch and time for those of its counts. To be called when they change.
pub(super) async fn date_measures(conn: &mut Conn, commit: CommitId) -> Result<()> {
    const SQL: &str = "update measure set branch = dated.branch, timestamp_us = dated.timestamp_us
        from commits as dated where dated.id = $1 and measure.commit_id = $1
            and (coalesce(measure.branch, '') <> coalesce(dated.branch, '') or measure.timestamp_us <> dated.timestamp_us)";
    exec!(conn, sqlx::query(SQL).bind(commit))?;
    Ok(())
}

/// The counts of one kind of a commit, by name. One range of an index.
pub async fn list_measures(
    conn: &mut Conn,
    commit: CommitId,
    kind: MeasureKind,
) -> Result<HashMap<String, Totals>> {
    const SQL: &str = "select name, files, lines, hits, misses, partials from measure
        where commit_id = $1 and kind = $2";
    type Row = (String, i64, i64, i64, i64, i64);
    let rows: Vec<Row> = on!(conn, |c| sqlx::query_as(SQL)
        .bind(commit)
        .bind(kind)
        .fetch_all(c))?;
    let totals = |(name, files, lines, hits, misses, partials): Row| {
        let totals = Totals {
            files: files.unsigned_abs(),
            lines: lines.unsigned_abs(),
            hits: hits.unsigned_abs(),
            misses: misses.unsigned_abs(),
            partials: partials.unsigned_abs(),
            ..Totals::default()
        };
        (name, totals)
    };
    Ok(rows.into_iter().map(totals).collect())
}

/// A part of the bins of a series that have commits, oldest first.
pub async fn list_bins(
    conn: &mut Conn,
    series: &Series,
    part: impl Into<Part>,
) -> Result<Listed<Bin>> {
    const BINS: &str = concat!(
        "(select bin, min(percent) as low, max(percent) as high, avg(percent) as mean, count(*) over () as bins from (
             select (timestamp_us - $5) / $6 as bin,
                 100.0 * cast(hits as double precision) / lines as percent ",
        counted!(),
        " and timestamp_us >= $7 and timestamp_us < $8) as binned group by bin) as counted"
    );
    const COUNT: &str = concat!(
        "select cast(count(distinct (timestamp_us - $5) / $6) as bigint) ",
        counted!(),
        " and timestamp_us >= $7 and timestamp_us < $8"
    );
    const OLDEST: Order = Order(&[("bin", Way::Up, Kind::Int)]);
    let window = OLDEST.window(part.into(), 9)?;
    let (condition, tail) = (&window.condition, &window.tail);
    let sql = format!("select bin, low, high, mean, bins from {BINS} where true{condition}{tail}");
    let start_us = start_of(series, series.first_bin);
    let end_us = start_of(series, series.last_bin.saturating_add(1));
    macro_rules! of_series {
        ($query:expr) => {
            $query
                .bind(series.repo)
                .bind(series.kind)
                .bind(series.name.as_str())
                .bind(series.branch.as_deref())
                .bind(series.origin_us)
                .bind(series.bin_us)
                .bind(start_us)
                .bind(end_us)
        };
    }
    let rows: Vec<Counted> = on!(conn, |c| bound!(
        of_series!(sqlx::query_as(&sql)),
        window.values.iter()
    )
    .fetch_all(c))?;
    let count = match (window.whole_count(rows.len()), rows.first()) {
        (Some(count), _) => Some(count),
        (None, Some(row)) => window.counts().then_some(row.bins),
        (None, None) if !window.counts() => None,
        (None, None) => on!(conn, |c| of_series!(sqlx::query_scalar(COUNT)).fetch_one(c))?,
    };
    let bins = rows.into_iter().map(|row| row.bin).collect();
    Ok(window.listed(bins, count, |bin: &Bin| vec![Key::Int(bin.bin)]))
}

/// A bin, and how many there are in all.
#[derive(FromRow)]
struct Counted {
    #[sqlx(flatten)]
    bin: Bin,
    bins: i64,
}

/// The last bin before the series' first that has commits.
pub async fn find_bin_before(conn: &mut Conn, series: &Series) -> Result<Option<i64>> {
    const SQL: &str = concat!(
        "select timestamp_us ",
        counted!(),
        " and timestamp_us < $5 order by timestamp_us desc limit 1"
    );
    let newest: Option<i64> = on!(conn, |c| sqlx::query_scalar(SQL)
        .bind(series.repo)
        .bind(series.kind)
        .bind(series.name.as_str())
        .bind(series.branch.as_deref())
        .bind(start_of(series, series.first_bin))
        .fetch_optional(c))?;
    Ok(newest.map(|us| (us - series.origin_us) / series.bin_us))
}

/// When a bin begins, microseconds.
fn start_of(series: &Series, bin: i64) -> i64 {
    bin.saturating_mul(series.bin_us)
        .saturating_add(series.origin_us)
}
