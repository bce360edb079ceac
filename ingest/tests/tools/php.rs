//! PHPUnit with PCOV.

use engine::model::Kind;

use super::project::{Project, figures};

/// Runs the tests; how many lines ran of how many, and how many methods there are.
fn run() -> (Project, [u64; 2], u64) {
    let project = Project::copy("php");
    let printed = project.run(
        "phpunit --coverage-clover clover.xml --coverage-cobertura cobertura.xml --coverage-text --colors=never",
    );
    let lines = figures(
        &printed,
        r"Summary:\s+[^L]*Lines: +[\d.]+% +\( *(\d+)/ *(\d+)\)",
    );
    let [methods] = figures(&printed, r"Methods: +[\d.]+% +\( *\d+/ *(\d+)\)");
    (project, lines, methods)
}

#[test]
fn phpunit_cobertura_has_the_lines_of_the_text() {
    let (project, [covered, lines], _) = run();
    let read = project.read(&["cobertura.xml"]);
    assert_eq!((read.hits, read.lines), (covered, lines));
}

/// Clover lists methods, too, with their calls; the text counts statements.
#[test]
fn phpunit_clover_has_the_lines_and_methods_of_the_text() {
    let (project, [covered, lines], methods) = run();
    let read = project.read(&["clover.xml"]);
    assert_eq!(read.of_kind(Kind::Line), (lines, covered));
    assert_eq!(read.of_kind(Kind::Method).0, methods);
}
