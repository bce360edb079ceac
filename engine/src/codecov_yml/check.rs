//! Checks a document against its rules.

use std::fmt;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::schema::{Inner, Rule, Type};

/// The most errors that are told.
const MAX_ISSUES: usize = 1_000;
/// How many letters a key may be away from the one that was meant.
const MAX_TYPO: usize = 2;
/// Words of a layout.
const LAYOUTS: [&str; 22] = [
    "changes",
    "diff",
    "file",
    "files",
    "flag",
    "flags",
    "footer",
    "header",
    "reach",
    "components",
    "suggestions",
    "betaprofiling",
    "sunburst",
    "tree",
    "uncovered",
    "newheader",
    "newfooter",
    "feedback",
    "newfiles",
    "condensed_header",
    "condensed_footer",
    "condensed_files",
];

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issue {
    /// Keys and indexes on the way to the value.
    pub path: Vec<String>,
    /// 1-based, in the text; `None` when there is no text or the place is not found.
    pub line: Option<usize>,
    /// What is wrong, in the words of Codecov's validator.
    pub message: String,
    /// What to write instead, when that can be told.
    pub remedy: Option<String>,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(
            f,
            "{}: {}",
            self.path.join("."),
            self.message.trim_end_matches([':', ' '])
        )?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

/// All that is wrong with a document, in its order.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Errors {
    issues: Vec<Issue>,
    tree: Node,
}

impl Errors {
    /// One by one.
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// As Codecov's validator nests them: key → list of messages, of which the last may be such an
    /// object again.
    pub fn as_json(&self) -> Value {
        Value::Object(self.tree.children_as_json())
    }

    /// The keys and the message that Codecov's short answer names.
    pub fn first(&self) -> (Vec<&str>, &str) {
        let mut path = Vec::new();
        let mut node = &self.tree;
        while node.messages.is_empty()
            && let Some((key, child)) = node.children.first()
        {
            path.push(key.as_str());
            node = child;
        }
        (path, node.messages.first().map_or("", String::as_str))
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, issue) in self.issues.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            issue.fmt(f)?;
        }
        Ok(())
    }
}

/// What is wrong below one key.
#[derive(Clone, PartialEq, Debug, Default)]
struct Node {
    messages: Vec<String>,
    /// Errors of alternatives.
    alternatives: Map<String, Value>,
    children: Vec<(String, Node)>,
}

impl Node {
    fn at(&mut self, path: &[String]) -> &mut Node {
        let Some((key, rest)) = path.split_first() else {
            return self;
        };
        let at = match self.children.iter().position(|(name, _)| name == key) {
            Some(at) => at,
            None => {
                self.children.push((key.clone(), Node::default()));
                self.children.len() - 1
            }
        };
        self.children[at].1.at(rest)
    }

    fn as_json(&self) -> Value {
        let mut list: Vec<Value> = self.messages.iter().map(|message| json!(message)).collect();
        let mut last = self.alternatives.clone();
        last.extend(self.children_as_json());
        if !last.is_empty() {
            list.push(Value::Object(last));
        }
        Value::Array(list)
    }

    fn children_as_json(&self) -> Map<String, Value> {
        let children = self.children.iter();
        children
            .map(|(key, node)| (key.clone(), node.as_json()))
            .collect()
    }
}

/// The document with its values in their final form, or all that is wrong with it.
pub(super) fn check(
    map: Map<String, Value>,
    rule: &Rule,
    text: &str,
) -> Result<Map<String, Value>, Box<Errors>> {
    let mut checker = Checker {
        path: Vec::new(),
        errors: Errors::default(),
        text,
        form: Form::Final,
    };
    let checked = checker.inner(Value::Object(map), rule);
    match checked {
        Value::Object(map) if checker.errors.issues.is_empty() => Ok(map),
        _ => Err(Box::new(checker.errors)),
    }
}

/// Which form values get.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Final,
    AsWritten,
}

struct Checker<'a> {
    path: Vec<String>,
    errors: Errors,
    text: &'a str,
    form: Form,
}

