//! Content that a running guest writes, as a [`Body`]: whoever reads it drives
//! the guest, and dropping it ends the guest.
//!
//! A response is complete only when its guest said so. A guest that ended
//! before that, in whatever way, makes the body end in a [`Failure`].

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use tokio::runtime::Handle;
use verge_http::failure::FunctionFault;
use verge_http::{Body, Failure};
use wasmtime_wasi_http::WasiBody;

use super::Shared;
use super::ending::Ending;
use super::guest::{Guest, GuestEnd};
use crate::outcome::CallFailure;

/// The guest ended, and its content is not complete.
pub(crate) fn incomplete() -> CallFailure {
    CallFailure {
        fault: FunctionFault::ResponseInvalid,
        detail: "its content was broken off, or passed the limit".into(),
    }
}

/// Where a guest's content comes out.
pub(crate) enum Source {
    /// The queue in [`Shared`], of a trigger.
    Queue,
    /// The channel of a `wasi:http` 0.2 handler.
    Channel(WasiBody),
    /// The channel of a 0.3 handler, which a guest that is gone leaves behind as if it had ended.
    Service(WasiBody),
}

/// A piece of content, or the end of it.
enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    /// The guest finished it.
    End,
    /// The guest broke it off, or it passed its limit.
    Broken,
}

/// The content of a response whose guest may still run.
pub(crate) struct GuestBody {
    source: Source,
    shared: Arc<Shared>,
    running: Option<(Guest, Ending)>,
    /// Kept until the content is complete: dropping it would look like its end.
    ended: Option<GuestEnd>,
    /// The account of a guest that has ended without a failure, until its content is complete.
    unconcluded: Option<Ending>,
    fault: Option<FunctionFault>,
    limit: u64,
    sent: u64,
    done: bool,
}

impl GuestBody {
    pub(crate) fn new(
        source: Source,
        shared: Arc<Shared>,
        limit: u64,
        guest: Guest,
        ending: Ending,
    ) -> Self {
        Self {
            source,
            shared,
            running: Some((guest, ending)),
            ended: None,
            unconcluded: None,
            fault: None,
            limit,
            sent: 0,
            done: false,
        }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Piece> {
        let piece = ready!(self.source.poll(&self.shared, context));
        let is_left_behind = self.fault.is_some() && matches!(self.source, Source::Service(_));
        if is_left_behind && matches!(piece, Piece::End) {
            return Poll::Ready(Piece::Broken);
        }
        if let Piece::Data(data) = &piece {
            self.sent = self.sent.saturating_add(data.len() as u64);
            if self.sent > self.limit {
                return Poll::Ready(Piece::Broken);
            }
        }
        Poll::Ready(piece)
    }

    /// Content first, then the guest: only then does the guest run no further ahead than asked.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Piece> {
        loop {
            if let Poll::Ready(piece) = self.poll_piece(context) {
                return Poll::Ready(piece);
            }
            let Some((guest, _)) = &mut self.running else {
                return Poll::Ready(Piece::Broken);
            };
            let polled = guest.poll(context);
            if let Poll::Ready(end) = polled {
                if let Some((_, ending)) = self.running.take() {
                    self.fault = end.result.as_ref().err().map(|failure| failure.fault);
                    if end.result.is_err() {
                        ending.conclude(&end.result);
                    } else {
                        // It ended well only if its content did, which is seen when that is read.
                        self.unconcluded = Some(ending);
                    }
                }
                self.ended = Some(end);
            } else {
                return self.poll_piece(context);
            }
        }
    }

    /// The content is complete: what the guest still does, it does by itself, within its limits.
    fn complete(&mut self) {
        self.done = true;
        if let (Some(end), Some(ending)) = (self.ended.take(), self.unconcluded.take()) {
            ending.conclude(&end.result);
        }
        if let Some((guest, ending)) = self.running.take() {
            run_on(guest, ending);
        }
    }

    fn break_off(&mut self) -> Failure {
        self.done = true;
        self.ended = None;
        let running = self.running.take().map(|(_, ending)| ending);
        if let Some(ending) = running.or(self.unconcluded.take()) {
            ending.conclude(&Err(incomplete()));
        }
        Failure::Function(self.fault.unwrap_or(FunctionFault::ResponseInvalid))
    }
}

