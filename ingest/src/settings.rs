//! The part of a codecov.yml that reading a report needs, read leniently: an unknown key or a value
//! of another type means the default, never an error.

use std::collections::BTreeMap;

use engine::carryforward::FlagPaths;
use engine::codecov_yml;
use regex::Regex;
use serde_yaml::Value;

/// What a codecov.yml says about reading reports.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `fixes`, in the order of the file.
    pub fixes: Vec<Fix>,
    /// `ignore`.
    pub ignore: Vec<Pattern>,
    /// `flags`, by name.
    pub flags: BTreeMap<String, FlagRules>,
    /// `flag_management`, when the file has it.
    pub flag_management: Option<FlagManagement>,
    /// `codecov.disable_default_path_fixes`.
    pub keeps_paths: bool,
    /// `codecov.max_report_age`.
    pub max_age: MaxAge,
    /// `parsers`.
    pub parsers: Parsers,
}

/// How old a report may be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum MaxAge {
    /// Not said: 12 hours.
    #[default]
    Default,
    /// Any age.
    Any,
    /// Today from midnight: what `true` and odd numbers mean.
    Today,
    /// A moment, in seconds since 1970.
    Since(i64),
    /// A text such as `24h ago`.
    Text(String),
}

/// Choices of single formats.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Parsers {
    /// `parsers.lcov.partials_as_hits`.
    pub lcov_partials_as_hits: bool,
    /// `parsers.go.partials_as_hits`.
    pub go_partials_as_hits: bool,
    /// `parsers.javascript.enable_partials`.
    pub javascript_partials: bool,
    /// `parsers.jacoco.partials_as_hits`.
    pub jacoco_partials_as_hits: bool,
    /// `parsers.cobertura.partials_as_hits`.
    pub cobertura_partials_as_hits: bool,
    /// `parsers.cobertura.handle_missing_conditions`.
    pub cobertura_handle_missing_conditions: bool,
    /// `parsers.gcov.branch_detection`.
    pub gcov_branches: GcovBranches,
}

/// On which lines the branches that gcov lists count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GcovBranches {
    /// `method`: first lines of functions; also needs the choice that fits the line's text.
    pub methods: bool,
    /// `loop`: `for` and `while`.
    pub loops: bool,
    /// `conditional`: `if` and `} else if`.
    pub conditionals: bool,
    /// `macro`: any other line.
    pub macros: bool,
}

/// What is said of one flag; `None` where it is silent.
#[derive(Clone, Debug, Default)]
pub struct FlagRules {
    /// Paths that the flag covers.
    pub paths: Option<Vec<Pattern>>,
    /// Paths that the flag leaves out.
    pub ignore: Option<Vec<Pattern>>,
    /// Whether the flag's coverage joins the report's.
    pub joined: Option<bool>,
    /// Whether the flag's last uploads stand in for missing ones.
    pub carryforward: Option<bool>,
    /// Whether anything at all is said, also what reading a report does not need.
    pub is_stated: bool,
}

/// `flag_management`: rules for every flag, overlaid by those of single ones.
#[derive(Clone, Debug, Default)]
pub struct FlagManagement {
    /// Rules of flags that are not named.
    pub default_rules: FlagRules,
    /// Rules by flag name.
    pub individual: BTreeMap<String, FlagRules>,
}

/// One entry of `fixes`: what stands in a path, and what takes its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fix {
    /// Regular expression that matches at the start of a path; empty for a prefix.
    pub before: String,
    /// The literal replacement, or the prefix.
    pub after: String,
}

/// A path pattern, normalised; matches from the start of a path.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// Whether it was written with a leading `!`.
    pub negated: bool,
    /// As it was written, without that; of one in its final form, how it may have been.
    pub written: String,
    /// The normalised regular expression, as text.
    pub text: String,
    regex: Option<Regex>,
}

impl Pattern {
    /// Normalises one pattern of a codecov.yml: a prefix, a glob or a regular expression. One that is no
    /// regular expression is taken literally.
    pub fn parse(written: &str) -> Pattern {
        let normal = codecov_yml::pattern(written);
        let text = normal.trim_start_matches('!');
        let literal = || {
            let bare = written.trim_start_matches('!');
            anchored(&regex::escape(bare.strip_prefix("./").unwrap_or(bare)))
        };
        Pattern {
            written: as_written(written.trim_start_matches('!')),
            negated: normal.starts_with('!'),
            text: text.to_owned(),
            regex: anchored(text).or_else(literal),
        }
    }

    /// Whether the pattern matches at the start of `path`.
    pub fn is_match(&self, path: &str) -> bool {
        self.regex
            .as_ref()
            .is_some_and(|regex| regex.is_match(path))
    }

    /// Whether the pattern is `.*`, which has a meaning of its own.
    pub fn is_everything(&self) -> bool {
        self.text == ".*"
    }

    /// The normalised text with its sign.
    fn signed(&self) -> String {
        let sign = if self.negated { "!" } else { "" };
        format!("{sign}{}", self.text)
    }

    /// The same pattern with the other sign.
    pub fn inverted(&self) -> Pattern {
        Pattern {
            negated: !self.negated,
            ..self.clone()
        }
    }
}

