//! Packs of every released version open and say what was put in.
//!
//! `tests/data/packs/v{version}/{name}.pack` are kept for ever. `UPDATE_EXPECT=1` writes those that are missing,
//! for the version that this program writes; it never writes one anew.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use engine::model::{ArmId, Complexity, Coverage, FileBuilder, FileCoverage, Kind, Part};
use engine::pack::{self, Pack, PackName};

type Files = Vec<(&'static str, FileCoverage)>;

/// Hits of each width, and a gap of lines that takes four bytes.
fn hits() -> Files {
    let file = |lines: &[(u32, u64)]| {
        let mut file = FileBuilder::new();
        lines.iter().for_each(|&(line, hits)| file.hits(line, hits));
        file.finish()
    };
    vec![
        ("src/8.c", file(&[(1, 0), (2, 255), (4_000_000, 7)])),
        ("src/16.c", file(&[(1, 0), (300, 65_535)])),
        ("src/32.c", file(&[(1, 1), (2, u64::from(u32::MAX))])),
        ("src/64.c", file(&[(7, u64::MAX)])),
    ]
}

/// Lines of every kind and coverage, with arms and complexity.
fn branches() -> Files {
    let mut file = FileBuilder::new();
    let arm = [ArmId::parse("0:1"), ArmId::parse("exit")];
    let half = Coverage::Arms { taken: 1, total: 3 };
    let complexity = |total| Some(Complexity { covered: 2, total });
    file.append(
        1,
        Kind::Method,
        Coverage::Hits(4),
        None,
        complexity(Some(3)),
    );
    file.append(2, Kind::Branch, half, Some(&arm), None);
    file.append(3, Kind::Branch, half, None, complexity(None));
    file.append(5, Kind::Line, Coverage::Null, None, None);
    file.append(6, Kind::Line, Coverage::Ignored, None, None);
    file.append(7, Kind::Line, Coverage::Partial, None, None);
    let file = file.finish();
    let mut other = FileBuilder::new();
    other.append(2, Kind::Branch, half, Some(&arm[1..]), None);
    let joined = file.join(&other.finish());
    vec![("a b.java", file), ("é/joined.java", joined)]
}

/// Columns of lines. Version 1 had none of them at first.
fn parts() -> Files {
    let mut file = FileBuilder::new();
    let arms = Coverage::Arms { taken: 1, total: 2 };
    let coverages = [
        Coverage::Null,
        Coverage::Ignored,
        Coverage::Partial,
        Coverage::Hits(u64::MAX),
        arms,
    ];
    for (line, coverage) in (1..).step_by(1000).zip(coverages) {
        file.hits(line, 1);
        for (start, end) in [(0, None), (7, Some(u32::MAX)), (8, Some(9))] {
            file.part(Part {
                line,
                start,
                end,
                coverage,
            });
        }
    }
    vec![("a.swift", file.finish())]
}

/// Branches of which no session names missed arms, joined. Version 1 did not tell them at first.
fn unnamed() -> Files {
    let branches = |coverages: [(u32, u32); 3]| {
        let mut file = FileBuilder::new();
        for (line, (taken, total)) in (1..).zip(coverages) {
            let coverage = Coverage::Arms { taken, total };
            file.append(line, Kind::Branch, coverage, None, None);
        }
        file.finish()
    };
    let first = branches([(1, 2), (2, 4), (1, 3)]);
    let second = branches([(1, 2), (3, 3), (2, 4)]);
    vec![("a.py", first.join(&second))]
}

/// Checks the packs of every version that holds these files.
fn check(versions: RangeInclusive<u8>, name: &str, mut files: Files) {
    files.sort_by_key(|(path, _)| *path);
    versions.for_each(|version| check_version(version, name, &files));
}

fn check_version(version: u8, name: &str, files: &Files) {
    let path = data(version, name);
    if !path.exists() && version == pack::VERSION && std::env::var_os("UPDATE_EXPECT").is_some() {
        let pack = pack::encode(files, 1).expect("evidence encodes");
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder");
        fs::write(&path, pack.bytes()).expect("write the pack");
    }
    let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let pack = Pack::open(PackName::of(&bytes), bytes.into()).expect("a released pack opens");
    assert_eq!(pack.header().files.len(), files.len());
    for (entry, (path, file)) in pack.header().files.iter().zip(files) {
        assert_eq!(*entry.path, **path);
        assert_eq!(entry.totals, file.totals(), "{path}");
        assert_eq!(
            pack.file(entry).expect("its chunk is sound"),
            *file,
            "{path}"
        );
    }
}

fn data(version: u8, name: &str) -> PathBuf {
    let packs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/packs");
    packs
        .join(format!("v{version}"))
        .join(format!("{name}.pack"))
}

#[test]
fn hits_of_every_version_are_read() {
    check(1..=pack::VERSION, "hits", hits());
}

#[test]
fn branches_of_every_version_are_read() {
    check(1..=pack::VERSION, "branches", branches());
}

#[test]
fn parts_of_every_version_are_read() {
    check(1..=pack::VERSION, "parts", parts());
}

#[test]
fn unnamed_branches_of_every_version_are_read() {
    check(1..=pack::VERSION, "unnamed", unnamed());
}
