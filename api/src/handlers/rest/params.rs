//! Query parameters, read the way clients of this API are used to: of a repeated one the last counts.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Query};
use axum::http::Uri;
use axum::http::request::Parts;

use crate::error::{Error, Result};

/// The parameters of a request's query, in order.
pub struct Params(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Params, Infallible> {
        Ok(Params::of(&parts.uri))
    }
}

impl Params {
    /// The parameters of this URI; none if its query cannot be read.
    pub fn of(uri: &Uri) -> Params {
        Params(Query::try_from_uri(uri).map_or_else(|_| Vec::new(), |Query(pairs)| pairs))
    }

    /// The last value of that name, which may be empty.
    pub fn last(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter().rev();
        pairs.find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }

    /// The last value of that name, if it is not empty.
    pub fn text(&self, name: &str) -> Option<String> {
        self.last(name)
            .filter(|text| !text.is_empty())
            .map(Into::into)
    }

    /// Every value of that name.
    pub fn all(&self, name: &str) -> Vec<String> {
        let same = self.0.iter().filter(|(key, _)| key == name);
        same.map(|(_, value)| value.clone()).collect()
    }

    /// A yes or a no; anything else is neither.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.last(name)? {
            "true" | "True" | "2" => Some(true),
            "false" | "False" | "3" => Some(false),
            _ => None,
        }
    }

    /// A whole number. Errors: 400 naming the parameter.
    pub fn number(&self, name: &str) -> Result<Option<i64>> {
        let Some(text) = self.last(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let number = text.parse();
        number
            .map(Some)
            .map_err(|_| Error::Field(name.into(), "A valid integer is required.".into()))
    }

    /// All but those of that name.
    pub fn without(self, name: &str) -> Vec<(String, String)> {
        self.0.into_iter().filter(|(key, _)| key != name).collect()
    }
}
