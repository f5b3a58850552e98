//! An in-memory host for native tests: requests and responses are plain values, everything else
//! belongs to the test's thread. It imitates the host's rules only as far as a unit test of a
//! function can tell; the node has the last word.

mod content;
mod message;
mod state;

use std::time::SystemTime;

pub(crate) use content::{Content, RawReader, RawWriter};
pub(crate) use message::{Fields, RawRequest, RawResponse, RequestState};
pub(crate) use state::{State, with};

use crate::log::Level;
use crate::rate_limit::{Decision, Policy};
use crate::testing::LogLine;

pub(crate) fn context_get(name: &str) -> Option<Vec<u8>> {
    with(|state| state.context.get(name).cloned())
}

pub(crate) fn context_set(name: &str, value: &[u8]) -> bool {
    with(|state| state.set_context(name, value))
}

pub(crate) fn config_get(name: &str) -> Option<String> {
    with(|state| state.config.get(name).cloned())
}

pub(crate) fn secret_get(name: &str) -> Option<Vec<u8>> {
    with(|state| state.secrets.get(name).cloned())
}

pub(crate) fn rate_limit_check(key: &str, policy: &Policy, cost: u32) -> Decision {
    with(|state| state.take(key, policy, cost))
}

pub(crate) fn log_write(level: Level, message: &str) {
    let message = message.to_owned();
    with(|state| state.log.push(LogLine { level, message }));
}

pub(crate) fn now() -> SystemTime {
    with(|state| state.now)
}

pub(crate) fn random() -> u64 {
    with(State::next_random)
}
