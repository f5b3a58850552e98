//! `verge:edge/rate-limit`. What stands behind it is the node's; here is only the crossing.

use std::time::Duration;

use crate::bindings::verge::edge::rate_limit;
use crate::capabilities::RatePolicy;
use crate::state::CallState;

impl rate_limit::Host for CallState {
    fn check(
        &mut self,
        key: String,
        policy: rate_limit::Policy,
        cost: u32,
    ) -> wasmtime::Result<rate_limit::Decision> {
        self.hostcall()?;
        let policy = RatePolicy {
            limit: policy.limit,
            window: Duration::from_millis(policy.window_ms.into()),
            burst: policy.burst,
        };
        let decision = self.function.capabilities.rate_limit(&key, policy, cost);
        Ok(rate_limit::Decision {
            allowed: decision.allowed,
            remaining: decision.remaining,
            reset_after_ms: millis(decision.reset_after),
            retry_after_ms: millis(decision.retry_after),
        })
    }
}

/// Whole milliseconds, rounded up: what is told to wait must not come too early.
fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}
