//! LCOV tracefiles. Source: geninfo(1), "TRACEFILE FORMAT".

use engine::model::{ArmId, Coverage, FileBuilder, FileCoverage, Kind};
use engine::simd::{Work, widely};
use memchr::{memchr, memmem};

use super::Context;
use super::pieces::{cut, read_pieces};
use crate::error::{Failure, Result};
use crate::number::{Window, count, digits, integer, truncated};
use crate::report_fixes::IgnoredLines;

const END: &[u8] = b"end_of_record";
/// Arms of one record that are kept before repeated ones are dropped, at least.
const MIN_ARMS: usize = 1 << 16;

/// Adds the files of a tracefile.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    read_pieces(&cut(content, b"\nend_of_record"), context, parse_piece).map(drop)
}

fn parse_piece(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut record = Record::default();
    let mut at = 0;
    while at < content.len() {
        if record.path.is_some() {
            let text = &content[at..];
            let record = &mut record;
            at += widely(TakePlain { record, text });
        }
        let rest = &content[at..];
        let length = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..length];
        if at > 0 && line.starts_with(END) {
            record.finish(context);
            at += END.len();
            continue;
        }
        at += length + 1;
        if record.read(line, context)? == Next::Record {
            record.clear();
            // The rest of the record says nothing of a known file.
            let rest = &content[(at - 1).min(content.len())..];
            let Some(found) = memmem::find(rest, b"\nend_of_record") else {
                break;
            };
            at += found + END.len();
        }
    }
    record.finish(context);
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Next {
    Line,
    Record,
}

/// What was read of one record.
#[derive(Default)]
struct Record<'c> {
    /// The path in the repository; `None` before `SF` or when there is none.
    path: Option<String>,
    ignored: Option<&'c IgnoredLines>,
    javascript: bool,
    cpp: bool,
    typescript: bool,
    lines: FileBuilder,
    arms: Vec<Arm>,
    /// Arms after the last time that repeated ones were dropped.
    distinct_arms: usize,
    functions: Vec<u32>,
    /// Lines whose arms are an artefact of the compiler.
    mangled: Vec<u32>,
    missed: Vec<ArmId>,
}

#[derive(Clone, Copy)]
struct Arm {
    line: u32,
    taken: bool,
    id: ArmId,
}

impl<'c> Record<'c> {
    fn clear(&mut self) {
        self.path = None;
        self.clear_lines();
    }

    fn clear_lines(&mut self) {
        self.lines.clear();
        self.arms.clear();
        self.distinct_arms = 0;
        self.functions.clear();
        self.mangled.clear();
    }

    /// Takes the run of ordinary lines at the start; gives how many bytes it took.
    #[inline(always)]
    fn take_plain(&mut self, text: &[u8]) -> usize {
        let mut at = 0;
        while let Some(window) = Window::new(&text[at..]) {
            let mut taken = self.take_counts(window);
            if taken == 0 && !self.javascript {
                taken = self.take_functions(&text[at..]);
            }
            if taken == 0 {
                break;
            }
            at += taken;
        }
        at
    }

    /// Takes the ordinary `DA` and `BRDA` lines that a window starts with; gives their bytes. One line
    /// need not be read for the next to be found, so the processor reads several at once.
    #[inline(always)]
    fn take_counts(&mut self, mut window: Window<'_>) -> usize {
        let mut at = 0;
        loop {
            let end = match window.from(at) {
                [b'D', b'A', b':', ..] => plain_line(&mut window, at).map(|(line, hits, end)| {
                    self.push_line(line, hits);
                    end
                }),
                [b'B', b'R', b'D', b'A', b':', ..] if !self.javascript => {
                    plain_arm(&mut window, at).map(|(arm, end)| {
                        self.push_arm(arm);
                        end
                    })
                }
                _ => None,
            };
            match end {
                Some(end) => at = end,
                None => return at,
            }
        }
    }

