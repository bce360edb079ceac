//! Lists of counts: where the elements of a whole window of the text are is found with bits, and only those that make
//! a row are walked over.

use engine::simd::{self, AHEAD, Level, ROWS, Text, Work, widely};

use super::{Cursor, Step, plain_count};
use crate::formats::MAX_LINE;
use crate::number::{WINDOW_BYTES, Window};

/// The most rows that a window can have: an element and what ends it are two bytes.
const MAX_ROWS: usize = WINDOW_BYTES / 2;
/// The most digits of a number that a window reads.
const MAX_DIGITS: usize = 8;

/// What a word among counts says of its line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Word {
    /// Nothing.
    Skipped,
    /// The line does not count.
    Uncounted,
    /// Something that only the caller knows.
    Odd,
}

/// What the words say that stand among counts in many lists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    /// `null`
    pub(crate) null: Word,
    /// `-1`
    pub(crate) minus_one: Word,
}

/// Lines and their hits, in columns of equal length.
#[derive(Default, PartialEq, Debug)]
pub(crate) struct Counts {
    pub(crate) lines: Vec<u32>,
    pub(crate) hits: Vec<u64>,
    /// Places of lines that do not count.
    pub(crate) uncounted: Vec<u32>,
}

impl Counts {
    #[inline]
    pub(crate) fn push(&mut self, line: u32, hits: u64) {
        self.lines.push(line);
        self.hits.push(hits);
    }

    #[inline]
    pub(crate) fn push_uncounted(&mut self, line: u32) {
        self.uncounted.push(self.lines.len() as u32);
        self.push(line, 0);
    }

    pub(crate) fn clear(&mut self) {
        self.lines.clear();
        self.hits.clear();
        self.uncounted.clear();
    }
}

impl Cursor<'_> {
    /// Reads on in the array that is open while its elements are counts or words that the caller does not read
    /// itself; the next is of `line`. Tells whether an element of another form, or of a line that no file has,
    /// stands at the cursor; `false` is the array's end.
    pub(crate) fn counts(
        &mut self,
        first: &mut bool,
        words: Words,
        line: &mut u32,
        counts: &mut Counts,
    ) -> Step<bool> {
        widely(TakeCounts {
            cursor: self,
            first,
            words,
            line,
            counts,
        })
    }
}

struct TakeCounts<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    first: &'c mut bool,
    words: Words,
    line: &'c mut u32,
    counts: &'c mut Counts,
}

impl Work for TakeCounts<'_, '_> {
    type Output = Step<bool>;

    #[inline(always)]
    fn run<L: Level>(mut self, level: L) -> Step<bool> {
        loop {
            self.windows(level);
            if !self.cursor.element(self.first)? {
                return Ok(false);
            }
            if !self.element() {
                return Ok(true);
            }
        }
    }
}

impl TakeCounts<'_, '_> {
    /// Reads the element at the cursor; `false` if the caller has to.
    #[inline(always)]
    fn element(&mut self) -> bool {
        let line = *self.line;
        if line.wrapping_sub(1) >= MAX_LINE {
            return false;
        }
        let rest = self.cursor.rest();
        let (said, length) = if rest.starts_with(b"null") {
            (self.words.null, b"null".len())
        } else if is_minus_one(rest) {
            (self.words.minus_one, b"-1".len())
        } else {
            let (hits, length) = plain_count(rest);
            if length == 0 {
                return false;
            }
            self.counts.push(line, hits);
            (Word::Skipped, length)
        };
        match said {
            Word::Skipped => {}
            Word::Uncounted => self.counts.push_uncounted(line),
            Word::Odd => return false,
        }
        self.cursor.advance(length);
        *self.line += 1;
        true
    }

