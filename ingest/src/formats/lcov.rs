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
    [Field::Positive(7), Field::Any, Field::Tail, Field::Tail],
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
    arms: Arms,
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
    id: ArmId,
    is_missed: bool,
}

/// Arms in columns, which are as long as each other.
#[derive(Default)]
struct Arms {
    lines: Vec<u32>,
    ids: Vec<ArmId>,
    are_missed: Vec<bool>,
}

impl Arms {
    fn len(&self) -> usize {
        self.lines.len()
    }

    fn clear(&mut self) {
        self.lines.clear();
        self.ids.clear();
        self.are_missed.clear();
    }

    #[inline(always)]
    fn push(&mut self, arm: Arm) {
        self.lines.push(arm.line);
        self.ids.push(arm.id);
        self.are_missed.push(arm.is_missed);
    }

    #[inline(always)]
    fn push_rows(&mut self, arms: &ArmRows, rows: usize) {
        // All are written at once, always, and those too many taken back.
        let rows = self.len() + rows;
        self.lines.extend_from_slice(&arms.lines);
        self.ids.extend_from_slice(&arms.ids);
        self.are_missed.extend_from_slice(&arms.are_missed);
        self.lines.truncate(rows);
        self.ids.truncate(rows);
        self.are_missed.truncate(rows);
    }

    fn iter(&self) -> impl Iterator<Item = Arm> {
        let columns = self.lines.iter().zip(&self.ids).zip(&self.are_missed);
        columns.map(|((&line, &id), &is_missed)| Arm {
            line,
            id,
            is_missed,
        })
    }

    /// Puts others in their place.
    fn replace(&mut self, arms: &[Arm]) {
        self.clear();
        arms.iter().for_each(|&arm| self.push(arm));
    }
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
            match fields.seen().get(fields.start()..) {
                Some([b'D', ..]) => self.take_lines(fields, level),
                Some([b'B', b'R', b'D', ..]) if !self.javascript => self.take_arms(fields, level),
                _ => self.take_others(fields),
            }
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
            if rows < ROWS {
                self.push_lines(&lines, &hits, rows, level);
                return fields.pass_rows::<2>(rows);
            }
            self.push_lines(&lines, &hits, ROWS, level);
            fields.pass_rows::<2>(ROWS);
        }
    }

    #[inline(always)]
    fn push_lines(
        &mut self,
        lines: &[u64; ROWS],
        hits: &[u64; ROWS],
        rows: usize,
        level: impl Level,
    ) {
        if self.ignored.is_none() {
            return self.lines.plain_rows(lines, hits, rows, level);
        }
        for (&line, &hits) in lines.iter().zip(hits).take(rows) {
            self.push_line(line as u32, hits);
        }
    }

    /// Takes a run of ordinary `BRDA` lines, as far as the places of their ends are known.
    #[inline(always)]
    fn take_arms(&mut self, fields: &mut Fields<'_>, level: impl Level) {
        loop {
            let (columns, rows) = fields.rows(&ARM, level);
            let Some(ends) = fields.next_rows() else {
                return;
            };
            let (arms, plain) = ArmRows::of(&columns, ends);
            let rows = rows.min(plain);
            if rows < ROWS {
                self.push_arms(&arms, rows);
                return fields.pass_rows::<4>(rows);
            }
            self.push_arms(&arms, ROWS);
            fields.pass_rows::<4>(ROWS);
        }
    }

    #[inline(always)]
    fn push_arms(&mut self, arms: &ArmRows, rows: usize) {
        let is_first = |row: usize| (row < rows) & (arms.lines[row] <= 1);
        let any_first = (0..ROWS).fold(false, |any, row| any | is_first(row));
        if any_first || self.ignored.is_some() {
            return (0..rows).for_each(|row| self.push_arm(arms.get(row)));
        }
        self.arms.push_rows(arms, rows);
        self.limit_arms();
    }

    /// Takes a run of ordinary `FN` lines and of such as say nothing, as far as the places of their ends are known.
    #[inline(always)]
    fn take_others(&mut self, fields: &mut Fields<'_>) {
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
                [b'F', b'N', b'D', b'A', b':', ..]
                | [b'F', b'N', b'F' | b'H', b':', ..]
                | [b'B', b'R', b'F' | b'H', b':', ..]
                | [b'L', b'F' | b'H', b':', ..] => {}
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
            self.push_arm(Arm {
                line,
                id,
                is_missed: !taken,
            });
        }
        Ok(())
    }

    #[inline(always)]
    fn push_arm(&mut self, arm: Arm) {
        let counts = arm.line > 1 || (arm.line == 1 && !self.typescript);
        if counts && !self.is_ignored(arm.line) {
            self.arms.push(arm);
            self.limit_arms();
        }
    }

    /// Drops repeated arms when there are many.
    #[inline(always)]
    fn limit_arms(&mut self) {
        if self.arms.len() > 2 * self.distinct_arms.max(MIN_ARMS) {
            self.drop_repeated_arms();
        }
    }

    /// Keeps the last of each arm.
    #[cold]
    fn drop_repeated_arms(&mut self) {
        let mut arms: Vec<Arm> = self.arms.iter().collect();
        arms.reverse();
        arms.sort_by_key(|arm| (arm.line, arm.id)); // stable: the last comes first now
        arms.dedup_by_key(|arm| (arm.line, arm.id));
        self.distinct_arms = arms.len();
        self.arms.replace(&arms);
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
            let is_mangled = |arm: &Arm| self.mangled.binary_search(&arm.line).is_ok();
            let arms: Vec<Arm> = self.arms.iter().filter(|arm| !is_mangled(arm)).collect();
            self.arms.replace(&arms);
        }
        self.functions.sort_unstable();
        let functions = self.functions.len();
        let padded = (functions + 1).next_multiple_of(Functions::MANY);
        self.functions.resize(padded, u32::MAX);
        match simd::widely(GroupArms(self)).filter(|_| !partials_as_hits) {
            Some((branches, missed)) => {
                let branches = &self.branches[..branches];
                self.lines.assign_branches(branches, &self.missed[..missed]);
            }
            None => self.assign_arms(partials_as_hits),
        }
        self.lines.take()
    }

    /// Assigns arms in any order.
    #[cold]
    fn assign_arms(&mut self, partials_as_hits: bool) {
        let mut arms: Vec<Arm> = self.arms.iter().collect();
        arms.sort_by_key(|arm| arm.line); // stable: of one arm, the last counts
        let mut functions = Functions::new(&self.functions);
        let mut missed = Vec::new();
        for arms in arms.chunk_by(|a, b| a.line == b.line) {
            let line = arms[0].line;
            let kind = functions.kind_of_branch(line);
            let (coverage, missed) = branch(arms, &mut missed, partials_as_hits);
            self.lines.assign(line, kind, coverage, missed, None);
        }
    }
}

