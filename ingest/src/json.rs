//! A forward reader of JSON: nothing is built, what is not asked for is skipped.
//!
//! A text is borrowed unless it has escapes. What is skipped is checked, so a document that was read
//! to its [`end`](Cursor::end) is JSON (but of texts that are skipped nobody looks whether they are
//! UTF-8). Source: RFC 8259.

mod counts;
mod entries;
mod rows;

use std::borrow::Cow;

use engine::simd::{self, AHEAD, Field, Level, ROW_END, ROWS, RowForm, Work, widely};

use crate::error::Failure;
use crate::number::{WINDOW_BYTES, Window, digits};

pub(crate) use counts::{Counts, Word, Words};
pub(crate) use entries::{Entry, each, elements, entries};
use rows::short_rows;

/// How deep values may be nested.
const MAX_DEPTH: usize = 128;

/// Why reading stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Not JSON.
    Broken,
    /// JSON, but not of the shape that the format has.
    Fails(String),
}

impl Stop {
    /// JSON that a format does not allow, by its reason.
    pub(crate) fn fails<T>(reason: impl Into<String>) -> Step<T> {
        Err(Stop::Fails(reason.into()))
    }
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Failure {
        match stop {
            Stop::Broken => Failure::corrupt("the file is no JSON"),
            Stop::Fails(reason) => Failure::fails(reason),
        }
    }
}

/// The result of a step through a document.
pub(crate) type Step<T> = std::result::Result<T, Stop>;

