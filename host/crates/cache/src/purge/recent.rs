//! What was purged of late, as a hit asks: without a lock, and without going through the records.
//!
//! Each purge of a URI or a surrogate key leaves its number in one of a fixed number of places,
//! by the hash of its scope; all others leave theirs in one place together. A response whose
//! places hold nothing newer than what it was looked at for is concerned by no purge since; one
//! whose places do may be, and the records tell. Hashes that share a place cost a look at them.

use std::sync::atomic::{AtomicU64, Ordering};

use super::records::Subject;
use super::scope::ScopeKind;

/// Places, a power of two: 128 KiB in all.
const PLACES: usize = 16 * 1024;

/// See the module.
pub(super) struct Recent {
    places: Box<[AtomicU64]>,
    /// The last purge of any other scope.
    others: AtomicU64,
}

impl Recent {
    pub(super) fn new() -> Self {
        Self {
            places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
            others: AtomicU64::new(0),
        }
    }

    /// Purge `number` is about this scope. Noted before the number is published.
    pub(super) fn note(&self, kind: ScopeKind, hash: u64, number: u64) {
        let place = match kind {
            ScopeKind::Uri | ScopeKind::SurrogateKey => self.place(hash),
            ScopeKind::Prefix
            | ScopeKind::Group
            | ScopeKind::Site
            | ScopeKind::SiteKey
            | ScopeKind::Function
            | ScopeKind::Everything => None,
        };
        place
            .unwrap_or(&self.others)
            .fetch_max(number, Ordering::Release);
    }

    /// Purges up to `number` may be about anything.
    pub(super) fn note_all(&self, number: u64) {
        self.others.fetch_max(number, Ordering::Release);
    }

    /// Whether a purge later than `seen` may concern `subject`, which has a head.
    pub(super) fn may_concern(&self, subject: Subject<'_>, seen: u64) -> bool {
        let is_newer = |place: &AtomicU64| place.load(Ordering::Acquire) > seen;
        let is_noted = |hash| self.place(hash).is_none_or(is_newer);
        let Some(head) = subject.head else {
            return true;
        };
        is_newer(&self.others)
            || is_noted(subject.key.uri_hash())
            || head
                .surrogate_keys()
                .iter()
                .any(|key| is_noted(key.hash_value()))
    }

    fn place(&self, hash: u64) -> Option<&AtomicU64> {
        // The upper bits: tables go by the lower ones.
        self.places.get((hash >> 40) as usize % PLACES)
    }
}
