//! The evidence of one file as flatbuffer columns.

use std::cell::RefCell;

use flatbuffers::FlatBufferBuilder;

use crate::model::file::{ARMS, COMPLEXITY, PLAIN};
use crate::model::{ArmId, ArmRow, Arms, Complexity, Coverage, FileCoverage, Part};
use crate::schema::pack as fb;
use crate::{Error, Result};

/// Largest chunk: 500 million rows of the plainest kind.
pub(super) const CHUNK_MAX_BYTES: usize = 1 << 30;

/// Stands for hits that take more than a byte.
const MANY: u8 = u8::MAX;
/// The longest builder that a thread keeps, in bytes of its last chunk.
const KEPT_BYTES: usize = 1 << 20;

const MISSED_KNOWN: u8 = 1;
const MIXED: u8 = 1 << 1;
const UNNAMED: u8 = 1 << 2;
const MISSED_SHIFT: u32 = 3;
const ARM_ID_BYTES: usize = 16;

const PART_NULL: u8 = 0;
const PART_IGNORED: u8 = 1;
const PART_PARTIAL: u8 = 2;
const PART_HITS: u8 = 3;
const PART_ARMS: u8 = 4;

thread_local! {
    static BUILDER: RefCell<FlatBufferBuilder<'static>> = RefCell::default();
}

/// The chunk of a file. Deterministic.
pub fn encode_chunk(file: &FileCoverage) -> Result<Vec<u8>> {
    let mut fbb = BUILDER.take();
    fbb.reset();
    let gaps = fbb.create_vector(&encode_gaps(file.lines.iter().copied()));
    let mut args = fb::ChunkArgs {
        gaps: Some(gaps),
        ..fb::ChunkArgs::default()
    };
    encode_hits(&mut fbb, &mut args, &file.hits);
    encode_marks(&mut fbb, &mut args, &file.marks);
    if !file.arms.is_empty() {
        encode_arms(&mut fbb, &mut args, file);
    }
    if !file.complexity.is_empty() {
        let covered: Vec<u32> = file.complexity.iter().map(|c| c.covered).collect();
        let total: Vec<u64> = file
            .complexity
            .iter()
            .map(|c| c.total.map_or(0, |n| u64::from(n) + 1))
            .collect();
        args.complexity = Some(fbb.create_vector(&covered));
        args.complexity_total = Some(fbb.create_vector(&total));
    }
    if !file.parts.is_empty() {
        encode_parts(&mut fbb, &mut args, &file.parts);
    }
    let root = fb::Chunk::create(&mut fbb, &args);
    fbb.finish_minimal(root);
    let chunk = fbb.finished_data().to_vec();
    if chunk.len() > CHUNK_MAX_BYTES {
        let why = format_args!("its evidence has {} bytes", chunk.len());
        return Err(Error::invalid("file", why));
    }
    if chunk.len() <= KEPT_BYTES {
        BUILDER.set(fbb);
    }
    Ok(chunk)
}

fn encode_gaps(lines: impl ExactSizeIterator<Item = u32>) -> Vec<u8> {
    let mut gaps = Vec::with_capacity(lines.len());
    let mut last = 0;
    for line in lines {
        let gap = line - last;
        last = line;
        match u8::try_from(gap) {
            Ok(gap) => gaps.push(gap),
            Err(_) => {
                gaps.push(0);
                gaps.extend_from_slice(&gap.to_le_bytes());
            }
        }
    }
    gaps
}

fn encode_hits<'a>(fbb: &mut FlatBufferBuilder<'a>, args: &mut fb::ChunkArgs<'a>, hits: &[u64]) {
    if hits.iter().any(|&hits| hits > u64::from(u32::MAX)) {
        args.hits64 = Some(fbb.create_vector(hits));
        return;
    }
    let few: Vec<u8> = hits.iter().map(|&n| n.min(MANY.into()) as u8).collect();
    args.few_hits = Some(fbb.create_vector(&few));
    if few.contains(&MANY) {
        let many = hits.iter().filter(|&&n| n >= MANY.into());
        let many: Vec<u32> = many.map(|&n| n as u32).collect();
        args.many_hits = Some(fbb.create_vector(&many));
    }
}

