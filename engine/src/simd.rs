//! What processors do to many bytes at once: each function beside its plain form, which says what it
//! is, and stands in where a processor cannot.

/// Work that gains from what newer processors have.
pub trait Work {
    /// What comes of it.
    type Output;

    /// Does it. Inlined always, as what is inlined into it.
    fn run<L: Level>(self, level: L) -> Self::Output;
}

/// What is done differently on processors that have more.
pub trait Level: Copy {
    /// A bit for each byte that equals `byte`, the first byte's lowest.
    #[inline(always)]
    fn equal_to(self, bytes: &[u8; 64], byte: u8) -> u64 {
        equal_to(bytes, byte)
    }

    /// A bit for each byte that is no ASCII digit, the first byte's lowest.
    #[inline(always)]
    fn other_than_digits(self, bytes: &[u8; 64]) -> u64 {
        other_than_digits(bytes)
    }

    /// The bits that stand where a mask has bits, moved together to the lowest.
    #[inline(always)]
    fn extract(self, bits: u64, mut mask: u64) -> u64 {
        let mut extracted = 0;
        let mut to = 0;
        while bits & mask != 0 {
            extracted |= (bits >> mask.trailing_zeros() & 1) << to;
            to += 1;
            mask &= mask - 1;
        }
        extracted
    }

    /// Writes where bits are, each place and `from`, ascending, to the start of `places`, with [`ROW_END`] added where
    /// `row_ends` has bits, too; gives how many there are. What stands behind these changes.
    #[inline(always)]
    fn places(self, bits: u64, row_ends: u64, from: u16, places: &mut [u16; 64]) -> usize {
        let (mut rest, mut row_ends) = (bits, self.extract(row_ends, bits));
        let (groups, _) = places.as_chunks_mut();
        for group in groups {
            // More are written than there are, mostly, as a branch for each costs more.
            write_places(group, &mut rest, row_ends, from);
            row_ends >>= group.len();
            if rest == 0 {
                break;
            }
        }
        bits.count_ones() as usize
    }

    /// Reads rows of a form, the first of which starts with the text; gives how many there are up to the first that is of
    /// another form or goes on behind what is looked at. `ends` are the places of what ends each field, and `from`; of what
    /// ends a row with [`ROW_END`]. Columns of fields that are not read stay as they are; rows that are not read have
    /// any numbers.
    #[inline(always)]
    fn rows<const N: usize>(
        self,
        form: &RowForm<N>,
        text: &Text,
        from: u16,
        ends: &[[u16; N]; ROWS],
        columns: &mut [[u64; ROWS]; N],
    ) -> usize {
        let mut start = 0;
        for (row, ends) in ends.iter().enumerate() {
            match form.read(text, start, from, ends, columns, row) {
                Some(end) => start = end + 1,
                None => return row,
            }
        }
        ROWS
    }

    /// How many of numbers that ascend are less than one.
    #[inline(always)]
    fn count_less(self, numbers: &[u32; 16], than: u32) -> usize {
        let less = numbers.iter().map(|&number| u32::from(number < than));
        less.sum::<u32>() as usize
    }

    /// How many of the first numbers are each greater than the one before, the first than `than`.
    #[inline(always)]
    fn ascending(self, numbers: &[u64; ROWS], mut than: u64) -> usize {
        let ascends = |&number: &u64| std::mem::replace(&mut than, number) < number;
        numbers.iter().copied().take_while(ascends).count()
    }

    /// The numbers that stand from each of `starts` to before each of `ends`, in what is looked at: nothing but digits, 0
    /// to 8; none is 0.
    #[inline(always)]
    fn numbers(self, text: &Text, starts: &[u16; ROWS], ends: &[u16; ROWS]) -> [u64; ROWS] {
        std::array::from_fn(|at| {
            let (start, end) = (usize::from(starts[at]), usize::from(ends[at]));
            word(text, start).map_or(0, |word| all_digits(digits(word, end.wrapping_sub(start))))
        })
    }
}

/// Rows, or numbers, that are read at once.
pub const ROWS: usize = 8;

/// Marks the place of what ends a row.
pub const ROW_END: u16 = 1 << 15;

/// Bytes of a text that are looked at at once to read rows.
pub const TEXT_BYTES: usize = 128;

/// What is looked at, and enough behind it to read a number that starts there.
pub type Text = [u8; TEXT_BYTES + 8];

