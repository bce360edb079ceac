//! Which format a file is in, told by its name and content. Order matters: the first that fits is it.

mod json;

use std::ops::Range;

use memchr::{memchr, memmem};

use crate::error::Result;
use crate::xml::{Markup, Scanner};

/// How much of a file is searched for markers that stand near its start, in bytes.
const HEAD_BYTES: usize = 64 << 10;

/// A format of coverage reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Bullseye XML.
    Bullseye,
    /// Clover XML.
    Clover,
    /// Cobertura XML.
    Cobertura,
    /// coverage.py JSON.
    CoveragePy,
    /// Coveralls JSON.
    Coveralls,
    /// D's `.lst` listings.
    Dlst,
    /// elm-coverage JSON.
    Elm,
    /// flow-coverage-report JSON.
    Flowcover,
    /// GAP's JSON lines.
    Gap,
    /// gcov's text.
    Gcov,
    /// Go's cover profiles.
    Go,
    /// JaCoCo XML.
    Jacoco,
    /// dotCover's DetailedXML.
    Jetbrains,
    /// LCOV tracefiles.
    Lcov,
    /// luacov's text.
    Lua,
    /// Mono's XML.
    Mono,
    /// Istanbul's and jscoverage's JSON.
    Node,
    /// OpenCover XML.
    OpenCover,
    /// covr's JSON.
    R,
    /// Salesforce JSON.
    Salesforce,
    /// sbt's JSON.
    Scala,
    /// scoverage's statements in XML.
    Scoverage,
    /// SimpleCov JSON.
    Simplecov,
    /// Codecov's own JSON.
    V1,
    /// Visual Studio's `results`.
    Vb,
    /// Visual Studio's `CoverageDSPriv`.
    Vb2,
    /// Xcode's and llvm-cov's text.
    Xcode,
    /// Xcode's property lists.
    XcodePlist,
    /// coverage.py's data file, an SQLite database.
    CoverageSqlite,
    /// grcov's covdir JSON.
    Covdir,
    /// gcov's JSON.
    GcovJson,
    /// JaCoCo's and Kover's CSV, which has no lines.
    JacocoCsv,
    /// llvm-cov's export as JSON.
    LlvmExport,
    /// SonarQube's generic test coverage in XML.
    Sonar,
}

impl Format {
    /// The name that Codecov's results give the format's reader; for a format that Codecov does not
    /// read, one in the same style.
    pub fn processor(self) -> &'static str {
        match self {
            Format::Bullseye => "BullseyeProcessor",
            Format::Clover => "CloverProcessor",
            Format::Cobertura => "CoberturaProcessor",
            Format::CoveragePy => "PyCoverageProcessor",
            Format::Coveralls => "CoverallsProcessor",
            Format::Dlst => "DLSTProcessor",
            Format::Elm => "ElmProcessor",
            Format::Flowcover => "FlowcoverProcessor",
            Format::Gap => "GapProcessor",
            Format::Gcov => "GcovProcessor",
            Format::Go => "GoProcessor",
            Format::Jacoco => "JacocoProcessor",
            Format::Jetbrains => "JetBrainsXMLProcessor",
            Format::Lcov => "LcovProcessor",
            Format::Lua => "LuaProcessor",
            Format::Mono => "MonoProcessor",
            Format::Node => "NodeProcessor",
            Format::OpenCover => "CSharpProcessor",
            Format::R => "RlangProcessor",
            Format::Salesforce => "SalesforceProcessor",
            Format::Scala => "ScalaProcessor",
            Format::Scoverage => "SCoverageProcessor",
            Format::Simplecov => "SimplecovProcessor",
            Format::V1 => "VOneProcessor",
            Format::Vb => "VbProcessor",
            Format::Vb2 => "VbTwoProcessor",
            Format::Xcode => "XCodeProcessor",
            Format::XcodePlist => "XCodePlistProcessor",
            Format::CoverageSqlite => "CoverageSqliteProcessor",
            Format::Covdir => "CovdirProcessor",
            Format::GcovJson => "GcovJsonProcessor",
            Format::JacocoCsv => "JacocoCsvProcessor",
            Format::LlvmExport => "LlvmExportProcessor",
            Format::Sonar => "SonarProcessor",
        }
    }
}

/// The format of a file that its client called `name`; `None` when it is none.
///
/// Looks at the start of the file where that decides. Fails for an array of plain values, which no
/// report is. XML must be UTF-8 here.
pub fn detect(name: &str, content: &[u8]) -> Result<Option<Format>> {
    detect_around(name, content, &(0..0))
}

