//! Why responses were lately not stored: the last reason for each key, so that
//! an operator's "why is this not cached" has an answer.
//!
//! Bounded, and off the hit path: whoever writes here has just asked an origin.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use parking_lot::Mutex;
use verge_http::Failure;

use crate::key::{Key, PrecomputedHash};
use crate::policy::RefuseReason;

/// Most keys of which the last refusal is remembered.
pub const REFUSALS_MAX: usize = 4_096;

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
}

/// See the module.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// With the number of its place in `order`; keys of one hash share a place.
    by_key: HashMap<u64, (u64, LastRefusal), PrecomputedHash>,
    order: VecDeque<(u64, u64)>,
    next: u64,
}

impl Refusals {
    pub(crate) fn note(&self, key: &Key, refusal: LastRefusal) {
        let hash = key.hash_value();
        let mut known = self.0.lock();
        let number = known.next;
        known.next += 1;
        known.by_key.insert(hash, (number, refusal));
        known.order.push_back((hash, number));
        while known.order.len() > REFUSALS_MAX {
            let Some((oldest, number)) = known.order.pop_front() else {
                break;
            };
            // It may have been noted again since.
            if known.by_key.get(&oldest).is_some_and(|(n, _)| *n == number) {
                known.by_key.remove(&oldest);
            }
        }
    }

    pub(crate) fn last(&self, key: &Key) -> Option<LastRefusal> {
        let known = self.0.lock();
        known.by_key.get(&key.hash_value()).map(|(_, last)| *last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::kit;

    #[test]
    fn the_last_reason_of_each_key_is_kept_and_the_oldest_goes() {
        let kit = kit();
        let refusals = Refusals::default();
        let refusal = |reason| LastRefusal {
            reason: NotStored::Refused(reason),
            at: kit.clock.now(),
        };
        let key = |n: usize| kit.key(&format!("/{n}"));
        refusals.note(&key(0), refusal(RefuseReason::NoStore));
        refusals.note(&key(0), refusal(RefuseReason::Private));
        let last = refusals.last(&key(0));
        assert_eq!(last, Some(refusal(RefuseReason::Private)));
        for n in 1..REFUSALS_MAX {
            refusals.note(&key(n), refusal(RefuseReason::NoStore));
        }
        // The first note of key 0 has gone, the second has not.
        assert!(refusals.last(&key(0)).is_some());
        refusals.note(&key(REFUSALS_MAX), refusal(RefuseReason::NoStore));
        assert_eq!(refusals.last(&key(0)), None);
        assert!(refusals.last(&key(1)).is_some());
        assert_eq!(refusals.0.lock().by_key.len(), REFUSALS_MAX);
    }
}
