//! HTTP/2 reads and writes a connection through this: frames are counted both
//! ways against the connection's budget, and a client that takes nothing is
//! noticed. Bytes pass through untouched.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::event::Limit;
use super::frame_budget::FrameBudget;
use super::frames::{FrameScanner, goaway, kind};
use super::http2_state::Http2State;
use super::send_watch::SendWatch;
use super::stream::Stream;

/// Bytes of the client's connection preface (RFC 9113 3.4).
const PREFACE: usize = 24;
/// ENHANCE_YOUR_CALM (RFC 9113 7).
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// A client's stream whose HTTP/2 frames are counted.
pub(super) struct BudgetedIo {
    stream: Stream,
    state: Arc<Http2State>,
    /// Bytes that were read before the protocol was known.
    prefix: BytesMut,
    inbound: FrameScanner,
    outbound: FrameScanner,
    budget: FrameBudget,
    sending: SendWatch,
    exceeded: Option<Limit>,
}

impl BudgetedIo {
    pub(super) fn new(stream: Stream, prefix: BytesMut, state: Arc<Http2State>) -> Self {
        let settings = &state.settings;
        Self {
            stream,
            prefix,
            inbound: FrameScanner::new(PREFACE),
            outbound: FrameScanner::new(0),
            budget: FrameBudget::new(settings.http2.frames, state.deadlines.now()),
            sending: SendWatch::new(settings.send_floor),
            exceeded: None,
            state,
        }
    }

    /// The limit on frames that was passed.
    pub(super) fn exceeded(&self) -> Option<Limit> {
        self.exceeded
    }

    /// The error code of the last GOAWAY that was sent.
    pub(super) fn goaway_sent(&self) -> Option<u32> {
        self.budget.goaway_sent()
    }

    /// The stream, and the GOAWAY that tells the client why it is cut off. It
    /// is left out where a frame was only sent in part.
    pub(super) fn into_parts(self) -> (Stream, Option<[u8; 17]>) {
        let farewell = (self.exceeded.is_some() && self.outbound.is_between_frames())
            .then(|| goaway(self.budget.last_stream(), ENHANCE_YOUR_CALM));
        (self.stream, farewell)
    }

    fn check(&mut self) -> io::Result<()> {
        if self.exceeded.is_none() {
            let deadlines = &self.state.deadlines;
            self.exceeded = self.budget.exceeded(|| deadlines.now());
        }
        match self.exceeded {
            Some(limit) => Err(io::Error::other(limit.label())),
            None => Ok(()),
        }
    }

    fn note_received(&mut self, bytes: &[u8]) -> io::Result<()> {
        let budget = &mut self.budget;
        self.inbound.scan(bytes, |frame| budget.received(frame));
        self.check()
    }

    fn note_sent<'a>(&mut self, slices: impl Iterator<Item = &'a [u8]>, mut count: usize) {
        let budget = &mut self.budget;
        let mut content = 0;
        for slice in slices {
            let sent = slice.get(..count.min(slice.len())).unwrap_or_default();
            count -= sent.len();
            self.outbound.scan(sent, |frame| {
                if frame.kind == kind::DATA {
                    content += u64::from(frame.length);
                }
                budget.sent(frame);
            });
            if count == 0 {
                break;
            }
        }
        if content > 0 {
            self.state.note_sent(content);
        }
    }
}

impl AsyncRead for BudgetedIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // A write may have passed the budget.
        this.check()?;
        let before = buffer.filled().len();
        if this.prefix.is_empty() {
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        } else {
            let count = this.prefix.len().min(buffer.remaining());
            buffer.put_slice(this.prefix.get(..count).unwrap_or_default());
            this.prefix.advance(count);
        }
        let fresh = buffer.filled().get(before..).unwrap_or_default();
        this.state.note_heard();
        Poll::Ready(this.note_received(fresh))
    }
}

impl AsyncWrite for BudgetedIo {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = &outcome {
            this.note_sent(std::iter::once(bytes), *count);
        }
        this.sending.wrote(&this.state.deadlines, &outcome);
        outcome
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        if let Poll::Ready(Ok(count)) = &outcome {
            this.note_sent(slices.iter().map(|slice| &**slice), *count);
        }
        this.sending.wrote(&this.state.deadlines, &outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_flush(context);
        this.sending.flushed(&this.state.deadlines, &outcome);
        // Resets that the client provoked are found as they are sent; the
        // next read ends the connection, and must come.
        if this.check().is_err() {
            context.waker().wake_by_ref();
        }
        outcome
    }

    /// Leaves the stream open; the connection's task closes it.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}
