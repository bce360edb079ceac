//! The evidence that seeded commits share: a few sets of packs, made by chance from a seed.

use anyhow::Result;
use engine::model::{ArmId, Coverage, FileBuilder, FileCoverage, Kind};
use engine::pack::{Pack, encode};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rayon::prelude::*;

/// Every how many lines one is a branch.
const BRANCH_EVERY: u32 = 8;
/// Files of one folder.
const FILES_PER_FOLDER: usize = 20;

/// How large a report is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Its files.
    pub(crate) files: usize,
    /// Instrumented lines of each.
    pub(crate) lines: u32,
}

/// A pack of what one job measured. Jobs of one `version` of the code know the same lines; the next version has a
/// line more in every tenth file. Costs its lines.
pub(crate) fn pack(shape: Shape, version: u64, job: u64) -> Result<Pack> {
    let mut files: Vec<(String, FileCoverage)> = (0..shape.files)
        .into_par_iter()
        .map(|file| (path(file), evidence(shape.lines, file as u64, version, job)))
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(encode(&files, 1)?)
}

fn path(file: usize) -> String {
    let folder = file / FILES_PER_FOLDER;
    format!("src/area{}/part{folder}/file{file}.rs", folder % 10)
}

fn evidence(lines: u32, file: u64, version: u64, job: u64) -> FileCoverage {
    let mut chance = StdRng::seed_from_u64(file << 24 ^ version << 16 ^ job);
    let mut builder = FileBuilder::new();
    let more = u32::from(file.is_multiple_of(10)) * version as u32;
    for line in (1..=lines + more).map(|line| 2 * line) {
        if line % BRANCH_EVERY == 0 {
            let taken = chance.random_range(0..=2);
            let missed: Vec<ArmId> = (taken..2).map(|arm| ArmId::pair(0, arm)).collect();
            let coverage = Coverage::Arms { taken, total: 2 };
            builder.append(line, Kind::Branch, coverage, Some(&missed), None);
        } else {
            let is_hit = chance.random_bool(0.7);
            builder.hits(
                line,
                if is_hit {
                    chance.random_range(1..500)
                } else {
                    0
                },
            );
        }
    }
    builder.finish()
}
