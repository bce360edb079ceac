//! From the path that a report names to the path in the repository.
//!
//! A lookup never changes a later one, so files may be read in any order and at once.

mod clean;
mod doctor;
mod known;
mod tree;

use std::borrow::Cow;
use std::cell::RefCell;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};
use memchr::memchr;
use regex::Regex;

use crate::error::{Failure, Result};
use crate::settings::{Fix, Pattern, Settings, anchored};
use clean::{is_plain, normalise};
use tree::{File, Tree};

pub(crate) use doctor::diagnose;
pub use doctor::{Diagnosis, Example, Group, Rule};

/// Fixes the paths of one upload; shared by all its files.
pub struct PathFixer {
    /// The repository's files; `None` when unknown.
    tree: Option<Arc<Tree>>,
    keeps_paths: bool,
    fixes: Option<CustomFixes>,
    filter: Arc<PathFilter>,
}

/// What becomes of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It counts as this file of the repository.
    Listed(File),
    /// It counts as this file; an empty text for what is known to be no source.
    Found(String),
    /// No file of the repository fits, or several do.
    Unmatched,
    /// It is this file, which the settings leave out.
    LeftOut(String),
}

impl Fate {
    /// What it counts as. The fixer has the tree in which it was found.
    fn found<'a>(&'a self, fixer: &'a PathFixer) -> Option<&'a str> {
        match self {
            Fate::Listed(file) => Some(fixer.tree.as_ref()?.path(file)),
            Fate::Found(path) => Some(path),
            Fate::Unmatched | Fate::LeftOut(_) => None,
        }
    }
}

impl PathFixer {
    /// A fixer for an upload with these flags. `network` lists the repository's files; empty means
    /// unknown. Linear in the network, apart from sorting files of one name.
    pub fn new<'a>(
        settings: &Settings,
        network: impl IntoIterator<Item = &'a str>,
        flags: &[String],
    ) -> PathFixer {
        let tree = Tree::new(network);
        PathFixer {
            tree: (!tree.is_empty()).then(|| Arc::new(tree)),
            keeps_paths: settings.keeps_paths,
            fixes: CustomFixes::new(&settings.fixes),
            filter: Arc::new(PathFilter::new(settings, flags)),
        }
    }

    /// The same fixer with other `fixes`.
    fn with_fixes(&self, fixes: &[Fix]) -> PathFixer {
        PathFixer {
            tree: self.tree.clone(),
            keeps_paths: self.keeps_paths,
            fixes: CustomFixes::new(fixes),
            filter: self.filter.clone(),
        }
    }

    /// The path in the repository; `None` when there is none or it is left out, and an empty text
    /// for files that are known to be no sources. Fails for a path of dots and slashes alone.
    pub fn fix(&self, path: &str) -> Result<Option<String>> {
        Ok(self.trace(path)?.found(self).map(str::to_owned))
    }

    /// Like [`PathFixer::fix`], telling apart why there is no path.
    fn trace(&self, path: &str) -> Result<Fate> {
        let Some(mut fixed) = cleaned(path)? else {
            return Ok(Fate::Unmatched);
        };
        if let Some(fixes) = &self.fixes {
            fixed = Cow::Owned(fixes.apply(&fixed));
        }
        let mut fixed = match &self.tree {
            Some(_) if self.keeps_paths => fixed.into_owned(),
            Some(tree) => match tree.resolve(&fixed) {
                Some(file) if self.fixes.is_none() => {
                    return Ok(match tree.path(&file) {
                        path if self.filter.includes(path) => Fate::Listed(file),
                        path => Fate::LeftOut(path.to_owned()),
                    });
                }
                Some(file) => tree.path(&file).to_owned(),
                None => return Ok(Fate::Unmatched),
            },
            None => known::without_prefix(&fixed).to_owned(),
        };
        if let Some(fixes) = &self.fixes
            && !fixed.is_empty()
        {
            fixed = fixes.with_prefixes(&fixes.apply(&fixed));
        }
        Ok(match self.filter.includes(&fixed) {
            true => Fate::Found(fixed),
            false => Fate::LeftOut(fixed),
        })
    }

    /// Like [`PathFixer::trace`], trying the path below each of `bases` next.
    fn trace_below<'b>(
        &self,
        path: &str,
        bases: impl IntoIterator<Item = &'b String>,
    ) -> Result<Fate> {
        let mut fate = self.trace(path)?;
        if fate.found(self).is_some()
            || self.tree.is_none()
            || path.is_empty()
            || path.starts_with('/')
        {
            return Ok(fate);
        }
        for base in bases {
            match self.trace(&format!("{base}/{path}"))? {
                Fate::Unmatched => {}
                found @ (Fate::Listed(_) | Fate::Found(_)) => return Ok(found),
                left_out @ Fate::LeftOut(_) => fate = left_out,
            }
        }
        Ok(fate)
    }

    /// Whether a path that was found is none of the repository's files after all: settings that keep
    /// paths or rewrite what was found can do that.
    fn is_astray(&self, found: &str) -> bool {
        let Some(tree) = &self.tree else {
            return false;
        };
        (self.keeps_paths || self.fixes.is_some()) && !tree.contains(found)
    }

    /// A view for one uploaded file, whose folder helps where a path alone is not enough.
    pub fn for_file(&self, name: &str) -> FilePaths<'_> {
        FilePaths {
            fixer: self,
            base: parent(name),
            bases: RefCell::default(),
            seen: RefCell::default(),
        }
    }
}

