//! Lists in pages: which part the client asks for, and the envelope that it gets.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use engine::db::{Key, Listed, Page, Part, Place, Side};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::rest::params::Params;
use crate::app::App;
use crate::auth::viewer::service_name;
use crate::error::{Error, Result};
use crate::middleware::base::BaseUrl;

/// Rows of a page unless asked otherwise.
const SIZE_DEFAULT: i64 = 20;
/// Rows of a page at most.
const SIZE_MAX: i64 = 1000;
/// Longest cursor that is read.
const CURSOR_MAX_BYTES: usize = 2048;
/// What a query may not hold as it is.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Which part of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// The page's number from 1, or `last`.
    #[param(default = "1")]
    pub page: Option<String>,
    /// Rows of a page, at most 1000; 20 if absent or no number.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1000, default = 20)]
    pub page_size: Option<i64>,
    /// Pages by place instead of by number, which stay cheap however long the list is: empty for the first, then as
    /// in `next` and `previous`. Nothing is counted.
    pub cursor: Option<String>,
}

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub struct PageOf<T> {
    /// Rows of the whole list; absent in pages by cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub count: Option<i64>,
    /// The URL of the next page.
    #[schema(required)]
    pub next: Option<String>,
    /// The URL of the page before.
    #[schema(required)]
    pub previous: Option<String>,
    /// The rows.
    pub results: Vec<T>,
    /// Pages of the whole list, at least 1; absent in pages by cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub total_pages: Option<i64>,
}

impl<T> PageOf<T> {
    /// The same page with its rows in another shape.
    pub fn try_map<U>(self, shape: impl FnMut(T) -> Result<U>) -> Result<PageOf<U>> {
        Ok(PageOf {
            count: self.count,
            next: self.next,
            previous: self.previous,
            results: self.results.into_iter().map(shape).collect::<Result<_>>()?,
            total_pages: self.total_pages,
        })
    }
}

/// The page that a request asks for, and what links to its neighbours need.
pub struct Paging {
    asked: Asked,
    size: i64,
    url: String,
    others: Vec<(String, String)>,
}

#[derive(Clone)]
enum Asked {
    Nth(i64),
    Last,
    NoPage,
    Beside(Option<Place>),
    NoCursor,
}

impl FromRequestParts<App> for Paging {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Paging> {
        let BaseUrl(base) = BaseUrl::from_request_parts(parts, app).await?;
        let params = Params::of(&parts.uri);
        Ok(Paging::new(&base, parts.uri.path(), params))
    }
}

impl Paging {
    fn new(base: &str, path: &str, params: Params) -> Paging {
        let asked = match (params.last("cursor"), params.last("page")) {
            (Some(""), _) => Asked::Beside(None),
            (Some(text), _) => {
                read_cursor(text).map_or(Asked::NoCursor, |place| Asked::Beside(Some(place)))
            }
            (None, None | Some("")) => Asked::Nth(1),
            (None, Some("last")) => Asked::Last,
            (None, Some(text)) => match text.parse() {
                Ok(number) if number >= 1 => Asked::Nth(number),
                _ => Asked::NoPage,
            },
        };
        let size = params
            .last("page_size")
            .and_then(|text| text.parse().ok())
            .filter(|&size: &i64| size >= 1)
            .unwrap_or(SIZE_DEFAULT)
            .min(SIZE_MAX);
        let others = params.without(&["page", "cursor"]);
        Paging {
            asked,
            size,
            url: format!("{base}{}/", with_long_service(path)),
            others,
        }
    }

    /// The rows to read first: those of the page, or, as where the last page is depends on how
    /// many rows there are, the first ones.
    pub fn first_try(&self) -> Result<Part> {
        match &self.asked {
            Asked::Nth(number) => Ok(self.window(*number).into()),
            Asked::Last => Ok(self.window(1).into()),
            Asked::NoPage => Err(no_page()),
            Asked::NoCursor => Err(no_cursor()),
            Asked::Beside(from) => Ok(Part::Beside {
                limit: self.size,
                from: from.clone(),
            }),
        }
    }

