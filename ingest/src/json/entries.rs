//! Entries of a large object, or elements of a large array, read in parallel.
//!
//! Where one starts is guessed at some places of the document, and pieces are read from there
//! on. A piece counts only if the one before it ends where it starts, so a wrong guess costs time
//! and nothing else: what comes of it is what would if they were read one after the other.

use std::borrow::Cow;
use std::hash::BuildHasher;

use engine::simd;
use hashbrown::{DefaultHashBuilder, HashTable};
use memchr::memmem::Finder;
use rayon::prelude::*;

use super::{Cursor, Step, Stop, check_text};

/// Entries are read in pieces of about so many bytes.
const PIECE_BYTES: usize = 1 << 20;
/// How far behind its piece a guessed entry may go, in bytes: of a wrong guess nobody knows where it
/// ends. An entry that goes further is read again when it is known to be one.
const MAX_BEYOND_BYTES: usize = 4 << 20;
/// Guesses for the start of one piece.
const MAX_GUESSES: usize = 4;
/// The longest key that is looked for where an entry may start, in bytes.
const MAX_KEY_BYTES: usize = 4 << 10;

/// An entry of an object.
pub(crate) struct Entry<'a, T> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) value: T,
    /// Of the key.
    hash: u64,
}

/// Reads the entries of the object at the cursor; of those with one key the last, in the place of the first. `read` gets a
/// reader of its piece, the cursor at the value and the key; it must read or skip the value. `opening` is the key, in
/// quotes, that the values have first as a rule.
pub(crate) fn entries<'a, R: Default, T: Send>(
    cursor: &mut Cursor<'a>,
    opening: &[u8],
    read: impl Fn(&mut R, &mut Cursor<'a>, &str) -> Step<T> + Sync,
) -> Step<Vec<Entry<'a, T>>> {
    let hasher = DefaultHashBuilder::default();
    let read = |reader: &mut R, cursor: &mut Cursor<'a>, key: Cow<'a, str>| {
        Ok(Entry {
            hash: hasher.hash_one(&*key), // it is at hand now
            value: read(reader, cursor, &key)?,
            key,
        })
    };
    read_pieces(cursor, Shape::Object, Some(opening), read).map(last_of_each)
}

/// Passes entries one by one, of which the keys are looked at.
pub(crate) fn each<T>(entries: Vec<Entry<'_, T>>) -> impl Iterator<Item = Entry<'_, T>> {
    /// The key of the entry so many further on is fetched meanwhile.
    const AHEAD: usize = 8;
    let mut entries = entries.into_iter();
    std::iter::from_fn(move || {
        if let Some(entry) = entries.as_slice().get(AHEAD) {
            simd::prefetch(entry.key.as_bytes(), 0);
        }
        entries.next()
    })
}

/// Reads the elements of the array at the cursor, as [`entries`] does those of an object; without `opening` one after the
/// other.
pub(crate) fn elements<'a, R: Default, T: Send>(
    cursor: &mut Cursor<'a>,
    opening: Option<&[u8]>,
    read: impl Fn(&mut R, &mut Cursor<'a>) -> Step<T> + Sync,
) -> Step<Vec<T>> {
    let read = |reader: &mut R, cursor: &mut Cursor<'a>, _| read(reader, cursor);
    read_pieces(cursor, Shape::Array, opening, read)
}

/// What is read in pieces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Object,
    Array,
}

impl Shape {
    /// The brackets around it.
    fn brackets(self) -> [u8; 2] {
        match self {
            Shape::Object => *b"{}",
            Shape::Array => *b"[]",
        }
    }
}

