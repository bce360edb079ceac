//! The repository's files, found by the end of a path.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::Range;

use super::clean::for_tree;

/// Files of the same folded path that are compared when a path could be any of them.
const MAX_CANDIDATES: usize = 64;
/// Longer paths are not measured for likeness, in characters.
const MAX_COMPARED_CHARS: usize = 1000;

/// The files of a repository, ordered by their folded paths read from the end.
pub(super) struct Tree {
    files: Vec<File>,
    /// Where files of one folded name stand in `files`.
    by_name: HashMap<String, Range<usize>>,
}

struct File {
    path: String,
    folded: String,
}

impl File {
    fn parts(&self) -> impl Iterator<Item = &str> {
        self.folded.rsplit('/')
    }
}

impl Tree {
    pub(super) fn new<'a>(network: impl IntoIterator<Item = &'a str>) -> Tree {
        let mut files: Vec<File> = network
            .into_iter()
            .filter(|path| !path.trim().is_empty())
            .map(for_tree)
            .map(|path| File {
                folded: path.to_lowercase(),
                path,
            })
            .collect();
        files.sort_by(|a, b| compare(&a.folded, &b.folded)); // stable: the network's order decides
        files.dedup_by(|b, a| a.path == b.path);
        let mut by_name: HashMap<String, Range<usize>> = HashMap::new();
        for (i, file) in files.iter().enumerate() {
            let name = file.parts().next().unwrap_or_default();
            match by_name.get_mut(name) {
                Some(range) => range.end = i + 1,
                None => {
                    by_name.insert(name.to_owned(), i..i + 1);
                }
            }
        }
        Tree { files, by_name }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The file that a path of a report means; `None` when there is none or several are as likely.
    pub(super) fn resolve(&self, path: &str) -> Option<&str> {
        let path = for_tree(path);
        let folded = path.to_lowercase();
        let found = best(&path, &self.candidates(&folded))?;
        is_near(&folded, &found.folded).then_some(found.path.as_str())
    }

    /// How many files there are.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is a file of this very path.
    pub(super) fn contains(&self, path: &str) -> bool {
        self.resolve(path) == Some(path)
    }

    /// The files that end like the path, by whole names, narrowed down until they are at most
    /// `limit`; none when they stay more.
    pub(super) fn ending_like(&self, path: &str, limit: usize) -> impl Iterator<Item = &str> {
        let folded = for_tree(path).to_lowercase();
        let mut parts = folded.rsplit('/');
        let name = parts.next().unwrap_or_default();
        let mut range = self.by_name.get(name).cloned().unwrap_or(0..0);
        let mut depth = 1;
        while range.len() > limit {
            range = match parts.next() {
                Some(part) => self.narrow(&range, depth, part),
                None => 0..0,
            };
            depth += 1;
        }
        self.files[range].iter().map(|file| file.path.as_str())
    }

    /// Files that `folded` may mean: those that are its longest known end, and the only file that
    /// has as much of it.
    fn candidates(&self, folded: &str) -> Vec<&File> {
        let mut parts = folded.rsplit('/');
        let Some(mut range) = parts
            .next()
            .and_then(|name| self.by_name.get(name))
            .cloned()
        else {
            return Vec::new();
        };
        let mut depth = 1;
        let mut whole = self.whole(&range, depth);
        let mut found = whole.clone();
        for part in parts {
            let next = self.narrow(&range, depth, part);
            if next.is_empty() {
                break;
            }
            range = next;
            depth += 1;
            whole = self.whole(&range, depth);
            if !whole.is_empty() {
                found = whole.clone();
            }
        }
        let mut files: Vec<&File> = self.files[found].iter().take(MAX_CANDIDATES).collect();
        if whole.is_empty() {
            files.extend(self.only_longer(range, depth));
        }
        files
    }

    /// Of files that share their last `depth` parts, those that have no more parts.
    fn whole(&self, range: &Range<usize>, depth: usize) -> Range<usize> {
        let count =
            self.files[range.clone()].partition_point(|file| file.parts().nth(depth).is_none());
        range.start..range.start + count
    }

    /// Of files that share their last `depth` parts, those whose next is `part`.
    fn narrow(&self, range: &Range<usize>, depth: usize, part: &str) -> Range<usize> {
        let files = &self.files[range.clone()];
        let next = |file: &File| file.parts().nth(depth).map(|next| next.cmp(part));
        let start = files.partition_point(|file| next(file).is_none_or(Ordering::is_lt));
        let count = files[start..].partition_point(|file| next(file) == Some(Ordering::Equal));
        range.start + start..range.start + start + count
    }

    /// The nearest files that all files of the range end in a row to; none where they part ways.
    fn only_longer(&self, range: Range<usize>, depth: usize) -> &[File] {
        let files = &self.files[range];
        let (Some(first), Some(last)) = (files.first(), files.last()) else {
            return &[];
        };
        let total = first.parts().count();
        let shared = first
            .parts()
            .zip(last.parts())
            .take_while(|(a, b)| a == b)
            .count();
        if shared < total {
            return &[];
        }
        debug_assert!(total > depth, "files of `depth` parts were found before");
        let count = files.partition_point(|file| file.parts().nth(total).is_none());
        &files[..count.min(MAX_CANDIDATES)]
    }
}

