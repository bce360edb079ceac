//! A forgiving scanner of XML: what can be read of a broken or truncated document is read.
//!
//! Elements and their attributes are borrowed from the document. No external entity is ever
//! fetched; internal ones are known from the document type and stand for text in attributes only.

use std::borrow::Cow;
use std::collections::HashMap;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use memchr::{memchr, memmem};

use crate::number::digits;

/// The most attributes of one element that are kept; further ones are skipped.
const MAX_ATTRIBUTES: usize = 256;
/// The longest name of an entity that stands for text, in bytes.
const MAX_ENTITY_NAME_BYTES: usize = 64;
/// How much of a document is searched for its declaration, in bytes.
const DECLARATION_BYTES: usize = 1 << 10;
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
            // Most markup follows the last at once or after blanks.
            let rest = self.bytes.get(self.at..)?;
            let blanks = blanks(rest);
            let at = match rest.get(blanks)? {
                b'<' => blanks,
                _ => blanks + memchr(b'<', &rest[blanks..])?,
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

    /// The text from the last markup on, CDATA sections included, up to other markup.
    pub(crate) fn text_content(&self) -> Cow<'a, str> {
        const START: &[u8] = b"<![CDATA[";
        let mut text = self.decode(self.text());
        let mut rest = &self.rest()[self.text().len()..];
        while let Some(section) = rest.strip_prefix(START)
            && let Some(end) = memmem::find(section, b"]]>")
        {
            let behind = &section[end + 3..];
            let more = &behind[..memchr(b'<', behind).unwrap_or(behind.len())];
            text += String::from_utf8_lossy(&section[..end]);
            text += self.decode(more);
            rest = &behind[more.len()..];
        }
        text
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
        if self.attributes.len() < MAX_ATTRIBUTES {
            self.attributes.push((name, &value[..length]));
        }
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
            let near = &rest[..rest.len().min(MAX_ENTITY_NAME_BYTES + 1)];
            let Some(end) = memchr(b';', near) else {
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
    match value.first_chunk() {
        Some(word) => match first_of(u64::from_le_bytes(*word), quote) {
            8 => memchr(quote, &value[8..]).map(|at| at + 8),
            at => Some(at),
        },
        None => memchr(quote, value),
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * ONES;

/// Which byte of a word, from the lowest on, is the first that equals `byte`; 8 when none does.
#[inline]
fn first_of(word: u64, byte: u8) -> usize {
    let differences = word ^ (u64::from(byte) * ONES);
    let equal = differences.wrapping_sub(ONES) & !differences & HIGH;
    (equal.trailing_zeros() / 8) as usize
}

/// How many blanks a text starts with. Control characters count as such.
#[inline(always)]
pub(crate) fn blanks(text: &[u8]) -> usize {
    const BLANK: u8 = b' ';
    let mut at = 0;
    while let Some(word) = text.get(at..).and_then(|rest| rest.first_chunk()) {
        let word = u64::from_le_bytes(*word);
        let others = (((word & !HIGH) + u64::from(0x7f - BLANK) * ONES) | word) & HIGH;
        if others != 0 {
            return at + (others.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = &text[at..];
    at + rest.iter().take_while(|&&byte| byte <= BLANK).count()
}

/// Which bytes names are made of.
const NAME_BYTES: [bool; 256] = {
    let mut is_name = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let ascii = byte as u8;
        is_name[byte] = byte >= 0x80
            || ascii.is_ascii_alphanumeric()
            || matches!(ascii, b'-' | b'_' | b':' | b'.');
        byte += 1;
    }
    is_name
};

#[inline]
fn is_name(byte: u8) -> bool {
    NAME_BYTES[usize::from(byte)]
}

/// Reads markup that is written in the one way in which its tool writes it; `None` as soon as it is
/// not, so that the scanner reads it instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fixed<'a>(&'a [u8]);

impl<'a> Fixed<'a> {
    /// What follows the blanks that a text starts with.
    #[inline(always)]
    pub(crate) fn behind_blanks(text: &'a [u8]) -> Fixed<'a> {
        match text {
            [b'<', ..] => Fixed(text),
            _ => Fixed(&text[blanks(text)..]),
        }
    }

    /// Reads on where a text starts.
    #[inline(always)]
    pub(crate) fn at(text: &'a [u8]) -> Fixed<'a> {
        Fixed(text)
    }

    /// What is left.
    #[inline(always)]
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// What follows these bytes.
    #[inline(always)]
    pub(crate) fn text<const N: usize>(self, text: &[u8; N]) -> Option<Fixed<'a>> {
        self.0.strip_prefix(text).map(Fixed)
    }

    /// A number of at most 18 digits, and what follows.
    #[inline(always)]
    pub(crate) fn number(self) -> Option<(u64, Fixed<'a>)> {
        let (value, length) = digits(self.0);
        (1..19)
            .contains(&length)
            .then(|| (value, Fixed(&self.0[length..])))
    }

    /// What follows the end of an empty element whose last value is in double quotes.
    #[inline]
    pub(crate) fn behind_empty(self) -> Option<Fixed<'a>> {
        let end = memchr(b'>', self.0)?;
        self.0[..end]
            .ends_with(b"\"/")
            .then(|| Fixed(&self.0[end + 1..]))
    }

    /// The text up to a double quote, and what follows that.
    #[inline]
    pub(crate) fn value(self) -> Option<(&'a [u8], Fixed<'a>)> {
        let length = quoted_length(self.0, b'"')?;
        Some((&self.0[..length], Fixed(&self.0[length + 1..])))
    }
}

/// An XML document as UTF-8 without its byte order mark; anything else as it is.
pub(crate) fn to_utf8(bytes: &[u8]) -> Cow<'_, [u8]> {
    let (encoding, text) = match bytes {
        [0xef, 0xbb, 0xbf, text @ ..] => (UTF_8, text),
        [0xff, 0xfe, text @ ..] => (UTF_16LE, text),
        [0xfe, 0xff, text @ ..] => (UTF_16BE, text),
        [b'<', 0, ..] => (UTF_16LE, bytes),
        [0, b'<', ..] => (UTF_16BE, bytes),
        _ => (declared_encoding(bytes).unwrap_or(UTF_8), bytes),
    };
    if !is_xml(text, encoding) {
        Cow::Borrowed(bytes)
    } else if encoding == UTF_8 {
        Cow::Borrowed(text)
    } else {
        match encoding.decode_without_bom_handling(text).0 {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }
    }
}

fn is_xml(text: &[u8], encoding: &'static Encoding) -> bool {
    let head = &text[..text.len().min(DECLARATION_BYTES)];
    let (head, _) = encoding.decode_without_bom_handling(head);
    head.trim_start().starts_with('<')
}

/// The encoding that the XML declaration names. It can be read, so it is none of two bytes a character,
/// whatever it says.
fn declared_encoding(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes[..bytes.len().min(DECLARATION_BYTES)].trim_ascii_start();
    let declaration = head.strip_prefix(b"<?xml")?;
    let declaration = &declaration[..memmem::find(declaration, b"?>")?];
    let at = memmem::find(declaration, b"encoding")? + b"encoding".len();
    let value = declaration[at..].trim_ascii_start().strip_prefix(b"=")?;
    let (quote, value) = value.trim_ascii_start().split_first()?;
    let label = &value[..memchr(*quote, value)?];
    let encoding = Encoding::for_label(label)?;
    encoding.is_ascii_compatible().then_some(encoding)
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
    fn attributes_may_be_spelt_in_any_way() {
        let document =
            "<a\n b = 'x>\"y'\tc\r=\n\"it's\" c='again' d=bare e f='' é='1' g='2'/ h='3'>";
        let mut scanner = Scanner::new(document.as_bytes());
        assert_eq!(scanner.next(), Some(Markup::Open(b"a")));
        let attribute = |name: &str| scanner.text_attribute(name.as_bytes());
        assert_eq!(attribute("b").unwrap(), "x>\"y");
        assert_eq!(attribute("c").unwrap(), "it's");
        assert_eq!((attribute("d"), attribute("e")), (None, None));
        assert_eq!(attribute("f").unwrap(), "");
        assert_eq!(attribute("é").unwrap(), "1");
        assert_eq!(attribute("g").unwrap(), "2");
        assert_eq!(attribute("h").unwrap(), "3");
    }

    #[test]
    fn names_keep_their_prefix() {
        let document = "<x:a xmlns:x='u'><x:b.c-d_e/></x:a >";
        assert_eq!(names(document), ["+x:a", "=x:b.c-d_e", "-x:a"]);
    }

    #[test]
    fn asides_may_stand_anywhere_and_hold_anything() {
        let document = "<a><!-- > -- <b> --><?pi <c> ?><d><![CDATA[</d>]]]]><![CDATA[>]]></d>\u{0}\u{7}< <e/>&</a>";
        assert_eq!(names(document), ["+a", "+d", "-d", "=e", "-a"]);
    }

    #[test]
    fn document_types_are_skipped() {
        for doctype in [
            "<!DOCTYPE a SYSTEM 'a>b.dtd'>",
            "<!DOCTYPE a PUBLIC \"-//x//y\" \"http://h/>\" [ ]>",
            "<!DOCTYPE a [<!-- ]> --><!ATTLIST a b CDATA '>'><!ENTITY % p '<x>'>%p;]>",
        ] {
            assert_eq!(names(&format!("{doctype}<a/>")), ["=a"], "{doctype}");
        }
    }

    #[test]
    fn truncated_documents_give_what_is_whole() {
        let document = "<?xml version='1.0'?><a><b c='1'>x</b><!-- y --><d e='2'/></a>";
        let whole = names(document);
        for end in 0..document.len() {
            let read = names(&document[..end]);
            assert_eq!(read, whole[..read.len()], "{}", &document[..end]);
        }
    }

    #[test]
    fn text_includes_sections_of_it() {
        let document = b"<a>x&lt;<![CDATA[<y>&amp;]]>&amp;<![CDATA[z]]></a>";
        let mut scanner = Scanner::new(document);
        scanner.next();
        assert_eq!(scanner.text_content(), "x<<y>&amp;&z");
        assert_eq!(scanner.next(), Some(Markup::Close(b"a")));
    }

    #[test]
    fn a_million_of_anything_is_read_in_linear_time_and_little_memory() {
        const MILLION: usize = 1_000_000;
        let nested = "<a>".repeat(MILLION);
        assert_eq!(names(&nested).len(), MILLION);
        let many = format!("<a {}/>", "b='c' ".repeat(MILLION));
        let mut scanner = Scanner::new(many.as_bytes());
        assert_eq!(scanner.next(), Some(Markup::Empty(b"a")));
        assert_eq!(scanner.attributes().len(), MAX_ATTRIBUTES);
        let ampersands = format!("<a b='{};'/>", "&".repeat(MILLION));
        let mut scanner = Scanner::new(ampersands.as_bytes());
        scanner.next();
        assert!(scanner.text_attribute(b"b").unwrap().len() > MILLION / 2);
        for part in [
            "<",
            "<!",
            "<!--",
            "<![CDATA[",
            "<?",
            "</",
            "<a b='",
            "<!DOCTYPE a [",
            "&",
        ] {
            assert!(names(&part.repeat(MILLION)).len() <= MILLION, "{part}");
        }
    }

    #[test]
    fn blanks_and_quotes_are_found_at_any_place() {
        for length in 0..40 {
            let text = [vec![b'\t'; length], b"<a".to_vec()].concat();
            assert_eq!(blanks(&text), length);
            assert_eq!(blanks(&text[..length]), length);
            let text = [vec![b'!'; length], b"\"\"".to_vec()].concat();
            assert_eq!(quoted_length(&text, b'"'), Some(length));
            assert_eq!(quoted_length(&text[..length], b'"'), None);
        }
        assert_eq!(blanks("  é".as_bytes()), 2);
    }

    #[test]
    fn wide_and_latin_documents_become_utf8() {
        let wide: Vec<u8> = "\u{feff}<a b='é'/>"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(&*to_utf8(&wide), "<a b='é'/>".as_bytes());
        assert_eq!(&*to_utf8(&wide[2..]), "<a b='é'/>".as_bytes());
        let big: Vec<u8> = wide.chunks(2).flat_map(|unit| [unit[1], unit[0]]).collect();
        assert_eq!(&*to_utf8(&big), "<a b='é'/>".as_bytes());
        assert_eq!(&*to_utf8(&big[2..]), "<a b='é'/>".as_bytes());
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a b='\xe9'/>";
        assert!(to_utf8(latin).ends_with("<a b='é'/>".as_bytes()));
    }

    #[test]
    fn documents_in_the_encoding_that_they_name_become_utf8() {
        for (label, bytes, text) in [
            ("windows-1251", &b"\xef\xf0"[..], "пр"),
            ("Shift_JIS", b"\x93\xfa", "日"),
            ("gb18030", b"\xd6\xd0", "中"),
            ("euc-kr", b"\xc7\xd1", "한"),
            ("UTF-8", "é".as_bytes(), "é"),
            // What .NET writes to memory and then stores otherwise.
            ("utf-16", "é".as_bytes(), "é"),
            ("nonsense", "é".as_bytes(), "é"),
        ] {
            let head = format!("\n<?xml version=\"1.0\" encoding = \"{label}\" ?><a>");
            let document = [head.as_bytes(), bytes].concat();
            let expected = [head.as_bytes(), text.as_bytes()].concat();
            assert_eq!(to_utf8(&document), expected, "{label}");
        }
    }

    #[test]
    fn only_xml_is_touched() {
        for text in [
            &b"\xef\xbb\xbfSF:a"[..],
            b"\xff\xfeS\0F\0",
            b"\xe9",
            b"",
            b"<",
        ] {
            assert_eq!(&*to_utf8(text), text);
        }
        assert_eq!(&*to_utf8(b"\xef\xbb\xbf <a/>"), b" <a/>");
    }
}
