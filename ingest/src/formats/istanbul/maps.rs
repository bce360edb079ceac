//! The maps of one file: where its statements, branches and functions are, and how often they ran.

use std::borrow::Cow;
use std::collections::HashMap;

use engine::model::Coverage;
use engine::simd::{self, Level, Text, Work, widely};

use crate::formats::MAX_LINE;
use crate::formats::lines::coverage;
use crate::json::{Cursor, Step, Value};
use crate::number::{integer, short_number};

/// A column that the report leaves open.
pub(super) const OPEN: u32 = u32::MAX;

/// A part of the source. Line 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Span {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) end_line: u32,
    pub(super) end_column: u32,
}

/// A statement, branch or function.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Node {
    /// Its `loc`, else what its `start` and `end` say, else from its first location to its last.
    pub(super) span: Span,
    pub(super) skip: bool,
    pub(super) has_loc: bool,
    pub(super) is_if: bool,
    /// Where its locations are among those of its map.
    locations: Option<(u32, u32)>,
}

impl Node {
    fn of(span: Span) -> Node {
        Node {
            span,
            ..Node::default()
        }
    }

    pub(super) fn line(&self) -> u32 {
        self.span.line
    }
}

/// Nodes of one map.
#[derive(Default)]
pub(super) struct Nodes<'a> {
    pub(super) ids: Ids<'a>,
    pub(super) nodes: Vec<Node>,
    locations: Vec<Span>,
}

impl Nodes<'_> {
    /// The locations of a branch; `None` when it has no list of them.
    pub(super) fn arms(&self, node: &Node) -> Option<&[Span]> {
        let (start, end) = node.locations?;
        self.locations.get(start as usize..end as usize)
    }
}

/// Counts of one map: one for each key, or a list.
#[derive(Default)]
pub(super) struct Counts<'a> {
    pub(super) ids: Ids<'a>,
    pub(super) all: Vec<Coverage>,
    lists: Vec<(u32, u32)>,
}

impl Counts<'_> {
    /// The list of a slot.
    pub(super) fn of(&self, slot: usize) -> &[Coverage] {
        let (start, end) = self.lists[slot];
        &self.all[start as usize..end as usize]
    }
}

/// What one file has.
#[derive(Default)]
pub(super) struct Maps<'a> {
    pub(super) statements: Nodes<'a>,
    pub(super) branches: Nodes<'a>,
    pub(super) functions: Nodes<'a>,
    pub(super) s: Counts<'a>,
    pub(super) b: Counts<'a>,
    pub(super) f: Counts<'a>,
    pub(super) has_functions: bool,
    /// The object in place of which this one stands.
    pub(super) data: Option<&'a [u8]>,
    /// Values of jscoverage.
    pub(super) line_data: Option<&'a [u8]>,
    pub(super) branch_data: Option<&'a [u8]>,
    /// Hits by line.
    pub(super) lines_covered: Option<&'a [u8]>,
    /// What is wrong with the maps.
    pub(super) fault: Option<String>,
    /// Whether something beyond [`MAX_LINE`] was left out.
    pub(super) cut: bool,
}

impl<'a> Maps<'a> {
    /// Reads the object at the cursor.
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Step<Maps<'a>> {
        let mut maps = Maps::default();
        let mut reader = Reader::default();
        cursor.object(|cursor, key| {
            match &*key {
                "statementMap" => maps.statements = reader.nodes(cursor)?,
                "branchMap" => maps.branches = reader.nodes(cursor)?,
                "fnMap" => {
                    maps.functions = reader.nodes(cursor)?;
                    maps.has_functions = true;
                }
                "s" => maps.s = reader.counts(cursor)?,
                "b" => maps.b = reader.lists(cursor)?,
                "f" => maps.f = reader.counts(cursor)?,
                "data" => maps.data = truthy(cursor)?,
                "lineData" => maps.line_data = truthy(cursor)?,
                "branchData" => maps.branch_data = truthy(cursor)?,
                "linesCovered" => maps.lines_covered = truthy(cursor)?,
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        maps.data = maps.data.filter(|data| data.starts_with(b"{"));
        maps.fault = reader.fault;
        maps.cut = reader.cut;
        Ok(maps)
    }
}

/// Skips a value and gives it, unless it is empty, 0, `false` or `null`.
fn truthy<'a>(cursor: &mut Cursor<'a>) -> Step<Option<&'a [u8]>> {
    let raw = cursor.raw()?;
    let is_empty = match raw {
        [b'{' | b'[', rest @ ..] => rest.trim_ascii().len() == 1,
        raw => matches!(raw, b"null" | b"false" | b"0" | b"\"\""),
    };
    Ok((!is_empty).then_some(raw))
}

