//! What holds for the answer to every read: when it must begin, that an unchanged one is not sent again, and that
//! only the wanted fields of it are sent.

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::app::App;
use crate::error::Error;
use crate::handlers::rest::etag::Tag;
use crate::handlers::rest::fields::{Fields, Selected};

/// Seconds after which a read that took too long is worth another try: its work goes on, and its result is kept.
const AGAIN_SECONDS: u32 = 1;
/// Answers up to this length are named by their bytes and shortened to the wanted fields as a whole, in bytes. Those
/// that are longer come from handlers that name them by what they are made from, and shorten them as they go.
const WHOLE_MAX_BYTES: u64 = 64 << 20;

/// Answers 503 with `Retry-After` for a read whose answer does not begin in time.
pub async fn keep_deadline(State(app): State<App>, request: Request, next: Next) -> Response {
    let deadline = app.config.read_deadline;
    match tokio::time::timeout(deadline, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => {
            let detail = format!(
                "The answer took longer than {} s to make. Try again shortly: what was done so far is kept.",
                deadline.as_secs_f32()
            );
            Error::Busy(StatusCode::SERVICE_UNAVAILABLE, detail, AGAIN_SECONDS).into_response()
        }
    }
}

/// Shortens JSON to the wanted fields, names answers that have no name yet, and spares the client what it has.
pub async fn refine(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let fields = Fields::of(request.uri());
    let headers = request.headers().clone();
    let answer = next.run(request).await;
    if !reads || answer.status() != StatusCode::OK || !is_whole_json(&answer) {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    let Ok(mut bytes) = to_bytes(body, WHOLE_MAX_BYTES as usize).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let selected = parts.extensions.remove::<Selected>().is_some();
    if let (Some(fields), false) = (fields, selected) {
        bytes = fields.shorten(&bytes).map_or(bytes, Bytes::from);
        parts.headers.remove(CONTENT_LENGTH);
    }
    if parts.headers.contains_key(ETAG) {
        return Response::from_parts(parts, Body::from(bytes));
    }
    named(
        headers,
        Response::from_parts(parts, Body::from(bytes.clone())),
        &bytes,
    )
}

fn named(asked: HeaderMap, answer: Response, bytes: &[u8]) -> Response {
    let tag = Tag::of(bytes);
    match tag.unchanged(&asked) {
        Some(unchanged) => unchanged,
        None => tag.on(answer),
    }
}

/// Whether it is JSON of a known, bounded length.
fn is_whole_json(answer: &Response) -> bool {
    let json = answer.headers().get(CONTENT_TYPE);
    let json = json.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let size = answer.body().size_hint().exact();
    json && size.is_some_and(|size| size <= WHOLE_MAX_BYTES)
}
