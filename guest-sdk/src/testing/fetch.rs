//! Origins in tests: prepared answers, and what was asked.

use http::HeaderMap;

use super::{Host, Response};
use crate::backend::native::with;
use crate::fetch::FetchError;

/// One request that a function sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its method.
    pub method: String,
    /// Its URI.
    pub uri: String,
    /// Its fields.
    pub fields: HeaderMap,
    /// Its content.
    pub content: Vec<u8>,
}

impl Host {
    /// Answers requests for a URI, or for all that begin with what stands before a `*` at its end.
    /// Of several answers that fit, the last one counts; without one, a request is denied.
    ///
    /// ```
    /// use verge_sdk::{fetch, testing};
    ///
    /// let host = testing::Host::new()
    ///     .fetch("http://api/users/*", testing::Response::ok().body("Ada"))
    ///     .fetch_with("http://api/echo", |asked| Ok(testing::Response::ok().body(&asked.content)));
    ///
    /// let mut response = fetch::Request::get("http://api/users/7").send()?.wait()?;
    /// assert_eq!(response.read_body(100)?, b"Ada");
    /// let echo = fetch::Request::post("http://api/echo").body("and back").send()?;
    /// assert_eq!(echo.wait()?.read_body(100)?, b"and back");
    /// assert!(fetch::Request::get("http://other/").send()?.wait().is_err());
    /// assert_eq!(host.fetched().len(), 3);
    /// # Ok::<(), verge_sdk::Error>(())
    /// ```
    pub fn fetch(self, uri: &str, response: Response) -> Self {
        self.fetch_with(uri, move |_| Ok(response.clone()))
    }

    /// The same with answers that are made for each request, or that fail.
    pub fn fetch_with(
        self,
        uri: &str,
        answer: impl Fn(&Fetched) -> Result<Response, FetchError> + 'static,
    ) -> Self {
        let answer = Box::new(move |asked: &Fetched| answer(asked).map(Response::fetched));
        with(|state| state.fetch.answers.push((uri.to_owned(), answer)));
        self
    }

    /// The requests that functions sent so far, in order.
    #[must_use]
    pub fn fetched(&self) -> Vec<Fetched> {
        with(|state| state.fetch.asked.clone())
    }
}
