//! Why responses were lately not stored: the last reason for each key, so that
//! an operator's "why is this not cached" has an answer.
//!
//! Bounded, and off the hit path: whoever writes here has just asked an origin.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use parking_lot::Mutex;
use verge_http::Failure;

use crate::counted::{Counted, Tables};
use crate::key::{Key, PrecomputedHash};
use crate::policy::RefuseReason;

/// Keys of which the last refusal is remembered, by default.
pub const REFUSALS_MAX: usize = 4_096;

/// Bytes of a refusal: 73 in its table and 16 in the order, each with as much room beside it as
/// growing leaves, and with both copies while it grows.
const REFUSAL_BYTES: u64 = 288;

/// Refusals that are kept even where there is no memory for them.
const REFUSALS_KEPT: usize = 64;

/// Why nothing was stored the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStored {
    /// The response may not, or could not, be stored.
    Refused(RefuseReason),
    /// There was no response.
    Failed(Failure),
}

/// The last refusal of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRefusal {
    /// Why.
    pub reason: NotStored,
    /// When.
    pub at: Instant,
    /// When a response for the key was stored after that, if one was: the reason is of the past.
    pub superseded: Option<Instant>,
}

/// See the module.
pub(crate) struct Refusals {
    max: usize,
    known: Mutex<Known>,
}

struct Known {
    /// With the number of its place in `order`; keys of one hash share a place.
    by_key: HashMap<u64, (u64, LastRefusal), PrecomputedHash>,
    order: VecDeque<(u64, u64)>,
    next: u64,
    forgotten: u64,
    /// The memory of all of them.
    counted: Counted,
}

impl Refusals {
    /// Remembers the last refusal of at most `max` keys, as far as `tables` has memory for them.
    pub(crate) fn new(max: usize, tables: &Tables) -> Self {
        Self {
            max,
            known: Mutex::new(Known {
                by_key: HashMap::default(),
                order: VecDeque::new(),
                next: 0,
                forgotten: 0,
                counted: Counted::new(tables, REFUSAL_BYTES, REFUSALS_KEPT),
            }),
        }
    }

    pub(crate) fn note(&self, key: &Key, reason: NotStored, at: Instant) {
        let hash = key.hash_value();
        let refusal = LastRefusal {
            reason,
            at,
            superseded: None,
        };
        let known = &mut *self.known.lock();
        let number = known.next;
        known.next += 1;
        known.by_key.insert(hash, (number, refusal));
        known.order.push_back((hash, number));
        while known.order.len() > self.max || !known.counted.allows(known.order.len()) {
            let Some((oldest, number)) = known.order.pop_front() else {
                break;
            };
            // It may have been noted again since.
            if known.by_key.get(&oldest).is_some_and(|(n, _)| *n == number) {
                known.by_key.remove(&oldest);
                known.forgotten += 1;
            }
        }
    }

    /// A response for `key` was stored: what was refused before is of the past.
    pub(crate) fn supersede(&self, key: &Key, at: Instant) {
        let mut known = self.known.lock();
        if let Some((_, last)) = known.by_key.get_mut(&key.hash_value()) {
            last.superseded.get_or_insert(at);
        }
    }

    pub(crate) fn last(&self, key: &Key) -> Option<LastRefusal> {
        let known = self.known.lock();
        known.by_key.get(&key.hash_value()).map(|(_, last)| *last)
    }

    /// Keys that are remembered, and how many were forgotten for others.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let known = self.known.lock();
        (known.by_key.len() as u64, known.forgotten)
    }
}

#[cfg(test)]
mod tests {
    use verge_base::Ledger;

    use super::*;
    use crate::testkit::kit;

    const MAX: usize = 16;

    fn tables() -> Tables {
        Tables::new(&Ledger::new(u64::MAX))
    }

    #[test]
    fn the_last_reason_of_each_key_is_kept_and_the_oldest_goes() {
        let kit = kit();
        let refusals = Refusals::new(MAX, &tables());
        let now = kit.clock.now();
        let note = |n: usize, reason| {
            refusals.note(&kit.key(&format!("/{n}")), NotStored::Refused(reason), now);
        };
        let last = |n: usize| {
            let last = refusals.last(&kit.key(&format!("/{n}")));
            last.map(|last| last.reason)
        };
        note(0, RefuseReason::NoStore);
        note(0, RefuseReason::Private);
        assert_eq!(last(0), Some(NotStored::Refused(RefuseReason::Private)));
        for n in 1..MAX {
            note(n, RefuseReason::NoStore);
        }
        // The first note of key 0 has gone, the second has not.
        assert!(last(0).is_some());
        assert_eq!(refusals.counts(), (MAX as u64, 0));
        note(MAX, RefuseReason::NoStore);
        assert_eq!(last(0), None);
        assert!(last(1).is_some());
        assert_eq!(refusals.counts(), (MAX as u64, 1));
    }

    #[test]
    fn what_is_stored_later_supersedes_a_refusal_until_the_next_one() {
        let kit = kit();
        let refusals = Refusals::new(MAX, &tables());
        let key = kit.key("/a");
        let reason = NotStored::Refused(RefuseReason::Private);
        let now = kit.clock.now();
        refusals.supersede(&key, now);
        assert_eq!(refusals.last(&key), None);
        refusals.note(&key, reason, now);
        let later = now + std::time::Duration::from_secs(1);
        refusals.supersede(&key, later);
        refusals.supersede(&key, later + std::time::Duration::from_secs(1));
        let last = refusals.last(&key).expect("a refusal");
        assert_eq!((last.at, last.superseded), (now, Some(later)));
        refusals.note(&key, reason, later);
        assert_eq!(refusals.last(&key).and_then(|last| last.superseded), None);
    }

    #[test]
    fn none_are_remembered_where_none_may_be() {
        let kit = kit();
        let refusals = Refusals::new(0, &tables());
        let reason = NotStored::Refused(RefuseReason::Private);
        refusals.note(&kit.key("/a"), reason, kit.clock.now());
        assert_eq!(refusals.last(&kit.key("/a")), None);
    }
}
