//! Reports to measure with: the shape of real ones, the same bytes for the same seed.
//!
//! Files have log-normal sizes. About 22 % of the lines are missed, 14 % have branches of 2 to 4 arms, and hits reach
//! 10⁷. All formats tell the same coverage, so their figures can be compared.

mod json;
mod listed;
mod text;
mod xml;

use std::io::{self, Write};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// Sources of one folder, at most.
const FOLDER_FILES: usize = 12;
/// Shape of the log-normal distribution of file sizes.
const SIZE_SIGMA: f64 = 0.9;

const TOPS: [&str; 10] = [
    "src",
    "lib",
    "app",
    "server",
    "client",
    "packages/core",
    "packages/ui",
    "services/billing",
    "internal",
    "pkg",
];
const WORDS: [&str; 48] = [
    "account", "address", "audit", "batch", "buffer", "cache", "channel", "codec", "command",
    "config", "counter", "cursor", "decoder", "dispatch", "driver", "event", "export", "filter",
    "format", "graph", "handler", "index", "invoice", "job", "layout", "ledger", "limit", "loader",
    "matcher", "message", "metric", "model", "network", "order", "parser", "policy", "query",
    "queue", "reader", "registry", "render", "request", "schema", "session", "stream", "token",
    "update", "writer",
];

/// A format that reports are written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Lcov,
    Cobertura,
    Jacoco,
    Clover,
    Go,
    Istanbul,
    CoveragePy,
    Gcov,
    OpenCover,
    Sonar,
    Scoverage,
    LlvmExport,
    LlvmShow,
    Simplecov,
    Coveralls,
    V1Lists,
    V1Objects,
    Covdir,
    Elm,
    Flowcover,
    R,
    Salesforce,
    Lua,
}

impl Kind {
    pub(crate) const ALL: [Kind; 23] = [
        Kind::Lcov,
        Kind::Cobertura,
        Kind::Jacoco,
        Kind::Clover,
        Kind::Go,
        Kind::Istanbul,
        Kind::CoveragePy,
        Kind::Gcov,
        Kind::OpenCover,
        Kind::Sonar,
        Kind::Scoverage,
        Kind::LlvmExport,
        Kind::LlvmShow,
        Kind::Simplecov,
        Kind::Coveralls,
        Kind::V1Lists,
        Kind::V1Objects,
        Kind::Covdir,
        Kind::Elm,
        Kind::Flowcover,
        Kind::R,
        Kind::Salesforce,
        Kind::Lua,
    ];

    /// How fast one core is to read it on the machines that Hitline is built on, in MB/s.
    pub(crate) fn aim_mb_per_s(self) -> u32 {
        match self {
            Kind::Lcov | Kind::Cobertura | Kind::Jacoco | Kind::Clover | Kind::Go => 1500,
            Kind::Istanbul | Kind::CoveragePy => 1200,
            _ => 500,
        }
    }