    /// Reads elements, each with the comma before it, while windows have some whole.
    #[inline(always)]
    fn windows(&mut self, level: impl Level) {
        while self.line.wrapping_sub(1) < MAX_LINE - MAX_ROWS as u32
            && self.cursor.rest().first() == Some(&b',')
            && let Some(text) = self.cursor.rest().first_chunk()
            && let Some(window) = Window::new(text, level)
        {
            simd::prefetch(self.cursor.rest(), AHEAD);
            let marks = Marks::of(&window);
            let bytes = marks.whole_bytes(self.words);
            if bytes == 0 {
                return;
            }
            self.take(text, &marks, bytes, level);
            self.cursor.advance(bytes);
        }
    }

    /// Takes the elements of the first bytes of a window, with which the text starts.
    #[inline(always)]
    fn take(&mut self, text: &Text, marks: &Marks, bytes: usize, level: impl Level) {
        let taken = (1 << bytes) - 1;
        let elements = marks.elements() & taken;
        let uncounted = marks.words(self.words, Word::Uncounted) & taken;
        let rows = marks.numbers & taken | uncounted;
        // What does not count is a number without digits.
        let ends = marks.number_ends() & (taken << 1) | uncounted;
        let places = |bits: u64| {
            let mut places = [0; WINDOW_BYTES];
            level.places(bits, 0, 0, &mut places);
            places
        };
        let lines = places(level.extract(rows, elements));
        let (starts, ends) = (places(rows), places(ends));
        let mut hits = [0; MAX_ROWS];
        for ((hits, starts), ends) in (hits.as_chunks_mut::<ROWS>().0.iter_mut())
            .zip(starts.as_chunks().0)
            .zip(ends.as_chunks().0)
            .take(rows.count_ones().div_ceil(ROWS as u32) as usize)
        {
            *hits = level.numbers(text, starts, ends);
        }
        // As many are written always, and those too many taken back.
        let counts = &mut *self.counts;
        let first = counts.lines.len();
        let widened = |places: &[u16; WINDOW_BYTES], from: u32| -> [u32; MAX_ROWS] {
            std::array::from_fn(|at| from + u32::from(places[at]))
        };
        counts.lines.extend_from_slice(&widened(&lines, *self.line));
        counts.hits.extend_from_slice(&hits);
        counts.lines.truncate(first + rows.count_ones() as usize);
        counts.hits.truncate(first + rows.count_ones() as usize);
        if uncounted != 0 {
            let places = places(level.extract(uncounted, rows));
            let before = counts.uncounted.len();
            counts
                .uncounted
                .extend_from_slice(&widened(&places, first as u32));
            counts
                .uncounted
                .truncate(before + uncounted.count_ones() as usize);
        }
        *self.line += elements.count_ones();
    }
}

/// What stands in a window whose first byte is the comma before an element: a bit for every byte, the first byte's
/// lowest.
struct Marks {
    digits: u64,
    /// Where numbers of nothing but digits start.
    numbers: u64,
    /// Where `null` starts.
    nulls: u64,
    /// Where `-1` starts.
    minus_ones: u64,
    /// Commas behind elements, and the bracket that ends the list.
    ends: u64,
    /// Bytes from the first of which on it is no list of short counts and words, or another list.
    wrong: u64,
}

impl Marks {
    #[inline(always)]
    fn of(window: &Window<'_, impl Level>) -> Marks {
        let digits = window.digits();
        let (commas, closing) = (window.equal_to(b','), window.equal_to(b']'));
        let (nulls, minus_ones) = (nulls(window), minus_ones(window));
        let numbers = digits & !(digits << 1) & !(minus_ones << 1);
        let ends = (commas | closing) & !1;
        let known = digits | commas | closing | minus_ones | (nulls * 0b1111);
        let mut marks = Marks {
            digits,
            numbers,
            nulls,
            minus_ones,
            ends,
            wrong: !(known | blanks(window, known)),
        };
        let behind_list = !(closing ^ closing.wrapping_sub(1));
        marks.wrong |= behind_list | marks.bad_numbers(window) | marks.out_of_turn();
        marks
    }

    /// Where elements start.
    #[inline(always)]
    fn elements(&self) -> u64 {
        self.numbers | self.nulls | self.minus_ones
    }

