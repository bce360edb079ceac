//! A forgiving scanner of XML: what can be read of a broken or truncated document is read.
//!
//! Elements and their attributes are borrowed from the document. No external entity is ever
//! fetched; internal ones are known from the document type and stand for text in attributes only.

use std::borrow::Cow;
use std::collections::HashMap;

use memchr::{memchr, memmem};

/// Internal entities that a document may declare.
const MAX_ENTITIES: usize = 1_000;
/// The most text that entities of one value may stand for, in bytes.
const MAX_EXPANDED_BYTES: usize = 64 << 10;
/// How deep entities may stand for entities.
const MAX_ENTITY_DEPTH: usize = 8;
/// How many entities of one value may be looked up, nested ones included.
const MAX_LOOKUPS: usize = 10_000;

/// A piece of markup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Markup<'a> {
    /// `<name ...>`
    Open(&'a [u8]),
    /// `<name .../>`
    Empty(&'a [u8]),
    /// `</name>`
    Close(&'a [u8]),
    /// A comment or a processing instruction.
    Aside,
    /// A CDATA section or the document type.
    Other,
}

/// Walks through the markup of a document.
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    attributes: Vec<(&'a [u8], &'a [u8])>,
    entities: HashMap<&'a [u8], &'a [u8]>,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Scanner<'a> {
        Scanner {
            bytes,
            at: 0,
            attributes: Vec::new(),
            entities: HashMap::new(),
        }
    }

    /// The next element's start or end; `None` at the end of what can be read.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Markup<'a>> {
        loop {
            match self.markup()? {
                Markup::Aside | Markup::Other => {}
                element => return Some(element),
            }
        }
    }

    /// The next piece of markup of any kind.
    #[inline]
    pub(crate) fn markup(&mut self) -> Option<Markup<'a>> {
        loop {
            // Most markup follows the last at once or after a line break.
            let rest = self.bytes.get(self.at..)?;
            let at = match rest {
                [b'<', ..] => 0,
                [_, b'<', ..] => 1,
                _ => memchr(b'<', rest)?,
            };
            self.at += at + 1;
            match *self.bytes.get(self.at)? {
                b'/' => return self.close(),
                b'!' => return self.declaration(),
                b'?' => {
                    self.skip_past(b"?>")?;
                    return Some(Markup::Aside);
                }
                byte if is_name(byte) => return self.open(),
                _ => {} // A lone `<`: text, as far as a reader that recovers is concerned.
            }
        }
    }

    /// The raw values of the last element's attributes, in order.
    pub(crate) fn attributes(&self) -> &[(&'a [u8], &'a [u8])] {
        &self.attributes
    }

    /// The raw value of an attribute of the last element.
    pub(crate) fn attribute(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.attributes
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    }

    /// An attribute of the last element as text.
    pub(crate) fn text_attribute(&self, name: &[u8]) -> Option<Cow<'a, str>> {
        self.attribute(name).map(|value| self.decode(value))
    }

    /// The text between the last markup and the next.
    pub(crate) fn text(&self) -> &'a [u8] {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        &rest[..memchr(b'<', rest).unwrap_or(rest.len())]
    }

    /// Where the scanner stands, and what it has not read yet.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at.min(self.bytes.len())..]
    }

    /// Moves on by so many bytes.
    #[inline]
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.at += bytes;
    }

    fn open(&mut self) -> Option<Markup<'a>> {
        let start = self.at;
        let mut at = start;
        while is_name(*self.bytes.get(at)?) {
            at += 1;
        }
        let name = &self.bytes[start..at];
        self.attributes.clear();
        loop {
            match *self.bytes.get(at)? {
                b'>' => {
                    self.at = at + 1;
                    return Some(Markup::Open(name));
                }
                b'/' if self.bytes.get(at + 1) == Some(&b'>') => {
                    self.at = at + 2;
                    return Some(Markup::Empty(name));
                }
                b'<' => {
                    // The element was never closed; the next begins.
                    self.at = at;
                    return Some(Markup::Open(name));
                }
                byte if is_name(byte) => at = self.attribute_at(at)?,
                _ => at += 1,
            }
        }
    }

    /// Reads the attribute that starts at `at`; gives where it ends.
    fn attribute_at(&mut self, mut at: usize) -> Option<usize> {
        let start = at;
        while is_name(*self.bytes.get(at)?) {
            at += 1;
        }
        let name = &self.bytes[start..at];
        while self.bytes.get(at)?.is_ascii_whitespace() {
            at += 1;
        }
        if self.bytes[at] != b'=' {
            return Some(at);
        }
        at += 1;
        while self.bytes.get(at)?.is_ascii_whitespace() {
            at += 1;
        }
        let quote = self.bytes[at];
        if quote != b'"' && quote != b'\'' {
            return Some(at);
        }
        let value = &self.bytes[at + 1..];
        let length = quoted_length(value, quote)?;
        self.attributes.push((name, &value[..length]));
        Some(at + length + 2)
    }

    fn close(&mut self) -> Option<Markup<'a>> {
        let rest = &self.bytes[self.at + 1..];
        let end = memchr(b'>', rest)?;
        self.at += end + 2;
        Some(Markup::Close(rest[..end].trim_ascii_end()))
    }

    fn declaration(&mut self) -> Option<Markup<'a>> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(b"!--") {
            self.at += 3;
            self.skip_past(b"-->")?;
            return Some(Markup::Aside);
        }
        if rest.starts_with(b"![CDATA[") {
            self.skip_past(b"]]>")?;
            return Some(Markup::Other);
        }
        self.document_type()?;
        Some(Markup::Other)
    }

    /// Skips `!DOCTYPE ... [ ... ]>`, taking note of internal entities.
    fn document_type(&mut self) -> Option<()> {
        let mut depth = 0;
        loop {
            let rest = &self.bytes[self.at..];
            match *rest.first()? {
                b'[' => depth += 1,
                b']' => depth -= 1,
                b'>' if depth <= 0 => {
                    self.at += 1;
                    return Some(());
                }
                quote @ (b'"' | b'\'') => self.at += 1 + memchr(quote, &rest[1..])?,
                b'<' if rest.starts_with(b"<!--") => {
                    self.skip_past(b"-->")?;
                    continue;
                }
                b'<' if rest.starts_with(b"<!ENTITY") => self.entity(&rest[8..]),
                _ => {}
            }
            self.at += 1;
        }
    }

    fn entity(&mut self, rest: &'a [u8]) {
        let rest = rest.trim_ascii_start();
        let length = rest.iter().take_while(|&&byte| is_name(byte)).count();
        let (name, value) = rest.split_at(length);
        let [quote @ (b'"' | b'\''), value @ ..] = value.trim_ascii_start() else {
            return;
        };
        if let Some(end) = memchr(*quote, value)
            && self.entities.len() < MAX_ENTITIES
        {
            self.entities.entry(name).or_insert(&value[..end]);
        }
    }

    fn skip_past(&mut self, end: &[u8]) -> Option<()> {
        let found = memmem::find(&self.bytes[self.at..], end)?;
        self.at += found + end.len();
        Some(())
    }

    /// The text that a raw attribute value or text stands for.
    pub(crate) fn decode(&self, raw: &'a [u8]) -> Cow<'a, str> {
        if memchr(b'&', raw).is_none() {
            return String::from_utf8_lossy(raw);
        }
        let mut out = Vec::with_capacity(raw.len());
        let mut lookups = MAX_LOOKUPS;
        self.expand(raw, 0, &mut lookups, &mut out);
        Cow::Owned(String::from_utf8_lossy(&out).into_owned())
    }

    fn expand(&self, raw: &[u8], depth: usize, lookups: &mut usize, out: &mut Vec<u8>) {
        let mut rest = raw;
        while let Some(at) = memchr(b'&', rest) {
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at + 1..];
            let end = memchr(b';', rest).filter(|&end| end <= 64);
            let Some(end) = end else {
                out.push(b'&');
                continue;
            };
            let name = &rest[..end];
            let known = std::str::from_utf8(name).ok().and_then(|name| {
                quick_xml::escape::resolve_predefined_entity(name)
                    .map(Cow::Borrowed)
                    .or_else(|| {
                        character(name.strip_prefix('#')?).map(|c| Cow::Owned(c.to_string()))
                    })
            });
            if let Some(text) = known {
                out.extend_from_slice(text.as_bytes());
            } else if let Some(value) = self.entities.get(name)
                && depth < MAX_ENTITY_DEPTH
                && out.len() < MAX_EXPANDED_BYTES
                && *lookups > 0
            {
                *lookups -= 1;
                self.expand(value, depth + 1, lookups, out);
            }
            rest = &rest[end + 1..];
        }
        out.extend_from_slice(rest);
    }
}