/// What stands at a place.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    /// The number as it is written.
    Number(&'a [u8]),
    Text(Cow<'a, str>),
    /// An array, not read yet.
    Array,
    /// An object, not read yet.
    Object,
}

/// A place in a JSON document.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Before the first byte of a document, or of a part of one.
    pub(crate) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0 }
    }

    /// Before a byte of a document.
    fn starting_at(bytes: &'a [u8], at: usize) -> Cursor<'a> {
        Cursor { bytes, at }
    }

    /// Moves behind `text` if that is what stands here.
    #[inline]
    pub(crate) fn take(&mut self, text: &[u8]) -> bool {
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    /// Reads a number that is nothing but digits and fits, if that is what stands here.
    #[inline]
    pub(crate) fn natural(&mut self) -> Option<u64> {
        let (value, length) = plain_count(self.rest());
        self.at += length;
        (length > 0).then_some(value)
    }

    /// Moves on by bytes that the caller has looked at.
    #[inline]
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.at = self.bytes.len().min(self.at + bytes);
    }

    /// What stands at the cursor and behind.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The next byte that is no blank.
    #[inline]
    pub(crate) fn peek(&mut self) -> Step<u8> {
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b' ' => self.skip_spaces(),
                b'\n' | b'\t' | b'\r' => self.at += 1,
                _ => return Ok(byte),
            }
        }
        Err(Stop::Broken)
    }

    /// Skips one byte, and the spaces behind it as far as words of them go.
    #[inline]
    fn skip_spaces(&mut self) {
        const SPACES: u64 = u64::from_le_bytes([b' '; 8]);
        self.at += 1;
        if self.bytes.get(self.at) != Some(&b' ') {
            return; // as mostly, where nothing is indented
        }
        while let Some(word) = self.rest().first_chunk() {
            let others = u64::from_le_bytes(*word) ^ SPACES;
            self.at += (others.trailing_zeros() / 8) as usize;
            if others != 0 {
                return;
            }
        }
    }

    /// How many bytes are behind.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub(crate) fn expect(&mut self, byte: u8) -> Step<()> {
        if self.peek()? != byte {
            return Err(Stop::Broken);
        }
        self.at += 1;
        Ok(())
    }

    /// Whether all of the document is UTF-8, which skipping does not check.
    pub(crate) fn check_text(&self) -> Step<()> {
        check_text(self.bytes)
    }

    pub(crate) fn end(&mut self) -> Step<()> {
        if self.peek().is_ok() {
            Err(Stop::Broken)
        } else {
            Ok(())
        }
    }

    /// The next key of the object that is open, its colon behind; `None` at the object's end.
    pub(crate) fn key(&mut self, first: &mut bool) -> Step<Option<Cow<'a, str>>> {
        let byte = self.peek()?;
        if byte == b'}' {
            self.at += 1;
            return Ok(None);
        }
        if !std::mem::take(first) {
            self.expect(b',')?;
        }
        let key = self.string()?;
        self.expect(b':')?;
        self.peek()?;
        Ok(Some(key))
    }

    /// Like [`key`](Self::key), for keys that are compared with names and not kept.
    #[inline]
    pub(crate) fn plain_key(&mut self, first: &mut bool) -> Step<Option<Cow<'a, [u8]>>> {
        let before = self.at;
        if !*first && self.take(b",") {
            self.take(b" ");
        }
        if (*first || self.at > before)
            && let Some(length) = plain_key_bytes(self.rest())
        {
            let key = &self.rest()[1..=length];
            self.at += length + b"\"\":".len();
            self.peek()?;
            *first = false;
            return Ok(Some(Cow::Borrowed(key)));
        }
        self.at = before;
        Ok(self.key(first)?.map(|key| match key {
            Cow::Borrowed(key) => Cow::Borrowed(key.as_bytes()),
            Cow::Owned(key) => Cow::Owned(key.into_bytes()),
        }))
    }

    /// Like [`key`](Self::key), for an object whose keys are looked for as they are written: one with
    /// escapes is none of them.
    #[inline]
    pub(crate) fn raw_key(&mut self, first: &mut bool) -> Step<Option<&'a [u8]>> {
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(None);
        }
        if !std::mem::take(first) {
            self.expect(b',')?;
        }
        self.expect(b'"')?;
        let start = self.at;
        self.skip_string()?;
        let key = &self.bytes[start..self.at - 1];
        self.expect(b':')?;
        self.peek()?;
        Ok(Some(key))
    }

    pub(crate) fn string(&mut self) -> Step<Cow<'a, str>> {
        self.expect(b'"')?;
        let start = self.at;
        let escaped = self.skip_string()?;
        if escaped {
            return unescaped(&self.bytes[start - 1..self.at]).map(Cow::Owned);
        }
        let text =
            std::str::from_utf8(&self.bytes[start..self.at - 1]).map_err(|_| Stop::Broken)?;
        Ok(Cow::Borrowed(text))
    }

    /// Walks through the object at the cursor: `each` gets every key and must read or skip its value.
    pub(crate) fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, Cow<'a, str>) -> Step<()>,
    ) -> Step<()> {
        self.expect(b'{')?;
        let mut first = true;
        while let Some(key) = self.key(&mut first)? {
            each(self, key)?;
        }
        Ok(())
    }

    /// Whether the array that is open has one more element, before which the cursor stands then.
    pub(crate) fn element(&mut self, first: &mut bool) -> Step<bool> {
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(false);
        }
        if !std::mem::take(first) {
            self.expect(b',')?;
            self.peek()?;
        }
        Ok(true)
    }

    /// Walks through the array at the cursor: `each` must read or skip every element.
    pub(crate) fn array(&mut self, mut each: impl FnMut(&mut Self) -> Step<()>) -> Step<()> {
        self.expect(b'[')?;
        let mut first = true;
        while self.element(&mut first)? {
            each(self)?;
        }
        Ok(())
    }

    /// Reads a value that is neither array nor object; such a one stays to be read.
    pub(crate) fn value(&mut self) -> Step<Value<'a>> {
        match self.peek()? {
            b'{' => Ok(Value::Object),
            b'[' => Ok(Value::Array),
            b'"' => self.string().map(Value::Text),
            b't' => self.word(b"true").map(|()| Value::Bool(true)),
            b'f' => self.word(b"false").map(|()| Value::Bool(false)),
            b'n' => self.word(b"null").map(|()| Value::Null),
            _ => {
                let start = self.at;
                self.skip_number()?;
                Ok(Value::Number(&self.bytes[start..self.at]))
            }
        }
    }

    /// Skips a value and gives its bytes.
    pub(crate) fn raw(&mut self) -> Step<&'a [u8]> {
        self.peek()?;
        let start = self.at;
        self.skip()?;
        Ok(&self.bytes[start..self.at])
    }

    /// Skips a value, checking that it is one.
    pub(crate) fn skip(&mut self) -> Step<()> {
        self.skip_value(0)
    }

    /// Skips a value, checking that it is one and UTF-8.
    pub(crate) fn skip_text(&mut self) -> Step<()> {
        let raw = self.raw()?;
        Cursor::new(raw).check_text()
    }

    /// Skips to behind the closing quote; tells whether there were escapes.
    #[inline]
    fn skip_string(&mut self) -> Step<bool> {
        let start = self.at;
        let (mut escaped, mut has_surrogates) = (false, false);
        loop {
            self.at += plain_bytes(self.rest());
            match self.rest() {
                [b'"', ..] => {
                    self.at += 1;
                    if has_surrogates {
                        unescaped(&self.bytes[start - 1..self.at])?;
                    }
                    return Ok(escaped);
                }
                [b'\\', rest @ ..] => {
                    escaped = true;
                    has_surrogates |= matches!(rest, [b'u', b'd' | b'D', ..]);
                    self.at += 1 + escape_bytes(rest).ok_or(Stop::Broken)?;
                }
                _ => return Err(Stop::Broken),
            }
        }
    }

    /// Takes the integers of the array at the cursor, those below 0 aside. `false` when it
    /// holds something else: then the cursor stands before the array again.
    #[inline]
    pub(crate) fn integers(&mut self, integers: &mut impl Integers) -> Step<bool> {
        let start = self.at;
        let all = self.integers_until_other(integers)?;
        if !all {
            self.at = start;
        }
        Ok(all)
    }

    fn integers_until_other(&mut self, integers: &mut impl Integers) -> Step<bool> {
        self.expect(b'[')?;
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(true);
        }
        loop {
            self.peek()?;
            let is_negative = self.take(b"-");
            let (value, length) = digits(self.rest());
            if length == 0 || (length > 1 && self.rest()[0] == b'0') {
                return Ok(false);
            }
            if !is_negative {
                integers.push(value);
            }
            self.at += length;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(true);
                }
                _ => return Ok(false),
            }
            let cursor = &mut *self;
            widely(TakeIntegers { cursor, integers });
        }
    }

    /// Takes most of the run of short numbers at the cursor, each with the comma behind.
    #[inline(always)]
    fn short_integers(&mut self, integers: &mut impl Integers, level: impl Level) {
        /// Bytes in which commas are looked for at once.
        const LOOKED: usize = 512;
        let form = &LISTED[usize::from(self.rest().first() == Some(&b' '))];
        while let Some(looked) = self.rest().first_chunk::<LOOKED>() {
            let (mut ends, mut found) = ([0; LOOKED + ROWS], 0);
            for (step, from) in looked.as_chunks().0.iter().zip((0..).step_by(64)) {
                simd::prefetch(self.rest(), AHEAD + usize::from(from));
                let commas = level.equal_to(step, b',');
                if let Some(places) = ends[found..].first_chunk_mut() {
                    found += level.places(commas, commas, from, places);
                }
            }
            // None is behind those.
            ends[found..].iter_mut().take(ROWS).for_each(|end| *end = 0);
            let (mut start, mut taken) = (0, 0);
            while let Some(text) = self.rest()[start..].first_chunk()
                && let Some(ends) = ends[taken..].as_chunks().0.first_chunk()
            {
                let mut column = [[0; ROWS]];
                let rows = level.rows(form, text, start as u16, ends, &mut column);
                let behind = |rows: usize| usize::from(ends[rows - 1][0] & !ROW_END) + 1;
                if rows < ROWS {
                    integers.push_some(&column[0], rows);
                    start = if rows == 0 { start } else { behind(rows) };
                    taken += rows;
                    break;
                }
                // What does not depend on how many there are, the processor does before it knows.
                integers.push_some(&column[0], ROWS);
                start = behind(ROWS);
                taken += ROWS;
            }
            self.at += start;
            if start == 0 || taken < found {
                return;
            }
        }
    }

    /// Calls `each` for most of the run of rows at the cursor that are three short numbers and three truth
    /// values, which are 1 or 0. The array that they stand in is open; a comma is before the cursor's row
    /// unless it is the `first`.
    #[inline]
    pub(crate) fn short_rows(&mut self, first: &mut bool, mut each: impl FnMut([u64; 6])) {
        let from = usize::from(!*first);
        if self
            .rest()
            .get(..from)
            .is_some_and(|before| before != &b","[..from])
        {
            return;
        }
        while let Some(window) = self.rest().first_chunk() {
            let from = usize::from(!*first);
            let end = short_rows(window, from, &mut each);
            if end == from {
                return;
            }
            *first = false;
            self.at += end - 1; // before the last comma
        }
    }

    /// Reads on in the object that is open while its keys and values are short numbers, and calls `each`
    /// for them; most of the run is taken, and what follows is to be read as any key.
    #[inline]
    pub(crate) fn short_entries(
        &mut self,
        first: &mut bool,
        each: impl FnMut(u64, u64),
    ) -> Step<()> {
        let before = self.at;
        if !*first {
            if self.peek()? != b',' {
                return Ok(());
            }
            self.at += 1;
        }
        self.peek()?;
        let cursor = &mut *self;
        let taken = widely(TakeEntries { cursor, each });
        *first &= taken.is_none();
        self.at = taken.unwrap_or(before);
        Ok(())
    }

    /// Reads a count; `None` when a value of another form stands at the cursor.
    #[inline]
    pub(crate) fn count(&mut self) -> Step<Option<u64>> {
        self.peek()?;
        Ok(self.natural())
    }

    /// Skips a list of plain integers and `null`, or of lists of such, if there is nothing else in it and it
    /// is written without blanks, or with one before an element.
    fn skip_number_lists(&mut self) -> bool {
        let is_nested = self.bytes.get(self.at + 1) == Some(&b'[');
        let first = self.at + 1 + usize::from(is_nested);
        let Some(from) = first.checked_sub(BEFORE) else {
            return false;
        };
        let text = self.bytes.get(from..).unwrap_or_default();
        let stop = widely(GoOn { text, is_nested });
        let ends = text
            .get(stop..=stop + BEFORE)
            .is_some_and(|bytes| number_lists_end(bytes, is_nested));
        if ends {
            self.at = from + stop + BEFORE + 1;
        }
        ends
    }

    fn skip_value(&mut self, depth: usize) -> Step<()> {
        if depth > MAX_DEPTH {
            return Err(Stop::Broken);
        }
        match self.peek()? {
            b'{' => {
                self.at += 1;
                let mut first = true;
                loop {
                    if self.peek()? == b'}' {
                        self.at += 1;
                        return Ok(());
                    }
                    if !std::mem::take(&mut first) {
                        self.expect(b',')?;
                    }
                    self.expect(b'"')?;
                    self.skip_string()?;
                    self.expect(b':')?;
                    self.skip_value(depth + 1)?;
                }
            }
            b'[' if self.skip_number_lists() => Ok(()),
            b'[' => {
                self.at += 1;
                let mut first = true;
                loop {
                    if self.peek()? == b']' {
                        self.at += 1;
                        return Ok(());
                    }
                    if !std::mem::take(&mut first) {
                        self.expect(b',')?;
                    }
                    self.skip_value(depth + 1)?;
                }
            }
            b'"' => {
                self.at += 1;
                self.skip_string().map(|_| ())
            }
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            b'-' | b'0'..=b'9' => self.skip_number(),
            _ => Err(Stop::Broken),
        }
    }

    fn word(&mut self, word: &[u8]) -> Step<()> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(Stop::Broken);
        }
        self.at += word.len();
        Ok(())
    }

    #[inline]
    fn skip_number(&mut self) -> Step<()> {
        let start = self.at;
        let in_number =
            |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
        let mut plain = true;
        while let Some(byte) = self.bytes.get(self.at).filter(|byte| in_number(byte)) {
            plain &= byte.is_ascii_digit();
            self.at += 1;
        }
        let number = &self.bytes[start..self.at];
        if number.is_empty() {
            return Err(Stop::Broken);
        }
        if plain && (number[0] != b'0' || number.len() == 1) {
            return Ok(());
        }
        serde_json::from_slice::<f64>(number)
            .map(|_| ())
            .map_err(|_| Stop::Broken)
    }
}