#[inline(always)]
fn write_places(places: &mut [u16; 16], bits: &mut u64, row_ends: u64, from: u16) {
    for place in &mut *places {
        *place = from.wrapping_add(bits.trailing_zeros() as u16);
        *bits &= bits.wrapping_sub(1);
    }
    for (at, place) in places.iter_mut().enumerate() {
        *place |= if row_ends & (1 << at) != 0 {
            ROW_END
        } else {
            0
        };
    }
}

/// What a field of a row is.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    /// Anything, which is not read.
    Any,
    /// A number of at most so many digits, 1 to 8; 0 in front is 0 alone.
    Number(u64),
    /// A number that starts with another digit than 0, of at most so many digits, 1 to 8.
    Positive(u64),
    /// Anything: the eight bytes before its end, the last one highest, are its number. Where less than eight are looked at
    /// before it, the row is of another form.
    Tail,
}

/// The form of rows that are written alike: a key of up to 8 bytes, and then `N` fields (1, 2 or 4), each with a
/// byte behind it.
#[derive(Clone, Copy, Debug)]
pub struct RowForm<const N: usize> {
    key: u64,
    key_mask: u64,
    key_bytes: usize,
    fields: [Field; N],
}

impl<const N: usize> RowForm<N> {
    /// The form of rows with this key and these fields.
    pub const fn new(key: &[u8], fields: [Field; N]) -> RowForm<N> {
        assert!(key.len() <= 8 && matches!(N, 1 | 2 | 4));
        let (mut word, mut mask) = (0, 0);
        let mut at = 0;
        while at < key.len() {
            word |= (key[at] as u64) << (8 * at);
            mask |= 0xff << (8 * at);
            at += 1;
        }
        RowForm {
            key: word,
            key_mask: mask,
            key_bytes: key.len(),
            fields,
        }
    }

    /// Reads one row of the form into the columns; gives where it ends.
    #[inline(always)]
    fn read(
        &self,
        text: &Text,
        start: usize,
        from: u16,
        ends: &[u16; N],
        columns: &mut [[u64; ROWS]; N],
        row: usize,
    ) -> Option<usize> {
        if (word(text, start)? ^ self.key) & self.key_mask != 0 {
            return None;
        }
        let mut start = start + self.key_bytes;
        for at in 0..N {
            let is_row_end = ends[at] & ROW_END != 0;
            let end = usize::from((ends[at] & !ROW_END).wrapping_sub(from));
            if is_row_end != (at == N - 1) || end >= TEXT_BYTES {
                return None;
            }
            let number = |most| number(word(text, start)?, end.wrapping_sub(start), most);
            match self.fields[at] {
                Field::Any => {}
                Field::Number(most) => columns[at][row] = number(most)?,
                Field::Positive(most) => {
                    columns[at][row] = number(most).filter(|_| text[start] != b'0')?;
                }
                Field::Tail => columns[at][row] = word(text, end.checked_sub(8)?)?,
            }
            start = end + 1;
        }
        Some(start - 1)
    }
}

/// The eight bytes from a place on.
#[inline(always)]
fn word(text: &Text, at: usize) -> Option<u64> {
    let bytes = text.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

/// The number that the first bytes of a word are, if they are 1 to `most` digits, 8 at most, and 0 in front is 0 alone.
#[inline(always)]
pub fn number(word: u64, length: usize, most: u64) -> Option<u64> {
    let digits = digits(word, length);
    let is_number = ((length as u64).wrapping_sub(1) < most)
        & (above_nine(digits) == 0)
        & ((word as u8 != b'0') | (length == 1));
    is_number.then(|| all_digits(digits))
}

/// The digit `0` in every byte.
pub const ZEROS: u64 = 0x3030_3030_3030_3030;

/// What the first bytes of a word, 0 to 8, stand for if they are digits, moved to the end of eight, which is how
/// [`all_digits`] wants them.
#[inline(always)]
pub fn digits(word: u64, count: usize) -> u64 {
    // Shifted in halves, as all of it may go: that is cheaper than a branch on what is as good as random.
    let half = 32_usize.wrapping_sub(count.wrapping_mul(4)) % 64;
    (word ^ ZEROS) << half << half
}

/// The highest bit of every byte that stands for no digit.
#[inline(always)]
pub fn above_nine(digits: u64) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    const TEN_SETS_HIGH: u64 = 0x7676_7676_7676_7676;
    (((digits & LOW) + TEN_SETS_HIGH) | digits) & !LOW
}

