//! `config`, `secret`, `rate-limit` and `log`. What stands behind them is the
//! node's; here is only the crossing.

use std::time::Duration;

use crate::bindings::verge::edge::{config, log, rate_limit, secret};
use crate::capabilities::{LogLevel, RatePolicy};
use crate::state::CallState;

impl config::Host for CallState {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.hostcall()?;
        Ok(self.function.capabilities.config(&name))
    }
}

impl secret::Host for CallState {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<Vec<u8>>> {
        self.hostcall()?;
        Ok(self.function.capabilities.secret(&name))
    }
}

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

impl log::Host for CallState {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.hostcall()?;
        let level = match level {
            log::Level::Trace => LogLevel::Trace,
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        self.log(level, &message);
        Ok(())
    }
}

/// Whole milliseconds, rounded up: what is told to wait must not come too early.
fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}
