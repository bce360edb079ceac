//! LCOV tracefiles. Source: geninfo(1), "TRACEFILE FORMAT".

use std::collections::BTreeSet;
use std::io::Write as _;

use engine::model::{ArmId, FileCoverage, Kind};

use super::{Shown, shown};

pub(super) fn start(out: &mut Vec<u8>) {
    out.extend_from_slice(b"TN:\n");
}

pub(super) fn file(path: &str, file: &FileCoverage, out: &mut Vec<u8>) {
    let path = path.replace(['\n', '\r'], " ");
    write(out, format_args!("SF:{path}\n"));
    let methods = file.rows().filter(|(_, row)| row.kind == Kind::Method);
    for (line, _) in methods {
        write(out, format_args!("FN:{line},line_{line}\n"));
    }
    let (mut lines, mut hit, mut arms, mut taken_arms) = (0, 0, 0, 0);
    for (line, row) in file.rows() {
        let hits = match shown(&row) {
            Shown::Nothing => continue,
            Shown::Hits(hits) => hits,
            Shown::Arms { taken, total } => {
                arms += u64::from(total);
                taken_arms += u64::from(taken);
                write_arms(
                    line,
                    taken,
                    total,
                    row.named_missed().unwrap_or_default(),
                    out,
                );
                match taken {
                    0 => 0,
                    _ => row.hits.unwrap_or(1).max(1),
                }
            }
        };
        lines += 1;
        hit += u64::from(hits > 0);
        write(out, format_args!("DA:{line},{hits}\n"));
    }
    write(
        out,
        format_args!("BRF:{arms}\nBRH:{taken_arms}\nLF:{lines}\nLH:{hit}\nend_of_record\n"),
    );
}

/// Arms by their names as far as those are LCOV's; the others get names that are still free.
fn write_arms(line: u32, taken: u32, total: u32, missed: &[ArmId], out: &mut Vec<u8>) {
    let missed = missed.iter().filter_map(|id| pair(&id.to_string()));
    let named: BTreeSet<(u32, u32)> = missed.take((total - taken) as usize).collect();
    for (block, branch) in &named {
        write(out, format_args!("BRDA:{line},{block},{branch},0\n"));
    }
    let free = (0..).filter(|branch| !named.contains(&(0, *branch)));
    let unnamed = total - named.len() as u32;
    for (count, branch) in (0..unnamed).zip(free) {
        let hits = u32::from(count < taken);
        write(out, format_args!("BRDA:{line},0,{branch},{hits}\n"));
    }
}

fn pair(name: &str) -> Option<(u32, u32)> {
    let (block, branch) = name.split_once(':')?;
    Some((block.parse().ok()?, branch.parse().ok()?))
}

fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("memory takes it");
}