/// The character of a reference: `65` or `x41`.
fn character(number: &str) -> Option<char> {
    let code = match number.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    char::from_u32(code.ok()?)
}

/// The length of a value up to its closing quote. Values are short, as a rule.
#[inline]
fn quoted_length(value: &[u8], quote: u8) -> Option<usize> {
    const SHORT: usize = 8;
    let head = &value[..value.len().min(SHORT)];
    match head.iter().position(|&byte| byte == quote) {
        Some(at) => Some(at),
        None => memchr(quote, value.get(SHORT..)?).map(|at| at + SHORT),
    }
}

#[inline]
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'.' | 0x80..)
}

/// An XML document as UTF-8 without its byte order mark; anything else as it is.
pub(crate) fn to_utf8(bytes: &[u8]) -> Cow<'_, [u8]> {
    let is_xml = |bytes: &[u8]| bytes.trim_ascii_start().starts_with(b"<");
    let wide = |from: usize, read: fn([u8; 2]) -> u16| {
        let units = bytes[from..]
            .chunks_exact(2)
            .map(|pair| read([pair[0], pair[1]]));
        let text: String = char::decode_utf16(units)
            .map(|c| c.unwrap_or('\u{fffd}'))
            .collect();
        if is_xml(text.as_bytes()) {
            Cow::Owned(text.into_bytes())
        } else {
            Cow::Borrowed(bytes)
        }
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] if is_xml(rest) => Cow::Borrowed(rest),
        [0xff, 0xfe, ..] => wide(2, u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(2, u16::from_be_bytes),
        [b'<', 0, ..] => wide(0, u16::from_le_bytes),
        [0, b'<', ..] => wide(0, u16::from_be_bytes),
        _ if is_latin1(bytes) && !bytes.is_ascii() => {
            let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
            Cow::Owned(text.into_bytes())
        }
        _ => Cow::Borrowed(bytes),
    }
}

