//! Several codecov.yml, of which the nearer goes before: the site's, the owner's, and the commit's or
//! the repository's.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Where a setting comes from, the farthest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Source {
    /// What Hitline does when nobody says otherwise.
    Default,
    /// The installation's configuration, below `site`.
    Site,
    /// The owner's settings.
    Owner,
    /// The file in the repository, as its last commit on the default branch has it.
    Repository,
    /// The file in the repository, as the commit has it.
    Commit,
}

impl Source {
    /// The word for it in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Default => "default",
            Source::Site => "site",
            Source::Owner => "owner",
            Source::Repository => "repository",
            Source::Commit => "commit",
        }
    }
}

/// Where each value of an effective file comes from, by its keys joined with dots.
pub type Origin = BTreeMap<String, Source>;

/// What holds where nobody says anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Defaults {
    /// Statuses of project and patch, and the long comment.
    ProjectAndPatch,
    /// A status of the patch only, and the short comment.
    Patch,
}

impl Defaults {
    /// The last moment of owners with the older defaults: 2024-04-30, in microseconds since 1970.
    const OLDER_UNTIL_US: i64 = 1_714_435_200_000_000;

    /// The defaults of an owner that became known at `created_us`.
    pub fn of_owner(created_us: i64) -> Defaults {
        match created_us > Defaults::OLDER_UNTIL_US {
            true => Defaults::Patch,
            false => Defaults::ProjectAndPatch,
        }
    }
}

/// What holds when all of them speak, and where each value comes from. Keys of a mapping are merged;
/// any other value takes the place of what was there. The defaults lie under all of them.
pub fn effective(
    defaults: Defaults,
    layers: &[(Source, &Map<String, Value>)],
) -> (Map<String, Value>, Origin) {
    let mut merged = Map::new();
    let mut origin = Origin::new();
    let lowest = defaults_as_map(defaults);
    overlay(&mut merged, &mut origin, &lowest, Source::Default, "");
    for (source, layer) in layers {
        overlay(&mut merged, &mut origin, layer, *source, "");
    }
    (merged, origin)
}

fn defaults_as_map(which: Defaults) -> Map<String, Value> {
    let mut defaults = json!({
        "codecov": {"require_ci_to_pass": true, "notify": {"wait_for_ci": true}},
        "coverage": {
            "precision": 2,
            "round": "down",
            "range": [60.0, 80.0],
            "status": {
                "project": true,
                "patch": true,
                "changes": false,
                "default_rules": {"flag_coverage_not_uploaded_behavior": "include"},
            },
        },
        "comment": {
            "layout": "reach,diff,flags,tree,reach",
            "behavior": "default",
            "show_carryforward_flags": false,
        },
        "slack_app": true,
    });
    if which == Defaults::Patch {
        defaults["coverage"]["status"]["project"] = json!(false);
        defaults["comment"]["layout"] = json!("condensed_header, flags, tree, component");
        defaults["comment"]["hide_project_coverage"] = json!(true);
    }
    match defaults {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn overlay(
    under: &mut Map<String, Value>,
    origin: &mut Origin,
    over: &Map<String, Value>,
    source: Source,
    path: &str,
) {
    for (key, value) in over {
        let path = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        if let Value::Object(inner) = value {
            if !matches!(under.get(key), Some(Value::Object(_))) {
                forget(origin, &path);
                under.insert(key.clone(), Value::Object(Map::new()));
            }
            if inner.is_empty() {
                origin.insert(path.clone(), source);
            }
            if let Some(Value::Object(below)) = under.get_mut(key) {
                overlay(below, origin, inner, source, &path);
            }
        } else {
            forget(origin, &path);
            under.insert(key.clone(), value.clone());
            origin.insert(path, source);
        }
    }
}

/// Drops what is known of a value that another takes the place of.
fn forget(origin: &mut Origin, path: &str) {
    origin.remove(path);
    let below = format!("{path}.");
    let gone: Vec<String> = origin
        .range(below.clone()..)
        .take_while(|(key, _)| key.starts_with(&below))
        .map(|(key, _)| key.clone())
        .collect();
    for key in gone {
        origin.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other} is no mapping"),
        }
    }

    #[test]
    fn owners_since_may_2024_start_with_a_status_of_the_patch_only() {
        let project = |created_us| {
            let (merged, _) = effective(Defaults::of_owner(created_us), &[]);
            merged["coverage"]["status"]["project"].clone()
        };
        assert_eq!(project(1_714_435_200_000_000), true);
        assert_eq!(project(1_714_435_200_000_001), false);
    }

    #[test]
    fn the_nearer_file_goes_before_key_by_key() {
        let owner = map(
            json!({"coverage": {"round": "up", "status": {"project": {"default": {"target": 80.0}}}}, "ignore": ["^a.*"]}),
        );
        let repo = map(
            json!({"coverage": {"precision": 1, "status": {"project": false}}, "ignore": ["^b.*"], "comment": false}),
        );
        let (merged, origin) = effective(
            Defaults::ProjectAndPatch,
            &[(Source::Owner, &owner), (Source::Repository, &repo)],
        );
        assert_eq!(merged["coverage"]["round"], "up");
        assert_eq!(merged["coverage"]["precision"], 1);
        assert_eq!(merged["coverage"]["status"]["project"], false);
        assert_eq!(merged["coverage"]["status"]["patch"], true);
        assert_eq!(merged["ignore"], json!(["^b.*"]));
        assert_eq!(merged["comment"], false);
        assert_eq!(origin["coverage.round"], Source::Owner);
        assert_eq!(origin["coverage.status.patch"], Source::Default);
        assert_eq!(origin["comment"], Source::Repository);
        assert!(
            !origin
                .keys()
                .any(|key| key.starts_with("comment.") || key.contains("target"))
        );
    }

    #[test]
    fn a_mapping_takes_the_place_of_a_plain_value() {
        let over = map(json!({"coverage": {"status": {"project": {"default": {}}}}}));
        let (merged, origin) = effective(Defaults::ProjectAndPatch, &[(Source::Repository, &over)]);
        assert_eq!(
            merged["coverage"]["status"]["project"],
            json!({"default": {}})
        );
        assert!(!origin.contains_key("coverage.status.project"));
        assert_eq!(
            origin["coverage.status.project.default"],
            Source::Repository
        );
    }
}
