//! A large report is cut and read in parallel; what comes of it is what one thread makes of the whole.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;

use ingest::envelope::{Budget, Envelope, UploadedFile};
use ingest::settings::Settings;
use ingest::{Outcome, process_files};

/// 2026-11-24 12:00 UTC.
const NOW_US: i64 = 1_795_521_600_000_000;
/// Enough for several pieces of each report.
const FILES: usize = 6_000;

fn read(report: &str, threads: usize) -> Outcome {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    let envelope = Envelope {
        files: vec![UploadedFile::new("", report.as_bytes())],
        ..Envelope::default()
    };
    let settings = Settings::parse("codecov: {max_report_age: off}");
    pool.install(|| process_files(&envelope, &Budget::new(0), &settings, &[], NOW_US))
}

fn check(report: &str, files: usize) {
    assert!(report.len() > 3 << 20, "{} bytes are too few", report.len());
    let (alone, together) = (read(report, 1), read(report, 4));
    assert_eq!(alone.error, None);
    assert_eq!(alone.totals.files, files as u64);
    assert_eq!(alone.totals, together.totals);
    assert_eq!(alone.problems, together.problems);
    assert!(alone.files == together.files, "the files differ");
}

fn cobertura_lines(seed: usize) -> String {
    (1..30).fold(String::new(), |mut lines, line| {
        let hits = (seed + line) % 3;
        let _ = writeln!(lines, "<line number=\"{line}\" hits=\"{hits}\"/>");
        lines
    })
}

fn cobertura(name_of: impl Fn(usize) -> usize) -> String {
    let mut report = String::from(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE coverage SYSTEM 'coverage-04.dtd'>\n<coverage><packages><package><classes>\n",
    );
    for i in 0..FILES {
        let (file, lines) = (name_of(i), cobertura_lines(i));
        let _ = writeln!(
            report,
            "<class name=\"c{i}\" filename=\"src/{file}.c\"><lines>\n{lines}</lines></class>"
        );
    }
    report + "</classes></package></packages></coverage>"
}

#[test]
fn cobertura_with_a_class_for_each_file() {
    check(&cobertura(|i| i), FILES);
}

#[test]
fn cobertura_with_files_of_several_classes() {
    check(&cobertura(|i| i / 3), FILES / 3);
}

#[test]
fn cobertura_whose_last_class_is_of_the_first_file() {
    check(&cobertura(|i| i % (FILES - 1)), FILES - 1);
}

#[test]
fn jacoco_in_many_packages() {
    let mut report =
        String::from("<report name=\"app\"><sessioninfo id=\"a\" start=\"1\" dump=\"2\"/>\n");
    for i in 0..FILES {
        let _ = write!(
            report,
            "<package name=\"p{i}\"><class name=\"p{i}/A\"><method name=\"m\" line=\"3\"><counter type=\"COMPLEXITY\" missed=\"1\" covered=\"2\"/></method></class><sourcefile name=\"A.java\">"
        );
        for line in 1..20 {
            let hits = (i + line) % 3;
            let _ = write!(
                report,
                "<line nr=\"{line}\" mi=\"0\" ci=\"{hits}\" mb=\"0\" cb=\"0\"/>"
            );
        }
        report += "</sourcefile></package>\n";
    }
    check(&(report + "</report>"), FILES);
}

#[test]
fn lcov_with_files_in_several_records() {
    let report = (0..2 * FILES).fold(String::new(), |mut report, i| {
        let _ = writeln!(report, "SF:src/{}.c", i % FILES);
        for line in 1..40 {
            let _ = writeln!(report, "DA:{},{}", line + i % 7, (i + line) % 3);
        }
        report + "end_of_record\n"
    });
    check(&report, FILES);
}

/// An item for each file.
fn repeated(item: impl Fn(usize) -> String) -> String {
    (0..FILES).map(item).collect()
}

