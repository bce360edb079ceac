//! Unified diffs: which lines of which files two commits do not share. Source: git-diff(1), "Generating
//! patch text with -p".

use std::ops::Range;

use crate::carryforward::{Edit, Segment};
use crate::{Error, Result};

/// The most bytes that a diff may have.
pub const MAX_DIFF_BYTES: usize = 256 << 20;

/// The files that differ between two commits, sorted by path.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Diff {
    files: Vec<FileDiff>,
    text: String,
}

/// One file of a diff.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileDiff {
    /// The path in head; of a deleted file, the path that it had in base.
    pub path: String,
    /// The path in base, where it is another one.
    pub renamed_from: Option<String>,
    /// What became of the file.
    pub change: Change,
    /// The places that differ, in order; none when only the name or the mode does, or the file is binary.
    pub hunks: Vec<Hunk>,
}

/// What became of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Only head has it.
    New,
    /// Both have it.
    Modified,
    /// Only base has it.
    Deleted,
    /// Both may have it, but it has no lines.
    Binary,
}

impl Change {
    /// The word for it in Codecov's diffs.
    pub fn as_str(self) -> &'static str {
        match self {
            Change::New => "new",
            Change::Modified => "modified",
            Change::Deleted => "deleted",
            Change::Binary => "binary",
        }
    }
}

/// A place where a file differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hunk {
    /// Its first line and its number of lines in base.
    pub base: (u32, u32),
    /// Its first line and its number of lines in head.
    pub head: (u32, u32),
    lines: Vec<(Side, Range<u32>)>,
}

impl Hunk {
    /// The number of its first line in base; of a hunk without such lines, of the line behind it.
    pub fn base_start(&self) -> u32 {
        start(self.base)
    }

    /// The number of its first line in head; of a hunk without such lines, of the line behind it.
    pub fn head_start(&self) -> u32 {
        start(self.head)
    }
}

/// git names the line before a range of no lines.
fn start((first, length): (u32, u32)) -> u32 {
    first.saturating_add(u32::from(length == 0)).max(1)
}

/// Which commits have a line of a hunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Base and head: context.
    Both,
    /// Only base: removed.
    Base,
    /// Only head: added.
    Head,
}

/// Line numbers that only one of the two versions of a file has, both ascending.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Edits {
    /// Lines of base that head lacks.
    pub removed: Vec<u32>,
    /// Lines of head that base lacks.
    pub added: Vec<u32>,
}

impl Diff {
    /// Reads the output of `git diff`. Lines that belong to no file are left out, as is what follows
    /// a hunk that breaks off. Errors: `Invalid` beyond [`MAX_DIFF_BYTES`]. Linear.
    pub fn parse(text: &str) -> Result<Diff> {
        if text.len() > MAX_DIFF_BYTES {
            let why = format!("it has {} bytes; the most is {MAX_DIFF_BYTES}", text.len());
            return Err(Error::invalid("diff", why));
        }
        let mut files = Vec::new();
        let mut lines = Lines { text, at: 0 };
        while let Some((line, _)) = lines.next() {
            if let Some(names) = line.strip_prefix("diff --git ") {
                files.push(file(names, &mut lines));
            }
        }
        files.sort_by(|a: &FileDiff, b: &FileDiff| a.path.cmp(&b.path));
        Ok(Diff {
            files,
            text: text.to_owned(),
        })
    }

    /// The files, sorted by path.
    pub fn files(&self) -> &[FileDiff] {
        &self.files
    }

    /// The file that has this path in head, or had it in base when it was deleted.
    pub fn find(&self, path: &str) -> Option<&FileDiff> {
        let at = self
            .files
            .binary_search_by(|file| file.path.as_str().cmp(path))
            .ok()?;
        Some(&self.files[at])
    }

