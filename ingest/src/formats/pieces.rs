//! Large files, cut where records end and read in parallel.

use memchr::memchr;
use memchr::memmem::{self, Finder};
use rayon::prelude::*;

use super::{Context, Found, MAX_PROBLEMS};
use crate::error::Result;

/// Pieces have about so many bytes.
pub(super) const PIECE_BYTES: usize = 1 << 20;

/// Ends of records in a row at which a cut is tried, before the next try is a piece further on.
const TRIES: usize = 16;

/// Cuts a file behind ends of records, unless one thread reads it all.
pub(super) fn cut<'a>(content: &'a [u8], end: &[u8]) -> Vec<&'a [u8]> {
    cut_where(content, end, |_, _| true)
}

/// Cuts an XML document behind ends of elements where `may_cut` says so of what stands before and
/// behind. One whose comments, CDATA sections or entities could reach into another piece stays whole.
pub(super) fn cut_xml<'a>(
    content: &'a [u8],
    end: &[u8],
    may_cut: impl Fn(&[u8], &[u8]) -> bool,
) -> Vec<&'a [u8]> {
    if is_read_whole() {
        return vec![content];
    }
    let first = memmem::find(content, end).unwrap_or(content.len());
    let (head, rest) = content.split_at(first);
    let reaches = content.len() <= PIECE_BYTES
        || memmem::find(head, b"<!ENTITY").is_some()
        || memmem::find(rest, b"<!").is_some();
    match reaches {
        true => vec![content],
        false => cut_where(content, end, may_cut),
    }
}

/// Whether one thread reads it all.
fn is_read_whole() -> bool {
    rayon::current_num_threads() == 1
}

fn cut_where<'a>(
    content: &'a [u8],
    end: &[u8],
    may_cut: impl Fn(&[u8], &[u8]) -> bool,
) -> Vec<&'a [u8]> {
    if is_read_whole() {
        return vec![content];
    }
    let end = Finder::new(end);
    let mut pieces = Vec::with_capacity(content.len() / PIECE_BYTES + 1);
    let (mut rest, mut from) = (content, PIECE_BYTES);
    let mut tries = 0;
    while let Some(found) = rest.get(from..).and_then(|rest| end.find(rest)) {
        let (piece, behind) = rest.split_at(from + found + end.needle().len());
        if may_cut(piece, behind) {
            pieces.push(piece);
            (rest, from) = (behind, PIECE_BYTES);
            tries = 0;
        } else {
            tries += 1;
            from = piece.len();
            // What may not be cut costs a look at each end; there may be very many.
            if tries % TRIES == 0 {
                from += PIECE_BYTES;
            }
        }
    }
    pieces.push(rest);
    pieces
}

/// Reads pieces of one file that do not depend on each other, in parallel, and gives what was read in
/// their order. What is found and noted is what would be if they were read one after the other; the
/// first failure counts.
pub(super) fn read_pieces<'b, R: Send>(
    pieces: &[&'b [u8]],
    context: &mut Context<'_>,
    read: impl Fn(&'b [u8], &mut Context<'_>) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    if let [piece] = pieces {
        return Ok(vec![read(piece, context)?]);
    }
    let (name, format, parsers) = (context.name, context.format, context.parsers);
    let (age, ignored) = (context.age, context.ignored);
    let readers: Vec<_> = pieces
        .iter()
        .map(|&piece| (piece, context.paths.anew()))
        .collect();
    let pieces: Vec<_> = readers
        .into_par_iter()
        .map(|(piece, paths)| {
            let (found, problems) = (Found::default(), Vec::new());
            let mut context = Context {
                name,
                format,
                paths: &paths,
                parsers,
                age,
                ignored,
                found,
                problems,
            };
            let result = read(piece, &mut context);
            let Context {
                found, problems, ..
            } = context;
            (result, found, problems, paths)
        })
        .collect();
    let mut all = Vec::with_capacity(pieces.len());
    for (result, found, problems, paths) in pieces {
        context.paths.include(paths);
        context.problems.extend(problems);
        context.problems.truncate(MAX_PROBLEMS);
        all.push(result?);
        context.found.include(found);
    }
    Ok(all)
}

