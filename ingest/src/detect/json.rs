//! Which format a JSON document is in: by the keys of its outermost object.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use super::Format;
use crate::error::{Failure, Result};
use crate::json::{Cursor, Step, Value};

/// How much of a document is looked at for a guess, in bytes.
const GUESS_BYTES: usize = 4 << 10;

pub(super) enum Json {
    Is(Option<Format>),
    /// Not JSON: other rules apply.
    Broken,
}

/// The format of a document. Reads all of it but the value at `read`, as what is broken anywhere is no
/// JSON.
pub(super) fn detect(content: &[u8], read: &Range<usize>) -> Result<Json> {
    match outline(content, read) {
        Ok(Outline::Array(first)) => of_array(first).map(Json::Is),
        Ok(Outline::Object(keys)) => Ok(Json::Is(of_object(&keys))),
        Ok(Outline::Other) | Err(_) => Ok(Json::Broken),
    }
}

/// A format that the start of a document looks like, and whose reader knows at the end whether it
/// is: so a large document is read once.
pub(super) fn guess(content: &[u8]) -> Option<Format> {
    let head = &content[..content.len().min(GUESS_BYTES)];
    let mut cursor = Cursor::new(head);
    if cursor.peek().ok()? == b'[' {
        let has_name = memmem::find(head, br#""name""#).is_some();
        return has_name.then_some(Format::Salesforce);
    }
    cursor.expect(b'{').ok()?;
    let key = cursor.key(&mut true).ok()??;
    let opens = cursor.peek().ok()?;
    let says = |text: &[u8]| memmem::find(head, text).is_some();
    match &*key {
        "meta" if says(br#""show_contexts""#) => Some(Format::CoveragePy),
        "data" if opens == b'[' && says(br#""files""#) => Some(Format::LlvmExport),
        _ if opens == b'{' && says(br#""statementMap""#) => Some(Format::Node),
        _ => guess_by_keys(head),
    }
}

/// The format that the keys say which stand before the files.
fn guess_by_keys(head: &[u8]) -> Option<Format> {
    let mut cursor = Cursor::new(head);
    let mut first = true;
    let mut format_of_files = None;
    cursor.expect(b'{').ok()?;
    while let Ok(Some(key)) = cursor.key(&mut first) {
        match &*key {
            "coverageData" => return Some(Format::Elm),
            "coverage" | "RSpec" | "MiniTest" => return Some(Format::V1),
            "fileReports" => return Some(Format::Scala),
            "source_files" => return Some(Format::Coveralls),
            "children" => return Some(Format::Covdir),
            "files" => return format_of_files,
            "uploader" => format_of_files = Some(Format::R),
            "flowStatus" => format_of_files = Some(Format::Flowcover),
            "meta" | "command_name" => format_of_files = Some(Format::Simplecov),
            _ => {}
        }
        cursor.skip().ok()?;
    }
    None
}

/// Whether a line is an object as GAP writes them.
pub(super) fn is_gap(line: &[u8]) -> bool {
    let keys = match outline(line, &(0..0)) {
        Ok(Outline::Object(keys)) => keys,
        _ => return false,
    };
    keys.has("Type") && keys.has("File")
}

fn of_array(first: Option<Peek<'_>>) -> Result<Option<Format>> {
    match first {
        Some(Peek::Object { has_name: true, .. }) => Ok(Some(Format::Salesforce)),
        None | Some(Peek::Object { .. } | Peek::Array { .. } | Peek::Text(_)) => Ok(None),
        Some(Peek::Plain { .. }) => Err(Failure::fails("an array of plain values is no report")),
    }
}

fn of_object(keys: &Keys<'_>) -> Option<Format> {
    let has = |key| keys.has(key);
    let truthy = |key| keys.get(key).is_some_and(Peek::is_truthy);
    let says = |key, text: &str| matches!(keys.get(key), Some(Peek::Text(found)) if found == text);
    let (show_contexts, simplecov) = match keys.get("meta") {
        Some(Peek::Object {
            has_show_contexts,
            has_simplecov_version,
            ..
        }) => (*has_show_contexts, *has_simplecov_version),
        _ => (false, false),
    };
    if keys.is_empty {
        None
    } else if truthy("coverageData") {
        Some(Format::Elm)
    } else if says("uploader", "R") {
        Some(Format::R)
    } else if truthy("flowStatus") {
        Some(Format::Flowcover)
    } else if has("coverage") || has("RSpec") || has("MiniTest") {
        Some(Format::V1)
    } else if has("fileReports") {
        Some(Format::Scala)
    } else if has("source_files") {
        Some(Format::Coveralls)
    } else if says("command_name", "RSpec") || simplecov {
        Some(Format::Simplecov)
    } else if has("Type") && has("File") {
        Some(Format::Gap)
    } else if has("files") && show_contexts {
        Some(Format::CoveragePy)
    } else if says("type", "llvm.coverage.json.export") {
        Some(Format::LlvmExport)
    } else if has("files") && has("gcc_version") {
        Some(Format::GcovJson)
    } else if has("children") && has("coveragePercent") {
        Some(Format::Covdir)
    } else if keys.are_objects {
        Some(Format::Node)
    } else {
        None
    }
}

/// The outline of a document.
enum Outline<'a> {
    /// What is first in it.
    Array(Option<Peek<'a>>),
    Object(Box<Keys<'a>>),
    Other,
}

/// Keys by which formats are told.
const TELLING: [&str; 17] = [
    "Type",
    "File",
    "MiniTest",
    "RSpec",
    "children",
    "command_name",
    "coverage",
    "coverageData",
    "coveragePercent",
    "fileReports",
    "files",
    "flowStatus",
    "gcc_version",
    "meta",
    "source_files",
    "type",
    "uploader",
];

/// The keys of the outermost object, as far as they tell anything.
struct Keys<'a> {
    /// What stands at keys of [`TELLING`].
    telling: [Option<Peek<'a>>; TELLING.len()],
    is_empty: bool,
    are_objects: bool,
}

impl<'a> Keys<'a> {
    fn get(&self, key: &str) -> Option<&Peek<'a>> {
        let at = TELLING.iter().position(|telling| *telling == key)?;
        self.telling[at].as_ref()
    }

    fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
}

/// What is kept of a value.
enum Peek<'a> {
    Plain {
        truthy: bool,
    },
    Text(Cow<'a, str>),
    Array {
        empty: bool,
    },
    Object {
        empty: bool,
        has_name: bool,
        has_show_contexts: bool,
        has_simplecov_version: bool,
    },
}

impl Peek<'_> {
    fn is_truthy(&self) -> bool {
        match self {
            Peek::Plain { truthy } => *truthy,
            Peek::Text(text) => !text.is_empty(),
            Peek::Array { empty } | Peek::Object { empty, .. } => !empty,
        }
    }
}

/// The outline of a document, of which the value at `read`, or all elements from there on, is JSON for sure.
fn outline<'a>(content: &'a [u8], read: &Range<usize>) -> Step<Outline<'a>> {
    let mut cursor = Cursor::new(content);
    let outline = match cursor.peek()? {
        b'{' => Outline::Object(Box::new(object(&mut cursor, read)?)),
        b'[' => {
            let mut first = None;
            cursor.array(|cursor| match first {
                None => peek(cursor).map(|value| first = Some(value)),
                Some(_) if cursor.at() == read.start => {
                    cursor.advance(read.len());
                    Ok(())
                }
                Some(_) => cursor.skip(),
            })?;
            Outline::Array(first)
        }
        _ => Outline::Other,
    };
    cursor.end()?;
    cursor.check_text()?;
    Ok(outline)
}

fn object<'a>(cursor: &mut Cursor<'a>, read: &Range<usize>) -> Step<Keys<'a>> {
    let mut keys = Keys {
        telling: [const { None }; TELLING.len()],
        is_empty: true,
        are_objects: true,
    };
    cursor.object(|cursor, key| {
        keys.is_empty = false;
        keys.are_objects &= cursor.peek()? == b'{';
        let value = TELLING.iter().position(|telling| *telling == key);
        let value = value.map(|at| &mut keys.telling[at]);
        if cursor.at() == read.start && key != "meta" {
            if let Some(value) = value {
                *value = Some(peek_read(cursor.rest()));
            }
            cursor.advance(read.len());
            return Ok(());
        }
        match value {
            Some(value) => peek(cursor).map(|found| *value = Some(found)),
            None => cursor.skip(),
        }
    })?;
    Ok(keys)
}