    /// The lines of a hunk of this diff, without their marks.
    pub fn lines<'a>(&'a self, hunk: &'a Hunk) -> impl Iterator<Item = (Side, &'a str)> {
        hunk.lines
            .iter()
            .map(|(side, range)| (*side, &self.text[range.start as usize..range.end as usize]))
    }
}

impl FileDiff {
    /// The path in base; `None` for a new file.
    pub fn base_path(&self) -> Option<&str> {
        match self.change {
            Change::New => None,
            _ => Some(self.renamed_from.as_deref().unwrap_or(&self.path)),
        }
    }

    /// The lines that only one side has.
    pub fn edits(&self) -> Edits {
        let mut edits = Edits::default();
        for hunk in &self.hunks {
            let (mut base, mut head) = (hunk.base_start(), hunk.head_start());
            for (side, _) in &hunk.lines {
                match side {
                    Side::Base => edits.removed.push(base),
                    Side::Head => edits.added.push(head),
                    Side::Both => {}
                }
                base = base.saturating_add(u32::from(*side != Side::Head));
                head = head.saturating_add(u32::from(*side != Side::Base));
            }
        }
        edits.removed.dedup();
        edits.added.dedup();
        edits
    }

    /// The number in base of a line of head; `None` if the diff adds it. Linear in hunks and the lines of one.
    pub fn line_in_base(&self, line: u32) -> Option<u32> {
        let mut moved = 0;
        for hunk in &self.hunks {
            let (mut base, mut head) = (hunk.base_start(), hunk.head_start());
            if line < head {
                break;
            }
            for (side, _) in &hunk.lines {
                if head == line && *side != Side::Base {
                    return (*side == Side::Both).then_some(base);
                }
                base = base.saturating_add(u32::from(*side != Side::Head));
                head = head.saturating_add(u32::from(*side != Side::Base));
            }
            moved = i64::from(base) - i64::from(head);
        }
        u32::try_from(i64::from(line) + moved).ok()
    }

    /// What the diff does to the lines, place by place.
    pub fn segments(&self) -> Vec<Segment> {
        let edit = |(side, _): &(Side, Range<u32>)| match side {
            Side::Both => Edit::Same,
            Side::Base => Edit::Removed,
            Side::Head => Edit::Added,
        };
        let segment = |hunk: &Hunk| Segment {
            start: hunk.head_start(),
            lines: hunk.lines.iter().map(edit).collect(),
        };
        self.hunks.iter().map(segment).collect()
    }

    /// How many lines are added and removed.
    pub fn stats(&self) -> (usize, usize) {
        let count = |wanted| {
            let lines = self.hunks.iter().flat_map(|hunk| &hunk.lines);
            lines.filter(|(side, _)| *side == wanted).count()
        };
        (count(Side::Head), count(Side::Base))
    }
}

/// Walks over the lines of a text, with the offset of each.
struct Lines<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lines<'a> {
    fn peek(&self) -> Option<&'a str> {
        let rest = &self.text[self.at..];
        let line = rest.split('\n').next().filter(|_| !rest.is_empty())?;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }

    fn next(&mut self) -> Option<(&'a str, usize)> {
        let line = self.peek()?;
        let start = self.at;
        let rest = &self.text[start..];
        self.at += rest.find('\n').map_or(rest.len(), |end| end + 1);
        Some((line, start))
    }
}

