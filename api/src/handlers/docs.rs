//! The description of this API as a page for people.

use axum::http::HeaderName;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};

/// The page needs nothing from elsewhere: it reads the description and lists what it finds.
const PAGE: &str = include_str!("docs.html");
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
    frame-ancestors 'none'";

/// `GET /api/v2/docs/`: every call with its parameters and answers.
pub async fn get_docs() -> ([(HeaderName, &'static str); 2], &'static str) {
    (
        [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, POLICY),
        ],
        PAGE,
    )
}
