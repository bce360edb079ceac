//! JaCoCo, whose XML and CSV come from one measurement.

use super::project::{Project, figures};

/// Debian's folder of Java libraries.
const LIBRARIES: &str = "/usr/share/java";

#[test]
fn jacoco_xml_has_the_counters_of_the_csv() {
    let project = Project::copy("java");
    measure(&project);
    let csv = project.text("jacoco.csv");
    let sum = |column: &str| -> u64 {
        let head = csv.lines().next().unwrap();
        let at = head.split(',').position(|name| name == column).unwrap();
        let rows = csv
            .lines()
            .skip(1)
            .map(|row| row.split(',').nth(at).unwrap());
        rows.map(|value| value.parse::<u64>().unwrap()).sum()
    };

    let read = project.read(&["jacoco.xml"]);
    assert_eq!(read.misses, sum("LINE_MISSED"));
    assert_eq!(read.covered(), sum("LINE_COVERED"));
    assert_eq!(read.arms, sum("BRANCH_MISSED") + sum("BRANCH_COVERED"));
    assert_eq!(read.arms_taken, sum("BRANCH_COVERED"));
    assert!(read.partials > 0, "some lines ran in part");
    let totals = read.outcome.totals;
    assert_eq!(totals.complexity, sum("COMPLEXITY_COVERED"));
    assert_eq!(
        totals.complexity_total,
        sum("COMPLEXITY_MISSED") + totals.complexity
    );
    let [missed, covered] = figures(
        &project.text("jacoco.xml"),
        r#"<counter type="LINE" missed="(\d+)" covered="(\d+)"/>(?:<counter [^>]*>)*</report>"#,
    );
    assert_eq!((read.misses, read.covered()), (missed, covered));
}

fn measure(project: &Project) {
    project.run("javac -g -d classes src/shop/Main.java src/shop/Stock.java");
    project.run(&format!(
        "jar xf {LIBRARIES}/org.jacoco.agent.jar jacocoagent.jar"
    ));
    project.run("java -javaagent:jacocoagent.jar=destfile=jacoco.exec -cp classes shop.Main");
    let parts = [
        "org.jacoco.core",
        "org.jacoco.report",
        "asm",
        "asm-analysis",
        "asm-commons",
        "asm-tree",
    ];
    let libraries = parts
        .map(|part| format!("{LIBRARIES}/{part}.jar"))
        .join(":");
    project.run(&format!("java -cp {libraries} report/Report.java"));
}