/// How a pattern in its final form may have been written: a prefix, a glob, or as it stands.
fn as_written(text: &str) -> String {
    let glob = text
        .strip_prefix("(?s:")
        .and_then(|rest| rest.strip_suffix(r")\Z"));
    let prefix = text
        .strip_prefix('^')
        .and_then(|rest| rest.strip_suffix(".*"));
    match (glob, prefix) {
        (Some(glob), _) => {
            let stars = glob.replace(r"[^\/]*", "*").replace(".*", "**");
            stars.replace('\\', "")
        }
        (_, Some(prefix)) if !prefix.contains(['*', '$', '[', ']']) => prefix.to_owned(),
        _ => text.to_owned(),
    }
}

/// The regular expression, matching only at the start; `None` when it is not one. Its `\Z` is Python's
/// end of the text.
pub(crate) fn anchored(text: &str) -> Option<Regex> {
    Regex::new(&format!("^(?:{})", text.replace(r"\Z", r"\z"))).ok()
}

impl Fix {
    /// Reads `before::after`; `None` without `::`.
    pub fn parse(written: &str) -> Option<Fix> {
        let (before, after) = codecov_yml::fix(written)?;
        let after = after.split("::").next().unwrap_or(after).to_owned();
        Some(Fix { before, after })
    }
}

impl Settings {
    /// Reads a codecov.yml, in YAML or JSON. A text that is neither gives the defaults.
    pub fn parse(text: &str) -> Settings {
        Settings::from_value(&serde_yaml::from_str(text).unwrap_or(Value::Null))
    }

    fn from_value(root: &Value) -> Settings {
        let codecov = key(root, "codecov");
        Settings {
            fixes: texts(key(root, "fixes"))
                .iter()
                .filter_map(|fix| Fix::parse(fix))
                .collect(),
            ignore: patterns(key(root, "ignore")).unwrap_or_default(),
            flags: entries(key(root, "flags"))
                .map(|(name, rules)| (name, FlagRules::from_value(rules)))
                .collect(),
            flag_management: flag_management(key(root, "flag_management")),
            keeps_paths: truthy(key(codecov, "disable_default_path_fixes")),
            max_age: max_age(codecov.get("max_report_age")),
            parsers: parsers(key(root, "parsers")),
        }
    }

    /// Whether every flag of an upload joins the report's coverage.
    pub fn joins(&self, flags: &[String]) -> bool {
        flags.iter().all(|flag| {
            self.flags
                .get(flag)
                .and_then(|rules| rules.joined)
                .unwrap_or(true)
        })
    }

    /// What counts for `flag`: its own entry, else `flag_management`.
    pub fn flag_rules(&self, flag: &str) -> FlagRules {
        if let Some(rules) = self.flags.get(flag) {
            return rules.clone();
        }
        match &self.flag_management {
            Some(management) => management.rules(flag),
            None => FlagRules::default(),
        }
    }

    /// Whether the flag's last uploads stand in for missing ones: a `flags` entry that says anything
    /// decides alone.
    pub fn carries_forward(&self, flag: &str) -> bool {
        self.stated_rules(flag)
            .and_then(|rules| rules.carryforward)
            .unwrap_or(false)
    }

    /// Whether any flag is carried forward.
    pub fn carries_anything(&self) -> bool {
        let carries = |rules: &FlagRules| rules.carryforward == Some(true);
        let managed = self.flag_management.as_ref().is_some_and(|management| {
            carries(&management.default_rules) || management.individual.values().any(carries)
        });
        managed || self.flags.values().any(carries)
    }

    /// The paths that are carried forward with the flag, as patterns with their signs.
    pub fn carried_paths(&self, flag: &str) -> FlagPaths<String> {
        let Some(rules) = self.stated_rules(flag) else {
            return FlagPaths::Unknown;
        };
        match rules.paths {
            None => FlagPaths::All,
            Some(paths) => FlagPaths::Only(paths.iter().map(Pattern::signed).collect()),
        }
    }

    /// Like [`Settings::flag_rules`], passing over `flags` entries that say nothing.
    fn stated_rules(&self, flag: &str) -> Option<FlagRules> {
        match self.flags.get(flag).filter(|rules| rules.is_stated) {
            Some(rules) => Some(rules.clone()),
            None => Some(self.flag_management.as_ref()?.rules(flag)),
        }
    }
}

impl FlagManagement {
    /// What counts for `flag`.
    fn rules(&self, flag: &str) -> FlagRules {
        let default = self.default_rules.clone();
        let own = self.individual.get(flag).cloned().unwrap_or_default();
        FlagRules {
            paths: own.paths.or(default.paths),
            ignore: own.ignore.or(default.ignore),
            joined: own.joined.or(default.joined),
            carryforward: own.carryforward.or(default.carryforward),
            is_stated: true,
        }
    }
}

impl FlagRules {
    fn from_value(value: &Value) -> FlagRules {
        FlagRules {
            paths: patterns(key(value, "paths")),
            ignore: patterns(key(value, "ignore")),
            joined: key(value, "joined").as_bool(),
            carryforward: key(value, "carryforward").as_bool(),
            is_stated: truthy(value),
        }
    }
}