/// Makes branches of the arms if these ascend by line and, on a line, by id; gives how many, and how many arms are missed.
struct GroupArms<'a, 'c>(&'a mut Record<'c>);

impl Work for GroupArms<'_, '_> {
    type Output = Option<(usize, usize)>;

    #[inline(always)]
    fn run<L: Level>(self, _: L) -> Self::Output {
        let Record {
            arms,
            functions,
            branches,
            missed,
            ..
        } = self.0;
        let nothing = ArmId::parse("");
        if branches.len() < arms.len() {
            branches.resize(arms.len(), Branch::default());
            missed.resize(arms.len(), nothing);
        }
        let (branches, missed) = (&mut branches[..arms.len()], &mut missed[..arms.len()]);
        // No branch depends on what a report says, as half of these would be foreseen wrongly.
        let (mut line, mut id, mut is_ordered) = (0, nothing, true);
        let (mut total, mut branch_count) = (0, 0);
        let (mut missed_before, mut missed_count) = (0, 0);
        for arm in arms.iter() {
            let is_new = arm.line != line;
            is_ordered &= (arm.line > line) | !is_new & (id < arm.id);
            branch_count += usize::from(is_new);
            total = if is_new { 1 } else { total + 1 };
            missed_before = if is_new { missed_count } else { missed_before };
            missed[missed_count] = arm.id;
            missed_count += usize::from(arm.is_missed);
            branches[branch_count - 1] = Branch {
                line: arm.line,
                kind: Kind::Branch,
                taken: total - (missed_count - missed_before) as u32,
                total,
            };
            (line, id) = (arm.line, arm.id);
        }
        let mut functions = Functions::new(functions);
        for branch in &mut branches[..branch_count] {
            branch.kind = functions.kind_of_branch(branch.line);
        }
        is_ordered.then_some((branch_count, missed_count))
    }
}

/// The lines on which functions start, ascending.
struct Functions<'a>(&'a [[u32; Functions::MANY]]);

impl<'a> Functions<'a> {
    /// Lines that are compared at once.
    const MANY: usize = 16;