/// What takes the integers of a list.
pub(crate) trait Integers {
    /// Takes the next.
    fn push(&mut self, integer: u64);

    /// Takes the next few, the first `count`, which are 1 to 9,999,999; the others are any numbers.
    fn push_some(&mut self, integers: &[u64; ROWS], count: usize);
}

#[cfg(test)]
impl Integers for Vec<u64> {
    fn push(&mut self, integer: u64) {
        Vec::push(self, integer);
    }

    fn push_some(&mut self, integers: &[u64; ROWS], count: usize) {
        self.extend_from_slice(&integers[..count]);
    }
}

/// The forms of the numbers of a list: without a blank before them, and with one.
static LISTED: [RowForm<1>; 2] = [
    RowForm::new(b"", [Field::Positive(7)]),
    RowForm::new(b" ", [Field::Positive(7)]),
];

/// [`Cursor::short_integers`] as work.
struct TakeIntegers<'a, 'c, I> {
    cursor: &'a mut Cursor<'c>,
    integers: &'a mut I,
}

impl<I: Integers> Work for TakeIntegers<'_, '_, I> {
    type Output = ();

    #[inline(always)]
    fn run<L: Level>(self, level: L) {
        self.cursor.short_integers(self.integers, level);
    }
}

/// Takes short keys and values, calling `each`; gives where the comma behind the last stands.
struct TakeEntries<'a, 'c, F> {
    cursor: &'a mut Cursor<'c>,
    each: F,
}

