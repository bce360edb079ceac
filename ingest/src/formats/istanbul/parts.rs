//! Istanbul's files with their columns, and with branches that count by their arms.

use std::collections::{BTreeMap, HashMap, HashSet};

use engine::model::{ArmId, Coverage, FileBuilder, Kind, Part};

use super::maps::{Maps, Node, OPEN, Pairs, Span};

/// What is wrong with a file.
type Outcome = std::result::Result<(), String>;

/// Reads a file: first branches that are no `if`, then statements, then `if`s, then functions.
pub(super) fn read(maps: &Maps<'_>, file: &mut FileBuilder) -> Outcome {
    if let Some(fault) = &maps.fault {
        return Err(fault.clone());
    }
    if !maps.has_functions {
        return Err("there is no fnMap".into());
    }
    let mut reader = Reader {
        maps,
        file,
        known: HashMap::new(),
        set_aside: HashMap::new(),
    };
    reader.forks()?;
    reader.statements()?;
    reader.ifs()?;
    reader.functions()
}

struct Reader<'a, 'b> {
    maps: &'a Maps<'a>,
    file: &'b mut FileBuilder,
    /// Lines that have a record, with its columns.
    known: HashMap<u32, Vec<Part>>,
    /// By line, the statement that is an `if` of its own.
    set_aside: HashMap<u32, Part>,
}

/// Locations of one line: the hits of the first, and columns of those that have any.
struct Group {
    hits: Coverage,
    parts: Vec<Part>,
}

impl Reader<'_, '_> {
    fn forks(&mut self) -> Outcome {
        let branches = &self.maps.branches;
        let counts = Pairs::new(&branches.ids, &self.maps.b.ids);
        let mut groups = BTreeMap::new();
        let forks = branches.nodes.iter().enumerate();
        for (slot, node) in forks.filter(|(_, node)| !node.skip && !node.is_if) {
            let arms = branches.arms(node).unwrap_or(&[]);
            let counts = counts.find(slot).map(|slot| self.maps.b.of(slot));
            for (at, arm) in arms.iter().enumerate().filter(|(_, arm)| is_usable(arm)) {
                let hits = counts.and_then(|counts| counts.get(at));
                group(&mut groups, arm, *hits.ok_or("an arm has no count")?);
            }
        }
        for (line, mut group) in groups {
            let (coverage, missed) = arms_of(group.parts.iter().map(|part| part.coverage));
            if group.parts.len() < 2 {
                self.file.append(line, Kind::Branch, group.hits, None, None);
                group.parts.clear();
            } else {
                self.file
                    .append(line, Kind::Branch, coverage, missed.as_deref(), None);
            }
            self.know(line, group.parts);
        }
        Ok(())
    }

    fn statements(&mut self) -> Outcome {
        let (statements, branches) = (&self.maps.statements, &self.maps.branches);
        let ifs: HashSet<Span> = branches
            .nodes
            .iter()
            .filter(|node| !node.skip && node.is_if)
            .map(|node| node.span)
            .collect();
        let counts = Pairs::new(&statements.ids, &self.maps.s.ids);
        let mut groups = BTreeMap::new();
        for (slot, node) in statements.nodes.iter().enumerate().filter(usable) {
            let count = counts.find(slot).ok_or("a statement has no count")?;
            let hits = self.maps.s.all[count];
            match part_of(&node.span, hits) {
                Some(part) if ifs.contains(&node.span) => {
                    self.set_aside.entry(node.line()).or_insert(part);
                }
                _ => group(&mut groups, &node.span, hits),
            }
        }
        for (line, group) in groups {
            if self.known.get(&line).is_none_or(Vec::is_empty) {
                self.file.append(line, Kind::Line, group.hits, None, None);
                self.know(line, group.parts);
            }
        }
        Ok(())
    }

    fn ifs(&mut self) -> Outcome {
        let branches = &self.maps.branches;
        let counts = Pairs::new(&branches.ids, &self.maps.b.ids);
        for (slot, node) in branches.nodes.iter().enumerate().filter(usable) {
            if !node.is_if {
                continue;
            }
            let slot = counts.find(slot).ok_or("a branch has no counts")?;
            let (coverage, missed) = arms_of(self.maps.b.of(slot).iter().copied());
            let (line, missed) = (node.line(), missed.as_deref());
            let Some(parts) = self.known.get_mut(&line) else {
                self.file.append(line, Kind::Branch, coverage, missed, None);
                self.known.insert(line, Vec::new());
                continue;
            };
            if let Some(condition) = self.set_aside.remove(&line) {
                parts.insert(0, within_if(condition, parts.first()));
            }
            self.file.assign(line, Kind::Branch, coverage, missed, None);
            parts.iter().for_each(|part| self.file.part(*part));
        }
        Ok(())
    }

    fn functions(&mut self) -> Outcome {
        let functions = &self.maps.functions;
        let counts = Pairs::new(&functions.ids, &self.maps.f.ids);
        for (slot, node) in functions.nodes.iter().enumerate().filter(usable) {
            let count = counts.find(slot).ok_or("a function has no count")?;
            self.file.append(
                node.line(),
                Kind::Method,
                self.maps.f.all[count],
                None,
                None,
            );
        }
        Ok(())
    }

    /// Notes that a line has a record with these columns.
    fn know(&mut self, line: u32, mut parts: Vec<Part>) {
        parts.sort_by_key(|part| part.start);
        parts.iter().for_each(|part| self.file.part(*part));
        self.known.entry(line).or_default().extend(parts);
    }
}

fn usable(row: &(usize, &Node)) -> bool {
    !row.1.skip && is_usable(&row.1.span)
}

/// Whether a location is on a line, and wider than one column.
fn is_usable(span: &Span) -> bool {
    let is_dot = span.line == span.end_line && span.column.checked_add(1) == Some(span.end_column);
    span.line > 0 && !is_dot
}

/// The columns of a location that is on one line and not at its start.
fn part_of(span: &Span, coverage: Coverage) -> Option<Part> {
    let has_columns = span.line == span.end_line && span.column != 0 && span.column != OPEN;
    has_columns.then_some(Part {
        line: span.line,
        start: span.column,
        end: (span.end_column != OPEN).then_some(span.end_column),
        coverage,
    })
}

fn group(groups: &mut BTreeMap<u32, Group>, span: &Span, hits: Coverage) {
    let group = groups.entry(span.line).or_insert_with(|| Group {
        hits,
        parts: Vec::new(),
    });
    group.parts.extend(part_of(span, hits));
}

/// The coverage of arms that ran so often, and which were missed, by their index.
fn arms_of(hits: impl Iterator<Item = Coverage>) -> (Coverage, Option<Vec<ArmId>>) {
    let (mut total, mut missed) = (0, Vec::new());
    for hits in hits {
        if hits == Coverage::Hits(0) {
            missed.push(ArmId::parse(&total.to_string()));
        }
        total += 1;
    }
    missed.sort_unstable();
    let taken = total - missed.len() as u32;
    let coverage = Coverage::Arms { taken, total };
    (coverage, (!missed.is_empty()).then_some(missed))
}

/// The columns of the condition, between `if (` and `) ` before what follows on the line.
fn within_if(statement: Part, follows: Option<&Part>) -> Part {
    const IF_COLUMNS: u32 = 4;
    const END_COLUMNS: u32 = 2;
    let Some(follows) = follows else {
        return statement;
    };
    Part {
        start: statement.start.saturating_add(IF_COLUMNS),
        end: Some(follows.start.saturating_sub(END_COLUMNS)),
        ..statement
    }
}