#[test]
fn clover_with_files_that_are_named_once_or_again() {
    for files in [FILES, FILES - 1] {
        let file = |i: usize| {
            let lines = (1..25).fold(String::new(), |mut lines, line| {
                let hits = (i + line) % 3;
                let _ = writeln!(
                    lines,
                    "<line num=\"{line}\" type=\"stmt\" count=\"{hits}\"/>"
                );
                lines
            });
            let name = i % files;
            format!(
                "<file name=\"{name}.php\" path=\"src/{name}.php\">\n{lines}<metrics loc=\"20\"/></file>\n"
            )
        };
        let report = format!(
            "<coverage generated=\"1795521500\"><project timestamp=\"1\">{}</project></coverage>",
            repeated(file)
        );
        check(&report, files);
    }
}

#[test]
fn sonar_with_files_that_are_named_once_or_again() {
    for files in [FILES, FILES - 1] {
        let file = |i: usize| {
            let lines = (1..25).fold(String::new(), |mut lines, line| {
                let covered = (i + line).is_multiple_of(3);
                let _ = writeln!(
                    lines,
                    "<lineToCover lineNumber=\"{line}\" covered=\"{covered}\"/>"
                );
                lines
            });
            format!("<file path=\"src/{}.c\">\n{lines}</file>\n", i % files)
        };
        let report = format!("<coverage version=\"1\">{}</coverage>", repeated(file));
        check(&report, files);
    }
}

#[test]
fn scoverage_with_sources_in_a_row_or_scattered() {
    for files in [FILES, FILES - 1] {
        let statements = |i: usize| {
            (1..8).fold(String::new(), |mut statements, line| {
                let (source, count, branch) = (i % files, (i + line) % 3, line == 4);
                let _ = writeln!(
                    statements,
                    "<statement><source>src/{source}.scala</source><line>{line}</line><branch>{branch}</branch><count>{count}</count></statement>"
                );
                statements
            })
        };
        check(
            &format!("<statements>{}</statements>", repeated(statements)),
            files,
        );
    }
}

/// Modules of OpenCover, each of a file; `uid_of` is what its method names.
fn opencover(uid_of: impl Fn(usize) -> usize, end_of: impl Fn(usize) -> usize) -> String {
    let module = |i: usize| {
        let points = (1..15).fold(String::new(), |mut points, line| {
            let (hits, end) = ((i + line) % 3, line + end_of(i));
            let _ = writeln!(
                points,
                "<SequencePoint vc=\"{hits}\" sl=\"{line}\" el=\"{end}\" bec=\"0\" bev=\"0\"/>"
            );
            points
        });
        let uid = uid_of(i);
        format!(
            "<Module><Files><File uid=\"{i}\" fullPath=\"src/{i}.cs\"/></Files><Method><FileRef uid=\"{uid}\"/><SequencePoints>\n{points}</SequencePoints></Method></Module>\n"
        )
    };
    format!(
        "<CoverageSession><Modules>{}</Modules></CoverageSession>",
        repeated(module)
    )
}

#[test]
fn opencover_with_methods_in_files_of_their_module() {
    check(&opencover(|i| i, |_| 0), FILES);
}

#[test]
fn opencover_with_methods_in_files_of_modules_before_and_behind() {
    check(&opencover(|i| i.saturating_sub(1), |_| 0), FILES - 1);
    check(&opencover(|i| (i + 1) % FILES, |_| 0), FILES);
}

#[test]
fn opencover_whose_points_span_too_many_lines() {
    check(
        &opencover(|i| i, |i| if i % 100 == 0 { 9_000 } else { 0 }),
        FILES,
    );
}

#[test]
fn a_report_of_mono_that_looks_like_cobertura_is_told_wherever_its_assembly_stands() {
    let class = |i: usize| {
        let lines = cobertura_lines(i);
        format!("<class name=\"c{i}\" filename=\"src/{i}.c\"><lines>\n{lines}</lines></class>")
    };
    let tail = "<assembly name=\"a\"/><method filename=\"a.cs\"><statement line=\"3\" counter=\"1\"/></method>";
    let report = format!(
        "<coverage><classes>{}</classes>{tail}</coverage>",
        repeated(class)
    );
    check(&report, 1);
    let report = format!(
        "<scoverage><classes>{}</classes>{tail}</scoverage>",
        repeated(class)
    );
    check(&report, FILES);
}