    /// Where words start that say one thing.
    #[inline(always)]
    fn words(&self, words: Words, said: Word) -> u64 {
        let nulls = if words.null == said { self.nulls } else { 0 };
        let minus_ones = if words.minus_one == said {
            self.minus_ones
        } else {
            0
        };
        nulls | minus_ones
    }

    /// What stands behind each number.
    #[inline(always)]
    fn number_ends(&self) -> u64 {
        self.digits << 1 & !self.digits & !(self.minus_ones << 2)
    }

    /// Where numbers start that are too long, or have a zero in front.
    #[inline(always)]
    fn bad_numbers(&self, window: &Window<'_, impl Level>) -> u64 {
        const { assert!(MAX_DIGITS == 8) };
        let two = self.digits & (self.digits >> 1);
        let four = two & (two >> 2);
        let nine = four & (four >> 4) & (self.digits >> MAX_DIGITS);
        nine | (self.numbers & two & window.equal_to(b'0'))
    }

    /// Elements that do not follow an end, and ends that do not follow an element.
    #[inline(always)]
    fn out_of_turn(&self) -> u64 {
        let is_inside = odd_up_to(self.elements() | self.ends);
        (self.elements() & !is_inside) | (self.ends & is_inside)
    }

    /// The bytes up to the last end before which nothing is wrong or odd; 0 if there is none.
    #[inline(always)]
    fn whole_bytes(&self, words: Words) -> usize {
        let wrong = self.wrong | self.words(words, Word::Odd);
        let right = (wrong & wrong.wrapping_neg()).wrapping_sub(1);
        (self.ends & right).checked_ilog2().unwrap_or(0) as usize
    }
}

#[inline]
fn is_minus_one(text: &[u8]) -> bool {
    let goes_on = matches!(text.get(2), Some(b'0'..=b'9' | b'.' | b'e' | b'E'));
    text.starts_with(b"-1") && !goes_on
}

#[inline(always)]
fn nulls(window: &Window<'_, impl Level>) -> u64 {
    let n = window.equal_to(b'n');
    if n == 0 {
        return 0;
    }
    let l = window.equal_to(b'l');
    n & (window.equal_to(b'u') >> 1) & (l >> 2) & (l >> 3)
}

#[inline(always)]
fn minus_ones(window: &Window<'_, impl Level>) -> u64 {
    let minus = window.equal_to(b'-');
    if minus == 0 {
        return 0;
    }
    minus & (window.equal_to(b'1') >> 1) & !(window.digits() >> 2)
}

/// The blanks among bytes that are not `known`.
#[inline(always)]
fn blanks(window: &Window<'_, impl Level>, known: u64) -> u64 {
    let spaces = window.equal_to(b' ');
    if known | spaces == u64::MAX {
        return spaces;
    }
    spaces | window.equal_to(b'\n') | window.equal_to(b'\t') | window.equal_to(b'\r')
}

