//! SimpleCov's result set, under the names of the test frameworks that Codecov knows.

use engine::model::Totals;

use super::project::{Project, figures};

/// Runs the tests under a name; how many lines ran and did not, and what was read.
fn run(variables: &[(&str, &str)]) -> ([u64; 2], Totals) {
    let project = Project::copy("ruby");
    let printed = project.run_with(variables, "ruby test.rb");
    let summary = figures(&printed, r"(\d+) covered, (\d+) missed");
    (
        summary,
        project.read(&["coverage/.resultset.json"]).outcome.totals,
    )
}

/// The result set knows nothing of `:nocov:`, so the two lines between such comments count: one ran, one did not.
fn same([covered, missed]: [u64; 2], totals: Totals) {
    assert_eq!((totals.hits, totals.misses), (covered + 1, missed + 1));
    assert_eq!(totals.files, 2);
}

#[test]
fn rspec_results_have_the_lines_that_simplecov_counts() {
    let (summary, totals) = run(&[("COMMAND_NAME", "RSpec")]);
    same(summary, totals);
}

#[test]
fn minitest_results_have_the_lines_that_simplecov_counts() {
    let (summary, totals) = run(&[("COMMAND_NAME", "MiniTest")]);
    same(summary, totals);
}

/// Codecov reads no branches from result sets.
#[test]
fn branches_change_no_line_of_the_results() {
    let (summary, totals) = run(&[("COMMAND_NAME", "RSpec"), ("BRANCHES", "yes")]);
    same(summary, totals);
}
