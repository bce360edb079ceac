//! One line: what a session says of it, what is kept, and what is shown.

use std::fmt;

use super::ArmId;

/// What a line is to its report. A merged line has the greatest kind that any session gave it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum Kind {
    /// A statement.
    #[default]
    Line = 0,
    /// The first line of a function.
    Method = 1,
    /// A line whose control flow forks.
    Branch = 2,
}

/// What one session says of one line, or what is shown of a merged one.
///
/// Ordered only so that lists of it have one order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Coverage {
    /// Known, but not counted.
    #[default]
    Null,
    /// Excluded by the report itself: not counted, and stronger than anything else.
    Ignored,
    /// Partly run, without numbers.
    Partial,
    /// Run so many times; 0 is a miss.
    Hits(u64),
    /// So many arms taken of all the arms of a branch. `taken` may exceed `total` in odd reports.
    Arms {
        /// Arms that were taken.
        taken: u32,
        /// All arms.
        total: u32,
    },
}

/// How a line counts in totals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Run, and every arm taken.
    Hit,
    /// Never run.
    Miss,
    /// Run, but not every arm taken.
    Partial,
}

impl Coverage {
    /// How the line counts; `None` when it does not.
    pub fn state(self) -> Option<State> {
        match self {
            Coverage::Null | Coverage::Ignored => None,
            Coverage::Partial => Some(State::Partial),
            Coverage::Hits(0) => Some(State::Miss),
            Coverage::Hits(_) => Some(State::Hit),
            Coverage::Arms { taken, total } if taken == total => Some(State::Hit),
            Coverage::Arms { taken: 0, .. } => Some(State::Miss),
            Coverage::Arms { .. } => Some(State::Partial),
        }
    }

    /// Whether every part of the line was run.
    pub fn is_hit(self) -> bool {
        self.state() == Some(State::Hit)
    }

    /// What two reports of the same session make of a line, of which `missed` are the arms that
    /// neither took, if known. Depends on the order only where arms in all differ: the first wins.
    pub(crate) fn merge(self, other: Coverage, missed: Option<&[ArmId]>) -> Coverage {
        use Coverage::{Arms, Hits, Ignored, Null, Partial};
        match (self, other) {
            (Null, x) | (x, Null) => x,
            (Ignored, _) | (_, Ignored) => Ignored,
            (Hits(a), Hits(b)) => Hits(a.max(b)),
            (Partial, Partial) => Partial,
            (Partial, Hits(hits)) if hits < 2 => Partial,
            (Hits(0), Partial) => Partial,
            (Partial, hits @ Hits(_)) | (hits @ Hits(_), Partial) => hits,
            (Hits(0) | Partial, arms @ Arms { .. }) | (arms @ Arms { .. }, Hits(0) | Partial) => {
                arms
            }
            (Hits(_), Arms { total, .. }) | (Arms { total, .. }, Hits(_)) => Arms {
                taken: total,
                total,
            },
            (
                Arms {
                    taken: t1,
                    total: n1,
                },
                Arms {
                    taken: t2,
                    total: n2,
                },
            ) => match missed {
                Some(missed) => Arms {
                    taken: n1.saturating_sub(missed.len() as u32),
                    total: n1,
                },
                None if t1 == n1 => self,
                None if t2 == n2 => other,
                None => Arms {
                    taken: t1.max(t2),
                    total: n1.max(n2),
                },
            },
        }
    }
}

/// Codecov's text of a coverage: `5`, `1/2`, `true`, `-1`, `null`.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Coverage::Null => f.write_str("null"),
            Coverage::Ignored => f.write_str("-1"),
            Coverage::Partial => f.write_str("true"),
            Coverage::Hits(hits) => write!(f, "{hits}"),
            Coverage::Arms { taken, total } => write!(f, "{taken}/{total}"),
        }
    }
}

