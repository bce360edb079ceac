//! `codecov.yml`: what it may say, and what it says once it is read.
//!
//! A file is checked against the [`schema`] as a whole: one wrong value refuses all of it, and every
//! error is told with its key and its line. What is kept is the file with its values in their final
//! form: percentages as numbers, patterns as regular expressions. Source: Codecov's YAML reference and the
//! behaviour of its validator.

mod check;
mod coerce;
mod merge;
mod schema;

use serde_json::{Map, Value};

pub use check::{Errors, Issue};
pub use coerce::{fix, pattern};
pub use merge::{Defaults, Origin, Source, effective};
pub use schema::json_schema;

/// The most bytes that a codecov.yml may have.
pub const MAX_YAML_BYTES: usize = 1 << 20;

/// Why a text is no codecov.yml.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum YamlError {
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It is larger than [`MAX_YAML_BYTES`].
    #[error("the file has {0} bytes; the most is {MAX_YAML_BYTES}")]
    TooLarge(usize),
    /// It is no YAML.
    #[error("line {line}, column {column}: {problem}")]
    Syntax {
        /// What is wrong.
        problem: String,
        /// 1-based.
        line: usize,
        /// 1-based.
        column: usize,
    },
    /// It is YAML, but not keys and values.
    #[error("the file must be a list of keys with values")]
    NoMapping,
    /// Keys or values are not what they may be.
    #[error("{0}")]
    Invalid(Box<Errors>),
}

/// Reads a codecov.yml and checks it; gives it with its values in their final form, keys in their order.
/// Linear.
pub fn parse(text: &str) -> Result<Map<String, Value>, YamlError> {
    if text.len() > MAX_YAML_BYTES {
        return Err(YamlError::TooLarge(text.len()));
    }
    if text.trim().is_empty() {
        return Err(YamlError::Empty);
    }
    let value: Value = serde_yaml::from_str(text).map_err(|error| {
        let (line, column) = error
            .location()
            .map_or((1, 1), |at| (at.line(), at.column()));
        YamlError::Syntax {
            problem: error.to_string(),
            line,
            column,
        }
    })?;
    match value {
        Value::Null => Err(YamlError::Empty),
        Value::Object(map) => check_all(map, text),
        _ => Err(YamlError::NoMapping),
    }
}

/// Checks keys and values that were read elsewhere; errors have no lines.
pub fn validate(map: Map<String, Value>) -> Result<Map<String, Value>, YamlError> {
    check_all(map, "")
}

fn check_all(mut map: Map<String, Value>, text: &str) -> Result<Map<String, Value>, YamlError> {
    move_old_places(&mut map);
    check::check(map, schema::root(), text).map_err(YamlError::Invalid)
}

