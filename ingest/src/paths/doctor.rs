//! Which paths of an upload match no file of the repository, and the `fixes` that would mend them.
//!
//! Each lost path is laid beside the few files that end like it; what stands before the common end
//! makes a rule. A rule is suggested only if the fixer itself, given the rule, leads at least half of
//! the paths that the rule speaks of to files, and every path that was found to where it went before.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use serde::Serialize;

use super::{Asked, Fate, PathFixer, cleaned};
use crate::settings::{Fix, anchored};

/// Lost paths that are looked into, and found paths that must stay; of more, every so many-th.
const MAX_EXAMINED: usize = 10_000;
/// Files that a lost path is laid beside; a path that ends like more of them says nothing.
const MAX_CANDIDATES: usize = 8;
/// Folders of the common end that a rule may name.
const MAX_SHARED_FOLDERS: usize = 2;
/// Paths that are fixed in trials of rules.
const MAX_TRIED_PATHS: usize = 200_000;
/// Rules that are suggested.
const MAX_RULES: usize = 20;
/// Groups of paths that are shown.
const MAX_GROUPS: usize = 20;
/// Paths that are shown of a group or a rule.
const MAX_EXAMPLES: usize = 3;
/// Characters that are shown of a path; longer rules are not suggested.
const MAX_SHOWN_CHARS: usize = 300;
/// A group of paths is named by so many folders.
const GROUP_FOLDERS: usize = 2;
/// Shorter names are no hashes, in characters.
const MIN_HASH_CHARS: usize = 7;

/// What became of the paths that an upload's reports name.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Diagnosis {
    /// Files in the list of the repository's files; without any, paths are taken as they are.
    pub network: usize,
    /// Paths that the reports name, counted for each report.
    pub named: usize,
    /// Paths that match no file of the repository, or several alike.
    pub unmatched: usize,
    /// Paths that the settings leave out.
    pub left_out: usize,
    /// How many of the unmatched paths were looked into.
    pub examined: usize,
    /// Of these, how many the rules would mend.
    pub mended: usize,
    /// The rules, in the order in which they should stand in `fixes`.
    pub rules: Vec<Rule>,
    /// Paths that no rule would mend, by folder, most first; not all when there are many.
    pub unmended: Vec<Group>,
    /// Paths that the settings leave out, by pattern, most first; not all when there are many.
    pub left_out_by: Vec<Group>,
}

/// A line for `fixes` of a codecov.yml.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Rule {
    /// As it stands there, `before::after`.
    pub fix: String,
    /// Lost paths that it speaks of.
    pub paths: usize,
    /// Of these, how many it would mend.
    pub mended: usize,
    /// Some of those.
    pub examples: Vec<Example>,
}

/// A path, and the file that it would become.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Example {
    /// As a report names it.
    pub path: String,
    /// The file of the repository.
    pub becomes: String,
}

/// Paths that have something in common.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Group {
    /// Their folder, empty for the top; or the pattern that leaves them out.
    pub name: String,
    /// How many they are.
    pub paths: usize,
    /// Some of them.
    pub examples: Vec<String>,
}

/// Finds what is to be said of the paths that were asked for. `fixes` are those of the fixer. Linear
/// in the paths and bounded in the trials; next to nothing where no path is lost.
pub(crate) fn diagnose(fixer: &PathFixer, fixes: &[Fix], asked: &[Asked]) -> Diagnosis {
    let lost = distinct(asked, |fate| is_lost(fixer, fate));
    let left_out = distinct(asked, |fate| matches!(fate, Fate::LeftOut(_)));
    let mut diagnosis = Diagnosis {
        network: fixer.tree.as_ref().map_or(0, |tree| tree.len()),
        named: asked.iter().map(|asked| asked.paths.len()).sum(),
        unmatched: lost.len(),
        left_out: left_out.len(),
        left_out_by: group(
            left_out
                .iter()
                .map(|path| (left_out_by(fixer, path), path.text)),
        ),
        ..Diagnosis::default()
    };
    if lost.is_empty() {
        return diagnosis;
    }
    let found = distinct(asked, |fate| {
        fate.found(fixer).is_some() && !is_lost(fixer, fate)
    });
    let mut search = Search {
        fixer: fixer.with_fixes(fixes),
        fixes: fixes.to_vec(),
        lost: examined(lost),
        found: examined(found),
        tried: 0,
    };
    diagnosis.examined = search.lost.len();
    diagnosis.rules = search.rules();
    diagnosis.mended = diagnosis.rules.iter().map(|rule| rule.mended).sum();
    let unmended = search
        .lost
        .iter()
        .map(|path| (folder(&path.clean), path.text));
    diagnosis.unmended = group(unmended);
    diagnosis
}

