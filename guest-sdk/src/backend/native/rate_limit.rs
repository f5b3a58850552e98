//! Counters of a test's function, by the test's clock.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::with;
use crate::rate_limit::{Decision, Policy};

#[derive(Default)]
pub(crate) struct Counters {
    /// For each counter the theoretical arrival time of its next unit.
    counters: HashMap<String, SystemTime>,
    /// What came when, for each sliding counter and its window.
    came: HashMap<(String, u32), Vec<(SystemTime, u32)>>,
    /// Until when a key is in the penalty box.
    penalties: HashMap<String, SystemTime>,
    /// Set to refuse whatever is asked.
    pub(crate) exhausted_for: Option<Duration>,
}

pub(crate) fn check(key: &str, policy: &Policy, cost: u32) -> Decision {
    with(|state| state.rates.take(state.now, key, policy, cost))
}

/// A test's counter remembers each moment, so it is exact.
pub(crate) fn count(key: &str, window_ms: u32, amount: u32) -> u64 {
    with(|state| {
        let now = state.now;
        let window = Duration::from_millis(window_ms.into());
        let came = state.rates.came.entry((key.to_owned(), window_ms));
        let came = came.or_default();
        came.retain(|(at, _)| now.duration_since(*at).is_ok_and(|age| age < window));
        came.push((now, amount));
        came.iter().map(|(_, amount)| u64::from(*amount)).sum()
    })
}

pub(crate) fn penalize(key: &str, duration_ms: u32) {
    with(|state| {
        let until = state.now + Duration::from_millis(duration_ms.into());
        let known = state.rates.penalties.entry(key.to_owned());
        let known = known.or_insert(until);
        *known = until.max(*known);
    });
}

pub(crate) fn penalty(key: &str) -> Option<Duration> {
    with(|state| {
        let until = state.rates.penalties.get(key)?;
        let left = until.duration_since(state.now).ok()?;
        (!left.is_zero()).then_some(left)
    })
}

impl Counters {
    /// The generic cell rate algorithm: a counter is the time at which its bucket is full again.
    fn take(&mut self, now: SystemTime, key: &str, policy: &Policy, cost: u32) -> Decision {
        if let Some(retry_after) = self.exhausted_for {
            return Decision {
                allowed: false,
                remaining: 0,
                reset_after: retry_after,
                retry_after,
            };
        }
        let interval = policy.window() / policy.limit();
        let capacity = interval.saturating_mul(policy.burst());
        let full_at = self.counters.get(key).copied().unwrap_or(now);
        let owed = full_at.duration_since(now).unwrap_or_default();
        let wanted = owed.saturating_add(interval.saturating_mul(cost));
        let retry_after = if cost > policy.burst() {
            // It would never be allowed: the longest time that the contract can say.
            Duration::from_millis(u32::MAX.into())
        } else {
            wanted.saturating_sub(capacity)
        };
        let allowed = retry_after.is_zero();
        let owed = if allowed { wanted } else { owed };
        if allowed {
            self.counters.insert(key.to_owned(), now + owed);
        }
        let free = capacity.saturating_sub(owed).as_nanos();
        let units = free / interval.as_nanos().max(1);
        Decision {
            allowed,
            remaining: u32::try_from(units).unwrap_or(u32::MAX),
            reset_after: owed,
            retry_after,
        }
    }
}