    /// Takes the run of ordinary `FN` and `FNDA` lines at the start; gives their bytes.
    #[inline(always)]
    fn take_functions(&mut self, text: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let taken = match &text[at..] {
                rest @ [b'F', b'N', b'D', b'A', b':', ..] => memchr(b'\n', rest),
                rest @ [b'F', b'N', b':', ..] => self.take_function(rest),
                _ => None,
            };
            match taken {
                Some(end) => at += end + 1,
                None => return at,
            }
        }
    }

    /// Takes an ordinary `FN` line; gives where it ends.
    #[inline(always)]
    fn take_function(&mut self, text: &[u8]) -> Option<usize> {
        const KEY: usize = b"FN:".len();
        let (line, digits) = digits(&text[KEY..]);
        let end = memchr(b'\n', text)?;
        let comma = KEY + digits;
        if !(1..8).contains(&digits) || text[comma] != b',' {
            return None;
        }
        self.push_function(line as u32, &text[comma + 1..]);
        Some(end)
    }

    fn read(&mut self, line: &[u8], context: &mut Context<'c>) -> Result<Next> {
        let Some(colon) = memchr(b':', line) else {
            return Ok(Next::Line);
        };
        let (key, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        match key {
            b"TN" | b"LF" | b"LH" | b"FNF" | b"FNH" | b"BRF" | b"BRH" | b"FNDA" => {}
            b"SF" => self.start(value, context)?,
            _ if self.path.is_none() => return Ok(Next::Record),
            b"DA" => self.data(value, context)?,
            b"FN" if !self.javascript => self.function(value),
            b"BRDA" if !self.javascript => self.arm(value, context)?,
            _ => {}
        }
        Ok(Next::Line)
    }

    fn start(&mut self, value: &[u8], context: &mut Context<'c>) -> Result<()> {
        self.clear_lines();
        self.javascript = value.ends_with(b".js");
        self.cpp = value.ends_with(b".cpp");
        self.path = context
            .paths
            .fix(&String::from_utf8_lossy(value))?
            .filter(|path| !path.is_empty());
        self.ignored = self
            .path
            .as_ref()
            .and_then(|path| context.ignored.get(path));
        self.typescript = self.path.as_ref().is_some_and(|path| path.ends_with(".ts"));
        Ok(())
    }

    /// A `DA` line of any form.
    fn data(&mut self, value: &[u8], context: &mut Context<'_>) -> Result<()> {
        let mut parts = value.split(|&byte| byte == b',');
        let (Some(line), Some(hits)) = (parts.next(), parts.next()) else {
            return Ok(());
        };
        let unusable = |part: &[u8]| part.is_empty() || part == b"undefined";
        if unusable(line)
            || unusable(hits)
            || matches!(line[0], b'0' | b'n')
            || matches!(hits[0], b'=' | b's')
        {
            return Ok(());
        }
        let Some(number) = integer(line) else {
            return Ok(());
        };
        let hits = hits.trim_ascii();
        let (hits, too_large) = match count(hits) {
            Some(count) => (count.value, count.too_large),
            None => match truncated(hits) {
                Some(hits) => (hits as u64, hits >= u64::MAX as f64),
                None => return Ok(()),
            },
        };
        let path = self.path.clone().unwrap_or_default();
        if number < 1 {
            return Err(Failure::fails(format!(
                "lcov: DA:{number} of {path}: lines start at 1"
            )));
        }
        let Some(line) = context.checked_line(number, &path) else {
            return Ok(());
        };
        if too_large {
            context.count_too_large(&path, line);
        }
        self.push_line(line, hits);
        Ok(())
    }

    #[inline(always)]
    fn push_line(&mut self, line: u32, hits: u64) {
        if !self.is_ignored(line) {
            self.lines.hits(line, hits);
        }
    }

    #[inline(always)]
    fn is_ignored(&self, line: u32) -> bool {
        self.ignored.is_some_and(|ignored| ignored.contains(line))
    }

    fn function(&mut self, value: &[u8]) {
        let Some(comma) = memchr(b',', value) else {
            return;
        };
        let (line, name) = (integer(&value[..comma]), &value[comma + 1..]);
        let Some(line) = line.and_then(|line| u32::try_from(line).ok()) else {
            return;
        };
        self.push_function(line, name);
    }

    fn push_function(&mut self, line: u32, name: &[u8]) {
        if self.cpp && (name.starts_with(b"_Z") || name.starts_with(b"_G")) {
            self.mangled.push(line);
        } else {
            self.functions.push(line);
        }
    }

    /// A `BRDA` line of any form.
    fn arm(&mut self, value: &[u8], context: &mut Context<'_>) -> Result<()> {
        let Some((line, taken, id)) = any_arm(value) else {
            return Ok(());
        };
        let path = self.path.as_deref().unwrap_or_default();
        if line < 0 {
            return Err(Failure::fails(format!(
                "lcov: BRDA:{line} of {path} is no line"
            )));
        }
        if let Some(line) = context.checked_line(line, path) {
            self.push_arm(Arm { line, taken, id });
        }
        Ok(())
    }

    #[inline(always)]
    fn push_arm(&mut self, arm: Arm) {
        let counts = arm.line > 1 || (arm.line == 1 && !self.typescript);
        if counts && !self.is_ignored(arm.line) {
            self.arms.push(arm);
            if self.arms.len() > 2 * self.distinct_arms.max(MIN_ARMS) {
                self.drop_repeated_arms();
            }
        }
    }

    /// Keeps the last of each arm.
    #[cold]
    fn drop_repeated_arms(&mut self) {
        self.arms.reverse();
        self.arms.sort_by_key(|arm| (arm.line, arm.id)); // stable: the last comes first now
        self.arms.dedup_by_key(|arm| (arm.line, arm.id));
        self.distinct_arms = self.arms.len();
    }

    /// Adds the file to what was found, and makes ready for the next.
    fn finish(&mut self, context: &mut Context<'_>) {
        if let Some(path) = self.path.take() {
            let file = self.build(context.parsers.lcov_partials_as_hits);
            context.found.add(path, file);
        }
        self.clear_lines();
    }

    fn build(&mut self, partials_as_hits: bool) -> FileCoverage {
        if !self.mangled.is_empty() {
            self.mangled.sort_unstable();
            self.arms
                .retain(|arm| self.mangled.binary_search(&arm.line).is_err());
        }
        if !self.arms.is_sorted_by_key(|arm| arm.line) {
            self.arms.sort_by_key(|arm| arm.line); // stable: of one arm, the last counts
        }
        self.functions.sort_unstable();
        let mut functions = &self.functions[..];
        for arms in self.arms.chunk_by(|a, b| a.line == b.line) {
            let line = arms[0].line;
            while functions.first().is_some_and(|&function| function < line) {
                functions = &functions[1..];
            }
            let kind = if functions.first() == Some(&line) {
                Kind::Method
            } else {
                Kind::Branch
            };
            let (coverage, missed) = branch(arms, &mut self.missed, partials_as_hits);
            self.lines.assign(line, kind, coverage, missed, None);
        }
        self.lines.take()
    }
}

