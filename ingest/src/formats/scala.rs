//! The JSON of sbt's coverage reports: files with an object of lines.

use super::lines::{Listed, as_it_is};
use super::{Body, Context};
use crate::error::Result;

const LISTED: Listed = Listed {
    format: "scala",
    name: "filename",
    values: "coverage",
    read: |lines, cursor| lines.object(cursor, as_it_is),
};

/// Adds the files of a report; tells where they stand in it.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<Body> {
    LISTED.parse("fileReports", content, context)
}
