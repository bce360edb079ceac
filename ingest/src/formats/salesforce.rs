//! Salesforce's JSON: an array of Apex classes and triggers with an object of lines.

use std::borrow::Cow;

use super::lines::{Lines, Listed, as_it_is};
use super::{Body, Context};
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

/// Adds the classes and triggers, and tells where those behind the first stand. Those without a name or
/// lines are left out.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<Body> {
    let mut cursor = Cursor::new(content);
    if cursor.peek()? != b'[' {
        return Err(Failure::corrupt("salesforce: the report is no array"));
    }
    cursor.expect(b'[')?;
    let mut first = true;
    let mut lines = Lines::default();
    let (mut count, mut others) = (0, 0..0);
    while cursor.element(&mut first)? {
        count += 1;
        if count == 2 {
            others = cursor.at()..cursor.at();
        }
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
        others.end = cursor.at();
    }
    cursor.end()?;
    Ok(if count > 1 { others } else { 0..0 })
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