    /// The rows to read instead, now that it is known how many there are in all.
    pub fn second_try<T>(&self, first: &Listed<T>) -> Option<Part> {
        match (&self.asked, first.count) {
            (Asked::Last, Some(count)) if count > self.size => {
                Some(self.window(self.pages(count)).into())
            }
            _ => None,
        }
    }

    /// The envelope of these rows. Errors: 404 for a page behind the last.
    pub fn envelope<T>(&self, listed: Listed<T>) -> Result<PageOf<T>> {
        let Some(count) = listed.count else {
            return Ok(PageOf {
                count: None,
                next: listed.after.map(|place| self.beside(&place)),
                previous: listed.before.map(|place| self.beside(&place)),
                results: listed.rows,
                total_pages: None,
            });
        };
        let total_pages = self.pages(count);
        let number = match self.asked {
            Asked::Nth(number) => number,
            _ => total_pages,
        };
        if number > total_pages {
            return Err(no_page());
        }
        Ok(PageOf {
            count: Some(count),
            next: (number < total_pages).then(|| self.nth(number + 1)),
            previous: (number > 1).then(|| self.nth(number - 1)),
            results: listed.rows,
            total_pages: Some(total_pages),
        })
    }

    fn window(&self, number: i64) -> Page {
        Page {
            limit: self.size,
            offset: (number - 1).saturating_mul(self.size),
        }
    }

    fn pages(&self, count: i64) -> i64 {
        (count.max(1) - 1) / self.size + 1
    }

    /// The URL of a page; the first one goes without a number.
    fn nth(&self, number: i64) -> String {
        self.link((number > 1).then(|| ("page", number.to_string())))
    }

    fn beside(&self, place: &Place) -> String {
        self.link(Some(("cursor", write_cursor(place))))
    }

    fn link(&self, more: Option<(&str, String)>) -> String {
        let others = self.others.iter();
        let pairs = others.map(|(name, value)| (name.as_str(), value.as_str()));
        let mut url = self.url.clone();
        let more = more.as_ref().map(|(name, value)| (*name, value.as_str()));
        for (place, (name, value)) in pairs.chain(more).enumerate() {
            url.push(if place == 0 { '?' } else { '&' });
            url.extend(utf8_percent_encode(name, QUERY));
            url.push('=');
            url.extend(utf8_percent_encode(value, QUERY));
        }
        url
    }
}

/// A place as clients carry it: a side and the row's key, in JSON and base64.
fn write_cursor(place: &Place) -> String {
    let side = match place.side {
        Side::Before => "b",
        Side::After => "a",
    };
    let key = place.key.iter().map(|value| match value {
        Key::Int(number) => Value::from(*number),
        Key::Text(text) => Value::from(text.as_str()),
        Key::Float(number) => Value::from(*number),
    });
    let values: Vec<Value> = std::iter::once(Value::from(side)).chain(key).collect();
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(Value::Array(values).to_string())
}

/// Whether it is a place of this very list is known when the list is read.
fn read_cursor(text: &str) -> Option<Place> {
    if text.len() > CURSOR_MAX_BYTES {
        return None;
    }
    let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).ok()?;
    let values: Vec<Value> = serde_json::from_slice(&bytes).ok()?;
    let (side, key) = values.split_first()?;
    let side = match side.as_str()? {
        "b" => Side::Before,
        "a" => Side::After,
        _ => return None,
    };
    let key = key.iter().map(|value| match value {
        Value::String(text) if !text.contains('\0') => Some(Key::Text(text.clone())),
        value => value.as_i64().map(Key::Int),
    });
    let key = key.collect::<Option<_>>()?;
    Some(Place { side, key })
}

/// Reads one page: `list_page!(paging, |part| list(&mut conn, part).await)`.
macro_rules! list_page {
    ($paging:expr, |$part:ident| $list:expr) => {{
        let $part = $paging.first_try()?;
        let listed = $list.map_err($crate::handlers::page::unlisted)?;
        match $paging.second_try(&listed) {
            None => $paging.envelope(listed)?,
            Some($part) => {
                let listed = $list.map_err($crate::handlers::page::unlisted)?;
                $paging.envelope(listed)?
            }
        }
    }};
}
pub(crate) use list_page;