/// [`Record::take_plain`] as work.
struct TakePlain<'a, 'c> {
    record: &'a mut Record<'c>,
    text: &'a [u8],
}

impl Work for TakePlain<'_, '_> {
    type Output = usize;

    #[inline(always)]
    fn run(self) -> usize {
        self.record.take_plain(self.text)
    }
}

/// The coverage of one line's arms. Of arms with the same id the last counts.
#[inline]
fn branch<'a>(
    arms: &[Arm],
    missed: &'a mut Vec<ArmId>,
    partials_as_hits: bool,
) -> (Coverage, Option<&'a [ArmId]>) {
    missed.clear();
    let mut total = arms.len() as u32;
    if arms.windows(2).all(|pair| pair[0].id < pair[1].id) {
        missed.extend(arms.iter().filter(|arm| !arm.taken).map(|arm| arm.id));
    } else {
        let mut arms = arms.to_vec();
        arms.reverse();
        arms.sort_by_key(|arm| arm.id); // stable: the last comes first now
        arms.dedup_by_key(|arm| arm.id);
        total = arms.len() as u32;
        missed.extend(arms.iter().filter(|arm| !arm.taken).map(|arm| arm.id));
    }
    let taken = total - missed.len() as u32;
    match taken {
        _ if missed.is_empty() => (Coverage::Arms { taken, total }, None),
        1.. if partials_as_hits => (Coverage::Hits(1), None),
        _ => (Coverage::Arms { taken, total }, Some(missed)),
    }
}

/// `DA:line,hits` at a place, with nothing odd about it and a line break: (line, hits, end).
#[inline(always)]
fn plain_line(window: &mut Window<'_>, at: usize) -> Option<(u32, u64, usize)> {
    const KEY: usize = b"DA:".len();
    window.skip(KEY);
    let (start, comma, end) = (at + KEY, window.next_other(), window.next_other());
    let is_plain = (window.byte(comma) == b',')
        & (window.byte(end) == b'\n')
        & (window.byte(start) != b'0')
        & (1..8).contains(&comma.wrapping_sub(start))
        & (2..10).contains(&end.wrapping_sub(comma));
    if !is_plain {
        return None;
    }
    let (line, hits) = window.numbers((start, comma), (comma + 1, end));
    Some((line as u32, hits, end + 1))
}

/// `BRDA:line,block,branch,taken` of small numbers at a place, and a line break: (arm, end).
#[inline(always)]
fn plain_arm(window: &mut Window<'_>, at: usize) -> Option<(Arm, usize)> {
    const KEY: usize = b"BRDA:".len();
    window.skip(KEY);
    let start = at + KEY;
    let [a, b, c, mut end] = [(); 4].map(|()| window.next_other());
    let taken = window.byte(c + 1);
    if taken == b'-' {
        end = window.next_other();
    }
    let is_plain = (window.byte(a) == b',')
        & (window.byte(b) == b',')
        & (window.byte(c) == b',')
        & (window.byte(end) == b'\n')
        & (1..8).contains(&a.wrapping_sub(start))
        & (c.wrapping_sub(a) <= 8)
        & ((taken != b'-') | (end == c + 2));
    if !is_plain {
        return None;
    }
    let id = ArmId::from_pair(window.from(a + 1).first_chunk()?, b - a - 1, c - a - 1);
    let is_missed = end == c + 2 && matches!(taken, b'-' | b'0');
    let arm = Arm {
        line: window.number(start, a) as u32,
        taken: !is_missed,
        id,
    };
    Some((arm, end + 1))
}

