//! A report as Codecov stores it: a JSON text of files and sessions, and a text of chunks with what each
//! session says of each line. What an export writes.
//!
//! A chunk is a file: a line of JSON with the ids of its sessions, then a line for each line of the file, empty
//! where nothing is known.

use std::io::{self, Write};
use std::iter::Peekable;

use serde_json::{Value, json};

use crate::fold;
use crate::model::{
    Complexity, Coverage, Evidence, FileCoverage, Fraction, Kind, Part, Rows, Totals, parts_of,
};

const CHUNK_END: &[u8] = b"\n<<<<< end_of_chunk >>>>>\n";

/// What one upload adds to a report.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    /// Its number in the report.
    pub id: u32,
    /// What the upload's row says of it.
    pub about: About<'a>,
    /// Counts of what it says.
    pub totals: Totals,
}

/// Where a session comes from.
#[derive(Clone, Copy, Default, Debug)]
pub struct About<'a> {
    /// The upload's name.
    pub name: Option<&'a str>,
    /// The uploader's labels.
    pub flags: &'a [String],
    /// When it came, in seconds since 1970.
    pub created_s: Option<i64>,
    /// Where the raw upload is kept.
    pub archive: Option<&'a str>,
    /// The CI service.
    pub provider: Option<&'a str>,
    /// The number of the build there.
    pub build: Option<&'a str>,
    /// The name of the job there.
    pub job: Option<&'a str>,
    /// The page of the build.
    pub url: Option<&'a str>,
    /// The state of the upload.
    pub state: Option<&'a str>,
    /// The environment that the client named.
    pub env: Option<&'a str>,
    /// The commit that it is carried forward from.
    pub carried_from: Option<&'a str>,
}

