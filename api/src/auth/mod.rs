//! Who is calling, and what they may do.

pub mod upload;
pub mod viewer;
