//! clang with llvm-cov, whose lines are those between the first and the last of each region.

use super::project::{Lines, Project, figures};

const BINARY: &str = "./shop -instr-profile=shop.profdata";

/// The case labels of `text.c` that were compared but not run.
const COMPARED_LABELS: u64 = 2;

/// The totals of `llvm-cov report`.
struct Summary {
    lines: u64,
    missed: u64,
    arms: u64,
    arms_missed: u64,
}

impl Summary {
    /// A case label that was compared but not run is a miss to llvm-cov. One of its arms was taken, so it is
    /// partial to us.
    fn same(&self, read: &Lines) {
        let missed = self.missed - COMPARED_LABELS;
        assert_eq!((read.lines, read.misses), (self.lines, missed));
        assert_eq!(
            (read.arms, read.arms_taken),
            (self.arms, self.arms - self.arms_missed)
        );
        assert!(read.partials > 0, "some lines ran in part");
    }
}

/// Measures.
fn run() -> (Project, Summary) {
    let project = Project::copy("c");
    let options = "-O0 -fprofile-instr-generate -fcoverage-mapping";
    project.run(&format!(
        "clang {options} -o shop main.c src/stock.c src/text.c"
    ));
    project.run_with(&[("LLVM_PROFILE_FILE", "shop.profraw")], "./shop");
    project.run("llvm-profdata merge -o shop.profdata shop.profraw");
    let printed = project.run(&format!("llvm-cov report {BINARY}"));
    let regions_and_functions = r"TOTAL +\d+ +\d+ +\S+ +\d+ +\d+ +\S+ ";
    let [lines, missed, arms, arms_missed] = figures(
        &printed,
        &format!(r"{regions_and_functions} *(\d+) +(\d+) +\S+ +(\d+) +(\d+) "),
    );
    let summary = Summary {
        lines,
        missed,
        arms,
        arms_missed,
    };
    (project, summary)
}

#[test]
fn lcov_export_has_the_totals_of_the_report() {
    let (project, summary) = run();
    let printed = project.run(&format!("llvm-cov export -format=lcov {BINARY}"));
    project.write("lcov.info", &printed);
    summary.same(&project.read(&["lcov.info"]));
}

#[test]
fn json_export_has_the_totals_of_the_report() {
    let (project, summary) = run();
    let printed = project.run(&format!("llvm-cov export {BINARY}"));
    project.write("llvm.json", &printed);
    summary.same(&project.read(&["llvm.json"]));
}

/// Codecov leaves out lines that only close a brace, and this text has no branches.
#[test]
fn shown_text_has_the_lines_of_the_report_but_closing_braces() {
    let (project, summary) = run();
    let printed = project.run(&format!("llvm-cov show {BINARY}"));
    project.write("shop.app.coverage.txt", &printed);
    let braces = |count: &str| {
        let lines = printed.lines().filter(|line| {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            matches!(columns[..], [_, hits, "}"] if !hits.is_empty() && (hits == "0" || count == "any"))
        });
        lines.count() as u64
    };
    let read = project.read(&["shop.app.coverage.txt"]);
    assert_eq!(read.lines, summary.lines - braces("any"));
    assert_eq!(read.misses, summary.missed - braces("0"));
}
