//! What goes wrong, in the shapes that clients print. The only place that knows status codes.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// What handlers return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An answer that is not a success.
#[derive(Debug)]
pub enum Error {
    /// `{"detail": "…"}`, the shape of authentication, missing things, methods and limits.
    Detail(StatusCode, String),
    /// `["…"]`, status 400: what is wrong with the call as a whole.
    List(String),
    /// `{"field": ["…"]}`, status 400: what is wrong with one field of the body or the query.
    Field(String, String),
    /// Plain text or `{"detail": "…"}`, as the client accepts: the older upload endpoints.
    Plain(StatusCode, String),
    /// `{"detail": "…"}`, status 401, with the scheme that would be accepted.
    Unauthorized(&'static str, String),
    /// Too much at once, status 429 or 503, and after how many seconds to come back.
    Busy(StatusCode, String, u32),
    /// Any other body, given as JSON.
    Body(StatusCode, Value),
}

impl Error {
    /// 404 with that detail.
    pub fn not_found(detail: impl Into<String>) -> Error {
        Error::Detail(StatusCode::NOT_FOUND, detail.into())
    }

    /// 403 with the usual detail.
    pub fn forbidden() -> Error {
        let detail = "You do not have permission to perform this action.";
        Error::Detail(StatusCode::FORBIDDEN, detail.into())
    }

    /// The status and the body, as JSON.
    pub fn told(self) -> (StatusCode, Value) {
        match self {
            Error::Detail(status, detail)
            | Error::Plain(status, detail)
            | Error::Busy(status, detail, _) => (status, json!({ "detail": detail })),
            Error::Unauthorized(_, detail) => {
                (StatusCode::UNAUTHORIZED, json!({ "detail": detail }))
            }
            Error::List(text) => (StatusCode::BAD_REQUEST, json!([text])),
            Error::Field(field, text) => (StatusCode::BAD_REQUEST, json!({ field: [text] })),
            Error::Body(status, body) => (status, body),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let header = match self {
            Error::Plain(status, text) => {
                let kind = "text/plain; charset=utf-8";
                return (status, [(header::CONTENT_TYPE, kind)], text).into_response();
            }
            Error::Unauthorized(scheme, _) => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme)))
            }
            Error::Busy(.., seconds) => Some((header::RETRY_AFTER, seconds.into())),
            _ => None,
        };
        let (status, body) = self.told();
        let mut answer = (status, Json(body)).into_response();
        answer.headers_mut().extend(header);
        answer
    }
}

/// What the engine could not do: a passing fault is 503 with `Retry-After`, input is 400, the rest 500.
impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Error {
        match &error {
            engine::Error::NotFound { .. } => Error::not_found("Not found."),
            engine::Error::Invalid { .. } => Error::List(error.to_string()),
            _ if error.is_transient() => {
                tracing::error!(%error, "request failed for now");
                let detail =
                    "The server is busy or one of its parts is out of reach. Try again shortly.";
                Error::Busy(StatusCode::SERVICE_UNAVAILABLE, detail.into(), 1)
            }
            _ => {
                tracing::error!(%error, "request failed");
                Error::Body(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    json!({ "error": "Server Error (500)" }),
                )
            }
        }
    }
}

/// What a git provider did not tell: with its own code where it has one, else 502, or 503 while it is out of reach.
impl From<forge::Error> for Error {
    fn from(error: forge::Error) -> Error {
        use forge::Error as Forge;
        let detail = error.to_string();
        tracing::warn!(%error, "the git provider gave no answer");
        let code = |status: u16, message: String| {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            Error::Detail(status, message)
        };
        match error {
            Forge::NotFound(message) => Error::not_found(message),
            Forge::Unauthorized(message) => code(401, message),
            Forge::Refused { status, message } | Forge::Failed { status, message } => {
                code(status, message)
            }
            Forge::RateLimited { retry_after_s } => {
                Error::Busy(StatusCode::TOO_MANY_REQUESTS, detail, retry_after_s)
            }
            Forge::Unreachable(_) => Error::Busy(StatusCode::SERVICE_UNAVAILABLE, detail, 1),
            Forge::TooLarge { .. } | Forge::Odd(_) | Forge::Settings(_) => code(502, detail),
        }
    }
}
