//! Reports that break programs: very large ones, on which others are known to fail, and ones made to take long.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::generate::{Kind, Shape};
use crate::parsers::{Bench, Timed, timed};
use crate::peers::Peer;

/// Time that Hitline may take for one of them.
const LIMIT: Duration = Duration::from_secs(180);

/// A large report.
struct Large {
    name: &'static str,
    kind: Kind,
    files: usize,
    lines: usize,
    /// Times that it is read, one after the other, in one process.
    times: u64,
}

const LARGE: [Large; 4] = [
    Large {
        name: "12,000 classes in one Cobertura file",
        kind: Kind::Cobertura,
        files: 12_000,
        lines: 2_830_000,
        times: 1,
    },
    Large {
        name: "500 Cobertura files of 100 MB, one after the other in one process (the same bytes 500 times)",
        kind: Kind::Cobertura,
        files: 9000,
        lines: 2_180_000,
        times: 500,
    },
    Large {
        name: "640,000 statements of one source in an Istanbul file",
        kind: Kind::Istanbul,
        files: 1,
        lines: 640_000,
        times: 1,
    },
    Large {
        name: "coverage-final.json of 20,000 sources, for which 512 MB of memory must do",
        kind: Kind::Istanbul,
        files: 20_000,
        lines: 5_040_000,
        times: 1,
    },
];

/// Two tables: large reports, beside other programs, and reports that are made to take long.
pub(crate) fn measure(bench: &Bench, seed: u64) -> Result<String> {
    let mut text = format!(
        "\n## Reports on which other programs fail\n\nAll cores. Memory is the peak of the process, without and with the mapped report. \
         Others have {} s.\n\n| report | MB | lines | program | seconds | MB/s | memory, own and all, MB |\n| --- | --- | --- | --- | --- | --- | --- |\n",
        bench.peer_limit().as_secs()
    );
    for large in LARGE {
        text += &measure_large(bench, &large, seed)?;
    }
    text += "\n## Reports made to take long\n\nAll cores.\n\n| report | MB | seconds | lines | memory, own and all, MB |\n| --- | --- | --- | --- | --- |\n";
    for (name, write) in HOSTILE {
        eprintln!("benches: {name}");
        let path = bench.folder().join("hostile");
        let mut out = BufWriter::new(File::create(&path)?);
        write(&mut out)?;
        out.flush()?;
        text += &hostile_row(bench, name, &path)?;
        fs::remove_file(&path)?;
    }
    Ok(text)
}

fn measure_large(bench: &Bench, large: &Large, seed: u64) -> Result<String> {
    let shape = Shape {
        files: large.files,
        lines: large.lines,
        seed,
    };
    let report = bench.report(large.kind, shape)?;
    let times = large.times.min(bench.most_times());
    let mb = report.bytes as f64 / 1e6;
    let head = format!("| {} | {mb:.0} |", large.name);
    let mut rows = match bench.parse(&report, cores(), times)? {
        Err(reason) => format!("{head} | Hitline | {reason} | | |\n"),
        Ok(Timed {
            lines,
            all_seconds,
            own_mb,
            all_mb,
            ..
        }) => format!(
            "{head} {lines} | Hitline{} | {all_seconds:.2} | {:.0} | {own_mb:.0}, {all_mb:.0} |\n",
            match times {
                1 => String::new(),
                times => format!(", {times} times"),
            },
            mb * times as f64 / all_seconds
        ),
    };
    if large.times == 1 {
        for peer in Peer::of(large.kind) {
            rows += &format!("{head} | {} |\n", bench.peer_cells(peer, &report)?);
        }
    }
    Ok(rows)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn hostile_row(bench: &Bench, name: &str, path: &Path) -> Result<String> {
    let mb = fs::metadata(path)?.len() as f64 / 1e6;
    let mut command = Command::new(bench.hitline());
    command.arg("parse").arg(path).args(["--time", "1"]);
    Ok(match timed(&mut command, LIMIT)? {
        Err(reason) => format!("| {name} | {mb:.0} | {reason} | | |\n"),
        Ok(Timed {
            lines,
            seconds,
            own_mb,
            all_mb,
            ..
        }) => {
            format!("| {name} | {mb:.0} | {seconds:.3} | {lines} | {own_mb:.0}, {all_mb:.0} |\n")
        }
    })
}

type Out = BufWriter<File>;
/// A report that is made to take long.
type Hostile = (&'static str, fn(&mut Out) -> io::Result<()>);

const HOSTILE: [Hostile; 10] = [
    ("LCOV: a line of 64 MB", |out| {
        out.write_all(b"SF:a.ts\nDA:1,1\nend_of_record\nTN:")?;
        repeat(out, b"xxxxxxxxxxxxxxxx", 4 << 20)
    }),
    ("LCOV: one line 4 million times", |out| {
        out.write_all(b"SF:a.ts\n")?;
        repeat(out, b"DA:7,1\nBRDA:7,0,0,1\n", 4_000_000)?;
        out.write_all(b"end_of_record\n")
    }),
    ("LCOV: one source a million times", |out| {
        repeat(out, b"SF:a.ts\nDA:1,1\nend_of_record\n", 1_000_000)
    }),
    ("Go: 20,000 regions inside each other", |out| {
        const DEPTH: usize = 20_000;
        writeln!(out, "mode: count")?;
        (1..=DEPTH).try_for_each(|i| writeln!(out, "a.go:{i}.1,{}.9 1 {i}", 2 * DEPTH + 1 - i))
    }),
    ("XML: a million elements inside each other", |out| {
        out.write_all(b"<coverage>")?;
        repeat(out, b"<class filename=\"a\">", 1_000_000)?;
        repeat(out, b"</class>", 1_000_000)?;
        out.write_all(b"</coverage>")
    }),
    ("XML: a tag of a million attributes", |out| {
        out.write_all(b"<coverage ")?;
        (0..1_000_000).try_for_each(|i| write!(out, "a{i}=\"1\" "))?;
        out.write_all(b"><class filename=\"a\"><line number=\"1\" hits=\"1\"/></class></coverage>")
    }),
    ("XML: entities that name ten entities each", |out| {
        out.write_all(b"<!DOCTYPE coverage [<!ENTITY e0 \"x\">")?;
        for i in 1..40 {
            let inner = format!("&e{};", i - 1).repeat(10);
            write!(out, "<!ENTITY e{i} \"{inner}\">")?;
        }
        out.write_all(
            b"]><coverage><class filename=\"&e39;\"><line number=\"1\" hits=\"1\"/></class></coverage>",
        )
    }),
    ("JSON: 10 million brackets", |out| {
        repeat(out, b"[", 10_000_000)
    }),
    ("JSON: a number of 10 MB", |out| {
        out.write_all(b"{\"source_files\": [{\"name\": \"a.rb\", \"coverage\": [1")?;
        repeat(out, b"0", 10_000_000)?;
        out.write_all(b"]}]}")
    }),
    ("10 million blank lines", |out| {
        repeat(out, b"\n", 10_000_000)
    }),
];

fn repeat(out: &mut Out, text: &[u8], times: usize) -> io::Result<()> {
    (0..times).try_for_each(|_| out.write_all(text))
}