fn read_pieces<'a, R: Default, T: Send>(
    cursor: &mut Cursor<'a>,
    shape: Shape,
    opening: Option<&[u8]>,
    read: impl Fn(&mut R, &mut Cursor<'a>, Cow<'a, str>) -> Step<T> + Sync,
) -> Step<Vec<T>> {
    let [opens, closes] = shape.brackets();
    cursor.expect(opens)?;
    if cursor.peek()? == closes {
        cursor.at += 1;
        return Ok(Vec::new());
    }
    let (bytes, mut at) = (cursor.bytes, cursor.at);
    let starts = match opening {
        Some(opening) if rayon::current_num_threads() > 1 => {
            guess_starts(bytes, at, shape, opening)
        }
        _ => vec![at],
    };
    let limits = starts.iter().skip(1).copied().chain([bytes.len()]);
    let pieces: Vec<_> = starts.iter().copied().zip(limits).collect();
    let mut pieces: Vec<Piece<T>> = pieces
        .into_par_iter()
        .map(|(start, limit)| {
            let end = limit.saturating_add(MAX_BEYOND_BYTES).min(bytes.len());
            Piece::read(&bytes[..end], shape, start, limit, &read)
        })
        .collect();
    let mut all = Vec::new();
    let mut next = pieces.drain(..).peekable();
    loop {
        while next.next_if(|piece| piece.start < at).is_some() {}
        let limit = next
            .peek()
            .map_or(bytes.len(), |piece| piece.start.max(at + 1));
        let piece = next
            .next_if(|piece| piece.start == at && piece.end.is_ok())
            .unwrap_or_else(|| Piece::read(bytes, shape, at, limit, &read));
        let (end, closes) = piece.end?;
        match all.is_empty() {
            true => all = piece.entries,
            false => all.extend(piece.entries),
        }
        at = end;
        if closes {
            cursor.at = at;
            return Ok(all);
        }
    }
}

/// Of entries with the same key the last, in the place of the first.
fn last_of_each<T>(entries: Vec<Entry<'_, T>>) -> Vec<Entry<'_, T>> {
    let mut places: HashTable<(u64, usize)> = HashTable::with_capacity(entries.len());
    let mut first_of = |at: usize, entry: &Entry<'_, T>| {
        let same = |&(hash, at): &(u64, usize)| hash == entry.hash && entries[at].key == entry.key;
        let place = places.entry(entry.hash, same, |place| place.0);
        place.or_insert((entry.hash, at)).get().1
    };
    let is_first = |(at, entry): (usize, &Entry<'_, T>)| first_of(at, entry) == at;
    if entries.iter().enumerate().all(is_first) {
        return entries;
    }
    let firsts: Vec<usize> = (0..)
        .zip(&entries)
        .map(|(at, entry)| first_of(at, entry))
        .collect();
    let mut kept: Vec<Option<Entry<'_, T>>> = Vec::with_capacity(entries.len());
    for (first, entry) in firsts.into_iter().zip(entries) {
        kept.push(None);
        kept[first] = Some(entry);
    }
    kept.into_iter().flatten().collect()
}

/// Entries that follow each other.
struct Piece<T> {
    /// Before the first key.
    start: usize,
    entries: Vec<T>,
    /// Behind the last comma, or behind the object if it ends here.
    end: Step<(usize, bool)>,
}

impl<T> Piece<T> {
    /// Reads from `start` up to the first entry that starts at `limit` or later.
    fn read<'a, R: Default>(
        bytes: &'a [u8],
        shape: Shape,
        start: usize,
        limit: usize,
        read: impl Fn(&mut R, &mut Cursor<'a>, Cow<'a, str>) -> Step<T>,
    ) -> Piece<T> {
        let mut reader = R::default();
        let mut cursor = Cursor::starting_at(bytes, start);
        let mut entries = Vec::new();
        let end = loop {
            let step = entry(&mut cursor, shape, &mut reader, &read, &mut entries);
            match step {
                Ok(false) if cursor.at < limit => {}
                Ok(closes) => break Ok((cursor.at, closes)),
                Err(stop) => break Err(stop),
            }
        };
        Piece {
            start,
            entries,
            end,
        }
    }
}

/// Reads an entry or element and what stands behind it; tells whether that was the end.
fn entry<'a, R, T>(
    cursor: &mut Cursor<'a>,
    shape: Shape,
    reader: &mut R,
    read: impl Fn(&mut R, &mut Cursor<'a>, Cow<'a, str>) -> Step<T>,
    entries: &mut Vec<T>,
) -> Step<bool> {
    let start = cursor.at;
    let key = match shape {
        Shape::Object => {
            let key = cursor.string()?;
            cursor.expect(b':')?;
            key
        }
        Shape::Array => Cow::Borrowed(""),
    };
    entries.push(read(reader, cursor, key)?);
    let closes = match cursor.peek()? {
        b',' => false,
        byte if byte == shape.brackets()[1] => true,
        _ => return Err(Stop::Broken),
    };
    cursor.at += 1;
    check_text(&cursor.bytes[start..cursor.at])?;
    Ok(closes)
}

