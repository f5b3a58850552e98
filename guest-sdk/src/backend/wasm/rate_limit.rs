//! `verge:edge/rate-limit`.

use std::time::Duration;

use super::bindings::imports::verge::edge::rate_limit;
use crate::rate_limit::{Decision, Policy};

pub(crate) fn check(key: &str, policy: &Policy, cost: u32) -> Decision {
    let policy = rate_limit::Policy {
        limit: policy.limit(),
        window_ms: policy.window_ms(),
        burst: policy.burst(),
    };
    let decision = rate_limit::check(key, policy, cost);
    Decision {
        allowed: decision.allowed,
        remaining: decision.remaining,
        reset_after: Duration::from_millis(decision.reset_after_ms.into()),
        retry_after: Duration::from_millis(decision.retry_after_ms.into()),
    }
}

pub(crate) fn count(key: &str, window_ms: u32, amount: u32) -> u64 {
    rate_limit::count(key, window_ms, amount)
}

pub(crate) fn penalize(key: &str, duration_ms: u32) {
    rate_limit::penalize(key, duration_ms);
}

pub(crate) fn penalty(key: &str) -> Option<Duration> {
    rate_limit::penalty(key).map(|left| Duration::from_millis(left.into()))
}
