//! The purge sequence: what was purged, and when, in constant time.
//!
//! A purge takes the next number of one sequence; a stored response carries
//! the number that was seen when its origin request was sent. It is purged if
//! its URI was purged under a later number. A lookup compares one number as
//! long as nothing was purged, and looks at the records only when the sequence
//! has moved. So a response that was on its way when its URI was purged can
//! never come back into the store.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::key::{Key, PrecomputedHash};

/// Most URIs whose purges are remembered one by one. What was sent before an
/// older purge, and cannot be told apart from what it purged, counts as purged.
pub(crate) const PURGE_RECORDS_MAX: usize = 65_536;

/// See the module.
pub(crate) struct Purges {
    /// The number of the last purge; 0 before the first.
    sequence: AtomicU64,
    records: RwLock<Records>,
    records_max: usize,
}

#[derive(Default)]
struct Records {
    /// The number of the last purge of a URI, by the URI's keyed hash. Two URIs
    /// of one hash purge each other, which costs a fetch and nothing else.
    uris: HashMap<u64, u64, PrecomputedHash>,
    /// The same in order, so that the oldest can be forgotten.
    order: VecDeque<(u64, u64)>,
    /// The number of the last purge that was forgotten.
    floor: u64,
}

/// Whether a response has been purged since its request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purged {
    No,
    Yes,
}

impl Purges {
    pub(crate) fn new() -> Self {
        Self::with_records_max(PURGE_RECORDS_MAX)
    }

    fn with_records_max(records_max: usize) -> Self {
        Self {
            sequence: AtomicU64::new(0),
            records: RwLock::new(Records::default()),
            records_max,
        }
    }

    /// The number of the last purge.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// Purges all that was or is being fetched for the URI of `key`, and
    /// returns the purge's number.
    pub(crate) fn purge_uri(&self, key: &Key) -> u64 {
        let uri = key.uri_hash();
        let mut records = self.records.write();
        let number = self.sequence.load(Ordering::Relaxed).saturating_add(1);
        records.uris.insert(uri, number);
        records.order.push_back((uri, number));
        while records.order.len() > self.records_max {
            let Some((oldest, purged)) = records.order.pop_front() else {
                break;
            };
            if records.uris.get(&oldest) == Some(&purged) {
                records.uris.remove(&oldest);
                records.floor = records.floor.max(purged);
            }
        }
        // Published after the record stands: whoever sees the number finds the record.
        self.sequence.store(number, Ordering::Release);
        number
    }

    /// Whether a stored response that was sent for at `sent` is purged. What a
    /// forgotten purge removed from the store itself need not be considered,
    /// that is all but keys with declared parts.
    pub(crate) fn decide_stored(&self, key: &Key, sent: u64) -> Purged {
        self.decide(key, sent, key.has_parts())
    }

    /// Whether a response on its way that was sent for at `sent` is purged.
    pub(crate) fn decide_arriving(&self, key: &Key, sent: u64) -> Purged {
        if sent == self.sequence() {
            return Purged::No;
        }
        self.decide(key, sent, true)
    }

    fn decide(&self, key: &Key, sent: u64, considers_forgotten: bool) -> Purged {
        let records = self.records.read();
        let is_purged = records
            .uris
            .get(&key.uri_hash())
            .is_some_and(|purged| *purged > sent);
        if is_purged || (considers_forgotten && records.floor > sent) {
            Purged::Yes
        } else {
            Purged::No
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyHasher, KeyPart, Target};

    fn key(hasher: &KeyHasher, path: &str, parts: &[KeyPart<'_>]) -> Key {
        let target = Target {
            scheme: verge_http::Scheme::Https,
            authority: "a.example",
            path,
            query: None,
        };
        Key::new(hasher, target, parts)
    }

    #[test]
    fn what_was_sent_for_before_a_purge_is_purged() {
        let hasher = KeyHasher::new();
        let (purged, other) = (key(&hasher, "/a", &[]), key(&hasher, "/b", &[]));
        let purges = Purges::new();
        let sent = purges.sequence();
        assert_eq!(purges.decide_arriving(&purged, sent), Purged::No);
        purges.purge_uri(&purged);
        assert_eq!(purges.decide_arriving(&purged, sent), Purged::Yes);
        assert_eq!(purges.decide_stored(&purged, sent), Purged::Yes);
        assert_eq!(purges.decide_arriving(&other, sent), Purged::No);
        assert_eq!(
            purges.decide_arriving(&purged, purges.sequence()),
            Purged::No
        );
    }

    #[test]
    fn keys_with_parts_are_purged_with_their_uri() {
        let hasher = KeyHasher::new();
        let part = KeyPart {
            name: "user",
            value: b"7",
        };
        let parted = key(&hasher, "/a", &[part]);
        let purges = Purges::new();
        purges.purge_uri(&key(&hasher, "/a", &[]));
        assert_eq!(purges.decide_stored(&parted, 0), Purged::Yes);
    }

    #[test]
    fn a_forgotten_purge_still_holds_for_what_it_could_not_remove() {
        let hasher = KeyHasher::new();
        let part = KeyPart {
            name: "user",
            value: b"7",
        };
        let (plain, parted) = (key(&hasher, "/a", &[]), key(&hasher, "/a", &[part]));
        let purges = Purges::with_records_max(2);
        purges.purge_uri(&plain);
        for path in ["/b", "/c"] {
            purges.purge_uri(&key(&hasher, path, &[]));
        }
        assert_eq!(purges.decide_stored(&parted, 0), Purged::Yes);
        assert_eq!(purges.decide_arriving(&plain, 0), Purged::Yes);
        // The purge took this one out of the store, so what is there came later.
        assert_eq!(purges.decide_stored(&plain, 0), Purged::No);
        assert_eq!(purges.decide_stored(&parted, 1), Purged::No);
    }
}
