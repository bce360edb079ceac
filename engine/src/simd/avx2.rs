//! What processors with AVX2 and instructions on bits do.

use std::arch::x86_64::{
    __m256i, _mm_cvtsi64_si128, _mm_loadl_epi64, _mm_loadu_si128, _mm256_add_epi64,
    _mm256_and_si256, _mm256_andnot_si256, _mm256_blend_epi32, _mm256_castsi256_pd,
    _mm256_castsi256_ps, _mm256_cmpeq_epi8, _mm256_cmpeq_epi64, _mm256_cmpgt_epi32,
    _mm256_cmpgt_epi64, _mm256_cvtepu16_epi64, _mm256_cvtepu32_epi64, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_max_epu8, _mm256_movemask_epi8,
    _mm256_movemask_pd, _mm256_movemask_ps, _mm256_mul_epu32, _mm256_or_si256,
    _mm256_permute4x64_epi64, _mm256_set_epi64x, _mm256_set1_epi8, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_sll_epi64,
    _mm256_sllv_epi64, _mm256_srl_epi64, _mm256_srli_epi64, _mm256_storeu_si256, _mm256_sub_epi8,
    _mm256_sub_epi16, _mm256_sub_epi64, _mm256_subs_epu8, _mm256_xor_si256, _pext_u64,
};

use super::{Field, Level, ROWS, RowForm, TEXT_BYTES, Text, Work, ZEROS, marks};

compiled_for!(Wide, "avx2", "bmi1", "bmi2", "lzcnt", "popcnt");

impl Level for Wide {
    #[inline(always)]
    fn equal_to(self, bytes: &[u8; 64], byte: u8) -> u64 {
        call!(equal_to(bytes, byte))
    }

    #[inline(always)]
    fn other_than_digits(self, bytes: &[u8; 64]) -> u64 {
        call!(other_than_digits(bytes))
    }

    #[inline(always)]
    fn extract(self, bits: u64, mask: u64) -> u64 {
        call!(_pext_u64(bits, mask))
    }

    // Small functions alone are inlined where they are compiled for more: so this, with the form that it is for, is put
    // together of such.
    #[inline(always)]
    fn rows<const N: usize>(
        self,
        form: &RowForm<N>,
        text: &Text,
        from: u16,
        ends: &[[u16; N]; ROWS],
        columns: &mut [[u64; ROWS]; N],
    ) -> usize {
        // What stands before the first field of a row is the end of the row before.
        let last_of =
            |row: Option<usize>| row.map_or(u16::MAX, |row| ends[row][N - 1].wrapping_sub(from));
        let (mut right, mut last_of_half) = (0, call!(all(-1)));
        let (halves, _) = ends.as_chunks();
        for (half, ends) in halves.iter().enumerate() {
            let (places, mut is_right) = call!(row_ends(ends, from));
            let last = call!(place(places, N - 1));
            let mut before: [u16; FOUR] =
                std::array::from_fn(|row| last_of((FOUR * half + row).checked_sub(1)));
            let mut end_before = call!(moved_up(last, last_of_half));
            last_of_half = last;
            if form.key_bytes > 0 {
                let found = call!(words(text, before.map(|before| before.wrapping_add(1))));
                let has_key = call!(equals(found, form.key, form.key_mask));
                is_right = call!(and(is_right, has_key));
                before = before.map(|before| before.wrapping_add(form.key_bytes as u16));
                end_before = call!(add(end_before, form.key_bytes as i64));
            }
            for at in 0..N {
                let end = call!(place(places, at));
                let places = ends.map(|ends| ends[at].wrapping_sub(from));
                let column = &mut columns[at].as_chunks_mut().0[half];
                match form.fields[at] {
                    Field::Any => {}
                    Field::Tail => {
                        let is_far = call!(is_greater(end, 7));
                        is_right = call!(and(is_right, is_far));
                        let tails = call!(words(text, places.map(|end| end.wrapping_sub(8))));
                        call!(store(tails, column));
                    }
                    field @ (Field::Number(most) | Field::Positive(most)) => {
                        let is_positive = matches!(field, Field::Positive(_));
                        let words = call!(words(text, before.map(|before| before.wrapping_add(1))));
                        let (numbers, are_right) =
                            call!(number(words, end, end_before, most, is_positive));
                        is_right = call!(and(is_right, are_right));
                        call!(store(numbers, column));
                    }
                }
                (before, end_before) = (places, end);
            }
            right |= call!(bits_of_four(is_right)) << (FOUR * half);
        }
        (!right).trailing_zeros() as usize
    }

