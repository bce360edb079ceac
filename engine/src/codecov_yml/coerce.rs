//! The final form of values.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

/// How a value is brought into its final form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Coercion {
    /// A pattern of branch names.
    Branch,
    /// The name of a branch, without what git puts before it.
    BranchName,
    /// Bytes, or a percentage: `["absolute", 1000]`.
    BundleThreshold,
    /// `before::after`.
    Fix,
    /// A pattern of paths.
    Pattern,
    Percent,
    PercentOrAuto,
    /// Two percentages.
    Range,
    /// Conditions of which all groups must hold: bits of each group.
    RequireChanges,
}

impl Coercion {
    /// The final form; `None` when the value has none.
    pub(super) fn apply(self, value: &Value) -> Option<Value> {
        match self {
            Coercion::Branch => branch(value.as_str()?).map(Value::from),
            Coercion::BranchName => value.as_str().map(|name| branch_name(name).into()),
            Coercion::BundleThreshold => bundle_threshold(value),
            Coercion::Fix => {
                let (before, after) = fix(value.as_str()?)?;
                Some(format!("{before}::{after}").into())
            }
            Coercion::Pattern => value.as_str().map(|text| pattern(text).into()),
            Coercion::Percent => percent(value),
            Coercion::PercentOrAuto if value == "auto" => Some(value.clone()),
            Coercion::PercentOrAuto => percent(value),
            Coercion::Range => range(value),
            Coercion::RequireChanges => require_changes(value),
        }
    }

    /// The types that a value may have as it is written, in words of JSON Schema.
    pub(super) fn written_as(self) -> &'static [&'static str] {
        match self {
            Coercion::Branch | Coercion::BranchName | Coercion::Fix | Coercion::Pattern => {
                &["string"]
            }
            Coercion::BundleThreshold | Coercion::Percent | Coercion::PercentOrAuto => {
                &["string", "number"]
            }
            Coercion::Range => &["string", "array"],
            Coercion::RequireChanges => &["string", "boolean"],
        }
    }
}

fn percent(value: &Value) -> Option<Value> {
    if let Some(number) = value.as_f64() {
        return Some(json!(number));
    }
    let text = value.as_str()?;
    let number = text.strip_suffix('%').unwrap_or(text);
    let plain = number.starts_with(|c: char| c.is_ascii_digit())
        && number
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    number
        .parse::<f64>()
        .ok()
        .filter(|_| plain)
        .map(|number| json!(number))
}

fn range(value: &Value) -> Option<Value> {
    let (low, high) = match value {
        Value::String(text) => {
            let (low, high) = text.split_once("...").or_else(|| text.split_once(".."))?;
            let bound = |text: &str| text.trim().parse::<f64>().ok();
            let (low, high) = (bound(low)?, bound(high)?);
            (low <= high).then_some((low, high))?
        }
        Value::Array(bounds) => {
            let [a, b] = &bounds[..] else { return None };
            let (a, b) = (number(a)?, number(b)?);
            (a.min(b), a.max(b))
        }
        _ => return None,
    };
    let inside = |bound: f64| (0.0..=100.0).contains(&bound);
    (inside(low) && inside(high)).then(|| json!([low, high]))
}

fn number(value: &Value) -> Option<f64> {
    value
        .as_f64()
        .or_else(|| value.as_str()?.trim().parse().ok())
}

/// A path pattern as a regular expression that matches at the start of a path: a prefix, a glob or a
/// regular expression, with its `!` kept.
pub fn pattern(written: &str) -> String {
    let bare = written.trim_start_matches('!');
    let sign = if bare.len() < written.len() { "!" } else { "" };
    let bare = bare.strip_prefix("./").unwrap_or(bare);
    match Shape::of(bare) {
        Shape::Prefix => format!("{sign}^{bare}.*"),
        Shape::Glob => format!(r"{sign}(?s:{})\Z", glob(bare)),
        Shape::Regex => format!("{sign}{bare}"),
    }
}

/// `before::after` in two, with `before` as a regular expression; `None` without `::`. Where one side is
/// empty the other stays as it is written: a prefix.
pub fn fix(written: &str) -> Option<(String, &str)> {
    let (before, after) = written.split_once("::")?;
    if before.is_empty() || after.is_empty() {
        return Some((before.to_owned(), after));
    }
    let before = match Shape::of(before) {
        Shape::Prefix => format!("^{before}"),
        Shape::Glob => format!("(?s:{})", glob(before)),
        Shape::Regex => before.to_owned(),
    };
    Some((before, after))
}