/// Cyclomatic complexity of the method that starts on a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Complexity {
    /// Paths covered; or the whole complexity, when the report does not say how much is covered.
    pub covered: u32,
    /// Paths in all, when the report says.
    pub total: Option<u32>,
}

impl Complexity {
    /// The greater of each part.
    pub fn join(self, other: Complexity) -> Complexity {
        Complexity {
            covered: self.covered.max(other.covered),
            total: self.total.max(other.total),
        }
    }
}

/// The arms of a branch that no session took, as far as sessions name them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missed<'a> {
    /// No session names its missed arms.
    Unknown,
    /// The arms that every session which names them missed, sorted; empty when all were taken.
    Arms(&'a [ArmId]),
}

impl<'a> Missed<'a> {
    /// The sorted ids, if known.
    pub fn ids(self) -> Option<&'a [ArmId]> {
        match self {
            Missed::Unknown => None,
            Missed::Arms(ids) => Some(ids),
        }
    }
}

/// What is kept of a branch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arms<'a> {
    /// The most arms that one session took.
    pub taken: u32,
    /// The most arms that one session knows.
    pub total: u32,
    /// The arms missed by all.
    pub missed: Missed<'a>,
    /// Whether sessions that differ were joined. A lone session's own counts are shown even when
    /// they disagree with the arms that it names; of several, the named arms decide.
    pub mixed: bool,
    /// If no session names arms that it missed: the most arms of one that took all of its arms, or 0.
    /// A full branch is shown then with its own count of arms.
    pub unnamed: Option<u32>,
}

/// What is kept of a line: a join-semilattice, part by part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Evidence<'a> {
    /// The greatest kind.
    pub kind: Kind,
    /// Whether any session excludes the line.
    pub ignored: bool,
    /// Whether any session calls the line partly run, without numbers.
    pub partial: bool,
    /// The highest plain hit count.
    pub hits: Option<u64>,
    /// The branch, if any session sees one.
    pub arms: Option<Arms<'a>>,
    /// The greatest complexity.
    pub complexity: Option<Complexity>,
}

impl<'a> Evidence<'a> {
    /// The evidence of one session. `missed` must be sorted.
    #[inline]
    pub fn of_session(
        kind: Kind,
        coverage: Coverage,
        missed: Option<&'a [ArmId]>,
        complexity: Option<Complexity>,
    ) -> Evidence<'a> {
        let mut evidence = Evidence {
            kind,
            complexity,
            ..Evidence::default()
        };
        match coverage {
            Coverage::Null => {}
            Coverage::Ignored => evidence.ignored = true,
            Coverage::Partial => evidence.partial = true,
            Coverage::Hits(hits) => evidence.hits = Some(hits),
            Coverage::Arms { taken, total } => {
                let missed = match missed {
                    Some(ids) => Missed::Arms(ids),
                    None if taken == total => Missed::Arms(&[]),
                    None => Missed::Unknown,
                };
                evidence.arms = Some(Arms {
                    taken,
                    total,
                    missed,
                    mixed: false,
                    unnamed: Arms::unnamed(taken, total, missed.ids().map(<[_]>::len)),
                });
            }
        }
        evidence
    }

    /// The evidence without the ids of missed arms.
    pub(super) fn without_ids(&self) -> Evidence<'static> {
        Evidence {
            kind: self.kind,
            ignored: self.ignored,
            partial: self.partial,
            hits: self.hits,
            arms: self.arms.map(|arms| Arms {
                taken: arms.taken,
                total: arms.total,
                missed: Missed::Unknown,
                mixed: arms.mixed,
                unnamed: arms.unnamed,
            }),
            complexity: self.complexity,
        }
    }

    /// What is shown of the line.
    pub fn coverage(&self) -> Coverage {
        if self.ignored {
            return Coverage::Ignored;
        }
        match (self.arms, self.hits) {
            (Some(arms), hits) => arms.coverage(hits.is_some_and(|n| n > 0)),
            (None, None | Some(0)) if self.partial => Coverage::Partial,
            (None, Some(hits)) => Coverage::Hits(hits),
            (None, None) => Coverage::Null,
        }
    }

    /// The missed arms of one session, where its report names them, sorted. A fully taken branch of a
    /// lone report names none, which is not the same as the empty list that a merge leaves.
    pub fn named_missed(&self) -> Option<&'a [ArmId]> {
        let arms = self.arms?;
        arms.missed
            .ids()
            .filter(|ids| !ids.is_empty() || arms.mixed)
    }

    /// Joins the two, writing arms missed by both to `scratch` (cleared first).
    pub(super) fn join<'s>(&self, other: &Evidence<'s>, scratch: &'s mut Vec<ArmId>) -> Evidence<'s>
    where
        'a: 's,
    {
        let complexity = either_or(self.complexity, other.complexity, Complexity::join);
        let arms = either_or(self.arms, other.arms, |a, b| a.join(b, scratch));
        Evidence {
            kind: self.kind.max(other.kind),
            ignored: self.ignored | other.ignored,
            partial: self.partial | other.partial,
            hits: self.hits.max(other.hits),
            arms,
            complexity,
        }
    }
}

