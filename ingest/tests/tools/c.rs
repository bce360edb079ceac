//! gcc with gcov, and lcov and gcovr on top of it.

use super::project::{Lines, Project, figures};

/// Lines and arms, as a tool counts them.
struct Summary {
    covered: u64,
    lines: u64,
    taken: u64,
    arms: u64,
}

impl Summary {
    /// Checks lines and arms. A line of which not all arms were taken is partial, and covered.
    fn same(&self, read: &Lines) {
        self.same_lines(read);
        assert_eq!((read.arms_taken, read.arms), (self.taken, self.arms));
        assert!(read.partials > 0, "some lines ran in part");
    }

    fn same_lines(&self, read: &Lines) {
        assert_eq!((read.covered(), read.lines), (self.covered, self.lines));
        assert_eq!(read.misses, self.lines - self.covered);
        assert_eq!(read.outcome.files.len(), 4);
    }
}

fn run() -> Project {
    let project = Project::copy("c");
    project.run("gcc -O0 --coverage -o shop main.c src/stock.c src/text.c");
    project.run("./shop");
    project
}

#[test]
fn lcov_tracefile_has_the_summary_of_lcov() {
    let project = run();
    project.run("lcov -q --capture --rc lcov_branch_coverage=1 --directory . -o lcov.info");
    let printed = project.run("lcov --rc lcov_branch_coverage=1 --summary lcov.info");
    let [covered, lines] = figures(&printed, r"lines\.*: .*\((\d+) of (\d+) lines");
    let [taken, arms] = figures(&printed, r"branches\.*: .*\((\d+) of (\d+) branches");
    let summary = Summary {
        covered,
        lines,
        taken,
        arms,
    };
    summary.same(&project.read(&["lcov.info"]));
}

/// Runs gcovr, which writes the report and prints a summary.
fn gcovr(project: &Project, format: &str) -> Summary {
    let printed = project.run(&format!("gcovr --print-summary --{format} report"));
    let [covered, lines] = figures(&printed, r"lines: .*\((\d+) out of (\d+)\)");
    let [taken, arms] = figures(&printed, r"branches: .*\((\d+) out of (\d+)\)");
    Summary {
        covered,
        lines,
        taken,
        arms,
    }
}

/// Its lines stand under methods and classes, and name one missed condition where several are: read twice,
/// as Codecov reads them, such a line has more arms taken than gcovr counts, and is partial all the same.
#[test]
fn gcovr_cobertura_has_the_lines_of_the_summary() {
    let project = run();
    let (summary, read) = (gcovr(&project, "cobertura"), project.read(&["report"]));
    summary.same_lines(&read);
    assert_eq!(read.arms, summary.arms);
    assert!(read.partials > 0, "some lines ran in part");
}

#[test]
fn gcovr_lcov_has_the_summary_of_gcovr() {
    let project = run();
    gcovr(&project, "lcov").same(&project.read(&["report"]));
}
