//! What a trigger is given, and what it gives back: the message as it is now
//! and an account of what the function did to it.
//!
//! A message is moved into the call and always comes back, also when the
//! function failed; then it is as it was.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, Method, Version};
use verge_http::Body;
use verge_http::surrogate::SurrogateKey;

use crate::capabilities::{CallId, DeferError, Fetch, FetchError, FetchFuture, FunctionCache};
use crate::outcome::{CallFailure, CallReceipt, PendingEnd};

/// Values that a request may carry from viewer-request to viewer-response.
const CONTEXT_VALUES: usize = 32;
/// Bytes of names and values that it may carry.
const CONTEXT_BYTES: usize = 4096;

/// Who sent a request.
#[derive(Clone, Debug)]
pub struct ClientFacts {
    /// The client's address, behind trusted proxies.
    pub address: IpAddr,
    /// The connection's port at the client's side; 0 behind a trusted proxy.
    pub port: u16,
    /// The protocol version that the client spoke.
    pub protocol: Version,
    /// `TLSv1.2` or `TLSv1.3`; `None` on a plaintext connection.
    pub tls: Option<&'static str>,
}

/// A request on its way through triggers.
#[derive(Debug)]
pub struct EdgeRequest {
    /// The method.
    pub method: Method,
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Whom it is for.
    pub authority: Authority,
    /// Path and query of the target URI.
    pub path_and_query: PathAndQuery,
    /// The fields, without Host.
    pub fields: HeaderMap,
    /// Who sent it.
    pub client: Arc<ClientFacts>,
    /// The request id, as in the access log.
    pub id: Arc<str>,
    /// The content. Calls of response triggers leave it alone.
    pub body: Body,
    /// What functions carry from viewer-request to viewer-response.
    pub context: Context,
}

/// A small bounded store that the host keeps for one request.
#[derive(Clone, Debug, Default)]
pub struct Context {
    values: Vec<(Box<str>, Bytes)>,
    bytes: usize,
}

impl Context {
    /// The value of that name.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Bytes> {
        self.values
            .iter()
            .find(|(held, _)| &**held == name)
            .map(|(_, value)| value)
    }

    /// Sets a value; returns false and changes nothing when that would pass the bounds
    /// (32 values, 4 KiB of names and values).
    #[must_use]
    pub fn set(&mut self, name: &str, value: Bytes) -> bool {
        let held = self.values.iter().position(|(held, _)| &**held == name);
        let old = held
            .and_then(|index| self.values.get(index))
            .map_or(0, |(name, value)| name.len() + value.len());
        let bytes = (self.bytes - old)
            .saturating_add(name.len())
            .saturating_add(value.len());
        if bytes > CONTEXT_BYTES || (held.is_none() && self.values.len() >= CONTEXT_VALUES) {
            return false;
        }
        self.bytes = bytes;
        match held.and_then(|index| self.values.get_mut(index)) {
            Some((_, place)) => *place = value,
            None => self.values.push((name.into(), value)),
        }
        true
    }

    /// All values, with their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.values.iter().map(|(name, value)| (&**name, value))
    }

    /// True when no value is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// What the site of a request allows a function to choose.
pub trait Scope: Send + Sync {
    /// Whether the request may be readdressed to this authority.
    fn allows_authority(&self, authority: &Authority) -> bool;

    /// Whether this call's function may send the request to the origin of this name.
    fn allows_origin(&self, call: &CallId, name: &str) -> bool;

    /// Leaves work of `function` for after the response of the request `id`.
    ///
    /// # Errors
    /// There is no room for it, or the function cannot be called so.
    fn defer(&self, _function: &str, _id: &Arc<str>, _payload: Vec<u8>) -> Result<(), DeferError> {
        Err(DeferError::Unavailable)
    }

    /// The node's cache, within the site.
    fn cache(&self) -> Option<Arc<dyn FunctionCache>> {
        None
    }

    /// What sends the requests of this call; `None` when it may send none.
    fn fetch(&self, _call: &CallId) -> Option<Arc<dyn Fetch>> {
        None
    }
}

/// A scope that allows nothing, for triggers and tests that need none.
#[derive(Clone, Copy, Debug)]
pub struct NoScope;

impl Scope for NoScope {
    fn allows_authority(&self, _authority: &Authority) -> bool {
        false
    }

    fn allows_origin(&self, _call: &CallId, _name: &str) -> bool {
        false
    }
}

/// What belongs to one call and is not part of the message.
#[derive(Clone)]
pub struct Call {
    /// What the site allows.
    pub scope: Arc<dyn Scope>,
}

/// What happened to the content of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentChange {
    /// It is as it was.
    #[default]
    Untouched,
    /// The function replaced it. Content-Length was removed from the fields.
    Replaced,
    /// The function read from it and put nothing in its place: it is gone. After a failed call
    /// this means that the message cannot go on.
    Consumed,
}