/// The keys of a map, each with the slot of its value. Keys that count up from the first, as those
/// of Istanbul do, cost nothing.
#[derive(Default)]
pub(super) struct Ids<'a> {
    first: u64,
    count: usize,
    /// The slots, once a key did not count up.
    slots: Option<HashMap<Cow<'a, str>, usize>>,
}

impl<'a> Ids<'a> {
    /// Takes a key that counts up, if that is what stands here, with its colon.
    #[inline]
    fn take_next(&mut self, cursor: &mut Cursor<'a>) -> bool {
        if self.slots.is_some() {
            return false;
        }
        let Some((id, length)) = plain_id(cursor.rest()) else {
            return false;
        };
        let is_next = self.is_next(id.into());
        if is_next {
            cursor.advance(length);
        }
        is_next
    }

    /// The slot of a key that is a number, written without zeros in front.
    #[inline]
    fn slot(&mut self, key: u64) -> usize {
        match self.is_next(key) {
            true => self.count - 1,
            false => self.insert(Cow::Owned(key.to_string())),
        }
    }

    /// Takes a number as key if it counts up.
    #[inline]
    fn is_next(&mut self, key: u64) -> bool {
        if self.count == 0 {
            self.first = key;
        }
        let is_next = self.slots.is_none() && self.first + self.count as u64 == key;
        self.count += usize::from(is_next);
        is_next
    }

    /// The slot of any key: a new one, or that which the key has already.
    fn insert(&mut self, key: Cow<'a, str>) -> usize {
        let (first, count) = (self.first, self.count);
        let slots = self.slots.get_or_insert_with(|| {
            let keys = (0..count).map(|slot| (Cow::Owned((first + slot as u64).to_string()), slot));
            keys.collect()
        });
        let slot = *slots.entry(key).or_insert(count);
        self.count += usize::from(slot == count);
        slot
    }

    fn find(&self, key: &str) -> Option<usize> {
        match &self.slots {
            Some(slots) => slots.get(key).copied(),
            None => {
                let id: u64 = key.parse().ok()?;
                let slot = usize::try_from(id.checked_sub(self.first)?).ok()?;
                (slot < self.count && id.to_string() == key).then_some(slot)
            }
        }
    }
}

/// A number in quotes with a colon behind, and its length.
#[inline(always)]
fn plain_id(text: &[u8]) -> Option<(u32, usize)> {
    let (id, length) = short_number(text.strip_prefix(b"\"")?)?;
    let is_key = text.get(1 + length..)?.starts_with(b"\":");
    is_key.then_some((id, length + 3))
}

/// Where the values of one map's keys are in another.
pub(super) enum Pairs {
    /// In the same slots, of which the other has so many.
    Same(usize),
    Found(Vec<Option<usize>>),
}

impl Pairs {
    pub(super) fn new(keys: &Ids<'_>, other: &Ids<'_>) -> Pairs {
        if keys.slots.is_none() && other.slots.is_none() && keys.first == other.first {
            return Pairs::Same(other.count);
        }
        let mut found = vec![None; keys.count];
        match &keys.slots {
            Some(slots) => {
                for (key, &slot) in slots {
                    found[slot] = other.find(key);
                }
            }
            None => {
                for (slot, found) in found.iter_mut().enumerate() {
                    *found = other.find(&(keys.first + slot as u64).to_string());
                }
            }
        }
        Pairs::Found(found)
    }

    #[inline]
    pub(super) fn find(&self, slot: usize) -> Option<usize> {
        match self {
            Pairs::Same(count) => (slot < *count).then_some(slot),
            Pairs::Found(found) => found[slot],
        }
    }
}

/// Reads maps and remembers what is wrong with them.
#[derive(Default)]
struct Reader {
    fault: Option<String>,
    cut: bool,
}

impl Reader {
    fn fault(&mut self, what: &str) {
        self.fault.get_or_insert_with(|| what.to_owned());
    }