impl Checker<'_> {
    fn issue(&mut self, message: impl Into<String>, remedy: Option<String>) {
        if self.errors.issues.len() == MAX_ISSUES {
            return;
        }
        let message = message.into();
        self.errors
            .tree
            .at(&self.path)
            .messages
            .push(message.clone());
        self.errors.issues.push(Issue {
            path: self.path.clone(),
            line: line_of(self.text, &self.path),
            message,
            remedy,
        });
    }

    fn below(&mut self, key: impl Into<String>, value: Value, rule: &Rule) -> Value {
        self.path.push(key.into());
        let value = self.value(value, rule);
        self.path.pop();
        value
    }

    fn value(&mut self, value: Value, rule: &Rule) -> Value {
        let value = as_boolean(value, rule);
        if value.is_null() && rule.nullable {
            return value;
        }
        let coercion = rule.coercion.filter(|_| self.form == Form::Final);
        let coerced = coercion.map(|coercion| coercion.apply(&value));
        let fails = coerced == Some(None);
        let value = coerced.flatten().unwrap_or(value);
        let value = self.rules(value, rule);
        if fails && !value.is_null() {
            let key = self.path.last().cloned().unwrap_or_default();
            self.issue(format!("field '{key}' cannot be coerced: "), None);
        }
        value
    }

    fn rules(&mut self, value: Value, rule: &Rule) -> Value {
        if value.is_null() {
            if !rule.types.is_empty() {
                self.issue("null value not allowed", Some("remove the key".into()));
            }
            return value;
        }
        if !rule.types.is_empty() && !rule.types.iter().any(|kind| kind.fits(&value)) {
            self.issue(format!("must be of {} type", type_names(&rule.types)), None);
            return value;
        }
        self.allowed(&value, rule);
        self.text_rules(&value, rule);
        self.bounds(&value, rule);
        self.any_of(&value, rule);
        self.inner(value, rule)
    }

    fn allowed(&mut self, value: &Value, rule: &Rule) {
        if rule.allowed.is_empty() || rule.allowed.contains(value) || value.is_object() {
            return;
        }
        let words: Vec<String> = rule.allowed.iter().map(shown).collect();
        let remedy = format!("one of {}", words.join(", "));
        self.issue(format!("unallowed value {}", shown(value)), Some(remedy));
    }

    fn text_rules(&mut self, value: &Value, rule: &Rule) {
        let Some(text) = value.as_str() else { return };
        if let Some(regex) = rule.regex.filter(|regex| !matches_start(regex, text)) {
            self.issue(format!("value does not match regex '{regex}'"), None);
        }
        if rule.is_layout {
            self.layout(text);
        }
    }

    fn layout(&mut self, text: &str) {
        let items = || text.split(',').map(str::trim);
        let word = |item: &str| item.split(':').next().unwrap_or_default().to_owned();
        let unknown: Vec<String> = items()
            .map(word)
            .filter(|word| !LAYOUTS.contains(&word.as_str()))
            .collect();
        if !unknown.is_empty() {
            let remedy = format!("words are {}", LAYOUTS.join(", "));
            self.issue(
                format!("Unexpected values on layout: {}", unknown.join(",")),
                Some(remedy),
            );
        }
        let odd = items().find(|item| {
            let count = item.split_once(':').map(|(_, count)| count.parse::<i64>());
            count.is_some_and(|count| count.is_err())
        });
        if let Some(item) = odd {
            self.issue(
                format!("Improper pattern for value on layout: {item}"),
                None,
            );
        }
    }

    fn bounds(&mut self, value: &Value, rule: &Rule) {
        if let (Some(least), Some(number)) = (rule.least, value.as_i64())
            && number < least
        {
            self.issue(format!("min value is {least}"), None);
        }
        if let (Some(most), Some(number)) = (rule.most, value.as_i64())
            && number > most
        {
            self.issue(format!("max value is {most}"), None);
        }
        if let (Some((least, most)), Some(text)) = (rule.length, value.as_str()) {
            let length = text.chars().count();
            if length < least {
                self.issue(format!("min length is {least}"), None);
            }
            if length > most {
                self.issue(format!("max length is {most}"), None);
            }
        }
    }

    fn any_of(&mut self, value: &Value, rule: &Rule) {
        let mut alternatives = Map::new();
        for (i, rule) in rule.any_of.iter().enumerate() {
            let mut alternative = Checker {
                path: Vec::new(),
                errors: Errors::default(),
                text: "",
                form: Form::AsWritten,
            };
            alternative.value(value.clone(), rule);
            if alternative.errors.issues.is_empty() {
                return;
            }
            alternatives.insert(
                format!("anyof definition {i}"),
                alternative.errors.tree.as_json(),
            );
        }
        if !alternatives.is_empty() {
            self.issue("no definitions validate", None);
            self.errors.tree.at(&self.path).alternatives = alternatives;
        }
    }

    fn inner(&mut self, value: Value, rule: &Rule) -> Value {
        match (&rule.inner, value) {
            (Inner::Fields(fields), Value::Object(map)) => self.fields(map, fields),
            (
                Inner::Keys {
                    regex,
                    length,
                    value,
                },
                Value::Object(map),
            ) => {
                let names = Rule {
                    regex: *regex,
                    length: *length,
                    ..Rule::default()
                };
                let checked = map.into_iter().map(|(key, inner)| {
                    self.path.push(key.clone());
                    let name = json!(key);
                    self.text_rules(&name, &names);
                    self.bounds(&name, &names);
                    self.path.pop();
                    (key.clone(), self.below(key, inner, value))
                });
                Value::Object(checked.collect())
            }
            (Inner::Items(item), Value::Array(items)) => {
                let items = items.into_iter().enumerate();
                items
                    .map(|(i, value)| self.below(i.to_string(), value, item))
                    .collect()
            }
            (_, value) => value,
        }
    }

    fn fields(&mut self, map: Map<String, Value>, fields: &[(&'static str, Rule)]) -> Value {
        for (name, _) in fields
            .iter()
            .filter(|(name, rule)| rule.required && !map.contains_key(*name))
        {
            self.path.push((*name).into());
            self.issue("required field", None);
            self.path.pop();
        }
        let checked = map.into_iter().map(|(key, value)| {
            match fields.iter().find(|(name, _)| *name == key) {
                Some((_, rule)) => (key.clone(), self.below(key, value, rule)),
                None => {
                    self.path.push(key.clone());
                    let remedy = meant(&key, fields).map(|name| format!("did you mean {name}?"));
                    self.issue("unknown field", remedy);
                    self.path.pop();
                    (key, value)
                }
            }
        });
        Value::Object(checked.collect())
    }
}

/// Words that YAML 1.1 reads as booleans, where nothing but a boolean may stand.
fn as_boolean(value: Value, rule: &Rule) -> Value {
    let may_be_text = rule.types.contains(&Type::Text);
    if may_be_text || !rule.types.contains(&Type::Bool) {
        return value;
    }
    match value.as_str() {
        Some("yes" | "Yes" | "YES" | "on" | "On" | "ON") => json!(true),
        Some("no" | "No" | "NO" | "off" | "Off" | "OFF") => json!(false),
        _ => value,
    }
}

/// Type names as Codecov's validator prints them.
fn type_names(types: &[Type]) -> String {
    match types {
        [only] => only.name().to_owned(),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|kind| format!("'{}'", kind.name()))
                .collect();
            format!("[{}]", names.join(", "))
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        other => other.to_string(),
    }
}

