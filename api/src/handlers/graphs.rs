//! Graphs: the files of a report as areas or rings, coverage over time as a line.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use engine::db::Page;
use engine::db::commits::{CommitFilter, list_commits};
use engine::db::uploads::list_packs;
use engine::model::Totals;
use quick_cache::sync::Cache;
use utoipa::IntoParams;

use super::images::{self, Asked, Place};
use super::rest::params::Params;
use super::rest::report::Packs;
use super::rest::totals::parse_totals;
use crate::app::App;
use crate::error::{Error, Result};
use crate::svg::graph::{self, PARTS_MAX, Size};
use crate::svg::tree::grow;

/// Commits that the line of coverage over time shows.
const COMMITS_SHOWN: i64 = 20;
/// Graphs that a node keeps drawn; each has at most some hundred kilobytes.
const GRAPHS_KEPT: usize = 256;

/// Drawn graphs by fold, kind and size: what they are drawn from never changes.
pub struct Drawn(Cache<Key, Arc<str>>);

impl Default for Drawn {
    fn default() -> Drawn {
        Drawn(Cache::new(GRAPHS_KEPT))
    }
}

type Key = ([u8; 32], Kind, u32, u32);

/// A kind of graph.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// Files as areas.
    Tree,
    /// Levels as rows.
    Icicle,
    /// Levels as rings.
    Sunburst,
    /// The last commits.
    Commits,
}

impl Kind {
    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Kind> {
        Some(match name {
            "tree" => Kind::Tree,
            "icicle" => Kind::Icicle,
            "sunburst" => Kind::Sunburst,
            "commits" => Kind::Commits,
            _ => return None,
        })
    }

    fn usual_size(self) -> Size {
        let (width, height) = match self {
            Kind::Tree | Kind::Sunburst => (300, 300),
            Kind::Icicle => (750, 150),
            Kind::Commits => (700, 100),
        };
        Size { width, height }
    }
}

/// How large a graph is.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct GraphQuery {
    /// The graph token, for a private repository.
    #[param(nullable = false)]
    pub token: Option<String>,
    /// Width in pixels; what is no number is the usual width.
    #[param(nullable = false)]
    pub width: Option<u32>,
    /// Height in pixels.
    #[param(nullable = false)]
    pub height: Option<u32>,
}

impl GraphQuery {
    fn new(params: &Params) -> GraphQuery {
        let side = |name: &str| params.last(name).and_then(|text| text.parse().ok());
        GraphQuery {
            token: params.text("token"),
            width: side("width"),
            height: side("height"),
        }
    }
}

/// `GET /{service}/{owner}/{repo}/graph/{graph}.svg`, also below `branch/{branch}/`, `commit/{sha}/` and
/// `pull/{number}/`: a graph.
#[utoipa::path(get, path = "/{service}/{owner}/{repo}/graph/{graph}.svg", tag = "badges",
    params(
        ("service" = String, Path, description = "The provider, by its long or short name"),
        ("owner" = String, Path, description = "The owner's name, in any case"),
        ("repo" = String, Path, description = "The repository's name, in any case"),
        ("graph" = String, Path, description = "`tree`, `icicle`, `sunburst` or `commits`"),
        GraphQuery,
    ),
    responses(
        (status = 200, description = "The graph", content((String = "image/svg+xml"))),
        (status = 304, description = "as the client knows it"),
        (status = 404, body = super::rest::NotFound, description = "no such graph, or none that may be seen")))]
pub async fn answer(app: &App, asked: Asked, kind: Kind, extension: &str) -> Result<Response> {
    if extension != "svg" {
        let detail = "File extension should be one of [ svg ]";
        return Err(Error::Detail(StatusCode::NOT_FOUND, detail.into()));
    }
    let query = GraphQuery::new(&asked.params);
    let usual = kind.usual_size();
    let size = Size {
        width: query.width.unwrap_or(usual.width),
        height: query.height.unwrap_or(usual.height),
    };
    let drawn = match kind {
        Kind::Commits => draw_commits(app, &asked, size.bounded()).await?,
        kind => draw_report(app, &asked, kind, size.bounded()).await?,
    };
    let picture = drawn.ok_or_else(|| {
        Error::not_found("Not found. Note: private repositories require ?token arguments")
    })?;
    Ok(images::svg(
        &asked.headers,
        "graph.svg",
        picture.to_string(),
    ))
}

/// The graph of a commit's report; `None` if there is none, or none that may be seen.
async fn draw_report(app: &App, asked: &Asked, kind: Kind, size: Size) -> Result<Option<Arc<str>>> {
    let mut conn = app.db.read().await?;
    let Some(repo) = asked.find_repo(app, &mut conn).await? else {
        return Ok(None);
    };
    let Some(commit) = asked.find_commit(&mut conn, &repo).await? else {
        return Ok(None);
    };
    let uploads = list_packs(&mut conn, commit.id).await?;
    drop(conn);
    let Some(packs) = Packs::new(&uploads, None)? else {
        return Ok(None);
    };
    let key = (packs.all.key(), kind, size.width, size.height);
    if let Some(drawn) = app.graphs.0.get(&key) {
        return Ok(Some(drawn));
    }
    let report = packs.read(app).await?;
    let drawing = move || -> Arc<str> {
        let root = grow(&report.files(report.all()), PARTS_MAX);
        let drawn = match kind {
            Kind::Icicle => graph::icicle(&root, size),
            Kind::Sunburst => graph::sunburst(&root, size),
            Kind::Tree | Kind::Commits => graph::tree(&root, size),
        };
        drawn.into()
    };
    let drawn = tokio::task::spawn_blocking(drawing).await;
    let drawn = drawn.map_err(|e| engine::Error::invalid("graph", e))?;
    app.graphs.0.insert(key, drawn.clone());
    Ok(Some(drawn))
}

/// The coverage of the branch's last commits; of a commit or a pull request, of its branch.
async fn draw_commits(app: &App, asked: &Asked, size: Size) -> Result<Option<Arc<str>>> {
    let mut conn = app.db.read().await?;
    let Some(repo) = asked.find_repo(app, &mut conn).await? else {
        return Ok(None);
    };
    let branch = match &asked.place {
        Place::Default => Some(repo.default_branch.clone()),
        Place::Branch(name) => Some(name.clone()),
        Place::Commit(_) | Place::Pull(_) => {
            let commit = asked.find_commit(&mut conn, &repo).await?;
            commit.and_then(|commit| commit.branch)
        }
    };
    let Some(branch) = branch else {
        return Ok(None);
    };
    let page = Page::first(COMMITS_SHOWN);
    let filter = CommitFilter {
        branch: Some(branch),
        ..CommitFilter::default()
    };
    let commits = list_commits(&mut conn, repo.id, &filter, page).await?.rows;
    if commits.is_empty() {
        return Ok(None);
    }
    let mut points = Vec::with_capacity(commits.len());
    for commit in commits.into_iter().rev() {
        let totals = parse_totals::<Totals>(commit.totals.as_deref())?;
        if let Some(ratio) = totals.and_then(|totals| totals.ratio()) {
            points.push((commit.sha, 100.0 * ratio));
        }
    }
    Ok(Some(graph::line(&points, size).into()))
}