fn is_lost(fixer: &PathFixer, fate: &Fate) -> bool {
    match fate {
        Fate::Listed(_) => false,
        Fate::Found(path) => !path.is_empty() && fixer.is_astray(path),
        Fate::Unmatched => true,
        Fate::LeftOut(_) => false,
    }
}

fn left_out_by(fixer: &PathFixer, path: &Path<'_>) -> String {
    let Fate::LeftOut(file) = path.fate else {
        return String::new();
    };
    match fixer.filter.excluding(file) {
        Some(pattern) => shown(&pattern.written),
        None => "no pattern of paths takes them".to_owned(),
    }
}

/// A path as a report names it.
struct Path<'a> {
    text: &'a str,
    /// As rules see it; empty until it is looked into.
    clean: String,
    fate: &'a Fate,
    bases: &'a [String],
}

/// Different paths of such fates, in order.
fn distinct<'a>(asked: &'a [Asked], is_meant: impl Fn(&Fate) -> bool) -> Vec<Path<'a>> {
    let paths = asked.iter().flat_map(|asked| {
        asked.paths.iter().map(|(text, fate)| Path {
            text,
            clean: String::new(),
            fate,
            bases: &asked.bases,
        })
    });
    let mut paths: Vec<Path<'a>> = paths.filter(|path| is_meant(path.fate)).collect();
    paths.sort_by_key(|path| path.text); // stable: the first report decides
    paths.dedup_by_key(|path| path.text);
    paths
}

/// As many of the paths as are looked into, evenly spread, in the order of what rules see of them.
fn examined(mut paths: Vec<Path<'_>>) -> Vec<Path<'_>> {
    let step = paths.len().div_ceil(MAX_EXAMINED).max(1);
    let mut number = 0;
    paths.retain(|_| {
        number += 1;
        (number - 1) % step == 0
    });
    for path in &mut paths {
        let clean = cleaned(path.text).ok().flatten();
        path.clean = clean.map(Cow::into_owned).unwrap_or_default();
    }
    paths.sort_by(|a, b| a.clean.cmp(&b.clean));
    paths
}

/// The first folders of a path.
fn folder(clean: &str) -> String {
    let within = clean.rsplit_once('/').map_or("", |(folder, _)| folder);
    let end = within.match_indices('/').nth(GROUP_FOLDERS - 1);
    shown(end.map_or(within, |(at, _)| &within[..at]))
}

fn group<'a>(paths: impl Iterator<Item = (String, &'a str)>) -> Vec<Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for (name, path) in paths {
        let group = groups.entry(name).or_insert_with_key(|name| Group {
            name: name.clone(),
            paths: 0,
            examples: Vec::new(),
        });
        group.paths += 1;
        if group.examples.len() < MAX_EXAMPLES {
            group.examples.push(shown(path));
        }
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.paths)); // stable: then by name
    groups.truncate(MAX_GROUPS);
    groups
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN_CHARS).collect()
}

/// The search for rules.
struct Search<'a> {
    /// With the rules that were found so far.
    fixer: PathFixer,
    fixes: Vec<Fix>,
    /// Paths that are not mended yet.
    lost: Vec<Path<'a>>,
    found: Vec<Path<'a>>,
    /// Paths that were fixed in trials.
    tried: usize,
}

/// A rule that some paths and files suggest.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Proposal {
    before: Before,
    after: String,
    /// Names that the paths and their files have in common at their ends, in all.
    weight: usize,
    /// The most of them in one path.
    deepest: usize,
}

