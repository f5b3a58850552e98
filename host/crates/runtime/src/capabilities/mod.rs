//! What a function may ask the host for, beyond the message it was given.
//! Each capability is an import that a function gets only if it was granted;
//! the node implements [`Capabilities`], one value for each function.

mod counters;
mod gcra;

use std::sync::Arc;

use crate::outcome::CallEnd;

pub use counters::RateCounters;
pub use gcra::{RateDecision, RatePolicy, decide as decide_rate};

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

/// What the node lets one function ask for. Called while the guest waits: answers at once, never
/// blocks, never panics.
pub trait Capabilities: Send + Sync {
    /// A setting that the operator gave to this function.
    fn config(&self, name: &str) -> Option<String>;

    /// A secret that was granted to this function.
    fn secret(&self, name: &str) -> Option<Vec<u8>>;

    /// Takes `cost` units from this function's counter `key`.
    fn rate_limit(&self, key: &str, policy: RatePolicy, cost: u32) -> RateDecision;

    /// One line of the function's log, stdout or stderr: without its line end, its control
    /// characters escaped, within the call's log limit.
    fn log(&self, call: &CallId, level: LogLevel, message: &str);

    /// A call has ended that had gone on while its response was sent: what the whole call cost,
    /// and why it failed if it did. Every other call tells this by its return.
    fn call_ended(&self, call: &CallId, end: &CallEnd);
}