/// The path with plain slashes and nothing to climb over; `None` if it names a folder or nothing.
/// Fails for a path of dots and slashes alone.
fn cleaned(path: &str) -> Result<Option<Cow<'_, str>>> {
    let bare = path.trim_start_matches(['.', '/']);
    if is_plain(bare) {
        return Ok(Some(Cow::Borrowed(bare)));
    }
    if path.is_empty() {
        return Ok(None);
    }
    if memchr(b'\\', path.as_bytes()).is_some() {
        let slashed = cleaned(&path.replace('\\', "/"))?.map(Cow::into_owned);
        return Ok(slashed.map(Cow::Owned));
    }
    if bare.is_empty() {
        return Err(Failure::fails(format!("path {path:?} names no file")));
    }
    let clean = normalise(bare);
    let is_folder = clean == "." || clean == ".." || clean.ends_with("/..");
    Ok((!is_folder).then_some(clean))
}

/// Fixes the paths of one uploaded file, each once.
pub struct FilePaths<'a> {
    fixer: &'a PathFixer,
    base: Option<String>,
    /// Further folders that the file named.
    bases: RefCell<Vec<String>>,
    seen: RefCell<Seen>,
}

/// The paths that one uploaded file asked for, what became of each, and the folders below which they
/// were looked for.
pub(crate) struct Asked {
    bases: Vec<String>,
    paths: Seen,
}

impl<'a> FilePaths<'a> {
    /// A view for the same file that has fixed nothing yet.
    pub(crate) fn anew(&self) -> FilePaths<'a> {
        FilePaths {
            fixer: self.fixer,
            base: self.base.clone(),
            bases: RefCell::default(),
            seen: RefCell::default(),
        }
    }

    /// Takes over what another view for the same file has fixed.
    pub(crate) fn include(&self, other: FilePaths<'a>) {
        let bases = other.bases.into_inner();
        if !bases.is_empty() {
            self.bases.replace(bases);
        }
        let mut seen = self.seen.borrow_mut();
        match seen.len() {
            0 => *seen = other.seen.into_inner(),
            _ => seen.include(other.seen.into_inner()),
        }
    }

    /// Like [`PathFixer::fix`], trying the path below the uploaded file's folder next.
    pub fn fix(&self, path: &str) -> Result<Option<String>> {
        self.fix_below(path, &[])
    }

    /// Like [`FilePaths::fix`], then below each of `bases`. A file asks with the same bases always.
    pub fn fix_below(&self, path: &str, bases: &[String]) -> Result<Option<String>> {
        let mut seen = self.seen.borrow_mut();
        let place = match seen.place_of(path) {
            Ok(place) => place,
            Err(hash) => {
                if self.bases.borrow().len() < bases.len() {
                    self.bases.replace(bases.to_vec());
                }
                let bases = self.base.iter().chain(bases);
                seen.push(hash, path, self.fixer.trace_below(path, bases)?)
            }
        };
        let fate = &seen.paths[place].fate;
        Ok(fate.found(self.fixer).map(str::to_owned))
    }

    /// How many paths were asked for, and those of them that match no file, sorted.
    pub fn unresolved(&self) -> (usize, Vec<String>) {
        let seen = self.seen.borrow();
        let mut lost: Vec<String> = seen
            .iter()
            .filter(|(_, fate)| **fate == Fate::Unmatched)
            .map(|(path, _)| path.to_owned())
            .collect();
        lost.sort_unstable();
        (seen.len(), lost)
    }

    /// What was asked for.
    pub(crate) fn into_asked(self) -> Asked {
        let bases = self.base.into_iter().chain(self.bases.into_inner());
        Asked {
            bases: bases.collect(),
            paths: self.seen.into_inner(),
        }
    }
}

