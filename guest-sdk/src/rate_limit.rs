//! Counters that limit rates, by the generic cell rate algorithm, local to the node.
//!
//! Counters belong to the function: two functions never share one.
//!
//! ```
//! # use verge_sdk::testing::Host;
//! # let _host = Host::new();
//! use std::time::Duration;
//! use verge_sdk::rate_limit::{self, Policy};
//!
//! let policy = Policy::new(2, Duration::from_secs(60));
//! assert!(rate_limit::check("192.0.2.1", &policy).allowed);
//! assert!(rate_limit::check("192.0.2.1", &policy).allowed);
//! assert!(!rate_limit::check("192.0.2.1", &policy).allowed);
//! ```

use std::time::Duration;

use crate::backend::imp;

/// How much may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    limit: u32,
    window_ms: u32,
    burst: u32,
}

impl Policy {
    /// `limit` units for each `window`, all of which may come at once. The limit is at least 1,
    /// the window between a millisecond and 49 days.
    #[must_use]
    pub fn new(limit: u32, window: Duration) -> Self {
        let limit = limit.max(1);
        Self {
            limit,
            window_ms: u32::try_from(window.as_millis()).unwrap_or(u32::MAX).max(1),
            burst: limit,
        }
    }

    /// The same with at most `burst` units at once, at least 1.
    #[must_use]
    pub fn with_burst(self, burst: u32) -> Self {
        let burst = burst.max(1);
        Self { burst, ..self }
    }

    /// How many units one window allows.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// The window.
    #[must_use]
    pub fn window(&self) -> Duration {
        Duration::from_millis(self.window_ms.into())
    }

    /// How many units may come at once.
    #[must_use]
    pub fn burst(&self) -> u32 {
        self.burst
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn window_ms(&self) -> u32 {
        self.window_ms
    }
}

/// What the counter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a decision that nobody reads limits nothing"]
pub struct Decision {
    /// Whether the units were taken.
    pub allowed: bool,
    /// Units that may still come at once.
    pub remaining: u32,
    /// Until the whole burst is free again.
    pub reset_after: Duration,
    /// Until the same would be allowed; zero when it is allowed, 49 days when its cost is more
    /// than the whole burst.
    pub retry_after: Duration,
}

/// Takes one unit from the counter `key`.
pub fn check(key: &str, policy: &Policy) -> Decision {
    check_cost(key, policy, 1)
}

/// Takes `cost` units from the counter `key`: all of them or, when it refuses, none.
pub fn check_cost(key: &str, policy: &Policy, cost: u32) -> Decision {
    imp::rate_limit::check(key, policy, cost)
}
