//! Load against a running server: fills a database with the history of a large fleet, then asks for it.
//! `docs/loadtest.md` tells how.

mod ask;
mod packs;
mod read;
mod seed;
mod upload;

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
#[command(
    name = "loadtest",
    about = "Fills a Hitline database with a fleet's history, and measures answers about it"
)]
enum Command {
    /// Fill an empty PostgreSQL database and an object store's folder.
    Seed(seed::Options),
    /// Ask a server about what was seeded, and tell how long it took to answer.
    Read(read::Options),
    /// Send reports to a server, and tell how fast they were accepted and counted.
    Upload(upload::Options),
}

#[tokio::main]
async fn main() -> Result<()> {
    match Command::parse() {
        Command::Seed(options) => seed::run(&options).await,
        Command::Read(options) => read::run(&options).await,
        Command::Upload(options) => upload::run(options).await,
    }
}