impl<F: FnMut(u64, u64)> Work for TakeEntries<'_, '_, F> {
    type Output = Option<usize>;

    #[inline(always)]
    fn run<L: Level>(self, level: L) -> Option<usize> {
        let TakeEntries { cursor, mut each } = self;
        let mut taken = None;
        while let Some(mut window) = Window::new(cursor.rest(), level) {
            let mut start = 0;
            while let Some((key, hits, comma)) = short_entry(&mut window, start) {
                each(key, hits);
                taken = Some(cursor.at + comma);
                start = after_blank(&mut window, comma + 1);
            }
            cursor.at += start;
            if start == 0 {
                break;
            }
        }
        taken
    }
}

/// Bytes that are looked at before a byte of a list of numbers.
const BEFORE: usize = 3;

/// Where a list of numbers and `null`, or of such lists, goes on: a bit for each byte of a block, the first byte's lowest,
/// that is neither its end nor wrong behind the `BEFORE` before it. A blank may only stand behind a comma or a bracket that
/// opens.
#[inline(always)]
fn number_lists_go_on(block: &[u8; WINDOW_BYTES], is_nested: bool, level: impl Level) -> u64 {
    let is = |byte: u8| level.equal_to(block, byte);
    let digits = !level.other_than_digits(block);
    let (commas, blanks, zeros, minus) = (is(b','), is(b' '), is(b'0'), is(b'-'));
    let (opening, closing) = (is(b'['), is(b']'));
    let (n, u, l) = match is(b'n') {
        0 => (0, 0, 0),
        n => (n, is(b'u'), is(b'l')),
    };
    let nested = if is_nested { u64::MAX } else { 0 };
    let behind_opening = opening << 1;
    let behind_comma = commas << 1 | (blanks << 1 & commas << 2);
    let behind_list = (commas << 1 & closing << 2) | (blanks << 1 & commas << 2 & closing << 3);
    let opens = behind_opening | (blanks << 1 & opening << 2) | (behind_comma & !behind_list);
    let behind_zero = zeros << 1 & !(digits << 2);
    let behind_number = digits << 1;
    let behind_null = l << 1 & l << 2;
    let digit = digits & (opens | minus << 1 | (behind_number & !behind_zero));
    let sign_or_null = (minus | n) & opens;
    let of_null = (u & n << 1) | (l & (u << 1 | (l << 1 & u << 2)));
    let comma = commas & (behind_number | behind_null | (closing << 1 & nested));
    let blank = blanks & (behind_opening | commas << 1);
    let next_list = opening & behind_list & nested;
    let end_of_inner = closing & nested & (behind_number | behind_null | behind_opening);
    digit | sign_or_null | of_null | comma | blank | next_list | end_of_inner
}

