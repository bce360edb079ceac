//! The URL under which the client reached us.

use axum::extract::FromRequestParts;
use axum::http::header::HOST;
use axum::http::request::Parts;

use crate::app::App;
use crate::error::Error;

/// The public URL without a trailing slash: configured, else from the request's `Host`.
#[derive(Clone, Debug)]
pub struct BaseUrl(pub String);

impl FromRequestParts<App> for BaseUrl {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<BaseUrl, Error> {
        if let Some(url) = &app.config.public_url {
            return Ok(BaseUrl(url.trim_end_matches('/').to_string()));
        }
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| parts.uri.authority().map(|authority| authority.as_str()));
        let valid = |host: &&str| {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-.:[]_".contains(&b))
        };
        match host.filter(valid) {
            Some(host) => Ok(BaseUrl(format!("http://{host}"))),
            None => Err(Error::List(
                "the request has no valid Host header; set --public-url".into(),
            )),
        }
    }
}
