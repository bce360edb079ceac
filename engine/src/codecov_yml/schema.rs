//! What may stand in a codecov.yml, key by key.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::coerce::Coercion;

/// Types of values, by the names that errors give them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Type {
    Bool,
    Dict,
    Integer,
    List,
    Number,
    Text,
}

impl Type {
    pub(super) fn name(self) -> &'static str {
        match self {
            Type::Bool => "boolean",
            Type::Dict => "dict",
            Type::Integer => "integer",
            Type::List => "list",
            Type::Number => "number",
            Type::Text => "string",
        }
    }

    pub(super) fn fits(self, value: &Value) -> bool {
        match self {
            Type::Bool => value.is_boolean(),
            Type::Dict => value.is_object(),
            Type::Integer => value.is_i64() || value.is_u64(),
            Type::List => value.is_array(),
            Type::Number => value.is_number(),
            Type::Text => value.is_string(),
        }
    }

    fn json_name(self) -> &'static str {
        match self {
            Type::Dict => "object",
            Type::List => "array",
            other => other.name(),
        }
    }
}

/// What one value may be.
#[derive(Clone, Default)]
pub(super) struct Rule {
    /// Any of these; anything when there is none.
    pub(super) types: Vec<Type>,
    pub(super) nullable: bool,
    pub(super) required: bool,
    pub(super) allowed: Vec<Value>,
    pub(super) regex: Option<&'static str>,
    pub(super) least: Option<i64>,
    pub(super) most: Option<i64>,
    /// Least and greatest length.
    pub(super) length: Option<(usize, usize)>,
    /// The value's final form.
    pub(super) coercion: Option<Coercion>,
    pub(super) is_layout: bool,
    /// Rules of which one must hold; they do not change the value.
    pub(super) any_of: Vec<Rule>,
    pub(super) inner: Inner,
}

