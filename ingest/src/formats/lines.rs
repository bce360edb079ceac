//! Values by line, as many JSON formats list them: an array whose index is the line, or an object
//! whose keys are lines. What a value means is the format's own; a count and `null` are the fast path.

use std::borrow::Cow;
use std::ops::Range;

use engine::model::{Coverage, FileBuilder, Kind};

use super::{Body, Context, FoundFile, MAX_LINE};
use crate::error::{Failure, Result};
use crate::json::{Counts, Cursor, Step, Value, Word, Words};
use crate::number::{count, integer};

/// What a format makes of a value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Cell {
    /// It says nothing of the line.
    Skipped,
    /// The line's record.
    Row(Kind, Coverage),
    /// It is none that a line can have: the upload fails, unless the line is ignored.
    Wrong,
}

/// How a format reads a value. Plain counts are not asked for: they are hits everywhere.
pub(super) type Reading = fn(&Value<'_>) -> Cell;

/// A record that is neither a plain count nor nothing that counts.
#[derive(Clone, Copy)]
struct Odd {
    line: u32,
    /// How many plain rows came before it.
    after: usize,
    kind: Kind,
    coverage: Coverage,
}

/// The lines of one file, read before its name is known. Those of the next take their place in
/// memory.
#[derive(Default)]
pub(super) struct Lines {
    /// Plain rows, and those that do not count.
    plain: Counts,
    odd: Vec<Odd>,
    /// Lines whose value is wrong.
    wrong: Vec<u32>,
    /// The first text that should be a line, but is no integer.
    no_line: Option<String>,
    /// The first line below 1, where a record stands.
    below_one: Option<i64>,
    /// Whether the values are neither an array nor an object, as the format wants them.
    shapeless: bool,
    /// Whether a line was left out because of [`MAX_LINE`].
    cut: bool,
    /// The first line whose count does not fit 64 bits.
    too_large: Option<u32>,
}

impl Lines {
    pub(super) fn clear(&mut self) {
        self.plain.clear();
        self.odd.clear();
        self.wrong.clear();
        self.no_line = None;
        self.below_one = None;
        self.shapeless = false;
        self.cut = false;
        self.too_large = None;
    }

    /// Whether nothing was said, be it right or wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.plain.lines.is_empty()
            && self.odd.is_empty()
            && self.wrong.is_empty()
            && self.no_line.is_none()
            && self.below_one.is_none()
            && !(self.shapeless || self.cut)
    }

    /// The first key that is no line number.
    pub(super) fn no_line(&self) -> Option<&str> {
        self.no_line.as_deref()
    }

    /// Whether the values were of another shape than the format's.
    pub(super) fn is_shapeless(&self) -> bool {
        self.shapeless
    }

    /// Allows lines below 1: they say nothing.
    pub(super) fn skip_below_one(&mut self) {
        self.below_one = None;
    }

    /// Skips a value that is of no shape that the format has.
    pub(super) fn skip_shapeless(&mut self, cursor: &mut Cursor<'_>) -> Step<()> {
        self.shapeless = true;
        cursor.skip()
    }

    /// Reads an array of values, the first of which is of line `from`.
    pub(super) fn list(
        &mut self,
        cursor: &mut Cursor<'_>,
        from: u32,
        reading: Reading,
    ) -> Step<()> {
        if cursor.peek()? != b'[' {
            return self.skip_shapeless(cursor);
        }
        cursor.expect(b'[')?;
        self.open_list(cursor, &mut true, from, reading)
    }

    /// Reads the rest of an array that is open, the next value of which is of line `from`.
    pub(super) fn open_list(
        &mut self,
        cursor: &mut Cursor<'_>,
        first: &mut bool,
        from: u32,
        reading: Reading,
    ) -> Step<()> {
        let words = Words {
            null: word(reading(&Value::Null)),
            minus_one: word(reading(&Value::Number(b"-1"))),
        };
        let mut line = from;
        while cursor.counts(first, words, &mut line, &mut self.plain)? {
            self.value(cursor, line, reading)?;
            line = line.saturating_add(1);
        }
        Ok(())
    }

    /// Reads an object of lines.
    pub(super) fn object(&mut self, cursor: &mut Cursor<'_>, reading: Reading) -> Step<()> {
        if cursor.peek()? != b'{' {
            return self.skip_shapeless(cursor);
        }
        cursor.expect(b'{')?;
        let mut first = true;
        loop {
            self.short_entries(cursor, &mut first)?;
            let Some(key) = cursor.key(&mut first)? else {
                return Ok(());
            };
            self.entry(cursor, &key, reading)?;
        }
    }

    /// Reads the entries of the object that is open while they are short numbers.
    #[inline]
    pub(super) fn short_entries(&mut self, cursor: &mut Cursor<'_>, first: &mut bool) -> Step<()> {
        cursor.short_entries(first, |line, hits| {
            if line <= u64::from(MAX_LINE) {
                self.plain.push(line as u32, hits);
            } else {
                self.cut = true;
            }
        })
    }

    /// Reads the value of one line, whose number is a key.
    #[inline]
    pub(super) fn entry(
        &mut self,
        cursor: &mut Cursor<'_>,
        key: &str,
        reading: Reading,
    ) -> Step<()> {
        match integer(key.as_bytes()) {
            Some(line @ 1..) => {
                let line = u32::try_from(line).unwrap_or(u32::MAX);
                match cursor.count()? {
                    Some(hits) if line <= MAX_LINE => {
                        self.plain.push(line, hits);
                        Ok(())
                    }
                    Some(_) => {
                        self.cut = true;
                        Ok(())
                    }
                    None => self.value(cursor, line, reading),
                }
            }
            Some(line) => {
                self.below_one.get_or_insert(line);
                cursor.skip()
            }
            None => {
                self.no_line.get_or_insert_with(|| key.to_owned());
                cursor.skip()
            }
        }
    }

    /// Reads a value of any form.
    fn value(&mut self, cursor: &mut Cursor<'_>, line: u32, reading: Reading) -> Step<()> {
        let value = cursor.value()?;
        if matches!(value, Value::Array | Value::Object) {
            cursor.skip()?;
        }
        if is_too_large(&value) {
            self.too_large.get_or_insert(line);
        }
        self.cell(line, reading(&value));
        Ok(())
    }

    fn cell(&mut self, line: u32, cell: Cell) {
        match cell {
            Cell::Skipped => {}
            _ if line > MAX_LINE => self.cut = true,
            _ if line == 0 => self.below_one = Some(0),
            Cell::Wrong => self.wrong.push(line),
            Cell::Row(Kind::Line, Coverage::Hits(hits)) => {
                self.plain.push(line, hits);
            }
            Cell::Row(Kind::Line, Coverage::Null) => {
                self.plain.push_uncounted(line);
            }
            Cell::Row(kind, coverage) => self.odd.push(Odd {
                line,
                after: self.plain.lines.len(),
                kind,
                coverage,
            }),
        }
    }

    /// Adds what was read to the file that the report calls `name`, if it is one of the repository.
    /// Fails for what its format does not allow.
    pub(super) fn add(
        &mut self,
        format: &str,
        name: &str,
        context: &mut Context<'_>,
    ) -> Result<()> {
        let Some(path) = context.paths.fix(name)?.filter(|path| !path.is_empty()) else {
            return Ok(());
        };
        self.check(format, name)?;
        let ignored = context.ignored.get(&path);
        let is_ignored = |line: u32| ignored.is_some_and(|lines| lines.contains(line));
        if let Some(line) = self.wrong.iter().find(|&&line| !is_ignored(line)) {
            return Err(Failure::fails(format!(
                "{format}: the value of line {line} of {name} is no coverage"
            )));
        }
        let too_large = self.too_large.map(|line| (path.clone(), line));
        context.add_file(path, FoundFile::new(self.build(), self.cut));
        if let Some((path, line)) = too_large {
            context.count_too_large(&path, line);
        }
        Ok(())
    }

    fn check(&self, format: &str, name: &str) -> Result<()> {
        let wrong = |what: Cow<'static, str>| Err(Failure::fails(format!("{format}: {what}")));
        if self.shapeless {
            return wrong(format!("the coverage of {name} is no list of lines").into());
        }
        if let Some(key) = &self.no_line {
            return wrong(format!("{key:?} of {name} is no line").into());
        }
        match self.below_one {
            Some(line) => wrong(format!("line {line} of {name}: lines start at 1").into()),
            None => Ok(()),
        }
    }

    fn build(&self) -> engine::model::FileCoverage {
        let mut file = FileBuilder::new();
        let ascend = self.plain.lines.is_sorted_by(|a, b| a < b)
            && self.odd.is_sorted_by(|a, b| a.line < b.line);
        if ascend {
            self.merge(&mut file);
        } else {
            self.sort(&mut file);
        }
        file.finish()
    }

    /// Both kinds of rows ascend.
    fn merge(&self, file: &mut FileBuilder) {
        let (mut from, mut nulls) = (0, &self.plain.uncounted[..]);
        for odd in &self.odd {
            let run = self.plain.lines[from..]
                .iter()
                .take_while(|&&line| line < odd.line)
                .count();
            nulls = self.push_rows(from..from + run, nulls, file);
            file.append(odd.line, odd.kind, odd.coverage, None, None);
            from += run;
        }
        self.push_rows(from..self.plain.lines.len(), nulls, file);
    }

    /// Adds plain rows. `nulls` are the places from there on that do not count; gives those behind the rows.
    fn push_rows<'n>(
        &self,
        rows: Range<usize>,
        nulls: &'n [u32],
        file: &mut FileBuilder,
    ) -> &'n [u32] {
        let (lines, hits) = (
            &self.plain.lines[rows.clone()],
            &self.plain.hits[rows.clone()],
        );
        let (nulls, behind) =
            nulls.split_at(nulls.partition_point(|&place| (place as usize) < rows.end));
        match nulls {
            [] => file.plain(lines, hits),
            _ => {
                let places = nulls.iter().map(|&place| place as usize - rows.start);
                file.plain_but(lines, hits, places);
            }
        }
        behind
    }

    /// Lines in any order. Of a line that came twice the last record counts, as in any JSON object.
    fn sort(&self, file: &mut FileBuilder) {
        let mut rows: Vec<(u32, Kind, Coverage)> =
            Vec::with_capacity(self.plain.lines.len() + self.odd.len());
        let plain = |at: usize| {
            let coverage = match self.plain.uncounted.binary_search(&(at as u32)) {
                Ok(_) => Coverage::Null,
                Err(_) => Coverage::Hits(self.plain.hits[at]),
            };
            (self.plain.lines[at], Kind::Line, coverage)
        };
        let mut from = 0;
        for odd in &self.odd {
            rows.extend((from..odd.after).map(plain));
            rows.push((odd.line, odd.kind, odd.coverage));
            from = odd.after;
        }
        rows.extend((from..self.plain.lines.len()).map(plain));
        rows.sort_by_key(|row| row.0);
        let last_of_line = rows
            .chunk_by(|a, b| a.0 == b.0)
            .filter_map(|of_line| of_line.last());
        for &(line, kind, coverage) in last_of_line {
            file.append(line, kind, coverage, None, None);
        }
    }
}

