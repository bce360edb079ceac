//! Annotated sources as Xcode's and llvm-cov's tools show them. Source: llvm.org/docs, "llvm-cov show".

use std::borrow::Cow;

use engine::model::{Coverage, Kind};
use memchr::memchr;

use super::Context;
use super::sources::Named;
use crate::error::{Failure, Result};
use crate::number::{digits, integer};

/// Counts of more digits are this large, whatever they say.
const MAX_COUNT_DIGITS: usize = 5;
const LARGE_COUNT: u64 = 99_999;

/// Adds the files of a text.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut reader = Reader::default();
    let mut rest = content;
    while !rest.is_empty() {
        let length = memchr(b'\n', rest).unwrap_or(rest.len());
        if reader.take_plain(&rest[..length], context) {
            rest = rest.get(length + 1..).unwrap_or_default();
            continue;
        }
        reader.line(trim(&rest[..length]), context)?;
        rest = rest.get(length + 1..).unwrap_or_default();
    }
    reader.sources.finish(context);
    Ok(())
}

/// Bytes that count: the others are as if they were not there.
#[inline]
fn is_shown(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// A line from its first byte that is shown and no blank, to its last.
#[inline]
fn trim(line: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| is_shown(*byte) && *byte != b' ';
    let start = line.iter().position(is_text).unwrap_or(line.len());
    let end = line.iter().rposition(is_text).map_or(start, |at| at + 1);
    &line[start..end]
}

struct Reader<'c> {
    sources: Named<'c>,
    /// Which column has line numbers, 0 or 1; the other has counts.
    line_column: usize,
}

impl Default for Reader<'_> {
    fn default() -> Self {
        Reader {
            sources: Named::default(),
            line_column: 1,
        }
    }
}

impl<'c> Reader<'c> {
    /// Takes a line with nothing odd about it; tells whether it was one.
    #[inline]
    fn take_plain(&mut self, line: &[u8], context: &mut Context<'c>) -> bool {
        let found = match plain_line(line, self.line_column) {
            Some(Plain::Counted { hits, number }) => (hits, number),
            Some(Plain::Uncounted) => return true,
            None => return false,
        };
        if let Some(source) = self.sources.current()
            && let Some(number) = context.checked_line(found.1, &source.path)
        {
            source.hits(number, found.0);
        }
        true
    }

    fn line(&mut self, line: &[u8], context: &mut Context<'c>) -> Result<()> {
        if matches!(line.first(), None | Some(b'-' | b'|' | b'w')) {
            return Ok(());
        }
        let mut columns = line.splitn(3, |&byte| byte == b'|');
        match (columns.next(), columns.next(), columns.next()) {
            (Some(_), None, _) => self.header(line, context),
            (Some(_), Some(_), None) => match self.sources.current() {
                Some(source) => Err(Failure::fails(format!(
                    "xcode: a line of {} has two columns instead of three",
                    source.path
                ))),
                None => Ok(()),
            },
            (Some(first), Some(second), Some(text)) => {
                if !is_lone_brace(text) {
                    self.counted_line([first, second], context);
                }
                Ok(())
            }
            (None, ..) => Ok(()),
        }
    }

    /// A line without columns: the name of a file when it ends with `:`. The name's first character
    /// is lost, which the end of a path outlives.
    fn header(&mut self, line: &[u8], context: &Context<'c>) -> Result<()> {
        if !line.ends_with(b":") {
            return Ok(());
        }
        let shown: String = line
            .iter()
            .filter(|&&byte| is_shown(byte))
            .map(|&byte| char::from(byte))
            .collect();
        let name = shown.get(1..shown.len() - 1).unwrap_or_default();
        self.sources.select(name, context)
    }

    #[inline]
    fn counted_line(&mut self, columns: [&[u8]; 2], context: &mut Context<'c>) {
        let columns = columns.map(shown);
        let number = |column: usize| {
            let column = columns[column].trim_ascii();
            match digits(column) {
                (number, length) if length == column.len() && (1..9).contains(&length) => {
                    Some(number as i64)
                }
                _ => integer(column),
            }
        };
        let line = match number(self.line_column) {
            Some(line) => line,
            None if *columns[0].trim_ascii() == *b"1" => {
                self.line_column = 0;
                1
            }
            None => return,
        };
        let Some(source) = self.sources.current() else {
            return;
        };
        let count = columns[1 - self.line_column].trim_ascii();
        if let Some(coverage) = coverage_of(count)
            && let Some(line) = context.checked_line(line, &source.path)
        {
            source.append(line, Kind::Line, coverage);
        }
    }
}

