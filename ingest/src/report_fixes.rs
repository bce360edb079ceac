//! Lines that a report should not count, as the uploader found them in the sources ("report fixes").

use std::collections::{BTreeMap, HashMap};

use simd_json::prelude::*;

use crate::error::{Failure, Result};

/// Ignored lines by path.
#[derive(Clone, Debug, Default)]
pub struct Ignored(HashMap<String, IgnoredLines>);

/// Ignored lines of one file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IgnoredLines {
    lines: Vec<u32>,
    end: End,
}

/// Behind which line everything is ignored.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
enum End {
    #[default]
    Never,
    Line(i64),
    /// A number given as text: lines compare as text with it.
    Text(String),
}

impl IgnoredLines {
    /// Whether the line is not to be counted.
    pub fn contains(&self, line: u32) -> bool {
        let beyond = match &self.end {
            End::Never => false,
            End::Line(end) => i64::from(line) > *end,
            End::Text(end) => line.to_string().as_str() > end.as_str(),
        };
        beyond || self.lines.binary_search(&line).is_ok()
    }

    fn new(mut lines: Vec<u32>, end: End) -> IgnoredLines {
        lines.sort_unstable();
        lines.dedup();
        IgnoredLines { lines, end }
    }
}

impl Ignored {
    /// The ignored lines of a file, if any.
    pub fn get(&self, path: &str) -> Option<&IgnoredLines> {
        self.0.get(path)
    }

    /// Reads the `value` of a JSON upload's `report_fixes`: path → `{eof, lines}`. Paths are taken
    /// as they are; what has another shape is skipped.
    pub fn from_json(value: &[u8]) -> Result<Ignored> {
        if value.is_empty() {
            return Ok(Ignored::default());
        }
        // The tape is written beside the text, which it changes.
        let mut text = value.to_vec();
        let tape = simd_json::to_tape(&mut text).map_err(|error| {
            Failure::Storage(format!("report_fixes: the value is no JSON: {error}"))
        })?;
        let value = tape.as_value();
        let files = value.as_object();
        let files = files.iter().flat_map(|files| files.iter());
        Ok(Ignored(
            files
                .map(|(path, fixes)| (path.to_owned(), lines_from_json(fixes)))
                .collect(),
        ))
    }

    /// Reads a legacy fixes section. `fix` resolves its paths. A line that cannot be read is skipped.
    ///
    /// Fails where comment blocks follow an `EOF:` entry of the same file that came first.
    pub fn from_text(
        text: &str,
        mut fix: impl FnMut(&str) -> Result<Option<String>>,
    ) -> Result<Ignored> {
        let mut sections: BTreeMap<String, Section> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("EOF:") {
                let Some((end, path)) = rest.trim_start().split_once(' ') else {
                    continue;
                };
                let (Some(path), Ok(end)) = (fix(path)?, end.trim().parse()) else {
                    continue;
                };
                sections
                    .entry(path)
                    .or_insert_with(Section::without_lines)
                    .end = End::Line(end);
            } else if let Some((path, rest)) = line.split_once(':') {
                let Some(entry) = Entry::parse(rest) else {
                    continue;
                };
                let Some(path) = fix(path)? else { continue };
                sections.entry(path).or_default().add(entry);
            }
        }
        let files = sections
            .into_iter()
            .map(|(path, section)| Ok((path, section.finish()?)));
        Ok(Ignored(files.collect::<Result<_>>()?))
    }
}

fn lines_from_json(fixes: simd_json::tape::Value<'_, '_>) -> IgnoredLines {
    let lines = fixes.get("lines").and_then(|lines| lines.as_array());
    let lines = lines.iter().flat_map(|lines| lines.iter());
    let lines = lines
        .filter_map(|line| u32::try_from(line.as_u64()?).ok())
        .collect();
    let end = match fixes.get("eof") {
        Some(end) => match (end.as_i64(), end.as_str()) {
            (Some(end), _) => End::Line(end),
            (None, Some(end)) => End::Text(end.to_owned()),
            (None, None) => End::Never,
        },
        None => End::Never,
    };
    IgnoredLines::new(lines, end)
}