/// What a cell is as a word among counts.
fn word(cell: Cell) -> Word {
    match cell {
        Cell::Skipped => Word::Skipped,
        Cell::Row(Kind::Line, Coverage::Null) => Word::Uncounted,
        Cell::Row(..) | Cell::Wrong => Word::Odd,
    }
}

/// A format that lists files as objects with a name and with values by line.
pub(super) struct Listed {
    /// What messages call the format.
    pub(super) format: &'static str,
    /// The key of the name.
    pub(super) name: &'static str,
    /// The key of the values.
    pub(super) values: &'static str,
    /// Reads the values; the lines are empty before.
    pub(super) read: fn(&mut Lines, &mut Cursor<'_>) -> Step<()>,
}

impl Listed {
    /// Adds the files of the array under `key` of a document, and tells where it stands. Fails where
    /// there is none.
    pub(super) fn parse(
        &self,
        key: &'static str,
        content: &[u8],
        context: &mut Context<'_>,
    ) -> Result<Body> {
        let mut cursor = Cursor::new(content);
        let mut first = true;
        let mut body = None;
        cursor.expect(b'{')?;
        while let Some(found) = cursor.key(&mut first)? {
            if found == key {
                let start = cursor.at();
                context.found = super::Found::default();
                self.files(key, &mut cursor, context)?;
                body = Some(start..cursor.at());
            } else {
                cursor.skip()?;
            }
        }
        cursor.end()?;
        body.ok_or_else(|| self.fails(format!("the report has no {key}")))
    }

