//! Requests and responses for tests, and what a function did to them.
//! What a test gets wrong here panics: it is the test's bug.

use http::{HeaderName, HeaderValue, Method, StatusCode, Uri};

use super::Trigger;
use crate::Verdict;
use crate::backend::Target;
use crate::backend::native::fetch::RawFetched;
use crate::backend::native::{Content, Fields, RawRequest, RawResponse, RequestState};
use crate::edit::Edit;

/// Builds the request that a test gives to a function.
///
/// Unless it says otherwise: `GET https://test.example`, HTTP/1.1 over TLS 1.3, from 192.0.2.1.
#[derive(Clone, Debug)]
#[must_use]
pub struct Request {
    method: Method,
    uri: Uri,
    fields: Vec<(HeaderName, HeaderValue)>,
    content: Vec<u8>,
    incomplete: bool,
    address: String,
    tls: Option<String>,
    trigger: Trigger,
    origins: Option<Vec<String>>,
}

impl Request {
    /// A request for a path, with its query, or for a whole URI.
    ///
    /// # Panics
    /// When `uri` is none.
    #[track_caller]
    pub fn new(method: Method, uri: &str) -> Self {
        Self {
            method,
            uri: uri.parse().expect("the test's URI parses"),
            fields: Vec::new(),
            content: Vec::new(),
            incomplete: false,
            address: "192.0.2.1".into(),
            tls: Some("TLSv1.3".into()),
            trigger: Trigger::ViewerRequest,
            origins: None,
        }
    }

    /// A `GET` request.
    ///
    /// # Panics
    /// When `uri` is none.
    #[track_caller]
    pub fn get(uri: &str) -> Self {
        Self::new(Method::GET, uri)
    }

    /// A `POST` request.
    ///
    /// # Panics
    /// When `uri` is none.
    #[track_caller]
    pub fn post(uri: &str) -> Self {
        Self::new(Method::POST, uri)
    }

    /// Adds a field line; also one that functions may not edit.
    ///
    /// # Panics
    /// When `name` or `value` is not one.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.fields.push(line(name, value));
        self
    }

    /// The client's address.
    pub fn client(mut self, address: &str) -> Self {
        self.address = address.to_owned();
        self
    }

    /// Sends it without TLS, by `http`.
    pub fn plaintext(mut self) -> Self {
        self.tls = None;
        self
    }

    /// Its content.
    pub fn body(mut self, content: impl AsRef<[u8]>) -> Self {
        self.content = content.as_ref().to_owned();
        self
    }

    /// Content that its sender ends early.
    pub fn incomplete_body(mut self, content: impl AsRef<[u8]>) -> Self {
        self.incomplete = true;
        self.body(content)
    }

    /// The trigger in which the function gets it; `viewer-request` unless said.
    pub fn in_trigger(mut self, trigger: Trigger) -> Self {
        self.trigger = trigger;
        self
    }

    /// The origins of the configuration; without this, any name is one.
    pub fn origins<const N: usize>(mut self, names: [&str; N]) -> Self {
        self.origins = Some(names.map(str::to_owned).to_vec());
        self
    }

    /// The request.
    #[must_use]
    pub fn build(self) -> crate::Request {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let path_and_query = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let state = RequestState {
            trigger: self.trigger,
            target: Target {
                method: self.method.to_string(),
                scheme: self.uri.scheme_str().unwrap_or(scheme).to_owned(),
                authority: self
                    .uri
                    .authority()
                    .map_or("test.example", |authority| authority.as_str())
                    .to_owned(),
                path_and_query: path_and_query.to_owned(),
            },
            client: (self.address, 49_152, "HTTP/1.1".into(), self.tls),
            id: "test-request".into(),
            fields: Fields(self.fields),
            origins: self.origins,
            origin: None,
            key_parts: Vec::new(),
            surrogate_keys: Vec::new(),
            unkeyed: Vec::new(),
            edits: Vec::new(),
        };
        let content = Content::new(self.content, self.incomplete);
        crate::Request::from_raw(RawRequest::new(state, content))
    }
}

/// Builds the response that a test gives to a function of `origin-response` or `viewer-response`.
#[derive(Clone, Debug)]
#[must_use]
pub struct Response {
    status: StatusCode,
    fields: Vec<(HeaderName, HeaderValue)>,
    content: Vec<u8>,
    incomplete: bool,
}

impl Response {
    /// An empty response.
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            fields: Vec::new(),
            content: Vec::new(),
            incomplete: false,
        }
    }

    /// A response with status 200.
    pub fn ok() -> Self {
        Self::new(StatusCode::OK)
    }

    /// Adds a field line; also one that functions may not edit.
    ///
    /// # Panics
    /// When `name` or `value` is not one.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.fields.push(line(name, value));
        self
    }

    /// Its content.
    pub fn body(mut self, content: impl AsRef<[u8]>) -> Self {
        self.content = content.as_ref().to_owned();
        self
    }

    /// Content that the origin ends early.
    pub fn incomplete_body(mut self, content: impl AsRef<[u8]>) -> Self {
        self.incomplete = true;
        self.body(content)
    }

    /// The response.
    #[must_use]
    pub fn build(self) -> crate::Response {
        let content = Content::new(self.content, self.incomplete);
        let fields = Fields(self.fields);
        crate::Response::from_raw(RawResponse::with(self.status.as_u16(), fields, content))
    }
}

impl Response {
    /// As a function gets it that has fetched it.
    pub(super) fn fetched(self) -> RawFetched {
        RawFetched {
            status: self.status.as_u16(),
            content: Content::new(self.content, self.incomplete),
            fields: Fields(self.fields),
        }
    }
}

/// What a function did to a request, beside the fields and the target that the request itself
/// shows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Effects {
    /// The origin that it chose.
    pub origin: Option<String>,
    /// The parts that it added to the cache key, as name and value.
    pub key_parts: Vec<(String, String)>,
    /// The names by which the stored response is purged.
    pub surrogate_keys: Vec<String>,
    /// The fields that it declared unkeyed, in lower case.
    pub unkeyed: Vec<String>,
    /// Its edits, in order.
    pub edits: Vec<Edit>,
}

impl Effects {
    /// Whether a field is now part of the cache key because the function changed it.
    #[must_use]
    pub fn keys_by(&self, field: &str) -> bool {
        let edited = self.edits.iter().any(|edit| edit.name() == field);
        edited && !self.unkeyed.iter().any(|name| name == field)
    }
}

/// What functions did to `request` so far.
#[must_use]
pub fn effects(request: &crate::Request) -> Effects {
    let state = request.raw.state.borrow();
    Effects {
        origin: state.origin.clone(),
        key_parts: state.key_parts.clone(),
        surrogate_keys: state.surrogate_keys.clone(),
        unkeyed: state.unkeyed.clone(),
        edits: state.edits.clone(),
    }
}

/// The response of a verdict.
///
/// # Panics
/// When the verdict was [`Verdict::Next`], or when the node would have refused the response.
#[track_caller]
#[must_use]
#[expect(clippy::panic, reason = "an assertion for tests")]
pub fn responded(verdict: Verdict) -> crate::Response {
    match verdict {
        Verdict::Next => panic!("the function let the request go on"),
        Verdict::Respond(response) => match response.refused() {
            None => response,
            Some(refused) => panic!("the node would refuse the response: {refused}"),
        },
    }
}

#[track_caller]
fn line(name: &str, value: &str) -> (HeaderName, HeaderValue) {
    let name = name.parse().expect("the test's field name is a token");
    let value = value.parse().expect("the test's field value is one");
    (name, value)
}