    /// Whether an object stands at the cursor; anything else is skipped, and wrong unless it is null.
    fn opens(&mut self, cursor: &mut Cursor<'_>, what: &str) -> Step<bool> {
        if cursor.peek()? == b'{' {
            return cursor.expect(b'{').map(|()| true);
        }
        if cursor.raw()? != b"null" {
            self.fault(what);
        }
        Ok(false)
    }

    fn nodes<'a>(&mut self, cursor: &mut Cursor<'a>) -> Step<Nodes<'a>> {
        let mut map = Nodes::default();
        if !self.opens(cursor, "a map is no object")? {
            return Ok(map);
        }
        let mut first = true;
        while let Some(slot) = next_slot(cursor, &mut map.ids, &mut first)? {
            let Some(span) = plain_span(cursor) else {
                let node = self.node(cursor, &mut map.locations)?;
                put(&mut map.nodes, slot, node);
                continue;
            };
            put(&mut map.nodes, slot, Node::of(span));
            let map = &mut map;
            widely(TakeSpans { cursor, map });
        }
        Ok(map)
    }

    /// A map of counts.
    fn counts<'a>(&mut self, cursor: &mut Cursor<'a>) -> Step<Counts<'a>> {
        let mut counts = Counts::default();
        if !self.opens(cursor, "counts are no object")? {
            return Ok(counts);
        }
        let mut first = true;
        let Counts { ids, all, .. } = &mut counts;
        loop {
            cursor.short_entries(&mut first, |key, hits| {
                put(all, ids.slot(key), Coverage::Hits(hits));
            })?;
            match next_slot(cursor, ids, &mut first)? {
                Some(slot) => put(all, slot, self.count(cursor)?),
                None => return Ok(counts),
            }
        }
    }

    /// A map of lists of counts.
    fn lists<'a>(&mut self, cursor: &mut Cursor<'a>) -> Step<Counts<'a>> {
        let mut counts = Counts::default();
        if !self.opens(cursor, "counts are no object")? {
            return Ok(counts);
        }
        let mut first = true;
        while let Some(slot) = next_slot(cursor, &mut counts.ids, &mut first)? {
            let start = counts.all.len() as u32;
            if cursor.peek()? == b'[' {
                cursor.array(|cursor| {
                    cursor.peek()?;
                    counts.all.push(self.count(cursor)?);
                    Ok(())
                })?;
            } else {
                self.fault("counts of a branch are no list");
                cursor.skip()?;
            }
            put(&mut counts.lists, slot, (start, counts.all.len() as u32));
        }
        Ok(counts)
    }

    #[inline]
    fn count(&mut self, cursor: &mut Cursor<'_>) -> Step<Coverage> {
        if let Some(hits) = cursor.natural() {
            return Ok(Coverage::Hits(hits));
        }
        let value = cursor.value()?;
        if matches!(value, Value::Array | Value::Object) {
            cursor.skip()?;
        }
        Ok(coverage(&value).unwrap_or_else(|| {
            self.fault("a count is none");
            Coverage::Null
        }))
    }

    fn node(&mut self, cursor: &mut Cursor<'_>, locations: &mut Vec<Span>) -> Step<Node> {
        let mut node = Node::default();
        if !self.opens(cursor, "a node is no object")? {
            return Ok(node);
        }
        let (mut own, mut loc) = (Span::default(), None);
        let mut first = true;
        while let Some(key) = cursor.raw_key(&mut first)? {
            match key {
                b"loc" => loc = Some(self.span(cursor)?),
                b"start" => (own.line, own.column) = self.point(cursor)?,
                b"end" => (own.end_line, own.end_column) = self.point(cursor)?,
                b"locations" if cursor.peek()? == b'[' => {
                    let start = locations.len() as u32;
                    cursor.array(|cursor| {
                        locations.push(self.span(cursor)?);
                        Ok(())
                    })?;
                    node.locations = Some((start, locations.len() as u32));
                }
                b"type" => node.is_if = cursor.raw()? == br#""if""#,
                b"skip" => node.skip = cursor.raw()? == b"true",
                b"decl" if plain_span(cursor).is_some() => {}
                _ => cursor.skip()?,
            }
        }
        node.has_loc = loc.is_some();
        node.span = match (loc, node.locations) {
            (Some(loc), _) => loc,
            (None, Some((start, end))) if own == Span::default() && start < end => {
                let last = locations[end as usize - 1];
                Span {
                    end_line: last.end_line,
                    end_column: last.end_column,
                    ..locations[start as usize]
                }
            }
            _ => own,
        };
        Ok(node)
    }

    /// A location: an object with `start` and `end`.
    #[inline]
    fn span(&mut self, cursor: &mut Cursor<'_>) -> Step<Span> {
        match plain_span(cursor) {
            Some(span) => Ok(span),
            None => self.any_span(cursor),
        }
    }

    fn any_span(&mut self, cursor: &mut Cursor<'_>) -> Step<Span> {
        let (mut span, mut skip) = (Span::default(), false);
        if !self.opens(cursor, "a location is no object")? {
            return Ok(span);
        }
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            match &*key {
                "start" => (span.line, span.column) = self.point(cursor)?,
                "end" => (span.end_line, span.end_column) = self.point(cursor)?,
                "skip" => skip = cursor.raw()? == b"true",
                _ => cursor.skip()?,
            }
        }
        Ok(if skip { Span::default() } else { span })
    }

    /// A line and a column.
    fn point(&mut self, cursor: &mut Cursor<'_>) -> Step<(u32, u32)> {
        let (mut line, mut column) = (0, OPEN);
        if !self.opens(cursor, "a place is no object")? {
            return Ok((line, column));
        }
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            match &*key {
                "line" => line = self.line(cursor)?,
                "column" => column = integer_at(cursor)?.map_or(OPEN, column_of),
                _ => cursor.skip()?,
            }
        }
        Ok((line, column))
    }

    /// A line; 0 when there is none.
    fn line(&mut self, cursor: &mut Cursor<'_>) -> Step<u32> {
        let is_none = truthy(&mut cursor.clone())?.is_none();
        let line = integer_at(cursor)?;
        match line {
            _ if is_none => return Ok(0),
            Some(line) if line > i64::from(MAX_LINE) => self.cut = true,
            Some(line) if line > 0 => return Ok(line as u32),
            _ => self.fault("a line is no integer above 0"),
        }
        Ok(0)
    }
}

