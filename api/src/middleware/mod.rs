//! What happens to every request before and after its handler.

pub mod answer;
pub mod base;
pub mod limit;
pub mod log;
pub mod origin;
pub mod path;
