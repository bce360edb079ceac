//! Zstandard with contexts that threads keep: to make one takes longer than a short frame does.
//!
//! Source: RFC 8878.

use std::cell::RefCell;
use std::io;

use zstd::bulk::{Compressor, Decompressor};

/// Compression level: 3 costs a tenth of parsing.
const LEVEL: i32 = 3;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The same bytes for the same data, whatever was compressed before.
pub(super) fn compress(data: &[u8]) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            None => kept.insert(Compressor::new(LEVEL)?),
        };
        compressor.compress(data)
    })
}

/// Data of at most `size` bytes. Errors: those of what is no such data.
pub(super) fn decompress(compressed: &[u8], size: usize) -> io::Result<Vec<u8>> {
    with_decompressor(|decompressor| decompressor.decompress(compressed, size))
}

/// The same, which must fill the place. Errors: those of what is no such data.
pub(super) fn decompress_to(compressed: &[u8], place: &mut [u8]) -> io::Result<()> {
    let length = with_decompressor(|it| it.decompress_to_buffer(compressed, place))?;
    match length == place.len() {
        true => Ok(()),
        false => Err(io::Error::other("it is shorter than it says")),
    }
}

fn with_decompressor<T>(
    read: impl FnOnce(&mut Decompressor<'static>) -> io::Result<T>,
) -> io::Result<T> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            None => kept.insert(Decompressor::new()?),
        };
        read(decompressor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_before_leaves_no_trace() {
        let texts: Vec<Vec<u8>> = (1..200_usize)
            .map(|length| {
                (0..length * length)
                    .map(|at| (at * at / length) as u8)
                    .collect()
            })
            .collect();
        for text in &texts {
            let kept = compress(text).unwrap();
            assert_eq!(kept, zstd::bulk::compress(text, LEVEL).unwrap());
            assert!(decompress(&kept[1..], text.len()).is_err());
            assert!(decompress(&kept, text.len() - 1).is_err());
            assert_eq!(decompress(&kept, text.len()).unwrap(), *text);
            let mut place = vec![0; text.len()];
            decompress_to(&kept, &mut place).unwrap();
            assert_eq!(place, *text);
            assert!(decompress_to(&kept, &mut vec![0; text.len() + 1]).is_err());
        }
    }
}
