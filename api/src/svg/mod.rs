//! Pictures of coverage as SVG text. Plain functions of values: no request, no database.

pub mod badge;
pub mod colours;
pub mod graph;
pub mod tree;

pub use ingest::export::escape_xml as escape;
