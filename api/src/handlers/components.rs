//! Components: the parts of a repository that its settings name.

use axum::Json;
use axum::extract::{Path, State};
use engine::db::uploads::list_packs;
use ingest::component_totals;
use serde::Serialize;
use utoipa::ToSchema;

use super::flags::MeantQuery;
use super::rest::params::Params;
use super::rest::totals::cut_percent;
use super::rest::{Detail, RepoKey};
use crate::app::App;
use crate::auth::viewer::Viewer;
use crate::error::Result;

/// A component.
#[derive(Serialize, ToSchema)]
pub struct ComponentBody {
    /// Its id.
    pub component_id: String,
    /// Its name, which may be empty.
    pub name: String,
    /// Hits of its lines, percent, cut to two decimals; null without a report or lines.
    pub coverage: Option<f64>,
}

/// `GET …/components/`: the components that a commit's settings declare, with their coverage in it.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/components/", tag = "components",
    params(RepoKey, MeantQuery),
    responses((status = 200, body = Vec<ComponentBody>), (status = 404, body = Detail)))]
pub async fn list_components(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<RepoKey>,
    params: Params,
) -> Result<Json<Vec<ComponentBody>>> {
    let (mut conn, _, repo) = viewer
        .readable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    let commit = MeantQuery::new(&params).find(&mut conn, &repo).await?;
    let effective = app.yamls.of_commit(&mut conn, commit.id).await?;
    let uploads = list_packs(&mut conn, commit.id).await?;
    drop(conn);
    let mut components = Vec::with_capacity(effective.components.len());
    for component in &effective.components {
        let totals = component_totals(&app.folds, &uploads, component).await?;
        components.push(ComponentBody {
            component_id: component.id.clone(),
            name: component.name.clone(),
            coverage: cut_percent(&totals),
        });
    }
    Ok(Json(components))
}
