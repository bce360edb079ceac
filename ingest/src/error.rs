//! Why an upload or one of its files yields nothing, and what is odd in those that do.

use std::borrow::Cow;

/// What ends the reading of one file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Failure {
    /// The report is older than the settings allow; the whole upload fails.
    #[error("{0}")]
    Expired(String),
    /// The file looks like a report but is not one: it counts as unrecognised.
    #[error("not a report: {0}")]
    Corrupt(Cow<'static, str>),
    /// The file has something that no report may have; the whole upload fails.
    #[error("{0}")]
    Fails(Cow<'static, str>),
    /// The body or a part of it cannot be unpacked; the whole upload fails.
    #[error("{0}")]
    Storage(String),
}

impl Failure {
    /// A failure of the whole upload, by its reason.
    pub fn fails(reason: impl Into<Cow<'static, str>>) -> Failure {
        Failure::Fails(reason.into())
    }

    /// A file that is no report after all, by its reason.
    pub fn corrupt(reason: impl Into<Cow<'static, str>>) -> Failure {
        Failure::Corrupt(reason.into())
    }
}

/// The result of reading.
pub type Result<T> = std::result::Result<T, Failure>;

/// Something odd in a file, shown to the user; the rest of the upload counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The uploaded file's name; empty when it has none.
    pub file: String,
    /// Where in the uploaded file, 1-based, when known.
    pub line: Option<u64>,
    /// A stable name of the kind of problem.
    pub code: ProblemCode,
    /// What is wrong, naming the input.
    pub message: String,
}

/// Kinds of problems.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProblemCode {
    /// The uploaded file has no content.
    EmptyFile,
    /// No format was recognised, or what was recognised turned out not to be one.
    Unrecognised,
    /// The file is a report, but none of its lines count.
    NoLines,
    /// The report only has lines that ran.
    MissesUnknown,
    /// A line number beyond the limit was left out.
    LineTooLarge,
    /// A count that does not fit 64 bits was lowered to the greatest that does.
    CountTooLarge,
    /// Paths in the report match no file of the repository.
    PathsUnresolved,
}

impl ProblemCode {
    /// The code as it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            ProblemCode::EmptyFile => "empty_file",
            ProblemCode::Unrecognised => "unrecognised",
            ProblemCode::NoLines => "no_lines",
            ProblemCode::MissesUnknown => "misses_unknown",
            ProblemCode::LineTooLarge => "line_too_large",
            ProblemCode::CountTooLarge => "count_too_large",
            ProblemCode::PathsUnresolved => "paths_unresolved",
        }
    }
}

/// Why an upload yields nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct UploadError {
    /// A stable name of the kind of error.
    pub code: ErrorCode,
    /// What is wrong, in words that a person can act on.
    pub message: String,
}

/// Kinds of upload errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorCode {
    /// No file of the upload has a line that counts.
    ReportEmpty,
    /// A report is older than the settings allow.
    ReportExpired,
    /// A report has something that no report may have.
    UnknownProcessing,
    /// The body cannot be unpacked.
    UnknownStorage,
}

impl ErrorCode {
    /// The code as it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::ReportEmpty => "report_empty",
            ErrorCode::ReportExpired => "report_expired",
            ErrorCode::UnknownProcessing => "unknown_processing",
            ErrorCode::UnknownStorage => "unknown_storage",
        }
    }
}

impl From<Failure> for UploadError {
    fn from(failure: Failure) -> UploadError {
        let code = match failure {
            Failure::Expired(_) => ErrorCode::ReportExpired,
            Failure::Corrupt(_) | Failure::Fails(_) => ErrorCode::UnknownProcessing,
            Failure::Storage(_) => ErrorCode::UnknownStorage,
        };
        UploadError {
            code,
            message: failure.to_string(),
        }
    }
}
