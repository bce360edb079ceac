//! Cobertura's XML. Source: coverage-04.dtd.

use std::io::Write as _;

use engine::model::{FileCoverage, Totals};

use super::{ArmCounts, Shown, escape_xml, rate, shown};

pub(super) fn start(totals: &Totals, arms: ArmCounts, now_us: i64, out: &mut Vec<u8>) {
    write(
        out,
        format_args!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <!DOCTYPE coverage SYSTEM \"http://cobertura.sourceforge.net/xml/coverage-04.dtd\">\n\
             <coverage line-rate=\"{}\" branch-rate=\"{}\" lines-covered=\"{}\" lines-valid=\"{}\" \
             branches-covered=\"{}\" branches-valid=\"{}\" complexity=\"{}\" version=\"hitline\" timestamp=\"{}\">\n\
             <packages>\n",
            rate(totals.hits, totals.lines),
            rate(arms.taken, arms.total),
            totals.hits,
            totals.lines,
            arms.taken,
            arms.total,
            totals.complexity,
            now_us / 1000,
        ),
    );
}

/// A file is a class; classes of one folder that follow each other are a package.
pub(super) fn file(
    package: &mut Option<String>,
    path: &str,
    file: &FileCoverage,
    out: &mut Vec<u8>,
) {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let totals = file.totals();
    if package.as_deref() != Some(folder) {
        end_package(package.replace(folder.to_owned()), out);
        write(
            out,
            format_args!("<package name=\"{}\"><classes>\n", escape_xml(folder)),
        );
    }
    let mut arms = ArmCounts::default();
    arms.add(file);
    write(
        out,
        format_args!(
            "<class name=\"{}\" filename=\"{}\" line-rate=\"{}\" branch-rate=\"{}\" complexity=\"{}\"><methods/><lines>\n",
            escape_xml(name),
            escape_xml(path),
            rate(totals.hits, totals.lines),
            rate(arms.taken, arms.total),
            totals.complexity,
        ),
    );
    for (line, row) in file.rows() {
        match shown(&row) {
            Shown::Nothing => {}
            Shown::Hits(hits) => write(
                out,
                format_args!("<line number=\"{line}\" hits=\"{hits}\"/>\n"),
            ),
            Shown::Arms { taken, total } => {
                let hits = match taken {
                    0 => 0,
                    _ => row.hits.unwrap_or(1).max(1),
                };
                let percent = 100 * taken / total;
                let missed = row.named_missed().unwrap_or_default().iter();
                let missed: Vec<String> = missed.map(ToString::to_string).collect();
                write(
                    out,
                    format_args!(
                        "<line number=\"{line}\" hits=\"{hits}\" branch=\"true\" \
                         condition-coverage=\"{percent}% ({taken}/{total})\"{}/>\n",
                        missing_branches(&missed)
                    ),
                );
            }
        }
    }
    out.extend_from_slice(b"</lines></class>\n");
}

pub(super) fn end(package: Option<String>, out: &mut Vec<u8>) {
    end_package(package, out);
    out.extend_from_slice(b"</packages></coverage>\n");
}

fn end_package(package: Option<String>, out: &mut Vec<u8>) {
    if package.is_some() {
        out.extend_from_slice(b"</classes></package>\n");
    }
}

/// The attribute that names the arms which were not taken; none if there are none, or a name holds the comma that
/// would part it.
fn missing_branches(missed: &[String]) -> String {
    match missed.is_empty() || missed.iter().any(|name| name.contains(',')) {
        true => String::new(),
        false => format!(" missing-branches=\"{}\"", escape_xml(&missed.join(","))),
    }
}

fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("memory takes it");
}