/// What one line of a legacy section says after its path.
enum Entry<'a> {
    Lines(Vec<u32>),
    Source(u32, &'a str),
}

impl Entry<'_> {
    fn parse(rest: &str) -> Option<Entry<'_>> {
        match rest.split_once(':') {
            Some((line, source)) => Some(Entry::Source(line.trim().parse().ok()?, source.trim())),
            None => {
                let lines = rest.split(',').map(|line| line.trim().parse());
                Some(Entry::Lines(
                    lines.collect::<std::result::Result<_, _>>().ok()?,
                ))
            }
        }
    }
}

#[derive(Default)]
struct Section {
    lines: Vec<u32>,
    starts: Vec<u32>,
    stops: Vec<u32>,
    end: End,
    /// Whether an `EOF:` entry came first, after which the line entries of the file are lost.
    lost: bool,
}

impl Section {
    fn without_lines() -> Section {
        Section {
            lost: true,
            ..Section::default()
        }
    }

    fn add(&mut self, entry: Entry<'_>) {
        match entry {
            Entry::Lines(lines) if !self.lost => self.lines.extend(lines),
            Entry::Lines(_) => {}
            Entry::Source(line, source) => {
                if !self.lost {
                    self.lines.push(line);
                }
                if source.starts_with("/*") || source.contains("LCOV_EXCL_START") {
                    self.starts.push(line);
                }
                if source.ends_with("*/")
                    || source.contains("LCOV_EXCL_STOP")
                    || source.contains("LCOV_EXCL_END")
                {
                    self.stops.push(line);
                }
            }
        }
    }

    fn finish(mut self) -> Result<IgnoredLines> {
        if self.lost && !(self.starts.is_empty() && self.stops.is_empty()) {
            return Err(Failure::fails(
                "fixes: comment blocks of a file follow its EOF entry",
            ));
        }
        self.starts.sort_unstable();
        self.stops.sort_unstable();
        let mut covered = 0;
        for (&start, &stop) in self.starts.iter().zip(&self.stops) {
            // Blocks may overlap; a line is listed once, so that the list stays as long as the file.
            let from = start.saturating_add(1).max(covered);
            self.lines
                .extend(from..stop.max(from).min(from.saturating_add(MAX_BLOCK_LINES)));
            covered = covered.max(stop);
        }
        Ok(IgnoredLines::new(self.lines, self.end))
    }
}

/// The longest comment block that is ignored, in lines.
const MAX_BLOCK_LINES: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(section: &str) -> Result<Ignored> {
        Ignored::from_text(section, |path| {
            Ok(Some(path.trim_start_matches("./").to_owned()))
        })
    }

    #[test]
    fn blocks_lists_and_ends_are_ignored() {
        let ignored = text("./a.c:1:/*\na.c:4:*/\na.c:9,11\nbad\na.c:zz\nEOF: 20 a.c\n").unwrap();
        let lines = ignored.get("a.c").unwrap();
        let found: Vec<u32> = (1..=22).filter(|&line| lines.contains(line)).collect();
        assert_eq!(found, [1, 2, 3, 4, 9, 11, 21, 22]);
    }

    #[test]
    fn lines_after_an_end_entry_are_lost_and_blocks_fail() {
        assert!(
            !text("EOF: 9 a.c\na.c:3\n")
                .unwrap()
                .get("a.c")
                .unwrap()
                .contains(3)
        );
        assert!(text("EOF: 9 a.c\na.c:3:/*\n").is_err());
    }

    #[test]
    fn an_end_given_as_text_compares_as_text() {
        let ignored =
            Ignored::from_json(br#"{"a.c": {"eof": "3", "lines": [2]}, "b.c": 1}"#).unwrap();
        let lines = ignored.get("a.c").unwrap();
        assert!(lines.contains(4) && lines.contains(2) && !lines.contains(10));
    }
}
