//! What reports cost: joining uploads, one more upload, comparing two, and the bytes of a pack.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use engine::blob::LocalBlobs;
use engine::cache::{Cache, CacheLimits};
use engine::fold::{Folds, PackSet};
use engine::model::{ArmId, Coverage, FileBuilder, FileCoverage, Kind};
use engine::pack::{Pack, PackName, encode};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// Every how many lines one is a branch.
const BRANCH_EVERY: u32 = 8;
/// Lines that are run as often as each other, on average.
const BLOCK_LINES: f64 = 4.0;
/// Files of one folder.
const FILES_PER_FOLDER: usize = 20;
/// Times that a thing is done; the fastest counts.
const RUNS: usize = 5;
/// Files that a table's report has.
const SHAPES: [Shape; 3] = [
    Shape {
        files: 500,
        lines: 20,
        uploads: &[1, 10, 150, 1000],
    },
    Shape {
        files: 2000,
        lines: 250,
        uploads: &[1, 10, 20, 150],
    },
    Shape {
        files: 20_000,
        lines: 100,
        uploads: &[1, 10],
    },
];

struct Shape {
    files: usize,
    lines: u32,
    uploads: &'static [usize],
}

/// Measures folds, and gives the tables.
pub(crate) async fn measure(seed: u64) -> Result<String> {
    let mut table = String::from(
        "## Reports\n\n\
         All cores, best of 5. A fold joins the packs of that many uploads of the same files; cold, with packs in the \
         object store (a local folder) alone, and with packs in the cache. One more is a fold of one upload more. All \
         files are read and decoded, one after the other in each core.\n\n\
         | files | lines | uploads | bytes of a pack, a line | cold, ms | packs cached, ms | one more, ms | read all files, ms |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for shape in &SHAPES {
        let most = shape.uploads.iter().max().copied().unwrap_or(0) + 1;
        let packs = (0..most as u64).map(|upload| pack(shape, seed, upload));
        let packs = packs.collect::<Result<Vec<_>>>()?;
        for &uploads in shape.uploads {
            let lines = shape.files as u64 * u64::from(shape.lines);
            let fold = Fold::of(&packs, uploads).await?;
            writeln!(
                table,
                "| {} | {lines} | {uploads} | {:.2} | {} | {} | {} | {} |",
                shape.files,
                packs[0].bytes().len() as f64 / lines as f64,
                shown(fold.cold),
                shown(fold.cached),
                shown(fold.one_more),
                shown(fold.read),
            )?;
        }
    }
    table += "\nAims: 20 uploads of 500,000 lines in 150 ms of CPU, 150 in 1 s, one more in 15 ms, 20,000 files cold in 300 ms. \
              Real reports compress better than these, whose branches are made by chance.\n";
    Ok(table)
}

fn shown(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

/// How long each takes.
struct Fold {
    cold: Duration,
    cached: Duration,
    one_more: Duration,
    read: Duration,
}

impl Fold {
    async fn of(packs: &[Pack], uploads: usize) -> Result<Fold> {
        let folder = tempfile::tempdir()?;
        let names: Vec<PackName> = packs.iter().map(Pack::name).collect();
        let (set, larger) = (
            PackSet::from_iter(names[..uploads].iter().copied()),
            PackSet::from_iter(names[..=uploads].iter().copied()),
        );
        let mut times = BTreeMap::<&str, Duration>::new();
        let mut note = |what, begun: Instant| {
            let time = times.entry(what).or_insert(Duration::MAX);
            *time = begun.elapsed().min(*time);
        };
        for run in 0..RUNS {
            let full = folds(&folder.path().join(format!("{run}-full")), folder.path())?;
            for pack in &packs[..=uploads] {
                full.store(pack.clone()).await?;
            }
            let empty = folds(&folder.path().join(format!("{run}-empty")), folder.path())?;
            let begun = Instant::now();
            empty.report(&set).await?;
            note("cold", begun);
            let begun = Instant::now();
            let header = full.report(&set).await?;
            note("cached", begun);
            let begun = Instant::now();
            full.report(&larger).await?;
            note("one more", begun);
            let begun = Instant::now();
            full.files(&set, header.files.clone()).await?;
            note("read", begun);
        }
        let time = |what| times.get(what).copied().context("it was measured");
        Ok(Fold {
            cold: time("cold")?,
            cached: time("cached")?,
            one_more: time("one more")?,
            read: time("read")?,
        })
    }
}

fn folds(cache: &Path, store: &Path) -> Result<Folds> {
    let cache = Cache::open(cache, CacheLimits::default())?;
    let blobs = LocalBlobs::open(&store.join("blobs"))?;
    Ok(Folds::new(Arc::new(cache), Arc::new(blobs)))
}

/// The pack of what one job measured: all jobs know the same lines.
fn pack(shape: &Shape, seed: u64, upload: u64) -> Result<Pack> {
    let path = |file| {
        let folder = file / FILES_PER_FOLDER;
        format!("src/area{}/part{folder}/file{file}.rs", folder % 10)
    };
    let files = (0..shape.files).map(|file| {
        let seed = seed << 48 ^ (file as u64) << 16;
        let code = StdRng::seed_from_u64(seed ^ 0xffff);
        let run = StdRng::seed_from_u64(seed ^ upload);
        (path(file), evidence(shape.lines, code, run))
    });
    let mut files: Vec<(String, FileCoverage)> = files.collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(encode(&files, 1)?)
}

/// A file of `code`'s lines as `run` hits them: the lines of a block as often as each other, most blocks not at all or a
/// few times.
fn evidence(lines: u32, mut code: StdRng, mut run: StdRng) -> FileCoverage {
    let mut builder = FileBuilder::new();
    let (mut line, mut hits) = (0, 0);
    for row in 1..=lines {
        line += 1 + u32::from(code.random_bool(0.3)) * code.random_range(0..5);
        if code.random_bool(1.0 / BLOCK_LINES) {
            let digits = run.random_range(0.0..1.0_f64).powi(3) * 4.0;
            hits = (10_f64.powf(digits) as u64).saturating_sub(1);
        }
        if row % BRANCH_EVERY == 0 {
            let taken = if hits == 0 {
                0
            } else {
                run.random_range(1..=2)
            };
            let missed: Vec<ArmId> = (taken..2).map(|arm| ArmId::pair(0, arm)).collect();
            let coverage = Coverage::Arms { taken, total: 2 };
            builder.append(line, Kind::Branch, coverage, Some(&missed), None);
        } else {
            builder.hits(line, hits);
        }
    }
    builder.finish()
}
