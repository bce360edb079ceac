//! A bound on how often one peer may call.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::{DefaultKeyedRateLimiter, Quota};

use crate::app::App;
use crate::error::Error;

/// Peers that are remembered before idle ones are forgotten.
const PEERS_MAX: usize = 10_000;

/// Calls a second, counted for each peer address.
pub struct RateLimit(DefaultKeyedRateLimiter<IpAddr>);

impl RateLimit {
    /// Allows `calls` a second, and as many at once.
    pub fn per_second(calls: u32) -> RateLimit {
        let calls = NonZeroU32::new(calls).unwrap_or(NonZeroU32::MIN);
        RateLimit(DefaultKeyedRateLimiter::keyed(Quota::per_second(calls)))
    }

    /// Whether this peer may call once more.
    pub fn allows(&self, peer: IpAddr) -> bool {
        if self.0.len() > PEERS_MAX {
            self.0.retain_recent();
        }
        self.0.check_key(&peer).is_ok()
    }
}

/// Answers 429 with `Retry-After` to a peer that calls too often.
pub async fn limit_uploads(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if app.upload_limit.allows(peer.ip()) {
        return next.run(request).await;
    }
    let detail = "Request was throttled. Expected available in 1 second.";
    Error::Busy(StatusCode::TOO_MANY_REQUESTS, detail.into(), 1).into_response()
}
