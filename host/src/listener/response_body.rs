//! A response body on its way to the client. Turns a panic of whoever makes the body into the
//! failure of that body; on HTTP/1, tells the connection when hyper has taken all of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use verge_http::failure::NodeFault;
use verge_http::{Body, Failure};

use super::event::ConnectionEvent;
use super::exchange::EventSink;
use super::http1_state::{Exchange, Http1State};

/// What a handler's body must be; see [`Handler::ResponseBody`](super::handler::Handler).
pub(super) trait ResponseBody:
    http_body::Body<Data = Bytes, Error = Failure> + From<Body> + Unpin
{
}

impl<B: http_body::Body<Data = Bytes, Error = Failure> + From<Body> + Unpin> ResponseBody for B {}

/// What polling a body gives.
pub(super) type PolledFrame = Poll<Option<Result<Frame<Bytes>, Failure>>>;

/// The body of a response on an HTTP/1 connection.
pub(super) struct Http1ResponseBody<B> {
    body: B,
    state: Arc<Http1State>,
    events: Arc<dyn EventSink>,
}

impl<B> Http1ResponseBody<B> {
    pub(super) fn new(body: B, state: Arc<Http1State>, events: Arc<dyn EventSink>) -> Self {
        Self {
            body,
            state,
            events,
        }
    }
}

impl<B: ResponseBody> http_body::Body for Http1ResponseBody<B> {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> PolledFrame {
        let this = &mut *self;
        poll_caught(&mut this.body, this.events.as_ref(), context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Http1ResponseBody<B> {
    fn drop(&mut self) {
        if self.state.exchange() == Exchange::Open {
            self.state.set_exchange(Exchange::Answered);
        }
    }
}

/// Polls `body`; a panic in it becomes its failure.
pub(super) fn poll_caught<B: ResponseBody>(
    body: &mut B,
    events: &dyn EventSink,
    context: &mut Context<'_>,
) -> PolledFrame {
    let polled = catch_unwind(AssertUnwindSafe(|| {
        Pin::new(&mut *body).poll_frame(context)
    }));
    polled.unwrap_or_else(|_panic| {
        // What panicked is not polled again, and may panic once more while it is dropped.
        let broken = std::mem::replace(body, B::from(Body::Empty));
        if catch_unwind(AssertUnwindSafe(|| drop(broken))).is_err() {
            tracing::error!("a response body panicked twice");
        }
        events.event(ConnectionEvent::HandlerPanicked);
        Poll::Ready(Some(Err(Failure::Node(NodeFault::Internal))))
    })
}
