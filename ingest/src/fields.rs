//! Lines of text whose fields end with commas: the places of these are found many at once.

use engine::simd::{self, AHEAD, Level, ROW_END, ROWS, RowForm, Text};

/// Bytes that are looked at before the lines in them are read.
const CHUNK: usize = 2048;
/// Bytes that are looked at at once.
const STEP: usize = 64;
/// The most places that rows that are read at once have.
const MOST: usize = 4 * ROWS;

/// A text, read line by line, and the places behind the current one where fields and lines end.
///
/// A line that is longer than what is looked at at once has no end here: it is for its reader to find.
pub(crate) struct Fields<'a> {
    text: &'a [u8],
    /// Where the current line starts.
    at: usize,
    /// Where the bytes start that were looked at, and how many they are.
    from: usize,
    seen: usize,
    /// The places of commas and line breaks, these with [`ROW_END`], behind `from`, and those of them that are left. None
    /// is behind those.
    ends: [u16; CHUNK + STEP + MOST],
    next: usize,
    found: usize,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Fields<'a> {
        Fields {
            text,
            at: 0,
            from: 0,
            seen: 0,
            ends: [0; CHUNK + STEP + MOST],
            next: 0,
            found: 0,
        }
    }

    /// Where the current line starts.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Goes on at a place further on.
    pub(crate) fn seek(&mut self, at: usize) {
        debug_assert!(at >= self.at);
        self.at = at;
    }

    // Inlined always, so that they are compiled as what they are used in is.

    /// Looks at the text from the current line on, unless what was seen before holds at least so many
    /// places of it.
    #[inline(always)]
    pub(crate) fn look(&mut self, places: usize, level: impl Level) {
        if self.at >= self.from + self.seen {
            return self.look_anew(level);
        }
        let start = (self.at - self.from) as u16;
        while self.next < self.found && self.ends[self.next] & !ROW_END < start {
            self.next += 1;
        }
        if self.next + places > self.found && self.at > self.from {
            self.look_anew(level);
        }
    }

    #[inline(always)]
    fn look_anew(&mut self, level: impl Level) {
        let text = &self.text[self.at.min(self.text.len())..];
        let text = &text[..text.len().min(CHUNK)];
        (self.from, self.seen, self.next, self.found) = (self.at, text.len(), 0, 0);
        let (steps, rest) = text.as_chunks::<STEP>();
        let mut from = 0;
        for step in steps {
            simd::prefetch(self.text, self.from + usize::from(from) + AHEAD);
            self.find_ends(step, from, level);
            from += STEP as u16;
        }
        if !rest.is_empty() {
            let mut step = [0; STEP];
            step[..rest.len()].copy_from_slice(rest);
            self.find_ends(&step, from, level);
        }
        if let Some(behind) = self.ends[self.found..].first_chunk_mut::<MOST>() {
            behind.fill(0);
        }
    }

    #[inline(always)]
    fn find_ends(&mut self, step: &[u8; STEP], from: u16, level: impl Level) {
        // There is room behind the most places.
        if let Some(places) = self.ends[self.found..].first_chunk_mut() {
            let [commas, breaks] = [b',', b'\n'].map(|byte| level.equal_to(step, byte));
            self.found += level.places(commas | breaks, breaks, from, places);
        }
    }

    /// Reads rows of a form from the current line on, as far as the places of their ends are known.
    #[inline(always)]
    pub(crate) fn rows<const N: usize>(
        &self,
        form: &RowForm<N>,
        level: impl Level,
    ) -> ([[u64; ROWS]; N], usize) {
        const { assert!(N * ROWS <= MOST) };
        let mut columns = [[0; ROWS]; N];
        let from = (self.at - self.from) as u16;
        let rest = self.text.get(self.at..).unwrap_or_default();
        let rows = match (rest.first_chunk(), self.next_rows()) {
            (_, None) => 0,
            (Some(text), Some(ends)) => level.rows(form, text, from, ends, &mut columns),
            (None, Some(ends)) => {
                let mut text: Text = [0; _];
                text[..rest.len()].copy_from_slice(rest);
                level.rows(form, &text, from, ends, &mut columns)
            }
        };
        (columns, rows)
    }

    /// The places of the ends of the next rows of `N` fields.
    #[inline(always)]
    pub(crate) fn next_rows<const N: usize>(&self) -> Option<&[[u16; N]; ROWS]> {
        let (rows, _) = self.ends.get(self.next..)?.as_chunks();
        rows.first_chunk()
    }

    /// Goes on behind so many rows of `N` fields.
    #[inline(always)]
    pub(crate) fn pass_rows<const N: usize>(&mut self, rows: usize) {
        if let Some(last) = (N * rows).checked_sub(1)
            && let Some(&end) = self.ends.get(self.next + last)
        {
            self.pass(last + 1, usize::from(end & !ROW_END) + 1);
        }
    }

    /// The text from what was looked at on, and beyond it.
    #[inline(always)]
    pub(crate) fn seen(&self) -> &'a [u8] {
        &self.text[self.from.min(self.text.len())..]
    }

    /// Where the current line starts in [`seen`](Self::seen).
    #[inline(always)]
    pub(crate) fn start(&self) -> usize {
        self.at - self.from
    }

    /// The places in [`seen`](Self::seen) where fields end, and where lines do, with [`ROW_END`], of what was looked at.
    #[inline(always)]
    pub(crate) fn ends(&self) -> &[u16] {
        &self.ends[self.next..self.found]
    }

    /// Goes on behind so many places, where a line starts in [`seen`](Self::seen).
    #[inline(always)]
    pub(crate) fn pass(&mut self, places: usize, start: usize) {
        self.next += places;
        self.at = self.from + start;
    }
}

#[cfg(test)]
mod tests {
    use engine::simd::{Work, widely};
    use proptest::prelude::*;

    use super::*;

    struct Look<'a, 't>(&'a mut Fields<'t>);

    impl Work for Look<'_, '_> {
        type Output = ();

        fn run<L: Level>(self, level: L) {
            self.0.look(4, level);
        }
    }

    proptest! {
        #[test]
        fn every_end_is_found(
            text in "([a,\n]{0,80}|a{60,70}|,{100}|a{1000}){0,9}",
            steps in proptest::collection::vec(1..300_usize, 0..40),
        ) {
            let text = text.repeat(4);
            let mut fields = Fields::new(text.as_bytes());
            for step in steps {
                widely(Look(&mut fields));
                let (at, seen) = (fields.at(), fields.from + fields.seen);
                prop_assert!(at >= text.len() || seen > at);
                let expected = (at..seen).filter(|&at| matches!(text.as_bytes()[at], b',' | b'\n'));
                let expected: Vec<usize> = expected.map(|at| at - fields.from).collect();
                for &end in fields.ends() {
                    let byte = fields.seen()[usize::from(end & !ROW_END)];
                    prop_assert_eq!(byte == b'\n', end & ROW_END != 0);
                }
                let ends: Vec<usize> = fields.ends().iter().map(|&end| (end & !ROW_END).into()).collect();
                prop_assert_eq!(&ends, &expected);
                prop_assert!(ends.len() >= 4 || seen == text.len() || fields.from == at);
                if let [_, end, ..] = ends[..] {
                    fields.pass(2, end + 1);
                } else {
                    fields.seek(at + step);
                }
            }
        }
    }
}
