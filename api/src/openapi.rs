//! The REST API described as OpenAPI, derived from the handlers and their shapes.

use std::collections::HashSet;

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Ref, RefOr, Response, ResponseBuilder, Server};
use utoipa::{Modify, OpenApi};

use crate::handlers::{
    badges, blobs, branches, bundles, commits, compare, components, downloads, events, exports,
    flags, graphs, health, journal, legacy, lines, paths, pulls, reports, repos, test_analytics,
    test_results, tokens, trend, uploads, users, validate, verdicts, what_if, yamls,
};

/// What the paths begin with that are told from the server's root, not from that of the API.
const FROM_ROOT: [&str; 6] = [
    "/upload/",
    "/api/",
    "/blob/",
    "/validate",
    "/health",
    "/readyz",
];

/// The whole description.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut api = Api::openapi();
    api.merge(compare::Paths::openapi());
    let all: [&dyn Modify; 6] = [&Schemes, &Roots, &Pictures, &Refusals, &Once, &Names];
    for change in all {
        change.modify(&mut api);
    }
    api
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Hitline API",
        description = "Reads of coverage. Public repositories need no token; a wrong one is refused. Every answer in \
            JSON has an `ETag`, and takes `fields=` with names, joined by commas and going down with dots, to have \
            only those. Lists come by page number, or, with `cursor=`, by place."
    ),
    servers((url = "/api/v2")),
    paths(
        repos::list_owners,
        repos::get_owner,
        users::list_users,
        users::get_user,
        users::set_user,
        users::list_sessions,
        tokens::list_tokens,
        tokens::create_token,
        tokens::revoke_token,
        repos::list_repos,
        repos::get_repo,
        repos::get_config,
        branches::list_branches,
        branches::get_branch,
        commits::list_commits,
        commits::get_commit,
        commits::get_status,
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
        pulls::list_pulls,
        pulls::get_pull,
        reports::get_totals,
        reports::get_report,
        reports::get_tree,
        reports::get_file,
        badges::answer,
        graphs::answer,
        test_analytics::list_runs,
        test_analytics::moved,
        test_analytics::summarise,
        test_analytics::compare,
        uploads::create_commit,
        uploads::list_commits,
        uploads::create_report,
        uploads::create,
        uploads::get_results,
        uploads::create_results,
        uploads::upload_coverage,
        uploads::empty_upload,
        uploads::upload_complete,
        test_results::create,
        bundles::create,
        legacy::create_v4,
        legacy::create_v2,
        downloads::download,
        blobs::write,
        blobs::read,
        pulls::list_old_pulls,
        pulls::get_old_pull,
        pulls::set_base,
        validate::tell_usage,
        validate::validate,
        validate::validate_v2,
        health::tell_version,
        health::readyz,
    ),
    security((), ("bearer" = []))
)]
struct Api;

/// Adds how callers say who they are.
struct Schemes;

impl Modify for Schemes {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_default();
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("bearer", bearer);
        let about = "`token` and a repository's upload token, or an API token that allows uploads";
        let token = ApiKeyValue::with_description("Authorization", about);
        let token = SecurityScheme::ApiKey(ApiKey::Header(token));
        components.add_security_scheme("upload_token", token);
    }
}

/// Says of the paths that stand elsewhere where they begin.
struct Roots;

impl Modify for Roots {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut api.paths.paths {
            if FROM_ROOT.iter().any(|begin| path.starts_with(begin)) {
                item.servers = Some(vec![Server::new("/")]);
            }
        }
    }
}

/// Adds the refusals that any call may meet: a wrong token, too many calls, a server that is busy.
struct Refusals;

impl Modify for Refusals {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        for item in api.paths.paths.values_mut() {
            for operation in operations(item) {
                for (status, about) in [
                    ("401", "the token is not known"),
                    ("404", "there is no such thing"),
                    (
                        "429",
                        "too many calls; `Retry-After` says when to come back",
                    ),
                    (
                        "503",
                        "the server is busy; `Retry-After` says when to come back",
                    ),
                ] {
                    let responses = &mut operation.responses.responses;
                    let known = responses.entry(status.to_owned());
                    known.or_insert_with(|| RefOr::T(refusal(about)));
                }
            }
        }
    }
}

/// Gives operations of the same name names of their own, from their paths; those of the API keep the short ones.
struct Names;

impl Modify for Names {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let mut taken = HashSet::new();
        for elsewhere in [false, true] {
            let paths = api.paths.paths.iter_mut();
            for (path, item) in paths.filter(|(_, item)| item.servers.is_some() == elsewhere) {
                for operation in operations(item) {
                    let id = operation.operation_id.get_or_insert_default();
                    if !taken.insert(id.clone()) {
                        *id = format!("{id}_{}", words_of(path));
                        taken.insert(id.clone());
                    }
                }
            }
        }
    }
}

/// The fixed words of a path, without the places.
fn words_of(path: &str) -> String {
    let parts = path
        .split('/')
        .filter(|part| !part.is_empty() && !part.contains('{'));
    parts.collect::<Vec<_>>().join("_").replace('-', "_")
}

/// Takes away parameters that are told twice: those of a path whose handler takes it apart by place are also derived.
struct Once;

impl Modify for Once {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        for item in api.paths.paths.values_mut() {
            for operation in operations(item) {
                let mut told = HashSet::new();
                if let Some(parameters) = &mut operation.parameters {
                    parameters.retain(|parameter| told.insert(parameter.name.clone()));
                }
            }
        }
    }
}

fn refusal(about: &str) -> Response {
    let body = utoipa::openapi::ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Detail")))
        .build();
    ResponseBuilder::new()
        .description(about)
        .content("application/json", body)
        .build()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let all = [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ];
    all.into_iter().flatten()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_names_of_their_own() {
        let mut api = document();
        let mut taken = HashSet::new();
        for item in api.paths.paths.values_mut() {
            for operation in operations(item) {
                let id = operation.operation_id.clone().unwrap();
                assert!(taken.insert(id.clone()), "{id}");
            }
        }
    }

    #[test]
    fn paths_say_where_they_begin() {
        for (path, item) in &document().paths.paths {
            let elsewhere = path.starts_with("/upload/") || path.starts_with("/api/");
            assert!(!elsewhere || item.servers.is_some(), "{path}");
        }
    }
}