fn encode_marks<'a>(fbb: &mut FlatBufferBuilder<'a>, args: &mut fb::ChunkArgs<'a>, marks: &[u8]) {
    let is_odd = |&marks: &u8| marks != PLAIN;
    let odd_marks: Vec<u8> = marks.iter().copied().filter(is_odd).collect();
    if odd_marks.len() > marks.len() / 2 {
        args.marks = Some(fbb.create_vector(marks));
    } else if !odd_marks.is_empty() {
        let rows = (1..).zip(marks).filter(|(_, marks)| is_odd(marks));
        let rows: Vec<u32> = rows.map(|(row, _)| row).collect();
        args.odd_rows = Some(fbb.create_vector(&encode_gaps(rows.into_iter())));
        args.odd_marks = Some(fbb.create_vector(&odd_marks));
    }
}

fn encode_arms<'a>(
    fbb: &mut FlatBufferBuilder<'a>,
    args: &mut fb::ChunkArgs<'a>,
    file: &FileCoverage,
) {
    let bits = |arms: &ArmRow| {
        (u8::from(arms.missed.is_some()) * MISSED_KNOWN)
            | (u8::from(arms.mixed) * MIXED)
            | (u8::from(joined_unnamed(arms).is_some()) * UNNAMED)
    };
    if file.arms.iter().all(|arms| arms.taken.max(arms.total) < 16) {
        let few = file
            .arms
            .iter()
            .map(|arms| (arms.taken | arms.total << 4) as u8);
        args.few_arms = Some(fbb.create_vector(&few.collect::<Vec<_>>()));
    } else {
        let taken: Vec<u32> = file.arms.iter().map(|arms| arms.taken).collect();
        let total: Vec<u32> = file.arms.iter().map(|arms| arms.total).collect();
        args.taken = Some(fbb.create_vector(&taken));
        args.total = Some(fbb.create_vector(&total));
    }
    let missed = |arms: &ArmRow| arms.missed.unwrap_or(0);
    if file.arms.iter().all(|arms| missed(arms) < 32) {
        let few = file
            .arms
            .iter()
            .map(|arms| bits(arms) | (missed(arms) as u8) << MISSED_SHIFT);
        args.few_missed = Some(fbb.create_vector(&few.collect::<Vec<_>>()));
    } else {
        let bits: Vec<u8> = file.arms.iter().map(bits).collect();
        let counts: Vec<u32> = file.arms.iter().filter_map(|arms| arms.missed).collect();
        args.arm_bits = Some(fbb.create_vector(&bits));
        args.missed_counts = Some(fbb.create_vector(&counts));
    }
    let full: Vec<u32> = file.arms.iter().filter_map(joined_unnamed).collect();
    if !full.is_empty() {
        args.full = Some(fbb.create_vector(&full));
    }
    if !file.missed.is_empty() {
        let pairs: Option<Vec<u8>> = file.missed.iter().map(|id| id.to_pair()).collect();
        match pairs {
            Some(pairs) => args.missed_pairs = Some(fbb.create_vector(&pairs)),
            None => {
                let ids: Vec<u8> = file.missed.iter().flat_map(|id| id.to_bytes()).collect();
                args.missed = Some(fbb.create_vector(&ids));
            }
        }
    }
}

/// What cannot be told from the other columns: that of one session follows from them.
fn joined_unnamed(arms: &ArmRow) -> Option<u32> {
    arms.unnamed.filter(|_| arms.mixed)
}

