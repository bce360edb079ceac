//! What coverage is, as plain values: no IO, no clock, no format.
//!
//! An upload says something of each line ([`Coverage`]); what is kept of it is [`Evidence`], whose
//! join is commutative, associative and idempotent, so that uploads may be merged in any order,
//! at once or twice. [`FileCoverage`] holds the evidence of one file in columns.

mod arm;
mod builder;
pub(crate) mod file;
mod line;
mod part;
mod totals;

pub use arm::ArmId;
pub use builder::FileBuilder;
pub use file::{ArmRow, Branch, FileCoverage, Rows};
pub use line::{Arms, Complexity, Coverage, Evidence, Kind, Missed, State};
pub use part::{Fraction, Part, parts_of};
pub use totals::Totals;
