//! Property lists in XML. Source: developer.apple.com, "PropertyList-1.0.dtd".

use memchr::memmem;

use super::{Item, Object, Objects, Record};
use crate::number::digits;
use crate::xml::{Markup, Scanner};

/// Reads the objects of an archive; `None` when there are none.
pub(super) fn read(content: &[u8]) -> Option<Objects<'_>> {
    let start = memmem::find(content, b"<key>$objects</key>")?;
    let mut scanner = Scanner::new(content);
    // Behind the document type, so that entities are known.
    while let Some(Markup::Other | Markup::Aside) = scanner.markup() {}
    scanner.advance(start.checked_sub(content.len() - scanner.rest().len())?);
    scanner.next()?;
    scanner.next()?;
    if scanner.next()? != Markup::Open(b"array") {
        return None;
    }
    let mut objects = Objects::default();
    loop {
        let object = match scanner.next()? {
            Markup::Close(b"array") => return Some(objects),
            Markup::Open(b"dict") => dict(&mut scanner, &mut objects.numbers)?,
            Markup::Open(b"string") => {
                let text = scanner.decode(scanner.text());
                skip_to_close(&mut scanner, b"string")?;
                Object::Text(text)
            }
            Markup::Open(name) => {
                skip_to_close(&mut scanner, name)?;
                Object::Other
            }
            _ => Object::Other,
        };
        objects.objects.push(object);
    }
}

/// An object that has keys.
fn dict<'a>(scanner: &mut Scanner<'a>, numbers: &mut Vec<u32>) -> Option<Object<'a>> {
    let mut record = Record::default();
    let mut list = None;
    loop {
        match scanner.next()? {
            Markup::Close(b"dict") => break,
            Markup::Empty(b"dict") => {}
            Markup::Open(b"key") => {}
            _ => continue,
        }
        let key = scanner.text();
        scanner.next()?;
        match scanner.next()? {
            Markup::Open(b"array") if key == b"NS.objects" => {
                let start = numbers.len();
                while let Markup::Open(name) = scanner.next()? {
                    numbers.push(item(scanner, Markup::Open(name))?.reference());
                }
                list = Some(Object::List(start, numbers.len()));
            }
            Markup::Empty(b"array") if key == b"NS.objects" => list = Some(Object::List(0, 0)),
            markup => record.set(key, item(scanner, markup)?),
        }
    }
    Some(list.unwrap_or(Object::Record(record)))
}

/// The item that starts with a markup; the scanner stands behind it then.
fn item<'a>(scanner: &mut Scanner<'a>, markup: Markup<'a>) -> Option<Item> {
    Some(match markup {
        Markup::Empty(b"true") => Item::Number(1),
        Markup::Empty(_) => Item::Number(0),
        Markup::Open(b"dict") => reference(scanner)?,
        Markup::Open(b"integer" | b"real") => {
            let (value, _) = digits(scanner.text().trim_ascii_start());
            scanner.next()?;
            Item::Number(value)
        }
        Markup::Open(name) => {
            skip_to_close(scanner, name)?;
            Item::Other
        }
        _ => Item::Other,
    })
}

/// `CF$UID` and its integer: the number of another object.
fn reference(scanner: &mut Scanner<'_>) -> Option<Item> {
    let mut item = Item::Other;
    let mut depth = 1;
    while depth > 0 {
        match scanner.next()? {
            Markup::Open(b"dict") => depth += 1,
            Markup::Close(b"dict") => depth -= 1,
            Markup::Open(b"integer") => {
                let (number, _) = digits(scanner.text().trim_ascii_start());
                item = Item::Reference(u32::try_from(number).ok()?);
            }
            _ => {}
        }
    }
    Some(item)
}

/// Skips to behind the end of the element of that name that is open.
fn skip_to_close(scanner: &mut Scanner<'_>, name: &[u8]) -> Option<()> {
    let mut depth = 1;
    while depth > 0 {
        match scanner.next()? {
            Markup::Open(inner) if inner == name => depth += 1,
            Markup::Close(inner) if inner == name => depth -= 1,
            _ => {}
        }
    }
    Some(())
}
