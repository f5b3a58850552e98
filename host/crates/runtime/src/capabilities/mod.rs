//! What a function may ask the host for, beyond the message it was given.
//! Each capability is an import that a function gets only if it was granted;
//! the node implements [`Capabilities`], one value for each function.

mod counters;
mod fetch;
mod gcra;
mod kv;
mod rates;
mod sliding;
mod table;

use std::sync::Arc;

use crate::outcome::CallEnd;

pub use counters::RateCounters;
pub use fetch::{Fetch, FetchError, FetchFuture, FetchOutcome};
pub use gcra::{RateDecision, RatePolicy, decide as decide_rate};
pub use kv::{
    KV_PAGE_MAX, KvEntry, KvError, KvExpected, KvFuture, KvOp, KvPage, KvReply, KvStore, KvStores,
};
pub use rates::{RateAnswer, Rates};
pub use sliding::{SlidingState, count as count_sliding};

/// Which call a line of log belongs to.
#[derive(Clone, Debug)]
pub struct CallId {
    /// The function's name in the configuration.
    pub function: Arc<str>,
    /// The request id.
    pub request: Arc<str>,
}

/// How much a line of log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For following single steps.
    Trace,
    /// For finding errors.
    Debug,
    /// What stdout is logged at.
    Info,
    /// What stderr is logged at.
    Warn,
    /// Something failed.
    Error,
}

/// What the node lets one function ask for. Called while the guest waits: answers at once or with a
/// future that the guest waits for, never blocks, never panics.
pub trait Capabilities: Send + Sync {
    /// A setting that the operator gave to this function.
    fn config(&self, name: &str) -> Option<String>;

    /// A secret that was granted to this function.
    fn secret(&self, name: &str) -> Option<Vec<u8>>;

    /// This function's counters; only asked for where they are granted.
    fn rates(&self) -> Option<&dyn Rates> {
        None
    }

    /// The key-value stores that this function was granted.
    fn kv(&self) -> Option<&KvStores> {
        None
    }

    /// One line of the function's log, stdout or stderr: without its line end, its control
    /// characters escaped, within the call's log limit.
    fn log(&self, call: &CallId, level: LogLevel, message: &str);

    /// A call has ended that had gone on while its response was sent: what the whole call cost,
    /// and why it failed if it did. Every other call tells this by its return.
    fn call_ended(&self, call: &CallId, end: &CallEnd);

    /// A request that the function sent has ended so. May be called after the call.
    fn fetched(&self, _call: &CallId, _outcome: FetchOutcome) {}
}
