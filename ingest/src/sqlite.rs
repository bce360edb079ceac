//! Reads the rows of tables of an SQLite database in memory: no SQL, no writing, and no trust in the
//! bytes. Work is linear in the size of the database. Source: sqlite.org/fileformat2.html.

use std::borrow::Cow;

/// What a database starts with.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Bytes of the header of a database.
const HEADER_BYTES: usize = 100;
/// How deep the pages of a table may be nested.
const MAX_DEPTH: usize = 20;
/// Columns of a row that are read.
const COLUMNS: usize = 5;
/// The page that lists the tables.
const SCHEMA_PAGE: u32 = 1;

/// Why a database cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// A value of a row.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Value<'a> {
    /// Null, a number with a fraction, or no column.
    Other,
    Integer(i64),
    Bytes(&'a [u8]),
}

/// The first columns of a row.
pub(crate) type Row<'a> = [Value<'a>; COLUMNS];

/// A database.
pub(crate) struct Database<'a> {
    bytes: &'a [u8],
    page_bytes: usize,
    /// The bytes of a page that hold data.
    usable_bytes: usize,
}

impl<'a> Database<'a> {
    /// Opens a database by its bytes.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Database<'a>, Damaged> {
        if !bytes.starts_with(MAGIC) || bytes.len() < HEADER_BYTES {
            return Err(Damaged);
        }
        let page_bytes = match big_endian(&bytes[16..18]) {
            1 => 65_536,
            size => size as usize,
        };
        let usable_bytes = page_bytes
            .checked_sub(usize::from(bytes[20]))
            .ok_or(Damaged)?;
        if !page_bytes.is_power_of_two() || usable_bytes < 480 {
            return Err(Damaged);
        }
        Ok(Database {
            bytes,
            page_bytes,
            usable_bytes,
        })
    }

    /// The first page of a table; `None` when there is no such table.
    pub(crate) fn find_table(&self, name: &str) -> Result<Option<u32>, Damaged> {
        let mut found = None;
        self.rows(SCHEMA_PAGE, |_, row| {
            let is_it = row[0] == Value::Bytes(b"table") && row[1] == Value::Bytes(name.as_bytes());
            if let Value::Integer(page) = row[3]
                && is_it
            {
                found = u32::try_from(page).ok();
            }
        })?;
        Ok(found)
    }

    /// Calls `each` for the rows of a table, by the table's first page, with their numbers.
    pub(crate) fn rows(
        &self,
        first_page: u32,
        mut each: impl FnMut(i64, &Row<'_>),
    ) -> Result<(), Damaged> {
        // No byte of a sound database is read twice.
        let mut left = self.bytes.len();
        self.page_rows(first_page, 0, &mut left, &mut each)
    }

    fn page(&self, number: u32) -> Result<&'a [u8], Damaged> {
        let start = (number as usize)
            .checked_sub(1)
            .and_then(|before| before.checked_mul(self.page_bytes))
            .ok_or(Damaged)?;
        self.bytes
            .get(start..)
            .and_then(|rest| rest.get(..self.usable_bytes))
            .ok_or(Damaged)
    }

    fn page_rows(
        &self,
        number: u32,
        depth: usize,
        left: &mut usize,
        each: &mut impl FnMut(i64, &Row<'_>),
    ) -> Result<(), Damaged> {
        const INNER: u8 = 5;
        const LEAF: u8 = 13;
        let page = self.page(number)?;
        spend(left, page.len())?;
        let header = match number {
            SCHEMA_PAGE => &page[HEADER_BYTES..],
            _ => page,
        };
        let cells = big_endian(&header[3..5]) as usize;
        let pointers = |header_bytes: usize| {
            let pointers = header.get(header_bytes..header_bytes + 2 * cells);
            pointers.map(|bytes| bytes.chunks_exact(2)).ok_or(Damaged)
        };
        match header[0] {
            INNER if depth < MAX_DEPTH => {
                for pointer in pointers(12)? {
                    let child = page.get(big_endian(pointer) as usize..).ok_or(Damaged)?;
                    let child = big_endian(child.get(..4).ok_or(Damaged)?) as u32;
                    self.page_rows(child, depth + 1, left, each)?;
                }
                let last = big_endian(&header[8..12]) as u32;
                self.page_rows(last, depth + 1, left, each)
            }
            LEAF => {
                let mut left_in_page = page.len();
                for pointer in pointers(8)? {
                    let cell = page.get(big_endian(pointer) as usize..).ok_or(Damaged)?;
                    let (length, cell) = varint(cell)?;
                    let (row, cell) = varint(cell)?;
                    let payload = self.payload(length, cell, left, &mut left_in_page)?;
                    each(row as i64, &columns(&payload)?);
                }
                Ok(())
            }
            _ => Err(Damaged),
        }
    }

    /// The bytes of a row, of which some may stand on further pages.
    fn payload(
        &self,
        length: u64,
        cell: &'a [u8],
        left: &mut usize,
        left_in_page: &mut usize,
    ) -> Result<Cow<'a, [u8]>, Damaged> {
        let length = usize::try_from(length).map_err(|_| Damaged)?;
        let usable = self.usable_bytes;
        let most = usable - 35;
        if length <= most {
            spend(left_in_page, length)?;
            return cell.get(..length).map(Cow::Borrowed).ok_or(Damaged);
        }
        let least = (usable - 12) * 32 / 255 - 23;
        let here = match least + (length - least) % (usable - 4) {
            here if here <= most => here,
            _ => least,
        };
        spend(left_in_page, here)?;
        let (start, rest) = cell.split_at_checked(here).ok_or(Damaged)?;
        let mut payload = start.to_vec();
        let mut next = big_endian(rest.get(..4).ok_or(Damaged)?) as u32;
        while payload.len() < length {
            let page = self.page(next)?;
            spend(left, page.len())?;
            let (pointer, data) = page.split_at(4);
            payload.extend_from_slice(&data[..data.len().min(length - payload.len())]);
            next = big_endian(pointer) as u32;
        }
        Ok(Cow::Owned(payload))
    }
}

