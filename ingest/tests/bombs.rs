//! Uploads that are made to be costly: deep, huge, packed too well, or saying one thing a million times. Each is
//! read in about linear time and in bounded memory, or refused with a reason. A test that takes minutes is a failure:
//! the runner ends it.

use std::io::Write;

use base64_simd::STANDARD;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use ingest::envelope::{Budget, Envelope, Kind, RATIO_FREE_BYTES, UploadedFile};
use ingest::settings::{MaxAge, Settings};
use ingest::{ErrorCode, Outcome, ProblemCode, process, process_files};

const MB: usize = 1 << 20;

/// Starts of reports as XML: a root that tells the format, and what stands before a list of its elements.
const XML: [&str; 11] = [
    "<coverage generated='1'><project><file name='a.php'>",
    "<coverage><packages><package><classes><class filename='a.py'><lines>",
    "<coverage><assembly name='a'><method filename='a.cs'>",
    "<coverage version='1'><file path='a.ts'>",
    "<CoverageSession><Modules><Module><Files><File uid='1' fullPath='a.cs'/></Files><Classes><Class><Methods>",
    "<report name='a'><package name='p'><sourcefile name='a.kt'>",
    "<results><modules><module><functions>",
    "<CoverageDSPriv><Module>",
    "<statements><statement><source>a.scala</source>",
    "<Root><FileIndices><File Index='1' Name='a.cs'/></FileIndices>",
    "<BullseyeCoverage xmlns='https://www.bullseye.com/covxml' buildId='1'><folder name='a'><src name='b.c'>",
];

/// Documents in JSON, cut where a value is to stand: of a line, of a file, or of the whole.
const JSON: [&str; 13] = [
    r#"{"source_files":[{"name":"a.rb","coverage":["#,
    r#"{"coverage":{"a.py":["#,
    r#"{"RSpec":{"coverage":{"a.rb":{"lines":["#,
    r#"{"command_name":"RSpec","files":[{"filename":"a.rb","coverage":["#,
    r#"[{"name":"A","lines":{"1":"#,
    r#"{"moduleMap":{"M":"a.elm"},"coverageData":{"M":["#,
    r#"{"flowStatus":{"passed":true},"files":{"a.js":{"expressions":{"covered_locs":["#,
    r#"{"fileReports":[{"filename":"a.scala","coverage":{"1":"#,
    r#"{"uploader":"R","files":[{"name":"a.R","coverage":[null,"#,
    r#"{"meta":{"show_contexts":false},"files":{"a.py":{"missing_lines":[],"executed_lines":["#,
    r#"{"a.js":{"path":"a.js","statementMap":{"0":"#,
    r#"{"type":"llvm.coverage.json.export","data":[{"files":[{"filename":"a.c","segments":["#,
    r#"{"coveragePercent":1,"children":{"a.c":{"coverage":["#,
];

/// Starts of reports as text.
const TEXT: [&str; 7] = [
    "SF:a.c\n",
    "        -:    0:Source:a.c\n",
    "mode: set\na.go:1.1,2.2 1 1\n",
    "=======\na.lua\n=======\n",
    "{\"Type\":\"S\",\"File\":\"a.g\"}\n",
    "a.swift:\n 1| 1| x\n",
    "GROUP,PACKAGE,CLASS,INSTRUCTION_MISSED\n",
];

fn read(name: &str, content: impl Into<Vec<u8>>) -> Outcome {
    let settings = Settings {
        max_age: MaxAge::Any,
        ..Settings::default()
    };
    let content: Vec<u8> = content.into();
    let envelope = Envelope {
        files: vec![UploadedFile::new(name, content)],
        ..Envelope::default()
    };
    process_files(&envelope, &Budget::new(0), &settings, &[], 0)
}

fn upload(body: &[u8], kind: Kind) -> Outcome {
    process(body, kind, &Settings::default(), &[], 0)
}

/// Whatever a reader makes of it, it is not a panic.
fn check_calm(outcome: &Outcome, what: &str) {
    if let Some(error) = &outcome.error {
        assert!(!error.message.contains(" broke: "), "{what:.60}: {error}");
    }
}

