//! What nodes share for a while and may lose at any moment: counts of events, and bytes that can be made again.
//!
//! Truth is in the database and the object store. No call fails: a store that is away has nothing, and each node counts
//! for itself meanwhile.

mod memory;
mod redis;

use std::time::Duration;

use bytes::Bytes;

pub use memory::Memory;
pub use redis::Redis;

/// What nodes share for a while.
#[async_trait::async_trait]
pub trait Shared: Send + Sync {
    /// Counts one more event of this name in the second under way, and gives how many there were in it, this one
    /// included. A node whose clock differs counts in another second.
    async fn count(&self, name: &str) -> u64;

    /// The bytes that some node keeps under this name, if they are still there.
    async fn get(&self, name: &str) -> Option<Bytes>;

    /// Keeps bytes for the other nodes, about so long.
    async fn put(&self, name: &str, bytes: Bytes, keeps: Duration);
}
