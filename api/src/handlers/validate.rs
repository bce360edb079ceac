//! Checks a codecov.yml for whoever asks: the answers that the old and the new clients read.

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use engine::codecov_yml::{Errors, YamlError, parse};
use serde_json::json;

use crate::app::App;
use crate::middleware::base::BaseUrl;

/// The paths. None asks who it is.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/validate", get(tell_usage).post(validate))
        .route("/validate/v1", get(tell_usage).post(validate))
        .route("/validate/v2", get(tell_usage).post(validate_v2))
}

/// `GET /validate`: how to use it.
async fn tell_usage(base: BaseUrl) -> Response {
    text(
        StatusCode::OK,
        format!(
            "Usage:\n\ncurl -X POST --data-binary @codecov.yml {}/validate\n",
            base.0
        ),
    )
}

/// `POST /validate`: words for people. 400 when the body is no codecov.yml.
async fn validate(body: Bytes) -> Response {
    let written = String::from_utf8_lossy(&body);
    match parse(&written) {
        Ok(yaml) => {
            let shown = serde_json::to_string_pretty(&yaml).unwrap_or_default();
            text(StatusCode::OK, format!("Valid!\n\n{shown}\n"))
        }
        Err(error) => text(StatusCode::BAD_REQUEST, told(&error)),
    }
}

fn told(error: &YamlError) -> String {
    match error {
        YamlError::Empty => "No content posted.".into(),
        YamlError::NoMapping => "No file posted.".into(),
        YamlError::Syntax { .. } => format!("Can't parse YAML\n{error}\n"),
        YamlError::TooLarge(_) => format!("{error}\n"),
        YamlError::Invalid(errors) => {
            let (path, message) = errors.first();
            let rest = told_one_by_one(errors);
            format!("Error at {}: \n{message}\n{rest}", location(&path))
        }
    }
}

/// Every error with its line and its remedy.
fn told_one_by_one(errors: &Errors) -> String {
    errors
        .issues()
        .iter()
        .map(|issue| format!("\n{issue}\n"))
        .collect()
}

/// Keys as Python lists show them: names in quotes, indexes bare.
fn location(path: &[&str]) -> String {
    let keys: Vec<String> = path
        .iter()
        .map(|key| match key.parse::<usize>() {
            Ok(index) => index.to_string(),
            Err(_) => format!("'{}'", key.replace('\\', "\\\\").replace('\'', "\\'")),
        })
        .collect();
    format!("[{}]", keys.join(", "))
}

/// `POST /validate/v2`: JSON for programs. 400 when the body is no codecov.yml.
async fn validate_v2(body: Bytes) -> Response {
    let written = String::from_utf8_lossy(&body);
    let error = match parse(&written) {
        Ok(yaml) => {
            let body = json!({"valid": true, "message": "YAML is valid", "validated_yaml": yaml});
            return Json(body).into_response();
        }
        Err(error) => error,
    };
    let body = match &error {
        YamlError::Empty => json!({"valid": false, "message": "YAML is empty"}),
        YamlError::NoMapping => {
            json!({"valid": false, "message": "YAML must be a dictionary type"})
        }
        YamlError::TooLarge(_) => json!({"valid": false, "message": error.to_string()}),
        YamlError::Syntax {
            problem,
            line,
            column,
        } => json!({
            "valid": false,
            "message": "YAML could not be parsed",
            "parse_error": {"problem": problem, "line": line, "column": column},
        }),
        YamlError::Invalid(errors) => json!({
            "valid": false,
            "message": "YAML does not match the accepted schema",
            "validation_error": errors.as_json(),
            "issues": errors.issues().iter().map(|issue| json!({
                "path": issue.path,
                "line": issue.line,
                "message": issue.message,
                "remedy": issue.remedy,
            })).collect::<Vec<_>>(),
        }),
    };
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

fn text(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain")], body).into_response()
}