fn codes(outcome: &Outcome) -> Vec<ProblemCode> {
    outcome
        .problems
        .iter()
        .map(|problem| problem.code)
        .collect()
}

/// A file of which each part names the same source is cut nowhere.
#[test]
fn elements_of_one_source_inside_each_other() {
    for (start, end) in [
        ("<class filename=\"a\">", "</class>"),
        ("<statement><source>a</source>", "</statement>"),
    ] {
        let count = 16 * MB / start.len();
        for root in ["coverage", "scoverage", "statements"] {
            let content = format!(
                "<{root}>{}{}</{root}>",
                start.repeat(count),
                end.repeat(count)
            );
            check_calm(&read("", content), root);
        }
    }
}

#[test]
fn nested_xml_of_every_format() {
    for start in XML {
        for element in [
            "<a>",
            "<line number='1' hits='1'>",
            "<folder name='a'>",
            "<src name='a'>",
        ] {
            let deep = element.repeat(4 * MB / element.len());
            check_calm(&read("", format!("{start}{deep}")), start);
        }
    }
}

#[test]
fn a_million_attributes_on_one_element() {
    let attributes: String = (0..1_000_000).map(|i| format!(" a{i}='{i}'")).collect();
    for start in XML {
        let broad = format!("{start}<line{attributes} number='1' hits='1'/>");
        check_calm(&read("", broad), start);
    }
}

#[test]
fn entities_that_stand_for_entities() {
    let mut entities = String::from("<!ENTITY a0 'aaaaaaaaaa'>");
    for i in 1..900 {
        let before = format!("&a{};", i - 1).repeat(10);
        entities += &format!("<!ENTITY a{i} '{before}'>");
    }
    let classes = "<class filename='&a899;'><line number='1' hits='&a899;'/></class>".repeat(1_000);
    let bomb = format!("<!DOCTYPE coverage [{entities}]><coverage><a/>{classes}</coverage>");
    check_calm(&read("", bomb), "entities");
}

#[test]
fn xml_that_never_ends() {
    for start in XML {
        for tail in [
            "<",
            "<!",
            "<!--",
            "<![CDATA[",
            "<?",
            "<a b='",
            "<a b=",
            "<a ",
            "&",
            "</",
            "]]>",
            "-->",
        ] {
            let content = format!("{start}{}", tail.repeat(2 * MB / tail.len()));
            check_calm(&read("", content), tail);
        }
    }
}

#[test]
fn nested_json_of_every_format() {
    for start in JSON {
        for deep in ["[", "{\"a\":", "[{\"a\":["] {
            let content = format!("{start}{}", deep.repeat(8 * MB / deep.len()));
            let outcome = read("", content);
            check_calm(&outcome, start);
            assert!(outcome.files.is_empty(), "{start}: cut off, so no JSON");
        }
    }
    let folders = "{\"children\":{\"a\":".repeat(2_000_000);
    check_calm(
        &read("", format!("{{\"coveragePercent\":1,{}", &folders[1..])),
        "folders",
    );
}