    /// So many times as many lines, with at least one at the end that is behind every other.
    fn new(lines: &'a [u32]) -> Functions<'a> {
        Functions(lines.as_chunks().0)
    }

    /// What a branch on a line is. Lines are asked for in ascending order.
    #[inline(always)]
    fn kind_of_branch(&mut self, line: u32) -> Kind {
        while let [functions, rest @ ..] = self.0 {
            if functions[Self::MANY - 1] >= line {
                let is_method = functions.iter().fold(false, |is, &one| is | (one == line));
                return if is_method {
                    Kind::Method
                } else {
                    Kind::Branch
                };
            }
            self.0 = rest;
        }
        Kind::Branch
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
        missed.extend(arms.iter().filter(|arm| arm.is_missed).map(|arm| arm.id));
    } else {
        let mut arms = arms.to_vec();
        arms.reverse();
        arms.sort_by_key(|arm| arm.id); // stable: the last comes first now
        arms.dedup_by_key(|arm| arm.id);
        total = arms.len() as u32;
        missed.extend(arms.iter().filter(|arm| arm.is_missed).map(|arm| arm.id));
    }
    let taken = total - missed.len() as u32;
    match taken {
        _ if missed.is_empty() => (Coverage::Arms { taken, total }, None),
        1.. if partials_as_hits => (Coverage::Hits(1), None),
        _ => (Coverage::Arms { taken, total }, Some(missed)),
    }
}

/// The arms of rows of the form [`ARM`], in columns.
struct ArmRows {
    lines: [u32; ROWS],
    ids: [ArmId; ROWS],
    are_missed: [bool; ROWS],
}

impl ArmRows {
    /// The arms of these columns, whose fields end at these places; and how many of the first have nothing odd about them.
    #[inline(always)]
    fn of(columns: &[[u64; ROWS]; 4], ends: &[[u16; 4]; ROWS]) -> (ArmRows, usize) {
        const NOT_ASCII: u64 = 0x8080_8080_8080_8080;
        let [lines, _, names, takens] = columns;
        let (mut short, mut lengths, mut odd) = ([0; ROWS], [0; ROWS], [0; ROWS]);
        let mut are_missed = [false; ROWS];
        for row in 0..ROWS {
            let [before, comma, behind, _] = ends[row].map(|end| u64::from(end & !ROW_END));
            // Rows of another form have any places, and what comes of these is not read.
            let length = behind.wrapping_sub(before).wrapping_sub(1);
            let colon = comma.wrapping_sub(before).wrapping_sub(1);
            let name = names[row] >> (8_u64.wrapping_sub(length) % 8 * 8);
            let (last, single) = (takens[row] >> 56, takens[row] >> 48 & 0xff);
            let is_single = single == u64::from(b',');
            let is_digit = last.wrapping_sub(b'0'.into()) < 10;
            let is_bare = is_single & (last == u64::from(b'-'));
            let is_plain = (length.wrapping_sub(1) < 8) & (is_digit | is_bare);
            odd[row] = name & NOT_ASCII | u64::from(!is_plain);
            short[row] = name ^ u64::from(b',' ^ b':') << (colon % 8 * 8);
            lengths[row] = length;
            are_missed[row] = is_bare | is_single & (last == u64::from(b'0'));
        }
        let arms = ArmRows {
            lines: lines.map(|line| line as u32),
            ids: std::array::from_fn(|row| ArmId::short(short[row], lengths[row])),
            are_missed,
        };
        let all_plain = odd.iter().fold(0, |all, odd| all | odd) == 0;
        let first_odd = || odd.iter().position(|&odd| odd != 0).unwrap_or(ROWS);
        (arms, if all_plain { ROWS } else { first_odd() })
    }

    fn get(&self, row: usize) -> Arm {
        Arm {
            line: self.lines[row],
            id: self.ids[row],
            is_missed: self.are_missed[row],
        }
    }
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
            let (columns, rows) = widely(Look(&mut fields));
            let (arms, plain) = ArmRows::of(&columns, fields.next_rows()?);
            let arm = (rows.min(plain) > 0).then(|| arms.get(0))?;
            Some((arm.line, !arm.is_missed, arm.id.to_string()))
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
            let is_missed = said + 6 >= 5 * MIN_ARMS as u32;
            record.push_arm(Arm {
                line,
                id,
                is_missed,
            });
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
                "(DA:[0-9]{0,3},[0-9]{0,9}(,x)?|BRDA:[1-9]{0,3},[0-9e]{1,4},[0-9]{1,4},(-|[0-9]{0,4})|FN:[0-9]{1,8},f(,g)?|FNDA:1,f(,g)?|BRDA:[1-9],0,[0-9],[01]|DA:-?[0-9],-?[0-9.]{1,3}e?|(LF|LH|FNF|FNH|BRF|BRH):[0-9]{0,3}|[DB].{0,9})",
                0..400,
            ),
            is_javascript: bool,
        ) {
            let read = |takes_plain| read(&lines, is_javascript, takes_plain);
            proptest::prop_assert_eq!(read(true), read(false));
        }
    }
}