fn encode_parts<'a>(fbb: &mut FlatBufferBuilder<'a>, args: &mut fb::ChunkArgs<'a>, parts: &[Part]) {
    let before = std::iter::once(0).chain(parts.iter().map(|part| part.line));
    let steps: Vec<u32> = parts
        .iter()
        .zip(before)
        .map(|(part, before)| part.line - before)
        .collect();
    let starts: Vec<u32> = parts.iter().map(|part| part.start).collect();
    let ends: Vec<u64> = parts
        .iter()
        .map(|part| part.end.map_or(0, |end| u64::from(end) + 1))
        .collect();
    let (kinds, values): (Vec<u8>, Vec<u64>) = parts
        .iter()
        .map(|part| match part.coverage {
            Coverage::Null => (PART_NULL, 0),
            Coverage::Ignored => (PART_IGNORED, 0),
            Coverage::Partial => (PART_PARTIAL, 0),
            Coverage::Hits(hits) => (PART_HITS, hits),
            Coverage::Arms { taken, total } => {
                (PART_ARMS, u64::from(taken) | u64::from(total) << 32)
            }
        })
        .unzip();
    args.part_steps = Some(fbb.create_vector(&steps));
    args.part_starts = Some(fbb.create_vector(&starts));
    args.part_ends = Some(fbb.create_vector(&ends));
    args.part_kinds = Some(fbb.create_vector(&kinds));
    args.part_values = Some(fbb.create_vector(&values));
}

/// Reads what [`encode_chunk`] wrote, verified: any bytes give a file or an error.
/// Errors: `Corrupt`. Linear.
pub fn decode_chunk(chunk: &[u8]) -> Result<FileCoverage> {
    let mut file = FileCoverage::default();
    decode_chunk_into(chunk, &mut file)?;
    Ok(file)
}

/// The same in place of what `file` has; its memory is used again. After an error it holds nothing of use.
pub(crate) fn decode_chunk_into(chunk: &[u8], file: &mut FileCoverage) -> Result<()> {
    let chunk = flatbuffers::root::<fb::Chunk<'_>>(chunk).map_err(corrupt)?;
    file.clear();
    decode_gaps(chunk.gaps().bytes(), &mut file.lines)?;
    decode_hits(&chunk, &mut file.hits)?;
    decode_marks(&chunk, file)?;
    decode_arms(&chunk, &mut file.arms)?;
    decode_ids(&chunk, &mut file.missed);
    decode_complexity(&chunk, &mut file.complexity);
    decode_parts(&chunk, &mut file.parts)?;
    check_columns(file)
}

fn decode_gaps(mut gaps: &[u8], lines: &mut Vec<u32>) -> Result<()> {
    lines.reserve(gaps.len());
    let mut line = 0u32;
    while !gaps.is_empty() {
        if let Some(eight) = gaps.first_chunk::<8>()
            && !eight.contains(&0)
            && line < u32::MAX - 8 * u32::from(u8::MAX)
        {
            lines.extend(eight.map(|gap| {
                line += u32::from(gap);
                line
            }));
            gaps = &gaps[8..];
            continue;
        }
        line = next_after(line, &mut gaps)?;
        lines.push(line);
    }
    Ok(())
}

/// The number that a gap leads to, which is taken.
#[inline]
fn next_after(number: u32, gaps: &mut &[u8]) -> Result<u32> {
    let (&gap, rest) = gaps.split_first().ok_or_else(|| corrupt("a cut-off gap"))?;
    *gaps = rest;
    let mut step = u32::from(gap);
    if gap == 0 {
        let (wide, rest) = gaps
            .split_first_chunk()
            .ok_or_else(|| corrupt("a cut-off gap"))?;
        step = u32::from_le_bytes(*wide);
        *gaps = rest;
    }
    number
        .checked_add(step)
        .filter(|_| step > 0)
        .ok_or_else(|| corrupt("numbers do not ascend"))
}

