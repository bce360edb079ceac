//! Components: named sets of paths, and of flags, that the settings declare. Nothing of them is stored with a report.

use engine::db::uploads::UploadPack;
use regex::Regex;
use serde_json::{Map, Value};

use crate::filter::PathPatterns;
use crate::settings::anchored;

/// Components that one file may declare.
const COMPONENTS_MAX: usize = 1_000;

/// One component.
#[derive(Clone, Debug, Default)]
pub struct Component {
    /// Its id, which is always there.
    pub id: String,
    /// Its name, which may be empty.
    pub name: String,
    /// Its paths.
    pub paths: PathPatterns,
    flags: Option<Vec<Regex>>,
}

impl Component {
    /// The components of the settings in their final form, in their order. What a component does not say, the
    /// default rules say.
    pub fn list(yaml: &Map<String, Value>) -> Vec<Component> {
        let Some(management) = yaml.get("component_management") else {
            return Vec::new();
        };
        let declared = management["individual_components"].as_array();
        let declared = declared.into_iter().flatten().take(COMPONENTS_MAX);
        declared
            .filter_map(|own| Component::new(own, &management["default_rules"]))
            .collect()
    }

    fn new(own: &Value, default: &Value) -> Option<Component> {
        let rule = |key: &str| match &own[key] {
            Value::Null => texts(&default[key]),
            value => texts(value),
        };
        let flags = rule("flag_regexes").map(|written| {
            let compiled = written.iter().filter_map(|text| anchored(text));
            compiled.collect()
        });
        Some(Component {
            id: own["component_id"].as_str()?.to_owned(),
            name: own["name"].as_str().unwrap_or_default().to_owned(),
            paths: PathPatterns::new(&rule("paths").unwrap_or_default()),
            flags,
        })
    }

    /// Whether what an upload with this flag says counts.
    pub fn has_flag(&self, flag: &str) -> bool {
        match &self.flags {
            None => true,
            Some(flags) => flags.iter().any(|regex| regex.is_match(flag)),
        }
    }

    /// Whether the component names flags, so that only some uploads count.
    pub fn names_flags(&self) -> bool {
        self.flags.is_some()
    }

    /// Whether what the upload says counts.
    pub fn counts(&self, upload: &UploadPack) -> bool {
        !self.names_flags() || upload.flags.iter().any(|flag| self.has_flag(flag))
    }
}

/// The texts of a list; `None` where there is no list, or an empty one, which restricts nothing.
fn texts(list: &Value) -> Option<Vec<String>> {
    let texts = list.as_array()?.iter().filter_map(Value::as_str);
    let texts: Vec<String> = texts.map(str::to_owned).collect();
    (!texts.is_empty()).then_some(texts)
}

#[cfg(test)]
mod tests {
    use engine::codecov_yml::parse;

    use super::*;

    #[test]
    fn what_a_component_does_not_say_the_default_rules_say() {
        let yaml = parse(
            "component_management:
  default_rules: {paths: [lib/], flag_regexes: [unit.*]}
  individual_components:
    - {component_id: a, name: A, paths: [src/a/]}
    - {component_id: b, flag_regexes: [e2e]}
",
        );
        let components = Component::list(&yaml.unwrap());
        let [a, b] = &components[..] else {
            panic!("{components:?}");
        };
        assert_eq!((&*a.id, &*a.name, &*b.id, &*b.name), ("a", "A", "b", ""));
        assert!(a.paths.includes("src/a/x.c") && !a.paths.includes("lib/x.c"));
        assert!(b.paths.includes("lib/x.c"));
        assert!(a.has_flag("unit-linux") && !a.has_flag("e2e") && !a.has_flag("my-unit"));
        assert!(b.has_flag("e2e") && !b.has_flag("unit"));
    }
}
