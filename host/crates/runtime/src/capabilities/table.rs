//! A bounded table of counters, sharded so that cores do not wait for one
//! another.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;

const SHARDS: usize = 16;
/// How many entries are looked at when a full shard needs room.
const SAMPLE: usize = 8;

/// What a counter remembers.
pub(super) trait Remembered: Copy {
    /// When there will be nothing left to remember; like all times here, since one common start.
    fn ends(&self) -> Duration;
}

/// A state that is nothing but the time until which it counts.
impl Remembered for Duration {
    fn ends(&self) -> Duration {
        *self
    }
}

/// States by owner and key. When a shard is full, one that has ended goes, or else the one of a
/// few that would end first: at worst a counter forgets.
pub(super) struct Table<S> {
    shards: Box<[Mutex<Shard<S>>]>,
    hasher: ahash::RandomState,
    per_shard: usize,
}

/// Keyed by a 128-bit hash with random seeds: the key itself, which may be a secret, is not kept.
type Shard<S> = HashMap<u128, S, ahash::RandomState>;

impl<S: Remembered> Table<S> {
    /// At most `capacity` states, rounded up to a multiple of 16.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: ahash::RandomState::new(),
            per_shard: capacity.div_ceil(SHARDS).max(1),
        }
    }

    /// Decides about the state of `key`: `decide` returns the next one, or `None` if nothing is
    /// left to remember.
    pub(super) fn update<T>(
        &self,
        key: impl Hash + Copy,
        now: Duration,
        decide: impl FnOnce(Option<S>) -> (Option<S>, T),
    ) -> T {
        let hash = self.hash(key);
        let Some(shard) = self.shards.get((hash % SHARDS as u128) as usize) else {
            // The modulus bounds the index; without a shard nothing is remembered.
            return decide(None).1;
        };
        let mut shard = shard.lock();
        let (state, told) = decide(shard.get(&hash).copied());
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
        told
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn hash(&self, key: impl Hash + Copy) -> u128 {
        let low = self.hasher.hash_one((0_u8, key));
        let high = self.hasher.hash_one((1_u8, key));
        u128::from(high) << 64 | u128::from(low)
    }
}

fn make_room<S: Remembered>(shard: &mut Shard<S>, now: Duration) {
    let mut first: Option<(u128, Duration)> = None;
    for (hash, state) in shard.iter().take(SAMPLE) {
        let ends = state.ends();
        if first.is_none_or(|(_, earliest)| ends < earliest) {
            first = Some((*hash, ends));
        }
        if ends <= now {
            break;
        }
    }
    if let Some((hash, _)) = first {
        shard.remove(&hash);
    }
}
