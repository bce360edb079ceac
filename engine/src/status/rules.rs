//! Which statuses a codecov.yml asks for.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::{Outcome, Percent};

/// Statuses that one file may ask for.
pub const RULES_MAX: usize = 5_000;

/// What a status looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// The whole report.
    #[default]
    Project,
    /// The lines that the diff adds.
    Patch,
    /// What the diff does not explain.
    Changes,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Project => "project",
            Kind::Patch => "patch",
            Kind::Changes => "changes",
        }
    }

    fn parse(word: &str) -> Option<Kind> {
        [Kind::Project, Kind::Patch, Kind::Changes]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// When a project status passes although coverage fell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RemovedCode {
    /// Never.
    Off,
    /// When the change only takes lines away.
    RemovalsOnly,
    /// When head is as good as base without the lines that were taken away.
    #[default]
    AdjustBase,
    /// When every added line is covered, and nothing changed besides.
    FullyCoveredPatch,
}

/// One status, as a codecov.yml asks for it.
#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    /// What it looks at.
    pub kind: Kind,
    /// Its name among those of its kind.
    pub title: String,
    /// The coverage to reach; `None` is that of base.
    pub target: Option<Percent>,
    /// How far below is still good.
    pub threshold: Percent,
    /// When a fall is forgiven.
    pub removed_code: RemovedCode,
    /// How it ends where something is unknown.
    pub if_not_found: Outcome,
    /// Whether it is shown as passed whatever it finds.
    pub informational: bool,
    /// It looks only at uploads with one of these flags; of none, at all.
    pub flags: Vec<String>,
    /// It looks only at files that these patterns accept; of none, at all.
    pub paths: Vec<String>,
    /// It is only for these branches, patterns; of none, for all.
    pub branches: Vec<String>,
    /// It is only for commits of a pull request.
    pub only_pulls: bool,
}

impl Default for Rule {
    fn default() -> Rule {
        Rule {
            kind: Kind::Project,
            title: DEFAULT_TITLE.into(),
            target: None,
            threshold: Percent::ZERO,
            removed_code: RemovedCode::default(),
            if_not_found: Outcome::Success,
            informational: false,
            flags: Vec::new(),
            paths: Vec::new(),
            branches: Vec::new(),
            only_pulls: false,
        }
    }
}

const DEFAULT_TITLE: &str = "default";

impl Rule {
    /// The name under which a provider shows it.
    pub fn context(&self) -> String {
        let kind = self.kind.as_str();
        match self.title.as_str() {
            DEFAULT_TITLE => format!("codecov/{kind}"),
            title => format!("codecov/{kind}/{title}"),
        }
    }
}

/// Whether a branch is one on which GitHub's merge queue tests pull requests, which it made itself.
pub fn is_merge_queue(branch: &str) -> bool {
    static QUEUE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^gh-readonly-queue/.+/pr-\d+-[0-9a-f]+$").expect("the pattern is constant")
    });
    QUEUE.is_match(branch)
}

/// The statuses that a codecov.yml in its final form asks for, with those of these flags: first the named ones, then
/// those of flags, then those of components. At most [`RULES_MAX`].
pub fn rules(yaml: &Map<String, Value>, flags: &BTreeSet<String>) -> Vec<Rule> {
    let mut found = named(yaml);
    found.extend(flags.iter().flat_map(|flag| of_flag(yaml, flag)));
    found.extend(of_components(yaml, flags));
    for rule in &mut found {
        rule.paths = paths(yaml, rule);
    }
    found.truncate(RULES_MAX);
    found
}

fn named(yaml: &Map<String, Value>) -> Vec<Rule> {
    let statuses = yaml
        .get("coverage")
        .and_then(|coverage| coverage.get("status"));
    let mut found = Vec::new();
    for kind in [Kind::Project, Kind::Patch, Kind::Changes] {
        match statuses.and_then(|statuses| statuses.get(kind.as_str())) {
            Some(Value::Bool(true)) => found.push(Rule {
                kind,
                ..Rule::default()
            }),
            Some(Value::Object(titles)) => {
                let wanted = titles.iter().filter_map(|(title, said)| {
                    let nothing = json!({});
                    let said = if said == true { &nothing } else { said };
                    read(kind, title.clone(), said.as_object()?)
                });
                found.extend(wanted);
            }
            _ => {}
        }
    }
    found
}

