//! Changes of files as providers list them, written as `git diff` writes them.

use std::fmt::Write as _;

/// What became of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    New,
    Deleted,
    Modified,
}

/// One changed file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FilePatch {
    pub(crate) change: Change,
    pub(crate) before: String,
    pub(crate) after: String,
    /// Its hunks; absent for a binary file, and for one that only has another name.
    pub(crate) hunks: Option<String>,
}

/// The diff of these files.
pub(crate) fn diff(files: &[FilePatch]) -> String {
    let mut text = String::new();
    for file in files {
        write_file(&mut text, file);
    }
    text
}

fn write_file(text: &mut String, file: &FilePatch) {
    let (before, after) = (quoted("a/", &file.before), quoted("b/", &file.after));
    // Writing to a text cannot fail.
    let _ = writeln!(text, "diff --git {before} {after}");
    match file.change {
        Change::New => text.push_str("new file mode 100644\n"),
        Change::Deleted => text.push_str("deleted file mode 100644\n"),
        Change::Modified if file.before != file.after => {
            let (from, to) = (quoted("", &file.before), quoted("", &file.after));
            let _ = writeln!(text, "rename from {from}\nrename to {to}");
        }
        Change::Modified => {}
    }
    let hunks = file.hunks.as_deref().filter(|hunks| !hunks.is_empty());
    let Some(hunks) = hunks else {
        if file.hunks.is_none() && file.before == file.after {
            let _ = writeln!(text, "Binary files {before} and {after} differ");
        }
        return;
    };
    let side = |lacks: Change, name: String| match file.change == lacks {
        true => "/dev/null".to_owned(),
        false => name,
    };
    let (before, after) = (side(Change::New, before), side(Change::Deleted, after));
    let _ = writeln!(text, "--- {before}\n+++ {after}");
    text.push_str(hunks);
    if !hunks.ends_with('\n') {
        text.push('\n');
    }
}

/// A name behind its prefix, in quotes where it has odd characters.
fn quoted(prefix: &str, name: &str) -> String {
    if !name
        .chars()
        .any(|c| c == '"' || c == '\\' || c.is_control())
    {
        return format!("{prefix}{name}");
    }
    let mut text = format!("\"{prefix}");
    for character in name.chars() {
        match character {
            '"' | '\\' => {
                text.push('\\');
                text.push(character);
            }
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use engine::diff::Diff;

    use super::*;

    #[test]
    fn files_are_read_back_as_they_were_listed() {
        let file = |change, before: &str, after: &str, hunks: Option<&str>| FilePatch {
            change,
            before: before.into(),
            after: after.into(),
            hunks: hunks.map(Into::into),
        };
        let text = diff(&[
            file(Change::New, "n.rs", "n.rs", Some("@@ -0,0 +1 @@\n+x")),
            file(Change::Deleted, "d.rs", "d.rs", Some("@@ -1 +0,0 @@\n-x\n")),
            file(
                Change::Modified,
                "a b.rs",
                "c.rs",
                Some("@@ -1 +1 @@\n-x\n+y\n"),
            ),
            file(Change::Modified, "same.rs", "moved.rs", None),
            file(Change::Modified, "i.png", "i.png", None),
            file(
                Change::Modified,
                "\"o\\dd\"",
                "\"o\\dd\"",
                Some("@@ -3 +3 @@\n-x\n+y\n"),
            ),
        ]);
        let read = Diff::parse(&text).unwrap();
        let found: Vec<_> = read
            .files()
            .iter()
            .map(|file| {
                (
                    &*file.path,
                    file.renamed_from.as_deref(),
                    file.change.as_str(),
                    file.stats(),
                )
            })
            .collect();
        let expected = [
            ("\"o\\dd\"", None, "modified", (1, 1)),
            ("c.rs", Some("a b.rs"), "modified", (1, 1)),
            ("d.rs", None, "deleted", (0, 0)),
            ("i.png", None, "binary", (0, 0)),
            ("moved.rs", Some("same.rs"), "modified", (0, 0)),
            ("n.rs", None, "new", (1, 0)),
        ];
        assert_eq!(found, expected);
    }
}
