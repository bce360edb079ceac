//! One spelling for each path: clients join URLs carelessly, and a redirect would lose their body.

use axum::extract::Request;
use axum::http::Uri;

/// Collapses repeated slashes and drops a trailing one, before the request is routed.
pub fn normalise(mut request: Request) -> Request {
    if let Some(uri) = normalised(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

fn normalised(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    if !path.contains("//") && (path.len() == 1 || !path.ends_with('/')) {
        return None;
    }
    let mut clean = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !part.is_empty()) {
        clean.push('/');
        clean.push_str(part);
    }
    if clean.is_empty() {
        clean.push('/');
    }
    if let Some(query) = uri.query() {
        clean.push('?');
        clean.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = clean.parse().ok();
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_are_merged_and_the_last_one_is_dropped() {
        let clean =
            |text: &str| normalised(&text.parse().expect("a URI")).map(|uri| uri.to_string());
        assert_eq!(
            clean("//upload//v4/?a=b//c").as_deref(),
            Some("/upload/v4?a=b//c")
        );
        assert_eq!(clean("/a%2Fb/").as_deref(), Some("/a%2Fb"));
        assert_eq!(clean("/"), None);
        assert_eq!(clean("/upload/v4"), None);
    }
}
