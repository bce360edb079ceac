//! What coverage is: the line-evidence model and its join, totals, packs, caches, the object
//! store, the metadata database and the queue. Knows no HTTP and no report format.

#![warn(missing_docs)]

pub mod blob;
pub mod cache;
pub mod carryforward;
pub mod clock;
pub mod codecov_yml;
pub mod compare;
pub mod db;
pub mod diff;
pub mod error;
pub mod flag_expr;
pub mod fold;
pub mod id;
pub mod mmap;
pub mod model;
pub mod pack;
pub mod queue;
pub mod secret;
pub mod shared;
pub mod simd;
pub mod status;
pub mod stored;
#[cfg(feature = "testing")]
pub mod testing;

mod schema;

pub use error::{Error, Result};
