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