impl<'a> Arms<'a> {
    /// What [`unnamed`](Arms#structfield.unnamed) is of one session, which names so many missed arms.
    pub(crate) fn unnamed(taken: u32, total: u32, missed: Option<usize>) -> Option<u32> {
        match missed {
            Some(0) if taken == total => Some(total),
            Some(_) => None,
            None => Some(0),
        }
    }

    fn coverage(self, line_was_hit: bool) -> Coverage {
        let Arms {
            taken,
            total,
            missed,
            mixed,
            unnamed,
        } = self;
        let full = |total| Coverage::Arms {
            taken: total,
            total,
        };
        if line_was_hit {
            return full(total);
        }
        match missed {
            Missed::Arms(ids) if mixed => match unnamed {
                Some(arms) if arms > 0 => full(arms),
                _ => Coverage::Arms {
                    taken: total.saturating_sub(ids.len() as u32),
                    total,
                },
            },
            _ => Coverage::Arms { taken, total },
        }
    }

    pub(super) fn join(self, other: Arms<'a>, scratch: &'a mut Vec<ArmId>) -> Arms<'a> {
        let said = |arms: &Arms<'a>| (arms.taken, arms.total, arms.missed, arms.unnamed);
        let same = said(&self) == said(&other);
        let missed = match (self.missed, other.missed) {
            (a, b) if a == b => a,
            (Missed::Unknown, known) | (known, Missed::Unknown) => known,
            (Missed::Arms(a), Missed::Arms(b)) => {
                scratch.clear();
                intersect(a, b, scratch);
                Missed::Arms(scratch)
            }
        };
        Arms {
            taken: self.taken.max(other.taken),
            total: self.total.max(other.total),
            missed,
            mixed: self.mixed | other.mixed | !same,
            unnamed: self.unnamed.zip(other.unnamed).map(|(a, b)| a.max(b)),
        }
    }
}

/// What both have joined, or the one that there is.
pub(super) fn either_or<T>(a: Option<T>, b: Option<T>, join: impl FnOnce(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(join(a, b)),
        (a, b) => a.or(b),
    }
}

/// The ids in both sorted lists, behind those of `out`.
#[inline]
pub(super) fn intersect(a: &[ArmId], b: &[ArmId], out: &mut Vec<ArmId>) {
    /// So many ids are compared sooner than searched.
    const FEW: usize = 8;
    if b.len() <= FEW {
        return out.extend(a.iter().filter(|id| b.contains(id)));
    }
    let mut rest = b;
    for id in a {
        let skip = rest.partition_point(|x| x < id);
        rest = &rest[skip..];
        if rest.first() == Some(id) {
            out.push(*id);
        }
    }
}
