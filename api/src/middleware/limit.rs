//! A bound on how often one peer may call.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::app::App;
use crate::error::Error;

/// What a peer may do only so often.
#[derive(Clone, Copy, Debug)]
pub enum Limited {
    /// Upload calls.
    Uploads,
    /// Calls with a wrong API token.
    WrongTokens,
}

/// Whether this peer may do so once more in this second; counted over all nodes.
pub async fn allows(app: &App, limited: Limited, peer: IpAddr) -> bool {
    let (name, calls) = match limited {
        Limited::Uploads => ("uploads", app.config.uploads_per_second),
        Limited::WrongTokens => ("wrong", app.config.wrong_tokens_per_second),
    };
    app.shared.count(&format!("{name}:{peer}")).await <= u64::from(calls.max(1))
}

/// Answers 429 with `Retry-After` to a peer that calls too often.
pub async fn limit_uploads(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if allows(&app, Limited::Uploads, peer.ip()).await {
        return next.run(request).await;
    }
    let detail = "Request was throttled. Expected available in 1 second.";
    Error::Busy(StatusCode::TOO_MANY_REQUESTS, detail.into(), 1).into_response()
}