    #[inline(always)]
    fn count_less(self, numbers: &[u32; 16], than: u32) -> usize {
        call!(count_less(numbers, than))
    }

    #[inline(always)]
    fn ascending(self, numbers: &[u64; ROWS], than: u64) -> usize {
        call!(ascending(numbers, than))
    }

    #[inline(always)]
    fn numbers(self, text: &Text, starts: &[u16; ROWS], ends: &[u16; ROWS]) -> [u64; ROWS] {
        call!(numbers(text, starts, ends))
    }
}

/// Numbers in a vector; the rows, or numbers, that are read at once are two of these.
const FOUR: usize = 4;

#[inline]
#[target_feature(enable = "avx2")]
fn equal_to(bytes: &[u8; 64], byte: u8) -> u64 {
    let byte = _mm256_set1_epi8(byte as i8);
    let (halves, _) = bytes.as_chunks();
    let bits = |half: &[u8; 32]| bits_of(_mm256_cmpeq_epi8(load(half), byte));
    bits(&halves[0]) | bits(&halves[1]) << 32
}

#[inline]
#[target_feature(enable = "avx2")]
fn other_than_digits(bytes: &[u8; 64]) -> u64 {
    let (zero, ten) = (_mm256_set1_epi8(b'0' as i8), _mm256_set1_epi8(10));
    let (halves, _) = bytes.as_chunks();
    let bits = |half: &[u8; 32]| {
        let digits = _mm256_sub_epi8(load(half), zero);
        bits_of(_mm256_cmpeq_epi8(_mm256_max_epu8(digits, ten), digits))
    };
    bits(&halves[0]) | bits(&halves[1]) << 32
}

#[inline]
#[target_feature(enable = "avx2")]
fn bits_of(bytes: __m256i) -> u64 {
    u64::from(_mm256_movemask_epi8(bytes) as u32)
}

/// The places of the fields of four rows, the first in the lowest bits, behind `from`; and which rows are as long as the
/// form says and end in what is looked at.
#[inline]
#[target_feature(enable = "avx2")]
fn row_ends<const N: usize>(ends: &[[u16; N]; FOUR], from: u16) -> (__m256i, __m256i) {
    let ends = load_ends(ends);
    // Of a row, the last field alone ends it.
    let (marks, expected) = (marks::<N>(u16::MAX), marks::<N>(0));
    let is_row = _mm256_cmpeq_epi64(
        _mm256_and_si256(ends, _mm256_set1_epi64x(marks)),
        _mm256_set1_epi64x(expected),
    );
    let places = _mm256_and_si256(ends, _mm256_set1_epi64x(!marks));
    let places = _mm256_sub_epi16(places, _mm256_set1_epi16(from as i16));
    let behind = is_greater(place(places, N - 1), TEXT_BYTES as i64 - 1);
    (places, _mm256_andnot_si256(behind, is_row))
}

/// The place of one field of each row.
#[inline]
#[target_feature(enable = "avx2")]
fn place(places: __m256i, field: usize) -> __m256i {
    let moved = _mm256_srl_epi64(places, _mm_cvtsi64_si128(16 * field as i64));
    _mm256_and_si256(moved, all(u16::MAX.into()))
}

