//! The repository's files, found by the end of a path.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::hash::BuildHasher;
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashTable};
use memchr::{memchr_iter, memrchr};

use super::clean::{folded, for_tree, is_plain};

/// Files of the same folded path that are compared when a path could be any of them.
const MAX_CANDIDATES: usize = 64;
/// Longer paths are not measured for likeness, in characters.
const MAX_COMPARED_CHARS: usize = 1000;

/// The files of a repository.
///
/// Reports mostly name files in the order of the network, so what belongs to a file stands in that order, too: then most of it
/// is at hand when the file before was found.
#[derive(Default)]
pub(super) struct Tree {
    /// Paths and folded paths of `files`.
    text: String,
    /// Files whose folded names have one hash stand together, ordered by their folded paths read from
    /// the end.
    files: Vec<File>,
    runs: Vec<Run>,
    /// Places in `runs`, by their hashes.
    places: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

/// Where a path stands in the text, and behind it its folded path, which has no bytes when they are equal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct File {
    start: usize,
    path_bytes: u32,
    folded_bytes: u32,
}

impl File {
    fn path(&self) -> Range<usize> {
        self.start..self.start + self.path_bytes as usize
    }

    fn folded(&self) -> Range<usize> {
        match (self.path(), self.folded_bytes as usize) {
            (path, 0) => path,
            (path, bytes) => path.end..path.end + bytes,
        }
    }
}

/// Files whose folded names have one hash; nearly always of one name.
struct Run {
    hash: u64,
    files: Range<u32>,
}

impl Run {
    fn files(&self) -> Range<usize> {
        self.files.start as usize..self.files.end as usize
    }
}

