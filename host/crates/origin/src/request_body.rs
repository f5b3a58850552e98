//! A request's body on its way to an origin: it can be held back until the
//! origin wants it, watched while it is sent, and taken back if none of it was.
//!
//! It does not decide when to do so; `exchange` and `retry` do.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;
use verge_http::body::{BodyStream, StoredBody};
use verge_http::{Body, Failure};

use crate::retry::BodyState;
use crate::timeouts::UploadPhase;

/// Where the content of a request comes from, through all its attempts.
#[derive(Clone)]
pub(crate) enum Source {
    Empty,
    Full(Bytes),
    Stored(StoredBody),
    Stream(Arc<Upload>),
}

/// The content of one attempt, as the HTTP library reads it.
///
/// Trailers go on where the request's Trailer names them. Others do not: the library writes the
/// chunked trailers of that list alone, and the head is gone by the time at which an HTTP/2 client
/// sends those that it did not announce. An intermediary may drop them (RFC 9110 6.5.1), and must
/// not put them into the head instead.
pub(crate) struct RequestBody(Source);

/// A body that streams, shared by the connection that sends it and the
/// exchange that watches over it.
pub(crate) struct Upload {
    phase: AtomicU8,
    /// Microseconds that were spent waiting for the client.
    client_wait: AtomicU64,
    inner: Mutex<Inner>,
}

struct Inner {
    body: Option<BodyStream>,
    /// The connection's task, while the body is held back.
    waker: Option<Waker>,
    consumed: bool,
    client_awaited_since: Option<Instant>,
}

const GATED: u8 = 0;
const AWAITING_CLIENT: u8 = 1;
const AWAITING_ORIGIN: u8 = 2;
const FINISHED: u8 = 3;
const ABANDONED: u8 = 4;