/// Where a list of numbers, or of lists of them, does not go on, behind `BEFORE` bytes of a text.
struct GoOn<'a> {
    text: &'a [u8],
    is_nested: bool,
}

impl Work for GoOn<'_> {
    type Output = usize;

    #[inline(always)]
    fn run<L: Level>(self, level: L) -> usize {
        const NEW: usize = WINDOW_BYTES - BEFORE;
        let GoOn { text, is_nested } = self;
        let mut at = 0;
        loop {
            let rest = text.get(at..).unwrap_or_default();
            simd::prefetch(rest, AHEAD);
            let goes_on = match rest.first_chunk() {
                Some(block) => number_lists_go_on(block, is_nested, level),
                None => {
                    let mut block = [0; WINDOW_BYTES];
                    block[..rest.len()].copy_from_slice(rest);
                    number_lists_go_on(&block, is_nested, level)
                }
            };
            let bytes = (goes_on >> BEFORE).trailing_ones() as usize;
            if bytes < NEW {
                return at + bytes;
            }
            at += NEW;
        }
    }
}

/// Whether the last of the bytes ends a list of numbers and `null`, or a list of such lists.
fn number_lists_end(bytes: &[u8], is_nested: bool) -> bool {
    match bytes {
        [.., before, b']'] if is_nested => *before == b']',
        [.., b'[' | b'0'..=b'9', b']'] | [.., b'l', b'l', b']'] => true,
        _ => false,
    }
}

