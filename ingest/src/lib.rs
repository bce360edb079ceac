//! How coverage arrives: envelopes, detection, one file per report format, path fixing, and the
//! processing of an upload. Knows no database table except through `engine`.

mod age;
pub mod arrival;
mod attempts;
pub mod bundle;
mod carry;
pub mod components;
mod detect;
pub mod diffs;
pub mod envelope;
mod error;
pub mod export;
mod fields;
pub mod filter;
mod formats;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod job;
mod json;
mod measure;
mod number;
pub mod paths;
mod process;
mod repeats;
pub mod report_fixes;
pub mod settings;
pub mod shown;
mod sqlite;
mod xml;
pub mod yamls;

pub use age::AgeLimit;
pub use detect::{Format, detect};
pub use error::{ErrorCode, Failure, Problem, ProblemCode, Result, UploadError};
pub use formats::{MAX_LINE, MAX_PROBLEMS};
pub use measure::component_totals;
pub use process::{Outcome, Report, process, process_files};
