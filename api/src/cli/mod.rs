//! The commands of the binary.

mod admin;
mod check;
mod compare;
mod doctor;
mod offline;
mod parse;
mod report;
mod serve;
pub mod upload;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use engine::secret::Secret;

use crate::config::Config;

/// Hitline: a self-hosted code-coverage server.
#[derive(Parser)]
#[command(name = "hitline", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API and process uploads, all in one
    Serve(serve::ServeArgs),
    /// Only process uploads, beside servers that share the database
    Worker(serve::WorkerArgs),
    /// Bring the database to this version and exit
    Migrate(DataArgs),
    /// Check that every part works, and say what to do where one does not
    Doctor(DataArgs),
    /// Manage repositories and tokens, also beside a running server
    Admin(admin::AdminArgs),
    /// Find coverage reports and upload them
    Upload(Box<upload::UploadArgs>),
    /// Merge the reports here, as a server would, and print totals or another format
    Report(Box<report::ReportArgs>),
    /// Compare the reports here with those of a base, as a server would
    Compare(Box<compare::CompareArgs>),
    /// Check the reports here by the statuses of the codecov.yml; fails if one does
    Check(Box<check::CheckArgs>),
    /// Parse reports offline and print what Hitline makes of them
    Parse(parse::ParseArgs),
    /// Print the OpenAPI document
    Openapi,
}

/// Where a node keeps things.
#[derive(Args, Clone)]
pub struct DataArgs {
    /// The folder that holds database, uploads and cache
    #[arg(long, env = "HITLINE_DATA", default_value = "data")]
    data: PathBuf,
    /// The metadata database, `postgres://…` or `sqlite://…` [default: SQLite in the data folder]
    #[arg(long, env = "HITLINE_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
}

impl DataArgs {
    fn config(&self) -> Config {
        let mut config = Config::embedded(&self.data);
        if let Some(url) = &self.database_url {
            config.database_url = Secret::new(url.clone());
        }
        config
    }
}

/// Runs the command that the arguments name.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(args) => serve::serve(args).await,
        Command::Worker(args) => serve::work(args).await,
        Command::Migrate(args) => serve::migrate(args).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::Admin(args) => admin::run(args).await,
        Command::Upload(args) => upload::run(*args).await,
        Command::Report(args) => report::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Parse(args) => parse::run(&args),
        Command::Openapi => print(&crate::openapi::document().to_pretty_json()?),
    }
}

/// Prints a result, which scripts read, to standard output.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}
