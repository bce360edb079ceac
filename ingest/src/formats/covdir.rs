//! grcov's covdir JSON: a tree of folders, whose leaves are files with an array of counts.
//! Source: github.com/mozilla/grcov, `src/covdir.rs`.

use engine::model::Coverage;

use super::lines::{Cell, Lines, unless_null};
use super::{Body, Context, Found};
use crate::error::{Failure, Result};
use crate::json::{Cursor, Value};

const FORMAT: &str = "covdir";

/// How deep folders may be nested.
const MAX_DEPTH: usize = 64;

/// Adds the files of a tree; tells where the children of its root stand.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<Body> {
    context.found = Found::default();
    let mut reader = Reader {
        cursor: Cursor::new(content),
        path: String::new(),
        lines: Lines::default(),
        children: 0..0,
    };
    reader.node(0, context)?;
    reader.cursor.end()?;
    Ok(reader.children)
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    /// The path of the node that is read.
    path: String,
    lines: Lines,
    /// Where the children stand that were read last: of all the root's.
    children: Body,
}

impl Reader<'_> {
    /// Reads a folder or a file.
    fn node(&mut self, depth: usize, context: &mut Context<'_>) -> Result<()> {
        if self.cursor.peek()? != b'{' {
            return Err(self.fails("is no object"));
        }
        if depth > MAX_DEPTH {
            return Err(self.fails("is nested too deeply"));
        }
        self.cursor.expect(b'{')?;
        let mut first = true;
        let mut is_file = false;
        while let Some(key) = self.cursor.key(&mut first)? {
            match &*key {
                "children" => self.children(depth, context)?,
                "coverage" => {
                    is_file = true;
                    self.lines.clear();
                    self.lines.list(&mut self.cursor, 1, reading)?;
                }
                _ => self.cursor.skip()?,
            }
        }
        if is_file {
            self.lines.add(FORMAT, &self.path, context)?;
        }
        Ok(())
    }

    fn children(&mut self, depth: usize, context: &mut Context<'_>) -> Result<()> {
        if self.cursor.peek()? != b'{' {
            return Err(self.fails("has children that are no object"));
        }
        let start = self.cursor.at();
        self.cursor.expect(b'{')?;
        let mut first = true;
        let length = self.path.len();
        while let Some(name) = self.cursor.key(&mut first)? {
            if length > 0 {
                self.path.push('/');
            }
            self.path.push_str(&name);
            self.node(depth + 1, context)?;
            self.path.truncate(length);
        }
        self.children = start..self.cursor.at();
        Ok(())
    }

    fn fails(&self, what: &str) -> Failure {
        Failure::fails(format!("{FORMAT}: {:?} {what}", self.path))
    }
}

/// -1 stands for lines without code.
fn reading(value: &Value<'_>) -> Cell {
    match unless_null(value) {
        Cell::Row(_, Coverage::Ignored) => Cell::Skipped,
        cell => cell,
    }
}