/// An arm of any form; one whose line is no number has line -1.
fn any_arm(value: &[u8]) -> Option<(i64, bool, ArmId)> {
    let mut parts = value.split(|&byte| byte == b',');
    let (line, block, branch) = (parts.next()?, parts.next()?, parts.next()?);
    let taken = parts.next()?;
    if line.is_empty() {
        return None;
    }
    let id = format!(
        "{}:{}",
        String::from_utf8_lossy(block),
        String::from_utf8_lossy(branch)
    );
    Some((
        integer(line).unwrap_or(-1),
        is_taken(taken),
        ArmId::parse(&id),
    ))
}

fn is_taken(taken: &[u8]) -> bool {
    !matches!(taken, b"-" | b"0")
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
    fn lines_of_any_shape_are_plain_or_left_to_the_slower_reader() {
        let behind = "x".repeat(Window::BYTES);
        let line = |text: &str| {
            let text = format!("{text}\n{behind}");
            plain_line(&mut Window::new(text.as_bytes())?, 0)
        };
        assert_eq!(line("DA:12,345"), Some((12, 345, 10)));
        assert_eq!(line("DA:1234567,1234567"), Some((1_234_567, 1_234_567, 19)));
        for odd in [
            "DA:0,1",
            "DA:1,",
            "DA:1,2,x",
            "DA:1,123456789",
            "DA:1,-1",
            "DA:1,1\r",
        ] {
            assert_eq!(line(odd), None, "{odd}");
        }
        let arm = |text: &str| {
            let text = format!("{text}\n{behind}");
            let (arm, end) = plain_arm(&mut Window::new(text.as_bytes())?, 0)?;
            Some((arm.line, arm.taken, arm.id.to_string(), end))
        };
        assert_eq!(arm("BRDA:7,0,12,-"), Some((7, false, "0:12".into(), 14)));
        assert_eq!(arm("BRDA:7,10,2,0"), Some((7, false, "10:2".into(), 14)));
        assert_eq!(arm("BRDA:7,10,2,00"), Some((7, true, "10:2".into(), 15)));
        for odd in [
            "BRDA:7,e0,1,1",
            "BRDA:7,0,1,1,1",
            "BRDA:7,12345,6789,1",
            "BRDA:7,0,1",
        ] {
            assert_eq!(arm(odd), None, "{odd}");
        }
    }

    #[test]
    fn an_arm_said_many_times_is_not_kept_as_often() {
        let mut record = Record::default();
        for said in 0..5 * MIN_ARMS as u32 {
            let (line, id) = (7 + said % 2, ArmId::pair(0, said % 3));
            let taken = said + 6 < 5 * MIN_ARMS as u32;
            record.push_arm(Arm { line, taken, id });
            assert!(record.arms.len() <= 2 * MIN_ARMS);
        }
        let missed: Vec<_> = record
            .build(false)
            .rows()
            .map(|(line, row)| (line, row.coverage()))
            .collect();
        let none = Coverage::Arms { taken: 0, total: 3 };
        assert_eq!(missed, [(7, none), (8, none)]);
    }

    /// Reads lines one by one, or as many at once as are ordinary.
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
        let mut record = Record {
            path: Some("a.c".into()),
            ignored: context.ignored.get("a.c"),
            ..Record::default()
        };
        let text = lines.join("\n") + "\n";
        let mut rest = text.as_bytes();
        let mut failure = None;
        while !rest.is_empty() && failure.is_none() {
            if takes_plain {
                rest = &rest[record.take_plain(rest)..];
            }
            let end = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            failure = record
                .read(rest[..end].trim_ascii_end(), &mut context)
                .err();
            rest = &rest[end..];
        }
        record.finish(&mut context);
        format!(
            "{:?} {failure:?} {:?}",
            context.found.into_sorted(),
            context.problems
        )
    }

    proptest::proptest! {
        #[test]
        fn lines_read_at_once_say_what_they_say_one_by_one(
            lines in proptest::collection::vec(
                "(DA:[0-9]{0,3},[0-9]{0,9}(,x)?|BRDA:[1-9]{0,3},[0-9e]{1,4},[0-9]{1,4},(-|[0-9]{0,4})|FN:[0-9]{1,8},f|FNDA:1,f|DA:-?[0-9],-?[0-9.]{1,3}e?|LF:[0-9]|[DB].{0,9})",
                0..40,
            ),
        ) {
            proptest::prop_assert_eq!(read(&lines, true), read(&lines, false));
        }
    }
}
