//! The evidence of one file as flatbuffer columns, compressed.

use flatbuffers::{FlatBufferBuilder, Vector, WIPOffset};

use super::compress::{compress, decompress};
use crate::model::file::{ARMS, COMPLEXITY, PLAIN};
use crate::model::{ArmId, ArmRow, Arms, Complexity, Coverage, FileCoverage, Part};
use crate::schema::pack as fb;
use crate::{Error, Result};

/// Largest chunk that is read, uncompressed: 50 million rows of the plainest kind.
const CHUNK_MAX_BYTES: u32 = 1 << 30;

const MISSED_KNOWN: u8 = 1;
const MIXED: u8 = 1 << 1;
const UNNAMED: u8 = 1 << 2;
const ARM_ID_BYTES: usize = 16;

const PART_NULL: u8 = 0;
const PART_IGNORED: u8 = 1;
const PART_PARTIAL: u8 = 2;
const PART_HITS: u8 = 3;
const PART_ARMS: u8 = 4;

/// The compressed chunk of a file and the size of the chunk itself, in bytes. Deterministic.
pub fn encode_chunk(file: &FileCoverage) -> Result<(Vec<u8>, u32)> {
    let mut fbb = FlatBufferBuilder::with_capacity(file.len() * 4 + 256);
    let gaps = fbb.create_vector(&encode_gaps(&file.lines));
    let mut args = fb::ChunkArgs {
        gaps: Some(gaps),
        ..fb::ChunkArgs::default()
    };
    encode_hits(&mut fbb, &mut args, &file.hits);
    if file.marks.iter().any(|&marks| marks != PLAIN) {
        args.marks = Some(fbb.create_vector(&file.marks));
    }
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
    let data = fbb.finished_data();
    let size = u32::try_from(data.len())
        .ok()
        .filter(|&size| size <= CHUNK_MAX_BYTES)
        .ok_or_else(|| Error::invalid("file", format!("its evidence has {} bytes", data.len())))?;
    let compressed = compress(data).map_err(|e| Error::io("compress chunk", e))?;
    Ok((compressed, size))
}

fn encode_gaps(lines: &[u32]) -> Vec<u8> {
    let mut gaps = Vec::with_capacity(lines.len());
    let mut last = 0;
    for &line in lines {
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
    match hits.iter().max().copied().unwrap_or(0) {
        0..=0xff => args.hits8 = Some(narrow(fbb, hits, |n| n as u8)),
        0x100..=0xffff => args.hits16 = Some(narrow(fbb, hits, |n| n as u16)),
        0x1_0000..=0xffff_ffff => args.hits32 = Some(narrow(fbb, hits, |n| n as u32)),
        _ => args.hits64 = Some(fbb.create_vector(hits)),
    }
}

fn narrow<'a, T: flatbuffers::Push<Output = T> + Copy>(
    fbb: &mut FlatBufferBuilder<'a>,
    hits: &[u64],
    to: impl Fn(u64) -> T,
) -> WIPOffset<Vector<'a, T>> {
    let column: Vec<T> = hits.iter().map(|&n| to(n)).collect();
    fbb.create_vector(&column)
}

