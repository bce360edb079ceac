//! c8 and nyc: one measures with V8, a statement for each line; the other instruments the code.

use serde_json::Value;

use super::project::Project;

/// Runs the tests under a tool, with all of its reports.
fn run(tool: &str) -> (Project, Summary) {
    let project = Project::copy("node");
    let reporters = ["lcovonly", "json", "clover", "cobertura", "json-summary"]
        .map(|name| format!("--reporter={name}"))
        .join(" ");
    project.run(&format!(
        "{tool} --all --include=lib/** {reporters} --report-dir=coverage node test.js"
    ));
    let summary: Value =
        serde_json::from_str(&project.text("coverage/coverage-summary.json")).unwrap();
    let count = |what: &str, of: &str| summary["total"][what][of].as_u64().unwrap();
    let summary = Summary {
        lines: count("lines", "total"),
        covered: count("lines", "covered"),
        functions: count("functions", "total"),
        functions_called: count("functions", "covered"),
    };
    (project, summary)
}

/// What the tool says of all sources.
struct Summary {
    lines: u64,
    covered: u64,
    functions: u64,
    functions_called: u64,
}

/// Codecov takes no functions and no branches from tracefiles of JavaScript, so a line is what its statement is.
fn lcov_has_the_lines_of_the_summary(tool: &str) {
    let (project, summary) = run(tool);
    let read = project.read(&["coverage/lcov.info"]);
    assert_eq!((read.hits, read.lines), (summary.covered, summary.lines));
}

#[test]
fn c8_lcov_has_the_lines_of_the_summary() {
    lcov_has_the_lines_of_the_summary("c8");
}

#[test]
fn nyc_lcov_has_the_lines_of_the_summary() {
    lcov_has_the_lines_of_the_summary("nyc");
}

/// To V8 every line is a statement, those that start a function too. A line that ran, and of which no arm was
/// taken, is a miss to us.
#[test]
fn c8_cobertura_has_the_lines_of_the_summary() {
    let (project, summary) = run("c8");
    let xml = project.text("coverage/cobertura-coverage.xml");
    let read = project.read(&["coverage/cobertura-coverage.xml"]);
    let untaken = xml
        .lines()
        .filter(|line| line.contains("condition-coverage=\"0%") && !line.contains("hits=\"0\""));
    let untaken = untaken.count() as u64;
    assert_eq!(
        (read.covered() + untaken, read.lines),
        (summary.covered, summary.lines)
    );
}

/// Lines that start a function are no statements to nyc, but its Cobertura lists them among the methods.
#[test]
fn nyc_cobertura_has_the_lines_and_functions_of_the_summary() {
    let (project, summary) = run("nyc");
    let read = project.read(&["coverage/cobertura-coverage.xml"]);
    assert_eq!(read.lines, summary.lines + summary.functions);
    assert_eq!(read.covered(), summary.covered + summary.functions_called);
    assert!(read.partials > 0, "some lines ran in part");
}
