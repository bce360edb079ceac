//! Reports written in formats that other tools read, file by file, so that a report of any size passes through.
//!
//! What a format cannot say is left out: LCOV and Cobertura know no ignored lines, Cobertura no methods. What counts is
//! kept: read back, an export has the lines, hits, misses and partials of its report.

mod cobertura;
mod lcov;
mod ndjson;
mod parquet;

use engine::model::{Coverage, Evidence, FileCoverage, Kind, State, Totals};

/// The most arms that a branch is written with; of more only their state is.
const ARMS_MAX: u32 = 1_000;

/// A format that reports are written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// A tracefile.
    Lcov,
    /// Cobertura's XML.
    Cobertura,
    /// A JSON object a line: the totals, then each file.
    Ndjson,
    /// Apache Parquet: a row a line.
    Parquet,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 4] = [
        Format::Lcov,
        Format::Cobertura,
        Format::Ndjson,
        Format::Parquet,
    ];

    /// Its name in URLs and options.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Lcov => "lcov",
            Format::Cobertura => "cobertura",
            Format::Ndjson => "ndjson",
            Format::Parquet => "parquet",
        }
    }

    /// The format of that name.
    pub fn parse(name: &str) -> Option<Format> {
        Format::ALL
            .into_iter()
            .find(|format| format.as_str() == name)
    }

    /// The media type of what is written.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Lcov => "text/plain; charset=utf-8",
            Format::Cobertura => "application/xml",
            Format::Ndjson => "application/x-ndjson",
            Format::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// What tools call such a file.
    pub fn file_name(self) -> &'static str {
        match self {
            Format::Lcov => "lcov.info",
            Format::Cobertura => "cobertura.xml",
            Format::Ndjson => "coverage.ndjson",
            Format::Parquet => "coverage.parquet",
        }
    }

    /// Whether the head tells how many arms the whole report has, which takes a look at every file before.
    pub fn tells_arms_first(self) -> bool {
        self == Format::Cobertura
    }
}

/// Arms of branches, counted over files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ArmCounts {
    /// Taken.
    pub taken: u64,
    /// In all.
    pub total: u64,
}

impl ArmCounts {
    /// Adds the arms of a file.
    pub fn add(&mut self, file: &FileCoverage) {
        for (_, row) in file.rows() {
            if let Shown::Arms { taken, total } = shown(&row) {
                self.taken += u64::from(taken);
                self.total += u64::from(total);
            }
        }
    }
}

/// Writes one report.
pub struct Writer(Form);

/// A format, and what its writer keeps from file to file.
enum Form {
    Lcov,
    /// The package that is open.
    Cobertura(Option<String>),
    Ndjson,
    Parquet(Box<parquet::Table>),
}

impl Writer {
    /// A writer of that format.
    pub fn new(format: Format) -> Writer {
        Writer(match format {
            Format::Lcov => Form::Lcov,
            Format::Cobertura => Form::Cobertura(None),
            Format::Ndjson => Form::Ndjson,
            Format::Parquet => Form::Parquet(Box::new(parquet::Table::new())),
        })
    }

    /// What stands before the files. `arms` count where the format tells them first.
    pub fn start(&mut self, totals: &Totals, arms: ArmCounts, now_us: i64, out: &mut Vec<u8>) {
        match self.0 {
            Form::Lcov => lcov::start(out),
            Form::Cobertura(_) => cobertura::start(totals, arms, now_us, out),
            Form::Ndjson => ndjson::start(totals, out),
            Form::Parquet(_) => {}
        }
    }

    /// One file; files come in the order of their paths.
    pub fn file(&mut self, path: &str, file: &FileCoverage, out: &mut Vec<u8>) {
        match &mut self.0 {
            Form::Lcov => lcov::file(path, file, out),
            Form::Cobertura(package) => cobertura::file(package, path, file, out),
            Form::Ndjson => ndjson::file(path, file, out),
            Form::Parquet(table) => table.file(path, file, out),
        }
    }

    /// What stands behind the files.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        match &mut self.0 {
            Form::Cobertura(package) => cobertura::end(package.take(), out),
            Form::Parquet(table) => table.end(out),
            Form::Lcov | Form::Ndjson => {}
        }
    }
}

/// What formats with plain numbers can say of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shown {
    /// Nothing: it does not count.
    Nothing,
    Hits(u64),
    Arms {
        taken: u32,
        total: u32,
    },
}

/// What is said of a line. A branch without usable numbers is written with as few arms as show its state.
fn shown(row: &Evidence<'_>) -> Shown {
    let arms = |taken, total| Shown::Arms { taken, total };
    match (row.coverage(), row.coverage().state()) {
        (_, None) => Shown::Nothing,
        (Coverage::Hits(hits), _) if row.kind == Kind::Branch => arms(u32::from(hits > 0), 1),
        (Coverage::Hits(hits), _) => Shown::Hits(hits),
        (Coverage::Arms { taken, total }, _)
            if (1..=ARMS_MAX).contains(&total) && taken <= total =>
        {
            arms(taken, total)
        }
        (_, Some(State::Partial)) => arms(1, 2),
        (_, Some(State::Hit)) => arms(1, 1),
        (_, Some(State::Miss)) => arms(0, 1),
    }
}

/// Text as it may stand between tags and in attributes. What XML cannot hold at all is left out.
pub fn escape_xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            '\u{fffe}' | '\u{ffff}' => {}
            other if other.is_control() => {}
            other => escaped.push(other),
        }
    }
    escaped
}