    /// What people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Lcov => "LCOV",
            Kind::Cobertura => "Cobertura",
            Kind::Jacoco => "JaCoCo",
            Kind::Clover => "Clover",
            Kind::Go => "Go",
            Kind::Istanbul => "Istanbul JSON",
            Kind::CoveragePy => "coverage.py JSON",
            Kind::Gcov => "gcov text",
            Kind::OpenCover => "OpenCover",
            Kind::Sonar => "SonarQube generic",
            Kind::Scoverage => "scoverage",
            Kind::LlvmExport => "llvm-cov export JSON",
            Kind::LlvmShow => "llvm-cov show text",
            Kind::Simplecov => "SimpleCov JSON",
            Kind::Coveralls => "Coveralls JSON",
            Kind::V1Lists => "Codecov JSON, lists",
            Kind::V1Objects => "Codecov JSON, objects",
            Kind::Covdir => "covdir",
            Kind::Elm => "elm-coverage",
            Kind::Flowcover => "flow-coverage-report",
            Kind::R => "covr",
            Kind::Salesforce => "Salesforce",
            Kind::Lua => "LuaCov",
        }
    }

    /// The name that its tools give to the file.
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            Kind::Lcov => "lcov.info",
            Kind::Cobertura => "cobertura.xml",
            Kind::Jacoco => "jacoco.xml",
            Kind::Clover => "clover.xml",
            Kind::Go => "cover.out",
            Kind::Istanbul => "coverage-final.json",
            Kind::CoveragePy => "coverage.json",
            Kind::Gcov => "source.gcov",
            Kind::OpenCover => "opencover.xml",
            Kind::Sonar => "sonar.xml",
            Kind::Scoverage => "scoverage.xml",
            Kind::LlvmExport => "llvm-cov.json",
            Kind::LlvmShow => "llvm-cov.txt",
            Kind::Simplecov => "simplecov.json",
            Kind::Coveralls => "coveralls.json",
            Kind::V1Lists => "codecov-lists.json",
            Kind::V1Objects => "codecov-objects.json",
            Kind::Covdir => "covdir.json",
            Kind::Elm => "codecov.json",
            Kind::Flowcover => "flow-coverage.json",
            Kind::R => "covr.json",
            Kind::Salesforce => "test-result-codecoverage.json",
            Kind::Lua => "luacov.report.out",
        }
    }

    /// Whether the file has lines; otherwise all of it is one.
    pub(crate) fn has_lines(self) -> bool {
        !matches!(
            self,
            Kind::Jacoco
                | Kind::CoveragePy
                | Kind::Istanbul
                | Kind::LlvmExport
                | Kind::Simplecov
                | Kind::Coveralls
                | Kind::V1Lists
                | Kind::V1Objects
                | Kind::Covdir
                | Kind::Elm
                | Kind::Flowcover
                | Kind::R
                | Kind::Salesforce
        )
    }

    /// How many times less a large report of this format covers, so that it does not become too large.
    pub(crate) fn weight(self) -> usize {
        match self {
            Kind::Scoverage => 8,
            Kind::OpenCover => 4,
            Kind::Istanbul | Kind::Elm | Kind::Flowcover => 2,
            _ => 1,
        }
    }

    /// The shape, with one source where a report is of one.
    fn fitting(self, shape: Shape) -> Shape {
        let files = if self == Kind::Gcov { 1 } else { shape.files };
        Shape { files, ..shape }
    }

    /// The ending of the sources that it covers.
    fn extension(self) -> &'static str {
        match self {
            Kind::Lcov | Kind::Istanbul => "ts",
            Kind::Cobertura | Kind::CoveragePy => "py",
            Kind::Flowcover => "js",
            Kind::Elm => "elm",
            Kind::R => "R",
            Kind::Salesforce => "cls",
            Kind::Jacoco => "java",
            Kind::Go => "go",
            Kind::Clover => "php",
            Kind::Gcov | Kind::Sonar | Kind::LlvmExport | Kind::Covdir => "c",
            Kind::OpenCover => "cs",
            Kind::Scoverage => "scala",
            Kind::LlvmShow => "swift",
            Kind::Simplecov | Kind::Coveralls | Kind::V1Lists | Kind::V1Objects => "rb",
            Kind::Lua => "lua",
        }
    }
}

/// What a report is about: so many sources with, together, about so many lines.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) files: usize,
    pub(crate) lines: usize,
    pub(crate) seed: u64,
}

/// A folder with its sources.
struct Folder {
    path: String,
    sources: Vec<Source>,
}

/// One source and its coverage. The name has no ending.
struct Source {
    name: String,
    lines: Vec<Line>,
    functions: Vec<Function>,
}

struct Line {
    number: u32,
    hits: u64,
    /// How often each arm was taken; empty where the line does not branch.
    arms: Vec<u64>,
}

impl Line {
    fn arms_taken(&self) -> usize {
        self.arms.iter().filter(|taken| **taken > 0).count()
    }
}

/// A function: `first..end` are indices into the source's lines.
struct Function {
    name: String,
    first: usize,
    end: usize,
    calls: u64,
}

/// Writes the report. `now_us` is when it claims to be made, as servers refuse old ones.
pub(crate) fn write_report(
    kind: Kind,
    shape: Shape,
    now_us: i64,
    out: &mut impl Write,
) -> io::Result<()> {
    let sources = folders(kind.fitting(shape)).flat_map(|folder| {
        let Folder { path, sources } = folder;
        sources
            .into_iter()
            .map(move |source| (path.clone(), source))
    });
    match kind {
        Kind::Lcov | Kind::Go | Kind::Gcov | Kind::LlvmShow | Kind::Lua => {
            text::write(kind, sources, out)
        }
        Kind::Cobertura
        | Kind::Jacoco
        | Kind::Clover
        | Kind::OpenCover
        | Kind::Sonar
        | Kind::Scoverage => xml::write(kind, folders(shape), now_us, out),
        Kind::Istanbul
        | Kind::CoveragePy
        | Kind::LlvmExport
        | Kind::Simplecov
        | Kind::Coveralls => json::write(kind, sources, out),
        Kind::V1Lists
        | Kind::V1Objects
        | Kind::Covdir
        | Kind::Elm
        | Kind::Flowcover
        | Kind::R
        | Kind::Salesforce => listed::write(kind, sources, out),
    }
}

/// The paths of all sources in their repository, as an uploader lists them.
pub(crate) fn network(kind: Kind, shape: Shape) -> Vec<String> {
    let paths = folders(kind.fitting(shape)).flat_map(|folder| {
        let path =
            |source: &Source| format!("{}/{}.{}", folder.path, source.name, kind.extension());
        folder.sources.iter().map(path).collect::<Vec<_>>()
    });
    paths.collect()
}