impl Tree {
    /// The tree of a list of paths, less than 2^32 in all. Linear, apart from sorting the files of one name.
    pub(super) fn new<'a>(network: impl IntoIterator<Item = &'a str>) -> Tree {
        let mut tree = Tree::default();
        let paths = network.into_iter().filter(|path| !path.trim().is_empty());
        let listed: Vec<File> = paths
            .filter_map(|path| tree.write(&for_tree(path)))
            .collect();
        tree.runs.reserve(listed.len());
        tree.places.reserve(listed.len(), |_| 0);
        let run_of: Vec<u32> = listed.iter().map(|file| tree.count(file)).collect();
        let mut start = 0;
        for run in &mut tree.runs {
            let count = run.files.end;
            run.files = start..start;
            start += count;
        }
        tree.files = vec![File::default(); listed.len()];
        for (file, run) in listed.into_iter().zip(run_of) {
            let files = &mut tree.runs[run as usize].files;
            tree.files[files.end as usize] = file;
            files.end += 1;
        }
        tree.sort_runs();
        tree
    }

    /// Writes a path; `None` for one of 4 GiB.
    fn write(&mut self, path: &str) -> Option<File> {
        let (start, path_bytes) = (self.text.len(), u32::try_from(path.len()).ok()?);
        self.text.push_str(path);
        if let Cow::Owned(folded) = folded(path) {
            self.text.push_str(&folded);
        }
        let folded_bytes = self.text.len() - start - path.len();
        Some(File {
            start,
            path_bytes,
            folded_bytes: u32::try_from(folded_bytes).ok()?,
        })
    }

    /// Counts a file in its run; gives the run.
    fn count(&mut self, file: &File) -> u32 {
        let hash = self.hasher.hash_one(name_of(self.folded(file)));
        let runs = &mut self.runs;
        let place = self.places.entry(
            hash,
            |&place| runs[place as usize].hash == hash,
            |&place| runs[place as usize].hash,
        );
        let place = *place.or_insert(runs.len() as u32).get();
        if place as usize == runs.len() {
            runs.push(Run { hash, files: 0..0 });
        }
        runs[place as usize].files.end += 1;
        place
    }

    /// Orders the files of each run, each once.
    fn sort_runs(&mut self) {
        let text = &self.text;
        for run in &mut self.runs {
            let files = run.files();
            if files.len() == 1 {
                continue;
            }
            let files = &mut self.files[files];
            files.sort_by(|a, b| compare(&text[a.folded()], &text[b.folded()])); // stable
            let mut kept = 1;
            for at in 1..files.len() {
                if text[files[at].path()] != text[files[kept - 1].path()] {
                    files[kept] = files[at];
                    kept += 1;
                }
            }
            run.files.end = run.files.start + kept as u32;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The path of a file of this tree.
    pub(super) fn path(&self, file: &File) -> &str {
        &self.text[file.path()]
    }

    fn folded(&self, file: &File) -> &str {
        &self.text[file.folded()]
    }

    /// The file that a path of a report means; `None` when there is none or several are as likely.
    pub(super) fn resolve(&self, path: &str) -> Option<File> {
        if is_plain(path) {
            return self.resolve_folded(path, path);
        }
        let path = for_tree(path);
        self.resolve_folded(&path, &folded(&path))
    }

    fn resolve_folded(&self, path: &str, folded: &str) -> Option<File> {
        let named = self.named(name_of(folded))?;
        // Wherever a walk along the path ends, it ends at the only file of that name.
        let found = match named.len() {
            1 => &self.files[named.start],
            _ => self.best(path, &self.candidates(folded, named))?,
        };
        is_near(folded, self.folded(found)).then_some(*found)
    }

    /// Where the files of a folded name stand.
    fn named(&self, name: &str) -> Option<Range<usize>> {
        let hash = self.hasher.hash_one(name);
        let is_it = |&place: &u32| self.runs[place as usize].hash == hash;
        let files = self.runs[*self.places.find(hash, is_it)? as usize].files();
        if let [file] = &self.files[files.clone()] {
            return (name_of(self.folded(file)) == name).then_some(files);
        }
        let found = self.narrow(&files, "", name);
        (!found.is_empty()).then_some(found)
    }

    /// How many files there are.
    pub(super) fn len(&self) -> usize {
        self.runs.iter().map(|run| run.files.len()).sum()
    }

    /// Whether there is a file of this very path.
    pub(super) fn contains(&self, path: &str) -> bool {
        self.resolve(path)
            .is_some_and(|file| self.path(&file) == path)
    }

    /// The files that end like the path, by whole names, narrowed down until they are at most
    /// `limit`; none when they stay more.
    pub(super) fn ending_like(&self, path: &str, limit: usize) -> impl Iterator<Item = &str> {
        let path = for_tree(path);
        let folded = folded(&path);
        let mut end = name_of(&folded);
        let mut range = self.named(end).unwrap_or(0..0);
        while range.len() > limit {
            let Some(rest) = before(&folded, end) else {
                range = 0..0;
                break;
            };
            range = self.narrow(&range, end, name_of(rest));
            end = &folded[rest.len() - name_of(rest).len()..];
        }
        self.files[range].iter().map(|file| self.path(file))
    }

    /// Files that `folded` may mean: those that are its longest known end, and the only file that
    /// has as much of it. `range` has the files of its name.
    fn candidates(&self, folded: &str, mut range: Range<usize>) -> Vec<&File> {
        let mut end = name_of(folded);
        let mut whole = self.whole(&range, end);
        let mut found = whole.clone();
        while let Some(rest) = before(folded, end) {
            let next = self.narrow(&range, end, name_of(rest));
            if next.is_empty() {
                break;
            }
            range = next;
            end = &folded[rest.len() - name_of(rest).len()..];
            whole = self.whole(&range, end);
            if !whole.is_empty() {
                found = whole.clone();
            }
        }
        let mut files: Vec<&File> = self.files[found].iter().take(MAX_CANDIDATES).collect();
        if whole.is_empty() {
            files.extend(self.only_longer(range));
        }
        files
    }

    /// Of files that share the end `end`, those that are no longer.
    fn whole(&self, range: &Range<usize>, end: &str) -> Range<usize> {
        let is_whole = |file: &File| file.folded().len() == end.len();
        range.start..range.start + self.files[range.clone()].partition_point(is_whole)
    }

    /// Of files that share the end `end`, those whose part before it is `part`.
    fn narrow(&self, range: &Range<usize>, end: &str, part: &str) -> Range<usize> {
        let files = &self.files[range.clone()];
        let next = |file: &File| {
            let rest = before(self.folded(file), end)?;
            Some(name_of(rest).cmp(part))
        };
        let start = files.partition_point(|file| next(file).is_none_or(Ordering::is_lt));
        let count = files[start..].partition_point(|file| next(file) == Some(Ordering::Equal));
        range.start + start..range.start + start + count
    }

    /// The nearest files that all files of the range end in a row to; none where they part ways.
    fn only_longer(&self, range: Range<usize>) -> &[File] {
        let files = &self.files[range];
        let (Some(first), Some(last)) = (files.first(), files.last()) else {
            return &[];
        };
        let (first, last) = (self.folded(first), self.folded(last));
        let before = last.strip_suffix(first);
        if !before.is_some_and(|before| before.is_empty() || before.ends_with('/')) {
            return &[];
        }
        let count = files.partition_point(|file| file.folded().len() == first.len());
        &files[..count.min(MAX_CANDIDATES)]
    }

    /// The file most like the path; of equals the last.
    fn best<'a>(&self, path: &str, files: &[&'a File]) -> Option<&'a File> {
        if files.len() <= 1 {
            return files.first().copied();
        }
        if path.starts_with("../") {
            return files.iter().min_by_key(|file| file.path().len()).copied();
        }
        let mut best: Option<(f64, &File)> = None;
        for file in files.iter().rev() {
            let likeness = likeness(path, self.path(file));
            if best.is_none_or(|(most, _)| likeness > most) {
                best = Some((likeness, file));
            }
        }
        best.map(|(_, file)| file)
    }
}

