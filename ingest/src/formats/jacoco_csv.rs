//! CSV reports of JaCoCo and Kover. They count instructions, branches and lines of whole classes and
//! name no line. Source: jacoco.org, `CSVFormatter`.

use super::Context;
use crate::error::{ProblemCode, Result};

/// Says what to upload instead.
pub(super) fn parse(_content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let message = "the CSV report has counts of classes but no lines: upload the XML report of JaCoCo or Kover instead";
    context.problem(None, ProblemCode::NoLines, message.to_owned());
    Ok(())
}
