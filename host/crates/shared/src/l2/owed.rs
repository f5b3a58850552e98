//! Keys of which Redis has nothing but what is outdated, until it is removed
//! there: until then this node does not use it. A removal that Redis does not
//! take is tried again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::format::KeyDigest;

/// Keys that may wait for their removal; with more, all that was saved before is of no use to
/// this node.
const OWED_MAX: usize = 65_536;

/// See the module.
#[derive(Default)]
pub(crate) struct Owed(Mutex<State>);

#[derive(Default)]
struct State {
    /// By how many jobs have to be done first: they may save what is outdated.
    keys: HashMap<KeyDigest, u64>,
    queued: u64,
    done: u64,
    /// What was saved before is of no use.
    floor: Option<Instant>,
}

impl Owed {
    /// Queues a job by `queue`, which says whether there was room. One after the other: jobs
    /// are done in the order in which they are counted.
    pub(crate) fn queue(&self, queue: impl FnOnce() -> bool) -> bool {
        let mut state = self.0.lock();
        let has_room = queue();
        state.queued = state.queued.saturating_add(u64::from(has_room));
        has_room
    }

    /// A job is done.
    pub(crate) fn done(&self) {
        let mut state = self.0.lock();
        state.done = state.done.saturating_add(1);
    }

    /// What Redis has of `key`, and what was queued for it, is outdated.
    pub(crate) fn note(&self, key: KeyDigest, now: Instant) {
        let mut state = self.0.lock();
        if state.keys.len() >= OWED_MAX && !state.keys.contains_key(&key) {
            tracing::warn!("too much in Redis is outdated: what was saved before is not used");
            state.keys.clear();
            state.floor = Some(now);
        }
        let queued = state.queued;
        state.keys.insert(key, queued);
    }

    /// Whether what Redis has of `key`, or what was queued for it, is outdated.
    pub(crate) fn owes(&self, key: &KeyDigest) -> bool {
        self.0.lock().keys.contains_key(key)
    }

    /// Whether what was saved so long `ago` is outdated, whatever its key.
    pub(crate) fn is_outdated(&self, ago: Duration, now: Instant) -> bool {
        let floor = self.0.lock().floor;
        floor.is_some_and(|floor| ago >= now.saturating_duration_since(floor))
    }

    /// Whether anything waits for its removal.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().keys.is_empty()
    }

    /// Up to `most` keys that can be removed now.
    pub(crate) fn due(&self, most: usize) -> Vec<(KeyDigest, u64)> {
        let state = self.0.lock();
        let due = state.keys.iter().filter(|(_, until)| **until <= state.done);
        due.take(most).map(|(key, until)| (*key, *until)).collect()
    }

    /// What Redis had of a key is removed. If it was noted again since, it is so once more.
    pub(crate) fn removed(&self, (key, until): (KeyDigest, u64)) {
        let mut state = self.0.lock();
        if state.keys.get(&key) == Some(&until) {
            state.keys.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use verge_base::Clock;

    use super::*;

    #[test]
    fn a_key_is_removed_after_what_was_queued_before() {
        let (owed, now) = (Owed::default(), Clock::system().now());
        assert!(owed.queue(|| true));
        assert!(!owed.queue(|| false));
        owed.note([1; 32], now);
        assert!(owed.owes(&[1; 32]) && !owed.owes(&[2; 32]));
        assert!(owed.due(9).is_empty());
        owed.done();
        let due = owed.due(9);
        assert_eq!(due, [([1; 32], 1)]);
        // Noted again while it is being removed.
        assert!(owed.queue(|| true));
        owed.note([1; 32], now);
        owed.removed(due[0]);
        assert!(owed.owes(&[1; 32]));
        owed.done();
        owed.removed(owed.due(9)[0]);
        assert!(owed.is_empty());
    }

    #[test]
    fn with_too_many_all_that_was_saved_before_is_outdated() {
        let (owed, now) = (Owed::default(), Clock::system().now());
        for number in 0..=OWED_MAX as u64 {
            assert!(!owed.is_outdated(Duration::ZERO, now));
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_le_bytes());
            owed.note(key, now);
        }
        let later = now + Duration::from_secs(10);
        assert!(owed.is_outdated(Duration::from_secs(11), later));
        assert!(!owed.is_outdated(Duration::from_secs(9), later));
    }
}