    fn files(&self, key: &str, cursor: &mut Cursor<'_>, context: &mut Context<'_>) -> Result<()> {
        if cursor.peek()? != b'[' {
            return Err(self.fails(format!("{key} is no array")));
        }
        cursor.expect(b'[')?;
        let mut first = true;
        let mut lines = Lines::default();
        while cursor.element(&mut first)? {
            let (name, has_values) = self.file(cursor, &mut lines)?;
            let Some(name) = name else {
                return Err(self.fails(format!("a file has no {}", self.name)));
            };
            if !has_values {
                lines.shapeless = true;
            }
            lines.add(self.format, &name, context)?;
        }
        Ok(())
    }

    /// Reads one file: its name, and whether there were values, which `lines` has then.
    pub(super) fn file<'a>(
        &self,
        cursor: &mut Cursor<'a>,
        lines: &mut Lines,
    ) -> Result<(Option<Cow<'a, str>>, bool)> {
        lines.clear();
        if cursor.peek()? != b'{' {
            return Err(self.fails("a file is no object".into()));
        }
        let (mut name, mut has_values) = (None, false);
        cursor.object(|cursor, key| {
            if key == self.name {
                name = text(cursor)?;
                Ok(())
            } else if key == self.values {
                has_values = true;
                lines.clear();
                (self.read)(lines, cursor)
            } else {
                cursor.skip()
            }
        })?;
        Ok((name, has_values))
    }

