//! What happens to every request before and after its handler.

pub mod base;
pub mod limit;
pub mod log;
pub mod path;
