//! Binary property lists: objects, a table of where they start, and a trailer of 32 bytes.

use super::{Item, Object, Objects, Record};

/// What a file starts with.
pub(super) const MAGIC: &[u8] = b"bplist00";
const TRAILER_BYTES: usize = 32;

/// Reads the objects of an archive; `None` when there are none.
pub(super) fn read(bytes: &[u8]) -> Option<Objects<'_>> {
    let list = List::open(bytes)?;
    let top = list.items(list.top)?;
    let found = top
        .pairs()
        .find(|(key, _)| list.text(*key) == Some(b"$objects"));
    let array = list.items(found?.1)?;
    let mut objects = Objects::default();
    // An array may name one object again and again: its keys are read as often.
    let mut steps = bytes.len();
    for number in array.all() {
        let object = list.object(number, &mut objects.numbers, &mut steps)?;
        objects.objects.push(object);
    }
    Some(objects)
}

/// A property list whose table was found.
struct List<'a> {
    bytes: &'a [u8],
    /// Where the objects start, each in `offset_bytes`.
    table: &'a [u8],
    offset_bytes: usize,
    reference_bytes: usize,
    top: u64,
}

/// A marker, what it counts, and what is behind.
struct Head<'a> {
    kind: u8,
    low: u8,
    rest: &'a [u8],
}

/// References to the members of an array, or to the keys of a dictionary and then to its values.
struct Items<'a> {
    references: &'a [u8],
    reference_bytes: usize,
    is_dictionary: bool,
}

impl<'a> List<'a> {
    fn open(bytes: &'a [u8]) -> Option<List<'a>> {
        let (body, trailer) = bytes.split_at_checked(bytes.len().checked_sub(TRAILER_BYTES)?)?;
        let [offset_bytes, reference_bytes] = [trailer[6], trailer[7]].map(usize::from);
        if !(1..=8).contains(&offset_bytes) || !(1..=8).contains(&reference_bytes) {
            return None;
        }
        let count = usize::try_from(big_endian(&trailer[8..16])).ok()?;
        let table = usize::try_from(big_endian(&trailer[24..])).ok()?;
        let table = body.get(table..)?.get(..count.checked_mul(offset_bytes)?)?;
        Some(List {
            bytes,
            table,
            offset_bytes,
            reference_bytes,
            top: big_endian(&trailer[16..24]),
        })
    }

    fn head(&self, number: u64) -> Option<Head<'a>> {
        let at = usize::try_from(number)
            .ok()?
            .checked_mul(self.offset_bytes)?;
        let offset = big_endian(self.table.get(at..at.checked_add(self.offset_bytes)?)?);
        let (&marker, rest) = self
            .bytes
            .get(usize::try_from(offset).ok()?..)?
            .split_first()?;
        Some(Head {
            kind: marker >> 4,
            low: marker & 15,
            rest,
        })
    }

    /// The members of an array or a dictionary.
    fn items(&self, number: u64) -> Option<Items<'a>> {
        let head = self.head(number)?;
        let (count, rest) = head.count()?;
        let lists = match head.kind {
            0xa => 1,
            0xd => 2,
            _ => return None,
        };
        let length = count.checked_mul(self.reference_bytes * lists)?;
        Some(Items {
            references: rest.get(..length)?,
            reference_bytes: self.reference_bytes,
            is_dictionary: head.kind == 0xd,
        })
    }

    /// A text of ASCII.
    fn text(&self, number: u64) -> Option<&'a [u8]> {
        let head = self.head(number)?;
        let (count, rest) = head.count()?;
        (head.kind == 5).then_some(rest.get(..count)?)
    }

    fn object(&self, number: u64, numbers: &mut Vec<u32>, steps: &mut usize) -> Option<Object<'a>> {
        let head = self.head(number)?;
        match head.kind {
            5 => {
                let text = self.text(number)?;
                Some(Object::Text(String::from_utf8_lossy(text)))
            }
            6 => {
                let (count, rest) = head.count()?;
                let units = rest.get(..count.checked_mul(2)?)?.chunks_exact(2);
                *steps = steps.checked_sub(count)?;
                let units: Vec<u16> = units.map(|unit| big_endian(unit) as u16).collect();
                Some(Object::Text(String::from_utf16_lossy(&units).into()))
            }
            0xd => self.dictionary(number, numbers, steps),
            _ => Some(Object::Other),
        }
    }

    fn dictionary(
        &self,
        number: u64,
        numbers: &mut Vec<u32>,
        steps: &mut usize,
    ) -> Option<Object<'a>> {
        let mut record = Record::default();
        for (key, value) in self.items(number)?.pairs() {
            *steps = steps.checked_sub(1)?;
            let key = self.text(key).unwrap_or_default();
            if key != b"NS.objects" {
                record.set(key, self.item(value)?);
                continue;
            }
            let start = numbers.len();
            for member in self.items(value)?.all() {
                *steps = steps.checked_sub(1)?;
                numbers.push(self.item(member)?.reference());
            }
            return Some(Object::List(start, numbers.len()));
        }
        Some(Object::Record(record))
    }

    fn item(&self, number: u64) -> Option<Item> {
        let head = self.head(number)?;
        Some(match (head.kind, head.low) {
            (0, 8) => Item::Number(0),
            (0, 9) => Item::Number(1),
            (1, 0..=3) => Item::Number(big_endian(head.rest.get(..1 << head.low)?)),
            (8, 0..=7) => {
                let number = big_endian(head.rest.get(..usize::from(head.low) + 1)?);
                Item::Reference(u32::try_from(number).ok()?)
            }
            _ => Item::Other,
        })
    }
}

impl<'a> Head<'a> {
    /// How many members or characters there are, and what is behind that number.
    fn count(&self) -> Option<(usize, &'a [u8])> {
        if self.low < 15 {
            return Some((usize::from(self.low), self.rest));
        }
        let (&marker, rest) = self.rest.split_first()?;
        if !(0x10..=0x13).contains(&marker) {
            return None;
        }
        let (count, rest) = rest.split_at_checked(1 << (marker & 15))?;
        Some((usize::try_from(big_endian(count)).ok()?, rest))
    }
}

impl Items<'_> {
    fn all(&self) -> impl Iterator<Item = u64> {
        self.references
            .chunks_exact(self.reference_bytes)
            .map(big_endian)
    }

    /// Keys and values of a dictionary.
    fn pairs(&self) -> impl Iterator<Item = (u64, u64)> {
        let count = match self.is_dictionary {
            true => self.references.len() / self.reference_bytes / 2,
            false => 0,
        };
        self.all().take(count).zip(self.all().skip(count))
    }
}

/// At most eight bytes as a number, the highest first.
fn big_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_binary_list_gives_nothing() {
        let mut bytes = MAGIC.to_vec();
        assert!(read(&bytes).is_none());
        bytes.extend([0xff; 64]);
        assert!(read(&bytes).is_none());
        // One byte per offset, which all lead behind the end.
        let end = bytes.len();
        bytes[end - 26] = 1;
        bytes[end - 25] = 1;
        bytes[end - 24..].copy_from_slice(&[
            0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8,
        ]);
        assert!(read(&bytes).is_none());
    }
}
