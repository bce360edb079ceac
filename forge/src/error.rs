//! What goes wrong with a provider, sorted by what the caller can do.

/// What every call returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a provider gave no answer. Messages hold the provider's own words, never a token.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for is not there, or the token may not see it.
    #[error("the provider does not know it: {0}")]
    NotFound(String),
    /// The token is wrong, or has ended: set another one.
    #[error("the provider refuses the token: {0}")]
    Unauthorized(String),
    /// Too many calls: come back after so many seconds.
    #[error("the provider allows no more calls for {retry_after_s} seconds")]
    RateLimited {
        /// Seconds until it allows some again.
        retry_after_s: u32,
    },
    /// The provider refuses the call.
    #[error("the provider refuses the call with status {status}: {message}")]
    Refused {
        /// HTTP's code, 400 to 499.
        status: u16,
        /// The provider's words.
        message: String,
    },
    /// The provider failed, again and again.
    #[error("the provider failed with status {status}: {message}")]
    Failed {
        /// HTTP's code, 500 to 599.
        status: u16,
        /// The provider's words.
        message: String,
    },
    /// It could not be reached, or did not answer in time.
    #[error("the provider is out of reach: {0}")]
    Unreachable(String),
    /// The answer is larger than what is read.
    #[error("the provider's answer has more than {limit_bytes} bytes")]
    TooLarge {
        /// The most that is read.
        limit_bytes: usize,
    },
    /// The answer is not what the provider documents.
    #[error("the provider's answer is not understood: {0}")]
    Odd(String),
    /// The settings cannot be used.
    #[error("settings of the provider: {0}")]
    Settings(String),
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Error::RateLimited { .. } | Error::Failed { .. } | Error::Unreachable(_)
        )
    }
}
