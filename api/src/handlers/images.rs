//! Pictures that pages elsewhere show: badges and graphs. They need no session; those of a private
//! repository need its graph token.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{
    ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, EXPIRES,
    HeaderName, PRAGMA,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use engine::db::Conn;
use engine::db::branches::find_branch;
use engine::db::commits::{Commit, find_commit};
use engine::db::pulls::find_pull;
use engine::db::repos::{Repo, find_repo};
use engine::secret::is_graph_token;
use serde::Deserialize;

use super::badges;
use super::graphs::{self, Kind};
use super::rest::etag::Tag;
use super::rest::params::Params;
use crate::app::App;
use crate::auth::viewer::service_name;
use crate::error::Result;
use crate::router::unknown_path;

/// What a picture that must be asked for each time carries; proxies of code hosts keep pictures otherwise.
const NEVER_KEPT: [(HeaderName, &str); 4] = [
    (
        CACHE_CONTROL,
        "no-cache, no-store, must-revalidate, max-age=0",
    ),
    (PRAGMA, "no-cache"),
    (EXPIRES, "0"),
    (
        ACCESS_CONTROL_EXPOSE_HEADERS,
        "Content-Type, Cache-Control, Expires, Etag, Last-Modified",
    ),
];

/// Every picture. A branch may hold slashes, so what follows `branch/` is taken apart by hand.
pub fn routes() -> Router<App> {
    let mut routes = Router::new();
    for word in ["graph", "graphs"] {
        let in_repo = |rest: &str| format!("/{{service}}/{{owner}}/{{repo}}/{rest}");
        routes = routes
            .route(&in_repo(&format!("{word}/{{file}}")), get(of_default))
            .route(
                &in_repo(&format!("{word}/bundle/{{bundle}}/{{file}}")),
                get(of_bundle),
            )
            .route(
                &in_repo(&format!("commit/{{sha}}/{word}/{{file}}")),
                get(of_commit),
            )
            .route(
                &in_repo(&format!("pull/{{number}}/{word}/{{file}}")),
                get(of_pull),
            );
    }
    routes.route("/{service}/{owner}/{repo}/branch/{*rest}", get(of_branch))
}

/// Names a repository, as strangers may write it.
#[derive(Deserialize, Clone, Debug)]
pub struct RepoName {
    /// The provider, by its long or short name.
    pub service: String,
    /// The owner's name, in any case.
    pub owner: String,
    /// The repository's name, in any case.
    pub repo: String,
}

/// Which report of a repository is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// The head of the default branch.
    Default,
    /// The head of a branch.
    Branch(String),
    /// A commit, by its whole hash.
    Commit(String),
    /// The head of a pull request, by its number.
    Pull(i64),
}

/// A request for a picture.
pub struct Asked {
    /// The repository.
    pub name: RepoName,
    /// Which of its reports.
    pub place: Place,
    /// The query.
    pub params: Params,
    /// The request's headers.
    pub headers: HeaderMap,
}

/// Names the picture.
#[derive(Deserialize)]
struct File {
    file: String,
}

#[derive(Deserialize)]
struct BundleFile {
    bundle: String,
    file: String,
}

#[derive(Deserialize)]
struct CommitFile {
    sha: String,
    file: String,
}

#[derive(Deserialize)]
struct PullFile {
    number: String,
    file: String,
}

#[derive(Deserialize)]
struct Rest {
    rest: String,
}

async fn of_default(
    State(app): State<App>,
    Path(name): Path<RepoName>,
    Path(File { file }): Path<File>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    answer(&app, name, Place::Default, &file, uri, headers).await
}

async fn of_commit(
    State(app): State<App>,
    Path(name): Path<RepoName>,
    Path(CommitFile { sha, file }): Path<CommitFile>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    answer(&app, name, Place::Commit(sha), &file, uri, headers).await
}

async fn of_pull(
    State(app): State<App>,
    Path(name): Path<RepoName>,
    Path(PullFile { number, file }): Path<PullFile>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    match number.parse() {
        Ok(number) => answer(&app, name, Place::Pull(number), &file, uri, headers).await,
        Err(_) => Ok(unknown_path(uri).await),
    }
}

async fn of_branch(
    State(app): State<App>,
    Path(name): Path<RepoName>,
    Path(Rest { rest }): Path<Rest>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    match branch_and_file(&rest) {
        Some((branch, Picture::Report(file))) => {
            let place = Place::Branch(branch.to_owned());
            answer(&app, name, place, file, uri, headers).await
        }
        Some((branch, Picture::Bundle(bundle, file))) => {
            let place = Place::Branch(branch.to_owned());
            answer_bundle(&app, name, place, bundle, file, uri, headers).await
        }
        None => Ok(unknown_path(uri).await),
    }
}

async fn of_bundle(
    State(app): State<App>,
    Path(name): Path<RepoName>,
    Path(BundleFile { bundle, file }): Path<BundleFile>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    answer_bundle(&app, name, Place::Default, &bundle, &file, uri, headers).await
}

