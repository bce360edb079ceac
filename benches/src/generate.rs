//! Reports to measure with: the shape of real ones, the same bytes for the same seed.
//!
//! Files have log-normal sizes. About 22 % of the lines are missed, 14 % have branches of 2 to 4 arms, and hits reach
//! 10⁷. All formats tell the same coverage, so their figures can be compared.

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
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Lcov,
    Cobertura,
    Jacoco,
    Go,
    CoveragePy,
}

impl Kind {
    pub(crate) const ALL: [Kind; 5] = [
        Kind::Lcov,
        Kind::Cobertura,
        Kind::Jacoco,
        Kind::Go,
        Kind::CoveragePy,
    ];

    /// What people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Lcov => "LCOV",
            Kind::Cobertura => "Cobertura",
            Kind::Jacoco => "JaCoCo",
            Kind::Go => "Go",
            Kind::CoveragePy => "coverage.py JSON",
        }
    }

    /// The name that its tools give to the file.
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            Kind::Lcov => "lcov.info",
            Kind::Cobertura => "cobertura.xml",
            Kind::Jacoco => "jacoco.xml",
            Kind::Go => "cover.out",
            Kind::CoveragePy => "coverage.json",
        }
    }

    /// Whether the file has lines; otherwise all of it is one.
    pub(crate) fn has_lines(self) -> bool {
        !matches!(self, Kind::Jacoco | Kind::CoveragePy)
    }

    /// The ending of the sources that it covers.
    fn extension(self) -> &'static str {
        match self {
            Kind::Lcov => "ts",
            Kind::Cobertura | Kind::CoveragePy => "py",
            Kind::Jacoco => "java",
            Kind::Go => "go",
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
    write_head(kind, now_us, out)?;
    let mut first = true;
    for folder in folders(shape) {
        match kind {
            Kind::Lcov => folder
                .sources
                .iter()
                .try_for_each(|source| write_lcov(&folder.path, source, out))?,
            Kind::Cobertura => write_cobertura(&folder, out)?,
            Kind::Jacoco => write_jacoco(&folder, out)?,
            Kind::Go => folder
                .sources
                .iter()
                .try_for_each(|source| write_go(&folder.path, source, out))?,
            Kind::CoveragePy => {
                for source in &folder.sources {
                    write_coverage_py(&folder.path, source, std::mem::take(&mut first), out)?;
                }
            }
        }
    }
    write_tail(kind, shape, out)
}