/// The number that eight bytes are, each of which stands for a digit: pairs, then fours, then all.
#[inline(always)]
pub fn all_digits(digits: u64) -> u64 {
    let fours = fours(digits);
    (fours.wrapping_mul(10_000).wrapping_add(fours >> 32)) & 0xffff_ffff
}

/// The numbers that the lower and the upper four bytes are, which stand for a digit each: in the lower
/// and the upper half.
#[inline(always)]
pub fn fours(digits: u64) -> u64 {
    let pairs = (digits.wrapping_mul(10).wrapping_add(digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_ffff_0000_ffff
}

/// Does work with vectors of 32 or 64 bytes and instructions on bits where the processor has them. What comes
/// of it is the same.
#[inline]
pub fn widely<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    let work = match avx512::run(work) {
        Ok(output) => return output,
        Err(work) => work,
    };
    #[cfg(target_arch = "x86_64")]
    let work = match avx2::run(work) {
        Ok(output) => return output,
        Err(work) => work,
    };
    work.run(Plain)
}

/// What every processor has.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Level for Plain {}

/// How far ahead of what is read, in bytes, bytes are best fetched: some thousand are read in the time that memory takes.
pub const AHEAD: usize = 2048;

/// Has the bytes at a place of a text fetched, if there are any, for a reader who takes so long over what he reads that
/// the processor does not see ahead.
#[inline(always)]
pub fn prefetch(text: &[u8], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(byte) = text.get(at) {
        sse2::prefetch(byte);
    }
}

/// A bit for each byte that is no ASCII digit, the first byte's lowest.
#[inline]
pub fn other_than_digits(bytes: &[u8; 64]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    return sse2::other_than_digits(bytes);
    #[cfg(not(target_arch = "x86_64"))]
    plain::other_than_digits(bytes)
}

/// A bit for each byte that equals `byte`, the first byte's lowest.
#[inline]
pub fn equal_to(bytes: &[u8; 64], byte: u8) -> u64 {
    #[cfg(target_arch = "x86_64")]
    return sse2::equal_to(bytes, byte);
    #[cfg(not(target_arch = "x86_64"))]
    plain::equal_to(bytes, byte)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod plain {
    pub(super) fn equal_to(bytes: &[u8; 64], byte: u8) -> u64 {
        let equal = bytes.iter().map(|&other| u64::from(other == byte));
        equal.rev().fold(0, |bits, equal| bits << 1 | equal)
    }

    pub(super) fn other_than_digits(bytes: &[u8; 64]) -> u64 {
        let other = bytes.iter().map(|byte| u64::from(!byte.is_ascii_digit()));
        other.rev().fold(0, |bits, other| bits << 1 | other)
    }
}

/// A level, and how work is done on it where the processor has these features.
#[cfg(target_arch = "x86_64")]
macro_rules! compiled_for {
    ($level:ident, $($feature:tt),+) => {
        /// Says that the processor has what [`compiled`] is compiled for.
        #[derive(Clone, Copy)]
        struct $level(());

        /// Does work as compiled for these features; gives it back where the processor lacks them.
        #[inline]
        #[expect(
            unsafe_code,
            reason = "a fifth of the time of reading LCOV and Go goes into what this saves"
        )]
        pub(super) fn run<W: Work>(work: W) -> Result<W::Output, W> {
            if !($(is_x86_feature_detected!($feature))&&+) {
                return Err(work);
            }
            // SAFETY: the processor has all features that the function is compiled for.
            Ok(unsafe { compiled(work) })
        }

        #[target_feature($(enable = $feature),+)]
        fn compiled<W: Work>(work: W) -> W::Output {
            work.run($level(()))
        }
    };
}

/// Calls a function that is compiled for what the level says that the processor has.
#[cfg(target_arch = "x86_64")]
macro_rules! call {
    ($function:ident($($argument:expr),*)) => {{
        #[expect(unsafe_code, reason = "what many bytes are is told at once")]
        // SAFETY: the processor has all that the function is compiled for.
        unsafe { $function($($argument),*) }
    }};
}

/// Where [`ROW_END`] stands in the places of a row, the last of which has it; the others have `others` of it.
#[cfg(target_arch = "x86_64")]
const fn marks<const N: usize>(others: u16) -> i64 {
    let (mut marks, mut at) = (0, 0);
    while at < N {
        let kept = if at == N - 1 { u16::MAX } else { others };
        marks |= ((ROW_END & kept) as u64) << (16 * at);
        at += 1;
    }
    marks as i64
}

#[cfg(target_arch = "x86_64")]
mod avx2;

