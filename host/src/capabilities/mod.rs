//! What a function may ask this node for. One value for each function of a
//! generation; each capability has its file.

mod ended;
mod log;

use std::collections::BTreeMap;
use std::sync::Arc;

use verge_base::Clock;
use verge_runtime::CallEnd;
use verge_runtime::capabilities::{
    CallId, Capabilities, LogLevel, RateCounters, RateDecision, RatePolicy,
};

pub(crate) use self::ended::{log_failure, trigger_receipt};
use crate::secrets::SecretText;
use crate::telemetry::FunctionMetrics;

/// The capabilities of one function.
pub(crate) struct FunctionCapabilities {
    /// Its name, which owns its counters.
    pub name: Arc<str>,
    /// Its settings.
    pub config: BTreeMap<String, String>,
    /// The secrets that were granted to it.
    pub secrets: Vec<(Arc<str>, SecretText)>,
    /// Its counters; they outlive a reload.
    pub counters: Arc<RateCounters>,
    /// What the counters run on.
    pub clock: Clock,
    /// Its metrics.
    pub metrics: Arc<FunctionMetrics>,
}

impl Capabilities for FunctionCapabilities {
    fn config(&self, name: &str) -> Option<String> {
        self.config.get(name).cloned()
    }

    fn secret(&self, name: &str) -> Option<Vec<u8>> {
        self.secrets
            .iter()
            .find(|(known, _)| &**known == name)
            .map(|(_, text)| text.expose().to_vec())
    }

    fn rate_limit(&self, key: &str, policy: RatePolicy, cost: u32) -> RateDecision {
        self.counters
            .check(&self.name, key, policy, cost, self.clock.now())
    }

    fn call_ended(&self, call: &CallId, end: &CallEnd) {
        let receipt = trigger_receipt(&self.metrics, &end.receipt);
        self.metrics.record(&receipt);
        if let Some(failure) = &end.failure {
            log_failure(&call.function, &call.request, failure);
        }
    }

    fn log(&self, call: &CallId, level: LogLevel, message: &str) {
        log::write(call, level, message);
    }
}
