//! The one binary.

use std::process::ExitCode;
use std::time::Duration;

use api::cli::{Cli, run};
use clap::Parser as _;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long work on other threads that nobody waits for may go on at the end: it would be done again.
const LEFT_MAX: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("HITLINE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Runtime::new().expect("the system gives threads");
    let done = runtime.block_on(run(Cli::parse()));
    runtime.shutdown_timeout(LEFT_MAX);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hitline: {error:#}");
            ExitCode::FAILURE
        }
    }
}
