//! The files of a report as a tree of directories.

use engine::model::Totals;
use serde::Serialize;
use utoipa::ToSchema;

use crate::svg::tree::first_part;

/// A directory or a file of a report.
#[derive(Serialize, ToSchema, PartialEq, Debug)]
pub struct Node {
    /// Its name in the directory above; of a chain of directories that hold nothing but the next,
    /// all of it.
    pub name: String,
    /// Its path from the root.
    pub full_path: String,
    /// Hits of all lines, percent; 0 without lines.
    pub coverage: f64,
    /// Counted lines.
    pub lines: u64,
    /// Lines of which every part ran.
    pub hits: u64,
    /// Lines that ran in part.
    pub partials: u64,
    /// Lines that never ran.
    pub misses: u64,
    /// What the directory holds, as deep as asked for; absent for files.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub children: Option<Vec<Node>>,
}

/// The tree of these files, sorted by path, below their first `start` bytes, which are the same in
/// all. `depth` levels, at least 1.
pub(super) fn grow(files: &[(&str, Totals)], start: usize, depth: usize) -> Vec<Node> {
    files
        .chunk_by(|a, b| first_part(&a.0[start..]) == first_part(&b.0[start..]))
        .map(|group| node(group, start, depth))
        .collect()
}

/// The node of files that share the first part of their paths from `start`.
fn node(group: &[(&str, Totals)], start: usize, depth: usize) -> Node {
    let path = group[0].0;
    let last = group[group.len() - 1].0;
    let part = first_part(&path[start..]);
    let mut end = start + part.len();
    let is_directory = part.ends_with('/');
    if is_directory {
        // In sorted paths, what the first and the last start with, all do.
        while let part = first_part(&path[end..])
            && part.ends_with('/')
            && last[end..].starts_with(part)
        {
            end += part.len();
        }
    }
    let full_path = path[..end].trim_end_matches('/');
    let mut totals = Totals::default();
    for (_, file) in group {
        totals += *file;
    }
    Node {
        name: full_path[start.min(full_path.len())..].into(),
        full_path: full_path.into(),
        coverage: totals.ratio().map_or(0.0, |ratio| 100.0 * ratio),
        lines: totals.lines,
        hits: totals.hits,
        partials: totals.partials,
        misses: totals.misses,
        children: (is_directory && depth > 1).then(|| grow(group, end, depth - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(nodes: &[Node]) -> Vec<String> {
        nodes
            .iter()
            .map(|node| match &node.children {
                None => format!("{}={}", node.name, node.lines),
                Some(children) => format!("{}[{}]", node.name, names(children).join(" ")),
            })
            .collect()
    }

    fn tree(paths: &[&str], depth: usize) -> Vec<String> {
        let totals = Totals {
            lines: 1,
            ..Totals::default()
        };
        let files: Vec<_> = paths.iter().map(|path| (*path, totals)).collect();
        names(&grow(&files, 0, depth))
    }

    #[test]
    fn directories_sum_what_they_hold_and_open_as_deep_as_asked() {
        let paths = ["a.py", "a/b/x.py", "a/b/y.py", "a/z.py"];
        assert_eq!(tree(&paths, 1), ["a.py=1", "a=3"]);
        assert_eq!(tree(&paths, 2), ["a.py=1", "a[b=2 z.py=1]"]);
        assert_eq!(tree(&paths, 9), ["a.py=1", "a[b[x.py=1 y.py=1] z.py=1]"]);
    }

    #[test]
    fn a_chain_of_directories_is_one_node() {
        let paths = ["a/b/c/x.py", "a/b/c/y.py", "d/e/f.py"];
        assert_eq!(tree(&paths, 1), ["a/b/c=2", "d/e=1"]);
        assert_eq!(tree(&paths, 2), ["a/b/c[x.py=1 y.py=1]", "d/e[f.py=1]"]);
    }

    #[test]
    fn odd_paths_do_not_break_the_tree() {
        let paths = ["//y", "/x", "a/", "a//b"];
        assert_eq!(tree(&paths, 9), ["[[y=1] x=1]", "a[=1 [b=1]]"]);
        assert_eq!(tree(&[], 1).len(), 0);
    }
}