async fn answer_bundle(
    app: &App,
    name: RepoName,
    place: Place,
    bundle: &str,
    file: &str,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    let Some(extension) = file.strip_prefix("badge.") else {
        return Ok(unknown_path(uri).await);
    };
    let params = Params::of(&uri);
    let asked = Asked {
        name,
        place,
        params,
        headers,
    };
    badges::answer_bundle(app, asked, bundle, extension).await
}

/// The picture that the file's name asks for.
async fn answer(
    app: &App,
    name: RepoName,
    place: Place,
    file: &str,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    let asked = Asked {
        name,
        place,
        params: Params::of(&uri),
        headers,
    };
    match file.split_once('.') {
        Some(("badge", extension)) => badges::answer(app, asked, extension).await,
        Some((name, extension)) if let Some(kind) = Kind::parse(name) => {
            graphs::answer(app, asked, kind, extension).await
        }
        _ => Ok(unknown_path(uri).await),
    }
}

/// A file below a branch.
#[derive(PartialEq, Eq, Debug)]
enum Picture<'a> {
    Report(&'a str),
    /// The bundle, and the file.
    Bundle(&'a str, &'a str),
}

/// Takes `{branch}/graph/{file}` and `{branch}/graph/bundle/{bundle}/{file}` apart.
fn branch_and_file(rest: &str) -> Option<(&str, Picture<'_>)> {
    let (front, file) = rest.rsplit_once('/')?;
    let branch = |front: &'_ str| -> Option<usize> {
        let branch = front
            .strip_suffix("/graph")
            .or(front.strip_suffix("/graphs"))?;
        Some(branch.len())
    };
    if let Some(end) = branch(front) {
        return Some((&rest[..end], Picture::Report(file)));
    }
    let (front, bundle) = front.rsplit_once('/')?;
    let end = branch(front.strip_suffix("/bundle")?)?;
    Some((&rest[..end], Picture::Bundle(bundle, file)))
}

impl Asked {
    /// The repository, if it exists and whoever asks may see its pictures.
    pub async fn find_repo(&self, app: &App, conn: &mut Conn) -> Result<Option<Repo>> {
        let RepoName {
            service,
            owner,
            repo,
        } = &self.name;
        let Some(service) = service_name(service) else {
            return Ok(None);
        };
        let Some((_, repo)) = find_repo(conn, service, owner, repo).await? else {
            return Ok(None);
        };
        let token = self.params.last("token").unwrap_or_default();
        let visible = !repo.private || is_graph_token(&app.key, repo.id, token);
        Ok(visible.then_some(repo))
    }

    /// The commit whose report is shown.
    pub async fn find_commit(&self, conn: &mut Conn, repo: &Repo) -> Result<Option<Commit>> {
        let branch = match &self.place {
            Place::Default => &repo.default_branch,
            Place::Branch(name) => name,
            Place::Commit(sha) => return Ok(find_commit(conn, repo.id, sha).await?),
            Place::Pull(number) => {
                let pull = find_pull(conn, repo.id, *number).await?;
                return match pull.and_then(|pull| pull.head_sha) {
                    Some(sha) => Ok(find_commit(conn, repo.id, &sha).await?),
                    None => Ok(None),
                };
            }
        };
        match find_branch(conn, repo.id, branch).await? {
            Some(branch) => Ok(find_commit(conn, repo.id, &branch.head).await?),
            None => Ok(None),
        }
    }
}

/// Answers a picture under this file name, or that the client has it.
pub fn svg(headers: &HeaderMap, file_name: &str, picture: String) -> Response {
    let mut answer = never_kept(headers, "image/svg+xml", picture);
    let disposition = format!("inline; filename=\"{file_name}\"");
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        answer
            .headers_mut()
            .insert(CONTENT_DISPOSITION, disposition);
    }
    answer
}

/// Answers a text, or that the client has it.
pub fn text(headers: &HeaderMap, text: String) -> Response {
    never_kept(headers, "text/plain; charset=utf-8", text)
}

fn never_kept(headers: &HeaderMap, content_type: &'static str, body: String) -> Response {
    let tag = Tag::of(body.as_bytes());
    let mut answer = match tag.unchanged(headers) {
        Some(unchanged) => unchanged,
        None => tag.on((StatusCode::OK, [(CONTENT_TYPE, content_type)], body).into_response()),
    };
    for (name, value) in NEVER_KEPT {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_may_hold_slashes_and_words_of_the_path() {
        let report = |branch, file| Some((branch, Picture::Report(file)));
        assert_eq!(
            branch_and_file("feat/x/graph/badge.svg"),
            report("feat/x", "badge.svg")
        );
        assert_eq!(
            branch_and_file("a/graph/b/graphs/tree.svg"),
            report("a/graph/b", "tree.svg")
        );
        assert_eq!(
            branch_and_file("main/graph/bundle/app/badge.txt"),
            Some(("main", Picture::Bundle("app", "badge.txt")))
        );
        assert_eq!(branch_and_file("main/tree/badge.svg"), None);
        assert_eq!(branch_and_file("graph/badge.svg"), None);
        assert_eq!(branch_and_file("main"), None);
    }
}
