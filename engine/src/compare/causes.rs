//! Why shared lines are covered otherwise than before: what each upload said of them.

use std::collections::{HashMap, HashSet};

use super::IndirectChange;
use crate::model::{Coverage, FileCoverage};

/// Why a shared line is covered otherwise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cause {
    /// An upload that spoke of it in base has no counterpart in head.
    UploadMissing,
    /// What head knows of it was carried forward from an earlier commit.
    FlagCarried,
    /// Only an upload that base lacks speaks of it.
    UploadAdded,
    /// The same uploads are there, and say something else.
    SessionDiffers,
    /// No diff says which lines both commits share, so that another line may stand at this number.
    NoDiff,
}

impl Cause {
    /// The code in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::UploadMissing => "upload_missing",
            Cause::FlagCarried => "flag_carried",
            Cause::UploadAdded => "upload_added",
            Cause::SessionDiffers => "session_differs",
            Cause::NoDiff => "no_diff",
        }
    }
}

/// What one upload says of a file.
pub struct Session {
    /// What it is known by from commit to commit: its flags, or its job.
    pub key: String,
    /// Whether it was carried forward.
    pub is_carried: bool,
    /// What it says.
    pub file: FileCoverage,
}

/// The cause of each change. Linear in what the sessions say and in the changes of each.
pub fn causes(indirect: &[IndirectChange], base: &[Session], head: &[Session]) -> Vec<Cause> {
    let said_base = Said::new(base);
    let said_head = Said::new(head);
    let keys = |sessions: &[Session]| -> HashSet<String> {
        sessions.iter().map(|session| session.key.clone()).collect()
    };
    let (base_keys, head_keys) = (keys(base), keys(head));
    let cause = |change: &IndirectChange| {
        let before = said_base.of(change.base_line);
        let after = said_head.of(change.head_line);
        if before
            .iter()
            .any(|session| !head_keys.contains(&session.key))
        {
            Cause::UploadMissing
        } else if after.iter().any(|session| session.is_carried) {
            Cause::FlagCarried
        } else if before.is_empty()
            && after
                .iter()
                .all(|session| !base_keys.contains(&session.key))
        {
            Cause::UploadAdded
        } else {
            Cause::SessionDiffers
        }
    };
    indirect.iter().map(cause).collect()
}

/// The sessions that count a line, by line.
struct Said<'a>(HashMap<u32, Vec<&'a Session>>);

impl<'a> Said<'a> {
    fn new(sessions: &'a [Session]) -> Said<'a> {
        let mut said: HashMap<u32, Vec<&Session>> = HashMap::new();
        for session in sessions {
            for (line, row) in session.file.rows() {
                if row.coverage() != Coverage::Null {
                    said.entry(line).or_default().push(session);
                }
            }
        }
        Said(said)
    }

    fn of(&self, line: u32) -> &[&'a Session] {
        self.0.get(&line).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::hits;
    use super::*;

    fn session(key: &str, is_carried: bool, lines: &[(u32, u64)]) -> Session {
        Session {
            key: key.into(),
            is_carried,
            file: hits(lines),
        }
    }

    #[test]
    fn each_change_has_its_cause() {
        let change = |line| IndirectChange {
            base_line: line,
            head_line: line,
            base: None,
            head: None,
        };
        let base = [
            session("unit", false, &[(1, 1), (2, 1), (3, 1)]),
            session("e2e", false, &[(1, 1)]),
        ];
        let head = [
            session("unit", false, &[(1, 0), (2, 0), (5, 1)]),
            session("lint", true, &[(3, 1)]),
            session("new", false, &[(4, 1)]),
        ];
        let found = causes(&[1, 2, 3, 4, 5].map(change), &base, &head);
        let expected = [
            Cause::UploadMissing,
            Cause::SessionDiffers,
            Cause::FlagCarried,
            Cause::UploadAdded,
            Cause::SessionDiffers,
        ];
        assert_eq!(found, expected);
    }
}
