//! Rows of short numbers and truth values: where their cells end is found for a whole window of the text, and nothing
//! branches on what a cell is.

use engine::simd::{equal_to, number};

/// Bytes in which rows are looked for.
const WINDOW_BYTES: usize = 64;
/// Cells of a row: three numbers, then three truth values.
const ROW_CELLS: usize = 6;

/// A window and what a cell that starts in it may have behind it.
pub(super) type Text = [u8; WINDOW_BYTES + 8];

/// Reads rows of three short numbers and three truth values, as llvm-cov writes them, from `from` on while a comma
/// follows them. Gives where what follows starts.
#[inline]
pub(super) fn short_rows(
    text: &Text,
    from: usize,
    each: &mut impl FnMut([u64; ROW_CELLS]),
) -> usize {
    let (mut start, mut commas) = (from, commas(text) >> from << from);
    while let Some((cells, end)) = short_row(text, start, &mut commas) {
        each(cells);
        start = end;
    }
    start
}

/// Reads a row like `[12,5,0,true,false,false],` at a place: its cells, true as 1 and false as 0, and where what
/// follows starts. `commas` are those of the window that were not taken yet.
#[inline(always)]
fn short_row(text: &Text, start: usize, commas: &mut u64) -> Option<([u64; ROW_CELLS], usize)> {
    if commas.count_ones() < ROW_CELLS as u32 || text[start] != b'[' {
        return None;
    }
    let mut cells = [0; ROW_CELLS];
    let (mut from, mut is_right) = (start + 1, true);
    for (at, cell) in cells.iter_mut().enumerate() {
        let comma = commas.trailing_zeros() as usize;
        *commas &= *commas - 1;
        let end = comma - usize::from(at == ROW_CELLS - 1);
        let (word, length) = (word(text, from), end.wrapping_sub(from));
        let is_known;
        (*cell, is_known) = match at {
            0..3 => {
                let number = number(word, length, 7);
                (number.unwrap_or(0), number.is_some())
            }
            _ => truth(word, length),
        };
        is_right &= is_known;
        from = comma + 1;
    }
    (is_right && text[from - 2] == b']').then_some((cells, from))
}

/// Where the commas of the window are.
#[inline(always)]
fn commas(text: &Text) -> u64 {
    text.first_chunk()
        .map_or(0, |window| equal_to(window, b','))
}

/// The eight bytes from a place in the window on.
#[inline(always)]
fn word(text: &Text, at: usize) -> u64 {
    let rest = text[at % WINDOW_BYTES..].first_chunk();
    rest.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Whether the first `length` bytes of a word are true, as a number, and whether they are a truth value.
#[inline(always)]
fn truth(word: u64, length: usize) -> (u64, bool) {
    const FALSE: u64 = u64::from_le_bytes(*b"false\0\0\0");
    let is_true = (word as u32 == u32::from_le_bytes(*b"true")) & (length == 4);
    let is_false = (word & 0xff_ffff_ffff == FALSE) & (length == 5);
    (u64::from(is_true), is_true | is_false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(text: &str) -> Text {
        let mut bytes = [b'.'; WINDOW_BYTES + 8];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        bytes
    }

    #[test]
    fn rows_are_read_up_to_what_is_none() {
        let row = "[12,5,0,true,false,true],";
        for next in [
            "[12,5,0,true,false],[",
            "[12,5,0,true,false,1],",
            "[12,5,0,true,false,true]]",
            "[12,5,-1,true,false,true],",
            "[12,5,0,true,falsy,true],",
            "(12,5,0,true,false,true],",
            "[12,5,0,true,false,true},",
            "[12,5,0,true, true,true],",
        ] {
            let mut rows = Vec::new();
            let text = window(&format!("{row}{next}"));
            let end = short_rows(&text, 0, &mut |cells| rows.push(cells));
            assert_eq!(
                (rows, end),
                (vec![[12, 5, 0, 1, 0, 1]], row.len()),
                "{next}"
            );
        }
    }
}
