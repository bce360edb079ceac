//! `hitline serve`, `worker` and `migrate`.

use anyhow::Context as _;
use clap::Args;
use engine::clock::Clock;
use tokio::net::TcpListener;

use super::DataArgs;
use crate::app::{App, open_db};
use crate::config::Config;
use crate::server::{self, signalled};

/// Arguments of `serve`.
#[derive(Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Address and port to listen on; port 0 takes a free one, which the log names
    #[arg(long, env = "HITLINE_LISTEN", default_value = "127.0.0.1:8080")]
    listen: String,
    /// The URL that clients reach, where that is not the request's Host
    #[arg(long, env = "HITLINE_PUBLIC_URL")]
    public_url: Option<String>,
    /// Jobs that run at once [default: twice the cores]
    #[arg(long, env = "HITLINE_JOBS")]
    jobs: Option<usize>,
    /// Upload calls that one peer address may make, a second
    #[arg(long, env = "HITLINE_UPLOADS_PER_SECOND")]
    uploads_per_second: Option<u32>,
}

/// Arguments of `worker`.
#[derive(Args)]
pub(super) struct WorkerArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Jobs that run at once [default: twice the cores]
    #[arg(long, env = "HITLINE_JOBS")]
    jobs: Option<usize>,
}

impl ServeArgs {
    fn config(&self) -> Config {
        let mut config = self.data.config();
        config.public_url = self.public_url.clone();
        config.jobs = self.jobs.unwrap_or(config.jobs).max(1);
        config.uploads_per_second = self.uploads_per_second.unwrap_or(config.uploads_per_second);
        config
    }
}

/// Serves until SIGTERM or SIGINT.
pub(super) async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let app = App::open(args.config(), Clock::system(), "serve").await?;
    let listener = TcpListener::bind(&args.listen)
        .await
        .with_context(|| format!("listen on {}", args.listen))?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    server::serve(app, listener, signalled()).await
}

/// Works the queue until SIGTERM or SIGINT.
pub(super) async fn work(args: WorkerArgs) -> anyhow::Result<()> {
    let mut config = args.data.config();
    config.jobs = args.jobs.unwrap_or(config.jobs).max(1);
    let app = App::open(config, Clock::system(), "worker").await?;
    tracing::info!("working");
    app.worker().run(signalled()).await;
    Ok(())
}

/// Brings the database to this version.
pub(super) async fn migrate(args: DataArgs) -> anyhow::Result<()> {
    let config = args.config();
    std::fs::create_dir_all(&config.data)?;
    open_db(&config, Clock::system()).await?;
    super::print("the database has this program's version")
}