/// A bit for each place up to which, with it, an odd number of bits is set.
#[inline(always)]
fn odd_up_to(bits: u64) -> u64 {
    [1, 2, 4, 8, 16, 32]
        .iter()
        .fold(bits, |bits, by| bits ^ (bits << by))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::Value;
    use super::*;

    const WORDS: [Words; 3] = [
        Words {
            null: Word::Skipped,
            minus_one: Word::Odd,
        },
        Words {
            null: Word::Uncounted,
            minus_one: Word::Skipped,
        },
        Words {
            null: Word::Odd,
            minus_one: Word::Uncounted,
        },
    ];

    /// The rows of a list that start it, and the other elements by their lines.
    fn read(list: &[u8], words: Words) -> Step<(Counts, Vec<(u32, String)>)> {
        let mut cursor = Cursor::new(list);
        let (mut first, mut line, mut counts) = (true, 1, Counts::default());
        let mut others = Vec::new();
        cursor.expect(b'[')?;
        while cursor.counts(&mut first, words, &mut line, &mut counts)? {
            others.push((line, String::from_utf8_lossy(cursor.raw()?).into_owned()));
            line += 1;
        }
        cursor.end()?;
        Ok((counts, others))
    }

    /// What [`read`] is to give for elements as they are written.
    fn expected(elements: &[String], words: Words) -> (Counts, Vec<(u32, String)>) {
        let (mut counts, mut others) = (Counts::default(), Vec::new());
        for (line, element) in (1..).zip(elements) {
            let word = match &**element {
                "null" => words.null,
                "-1" => words.minus_one,
                element => match element.parse() {
                    Ok(hits) => {
                        counts.push(line, hits);
                        continue;
                    }
                    Err(_) => Word::Odd,
                },
            };
            match word {
                Word::Skipped => {}
                Word::Uncounted => counts.push_uncounted(line),
                Word::Odd => others.push((line, element.clone())),
            }
        }
        (counts, others)
    }

    fn element() -> impl Strategy<Value = String> {
        prop_oneof![
            6 => (0..2_000_000_000_u64, 0..10_u32).prop_map(|(hits, less)| (hits / 10_u64.pow(less)).to_string()),
            4 => Just("null".to_owned()),
            2 => Just("-1".to_owned()),
            1 => prop_oneof![Just("-12"), Just("1.5"), Just("\"1/2\""), Just("true"), Just("[0]")].prop_map(str::to_owned),
        ]
    }

    proptest! {
        #[test]
        fn elements_keep_their_lines(
            mut elements in vec(element(), 0..200),
            gap in prop_oneof![Just(","), Just(", "), Just(",\n    "), Just(" ,\t"), Just(",\r\n                      ")],
            rare in any::<bool>(),
        ) {
            if rare {
                elements.retain(|element| element.parse::<u64>().is_ok() || element == "null");
            }
            let list = format!("[{}]", elements.join(gap));
            for words in WORDS {
                prop_assert_eq!(read(list.as_bytes(), words).unwrap(), expected(&elements, words));
            }
        }

        #[test]
        fn a_list_is_read_if_it_is_json(before in 0..70_usize, text in "[0159nul,,, -]{0,12}") {
            let text = text.replace('n', "null").replace(['u', 'l'], "");
            let list = format!("[{}{text}{}]", "7,".repeat(before), ",8".repeat(40));
            let is_json = serde_json::from_str::<Vec<serde_json::Value>>(&list);
            for words in WORDS {
                let found = read(list.as_bytes(), words);
                prop_assert_eq!(found.is_ok(), is_json.is_ok(), "{}", list);
            }
        }
    }

    #[test]
    fn lists_end_where_they_end() {
        let numbers = "1,2,null,3,".repeat(10);
        let words = WORDS[1];
        for behind in [", 4, 5, 6]", "[7, 8]", "9", "", " }"] {
            let list = format!("[{numbers}4] {behind}{}", " ".repeat(80));
            let mut cursor = Cursor::new(list.as_bytes());
            let (mut line, mut counts) = (1, Counts::default());
            cursor.expect(b'[').unwrap();
            assert!(
                !cursor
                    .counts(&mut true, words, &mut line, &mut counts)
                    .unwrap()
            );
            assert_eq!((cursor.at(), line), (numbers.len() + 3, 42));
            assert_eq!((counts.lines.len(), counts.uncounted.len()), (41, 10));
        }
    }

    #[test]
    fn lines_that_no_file_has_are_left_to_the_caller() {
        let list = format!("[{}]", ["1"; 300].join(","));
        for (from, taken) in [(0, 0), (MAX_LINE - 99, 100), (MAX_LINE + 1, 0)] {
            let (mut line, mut counts) = (from, Counts::default());
            let mut cursor = Cursor::new(list.as_bytes());
            cursor.expect(b'[').unwrap();
            assert!(
                cursor
                    .counts(&mut true, WORDS[0], &mut line, &mut counts)
                    .unwrap()
            );
            assert_eq!(counts.lines.len(), taken);
            assert_eq!(cursor.value().unwrap(), Value::Number(b"1"));
        }
    }
}