/// Whether the XML declaration names an encoding of one byte per character.
fn is_latin1(bytes: &[u8]) -> bool {
    let head = bytes.trim_ascii_start();
    if !head.starts_with(b"<?xml") {
        return false;
    }
    let declaration = head[..memchr(b'>', head).unwrap_or(0)].to_ascii_lowercase();
    [&b"iso-8859-1"[..], b"latin1", b"latin-1", b"windows-1252"]
        .iter()
        .any(|name| memmem::find(&declaration, name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(document: &str) -> Vec<String> {
        let mut scanner = Scanner::new(document.as_bytes());
        let mut names = Vec::new();
        while let Some(markup) = scanner.next() {
            names.push(match markup {
                Markup::Open(name) => format!("+{}", String::from_utf8_lossy(name)),
                Markup::Empty(name) => format!("={}", String::from_utf8_lossy(name)),
                Markup::Close(name) => format!("-{}", String::from_utf8_lossy(name)),
                other => format!("{other:?}"),
            });
        }
        names
    }

    #[test]
    fn asides_are_skipped_and_truncated_documents_end() {
        let document = "\n<?xml version='1.0'?><!DOCTYPE a [<!ELEMENT a (b>c)*>]><a x='>'><!-- <b> --><![CDATA[<c>]]><b y=\"1\" /></a><d";
        assert_eq!(names(document), ["+a", "=b", "-a"]);
    }

    #[test]
    fn entities_stand_for_text_in_attributes() {
        let document = br#"<!DOCTYPE a [<!ENTITY e "x&f;"><!ENTITY f "y"><!ENTITY g SYSTEM "file:///etc/passwd">]><a b="&e;&lt;&#65;&#x42;&g;&nope;&"/>"#;
        let mut scanner = Scanner::new(document);
        scanner.next();
        assert_eq!(scanner.text_attribute(b"b").unwrap(), "xy<AB&");
    }

    #[test]
    fn entities_that_grow_are_cut() {
        let mut document = String::from("<!DOCTYPE a [<!ENTITY e0 'haha'>");
        for i in 1..9 {
            let refs = format!("&e{};", i - 1).repeat(20);
            document.push_str(&format!("<!ENTITY e{i} '{refs}'>"));
        }
        document.push_str("]><a b='&e8;'/>");
        let mut scanner = Scanner::new(document.as_bytes());
        scanner.next();
        assert!(scanner.text_attribute(b"b").unwrap().len() < 2 * MAX_EXPANDED_BYTES);
    }

    #[test]
    fn wide_and_latin_documents_become_utf8() {
        let wide: Vec<u8> = "\u{feff}<a b='é'/>"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(&*to_utf8(&wide), "<a b='é'/>".as_bytes());
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a b='\xe9'/>";
        assert!(to_utf8(latin).ends_with("<a b='é'/>".as_bytes()));
    }
}
