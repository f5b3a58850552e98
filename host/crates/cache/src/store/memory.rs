//! The store in memory: small entries by frequency, large ones by recency.
//!
//! Small entries live in moka, whose admission keeps what is asked for often;
//! it would starve large entries and weighs in 32 bits, so those live in a
//! [`RecencyMap`]. All variants of a key stand on one side. moka evicts late:
//! that is why its bytes are not what bounds memory, the ledger is, and why
//! an entry's responses are dropped by the eviction listener and do not wait
//! for moka to free the entry. Expiry is not moka's: the clock is ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use http::HeaderMap;
use moka::notification::RemovalCause;
use parking_lot::Mutex;

use super::recency::RecencyMap;
use super::variants::{VariantHint, Variants};
use super::{Selection, Store, StoreCursor, StoreUsage};
use crate::key::{Key, KeyHasher, PrecomputedHash};
use crate::response::StoredResponse;

/// Locks by which writers of one key exclude each other; a power of two.
const WRITE_LOCKS: usize = 256;

/// What moka and the slot cost for each entry, beside what it holds.
const ENTRY_OVERHEAD: u64 = 256;

/// Most large entries that are evicted in one go.
const EVICTIONS_MAX: usize = 64;

/// How memory is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemorySettings {
    /// Bytes that small entries may take at most.
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
    small: moka::sync::Cache<Key, Arc<Slot>, PrecomputedHash>,
    large: RecencyMap,
    usage: Arc<SmallUsage>,
    evicted_large: AtomicU64,
    locks: Box<[Mutex<()>]>,
}

/// What moka holds: it can be emptied although moka still refers to it.
struct Slot {
    variants: ArcSwapOption<Variants>,
    /// For moka, which weighs in 32 bits.
    weight: u32,
}

#[derive(Default)]
struct SmallUsage {
    entries: AtomicU64,
    bytes: AtomicU64,
    evictions: AtomicU64,
}

impl Slot {
    fn new(variants: Variants, usage: &SmallUsage) -> Self {
        let bytes = variants.bytes().saturating_add(ENTRY_OVERHEAD);
        usage.entries.fetch_add(1, Ordering::Relaxed);
        usage.bytes.fetch_add(variants.bytes(), Ordering::Relaxed);
        Self {
            variants: ArcSwapOption::from_pointee(variants),
            weight: u32::try_from(bytes).unwrap_or(u32::MAX),
        }
    }

    /// Drops what it holds, however long moka keeps the slot itself.
    fn clear(&self, usage: &SmallUsage) {
        if let Some(variants) = self.variants.swap(None) {
            usage.entries.fetch_sub(1, Ordering::Relaxed);
            usage.bytes.fetch_sub(variants.bytes(), Ordering::Relaxed);
        }
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(settings: MemorySettings, hasher: KeyHasher) -> Self {
        let usage = Arc::new(SmallUsage::default());
        let listener = {
            let usage = Arc::clone(&usage);
            move |_key: Arc<Key>, slot: Arc<Slot>, cause: RemovalCause| {
                if cause == RemovalCause::Size {
                    usage.evictions.fetch_add(1, Ordering::Relaxed);
                }
                slot.clear(&usage);
            }
        };
        let small = moka::sync::Cache::builder()
            .name("verge-small")
            .max_capacity(settings.small_bytes)
            .weigher(|_key, slot: &Arc<Slot>| slot.weight)
            .eviction_listener(listener)
            .build_with_hasher(PrecomputedHash);
        Self {
            settings,
            hasher,
            small,
            large: RecencyMap::new(),
            usage,
            evicted_large: AtomicU64::new(0),
            locks: (0..WRITE_LOCKS).map(|_| Mutex::new(())).collect(),
        }
    }

    fn lock(&self, key: &Key) -> &Mutex<()> {
        &self.locks[(key.hash_value() >> 32) as usize % WRITE_LOCKS]
    }

    /// What is stored under `key`, on either side.
    fn variants(&self, key: &Key) -> Option<Arc<Variants>> {
        // `contains_key` does not count as a use: a request that misses would
        // count several times, and make its key look popular.
        if self.small.contains_key(key)
            && let Some(slot) = self.small.get(key)
            && let Some(variants) = slot.variants.load_full()
        {
            return Some(variants);
        }
        self.large.peek(key)
    }

    /// Puts `variants` on the side where they belong, and removes what the other has.
    fn replace(&self, key: &Key, variants: Variants) {
        if variants.bytes() <= self.settings.small_entry {
            let slot = Arc::new(Slot::new(variants, &self.usage));
            self.small.insert(key.clone(), slot);
            self.large.remove(key);
        } else {
            self.large.insert(key, Arc::new(variants));
            self.small.invalidate(key);
        }
    }

    fn remove_locked(&self, key: &Key) {
        self.small.invalidate(key);
        self.large.remove(key);
    }

    /// Evicts large entries worth `bytes`, but not below `floor`.
    fn evict_large(&self, bytes: u64, floor: u64) -> u64 {
        let mut freed = 0_u64;
        for _ in 0..EVICTIONS_MAX {
            if freed >= bytes || self.large.bytes() <= floor {
                break;
            }
            let Some(evicted) = self.large.evict() else {
                break;
            };
            freed = freed.saturating_add(evicted.bytes());
            self.evicted_large.fetch_add(1, Ordering::Relaxed);
        }
        freed
    }
}

impl Store for MemoryStore {
    fn select(&self, key: &Key, request: &HeaderMap) -> Selection {
        // A slot that is empty was evicted, or replaced since we have it: the
        // second look finds what replaced it.
        for _ in 0..2 {
            let Some(slot) = self.small.get(key) else {
                break;
            };
            if let Some(variants) = &*slot.variants.load() {
                return variants.select(request);
            }
        }
        match self.large.touch(key) {
            Some(variants) => variants.select(request),
            None => Selection::UriMiss,
        }
    }

