//! Who is calling, and what they may do.

pub mod admin;
pub mod scope;
pub mod tokens;
pub mod upload;
pub mod viewer;
