//! A node that shares with none.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::Shared;
use crate::clock::Clock;

/// Counts for this node alone. What other nodes would fetch is kept for nobody.
pub struct Memory {
    clock: Clock,
    counts: Mutex<Counts>,
}

/// The events of one second, by their names: as many entries at most as there were events in it.
#[derive(Default)]
struct Counts {
    second: i64,
    events: HashMap<String, u64>,
}

impl Memory {
    /// Counts by this clock.
    pub fn new(clock: Clock) -> Memory {
        Memory {
            clock,
            counts: Mutex::default(),
        }
    }

    pub(super) fn count_here(&self, name: &str) -> u64 {
        let second = self.clock.now_us().div_euclid(1_000_000);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.second != second {
            *counts = Counts::default();
            counts.second = second;
        }
        let events = counts.events.entry(name.to_owned()).or_default();
        *events += 1;
        *events
    }
}

#[async_trait::async_trait]
impl Shared for Memory {
    async fn count(&self, name: &str) -> u64 {
        self.count_here(name)
    }

    async fn get(&self, _: &str) -> Option<Bytes> {
        None
    }

    async fn put(&self, _: &str, _: Bytes, _: Duration) {}
}