/// What stands at the start of paths.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
struct Before {
    /// As `fixes` has it.
    text: String,
    /// What every path that it matches starts with.
    head: String,
}

/// What a trial showed.
struct Trial {
    fixer: PathFixer,
    rule: Rule,
    /// Which of the lost paths are mended.
    mended: Vec<usize>,
}

impl<'a> Search<'a> {
    /// Finds rules and takes the paths that they mend from those that are lost.
    fn rules(&mut self) -> Vec<Rule> {
        let mut rules = Vec::new();
        for proposal in self.proposals() {
            if rules.len() == MAX_RULES || self.lost.is_empty() {
                break;
            }
            let Some(fix) = Fix::parse(&proposal.fix()) else {
                continue;
            };
            let Some(trial) = self.trial(&proposal, &fix) else {
                continue;
            };
            self.fixer = trial.fixer;
            self.fixes.push(fix);
            rules.push(trial.rule);
            let (mut mended, mut number) = (trial.mended.into_iter().peekable(), 0);
            self.lost.retain(|_| {
                number += 1;
                mended.next_if_eq(&(number - 1)).is_none()
            });
        }
        rules
    }

    /// What the lost paths and the files that end like them suggest, the most promising first. Where
    /// two replacements of one text are as likely, neither counts.
    fn proposals(&self) -> Vec<Proposal> {
        let mut all: HashMap<(Before, String), (usize, usize)> = HashMap::new();
        let Some(tree) = &self.fixer.tree else {
            return Vec::new();
        };
        for path in &self.lost {
            for file in tree.ending_like(&path.clean, MAX_CANDIDATES) {
                for_each_rule(&path.clean, file, |before, after, shared| {
                    let (weight, deepest) = all.entry((before, after)).or_default();
                    *weight += shared;
                    *deepest = shared.max(*deepest);
                });
            }
        }
        let proposals = all
            .into_iter()
            .map(|((before, after), (weight, deepest))| Proposal {
                before,
                after,
                weight,
                deepest,
            });
        likeliest(proposals.collect())
    }

    /// Tries a rule; `None` if it mends too little or changes what is well.
    fn trial(&mut self, proposal: &Proposal, fix: &Fix) -> Option<Trial> {
        let head = proposal.before.head.as_str();
        let lost = starting_with(&self.lost, head);
        let found = starting_with(&self.found, head);
        if self.tried + lost.len() + found.len() > MAX_TRIED_PATHS {
            return None;
        }
        self.tried += lost.len() + found.len();
        let mut fixes = self.fixes.clone();
        fixes.push(fix.clone());
        let fixer = self.fixer.with_fixes(&fixes);
        let matching = anchored(&fix.before)?;
        let meant = |&number: &usize| matching.is_match(&self.lost[number].clean);
        let meant: Vec<usize> = lost.filter(meant).collect();
        let mends = |number| Some((number, mends(&fixer, &self.lost[number])?));
        let mended: Vec<(usize, String)> = meant.iter().copied().filter_map(mends).collect();
        let is_evident = mended.len() > 1 || (mended.len() == 1 && proposal.deepest > 1);
        let stays = |path: &Path<'_>| {
            let fate = fixer.trace_below(path.text, path.bases);
            fate.is_ok_and(|fate| fate.found(&fixer) == path.fate.found(&fixer))
        };
        if !is_evident || mended.len() * 2 < meant.len() || !self.found[found].iter().all(stays) {
            return None;
        }
        let rule = Rule {
            fix: proposal.fix(),
            paths: meant.len(),
            mended: mended.len(),
            examples: self.examples(&mended),
        };
        Some(Trial {
            fixer,
            rule,
            mended: mended.into_iter().map(|(number, _)| number).collect(),
        })
    }

    fn examples(&self, mended: &[(usize, String)]) -> Vec<Example> {
        let first = mended.iter().take(MAX_EXAMPLES);
        let examples = first.map(|(number, file)| Example {
            path: shown(self.lost[*number].text),
            becomes: shown(file),
        });
        examples.collect()
    }
}

impl Proposal {
    fn fix(&self) -> String {
        format!("{}::{}", self.before.text, self.after)
    }
}

