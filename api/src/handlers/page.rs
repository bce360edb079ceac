//! Lists in pages: which part the client asks for, and the envelope that it gets.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use engine::db::Page;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
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
    pub page_size: Option<i64>,
}

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub struct PageOf<T> {
    /// Rows of the whole list.
    pub count: i64,
    /// The URL of the next page.
    pub next: Option<String>,
    /// The URL of the page before.
    pub previous: Option<String>,
    /// The rows.
    pub results: Vec<T>,
    /// Pages of the whole list, at least 1.
    pub total_pages: i64,
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
    number: Option<Number>,
    size: i64,
    url: String,
    others: Vec<(String, String)>,
}

#[derive(Clone, Copy)]
enum Number {
    Nth(i64),
    Last,
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
        let number = match params.last("page") {
            None | Some("") => Some(Number::Nth(1)),
            Some("last") => Some(Number::Last),
            Some(text) => text
                .parse()
                .ok()
                .filter(|&number: &i64| number >= 1)
                .map(Number::Nth),
        };
        let size = params
            .last("page_size")
            .and_then(|text| text.parse().ok())
            .filter(|&size: &i64| size >= 1)
            .unwrap_or(SIZE_DEFAULT)
            .min(SIZE_MAX);
        Paging {
            number,
            size,
            url: format!("{base}{}/", with_long_service(path)),
            others: params.without("page"),
        }
    }

    /// The rows to read first: those of the page, or, as where the last page is depends on how
    /// many rows there are, the first ones.
    pub fn first_try(&self) -> Result<Page> {
        match self.number.ok_or_else(no_page)? {
            Number::Nth(number) => Ok(self.window(number)),
            Number::Last => Ok(self.window(1)),
        }
    }

    /// The rows to read instead, now that it is known that there are `count` in all.
    pub fn second_try(&self, count: i64) -> Option<Page> {
        match self.number? {
            Number::Last if count > self.size => Some(self.window(self.pages(count))),
            _ => None,
        }
    }

    /// The envelope of these rows of `count` in all. Errors: 404 for a page behind the last.
    pub fn envelope<T>(&self, results: Vec<T>, count: i64) -> Result<PageOf<T>> {
        let total_pages = self.pages(count);
        let number = match self.number.ok_or_else(no_page)? {
            Number::Nth(number) => number,
            Number::Last => total_pages,
        };
        if number > total_pages {
            return Err(no_page());
        }
        Ok(PageOf {
            count,
            next: (number < total_pages).then(|| self.link(number + 1)),
            previous: (number > 1).then(|| self.link(number - 1)),
            results,
            total_pages,
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
    fn link(&self, number: i64) -> String {
        let number = (number > 1).then(|| ("page".to_owned(), number.to_string()));
        let mut url = self.url.clone();
        for (place, (name, value)) in self.others.iter().chain(&number).enumerate() {
            url.push(if place == 0 { '?' } else { '&' });
            url.extend(utf8_percent_encode(name, QUERY));
            url.push('=');
            url.extend(utf8_percent_encode(value, QUERY));
        }
        url
    }
}

/// Reads one page: `list_page!(paging, |page| list(&mut conn, page).await?)`, where the list gives
/// rows and how many there are in all.
macro_rules! list_page {
    ($paging:expr, |$page:ident| $list:expr) => {{
        let $page = $paging.first_try()?;
        let (rows, count) = $list;
        match $paging.second_try(count) {
            None => $paging.envelope(rows, count)?,
            Some($page) => {
                let (rows, count) = $list;
                $paging.envelope(rows, count)?
            }
        }
    }};
}
pub(crate) use list_page;

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

    #[test]
    fn links_keep_the_other_parameters_and_name_the_provider_in_full() {
        let page = paging("search=a%20b&page=2&page_size=2")
            .envelope(vec![1, 2], 5)
            .unwrap();
        let url = "http://h/api/v2/github/acme/repos/?search=a%20b&page_size=2";
        assert_eq!(page.next, Some(format!("{url}&page=3")));
        assert_eq!(page.previous.as_deref(), Some(url));
        assert_eq!((page.count, page.total_pages), (5, 3));
    }

    #[test]
    fn an_empty_list_is_one_page() {
        let page = paging("").envelope(Vec::<i32>::new(), 0).unwrap();
        assert_eq!((page.count, page.total_pages), (0, 1));
        assert!(page.next.is_none() && page.previous.is_none());
        assert!(paging("page=2").envelope(Vec::<i32>::new(), 0).is_err());
    }

    #[test]
    fn the_last_page_is_read_when_it_is_known_where_it_is() {
        let paging = paging("page=last&page_size=2");
        assert_eq!(
            paging.first_try().unwrap(),
            Page {
                limit: 2,
                offset: 0
            }
        );
        assert_eq!(
            paging.second_try(5),
            Some(Page {
                limit: 2,
                offset: 4
            })
        );
        assert_eq!(paging.second_try(2), None);
    }

    #[test]
    fn sizes_are_bounded_and_fall_back_to_twenty() {
        let size = |query| paging(query).first_try().unwrap().limit;
        assert_eq!(size("page_size=100000"), 1000);
        assert_eq!((size("page_size=0"), size("page_size=x")), (20, 20));
        for query in ["page=0", "page=-1", "page=x"] {
            assert!(paging(query).first_try().is_err());
        }
        assert!(paging("page=9223372036854775807").first_try().is_ok());
    }
}
