//! Large entries, of which those used longest ago go first.
//!
//! Sharded: a touch takes the lock of one shard for tens of nanoseconds, and
//! what it finds is at least tens of kilobytes to send. Each shard publishes
//! when its oldest entry was last used, so the oldest of all is found without
//! locking more than one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::variants::Variants;
use crate::key::{Key, PrecomputedHash};

/// Shards of the map; a power of two.
const SHARDS: usize = 16;

/// The tick of a shard that is empty.
const NEVER: u64 = u64::MAX;

/// A map that knows which of its entries was used longest ago.
pub(crate) struct RecencyMap {
    shards: [Shard; SHARDS],
    /// Counts uses; an entry's last tick tells when it was used.
    ticks: AtomicU64,
    entries: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Default)]
struct Shard {
    list: Mutex<RecencyList>,
    /// The last tick of the list's tail.
    oldest: OldestTick,
}

struct OldestTick(AtomicU64);

impl Default for OldestTick {
    fn default() -> Self {
        Self(AtomicU64::new(NEVER))
    }
}

/// A doubly linked list over a slab, the one used last in front.
#[derive(Default)]
struct RecencyList {
    places: HashMap<Key, usize, PrecomputedHash>,
    nodes: Vec<Node>,
    free: Vec<usize>,
    head: Option<usize>,
    tail: Option<usize>,
}

struct Node {
    /// `None` while the place is free.
    entry: Option<(Key, Arc<Variants>)>,
    tick: u64,
    before: Option<usize>,
    after: Option<usize>,
}

impl RecencyMap {
    pub(crate) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Shard::default()),
            ticks: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    fn shard(&self, key: &Key) -> &Shard {
        // The low bits choose the place inside of a shard's map.
        let index = (key.hash_value() >> 48) as usize % SHARDS;
        &self.shards[index]
    }

    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::Relaxed)
    }

    /// The entry of `key`, which becomes the one used last.
    pub(crate) fn touch(&self, key: &Key) -> Option<Arc<Variants>> {
        // Most keys are small: an empty map must not cost a miss anything.
        if self.entries.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let shard = self.shard(key);
        let mut list = shard.list.lock();
        let place = *list.places.get(key)?;
        list.unlink(place);
        list.link_front(place, self.tick());
        shard.publish(&list);
        list.variants(place)
    }

    /// The entry of `key`, as if nobody had asked.
    pub(crate) fn peek(&self, key: &Key) -> Option<Arc<Variants>> {
        if self.entries.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let list = self.shard(key).list.lock();
        let place = *list.places.get(key)?;
        list.variants(place)
    }

    /// Puts an entry in place of what `key` has.
    pub(crate) fn insert(&self, key: &Key, variants: Arc<Variants>) {
        let added = variants.bytes();
        let shard = self.shard(key);
        let replaced = {
            let mut list = shard.list.lock();
            let replaced = list.remove(key);
            list.push_front(key.clone(), variants, self.tick());
            shard.publish(&list);
            replaced
        };
        self.count_removed(replaced.as_ref());
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(added, Ordering::Relaxed);
    }

    /// Removes what `key` has.
    pub(crate) fn remove(&self, key: &Key) -> Option<Arc<Variants>> {
        if self.entries.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let shard = self.shard(key);
        let removed = {
            let mut list = shard.list.lock();
            let removed = list.remove(key);
            shard.publish(&list);
            removed
        };
        self.count_removed(removed.as_ref());
        removed
    }

    /// Removes the entry used longest ago.
    pub(crate) fn evict(&self) -> Option<Arc<Variants>> {
        let shard = self
            .shards
            .iter()
            .min_by_key(|shard| shard.oldest.0.load(Ordering::Relaxed))?;
        let evicted = {
            let mut list = shard.list.lock();
            let evicted = list.pop_back();
            shard.publish(&list);
            evicted
        };
        self.count_removed(evicted.as_ref());
        evicted
    }

    fn count_removed(&self, removed: Option<&Arc<Variants>>) {
        if let Some(variants) = removed {
            self.entries.fetch_sub(1, Ordering::Relaxed);
            self.bytes.fetch_sub(variants.bytes(), Ordering::Relaxed);
        }
    }

    pub(crate) fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Shard {
    fn publish(&self, list: &RecencyList) {
        let oldest = list
            .tail
            .and_then(|tail| list.nodes.get(tail))
            .map_or(NEVER, |node| node.tick);
        self.oldest.0.store(oldest, Ordering::Relaxed);
    }
}

impl RecencyList {
    fn variants(&self, place: usize) -> Option<Arc<Variants>> {
        let (_, variants) = self.nodes.get(place)?.entry.as_ref()?;
        Some(Arc::clone(variants))
    }

    fn push_front(&mut self, key: Key, variants: Arc<Variants>, tick: u64) {
        let node = Node {
            entry: Some((key.clone(), variants)),
            tick,
            before: None,
            after: None,
        };
        let place = match self.free.pop() {
            Some(place) => {
                self.nodes[place] = node;
                place
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        };
        self.places.insert(key, place);
        self.link_front(place, tick);
    }

    fn remove(&mut self, key: &Key) -> Option<Arc<Variants>> {
        let place = self.places.remove(key)?;
        self.unlink(place);
        self.free.push(place);
        let (_, variants) = self.nodes.get_mut(place)?.entry.take()?;
        Some(variants)
    }

    fn pop_back(&mut self) -> Option<Arc<Variants>> {
        let (key, _) = self.nodes.get(self.tail?)?.entry.as_ref()?;
        let key = key.clone();
        self.remove(&key)
    }

    /// Takes the node at `place` out of the order.
    fn unlink(&mut self, place: usize) {
        let (before, after) = (self.nodes[place].before, self.nodes[place].after);
        match before {
            Some(before) => self.nodes[before].after = after,
            None => self.head = after,
        }
        match after {
            Some(after) => self.nodes[after].before = before,
            None => self.tail = before,
        }
    }

    /// Puts the node at `place`, which is in no order, in front.
    fn link_front(&mut self, place: usize, tick: u64) {
        let head = self.head.replace(place);
        let node = &mut self.nodes[place];
        node.tick = tick;
        node.before = None;
        node.after = head;
        match head {
            Some(head) => self.nodes[head].before = Some(place),
            None => self.tail = Some(place),
        }
    }
}
