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

/// `/livez`, `/readyz`, `/metrics`.
pub fn routes(metrics: PrometheusHandle) -> Router<App> {
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .route(
            "/metrics",
            get(move |app: State<App>| measure(app, metrics.clone())),
        )
}

/// 200 when the database answers, else 503 with what does not.
async fn readyz(State(app): State<App>) -> Response {
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
    Ok(([(CONTENT_TYPE, METRICS_TYPE)], metrics.render()).into_response())
}
