//! A response body on its way to hyper. Knows when the response is complete,
//! and turns a panic of whoever makes the body into the failure of that body.

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
use super::http2::StreamGuard;

/// What is handed to HTTP/2's send buffer at once. Flow control is asked
/// again after each piece, so a client's progress is seen in steps of this.
const HTTP2_PIECE: usize = 32 * 1024;

/// What a handler's body must be; see [`Handler::ResponseBody`](super::handler::Handler).
pub(super) trait ResponseBody:
    http_body::Body<Data = Bytes, Error = Failure> + From<Body> + Unpin
{
}

impl<B: http_body::Body<Data = Bytes, Error = Failure> + From<Body> + Unpin> ResponseBody for B {}

type PolledFrame = Poll<Option<Result<Frame<Bytes>, Failure>>>;

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

/// The body of a response on an HTTP/2 stream.
pub(super) struct Http2ResponseBody<B> {
    body: B,
    /// What is left of the last piece of the body.
    rest: Bytes,
    stream: StreamGuard,
    events: Arc<dyn EventSink>,
}

impl<B> Http2ResponseBody<B> {
    pub(super) fn new(body: B, stream: StreamGuard, events: Arc<dyn EventSink>) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            stream,
            events,
        }
    }

    fn next_piece(&mut self) -> Bytes {
        let count = self.rest.len().min(HTTP2_PIECE);
        let piece = self.rest.split_to(count);
        self.stream.progress().hand_over(count);
        piece
    }
}

impl<B: ResponseBody> http_body::Body for Http2ResponseBody<B> {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> PolledFrame {
        let this = &mut *self;
        this.stream.progress().ask();
        if !this.rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(this.next_piece()))));
        }
        match poll_caught(&mut this.body, this.events.as_ref(), context) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    this.rest = data;
                    Poll::Ready(Some(Ok(Frame::data(this.next_piece()))))
                }
                Err(other) => Poll::Ready(Some(Ok(other))),
            },
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}

/// Polls `body`; a panic in it becomes its failure.
fn poll_caught<B: ResponseBody>(
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
