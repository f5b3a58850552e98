//! Counters that limit rates: a generic cell rate, a sliding counter, and a penalty box.
//!
//! Counters belong to the function: two functions never share one. The operator decides whether
//! they are those of one node, or of all nodes of a region. In a region, each answer is exact as
//! long as Redis answers; otherwise the node decides by what passed there alone, so N nodes
//! together let through at most N times as much, and a penalty holds where it was given.
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
//!
//! Who fails to log in too often is left outside for a while:
//!
//! ```
//! # use verge_sdk::testing::Host;
//! # let _host = Host::new();
//! use std::time::Duration;
//! use verge_sdk::rate_limit;
//!
//! fn failed_to_log_in(client: &str) {
//!     if rate_limit::count(client, Duration::from_secs(60), 1) > 3 {
//!         rate_limit::penalize(client, Duration::from_secs(600));
//!     }
//! }
//!
//! for _ in 0..4 {
//!     assert_eq!(rate_limit::penalty("192.0.2.1"), None);
//!     failed_to_log_in("192.0.2.1");
//! }
//! assert_eq!(rate_limit::penalty("192.0.2.1"), Some(Duration::from_secs(600)));
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
            window_ms: millis(window).max(1),
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

/// Adds `amount` to the sliding counter `key` (0 only asks), and tells how much came within the
/// last `window`, this included. The window before the present one is taken to have been even:
/// what is told differs from what came by at most what came in it. Counters with different windows
/// are different. The window is between a millisecond and 49 days.
pub fn count(key: &str, window: Duration, amount: u32) -> u64 {
    imp::rate_limit::count(key, millis(window).max(1), amount)
}

/// Puts `key` into the penalty box for `duration`, up to 49 days. A penalty that lasts longer stays.
pub fn penalize(key: &str, duration: Duration) {
    imp::rate_limit::penalize(key, millis(duration));
}

/// How much longer `key` is in the penalty box; `None` when it is not.
#[must_use]
pub fn penalty(key: &str) -> Option<Duration> {
    imp::rate_limit::penalty(key)
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