#[test]
fn numbers_of_ten_million_digits() {
    let digits = "7".repeat(10_000_000);
    for start in JSON {
        for number in [
            &digits,
            &format!("-{digits}"),
            &format!("0.{digits}"),
            &format!("1e{digits}"),
        ] {
            check_calm(&read("", format!("{start}{number}]}}]}}")), start);
        }
    }
    let outcome = read(
        "",
        format!(r#"{{"source_files":[{{"name":"a.rb","coverage":[{digits},1]}}]}}"#),
    );
    check_calm(&outcome, "coveralls");
    for line in [
        format!("SF:a.c\nDA:1,{digits}\nDA:{digits},1\nend_of_record\n"),
        format!("mode: set\na.go:1.1,2.2 1 {digits}\na.go:{digits}.1,2.2 1 1\n"),
        format!("        -:    0:Source:a.c\n{digits}:    1:x\n"),
        format!("a.swift:\n 1| {digits}| x\n {digits}| 1| x\n"),
    ] {
        check_calm(&read("", line), "text");
    }
}

#[test]
fn a_count_beyond_64_bits_is_lowered_and_told() {
    let outcome = read(
        "",
        r#"{"source_files":[{"name":"a.rb","coverage":[99999999999999999999]}]}"#,
    );
    assert_eq!(codes(&outcome), [ProblemCode::CountTooLarge]);
    assert_eq!(outcome.totals.hits, 1);
}

#[test]
fn ten_million_line_breaks_in_every_text() {
    for start in TEXT {
        for end in ["\nend_of_record\n", "", "x is 5% covered"] {
            let content = format!("{start}{}{end}", "\n".repeat(10_000_000));
            check_calm(&read("", content), start);
        }
    }
}

#[test]
fn one_line_of_64_mb_in_every_text() {
    for start in TEXT {
        for filler in ["a", ":", "|", ","] {
            let content = format!("{start}{}\nend_of_record\n", filler.repeat(64 * MB));
            check_calm(&read("", content), start);
        }
    }
}

#[test]
fn lists_that_are_longer_than_any_file() {
    let zeros = "0,".repeat(12_000_000);
    for (start, end) in [
        (r#"{"source_files":[{"name":"a.rb","coverage":["#, "0]}]}"),
        (r#"{"coverage":{"a.py":[0,"#, "0]}}"),
        (
            r#"{"coveragePercent":1,"children":{"a.c":{"coverage":["#,
            "0]}}}",
        ),
    ] {
        let outcome = read("", format!("{start}{zeros}{end}"));
        assert_eq!(codes(&outcome), [ProblemCode::LineTooLarge], "{start}");
        assert_eq!(outcome.totals.lines, u64::from(ingest::MAX_LINE));
    }
}

#[test]
fn sections_that_span_more_lines_than_a_report_may() {
    let from = r#"{"from":{"line":1,"column":1},"to":{"line":9000000,"column":1}}"#;
    let sections = vec![from; 1_000].join(",");
    let elm = format!(r#"{{"moduleMap":{{"M":"a.elm"}},"coverageData":{{"M":[{sections}]}}}}"#);
    let outcome = read("", elm);
    let error = outcome.error.unwrap();
    assert_eq!(error.code, ErrorCode::UnknownProcessing);
    assert!(error.message.contains("span more than"), "{error}");

    let go: String = (0..1_000)
        .map(|i| format!("a.go:1.{i},9000000.1 1 1\n"))
        .collect();
    let outcome = read("", format!("mode: set\n{go}"));
    assert_eq!(outcome.error.unwrap().code, ErrorCode::UnknownProcessing);

    let range =
        "<range source_id='1' covered='yes' start_line='1' end_line='9000000'/>".repeat(1_000);
    let files = "<source_files><source_file id='1' path='a.cs'/></source_files>";
    check_calm(
        &read(
            "",
            format!(
                "<results><modules><module>{files}<functions>{range}</functions></module></modules></results>"
            ),
        ),
        "ranges",
    );
    let lines = "<Lines><LnStart>1</LnStart><LnEnd>9000000</LnEnd><Coverage>0</Coverage><SourceFileID>1</SourceFileID></Lines>"
        .repeat(1_000);
    let name = "<SourceFileNames><SourceFileID>1</SourceFileID><SourceFileName>a.cs</SourceFileName></SourceFileNames>";
    check_calm(
        &read(
            "",
            format!("<CoverageDSPriv>{name}{lines}</CoverageDSPriv>"),
        ),
        "lines",
    );
    let points = "<SequencePoint vc='1' sl='1' el='9000000' bec='0'/>".repeat(1_000);
    let start = XML[4];
    check_calm(
        &read(
            "",
            format!("{start}<Method><FileRef uid='1'/>{points}</Method>"),
        ),
        "points",
    );
}

#[test]
fn one_file_a_million_times() {
    let large = "1,".repeat(1_000_000);
    let once = r#"{"name":"a.py","coverage":[0]},"#;
    let often = once.repeat(500_000);
    let content = format!(
        r#"{{"source_files":[{{"name":"a.py","coverage":[{large}1]}},{often}{{"name":"b.py","coverage":[0]}}]}}"#
    );
    let outcome = read("", content);
    assert_eq!((outcome.totals.hits, outcome.totals.misses), (1_000_001, 1));

    let lines: String = (1..500_000).map(|line| format!("DA:{line},1\n")).collect();
    let often = "SF:a.c\nDA:1,0\nend_of_record\n".repeat(500_000);
    let outcome = read("", format!("SF:a.c\n{lines}end_of_record\n{often}"));
    assert_eq!(outcome.totals.hits, 499_999);
}

#[test]
fn one_line_a_million_times_with_many_missed_arms() {
    let arms: Vec<String> = (0..500_000).map(|arm| arm.to_string()).collect();
    let first = format!(
        "<line number='1' hits='0' branch='true' condition-coverage='0% (0/500000)' missing-branches='{}'/>",
        arms.join(",")
    );
    let again = "<line number='1' hits='0'/>".repeat(500_000);
    let outcome = read(
        "",
        format!(
            "{}{first}{again}</lines></class></classes></package></packages></coverage>",
            XML[1]
        ),
    );
    assert_eq!(outcome.totals.misses, 1, "{:?}", outcome.error);
}

#[test]
fn a_million_files_and_a_million_keys() {
    let files: String = (0..1_000_000)
        .map(|i| format!("\"{i}.py\":{{\"1\":1}},"))
        .collect();
    let outcome = read(
        "",
        format!("{{\"coverage\":{{{files}\"x.py\":{{\"1\":1}}}}}}"),
    );
    assert_eq!(outcome.totals.files, 1_000_001);
    let keys: String = (0..1_000_000).map(|i| format!("\"{i}\":{{}},")).collect();
    check_calm(&read("", format!("{{{keys}\"x\":1}}")), "keys");
    check_calm(
        &read("", format!("{{{keys}\"x\":{{}}}}")),
        "keys of objects",
    );
}

#[test]
fn packed_uploads_stop_at_a_stated_ratio_and_size() {
    let zeros = vec![b' '; RATIO_FREE_BYTES as usize + MB];
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&zeros).unwrap();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    zlib.write_all(&zeros).unwrap();
    let zstd = zstd::encode_all(&zeros[..], 1).unwrap();
    let (gzip, zlib) = (gzip.finish().unwrap(), zlib.finish().unwrap());
    let data = STANDARD.encode_to_string(&zlib);
    let v1 = format!(
        r#"{{"network_files":[],"coverage_files":[{{"filename":"a","format":"base64+compressed","data":"{data}"}}],"report_fixes":{{"value":{{}}}}}}"#
    );
    for (body, kind) in [
        (gzip, Kind::Legacy),
        (zstd, Kind::Legacy),
        (v1.into_bytes(), Kind::V1),
    ] {
        let error = upload(&body, kind).error.unwrap();
        assert_eq!(error.code, ErrorCode::UnknownStorage);
        assert!(error.message.contains("unpacks to more than"), "{error}");
    }
}

#[test]
fn packed_uploads_within_packed_uploads_share_one_budget() {
    let zeros = vec![b' '; RATIO_FREE_BYTES as usize / 4];
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    zlib.write_all(&zeros).unwrap();
    let data = STANDARD.encode_to_string(zlib.finish().unwrap());
    let file = format!(r#"{{"filename":"a","format":"base64+compressed","data":"{data}"}}"#);
    let files = vec![file; 5].join(",");
    let body = format!(
        r#"{{"network_files":[],"coverage_files":[{files}],"report_fixes":{{"value":{{}}}}}}"#
    );
    let error = upload(body.as_bytes(), Kind::V1).error.unwrap();
    assert_eq!(error.code, ErrorCode::UnknownStorage);
}

#[test]
fn bodies_of_nothing_but_marks() {
    for mark in [
        "<<<<<< EOF\n",
        "<<<<<< network\n",
        "# path=a\n",
        "<<<<<< ",
        "# path=",
        "<<<<<< fixes\n",
    ] {
        check_calm(
            &upload(mark.repeat(4 * MB / mark.len()).as_bytes(), Kind::Legacy),
            mark,
        );
    }
    let file = r#"{"filename":"a","format":"plain","data":""},"#.repeat(200_000);
    let body = format!(
        r#"{{"network_files":[],"coverage_files":[{file}{{"filename":"a","format":"x","data":""}}]}}"#
    );
    assert_eq!(
        upload(body.as_bytes(), Kind::V1).error.unwrap().code,
        ErrorCode::UnknownStorage
    );
}
