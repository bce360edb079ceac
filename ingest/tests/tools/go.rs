//! `go test -coverprofile`. Go counts statements and tells of each function how many of them ran; a profile
//! has regions, so we count lines, and compare function by function.

use engine::model::State;

use super::project::{Project, figures};

/// A function, as `go tool cover -func` has it.
struct Function {
    path: String,
    line: u32,
    percent: f64,
}

fn functions(printed: &str) -> Vec<Function> {
    let lines = printed.lines().filter(|line| !line.starts_with("total:"));
    let function = |line: &str| {
        let (place, rest) = line.split_once(":\t")?;
        let (path, number) = place.strip_prefix("example.com/shop/")?.split_once(':')?;
        let percent = rest.split_whitespace().last()?.strip_suffix('%')?;
        Some(Function {
            path: path.to_owned(),
            line: number.parse().ok()?,
            percent: percent.parse().ok()?,
        })
    };
    lines.map(|line| function(line).unwrap()).collect()
}

fn check(mode: &str) {
    let project = Project::copy("go");
    project.run(&format!(
        "go test -covermode={mode} -coverprofile=cover.out ./..."
    ));
    let printed = project.run("go tool cover -func=cover.out");
    let read = project.read(&["cover.out"]);
    let functions = functions(&printed);
    assert_eq!(functions.len(), 4);
    for (i, function) in functions.iter().enumerate() {
        let next = functions
            .get(i + 1)
            .filter(|next| next.path == function.path);
        let end = next.map_or(u32::MAX, |next| next.line);
        let lines = read.of(&function.path);
        let states: Vec<State> = lines
            .iter()
            .filter(|(line, _, _)| (function.line..end).contains(line))
            .map(|(_, _, state)| *state)
            .collect();
        let all = |state| states.iter().all(|found| *found == state);
        assert_eq!(
            all(State::Hit),
            function.percent == 100.0,
            "{}",
            function.path
        );
        assert_eq!(
            all(State::Miss),
            function.percent == 0.0,
            "{}",
            function.path
        );
    }
    let [whole] = figures(&printed, r"total:.*\t(\d+)\.\d%");
    assert!(whole > 0 && whole < 100 && read.misses > 0 && read.partials > 0);
}

#[test]
fn counts_say_of_each_function_what_go_says() {
    check("count");
}

#[test]
fn sets_say_of_each_function_what_go_says() {
    check("set");
}