/// The JSON of a report whose files have these totals, in the order of their chunks.
pub fn report_json<'a>(
    files: impl IntoIterator<Item = (&'a str, Totals)>,
    sessions: &[Session<'_>],
) -> Value {
    let mut all = Totals {
        sessions: sessions.len() as u64,
        ..Totals::default()
    };
    let mut entries = serde_json::Map::new();
    for (chunk, (path, totals)) in files.into_iter().enumerate() {
        let listed = list_totals(&totals, json!(0));
        entries.insert(path.to_owned(), json!([chunk, listed, null, null]));
        all += totals;
        all.files += 1;
    }
    let sessions = sessions
        .iter()
        .map(|session| (session.id.to_string(), session_json(session)));
    json!({
        "files": entries,
        "sessions": sessions.collect::<serde_json::Map<_, _>>(),
        "totals": list_totals(&all, Value::Null),
    })
}

fn session_json(session: &Session<'_>) -> Value {
    let about = &session.about;
    let totals = Totals {
        sessions: 1,
        ..session.totals
    };
    let (kind, extras) = match about.carried_from {
        Some(commit) => ("carriedforward", json!({ "carriedforward_from": commit })),
        None => ("uploaded", json!({})),
    };
    json!({
        "t": list_totals(&totals, json!(0)),
        "d": about.created_s,
        "a": about.archive,
        "f": (!about.flags.is_empty()).then_some(about.flags),
        "c": about.provider,
        "n": about.build,
        "N": about.name,
        "j": about.job,
        "u": about.url,
        "p": about.state,
        "e": about.env,
        "st": kind,
        "se": extras,
    })
}

/// Counts as a list; `diff` is the last of it.
fn list_totals(totals: &Totals, diff: Value) -> Value {
    const MESSAGES: u64 = 0;
    json!([
        totals.files,
        totals.lines,
        totals.hits,
        totals.misses,
        totals.partials,
        totals.coverage_text(),
        totals.branches,
        totals.methods,
        MESSAGES,
        totals.sessions,
        totals.complexity,
        totals.complexity_total,
        diff,
    ])
}

/// Writes chunks, one after the other, in the order in which the report's JSON lists their files.
pub struct ChunkWriter<W> {
    out: W,
    is_first: bool,
}

impl<W: Write> ChunkWriter<W> {
    /// A writer of a report.
    pub fn new(out: W) -> ChunkWriter<W> {
        ChunkWriter {
            out,
            is_first: true,
        }
    }

    /// Where it is written.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Writes the chunk of a file of the report, of which sessions say this, in the order of their ids. Linear in its
    /// lines and in what sessions say of them.
    pub fn write(
        &mut self,
        path: &str,
        merged: &FileCoverage,
        said: &[(u32, &FileCoverage)],
    ) -> io::Result<()> {
        if !self.is_first {
            self.out.write_all(CHUNK_END)?;
        }
        self.is_first = false;
        let mut said: Vec<Said<'_>> = said
            .iter()
            .filter(|(_, file)| fold::counts_beside(path, file, merged))
            .map(|&(id, file)| Said::new(id, file))
            .collect();
        let present: Vec<u32> = said.iter().map(|said| said.id).collect();
        write!(self.out, "{}", json!({ "present_sessions": present }))?;
        let mut last = 0;
        let mut parts = merged.parts();
        for (line, row) in merged.rows() {
            (last..line).try_for_each(|_| self.out.write_all(b"\n"))?;
            last = line;
            let parts = parts_of(&mut parts, line);
            write_line(&mut self.out, line, &row, parts, &mut said)?;
        }
        Ok(())
    }

    /// Ends the text; gives back where it was written.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// What a session says of a file, read beside the merged lines.
struct Said<'a> {
    id: u32,
    rows: Peekable<Rows<'a>>,
    parts: &'a [Part],
}

impl<'a> Said<'a> {
    fn new(id: u32, file: &'a FileCoverage) -> Said<'a> {
        Said {
            id,
            rows: file.rows().peekable(),
            parts: file.parts(),
        }
    }

    fn line(&mut self, line: u32) -> Option<(Evidence<'a>, &'a [Part])> {
        while self.rows.next_if(|(before, _)| *before < line).is_some() {}
        let (_, row) = self.rows.next_if(|(said, _)| *said == line)?;
        Some((row, parts_of(&mut self.parts, line)))
    }
}

fn write_line(
    out: &mut impl Write,
    line: u32,
    row: &Evidence<'_>,
    parts: &[Part],
    said: &mut [Said<'_>],
) -> io::Result<()> {
    out.write_all(b"[")?;
    write_coverage(out, row.coverage(), parts)?;
    out.write_all(match row.kind {
        Kind::Line => b",null,[",
        Kind::Method => b",\"m\",[",
        Kind::Branch => b",\"b\",[",
    })?;
    let mut before = "";
    for session in said {
        if let Some((row, parts)) = session.line(line) {
            out.write_all(before.as_bytes())?;
            write_session(out, session.id, &row, parts)?;
            before = ",";
        }
    }
    out.write_all(b"]")?;
    if let Some(complexity) = row.complexity {
        out.write_all(b",null,")?;
        write_complexity(out, complexity)?;
    }
    out.write_all(b"]")
}

/// What one session says of one line; the last three of five are left out if there are none.
fn write_session(
    out: &mut impl Write,
    id: u32,
    row: &Evidence<'_>,
    parts: &[Part],
) -> io::Result<()> {
    write!(out, "[{id},")?;
    write_coverage(out, row.coverage(), parts)?;
    let missed = row.named_missed();
    if missed.is_none() && parts.is_empty() && row.complexity.is_none() {
        return out.write_all(b"]");
    }
    out.write_all(b",")?;
    match missed {
        None => out.write_all(b"null")?,
        Some(ids) => write_list(out, ids, |out, id| {
            Ok(serde_json::to_writer(out, &id.to_string())?)
        })?,
    }
    out.write_all(b",")?;
    match parts {
        [] => out.write_all(b"null")?,
        parts => write_list(out, parts, write_part)?,
    }
    out.write_all(b",")?;
    match row.complexity {
        None => out.write_all(b"null")?,
        Some(complexity) => write_complexity(out, complexity)?,
    }
    out.write_all(b"]")
}

fn write_list<T, W: Write>(
    out: &mut W,
    list: &[T],
    mut write: impl FnMut(&mut W, &T) -> io::Result<()>,
) -> io::Result<()> {
    let mut before = "[";
    for item in list {
        out.write_all(before.as_bytes())?;
        write(out, item)?;
        before = ",";
    }
    out.write_all(if list.is_empty() { b"[]" } else { b"]" })
}

/// The coverage of a line. Where its only part is a fraction, that is it.
fn write_coverage(out: &mut impl Write, coverage: Coverage, parts: &[Part]) -> io::Result<()> {
    match (coverage, parts) {
        (Coverage::Arms { taken, total }, [part]) if part.coverage == coverage => {
            write!(out, "\"{}\"", Fraction { taken, total })
        }
        (Coverage::Arms { .. }, _) => write!(out, "\"{coverage}\""),
        _ => write!(out, "{coverage}"),
    }
}

fn write_part(out: &mut impl Write, part: &Part) -> io::Result<()> {
    write!(out, "[{},", part.start)?;
    match part.end {
        Some(end) => write!(out, "{end},")?,
        None => out.write_all(b"null,")?,
    }
    write_coverage(out, part.coverage, std::slice::from_ref(part))?;
    out.write_all(b"]")
}

fn write_complexity(out: &mut impl Write, complexity: Complexity) -> io::Result<()> {
    match complexity.total {
        Some(total) => write!(out, "[{},{total}]", complexity.covered),
        None => write!(out, "{}", complexity.covered),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{ArmId, FileBuilder};

    fn files(path: &str, build: impl FnOnce(&mut FileBuilder)) -> BTreeMap<String, FileCoverage> {
        let mut file = FileBuilder::new();
        build(&mut file);
        BTreeMap::from([(path.to_owned(), file.finish())])
    }

    type Files = BTreeMap<String, FileCoverage>;

    fn chunks(report: &Files, sessions: &[(u32, &Files)]) -> String {
        let mut writer = ChunkWriter::new(Vec::new());
        for (path, file) in report {
            let said = sessions.iter();
            let said: Vec<_> = said
                .filter_map(|(id, files)| Some((*id, files.get(path)?)))
                .collect();
            writer.write(path, file, &said).expect("memory takes it");
        }
        String::from_utf8(writer.finish().expect("memory takes it")).expect("it is text")
    }

    #[test]
    fn a_line_of_a_chunk_names_what_each_session_says_of_it() {
        let half = Coverage::Arms { taken: 1, total: 2 };
        let first = files("a.c", |file| {
            file.hits(1, 3);
            file.append(2, Kind::Branch, half, Some(&[ArmId::pair(0, 1)]), None);
            file.append(4, Kind::Line, Coverage::Partial, None, None);
        });
        let second = files("a.c", |file| {
            file.hits(1, 1);
            file.append(5, Kind::Line, Coverage::Null, None, None);
            file.append(6, Kind::Line, Coverage::Ignored, None, None);
        });
        let report = files("a.c", |_| ());
        let merged = first["a.c"].join(&second["a.c"]);
        let report = BTreeMap::from_iter(report.into_keys().map(|path| (path, merged.clone())));
        let sessions = [(0, &first), (4, &second)];
        let expected = r#"{"present_sessions":[0,4]}
[3,null,[[0,3],[4,1]]]
["1/2","b",[[0,"1/2",["0:1"],null,null]]]

[true,null,[[0,true]]]
[null,null,[[4,null]]]
[-1,null,[[4,-1]]]"#;
        assert_eq!(chunks(&report, &sessions), expected);
    }

    #[test]
    fn parts_and_complexity_make_a_session_longer() {
        let quarter = |start, coverage| Part {
            line: 1,
            start,
            end: None,
            coverage,
        };
        let both = Coverage::Arms { taken: 2, total: 2 };
        let complexity = |total| Some(Complexity { covered: 2, total });
        let report = files("\"a\".js", |file| {
            file.append(1, Kind::Branch, both, None, None);
            file.part(quarter(4, both));
            file.append(
                2,
                Kind::Method,
                Coverage::Hits(0),
                None,
                complexity(Some(3)),
            );
            file.append(3, Kind::Method, Coverage::Hits(1), None, complexity(None));
        });
        let expected = r#"{"present_sessions":[0]}
["1","b",[[0,"1",null,[[4,null,"1"]],null]]]
[0,"m",[[0,0,null,null,[2,3]]],null,[2,3]]
[1,"m",[[0,1,null,null,2]],null,2]"#;
        assert_eq!(chunks(&report, &[(0, &report)]), expected);
    }

    #[test]
    fn files_are_listed_with_their_chunks() {
        let report = files("a.c", |file| file.hits(1, 1));
        let about = About {
            name: Some("CF[1] - unit"),
            flags: &["unit".to_owned()],
            carried_from: Some("c0ffee"),
            ..About::default()
        };
        let totals = report
            .iter()
            .map(|(path, file)| (path.as_str(), file.totals()));
        let json = report_json(
            totals,
            &[Session {
                id: 7,
                about,
                totals: Totals {
                    files: 1,
                    ..report["a.c"].totals()
                },
            }],
        );
        let listed = json!([0, [0, 1, 1, 0, 0, "100", 0, 0, 0, 0, 0, 0, 0], null, null]);
        assert_eq!(json["files"]["a.c"], listed);
        let session = &json["sessions"]["7"];
        assert_eq!(
            (&session["st"], &session["f"]),
            (&json!("carriedforward"), &json!(["unit"]))
        );
        assert_eq!(session["se"], json!({ "carriedforward_from": "c0ffee" }));
        let all = json!([1, 1, 1, 0, 0, "100", 0, 0, 0, 1, 0, 0, null]);
        assert_eq!(json["totals"], all);
    }
}
