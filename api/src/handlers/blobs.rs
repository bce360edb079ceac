//! Objects that clients send and read through this server: the URLs are signed, so that whoever has one needs no token.

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use axum::routing::put;
use axum::{Json, Router};
use engine::blob::Method;
use engine::db::uploads::find_upload_by_path;
use serde::Deserialize;
use tokio_util::io::ReaderStream;
use utoipa::IntoParams;

use super::intake::receive;
use super::rest::Detail;
use super::rest::params::Params;
use super::verdicts::{after_bytes, wait_of};
use crate::app::App;
use crate::error::{Error, Result};
use crate::middleware::base::BaseUrl;

/// `/blob/{key}`.
pub fn routes() -> Router<App> {
    Router::new().route("/blob/{*key}", put(write).get(read))
}

/// What the server put into the URL.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Signature {
    /// When the URL ends, seconds since 1970.
    expires: i64,
    /// Says that the URL is the server's.
    signature: String,
}

fn verify(app: &App, method: Method, key: &str, signed: &Signature) -> Result<()> {
    match app
        .object_urls
        .verify(method, key, signed.expires, &signed.signature)
    {
        true => Ok(()),
        false => {
            let detail = "The URL's signature is wrong or has expired. Ask for a new URL with a new upload call.";
            Err(Error::Detail(StatusCode::FORBIDDEN, detail.into()))
        }
    }
}

/// `PUT`: takes the bytes of an upload. 200 with an empty body once they are durable; with `wait`, what became of
/// them.
#[utoipa::path(put, path = "/blob/{key}", tag = "uploads", params(("key" = String, Path, description = "the object's key"), Signature), security(()),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, description = "the bytes are durable"), (status = 400, body = Detail),
        (status = 403, body = Detail), (status = 404, body = Detail), (status = 413, body = Detail)))]
pub async fn write(
    State(app): State<App>,
    Path(key): Path<String>,
    Query(signed): Query<Signature>,
    params: Params,
    base: BaseUrl,
    body: Body,
) -> Result<Response> {
    verify(&app, Method::Put, &key, &signed)?;
    let upload = find_upload_by_path(&mut app.db.read().await?, &key).await?;
    let upload = upload.ok_or_else(|| Error::not_found(format!("No upload belongs to {key}.")))?;
    let wait = wait_of(&params)?;
    receive(&app, &upload, body).await?;
    Ok(match wait {
        None => StatusCode::OK.into_response(),
        Some(wait) => Json(after_bytes(&app, &base, &upload, wait).await?).into_response(),
    })
}

/// `GET`: the bytes of an object, streamed.
#[utoipa::path(get, path = "/blob/{key}", tag = "uploads", params(("key" = String, Path, description = "the object's key"), Signature), security(()),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), (status = 400, body = Detail),
        (status = 403, body = Detail), (status = 404, body = Detail)))]
pub async fn read(
    State(app): State<App>,
    Path(key): Path<String>,
    Query(signed): Query<Signature>,
) -> Result<Response> {
    verify(&app, Method::Get, &key, &signed)?;
    let size = app
        .blobs
        .size(&key)
        .await?
        .ok_or_else(|| Error::not_found(format!("No object {key}.")))?;
    let file = tokio::fs::File::from_std(app.blobs.open(&key).await?);
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_string()),
        (CONTENT_LENGTH, size.to_string()),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}
