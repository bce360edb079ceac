//! Badges: one coverage figure as a picture or as text. Whatever is not known, or not to be seen, is
//! the badge "unknown": a page with the picture stays whole, and nobody learns what exists.

use axum::http::StatusCode;
use axum::response::Response;
use engine::codecov_yml::Source;
use engine::db::uploads::{UploadPack, find_bundle, list_packs};
use engine::model::Totals;
use ingest::bundle::Bundle;
use ingest::component_totals;
use ingest::yamls::Effective;
use utoipa::IntoParams;

use super::images::{self, Asked};
use super::rest::params::Params;
use super::rest::report::Packs;
use super::rest::totals::parse_totals;
use crate::app::App;
use crate::error::{Error, Result};
use crate::svg::badge::{self, Look, Style};
use crate::svg::colours::{DEFAULT_RANGE, Range};

/// Decimals of a bundle's size.
const BUNDLE_PRECISION: usize = 2;

/// What a badge shows, and how.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct BadgeQuery {
    /// The graph token, for a private repository.
    #[param(nullable = false)]
    pub token: Option<String>,
    /// Only what uploads with this flag cover; counts before `component`.
    #[param(nullable = false)]
    pub flag: Option<String>,
    /// Only this component, by its id or name.
    #[param(nullable = false)]
    pub component: Option<String>,
    /// Decimals: 0, 1 or 2.
    #[param(value_type = Option<u8>, nullable = false, minimum = 0, maximum = 2)]
    pub precision: usize,
    /// `flat`, `flat-square` or `for-the-badge`.
    #[param(nullable = false)]
    pub style: Option<String>,
    /// The text at the left, at most 60 characters of it.
    #[param(nullable = false)]
    pub label: Option<String>,
}

impl BadgeQuery {
    fn new(params: &Params) -> Result<BadgeQuery> {
        Ok(BadgeQuery {
            token: params.text("token"),
            flag: params.text("flag"),
            component: params.text("component"),
            precision: precision(params)?.unwrap_or(0),
            style: params.text("style"),
            label: params.text("label"),
        })
    }

    fn look(&self) -> Look {
        Look {
            style: Style::parse(self.style.as_deref().unwrap_or_default()),
            label: self.label.clone(),
        }
    }
}

/// `GET /{service}/{owner}/{repo}/graph/badge.{extension}`, also below `branch/{branch}/` and
/// `commit/{sha}/`: a badge as `svg`, or its figure as `txt`.
#[utoipa::path(get, path = "/{service}/{owner}/{repo}/graph/badge.{extension}", tag = "badges",
    params(
        ("service" = String, Path, description = "The provider, by its long or short name"),
        ("owner" = String, Path, description = "The owner's name, in any case"),
        ("repo" = String, Path, description = "The repository's name, in any case"),
        ("extension" = String, Path, description = "`svg` or `txt`"),
        BadgeQuery,
    ),
    responses(
        (status = 200, description = "The badge; \"unknown\" where nothing is known, or may be seen",
            content((String = "image/svg+xml"), (String = "text/plain"))),
        (status = 304, description = "as the client knows it"),
        (status = 404, body = super::rest::Detail, description = "no such extension or precision")))]
pub async fn answer(app: &App, asked: Asked, extension: &str) -> Result<Response> {
    let format = Format::parse(extension)?;
    let query = BadgeQuery::new(&asked.params)?;
    let known = find_figure(app, &asked, &query).await?;
    let (percent, range) = known.unwrap_or((None, DEFAULT_RANGE));
    let figure = percent.map(|percent| badge::figure(percent, query.precision));
    Ok(match format {
        Format::Svg => {
            let picture = badge::coverage(figure.as_deref(), range, &query.look());
            images::svg(&asked.headers, "badge.svg", picture)
        }
        Format::Text => images::text(&asked.headers, figure.unwrap_or_else(|| "unknown".into())),
    })
}

/// `…/graph/bundle/{bundle}/badge.{extension}`: the size of a bundle that the head commit has.
pub async fn answer_bundle(
    app: &App,
    asked: Asked,
    bundle: &str,
    extension: &str,
) -> Result<Response> {
    let format = Format::parse(extension)?;
    let precision = precision(&asked.params)?.unwrap_or(BUNDLE_PRECISION);
    let found = find_bundle_size(app, &asked, bundle).await?;
    let size = found.map(|bytes| badge::size(bytes, precision));
    Ok(match format {
        Format::Svg => {
            let picture = badge::bundle(size.as_deref());
            images::svg(&asked.headers, "bundle-badge.svg", picture)
        }
        Format::Text => images::text(&asked.headers, size.unwrap_or_else(|| "unknown".into())),
    })
}