/// The paths of all sources in their repository, as an uploader lists them.
pub(crate) fn network(kind: Kind, shape: Shape) -> Vec<String> {
    let paths = folders(shape).flat_map(|folder| {
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

fn write_head(kind: Kind, now_us: i64, out: &mut impl Write) -> io::Result<()> {
    let now_ms = now_us / 1000;
    match kind {
        Kind::Lcov => Ok(()),
        Kind::Cobertura => write!(
            out,
            "<?xml version=\"1.0\" ?>\n<!DOCTYPE coverage SYSTEM \"http://cobertura.sourceforge.net/xml/coverage-04.dtd\">\n\
             <coverage version=\"7.6.1\" timestamp=\"{now_ms}\" line-rate=\"0.8\" branch-rate=\"0.6\" complexity=\"0\">\n\
             \t<sources>\n\t\t<source>/home/runner/work/app/app</source>\n\t</sources>\n\t<packages>\n"
        ),
        Kind::Jacoco => write!(
            out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\
             <!DOCTYPE report PUBLIC \"-//JACOCO//DTD Report 1.1//EN\" \"report.dtd\">\
             <report name=\"app\"><sessioninfo id=\"runner-1\" start=\"{now_ms}\" dump=\"{now_ms}\"/>"
        ),
        Kind::Go => writeln!(out, "mode: count"),
        Kind::CoveragePy => {
            write!(
                out,
                "{{\"meta\": {{\"format\": 3, \"version\": \"7.6.1\", \"branch_coverage\": true, \"show_contexts\": false}}, \"files\": {{"
            )
        }
    }
}

fn write_tail(kind: Kind, shape: Shape, out: &mut impl Write) -> io::Result<()> {
    match kind {
        Kind::Lcov | Kind::Go => Ok(()),
        Kind::Cobertura => writeln!(out, "\t</packages>\n</coverage>"),
        Kind::Jacoco => write!(out, "</report>"),
        Kind::CoveragePy => write!(
            out,
            "}}, \"totals\": {{\"num_statements\": {}}}}}",
            shape.lines
        ),
    }
}

fn write_lcov(folder: &str, source: &Source, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "TN:\nSF:/home/runner/work/app/app/{folder}/{}.ts",
        source.name
    )?;
    for function in &source.functions {
        writeln!(
            out,
            "FN:{},{}",
            source.lines[function.first].number, function.name
        )?;
    }
    for function in &source.functions {
        writeln!(out, "FNDA:{},{}", function.calls, function.name)?;
    }
    let called = source
        .functions
        .iter()
        .filter(|function| function.calls > 0)
        .count();
    writeln!(out, "FNF:{}\nFNH:{called}", source.functions.len())?;
    let (mut arms, mut taken) = (0, 0);
    for (block, line) in source
        .lines
        .iter()
        .filter(|line| !line.arms.is_empty())
        .enumerate()
    {
        for (arm, count) in line.arms.iter().enumerate() {
            write!(out, "BRDA:{},{block},{arm},", line.number)?;
            match line.hits {
                0 => writeln!(out, "-")?,
                _ => writeln!(out, "{count}")?,
            }
        }
        arms += line.arms.len();
        taken += line.arms_taken();
    }
    writeln!(out, "BRF:{arms}\nBRH:{taken}")?;
    for line in &source.lines {
        writeln!(out, "DA:{},{}", line.number, line.hits)?;
    }
    let covered = source.lines.iter().filter(|line| line.hits > 0).count();
    writeln!(
        out,
        "LF:{}\nLH:{covered}\nend_of_record",
        source.lines.len()
    )
}

fn write_cobertura(folder: &Folder, out: &mut impl Write) -> io::Result<()> {
    let package = folder.path.replace('/', ".");
    writeln!(
        out,
        "\t\t<package name=\"{package}\" line-rate=\"0.8\" branch-rate=\"0.6\" complexity=\"0\">\n\t\t\t<classes>"
    )?;
    for source in &folder.sources {
        let (path, name) = (&folder.path, &source.name);
        writeln!(
            out,
            "\t\t\t\t<class name=\"{name}.py\" filename=\"{path}/{name}.py\" complexity=\"0\" line-rate=\"0.8\" branch-rate=\"0.6\">\n\
             \t\t\t\t\t<methods/>\n\t\t\t\t\t<lines>"
        )?;
        for line in &source.lines {
            write!(
                out,
                "\t\t\t\t\t\t<line number=\"{}\" hits=\"{}\"",
                line.number, line.hits
            )?;
            if !line.arms.is_empty() {
                let (taken, arms) = (line.arms_taken(), line.arms.len());
                let percent = 100 * taken / arms;
                write!(
                    out,
                    " branch=\"true\" condition-coverage=\"{percent}% ({taken}/{arms})\""
                )?;
                let missed = line
                    .arms
                    .iter()
                    .zip(line.number + 1..)
                    .filter(|(count, _)| **count == 0);
                let targets: Vec<String> = missed.map(|(_, target)| target.to_string()).collect();
                if !targets.is_empty() {
                    write!(out, " missing-branches=\"{}\"", targets.join(","))?;
                }
            }
            writeln!(out, "/>")?;
        }
        writeln!(out, "\t\t\t\t\t</lines>\n\t\t\t\t</class>")?;
    }
    writeln!(out, "\t\t\t</classes>\n\t\t</package>")
}

fn write_jacoco(folder: &Folder, out: &mut impl Write) -> io::Result<()> {
    write!(out, "<package name=\"com/example/{}\">", folder.path)?;
    for source in &folder.sources {
        let name = &source.name;
        write!(
            out,
            "<class name=\"com/example/{}/{name}\" sourcefilename=\"{name}.java\">",
            folder.path
        )?;
        for function in &source.functions {
            let lines = &source.lines[function.first..function.end];
            let (missed, covered) = count(lines);
            let (never, ran) = (u8::from(function.calls == 0), u8::from(function.calls > 0));
            write!(
                out,
                "<method name=\"{}\" desc=\"(Ljava/lang/String;I)V\" line=\"{}\">\
                 <counter type=\"INSTRUCTION\" missed=\"{}\" covered=\"{}\"/>\
                 <counter type=\"LINE\" missed=\"{missed}\" covered=\"{covered}\"/>\
                 <counter type=\"COMPLEXITY\" missed=\"{never}\" covered=\"{ran}\"/>\
                 <counter type=\"METHOD\" missed=\"{never}\" covered=\"{ran}\"/></method>",
                function.name,
                lines[0].number,
                missed * 4,
                covered * 4,
            )?;
        }
        let (missed, covered) = count(&source.lines);
        write!(
            out,
            "<counter type=\"LINE\" missed=\"{missed}\" covered=\"{covered}\"/></class>"
        )?;
    }
    for source in &folder.sources {
        write!(out, "<sourcefile name=\"{}.java\">", source.name)?;
        for line in &source.lines {
            let (mi, ci) = if line.hits == 0 { (4, 0) } else { (0, 4) };
            let cb = line.arms_taken();
            let mb = line.arms.len() - cb;
            write!(
                out,
                "<line nr=\"{}\" mi=\"{mi}\" ci=\"{ci}\" mb=\"{mb}\" cb=\"{cb}\"/>",
                line.number
            )?;
        }
        let (missed, covered) = count(&source.lines);
        write!(
            out,
            "<counter type=\"LINE\" missed=\"{missed}\" covered=\"{covered}\"/></sourcefile>"
        )?;
    }
    write!(out, "</package>")
}

/// Missed and covered lines.
fn count(lines: &[Line]) -> (usize, usize) {
    let missed = lines.iter().filter(|line| line.hits == 0).count();
    (missed, lines.len() - missed)
}

/// Neighbours with equal hits make one block, as the Go compiler has them.
fn write_go(folder: &str, source: &Source, out: &mut impl Write) -> io::Result<()> {
    let blocks = source
        .lines
        .chunk_by(|line, next| line.hits == next.hits && line.arms.is_empty());
    for (i, block) in blocks.enumerate() {
        let (first, last) = (&block[0], &block[block.len() - 1]);
        let (begin, end) = (2 + i % 3, 20 + i % 40);
        writeln!(
            out,
            "github.com/example/app/{folder}/{}.go:{}.{begin},{}.{end} {} {}",
            source.name,
            first.number,
            last.number,
            block.len(),
            first.hits
        )?;
    }
    Ok(())
}

fn write_coverage_py(
    folder: &str,
    source: &Source,
    first: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let (missed, covered) = count(&source.lines);
    let comma = if first { "" } else { ", " };
    write!(
        out,
        "{comma}\"{folder}/{}.py\": {{\"executed_lines\": [",
        source.name
    )?;
    write_joined(
        out,
        source
            .lines
            .iter()
            .filter(|line| line.hits > 0)
            .map(|line| line.number.to_string()),
    )?;
    write!(
        out,
        "], \"summary\": {{\"covered_lines\": {covered}, \"num_statements\": {}, ",
        source.lines.len()
    )?;
    write!(
        out,
        "\"missing_lines\": {missed}, \"excluded_lines\": 0}}, \"missing_lines\": ["
    )?;
    write_joined(
        out,
        source
            .lines
            .iter()
            .filter(|line| line.hits == 0)
            .map(|line| line.number.to_string()),
    )?;
    write!(out, "], \"excluded_lines\": [], \"executed_branches\": [")?;
    write_joined(out, jumps(source, |taken| taken > 0))?;
    write!(out, "], \"missing_branches\": [")?;
    write_joined(out, jumps(source, |taken| taken == 0))?;
    write!(out, "]}}")
}

/// The arms that fit, each from its line to another.
fn jumps(source: &Source, fits: impl Fn(u64) -> bool + Copy) -> impl Iterator<Item = String> {
    source.lines.iter().flat_map(move |line| {
        let arms = line
            .arms
            .iter()
            .zip(line.number + 1..)
            .filter(move |(taken, _)| fits(**taken));
        arms.map(move |(_, target)| format!("[{}, {target}]", line.number))
    })
}

fn write_joined(out: &mut impl Write, items: impl Iterator<Item = String>) -> io::Result<()> {
    for (i, item) in items.enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        write!(out, "{comma}{item}")?;
    }
    Ok(())
}
