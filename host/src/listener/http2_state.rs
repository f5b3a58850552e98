//! What the parts of one HTTP/2 connection tell each other: the budgeted I/O
//! below the library, the streams above it, and the task that drives both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::deadlines::{Deadlines, Waiting};
use super::settings::ListenerSettings;

/// Shared by the parts of one HTTP/2 connection.
pub(super) struct Http2State {
    pub(super) settings: Arc<ListenerSettings>,
    pub(super) deadlines: Deadlines,
    /// Streams that have a task of their own.
    in_flight: AtomicUsize,
    draining: AtomicBool,
    /// Whether bytes came from the client since the last look.
    heard: AtomicBool,
}

/// A stream in flight; dropping it says that its response is handed over or given up.
pub(super) struct StreamGuard(Arc<Http2State>);

impl Http2State {
    pub(super) fn new(settings: Arc<ListenerSettings>, deadlines: Deadlines) -> Self {
        let state = Self {
            settings,
            deadlines,
            in_flight: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            heard: AtomicBool::new(false),
        };
        state.expect_request();
        state
    }

    /// The connection has nothing to do until the next request begins.
    pub(super) fn expect_request(&self) {
        let time = if self.draining.load(Ordering::Relaxed) {
            self.settings.idle_time.min(self.settings.drain_idle_time)
        } else {
            self.settings.idle_time
        };
        self.deadlines.expect_within(Waiting::Idle, time);
    }

    /// The client was told that no request will be taken any more: once
    /// there is none left, the connection ends soon.
    pub(super) fn said_goodbye(&self) {
        self.draining.store(true, Ordering::Relaxed);
        if self.is_idle() {
            self.expect_request();
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) == 0
    }

    /// Bytes came from the client.
    pub(super) fn note_heard(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Whether bytes came from the client since this was asked last.
    pub(super) fn take_heard(&self) -> bool {
        self.heard.swap(false, Ordering::Relaxed)
    }
}

impl StreamGuard {
    pub(super) fn new(state: &Arc<Http2State>) -> Self {
        if state.in_flight.fetch_add(1, Ordering::AcqRel) == 0 {
            state.deadlines.expect_nothing();
        }
        Self(Arc::clone(state))
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.expect_request();
        }
    }
}
