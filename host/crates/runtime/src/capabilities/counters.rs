//! Rate counters of this node: a bounded table of GCRA states, sharded so that
//! cores do not wait for one another.

use std::time::Instant;

use parking_lot::Mutex;

use super::gcra::{self, RateDecision, RatePolicy};

const SHARDS: usize = 16;
/// How many entries are looked at when a full shard needs room.
const SAMPLE: usize = 8;

/// Counters by owner and key. When a shard is full, an entry that has run full again goes, or
/// else the one of a few that would do so first: at worst a counter forgets, and lets through
/// one burst more.
pub struct RateCounters {
    shards: Box<[Mutex<Shard>]>,
    hasher: ahash::RandomState,
    per_shard: usize,
    start: Instant,
}

/// Keyed by a 128-bit hash with random seeds: the key itself, which may be a secret, is not kept.
type Shard = std::collections::HashMap<u128, std::time::Duration, ahash::RandomState>;

impl RateCounters {
    /// At most `capacity` counters (rounded up to a multiple of 16); `now` is the time from which
    /// they count.
    #[must_use]
    pub fn new(capacity: usize, now: Instant) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: ahash::RandomState::new(),
            per_shard: capacity.div_ceil(SHARDS).max(1),
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
        let now = now.saturating_duration_since(self.start);
        let hash = self.hash(owner, key);
        let index = (hash % SHARDS as u128) as usize;
        let Some(shard) = self.shards.get(index) else {
            // The modulus bounds the index; without a shard nothing is counted.
            return gcra::decide(None, policy, cost, now).1;
        };
        let mut shard = shard.lock();
        let (state, decision) = gcra::decide(shard.get(&hash).copied(), policy, cost, now);
        match state {
            None => {
                shard.remove(&hash);
            }
            Some(state) => {
                if shard.len() >= self.per_shard && !shard.contains_key(&hash) {
                    make_room(&mut shard, now);
                }
                shard.insert(hash, state);
            }
        }
        decision
    }

    /// How many counters are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// True when no counter is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn hash(&self, owner: &str, key: &str) -> u128 {
        let low = self.hasher.hash_one((0_u8, owner, key));
        let high = self.hasher.hash_one((1_u8, owner, key));
        u128::from(high) << 64 | u128::from(low)
    }
}

fn make_room(shard: &mut Shard, now: std::time::Duration) {
    let mut first: Option<(u128, std::time::Duration)> = None;
    for (hash, state) in shard.iter().take(SAMPLE) {
        if first.is_none_or(|(_, earliest)| *state < earliest) {
            first = Some((*hash, *state));
        }
        if *state <= now {
            break;
        }
    }
    if let Some((hash, _)) = first {
        shard.remove(&hash);
    }
}

impl std::fmt::Debug for RateCounters {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("RateCounters")
            .field("per_shard", &self.per_shard)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use verge_base::Clock;

    use super::*;

    const POLICY: RatePolicy = RatePolicy {
        limit: 2,
        window: Duration::from_secs(2),
        burst: 0,
    };

    #[test]
    fn counters_of_two_owners_are_apart() {
        let (clock, _) = Clock::manual(SystemTime::UNIX_EPOCH);
        let counters = RateCounters::new(100, clock.now());
        for owner in ["a", "b"] {
            assert!(counters.check(owner, "k", POLICY, 2, clock.now()).allowed);
            assert!(!counters.check(owner, "k", POLICY, 1, clock.now()).allowed);
        }
    }

    #[test]
    fn the_table_stays_within_its_capacity() {
        let (clock, _) = Clock::manual(SystemTime::UNIX_EPOCH);
        let counters = RateCounters::new(160, clock.now());
        for key in 0..10_000 {
            let _ = counters.check("f", &key.to_string(), POLICY, 1, clock.now());
        }
        assert!(counters.len() <= 160, "{}", counters.len());
    }

    #[test]
    fn counters_that_ran_full_again_free_their_place_when_asked() {
        let (clock, handle) = Clock::manual(SystemTime::UNIX_EPOCH);
        let counters = RateCounters::new(160, clock.now());
        let _ = counters.check("f", "k", POLICY, 1, clock.now());
        handle.advance(Duration::from_secs(10));
        let decision = counters.check("f", "k", POLICY, 0, clock.now());
        assert_eq!(decision.remaining, 2);
        assert!(counters.is_empty());
    }
}
