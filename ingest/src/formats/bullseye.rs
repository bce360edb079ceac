//! Bullseye's XML, as `covxml` writes it. Source: bullseye.com/help, "covxml".

use engine::model::{Coverage, Kind};

use super::Context;
use super::sources::{Named, required_line};
use crate::error::Result;
use crate::xml::{Markup, Scanner};

const NAMESPACE: &[u8] = b"https://www.bullseye.com/covxml";
/// How deep folders may be nested.
const MAX_DEPTH: usize = 256;
/// The longest path, in bytes.
const MAX_PATH_BYTES: usize = 4096;

/// Adds the sources of a document.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut scanner = Scanner::new(content);
    let mut reader = Reader::default();
    let prefix = loop {
        match scanner.next() {
            Some(Markup::Open(_)) => break check_root(&scanner, context)?,
            Some(_) => {}
            None => return Ok(()),
        }
    };
    // Elements of another namespace are none of Bullseye's.
    let Some(prefix) = prefix else { return Ok(()) };
    while let Some(markup) = scanner.next() {
        let local = |name| strip(name, prefix);
        match markup {
            Markup::Empty(name) if local(name) == b"probe" => reader.probe(&scanner, context)?,
            Markup::Open(name) => match local(name) {
                b"probe" => reader.probe(&scanner, context)?,
                b"fn" => reader.functions += 1,
                b"src" => reader.start_source(&scanner, context)?,
                b"folder" if !reader.enter(&scanner) => break,
                _ => {}
            },
            Markup::Close(name) => match local(name) {
                b"fn" => reader.functions = reader.functions.saturating_sub(1),
                b"src" => reader.sources.leave(),
                b"folder" => reader.exit(),
                _ => {}
            },
            _ => {}
        }
    }
    reader.sources.finish(context);
    Ok(())
}

/// Checks the date of the build; gives the prefix of Bullseye's namespace, if the root has it.
fn check_root<'a>(scanner: &Scanner<'a>, context: &Context<'_>) -> Result<Option<&'a [u8]>> {
    match scanner.text_attribute(b"buildId") {
        None => context.age.check_strict("Bullseye", "")?,
        Some(build) => match build.split_once('_') {
            None | Some((_, "")) => {}
            Some((_, date)) => context
                .age
                .check_strict("Bullseye", &date.replace('_', " "))?,
        },
    }
    let declared = scanner
        .attributes()
        .iter()
        .find(|(name, value)| name.starts_with(b"xmlns") && *value == NAMESPACE);
    Ok(declared.map(|&(name, _)| {
        name[b"xmlns".len()..]
            .trim_ascii()
            .strip_prefix(b":")
            .unwrap_or_default()
    }))
}

/// The name of an element without the prefix; empty when it has another.
fn strip<'a>(name: &'a [u8], prefix: &[u8]) -> &'a [u8] {
    if prefix.is_empty() {
        return name;
    }
    name.strip_prefix(prefix)
        .and_then(|name| name.strip_prefix(b":"))
        .unwrap_or_default()
}

#[derive(Default)]
struct Reader<'c> {
    /// The folders that are open, each with a slash behind.
    folder: String,
    /// How long `folder` was before each of them.
    lengths: Vec<usize>,
    /// How many functions are open.
    functions: usize,
    sources: Named<'c>,
}

impl<'c> Reader<'c> {
    /// Goes into a folder; `false` when it is too deep.
    fn enter(&mut self, scanner: &Scanner<'_>) -> bool {
        self.lengths.push(self.folder.len());
        let name = scanner.text_attribute(b"name").unwrap_or_default();
        if self.folder.len() + name.len() < MAX_PATH_BYTES {
            self.folder.push_str(&name);
            self.folder.push('/');
        }
        self.lengths.len() <= MAX_DEPTH
    }

    fn exit(&mut self) {
        if let Some(length) = self.lengths.pop() {
            self.folder.truncate(length);
        }
    }

    fn start_source(&mut self, scanner: &Scanner<'_>, context: &Context<'c>) -> Result<()> {
        self.functions = 0;
        self.sources.leave();
        let name = scanner.text_attribute(b"name").unwrap_or_default();
        if self.lengths.is_empty() || self.folder.len() + name.len() > MAX_PATH_BYTES {
            return Ok(());
        }
        let folder = self.folder.len();
        self.folder.push_str(&name);
        let selected = self.sources.select(&self.folder, context);
        self.folder.truncate(folder);
        selected
    }

    fn probe(&mut self, scanner: &Scanner<'_>, context: &mut Context<'c>) -> Result<()> {
        let Some(source) = self.sources.current().filter(|_| self.functions > 0) else {
            return Ok(());
        };
        let (mut line, mut kind, mut coverage) = (None, Kind::Line, Coverage::Null);
        for &(name, value) in scanner.attributes() {
            match name {
                b"line" => line = Some(value),
                b"kind" => kind = kind_of(value),
                b"event" => coverage = coverage_of(value),
                _ => {}
            }
        }
        if let Some(line) = required_line(line, "bullseye: line of a probe", context)? {
            source.append(line, kind, coverage);
        }
        Ok(())
    }
}

fn kind_of(kind: &[u8]) -> Kind {
    match kind {
        b"condition" | b"decision" | b"switch-label" => Kind::Branch,
        b"function" => Kind::Method,
        _ => Kind::Line,
    }
}

fn coverage_of(event: &[u8]) -> Coverage {
    match event {
        b"full" => Coverage::Hits(1),
        b"none" => Coverage::Hits(0),
        _ => Coverage::Arms { taken: 1, total: 2 },
    }
}