/// Paths, each once, and what became of each.
#[derive(Default)]
struct Seen {
    /// The paths, one behind the other.
    text: String,
    paths: Vec<SeenPath>,
    /// Places in `paths`, by the hashes of the paths.
    places: HashTable<(u64, usize)>,
    hasher: DefaultHashBuilder,
}

struct SeenPath {
    /// Where the path ends in the text.
    end: usize,
    fate: Fate,
}

impl Seen {
    fn len(&self) -> usize {
        self.paths.len()
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &Fate)> {
        self.paths
            .iter()
            .enumerate()
            .map(|(place, path)| (self.path(place), &path.fate))
    }

    fn path(&self, place: usize) -> &str {
        let start = place
            .checked_sub(1)
            .map_or(0, |before| self.paths[before].end);
        &self.text[start..self.paths[place].end]
    }

    /// Where a path stands, or its hash if it was not seen.
    fn place_of(&self, path: &str) -> std::result::Result<usize, u64> {
        let hash = self.hasher.hash_one(path);
        let is_it = |&(other, place): &(u64, usize)| other == hash && self.path(place) == path;
        let found = self.places.find(hash, is_it);
        found.map(|&(_, place)| place).ok_or(hash)
    }

    /// Adds a path that was not seen; gives where it stands.
    fn push(&mut self, hash: u64, path: &str, fate: Fate) -> usize {
        let place = self.paths.len();
        self.places
            .insert_unique(hash, (hash, place), |place| place.0);
        self.text.push_str(path);
        let end = self.text.len();
        self.paths.push(SeenPath { end, fate });
        place
    }

    /// Adds the paths of another that were not seen.
    fn include(&mut self, other: Seen) {
        let Seen { text, paths, .. } = other;
        let mut start = 0;
        for SeenPath { end, fate } in paths {
            let path = &text[start..end];
            if let Err(hash) = self.place_of(path) {
                self.push(hash, path, fate);
            }
            start = end;
        }
    }
}

/// The folder of an uploaded file; `None` when it has no name.
fn parent(name: &str) -> Option<String> {
    let bytes = name.as_bytes();
    let windows = bytes.len() > 2 && bytes[0].is_ascii_alphabetic() && &bytes[1..3] == b":\\";
    let slashed = if windows {
        name.replace('\\', "/")
    } else {
        name.to_owned()
    };
    match slashed.trim_end_matches('/').rsplit_once('/') {
        _ if name.is_empty() => None,
        Some((folder, _)) => Some(folder.to_owned()),
        None => Some(".".to_owned()),
    }
}

/// `fixes` of the settings. Every alternative is tried at the start of the path, in the order in
/// which the settings list them.
struct CustomFixes {
    replacements: Vec<(Regex, String)>,
    prefix: String,
}