/// The statuses of a flag: the entry under `flags` decides alone, else `flag_management`.
fn of_flag(yaml: &Map<String, Value>, flag: &str) -> Vec<Rule> {
    let statuses = match flag_rule(yaml, flag, "statuses") {
        Some(Value::Array(statuses)) => statuses.as_slice(),
        _ => return Vec::new(),
    };
    let own = |mut rule: Rule| {
        if rule.flags.is_empty() {
            rule.flags = vec![flag.to_owned()];
        }
        rule
    };
    statuses
        .iter()
        .filter_map(|said| managed(said, flag).map(own))
        .collect()
}

/// What is said of a flag under that key.
fn flag_rule<'a>(yaml: &'a Map<String, Value>, flag: &str, key: &str) -> Option<&'a Value> {
    if let Some(own) = yaml.get("flags").and_then(|flags| flags.get(flag)) {
        return own.get(key);
    }
    let management = yaml.get("flag_management")?;
    let individual = management.get("individual_flags").and_then(Value::as_array);
    let mut individual = individual.into_iter().flatten();
    individual
        .find(|own| own["name"] == flag)
        .and_then(|own| own.get(key))
        .or_else(|| management.get("default_rules")?.get(key))
}

fn of_components(yaml: &Map<String, Value>, flags: &BTreeSet<String>) -> Vec<Rule> {
    let management = yaml.get("component_management").unwrap_or(&Value::Null);
    let components = management["individual_components"].as_array();
    let mut found = Vec::new();
    for own in components.into_iter().flatten() {
        let say = |key: &str| match &own[key] {
            Value::Null => &management["default_rules"][key],
            said => said,
        };
        let name = [&own["name"], &own["component_id"]]
            .into_iter()
            .find_map(Value::as_str)
            .unwrap_or("default_component");
        let flags = matching(flags, say("flag_regexes"));
        let statuses = say("statuses").as_array().into_iter().flatten();
        for mut rule in statuses.filter_map(|said| managed(said, name)) {
            if rule.flags.is_empty() {
                rule.flags.clone_from(&flags);
            }
            if rule.paths.is_empty() {
                rule.paths = texts(say("paths"));
            }
            found.push(rule);
        }
    }
    found
}

fn matching(flags: &BTreeSet<String>, regexes: &Value) -> Vec<String> {
    let regexes: Vec<Regex> = texts(regexes)
        .iter()
        .filter_map(|text| Regex::new(&format!("^(?:{text})")).ok())
        .collect();
    let any = |flag: &&String| regexes.iter().any(|regex| regex.is_match(flag));
    flags.iter().filter(any).cloned().collect()
}

/// A status in a list, which has its kind in `type` and no title of its own.
fn managed(said: &Value, name: &str) -> Option<Rule> {
    let said = said.as_object()?;
    let kind = Kind::parse(said.get("type")?.as_str()?)?;
    let prefix = said.get("name_prefix").and_then(Value::as_str);
    read(kind, format!("{}{name}", prefix.unwrap_or_default()), said)
}

/// What is said of one status; `None` if it is switched off.
fn read(kind: Kind, title: String, said: &Map<String, Value>) -> Option<Rule> {
    let get = |key: &str| said.get(key).unwrap_or(&Value::Null);
    if *get("enabled") == false {
        return None;
    }
    Some(Rule {
        kind,
        title,
        target: percent(get("target")),
        threshold: percent(get("threshold")).unwrap_or_default(),
        removed_code: match get("removed_code_behavior") {
            Value::Bool(false) => RemovedCode::Off,
            word => match word.as_str() {
                Some("off") => RemovedCode::Off,
                Some("removals_only") => RemovedCode::RemovalsOnly,
                Some("fully_covered_patch") => RemovedCode::FullyCoveredPatch,
                _ => RemovedCode::AdjustBase,
            },
        },
        if_not_found: match get("if_not_found").as_str() {
            Some("failure") => Outcome::Failure,
            Some("error") => Outcome::Error,
            Some("ignore") => Outcome::Ignore,
            _ => Outcome::Success,
        },
        informational: *get("informational") == true,
        flags: texts(get("flags")),
        paths: texts(get("paths")),
        branches: texts(get("branches")),
        only_pulls: *get("only_pulls") == true || *get("base") == "pr",
    })
}