fn decode_hits(chunk: &fb::Chunk<'_>, to: &mut Vec<u64>) -> Result<()> {
    if let Some(few) = chunk.few_hits() {
        to.extend(few.bytes().iter().map(|&n| u64::from(n)));
        if let Some(many) = chunk.many_hits() {
            let (many, _) = many.bytes().as_chunks();
            let mut many = many.iter().map(|&n| u32::from_le_bytes(n));
            for hits in to.iter_mut().filter(|hits| **hits == u64::from(MANY)) {
                *hits = many
                    .next()
                    .ok_or_else(|| corrupt("a missing count"))?
                    .into();
            }
        }
    } else if let Some(hits) = chunk.hits8() {
        to.extend(hits.bytes().iter().map(|&n| u64::from(n)));
    } else if let Some(hits) = chunk.hits16() {
        to.extend(hits.iter().map(u64::from));
    } else if let Some(hits) = chunk.hits32() {
        to.extend(hits.iter().map(u64::from));
    } else if let Some(hits) = chunk.hits64() {
        to.extend(hits);
    }
    Ok(())
}

fn decode_marks(chunk: &fb::Chunk<'_>, file: &mut FileCoverage) -> Result<()> {
    if let Some(marks) = chunk.marks() {
        file.marks.extend_from_slice(marks.bytes());
        return Ok(());
    }
    file.marks.resize(file.lines.len(), PLAIN);
    let (Some(rows), Some(odd)) = (chunk.odd_rows(), chunk.odd_marks()) else {
        return Ok(());
    };
    let (mut rows, mut at) = (rows.bytes(), 0);
    for &marks in odd.bytes() {
        at = next_after(at, &mut rows)?;
        let row = file.marks.get_mut(at as usize - 1);
        *row.ok_or_else(|| corrupt("marks of no row"))? = marks;
    }
    Ok(())
}

fn decode_arms(chunk: &fb::Chunk<'_>, rows: &mut Vec<ArmRow>) -> Result<()> {
    decode_arm_counts(chunk, rows)?;
    let few = chunk.few_missed().map(|few| few.bytes());
    let bits = few.or(chunk.arm_bits().map(|bits| bits.bytes()));
    let bits = bits.unwrap_or_default();
    if bits.len() != rows.len() {
        return Err(corrupt("arm columns differ in length"));
    }
    let mut counts = chunk.missed_counts().into_iter().flatten();
    let mut full = chunk.full().into_iter().flatten();
    for (row, &bits) in rows.iter_mut().zip(bits) {
        row.missed = match (bits & MISSED_KNOWN, few) {
            (0, _) => None,
            (_, Some(_)) => Some(u32::from(bits >> MISSED_SHIFT)),
            (_, None) => Some(counts.next().ok_or_else(|| corrupt("a missing count"))?),
        };
        row.mixed = bits & MIXED != 0;
        row.unnamed = match (bits & UNNAMED, row.mixed) {
            (0, false) => Arms::unnamed(row.taken, row.total, row.missed.map(|n| n as usize)),
            (0, true) => None,
            _ => Some(full.next().ok_or_else(|| corrupt("a missing count"))?),
        };
    }
    Ok(())
}

fn decode_arm_counts(chunk: &fb::Chunk<'_>, rows: &mut Vec<ArmRow>) -> Result<()> {
    let row = |taken, total| ArmRow {
        taken,
        total,
        missed: None,
        mixed: false,
        unnamed: None,
    };
    if let Some(few) = chunk.few_arms() {
        let few = few.bytes().iter();
        rows.extend(few.map(|&arms| row(u32::from(arms & 15), u32::from(arms >> 4))));
    } else if let Some(taken) = chunk.taken() {
        let total = chunk.total().filter(|total| total.len() == taken.len());
        let total = total.ok_or_else(|| corrupt("arm columns differ in length"))?;
        let both = taken.iter().zip(total.iter());
        rows.extend(both.map(|(taken, total)| row(taken, total)));
    }
    Ok(())
}

