//! Ids: one type per table, made by the program, ordered by time, text in JSON.
//!
//! The high 51 bits are microseconds since 2020 (until 2091), the low 12 bits name the process by chance.
//! One process never makes an id twice, even when its clock stands still or goes back.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

use rand::TryRngCore as _;

/// 2020-01-01 UTC, in microseconds since 1970.
const EPOCH_US: i64 = 1_577_836_800_000_000;
/// Bits below the time that tell processes apart.
const PROCESS_BITS: u32 = 12;

static LAST_TICK: AtomicI64 = AtomicI64::new(0);
static PROCESS: OnceLock<i64> = OnceLock::new();

/// The next raw id: later than every other of this process, positive.
fn next(now_us: i64) -> i64 {
    let now_tick = now_us.saturating_sub(EPOCH_US).max(0);
    let last = LAST_TICK
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| {
            Some(now_tick.max(last + 1))
        })
        .expect("the update always answers a value");
    (now_tick.max(last + 1) << PROCESS_BITS) | process()
}

fn process() -> i64 {
    *PROCESS.get_or_init(|| {
        let chance = rand::rngs::OsRng
            .try_next_u32()
            .expect("the system gives random bytes");
        i64::from(chance & ((1 << PROCESS_BITS) - 1))
    })
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
        #[sqlx(transparent)]
        pub struct $name(pub i64);

        impl $name {
            /// A new id: later than every other of this process, even at the same `now_us`.
            pub fn generate(now_us: i64) -> $name {
                $name(next(now_us))
            }

            /// What stands so long before this id; never negative.
            pub fn before_us(self, by_us: i64) -> $name {
                $name(self.0.saturating_sub(by_us << PROCESS_BITS).max(0))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<$name, Self::Err> {
                text.parse().map($name)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// Names an owner: a user, organisation or group of a git provider.
    OwnerId,
    /// Names a repository.
    RepoId,
    /// Names a commit of one repository.
    CommitId,
    /// Names an upload.
    UploadId,
    /// Names an error of an upload.
    UploadErrorId,
    /// Names an error of a commit.
    CommitErrorId,
    /// Names a flag of one repository.
    FlagId,
    /// Names a job of the queue.
    JobId,
    /// Names an upload token or an API token.
    TokenId,
    /// Names a step of the journal.
    JournalId,
    /// Names a login.
    SessionId,
    /// Names one run of a test.
    TestRunId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_process_grow_even_when_the_clock_goes_back() {
        let ids: Vec<UploadId> = [5, 5, 3, 9]
            .iter()
            .map(|ago| UploadId::generate(EPOCH_US + 1_000 + ago))
            .collect();
        assert!(ids.is_sorted_by(|a, b| a < b) && ids[0].0 > 0);
    }

    #[test]
    fn id_is_a_string_in_json() {
        let id = RepoId(9_007_199_254_740_993);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, "\"9007199254740993\"");
        assert_eq!(serde_json::from_str::<RepoId>(&json).unwrap(), id);
    }
}
