//! Bodies that come again: what was read of one lately is not read again.
//!
//! What a body says follows from its bytes and from the settings that it is read by. A report's age is that at which its
//! bytes came first.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine::db::uploads::Upload;
use engine::pack::PARSER;
use engine::shared::Shared;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::yamls::Effective;

/// So long is a body remembered.
const KEEPS: Duration = Duration::from_secs(3600);
/// Bytes of what a node remembers by itself.
const HERE_BYTES: u64 = 16 << 20;
/// Readings that a node remembers by itself, about.
const HERE: usize = 4_096;

/// What was read of a body.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Reading {
    /// The name of its pack.
    pub(crate) pack: String,
    /// Bytes of the pack.
    pub(crate) pack_bytes: usize,
    /// Lines that it speaks of.
    pub(crate) lines: u64,
    /// Its counts, as JSON.
    pub(crate) totals: String,
    /// The code of what is odd about it.
    pub(crate) code: Option<String>,
    /// What the journal says.
    pub(crate) message: String,
    /// What the journal tells programs.
    pub(crate) detail: Value,
}

/// A reading, and the microsecond at which it is forgotten.
#[derive(Serialize, Deserialize)]
struct Kept {
    reading: Reading,
    until_us: i64,
}

/// Names what is read of a body: everything that it follows from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ReadingKey(blake3::Hash);

impl ReadingKey {
    /// Of an upload that is read by these settings; `None` before its bytes came.
    pub(crate) fn new(
        upload: &Upload,
        flags: &[String],
        settings: &Effective,
    ) -> Option<ReadingKey> {
        let mut hasher = blake3::Hasher::new();
        let program = concat!("hitline reading 1 ", env!("CARGO_PKG_VERSION"));
        hasher.update(program.as_bytes());
        hasher.update(&PARSER.to_le_bytes());
        hasher.update(upload.body_hash.as_ref()?.as_bytes());
        hasher.update(upload.envelope.as_str().as_bytes());
        hasher.update(settings.hash.as_bytes());
        for flag in flags {
            hasher.update(&(flag.len() as u64).to_le_bytes());
            hasher.update(flag.as_bytes());
        }
        Some(ReadingKey(hasher.finalize()))
    }

    fn name(&self) -> String {
        format!("read:{}", self.0.to_hex())
    }
}

/// What was read lately, here and on other nodes.
#[derive(Clone)]
pub(crate) struct Repeats {
    here: Arc<Cache<[u8; 32], Bytes, ByBytes>>,
    shared: Arc<dyn Shared>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<[u8; 32], Bytes> for ByBytes {
    fn weight(&self, _: &[u8; 32], kept: &Bytes) -> u64 {
        kept.len() as u64
    }
}

impl Repeats {
    pub(crate) fn new(shared: Arc<dyn Shared>) -> Repeats {
        let here = Cache::with_weighter(HERE, HERE_BYTES, ByBytes);
        Repeats {
            here: Arc::new(here),
            shared,
        }
    }

    /// What was read of this body, if it is remembered.
    pub(crate) async fn find(&self, key: &ReadingKey, now_us: i64) -> Option<Reading> {
        let kept = match self.here.get(key.0.as_bytes()) {
            Some(kept) => kept,
            None => self.shared.get(&key.name()).await?,
        };
        let kept: Kept = serde_json::from_slice(&kept).ok()?;
        (now_us < kept.until_us).then_some(kept.reading)
    }

    /// Remembers what was read of a body.
    pub(crate) async fn keep(&self, key: &ReadingKey, reading: &Reading, now_us: i64) {
        let kept = Kept {
            reading: reading.clone(),
            until_us: now_us + KEEPS.as_micros() as i64,
        };
        let Ok(kept) = serde_json::to_vec(&kept).map(Bytes::from) else {
            return;
        };
        self.here.insert(*key.0.as_bytes(), kept.clone());
        self.shared.put(&key.name(), kept, KEEPS).await;
    }
}

#[cfg(test)]
mod tests {
    use engine::clock::Clock;
    use engine::shared::Memory;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn reading_is_remembered_for_its_time() {
        let repeats = Repeats::new(Arc::new(Memory::new(Clock::system())));
        let reading = Reading {
            pack: "p".into(),
            pack_bytes: 1,
            lines: 2,
            totals: "{}".into(),
            code: None,
            message: "2 lines".into(),
            detail: json!({}),
        };
        let [key, other] = ["a", "b"].map(|text| ReadingKey(blake3::hash(text.as_bytes())));
        let end_us = KEEPS.as_micros() as i64;
        repeats.keep(&key, &reading, 0).await;
        assert_eq!(repeats.find(&key, end_us - 1).await, Some(reading));
        assert_eq!(repeats.find(&key, end_us).await, None);
        assert_eq!(repeats.find(&other, 0).await, None);
    }
}
