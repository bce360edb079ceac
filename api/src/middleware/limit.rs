//! A bound on how often one peer may call.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicI64, Ordering};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use engine::queue;

use crate::app::App;
use crate::error::{Error, Result};

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

/// Jobs that wait, as they were counted last.
#[derive(Default)]
pub struct Backlog {
    counted_us: AtomicI64,
    waiting: AtomicI64,
}

impl Backlog {
    /// So long a count holds.
    const HOLDS_US: i64 = 5_000_000;
    /// When to come back while too many wait.
    const RETRY_AFTER_S: u32 = 30;

    /// Refuses new uploads while too many jobs wait: 503 with `Retry-After`. Costs a count every five seconds.
    pub async fn check(&self, app: &App) -> Result<()> {
        let (now_us, most) = (app.clock.now_us(), app.config.queue_max);
        let counted_us = self.counted_us.load(Ordering::Relaxed);
        let is_old = (now_us - counted_us).abs() >= Backlog::HOLDS_US; // also after the clock went back
        let counts = |counted_us| {
            let of = &self.counted_us;
            of.compare_exchange(counted_us, now_us, Ordering::Relaxed, Ordering::Relaxed)
        };
        if is_old && counts(counted_us).is_ok() {
            let waiting = queue::waiting(&mut app.db.read().await?, most).await?;
            self.waiting.store(waiting, Ordering::Relaxed);
        }
        if self.waiting.load(Ordering::Relaxed) < most {
            return Ok(());
        }
        let detail = format!("{most} jobs wait; no new uploads are taken until there are fewer.");
        let (status, seconds) = (StatusCode::SERVICE_UNAVAILABLE, Backlog::RETRY_AFTER_S);
        Err(Error::Busy(status, detail, seconds))
    }
}
