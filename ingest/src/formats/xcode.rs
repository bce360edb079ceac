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
    let mut reader = Reader {
        sources: Named::default(),
        line_column: 1,
    };
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

impl<'c> Reader<'c> {
    /// Takes a line with nothing odd about it; tells whether it was one.
    #[inline]
    fn take_plain(&mut self, line: &[u8], context: &mut Context<'c>) -> bool {
        let found = match plain_line(line) {
            Some(_) if self.line_column != 1 => return false,
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

/// `hits|line|text` with blanks before the numbers, or without hits; the text starts with a
/// character that is no brace.
#[inline]
fn plain_line(line: &[u8]) -> Option<Plain> {
    let count = skip_blanks(line);
    if count.starts_with(b"|") {
        return Some(Plain::Uncounted);
    }
    let (hits, length @ 1..=MAX_COUNT_DIGITS) = digits(count) else {
        return None;
    };
    let second = skip_blanks(count[length..].strip_prefix(b"|")?);
    let (number, length @ 1..=8) = digits(second) else {
        return None;
    };
    let text = skip_blanks(second[length..].strip_prefix(b"|")?);
    let starts_plain = text
        .first()
        .is_none_or(|&byte| is_shown(byte) && byte != b'}');
    starts_plain.then_some(Plain::Counted {
        hits,
        number: number as i64,
    })
}

#[inline]
fn skip_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|&&byte| byte == b' ');
    &text[blanks.count()..]
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

    #[test]
    fn odd_lines_are_left_to_the_slower_reader() {
        let counted = Plain::Counted {
            hits: 3,
            number: 12,
        };
        assert_eq!(plain_line(b"   3|  12|  let a"), Some(counted));
        assert_eq!(plain_line(b"    |  12|  // c"), Some(Plain::Uncounted));
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
            assert_eq!(plain_line(odd.as_bytes()), None, "{odd}");
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