impl CustomFixes {
    fn new(fixes: &[Fix]) -> Option<CustomFixes> {
        if fixes.is_empty() {
            return None;
        }
        let (prefixes, fixes): (Vec<_>, Vec<_>) =
            fixes.iter().partition(|fix| fix.before.is_empty());
        let prefixes: Vec<&str> = prefixes.iter().map(|fix| fix.after.as_str()).collect();
        let replacements = fixes
            .iter()
            .filter_map(|fix| Some((anchored(&stars(&fix.before))?, fix.after.clone())));
        Some(CustomFixes {
            replacements: replacements.collect(),
            prefix: prefixes.join("/"),
        })
    }

    fn apply(&self, path: &str) -> String {
        let replaced = self.replacements.iter().find_map(|(before, after)| {
            let found = before.find(path)?;
            Some(format!("{after}{}", &path[found.end()..]))
        });
        tidy(&replaced.unwrap_or_else(|| path.to_owned()))
    }

    fn with_prefixes(&self, path: &str) -> String {
        if self.prefix.is_empty() {
            path.to_owned()
        } else {
            tidy(&format!("{}/{path}", self.prefix))
        }
    }
}

fn tidy(path: &str) -> String {
    path.replace("//", "/").trim_start_matches('/').to_owned()
}

/// A lone `*` that does not follow a dot stands for one or more characters of a name.
fn stars(before: &str) -> String {
    let text = before.trim_start_matches('/').replace("**", ".*");
    let mut out = String::with_capacity(text.len() + 16);
    let mut last = None;
    for c in text.chars() {
        match c {
            '*' if last != Some('.') => out.push_str(r"[^/\n]+"),
            c => out.push(c),
        }
        last = Some(c);
    }
    out
}

/// Which paths of an upload count.
struct PathFilter {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

impl PathFilter {
    fn new(settings: &Settings, flags: &[String]) -> PathFilter {
        let mut patterns: Vec<Pattern> = settings.ignore.iter().map(Pattern::inverted).collect();
        for flag in flags {
            let rules = settings.flag_rules(flag);
            patterns.extend(rules.ignore.iter().flatten().map(Pattern::inverted));
            patterns.extend(rules.paths.into_iter().flatten());
        }
        let (mut exclude, mut include): (Vec<_>, Vec<_>) =
            patterns.into_iter().partition(|pattern| pattern.negated);
        if include.iter().any(Pattern::is_everything) {
            include.clear();
        }
        if exclude.iter().any(Pattern::is_everything) {
            exclude.clear();
        }
        PathFilter { include, exclude }
    }

    fn includes(&self, path: &str) -> bool {
        (self.include.is_empty() || self.include.iter().any(|pattern| pattern.is_match(path)))
            && !self.exclude.iter().any(|pattern| pattern.is_match(path))
    }

    /// The pattern that leaves a path out; `None` for a path that is in none of those that count.
    fn excluding(&self, path: &str) -> Option<&Pattern> {
        self.exclude.iter().find(|pattern| pattern.is_match(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_climb_or_name_nothing_never_panic() {
        let settings = Settings::default();
        let bare = PathFixer::new(&settings, [], &[]);
        let known = PathFixer::new(&settings, ["src/a.c"], &[]);
        for path in [
            "../../../etc/passwd",
            "a/../../b",
            "..",
            "/",
            "",
            "\\",
            "a/..",
            "é/../é",
            "x\0y",
        ] {
            for fixer in [&bare, &known] {
                if let Ok(Some(fixed)) = fixer.for_file("../x/../../y").fix(path) {
                    assert!(!fixed.starts_with(['/', '.']), "{path} became {fixed}");
                }
            }
        }
    }

    #[test]
    fn a_hundred_thousand_network_entries_resolve_in_linear_time() {
        let network: Vec<String> = (0..100_000)
            .map(|i| format!("src/d{}/__init__.py", i))
            .collect();
        let fixer = PathFixer::new(
            &Settings::default(),
            network.iter().map(String::as_str),
            &[],
        );
        for i in (0..100_000).step_by(7) {
            let fixed = fixer.fix(&format!("/w/src/d{i}/__init__.py")).unwrap();
            assert_eq!(fixed, Some(format!("src/d{i}/__init__.py")));
        }
        assert_eq!(fixer.fix("__init__.py").unwrap(), None);
    }
}
