//! The store in memory: one shelf for small entries, one for large ones.
//!
//! All variants of a key stand on one side. Each side has a budget, and takes
//! what the other does not use: as long as there is memory nothing goes, and
//! then it goes from the side that is furthest above its budget. The ledger
//! says when: it counts fills and responses that are still being read, too, so
//! the shelves have no limits of their own. Which entry of a side goes is the
//! [`Shelf`]'s to say. Nothing expires here: what is stale may be validated.

use std::sync::Arc;

use http::HeaderMap;
use parking_lot::Mutex;

use super::evictions::{Evictions, SiteEvictions};
use super::shelf::{Shelf, ShelfLayout};
use super::variants::{VariantHint, Variants};
use super::{Selection, Store, StoreCursor, StoreUsage};
use crate::key::{Key, KeyHasher};
use crate::response::StoredResponse;

/// Locks by which writers of one key exclude each other; a power of two.
const WRITE_LOCKS: usize = 256;

/// Percent of their bytes that small entries on probation may take.
const SMALL_PROBATION: u8 = 10;

/// The same for large ones: of those there are few, and one that was just
/// stored should not be the next to go.
const LARGE_PROBATION: u8 = 30;

/// Bytes of small entries for each shard: so many that the order of entries
/// within a shard says something.
const SMALL_SHARD_BYTES: u64 = 4 * 1024 * 1024;

/// Most shards of the small side.
const SMALL_SHARDS_MAX: u64 = 256;

/// The same for large entries, which are touched far less often.
const LARGE_SHARD_BYTES: u64 = 1024 * 1024 * 1024;

/// Most shards of the large side.
const LARGE_SHARDS_MAX: u64 = 16;

/// A walk's place: the shard, small ones first, above so many bits for the
/// place within it.
const SHARD_SHIFT: u32 = 32;

/// How memory is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemorySettings {
    /// Bytes that small entries keep even if large ones want them.
    pub small_bytes: u64,
    /// Bytes that large entries keep even if small ones want them.
    pub large_bytes: u64,
    /// Entries up to this many bytes, all variants together, are small.
    pub small_entry: u64,
    /// Bytes that all variants of one key may take together.
    pub key_bytes: u64,
}

/// See the module.
pub struct MemoryStore {
    settings: MemorySettings,
    hasher: KeyHasher,
    small: Shelf,
    large: Shelf,
    locks: Box<[Mutex<()>]>,
    evictions: Evictions,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(settings: MemorySettings, hasher: KeyHasher) -> Self {
        // Either side may take all of the memory.
        let bytes = settings.small_bytes.saturating_add(settings.large_bytes);
        let shelf = |shard_bytes: u64, shards_max: u64, probation| {
            let shards = (bytes / shard_bytes).clamp(1, shards_max);
            Shelf::new(ShelfLayout {
                shards: usize::try_from(shards).unwrap_or(1),
                probation,
            })
        };
        Self {
            settings,
            hasher,
            small: shelf(SMALL_SHARD_BYTES, SMALL_SHARDS_MAX, SMALL_PROBATION),
            large: shelf(LARGE_SHARD_BYTES, LARGE_SHARDS_MAX, LARGE_PROBATION),
            locks: (0..WRITE_LOCKS).map(|_| Mutex::new(())).collect(),
            evictions: Evictions::default(),
        }
    }

    fn lock(&self, key: &Key) -> &Mutex<()> {
        &self.locks[(key.hash_value() >> 40) as usize % WRITE_LOCKS]
    }

    /// What `look` says of what is stored under `key`, on either side; no use.
    fn look<R>(&self, key: &Key, look: impl Fn(&Variants) -> R) -> Option<R> {
        let found = self.small.peek(key, &look);
        found.or_else(|| self.large.peek(key, &look))
    }

    /// Puts `variants` on the side where they belong, and removes what the other has.
    fn replace(&self, key: &Key, variants: Variants) {
        if variants.bytes() <= self.settings.small_entry {
            self.small.insert(key, variants);
            self.large.remove(key);
        } else {
            self.large.insert(key, variants);
            self.small.remove(key);
        }
    }