/// Whether the text matches as a whole, as the validator's rule has it.
fn matches_start(regex: &str, text: &str) -> bool {
    Regex::new(&format!("^(?:{regex})$")).is_ok_and(|regex| regex.is_match(text))
}

fn meant<'a>(key: &str, fields: &[(&'a str, Rule)]) -> Option<&'a str> {
    let distances = fields
        .iter()
        .map(|(name, _)| (strsim::damerau_levenshtein(key, name), *name));
    distances
        .filter(|(distance, _)| *distance <= MAX_TYPO)
        .min()
        .map(|(_, name)| name)
}

/// The line of a key, found by indentation: that of the nearest key above it where the value is
/// written in one line.
fn line_of(text: &str, path: &[String]) -> Option<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = None;
    let (mut from, mut outer) = (0, None);
    for key in path {
        let next = find_key(&lines, from, outer, key);
        let Some((at, indent)) = next else { break };
        found = Some(at + 1);
        (from, outer) = (
            at + usize::from(key.parse::<usize>().is_err()),
            Some(indent),
        );
    }
    found
}

/// The first line from `from` on, deeper than `outer`, that has this key or is this item of a list.
fn find_key(
    lines: &[&str],
    from: usize,
    outer: Option<usize>,
    key: &str,
) -> Option<(usize, usize)> {
    let index = key.parse::<usize>().ok();
    let mut items = 0;
    let mut level = None;
    for (at, line) in lines.iter().enumerate().skip(from) {
        let bare = line.trim_start();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        let is_item = bare.starts_with("- ") || bare == "-";
        let name = bare.trim_start_matches("- ");
        let mut indent = line.len() - bare.len();
        if index.is_none() {
            indent = line.len() - name.len();
        }
        if outer.is_some_and(|outer| indent < outer || indent == outer && !(is_item || at == from))
        {
            return None;
        }
        if *level.get_or_insert(indent) != indent {
            continue;
        }
        match index {
            Some(index) if is_item && items == index => return Some((at, indent + 1)),
            Some(_) => items += usize::from(is_item),
            None => {
                let written = name.split(':').next().unwrap_or_default().trim();
                if written.trim_matches(['"', '\'']) == key && name.contains(':') {
                    return Some((at, indent));
                }
            }
        }
    }
    None
}
