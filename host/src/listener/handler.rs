//! What a listener asks of the node behind it.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use verge_http::interim::InterimSender;
use verge_http::{Body, Failure};

use super::event::ConnectionEvent;
use super::facts::ConnectionFacts;

/// Answers the requests of a listener's connections.
///
/// A panic in [`Handler::handle`], or in the body that it returns, costs only
/// that request.
pub trait Handler: Send + Sync + 'static {
    /// The content of answers: a type of the handler's own, so that an answer from memory is sent
    /// without a box around its body.
    type ResponseBody: http_body::Body<Data = Bytes, Error = Failure>
        + From<Body>
        + Unpin
        + Send
        + 'static;

    /// Answers one request. Never fails: failures are responses.
    ///
    /// The request's fields passed the head scanner (HTTP/1) or the rules of
    /// RFC 9113 8 (HTTP/2) and the listener's size limits; its meaning is not
    /// judged yet. A body that is not read is read on and thrown away within
    /// limits, or the connection is closed. Reading the body ends in a
    /// `Failure::Client` when the client breaks its framing, sends it too
    /// slowly, or goes away. The future is dropped when the client goes away.
    ///
    /// `interim` takes interim responses to this request, where its client can be sent some.
    /// The response must not be informational, nor name connection-specific
    /// fields: the listener sets `Connection` where it is needed.
    fn handle(
        &self,
        connection: &Arc<ConnectionFacts>,
        interim: Option<InterimSender>,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Self::ResponseBody>> + Send;

    /// Makes the answer for something that never became a request (a bad
    /// head, a head that came too late, one connection too many) or whose
    /// handler panicked, and counts it. The listener adds the fields of framing.
    fn refuse(&self, connection: &ConnectionFacts, failure: Failure) -> Response<Bytes>;

    /// Counts something that happened to a connection. Must not block.
    fn event(&self, event: ConnectionEvent);
}