/// The file that the path now leads to.
fn mends(fixer: &PathFixer, path: &Path<'_>) -> Option<String> {
    match fixer.trace_below(path.text, path.bases) {
        Ok(Fate::Found(file)) if !file.is_empty() && !fixer.is_astray(&file) => Some(file),
        _ => None, // and no other, as there are fixes
    }
}

/// Of sorted paths, those that start so.
fn starting_with(paths: &[Path<'_>], head: &str) -> Range<usize> {
    let start = paths.partition_point(|path| path.clean.as_str() < head);
    let count = paths[start..].partition_point(|path| path.clean.starts_with(head));
    start..start + count
}

/// One proposal per text that is replaced, the weightiest and then the shortest first.
fn likeliest(mut proposals: Vec<Proposal>) -> Vec<Proposal> {
    proposals.sort_by(|a, b| (&a.before, b.weight, &a.after).cmp(&(&b.before, a.weight, &b.after)));
    let of_one_text = proposals.chunk_by(|a, b| a.before == b.before);
    let clear = of_one_text.filter_map(|same| match same {
        [first, second, ..] if first.weight == second.weight => None,
        same => same.first().cloned(),
    });
    let mut clear: Vec<Proposal> = clear.collect();
    let length = |proposal: &Proposal| proposal.before.text.len();
    clear.sort_by(|a, b| {
        let by_weight = b.weight.cmp(&a.weight);
        by_weight
            .then(length(a).cmp(&length(b)))
            .then(a.before.cmp(&b.before))
    });
    clear
}

/// The rules that lead from a path to a file: what stands before their common end is replaced, with
/// up to [`MAX_SHARED_FOLDERS`] folders of that end, so that the rule says enough.
fn for_each_rule(path: &str, file: &str, mut found: impl FnMut(Before, String, usize)) {
    let (path, file): (Vec<&str>, Vec<&str>) =
        (path.split('/').collect(), file.split('/').collect());
    let ends = path.iter().rev().zip(file.iter().rev());
    let shared = ends.take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
    let (own, files) = (path.len() - shared, file.len() - shared);
    for kept in 0..=MAX_SHARED_FOLDERS.min(shared.saturating_sub(1)) {
        let after = folders(&file[..files + kept]);
        if let Some(before) = Before::new(&path[..own + kept], own)
            && !after.contains("::")
        {
            found(before, after, shared);
        }
    }
}

/// The names as a folder that ends in a slash; empty for none.
fn folders(names: &[&str]) -> String {
    names.iter().flat_map(|name| [*name, "/"]).collect()
}

impl Before {
    /// These folders; of the first `own`, which the repository does not have, numbers and hashes stand
    /// for any name, as they differ from build to build. `None` for what no rule can say.
    fn new(names: &[&str], own: usize) -> Option<Before> {
        let changes = |(number, name): (usize, &&str)| number < own && changes_with_builds(name);
        let steady = names
            .iter()
            .enumerate()
            .position(changes)
            .unwrap_or(names.len());
        let mut text = String::new();
        for (number, name) in names.iter().enumerate() {
            match changes((number, name)) {
                true => text.push_str("[^/]+"),
                false => push_literal(&mut text, name),
            }
            text.push('/');
        }
        if text.contains(['[', ']', '$']) {
            text.insert(0, '^');
        }
        let can_be_said = !text.is_empty()
            && text.len() <= MAX_SHOWN_CHARS
            && !text.contains("::")
            && !text.contains(['*', '\n', '\r']);
        can_be_said.then(|| Before {
            text,
            head: folders(&names[..steady]),
        })
    }
}

fn push_literal(text: &mut String, name: &str) {
    for c in name.chars() {
        if matches!(
            c,
            '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$'
        ) {
            text.push('\\');
        }
        text.push(c);
    }
}

/// Whether a name is a number or looks like a hash.
fn changes_with_builds(name: &str) -> bool {
    let is_number = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    let is_hash = name.len() >= MIN_HASH_CHARS
        && name.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
        && name.bytes().any(|b| b.is_ascii_digit());
    is_number || is_hash
}

impl Display for Diagnosis {
    /// For people, with the rules as lines of a codecov.yml.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} paths in the reports, {} files in the repository",
            self.named, self.network
        )?;
        if self.network == 0 {
            writeln!(
                f,
                "Without the list of the repository's files, paths are taken as they are."
            )?;
        }
        writeln!(
            f,
            "{} match no file, {} are left out by the settings",
            self.unmatched, self.left_out
        )?;
        if self.examined < self.unmatched {
            writeln!(
                f,
                "{} of those that match no file were looked into.",
                self.examined
            )?;
        }
        if !self.rules.is_empty() {
            writeln!(
                f,
                "\nThis in codecov.yml would mend {} of them:\n\nfixes:",
                self.mended
            )?;
        }
        for rule in &self.rules {
            writeln!(f, "  - '{}'", rule.fix.replace('\'', "''"))?;
            writeln!(f, "    # mends {} of {}", rule.mended, rule.paths)?;
            for Example { path, becomes } in &rule.examples {
                writeln!(f, "    # {path} becomes {becomes}")?;
            }
        }
        write_groups(f, "No rule helps these:", &self.unmended)?;
        write_groups(
            f,
            "Left out by the settings, by pattern:",
            &self.left_out_by,
        )
    }
}

