//! Paths as text.

/// Joins `//`, drops `.` and resolves `..` where something precedes it; an empty path is `.`.
pub(super) fn normalise(path: &str) -> String {
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
    match (absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// A path as the tree compares it.
pub(super) fn for_tree(path: &str) -> String {
    let plain = path
        .trim()
        .replace("**/", "")
        .replace('\r', "")
        .replace("\\ ", " ")
        .replace('\\', "/");
    normalise(&plain)
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
}
