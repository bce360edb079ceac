//! Branches.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse as _, Response};
use engine::db::branches::{self, Branch, BranchOrder, find_branch};
use engine::db::commits::find_commit;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::commits::{CommitDetail, answer_detail, detail_tag, find_author, read_commit};
use super::page::{PageOf, PageQuery, Paging, list_page};
use super::rest::fields::FileFields;
use super::rest::params::Params;
use super::rest::report::Lines;
use super::rest::{Detail, RepoKey};
use crate::app::App;
use crate::auth::viewer::Viewer;
use crate::error::{Error, Result};
use crate::middleware::base::BaseUrl;
use crate::times::iso;

/// A branch.
#[derive(Serialize, ToSchema)]
pub struct BranchBody {
    /// Its name.
    pub name: String,
    /// When its head last moved.
    #[schema(format = DateTime)]
    pub updatestamp: String,
}

impl From<&Branch> for BranchBody {
    fn from(branch: &Branch) -> BranchBody {
        BranchBody {
            name: branch.name.clone(),
            updatestamp: iso(branch.updated_us),
        }
    }
}

/// A branch with its head.
#[derive(Serialize, ToSchema)]
pub struct BranchDetail {
    /// The branch.
    #[serde(flatten)]
    pub branch: BranchBody,
    /// Its newest commit, whose files are shown without lines.
    pub head_commit: Option<CommitDetail>,
}

/// Names a branch.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct BranchKey {
    /// The provider, by its long or short name.
    pub service: String,
    /// The owner's name, in any case.
    pub owner: String,
    /// The repository's name, in any case.
    pub repo: String,
    /// The branch's name; slashes may be written as they are or as `%2F`.
    pub name: String,
}

/// In which order to list branches.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct BranchQuery {
    /// `name`, `-name`, `updatestamp` or `-updatestamp`.
    #[param(default = "-updatestamp")]
    pub ordering: Option<String>,
    /// Only branches with a commit of this author, by name or id.
    pub author: Option<String>,
}

impl BranchQuery {
    fn order(&self) -> BranchOrder {
        match self.ordering.as_deref() {
            Some("name") => BranchOrder::Name,
            Some("-name") => BranchOrder::NameDescending,
            Some("updatestamp") => BranchOrder::Updated,
            _ => BranchOrder::UpdatedDescending,
        }
    }
}

/// `GET …/branches/`: the branches of a repository.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/branches/", tag = "branches",
    params(RepoKey, BranchQuery, PageQuery),
    responses((status = 200, body = PageOf<BranchBody>), (status = 404, body = Detail)))]
pub async fn list_branches(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<RepoKey>,
    params: Params,
    paging: Paging,
) -> Result<Json<PageOf<BranchBody>>> {
    let (mut conn, owner, repo) = viewer
        .readable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    let query = BranchQuery {
        ordering: params.text("ordering"),
        author: params.text("author"),
    };
    let order = query.order();
    let author = match &query.author {
        Some(name) => Some(find_author(&mut conn, &owner.service, name).await?),
        None => None,
    };
    let page = list_page!(paging, |part| {
        branches::list_branches(&mut conn, repo.id, author, order, part).await
    });
    Ok(Json(page.try_map(|branch| Ok(BranchBody::from(&branch)))?))
}

/// `GET …/branches/{name}/`: one branch with the files of its head's report.
#[utoipa::path(get, path = "/{service}/{owner}/repos/{repo}/branches/{name}/", tag = "branches",
    params(BranchKey),
    responses((status = 200, body = BranchDetail), (status = 304, description = "as the client knows it"),
        (status = 404, body = Detail)))]
pub async fn get_branch(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<BranchKey>,
    base: BaseUrl,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    let (mut conn, _, repo) = viewer
        .readable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    let branch = find_branch(&mut conn, repo.id, &key.name).await?;
    let branch = branch.ok_or_else(|| Error::not_found("No Branch matches the given query."))?;
    let body = BranchBody::from(&branch);
    let Some(commit) = find_commit(&mut conn, repo.id, &branch.head).await? else {
        return Ok(Json(BranchDetail {
            branch: body,
            head_commit: None,
        })
        .into_response());
    };
    let (commit, packs) = read_commit(&mut conn, commit).await?;
    drop(conn);
    let tag = detail_tag(&base, &uri, (&body, &commit), packs.as_ref());
    let within = |commit| BranchDetail {
        branch: body,
        head_commit: Some(commit),
    };
    let fields = FileFields::of(&uri, &["head_commit", "report", "files"]);
    let make = answer_detail(&app, commit, packs, Lines::Hidden, &fields, within);
    app.answers.find_or_make(&tag, &headers, make).await
}
