//! Rate counters of this node: bounded tables of GCRA states, sliding counters
//! and penalties.

use std::time::{Duration, Instant};

use super::gcra::{self, RateDecision, RatePolicy};
use super::sliding::{self, SlidingState};
use super::table::Table;

/// Counters by owner and key. A table that is full forgets: a counter then lets through one burst
/// more, and a penalty ends early.
pub struct RateCounters {
    rates: Table<Duration>,
    sliding: Table<SlidingState>,
    penalties: Table<Duration>,
    capacity: usize,
    start: Instant,
}

impl RateCounters {
    /// At most `capacity` counters of each sort (rounded up to a multiple of 16); `now` is the
    /// time from which they count.
    #[must_use]
    pub fn new(capacity: usize, now: Instant) -> Self {
        Self {
            rates: Table::new(capacity),
            sliding: Table::new(capacity),
            penalties: Table::new(capacity),
            capacity,
            start: now,
        }
    }

    /// Takes `cost` units from the counter `key` of `owner` (a function's name).
    #[must_use]
    pub fn check(
        &self,
        owner: &str,
        key: &str,
        policy: RatePolicy,
        cost: u32,
        now: Instant,
    ) -> RateDecision {
        let now = self.since_start(now);
        self.rates.update((owner, key), now, |state| {
            gcra::decide(state, policy, cost, now)
        })
    }

    /// What [`check`](Self::check) would say; takes nothing.
    #[must_use]
    pub fn peek(
        &self,
        owner: &str,
        key: &str,
        policy: RatePolicy,
        cost: u32,
        now: Instant,
    ) -> RateDecision {
        let now = self.since_start(now);
        self.rates.update((owner, key), now, |state| {
            (state, gcra::decide(state, policy, cost, now).1)
        })
    }

    /// Adds `amount` to the sliding counter `key` of `owner`, and tells how much came within the
    /// last `window`.
    pub fn count(
        &self,
        owner: &str,
        key: &str,
        window: Duration,
        amount: u32,
        now: Instant,
    ) -> u64 {
        let now = self.since_start(now);
        self.sliding.update((owner, key, window), now, |state| {
            let (state, told) = sliding::count(state, window, amount, now);
            // One in which nothing is need not be remembered.
            ((told > 0).then_some(state), told)
        })
    }

    /// Puts `key` of `owner` into the penalty box; a penalty that lasts longer stays.
    pub fn penalize(&self, owner: &str, key: &str, duration: Duration, now: Instant) {
        let now = self.since_start(now);
        let until = now.saturating_add(duration);
        self.penalties.update((owner, key), now, |state| {
            (Some(state.map_or(until, |known| known.max(until))), ())
        });
    }

    /// How much longer `key` of `owner` is in the penalty box.
    #[must_use]
    pub fn penalty(&self, owner: &str, key: &str, now: Instant) -> Option<Duration> {
        let now = self.since_start(now);
        self.penalties.update((owner, key), now, |state| {
            let state = state.filter(|until| *until > now);
            (state, state.map(|until| until - now))
        })
    }

    /// How many counters are held, of all sorts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rates.len() + self.sliding.len() + self.penalties.len()
    }

    /// True when no counter is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn since_start(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }
}

impl std::fmt::Debug for RateCounters {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("RateCounters")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use verge_base::Clock;

    use super::*;

    const POLICY: RatePolicy = RatePolicy {
        limit: 2,
        window: Duration::from_secs(2),
        burst: 0,
    };

    const WINDOW: Duration = Duration::from_secs(10);

    #[test]
    fn counters_of_two_owners_are_apart() {
        let (clock, _) = Clock::manual(SystemTime::UNIX_EPOCH);
        let now = clock.now();
        let counters = RateCounters::new(100, now);
        for owner in ["a", "b"] {
            assert!(counters.check(owner, "k", POLICY, 2, now).allowed);
            assert!(!counters.check(owner, "k", POLICY, 1, now).allowed);
            assert_eq!(counters.count(owner, "k", WINDOW, 3, now), 3);
            assert_eq!(counters.penalty(owner, "k", now), None);
            counters.penalize(owner, "k", WINDOW, now);
            assert_eq!(counters.penalty(owner, "k", now), Some(WINDOW));
        }
    }

    #[test]
    fn the_tables_stay_within_their_capacity() {
        let (clock, _) = Clock::manual(SystemTime::UNIX_EPOCH);
        let now = clock.now();
        let counters = RateCounters::new(160, now);
        for key in 0..10_000 {
            let key = key.to_string();
            let _ = counters.check("f", &key, POLICY, 1, now);
            counters.count("f", &key, WINDOW, 1, now);
            counters.penalize("f", &key, WINDOW, now);
        }
        for held in [
            counters.rates.len(),
            counters.sliding.len(),
            counters.penalties.len(),
        ] {
            assert!((1..=160).contains(&held), "{held}");
        }
    }

    #[test]
    fn counters_that_ran_full_again_free_their_place_when_asked() {
        let (clock, handle) = Clock::manual(SystemTime::UNIX_EPOCH);
        let counters = RateCounters::new(160, clock.now());
        let _ = counters.check("f", "k", POLICY, 1, clock.now());
        counters.count("f", "k", WINDOW, 1, clock.now());
        counters.penalize("f", "k", WINDOW, clock.now());
        handle.advance(Duration::from_secs(20));
        let decision = counters.check("f", "k", POLICY, 0, clock.now());
        assert_eq!(decision.remaining, 2);
        assert_eq!(counters.count("f", "k", WINDOW, 0, clock.now()), 0);
        assert_eq!(counters.penalty("f", "k", clock.now()), None);
        assert!(counters.is_empty());
    }

    #[test]
    fn windows_of_two_lengths_are_two_counters() {
        let (clock, _) = Clock::manual(SystemTime::UNIX_EPOCH);
        let now = clock.now();
        let counters = RateCounters::new(160, now);
        assert_eq!(counters.count("f", "k", WINDOW, 5, now), 5);
        assert_eq!(counters.count("f", "k", 2 * WINDOW, 1, now), 1);
        assert_eq!(counters.count("f", "k", WINDOW, 1, now), 6);
    }

    #[test]
    fn a_shorter_penalty_does_not_end_a_longer_one() {
        let (clock, handle) = Clock::manual(SystemTime::UNIX_EPOCH);
        let counters = RateCounters::new(160, clock.now());
        counters.penalize("f", "k", WINDOW, clock.now());
        counters.penalize("f", "k", WINDOW / 2, clock.now());
        handle.advance(WINDOW / 2);
        assert_eq!(counters.penalty("f", "k", clock.now()), Some(WINDOW / 2));
        handle.advance(WINDOW / 2);
        assert_eq!(counters.penalty("f", "k", clock.now()), None);
    }
}