fn compare(a: &str, b: &str) -> Ordering {
    a.rsplit('/').cmp(b.rsplit('/'))
}

/// The file most like the path; of equals the last.
fn best<'a>(path: &str, files: &[&'a File]) -> Option<&'a File> {
    if files.len() <= 1 {
        return files.first().copied();
    }
    if path.starts_with("../") {
        return files.iter().min_by_key(|file| file.path.len()).copied();
    }
    let mut best: Option<(f64, &File)> = None;
    for file in files.iter().rev() {
        let likeness = likeness(path, &file.path);
        if best.is_none_or(|(most, _)| likeness > most) {
            best = Some((likeness, file));
        }
    }
    best.map(|(_, file)| file)
}

/// Whether a file is near enough to the path that led to it, both folded.
fn is_near(path: &str, file: &str) -> bool {
    if path == file {
        return true;
    }
    let parts = |path: &str| path.split('/').count();
    let tail = match path.rmatch_indices('/').nth(1) {
        Some((at, _)) => &path[at + 1..],
        None => path,
    };
    (parts(file) < parts(path) && path.ends_with(file)) || file.ends_with(tail)
}

/// Ratcliff and Obershelp's measure: twice the characters in matching runs, of all characters.
fn likeness(a: &str, b: &str) -> f64 {
    let a: Vec<char> = a.chars().take(MAX_COMPARED_CHARS).collect();
    let b: Vec<char> = b.chars().take(MAX_COMPARED_CHARS).collect();
    let mut matched = 0;
    let mut open = vec![(0..a.len(), 0..b.len())];
    while let Some((left, right)) = open.pop() {
        let (at, bt, length) = longest_run(&a[left.clone()], &b[right.clone()]);
        if length == 0 {
            continue;
        }
        matched += length;
        let (i, j) = (left.start + at, right.start + bt);
        open.push((left.start..i, right.start..j));
        open.push((i + length..left.end, j + length..right.end));
    }
    2.0 * matched as f64 / (a.len() + b.len()).max(1) as f64
}

/// The longest run that both have: the first in `a`, then in `b`, of the longest.
fn longest_run(a: &[char], b: &[char]) -> (usize, usize, usize) {
    let mut best = (0, 0, 0);
    let mut lengths = vec![0; b.len() + 1];
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let length = if x == y { diagonal + 1 } else { 0 };
            diagonal = std::mem::replace(&mut lengths[j + 1], length);
            if length > best.2 {
                best = (i + 1 - length, j + 1 - length, length);
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likeness_counts_matching_runs() {
        assert_eq!(likeness("abcd", "bcde"), 0.75);
        assert_eq!(likeness("", ""), 0.0);
        assert_eq!(likeness("a", "a"), 1.0);
    }

    #[test]
    fn the_likest_of_files_that_differ_in_case_is_chosen() {
        let tree = Tree::new(["src/A.py", "src/a.py", "lib/B.py"]);
        assert_eq!(tree.resolve("src/A.py"), Some("src/A.py"));
        assert_eq!(tree.resolve("SRC/a.PY"), Some("src/a.py"));
        assert_eq!(tree.resolve("B.py"), Some("lib/B.py"));
    }
}