fn flag_management(value: &Value) -> Option<FlagManagement> {
    value.as_mapping()?;
    let individual = key(value, "individual_flags")
        .as_sequence()
        .into_iter()
        .flatten();
    Some(FlagManagement {
        default_rules: FlagRules::from_value(key(value, "default_rules")),
        individual: individual
            .filter_map(|rules| {
                Some((
                    key(rules, "name").as_str()?.to_owned(),
                    FlagRules::from_value(rules),
                ))
            })
            .collect(),
    })
}

fn max_age(value: Option<&Value>) -> MaxAge {
    match value {
        None => MaxAge::Default,
        Some(value) if !truthy(value) => MaxAge::Any,
        Some(Value::String(text)) => MaxAge::Text(text.clone()),
        Some(Value::Number(number)) => match number.as_i64() {
            Some(seconds @ 1_000_000_000..=9_999_999_999) => MaxAge::Since(seconds),
            _ => MaxAge::Today,
        },
        Some(_) => MaxAge::Today,
    }
}

fn parsers(value: &Value) -> Parsers {
    let choice = |format, name| truthy(key(key(value, format), name));
    Parsers {
        lcov_partials_as_hits: choice("lcov", "partials_as_hits"),
        go_partials_as_hits: choice("go", "partials_as_hits"),
        javascript_partials: choice("javascript", "enable_partials"),
        jacoco_partials_as_hits: choice("jacoco", "partials_as_hits"),
        cobertura_partials_as_hits: choice("cobertura", "partials_as_hits"),
        cobertura_handle_missing_conditions: choice("cobertura", "handle_missing_conditions"),
        gcov_branches: gcov_branches(key(key(value, "gcov"), "branch_detection")),
    }
}

fn gcov_branches(value: &Value) -> GcovBranches {
    let choice = |name| truthy(key(value, name));
    GcovBranches {
        methods: choice("method"),
        loops: choice("loop"),
        conditionals: choice("conditional"),
        macros: choice("macro"),
    }
}

/// The value under `name`, or null.
fn key<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

fn entries(value: &Value) -> impl Iterator<Item = (String, &Value)> {
    value
        .as_mapping()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((text(name)?, value)))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        _ => None,
    }
}

/// The texts of a list; one text alone is a list of one.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Sequence(items) => items.iter().filter_map(text).collect(),
        value => text(value).into_iter().collect(),
    }
}

fn patterns(value: &Value) -> Option<Vec<Pattern>> {
    match value {
        Value::Null => None,
        value => Some(
            texts(value)
                .iter()
                .map(|text| Pattern::parse(text))
                .collect(),
        ),
    }
}

/// Whether a value means yes; also where YAML 1.1 reads a word as a boolean.
fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !matches!(
            text.trim().to_ascii_lowercase().as_str(),
            "" | "0" | "false" | "off" | "no"
        ),
        Value::Sequence(items) => !items.is_empty(),
        Value::Mapping(map) => !map.is_empty(),
        Value::Tagged(tagged) => truthy(&tagged.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_normalised_by_their_shape() {
        let text = |written| Pattern::parse(written).text;
        assert_eq!(text("tests"), "^tests.*");
        assert_eq!(text("docs/*"), r"(?s:docs/[^\/]*)\Z");
        assert_eq!(text("*.md"), r"(?s:[^\/]*\.md)\Z");
        assert_eq!(text(r".*_pb2\.py$"), r".*_pb2\.py$");
        assert_eq!(text("gen/[!a]*x/**"), r"(?s:gen/[^a][^\/]*x/.*)\Z");
        let negated = Pattern::parse("!gen/keep");
        assert!(negated.negated && negated.text == "^gen/keep.*");
    }

    #[test]
    fn a_pattern_in_its_final_form_is_the_same_and_shown_as_written() {
        for written in [
            "tests/",
            "*.py",
            "docs/**",
            "src/*/a.py",
            ".*_pb2$",
            "[a-z]+/x",
        ] {
            let first = Pattern::parse(written);
            let again = Pattern::parse(&first.text);
            assert_eq!((&again.text, &*again.written), (&first.text, written));
        }
    }

    #[test]
    fn a_pattern_that_is_no_regular_expression_is_taken_literally() {
        assert!(Pattern::parse("a(b").is_match("a(b/c.py"));
        assert!(Pattern::parse("a[b").is_match("a[b"));
    }

    #[test]
    fn odd_settings_mean_the_default() {
        let settings = Settings::parse("codecov: 3\nfixes: {a: b}\nflags: [x]\nignore: one/");
        assert_eq!(settings.max_age, MaxAge::Default);
        assert_eq!(settings.ignore.len(), 1);
        assert!(settings.flags.is_empty() && settings.fixes.is_empty());
        assert_eq!(
            Settings::parse("codecov: {max_report_age: off}").max_age,
            MaxAge::Any
        );
        assert!(Settings::parse(": : :\n\t- {").ignore.is_empty());
    }
}
