//! The generic cell rate algorithm, as arithmetic: one number per counter, no
//! window that empties at once.
//!
//! The number is the *theoretical arrival time*: when the counter would be
//! full again if nothing more came (ITU-T I.371, annex A).

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How much may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RatePolicy {
    /// Units per window; 0 counts as 1.
    pub limit: u32,
    /// The window; zero counts as one millisecond.
    pub window: Duration,
    /// Units that may come at once; 0 means `limit`.
    pub burst: u32,
}

/// Whether it may come, and what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateDecision {
    /// It may.
    pub allowed: bool,
    /// Units that may still come at once.
    pub remaining: u32,
    /// Time until the whole burst is free again.
    pub reset_after: Duration,
    /// Time until the same request would be allowed; zero when it is allowed, and
    /// [`Duration::MAX`] when its cost is more than the whole burst.
    pub retry_after: Duration,
}

/// Decides about `cost` units that arrive at `now`, and moves the counter if they may come.
///
/// `arrival` is the counter's state, `None` for a new one; it and `now` are times since one
/// common start.
#[must_use]
pub fn decide(
    arrival: Option<Duration>,
    policy: RatePolicy,
    cost: u32,
    now: Duration,
) -> (Option<Duration>, RateDecision) {
    let interval = interval(policy);
    let burst = if policy.burst == 0 {
        policy.limit.max(1)
    } else {
        policy.burst
    };
    let tolerance = interval.saturating_mul(u128::from(burst));
    let now = now.as_nanos();
    // A state that is further off than the burst allows comes from a wider policy: it is cut.
    let ceiling = now.saturating_add(tolerance);
    let arrival = arrival.map_or(now, |t| t.as_nanos()).clamp(now, ceiling);
    let wanted = arrival.saturating_add(interval.saturating_mul(u128::from(cost)));
    let allowed = wanted <= ceiling;
    let after = if allowed { wanted } else { arrival };
    let retry_after = if allowed {
        Duration::ZERO
    } else if cost > burst {
        Duration::MAX
    } else {
        duration(wanted - ceiling)
    };
    let remaining = (ceiling - after) / interval;
    let decision = RateDecision {
        allowed,
        remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
        reset_after: duration(after - now),
        retry_after,
    };
    ((after > now).then(|| duration(after)), decision)
}

/// Nanoseconds that one unit takes; at least 1.
fn interval(policy: RatePolicy) -> u128 {
    let window = policy.window.max(Duration::from_millis(1)).as_nanos();
    (window / u128::from(policy.limit.max(1))).max(1)
}

fn duration(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RatePolicy = RatePolicy {
        limit: 10,
        window: Duration::from_secs(1),
        burst: 3,
    };

    fn at(millis: u64) -> Duration {
        Duration::from_millis(1000 + millis)
    }

    #[test]
    fn the_burst_comes_at_once_and_then_one_unit_per_interval() {
        let mut state = None;
        let mut seen = Vec::new();
        for millis in [0, 0, 0, 0, 99, 100, 100, 1000] {
            let (next, decision) = decide(state, POLICY, 1, at(millis));
            state = next;
            seen.push((
                decision.allowed,
                decision.remaining,
                decision.retry_after.as_millis(),
            ));
        }
        assert_eq!(
            seen,
            [
                (true, 2, 0),
                (true, 1, 0),
                (true, 0, 0),
                (false, 0, 100),
                (false, 0, 1),
                (true, 0, 0),
                (false, 0, 100),
                (true, 2, 0),
            ]
        );
    }

    #[test]
    fn reset_is_when_the_burst_is_whole_again() {
        let (state, decision) = decide(None, POLICY, 2, at(0));
        assert_eq!(decision.reset_after, Duration::from_millis(200));
        let (_, decision) = decide(state, POLICY, 0, at(200));
        assert_eq!(decision.reset_after, Duration::ZERO);
        assert_eq!(decision.remaining, 3);
    }

    #[test]
    fn a_refusal_costs_nothing() {
        let (state, _) = decide(None, POLICY, 3, at(0));
        let (after, decision) = decide(state, POLICY, 1, at(50));
        assert!(!decision.allowed);
        assert_eq!(after, state);
    }

    #[test]
    fn more_than_the_burst_can_never_come() {
        let (_, decision) = decide(None, POLICY, 4, at(0));
        assert!(!decision.allowed);
        assert_eq!(decision.retry_after, Duration::MAX);
        assert_eq!(decision.remaining, 3);
    }

    #[test]
    fn a_full_counter_needs_no_state() {
        assert_eq!(decide(None, POLICY, 0, at(0)).0, None);
    }

    #[test]
    fn extreme_policies_do_not_overflow() {
        for (limit, window, burst, cost) in [
            (0, Duration::ZERO, 0, u32::MAX),
            (u32::MAX, Duration::MAX, u32::MAX, u32::MAX),
            (1, Duration::MAX, u32::MAX, u32::MAX),
            (u32::MAX, Duration::ZERO, 1, 1),
        ] {
            let policy = RatePolicy {
                limit,
                window,
                burst,
            };
            let (state, _) = decide(None, policy, cost, Duration::MAX);
            let _ = decide(state, policy, cost, Duration::ZERO);
        }
    }

    #[test]
    fn a_narrower_policy_is_not_bound_by_the_old_one_for_ever() {
        let wide = RatePolicy {
            limit: 1,
            window: Duration::from_secs(3600),
            burst: 5,
        };
        let (state, _) = decide(None, wide, 5, at(0));
        let (_, decision) = decide(state, POLICY, 1, at(0));
        assert_eq!(decision.retry_after, Duration::from_millis(100));
    }
}