fn encode_arms<'a>(
    fbb: &mut FlatBufferBuilder<'a>,
    args: &mut fb::ChunkArgs<'a>,
    file: &FileCoverage,
) {
    let taken: Vec<u32> = file.arms.iter().map(|arms| arms.taken).collect();
    let total: Vec<u32> = file.arms.iter().map(|arms| arms.total).collect();
    let bits: Vec<u8> = file
        .arms
        .iter()
        .map(|arms| {
            (u8::from(arms.missed.is_some()) * MISSED_KNOWN)
                | (u8::from(arms.mixed) * MIXED)
                | (u8::from(joined_unnamed(arms).is_some()) * UNNAMED)
        })
        .collect();
    let full: Vec<u32> = file.arms.iter().filter_map(joined_unnamed).collect();
    if !full.is_empty() {
        args.full = Some(fbb.create_vector(&full));
    }
    let counts: Vec<u32> = file.arms.iter().filter_map(|arms| arms.missed).collect();
    let ids: Vec<u8> = file.missed.iter().flat_map(|id| id.to_bytes()).collect();
    args.taken = Some(fbb.create_vector(&taken));
    args.total = Some(fbb.create_vector(&total));
    args.arm_bits = Some(fbb.create_vector(&bits));
    args.missed_counts = Some(fbb.create_vector(&counts));
    args.missed = Some(fbb.create_vector(&ids));
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
pub fn decode_chunk(compressed: &[u8], size: u32) -> Result<FileCoverage> {
    if size > CHUNK_MAX_BYTES {
        return Err(corrupt("too large"));
    }
    let bytes = decompress(compressed, size as usize).map_err(corrupt)?;
    let chunk = flatbuffers::root::<fb::Chunk<'_>>(&bytes).map_err(corrupt)?;
    let lines = decode_gaps(chunk.gaps().bytes())?;
    let hits = decode_hits(&chunk);
    let marks = match chunk.marks() {
        Some(marks) => marks.bytes().to_vec(),
        None => vec![PLAIN; lines.len()],
    };
    let file = FileCoverage {
        arms: decode_arms(&chunk)?,
        missed: decode_ids(chunk.missed().map_or(&[], |ids| ids.bytes())),
        complexity: decode_complexity(&chunk),
        parts: decode_parts(&chunk)?,
        lines,
        hits,
        marks,
    };
    check_columns(&file)?;
    Ok(file)
}

/// The same for a chunk that stands alone: its size is read from itself.
pub fn decode_lone_chunk(compressed: &[u8]) -> Result<FileCoverage> {
    let size = zstd::zstd_safe::get_frame_content_size(compressed);
    let size = size
        .ok()
        .flatten()
        .and_then(|size| u32::try_from(size).ok());
    decode_chunk(compressed, size.ok_or_else(|| corrupt("no size"))?)
}

fn decode_gaps(mut gaps: &[u8]) -> Result<Vec<u32>> {
    let mut lines = Vec::with_capacity(gaps.len());
    let mut line = 0u32;
    while let Some((&gap, rest)) = gaps.split_first() {
        let mut step = u32::from(gap);
        gaps = rest;
        if gap == 0 {
            let (wide, rest) = gaps
                .split_first_chunk()
                .ok_or_else(|| corrupt("a cut-off gap"))?;
            step = u32::from_le_bytes(*wide);
            gaps = rest;
        }
        line = line
            .checked_add(step)
            .filter(|_| step > 0)
            .ok_or_else(|| corrupt("lines do not ascend"))?;
        lines.push(line);
    }
    Ok(lines)
}

fn decode_hits(chunk: &fb::Chunk<'_>) -> Vec<u64> {
    if let Some(hits) = chunk.hits8() {
        hits.bytes().iter().map(|&n| u64::from(n)).collect()
    } else if let Some(hits) = chunk.hits16() {
        hits.iter().map(u64::from).collect()
    } else if let Some(hits) = chunk.hits32() {
        hits.iter().map(u64::from).collect()
    } else {
        chunk
            .hits64()
            .map(|hits| hits.iter().collect())
            .unwrap_or_default()
    }
}

fn decode_arms(chunk: &fb::Chunk<'_>) -> Result<Vec<ArmRow>> {
    let Some(taken) = chunk.taken() else {
        return Ok(Vec::new());
    };
    let bits = chunk.arm_bits().map_or(&[][..], |bits| bits.bytes());
    let total = chunk
        .total()
        .filter(|total| total.len() == taken.len() && bits.len() == taken.len());
    let total = total.ok_or_else(|| corrupt("arm columns differ in length"))?;
    let mut counts = chunk.missed_counts().into_iter().flatten();
    let mut full = chunk.full().into_iter().flatten();
    let mut rows = Vec::with_capacity(taken.len());
    for ((taken, total), bits) in taken.iter().zip(total.iter()).zip(bits) {
        let missed = match bits & MISSED_KNOWN {
            0 => None,
            _ => Some(counts.next().ok_or_else(|| corrupt("a missing count"))?),
        };
        let unnamed = match (bits & UNNAMED, bits & MIXED) {
            (0, 0) => Arms::unnamed(taken, total, missed.map(|count| count as usize)),
            (0, _) => None,
            _ => Some(full.next().ok_or_else(|| corrupt("a missing count"))?),
        };
        rows.push(ArmRow {
            taken,
            total,
            missed,
            mixed: bits & MIXED != 0,
            unnamed,
        });
    }
    Ok(rows)
}

fn decode_ids(bytes: &[u8]) -> Vec<ArmId> {
    let (ids, _) = bytes.as_chunks::<ARM_ID_BYTES>();
    ids.iter().map(|id| ArmId::from_bytes(*id)).collect()
}

fn decode_complexity(chunk: &fb::Chunk<'_>) -> Vec<Complexity> {
    let total = chunk.complexity_total().into_iter().flatten();
    let covered = chunk.complexity().into_iter().flatten();
    covered
        .zip(total)
        .map(|(covered, total)| Complexity {
            covered,
            total: total.checked_sub(1).map(|n| n as u32),
        })
        .collect()
}

fn decode_parts(chunk: &fb::Chunk<'_>) -> Result<Vec<Part>> {
    let Some(steps) = chunk.part_steps() else {
        return Ok(Vec::new());
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
    columns
        .map(|((((step, start), end), value), kind)| {
            line = line
                .checked_add(step)
                .ok_or_else(|| corrupt("a part of a line that cannot be"))?;
            Ok(Part {
                line,
                start,
                end: end.checked_sub(1).map(|end| end as u32),
                coverage: part_coverage(kind, value)?,
            })
        })
        .collect()
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
    let count = |bit: u8| file.marks.iter().filter(|&&marks| marks & bit != 0).count();
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