/// The last part of a path.
fn name_of(path: &str) -> &str {
    match memrchr(b'/', path.as_bytes()) {
        Some(slash) => &path[slash + 1..],
        None => path,
    }
}

/// What stands before the parts `end` that a path ends in; `None` when they are all of it. An empty
/// `end` is no part.
fn before<'a>(path: &'a str, end: &str) -> Option<&'a str> {
    if end.is_empty() {
        return Some(path);
    }
    let slash = path.len().checked_sub(end.len() + 1)?;
    Some(&path[..slash])
}

/// The order of paths whose parts are read from the end.
fn compare(a: &str, b: &str) -> Ordering {
    a.rsplit('/').cmp(b.rsplit('/'))
}

/// Whether a file is near enough to the path that led to it, both folded.
fn is_near(path: &str, file: &str) -> bool {
    if path == file {
        return true;
    }
    let slashes = |path: &str| memchr_iter(b'/', path.as_bytes()).count();
    let folder = memrchr(b'/', path.as_bytes()).map_or("", |slash| &path[..slash]);
    let tail = match memrchr(b'/', folder.as_bytes()) {
        Some(slash) => &path[slash + 1..],
        None => path,
    };
    file.ends_with(tail) || (path.ends_with(file) && slashes(file) < slashes(path))
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

    /// What a path may mean, told from all files at once: the file that is its longest end, and, when
    /// longer ends of the path are known but are no file, the only file that has as much of it.
    fn meant(network: &[String], path: &str) -> Vec<String> {
        let parts = |path: &str| path.rsplit('/').map(str::to_owned).collect::<Vec<_>>();
        let mut files: Vec<(Vec<String>, &String)> = Vec::new();
        for path in network {
            if !files.iter().any(|file| file.1 == path) {
                files.push((parts(&path.to_lowercase()), path));
            }
        }
        files.sort_by(|a, b| a.0.cmp(&b.0));
        let path = parts(&path.to_lowercase());
        let deepest = (0..=path.len()).rev().find(|&depth| {
            depth > 0 && files.iter().any(|file| file.0.starts_with(&path[..depth]))
        });
        let Some(depth) = deepest else {
            return Vec::new();
        };
        let of = |parts: &[String]| {
            let same = files.iter().filter(|file| file.0 == parts);
            same.map(|file| file.1.clone()).collect::<Vec<_>>()
        };
        let mut found = (1..=depth)
            .rev()
            .map(|depth| of(&path[..depth]))
            .find(|found| !found.is_empty())
            .unwrap_or_default();
        if of(&path[..depth]).is_empty() {
            let below: Vec<&(Vec<String>, &String)> = files
                .iter()
                .filter(|file| file.0.starts_with(&path[..depth]))
                .collect();
            if below.iter().all(|file| file.0.starts_with(&below[0].0)) {
                found.extend(of(&below[0].0));
            }
        }
        found
    }

    proptest::proptest! {
        #[test]
        fn a_walk_finds_what_all_files_at_once_tell(
            network in proptest::collection::vec("[abA](/[abB]){0,3}", 0..12),
            path in "[abB](/[abA]){0,4}",
        ) {
            let tree = Tree::new(network.iter().map(String::as_str));
            let folded = path.to_lowercase();
            let found = match tree.named(name_of(&folded)) {
                Some(named) => tree.candidates(&folded, named),
                None => Vec::new(),
            };
            let mut distinct: Vec<&str> = Vec::new();
            for path in found.into_iter().map(|file| tree.path(file)) {
                if !distinct.contains(&path) {
                    distinct.push(path);
                }
            }
            let meant = meant(&network, &path);
            proptest::prop_assert_eq!(&distinct, &meant);
            let alone = meant.len() == 1 && is_near(&folded, &meant[0].to_lowercase());
            if meant.len() <= 1 {
                proptest::prop_assert_eq!(tree.resolve(&path).is_some(), alone);
            }
        }
    }

    #[test]
    fn the_likest_of_files_that_differ_in_case_is_chosen() {
        let tree = Tree::new(["src/A.py", "src/a.py", "lib/B.py"]);
        for (path, file) in [
            ("src/A.py", "src/A.py"),
            ("SRC/a.PY", "src/a.py"),
            ("B.py", "lib/B.py"),
        ] {
            let found = tree.resolve(path).unwrap();
            assert_eq!(tree.path(&found), file);
        }
    }
}