enum Shape {
    Prefix,
    Glob,
    Regex,
}

impl Shape {
    fn of(text: &str) -> Shape {
        let crosses_folders = text.contains("**") || text.contains("/*");
        let is_lone_star = text.contains('*') && !text.contains("]*") && !text.contains(".*");
        if !text.contains(['*', '$', ']', '[']) {
            Shape::Prefix
        } else if crosses_folders || is_lone_star || !is_regex(text) {
            Shape::Glob
        } else {
            Shape::Regex
        }
    }
}

fn is_regex(text: &str) -> bool {
    Regex::new(&text.replace(r"\Z", r"\z")).is_ok()
}

/// A glob as the text of a regular expression: `**` crosses folders, `*` does not.
fn glob(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        i += 1;
        match c {
            '*' if chars.get(i) == Some(&'*') => {
                i += 1;
                out.push_str(".*");
            }
            '*' => out.push_str(r"[^\/]*"),
            '?' => out.push('.'),
            '[' => match class_end(&chars, i) {
                None => out.push_str(r"\["),
                Some(end) => {
                    push_class(&mut out, &chars[i..end]);
                    i = end + 1;
                }
            },
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out
}

/// Where the class that starts at `from` ends; a `]` that comes first belongs to it.
fn class_end(chars: &[char], from: usize) -> Option<usize> {
    let mut end = from;
    if chars.get(end) == Some(&'!') {
        end += 1;
    }
    if chars.get(end) == Some(&']') {
        end += 1;
    }
    let rest = chars[end.min(chars.len())..].iter();
    rest.clone().position(|&c| c == ']').map(|at| end + at)
}

fn push_class(out: &mut String, inner: &[char]) {
    out.push('[');
    for (i, &c) in inner.iter().enumerate() {
        match c {
            '!' if i == 0 => out.push('^'),
            '^' if i == 0 => out.push_str(r"\^"),
            '\\' | '[' | ']' | '&' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push(']');
}

fn branch(written: &str) -> Option<String> {
    if matches!(written, "*" | "" | ".*") {
        return Some(".*".into());
    }
    let mut text = String::new();
    for c in written.chars() {
        match c {
            '*' if text.ends_with('.') => text.push('*'),
            '*' => text.push_str(".*"),
            c => text.push(c),
        }
    }
    if !text.starts_with(".*") && !text.starts_with('^') {
        text.insert(0, '^');
    }
    if !text.ends_with(".*") && !text.ends_with('$') {
        text.push('$');
    }
    is_regex(&text).then_some(text)
}

fn branch_name(name: &str) -> &str {
    name.strip_prefix("origin/")
        .or_else(|| name.strip_prefix("refs/heads/"))
        .unwrap_or(name)
}

/// Conditions joined by `or`, which binds tighter, and `and`.
fn require_changes(value: &Value) -> Option<Value> {
    if let Some(yes) = value.as_bool() {
        return Some(json!([u8::from(yes)]));
    }
    let text = value.as_str()?.to_lowercase();
    let words: Vec<&str> = text.split_whitespace().collect();
    let condition = |word: &[&str]| match word {
        ["any_change"] => Some(0b001),
        ["coverage_drop"] => Some(0b010),
        ["uncovered_patch"] => Some(0b100),
        _ => None,
    };
    let group = |words: &[&str]| {
        let bits = words.split(|word| *word == "or").map(condition);
        bits.reduce(|a, b| Some(a? | b?)).flatten()
    };
    let groups: Option<Vec<u8>> = words.split(|word| *word == "and").map(group).collect();
    groups.map(|groups| json!(groups))
}

static SIZE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)^(\d+)\s*(mb|kb|gb|b|bytes)$").ok());

fn bundle_threshold(value: &Value) -> Option<Value> {
    if let Some(bytes) = value.as_i64() {
        return Some(json!(["absolute", bytes]));
    }
    if let Some(percentage) = value.as_f64() {
        return Some(json!(["percentage", percentage]));
    }
    let text = value.as_str()?.trim();
    if let Some(percentage) = text.strip_suffix('%') {
        return Some(json!([
            "percentage",
            percentage.trim().parse::<f64>().ok()?
        ]));
    }
    let parts = SIZE.as_ref()?.captures(text)?;
    let unit: i64 = match parts[2].to_ascii_lowercase().as_str() {
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => 1,
    };
    Some(json!([
        "absolute",
        parts[1].parse::<i64>().ok()?.checked_mul(unit)?
    ]))
}
