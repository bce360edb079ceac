//! Every path that the server answers. The tables of contents are `routes()` of the handlers.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tower::ServiceBuilder;
use tower::util::MapRequestLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use crate::app::App;
use crate::config::CALL_MAX_BYTES;
use crate::error::Error;
use crate::handlers::{
    blobs, bundles, downloads, health, images, legacy, pulls, rest, test_results, uploads,
    validate, verdicts,
};
use crate::middleware::answer::{keep_deadline, refine};
use crate::middleware::limit::limit_uploads;
use crate::middleware::log::log_requests;
use crate::middleware::origin::tell_browsers;
use crate::middleware::path::normalise;

/// The whole server as one service.
pub fn service(app: App, metrics: PrometheusHandle) -> Router {
    let roles = app.config.roles;
    let mut routes = Router::new().merge(health::routes(metrics));
    if roles.api {
        routes = routes.merge(api(&app));
    }
    if roles.web {
        routes = routes.merge(reads(&app, images::routes()));
    }
    let routes = routes
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(app.clone(), tell_browsers))
        .layer(from_fn(log_requests))
        .layer(CatchPanicLayer::custom(|_| panicked()))
        .with_state(app);
    // Routing happens inside, so that it sees the one spelling of each path.
    let normalised = ServiceBuilder::new()
        .layer(MapRequestLayer::new(normalise))
        .service(routes);
    Router::new().fallback_service(normalised)
}

/// What programs and CI call.
fn api(app: &App) -> Router<App> {
    let uploads = Router::new()
        .merge(uploads::routes())
        .merge(legacy::routes())
        .merge(test_results::routes())
        .merge(bundles::routes())
        .merge(pulls::routes())
        .merge(verdicts::routes())
        .layer(from_fn_with_state(app.clone(), limit_uploads));
    Router::new()
        .merge(uploads)
        .merge(reads(app, rest::routes()))
        .merge(downloads::routes())
        .merge(validate::routes())
        .layer(DefaultBodyLimit::max(CALL_MAX_BYTES))
        .merge(blobs::routes().layer(DefaultBodyLimit::disable()))
}

/// Routes that only read, which answer in time or not at all.
fn reads(app: &App, routes: Router<App>) -> Router<App> {
    routes
        .layer(from_fn(refine))
        .layer(from_fn_with_state(app.clone(), keep_deadline))
        .layer(CompressionLayer::new())
}

/// `{"error": …}`, status 404: no such path.
pub async fn unknown_path(uri: Uri) -> Response {
    tracing::debug!(path = uri.path(), "unknown path");
    Error::Body(
        StatusCode::NOT_FOUND,
        json!({ "error": "Page Not Found (404)" }),
    )
    .into_response()
}

/// What is allowed stands in the header `Allow`, which the router adds; whoever asks just for that gets it.
async fn wrong_method(method: Method, _: Request) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::OK.into_response();
    }
    Error::Detail(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("Method \"{method}\" not allowed."),
    )
    .into_response()
}

fn panicked() -> Response {
    Error::Body(
        StatusCode::INTERNAL_SERVER_ERROR,
        json!({ "error": "Server Error (500)" }),
    )
    .into_response()
}
