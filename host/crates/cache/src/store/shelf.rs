//! Entries of one size class, and which of them has to go next (S3-FIFO).
//!
//! A new entry is on probation: it leaves first, unless it is used meanwhile,
//! which takes it among the kept ones. Those go in the order in which they
//! came, and each use spares an entry one round. Keys that left their
//! probation unused are remembered for a while; one that comes back is kept at
//! once. So requests that are made once pass through a small share of the
//! memory and leave the rest alone (Yang et al., "FIFO queues are all you need
//! for cache eviction", SOSP 2023).
//!
//! A use changes one counter under a read lock: no order is kept that a hit
//! would have to change. Entries go only when [`Shelf::evict`] is called, and
//! when it returns they are gone: how much memory there is, the ledger knows.

mod ghosts;
mod shard;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use http::HeaderMap;
use parking_lot::RwLock;
use smallvec::SmallVec;

use super::Selection;
use super::evictions::Evictions;
use super::variants::Variants;
use crate::key::Key;
use crate::response::StoredResponse;
use shard::Shard;

/// Most entries that are looked at under one lock in search of one to evict.
const LOOKS_MAX: usize = 64;

/// Entries that go in one step; they are dropped outside of the lock.
pub(super) type Evicted = SmallVec<[Variants; 8]>;

/// How a shelf is laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShelfLayout {
    /// Parts with a lock of their own; a power of two.
    pub(crate) shards: usize,
    /// Percent of the bytes that entries on probation may take before they go first.
    pub(crate) probation: u8,
}

/// See the module.
pub(crate) struct Shelf {
    shards: Box<[Guarded]>,
    /// The shard whose turn it is to give something up.
    turn: AtomicUsize,
    entries: AtomicU64,
    bytes: AtomicU64,
    evictions: AtomicU64,
}

/// A shard on cache lines of its own, so that cores do not disturb each other.
#[repr(align(128))]
struct Guarded {
    shard: RwLock<Shard>,
    /// Of the shard, readable without its lock.
    bytes: AtomicU64,
}

impl Shelf {
    pub(crate) fn new(layout: ShelfLayout) -> Self {
        let shards = layout.shards.next_power_of_two();
        Self {
            shards: (0..shards)
                .map(|_| Guarded {
                    shard: RwLock::new(Shard::new(layout.probation)),
                    bytes: AtomicU64::new(0),
                })
                .collect(),
            turn: AtomicUsize::new(0),
            entries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
        }
    }

    fn shard(&self, key: &Key) -> &Guarded {
        // The table of a shard goes by the low bits and the topmost seven.
        let index = (key.hash_value() >> 32) as usize & (self.shards.len() - 1);
        &self.shards[index]
    }

    /// What the request's fields select of the entry of `key`, if there is one;
    /// counts as a use.
    pub(crate) fn select(&self, key: &Key, request: &HeaderMap) -> Option<Selection> {
        // An empty shelf must not cost a miss anything.
        if self.entries.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let shard = self.shard(key).shard.read();
        shard.used(key).map(|variants| variants.select(request))
    }

    /// What `look` says of the entry of `key`, as if nobody had asked.
    pub(crate) fn peek<R>(&self, key: &Key, look: impl FnOnce(&Variants) -> R) -> Option<R> {
        if self.entries.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let shard = self.shard(key).shard.read();
        shard.found(key).map(look)
    }

    /// Puts an entry in place of what `key` has, which it keeps the standing of.
    pub(crate) fn insert(&self, key: &Key, variants: Variants) {
        let guarded = self.shard(key);
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.add(guarded, variants.bytes());
        let replaced = guarded.shard.write().insert(key, variants);
        self.count_removed(guarded, replaced.as_ref());
    }

    /// Removes what `key` has.
    pub(crate) fn remove(&self, key: &Key) {
        if self.entries.load(Ordering::Relaxed) == 0 {
            return;
        }
        let guarded = self.shard(key);
        let removed = guarded.shard.write().remove(key);
        self.count_removed(guarded, removed.as_ref());
    }

    /// Evicts entries worth `bytes`, or as many as there are, and notes whose they were.
    pub(super) fn evict(&self, bytes: u64, noted: &Evictions) -> u64 {
        let mut freed = 0_u64;
        // Twice around meets every shard that has an entry.
        let mut steps = self.shards.len().saturating_mul(2).max(LOOKS_MAX);
        while freed < bytes && steps > 0 && self.bytes() > 0 {
            steps -= 1;
            let guarded = self.next();
            let evicted = guarded.shard.write().evict(bytes - freed, LOOKS_MAX);
            for variants in &evicted {
                freed = freed.saturating_add(variants.bytes());
                self.count_removed(guarded, Some(variants));
                noted.note(variants.site(), variants.bytes());
            }
            self.evictions
                .fetch_add(evicted.len() as u64, Ordering::Relaxed);
            // Content is given back here, where nobody waits for the lock.
            drop(evicted);
        }
        freed
    }

    /// The fuller one of the two shards whose turn it is, so that all keep
    /// their entries for about as long.
    fn next(&self) -> &Guarded {
        let mask = self.shards.len() - 1;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (one, other) = (
            &self.shards[turn & mask],
            &self.shards[turn.wrapping_add(mask / 2 + 1) & mask],
        );
        if one.bytes.load(Ordering::Relaxed) >= other.bytes.load(Ordering::Relaxed) {
            one
        } else {
            other
        }
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Adds the responses of one shard to `found`, from the place `from` on,
    /// until there are `most`; the place to go on from, if there is more.
    pub(crate) fn walk(
        &self,
        shard: usize,
        from: usize,
        most: usize,
        found: &mut Vec<(Key, Arc<StoredResponse>)>,
    ) -> Option<usize> {
        let shard = self.shards.get(shard)?.shard.read();
        for (place, entry) in shard.entries().enumerate().skip(from) {
            if found.len() >= most {
                return Some(place);
            }
            if let Some((key, variants)) = entry {
                found.extend(variants.responses().map(|stored| (key.clone(), stored)));
            }
        }
        None
    }

    fn add(&self, guarded: &Guarded, bytes: u64) {
        guarded.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn count_removed(&self, guarded: &Guarded, removed: Option<&Variants>) {
        if let Some(variants) = removed {
            self.entries.fetch_sub(1, Ordering::Relaxed);
            guarded.bytes.fetch_sub(variants.bytes(), Ordering::Relaxed);
            self.bytes.fetch_sub(variants.bytes(), Ordering::Relaxed);
        }
    }

    pub(crate) fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }
}
