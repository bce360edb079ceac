//! `hitline parse` as a person runs it.

use std::process::Command;

use serde_json::{Value, json};

const LCOV: &str = "SF:lib/a.py\nDA:1,1\nend_of_record\nSF:lib/b.py\nDA:1,0\nend_of_record\n";
const NETWORK: &str = "src/core/a.py\nsrc/core/b.py\nsrc/web/a.py\n";

#[test]
fn explain_tells_the_fixes_that_mend_lost_paths_and_they_do() {
    let folder = tempfile::tempdir().unwrap();
    let run = |yaml: &str, words: &[&str]| {
        for (name, text) in [
            ("lcov.info", LCOV),
            ("network.txt", NETWORK),
            ("codecov.yml", yaml),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let done = Command::new(env!("CARGO_BIN_EXE_hitline"))
            .current_dir(folder.path())
            .args(["parse", "--network", "network.txt"])
            .args(["--yaml", "codecov.yml", "lcov.info"])
            .args(words)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    };

    let told = run("{}", &["--explain"]);
    let (_, lines) = told.split_once("\n\n").unwrap();
    let fixes = lines.split_once("\n\n").unwrap().1;
    assert!(
        fixes.starts_with("fixes:\n  - 'lib/::src/core/'\n"),
        "{told}"
    );

    let parsed: Value = serde_json::from_str(&run(fixes, &[])).unwrap();
    let files: Vec<&String> = parsed["files"].as_object().unwrap().keys().collect();
    assert_eq!(files, ["src/core/a.py", "src/core/b.py"]);
    let explained: Value = serde_json::from_str(&run(fixes, &["--explain=json"])).unwrap();
    assert_eq!(explained["unmatched"], json!(0));
}
