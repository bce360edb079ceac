//! What is known of columns of a line.

use super::Coverage;

/// Columns of a line and how they ran. Shown beside the line; the line's coverage does not follow
/// from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// The line, 1-based.
    pub line: u32,
    /// The first column, as the report counts them.
    pub start: u32,
    /// The column behind the last, as the report counts them; `None` for the rest of the line.
    pub end: Option<u32>,
    /// How the columns ran: hits or arms.
    pub coverage: Coverage,
}
