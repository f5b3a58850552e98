//! `verge:edge/rate-limit`. What stands behind it is the node's; here is only the crossing.
//!
//! A guest that waits for its region's answer uses up its deadline and none of its CPU budget.

use std::time::Duration;

use crate::bindings::verge::edge::rate_limit;
use crate::capabilities::{RatePolicy, Rates};
use crate::state::CallState;

impl CallState {
    /// Counts a call into the host and finds the function's counters.
    fn rates(&mut self) -> wasmtime::Result<&dyn Rates> {
        self.hostcall()?;
        let rates = self.capabilities().rates();
        rates.ok_or_else(|| wasmtime::format_err!("it has no counters"))
    }
}

impl rate_limit::Host for CallState {
    async fn check(
        &mut self,
        key: String,
        policy: rate_limit::Policy,
        cost: u32,
    ) -> wasmtime::Result<rate_limit::Decision> {
        let policy = RatePolicy {
            limit: policy.limit,
            window: Duration::from_millis(policy.window_ms.into()),
            burst: policy.burst,
        };
        let decision = self.rates()?.check(&key, policy, cost).wait().await;
        Ok(rate_limit::Decision {
            allowed: decision.allowed,
            remaining: decision.remaining,
            reset_after_ms: millis(decision.reset_after),
            retry_after_ms: millis(decision.retry_after),
        })
    }

    async fn count(&mut self, key: String, window_ms: u32, amount: u32) -> wasmtime::Result<u64> {
        let window = Duration::from_millis(window_ms.max(1).into());
        let answer = self.rates()?.count(&key, window, amount);
        Ok(answer.wait().await)
    }

    async fn penalize(&mut self, key: String, duration_ms: u32) -> wasmtime::Result<()> {
        let duration = Duration::from_millis(duration_ms.into());
        self.rates()?.penalize(&key, duration).wait().await;
        Ok(())
    }

    async fn penalty(&mut self, key: String) -> wasmtime::Result<Option<u32>> {
        let answer = self.rates()?.penalty(&key);
        Ok(answer.wait().await.map(millis))
    }
}

/// Whole milliseconds, rounded up: what is told to wait must not come too early.
fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}
