//! An in-memory host for native tests: requests and responses are plain values, everything else
//! belongs to the test's thread. It imitates the host's rules only as far as a unit test of a
//! function can tell; the node has the last word. Each capability has its file.

mod content;
mod message;
mod state;

pub(crate) mod acl;
pub(crate) mod cache;
pub(crate) mod config;
pub(crate) mod context;
pub(crate) mod defer;
pub(crate) mod device;
pub(crate) mod fetch;
pub(crate) mod geo;
pub(crate) mod kv;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod rate_limit;
pub(crate) mod secret;

use std::time::SystemTime;

pub(crate) use content::{Content, RawReader, RawWriter};
pub(crate) use message::{Fields, RawRequest, RawResponse, RequestState};
pub(crate) use state::{State, with};

pub(crate) fn now() -> SystemTime {
    with(|state| state.now)
}

pub(crate) fn random() -> u64 {
    with(State::next_random)
}
