//! Comparison by flag and by component.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use engine::compare::patch;
use engine::db::uploads::UploadPack;
use engine::diff::Diff;
use engine::model::Totals;
use ingest::component_totals;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::rest::report::Packs;
use super::super::rest::totals::ReportTotals;
use super::super::rest::{Detail, RepoKey};
use super::asked::{Asked, CompareQuery, Pair};
use super::made::packs;
use crate::app::App;
use crate::error::Result;

/// What a flag counts in both commits.
#[derive(Serialize, ToSchema)]
pub(super) struct FlagBody {
    /// The flag.
    name: String,
    /// Counts of its uploads in base; null if it has none.
    base_report_totals: Option<ReportTotals>,
    /// Counts of its uploads in head.
    head_report_totals: ReportTotals,
    /// Counts of the lines that the diff adds; null without a diff.
    diff_totals: Option<ReportTotals>,
}

/// `GET …/compare/flags`: the flags of uploads that were sent for head.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/compare/flags", tag = "compare",
    params(RepoKey, CompareQuery),
    responses((status = 200, body = Vec<FlagBody>), (status = 304, description = "as the client knows it"),
        (status = 400, description = "a parameter is missing or wrong"), (status = 404, body = Detail)))]
pub async fn get_flags(State(app): State<App>, asked: Asked) -> Result<Response> {
    let make = answer_flags(&app, &asked.pair);
    let answers = &app.answers;
    answers.find_or_make(&asked.tag, &asked.headers, make).await
}

async fn answer_flags(app: &App, pair: &Pair) -> Result<Response> {
    let diff = pair.diff.read(app).await?;
    let sent = pair.head_uploads.iter();
    let sent = sent.filter(|upload| upload.source.is_none());
    let flags: BTreeSet<&String> = sent.flat_map(|upload| &upload.flags).collect();
    let mut rows = Vec::with_capacity(flags.len());
    for flag in flags {
        let has_flag = |upload: &UploadPack| upload.flags.contains(flag);
        rows.push(FlagBody {
            name: flag.clone(),
            base_report_totals: flag_totals(app, &pair.base_uploads, flag).await?,
            head_report_totals: flag_totals(app, &pair.head_uploads, flag)
                .await?
                .unwrap_or_else(|| Totals::default().into()),
            diff_totals: patch_of(app, pair, &diff, has_flag, |_| true).await?,
        });
    }
    Ok(Json(rows).into_response())
}

/// What a component counts in both commits.
#[derive(Serialize, ToSchema)]
pub(super) struct ComponentBody {
    /// The id that the settings give it.
    component_id: String,
    /// Its name, which may be empty.
    name: String,
    /// Counts of its files in base; null without a report.
    base_report_totals: Option<ReportTotals>,
    /// Counts of its files in head.
    head_report_totals: ReportTotals,
    /// Counts of the lines that the diff adds to them; null without a diff.
    diff_totals: Option<ReportTotals>,
}

/// `GET …/compare/components`: the components that the settings of head declare, in their order.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/compare/components", tag = "compare",
    params(RepoKey, CompareQuery),
    responses((status = 200, body = Vec<ComponentBody>),
        (status = 400, description = "a parameter is missing or wrong"), (status = 404, body = Detail)))]
pub async fn get_components(State(app): State<App>, asked: Asked) -> Result<Response> {
    let pair = asked.pair;
    let diff = pair.diff.read(&app).await?;
    let mut conn = app.db.read().await?;
    let yaml = app.yamls.of_commit(&mut conn, pair.head.id).await?;
    drop(conn);
    let mut rows = Vec::with_capacity(yaml.components.len());
    for component in &yaml.components {
        let totals = component_totals(&app.folds, &pair.head_uploads, component).await?;
        let base = match pair.base_uploads.is_empty() {
            true => None,
            false => Some(component_totals(&app.folds, &pair.base_uploads, component).await?),
        };
        let counts = |upload: &UploadPack| component.counts(upload);
        let includes = |path: &str| component.paths.includes(path);
        rows.push(ComponentBody {
            component_id: component.id.clone(),
            name: component.name.clone(),
            base_report_totals: base.map(Into::into),
            head_report_totals: totals.into(),
            diff_totals: patch_of(&app, &pair, &diff, counts, includes).await?,
        });
    }
    Ok(Json(rows).into_response())
}

/// Counts of the uploads with a flag; `None` if there are none.
async fn flag_totals(
    app: &App,
    uploads: &[UploadPack],
    flag: &str,
) -> engine::Result<Option<ReportTotals>> {
    let flagged: Vec<UploadPack> = uploads
        .iter()
        .filter(|upload| upload.flags.iter().any(|name| name == flag))
        .cloned()
        .collect();
    let Some(packs) = Packs::new(&flagged, Some(flag))? else {
        return Ok(None);
    };
    let report = packs.read(app).await?;
    Ok(Some(report.totals(report.all()).into()))
}

/// Counts of the lines that the diff adds to these files, as far as these uploads of head know them; `None` without a diff.
async fn patch_of(
    app: &App,
    pair: &Pair,
    diff: &Diff,
    counts: impl Fn(&UploadPack) -> bool,
    includes: impl Fn(&str) -> bool,
) -> engine::Result<Option<ReportTotals>> {
    if !pair.diff.is_known() {
        return Ok(None);
    }
    let uploads = pair.head_uploads.iter().filter(|upload| counts(upload));
    let uploads: Vec<UploadPack> = uploads.cloned().collect();
    let paths = diff.files().iter().map(|file| file.path.clone());
    let paths = paths.filter(|path| includes(path)).collect();
    let report = app
        .folds
        .open_report(&packs(&uploads)?, Some(paths))
        .await?;
    Ok(Some(patch(&report, diff)?.into()))
}
