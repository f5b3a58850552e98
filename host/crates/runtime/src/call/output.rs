//! Where a guest's response comes out while the guest runs: the head once it
//! is committed, and a bounded queue of content.

use std::collections::VecDeque;

use bytes::Bytes;
use verge_http::Body;
use wasmtime_wasi_http::WasiBody;

use crate::capabilities::FetchError;
use crate::state::Messages;

/// Bytes that a guest may be ahead of the reader of its response.
const QUEUE_BYTES: usize = 64 << 10;

/// Between a guest and the reader of its response. The reader polls the guest itself, so neither
/// needs to wake the other.
#[derive(Default)]
pub(crate) struct Output {
    committed: Option<Committed>,
    queue: VecDeque<Bytes>,
    queued: usize,
    /// The head was committed.
    started: bool,
    /// The guest said that the content is complete.
    finished: bool,
}

/// A response whose head is fixed.
pub(crate) enum Committed {
    /// Of a trigger; its content comes through the queue.
    Trigger(Box<Messages>),
    /// Of a `wasi:http` handler, which brings its own channel.
    Handler(Box<Result<http::Response<WasiBody>, String>>),
    /// Of a `wasi:http` 0.3 handler, likewise.
    Service(Box<Result<http::Response<WasiBody>, String>>),
    /// Of a `wasi:http` 0.3 handler, with content of the host's own.
    Passed(Box<http::Response<Body>>),
    /// The same, but it has read some of the content, and nobody knows how much.
    PartlyRead,
    /// A middleware handed on why there is no response from behind it.
    FailedBehind(FetchError),
}

impl Output {
    pub(crate) fn commit(&mut self, committed: Committed) {
        self.started = true;
        self.committed = Some(committed);
    }

    pub(crate) fn take_committed(&mut self) -> Option<Committed> {
        self.committed.take()
    }

    /// A head is there to be taken.
    pub(crate) fn is_committed(&self) -> bool {
        self.committed.is_some()
    }

    pub(crate) fn is_started(&self) -> bool {
        self.started
    }

    /// Whether there is room for a piece of that length; an empty queue takes any.
    pub(crate) fn has_room(&self, length: usize) -> bool {
        self.queued == 0 || self.queued.saturating_add(length) <= QUEUE_BYTES
    }

    pub(crate) fn push(&mut self, piece: Bytes) {
        self.queued = self.queued.saturating_add(piece.len());
        self.queue.push_back(piece);
    }

    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let piece = self.queue.pop_front()?;
        self.queued = self.queued.saturating_sub(piece.len());
        Some(piece)
    }

    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }
}
