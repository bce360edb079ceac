//! What browsers are told: whose pages may read answers, and that no page may frame them.

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_SECURITY_POLICY, ORIGIN, VARY, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::app::App;

const METHODS: HeaderValue = HeaderValue::from_static("DELETE, GET, OPTIONS, PATCH, POST, PUT");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "accept, authorization, baggage, content-type, if-none-match, last-event-id, sentry-trace, token-type, \
     user-agent, x-csrftoken, x-requested-with",
);
const EXPOSED: HeaderValue =
    HeaderValue::from_static("content-type, cache-control, etag, last-modified, link, retry-after");
/// How long a browser need not ask again whether it may ask, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// Answers a browser's question whether it may ask, and marks every other answer.
pub async fn tell_browsers(State(app): State<App>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let asks = request.method() == Method::OPTIONS
        && origin.is_some()
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut answer = match asks {
        true => StatusCode::OK.into_response(),
        false => next.run(request).await,
    };
    let headers = answer.headers_mut();
    if asks {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
    if let Some(origin) = origin {
        allow(&app, headers, origin);
    }
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("frame-ancestors 'none'"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    answer
}

/// Any page may read what anybody may; one of ours also what a login's cookie opens.
fn allow(app: &App, headers: &mut HeaderMap, origin: HeaderValue) {
    let trusted = origin.to_str().is_ok_and(|origin| is_trusted(app, origin));
    if trusted {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    } else {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
    headers.append(VARY, HeaderValue::from_static("origin"));
    if !headers.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS) {
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

fn is_trusted(app: &App, origin: &str) -> bool {
    let own = app.config.public_url.iter();
    let mut trusted = own.chain(&app.config.cors_origins);
    trusted.any(|url| url.trim_end_matches('/').eq_ignore_ascii_case(origin))
}