/// Moves what stood elsewhere in old files to where it belongs.
fn move_old_places(map: &mut Map<String, Value>) {
    map.remove("to_string");
    if let Some(Value::Object(coverage)) = map.get_mut("coverage") {
        let moved: Vec<_> = ["flags", "parsers", "ignore", "fixes"]
            .into_iter()
            .filter_map(|key| Some((key, coverage.shift_remove(key)?)))
            .collect();
        for (key, value) in moved {
            map.insert(key.into(), value);
        }
    }
    if let Some(Value::Object(codecov)) = map.get_mut("codecov")
        && let Some(Value::Object(notify)) = codecov.get_mut("notify")
        && let Some(gate) = notify.shift_remove("require_ci_to_pass")
    {
        codecov.insert("require_ci_to_pass".into(), gate);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn valid(text: &str) -> Value {
        Value::Object(parse(text).unwrap())
    }

    fn errors(text: &str) -> Value {
        match parse(text) {
            Err(YamlError::Invalid(errors)) => errors.as_json(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn values_are_kept_in_their_final_form() {
        for (text, expected) in [
            (
                "coverage: {range: '70...90', status: {project: {default: {target: 80%, threshold: 1%}}}}",
                json!({"coverage": {"range": [70.0, 90.0], "status": {"project": {"default": {"target": 80.0, "threshold": 1.0}}}}}),
            ),
            (
                "coverage: {range: [90, 70]}",
                json!({"coverage": {"range": [70.0, 90.0]}}),
            ),
            (
                "comment: {require_changes: coverage_drop or uncovered_patch and any_change}",
                json!({"comment": {"require_changes": [6, 1]}}),
            ),
            (
                "comment: {require_changes: true}",
                json!({"comment": {"require_changes": [1]}}),
            ),
            (
                "ignore: [./a/b, '**/x', 'a.*', '*.py', '[a-z]+/x', '!gen/keep']",
                json!({"ignore": ["^a/b.*", "(?s:.*/x)\\Z", "a.*", "(?s:[^\\/]*\\.py)\\Z", "[a-z]+/x", "!^gen/keep.*"]}),
            ),
            (
                "fixes: ['before/::after/', '::x', 'src/*/a::b']",
                json!({"fixes": ["^before/::after/", "::x", "(?s:src/[^\\/]*/a)::b"]}),
            ),
            (
                "coverage: {status: {patch: {default: {branches: [main, 'rel*', '!x', '*']}}}}",
                json!({"coverage": {"status": {"patch": {"default": {"branches": ["^main$", "^rel.*", "^!x$", ".*"]}}}}}),
            ),
            (
                "flag_management: {individual_flags: [{name: a, statuses: [{type: patch, target: 80%, branches: ['main*']}]}]}",
                json!({"flag_management": {"individual_flags": [{"name": "a", "statuses": [{"type": "patch", "target": "80%", "branches": ["main*"]}]}]}}),
            ),
            (
                "bundle_analysis: {warning_threshold: 5%}",
                json!({"bundle_analysis": {"warning_threshold": ["percentage", 5.0]}}),
            ),
            (
                "bundle_analysis: {warning_threshold: 3 kb}",
                json!({"bundle_analysis": {"warning_threshold": ["absolute", 3000]}}),
            ),
            (
                "codecov: {branch: origin/main, require_ci_to_pass: no}",
                json!({"codecov": {"branch": "main", "require_ci_to_pass": false}}),
            ),
            (
                "coverage: {status: true}",
                json!({"coverage": {"status": true}}),
            ),
            (
                "coverage: {ignore: [a]}",
                json!({"coverage": {}, "ignore": ["^a.*"]}),
            ),
        ] {
            assert_eq!(valid(text), expected, "{text}");
        }
    }

    #[test]
    fn errors_are_worded_as_codecov_words_them() {
        for (text, expected) in [
            (
                "coverage: {range: 70...5000}",
                json!({"coverage": [{"range": ["must be of list type", "field 'range' cannot be coerced: "]}]}),
            ),
            (
                "coverage: {range: [50, 101]}",
                json!({"coverage": [{"range": ["field 'range' cannot be coerced: "]}]}),
            ),
            (
                "coverage: {status: {project: {default: {target: abc}}}}",
                json!({"coverage": [{"status": [{"project": [{"default": [{"target": [
                    "no definitions validate",
                    "field 'target' cannot be coerced: ",
                    {"anyof definition 0": ["unallowed value abc"], "anyof definition 1": ["value does not match regex '(\\d+)(\\.\\d+)?%?'"]}
                ]}]}]}]}]}),
            ),
            (
                "fixes: [abc]",
                json!({"fixes": [{"0": ["field '0' cannot be coerced: "]}]}),
            ),
            (
                "comment: {layout: 'reach, component'}",
                json!({"comment": [{"layout": ["Unexpected values on layout: component"]}]}),
            ),
            (
                "comment: {layout: 'files:x'}",
                json!({"comment": [{"layout": ["Improper pattern for value on layout: files:x"]}]}),
            ),
            (
                "component_management: {individual_components: [{name: a}]}",
                json!({"component_management": [{"individual_components": [{"0": [{"component_id": ["required field"]}]}]}]}),
            ),
            (
                "coverage: {status: {project: {base: auto}}}",
                json!({"coverage": [{"status": [{"project": [{"base": ["must be of ['dict', 'boolean'] type"]}]}]}]}),
            ),
            (
                "coverage: {precison: 2}",
                json!({"coverage": [{"precison": ["unknown field"]}]}),
            ),
            ("codecov:", json!({"codecov": ["null value not allowed"]})),
            (
                "codecov: {notify: {after_n_builds: '2'}}",
                json!({"codecov": [{"notify": [{"after_n_builds": ["must be of integer type"]}]}]}),
            ),
            (
                "coverage: {round: sideways}",
                json!({"coverage": [{"round": ["unallowed value sideways"]}]}),
            ),
            (
                "coverage: {precision: 100}",
                json!({"coverage": [{"precision": ["max value is 99"]}]}),
            ),
        ] {
            assert_eq!(errors(text), expected, "{text}");
        }
    }

    #[test]
    fn an_error_names_key_line_and_remedy() {
        let text = "codecov:\n  notify:\n    after_n_builds: 2\ncoverage:\n  precison: 2\n  round: sideways\n";
        let Err(YamlError::Invalid(errors)) = parse(text) else {
            panic!("it is valid");
        };
        let told: Vec<String> = errors.issues().iter().map(Issue::to_string).collect();
        let expected = [
            "line 5: coverage.precison: unknown field; did you mean precision?",
            "line 6: coverage.round: unallowed value sideways; one of down, up, nearest",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_no_mapping_is_told_apart() {
        assert_eq!(parse(" \n"), Err(YamlError::Empty));
        assert_eq!(parse("# only words\n"), Err(YamlError::Empty));
        assert_eq!(parse("- a"), Err(YamlError::NoMapping));
        assert!(matches!(
            parse("a: [\n"),
            Err(YamlError::Syntax { line: 1.., .. })
        ));
    }
}