#[cfg(target_arch = "x86_64")]
mod avx512;

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _MM_HINT_T0, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_max_epu8, _mm_movemask_epi8,
        _mm_prefetch, _mm_set1_epi8, _mm_sub_epi8,
    };

    #[inline]
    #[expect(
        unsafe_code,
        reason = "a third of the time of reading LCOV goes into this"
    )]
    pub(super) fn other_than_digits(bytes: &[u8; 64]) -> u64 {
        // SAFETY: SSE2 is part of every x86-64 processor.
        unsafe { quarters(bytes) }
    }

    #[inline]
    #[expect(
        unsafe_code,
        reason = "half of the time of reading llvm-cov's segments went into looking for commas"
    )]
    pub(super) fn equal_to(bytes: &[u8; 64], byte: u8) -> u64 {
        // SAFETY: SSE2 is part of every x86-64 processor.
        unsafe { equal_quarters(bytes, byte) }
    }

    #[inline(always)]
    #[expect(
        unsafe_code,
        reason = "a tenth of the time of reading Go went into waiting"
    )]
    pub(super) fn prefetch(byte: &u8) {
        // SAFETY: SSE is part of every x86-64 processor.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(byte).cast()) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn quarters(bytes: &[u8; 64]) -> u64 {
        let (quarters, _) = bytes.as_chunks();
        let bits = |at: usize| quarter(load(&quarters[at])) << (16 * at);
        bits(0) | bits(1) | bits(2) | bits(3)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn equal_quarters(bytes: &[u8; 64], byte: u8) -> u64 {
        let (quarters, _) = bytes.as_chunks();
        let byte = _mm_set1_epi8(byte as i8);
        let bits = |at: usize| {
            let equal = _mm_cmpeq_epi8(load(&quarters[at]), byte);
            u64::from(_mm_movemask_epi8(equal) as u32) << (16 * at)
        };
        bits(0) | bits(1) | bits(2) | bits(3)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    #[expect(unsafe_code, reason = "two words put together are slower")]
    fn load(bytes: &[u8; 16]) -> __m128i {
        // SAFETY: 16 bytes are read, and need not be aligned.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn quarter(bytes: __m128i) -> u64 {
        let digits = _mm_sub_epi8(bytes, _mm_set1_epi8(b'0' as i8));
        let is_other = _mm_cmpeq_epi8(_mm_max_epu8(digits, _mm_set1_epi8(10)), digits);
        u64::from(_mm_movemask_epi8(is_other) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a level makes of a text whose fields end with commas, and rows with line breaks.
    struct Looked<'a> {
        text: &'a Text,
        form: &'a RowForm<2>,
        from: u16,
    }

    #[derive(PartialEq, Debug)]
    struct Found {
        ends: Vec<u16>,
        others: u64,
        extracted: u64,
        rows: Vec<[u64; 2]>,
        numbers: [u64; ROWS],
        less: usize,
        ascending: [usize; 2],
    }

    impl Work for Looked<'_> {
        type Output = Found;

        fn run<L: Level>(self, level: L) -> Found {
            let Looked { text, form, from } = self;
            let mut ends = Vec::new();
            for (half, from) in text.as_chunks::<64>().0.iter().zip((from..).step_by(64)) {
                let [commas, breaks] = [b',', b'\n'].map(|byte| level.equal_to(half, byte));
                let mut places = [0; 64];
                let count = level.places(commas | breaks, breaks, from, &mut places);
                ends.extend_from_slice(&places[..count]);
            }
            let all = ends.len();
            ends.resize(2 * ROWS, 0);
            let mut columns = [[0; ROWS]; 2];
            let rows = level.rows(
                form,
                text,
                from,
                ends.as_chunks().0.first_chunk().unwrap(),
                &mut columns,
            );
            ends.truncate(all);
            let first = text.first_chunk().unwrap();
            let others = level.other_than_digits(first);
            let digits = !others & !(!others << 1) & u64::MAX >> 9;
            let (mut starts, mut behind) = ([0; 64], [0; 64]);
            let count = level.places(digits, 0, 0, &mut starts);
            starts[count..].fill(0);
            let is_short = |start: &u16| (others >> start).trailing_zeros() <= 8;
            let starts: [u16; ROWS] =
                std::array::from_fn(|at| starts[at] * u16::from(is_short(&starts[at])));
            for (end, start) in behind.iter_mut().zip(starts) {
                *end = start + (others >> start).trailing_zeros().min(8) as u16;
            }
            let mut sorted: [u32; 16] = std::array::from_fn(|at| text[at].into());
            sorted.sort_unstable();
            let ascending: [u64; ROWS] = std::array::from_fn(|at| sorted[at].into());
            let any: [u64; ROWS] = std::array::from_fn(|at| text[at].into());
            Found {
                ascending: [ascending, any]
                    .map(|numbers| level.ascending(&numbers, text[8].into())),
                less: level.count_less(&sorted, text[16].into()),
                others,
                extracted: level.extract(
                    others,
                    !first
                        .iter()
                        .fold(1, |mask, &byte| mask.wrapping_mul(31) ^ u64::from(byte)),
                ),
                rows: (0..rows)
                    .map(|row| [columns[0][row], columns[1][row]])
                    .collect(),
                numbers: level.numbers(text, &starts, behind.first_chunk().unwrap()),
                ends,
            }
        }
    }

    fn text_of(text: &str) -> Text {
        std::array::from_fn(|at| text.as_bytes().get(at).copied().unwrap_or(b'.'))
    }

    const FORM: RowForm<2> = RowForm::new(b"DA:", [Field::Positive(7), Field::Number(8)]);

    #[test]
    fn rows_are_read_up_to_one_of_another_form() {
        let rows = |text: &str| {
            let (text, form) = (&text_of(text), &FORM);
            widely(Looked {
                text,
                form,
                from: 7,
            })
            .rows
        };
        let row = "DA:12,345\nDA:1234567,12345678\n";
        assert_eq!(rows(row), [[12, 345], [1_234_567, 12_345_678]]);
        assert_eq!(rows(&"DA:1,0\n".repeat(9)), [[1, 0]; ROWS]);
        for odd in [
            "DA:0,1",
            "DA:01,1",
            "DA:1,01",
            "DA:1,",
            "DA:,1",
            "DA:12345678,1",
            "DA:1,123456789",
            "DA:1,-1",
            "DA:1 ,1",
            "DB:1,1",
            "DA:1,1,1",
            "DA:1",
        ] {
            assert_eq!(rows(&format!("DA:7,1\n{odd}\n{row}")), [[7, 1]], "{odd}");
        }
        // The end of a row is seen, or it is not read.
        let seen = |bytes: usize| {
            rows(&format!(
                "{}DA:7,1\n",
                "DA:1,1\n".repeat(3) + &"D".repeat(bytes - 21)
            ))
            .len()
        };
        assert_eq!(seen(21), 4);
        let long = |pad: usize| {
            rows(&format!(
                "{}DA:{},1\n",
                "DA:1234567,12345678\n".repeat(6),
                "1".repeat(pad)
            ))
            .len()
        };
        assert_eq!([1, 2, 3].map(long), [7, 7, 6]);
    }

    proptest! {
        #[test]
        fn each_level_finds_what_the_plain_one_finds(
            lines in proptest::collection::vec("(DA:[1-9][0-9]{0,6},[0-9]{1,2}|DA:[0-9]{0,9},[0-9]{0,9}|[0-9]{0,9},?[0-9a]{0,9}|[DA:,/]{0,9})", 0..40),
            plain in "(DA:[1-9][0-9]{0,3},[1-9]\n){0,12}",
            any: [u8; 128],
            from in 0..2000_u16,
        ) {
            let forms = [FORM, RowForm::new(b"", [Field::Number(8), Field::Any]), RowForm::new(b"D", [Field::Tail, Field::Tail])];
            for text in [&lines.join("\n"), &(plain + &lines.join("\n")), &String::from_utf8_lossy(&any).into_owned()] {
                for form in &forms {
                    let text = &text_of(text);
                    let looked = || Looked { text, form, from };
                    let plain = looked().run(Plain);
                    #[cfg(target_arch = "x86_64")]
                    if let Ok(found) = avx2::run(looked()) {
                        prop_assert_eq!(&found, &plain);
                    }
                    prop_assert_eq!(&widely(looked()), &plain);
                }
            }
        }

        #[test]
        fn bytes_are_found_where_the_plain_form_finds_them(bytes: [u8; 64], text in "[,/-:0-9]{64}", byte: u8) {
            for bytes in [bytes, text.as_bytes().try_into().unwrap()] {
                prop_assert_eq!(other_than_digits(&bytes), plain::other_than_digits(&bytes));
                for byte in [byte, b','] {
                    prop_assert_eq!(equal_to(&bytes, byte), plain::equal_to(&bytes, byte));
                }
            }
        }
    }
}