/// The length of the key in quotes at the start, behind which the colon stands, if it has no escapes.
#[inline]
fn plain_key_bytes(text: &[u8]) -> Option<usize> {
    let key = text.strip_prefix(b"\"")?;
    let length = plain_bytes(key);
    key[length..].starts_with(b"\":").then_some(length)
}

/// The place, or the next if a blank stands there.
#[inline(always)]
fn after_blank(window: &mut Window<'_, impl Level>, at: usize) -> usize {
    let is_blank = window.byte(at) == b' ';
    window.skip(usize::from(is_blank));
    at + usize::from(is_blank)
}

/// Whether the digits from `start` to before `end` are a number in the window that is read at once.
#[inline(always)]
fn is_short_number(window: &Window<'_, impl Level>, start: usize, end: usize) -> bool {
    let length = end.wrapping_sub(start);
    // Nothing branches on what is as good as random.
    (end < WINDOW_BYTES) & (1..8).contains(&length) & ((window.byte(start) != b'0') | (length == 1))
}

/// Reads an entry like `"7": 12,` from `start` on: its key, its value, and where the comma is.
#[inline(always)]
fn short_entry(window: &mut Window<'_, impl Level>, start: usize) -> Option<(u64, u64, usize)> {
    let (quote, key_end) = (window.next_other(), window.next_other());
    let is_key = quote == start
        && is_short_number(window, start + 1, key_end)
        && window.byte(start) == b'"'
        && window.byte(start + 1) != b'0'
        && window.from(key_end).starts_with(b"\":");
    if !is_key {
        return None;
    }
    window.skip(1);
    let from = after_blank(window, key_end + 2);
    let comma = window.next_other();
    if !is_short_number(window, from, comma) || window.byte(comma) != b',' {
        return None;
    }
    let (key, value) = window.numbers((start + 1, key_end), (from, comma));
    Some((key, value, comma))
}

/// The number at the start and its length, if it is nothing but digits that fit 64 bits for sure.
#[inline]
fn plain_count(text: &[u8]) -> (u64, usize) {
    const MAX_DIGITS: usize = 18;
    let (value, length) = digits(text);
    let goes_on = matches!(text.get(length), Some(b'.' | b'e' | b'E'));
    if goes_on || length > MAX_DIGITS || (length > 1 && text[0] == b'0') {
        return (0, 0);
    }
    (value, length)
}

/// Whether bytes are UTF-8; most are ASCII.
fn check_text(bytes: &[u8]) -> Step<()> {
    let is_text = bytes.is_ascii() || std::str::from_utf8(bytes).is_ok();
    is_text.then_some(()).ok_or(Stop::Broken)
}

/// A text that stands in quotes and has escapes.
fn unescaped(quoted: &[u8]) -> Step<String> {
    serde_json::from_slice(quoted).map_err(|_| Stop::Broken)
}

/// How many bytes at the start are of a text that neither ends nor escapes.
#[inline]
fn plain_bytes(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHEST: u64 = 0x80 * ONES;
    let (words, last) = text.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let control = word.wrapping_sub(0x20 * ONES) & !word;
        let quote = zero(word ^ (b'"' as u64 * ONES));
        let escape = zero(word ^ (b'\\' as u64 * ONES));
        // The lowest bit that is set is right; a borrow may set higher ones.
        let others = (control | quote | escape) & HIGHEST;
        if others != 0 {
            return 8 * at + (others.trailing_zeros() / 8) as usize;
        }
    }
    let is_plain = |byte: &&u8| **byte >= b' ' && **byte != b'"' && **byte != b'\\';
    text.len() - last.len() + last.iter().take_while(is_plain).count()
}