/// The slot for the next key of the map that is open, before whose value the cursor stands then;
/// `None` at the map's end.
#[inline]
fn next_slot<'a>(
    cursor: &mut Cursor<'a>,
    ids: &mut Ids<'a>,
    first: &mut bool,
) -> Step<Option<usize>> {
    if cursor.peek()? == b'}' {
        return cursor.expect(b'}').map(|()| None);
    }
    if !std::mem::take(first) {
        cursor.expect(b',')?;
        cursor.peek()?;
    }
    let slot = if ids.take_next(cursor) {
        ids.count - 1
    } else {
        let key = cursor.string()?;
        cursor.expect(b':')?;
        ids.insert(key)
    };
    cursor.peek()?;
    Ok(Some(slot))
}

/// Puts a value to a slot, which is at most one behind the last.
#[inline]
fn put<T>(all: &mut Vec<T>, slot: usize, value: T) {
    match all.get_mut(slot) {
        Some(old) => *old = value,
        None => all.push(value),
    }
}

/// The integer at the cursor; `None` for any other value, which is skipped.
fn integer_at(cursor: &mut Cursor<'_>) -> Step<Option<i64>> {
    match cursor.value()? {
        Value::Number(number) => Ok(integer(number)),
        Value::Array | Value::Object => cursor.skip().map(|()| None),
        _ => Ok(None),
    }
}

fn column_of(column: i64) -> u32 {
    column.clamp(0, i64::from(OPEN) - 1) as u32
}

/// Takes the run of entries that are a key that counts up and a location of the usual form, each with the comma before it.
struct TakeSpans<'r, 'a> {
    cursor: &'r mut Cursor<'a>,
    map: &'r mut Nodes<'a>,
}

impl Work for TakeSpans<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Level>(self, level: L) {
        let TakeSpans { cursor, map } = self;
        while let Some(text) = cursor.rest().first_chunk() {
            let entry = Entry::of(text, level);
            let read = entry.read::<Compact>();
            let Some((id, span)) = read.or_else(|| entry.read::<Spaced>()) else {
                return;
            };
            if !map.ids.is_next(id) {
                return;
            }
            map.nodes.push(Node::of(span));
            cursor.advance(entry.end);
        }
    }
}