/// Reads a file by its pieces, or as a whole where two of them speak of one file, whose records must be read in
/// their order. `read` must give the same for a piece as for the same part of the whole.
pub(super) fn read_apart<'b>(
    content: &'b [u8],
    pieces: &[&'b [u8]],
    context: &mut Context<'_>,
    read: impl Fn(&'b [u8], &mut Context<'_>) -> Result<()> + Sync,
) -> Result<()> {
    let problems = context.problems.len();
    let counts = read_pieces(pieces, context, |piece, context| {
        read(piece, context).map(|()| context.found.len())
    })?;
    if context.found.len() < counts.iter().sum() {
        forget(context, problems);
        read(content, context)?;
    }
    Ok(())
}

/// Drops what was found, and noted behind so many problems.
pub(super) fn forget(context: &mut Context<'_>, problems: usize) {
    context.found = Found::default();
    context.problems.truncate(problems);
}

/// Whether a piece is the first of a file.
pub(super) fn is_first(piece: &[u8], content: &[u8]) -> bool {
    std::ptr::eq(piece.as_ptr(), content.as_ptr())
}

/// Whether what follows the last `key` before a cut, up to `end`, differs from what follows the first behind it, as
/// far as both stand within a piece's length of the cut.
pub(super) fn differs(before: &[u8], behind: &[u8], key: &[u8], end: u8) -> bool {
    fn value(text: &[u8], start: usize, end: u8) -> &[u8] {
        let value = &text[start..];
        &value[..memchr(end, value).unwrap_or(value.len())]
    }
    let before = &before[before.len().saturating_sub(PIECE_BYTES)..];
    let behind = &behind[..behind.len().min(PIECE_BYTES)];
    match (memmem::rfind(before, key), memmem::find(behind, key)) {
        (Some(last), Some(first)) => {
            value(before, last + key.len(), end) != value(behind, first + key.len(), end)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_parallel<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
        pool.unwrap().install(work)
    }

    #[test]
    fn pieces_end_with_a_record() {
        let record = "SF:a.c\nDA:1,1\nend_of_record\n";
        let content = record.repeat(3 * PIECE_BYTES / record.len()) + "SF:b.c\nDA:1,1";
        let pieces = in_parallel(|| cut(content.as_bytes(), b"\nend_of_record"));
        assert_eq!(pieces.concat(), content.as_bytes());
        let (last, others) = pieces.split_last().unwrap();
        assert!(
            !others.is_empty()
                && others
                    .iter()
                    .all(|piece| piece.ends_with(b"\nend_of_record"))
        );
        assert!(last.ends_with(b"DA:1,1"));
    }

    #[test]
    fn few_ends_are_looked_at_where_no_cut_may_be() {
        let content = "</a>".repeat(8 * PIECE_BYTES / 4);
        let tries = std::sync::atomic::AtomicUsize::new(0);
        let refuse = |_: &[u8], _: &[u8]| {
            tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            false
        };
        let pieces = in_parallel(|| cut_where(content.as_bytes(), b"</a>", refuse).len());
        assert_eq!(pieces, 1);
        assert!((TRIES..=8 * TRIES).contains(&tries.into_inner()));
    }

    #[test]
    fn what_differs_is_looked_for_near_the_cut() {
        let differ = |before: &str, behind: &str| {
            differs(before.as_bytes(), behind.as_bytes(), b"file=\"", b'"')
        };
        assert!(differ("<a file=\"x\"/>", "<a file=\"y\"/>"));
        assert!(!differ("<a file=\"x\"/>", "<a file=\"x\"/>"));
        let far = " ".repeat(PIECE_BYTES);
        assert!(!differ("<a file=\"x\"/>", &format!("{far}<a file=\"y\"/>")));
        assert!(!differ(&format!("<a file=\"x\"/>{far}"), "<a file=\"y\"/>"));
    }

    #[test]
    fn a_document_whose_comments_could_hide_an_end_stays_whole() {
        let content = "<a></a>".repeat(3 * PIECE_BYTES / 7);
        let count =
            |content: &str| in_parallel(|| cut_xml(content.as_bytes(), b"</a>", |_, _| true).len());
        assert!(count(&content) > 2);
        assert_eq!(count(&(content.clone() + "<!-- </a> -->")), 1);
        assert_eq!(
            count(&format!("<!DOCTYPE r [<!ENTITY x 'y'>]>{content}")),
            1
        );
        assert!(count(&format!("<!-- </b> -->{content}")) > 2);
    }
}
