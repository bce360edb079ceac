//! LCOV tracefiles. Source: geninfo(1), "TRACEFILE FORMAT".

use engine::model::{ArmId, Coverage, FileBuilder, Kind};
use memchr::{memchr, memmem};

use super::Context;
use super::number::{count, digits, integer, truncated};
use crate::error::{Failure, Result};

const END: &[u8] = b"end_of_record";

/// Adds the files of a tracefile.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut record = Record::default();
    let mut at = 0;
    while at < content.len() {
        if record.path.is_some() {
            at += record.take_plain_lines(&content[at..]);
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
struct Record {
    /// The path in the repository; `None` before `SF` or when there is none.
    path: Option<String>,
    javascript: bool,
    cpp: bool,
    typescript: bool,
    plain: Vec<(u32, u64)>,
    arms: Vec<Arm>,
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

impl Record {
    fn clear(&mut self) {
        self.path = None;
        self.clear_lines();
    }

    fn clear_lines(&mut self) {
        self.plain.clear();
        self.arms.clear();
        self.functions.clear();
        self.mangled.clear();
    }

    /// Takes the run of ordinary `DA:line,hits` at the start; gives how many bytes it took.
    #[inline]
    fn take_plain_lines(&mut self, text: &[u8]) -> usize {
        let mut at = 0;
        while let Some((line, hits, length)) = plain_line(&text[at..]) {
            self.plain.push((line, hits));
            at += length;
        }
        at
    }

    fn read(&mut self, line: &[u8], context: &mut Context<'_>) -> Result<Next> {
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
            b"BRDA" if !self.javascript => self.arm(value)?,
            _ => {}
        }
        Ok(Next::Line)
    }

    fn start(&mut self, value: &[u8], context: &mut Context<'_>) -> Result<()> {
        self.clear_lines();
        self.javascript = value.ends_with(b".js");
        self.cpp = value.ends_with(b".cpp");
        self.path = context
            .paths
            .fix(&String::from_utf8_lossy(value))?
            .filter(|path| !path.is_empty());
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
        self.plain.push((line, hits));
        Ok(())
    }

    fn function(&mut self, value: &[u8]) {
        let Some(comma) = memchr(b',', value) else {
            return;
        };
        let (line, name) = (integer(&value[..comma]), &value[comma + 1..]);
        let Some(line) = line.and_then(|line| u32::try_from(line).ok()) else {
            return;
        };
        if self.cpp && (name.starts_with(b"_Z") || name.starts_with(b"_G")) {
            self.mangled.push(line);
        } else {
            self.functions.push(line);
        }
    }

    fn arm(&mut self, value: &[u8]) -> Result<()> {
        let Some((line, taken, id)) = plain_arm(value).or_else(|| any_arm(value)) else {
            return Ok(());
        };
        if line == 0 || (line == 1 && self.typescript) {
            return Ok(());
        }
        let Some(line) = u32::try_from(line)
            .ok()
            .filter(|&line| line <= super::MAX_LINE)
        else {
            let path = self.path.as_deref().unwrap_or_default();
            return Err(Failure::fails(format!(
                "lcov: BRDA:{line} of {path} is no line"
            )));
        };
        self.arms.push(Arm { line, taken, id });
        Ok(())
    }

    /// Adds the file to what was found, and makes ready for the next.
    fn finish(&mut self, context: &mut Context<'_>) {
        if let Some(path) = self.path.take() {
            let mut file = FileBuilder::new();
            self.build(&path, &mut file, context);
            context.found.add(path, file.finish());
        }
        self.clear_lines();
    }

    fn build(&mut self, path: &str, file: &mut FileBuilder, context: &Context<'_>) {
        let ignored = context.ignored.get(path);
        if ignored.is_some() || !self.plain.is_sorted_by_key(|row| row.0) {
            self.plain.sort_by_key(|row| row.0);
            self.plain
                .retain(|row| !ignored.is_some_and(|lines| lines.contains(row.0)));
            self.arms
                .retain(|arm| !ignored.is_some_and(|lines| lines.contains(arm.line)));
        }
        if !self.mangled.is_empty() {
            self.mangled.sort_unstable();
            self.arms
                .retain(|arm| self.mangled.binary_search(&arm.line).is_err());
        }
        self.functions.sort_unstable();
        if !self.arms.is_sorted_by_key(|arm| arm.line) {
            self.arms.sort_by_key(|arm| arm.line); // stable: of one arm, the last counts
        }
        let mut plain = self.plain.iter().copied();
        let mut next = plain.next();
        for arms in self.arms.chunk_by(|a, b| a.line == b.line) {
            let line = arms[0].line;
            while let Some((before, hits)) = next.filter(|row| row.0 <= line) {
                if before < line {
                    file.hits(before, hits);
                }
                next = plain.next();
            }
            let method = self.functions.binary_search(&line).is_ok();
            let kind = if method { Kind::Method } else { Kind::Branch };
            let (coverage, missed) = branch(
                arms,
                &mut self.missed,
                context.parsers.lcov_partials_as_hits,
            );
            file.append(line, kind, coverage, missed, None);
        }
        for (line, hits) in next.into_iter().chain(plain) {
            file.hits(line, hits);
        }
    }
}

/// The coverage of one line's arms. Of arms with the same id the last counts.
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

/// `DA:line,hits` with nothing odd about it, its line break included: (line, hits, bytes).
#[inline]
fn plain_line(text: &[u8]) -> Option<(u32, u64, usize)> {
    let rest = text.strip_prefix(b"DA:")?;
    if rest.first() == Some(&b'0') {
        return None;
    }
    let (line, a) = digits(rest);
    if a == 0 || a > 7 || rest.get(a) != Some(&b',') {
        return None;
    }
    let hits_text = &rest[a + 1..];
    let (hits, b) = digits(hits_text);
    if b == 0 || b > 18 || hits_text.get(b) != Some(&b'\n') || line > u64::from(super::MAX_LINE) {
        return None;
    }
    Some((line as u32, hits, a + b + 5))
}

/// `line,block,branch,taken` of small numbers.
#[inline]
fn plain_arm(value: &[u8]) -> Option<(i64, bool, ArmId)> {
    let (line, a) = digits(value);
    if a == 0 || a > 9 {
        return None;
    }
    match value.get(a..)? {
        [
            b',',
            block @ b'0'..=b'9',
            b',',
            branch @ b'0'..=b'9',
            b',',
            taken @ ..,
        ] => {
            let id = ArmId::pair(u32::from(block - b'0'), u32::from(branch - b'0'));
            Some((line as i64, is_taken(taken), id))
        }
        _ => None,
    }
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