fn peek<'a>(cursor: &mut Cursor<'a>) -> Step<Peek<'a>> {
    Ok(match cursor.value()? {
        Value::Null => Peek::Plain { truthy: false },
        Value::Bool(truthy) => Peek::Plain { truthy },
        Value::Number(number) => Peek::Plain {
            truthy: is_not_zero(number),
        },
        Value::Text(text) => Peek::Text(text),
        Value::Array => {
            let raw = cursor.raw()?;
            Peek::Array {
                empty: raw[1..].trim_ascii().len() == 1,
            }
        }
        Value::Object => peek_object(cursor)?,
    })
}

/// What is known of a value that was read before, and is not the one whose keys tell something.
fn peek_read<'a>(text: &[u8]) -> Peek<'a> {
    let is_array = text.starts_with(b"[");
    let inner = text.get(1..).unwrap_or_default().trim_ascii_start();
    let empty = matches!(inner.first(), Some(b']' | b'}'));
    match is_array {
        true => Peek::Array { empty },
        false => Peek::Object {
            empty,
            has_name: false,
            has_show_contexts: false,
            has_simplecov_version: false,
        },
    }
}

fn peek_object<'a>(cursor: &mut Cursor<'_>) -> Step<Peek<'a>> {
    let (mut empty, mut name, mut contexts, mut simplecov) = (true, false, false, false);
    cursor.object(|cursor, key| {
        empty = false;
        name |= key == "name";
        contexts |= key == "show_contexts";
        simplecov |= key == "simplecov_version";
        cursor.skip()
    })?;
    Ok(Peek::Object {
        empty,
        has_name: name,
        has_show_contexts: contexts,
        has_simplecov_version: simplecov,
    })
}

/// Whether a number has a digit above 0 before its exponent.
fn is_not_zero(number: &[u8]) -> bool {
    let significant = number.split(|byte| matches!(byte, b'e' | b'E')).next();
    significant.is_some_and(|digits| digits.iter().any(|digit| (b'1'..=b'9').contains(digit)))
}