/// A part of all, 0 to 1 with four decimals; 1 of nothing.
fn rate(part: u64, all: u64) -> String {
    match all {
        0 => "1".into(),
        all => format!("{:.4}", part as f64 / all as f64),
    }
}

#[cfg(test)]
mod tests {
    use engine::model::{ArmId, Complexity, FileBuilder};

    use super::*;
    use crate::envelope::{Budget, Envelope, UploadedFile};
    use crate::process_files;
    use crate::settings::Settings;

    fn report() -> Vec<(String, FileCoverage)> {
        let mut odd = FileBuilder::new();
        let arms = |taken, total| Coverage::Arms { taken, total };
        odd.hits(1, 7);
        odd.hits(2, 0);
        odd.append(
            3,
            Kind::Branch,
            arms(1, 2),
            Some(&[ArmId::pair(0, 1)]),
            None,
        );
        odd.append(4, Kind::Branch, arms(0, 3), None, None);
        odd.append(5, Kind::Branch, arms(4, 4), None, None);
        odd.append(6, Kind::Line, Coverage::Partial, None, None);
        odd.append(7, Kind::Line, Coverage::Ignored, None, None);
        odd.append(8, Kind::Line, Coverage::Null, None, None);
        odd.append(9, Kind::Branch, arms(5, 3), None, None);
        odd.append(10, Kind::Branch, arms(0, 0), None, None);
        odd.append(11, Kind::Branch, arms(70_000, 80_000), None, None);
        odd.append(12, Kind::Branch, Coverage::Hits(0), None, None);
        let complexity = Some(Complexity {
            covered: 1,
            total: Some(2),
        });
        odd.append(13, Kind::Method, Coverage::Hits(2), None, complexity);
        odd.append(
            14,
            Kind::Branch,
            arms(1, 3),
            Some(&[ArmId::parse("exit"), ArmId::parse("jump")]),
            None,
        );
        let mut plain = FileBuilder::new();
        plain.run(1..40, 1);
        plain.run(40..50, 0);
        vec![
            ("a/b & c's.c".into(), odd.finish()),
            ("src/é/plain.py".into(), plain.finish()),
        ]
    }

    fn totals(files: &[(String, FileCoverage)]) -> Totals {
        let mut totals = Totals::default();
        for (_, file) in files {
            totals += file.totals();
            totals.files += 1;
        }
        totals
    }

    fn written(format: Format, files: &[(String, FileCoverage)]) -> String {
        let mut arms = ArmCounts::default();
        files.iter().for_each(|(_, file)| arms.add(file));
        let (mut writer, mut out) = (Writer::new(format), Vec::new());
        writer.start(&totals(files), arms, 1_700_000_000_000_000, &mut out);
        for (path, file) in files {
            writer.file(path, file, &mut out);
        }
        writer.end(&mut out);
        String::from_utf8(out).expect("it is text")
    }

    #[test]
    fn export_that_is_read_back_has_the_totals_of_its_report() {
        let files = report();
        let expected = totals(&files);
        for (format, name) in [
            (Format::Lcov, "lcov.info"),
            (Format::Cobertura, "cobertura.xml"),
        ] {
            let text = written(format, &files);
            let envelope = Envelope {
                files: vec![UploadedFile::new(name, text.as_bytes())],
                ..Envelope::default()
            };
            let settings = Settings::parse("codecov: {max_report_age: off}");
            let read = process_files(&envelope, &Budget::new(text.len()), &settings, &[], 0);
            assert_eq!(read.error, None, "{text}");
            let counts = |t: &Totals| (t.files, t.lines, t.hits, t.misses, t.partials);
            assert_eq!(counts(&read.totals), counts(&expected), "{text}");
            for ((path, file), (own_path, own)) in read.files.iter().zip(&files) {
                assert_eq!(path, own_path);
                let states = |file: &FileCoverage| -> Vec<_> {
                    let rows = file.rows();
                    let counted =
                        rows.filter_map(|(line, row)| Some((line, row.coverage().state()?)));
                    counted.collect()
                };
                assert_eq!(states(file), states(own), "{path} in {text}");
            }
        }
    }

    #[test]
    fn arms_keep_their_names_where_the_format_has_such_names() {
        let text = written(Format::Lcov, &report());
        assert!(
            text.contains("BRDA:3,0,1,-\n") || text.contains("BRDA:3,0,1,0\n"),
            "{text}"
        );
        let text = written(Format::Cobertura, &report());
        assert!(
            text.contains(r#"condition-coverage="33% (1/3)" missing-branches="exit,jump"/>"#),
            "{text}"
        );
        assert!(text.contains(r#"filename="a/b &amp; c&#39;s.c""#), "{text}");
    }

    #[test]
    fn each_line_of_ndjson_is_a_file() {
        let text = written(Format::Ndjson, &report());
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(lines[0]["totals"]["lines"], totals(&report()).lines);
        assert_eq!(lines[1]["path"], "a/b & c's.c");
        let shown = lines[1]["lines"].to_string();
        let expected = r#"[[1,7],[2,0],[3,"1/2","branch",["0:1"]],[4,"0/3","branch"],[5,"4/4","branch"],[6,true],[7,-1],[8,null],"#;
        assert!(shown.starts_with(expected), "{shown}");
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn text_cannot_end_an_attribute_or_a_tag() {
        assert_eq!(
            escape_xml("a<b>&\"'\u{0}\u{1b}\n\u{ffff}é"),
            "a&lt;b&gt;&amp;&quot;&#39; é"
        );
    }
}