impl Source {
    /// The content of `body`; it is held back at first if `gated`.
    pub(crate) fn new(body: Body, gated: bool) -> Self {
        match body {
            Body::Empty => Self::Empty,
            Body::Full(bytes) if bytes.is_empty() => Self::Empty,
            Body::Full(bytes) => Self::Full(bytes),
            Body::Stored(stored) if stored.remaining() == 0 => Self::Empty,
            Body::Stored(stored) => Self::Stored(stored),
            Body::Stream(stream) if stream.is_end_stream() => Self::Empty,
            Body::Stream(stream) => Self::Stream(Arc::new(Upload::new(stream, gated))),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// The number of bytes, where it is known.
    pub(crate) fn exact_len(&self) -> Option<u64> {
        RequestBody(self.clone()).size_hint().exact()
    }

    /// The body for an attempt.
    pub(crate) fn attempt(&self) -> RequestBody {
        RequestBody(self.clone())
    }

    pub(crate) fn upload(&self) -> Option<Arc<Upload>> {
        match self {
            Self::Stream(upload) => Some(Arc::clone(upload)),
            Self::Empty | Self::Full(_) | Self::Stored(_) => None,
        }
    }

    pub(crate) fn state(&self) -> BodyState {
        match self {
            Self::Empty | Self::Full(_) | Self::Stored(_) => BodyState::Replayable,
            Self::Stream(upload) if upload.is_untouched() => BodyState::Untouched,
            Self::Stream(_) => BodyState::Consumed,
        }
    }

    /// Takes an untouched stream away from the attempt that failed, so that
    /// the next one can send it.
    pub(crate) fn rewind(&mut self, gated: bool) {
        if let Self::Stream(upload) = self
            && let Some(stream) = upload.reclaim()
        {
            *self = Self::Stream(Arc::new(Upload::new(stream, gated)));
        }
    }
}

impl Upload {
    fn new(body: BodyStream, gated: bool) -> Self {
        Self {
            phase: AtomicU8::new(if gated { GATED } else { AWAITING_CLIENT }),
            client_wait: AtomicU64::new(0),
            inner: Mutex::new(Inner {
                body: Some(body),
                waker: None,
                consumed: false,
                client_awaited_since: None,
            }),
        }
    }

    pub(crate) fn phase(&self) -> UploadPhase {
        match self.phase.load(Ordering::Acquire) {
            GATED => UploadPhase::Gated,
            AWAITING_CLIENT => UploadPhase::AwaitingClient,
            AWAITING_ORIGIN => UploadPhase::AwaitingOrigin,
            FINISHED => UploadPhase::Finished,
            _ => UploadPhase::Abandoned,
        }
    }

    /// How long the exchange waited for the client so far.
    pub(crate) fn client_wait(&self) -> Duration {
        Duration::from_micros(self.client_wait.load(Ordering::Relaxed))
    }

    /// Lets the body go, if it is held back.
    pub(crate) fn open(&self) {
        let mut inner = self.inner.lock();
        let opened = self.phase.compare_exchange(
            GATED,
            AWAITING_CLIENT,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        let waker = inner.waker.take();
        drop(inner);
        if opened.is_ok()
            && let Some(waker) = waker
        {
            waker.wake();
        }
    }

    /// The origin answered while the body was held back: it is never read, so
    /// the client is never told to send it (RFC 9110 10.1.1). Returns whether
    /// that was so.
    pub(crate) fn abandon_if_gated(&self) -> bool {
        let abandoned =
            self.phase
                .compare_exchange(GATED, ABANDONED, Ordering::AcqRel, Ordering::Acquire);
        if abandoned.is_ok() {
            let body = self.inner.lock().body.take();
            drop(body);
        }
        abandoned.is_ok()
    }

    fn is_untouched(&self) -> bool {
        let inner = self.inner.lock();
        inner.body.is_some() && !inner.consumed
    }

    fn reclaim(&self) -> Option<BodyStream> {
        let mut inner = self.inner.lock();
        if inner.consumed {
            return None;
        }
        self.phase.store(ABANDONED, Ordering::Release);
        inner.body.take()
    }

    fn poll_frame(&self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let mut inner = self.inner.lock();
        match self.phase() {
            UploadPhase::Gated => {
                inner.waker = Some(context.waker().clone());
                return Poll::Pending;
            }
            UploadPhase::Finished => return Poll::Ready(None),
            UploadPhase::Abandoned => return Poll::Pending,
            UploadPhase::AwaitingClient | UploadPhase::AwaitingOrigin => {}
        }
        let Some(body) = inner.body.as_mut() else {
            return Poll::Pending;
        };
        let polled = body.as_mut().poll_frame(context);
        let ended = match &polled {
            Poll::Ready(Some(Ok(frame))) => frame.is_trailers() || body.is_end_stream(),
            Poll::Ready(Some(Err(_)) | None) => true,
            Poll::Pending => false,
        };
        if polled.is_pending() {
            if inner.client_awaited_since.is_none() {
                inner.client_awaited_since = Some(Instant::now());
            }
            self.phase.store(AWAITING_CLIENT, Ordering::Release);
            return Poll::Pending;
        }
        if let Some(since) = inner.client_awaited_since.take() {
            let waited = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.client_wait.fetch_add(waited, Ordering::Relaxed);
        }
        inner.consumed = true;
        let phase = if ended { FINISHED } else { AWAITING_ORIGIN };
        self.phase.store(phase, Ordering::Release);
        polled
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match &mut self.0 {
            Source::Empty => Poll::Ready(None),
            Source::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Source::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Source::Stored(stored) => {
                Poll::Ready(stored.next().map(|bytes| Ok(Frame::data(bytes))))
            }
            Source::Stream(upload) => upload.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Empty => true,
            Source::Full(bytes) => bytes.is_empty(),
            Source::Stored(stored) => stored.remaining() == 0,
            Source::Stream(upload) => upload.phase() == UploadPhase::Finished,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Empty => SizeHint::with_exact(0),
            Source::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Stored(stored) => SizeHint::with_exact(stored.remaining()),
            Source::Stream(upload) => {
                let inner = upload.inner.lock();
                inner
                    .body
                    .as_ref()
                    .map_or_else(SizeHint::default, |body| body.size_hint())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Once(Option<&'static str>);

    impl HttpBody for Once {
        type Data = Bytes;
        type Error = Failure;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
            let text = self.0.take();
            Poll::Ready(text.map(|text| Ok(Frame::data(Bytes::from_static(text.as_bytes())))))
        }
    }

    fn poll(body: &mut RequestBody) -> Poll<Option<Bytes>> {
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(body)
            .poll_frame(&mut context)
            .map(|frame| frame.map(|frame| frame.expect("no failure").into_data().expect("data")))
    }

    #[test]
    fn a_gated_body_is_not_read_until_opened() {
        let source = Source::new(Body::stream(Once(Some("content"))), true);
        let mut body = source.attempt();
        assert!(poll(&mut body).is_pending());
        assert_eq!(source.state(), BodyState::Untouched);
        source.upload().expect("it streams").open();
        assert_eq!(poll(&mut body), Poll::Ready(Some("content".into())));
        assert_eq!(source.state(), BodyState::Consumed);
        assert_eq!(poll(&mut body), Poll::Ready(None));
        assert!(body.is_end_stream());
    }

    #[test]
    fn an_abandoned_body_is_never_read() {
        let source = Source::new(Body::stream(Once(Some("content"))), true);
        let upload = source.upload().expect("it streams");
        assert!(upload.abandon_if_gated());
        upload.open();
        assert!(poll(&mut source.attempt()).is_pending());
    }

    #[test]
    fn an_untouched_stream_moves_on_to_the_next_attempt() {
        let mut source = Source::new(Body::stream(Once(Some("content"))), false);
        let mut failed = source.attempt();
        source.rewind(false);
        assert!(poll(&mut failed).is_pending());
        let mut next = source.attempt();
        assert_eq!(poll(&mut next), Poll::Ready(Some("content".into())));
        source.rewind(false);
        assert_eq!(source.state(), BodyState::Consumed);
    }

    #[test]
    fn content_at_hand_can_be_sent_any_number_of_times() {
        let source = Source::new(Body::from("content"), false);
        for _ in 0..2 {
            assert_eq!(
                poll(&mut source.attempt()),
                Poll::Ready(Some("content".into()))
            );
        }
        assert_eq!(source.state(), BodyState::Replayable);
        assert_eq!(source.exact_len(), Some(7));
    }
}
