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

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use engine::secret::Secret;

use crate::config::Config;
use crate::install::{self, Install, Strictness};

/// Where a node keeps things that is not told where.
const DATA_FOLDER: &str = "data";
/// Where Codecov's images expect the configuration.
const USUAL_CONFIG: &str = "/config/codecov.yml";

/// Hitline: a self-hosted code-coverage server.
#[derive(Parser)]
#[command(name = "hitline", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API and process uploads, all in one or as --role says
    Serve(serve::ServeArgs),
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
    /// Print a JSON schema
    Schema(SchemaArgs),
}

/// Which schema to print.
#[derive(Args)]
struct SchemaArgs {
    /// Of which file
    #[arg(value_enum)]
    of: SchemaOf,
}

#[derive(Clone, Copy, ValueEnum)]
enum SchemaOf {
    /// codecov.yml of a repository
    CodecovYml,
    /// The configuration of an installation
    Install,
}

/// Where a node keeps things.
#[derive(Args, Clone)]
pub struct DataArgs {
    /// The folder that holds database, uploads and cache [default: data]
    #[arg(long, env = "HITLINE_DATA")]
    data: Option<PathBuf>,
    /// The metadata database, `postgres://…` or `sqlite://…` [default: SQLite in the data folder]
    #[arg(long, env = "HITLINE_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// The configuration file, in Codecov's layout [default: $CODECOV_YML, or /config/codecov.yml if it is there]
    #[arg(long, env = "HITLINE_CONFIG")]
    config: Option<PathBuf>,
    /// Only warn of keys of the configuration that are not known
    #[arg(long, env = "HITLINE_LENIENT")]
    lenient: bool,
}

impl DataArgs {
    /// What is configured: options go before the configuration, which goes before defaults.
    fn config(&self) -> anyhow::Result<Config> {
        self.config_of(&self.install()?)
    }

    fn config_of(&self, install: &Install) -> anyhow::Result<Config> {
        let mut config = Config::embedded(Path::new(DATA_FOLDER));
        install.apply(&mut config)?;
        if let Some(data) = &self.data {
            let embedded = Config::embedded(data);
            config.data = embedded.data;
            if !install.names_database() {
                config.database_url = embedded.database_url;
            }
        }
        if let Some(url) = &self.database_url {
            config.database_url = Secret::new(url.clone());
        }
        Ok(config)
    }

    /// The configuration file and the variables over it.
    fn install(&self) -> anyhow::Result<Install> {
        let given = self
            .config
            .clone()
            .or_else(|| Some(std::env::var_os("CODECOV_YML")?.into()));
        let usual = || Some(PathBuf::from(USUAL_CONFIG)).filter(|path| path.exists());
        let strictness = match self.lenient {
            true => Strictness::Lenient,
            false => Strictness::Strict,
        };
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let install = Install::read(given.or_else(usual).as_deref(), variables, strictness)?;
        for warning in &install.warnings {
            tracing::warn!(warning, "configuration");
        }
        Ok(install)
    }
}

/// Runs the command that the arguments name.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(args) => serve::serve(args).await,
        Command::Migrate(args) => serve::migrate(args).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::Admin(args) => admin::run(args).await,
        Command::Upload(args) => upload::run(*args).await,
        Command::Report(args) => report::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Parse(args) => parse::run(&args),
        Command::Openapi => print(&crate::openapi::document().to_pretty_json()?),
        Command::Schema(args) => {
            let schema = match args.of {
                SchemaOf::CodecovYml => engine::codecov_yml::json_schema(),
                SchemaOf::Install => install::json_schema(),
            };
            print(&serde_json::to_string_pretty(&schema)?)
        }
    }
}

/// Prints a result, which scripts read, to standard output.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}
