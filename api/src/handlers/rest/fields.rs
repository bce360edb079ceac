//! `fields=`: which parts of an answer the client wants, as `commitid,totals.coverage`.
//!
//! Names go down through objects; lists are gone through. In the envelope of a list, names are those of its rows.

use axum::http::Uri;
use serde_json::{Map, Value};

use super::params::Params;

/// Names that one selection may hold; further ones do not count.
const NAMES_MAX: usize = 100;

/// The wanted fields of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fields(Vec<Vec<String>>);

/// The wanted fields of an answer that lists files, and where in it they stand.
pub struct FileFields {
    wanted: Option<Fields>,
    at: &'static [&'static str],
}

impl FileFields {
    /// What this request wants of an answer whose files stand at `at`.
    pub fn of(uri: &Uri, at: &'static [&'static str]) -> FileFields {
        FileFields {
            wanted: Fields::of(uri),
            at,
        }
    }

    /// How deep in the answer the files stand.
    pub fn depth(&self) -> usize {
        self.at.len()
    }

    /// Whether something at or below the first `depth` names of the files' place is wanted.
    pub fn want_up_to(&self, depth: usize) -> bool {
        self.wanted
            .as_ref()
            .is_none_or(|fields| fields.want(&self.at[..depth]))
    }

    /// Whether this is wanted of each file.
    pub fn want_of_each(&self, name: &str) -> bool {
        let path: Vec<_> = self.at.iter().copied().chain([name]).collect();
        self.wanted.as_ref().is_none_or(|fields| fields.want(&path))
    }

    /// What is wanted of each file; `None`: all of it.
    pub fn of_each(&self) -> Option<Fields> {
        let names = self.at.iter();
        names.fold(self.wanted.clone(), |fields, name| fields?.below(name))
    }

    /// Takes away from the whole what is not wanted.
    pub fn prune(&self, body: &mut Value) {
        if let Some(fields) = &self.wanted {
            fields.prune(body);
        }
    }
}

/// Marks an answer that was shortened while it was made.
#[derive(Clone, Copy)]
pub struct Selected;

impl Fields {
    /// The fields that this request wants; `None`: all.
    pub fn of(uri: &Uri) -> Option<Fields> {
        let text = Params::of(uri).text("fields")?;
        let names = text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let paths = names
            .take(NAMES_MAX)
            .map(|name| name.split('.').map(Into::into).collect());
        Some(Fields(paths.collect()))
    }

    /// Whether something at or below this path is wanted.
    pub fn want(&self, path: &[&str]) -> bool {
        self.0
            .iter()
            .any(|wanted| wanted.iter().zip(path).all(|(one, other)| one == other))
    }

    /// What is wanted below this name; `None`: all of it.
    pub fn below(&self, name: &str) -> Option<Fields> {
        let wanted = self
            .0
            .iter()
            .filter(|path| path.first().is_some_and(|first| first == name));
        let rest: Vec<_> = wanted.map(|path| path[1..].to_vec()).collect();
        match rest.iter().any(Vec::is_empty) {
            true => None,
            false => Some(Fields(rest)),
        }
    }

    /// JSON with the wanted fields only; `None` if it is no JSON.
    pub fn shorten(&self, json: &[u8]) -> Option<Vec<u8>> {
        let mut value: Value = serde_json::from_slice(json).ok()?;
        match value.as_object_mut().filter(|fields| is_envelope(fields)) {
            Some(envelope) => self.prune(envelope.get_mut("results")?),
            None => self.prune(&mut value),
        }
        serde_json::to_vec(&value).ok()
    }

    /// Takes away what is not wanted.
    pub fn prune(&self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.prune(item)),
            Value::Object(fields) => {
                fields.retain(|name, _| self.want(&[name]));
                for (name, field) in fields {
                    if let Some(below) = self.below(name) {
                        below.prune(field);
                    }
                }
            }
            _ => {}
        }
    }
}

fn is_envelope(fields: &Map<String, Value>) -> bool {
    ["results", "next", "previous"]
        .iter()
        .all(|name| fields.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shortened(fields: &str, value: Value) -> Value {
        let uri: Uri = format!("/a?fields={fields}").parse().unwrap();
        let bytes = Fields::of(&uri)
            .unwrap()
            .shorten(value.to_string().as_bytes());
        serde_json::from_slice(&bytes.unwrap()).unwrap()
    }

    #[test]
    fn only_wanted_fields_stay_at_any_depth() {
        let commit =
            json!({"id": 1, "totals": {"hits": 2, "lines": 3}, "files": [{"name": "a", "x": 1}]});
        assert_eq!(
            shortened("totals.hits,files.name,none", commit.clone()),
            json!({"totals": {"hits": 2}, "files": [{"name": "a"}]})
        );
        assert_eq!(
            shortened("totals,totals.hits", commit)["totals"]["lines"],
            3
        );
    }

    #[test]
    fn of_a_page_the_rows_are_shortened() {
        let page = json!({"count": 1, "next": null, "previous": null, "results": [{"a": 1, "b": 2}], "total_pages": 1});
        let short = shortened("a", page);
        assert_eq!(short["results"], json!([{"a": 1}]));
        assert_eq!(short["count"], 1);
    }

    #[test]
    fn a_path_is_wanted_if_anything_below_it_is() {
        let fields = Fields::of(&"/?fields=report.totals".parse().unwrap()).unwrap();
        assert!(fields.want(&["report"]) && fields.want(&["report", "totals", "hits"]));
        assert!(!fields.want(&["report", "files"]));
        assert_eq!(Fields::of(&"/?fields=".parse().unwrap()), None);
    }
}