/// An entry of a map of locations, if one of the usual form is at the start of a text: its numbers are a key, two lines
/// and two columns.
struct Entry<'t> {
    text: &'t Text,
    /// Where each number starts and ends.
    numbers: [(usize, usize); 5],
    /// What is behind it.
    end: usize,
}

impl<'t> Entry<'t> {
    const CLOSING: &'static [u8] = b"}}";

    #[inline(always)]
    fn of(text: &'t Text, level: impl Level) -> Entry<'t> {
        /// The first 64 bytes hold three numbers, those from here on the others and the end, as long as numbers are short.
        const SECOND: usize = 48;
        let window = |from: usize| text[from..].first_chunk().unwrap_or(&[0; 64]);
        // Of this alone depends where the next entry is: so the processor reads several at once.
        let closing = level.equal_to(window(SECOND), Self::CLOSING[0]);
        let end = SECOND + (closing & closing >> 1).trailing_zeros() as usize;
        let borders = |from: usize| {
            let digits = !level.other_than_digits(window(from));
            digits ^ digits << 1
        };
        let mut first = borders(0);
        let mut next = || {
            let at = first.trailing_zeros() as usize;
            first &= first.wrapping_sub(1);
            at
        };
        let [id, line, column] = std::array::from_fn(|_| (next(), next()));
        let taken = (column.1 + 1).saturating_sub(SECOND) as u32;
        let mut second = borders(SECOND) & u64::MAX.checked_shl(taken).unwrap_or(0);
        let mut next = || {
            let at = SECOND + second.trailing_zeros() as usize;
            second &= second.wrapping_sub(1);
            at
        };
        let [end_line, end_column] = std::array::from_fn(|_| (next(), next()));
        Entry {
            text,
            numbers: [id, line, column, end_line, end_column],
            end: end + Self::CLOSING.len(),
        }
    }

    /// The key and the location.
    #[inline(always)]
    fn read<S: Style>(&self) -> Option<(u64, Span)> {
        let [id, line, column, end_line, end_column] = self.numbers;
        let is_entry = self.stands(S::BEFORE_KEY, 0, id.0)
            & self.stands(S::BEHIND_KEY, id.1, line.0)
            & self.stands(S::COLUMN, line.1, column.0)
            & self.stands(S::END, column.1, end_line.0)
            & self.stands(S::COLUMN, end_line.1, end_column.0)
            & self.stands(Self::CLOSING, end_column.1, self.end);
        if !is_entry {
            return None;
        }
        let (mut values, mut are_short) = ([0; 5], true);
        for (value, (start, end)) in values.iter_mut().zip(self.numbers) {
            let word = u64::from_le_bytes(*self.text.get(start..)?.first_chunk()?);
            let length = end - start;
            are_short &= (length <= 7) & ((word as u8 != b'0') | (length == 1));
            *value = simd::all_digits(simd::digits(word, length));
        }
        let [id, line, column, end_line, end_column] = values;
        let [line, column, end_line, end_column] =
            [line, column, end_line, end_column].map(|value| value as u32);
        let span = Span {
            line,
            column,
            end_line,
            end_column,
        };
        are_short.then_some((id, span))
    }

    #[inline(always)]
    fn stands(&self, text: &[u8], from: usize, to: usize) -> bool {
        to == from + text.len() && self.text.get(from..from + text.len()) == Some(text)
    }
}

/// How a tool writes a location, and an entry of a map of them: what stands between the numbers.
trait Style {
    /// Before the key of another entry than the first.
    const BEFORE_KEY: &'static [u8];
    /// Between a key and the line of its location.
    const BEHIND_KEY: &'static [u8];
    /// Before the line of a location.
    const OPEN: &'static [u8];
    /// Between a line and its column.
    const COLUMN: &'static [u8];
    /// Between the first column and the last line.
    const END: &'static [u8];
}

/// Without blanks, as JavaScript does.
struct Compact;
/// With blanks behind commas and colons, as Python does.
struct Spaced;

impl Style for Compact {
    const BEFORE_KEY: &'static [u8] = br#",""#;
    const BEHIND_KEY: &'static [u8] = br#"":{"start":{"line":"#;
    const OPEN: &'static [u8] = br#"{"start":{"line":"#;
    const COLUMN: &'static [u8] = br#","column":"#;
    const END: &'static [u8] = br#"},"end":{"line":"#;
}

impl Style for Spaced {
    const BEFORE_KEY: &'static [u8] = br#", ""#;
    const BEHIND_KEY: &'static [u8] = br#"": {"start": {"line": "#;
    const OPEN: &'static [u8] = br#"{"start": {"line": "#;
    const COLUMN: &'static [u8] = br#", "column": "#;
    const END: &'static [u8] = br#"}, "end": {"line": "#;
}

/// A location of the usual form, if that is what stands at the cursor.
#[inline]
fn plain_span(cursor: &mut Cursor<'_>) -> Option<Span> {
    let rest = cursor.rest();
    let (span, length) = span_of::<Compact>(rest).or_else(|| span_of::<Spaced>(rest))?;
    cursor.advance(length);
    Some(span)
}

/// The location at the start of a text, and its length.
#[inline(always)]
fn span_of<S: Style>(text: &[u8]) -> Option<(Span, usize)> {
    let rest = text.strip_prefix(S::OPEN)?;
    let (line, column, rest) = point_of::<S>(rest)?;
    let (end_line, end_column, rest) = point_of::<S>(rest.strip_prefix(S::END)?)?;
    let rest = rest.strip_prefix(b"}}")?;
    let span = Span {
        line,
        column,
        end_line,
        end_column,
    };
    Some((span, text.len() - rest.len()))
}

/// A line and a column, and what stands behind them.
#[inline(always)]
fn point_of<S: Style>(text: &[u8]) -> Option<(u32, u32, &[u8])> {
    let (line, length) = short_number(text)?;
    let rest = text.get(length..)?.strip_prefix(S::COLUMN)?;
    match short_number(rest) {
        Some((column, length)) => Some((line, column, rest.get(length..)?)),
        None => Some((line, OPEN, rest.strip_prefix(b"null")?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The nodes of a map of these entries, with what stands between them, and where each key's is.
    fn nodes(entries: &[String], between: &str) -> String {
        let maps = format!(
            r#"{{"statementMap":{{{}}},"path":"{}"}}"#,
            entries.join(between),
            "x".repeat(size_of::<Text>())
        );
        let maps = match Maps::read(&mut Cursor::new(maps.as_bytes())) {
            Ok(maps) => maps,
            Err(_) => return "broken".to_owned(),
        };
        let Nodes { ids, nodes, .. } = &maps.statements;
        let keys = (0..20)
            .chain([1_234_567, 9_999_999])
            .map(|key| key.to_string());
        let slots: Vec<_> = keys.map(|key| ids.find(&key)).collect();
        format!("{nodes:?} {slots:?} {:?} {}", maps.fault, maps.cut)
    }

    proptest::proptest! {
        #[test]
        fn locations_read_at_once_say_what_they_say_one_by_one(
            first in proptest::sample::select(vec![0_u64, 7, 99_998, 1_234_560, 9_999_998]),
            entries in proptest::collection::vec(
                (
                    proptest::collection::vec(proptest::prop_oneof![
                        8 => "[1-9][0-9]{0,6}|0",
                        1 => "[0-9]{0,9}|null|1e2|-1|\"1\"",
                    ], 4),
                    proptest::option::weighted(0.05, "[0-9a]{0,8}"),
                    proptest::option::weighted(0.05, r#","skip":(true|1)|\}| "#),
                ),
                0..20,
            ),
            is_spaced: bool,
        ) {
            let entries: Vec<String> = (first..)
                .zip(&entries)
                .map(|(id, (numbers, key, extra))| {
                    let key = key.clone().unwrap_or_else(|| id.to_string());
                    let [line, column, end_line, end_column] = &numbers[..] else { panic!() };
                    let extra = extra.as_deref().unwrap_or_default();
                    let entry = format!(
                        r#""{key}":{{"start":{{"line":{line},"column":{column}}},"end":{{"line":{end_line},"column":{end_column}}}{extra}}}"#
                    );
                    match is_spaced {
                        true => entry.replace(':', ": ").replace(",\"", ", \""),
                        false => entry,
                    }
                })
                .collect();
            let between = if is_spaced { ", " } else { "," };
            // A blank before the comma has them read one by one.
            proptest::prop_assert_eq!(nodes(&entries, between), nodes(&entries, &format!(" {between}")));
        }
    }
}