/// Takes so many bytes from those that may still be read.
fn spend(left: &mut usize, bytes: usize) -> Result<(), Damaged> {
    *left = left.checked_sub(bytes).ok_or(Damaged)?;
    Ok(())
}

/// The first columns of a row.
fn columns(payload: &[u8]) -> Result<Row<'_>, Damaged> {
    let (header_bytes, _) = varint(payload)?;
    let header_bytes = usize::try_from(header_bytes).map_err(|_| Damaged)?;
    let (header, mut data) = payload.split_at_checked(header_bytes).ok_or(Damaged)?;
    let (_, mut types) = varint(header)?;
    let mut row = [Value::Other; COLUMNS];
    for column in &mut row {
        if types.is_empty() {
            break;
        }
        let kind;
        (kind, types) = varint(types)?;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind as usize,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return Err(Damaged),
            kind => usize::try_from((kind - 12) / 2).map_err(|_| Damaged)?,
        };
        let value;
        (value, data) = data.split_at_checked(length).ok_or(Damaged)?;
        *column = match kind {
            1..=6 => Value::Integer(signed(value)),
            8 | 9 => Value::Integer(kind as i64 - 8),
            12.. => Value::Bytes(value),
            _ => Value::Other,
        };
    }
    Ok(row)
}

/// A number of up to nine bytes, seven bits in each, the highest first; and what is behind.
fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), Damaged> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().take(9).enumerate() {
        if at == 8 {
            return Ok((value << 8 | u64::from(byte), &bytes[9..]));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Ok((value, &bytes[at + 1..]));
        }
    }
    Err(Damaged)
}

/// At most eight bytes as a number, the highest first.
fn big_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// Like [`big_endian`], in two's complement of 1 to 8 bytes.
fn signed(bytes: &[u8]) -> i64 {
    let unused = 64 - 8 * bytes.len().clamp(1, 8) as u32;
    (big_endian(bytes) << unused) as i64 >> unused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_width_are_read() {
        assert_eq!(varint(&[0x7f, 1]), Ok((127, &[1][..])));
        assert_eq!(varint(&[0x81, 0]), Ok((128, &[][..])));
        assert_eq!(varint(&[0xff; 9]), Ok((u64::MAX, &[][..])));
        assert_eq!(varint(&[0xff; 8]), Err(Damaged));
        assert_eq!(signed(&[0xff, 0xfe]), -2);
        assert_eq!(signed(&[0, 0xfe]), 254);
    }

    #[test]
    fn pages_that_lead_to_themselves_are_damage() {
        let mut bytes = vec![0; 2 * 512];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[16..18].copy_from_slice(&[2, 0]);
        bytes[100] = 5; // An inner page whose last child is itself.
        bytes[111] = 1;
        let database = Database::open(&bytes).unwrap();
        assert_eq!(database.find_table("file"), Err(Damaged));
        assert!(Database::open(&bytes[..99]).is_err());
    }
}
