//! The engine's one error type, sorted by what the caller can do about it.

use std::fmt;

/// What every fallible function of the engine returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the engine could not do what it was asked. Messages are lower case and name the input.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The named thing does not exist: answer 404, or create it.
    #[error("{what} not found")]
    NotFound {
        /// The thing that was looked for, as a person would name it.
        what: String,
    },
    /// Another writer was first, or the state does not allow the change: read again, then decide.
    #[error("conflict: {what}")]
    Conflict {
        /// The fact that stands in the way.
        what: String,
    },
    /// The caller's input is wrong: tell its author, do not retry.
    #[error("invalid {what}: {why}")]
    Invalid {
        /// The input.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// Stored bytes are not what was written: rebuild them from their source.
    #[error("corrupt {what}: {why}")]
    Corrupt {
        /// The stored thing.
        what: String,
        /// How it was noticed.
        why: String,
    },
    /// The database refused or failed a statement: retry later.
    #[error("database: {0}")]
    Db(sqlx::Error),
    /// The database's tables cannot be brought to this program's version.
    #[error("migrate database: {0}")]
    Migrate(String),
    /// A transaction did not become durable; nothing of it was kept: retry.
    #[error("commit: {0}")]
    Commit(String),
    /// The object store failed: retry later.
    #[error("blob {key}: {why}")]
    Blob {
        /// The object's key.
        key: String,
        /// The store's own words.
        why: String,
    },
    /// The operating system failed a file operation.
    #[error("{what}: {source}")]
    Io {
        /// The file and the operation.
        what: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// A bounded queue is full: retry after a pause.
    #[error("{what} is busy")]
    Busy {
        /// The queue.
        what: String,
    },
    /// The named part is shutting down, or the work on it was abandoned.
    #[error("{what} is closed")]
    Closed {
        /// The part.
        what: String,
    },
}

impl Error {
    /// The named thing does not exist.
    pub fn not_found(what: impl fmt::Display) -> Error {
        Error::NotFound {
            what: what.to_string(),
        }
    }

    /// The named fact stands in the way.
    pub fn conflict(what: impl fmt::Display) -> Error {
        Error::Conflict {
            what: what.to_string(),
        }
    }

    /// The named input is wrong, and how.
    pub fn invalid(what: impl fmt::Display, why: impl fmt::Display) -> Error {
        Error::Invalid {
            what: what.to_string(),
            why: why.to_string(),
        }
    }

    /// The named stored thing is damaged, and how.
    pub fn corrupt(what: impl fmt::Display, why: impl fmt::Display) -> Error {
        Error::Corrupt {
            what: what.to_string(),
            why: why.to_string(),
        }
    }

    /// The object store failed on this key, and how.
    pub fn blob(key: impl fmt::Display, why: impl fmt::Display) -> Error {
        Error::Blob {
            key: key.to_string(),
            why: why.to_string(),
        }
    }

    /// The file operation named by `what` failed.
    pub fn io(what: impl fmt::Display, source: std::io::Error) -> Error {
        Error::Io {
            what: what.to_string(),
            source,
        }
    }

    /// Whether the thing asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::NotFound { .. })
    }

    /// Whether the same call may succeed later without any change by the caller.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Error::Db(_)
                | Error::Commit(_)
                | Error::Blob { .. }
                | Error::Io { .. }
                | Error::Busy { .. }
                | Error::Closed { .. }
        )
    }
}

impl From<sqlx::Error> for Error {
    /// A broken uniqueness rule becomes `Conflict`; everything else stays `Db`.
    fn from(error: sqlx::Error) -> Error {
        match error.as_database_error() {
            Some(known) if known.is_unique_violation() => Error::conflict(known.message()),
            _ => Error::Db(error),
        }
    }
}
