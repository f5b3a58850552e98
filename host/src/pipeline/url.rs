//! URLs that an operator names, in the form that requests have behind
//! `sanitize`: so that what is purged or explained is what is stored.

use http::{Method, Uri};
use verge_cache::Target;
use verge_http::authority::{Authority, Scheme};

use super::sanitize::origin_form;

/// Most bytes of a URL.
pub(crate) const URL_BYTES_MAX: usize = 32 << 10;

/// A URL in normal form.
#[derive(Clone, Debug)]
pub(crate) struct OperatorUrl {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
}

/// What is wrong with a URL, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UrlProblem {
    pub(crate) what: String,
    pub(crate) expected: &'static str,
}

const EXPECTED: &str = "a whole URL, as https://shop.example/path?query";

impl OperatorUrl {
    /// Reads `text`.
    ///
    /// # Errors
    /// It is no URL that a request could be for.
    pub(crate) fn parse(text: &str) -> Result<Self, UrlProblem> {
        let problem = |what: &str| UrlProblem {
            what: format!("`{text}` {what}"),
            expected: EXPECTED,
        };
        if text.len() > URL_BYTES_MAX {
            return Err(UrlProblem {
                what: format!("a URL of {} bytes is too long", text.len()),
                expected: "at most 32768 bytes",
            });
        }
        // A fragment is never sent (RFC 9110 4.2.5); the parser would drop it silently.
        if text.contains('#') {
            return Err(problem("has a fragment, which is never sent"));
        }
        let uri: Uri = text.parse().map_err(|_| problem("is no URL"))?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            Some(_) => return Err(problem("is neither http nor https")),
            None => return Err(problem("has no scheme")),
        };
        let authority = uri
            .authority()
            .and_then(|authority| Authority::parse(authority.as_str().as_bytes(), scheme).ok())
            .ok_or_else(|| problem("has no valid authority"))?;
        let target = origin_form(&Method::GET, &uri, URL_BYTES_MAX)
            .map_err(|_| problem("has a path that no request may have"))?;
        Ok(Self {
            scheme,
            authority,
            path: target.path().to_owned(),
            query: target.query().map(str::to_owned),
        })
    }

    /// As keys take it.
    pub(crate) fn target(&self) -> Target<'_> {
        Target {
            scheme: self.scheme,
            authority: self.authority.as_str(),
            path: &self.path,
            query: self.query.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_take_the_form_of_requests() {
        let rows = [
            ("https://Shop.Example:443/a", "shop.example", "/a", None),
            ("http://shop.example", "shop.example", "/", None),
            (
                "http://shop.example:81/%7eb?",
                "shop.example:81",
                "/~b",
                Some(""),
            ),
            (
                "https://shop.example?x=%61",
                "shop.example",
                "/",
                Some("x=%61"),
            ),
        ];
        for (text, authority, path, query) in rows {
            let url = OperatorUrl::parse(text).unwrap();
            let found = (url.authority.as_str(), &*url.path, url.query.as_deref());
            assert_eq!(found, (authority, path, query), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_told() {
        let rows = [
            ("/a", "has no scheme"),
            ("shop.example/a", "is no URL"),
            ("ftp://shop.example/", "is neither http nor https"),
            ("https://u@shop.example/", "has no valid authority"),
            (
                "https://shop.example/a/../b",
                "has a path that no request may have",
            ),
            (
                "https://shop.example/#a",
                "has a fragment, which is never sent",
            ),
            ("", "is no URL"),
        ];
        for (text, what) in rows {
            let problem = OperatorUrl::parse(text).unwrap_err();
            assert_eq!(problem.what, format!("`{text}` {what}"));
        }
    }
}
