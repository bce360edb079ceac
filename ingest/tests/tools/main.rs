//! Reports that real tools write, and what the tools themselves say of them.
//!
//! Each test copies a small project from `tests/projects` into a folder of its own, measures it with the
//! tool, reads the report as an upload, and compares the lines with the summary that the tool prints. Where
//! our count deliberately means something else, the test says how the two relate. A tool that is missing
//! fails the test, with the command that installs it.

#![expect(clippy::unwrap_used, reason = "tests")]

mod c;
mod go;
mod java;
mod llvm;
mod node;
mod php;
mod project;
mod python;
mod ruby;