    fn peek(&self, key: &Key, request: &HeaderMap) -> Selection {
        self.variants(key)
            .map_or(Selection::UriMiss, |variants| variants.select(request))
    }

    fn variants(&self, key: &Key) -> Vec<Arc<StoredResponse>> {
        Self::variants(self, key).map_or_else(Vec::new, |variants| variants.all())
    }

    fn hint(&self, key: &Key, request: &HeaderMap) -> VariantHint {
        self.variants(key).map_or(VariantHint::UNKNOWN, |variants| {
            variants.hint(&self.hasher, request)
        })
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
        let others = self.variants(key);
        let variants = Variants::with(others.as_deref(), key, response, self.settings.key_bytes);
        self.replace(key, variants);
        true
    }

    fn remove_response(&self, key: &Key, response: &Arc<StoredResponse>) {
        let _locked = self.lock(key).lock();
        let Some(variants) = self.variants(key) else {
            return;
        };
        if !variants.contains(response) {
            return;
        }
        match variants.without(key, response) {
            Some(rest) => self.replace(key, rest),
            None => self.remove_locked(key),
        }
    }

    fn remove(&self, key: &Key) {
        let _locked = self.lock(key).lock();
        self.remove_locked(key);
    }

    fn make_room(&self, bytes: u64) {
        // Large entries first give back what they took of the small ones' share.
        let freed = self.evict_large(bytes, self.settings.large_bytes);
        if freed >= bytes {
            return;
        }
        let small_before = self.usage.bytes.load(Ordering::Relaxed);
        // What moka has evicted in its mind only, it evicts now.
        self.small.run_pending_tasks();
        let small_after = self.usage.bytes.load(Ordering::Relaxed);
        let freed = freed.saturating_add(small_before.saturating_sub(small_after));
        if freed < bytes {
            self.evict_large(bytes - freed, 0);
        }
    }

    fn walk(&self, cursor: &mut StoreCursor, _most: usize) -> Vec<(Key, Arc<StoredResponse>)> {
        cursor.end();
        let slots = self.small.iter();
        slots
            .filter_map(|(key, slot)| slot.variants.load_full().map(|all| (key, all)))
            .flat_map(|(key, all)| {
                all.responses()
                    .map(|r| (Key::clone(&key), r))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    fn usage(&self) -> StoreUsage {
        StoreUsage {
            entries: self
                .usage
                .entries
                .load(Ordering::Relaxed)
                .saturating_add(self.large.entries()),
            bytes: self
                .usage
                .bytes
                .load(Ordering::Relaxed)
                .saturating_add(self.large.bytes()),
            evictions: self
                .usage
                .evictions
                .load(Ordering::Relaxed)
                .saturating_add(self.evicted_large.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests;
