//! coverage.py's data file, an SQLite database. Source: coverage.readthedocs.io, "Coverage.py
//! database schema".

use std::collections::HashMap;

use engine::model::FileBuilder;

use super::Context;
use crate::error::{Failure, ProblemCode, Result};
use crate::sqlite::{Damaged, Database, Value};

/// Adds the files of a database with the lines that ran. It does not know the others.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let files = read(content)?;
    for file in files {
        let path = context
            .paths
            .fix(&file.name)?
            .filter(|path| !path.is_empty());
        if let Some(path) = path {
            add_file(path, file.lines, context);
        }
    }
    let message = "a .coverage file has the lines that ran but not those that did not, so all lines count as hit: upload what `coverage xml`, `coverage json` or `coverage lcov` writes instead";
    context.problem(None, ProblemCode::MissesUnknown, message.to_owned());
    Ok(())
}

/// A file by the name that coverage.py gives it.
struct File {
    name: String,
    /// Lines that ran, in no order and more than once.
    lines: Vec<i64>,
}

fn read(content: &[u8]) -> Result<Vec<File>> {
    let damaged = |Damaged| Failure::corrupt("coverage.py: the database is damaged");
    let database = Database::open(content).map_err(damaged)?;
    let table = |name: &str| database.find_table(name).map_err(damaged);
    let none = || Failure::corrupt("the database is none of coverage.py's: it has no table `file`");
    let mut files = Vec::new();
    let mut by_id = HashMap::new();
    database
        .rows(table("file")?.ok_or_else(none)?, |id, row| {
            if let Value::Bytes(name) = row[1] {
                let name = String::from_utf8_lossy(name).into_owned();
                by_id.insert(id, files.len());
                files.push(File {
                    name,
                    lines: Vec::new(),
                });
            }
        })
        .map_err(damaged)?;
    if let Some(arcs) = table("arc")? {
        let add = |_, row: &[Value<'_>; 5]| {
            if let [
                Value::Integer(id),
                _,
                Value::Integer(from),
                Value::Integer(to),
                ..,
            ] = *row
                && let Some(&at) = by_id.get(&id)
            {
                // Negative numbers are ways in and out.
                files[at]
                    .lines
                    .extend([from, to].iter().filter(|&&line| line > 0));
            }
        };
        database.rows(arcs, add).map_err(damaged)?;
    }
    if let Some(line_bits) = table("line_bits")? {
        let add = |_, row: &[Value<'_>; 5]| {
            if let [Value::Integer(id), _, Value::Bytes(bits), ..] = *row
                && let Some(&at) = by_id.get(&id)
            {
                files[at].lines.extend(set_bits(bits));
            }
        };
        database.rows(line_bits, add).map_err(damaged)?;
    }
    Ok(files)
}

/// The numbers of the bits that are set, from the lowest of the first byte on; 0 aside.
fn set_bits(bytes: &[u8]) -> impl Iterator<Item = i64> {
    bytes
        .iter()
        .zip((0..).step_by(8))
        .flat_map(|(&byte, first)| {
            (0..8)
                .filter(move |bit| byte >> bit & 1 == 1)
                .map(move |bit| first + i64::from(bit))
                .filter(|&line| line > 0)
        })
}

fn add_file(path: String, mut lines: Vec<i64>, context: &mut Context<'_>) {
    lines.sort_unstable();
    lines.dedup();
    let ignored = context.ignored.get(&path);
    let mut file = FileBuilder::new();
    for line in lines {
        let Some(line) = context.checked_line(line, &path) else {
            break;
        };
        if !ignored.is_some_and(|lines| lines.contains(line)) {
            file.hits(line, 1);
        }
    }
    context.found.add(path, file.finish());
}
