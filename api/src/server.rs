//! Runs a node: its listener, its worker, and their orderly end.

use std::future::Future;
use std::sync::OnceLock;

use futures_util::future::OptionFuture;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::connections;
use crate::prefetch;
use crate::router;

/// Upper edges of the request histogram, in seconds; 3 is the budget that nothing may cross.
const SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0,
];

/// Serves, and works the queue, as far as these are the node's roles, until `shutdown`; then finishes what has begun,
/// if that takes no longer than the configured drain. Every node tells how it is.
pub async fn serve(
    app: App,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let drain = app.config.drain;
    let ended = stop.clone().cancelled_owned();
    let worker = app.config.roles.worker.then(|| app.worker().run(ended));
    let worker = tokio::spawn(OptionFuture::from(worker));
    let reads = app.config.roles.api || app.config.roles.web;
    if reads && app.db.is_shared() {
        tokio::spawn(prefetch::run(app.clone(), stop.clone()));
    }
    let service = router::service(app, metrics_recorder());
    let stopping = stop.clone();
    tokio::spawn(async move {
        shutdown.await;
        stopping.cancel();
    });
    let serving = connections::serve(listener, service, stop.clone());
    // Streams of events would go on for long; jobs that are cut off run again elsewhere.
    let drained = async {
        stop.cancelled().await;
        tokio::time::sleep(drain).await;
    };
    let ended = async {
        serving.await;
        worker.await?;
        anyhow::Ok(())
    };
    tokio::select! {
        ended = ended => ended,
        () = drained => {
            tracing::warn!("what had begun did not end in time; ending it");
            Ok(())
        }
    }
}

/// The recorder of this process; it can be installed only once.
fn metrics_recorder() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    let install = || {
        PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
            .expect("the edges are a constant that is not empty")
            .install_recorder()
            .expect("no other recorder is installed in this process")
    };
    RECORDER.get_or_init(install).clone()
}

/// Completes at SIGTERM or SIGINT.
pub async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be listened for");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("shutting down");
}
