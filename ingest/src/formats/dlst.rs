//! D's coverage listings. Source: dlang.org, "Code Coverage Analysis".

use engine::model::Kind;
use memchr::{memchr, memrchr};

use super::Context;
use super::sources::{Source, counted};
use crate::error::Result;
use crate::number::digits;

/// Adds the one source file that the listing is about.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let Some(path) = find_path(content, context)? else {
        return Ok(());
    };
    let mut source = Source::new(path, context);
    let mut rest = content;
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let length = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..length];
        rest = rest.get(length + 1..).unwrap_or_default();
        let count = line.trim_ascii_start();
        if count.starts_with(b"|") {
            continue;
        }
        let Some(number) = context.checked_line(number, &source.path) else {
            break;
        };
        let (hits, length) = digits(count);
        if (1..18).contains(&length) && count.get(length) == Some(&b'|') {
            source.hits(number, hits);
        } else if let Some(coverage) = counted(&count[..memchr(b'|', count).unwrap_or(count.len())])
        {
            source.append(number, Kind::Line, coverage);
        }
    }
    source.finish(context);
    Ok(())
}

/// The path of the source: that of the listing, `.d` for `.lst`, else the one named at its end.
fn find_path(content: &[u8], context: &Context<'_>) -> Result<Option<String>> {
    let filled = |path: Option<String>| path.filter(|path| !path.is_empty());
    if let Some((end, _)) = context.name.char_indices().rev().nth(2) {
        let name = format!("{}d", &context.name[..end]);
        if let Some(path) = filled(context.paths.fix(&name)?) {
            return Ok(filled(context.paths.fix(&path)?));
        }
    }
    let last = &content[memrchr(b'\n', content).map_or(0, |at| at + 1)..];
    let last = String::from_utf8_lossy(last);
    let name = last.trim().split(" is ").next().unwrap_or_default();
    let name = name.strip_prefix("source ").unwrap_or(name);
    Ok(filled(context.paths.fix(name)?))
}