/// The paths of the rule and those of its flags; a flag without any means all.
fn paths(yaml: &Map<String, Value>, rule: &Rule) -> Vec<String> {
    let mut union: BTreeSet<String> = rule.paths.iter().cloned().collect();
    for flag in &rule.flags {
        match flag_rule(yaml, flag, "paths") {
            Some(paths) => union.extend(texts(paths)),
            None if is_stated(yaml, flag) => return rule.paths.clone(),
            None => {}
        }
    }
    union.into_iter().collect()
}

/// Whether anything is said of the flag.
fn is_stated(yaml: &Map<String, Value>, flag: &str) -> bool {
    yaml.get("flags")
        .is_some_and(|flags| flags.get(flag).is_some())
        || yaml.get("flag_management").is_some()
}

/// A number, or one written with a percent sign; `auto` is none.
fn percent(value: &Value) -> Option<Percent> {
    let number = match value {
        Value::String(text) => text.trim().trim_end_matches('%').parse().ok(),
        value => value.as_f64(),
    };
    number.map(Percent::from_f64)
}

fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().into_iter().flatten();
    texts.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codecov_yml::parse;

    fn asked(text: &str, flags: &[&str]) -> Vec<Rule> {
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        rules(&parse(text).expect("a codecov.yml"), &flags)
    }

    fn contexts(rules: &[Rule]) -> Vec<String> {
        rules.iter().map(Rule::context).collect()
    }

    #[test]
    fn statuses_are_those_that_are_not_switched_off() {
        let rules = asked(
            "coverage:
  status:
    project:
      default: {target: 80%, threshold: 1%, removed_code_behavior: off}
      app: {target: auto, paths: [src/], flags: [unit], if_not_found: failure}
      gone: {enabled: false}
      never: false
    patch: true
    changes: false
",
            &[],
        );
        let expected = ["codecov/project", "codecov/project/app", "codecov/patch"];
        assert_eq!(contexts(&rules), expected);
        let [strict, app, _] = &rules[..] else {
            panic!("{rules:?}");
        };
        assert_eq!(strict.target, Some(Percent::from_f64(80.0)));
        assert_eq!(strict.threshold, Percent::from_f64(1.0));
        assert_eq!(strict.removed_code, RemovedCode::Off);
        assert_eq!((app.target, app.if_not_found), (None, Outcome::Failure));
        assert_eq!(
            (&*app.flags, app.paths.len()),
            (&["unit".to_owned()][..], 1)
        );
    }

    #[test]
    fn flags_and_components_bring_statuses_of_their_own() {
        let rules = asked(
            "flag_management:
  default_rules:
    paths: [lib/]
    statuses:
      - {type: project, name_prefix: 'f-', target: 50%}
  individual_flags:
    - {name: e2e, statuses: [{type: patch}]}
component_management:
  individual_components:
    - {component_id: core, name: Core, paths: [core/], flag_regexes: [unit.*], statuses: [{type: project}]}
",
            &["e2e", "unit-linux"],
        );
        let expected = [
            "codecov/patch/e2e",
            "codecov/project/f-unit-linux",
            "codecov/project/Core",
        ];
        assert_eq!(contexts(&rules), expected);
        assert_eq!(rules[1].target, Some(Percent::from_f64(50.0)));
        assert_eq!(
            (&*rules[1].flags, rules[1].paths.len()),
            (&["unit-linux".to_owned()][..], 1)
        );
        assert_eq!(
            (&*rules[2].flags, rules[2].paths.len()),
            (&["unit-linux".to_owned()][..], 2)
        );
    }
}