/// The numbers of fields, each of which starts behind an end and goes to before another; and which are numbers of at most
/// so many digits.
#[inline]
#[target_feature(enable = "avx2")]
fn number(
    words: __m256i,
    end: __m256i,
    end_before: __m256i,
    most: u64,
    is_positive: bool,
) -> (__m256i, __m256i) {
    let length = add(_mm256_sub_epi64(end, end_before), -1);
    let digits = digits(words, length);
    let over = _mm256_subs_epu8(digits, _mm256_set1_epi8(9));
    let zero_in_front = equals(words, b'0'.into(), 0xff);
    let is_bad = match is_positive {
        true => zero_in_front,
        false => _mm256_and_si256(zero_in_front, is_greater(length, 1)),
    };
    let is_bad = _mm256_or_si256(is_bad, is_greater(length, most as i64));
    let is_some = is_greater(length, 0);
    let is_number = and(is_some, equals(over, 0, u64::MAX));
    (all_digits(digits), _mm256_andnot_si256(is_bad, is_number))
}

#[inline]
#[target_feature(enable = "avx2")]
fn count_less(numbers: &[u32; 16], than: u32) -> usize {
    // Numbers with a sign are compared; so they are moved.
    let sign = _mm256_set1_epi32(i32::MIN);
    let than = _mm256_xor_si256(_mm256_set1_epi32(than as i32), sign);
    let (halves, _) = numbers.as_chunks();
    let less = |half: &[u32; 8]| {
        let less = _mm256_cmpgt_epi32(than, _mm256_xor_si256(load(half), sign));
        _mm256_movemask_ps(_mm256_castsi256_ps(less)) as u32
    };
    (less(&halves[0]) | less(&halves[1]) << 8).trailing_ones() as usize
}

#[inline]
#[target_feature(enable = "avx2")]
fn ascending(numbers: &[u64; ROWS], than: u64) -> usize {
    let sign = all(i64::MIN);
    let (halves, _) = numbers.as_chunks();
    let mut before = _mm256_xor_si256(all(than as i64), sign);
    let mut ascend = 0;
    for (half, numbers) in halves.iter().enumerate() {
        let numbers = _mm256_xor_si256(load(numbers), sign);
        let are_greater = _mm256_cmpgt_epi64(numbers, moved_up(numbers, before));
        ascend |= bits_of_four(are_greater) << (FOUR * half);
        before = numbers;
    }
    ascend.trailing_ones() as usize
}

#[inline]
#[target_feature(enable = "avx2")]
fn numbers(text: &Text, starts: &[u16; ROWS], ends: &[u16; ROWS]) -> [u64; ROWS] {
    let mut numbers = [0; ROWS];
    let (into, _) = numbers.as_chunks_mut();
    let (starts, ends) = (starts.as_chunks::<FOUR>().0, ends.as_chunks::<FOUR>().0);
    for ((starts, ends), into) in starts.iter().zip(ends).zip(into) {
        let [from, to] = [starts, ends].map(|places| load_ends(&places.map(|place| [place])));
        let digits = digits(words(text, *starts), _mm256_sub_epi64(to, from));
        store(all_digits(digits), into);
    }
    numbers
}

/// Four times a number.
#[inline]
#[target_feature(enable = "avx2")]
fn all(number: i64) -> __m256i {
    _mm256_set1_epi64x(number)
}

/// Bits that both have.
#[inline]
#[target_feature(enable = "avx2")]
fn and(one: __m256i, other: __m256i) -> __m256i {
    _mm256_and_si256(one, other)
}

/// Each number and another.
#[inline]
#[target_feature(enable = "avx2")]
fn add(numbers: __m256i, number: i64) -> __m256i {
    _mm256_add_epi64(numbers, all(number))
}

/// Each number where the next was, and before them the last of those before.
#[inline]
#[target_feature(enable = "avx2")]
fn moved_up(numbers: __m256i, before: __m256i) -> __m256i {
    const UP: i32 = 0b10_01_00_11;
    _mm256_blend_epi32::<0b11>(
        _mm256_permute4x64_epi64::<UP>(numbers),
        _mm256_permute4x64_epi64::<UP>(before),
    )
}

