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

/// Runs gcov, which tells the rate of lines and arms for each source, and of lines for all.
fn gcov(project: &Project, options: &str) -> Summary {
    let notes = project.files(".", ".gcno").join(" ");
    let printed = project.run(&format!("gcov -b -c {options} {notes}"));
    let mut summary = Summary {
        covered: 0,
        lines: 0,
        taken: 0,
        arms: 0,
    };
    for part in printed.split("File '").skip(1) {
        let (covered, lines) = rate(part, "Lines executed:");
        summary.covered += covered;
        summary.lines += lines;
        let (taken, arms) = rate(part, "Taken at least once:");
        summary.taken += taken;
        summary.arms += arms;
    }
    summary
}

/// Of how many how many, where gcov says `83.33% of 6` behind the words; 0 where it does not say them.
fn rate(text: &str, words: &str) -> (u64, u64) {
    if !text.contains(words) {
        return (0, 0);
    }
    let [whole, hundredths, all] = figures(text, &format!(r"{words}(\d+)\.(\d\d)% of (\d+)"));
    let per_myriad = whole * 100 + hundredths;
    ((per_myriad * all + 5000) / 10_000, all)
}

/// What gcov counts, but for the lines of which not all blocks ran: a star behind their count hides them from
/// Codecov's reader, and from ours.
fn gcov_text(project: &Project) -> Summary {
    let mut summary = gcov(project, "-p");
    for report in project.files(".", ".gcov") {
        let mut is_starred = false;
        for line in project.text(&report).lines() {
            if is_starred && line.starts_with("branch") {
                summary.arms -= 1;
                let is_missed = line.contains("taken 0") || line.contains("never executed");
                summary.taken -= u64::from(!is_missed);
            } else if line.starts_with(' ') {
                is_starred = line
                    .split(':')
                    .next()
                    .is_some_and(|count| count.ends_with('*'));
                summary.lines -= u64::from(is_starred);
                summary.covered -= u64::from(is_starred);
            }
        }
    }
    summary
}

#[test]
fn gcov_text_has_the_lines_that_gcov_counts() {
    let project = run();
    let summary = gcov_text(&project);
    let read = project.read(&project.files(".", ".gcov"));
    summary.same_lines(&read);
    assert_eq!(
        read.partials, 0,
        "branches do not count unless they are asked for"
    );
}

/// Branches of lines that are neither loop nor condition count as those of macros do.
#[test]
fn gcov_text_has_the_arms_that_gcov_counts_when_asked_for() {
    let project = run();
    let summary = gcov_text(&project);
    let detection = "{conditional: yes, loop: yes, macro: yes, method: yes}";
    let yaml = format!("parsers: {{gcov: {{branch_detection: {detection}}}}}");
    summary.same(&project.read_with(&yaml, &project.files(".", ".gcov")));
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

#[test]
fn gcovr_sonarqube_has_the_summary_of_gcovr() {
    let project = run();
    gcovr(&project, "sonarqube").same(&project.read(&["report"]));
}

/// gcovr's Clover has statements only, and a source `dummy` that the repository lacks.
#[test]
fn gcovr_clover_has_the_lines_of_the_summary() {
    let project = run();
    let summary = gcovr(&project, "clover");
    let outcome = project.upload(&["report"]);
    let [problem] = &outcome.problems[..] else {
        panic!("{:?}", outcome.problems);
    };
    assert!(problem.message.contains("dummy"), "{problem:?}");
    summary.same_lines(&Lines::count(outcome));
}

/// Codecov reads no branches from Coveralls' JSON.
#[test]
fn gcovr_coveralls_has_the_lines_of_the_summary() {
    let project = run();
    project.run("git init -q .");
    project.run("git add main.c src");
    project.run("git -c user.name=shop -c user.email=shop@example.com commit -q -m shop");
    gcovr(&project, "coveralls").same_lines(&project.read(&["report"]));
}

/// gcovr's JaCoCo does not say which lines ran; such a report fails as a whole, as it does at Codecov.
#[test]
fn gcovr_jacoco_is_refused_with_the_attribute_that_is_missing() {
    let project = run();
    gcovr(&project, "jacoco");
    let error = project.upload(&["report"]).error.unwrap();
    assert!(error.message.contains("no attribute \"mb\""), "{error:?}");
}

#[test]
fn gcov_json_has_the_lines_and_arms_that_gcov_counts() {
    let project = run();
    let summary = gcov(&project, "--json-format");
    summary.same(&project.read(&project.files(".", ".gcov.json.gz")));
}
