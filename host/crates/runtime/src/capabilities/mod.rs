//! What a function may ask the host for, beyond the message it was given.
//! Each capability is an import that a function gets only if it was granted;
//! the node implements [`Capabilities`], one value for each function.

mod acl;
mod cache;
mod config;
mod counters;
mod defer;
mod fetch;
mod gcra;
mod geo;
mod kv;
mod log;
mod metrics;
mod rates;
mod sliding;
mod table;

use std::net::IpAddr;
use std::sync::Arc;

use crate::outcome::CallEnd;

pub use acl::{AclAction, AclEntry, UnknownAcl};
pub use cache::{
    CACHE_KEY_BYTES, CACHE_KEY_PARTS, CACHE_WAIT_MAX, CacheEntry, CacheError, CacheFound,
    CacheFuture, CacheKey, CacheLead, CacheObligation, CacheOptions, CacheOwner, CachePurge,
    FunctionCache,
};
pub use config::ConfigValue;
pub use counters::RateCounters;
pub use defer::{DEFER_PAYLOAD_BYTES, DEFER_PAYLOADS, DeferError};
pub use fetch::{Fetch, FetchError, FetchFuture, FetchOutcome};
pub use gcra::{RateDecision, RatePolicy, decide as decide_rate};
pub use geo::GeoPlace;
pub use kv::{
    KV_PAGE_MAX, KvEntry, KvError, KvExpected, KvFuture, KvOp, KvPage, KvReply, KvStore, KvStores,
};
pub use log::{LogField, LogLevel, LogValue};
pub use metrics::{
    METRIC_LABELS, METRIC_NAME_BYTES, METRIC_VALUE_BYTES, MetricError, MetricUpdate, check_metric,
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

/// What the node lets one function ask for. Called while the guest waits: answers at once or with a
/// future that the guest waits for, never blocks, never panics.
pub trait Capabilities: Send + Sync {
    /// A setting that the operator gave to this function.
    fn config(&self, name: &str) -> Option<String>;

    /// The same as it was written.
    fn config_value(&self, name: &str) -> Option<ConfigValue> {
        self.config(name).map(ConfigValue::Text)
    }

    /// All settings, as text.
    fn config_all(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// A secret that was granted to this function. The bytes are shared, not copied: whoever
    /// owns them writes zeros over them in the end.
    fn secret(&self, name: &str) -> Option<Arc<[u8]>>;

    /// All secrets that were granted to it, with their names: what must not be written anywhere.
    fn secrets(&self) -> Vec<(String, Arc<[u8]>)> {
        Vec::new()
    }

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

    /// One line with fields, bounded and escaped likewise.
    fn log_with(&self, call: &CallId, level: LogLevel, message: &str, _fields: &[LogField]) {
        self.log(call, level, message);
    }

    /// The lowest level that is logged.
    fn log_threshold(&self) -> LogLevel {
        LogLevel::Trace
    }

    /// The entry of the list `name` that `address` falls under; `Ok(None)` if it is in none.
    ///
    /// # Errors
    /// There is no such list, or it was not granted.
    fn acl(&self, _name: &str, _address: IpAddr) -> Result<Option<AclEntry>, UnknownAcl> {
        Err(UnknownAcl)
    }

    /// Where an address is; `None` if nothing is known of it.
    fn geo(&self, _address: IpAddr) -> Option<GeoPlace> {
        None
    }

    /// Counts for the series of this function that `name` and `labels` are, which were checked
    /// and are sorted by name.
    fn count(&self, _name: &str, _labels: &[(String, String)], _update: MetricUpdate) {}

    /// A call has ended that had gone on while its response was sent: what the whole call cost,
    /// and why it failed if it did. Every other call tells this by its return.
    fn call_ended(&self, call: &CallId, end: &CallEnd);

    /// A request that the function sent has ended so. May be called after the call.
    fn fetched(&self, _call: &CallId, _outcome: FetchOutcome) {}
}
