//! Measures Hitline on this machine, and writes down what it found.

mod extremes;
mod folds;
mod generate;
mod node;
mod parsers;
mod peers;
mod program;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use engine::clock::Clock;

use generate::Shape;
use parsers::Bench;

/// Measures parsers, reports, latency, start and memory. Compare only figures of one run.
#[derive(Parser)]
struct Args {
    /// What to measure [default: everything]
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Lines of each report that a parser is timed on
    #[arg(
        long,
        default_value_t = 2_000_000,
        default_value_if("quick", "true", "200000")
    )]
    lines: usize,
    /// Sources of each report that a parser is timed on
    #[arg(long, default_value_t = 8000, default_value_if("quick", "true", "800"))]
    files: usize,
    /// Seed of the generated reports
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Smaller reports and fewer runs, for a first look
    #[arg(long)]
    quick: bool,
    /// Write the reports that parsers are timed on to this folder, and do nothing else
    #[arg(long, value_name = "FOLDER")]
    inputs: Option<PathBuf>,
    /// Write the result here, too
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// MB/s of each parser, beside other programs, and by class of input
    Parsers,
    /// Reports that break other programs, or are made to take long
    Extremes,
    /// What reports cost: joins, comparisons, the bytes of packs
    Reports,
    /// Latency of uploads, time to start, memory
    Node,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let shape = Shape {
        files: args.files,
        lines: args.lines,
        seed: args.seed,
    };
    if let Some(folder) = &args.inputs {
        return parsers::write_inputs(folder, shape, Clock::system().now_us());
    }
    let hitline = node::hitline()?;
    let now_us = Clock::system().now_us();
    let wants = |part| args.parts.is_empty() || args.parts.contains(&part);
    let bench = Bench::new(&hitline, now_us, args.quick)?;
    let mut result = String::new();
    if wants(Part::Parsers) {
        result += &parsers::measure(&bench, shape)?;
    }
    if wants(Part::Extremes) {
        result += &extremes::measure(&bench, args.seed)?;
    }
    if wants(Part::Reports) {
        result += &format!("\n{}", folds::measure(args.seed).await?);
    }
    if wants(Part::Node) {
        result += &format!("\n{}", node::measure(&hitline, args.seed, now_us).await?);
    }
    print!("{result}");
    if let Some(path) = &args.out {
        let command: Vec<String> = std::env::args().skip(1).collect();
        let head = format!(
            "# Results\n\n`script/bench {}` on {}.\n",
            command.join(" "),
            machine()
        );
        fs::write(path, head + &result)?;
    }
    Ok(())
}

/// Processor, cores, memory, system and load of this machine, as Linux tells them.
fn machine() -> String {
    let first = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap_or_default();
        line.trim_start_matches([':', '\t', ' ']).trim().to_owned()
    };
    let uname = Command::new("uname")
        .arg("-sr")
        .output()
        .map(|done| done.stdout)
        .unwrap_or_default();
    let memory_kib: f64 = first("/proc/meminfo", "MemTotal")
        .trim_end_matches(" kB")
        .parse()
        .unwrap_or_default();
    let load = first("/proc/loadavg", "");
    format!(
        "{}, {} cores, {:.0} GiB, {}, load {} at the end",
        first("/proc/cpuinfo", "model name"),
        std::thread::available_parallelism().map_or(1, usize::from),
        memory_kib / f64::from(1 << 20),
        String::from_utf8_lossy(&uname).trim(),
        load.split(' ').next().unwrap_or_default()
    )
}
