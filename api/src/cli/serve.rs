//! `hitline serve` and `migrate`.

use anyhow::Context as _;
use clap::Args;
use engine::clock::Clock;
use engine::secret::Secret;
use tokio::net::TcpListener;

use super::DataArgs;
use crate::app::{App, open_db};
use crate::config::Config;
use crate::forges;
use crate::install::Install;
use crate::roles::Roles;
use crate::server::{self, signalled};

/// Where a server listens that is not told where.
const LISTEN: &str = "127.0.0.1:8080";

/// Arguments of `serve`.
#[derive(Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    data: DataArgs,
    /// What this node does: api, web and worker, with commas between, or all
    #[arg(long, env = "HITLINE_ROLE", default_value_t = Roles::ALL)]
    role: Roles,
    /// Address and port to listen on; port 0 takes a free one, which the log names [default: 127.0.0.1:8080]
    #[arg(long, env = "HITLINE_LISTEN")]
    listen: Option<String>,
    /// The URL that clients reach, where that is not the request's Host
    #[arg(long, env = "HITLINE_PUBLIC_URL")]
    public_url: Option<String>,
    /// Jobs that run at once [default: twice the cores]
    #[arg(long, env = "HITLINE_JOBS")]
    jobs: Option<usize>,
    /// Upload calls that one peer address may make, a second
    #[arg(long, env = "HITLINE_UPLOADS_PER_SECOND")]
    uploads_per_second: Option<u32>,
    /// A token that reads any report of the instance, for the operator
    #[arg(long, env = "SUPER_API_TOKEN", hide_env_values = true)]
    super_api_token: Option<String>,
    /// Whether callers that are not known may read public repositories [default: true]
    #[arg(long, env = "HITLINE_GUEST_ACCESS", action = clap::ArgAction::Set)]
    guest_access: Option<bool>,
    /// Admins of the instance, as github/ann, separated by commas
    #[arg(long, env = "HITLINE_ADMINS", value_delimiter = ',')]
    admins: Vec<String>,
    /// Web origins whose pages may use a login, separated by commas
    #[arg(long, env = "HITLINE_CORS_ORIGINS", value_delimiter = ',')]
    cors_origins: Vec<String>,
}

impl ServeArgs {
    fn config(&self, install: &Install) -> anyhow::Result<Config> {
        let mut config = self.data.config_of(install)?;
        config.roles = self.role;
        config.forges = forges::settings(variable);
        config.public_url = self.public_url.clone().or(config.public_url);
        config.jobs = self.jobs.unwrap_or(config.jobs).max(1);
        config.uploads_per_second = self.uploads_per_second.unwrap_or(config.uploads_per_second);
        config.super_token = super_token(self.super_api_token.as_deref());
        config.guest_access = self.guest_access.unwrap_or(config.guest_access);
        config.admins.extend_from_slice(&self.admins);
        config.cors_origins.extend_from_slice(&self.cors_origins);
        Ok(config)
    }
}

/// A blank one is none: no caller must match it.
fn super_token(text: Option<&str>) -> Option<Secret> {
    let text = text.map(str::trim).filter(|text| !text.is_empty())?;
    Some(Secret::new(text))
}

/// A variable of the environment.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Serves until SIGTERM or SIGINT.
pub(super) async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let install = args.data.install()?;
    let app = App::open(args.config(&install)?, Clock::system()).await?;
    let address = args
        .listen
        .as_deref()
        .or(install.listen())
        .unwrap_or(LISTEN);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("listen on {address}"))?;
    tracing::info!(address = %listener.local_addr()?, roles = %app.config.roles, "listening");
    server::serve(app, listener, signalled()).await
}

/// Brings the database to this version.
pub(super) async fn migrate(args: DataArgs) -> anyhow::Result<()> {
    let config = args.config()?;
    std::fs::create_dir_all(&config.data)?;
    open_db(&config, Clock::system()).await?;
    super::print("the database has this program's version")
}
