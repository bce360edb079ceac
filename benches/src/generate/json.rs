//! Formats that are JSON.

use std::io::{self, Write};

use super::{Kind, Line, Source, count, write_joined};

/// Writes a report of these sources, each with its folder.
pub(super) fn write(
    kind: Kind,
    sources: impl Iterator<Item = (String, Source)>,
    out: &mut impl Write,
) -> io::Result<()> {
    let (head, between, tail) = match kind {
        Kind::Istanbul => ("{", "\n,", "\n}\n"),
        Kind::CoveragePy => (
            "{\"meta\": {\"format\": 3, \"version\": \"7.6.1\", \"branch_coverage\": true, \"show_contexts\": false}, \"files\": {",
            ", ",
            "}, \"totals\": {\"num_statements\": 1}}",
        ),
        Kind::LlvmExport => (
            "{\"data\":[{\"files\":[",
            ",",
            "],\"functions\":[],\"totals\":{}}],\"type\":\"llvm.coverage.json.export\",\"version\":\"2.0.1\"}\n",
        ),
        Kind::Simplecov => (
            "{\"timestamp\":1795521600,\"command_name\":\"RSpec\",\"files\":[",
            ",",
            "],\"metrics\":{\"covered_percent\":80.0}}",
        ),
        _ => (
            "{\"service_name\":\"ci\",\"service_job_id\":\"1\",\"source_files\":[",
            ",",
            "]}",
        ),
    };
    out.write_all(head.as_bytes())?;
    for (i, (folder, source)) in sources.enumerate() {
        if i > 0 {
            out.write_all(between.as_bytes())?;
        }
        match kind {
            Kind::Istanbul => write_istanbul(&folder, &source, out)?,
            Kind::CoveragePy => write_coverage_py(&folder, &source, out)?,
            Kind::LlvmExport => write_llvm_export(&folder, &source, out)?,
            Kind::Simplecov => write_simplecov(&folder, &source, out)?,
            _ => write_coveralls(&folder, &source, out)?,
        }
    }
    out.write_all(tail.as_bytes())
}

/// As nyc has it, a statement on each line.
fn write_istanbul(folder: &str, source: &Source, out: &mut impl Write) -> io::Result<()> {
    let path = format!("/home/runner/work/app/app/{folder}/{}.ts", source.name);
    write!(out, "\"{path}\": {{\"path\":\"{path}\",\"statementMap\":")?;
    let span = |line: u32, from: u32, to: u32| {
        format!(
            "{{\"start\":{{\"line\":{line},\"column\":{from}}},\"end\":{{\"line\":{line},\"column\":{to}}}}}"
        )
    };
    let place = |line: &Line| span(line.number, 4, 31 + line.number % 40);
    write_numbered(out, source.lines.iter().map(place))?;
    write!(out, ",\"fnMap\":")?;
    write_numbered(
        out,
        source.functions.iter().map(|function| {
            let line = source.lines[function.first].number;
            let (decl, loc) = (span(line, 9, 14), span(line, 20, 60));
            format!(
                "{{\"name\":\"{}\",\"decl\":{decl},\"loc\":{loc},\"line\":{line}}}",
                function.name
            )
        }),
    )?;
    write!(out, ",\"branchMap\":")?;
    let branching = || source.lines.iter().filter(|line| !line.arms.is_empty());
    write_numbered(
        out,
        branching().map(|line| {
            let (n, place) = (line.number, place(line));
            let arms = vec![place.as_str(); line.arms.len()].join(",");
            format!("{{\"loc\":{place},\"type\":\"if\",\"locations\":[{arms}],\"line\":{n}}}")
        }),
    )?;
    write!(out, ",\"s\":")?;
    write_numbered(out, source.lines.iter().map(|line| line.hits.to_string()))?;
    write!(out, ",\"f\":")?;
    write_numbered(
        out,
        source
            .functions
            .iter()
            .map(|function| function.calls.to_string()),
    )?;
    write!(out, ",\"b\":")?;
    write_numbered(
        out,
        branching().map(|line| {
            let arms: Vec<String> = line.arms.iter().map(u64::to_string).collect();
            format!("[{}]", arms.join(","))
        }),
    )?;
    write!(
        out,
        ",\"_coverageSchema\":\"1a1c01bbd47fc00a2c39e90264f33305004495a9\",\"hash\":\"0c2f2b\"}}"
    )
}

