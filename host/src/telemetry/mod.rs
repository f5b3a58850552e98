//! What every request cost, and where that is told: metrics, the access log,
//! `Server-Timing`, and the ids that tie them together.
//!
//! Nothing here decides anything about a request, and nothing here waits: a
//! slow disk or a slow scraper costs lines and scrapes, never a request.

pub mod access_line;
pub mod access_log;
pub mod counters;
mod exposition;
pub mod handles;
pub mod metrics;
mod node_log;
pub mod receipt;
mod registry;
pub mod rfc3339;
pub mod sample;
pub mod server_timing;
pub mod span;

pub use access_log::{AccessLog, AccessLogConfig, AccessLogOutput};
pub use handles::{
    FunctionMetrics, KvMetrics, ListenerMetrics, OriginMetrics, RatesBy, RouteLabel, SiteMetrics,
    VersionMetrics,
};
pub use metrics::{CacheTier, Metrics};
pub use node_log::JsonLines;
pub use receipt::{
    CacheReceipt, FillReceipt, FunctionDigest, OriginReceipt, Receipt, StartClass, TlsReceipt,
    Trigger, TriggerReceipt,
};
pub use rfc3339::Rfc3339;
pub use sample::Sample;
pub use span::{RequestId, TraceContext};

/// Where a finished [`Receipt`] goes: the metrics always, the access log if one is kept.
#[derive(Clone, Debug)]
pub struct Telemetry {
    metrics: Metrics,
    access_log: Option<AccessLog>,
}

impl Telemetry {
    /// Receipts are counted in `metrics` and, if there is one, written to `access_log`.
    #[must_use]
    pub fn new(metrics: Metrics, access_log: Option<AccessLog>) -> Self {
        Self {
            metrics,
            access_log,
        }
    }

    /// The node's metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The access log, if one is kept.
    #[must_use]
    pub fn access_log(&self) -> Option<&AccessLog> {
        self.access_log.as_ref()
    }

    /// Counts and logs one finished request. Never blocks and never fails: a
    /// line that finds no room is dropped and counted.
    pub fn close(&self, receipt: &Receipt) {
        self.metrics.record(receipt);
        if let Some(access_log) = &self.access_log {
            access_log.write(receipt);
        }
    }
}