fn decode_ids(chunk: &fb::Chunk<'_>, to: &mut Vec<ArmId>) {
    if let Some(pairs) = chunk.missed_pairs() {
        let pairs = pairs.bytes().iter();
        to.extend(pairs.map(|&pair| ArmId::pair(u32::from(pair >> 4), u32::from(pair & 15))));
    } else if let Some(ids) = chunk.missed() {
        let (ids, _) = ids.bytes().as_chunks::<ARM_ID_BYTES>();
        to.extend(ids.iter().map(|id| ArmId::from_bytes(*id)));
    }
}

fn decode_complexity(chunk: &fb::Chunk<'_>, to: &mut Vec<Complexity>) {
    let total = chunk.complexity_total().into_iter().flatten();
    let covered = chunk.complexity().into_iter().flatten();
    to.extend(covered.zip(total).map(|(covered, total)| Complexity {
        covered,
        total: total.checked_sub(1).map(|n| n as u32),
    }));
}

fn decode_parts(chunk: &fb::Chunk<'_>, to: &mut Vec<Part>) -> Result<()> {
    let Some(steps) = chunk.part_steps() else {
        return Ok(());
    };
    let length = steps.len();
    let kinds = chunk.part_kinds().filter(|kinds| kinds.len() == length);
    let columns = chunk
        .part_starts()
        .filter(|starts| starts.len() == length)
        .zip(chunk.part_ends().filter(|ends| ends.len() == length))
        .zip(chunk.part_values().filter(|values| values.len() == length))
        .zip(kinds);
    let Some((((starts, ends), values), kinds)) = columns else {
        return Err(corrupt("part columns differ in length"));
    };
    let columns = steps.iter().zip(starts).zip(ends).zip(values).zip(kinds);
    let mut line = 0u32;
    for ((((step, start), end), value), kind) in columns {
        line = line
            .checked_add(step)
            .ok_or_else(|| corrupt("a part of a line that cannot be"))?;
        to.push(Part {
            line,
            start,
            end: end.checked_sub(1).map(|end| end as u32),
            coverage: part_coverage(kind, value)?,
        });
    }
    Ok(())
}

fn part_coverage(kind: u8, value: u64) -> Result<Coverage> {
    Ok(match kind {
        PART_NULL => Coverage::Null,
        PART_IGNORED => Coverage::Ignored,
        PART_PARTIAL => Coverage::Partial,
        PART_HITS => Coverage::Hits(value),
        PART_ARMS => Coverage::Arms {
            taken: value as u32,
            total: (value >> 32) as u32,
        },
        _ => return Err(corrupt("a part of no known kind")),
    })
}

/// What the verifier cannot know: columns agree with each other.
fn check_columns(file: &FileCoverage) -> Result<()> {
    let count = |bit: u8| -> usize {
        // Counted in bytes, which are wide enough for so many at once.
        let counts = file.marks.chunks(usize::from(u8::MAX)).map(|marks| {
            let counted = marks.iter().fold(0, |n: u8, &m| n + u8::from(m & bit != 0));
            usize::from(counted)
        });
        counts.sum()
    };
    let missed: u64 = file
        .arms
        .iter()
        .map(|arms| u64::from(arms.missed.unwrap_or(0)))
        .sum();
    let agree = file.hits.len() == file.lines.len()
        && file.marks.len() == file.lines.len()
        && count(ARMS) == file.arms.len()
        && count(COMPLEXITY) == file.complexity.len()
        && missed == file.missed.len() as u64;
    if !agree {
        return Err(corrupt("columns differ in length"));
    }
    let mut rest = &file.lines[..];
    let has_row = |part: &Part| {
        rest = &rest[rest.iter().take_while(|&&line| line < part.line).count()..];
        rest.first() == Some(&part.line)
    };
    if file.parts.is_sorted_by(|a, b| a < b) && file.parts.iter().all(has_row) {
        Ok(())
    } else {
        Err(corrupt("parts are not those of its lines, in order"))
    }
}

fn corrupt(why: impl std::fmt::Display) -> Error {
    Error::corrupt("chunk", why)
}
