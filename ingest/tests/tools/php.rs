//! PHPUnit with PCOV.

use super::project::{Project, figures};

/// Runs the tests; how many lines ran of how many.
fn run() -> (Project, [u64; 2]) {
    let project = Project::copy("php");
    let printed = project.run(
        "phpunit --coverage-clover clover.xml --coverage-cobertura cobertura.xml --coverage-text --colors=never",
    );
    let lines = figures(
        &printed,
        r"Summary:\s+[^L]*Lines: +[\d.]+% +\( *(\d+)/ *(\d+)\)",
    );
    (project, lines)
}

#[test]
fn phpunit_cobertura_has_the_lines_of_the_text() {
    let (project, [covered, lines]) = run();
    let read = project.read(&["cobertura.xml"]);
    assert_eq!((read.hits, read.lines), (covered, lines));
}
