//! Requests to origins of the configuration that were granted to this function
//! (`grants.fetch`), and to routes of its own site (`grants.fetch_site`).
//!
//! A request names its origin as in the configuration (`http://api/users`), or by the origin's own
//! authority. It goes through the node's pools, and through its cache if the configuration says
//! so. Sending does not wait: several requests can be under way at once.
//!
//! ```
//! use verge_sdk::fetch::{self, FetchError};
//! # use verge_sdk::testing::{Host, Response};
//! # let _host = Host::new().fetch("http://api/*", Response::ok().body("7"));
//!
//! let user = fetch::Request::get("http://api/user").send()?;
//! let cart = fetch::Request::get("http://api/cart").header("accept", "text/plain").send()?;
//! let (mut user, mut cart) = (user.wait()?, cart.wait()?);
//! assert!(user.status().is_success());
//! assert_eq!(user.read_body(1024)?, b"7");
//! assert_eq!(cart.read_body(1024)?, b"7");
//! # Ok::<(), verge_sdk::Error>(())
//! ```
//!
//! Waiting counts to the function's deadline, not to its CPU budget. Dropping a [`Pending`] or a
//! [`Response`] ends the exchange.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::backend::imp::fetch::{self as host, RawFetched, RawPending};
use crate::body::{BodyError, BodyReader};

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Method, URI or fields are not valid, or are the node's to write.
    #[error("the request is not valid")]
    Invalid,
    /// It is for no origin that this function was granted; the node's log says what would allow it.
    #[error("the request is for no origin that was granted")]
    Denied,
    /// This call has sent as many requests as it may.
    #[error("too many requests")]
    TooMany,
    /// As many requests are under way as may be at once: end or drop a response first.
    #[error("too many requests at once")]
    TooManyAtOnce,
    /// Functions fetch from one another too deeply.
    #[error("functions fetch from one another too deeply")]
    TooDeep,
    /// This call has sent and received as much content as it may.
    #[error("too much content")]
    TooLarge,
    /// The head was not there in time.
    #[error("there was no response in time")]
    TimedOut,
    /// The word of the failure, as in the node's access log: `connection-refused`.
    #[error("the request failed: {0}")]
    Failed(String),
}

/// A request to send.
#[derive(Clone, Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    method: Method,
    uri: String,
    fields: HeaderMap,
    content: Vec<u8>,
    head_within: Duration,
    invalid: bool,
}

/// A request as the host is told of it.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: &'a str,
    pub(crate) uri: &'a str,
    pub(crate) fields: &'a HeaderMap,
    #[cfg_attr(
        not(target_arch = "wasm32"),
        expect(dead_code, reason = "a test's origin answers at once")
    )]
    pub(crate) head_within_ms: u32,
}

impl Request {
    /// A request for an absolute URI.
    pub fn new(method: Method, uri: impl Into<String>) -> Self {
        Self {
            method,
            uri: uri.into(),
            fields: HeaderMap::new(),
            content: Vec::new(),
            head_within: Duration::ZERO,
            invalid: false,
        }
    }

    /// A `GET` request.
    pub fn get(uri: impl Into<String>) -> Self {
        Self::new(Method::GET, uri)
    }

    /// A `POST` request.
    pub fn post(uri: impl Into<String>) -> Self {
        Self::new(Method::POST, uri)
    }

