//! coverage.py, which measures lines and jumps between them.

use ingest::ProblemCode;

use super::project::{Lines, Project, figures};

/// What `coverage report` says of all sources.
struct Summary {
    statements: u64,
    missed: u64,
    branches: u64,
    partial: u64,
}

fn measured(options: &str) -> (Project, Summary) {
    let project = Project::copy("python");
    project.run(&format!(
        "coverage run {options} --source=shop -m unittest discover -q -s tests -t ."
    ));
    let printed = project.run("coverage report");
    let summary = if options.contains("--branch") {
        let [statements, missed, branches, partial] =
            figures(&printed, r"TOTAL +(\d+) +(\d+) +(\d+) +(\d+) ");
        Summary {
            statements,
            missed,
            branches,
            partial,
        }
    } else {
        let [statements, missed] = figures(&printed, r"TOTAL +(\d+) +(\d+) ");
        Summary {
            statements,
            missed,
            branches: 0,
            partial: 0,
        }
    };
    (project, summary)
}

fn same_lines(read: &Lines, summary: &Summary) {
    assert_eq!(read.lines, summary.statements);
    assert_eq!(read.misses, summary.missed);
}

#[test]
fn coverage_xml_has_the_lines_and_jumps_of_the_report() {
    let (project, summary) = measured("--branch");
    project.run("coverage xml");
    let read = project.read(&["coverage.xml"]);
    same_lines(&read, &summary);
    assert_eq!(read.partials, summary.partial);
    assert_eq!(read.arms, summary.branches);
}

#[test]
fn coverage_lcov_has_the_lines_and_jumps_of_the_report() {
    let (project, summary) = measured("--branch");
    project.run("coverage lcov");
    let read = project.read(&["coverage.lcov"]);
    same_lines(&read, &summary);
    assert_eq!(read.partials, summary.partial);
    assert_eq!(read.arms, summary.branches);
}

/// Codecov reads no jumps from the JSON, so a line that ran in part is a hit.
#[test]
fn coverage_json_has_the_lines_of_the_report() {
    let (project, summary) = measured("--branch");
    project.run("coverage json");
    let read = project.read(&["coverage.json"]);
    same_lines(&read, &summary);
    assert_eq!(read.partials, 0);
}

#[test]
fn contexts_change_no_line_of_the_json() {
    let (project, summary) = measured("--context=nightly");
    project.run("coverage json --show-contexts --pretty-print");
    same_lines(&project.read(&["coverage.json"]), &summary);
}

/// The data file has what ran, and nothing of what did not. Beside the statements of the report that is the
/// docstrings of two modules, and the head of a function that is left out of the report.
fn data_file_has_the_lines_that_ran(options: &str) {
    const UNREPORTED: u64 = 3;
    let (project, summary) = measured(options);
    let outcome = project.upload(&[".coverage"]);
    let problems: Vec<ProblemCode> = outcome
        .problems
        .iter()
        .map(|problem| problem.code)
        .collect();
    assert_eq!(problems, [ProblemCode::MissesUnknown]);
    let read = Lines::count(outcome);
    assert_eq!(read.hits, summary.statements - summary.missed + UNREPORTED);
    assert_eq!((read.misses, read.partials), (0, 0));
}

#[test]
fn data_file_of_lines_has_the_lines_that_ran() {
    data_file_has_the_lines_that_ran("--context=nightly");
}

#[test]
fn data_file_of_jumps_has_the_lines_that_ran() {
    data_file_has_the_lines_that_ran("--branch");
}
