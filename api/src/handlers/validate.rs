//! Checks a codecov.yml for whoever asks: the answers that the old and the new clients read.

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use engine::codecov_yml::{Errors, Issue, YamlError, parse};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::app::App;
use crate::middleware::base::BaseUrl;

/// The paths. None asks who it is.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/validate", get(tell_usage).post(validate))
        .route("/validate/v1", get(tell_usage).post(validate))
        .route("/validate/v2", get(tell_usage).post(validate_v2))
}

/// `GET /validate`: how to use it. `/validate/v1` is the same.
#[utoipa::path(get, path = "/validate", tag = "validate", security(()),
    responses((status = 200, description = "how to use it", content_type = "text/plain", body = String)))]
pub async fn tell_usage(base: BaseUrl) -> Response {
    text(
        StatusCode::OK,
        format!(
            "Usage:\n\ncurl -X POST --data-binary @codecov.yml {}/validate\n",
            base.0
        ),
    )
}

/// `POST /validate`: words for people. 400 when the body is no codecov.yml. `/validate/v1` is the same.
#[utoipa::path(post, path = "/validate", tag = "validate", security(()),
    request_body(content = String, content_type = "text/plain"),
    responses((status = 200, description = "it holds, as it will be used", content_type = "text/plain", body = String),
        (status = 400, description = "what is wrong", content_type = "text/plain", body = String),
        (status = 413, description = "the body is too large")))]
pub async fn validate(body: Bytes) -> Response {
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

/// What programs are told of a codecov.yml.
#[derive(Serialize, ToSchema)]
pub struct ValidationBody {
    /// Whether it is one.
    pub valid: bool,
    /// The same in words.
    pub message: String,
    /// What holds, in its final form.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    pub validated_yaml: Option<Map<String, Value>>,
    /// Where it is no YAML.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub parse_error: Option<ParseErrorBody>,
    /// What is wrong, nested as the keys are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    pub validation_error: Option<Value>,
    /// Everything that is wrong, one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub issues: Vec<IssueBody>,
}

/// Where a text is no YAML.
#[derive(Serialize, ToSchema)]
pub struct ParseErrorBody {
    /// What is wrong.
    pub problem: String,
    /// The line, the first being 1.
    pub line: usize,
    /// The column, the first being 1.
    pub column: usize,
}

/// Something that is wrong with a codecov.yml.
#[derive(Serialize, ToSchema)]
pub struct IssueBody {
    /// The key, down from the top.
    pub path: Vec<String>,
    /// The line that it stands in.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: Option<String>,
}

impl ValidationBody {
    fn new(message: impl Into<String>) -> ValidationBody {
        ValidationBody {
            valid: false,
            message: message.into(),
            validated_yaml: None,
            parse_error: None,
            validation_error: None,
            issues: Vec::new(),
        }
    }
}

impl From<YamlError> for ValidationBody {
    fn from(error: YamlError) -> ValidationBody {
        match error {
            YamlError::Empty => ValidationBody::new("YAML is empty"),
            YamlError::NoMapping => ValidationBody::new("YAML must be a dictionary type"),
            YamlError::TooLarge(_) => ValidationBody::new(error.to_string()),
            YamlError::Syntax {
                problem,
                line,
                column,
            } => ValidationBody {
                parse_error: Some(ParseErrorBody {
                    problem,
                    line,
                    column,
                }),
                ..ValidationBody::new("YAML could not be parsed")
            },
            YamlError::Invalid(errors) => ValidationBody {
                validation_error: Some(errors.as_json()),
                issues: errors.issues().iter().map(IssueBody::from).collect(),
                ..ValidationBody::new("YAML does not match the accepted schema")
            },
        }
    }
}

impl From<&Issue> for IssueBody {
    fn from(issue: &Issue) -> IssueBody {
        IssueBody {
            path: issue.path.clone(),
            line: issue.line,
            message: issue.message.clone(),
            remedy: issue.remedy.clone(),
        }
    }
}

/// `POST /validate/v2`: JSON for programs. 400 when the body is no codecov.yml.
#[utoipa::path(post, path = "/validate/v2", tag = "validate", security(()),
    request_body(content = String, content_type = "text/plain"),
    responses((status = 200, body = ValidationBody), (status = 400, body = ValidationBody),
        (status = 413, description = "the body is too large")))]
pub async fn validate_v2(body: Bytes) -> (StatusCode, Json<ValidationBody>) {
    match parse(&String::from_utf8_lossy(&body)) {
        Ok(yaml) => {
            let body = ValidationBody {
                valid: true,
                validated_yaml: Some(yaml),
                ..ValidationBody::new("YAML is valid")
            };
            (StatusCode::OK, Json(body))
        }
        Err(error) => (StatusCode::BAD_REQUEST, Json(error.into())),
    }
}

fn text(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain")], body).into_response()
}
