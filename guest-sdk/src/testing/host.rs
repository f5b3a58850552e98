//! The host of one test: what a function may ask for, and what it left behind.

use std::marker::PhantomData;
use std::time::{Duration, SystemTime};

use crate::backend::native::{State, with};
use crate::log::Level;

/// One line that a function logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// Its text.
    pub message: String,
}

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

    /// Gives the function a setting.
    pub fn config(self, name: &str, value: &str) -> Self {
        with(|state| state.config.insert(name.to_owned(), value.to_owned()));
        self
    }

    /// Grants the function a secret.
    pub fn secret(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        with(|state| {
            state
                .secrets
                .insert(name.to_owned(), value.as_ref().to_owned())
        });
        self
    }

    /// Sets the clock.
    pub fn at(self, now: SystemTime) -> Self {
        with(|state| state.now = now);
        self
    }

    /// Puts a value into the context, as an earlier trigger would have.
    pub fn context(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        with(|state| {
            state
                .context
                .insert(name.to_owned(), value.as_ref().to_owned())
        });
        self
    }

    /// Refuses every rate-limited request, for this long. Without it the counters count, by this
    /// host's clock.
    pub fn rate_exhausted(self, retry_after: Duration) -> Self {
        with(|state| state.exhausted_for = Some(retry_after));
        self
    }

    /// Moves the clock.
    pub fn advance(&self, by: Duration) {
        with(|state| state.now += by);
    }

    /// Starts another request: the context is empty again, counters and clock go on.
    pub fn next_request(&self) {
        with(|state| state.context.clear());
    }

    /// What was logged so far, in order.
    #[must_use]
    pub fn logged(&self) -> Vec<LogLine> {
        with(|state| state.log.clone())
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
