//! A report's files as nested areas, cut to what can be seen: small parts are one part.

use engine::model::Totals;

/// Levels below the root that are looked at; deeper directories are one part.
const DEPTH_MAX: usize = 32;

/// A directory or a file.
#[derive(Clone, PartialEq, Debug)]
pub struct Part {
    /// Its path from the root; of parts that are too small to be shown, what they are.
    pub path: String,
    /// Counts of what it holds.
    pub totals: Totals,
    /// What it holds, largest first; nothing for a file.
    pub children: Vec<Part>,
}

impl Part {
    /// Hits of all lines, percent; 100 without lines.
    pub fn percent(&self) -> f64 {
        self.totals.ratio().map_or(100.0, |ratio| 100.0 * ratio)
    }

    /// What its area or angle stands for.
    pub fn weight(&self) -> f64 {
        self.totals.lines as f64
    }
}

/// The tree of these files, sorted by path, in at most about `parts_max` parts: those that have a smaller share of the
/// lines than one in so many are one part beside their siblings. Directories that hold only one are joined with it.
pub fn grow(files: &[(&str, Totals)], parts_max: u64) -> Part {
    let totals = sum(files);
    let least = totals.lines / parts_max.max(1);
    Part {
        path: String::new(),
        totals,
        children: children(files, 0, least, DEPTH_MAX),
    }
}

/// The parts of files whose paths are the same in the first `start` bytes.
fn children(files: &[(&str, Totals)], start: usize, least: u64, depth: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut rest, mut rest_count) = (Totals::default(), 0_u64);
    for group in files.chunk_by(|a, b| first_part(&a.0[start..]) == first_part(&b.0[start..])) {
        let totals = sum(group);
        match totals.lines {
            0 => {}
            lines if lines < least.max(1) => {
                rest += totals;
                rest_count += group.len() as u64;
            }
            _ => parts.push(part(group, totals, start, least, depth)),
        }
    }
    if rest_count > 0 {
        let directory = files[0].0[..start].trim_end_matches('/');
        parts.push(Part {
            path: format!("{rest_count} smaller files in {directory}/"),
            totals: rest,
            children: Vec::new(),
        });
    }
    parts.sort_by(|a, b| {
        b.totals
            .lines
            .cmp(&a.totals.lines)
            .then_with(|| a.path.cmp(&b.path))
    });
    parts
}

fn part(group: &[(&str, Totals)], totals: Totals, start: usize, least: u64, depth: usize) -> Part {
    let (path, last) = (group[0].0, group[group.len() - 1].0);
    let name = first_part(&path[start..]);
    let mut end = start + name.len();
    let is_directory = name.ends_with('/');
    if is_directory {
        // In sorted paths, what the first and the last start with, all do.
        while let part = first_part(&path[end..])
            && part.ends_with('/')
            && last[end..].starts_with(part)
        {
            end += part.len();
        }
    }
    Part {
        path: path[..end].trim_end_matches('/').to_owned(),
        totals,
        children: match is_directory && depth > 0 {
            true => children(group, end, least, depth - 1),
            false => Vec::new(),
        },
    }
}

fn sum(files: &[(&str, Totals)]) -> Totals {
    let mut totals = Totals::default();
    for (_, file) in files {
        totals += *file;
        totals.files += 1;
    }
    totals
}

/// Up to the first slash and with it; everything if there is none.
pub fn first_part(path: &str) -> &str {
    match path.find('/') {
        Some(slash) => &path[..=slash],
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(part: &Part) -> String {
        let children: Vec<String> = part.children.iter().map(shape).collect();
        match children.is_empty() {
            true => format!("{}={}", part.path, part.totals.lines),
            false => format!("{}[{}]", part.path, children.join(" ")),
        }
    }

    fn tree(files: &[(&str, u64)], parts_max: u64) -> String {
        let totals = |lines| Totals {
            lines,
            hits: lines,
            ..Totals::default()
        };
        let files: Vec<_> = files
            .iter()
            .map(|&(path, lines)| (path, totals(lines)))
            .collect();
        shape(&grow(&files, parts_max))
    }

    #[test]
    fn larger_parts_come_first_and_lone_directories_are_joined() {
        let files = [
            ("a.c", 1),
            ("b/c/d.c", 5),
            ("b/c/e.c", 7),
            ("f/g.c", 2),
            ("f/none.c", 0),
        ];
        assert_eq!(
            tree(&files, 1000),
            "[b/c[b/c/e.c=7 b/c/d.c=5] f[f/g.c=2] a.c=1]"
        );
        assert_eq!(tree(&[], 1000), "=0");
    }

    #[test]
    fn what_is_too_small_to_be_seen_is_one_part() {
        let files = [("a/big.c", 100), ("a/x.c", 1), ("a/y.c", 2), ("b.c", 1)];
        assert_eq!(
            tree(&files, 20),
            "[a[a/big.c=100 2 smaller files in a/=3] 1 smaller files in /=1]"
        );
    }

    #[test]
    fn odd_paths_do_not_break_the_tree() {
        assert_eq!(
            tree(&[("//y", 1), ("/x", 1), ("a/", 1), ("a//b", 1)], 9),
            "[[[//y=1] /x=1] a[a=1 a[a//b=1]]]"
        );
        let deep = format!("{}x", "ab/".repeat(10_000));
        assert!(tree(&[(&deep, 1), ("z", 1)], 9).len() < 100_000);
    }
}