async fn find_bundle_size(app: &App, asked: &Asked, bundle: &str) -> Result<Option<u64>> {
    let mut conn = app.db.read().await?;
    let Some(repo) = asked.find_repo(app, &mut conn).await? else {
        return Ok(None);
    };
    let Some(commit) = asked.find_commit(&mut conn, &repo).await? else {
        return Ok(None);
    };
    let found = find_bundle(&mut conn, commit.id, bundle).await?;
    let found = found.and_then(|totals| serde_json::from_str::<Bundle>(&totals).ok());
    Ok(found.map(|bundle| bundle.size_bytes))
}

enum Format {
    Svg,
    Text,
}

impl Format {
    fn parse(extension: &str) -> Result<Format> {
        match extension {
            "svg" => Ok(Format::Svg),
            "txt" => Ok(Format::Text),
            _ => Err(Error::Detail(
                StatusCode::NOT_FOUND,
                "File extension should be one of [ svg || txt ]".into(),
            )),
        }
    }
}

/// The decimals that the query asks for. Errors: 404 for others than clients know.
fn precision(params: &Params) -> Result<Option<usize>> {
    match params.last("precision") {
        None | Some("") => Ok(None),
        Some("0") => Ok(Some(0)),
        Some("1") => Ok(Some(1)),
        Some("2") => Ok(Some(2)),
        Some(_) => Err(Error::not_found(
            "Coverage precision should be one of [ 0 || 1 || 2 ]",
        )),
    }
}

/// The percentage, and the range of its colours. `None` if the report is not known.
async fn find_figure(
    app: &App,
    asked: &Asked,
    query: &BadgeQuery,
) -> Result<Option<(Option<f64>, Range)>> {
    let mut conn = app.db.read().await?;
    let Some(repo) = asked.find_repo(app, &mut conn).await? else {
        return Ok(None);
    };
    let Some(commit) = asked.find_commit(&mut conn, &repo).await? else {
        return Ok(None);
    };
    let effective = app.yamls.of_commit(&mut conn, commit.id).await?;
    let totals = match (&query.flag, &query.component) {
        (None, None) => parse_totals::<Totals>(commit.totals.as_deref())?,
        (Some(flag), _) => {
            let uploads = list_packs(&mut conn, commit.id).await?;
            drop(conn);
            totals_of_flag(app, &uploads, flag).await?
        }
        (None, Some(name)) => {
            let uploads = list_packs(&mut conn, commit.id).await?;
            drop(conn);
            totals_of_component(app, &uploads, &effective, name).await?
        }
    };
    let percent = totals.as_ref().and_then(percent);
    Ok(Some((percent, range_of(&effective))))
}

async fn totals_of_flag(app: &App, uploads: &[UploadPack], flag: &str) -> Result<Option<Totals>> {
    let Some(packs) = Packs::new(uploads, Some(flag))? else {
        return Ok(None);
    };
    let report = packs.read(app).await?;
    Ok(Some(report.totals(report.all())))
}

/// Counts of the component of this id or name.
async fn totals_of_component(
    app: &App,
    uploads: &[UploadPack],
    effective: &Effective,
    name: &str,
) -> Result<Option<Totals>> {
    let mut components = effective.components.iter();
    match components.find(|component| component.id == name || component.name == name) {
        Some(component) => Ok(Some(
            component_totals(&app.folds, uploads, component).await?,
        )),
        None => Ok(None),
    }
}

/// The percentage as it is stored elsewhere, with five decimals.
fn percent(totals: &Totals) -> Option<f64> {
    totals.coverage_text()?.parse().ok()
}

/// `coverage.range` where somebody says it; the default of a codecov.yml is not that of badges.
fn range_of(effective: &Effective) -> Range {
    let is_said = effective
        .origin
        .get("coverage.range")
        .is_some_and(|source| *source != Source::Default);
    let range = effective.get(&["coverage", "range"]);
    match (range[0].as_f64(), range[1].as_f64()) {
        (Some(low), Some(high)) if is_said => Range { low, high },
        _ => DEFAULT_RANGE,
    }
}
