//! What is told of a call that has ended: its cost, and one line about its failure.

use std::sync::Arc;

use verge_runtime::{CallFailure, CallReceipt, StartClass};

use crate::telemetry::{FunctionDigest, FunctionMetrics, TriggerReceipt};

/// What a call cost, as receipts and metrics have it. Its dropped lines are counted here.
pub(crate) fn trigger_receipt(
    metrics: &Arc<FunctionMetrics>,
    call: &CallReceipt,
) -> TriggerReceipt {
    metrics.record_dropped_lines(call.log_dropped);
    TriggerReceipt {
        function: Arc::clone(metrics),
        digest: FunctionDigest::from_full(call.digest.as_bytes()),
        trigger: call.trigger,
        start_class: was_started(call).then_some(call.start),
        start: call.instantiate,
        cpu: call.cpu,
        wall: call.wall,
        hostcalls: u64::from(call.hostcalls),
        fetches: call.fetches,
        fetch_time: call.fetch_time,
        memory_peak_bytes: call.memory_peak,
        outcome: call.outcome.label(),
    }
}

/// Whether the call had an instance: one that waited for it, or one that it could make.
fn was_started(call: &CallReceipt) -> bool {
    match call.start {
        StartClass::Prepared | StartClass::Reused => true,
        StartClass::Fresh => !call.instantiate.is_zero(),
    }
}

/// In place of a policy, for a call whose response had begun or ended: it can change nothing more.
pub(crate) const LATE: &str = "late";

/// One line about a failed call. The detail may quote what the guest said, so it is escaped.
/// `policy` is what becomes of the request.
pub(crate) fn log_failure(function: &str, request: &str, policy: &str, failure: &CallFailure) {
    tracing::warn!(
        target: "function",
        function,
        request,
        fault = failure.fault.label(),
        on_failure = policy,
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