/// A line with nothing odd about it.
#[derive(PartialEq, Debug)]
enum Plain {
    Counted { hits: u64, number: i64 },
    Uncounted,
}

/// `hits|line|text` with blanks before the numbers, or without hits; `line|hits|text` where lines stand
/// in the column 0. The text of a line with hits starts with a character that is no brace.
#[inline]
fn plain_line(line: &[u8], line_column: usize) -> Option<Plain> {
    let (first, first_digits, rest) = plain_column(line)?;
    if first_digits == 0 {
        return Some(Plain::Uncounted);
    }
    let (second, second_digits, text) = plain_column(rest)?;
    let ((hits, hits_digits), (number, number_digits)) = match line_column {
        0 => ((second, second_digits), (first, first_digits)),
        _ => ((first, first_digits), (second, second_digits)),
    };
    if number_digits == 0 || number_digits > 8 || hits_digits > MAX_COUNT_DIGITS {
        return None;
    }
    if hits_digits == 0 {
        return Some(Plain::Uncounted);
    }
    let starts_plain = text[blanks(text)..]
        .first()
        .is_none_or(|&byte| is_shown(byte) && byte != b'}');
    starts_plain.then_some(Plain::Counted {
        hits,
        number: number as i64,
    })
}

/// A column of blanks and then digits, if any: their value and count, and what follows the column.
#[inline(always)]
fn plain_column(text: &[u8]) -> Option<(u64, usize, &[u8])> {
    let text = &text[blanks(text)..];
    let (value, length) = digits(text);
    Some((value, length, text[length..].strip_prefix(b"|")?))
}

