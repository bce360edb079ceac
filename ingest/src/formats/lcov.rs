//! LCOV tracefiles. Source: geninfo(1), "TRACEFILE FORMAT".

use engine::model::{ArmId, Branch, Coverage, FileBuilder, FileCoverage, Kind};
use engine::simd::{self, Field, Level, ROW_END, ROWS, RowForm, Work, widely};
use memchr::{memchr, memmem};

use super::Context;
use super::pieces::{cut, read_pieces};
use crate::error::{Failure, Result};
use crate::fields::Fields;
use crate::number::{count, integer, truncated};
use crate::report_fixes::IgnoredLines;

const END: &[u8] = b"end_of_record";
/// Arms of one record that are kept before repeated ones are dropped, at least.
const MIN_ARMS: usize = 1 << 16;
/// `DA:line,hits`
const LINE: RowForm<2> = RowForm::new(b"DA:", [Field::Positive(7), Field::Number(8)]);
/// `BRDA:line,block,branch,taken`
const ARM: RowForm<4> = RowForm::new(
    b"BRDA:",
    [Field::Positive(7), Field::Any, Field::Any, Field::Any],
);
/// Fields of lines that are read at once.
const FIELDS: usize = 4 * ROWS;
/// Bytes that an ordinary line has at most, and those that are looked at to read it.
const SHORT: usize = 32;
const NEAR: usize = SHORT + 8;

/// Adds the files of a tracefile.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    read_pieces(&cut(content, b"\nend_of_record"), context, parse_piece).map(drop)
}

