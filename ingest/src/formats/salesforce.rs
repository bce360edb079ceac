//! Salesforce's JSON: an array of Apex classes and triggers with an object of lines.

use std::borrow::Cow;

use super::Context;
use super::lines::{Lines, Listed, as_it_is};
use crate::error::{Failure, Result};
use crate::json::{Cursor, Step};

/// Of a class only the name is given.
const CLASS: &str = ".cls";

const LISTED: Listed = Listed {
    format: "salesforce",
    name: "name",
    values: "lines",
    read: values,
};

/// Adds the classes and triggers. Those without a name or lines are left out.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let mut cursor = Cursor::new(content);
    if cursor.peek()? != b'[' {
        return Err(Failure::corrupt("salesforce: the report is no array"));
    }
    cursor.expect(b'[')?;
    let mut first = true;
    let mut lines = Lines::default();
    while cursor.element(&mut first)? {
        if cursor.peek()? == b'n' {
            cursor.skip()?;
            continue;
        }
        if let (Some(name), _) = LISTED.file(&mut cursor, &mut lines)?
            && !name.is_empty()
            && !lines.is_empty()
        {
            lines.add(LISTED.format, &file_name(name), context)?;
        }
    }
    cursor.end()?;
    Ok(())
}

/// Reads an object. Something empty of another form says nothing.
fn values(lines: &mut Lines, cursor: &mut Cursor<'_>) -> Step<()> {
    if cursor.peek()? == b'{' {
        return lines.object(cursor, as_it_is);
    }
    let mut after = cursor.clone();
    match after.raw()? {
        b"null" | b"[]" | b"\"\"" | b"false" | b"0" => {
            *cursor = after;
            Ok(())
        }
        _ => lines.skip_shapeless(cursor),
    }
}

fn file_name(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.contains('.') {
        name
    } else {
        Cow::Owned(name.into_owned() + CLASS)
    }
}