    fn fails(&self, what: String) -> Failure {
        Failure::fails(format!("{}: {what}", self.format))
    }
}

/// Reads a text; `None` when something else stands there.
pub(super) fn text<'a>(cursor: &mut Cursor<'a>) -> Step<Option<Cow<'a, str>>> {
    if cursor.peek()? == b'"' {
        return cursor.string().map(Some);
    }
    cursor.skip().map(|()| None)
}

/// A value as it stands, of a plain line. `null` is a line that does not count.
pub(super) fn as_it_is(value: &Value<'_>) -> Cell {
    coverage(value).map_or(Cell::Wrong, |coverage| Cell::Row(Kind::Line, coverage))
}

/// Like [`as_it_is`], but `null` says nothing of the line.
pub(super) fn unless_null(value: &Value<'_>) -> Cell {
    match value {
        Value::Null => Cell::Skipped,
        value => as_it_is(value),
    }
}

/// The coverage that a value is by itself: of a number its hits, of a text a fraction or hits.
pub(super) fn coverage(value: &Value<'_>) -> Option<Coverage> {
    match value {
        Value::Null | Value::Bool(false) => Some(Coverage::Null),
        Value::Bool(true) => Some(Coverage::Partial),
        Value::Number(number) => Some(coverage_of_number(number)),
        Value::Text(text) => match text.split_once('/') {
            Some((taken, total)) => Some(coverage_of_fraction(taken, total)),
            // A text is a hit unless it is 0, even `-1`.
            None => coverage_of_integer(text).map(|coverage| match coverage {
                Coverage::Ignored => Coverage::Hits(1),
                coverage => coverage,
            }),
        },
        Value::Array | Value::Object => None,
    }
}