/// The file whose names stand behind `diff --git`.
fn file(names: &str, lines: &mut Lines<'_>) -> FileDiff {
    let (mut base, mut head) = both_names(names);
    let mut change = Change::Modified;
    let mut hunks = Vec::new();
    while let Some(line) = lines.peek().filter(|line| !line.starts_with("diff --git ")) {
        if let Some(ranges) = line.strip_prefix("@@ ").and_then(ranges) {
            lines.next();
            hunks.push(hunk(ranges, lines));
            continue;
        }
        lines.next();
        if line.starts_with("new file mode") {
            change = Change::New;
        } else if line.starts_with("deleted file mode") {
            change = Change::Deleted;
        } else if line.starts_with("Binary files ") || line.starts_with("GIT binary patch") {
            change = Change::Binary;
        } else if let Some(name) = line.strip_prefix("rename from ") {
            base = Some(unquoted(name));
        } else if let Some(name) = line.strip_prefix("rename to ") {
            head = Some(unquoted(name));
        } else if hunks.is_empty()
            && let Some(name) = line.strip_prefix("--- ")
        {
            base = side_name(name, "a/").or(base);
        } else if hunks.is_empty()
            && let Some(name) = line.strip_prefix("+++ ")
        {
            head = side_name(name, "b/").or(head);
        }
    }
    let base = base.unwrap_or_default();
    let path = match change {
        Change::Deleted => base.clone(),
        _ => head.unwrap_or_else(|| base.clone()),
    };
    let renamed_from =
        (change == Change::Modified && base != path && !base.is_empty()).then_some(base);
    if matches!(change, Change::Deleted | Change::Binary) {
        hunks.clear();
    }
    FileDiff {
        path,
        renamed_from,
        change,
        hunks,
    }
}

/// `a/x b/y`, either name in quotes where it has odd characters. Unquoted names with blanks are told
/// apart when both are the same; otherwise other lines name the file.
fn both_names(names: &str) -> (Option<String>, Option<String>) {
    if let Some(rest) = names.strip_prefix('"')
        && let Some(end) = closing_quote(rest)
    {
        let base = side_name(&names[..end + 2], "a/");
        return (base, side_name(names[end + 2..].trim_start(), "b/"));
    }
    if let Some(at) = names.find(" \"b/") {
        return (
            side_name(&names[..at], "a/"),
            side_name(&names[at + 1..], "b/"),
        );
    }
    let half = names.len() / 2;
    let splits = |at: usize| {
        let (base, head) = (names.get(..at)?.strip_prefix("a/")?, names.get(at..)?);
        Some((base.to_owned(), head.strip_prefix(" b/")?.to_owned()))
    };
    let same = splits(half).filter(|(base, head)| base == head);
    match same.or_else(|| splits(names.find(" b/")?)) {
        Some((base, head)) => (Some(base), Some(head)),
        None => (None, None),
    }
}