/// What a function did to a request. Empty after a failed call, but for `content`.
#[derive(Clone, Debug, Default)]
pub struct RequestEffects {
    /// Fields that it added, changed or removed; each once.
    pub fields: Vec<HeaderName>,
    /// Fields that it declared unkeyed.
    pub unkeyed: Vec<HeaderName>,
    /// Parts that it added to the cache key: name and value, in order.
    pub key_parts: Vec<(String, String)>,
    /// Names by which a stored response is purged.
    pub surrogate_keys: Vec<SurrogateKey>,
    /// The origin that it chose; within [`Scope::allows_origin`].
    pub origin: Option<String>,
    /// It changed method, scheme, authority, path or query.
    pub target: bool,
    /// What happened to the content.
    pub content: ContentChange,
}

/// What a function did to a response. Empty after a failed call, but for `content`.
#[derive(Clone, Debug, Default)]
pub struct ResponseEffects {
    /// Fields that it added, changed or removed; each once.
    pub fields: Vec<HeaderName>,
    /// It changed the status.
    pub status: bool,
    /// What happened to the content.
    pub content: ContentChange,
}

/// What a request trigger decided.
#[derive(Debug)]
pub enum Verdict {
    /// Go on with the request as it is now.
    Continue,
    /// Answer with this.
    Respond(http::Response<Body>),
}

/// What of a request an origin trigger looked at, method and target URI aside. What the response
/// then depends on must be a part of the cache key, or the response is for this request alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenInput {
    /// Fields that it read; each once.
    pub fields: Vec<HeaderName>,
    /// It read all fields, or who the client is.
    pub everything: bool,
}

/// A finished call of viewer-request or origin-request.
#[derive(Debug)]
pub struct RequestCall {
    /// The request as it is now; as it was when the call failed.
    pub request: EdgeRequest,
    /// What the function did to it.
    pub effects: RequestEffects,
    /// What it looked at; kept for origin triggers only.
    pub seen: SeenInput,
    /// What it decided, or why it failed.
    pub verdict: Result<Verdict, CallFailure>,
    /// What it cost so far.
    pub receipt: CallReceipt,
    /// Set when the function goes on writing the response's content.
    pub pending: Option<PendingEnd>,
}

/// A finished call of origin-response or viewer-response.
#[derive(Debug)]
pub struct ResponseCall {
    /// The request, unchanged.
    pub request: EdgeRequest,
    /// The response as it is now; as it was when the call failed.
    pub response: http::Response<Body>,
    /// What the function did to it.
    pub effects: ResponseEffects,
    /// What it looked at; kept for origin triggers only.
    pub seen: SeenInput,
    /// Why it failed, if it did.
    pub result: Result<(), CallFailure>,
    /// What it cost so far.
    pub receipt: CallReceipt,
    /// Set when the function goes on writing the response's content.
    pub pending: Option<PendingEnd>,
}

/// A finished call after the response.
#[derive(Debug)]
pub struct DeferredCall {
    /// Why it failed, if it did.
    pub result: Result<(), CallFailure>,
    /// What it cost.
    pub receipt: CallReceipt,
}

/// A finished call of a `wasi:http` handler.
#[derive(Debug)]
pub struct HandlerCall {
    /// The response, or why there is none.
    pub response: Result<http::Response<Body>, CallFailure>,
    /// What it cost so far.
    pub receipt: CallReceipt,
    /// Set when the function goes on running while its response is sent.
    pub pending: Option<PendingEnd>,
}

/// What is behind a middleware: the rest of the request path.
pub trait Next: Send + Sync {
    /// Answers a request, whose URI has scheme and authority; the response is there when its head
    /// has arrived. Dropping the future ends the exchange.
    fn handle(&self, request: http::Request<Body>) -> FetchFuture;
}

/// Why a middleware did not answer.
#[derive(Clone, Debug)]
pub enum Unanswered {
    /// It failed.
    Failed(CallFailure),
    /// What is behind it failed, and it handed that on.
    Behind(FetchError),
}

/// A finished call of a `wasi:http` middleware.
#[derive(Debug)]
pub struct MiddlewareCall {
    /// The response, or why there is none.
    pub response: Result<http::Response<Body>, Unanswered>,
    /// The response's content is what the middleware was given from behind, or the request's, and
    /// it read nothing of it.
    pub is_whole: bool,
    /// Whether it sent any request on.
    pub was_next_asked: bool,
    /// After a failure, the request's content if nothing of it is gone.
    pub content: Option<Body>,
    /// After a failure, the last response from behind if nothing of it is gone.
    pub given: Option<http::Response<Body>>,
    /// What it cost so far.
    pub receipt: CallReceipt,
    /// Set when the function goes on running while its response is sent.
    pub pending: Option<PendingEnd>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_replaces_values_and_frees_their_bytes() {
        let mut context = Context::default();
        assert!(context.set("a", Bytes::from(vec![0; 4000])));
        assert!(!context.set("b", Bytes::from(vec![0; 200])));
        assert!(context.set("a", Bytes::from_static(b"x")));
        assert!(context.set("b", Bytes::from(vec![0; 200])));
        assert_eq!(context.value("a"), Some(&Bytes::from_static(b"x")));
        assert_eq!(context.value("c"), None);
    }

    #[test]
    fn context_holds_32_values() {
        let mut context = Context::default();
        for index in 0..CONTEXT_VALUES {
            assert!(context.set(&index.to_string(), Bytes::new()));
        }
        assert!(!context.set("one more", Bytes::new()));
        assert!(context.set("0", Bytes::from_static(b"still replaceable")));
    }
}