fn parse_piece(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut record = Record::default();
    let mut fields = Fields::new(content);
    while fields.at() < content.len() {
        if record.path.is_some() {
            let (record, fields) = (&mut record, &mut fields);
            widely(TakePlain { record, fields });
        }
        let at = fields.at();
        let rest = &content[at.min(content.len())..];
        let length = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..length];
        if at > 0 && line.starts_with(END) {
            record.finish(context);
            fields.seek(at + END.len());
            continue;
        }
        fields.seek(at + length + 1);
        if record.read(line, context)? == Next::Record {
            record.clear();
            // The rest of the record says nothing of a known file.
            let from = (at + length).min(content.len());
            let Some(found) = memmem::find(&content[from..], b"\nend_of_record") else {
                break;
            };
            fields.seek(from + 1 + found + END.len());
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
    /// What is made of the arms, if they come in order; and room for more.
    branches: Vec<Branch>,
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

    /// Takes the run of ordinary lines from the current one on.
    #[inline(always)]
    fn take_plain(&mut self, fields: &mut Fields<'_>, level: impl Level) {
        loop {
            fields.look(FIELDS, level);
            let at = fields.at();
            self.take_lines(fields, level);
            if !self.javascript {
                self.take_arms(fields, level);
            }
            self.take_functions(fields);
            if fields.at() == at {
                return;
            }
        }
    }

    // What is done when all rows that are read at once are of the form does not depend on how many there are: so the
    // processor goes on with the next before it knows.

    /// Takes a run of ordinary `DA` lines, as far as the places of their ends are known.
    #[inline(always)]
    fn take_lines(&mut self, fields: &mut Fields<'_>, level: impl Level) {
        loop {
            let ([lines, hits], rows) = fields.rows(&LINE, level);
            let lines = lines.map(|line| line as u32);
            if rows < ROWS {
                self.push_lines(&lines[..rows], &hits[..rows]);
                return fields.pass_rows::<2>(rows);
            }
            self.push_lines(&lines, &hits);
            fields.pass_rows::<2>(ROWS);
        }
    }

    #[inline(always)]
    fn push_lines(&mut self, lines: &[u32], hits: &[u64]) {
        if self.ignored.is_none() {
            return self.lines.plain(lines, hits);
        }
        for (&line, &hits) in lines.iter().zip(hits) {
            self.push_line(line, hits);
        }
    }

    /// Takes a run of ordinary `BRDA` lines, as far as the places of their ends are known.
    #[inline(always)]
    fn take_arms(&mut self, fields: &mut Fields<'_>, level: impl Level) {
        let text = fields.seen();
        loop {
            let ([lines, ..], rows) = fields.rows(&ARM, level);
            let Some(ends) = fields.next_rows::<4>() else {
                return;
            };
            let arms = lines.iter().zip(*ends).take(rows);
            let mut taken = 0;
            for (&line, ends) in arms {
                let Some(arm) = plain_arm(text, line as u32, ends) else {
                    break;
                };
                self.push_arm(arm);
                taken += 1;
            }
            if taken < ROWS {
                return fields.pass_rows::<4>(taken);
            }
            fields.pass_rows::<4>(ROWS);
        }
    }

    /// Takes a run of ordinary `FN` and `FNDA` lines, as far as the places of their ends are known.
    #[inline(always)]
    fn take_functions(&mut self, fields: &mut Fields<'_>) {
        let (text, mut start) = (fields.seen(), fields.start());
        let mut passed = 0;
        while let Some(line) = text.get(start..)
            && let Some(&comma) = fields.ends().get(passed)
        {
            match line {
                [b'F', b'N', b':', ..] if !self.javascript => {
                    let Some((line, name)) = plain_function(line, usize::from(comma) - start)
                    else {
                        break;
                    };
                    self.push_function(line, name);
                }
                [b'F', b'N', b'D', b'A', b':', ..] => {}
                [b'F', b'N', b':', ..] | [b'B', b'R', b'D', b'A', b':', ..] if self.javascript => {}
                _ => break,
            }
            // A name may hold commas.
            let mut ends = fields.ends()[passed..].iter();
            let Some(fields_of_line) = ends.position(|&end| end & ROW_END != 0) else {
                break;
            };
            start = usize::from(fields.ends()[passed + fields_of_line] & !ROW_END) + 1;
            passed += fields_of_line + 1;
        }
        fields.pass(passed, start);
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
        self.functions.sort_unstable();
        match self.group_arms().filter(|_| !partials_as_hits) {
            Some((branches, missed)) => {
                let branches = &self.branches[..branches];
                self.lines.assign_branches(branches, &self.missed[..missed]);
            }
            None => self.assign_arms(partials_as_hits),
        }
        self.lines.take()
    }

    /// Makes branches of the arms if these ascend by line and, on a line, by id; gives how many, and how many arms are
    /// missed.
    fn group_arms(&mut self) -> Option<(usize, usize)> {
        let (mut branches, mut missed) = (0, 0);
        let nothing = ArmId::parse("");
        if self.branches.len() < self.arms.len() {
            self.branches.resize(self.arms.len(), Branch::default());
            self.missed.resize(self.arms.len(), nothing);
        }
        // No branch depends on what a report says, as half of these would be foreseen wrongly.
        let (mut line, mut id, mut is_ordered) = (0, nothing, true);
        let (mut total, mut missed_before) = (0, 0);
        for arm in &self.arms {
            let is_new = arm.line != line;
            is_ordered &= (arm.line > line) | !is_new & (id < arm.id);
            branches += usize::from(is_new);
            total = if is_new { 1 } else { total + 1 };
            missed_before = if is_new { missed } else { missed_before };
            self.missed[missed] = arm.id;
            missed += usize::from(!arm.taken);
            self.branches[branches - 1] = Branch {
                line: arm.line,
                kind: Kind::Branch,
                taken: total - (missed - missed_before) as u32,
                total,
            };
            (line, id) = (arm.line, arm.id);
        }
        let mut functions = Functions(&self.functions);
        for branch in &mut self.branches[..branches] {
            branch.kind = functions.kind_of_branch(branch.line);
        }
        is_ordered.then_some((branches, missed))
    }

    /// Assigns arms in any order.
    #[cold]
    fn assign_arms(&mut self, partials_as_hits: bool) {
        if !self.arms.is_sorted_by_key(|arm| arm.line) {
            self.arms.sort_by_key(|arm| arm.line); // stable: of one arm, the last counts
        }
        let mut functions = Functions(&self.functions);
        let mut missed = Vec::new();
        for arms in self.arms.chunk_by(|a, b| a.line == b.line) {
            let line = arms[0].line;
            let kind = functions.kind_of_branch(line);
            let (coverage, missed) = branch(arms, &mut missed, partials_as_hits);
            self.lines.assign(line, kind, coverage, missed, None);
        }
    }
}

/// The lines on which functions start, ascending.
struct Functions<'a>(&'a [u32]);

impl Functions<'_> {
    /// What a branch on a line is. Lines are asked for in ascending order.
    #[inline]
    fn kind_of_branch(&mut self, line: u32) -> Kind {
        while let [function, rest @ ..] = self.0
            && *function < line
        {
            self.0 = rest;
        }
        match self.0.first() == Some(&line) {
            true => Kind::Method,
            false => Kind::Branch,
        }
    }
}

/// [`Record::take_plain`] as work.
struct TakePlain<'a, 'c, 't> {
    record: &'a mut Record<'c>,
    fields: &'a mut Fields<'t>,
}