/// Lets a guest do what it still does, by itself and within its limits.
pub(crate) fn run_on(guest: Guest, ending: Ending) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            let end = guest.ended().await;
            ending.conclude(&end.result);
        });
    }
}

impl http_body::Body for GuestBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = &mut *self;
        if this.done {
            return Poll::Ready(None);
        }
        let frame = match ready!(this.poll_next(context)) {
            Piece::Data(data) => Some(Ok(Frame::data(data))),
            Piece::Trailers(trailers) => {
                this.complete();
                Some(Ok(Frame::trailers(trailers)))
            }
            Piece::End => {
                this.complete();
                None
            }
            Piece::Broken => Some(Err(this.break_off())),
        };
        // Until it is asked for more, the guest waits for its reader.
        this.shared.meter.begin_wait();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.done
    }
}

impl Source {
    fn poll(&mut self, shared: &Shared, context: &mut Context<'_>) -> Poll<Piece> {
        let polled = self.poll_next(shared, context);
        if let (Some(tape), Poll::Ready(Piece::Data(data))) = (&shared.tape, &polled) {
            tape.roll.note_written(data);
        }
        polled
    }

    fn poll_next(&mut self, shared: &Shared, context: &mut Context<'_>) -> Poll<Piece> {
        match self {
            Self::Queue => {
                let mut output = shared.output.lock();
                match output.pop() {
                    Some(data) => Poll::Ready(Piece::Data(data)),
                    None if output.is_finished() => Poll::Ready(Piece::End),
                    // The guest is polled next, by the same task.
                    None => Poll::Pending,
                }
            }
            Self::Channel(body) | Self::Service(body) => {
                // Without the task's budget: Pending must mean that there is nothing.
                let mut frame = tokio::task::unconstrained(std::future::poll_fn(|context| {
                    Pin::new(&mut *body).poll_frame(context)
                }));
                Poll::Ready(match ready!(Pin::new(&mut frame).poll(context)) {
                    None => Piece::End,
                    Some(Err(_)) => Piece::Broken,
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => Piece::Data(data),
                        Err(frame) => match frame.into_trailers() {
                            Ok(trailers) => Piece::Trailers(trailers),
                            Err(_) => Piece::Broken,
                        },
                    },
                })
            }
        }
    }
}

/// The content that a guest wrote which has ended already; `None` when it is not complete. The
/// guest's state must still exist.
pub(crate) fn written(mut source: Source, shared: &Shared, limit: u64) -> Option<Body> {
    let mut context = Context::from_waker(std::task::Waker::noop());
    let mut content = BytesMut::new();
    let mut only: Option<Bytes> = None;
    loop {
        match source.poll(shared, &mut context) {
            Poll::Pending | Poll::Ready(Piece::Broken) => return None,
            Poll::Ready(Piece::Data(data)) => {
                let length = content.len() + only.as_ref().map_or(0, Bytes::len) + data.len();
                if length as u64 > limit {
                    return None;
                }
                if content.is_empty() && only.is_none() {
                    only = Some(data);
                } else {
                    content.extend_from_slice(&only.take().unwrap_or_default());
                    content.extend_from_slice(&data);
                }
            }
            Poll::Ready(Piece::End) => {
                return Some(Body::from(only.unwrap_or_else(|| content.freeze())));
            }
            Poll::Ready(Piece::Trailers(trailers)) => {
                return Some(Body::stream(WithTrailers {
                    content: Some(only.unwrap_or_else(|| content.freeze())),
                    trailers: Some(trailers),
                }));
            }
        }
    }
}

/// Content in one piece, with trailers.
struct WithTrailers {
    content: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl http_body::Body for WithTrailers {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let content = self.content.take().filter(|content| !content.is_empty());
        let frame = match content {
            Some(content) => Some(Frame::data(content)),
            None => self.trailers.take().map(Frame::trailers),
        };
        Poll::Ready(frame.map(Ok))
    }

    fn size_hint(&self) -> SizeHint {
        // No exact length: HTTP/1.1 would frame the content by it, and then there is no place for
        // trailers (RFC 9112 6.2, 7.1.2).
        let mut hint = SizeHint::new();
        hint.set_lower(self.content.as_ref().map_or(0, |c| c.len() as u64));
        hint
    }
}