/// All folders, made one by one.
fn folders(shape: Shape) -> impl Iterator<Item = Folder> {
    let mut rng = StdRng::seed_from_u64(shape.seed);
    let weights: Vec<f64> = (0..shape.files)
        .map(|_| (SIZE_SIGMA * normal(&mut rng)).exp())
        .collect();
    let scale = shape.lines as f64 / weights.iter().sum::<f64>();
    let sizes: Vec<usize> = weights
        .iter()
        .map(|weight| ((weight * scale) as usize).max(2))
        .collect();
    let mut done = 0;
    std::iter::from_fn(move || {
        let count = rng.random_range(1..=FOLDER_FILES).min(sizes.len() - done);
        if count == 0 {
            return None;
        }
        let depth = rng.random_range(1..=3);
        let inner: Vec<&str> = (0..depth).map(|_| word(&mut rng)).collect();
        let path = format!("{}/{}{done}", TOPS.choose(&mut rng)?, inner.join("/"));
        let sources = (done..done + count)
            .map(|i| source(&mut rng, i, sizes[i]))
            .collect();
        done += count;
        Some(Folder { path, sources })
    })
}

fn word(rng: &mut StdRng) -> &'static str {
    WORDS[rng.random_range(0..WORDS.len())]
}

/// A value of the standard normal distribution. Source: Box and Muller (1958).
fn normal(rng: &mut StdRng) -> f64 {
    let (radius, angle): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

fn source(rng: &mut StdRng, index: usize, size: usize) -> Source {
    // Some sources are not tested at all, some wholly.
    let tested: f64 = rng.random();
    let name = format!("{}_{}{index}", word(rng), word(rng));
    let mut source = Source {
        name,
        lines: Vec::with_capacity(size),
        functions: Vec::new(),
    };
    let mut number = rng.random_range(1..=12);
    while source.lines.len() < size {
        let first = source.lines.len();
        let end = size.min(first + rng.random_range(3..25));
        let calls = calls(rng, tested);
        let mut hits = calls;
        for _ in first..end {
            let shape: f64 = rng.random();
            let mut arms = Vec::new();
            if shape < 0.14 {
                let count = if shape < 0.11 {
                    2
                } else {
                    rng.random_range(3..=4)
                };
                arms = take_arms(rng, hits, count, tested >= 0.24);
            }
            let next = match arms.first() {
                Some(taken) if rng.random_bool(0.5) => *taken,
                None if shape > 0.8 => calls,
                _ => hits,
            };
            source.lines.push(Line { number, hits, arms });
            hits = next;
            number += match rng.random::<f64>() {
                step if step < 0.62 => 1,
                step if step < 0.88 => 2,
                _ => rng.random_range(3..=6),
            };
        }
        source.functions.push(Function {
            name: format!("{}_{}{first}", word(rng), word(rng)),
            first,
            end,
            calls,
        });
        number += rng.random_range(2..=6);
    }
    source
}

/// How often a function ran: from never to ten million times.
fn calls(rng: &mut StdRng, tested: f64) -> u64 {
    if tested < 0.04 {
        return 0;
    }
    if tested < 0.24 {
        return rng.random_range(1..=40);
    }
    match rng.random::<f64>() {
        ran if ran < 0.16 => 0,
        ran if ran < 0.60 => rng.random_range(1..=3),
        ran if ran < 0.92 => 1 + 10f64.powf(rng.random_range(0.0..3.0)) as u64,
        _ => 10f64.powf(rng.random_range(2.0..7.0)) as u64,
    }
}

/// Shares the hits of a line among its arms.
fn take_arms(rng: &mut StdRng, hits: u64, count: usize, may_miss: bool) -> Vec<u64> {
    let mut rest = hits;
    let mut arms: Vec<u64> = (1..count)
        .map(|_| {
            let missed = may_miss && rng.random_bool(0.18);
            let taken = if missed {
                0
            } else {
                rng.random_range(0..=rest)
            };
            rest -= taken;
            taken
        })
        .collect();
    arms.push(rest);
    arms
}

/// Missed and covered lines.
fn count(lines: &[Line]) -> (usize, usize) {
    let missed = lines.iter().filter(|line| line.hits == 0).count();
    (missed, lines.len() - missed)
}

/// The text of a source's line, for formats that show it.
fn code(line: &Line) -> &'static str {
    const SHOWN: [&str; 6] = [
        "    let total = items.reduce(add, 0)",
        "        return count",
        "    buffer.push(value * factor)",
        "  call(first, second)",
        "            self.cache[key] = entry",
        "    names = sorted(set(names))",
    ];
    match line.arms.is_empty() {
        true => SHOWN[line.number as usize % SHOWN.len()],
        false => "    if (left < right) {",
    }
}

fn write_joined(out: &mut impl Write, items: impl Iterator<Item = String>) -> io::Result<()> {
    for (i, item) in items.enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        write!(out, "{comma}{item}")?;
    }
    Ok(())
}
