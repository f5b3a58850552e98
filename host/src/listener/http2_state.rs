//! What the parts of one HTTP/2 connection tell each other: the budgeted I/O
//! below the library, the streams above it, and the task that drives both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::deadlines::{Deadlines, Waiting};
use super::settings::ListenerSettings;

/// The least time between two looks at whether the client takes what is held for it.
const LOOKS_APART: Duration = Duration::from_millis(10);

/// Shared by the parts of one HTTP/2 connection.
pub(super) struct Http2State {
    pub(super) settings: Arc<ListenerSettings>,
    pub(super) deadlines: Deadlines,
    /// Streams that have a task of their own. What they have handed to the library may be on its
    /// way to the client for long after; the library knows of that.
    in_flight: AtomicUsize,
    draining: AtomicBool,
    /// Whether bytes came from the client since the last look.
    heard: AtomicBool,
    /// Bytes of content that went to the client since the last look.
    sent: AtomicU64,
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
            sent: AtomicU64::new(0),
        };
        state.expect_request();
        state
    }

    /// The connection has nothing to do until the next request begins.
    pub(super) fn expect_request(&self) {
        let time = if self.draining.load(Ordering::Relaxed) {
            self.linger()
        } else {
            self.settings.idle_time
        };
        self.deadlines.expect_within(Waiting::Idle, time);
    }

    /// The client is yet to take what the library holds for it: whether it does is looked at
    /// again before its patience can have ended.
    pub(super) fn look_again(&self) {
        let time = self.linger().min(self.settings.send_floor.grace);
        self.deadlines
            .expect_within(Waiting::Idle, time.max(LOOKS_APART));
    }

    /// How long a client that was told that the connection ends may leave it idle.
    pub(super) fn linger(&self) -> Duration {
        self.settings.idle_time.min(self.settings.drain_idle_time)
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

    /// Bytes of content went to the client.
    pub(super) fn note_sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of content that went to the client since this was asked last.
    pub(super) fn take_sent(&self) -> u64 {
        self.sent.swap(0, Ordering::Relaxed)
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