/// What a value may hold.
#[derive(Clone, Default)]
pub(super) enum Inner {
    #[default]
    Unchecked,
    /// These keys.
    Fields(Vec<(&'static str, Rule)>),
    /// Keys of one form, all with values of one kind.
    Keys {
        regex: Option<&'static str>,
        length: Option<(usize, usize)>,
        value: Box<Rule>,
    },
    /// Items of one kind.
    Items(Box<Rule>),
}

impl Rule {
    fn null(mut self) -> Rule {
        self.nullable = true;
        self
    }

    fn required(mut self) -> Rule {
        self.required = true;
        self
    }

    fn or(mut self, other: Type) -> Rule {
        self.types.push(other);
        self
    }

    fn coerced(mut self, coercion: Coercion) -> Rule {
        self.coercion = Some(coercion);
        self
    }

    fn at_least(mut self, least: i64) -> Rule {
        self.least = Some(least);
        self
    }
}

fn of(kind: Type) -> Rule {
    Rule {
        types: vec![kind],
        ..Rule::default()
    }
}

fn boolean() -> Rule {
    of(Type::Bool)
}

fn text() -> Rule {
    of(Type::Text)
}

fn integer() -> Rule {
    of(Type::Integer)
}

fn one_of(words: &[&str]) -> Rule {
    Rule {
        allowed: words.iter().map(|&word| json!(word)).collect(),
        ..text()
    }
}

fn fields(fields: Vec<(&'static str, Rule)>) -> Rule {
    Rule {
        inner: Inner::Fields(fields),
        ..of(Type::Dict)
    }
}

fn list(item: Rule) -> Rule {
    Rule {
        inner: Inner::Items(Box::new(item)),
        ..of(Type::List)
    }
}

/// Names of statuses and notifications, with their rules.
fn titles(value: Rule) -> Rule {
    Rule {
        inner: Inner::Keys {
            regex: Some(TITLE),
            length: None,
            value: Box::new(value),
        },
        ..of(Type::Dict)
    }
}

const TITLE: &str = r"^[\w\-\.]+$";
const FLAG_NAME: &str = r#"^[^'"]+$"#;
const FLAG_NAME_LENGTH: (usize, usize) = (1, 1024);
const PERCENT: &str = r"(\d+)(\.\d+)?%?";

fn branches() -> Rule {
    list(text().null().coerced(Coercion::Branch)).null()
}

fn paths() -> Rule {
    list(text().coerced(Coercion::Pattern)).null()
}

fn flag_names() -> Rule {
    list(Rule {
        regex: Some(FLAG_NAME),
        length: Some(FLAG_NAME_LENGTH),
        ..text()
    })
    .null()
}

fn percent() -> Rule {
    Rule {
        regex: Some(PERCENT),
        ..of(Type::Text).or(Type::Number).null()
    }
    .coerced(Coercion::Percent)
}

fn percent_or_auto() -> Rule {
    let auto = Rule {
        allowed: vec![json!("auto")],
        ..Rule::default()
    };
    let number = Rule {
        regex: Some(PERCENT),
        ..Rule::default()
    };
    Rule {
        any_of: vec![auto, number],
        ..of(Type::Text).or(Type::Number).null()
    }
    .coerced(Coercion::PercentOrAuto)
}

fn base() -> Rule {
    one_of(&["parent", "pr", "auto"])
}

fn behaviour() -> Rule {
    one_of(&["include", "exclude", "pass"])
}

fn state() -> Rule {
    one_of(&["success", "failure", "error", "ignore"])
}

fn status_common() -> Vec<(&'static str, Rule)> {
    let mut removed_code =
        one_of(&["removals_only", "adjust_base", "fully_covered_patch", "off"]).or(Type::Bool);
    removed_code.allowed.push(json!(false));
    vec![
        ("base", base()),
        ("branches", branches()),
        ("disable_approx", boolean()),
        ("enabled", boolean()),
        ("if_ci_failed", state()),
        ("if_no_uploads", state()),
        ("if_not_found", state()),
        ("informational", boolean()),
        (
            "measurement",
            one_of(&["line", "statement", "branch", "method", "complexity"]).null(),
        ),
        ("only_pulls", boolean()),
        ("skip_if_assumes", boolean()),
        ("removed_code_behavior", removed_code),
    ]
}

fn status_standard() -> Vec<(&'static str, Rule)> {
    let mut fields = status_common();
    fields.extend([
        ("flags", flag_names()),
        ("paths", paths()),
        ("carryforward_behavior", behaviour()),
        ("flag_coverage_not_uploaded_behavior", behaviour()),
    ]);
    fields
}

fn with_target(mut all: Vec<(&'static str, Rule)>) -> Rule {
    all.extend([
        ("target", percent_or_auto()),
        ("include_changes", percent_or_auto()),
        ("threshold", percent()),
    ]);
    fields(all).or(Type::Bool).null()
}

/// A status of flags or components. It is checked but kept as it is written.
fn managed_status(mut all: Vec<(&'static str, Rule)>) -> Rule {
    all.extend([
        (
            "name_prefix",
            Rule {
                regex: Some(TITLE),
                ..text()
            },
        ),
        ("type", one_of(&["project", "patch", "changes"])),
        ("target", percent_or_auto()),
        ("threshold", percent()),
    ]);
    list(Rule {
        any_of: vec![fields(all)],
        ..of(Type::Dict)
    })
}

fn flag_rules() -> Vec<(&'static str, Rule)> {
    let mut statuses = status_common();
    statuses.extend([
        ("paths", paths()),
        ("carryforward_behavior", behaviour()),
        ("flag_coverage_not_uploaded_behavior", behaviour()),
    ]);
    vec![
        ("statuses", managed_status(statuses)),
        ("carryforward_mode", one_of(&["all", "labels"])),
        ("carryforward", boolean()),
        ("paths", paths()),
        ("ignore", paths()),
        ("after_n_builds", integer().at_least(0)),
    ]
}

fn component_rules() -> Vec<(&'static str, Rule)> {
    vec![
        ("statuses", managed_status(status_common())),
        ("flag_regexes", list(text())),
        ("paths", paths()),
    ]
}

fn notification(more: Vec<(&'static str, Rule)>) -> Rule {
    let mut all = vec![
        ("url", text().null()),
        ("branches", branches()),
        ("threshold", percent()),
        ("message", text()),
        ("flags", flag_names()),
        ("base", base()),
        ("only_pulls", boolean()),
        ("paths", paths()),
    ];
    all.extend(more);
    titles(fields(all))
}

fn layout() -> Rule {
    Rule {
        is_layout: true,
        ..text()
    }
}

fn notifications() -> Rule {
    let irc = vec![
        ("channel", text()),
        ("server", text()),
        ("password", text()),
        ("nickserv_password", text()),
        ("notice", boolean()),
    ];
    fields(vec![
        ("irc", notification(irc)),
        ("slack", notification(vec![("attachments", layout())])),
        ("gitter", notification(vec![])),
        (
            "hipchat",
            notification(vec![("card", boolean()), ("notify", boolean())]),
        ),
        ("webhook", notification(vec![])),
        (
            "email",
            notification(vec![("to", list(text())), ("layout", layout())]),
        ),
    ])
}

fn coverage() -> Rule {
    let default_rules = fields(vec![
        ("flag_coverage_not_uploaded_behavior", behaviour()),
        ("carryforward_behavior", behaviour()),
    ]);
    let status = fields(vec![
        ("default_rules", default_rules),
        (
            "project",
            titles(with_target(status_standard())).or(Type::Bool),
        ),
        (
            "patch",
            titles(with_target(status_standard())).or(Type::Bool),
        ),
        (
            "changes",
            titles(fields(status_standard()).or(Type::Bool).null()).or(Type::Bool),
        ),
        ("no_upload_behavior", one_of(&["pass", "fail"])),
    ])
    .or(Type::Bool);
    fields(vec![
        (
            "precision",
            Rule {
                most: Some(99),
                ..integer().at_least(0)
            },
        ),
        ("round", one_of(&["down", "up", "nearest"])),
        ("range", of(Type::List).coerced(Coercion::Range)),
        ("notify", notifications()),
        ("status", status),
    ])
}

fn codecov() -> Rule {
    let words = boolean().or(Type::List);
    let hides = Rule {
        inner: Inner::Items(Box::new(text())),
        ..words
    };
    fields(vec![
        ("url", text()),
        ("token", text()),
        ("slug", text()),
        ("bot", text().null()),
        ("branch", text().coerced(Coercion::BranchName)),
        ("ci", list(text())),
        ("assume_all_flags", boolean()),
        ("strict_yaml_branch", text()),
        ("max_report_age", text().or(Type::Integer).or(Type::Bool)),
        ("disable_default_path_fixes", boolean()),
        ("require_ci_to_pass", boolean()),
        ("allow_coverage_offsets", boolean()),
        ("allow_pseudo_compare", boolean()),
        ("archive", fields(vec![("uploads", boolean())])),
        (
            "notify",
            fields(vec![
                ("after_n_builds", integer().at_least(0)),
                ("countdown", integer()),
                ("delay", integer()),
                ("wait_for_ci", boolean()),
                ("manual_trigger", boolean()),
                ("notify_error", boolean()),
            ]),
        ),
        (
            "ui",
            fields(vec![
                ("hide_density", hides.clone()),
                ("hide_complexity", hides),
                ("hide_contexual", boolean()),
                ("hide_sunburst", boolean()),
                ("hide_search", boolean()),
            ]),
        ),
    ])
}

fn parsers() -> Rule {
    let booleans =
        |names: &[&'static str]| fields(names.iter().map(|&name| (name, boolean())).collect());
    let branch_detection = booleans(&["conditional", "loop", "method", "macro"]);
    fields(vec![
        ("go", booleans(&["partials_as_hits"])),
        ("javascript", booleans(&["enable_partials"])),
        ("v1", booleans(&["include_full_missed_files"])),
        ("gcov", fields(vec![("branch_detection", branch_detection)])),
        ("jacoco", booleans(&["partials_as_hits"])),
        (
            "cobertura",
            booleans(&["handle_missing_conditions", "partials_as_hits"]),
        ),
        ("lcov", booleans(&["partials_as_hits"])),
    ])
}

fn flags() -> Rule {
    let assume = Rule {
        inner: Inner::Fields(vec![("branches", branches())]),
        ..boolean().or(Type::Text).or(Type::Dict)
    };
    let flag = fields(vec![
        ("joined", boolean()),
        ("carryforward", boolean()),
        ("required", boolean()),
        ("carryforward_mode", one_of(&["all", "labels"])),
        ("ignore", paths()),
        ("paths", paths()),
        ("assume", assume),
        ("after_n_builds", integer().at_least(0)),
    ]);
    Rule {
        inner: Inner::Keys {
            regex: Some(FLAG_NAME),
            length: Some(FLAG_NAME_LENGTH),
            value: Box::new(flag),
        },
        ..of(Type::Dict)
    }
}

fn flag_management() -> Rule {
    let mut individual = flag_rules();
    individual.push((
        "name",
        Rule {
            regex: Some(FLAG_NAME),
            length: Some(FLAG_NAME_LENGTH),
            ..text().required()
        },
    ));
    fields(vec![
        ("default_rules", fields(flag_rules())),
        ("individual_flags", list(fields(individual))),
    ])
}

fn component_management() -> Rule {
    let mut individual = component_rules();
    individual.extend([("name", text()), ("component_id", text().required())]);
    fields(vec![
        ("default_rules", fields(component_rules())),
        ("individual_components", list(fields(individual))),
    ])
}

fn comment() -> Rule {
    let bundle_changes = Rule {
        allowed: vec![json!(true), json!(false), json!("bundle_increase")],
        ..boolean().or(Type::Text)
    };
    let fields = fields(vec![
        ("layout", layout().null()),
        (
            "require_changes",
            Rule::default().coerced(Coercion::RequireChanges),
        ),
        ("require_base", boolean()),
        ("require_head", boolean()),
        ("show_critical_paths", boolean()),
        ("branches", branches()),
        ("paths", paths()),
        ("flags", flag_names()),
        ("behavior", one_of(&["default", "once", "new", "spammy"])),
        ("after_n_builds", integer().at_least(0)),
        ("show_carryforward_flags", boolean()),
        ("hide_comment_details", boolean()),
        ("hide_project_coverage", boolean()),
        ("require_bundle_changes", bundle_changes),
        (
            "bundle_change_threshold",
            Rule::default().coerced(Coercion::BundleThreshold),
        ),
    ]);
    fields.or(Type::Bool)
}

static ROOT: LazyLock<Rule> = LazyLock::new(|| {
    let words = |names: Vec<(&'static str, Rule)>| fields(names);
    let bundle_status = Rule {
        allowed: vec![json!(true), json!(false), json!("informational")],
        ..boolean().or(Type::Text)
    };
    let profiling = words(vec![
        ("fixes", list(text().coerced(Coercion::Fix))),
        ("grouping_attributes", list(text())),
        ("critical_files_paths", paths()),
    ]);
    words(vec![
        ("codecov", codecov()),
        ("coverage", coverage()),
        (
            "bundle_analysis",
            fields(vec![
                (
                    "warning_threshold",
                    Rule::default().coerced(Coercion::BundleThreshold),
                ),
                ("status", bundle_status),
            ]),
        ),
        ("parsers", parsers()),
        ("ignore", paths()),
        ("fixes", list(text().coerced(Coercion::Fix)).null()),
        ("flags", flags()),
        ("flag_management", flag_management()),
        ("component_management", component_management()),
        ("comment", comment()),
        (
            "slack_app",
            fields(vec![("enabled", boolean())]).or(Type::Bool),
        ),
        (
            "github_checks",
            fields(vec![("annotations", boolean())]).or(Type::Bool),
        ),
        ("profiling", profiling),
        ("beta_groups", list(text())),
        (
            "ai_pr_review",
            fields(vec![
                ("auto_review", boolean()),
                ("enabled", boolean()),
                ("method", text()),
                ("label_name", text()),
            ]),
        ),
        (
            "test_analytics",
            fields(vec![
                ("shorten_paths", boolean()),
                ("flake_detection", boolean()),
            ]),
        ),
        (
            "cli",
            fields(vec![
                ("plugins", of(Type::Dict)),
                ("runners", of(Type::Dict)),
            ]),
        ),
    ])
});

/// What the whole file may be.
pub(super) fn root() -> &'static Rule {
    &ROOT
}

/// The schema of a codecov.yml as it is written, for editors. Source: json-schema.org, 2020-12.
pub fn json_schema() -> Value {
    let Value::Object(mut schema) = as_json(&ROOT) else {
        return Value::Null;
    };
    schema.insert(
        "$schema".into(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    schema.insert("title".into(), json!("codecov.yml"));
    Value::Object(schema)
}

fn as_json(rule: &Rule) -> Value {
    let mut schema = Map::new();
    let mut types: Vec<&str> = rule.types.iter().map(|kind| kind.json_name()).collect();
    if let Some(also) = rule.coercion.map(Coercion::written_as) {
        types.extend(
            also.iter()
                .filter(|name| !rule.types.iter().any(|kind| kind.json_name() == **name)),
        );
    }
    if rule.nullable {
        types.push("null");
    }
    match &types[..] {
        [] => {}
        [only] => drop(schema.insert("type".into(), json!(only))),
        several => drop(schema.insert("type".into(), json!(several))),
    }
    if !rule.allowed.is_empty() {
        let mut allowed = rule.allowed.clone();
        allowed.extend(rule.nullable.then_some(Value::Null));
        schema.insert("enum".into(), Value::Array(allowed));
    }
    for (name, bound) in [("minimum", rule.least), ("maximum", rule.most)] {
        if let Some(bound) = bound {
            schema.insert(name.into(), json!(bound));
        }
    }
    if let Some(pattern) = rule.regex {
        schema.insert("pattern".into(), json!(pattern));
    }
    if !rule.any_of.is_empty() {
        schema.insert("anyOf".into(), rule.any_of.iter().map(as_json).collect());
    }
    match &rule.inner {
        Inner::Unchecked => {}
        Inner::Items(item) => drop(schema.insert("items".into(), as_json(item))),
        Inner::Keys { regex, value, .. } => {
            let names = json!({ "pattern": regex });
            schema.insert("propertyNames".into(), names);
            schema.insert("additionalProperties".into(), as_json(value));
        }
        Inner::Fields(fields) => {
            let properties: Map<String, Value> = fields
                .iter()
                .map(|(name, rule)| ((*name).to_owned(), as_json(rule)))
                .collect();
            let required: Vec<&str> = fields
                .iter()
                .filter(|(_, rule)| rule.required)
                .map(|(name, _)| *name)
                .collect();
            schema.insert("properties".into(), Value::Object(properties));
            schema.insert("additionalProperties".into(), json!(false));
            if !required.is_empty() {
                schema.insert("required".into(), json!(required));
            }
        }
    }
    Value::Object(schema)
}