/// What a number says: -1 is left out, and any other but 0 is a hit, be it a part of 1 or below 0.
pub(super) fn coverage_of_number(number: &[u8]) -> Coverage {
    if number == b"-1" {
        return Coverage::Ignored;
    }
    if let Some(count) = count(number) {
        return Coverage::Hits(count.value);
    }
    let value: f64 = std::str::from_utf8(number)
        .ok()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0.0);
    if value == -1.0 {
        Coverage::Ignored
    } else if value == 0.0 {
        Coverage::Hits(0)
    } else {
        Coverage::Hits((value as u64).max(1))
    }
}

/// What a text says that is an integer; `None` when it is none.
pub(super) fn coverage_of_integer(text: &str) -> Option<Coverage> {
    if let Some(count) = count(text.as_bytes()) {
        return Some(Coverage::Hits(count.value));
    }
    Some(match integer(text.as_bytes())? {
        -1 => Coverage::Ignored,
        0 => Coverage::Hits(0),
        hits => Coverage::Hits(hits.max(1) as u64),
    })
}

/// What a text with a slash says. Its sides are compared as texts: `00/2` is no miss.
fn coverage_of_fraction(taken: &str, total: &str) -> Coverage {
    let arms = |text: &str| {
        let is_plain = text == "0" || !text.starts_with(['0', '+']);
        text.parse::<u32>().ok().filter(|_| is_plain)
    };
    match (arms(taken), arms(total)) {
        (Some(taken), Some(total)) => Coverage::Arms { taken, total },
        _ if taken == total => Coverage::Hits(1),
        _ if taken == "0" => Coverage::Hits(0),
        _ => Coverage::Partial,
    }
}

fn is_too_large(value: &Value<'_>) -> bool {
    match value {
        Value::Number(number) => match count(number) {
            Some(count) => count.too_large,
            None => coverage_of_number(number) == Coverage::Hits(u64::MAX),
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_kind() {
        use Coverage::{Arms, Hits, Ignored, Null, Partial};
        for (json, expected) in [
            ("null", Some(Null)),
            ("false", Some(Null)),
            ("true", Some(Partial)),
            ("7", Some(Hits(7))),
            ("-0", Some(Hits(0))),
            ("-1", Some(Ignored)),
            ("-1.0", Some(Ignored)),
            ("-7", Some(Hits(1))),
            ("0.0", Some(Hits(0))),
            ("0.5", Some(Hits(1))),
            ("2.5e3", Some(Hits(2500))),
            ("18446744073709551615", Some(Hits(u64::MAX))),
            ("99999999999999999999", Some(Hits(u64::MAX))),
            (r#""12""#, Some(Hits(12))),
            (r#""-3""#, Some(Hits(1))),
            (r#""1/2""#, Some(Arms { taken: 1, total: 2 })),
            (r#""0/0""#, Some(Arms { taken: 0, total: 0 })),
            (r#""00/2""#, Some(Partial)),
            (r#""None/2""#, Some(Partial)),
            (r#""x/x""#, Some(Hits(1))),
            (r#""0/9999999999""#, Some(Hits(0))),
            (r#""ignored""#, None),
            ("[]", None),
        ] {
            let value = Cursor::new(json.as_bytes()).value().unwrap();
            assert_eq!(coverage(&value), expected, "{json}");
        }
    }

    fn rows(json: &str) -> Vec<(u32, Coverage)> {
        let mut lines = Lines::default();
        let mut cursor = Cursor::new(json.as_bytes());
        if json.starts_with('[') {
            lines.list(&mut cursor, 1, as_it_is).unwrap();
        } else {
            lines.object(&mut cursor, as_it_is).unwrap();
        }
        cursor.end().unwrap();
        let file = lines.build();
        file.rows()
            .map(|(line, row)| (line, row.coverage()))
            .collect()
    }

    #[test]
    fn lists_and_objects_are_read_in_any_order() {
        use Coverage::{Hits, Null, Partial};
        let listed = [(1, Hits(12)), (2, Null), (3, Partial), (4, Hits(0))];
        assert_eq!(rows("[12,null , true,\n 0]"), listed);
        let keyed = r#"{"4": 7, "3": true, "1":12,"2":5, "2":null, "4":0}"#;
        assert_eq!(rows(keyed), listed);
        assert_eq!(rows("[]"), []);
    }
}