    fn remove_locked(&self, key: &Key) {
        self.small.remove(key);
        self.large.remove(key);
    }

    /// The side that is furthest above its budget, in proportion, and the other.
    fn sides(&self) -> (&Shelf, &Shelf) {
        let MemorySettings {
            small_bytes,
            large_bytes,
            ..
        } = self.settings;
        let small = u128::from(self.small.bytes()) * u128::from(large_bytes);
        let large = u128::from(self.large.bytes()) * u128::from(small_bytes);
        if small >= large {
            (&self.small, &self.large)
        } else {
            (&self.large, &self.small)
        }
    }
}

impl Store for MemoryStore {
    fn select(&self, key: &Key, request: &HeaderMap) -> Selection {
        let found = self.small.select(key, request);
        found
            .or_else(|| self.large.select(key, request))
            .unwrap_or(Selection::UriMiss)
    }

    fn peek(&self, key: &Key, request: &HeaderMap) -> Selection {
        self.look(key, |variants| variants.select(request))
            .unwrap_or(Selection::UriMiss)
    }

    fn variants(&self, key: &Key) -> Vec<Arc<StoredResponse>> {
        self.look(key, Variants::all).unwrap_or_default()
    }

    fn hint(&self, key: &Key, request: &HeaderMap) -> VariantHint {
        self.look(key, |variants| variants.hint(&self.hasher, request))
            .unwrap_or(VariantHint::UNKNOWN)
    }

    fn insert(
        &self,
        key: &Key,
        response: &Arc<StoredResponse>,
        is_allowed: &dyn Fn() -> bool,
    ) -> bool {
        let _locked = self.lock(key).lock();
        if !is_allowed() {
            return false;
        }
        let with = |others: Option<&Variants>| {
            Variants::with(others, key, response, self.settings.key_bytes)
        };
        let variants = self.look(key, |others| with(Some(others)));
        self.replace(key, variants.unwrap_or_else(|| with(None)));
        true
    }

    fn remove_response(&self, key: &Key, response: &Arc<StoredResponse>) {
        let _locked = self.lock(key).lock();
        let rest = self.look(key, |variants| {
            variants
                .contains(response)
                .then(|| variants.without(key, response))
        });
        match rest {
            None | Some(None) => {}
            Some(Some(Some(rest))) => self.replace(key, rest),
            Some(Some(None)) => self.remove_locked(key),
        }
    }

    fn remove(&self, key: &Key) {
        let _locked = self.lock(key).lock();
        self.remove_locked(key);
    }

    fn make_room(&self, bytes: u64) {
        let (first, second) = self.sides();
        let freed = first.evict(bytes, &self.evictions);
        if freed < bytes {
            second.evict(bytes - freed, &self.evictions);
        }
    }

    fn walk(&self, cursor: &mut StoreCursor, most: usize) -> Vec<(Key, Arc<StoredResponse>)> {
        let mut found = Vec::new();
        while found.len() < most && !cursor.is_at_end() {
            let shard = cursor.place >> SHARD_SHIFT;
            let from = cursor.place & ((1 << SHARD_SHIFT) - 1);
            let next = match shard.checked_sub(self.small.shards()) {
                None => self.small.walk(shard, from, most, &mut found),
                Some(shard) if shard < self.large.shards() => {
                    self.large.walk(shard, from, most, &mut found)
                }
                Some(_) => {
                    cursor.end();
                    break;
                }
            };
            cursor.place = match next {
                Some(next) => shard << SHARD_SHIFT | next,
                None => (shard + 1) << SHARD_SHIFT,
            };
        }
        found
    }

    fn evictions(&self) -> Vec<SiteEvictions> {
        self.evictions.all()
    }

    fn usage(&self) -> StoreUsage {
        let (small, large) = (&self.small, &self.large);
        StoreUsage {
            entries: small.entries().saturating_add(large.entries()),
            bytes: small.bytes().saturating_add(large.bytes()),
            evictions: small.evictions().saturating_add(large.evictions()),
        }
    }
}

#[cfg(test)]
mod pressure;
#[cfg(test)]
mod tests;
