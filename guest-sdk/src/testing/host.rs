//! The host of one test: its clock and its requests. What it offers of each capability stands in
//! that capability's file.

use std::marker::PhantomData;
use std::time::{Duration, SystemTime};

use crate::backend::native::{State, with};

/// The host of this test's thread: settings, secrets, counters, context, log and clock. A new one
/// starts empty, at 2026-01-01T00:00:00Z; dropping it forgets everything.
///
/// Keep it in a variable (`let _host = ...`): a `Host` that is not kept is dropped at once.
#[must_use = "a host that is not kept in a variable is gone at once"]
pub struct Host {
    /// It stands for a thread's state, and stays on that thread.
    _thread: PhantomData<*const ()>,
}

impl Host {
    /// A host with nothing in it.
    #[expect(
        clippy::new_without_default,
        reason = "making one has an effect on the thread, which `default` would hide"
    )]
    pub fn new() -> Self {
        with(|state| *state = State::new());
        let _thread = PhantomData;
        Self { _thread }
    }

    /// Sets the clock.
    pub fn at(self, now: SystemTime) -> Self {
        with(|state| state.now = now);
        self
    }

    /// Moves the clock.
    pub fn advance(&self, by: Duration) {
        with(|state| state.now += by);
    }

    /// Starts another request: the context is empty again, counters and clock go on.
    pub fn next_request(&self) {
        with(|state| {
            state.context.0.clear();
            state.left.0.clear();
        });
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        with(|state| *state = State::new());
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Settings and secrets stay unprinted.
        f.write_str("Host")
    }
}