/// How many blanks a text starts with.
#[inline(always)]
fn blanks(text: &[u8]) -> usize {
    const BLANKS: u64 = u64::from_le_bytes([b' '; 8]);
    let mut at = 0;
    while let Some(word) = text.get(at..).and_then(|rest| rest.first_chunk()) {
        let others = u64::from_le_bytes(*word) ^ BLANKS;
        if others != 0 {
            return at + (others.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at + text[at..].iter().take_while(|&&byte| byte == b' ').count()
}

/// What is shown of a column.
#[inline]
fn shown(column: &[u8]) -> Cow<'_, [u8]> {
    if column.iter().all(|&byte| is_shown(byte)) {
        return Cow::Borrowed(column);
    }
    Cow::Owned(
        column
            .iter()
            .copied()
            .filter(|&byte| is_shown(byte))
            .collect(),
    )
}

/// Whether the text of a line, up to a further column, is nothing but `}`.
#[inline]
fn is_lone_brace(text: &[u8]) -> bool {
    let mut shown = text
        .iter()
        .take_while(|&&byte| byte != b'|')
        .filter(|&&byte| is_shown(byte) && byte != b' ');
    shown.next() == Some(&b'}') && shown.next().is_none()
}

/// The coverage that a count stands for: `12`, `1.5k`, `3M`; `None` when there is none.
#[inline]
fn coverage_of(count: &[u8]) -> Option<Coverage> {
    if let (hits, length @ 1..=MAX_COUNT_DIGITS) = digits(count)
        && length == count.len()
    {
        return Some(Coverage::Hits(hits));
    }
    if count.is_empty() {
        return None;
    }
    let count: String = count
        .iter()
        .filter(|&&byte| byte != b'E')
        .map(|&byte| char::from(byte))
        .collect();
    let count = count.trim();
    let scaled = |text: &str, scale: f64| {
        let number = text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
        number.map_or(Coverage::Hits(1), |number| large(number * scale))
    };
    if count.is_empty() {
        None
    } else if count.contains(['k', 'K']) {
        Some(scaled(&count.replace('k', ""), 1000.0))
    } else if count.contains(['m', 'M']) {
        Some(Coverage::Hits(LARGE_COUNT))
    } else {
        Some(scaled(count, 1.0))
    }
}

/// A number, truncated; one of many digits is just large.
fn large(number: f64) -> Coverage {
    let digits = format!("{:.0}", number.trunc());
    match (digits.as_str(), number.trunc()) {
        (digits, _) if digits.len() > MAX_COUNT_DIGITS => Coverage::Hits(LARGE_COUNT),
        ("-1", _) => Coverage::Ignored,
        (_, number) => Coverage::Hits(number.abs() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::age::AgeLimit;
    use crate::formats::Found;
    use crate::paths::PathFixer;
    use crate::report_fixes::Ignored;
    use crate::settings::Settings;

    #[test]
    fn odd_lines_are_left_to_the_slower_reader() {
        let counted = Plain::Counted {
            hits: 3,
            number: 12,
        };
        assert_eq!(plain_line(b"   3|  12|  let a", 1), Some(counted));
        assert_eq!(plain_line(b"    |  12|  // c", 1), Some(Plain::Uncounted));
        for odd in [
            "3|12|  }",
            "3|12|\t}",
            "123456|12|x",
            "1.5k|12|x",
            "3|12",
            "3||x",
            "\t3|12|x",
            "a.m:",
        ] {
            assert_eq!(plain_line(odd.as_bytes(), 1), None, "{odd}");
        }
        let counted = Plain::Counted {
            hits: 3,
            number: 12,
        };
        assert_eq!(plain_line(b"   12|      3|  let a", 0), Some(counted));
        assert_eq!(plain_line(b"   12|       |}", 0), Some(Plain::Uncounted));
        for odd in ["12|3|}", "12|1.5k|x", "123456789|3|x", "12|3", "12|\t3|x"] {
            assert_eq!(plain_line(odd.as_bytes(), 0), None, "{odd}");
        }
    }

    /// Reads lines, all of them in the general way or those with nothing odd in the short one.
    fn read(lines: &[String], takes_plain: bool) -> String {
        let settings = Settings::parse("");
        let fixer = PathFixer::new(&settings, [], &[]);
        let (paths, ignored) = (fixer.for_file(""), Ignored::default());
        let mut context = Context {
            name: "",
            format: None,
            paths: &paths,
            parsers: settings.parsers,
            age: AgeLimit::new(&settings.max_age, 0),
            ignored: &ignored,
            found: Found::default(),
            problems: Vec::new(),
        };
        let mut reader = Reader::default();
        reader.sources.select("a.c", &context).unwrap();
        let mut failure = None;
        for line in lines {
            if takes_plain && reader.take_plain(line.as_bytes(), &mut context) {
                continue;
            }
            failure = reader.line(trim(line.as_bytes()), &mut context).err();
            if failure.is_some() {
                break;
            }
        }
        reader.sources.finish(&mut context);
        let (found, problems) = (context.found.into_sorted(), context.problems);
        format!("{found:?} {failure:?} {problems:?}")
    }

    proptest::proptest! {
        #[test]
        fn plain_lines_say_what_they_say_in_the_general_way(
            starts_with_lines: bool,
            mut lines in proptest::collection::vec("( {0,9}[0-9k.]{0,9}[ \t]?\\| {0,9}[0-9k]{0,7}\\|[ \t]{0,2}[}x|]{0,3}|[ a1:|}]{0,6})", 0..20),
        ) {
            if starts_with_lines {
                lines.insert(0, "1||".into());
            }
            proptest::prop_assert_eq!(read(&lines, true), read(&lines, false));
        }
    }

    #[test]
    fn counts_are_read_in_all_their_forms() {
        let hits = |count: &str| match coverage_of(count.as_bytes()) {
            Some(Coverage::Hits(hits)) => hits,
            other => panic!("{count} is {other:?}"),
        };
        for (count, expected) in [
            ("7", 7),
            ("123456", 99_999),
            ("1.5k", 1500),
            ("1.5K", 1),
            ("150k", 99_999),
            ("2M", 99_999),
            ("2m", 99_999),
            ("3E", 3),
            ("2.9", 2),
            ("x", 1),
        ] {
            assert_eq!(hits(count), expected, "{count}");
        }
        assert_eq!(coverage_of(b""), None);
        assert_eq!(coverage_of(b"E"), None);
    }
}