/// Like [`detect`], for a document of which one value was read before and need not be again, or lines none of which ends
/// a record of LCOV: they stand at `read`.
pub(crate) fn detect_around(
    name: &str,
    content: &[u8],
    read: &Range<usize>,
) -> Result<Option<Format>> {
    if content.starts_with(b"SQLite format 3\0") {
        return Ok(Some(Format::CoverageSqlite));
    }
    let head = head(content);
    if memmem::find(head, b"<classycle ").is_some()
        && memmem::find(content, b"</classycle>").is_some()
    {
        return Ok(None);
    }
    let first = first_line(content);
    if is_xcode(name, &first) {
        return Ok(detect_text(name, content, &first, read));
    }
    let marked = memmem::find(head, br#"<plist version="1.0">"#).is_some();
    if marked || name.ends_with(".plist") {
        let fits = match name {
            "" => marked && content.starts_with(b"<?xml"),
            name => name.ends_with("xccoverage.plist"),
        };
        return Ok(fits.then_some(Format::XcodePlist));
    }
    match content.trim_ascii_start().first() {
        None => Ok(None),
        Some(b'{' | b'[') => match json::detect(content, read)? {
            json::Json::Is(format) => Ok(format),
            json::Json::Broken => Ok(detect_text(name, content, &first, read)),
        },
        Some(b'<') => match detect_xml(content) {
            Xml::Is(format) => Ok(format),
            Xml::Childless => Ok(detect_text(name, content, &first, read)),
        },
        Some(_) => Ok(detect_text(name, content, &first, read)),
    }
}

/// A format whose reader may try a file before all of it was looked at: it knows at the end whether
/// the file is of its format, as [`detect`] would say.
pub(crate) fn guess(name: &str, content: &[u8]) -> Option<Format> {
    let head = head(content);
    let is_for_others = name.ends_with(".plist")
        || is_xcode(name, "")
        || memmem::find(head, b"<classycle ").is_some()
        || memmem::find(head, br#"<plist version="1.0">"#).is_some();
    let is_go = || content.starts_with(b"mode: ").then_some(Format::Go);
    (!is_for_others)
        .then(|| json::guess(content).or_else(is_go))
        .flatten()
}

/// The printable ASCII of the first line.
fn first_line(content: &[u8]) -> String {
    let end = memchr(b'\n', content)
        .unwrap_or(content.len())
        .min(HEAD_BYTES);
    content[..end]
        .iter()
        .filter(|byte| (32..=126).contains(*byte))
        .map(|&byte| char::from(byte))
        .collect()
}

fn is_xcode(name: &str, first: &str) -> bool {
    const SOURCES: [&str; 10] = [
        ".h:", ".m:", ".swift:", ".hpp:", ".cpp:", ".cxx:", ".c:", ".C:", ".cc:", ".c++:",
    ];
    const NAMES: [&str; 3] = [
        "app.coverage.txt",
        "framework.coverage.txt",
        "xctest.coverage.txt",
    ];
    SOURCES.iter().any(|end| first.ends_with(end)) || NAMES.iter().any(|end| name.ends_with(end))
}

fn detect_text(name: &str, content: &[u8], first: &str, read: &Range<usize>) -> Option<Format> {
    if content.ends_with(b"has no code") {
        return None;
    }
    let (before, behind) = (
        &content[..read.start],
        &content[read.end.saturating_sub(1)..],
    );
    let ends_record = |text: &[u8]| memmem::find(text, b"\nend_of_record").is_some();
    if ends_record(before) || ends_record(behind) {
        Some(Format::Lcov)
    } else if first.contains("0:Source:") {
        Some(Format::Gcov)
    } else if content.starts_with(b"=======") {
        Some(Format::Lua)
    } else if json::is_gap(first.as_bytes()) {
        Some(Format::Gap)
    } else if content.ends_with(b"covered") {
        Some(Format::Dlst)
    } else if content.starts_with(b"mode: ") || first.contains(".go:") {
        Some(Format::Go)
    } else if is_xcode(name, first) {
        Some(Format::Xcode)
    } else if first.starts_with("GROUP,PACKAGE,CLASS,") {
        Some(Format::JacocoCsv)
    } else {
        None
    }
}

enum Xml {
    Is(Option<Format>),
    /// No root with a child: other rules apply.
    Childless,
}

fn detect_xml(content: &[u8]) -> Xml {
    let mut scanner = Scanner::new(content);
    let name = match scanner.next() {
        Some(Markup::Open(name)) => name,
        _ => return Xml::Childless,
    };
    let generated = scanner
        .attribute(b"generated")
        .is_some_and(|value| !value.is_empty());
    let in_namespace = scanner.attribute(b"xmlns").is_some() || name.contains(&b':');
    let mut has_aside = false;
    let first_child = loop {
        match scanner.markup() {
            Some(Markup::Open(child) | Markup::Empty(child)) => break child,
            Some(Markup::Aside) => has_aside = true,
            Some(Markup::Other) => {}
            Some(Markup::Close(_)) | None if has_aside => break &[],
            Some(Markup::Close(_)) | None => return Xml::Childless,
        }
    };
    if memmem::find(name, b"BullseyeCoverage").is_some() {
        return Xml::Is(Some(Format::Bullseye));
    }
    if in_namespace {
        return Xml::Is(None);
    }
    Xml::Is(match name {
        b"statements" => Some(Format::Scoverage),
        b"Root" => Some(Format::Jetbrains),
        b"coverage" if generated => Some(Format::Clover),
        // Where that child stands further behind, Cobertura's reader comes upon it.
        b"coverage" if has_assembly(head(content)) && is_mono(content) => Some(Format::Mono),
        b"CoverageSession" => Some(Format::OpenCover),
        b"report" => Some(Format::Jacoco),
        b"results" => Some(Format::Vb),
        b"CoverageDSPriv" => Some(Format::Vb2),
        b"coverage" if first_child == b"file" && is_sonar(content) => Some(Format::Sonar),
        b"coverage" | b"scoverage" => Some(Format::Cobertura),
        _ => None,
    })
}

/// Whether a document of files is SonarQube's: a file or two at its start may be empty.
fn is_sonar(content: &[u8]) -> bool {
    memmem::find(head(content), b"<lineToCover").is_some()
}

fn head(content: &[u8]) -> &[u8] {
    &content[..content.len().min(HEAD_BYTES)]
}

fn has_assembly(text: &[u8]) -> bool {
    memmem::find(text, b"<assembly").is_some()
}

/// Whether the root `coverage` of a document that could be Cobertura's has the child that makes it Mono's.
pub(crate) fn is_mono(content: &[u8]) -> bool {
    if !has_assembly(content) {
        return false;
    }
    let mut scanner = Scanner::new(content);
    let mut depth = 0;
    while let Some(markup) = scanner.next() {
        match markup {
            Markup::Open(b"scoverage") if depth == 0 => return false,
            Markup::Open(b"assembly") | Markup::Empty(b"assembly") if depth == 1 => return true,
            Markup::Open(_) => depth += 1,
            Markup::Close(_) => depth -= 1,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format_of(content: &str) -> Option<Format> {
        detect("", content.as_bytes()).unwrap()
    }

    #[test]
    fn the_first_format_that_fits_is_it() {
        for (content, expected) in [
            ("SF:a\nend_of_record\nmode: set", Some(Format::Lcov)),
            ("mode: set\n", Some(Format::Go)),
            ("src/A.swift:\n 1|2|x", Some(Format::Xcode)),
            ("  -:    0:Source:a.c\n", Some(Format::Gcov)),
            ("=======\n", Some(Format::Lua)),
            (r#"{"Type":"S","File":"a"}"#, Some(Format::Gap)),
            (
                "{\"Type\":\"S\",\"File\":\"a\"}\n{\"Type\":\"R\"}",
                Some(Format::Gap),
            ),
            ("1|x\na.d is 5% covered", Some(Format::Dlst)),
            (
                "<coverage generated='1'><assembly/></coverage>",
                Some(Format::Clover),
            ),
            ("<coverage><assembly/></coverage>", Some(Format::Mono)),
            (
                "<coverage><packages><assembly/></packages></coverage>",
                Some(Format::Cobertura),
            ),
            ("<coverage><!-- c --></coverage>", Some(Format::Cobertura)),
            (
                "<coverage><file><line/></file></coverage>",
                Some(Format::Cobertura),
            ),
            (
                "<coverage version='1'><file path='a'><lineToCover/></file></coverage>",
                Some(Format::Sonar),
            ),
            ("<coverage/>", None),
            ("<report name='a'><package/></report>", Some(Format::Jacoco)),
            (
                "<BullseyeCoverage xmlns='x'><src/></BullseyeCoverage>",
                Some(Format::Bullseye),
            ),
            ("<coverage xmlns='x'><a/></coverage>", None),
            (r#"{"coverageData":{},"a":{}}"#, Some(Format::Node)),
            (r#"{"coverageData":{"a":1}}"#, Some(Format::Elm)),
            (
                r#"{"coverage":{},"files":1,"meta":{"show_contexts":1}}"#,
                Some(Format::V1),
            ),
            (
                r#"{"files":1,"meta":{"show_contexts":1}}"#,
                Some(Format::CoveragePy),
            ),
            (r#"[{"name":1}]"#, Some(Format::Salesforce)),
            (r#"{"a":NaN}"#, None),
            ("{}", None),
            ("[]", None),
            ("hello", None),
        ] {
            assert_eq!(format_of(content), expected, "{content}");
        }
        assert!(detect("", b"[1, 2]").is_err());
        assert_eq!(
            detect("x/a.xccoverage.plist", b"x").unwrap(),
            Some(Format::XcodePlist)
        );
    }
}
