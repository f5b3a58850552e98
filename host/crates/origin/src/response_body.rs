//! A response's content on its way from an origin: bounded in time, with
//! precise failures, and with the connection given back at its clean end.
//!
//! Dropped before its end, it closes the connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};
use verge_http::Failure;
use verge_http::fields;

use crate::error::body_failure;
use crate::pool::Lease;
use crate::request_body::Upload;
use crate::timeouts::{BodyClock, BodyWait, UploadPhase};

/// What has to be done about the connection at the response's end.
pub(crate) struct Ending {
    pub(crate) lease: Lease,
    /// The head allows another request after this response.
    pub(crate) reusable: bool,
    pub(crate) upload: Option<Arc<Upload>>,
}

/// The content of a response as it arrives.
pub(crate) struct ResponseBody {
    incoming: Incoming,
    ending: Option<Ending>,
    clock: BodyClock,
    /// Made when first needed, moved afterwards.
    timer: Option<Pin<Box<Sleep>>>,
    /// Content that came with the head.
    ahead: Option<Bytes>,
    /// The failure that came with the head, behind that content.
    failed: Option<Failure>,
}

impl Ending {
    /// The response was read to its end.
    fn complete(self) {
        let sent = self
            .upload
            .is_none_or(|upload| upload.phase() == UploadPhase::Finished);
        // While the request is still being written, the connection is closed
        // rather than kept waiting for the rest of it.
        if self.reusable && sent {
            self.lease.recycle();
        }
    }

    fn origin_waits_for_client(&self) -> bool {
        self.upload
            .as_ref()
            .is_some_and(|upload| upload.phase() == UploadPhase::AwaitingClient)
    }
}

/// Turns what the HTTP library delivers into a [`verge_http::Body`]. Content
/// that came together with the head is handed over at once.
pub(crate) fn receive(incoming: Incoming, ending: Ending, clock: BodyClock) -> verge_http::Body {
    if incoming.is_end_stream() {
        ending.complete();
        return verge_http::Body::Empty;
    }
    let mut body = ResponseBody {
        incoming,
        ending: Some(ending),
        clock,
        timer: None,
        ahead: None,
        failed: None,
    };
    if body.incoming.size_hint().exact().is_some() {
        body.read_ahead();
        if body.ending.is_none() && body.failed.is_none() {
            return verge_http::Body::from(body.ahead.take().unwrap_or_default());
        }
    }
    verge_http::Body::stream(body)
}

impl ResponseBody {
    /// Takes what is there without waiting for more. A later poll registers
    /// its own waker, so none is needed here.
    fn read_ahead(&mut self) {
        let mut context = Context::from_waker(std::task::Waker::noop());
        match Pin::new(&mut self.incoming).poll_frame(&mut context) {
            Poll::Pending => {}
            Poll::Ready(None) => self.complete(),
            Poll::Ready(Some(Err(error))) => self.failed = Some(self.fail(&error)),
            Poll::Ready(Some(Ok(frame))) => {
                // A body of known length has no trailers.
                self.ahead = frame.into_data().ok();
                if self.incoming.is_end_stream() {
                    self.complete();
                }
            }
        }
    }

    fn complete(&mut self) {
        if let Some(ending) = self.ending.take() {
            ending.complete();
        }
    }

    fn fail(&mut self, error: &hyper::Error) -> Failure {
        self.ending = None;
        body_failure(error)
    }

    fn accept(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_trailers() {
            Ok(mut trailers) => {
                fields::remove_forbidden_trailers(&mut trailers);
                self.complete();
                Frame::trailers(trailers)
            }
            Err(data) => {
                if self.incoming.is_end_stream() {
                    self.complete();
                }
                data
            }
        }
    }

    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<Failure> {
        loop {
            let now = Instant::now();
            if self
                .ending
                .as_ref()
                .is_some_and(Ending::origin_waits_for_client)
            {
                self.clock.excuse(now);
            }
            let at = match self.clock.decide_wait(now) {
                BodyWait::Expired(fault) => return Poll::Ready(Failure::responding(fault)),
                BodyWait::Until(at) => at,
            };
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
            // A timer set too early costs one wake-up; moving it costs each time.
            if timer.is_elapsed() || timer.deadline() > at {
                timer.as_mut().reset(at);
            }
            std::task::ready!(timer.as_mut().poll(context));
        }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = self.get_mut();
        if let Some(bytes) = this.ahead.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if let Some(failure) = this.failed.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        if this.ending.is_none() {
            return Poll::Ready(None);
        }
        this.clock.resume(Instant::now());
        match Pin::new(&mut this.incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                this.clock.pause(Instant::now());
                Poll::Ready(Some(Ok(this.accept(frame))))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(this.fail(&error)))),
            Poll::Ready(None) => {
                this.complete();
                Poll::Ready(None)
            }
            Poll::Pending => this.poll_timer(context).map(|failure| {
                this.ending = None;
                Some(Err(failure))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ending.is_none() && self.ahead.is_none() && self.failed.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = self.ahead.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let hint = self.incoming.size_hint();
        match hint.exact() {
            Some(rest) => SizeHint::with_exact(rest.saturating_add(ahead)),
            None => hint,
        }
    }
}
