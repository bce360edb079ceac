//! Formats that are little more JSON than a list of values by line.

use std::io::{self, Write};

use super::json::{values, write_list};
use super::{Kind, Line, Source, count};

/// Writes a report of these sources, each with its folder.
pub(super) fn write(
    kind: Kind,
    sources: impl Iterator<Item = (String, Source)>,
    out: &mut impl Write,
) -> io::Result<()> {
    let (head, tail) = match kind {
        Kind::Covdir => (
            "{\"children\":{",
            "},\"coveragePercent\":80.0,\"name\":\"\"}",
        ),
        Kind::Elm => ("{\"coverageData\":{", "}}"),
        Kind::Flowcover => ("{\"flowStatus\":{\"passed\":true},\"files\":{", "}}"),
        Kind::R => ("{\"uploader\":\"R\",\"files\":[", "]}"),
        Kind::Salesforce => ("[", "]"),
        _ => ("{\"coverage\":{", "}}"),
    };
    out.write_all(head.as_bytes())?;
    let mut paths = Vec::new();
    for (i, (folder, source)) in sources.enumerate() {
        if i > 0 {
            out.write_all(b",")?;
        }
        let path = format!("{folder}/{}.{}", source.name, kind.extension());
        match kind {
            Kind::Covdir => write_covdir(&path, &source, out)?,
            Kind::Elm => write_elm(i, &source, out)?,
            Kind::Flowcover => write_flow(&path, &source, out)?,
            Kind::R => write_r(&path, &source, out)?,
            Kind::Salesforce => {
                write!(out, "{{\"name\":\"{path}\",\"lines\":")?;
                write_by_line(&source, out)?;
                out.write_all(b"}")?;
            }
            Kind::V1Objects => {
                write!(out, "\"{path}\":")?;
                write_by_line(&source, out)?;
            }
            _ => {
                write!(out, "\"{path}\":[null,")?;
                write_list(out, values(&source))?;
                out.write_all(b"]")?;
            }
        }
        paths.push(path);
    }
    if kind == Kind::Elm {
        out.write_all(b"},\"moduleMap\":{")?;
        let modules = paths.iter().enumerate();
        write_list(
            out,
            modules.map(|(i, path)| format!("\"{}\":\"{path}\"", module(i))),
        )?;
    }
    out.write_all(tail.as_bytes())
}

/// An object with the hits of each line.
fn write_by_line(source: &Source, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"{")?;
    let lines = source.lines.iter();
    write_list(
        out,
        lines.map(|line| format!("\"{}\":{}", line.number, line.hits)),
    )?;
    out.write_all(b"}")
}

/// As grcov has it, with -1 where there is no code.
fn write_covdir(path: &str, source: &Source, out: &mut impl Write) -> io::Result<()> {
    let (missed, covered) = count(&source.lines);
    write!(out, "\"{path}\":{{\"coverage\":[")?;
    let no_code = |value: String| if value == "null" { "-1".into() } else { value };
    write_list(out, values(source).map(no_code))?;
    write!(
        out,
        "],\"coveragePercent\":80.0,\"linesCovered\":{covered},\"linesMissed\":{missed},\"linesTotal\":{},\"name\":\"{}.c\"}}",
        missed + covered,
        source.name
    )
}

/// A list from line 0 on, as covr makes it of a vector.
fn write_r(path: &str, source: &Source, out: &mut impl Write) -> io::Result<()> {
    write!(out, "{{\"name\":\"{path}\",\"coverage\":[null,")?;
    write_list(out, values(source))?;
    out.write_all(b"]}")
}

fn module(index: usize) -> String {
    format!("App.Page{index}")
}

/// An expression on each line.
fn write_elm(index: usize, source: &Source, out: &mut impl Write) -> io::Result<()> {
    write!(out, "\"{}\":[", module(index))?;
    let sections = source.lines.iter().map(|line| {
        let (from, to) = ends(line);
        format!(
            "{{\"type\":\"expression\",\"from\":{from},\"to\":{to},\"count\":{},\"complexity\":1}}",
            line.hits
        )
    });
    write_list(out, sections)?;
    out.write_all(b"]")
}

/// An expression on each line, which has a type where the line ran.
fn write_flow(path: &str, source: &Source, out: &mut impl Write) -> io::Result<()> {
    let (missed, covered) = count(&source.lines);
    write!(
        out,
        "\"{path}\":{{\"filename\":\"{path}\",\"expressions\":{{\"covered_count\":{covered},\"uncovered_count\":{missed},\"covered_locs\":["
    )?;
    let places = |ran: bool| {
        let lines = source
            .lines
            .iter()
            .filter(move |line| (line.hits > 0) == ran);
        lines.map(|line| {
            let (start, end) = ends(line);
            format!("{{\"start\":{start},\"end\":{end}}}")
        })
    };
    write_list(out, places(true))?;
    write!(out, "],\"uncovered_locs\":[")?;
    write_list(out, places(false))?;
    write!(out, "]}}}}")
}

/// Where an expression starts and ends.
fn ends(line: &Line) -> (String, String) {
    let place = |column| format!("{{\"line\":{},\"column\":{column}}}", line.number);
    (place(5), place(31 + line.number % 40))
}
