//! Paths as text.

use std::borrow::Cow;

use memchr::{memchr_iter, memchr3};

/// Joins `//`, drops `.` and resolves `..` where something precedes it; an empty path is `.`.
pub(super) fn normalise(path: &str) -> Cow<'_, str> {
    if is_normal(path.as_bytes()) {
        return Cow::Borrowed(path);
    }
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|&last| last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    Cow::Owned(match (absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    })
}

/// Whether a path surely is normal: no part of it is empty or starts with a dot.
fn is_normal(path: &[u8]) -> bool {
    let is_odd = |slash: usize| matches!(path.get(slash + 1), Some(b'/' | b'.'));
    let odd = memchr_iter(b'/', path).any(is_odd);
    let ends = |byte: Option<&u8>, odd: &[u8]| byte.is_none_or(|byte| odd.contains(byte));
    !odd && !ends(path.first(), b"./") && !ends(path.last(), b"/")
}

/// Whether a path surely is as it is written all that the other functions make of it: it is normal, of plain ASCII and has
/// no upper case. One pass, which most paths pass.
pub(super) fn is_plain(path: &str) -> bool {
    let path = path.as_bytes();
    let is_usual = |byte: u8| {
        byte.is_ascii_graphic() & !byte.is_ascii_uppercase() & (byte != b'\\') & (byte != b'*')
    };
    let pairs = path.windows(2).fold(true, |plain, pair| {
        let is_odd_part = (pair[0] == b'/') & ((pair[1] == b'/') | (pair[1] == b'.'));
        plain & is_usual(pair[0]) & !is_odd_part
    });
    let [Some(&first), Some(&last)] = [path.first(), path.last()] else {
        return false;
    };
    pairs && is_usual(last) && last != b'/' && !matches!(first, b'/' | b'.')
}

/// A path as the tree compares it.
pub(super) fn for_tree(path: &str) -> Cow<'_, str> {
    let bytes = path.as_bytes();
    let odd = memchr3(b'*', b'\r', b'\\', bytes).is_some();
    let is_bare = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    if !odd && is_bare(bytes.first()) && is_bare(bytes.last()) {
        return normalise(path);
    }
    let plain = path
        .trim()
        .replace("**/", "")
        .replace('\r', "")
        .replace("\\ ", " ")
        .replace('\\', "/");
    Cow::Owned(normalise(&plain).into_owned())
}

/// A path without case.
pub(super) fn folded(path: &str) -> Cow<'_, str> {
    let cased = path.bytes().fold(false, |cased, byte| {
        cased | byte.is_ascii_uppercase() | !byte.is_ascii()
    });
    if cased {
        Cow::Owned(path.to_lowercase())
    } else {
        Cow::Borrowed(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised() {
        for (path, expected) in [
            ("a//b", "a/b"),
            ("a/./b/../c.py", "a/c.py"),
            ("a/../../b", "../b"),
            ("../../b", "../../b"),
            ("/../b", "/b"),
            ("", "."),
            ("a/..", "."),
            ("a/b/", "a/b"),
        ] {
            assert_eq!(normalise(path), expected, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_plain_path_is_what_becomes_of_it(path in "[ab/.]{0,6}|[abA*é \\\\\r/.]{0,6}") {
            if is_plain(&path) {
                proptest::prop_assert_eq!(normalise(&path), &*path);
                proptest::prop_assert_eq!(for_tree(&path), &*path);
                proptest::prop_assert_eq!(folded(&path), &*path);
            }
        }
    }

    #[test]
    fn paths_are_prepared_for_the_tree() {
        for (path, expected, without_case) in [
            ("src/A.py", "src/A.py", "src/a.py"),
            (" a/**/b\\c.py\r", "a/b/c.py", "a/b/c.py"),
            ("a\\ b.py", "a b.py", "a b.py"),
            ("\u{2003}\u{c9}.py", "\u{c9}.py", "\u{e9}.py"),
            ("**/", ".", "."),
        ] {
            assert_eq!(for_tree(path), expected, "{path}");
            assert_eq!(folded(&for_tree(path)), without_case, "{path}");
        }
    }
}
