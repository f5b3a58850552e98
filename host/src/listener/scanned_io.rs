//! The head scanner's seat: hyper reads an HTTP/1 connection through this.
//!
//! hyper gets complete, strictly valid heads only, one request at a time: no
//! byte of a request is delivered before the response to the former one has
//! been written. What breaks a rule is never delivered; hyper sees the end of
//! input instead, and the connection's task gives the answer.
//!
//! Bytes are scanned where hyper wants them. Only what cannot be delivered yet
//! (a head in pieces, the next request) is copied and held back, in a buffer
//! bounded by the head limit and one read.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::http1_state::{Exchange, Http1State};
use super::inbound::{Ended, Inbound, Turn};
use super::send_watch::SendWatch;
use super::stream::Stream;

/// A client's stream that yields nothing but valid requests.
pub(super) struct ScannedIo {
    stream: Stream,
    state: Arc<Http1State>,
    inbound: Inbound,
    sending: SendWatch,
    /// Bytes that were read and not delivered.
    held: BytesMut,
    /// So many of the held bytes may be delivered.
    ready: usize,
    /// So many of the held bytes were looked at, and none could be delivered.
    seen: usize,
    /// Whether a read waits for the current exchange to end.
    read_waits: bool,
    /// Interim responses that are being written: nothing else is until they are.
    interim: BytesMut,
    /// Whether hyper has written all that it had, so that a message begins next, if not the
    /// final response has begun.
    is_between: bool,
    /// The stage of the exchange whose final response has begun.
    final_begun: u64,
}

/// What to do before hyper's read can be answered.
enum Step {
    Deliver,
    Read,
    Wait,
    End,
}

impl ScannedIo {
    /// `may_be_http2`: whether HTTP/2's preface ends this instead of being a fault.
    pub(super) fn new(stream: Stream, state: Arc<Http1State>, may_be_http2: bool) -> Self {
        Self {
            stream,
            inbound: Inbound::new(Arc::clone(&state), may_be_http2),
            sending: SendWatch::new(state.settings.send_floor),
            held: BytesMut::new(),
            ready: 0,
            seen: 0,
            read_waits: false,
            interim: BytesMut::new(),
            is_between: true,
            final_begun: 0,
            state,
        }
    }

    /// Why nothing more was delivered, if so.
    pub(super) fn ended(&self) -> Option<Ended> {
        self.inbound.ended()
    }

    /// The stream, and what was read from it and not delivered.
    pub(super) fn into_parts(self) -> (Stream, BytesMut) {
        (self.stream, self.held)
    }

    /// Decides what the held bytes allow.
    fn look_at_held(&mut self) -> Step {
        loop {
            if self.ready > 0 {
                return Step::Deliver;
            }
            match self.inbound.turn() {
                Turn::Never => return Step::End,
                // While nothing is held the stream is read in any case: a
                // client that goes away must be noticed.
                _ if self.held.is_empty() => return Step::Read,
                Turn::Wait => {
                    self.read_waits = true;
                    return Step::Wait;
                }
                Turn::Head | Turn::Body if self.seen == self.held.len() => return Step::Read,
                Turn::Head | Turn::Body => {}
            }
            self.ready = self.inbound.admit(&self.held);
            self.seen = if self.ready > 0 { 0 } else { self.held.len() };
        }
    }

    fn deliver_held(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.ready.min(buffer.remaining()).min(self.held.len());
        buffer.put_slice(self.held.get(..count).unwrap_or_default());
        self.held.advance(count);
        self.ready -= count;
        if self.held.is_empty() {
            // An idle connection holds no memory for a head.
            self.held = BytesMut::new();
        }
    }

    /// Bytes were read into `buffer` behind `before`: takes back those that
    /// cannot be delivered yet. Returns whether any are left.
    fn take_fresh(&mut self, buffer: &mut ReadBuf<'_>, before: usize) -> bool {
        let fresh = buffer.filled().get(before..).unwrap_or_default();
        let mut admitted = 0;
        if self.held.is_empty() {
            admitted = self.inbound.admit(fresh);
            let looked_at_in_vain = admitted == 0 && self.inbound.turn() == Turn::Head;
            self.seen = if looked_at_in_vain { fresh.len() } else { 0 };
        }
        let back = fresh.get(admitted..).unwrap_or_default();
        self.held.extend_from_slice(back);
        buffer.set_filled(before + admitted);
        admitted > 0
    }
}

impl AsyncRead for ScannedIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match this.look_at_held() {
                Step::Deliver => {
                    this.deliver_held(buffer);
                    return Poll::Ready(Ok(()));
                }
                Step::End => return Poll::Ready(Ok(())),
                Step::Wait => return Poll::Pending,
                Step::Read => {}
            }
            let before = buffer.filled().len();
            match Pin::new(&mut this.stream).poll_read(context, buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => {
                    this.inbound.end_of_input(!this.held.is_empty());
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Ok(())) if buffer.filled().len() == before => {
                    this.inbound.end_of_input(!this.held.is_empty());
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(())) => {}
            }
            if this.take_fresh(buffer, before) {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for ScannedIo {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_interim(context))?;
        let outcome = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.note_written(&outcome);
        outcome
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_interim(context))?;
        let outcome = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.note_written(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // hyper flushes when it has nothing more to write, and each time that it is polled.
        this.is_between = true;
        if this.state.interim.is_open() {
            ready!(this.poll_interim(context))?;
        }
        let outcome = Pin::new(&mut this.stream).poll_flush(context);
        this.sending.flushed(&this.state.deadlines, &outcome);
        if matches!(outcome, Poll::Ready(Ok(()))) {
            this.note_flushed(context);
        }
        outcome
    }

    /// Leaves the stream open: the connection's task may have an answer of
    /// its own to write, and closes it.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

impl ScannedIo {
    /// Writes the interim responses that wait, where one may stand: between messages, and
    /// before the final response of their exchange has begun.
    fn poll_interim(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_between && self.state.interim.is_pending() && self.interim.is_empty() {
            let taken = self.state.interim.take();
            if self.final_begun != self.state.interim.stage() {
                self.interim = taken;
            }
        }
        while !self.interim.is_empty() {
            let outcome = Pin::new(&mut self.stream).poll_write(context, &self.interim);
            self.note_write(&outcome);
            match ready!(outcome)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.interim.advance(count),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// hyper wrote something: 100, or the final response.
    fn note_written(&mut self, outcome: &Poll<io::Result<usize>>) {
        if matches!(outcome, Poll::Ready(Ok(1..))) {
            self.is_between = false;
            if !self.state.interim.is_open() {
                self.final_begun = self.state.interim.stage();
            }
        }
        self.note_write(outcome);
    }

    fn note_write(&mut self, outcome: &Poll<io::Result<usize>>) {
        self.sending.wrote(&self.state.deadlines, outcome);
        if matches!(outcome, Poll::Ready(Err(_))) {
            self.inbound.broke();
        }
    }

    /// hyper flushes when it has written all it had: a response that it has
    /// taken completely is at the client now.
    fn note_flushed(&mut self, context: &Context<'_>) {
        if self.state.exchange() == Exchange::Answered {
            self.inbound.answered();
            if std::mem::take(&mut self.read_waits) {
                context.waker().wake_by_ref();
            }
        }
    }
}