/// The name behind `---` or `+++`; `None` for `/dev/null`.
fn side_name(name: &str, prefix: &str) -> Option<String> {
    // A tab ends a name that has blanks in it.
    let name = unquoted(name.strip_suffix('\t').unwrap_or(name));
    match name.strip_prefix(prefix) {
        Some(path) => Some(path.to_owned()),
        None if name == "/dev/null" => None,
        None => Some(name),
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// Undoes git's quoting of a name.
fn unquoted(name: &str) -> String {
    let Some(inner) = name
        .strip_prefix('"')
        .and_then(|rest| Some(&rest[..closing_quote(rest)?]))
    else {
        return name.to_owned();
    };
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        match rest {
            [
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                after @ ..,
            ] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            [escape, after @ ..] => {
                bytes.push(match escape {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    other => *other,
                });
                rest = after;
            }
            [] => {}
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `-1,2 +3,4 @@`: start and length in base and in head. A length that is left out is 1.
fn ranges(header: &str) -> Option<[(u32, u32); 2]> {
    let (ranges, _) = header.split_once(" @@")?;
    let (base, head) = ranges.split_once(' ')?;
    let range = |text: &str| {
        let (start, length) = text.split_once(',').unwrap_or((text, "1"));
        Some((start.parse().ok()?, length.parse().ok()?))
    };
    Some([
        range(base.strip_prefix('-')?)?,
        range(head.strip_prefix('+')?)?,
    ])
}

/// The lines of a hunk: as many as its header says, or fewer when it breaks off.
fn hunk([base, head]: [(u32, u32); 2], lines: &mut Lines<'_>) -> Hunk {
    let (mut base_left, mut head_left) = (base.1, head.1);
    let mut found = Vec::new();
    while (base_left > 0 || head_left > 0)
        && let Some(line) = lines.peek()
    {
        let side = match line.as_bytes().first() {
            Some(b'+') if head_left > 0 => Side::Head,
            Some(b'-') if base_left > 0 => Side::Base,
            Some(b' ') | None if base_left > 0 && head_left > 0 => Side::Both,
            Some(b'\\') => {
                lines.next();
                continue;
            }
            _ => break,
        };
        base_left -= u32::from(side != Side::Head);
        head_left -= u32::from(side != Side::Base);
        let Some((line, start)) = lines.next() else {
            break;
        };
        let mark = line.len().min(1);
        found.push((side, (start + mark) as u32..(start + line.len()) as u32));
    }
    Hunk {
        base,
        head,
        lines: found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "\
diff --git a/src/a.rs b/src/a.rs
index 1..2 100644
--- a/src/a.rs
+++ b/src/a.rs
@@ -1,3 +1,4 @@ fn main
 one
-two
+2
+2.5
 three
@@ -10 +11,0 @@
-gone
\\ No newline at end of file
diff --git a/old name.rs b/new.rs
similarity index 90%
rename from old name.rs
rename to new.rs
diff --git a/born.rs b/born.rs
new file mode 100644
--- /dev/null
+++ b/born.rs
@@ -0,0 +1,2 @@
+--- a/not a header
+x
diff --git a/dead.rs b/dead.rs
deleted file mode 100644
--- a/dead.rs
+++ /dev/null
@@ -1,2 +0,0 @@
-a
-b
diff --git \"a/\\303\\244 \\\"x\\\".rs\" \"b/\\303\\244 \\\"x\\\".rs\"
--- \"a/\\303\\244 \\\"x\\\".rs\"
+++ \"b/\\303\\244 \\\"x\\\".rs\"
@@ -5 +5 @@
-x
+y
diff --git a/i.png b/i.png
Binary files a/i.png and b/i.png differ
";

    #[test]
    fn every_kind_of_change_is_read() {
        let diff = Diff::parse(DIFF).unwrap();
        let found: Vec<_> = diff
            .files()
            .iter()
            .map(|file| {
                (
                    file.path.as_str(),
                    file.renamed_from.as_deref(),
                    file.change,
                    file.stats(),
                )
            })
            .collect();
        let expected = [
            ("born.rs", None, Change::New, (2, 0)),
            ("dead.rs", None, Change::Deleted, (0, 0)),
            ("i.png", None, Change::Binary, (0, 0)),
            ("new.rs", Some("old name.rs"), Change::Modified, (0, 0)),
            ("src/a.rs", None, Change::Modified, (2, 2)),
            ("ä \"x\".rs", None, Change::Modified, (1, 1)),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn lines_are_numbered_on_their_side() {
        let diff = Diff::parse(DIFF).unwrap();
        let file = diff.find("src/a.rs").unwrap();
        let edits = Edits {
            removed: vec![2, 10],
            added: vec![2, 3],
        };
        assert_eq!(file.edits(), edits);
        let lines: Vec<_> = diff.lines(&file.hunks[0]).map(|(_, text)| text).collect();
        assert_eq!(lines, ["one", "two", "2", "2.5", "three"]);
        assert_eq!(diff.find("born.rs").unwrap().edits().added, [1, 2]);
    }

    #[test]
    fn what_is_no_diff_has_no_files() {
        for text in [
            "",
            "hello\n",
            "@@ -1 +1 @@\n-a\n",
            "diff --git \n@@ -1,9 +1,9 @@\n-a\n",
            "diff --git \"a",
        ] {
            let diff = Diff::parse(text).unwrap();
            assert!(
                diff.files()
                    .iter()
                    .all(|file| file.edits().added.is_empty()),
                "{text}"
            );
        }
    }
}