/// Where pieces may start: `first`, then places that look like starts.
fn guess_starts(bytes: &[u8], first: usize, shape: Shape, opening: &[u8]) -> Vec<usize> {
    let mut starts = vec![first];
    let finder = Finder::new(opening);
    let mut from = first + PIECE_BYTES;
    while from < bytes.len() {
        let found = finder
            .find_iter(&bytes[from..])
            .take(MAX_GUESSES)
            .find_map(|at| guess_start(bytes, shape, from + at));
        let Some(start) = found else { break };
        starts.push(start);
        from = start + PIECE_BYTES;
    }
    starts
}

/// The start of what seems to have the first key of its value at `at`.
fn guess_start(bytes: &[u8], shape: Shape, at: usize) -> Option<usize> {
    let before = |end: usize, last: u8| {
        let before = bytes[..end].trim_ascii_end();
        (before.last() == Some(&last)).then(|| before.len() - 1)
    };
    let value = before(at, b'{')?;
    if shape == Shape::Array {
        return before(value, b',').map(|comma| comma + 1);
    }
    let key_end = before(before(value, b':')?, b'"')?;
    let key = &bytes[key_end.saturating_sub(MAX_KEY_BYTES)..key_end];
    let quote = memchr::memrchr(b'"', key)?;
    let start = key_end - key.len() + quote;
    before(start, b',').map(|comma| comma + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum of the integers of an object's `n`.
    fn sum(cursor: &mut Cursor<'_>) -> Step<u64> {
        let mut integers = Vec::new();
        cursor.object(|cursor, name| match &*name {
            "n" => cursor.integers(&mut integers).map(|_| ()),
            _ => cursor.skip(),
        })?;
        Ok(integers.into_iter().sum())
    }

    fn sums(document: &str) -> Step<Vec<(String, u64)>> {
        let mut cursor = Cursor::new(document.as_bytes());
        let all = entries(&mut cursor, b"\"n\"", |_: &mut (), cursor, _| sum(cursor))?;
        cursor.end()?;
        Ok(each(all)
            .map(|entry| (entry.key.into_owned(), entry.value))
            .collect())
    }

    fn sums_of_array(document: &str) -> Step<Vec<u64>> {
        let mut cursor = Cursor::new(document.as_bytes());
        let all = elements(&mut cursor, Some(b"\"n\""), |_: &mut (), cursor| {
            sum(cursor)
        })?;
        cursor.end()?;
        Ok(all)
    }

    #[test]
    fn large_arrays_are_read_as_small_ones_are() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
        let list = vec!["12"; 50_000].join(", ");
        let element =
            format!(r#"{{"n": [{list}], "t": ", {{\"n\":[9]}}", "u": [1, {{"n": [3]}}]}}"#);
        let document = format!("[{}]", vec![element; 40].join(" , "));
        pool.unwrap().install(|| {
            assert_eq!(sums_of_array(&document).unwrap(), [600_000; 40]);
            assert!(sums_of_array(&document[..document.len() - 1]).is_err());
            assert!(sums_of_array(&document.replace(" , ", " ")).is_err());
        });
        assert!(sums_of_array("[{},]").is_err());
        assert!(sums_of_array("[ ]").unwrap().is_empty());
    }

    #[test]
    fn large_objects_are_read_as_small_ones_are() {
        let list = vec!["12"; 50_000].join(", ");
        // The text within looks like an entry.
        let entry =
            |i: usize| format!(r#""k{i}": {{"n": [{list}], "t": ", \"x\": {{\"n\":[9]}}"}}"#);
        let document = format!("{{{}}}", (0..40).map(entry).collect::<Vec<_>>().join(" , "));
        let expected: Vec<_> = (0..40).map(|i| (format!("k{i}"), 600_000)).collect();
        assert_eq!(sums(&document).unwrap(), expected);
        assert!(sums(&document[..document.len() - 1]).is_err());
        assert!(sums(&document.replace(" , ", " ")).is_err());
        assert!(sums("{\"a\":{},}").is_err());
        assert_eq!(sums("{ }").unwrap(), []);
        let again = sums(r#"{"a": {"n": [1]}, "b": {"n": [2]}, "\u0061": {"n": [3]}, "c": {}}"#);
        let expected = [("a", 3), ("b", 2), ("c", 0)].map(|(key, sum)| (key.to_owned(), sum));
        assert_eq!(again.unwrap(), expected);
    }
}
