//! The REST API described as OpenAPI, derived from the handlers and their shapes.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::server::Server;
use utoipa::{Modify, OpenApi};

use crate::handlers::{
    badges, branches, commits, compare, components, events, exports, flags, graphs, journal, lines,
    paths, reports, repos, trend, verdicts, what_if, yamls,
};

/// The whole description.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut api = Api::openapi();
    api.merge(compare::Paths::openapi());
    api
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Hitline API",
        description = "Reads of coverage. Public repositories need no token; a wrong one is refused."
    ),
    servers((url = "/api/v2")),
    paths(
        repos::list_owners,
        repos::get_owner,
        repos::list_repos,
        repos::get_repo,
        branches::list_branches,
        branches::get_branch,
        commits::list_commits,
        commits::get_commit,
        commits::list_uploads,
        paths::get_paths,
        verdicts::get_verdict,
        exports::get_export,
        events::get_events,
        lines::get_provenance,
        lines::get_history,
        journal::list_steps,
        yamls::get_owner_yaml,
        yamls::put_owner_yaml,
        yamls::delete_owner_yaml,
        yamls::get_repo_yaml,
        yamls::put_repo_yaml,
        yamls::delete_repo_yaml,
        yamls::get_commit_yaml,
        what_if::ask,
        trend::get_trend,
        flags::list_flags,
        flags::get_trend,
        flags::restore_flag,
        flags::delete_flag,
        components::list_components,
        reports::get_totals,
        reports::get_report,
        reports::get_tree,
        reports::get_file,
        badges::answer,
        graphs::answer,
    ),
    security((), ("bearer" = [])),
    modifiers(&Bearer, &Pictures)
)]
struct Api;

/// Adds how callers say who they are.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_default();
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("bearer", scheme);
    }
}

/// Says that pictures stand at the root of the server, and need no token of the API.
struct Pictures;

impl Modify for Pictures {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let pictures = api.paths.paths.iter_mut();
        for (_, item) in pictures.filter(|(path, _)| path.contains("/graph/")) {
            item.servers = Some(vec![Server::new("/")]);
            if let Some(get) = &mut item.get {
                get.security = Some(vec![SecurityRequirement::default()]);
            }
        }
    }
}