fn write_groups(f: &mut Formatter<'_>, title: &str, groups: &[Group]) -> fmt::Result {
    if groups.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}")?;
    for group in groups {
        let name = if group.name.is_empty() {
            "."
        } else {
            &group.name
        };
        writeln!(
            f,
            "  {name}: {}, such as {}",
            group.paths,
            group.examples.join(", ")
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn diagnosis(yaml: &str, network: &[&str], flags: &[&str], paths: &[&str]) -> Diagnosis {
        let settings = Settings::parse(yaml);
        let flags: Vec<String> = flags.iter().map(|&flag| flag.into()).collect();
        let fixer = PathFixer::new(&settings, network.iter().copied(), &flags);
        let file = fixer.for_file("coverage.xml");
        for path in paths {
            file.fix(path).unwrap();
        }
        diagnose(&fixer, &settings.fixes, &[file.into_asked()])
    }

    fn fixes(diagnosis: &Diagnosis) -> Vec<(&str, usize, usize)> {
        let rules = diagnosis.rules.iter();
        rules
            .map(|rule| (rule.fix.as_str(), rule.mended, rule.paths))
            .collect()
    }

    /// A repository of two packages with files of the same names.
    const TWINS: [&str; 5] = [
        "frontend/src/index.ts",
        "frontend/src/app.ts",
        "frontend/src/api/user.ts",
        "backend/src/index.ts",
        "backend/src/api/user.ts",
    ];

    #[test]
    fn a_report_of_one_package_of_many_is_led_to_its_folder() {
        let network = [
            &TWINS[..],
            &["frontend/src/login/form.ts", "admin/src/login/form.ts"],
        ]
        .concat();
        let paths = [
            "src/index.ts",
            "src/app.ts",
            "src/api/user.ts",
            "src/login/form.ts",
        ];
        let found = diagnosis("{}", &network, &[], &paths);
        assert_eq!((found.named, found.unmatched), (4, 3));
        assert_eq!(fixes(&found), [("src/::frontend/src/", 3, 3)]);
    }

    #[test]
    fn no_rule_is_suggested_where_two_are_as_likely() {
        let paths = ["src/index.ts", "src/app.ts", "src/api/user.ts"];
        let found = diagnosis("{}", &TWINS, &[], &paths);
        assert_eq!((found.named, found.unmatched), (3, 2));
        assert_eq!(fixes(&found), []);
    }

    #[test]
    fn a_folder_that_is_named_otherwise_is_replaced() {
        let network = [
            "src/core/a.py",
            "src/core/b.py",
            "src/web/a.py",
            "docs/a.md",
        ];
        let found = diagnosis("{}", &network, &[], &["lib/a.py", "lib/b.py", "docs/a.md"]);
        assert_eq!((found.named, found.unmatched, found.examined), (3, 2, 2));
        assert_eq!(fixes(&found), [("lib/::src/core/", 2, 2)]);
        let example = &found.rules[0].examples[0];
        assert_eq!(
            (example.path.as_str(), example.becomes.as_str()),
            ("lib/a.py", "src/core/a.py")
        );
        assert_eq!((found.mended, found.unmended), (2, vec![]));
    }

    #[test]
    fn numbers_of_builds_stand_for_any() {
        let network = ["app/main.go", "app/util.go", "tool/util.go"];
        let paths = ["/builds/4711/pkg/main.go", "/builds/4711/pkg/util.go"];
        let found = diagnosis("{}", &network, &[], &paths);
        assert_eq!(fixes(&found), [("^builds/[^/]+/pkg/::app/", 2, 2)]);
    }

    #[test]
    fn names_with_signs_of_regular_expressions_are_taken_literally() {
        let network = [
            "site/pages/[id]/a.tsx",
            "site/pages/[id]/b.tsx",
            "other/a.tsx",
        ];
        let paths = ["(web)/c++/a.tsx", "(web)/c++/b.tsx"];
        let found = diagnosis("{}", &network, &[], &paths);
        assert_eq!(fixes(&found), [(r"\(web\)/c\+\+/::site/pages/[id]/", 2, 2)]);
    }

    #[test]
    fn no_rule_is_suggested_that_moves_what_is_well() {
        let network = [
            "lib/x/c.py",
            "src/core/a.py",
            "src/core/b.py",
            "src/web/a.py",
            "src/core/x/c.py",
        ];
        let found = diagnosis("{}", &network, &[], &["lib/a.py", "lib/b.py", "lib/x/c.py"]);
        assert_eq!(found.unmatched, 2);
        assert_eq!(found.rules, []);
        assert_eq!(found.unmended[0].paths, 2);
        assert!(
            found
                .to_string()
                .contains("No rule helps these:\n  lib: 2, such as lib/a.py, lib/b.py")
        );
    }

    #[test]
    fn what_the_settings_leave_out_is_told_apart() {
        let yaml = "{ignore: [tests], flags: {unit: {paths: [src]}}}";
        let network = ["src/a.py", "tests/a_test.py", "docs/conf.py"];
        let paths = ["src/a.py", "tests/a_test.py", "docs/conf.py", "none.py"];
        let found = diagnosis(yaml, &network, &["unit"], &paths);
        assert_eq!((found.unmatched, found.left_out), (1, 2));
        let by: Vec<&str> = found
            .left_out_by
            .iter()
            .map(|group| group.name.as_str())
            .collect();
        assert_eq!(by, ["no pattern of paths takes them", "tests"]);
    }

    #[test]
    fn paths_that_the_settings_lead_astray_are_lost() {
        let yaml = "{codecov: {disable_default_path_fixes: true}}";
        let found = diagnosis(
            yaml,
            &["src/a.py", "src/b.py"],
            &[],
            &["/w/src/a.py", "/w/src/b.py"],
        );
        assert_eq!(found.unmatched, 2);
        assert_eq!(fixes(&found), [("w/::", 2, 2)]);
    }

    #[test]
    fn without_a_list_of_files_nothing_is_lost() {
        let found = diagnosis("{}", &[], &[], &["a.py", "/usr/include/x.h"]);
        assert_eq!((found.network, found.unmatched, found.left_out), (0, 0, 0));
    }

    #[test]
    fn many_lost_paths_take_bounded_work() {
        let network: Vec<String> = (0..50_000)
            .map(|i| format!("src/d{}/f{i}.py", i % 100))
            .collect();
        let mut network: Vec<&str> = network.iter().map(String::as_str).collect();
        network.push("src/d1/__init__.py");
        network.push("src/d2/__init__.py");
        let paths: Vec<String> = (0..50_000)
            .map(|i| format!("lib/e{}/f{i}.py", i % 90))
            .collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let found = diagnosis("{}", &network, &[], &paths);
        assert_eq!((found.unmatched, found.examined), (50_000, 10_000));
        assert!(found.rules.len() <= MAX_RULES && found.unmended.len() <= MAX_GROUPS);
    }
}