/// All bits of each number of which the masked ones are those of another.
#[inline]
#[target_feature(enable = "avx2")]
fn equals(numbers: __m256i, other: u64, mask: u64) -> __m256i {
    let different = _mm256_xor_si256(numbers, all(other as i64));
    let different = _mm256_and_si256(different, all(mask as i64));
    _mm256_cmpeq_epi64(different, _mm256_setzero_si256())
}

/// All bits of each number, with its sign, that is greater than one.
#[inline]
#[target_feature(enable = "avx2")]
fn is_greater(numbers: __m256i, than: i64) -> __m256i {
    _mm256_cmpgt_epi64(numbers, all(than))
}

/// The highest bits of four numbers.
#[inline]
#[target_feature(enable = "avx2")]
fn bits_of_four(numbers: __m256i) -> i32 {
    _mm256_movemask_pd(_mm256_castsi256_pd(numbers))
}

/// The eight bytes from each place on; of places behind the text, others.
#[inline]
#[target_feature(enable = "avx2")]
fn words(text: &Text, places: [u16; FOUR]) -> __m256i {
    let [first, second, third, fourth] = places.map(|place| {
        let word = super::word(text, usize::from(place) % TEXT_BYTES);
        word.unwrap_or_default() as i64
    });
    _mm256_set_epi64x(fourth, third, second, first)
}

/// [`super::digits`] of four words.
#[inline]
#[target_feature(enable = "avx2")]
fn digits(words: __m256i, lengths: __m256i) -> __m256i {
    let bits = _mm256_sll_epi64(lengths, _mm_cvtsi64_si128(3));
    let zeros = _mm256_set1_epi64x(ZEROS as i64);
    let less = _mm256_sub_epi64(_mm256_set1_epi64x(64), bits);
    _mm256_sllv_epi64(_mm256_xor_si256(words, zeros), less)
}

/// [`super::all_digits`] of four times eight digits.
#[inline]
#[target_feature(enable = "avx2")]
fn all_digits(digits: __m256i) -> __m256i {
    let pairs = _mm256_maddubs_epi16(digits, _mm256_set1_epi16(0x010a));
    let fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x0001_0064));
    let thousands = _mm256_mul_epu32(fours, _mm256_set1_epi64x(10_000));
    _mm256_add_epi64(thousands, _mm256_srli_epi64::<32>(fours))
}

/// The places of the fields of each row, the first in the lowest bits.
#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "vectors are loaded at once")]
fn load_ends<const N: usize>(ends: &[[u16; N]; FOUR]) -> __m256i {
    let from = ends.as_ptr();
    // SAFETY: as many bytes are read as there are, and need not be aligned.
    unsafe {
        match N {
            1 => _mm256_cvtepu16_epi64(_mm_loadl_epi64(from.cast())),
            2 => _mm256_cvtepu32_epi64(_mm_loadu_si128(from.cast())),
            4 => _mm256_loadu_si256(from.cast()),
            _ => _mm256_setzero_si256(), // which no form has
        }
    }
}

/// Numbers of which 32 bytes are a vector.
trait Numbers {}
impl Numbers for [u8; 32] {}
impl Numbers for [u32; 8] {}
impl Numbers for [u64; FOUR] {}

#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "a vector is loaded at once")]
fn load<N: Numbers>(numbers: &N) -> __m256i {
    const { assert!(size_of::<N>() == 32) };
    // SAFETY: 32 bytes are read, and need not be aligned.
    unsafe { _mm256_loadu_si256(std::ptr::from_ref(numbers).cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "a vector is stored at once")]
fn store<N: Numbers>(vector: __m256i, into: &mut N) {
    const { assert!(size_of::<N>() == 32) };
    // SAFETY: 32 bytes are written, which are numbers whatever they are, and need not be aligned.
    unsafe { _mm256_storeu_si256(std::ptr::from_mut(into).cast(), vector) }
}