impl Work for TakePlain<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Level>(self, level: L) {
        self.record.take_plain(self.fields, level);
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

/// The arm of a line of the form [`ARM`], of which `ends` are the places in the text, with nothing odd about it.
#[inline(always)]
fn plain_arm(text: &[u8], line: u32, ends: [u16; 4]) -> Option<Arm> {
    const NOT_ASCII: u64 = 0x8080_8080_8080_8080;
    let [before, comma, behind, end] = ends.map(|end| usize::from(end & !ROW_END));
    let name_bytes = behind - before - 1;
    let name: &[u8; 8] = text.get(before + 1..)?.first_chunk()?;
    let last = *text.get(end - 1)?;
    let is_single = end == behind + 2;
    let is_plain = last.is_ascii_digit() | (last == b'-') & is_single;
    let odd = u64::from_le_bytes(*name) & NOT_ASCII;
    if !is_plain || name_bytes > 8 || odd & (u64::MAX >> (64 - 8 * name_bytes)) != 0 {
        return None;
    }
    Some(Arm {
        line,
        taken: !(is_single & ((last == b'-') | (last == b'0'))),
        id: ArmId::from_pair(name, comma - before - 1, name_bytes),
    })
}

/// `FN:line,name` or more fields: (line, what the name starts with).
#[inline(always)]
fn plain_function(text: &[u8], comma: usize) -> Option<(u32, &[u8])> {
    const KEY: usize = b"FN:".len();
    let near: &[u8; NEAR] = text.first_chunk()?;
    let line = simd::number(word(near, KEY), comma.wrapping_sub(KEY), 7)?;
    let is_comma = near[comma % SHORT] == b',';
    is_comma.then(|| (line as u32, &text[comma + 1..]))
}

/// The 8 bytes from a place on.
#[inline(always)]
fn word(text: &[u8; NEAR], at: usize) -> u64 {
    let rest = text[at % SHORT..].first_chunk();
    rest.map_or(0, |bytes| u64::from_le_bytes(*bytes))
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

    struct Look<'a, 't>(&'a mut Fields<'t>);

    impl Work for Look<'_, '_> {
        type Output = ([[u64; ROWS]; 4], usize);

        fn run<L: Level>(self, level: L) -> Self::Output {
            self.0.look(FIELDS, level);
            self.0.rows(&ARM, level)
        }
    }

    #[test]
    fn arms_of_any_shape_are_plain_or_left_to_the_slower_reader() {
        let padded = |text: &str| format!("{text}\n{}", "x".repeat(NEAR));
        let arm = |text: &str| {
            let text = padded(text);
            let mut fields = Fields::new(text.as_bytes());
            let ([[line, ..], ..], rows) = widely(Look(&mut fields));
            let ends = fields.next_rows()?.first().filter(|_| rows > 0)?;
            let arm = plain_arm(text.as_bytes(), line as u32, *ends)?;
            Some((arm.line, arm.taken, arm.id.to_string()))
        };
        assert_eq!(arm("BRDA:7,0,12,-"), Some((7, false, "0:12".into())));
        assert_eq!(arm("BRDA:7,10,2,0"), Some((7, false, "10:2".into())));
        assert_eq!(arm("BRDA:7,10,2,00"), Some((7, true, "10:2".into())));
        assert_eq!(arm("BRDA:7,e0,1,1"), Some((7, true, "e0:1".into())));
        for odd in [
            "BRDA:0,0,1,1",
            "BRDA:7,0,1,1,1",
            "BRDA:7,12345,6789,1",
            "BRDA:7,0,1",
            "BRDA:7,0,1,",
            "BRDA:7,0,1,0\r",
            "BRDA:7,é,1,0",
            "BRDA:7x,0,1,0",
        ] {
            assert_eq!(arm(odd), None, "{odd}");
        }
        let function = |text: &str| {
            let text = padded(text);
            let (line, name) = plain_function(text.as_bytes(), text.find([',', '\n'])?)?;
            Some((line, name[0]))
        };
        assert_eq!(function("FN:12,f"), Some((12, b'f')));
        assert_eq!(function("FN:12,40,f"), Some((12, b'4')));
        for odd in ["FN:12", "FN:,f", "FN:-1,f", "FN:12345678,f"] {
            assert_eq!(function(odd), None, "{odd}");
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
    fn read(lines: &[String], is_javascript: bool, takes_plain: bool) -> String {
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
            javascript: is_javascript,
            ignored: context.ignored.get("a.c"),
            ..Record::default()
        };
        let text = lines.join("\n") + "\n";
        let mut fields = Fields::new(text.as_bytes());
        let mut failure = None;
        while fields.at() < text.len() && failure.is_none() {
            if takes_plain {
                let (record, fields) = (&mut record, &mut fields);
                widely(TakePlain { record, fields });
            }
            let rest = &text.as_bytes()[fields.at()..];
            let end = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            failure = record
                .read(rest[..end].trim_ascii_end(), &mut context)
                .err();
            fields.seek(fields.at() + end);
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
                "(DA:[0-9]{0,3},[0-9]{0,9}(,x)?|BRDA:[1-9]{0,3},[0-9e]{1,4},[0-9]{1,4},(-|[0-9]{0,4})|FN:[0-9]{1,8},f(,g)?|FNDA:1,f(,g)?|BRDA:[1-9],0,[0-9],[01]|DA:-?[0-9],-?[0-9.]{1,3}e?|LF:[0-9]|[DB].{0,9})",
                0..400,
            ),
            is_javascript: bool,
        ) {
            let read = |takes_plain| read(&lines, is_javascript, takes_plain);
            proptest::prop_assert_eq!(read(true), read(false));
        }
    }
}
