//! Query parameters, read the way clients of this API are used to: of a repeated one the last counts.

use std::convert::Infallible;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::Uri;
use axum::http::request::Parts;

use crate::error::{Error, Result};
use crate::times;

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
        let read: Result<Query<Vec<(String, String)>>, _> = Query::try_from_uri(uri);
        Params(read.map_or_else(|_| Vec::new(), |Query(pairs)| pairs))
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

    /// All but those of these names.
    pub fn without(self, names: &[&str]) -> Vec<(String, String)> {
        let others = self.0.into_iter();
        others
            .filter(|(key, _)| !names.contains(&key.as_str()))
            .collect()
    }

    /// A moment in microseconds: a day, from its beginning, or a date and a time, in UTC unless it says otherwise.
    /// Errors: 400 naming the parameter.
    pub fn moment(&self, name: &str) -> Result<Option<i64>> {
        let Some(text) = self.last(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let moment = times::parse(text);
        moment
            .map(Some)
            .ok_or_else(|| Error::Field(name.into(), "Enter a valid date/time.".into()))
    }

    /// A number of any kind. Errors: 400 naming the parameter.
    pub fn fraction(&self, name: &str) -> Result<Option<f64>> {
        let Some(text) = self.last(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        number
            .map(Some)
            .ok_or_else(|| Error::Field(name.into(), "Enter a number.".into()))
    }

    /// One of an enumeration's words. Errors: 400 naming the parameter and the word.
    pub fn choice<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        let Some(text) = self.last(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let why = format!("Select a valid choice. {text} is not one of the available choices.");
        let choice = text.parse();
        choice.map(Some).map_err(|_| Error::Field(name.into(), why))
    }
}
