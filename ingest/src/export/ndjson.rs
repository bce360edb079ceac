//! A JSON object a line: `{"totals"}`, then `{"path", "totals", "lines"}` for each file. A line is
//! `[number, coverage]`, with its kind and the arms that nobody took behind where there are such: everything that is
//! kept of it but complexity.

use engine::model::{Coverage, Evidence, FileCoverage, Kind, Totals};
use serde::Serialize;
use serde::ser::{SerializeSeq as _, Serializer};
use serde_json::json;

pub(super) fn start(totals: &Totals, out: &mut Vec<u8>) {
    write(&json!({ "totals": totals }), out);
}

pub(super) fn file(path: &str, file: &FileCoverage, out: &mut Vec<u8>) {
    let body = FileBody {
        path,
        totals: file.totals(),
        lines: Lines(file),
    };
    write(&body, out);
}

fn write(value: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, value).expect("memory takes it");
    out.push(b'\n');
}

#[derive(Serialize)]
struct FileBody<'a> {
    path: &'a str,
    totals: Totals,
    lines: Lines<'a>,
}

struct Lines<'a>(&'a FileCoverage);

impl Serialize for Lines<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(self.0.len()))?;
        for (line, row) in self.0.rows() {
            list.serialize_element(&Line(line, row))?;
        }
        list.end()
    }
}

struct Line<'a>(u32, Evidence<'a>);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Line(number, row) = self;
        let mut list = to.serialize_seq(None)?;
        list.serialize_element(number)?;
        match row.coverage() {
            Coverage::Null => list.serialize_element(&())?,
            Coverage::Ignored => list.serialize_element(&-1)?,
            Coverage::Partial => list.serialize_element(&true)?,
            Coverage::Hits(hits) => list.serialize_element(&hits)?,
            arms @ Coverage::Arms { .. } => list.serialize_element(&arms.to_string())?,
        }
        let missed = row.named_missed();
        match row.kind {
            Kind::Line if missed.is_none() => {}
            Kind::Line => list.serialize_element("line")?,
            Kind::Method => list.serialize_element("method")?,
            Kind::Branch => list.serialize_element("branch")?,
        }
        if let Some(missed) = missed {
            let names: Vec<String> = missed.iter().map(ToString::to_string).collect();
            list.serialize_element(&names)?;
        }
        list.end()
    }
}