/// Why a list was not read: a cursor of another list is one that is not known.
pub fn unlisted(error: engine::Error) -> Error {
    match &error {
        engine::Error::Invalid { what, .. } if what == "cursor" => no_cursor(),
        _ => error.into(),
    }
}

fn no_cursor() -> Error {
    Error::not_found("Invalid cursor")
}

fn no_page() -> Error {
    Error::not_found("Invalid page.")
}

/// The path with the provider's long name in the place of a short one.
fn with_long_service(path: &str) -> String {
    let parts = path
        .split('/')
        .enumerate()
        .map(|(place, part)| match place {
            3 => service_name(part).unwrap_or(part),
            _ => part,
        });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paging(query: &str) -> Paging {
        let uri = format!("/api/v2/gh/acme/repos?{query}").parse().unwrap();
        Paging::new("http://h", "/api/v2/gh/acme/repos", Params::of(&uri))
    }

    fn counted<T>(rows: Vec<T>, count: i64) -> Listed<T> {
        Listed {
            rows,
            count: Some(count),
            before: None,
            after: None,
        }
    }

    fn page(limit: i64, offset: i64) -> Part {
        Page { limit, offset }.into()
    }

    #[test]
    fn links_keep_the_other_parameters_and_name_the_provider_in_full() {
        let page = paging("search=a%20b&page=2&page_size=2")
            .envelope(counted(vec![1, 2], 5))
            .unwrap();
        let url = "http://h/api/v2/github/acme/repos/?search=a%20b&page_size=2";
        assert_eq!(page.next, Some(format!("{url}&page=3")));
        assert_eq!(page.previous.as_deref(), Some(url));
        assert_eq!((page.count, page.total_pages), (Some(5), Some(3)));
    }

    #[test]
    fn an_empty_list_is_one_page() {
        let none = || counted(Vec::<i32>::new(), 0);
        let page = paging("").envelope(none()).unwrap();
        assert_eq!((page.count, page.total_pages), (Some(0), Some(1)));
        assert!(page.next.is_none() && page.previous.is_none());
        assert!(paging("page=2").envelope(none()).is_err());
    }

    #[test]
    fn the_last_page_is_read_when_it_is_known_where_it_is() {
        let paging = paging("page=last&page_size=2");
        assert_eq!(paging.first_try().unwrap(), page(2, 0));
        assert_eq!(paging.second_try(&counted(vec![1], 5)), Some(page(2, 4)));
        assert_eq!(paging.second_try(&counted(vec![1], 2)), None);
    }

    #[test]
    fn sizes_are_bounded_and_fall_back_to_twenty() {
        for (query, limit) in [("100000", 1000), ("500", 500), ("0", 20), ("x", 20)] {
            let paging = paging(&format!("page_size={query}"));
            assert_eq!(paging.first_try().unwrap(), page(limit, 0));
        }
        for query in ["page=0", "page=-1", "page=x"] {
            assert!(paging(query).first_try().is_err());
        }
        assert!(paging("page=9223372036854775807").first_try().is_ok());
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let place = Place {
            side: Side::Before,
            key: vec![Key::Int(-7), Key::Text("a/b".into())],
        };
        let listed = Listed {
            rows: vec![1],
            count: None,
            before: Some(place.clone()),
            after: None,
        };
        let page = paging("cursor=&page_size=3").envelope(listed).unwrap();
        assert_eq!(
            (page.count, page.total_pages, page.next),
            (None, None, None)
        );
        let previous = page.previous.unwrap();
        let query = previous.split_once('?').unwrap().1;
        let part = Part::Beside {
            limit: 3,
            from: Some(place),
        };
        assert_eq!(paging(query).first_try().unwrap(), part);
        assert!(paging("cursor=x").first_try().is_err());
    }
}