/// An object with the keys 0, 1 and so on.
fn write_numbered(out: &mut impl Write, values: impl Iterator<Item = String>) -> io::Result<()> {
    out.write_all(b"{")?;
    for (i, value) in values.enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(out, "{comma}\"{i}\":{value}")?;
    }
    out.write_all(b"}")
}

fn write_coverage_py(folder: &str, source: &Source, out: &mut impl Write) -> io::Result<()> {
    let (missed, covered) = count(&source.lines);
    write!(
        out,
        "\"{folder}/{}.py\": {{\"executed_lines\": [",
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

/// A segment where a line begins; arms in pairs, as one that is taken and one that is not.
fn write_llvm_export(folder: &str, source: &Source, out: &mut impl Write) -> io::Result<()> {
    write!(out, "{{\"branches\":[")?;
    let branching = source.lines.iter().filter(|line| !line.arms.is_empty());
    let branches = branching.flat_map(|line| {
        let pairs = line
            .arms
            .chunks(2)
            .map(|pair| (pair[0], pair.get(1).copied().unwrap_or(0)));
        let n = line.number;
        pairs.enumerate().map(move |(i, (yes, no))| {
            format!("[{n},{},{n},{},{yes},{no},0,0,4]", 9 + i * 10, 17 + i * 10)
        })
    });
    write_list(out, branches)?;
    write!(
        out,
        "],\"expansions\":[],\"filename\":\"/home/runner/work/app/app/{folder}/{}.c\",\"segments\":[",
        source.name
    )?;
    let segments = source
        .lines
        .iter()
        .map(|line| format!("[{},5,{},true,true,false]", line.number, line.hits));
    let end = source.lines.last().map_or(1, |line| line.number + 1);
    write_list(
        out,
        segments.chain([format!("[{end},2,0,false,false,false]")]),
    )?;
    let (missed, covered) = count(&source.lines);
    write!(
        out,
        "],\"summary\":{{\"lines\":{{\"count\":{},\"covered\":{covered},\"percent\":80}}}}}}",
        missed + covered
    )
}

/// Writes items with commas between.
pub(super) fn write_list(
    out: &mut impl Write,
    items: impl Iterator<Item = String>,
) -> io::Result<()> {
    for (i, item) in items.enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(out, "{comma}{item}")?;
    }
    Ok(())
}

fn write_simplecov(folder: &str, source: &Source, out: &mut impl Write) -> io::Result<()> {
    write!(
        out,
        "{{\"filename\":\"/home/runner/work/app/app/{folder}/{}.rb\",\"covered_percent\":80.0,\"coverage\":{{\"lines\":[",
        source.name
    )?;
    write_list(out, values(source))?;
    write!(
        out,
        "]}},\"covered_strength\":1.0,\"lines_of_code\":{}}}",
        source.lines.len()
    )
}

fn write_coveralls(folder: &str, source: &Source, out: &mut impl Write) -> io::Result<()> {
    write!(
        out,
        "{{\"name\":\"{folder}/{}.rb\",\"source_digest\":\"8084dc33befb959ebacacbea3042c6aa\",\"coverage\":[",
        source.name
    )?;
    write_list(out, values(source))?;
    write!(out, "]}}")
}

/// The count of each line from the first, null where there is no code.
pub(super) fn values(source: &Source) -> impl Iterator<Item = String> {
    let mut next = 1;
    source.lines.iter().flat_map(move |line| {
        let blank = (line.number - next) as usize;
        next = line.number + 1;
        let blanks = std::iter::repeat_n("null".to_owned(), blank);
        blanks.chain([line.hits.to_string()])
    })
}
