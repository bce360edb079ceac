//! c8 and nyc: one measures with V8, a statement for each line; the other instruments the code.

use engine::model::{Kind, State};
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

/// Istanbul's Clover has arms taken as `truecount` and missed ones as `falsecount`, where Clover has how often a
/// condition was true and false: lines are the summary's, and those that branch are whole, partial or missed by
/// what Codecov makes of these counts.
fn clover_has_the_lines_of_the_summary(tool: &str) {
    let (project, summary) = run(tool);
    let xml = project.text("coverage/clover.xml");
    let read = project.read(&["coverage/clover.xml"]);
    assert_eq!(read.lines, summary.lines);
    let plain = xml.lines().filter(|line| line.contains("type=\"stmt\""));
    let (ran, missed): (Vec<_>, Vec<_>) = plain.partition(|line| !line.contains("count=\"0\""));
    let expected = ((ran.len() + missed.len()) as u64, ran.len() as u64);
    assert_eq!(read.of_kind(Kind::Line), expected);
    assert_eq!(read.of_kind(Kind::Branch).0, summary.lines - expected.0);
}

#[test]
fn c8_clover_has_the_lines_of_the_summary() {
    clover_has_the_lines_of_the_summary("c8");
}

#[test]
fn nyc_clover_has_the_lines_of_the_summary() {
    clover_has_the_lines_of_the_summary("nyc");
}

/// Istanbul's JSON has statements, functions and arms, and all count where they start. So the lines are those of
/// the tracefile, which has statements only, and the other starts; a line that ran there, ran here.
fn json_has_the_lines_of_the_summary_and_more(tool: &str) {
    let (project, summary) = run(tool);
    let statements = project.read(&["coverage/lcov.info"]);
    let read = project.read(&["coverage/coverage-final.json"]);
    let sources = ["lib/stock.js", "lib/text.js"];
    for source in sources {
        let all = read.of(source);
        for (line, _, state) in statements.of(source) {
            let found = all.iter().find(|(number, _, _)| *number == line);
            let (_, _, found) = found.unwrap_or_else(|| panic!("{source} has no line {line}"));
            assert!(
                state == State::Miss || *found == State::Hit,
                "{source}:{line}"
            );
        }
    }
    let (plain, _) = read.of_kind(Kind::Line);
    assert!(plain <= summary.lines && read.lines >= summary.lines);
    assert_eq!(read.partials, 0);
    assert!(read.of_kind(Kind::Method) <= (summary.functions, summary.functions_called));
}

#[test]
fn c8_json_has_the_lines_of_the_summary_and_more() {
    json_has_the_lines_of_the_summary_and_more("c8");
}

#[test]
fn nyc_json_has_the_lines_of_the_summary_and_more() {
    json_has_the_lines_of_the_summary_and_more("nyc");
}

#[test]
fn nyc_json_has_partial_lines_when_asked_for() {
    let (project, _) = run("nyc");
    let yaml = "parsers: {javascript: {enable_partials: true}}";
    let read = project.read_with(yaml, &["coverage/coverage-final.json"]);
    assert!(read.partials > 0 && read.arms > read.arms_taken);
}