    /// Adds a field line. One that is not valid makes sending fail.
    pub fn header(
        mut self,
        name: impl TryInto<HeaderName>,
        value: impl TryInto<HeaderValue>,
    ) -> Self {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => drop(self.fields.append(name, value)),
            _ => self.invalid = true,
        }
        self
    }

    /// Its content.
    pub fn body(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.content = content.into();
        self
    }

    /// How long the response's head may take, in whole milliseconds; without this, the origin's own
    /// timeouts alone hold.
    pub fn head_within(mut self, time: Duration) -> Self {
        self.head_within = time;
        self
    }

    /// Sends it and does not wait.
    ///
    /// # Errors
    /// It is not valid, or the function may send no more.
    pub fn send(self) -> Result<Pending, FetchError> {
        Ok(Pending(host::send(&self.outgoing()?, &self.content)?))
    }

    /// Sends it with content that this function was given, as that arrives; nothing of it is
    /// copied into the function.
    ///
    /// ```
    /// # use verge_sdk::{Error, Request, Response, Verdict, fetch};
    /// /// Sends what the client uploads somewhere else.
    /// fn handle(request: &mut Request) -> Result<Verdict, Error> {
    ///     let upload = fetch::Request::post("http://store/new").pass_on(request.body()?)?;
    ///     Ok(Verdict::Respond(Response::new(upload.wait()?.status())))
    /// }
    /// # use verge_sdk::{http::StatusCode, testing};
    /// # let created = testing::Response::new(StatusCode::CREATED);
    /// # let host = testing::Host::new().fetch("http://store/new", created);
    /// # let mut request = testing::Request::post("/").body("some content").build();
    /// # let response = testing::responded(handle(&mut request).unwrap());
    /// # assert_eq!(response.status(), StatusCode::CREATED);
    /// # assert_eq!(host.fetched()[0].content, b"some content");
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn pass_on(self, content: BodyReader) -> Result<Pending, FetchError> {
        let content = content.into_raw().ok_or(FetchError::Invalid)?;
        Ok(Pending(host::pass_on(&self.outgoing()?, content)?))
    }

    fn outgoing(&self) -> Result<Outgoing<'_>, FetchError> {
        if self.invalid {
            return Err(FetchError::Invalid);
        }
        let millis = self.head_within.as_nanos().div_ceil(1_000_000);
        Ok(Outgoing {
            method: self.method.as_str(),
            uri: &self.uri,
            fields: &self.fields,
            head_within_ms: u32::try_from(millis).unwrap_or(u32::MAX),
        })
    }
}

/// A request under way. Dropping it ends it.
#[must_use = "dropping it ends the request"]
pub struct Pending(RawPending);

impl Pending {
    /// Waits for the head of the response.
    ///
    /// # Errors
    /// Why there is none.
    pub fn wait(self) -> Result<Response, FetchError> {
        Ok(Response(self.0.wait()?))
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending")
    }
}

/// A response that was fetched. It stays with the host: each method reads only what it names.
pub struct Response(RawFetched);

impl Response {
    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        // The node has parsed it.
        StatusCode::from_u16(self.0.status()).unwrap_or_default()
    }

    /// One field, its lines joined with `, ` (RFC 9110 5.3); `None` when there is none.
    #[must_use]
    pub fn header(&self, name: impl AsRef<str>) -> Option<HeaderValue> {
        self.0.get(name.as_ref()).and_then(crate::fields::value)
    }

    /// Several fields in one hostcall, in the order of `names`.
    #[must_use]
    pub fn headers_many<const N: usize>(
        &self,
        names: [impl AsRef<str>; N],
    ) -> [Option<HeaderValue>; N] {
        let names = names.each_ref().map(|name| name.as_ref());
        let mut values = self.0.get_many(&names).into_iter();
        std::array::from_fn(|_| values.next().flatten().and_then(crate::fields::value))
    }

    /// All fields.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        crate::fields::map(self.0.fields())
    }

    /// Takes the content, to read it piece by piece as it arrives.
    ///
    /// # Errors
    /// It was taken before.
    pub fn body(&mut self) -> Result<BodyReader, BodyError> {
        self.0.body().map(BodyReader::from_raw)
    }

    /// Takes the content and reads all of it, at most `limit` bytes.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] when there is more than `limit`, or what reading returns.
    pub fn read_body(&mut self, limit: usize) -> Result<Vec<u8>, BodyError> {
        self.body()?.read_all(limit)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.0.status())
            .finish_non_exhaustive()
    }
}
