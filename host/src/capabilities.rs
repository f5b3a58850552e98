//! What a function may ask this node for: its settings, its secrets, its rate
//! counters and the log. One value for each function of a generation.

use std::collections::BTreeMap;
use std::sync::Arc;

use verge_base::Clock;
use verge_runtime::capabilities::{
    CallId, Capabilities, LogLevel, RateCounters, RateDecision, RatePolicy,
};
use verge_runtime::{CallEnd, CallFailure, CallReceipt};

use crate::secrets::SecretText;
use crate::telemetry::{FunctionDigest, FunctionMetrics, TriggerReceipt};

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
        let (function, request) = (&*call.function, &*call.request);
        match level {
            LogLevel::Trace => tracing::trace!(target: "function", function, request, "{message}"),
            LogLevel::Debug => tracing::debug!(target: "function", function, request, "{message}"),
            LogLevel::Info => tracing::info!(target: "function", function, request, "{message}"),
            LogLevel::Warn => tracing::warn!(target: "function", function, request, "{message}"),
            LogLevel::Error => tracing::error!(target: "function", function, request, "{message}"),
        }
    }
}

/// What a call cost, as receipts and metrics have it.
pub(crate) fn trigger_receipt(
    metrics: &Arc<FunctionMetrics>,
    call: &CallReceipt,
) -> TriggerReceipt {
    TriggerReceipt {
        function: Arc::clone(metrics),
        digest: FunctionDigest::from_full(call.digest.as_bytes()),
        trigger: call.trigger,
        start_class: (!call.instantiate.is_zero()).then_some(call.start),
        start: call.instantiate,
        cpu: call.cpu,
        wall: call.wall,
        hostcalls: u64::from(call.hostcalls),
        memory_peak_bytes: call.memory_peak,
        outcome: call.outcome.label(),
    }
}

/// One line about a failed call. The detail may quote what the guest said, so it is escaped.
pub(crate) fn log_failure(function: &str, request: &str, failure: &CallFailure) {
    tracing::warn!(
        target: "function",
        function,
        request,
        fault = failure.fault.label(),
        "{}", escaped(&failure.detail)
    );
}

/// `text` on one line, without anything that a terminal would obey.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_said_stays_on_one_line() {
        let said = "a\r\nfake line\u{1b}[2J\0";
        assert_eq!(escaped(said), "a\\r\\nfake line\\u{1b}[2J\\u{0}");
    }
}