/// The length of what follows a backslash.
fn escape_bytes(rest: &[u8]) -> Option<usize> {
    match rest {
        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Some(1),
        [b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) => {
            Some(5)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(document: &str) -> Step<Vec<String>> {
        let mut found = Vec::new();
        let mut cursor = Cursor::new(document.as_bytes());
        cursor.object(|cursor, key| {
            match cursor.value()? {
                Value::Array => cursor.array(|cursor| {
                    found.push(format!("{key} {:?}", cursor.value()?));
                    Ok(())
                })?,
                Value::Object => found.push(format!("{key} {}", cursor.raw()?.len())),
                value => found.push(format!("{key} {value:?}")),
            }
            Ok(())
        })?;
        cursor.end()?;
        Ok(found)
    }

    #[test]
    fn values_are_read_in_their_order() {
        let document = r#" {"a\n": [1, "x", null], "b": {"c": [{}]} , "d":true,"e":-1.5e3} "#;
        let expected = [
            r#"a\n Number([49])"#,
            r#"a\n Text("x")"#,
            "a\n Null",
            "b 11",
            "d Bool(true)",
            "e Number([45, 49, 46, 53, 101, 51])",
        ];
        assert_eq!(
            read(document).unwrap(),
            expected.map(|text| text.replace("\\n", "\n"))
        );
    }

    #[test]
    fn what_is_no_json_is_broken() {
        let deep = format!("{{\"a\":{{\"b\":{}", "[".repeat(1_000_000));
        for document in [
            "",
            "{",
            "[]",
            r#"{"a":NaN}"#,
            r#"{"a":01}"#,
            r#"{"a":1}x"#,
            r#"{"a" 1}"#,
            "{\"a",
            &deep,
        ] {
            assert!(
                matches!(read(document), Err(Stop::Broken)),
                "{document:.20}"
            );
        }
    }

    /// The length of the value at the start, somewhere in a document.
    fn skipped(text: &str) -> Step<usize> {
        let before = "{\"a\":";
        let text = before.to_owned() + text;
        let mut cursor = Cursor::starting_at(text.as_bytes(), before.len());
        cursor.skip().map(|()| cursor.at - before.len())
    }

    #[test]
    fn lists_of_numbers_are_skipped_as_other_values_are() {
        let long = format!("[{}]", vec!["[1234, -5]"; 100].join(", "));
        let nulls = format!("[{}]", vec!["null,0, 120"; 100].join(","));
        for list in [
            "[]",
            "[1]",
            "[1, 2,3]",
            "[[1, 2], [3]]",
            "[[]]",
            "[[1], 2]",
            "[[1] ]",
            "[1, [2, [3]], \"]]\", 4]",
            "[[[1]], 2]",
            "[[1,[2]],3]",
            "[[[1],2],[3]]",
            "[[null],[-1,0]]",
            "[1.5, 2e3]",
            "[ 1 , 2 ]",
            &long,
            &nulls,
        ] {
            let document = format!("{list}, {list}, [[1]]");
            assert_eq!(skipped(&document).unwrap(), list.len(), "{list:.40}");
        }
        for broken in [
            "[",
            "[1",
            "[[1]",
            "[1, x]",
            "[[1, 2], [",
            "[1,]",
            "[,1]",
            "[1,,2]",
            "[1, ,2]",
            "[1 2]",
            "[01]",
            "[-]",
            "[--1]",
            "[1-2]",
            "[-01]",
            "[nul]",
            "[nulll]",
            "[nnull]",
            "[null1]",
            "[1null]",
            "[[1][2]]",
            "[[1],]",
            "[[1]2]",
            "[[1],[2]3]",
            "[[1,],[2]]",
            "[[,1],[2]]",
            "[null null]",
            "[1n]",
            "[u]",
            "[l]",
        ] {
            for list in [
                broken.to_owned(),
                broken.replace('1', &vec!["1"; 40].join(",")),
            ] {
                assert!(skipped(&list).is_err(), "{list}");
                assert!(skipped(&format!("{list}, [7], [[8]]")).is_err(), "{list}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn lists_are_skipped_if_they_are_json(list in "\\[[\\[\\], 01nul-]{1,8}\\]", bare in proptest::bool::ANY) {
            let list = if bare { list } else { list.replace('n', "null,").replace(['u', 'l'], "1") };
            let is_json = serde_json::from_str::<serde_json::Value>(&list).is_ok();
            proptest::prop_assert_eq!(skipped(&list).is_ok_and(|length| length == list.len()), is_json);
        }
    }

    #[test]
    fn integers_are_read_however_they_are_written() {
        for (list, expected) in [
            ("[]", vec![]),
            ("[ 1,2 , 3]", vec![1, 2, 3]),
            (
                "[12345678, 1234567, 99999999999999999999]",
                vec![12_345_678, 1_234_567, u64::MAX],
            ),
            ("[-4, 0, 5]", vec![0, 5]),
        ] {
            let mut found = Vec::new();
            let list = list.to_owned() + &" ".repeat(50);
            assert!(Cursor::new(list.as_bytes()).integers(&mut found).unwrap());
            assert_eq!(found, expected, "{list}");
        }
        let long: Vec<u64> = (0..1000).map(|number| number * number).collect();
        for comma in [",", ", ", " ,\n"] {
            let list = long
                .iter()
                .map(u64::to_string)
                .collect::<Vec<_>>()
                .join(comma);
            let mut found = Vec::new();
            let list = format!("[{list}]");
            assert!(Cursor::new(list.as_bytes()).integers(&mut found).unwrap());
            assert_eq!(found, long);
        }
        for list in [
            "[01]",
            "[1.5]",
            "[1, null]",
            "[1,,2]",
            "[1 2]",
            "[1,]",
            "[1e5, 2]",
        ] {
            let list = list.to_owned() + &", 7".repeat(20);
            assert!(
                !Cursor::new(list.as_bytes())
                    .integers(&mut Vec::new())
                    .unwrap_or(false),
                "{list}"
            );
        }
    }

    fn entries_of(object: &str) -> Step<Vec<(u64, u64)>> {
        let mut cursor = Cursor::new(object.as_bytes());
        let (mut first, mut found) = (true, Vec::new());
        cursor.expect(b'{')?;
        loop {
            cursor.short_entries(&mut first, |key, value| found.push((key, value)))?;
            let Some(key) = cursor.plain_key(&mut first)? else {
                cursor.end()?;
                return Ok(found);
            };
            let key = std::str::from_utf8(&key).unwrap().parse().unwrap();
            found.push((key, cursor.count()?.ok_or(Stop::Broken)?));
        }
    }

    #[test]
    fn entries_of_numbers_are_read_however_they_are_written() {
        let expected: Vec<(u64, u64)> = (1..1000).map(|i| (i, i * i * i)).collect();
        for (colon, comma) in [(":", ","), (": ", ", "), (" : ", " ,\n ")] {
            let entry = |(key, value): &(u64, u64)| format!("\"{key}\"{colon}{value}");
            let entries: Vec<String> = expected.iter().map(entry).collect();
            let object = format!("{{{}}}", entries.join(comma));
            assert_eq!(entries_of(&object).unwrap(), expected);
            for broken in [
                object.replace('}', ",}"),
                object.replacen(comma, " ", 3),
                object.replacen(comma, ",,", 3),
                object.replacen(colon, " ", 3),
                object.replacen(colon, "::", 3),
                object.replace("\"100", "100"),
                object.replace('{', "{,"),
            ] {
                assert!(entries_of(&broken).is_err(), "{broken:.300}");
            }
        }
    }

    #[test]
    fn large_odd_documents_take_linear_time() {
        let digits = format!("[{}]", "7".repeat(10 << 20));
        let keys: String = (0..1_000_000)
            .map(|key| format!("\"{key}\":{{}},"))
            .collect();
        let escapes = format!("\"{}\"", "\\u00e9".repeat(2 << 20));
        let keys = format!("{{{keys}\"\":0}}");
        for document in [&digits, &keys, &escapes] {
            Cursor::new(document.as_bytes()).skip().unwrap();
        }
        assert!(Cursor::new(br#""\ud800""#).skip().is_err());
        assert!(Cursor::new(b"\"a\nb\"").skip().is_err());
    }
}
