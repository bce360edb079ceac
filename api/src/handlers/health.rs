//! Whether the node lives, whether it can serve, and what it measures.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use engine::queue;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::app::App;
use crate::error::Result;

const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `/`, `/health`, `/api_health`, `/livez`, `/readyz`, `/metrics`.
pub fn routes(metrics: PrometheusHandle) -> Router<App> {
    Router::new()
        .route("/", get(tell_version))
        .route("/health", get(tell_version))
        .route("/api_health", get(tell_version))
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .route(
            "/metrics",
            get(move |app: State<App>| measure(app, metrics.clone())),
        )
}

/// 200 with the program's version when the database answers, as the usual probes expect; else 500.
#[utoipa::path(get, path = "/health", tag = "health", security(()),
    responses((status = 200, content_type = "text/plain", body = String),
        (status = 500, content_type = "text/plain", body = String)))]
pub async fn tell_version(State(app): State<App>) -> Response {
    match app.db.ping().await {
        Ok(()) => concat!(env!("CARGO_PKG_VERSION"), " is live!").into_response(),
        Err(error) => {
            tracing::error!(%error, "the database does not answer");
            let body = "the database does not answer";
            (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
        }
    }
}

/// 200 when the database answers, else 503 with what does not.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, content_type = "text/plain", body = String),
        (status = 503, content_type = "text/plain", body = String)))]
pub async fn readyz(State(app): State<App>) -> Response {
    match app.db.ping().await {
        Ok(()) => "ok".into_response(),
        Err(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {error}"),
        )
            .into_response(),
    }
}

/// Prometheus text. The queue is counted when asked.
async fn measure(State(app): State<App>, metrics: PrometheusHandle) -> Result<Response> {
    let mut conn = app.db.read().await?;
    let depth = queue::depth(&mut conn).await?;
    let oldest_us = queue::oldest_age_us(&mut conn, app.clock.now_us()).await?;
    for (state, count) in [
        ("ready", depth.ready),
        ("running", depth.running),
        ("dead", depth.dead),
    ] {
        metrics::gauge!("hitline_queue_jobs", "state" => state).set(count as f64);
    }
    metrics::gauge!("hitline_queue_oldest_age_seconds").set(oldest_us as f64 / 1e6);
    if let Some(reads) = app.db.replica_reads() {
        metrics::counter!("hitline_replica_reads_total").absolute(reads);
    }
    for (place, count) in app.folds.counts() {
        metrics::counter!("hitline_reports_total", "found" => place).absolute(count);
    }
    Ok(([(CONTENT_TYPE, METRICS_TYPE)], metrics.render()).into_response())
}
