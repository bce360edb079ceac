//! Which keys there are, of what type, and what each does: the table in `keys.tsv`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// Lines of path, types and use, separated by tabs. Parts of a path are separated by slashes, `*` is any key; types by
/// bars. The use is `used`, or why the key has no effect.
const TABLE: &str = include_str!("keys.tsv");

static ROOT: LazyLock<Node> = LazyLock::new(|| {
    let mut root = Node::default();
    for (path, types, _) in rows() {
        let node = path
            .split('/')
            .fold(&mut root, |node, key| node.below.entry(key).or_default());
        node.types = types.split('|').collect();
    }
    root
});

/// A key, and the keys below it.
#[derive(Default)]
struct Node {
    /// Empty where only keys below count.
    types: Vec<&'static str>,
    below: BTreeMap<&'static str, Node>,
}

/// What is wrong with a document.
#[derive(Default)]
pub(super) struct Findings {
    /// Values of another type.
    pub(super) wrong: Vec<String>,
    /// Keys that are not in the table.
    pub(super) unknown: Vec<String>,
}

fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    TABLE.lines().filter_map(|line| {
        let mut columns = line.splitn(3, '\t');
        Some((columns.next()?, columns.next()?, columns.next()?))
    })
}

/// Whether there are keys below this one, or it is one itself, at the top of a document.
pub(super) fn is_root(key: &str) -> bool {
    ROOT.below.contains_key(key)
}

/// Whether the table has the key at the end of these.
pub(super) fn is_known(keys: &[&str]) -> bool {
    let found = keys
        .iter()
        .try_fold(&*ROOT, |node, key| node.below.get(key));
    found.is_some_and(|node| !node.types.is_empty())
}

/// Checks a document and brings its values into the types of their keys. What is null is as if it were not there.
pub(super) fn check(document: &mut Value) -> Findings {
    let mut findings = Findings::default();
    check_below(document, &ROOT, "", &mut findings);
    findings
}

fn check_below(value: &mut Value, node: &Node, path: &str, findings: &mut Findings) {
    let Value::Object(map) = value else {
        findings
            .wrong
            .push(format!("{path} must be a list of keys with values"));
        return;
    };
    map.retain(|_, value| !value.is_null());
    for (key, value) in map {
        let path = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        match node.below.get(key.as_str()).or_else(|| node.below.get("*")) {
            Some(below) if below.types.is_empty() => check_below(value, below, &path, findings),
            Some(below) => {
                if !below.types.iter().any(|kind| bring(value, kind)) {
                    let types = below.types.join(" or a ");
                    findings.wrong.push(format!("{path} must be a {types}"));
                }
            }
            None => findings.unknown.push(unknown(&path, key, node)),
        }
    }
}

fn unknown(path: &str, key: &str, node: &Node) -> String {
    let nearest = node
        .below
        .keys()
        .min_by_key(|known| strsim::damerau_levenshtein(key, known));
    let outer = path.strip_suffix(key).unwrap_or_default();
    match nearest {
        Some(nearest) => format!("{path} is not known; the nearest key is {outer}{nearest}"),
        None => format!("{path} is not known"),
    }
}

/// Brings a value into this type; gives whether it has it now. Values of variables come as text, and a text that looks
/// like a number was read as one.
fn bring(value: &mut Value, kind: &str) -> bool {
    let brought = match (kind, &*value) {
        ("any", _) => return true,
        ("map" | "yaml", value) => return value.is_object(),
        ("list", value) => return value.is_array(),
        ("text", Value::Number(number)) => Some(json!(number.to_string())),
        ("text", Value::Bool(truth)) => Some(json!(truth.to_string())),
        ("text", value) => return value.is_string(),
        ("bool", Value::String(word)) => truth(word).map(Value::Bool),
        ("bool", value) => return value.is_boolean(),
        ("int", Value::String(text)) => text.parse::<i64>().ok().map(Value::from),
        ("int", value) => return value.is_i64() || value.is_u64(),
        ("number", Value::String(text)) => text.parse::<f64>().ok().map(Value::from),
        (_, value) => return value.is_number(),
    };
    let is_brought = brought.is_some();
    if let Some(brought) = brought {
        *value = brought;
    }
    is_brought
}

/// The words that YAML 1.1 and Codecov read as booleans.
fn truth(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" => Some(true),
        "false" | "off" | "no" => Some(false),
        _ => None,
    }
}

/// The table as a JSON schema.
pub fn json_schema() -> Value {
    let mut schema = as_schema(&ROOT);
    schema.insert(
        "$schema".into(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    schema.insert("title".into(), json!("configuration of an installation"));
    Value::Object(schema)
}

fn as_schema(node: &Node) -> Map<String, Value> {
    let mut schema = Map::new();
    if !node.types.is_empty() {
        let mut types: Vec<&str> = node
            .types
            .iter()
            .flat_map(|kind| json_types(kind))
            .copied()
            .collect();
        if !types.is_empty() {
            types.push("null");
            schema.insert("type".into(), json!(types));
        }
        return schema;
    }
    schema.insert("type".into(), json!(["object", "null"]));
    let named = node.below.iter().filter(|(key, _)| **key != "*");
    let properties: Map<String, Value> = named
        .map(|(key, below)| ((*key).to_owned(), Value::Object(as_schema(below))))
        .collect();
    if !properties.is_empty() {
        schema.insert("properties".into(), Value::Object(properties));
    }
    let others = node
        .below
        .get("*")
        .map(|below| Value::Object(as_schema(below)));
    schema.insert(
        "additionalProperties".into(),
        others.unwrap_or(json!(false)),
    );
    schema
}

fn json_types(kind: &str) -> &'static [&'static str] {
    match kind {
        "text" => &["string", "number", "boolean"],
        "bool" => &["boolean", "string"],
        "int" => &["integer", "string"],
        "number" => &["number", "string"],
        "list" => &["array"],
        "map" | "yaml" => &["object"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sections with the same keys, which the docs tell once.
    const PROVIDERS: [&str; 6] = [
        "bitbucket",
        "bitbucket_server",
        "github",
        "github_enterprise",
        "gitlab",
        "gitlab_enterprise",
    ];

    #[test]
    fn every_key_without_effect_is_told_in_the_docs() {
        let docs = include_str!("../../../docs/configuration.md");
        for (path, _, _) in rows().filter(|(_, _, does)| *does != "used") {
            let (first, rest) = path.split_once('/').unwrap_or((path, ""));
            let key = match PROVIDERS.contains(&first) {
                true => format!("`<provider>.{}`", rest.replace('/', ".")),
                false => format!("`{}`", path.replace('/', ".")),
            };
            assert!(docs.contains(&key), "docs/configuration.md lacks {key}");
        }
    }
}
