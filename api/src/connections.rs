//! Connections of clients: as many as the process may have open, and none that is silent for long.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tower_http::timeout::TimeoutBody;

/// How long a client may take for the head of a request, the time without any request included: longer than proxies keep
/// connections that they do not use, so that none is used as it ends.
const HEAD_LIMIT: Duration = Duration::from_secs(90);
/// How long a client may send nothing of a body that is not whole yet.
const BODY_LIMIT: Duration = Duration::from_secs(60);
/// Files and connections to other servers that the process has open beside its clients, at most.
const OTHER_FILES: u64 = 2_048;
/// Clients, however few files the process may have open.
const CLIENTS_MIN: u64 = 64;
/// How long to wait when no connection can be taken, as when the machine has no more files.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections until `stop`, then ends those that wait for a request, and waits for the others. So many clients as
/// there are files for are served at once; more wait to be taken.
pub(crate) async fn serve(listener: TcpListener, service: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(clients_max() as usize));
    let open = GracefulShutdown::new();
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT);
    loop {
        let taken = async {
            let place = places.clone().acquire_owned().await;
            let taken = listener.accept().await;
            taken.map(|(stream, peer)| (stream, peer, place))
        };
        let (stream, peer, place) = tokio::select! {
            () = stop.cancelled() => break,
            taken = taken => match taken {
                Ok(taken) => taken,
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be taken");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
        };
        let (service, server, watcher) = (service.clone(), server.clone(), open.watcher());
        tokio::spawn(async move {
            let _place = place;
            let answer = service_fn(move |request| answer(service.clone(), peer, request));
            let served = server.serve_connection(without_delay(stream), answer);
            // A client that goes away, or is too slow, has nobody to tell.
            let _ = watcher.watch(served).await;
        });
    }
    drop(listener);
    open.shutdown().await;
}

fn without_delay(stream: TcpStream) -> TokioIo<TcpStream> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "small packets may wait");
    }
    TokioIo::new(stream)
}

async fn answer(
    service: Router,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<axum::response::Response, Infallible> {
    let mut request = request.map(|body| Body::new(TimeoutBody::new(BODY_LIMIT, body)));
    request.extensions_mut().insert(ConnectInfo(peer));
    service.oneshot(request).await
}

/// How many clients the process may have, once it has asked for as many open files as it may have.
fn clients_max() -> u64 {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or_else(|error| {
        tracing::warn!(%error, "the limit of open files stays as it is");
        CLIENTS_MIN + OTHER_FILES
    });
    let most = Semaphore::MAX_PERMITS as u64;
    files.saturating_sub(OTHER_FILES).clamp(CLIENTS_MIN, most)
}
