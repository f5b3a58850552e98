//! A part of a shelf: a table over a slab, and two queues through the slab.
//! No locks here: whoever has a shard has it for itself.

use std::sync::atomic::{AtomicU8, Ordering};

use hashbrown::HashTable;

use super::Evicted;
use super::ghosts::Ghosts;
use crate::key::Key;
use crate::store::variants::Variants;

/// The place after the last and before the first.
const NOWHERE: u32 = u32::MAX;

/// Uses that count: so many rounds an entry is spared at most.
const USES_MAX: u8 = 3;

/// Places of a shard that is not made smaller.
const SHRINK_MIN: usize = 256;

/// Fewest keys that are remembered, however few entries there are.
const GHOSTS_MIN: usize = 64;

/// See the module.
pub(super) struct Shard {
    table: HashTable<u32>,
    nodes: Vec<Node>,
    free: Vec<u32>,
    probation: Queue,
    kept: Queue,
    ghosts: Ghosts,
    /// Percent of the bytes for those on probation.
    share: u8,
}

struct Node {
    /// `None` while the place is free.
    entry: Option<Entry>,
    uses: AtomicU8,
    is_kept: bool,
    before: u32,
    after: u32,
}

struct Entry {
    key: Key,
    variants: Variants,
}

/// A doubly linked list through the nodes; the head came last.
struct Queue {
    head: u32,
    tail: u32,
    bytes: u64,
}

impl Queue {
    const EMPTY: Self = Self {
        head: NOWHERE,
        tail: NOWHERE,
        bytes: 0,
    };
}

impl Node {
    fn bytes(&self) -> u64 {
        self.entry
            .as_ref()
            .map_or(0, |entry| entry.variants.bytes())
    }
}

impl Shard {
    pub(super) fn new(share: u8) -> Self {
        Self {
            table: HashTable::new(),
            nodes: Vec::new(),
            free: Vec::new(),
            probation: Queue::EMPTY,
            kept: Queue::EMPTY,
            ghosts: Ghosts::default(),
            share,
        }
    }

    fn node(&self, key: &Key) -> Option<&Node> {
        let place = *self
            .table
            .find(key.hash_value(), |place| self.is_at(*place, key))?;
        self.nodes.get(place as usize)
    }

    fn is_at(&self, place: u32, key: &Key) -> bool {
        let node = self.nodes.get(place as usize);
        node.and_then(|node| node.entry.as_ref())
            .is_some_and(|entry| entry.key == *key)
    }

    /// The entry of `key`, as if nobody had asked.
    pub(super) fn found(&self, key: &Key) -> Option<&Variants> {
        Some(&self.node(key)?.entry.as_ref()?.variants)
    }

    /// The entry of `key`, which is used by that.
    pub(super) fn used(&self, key: &Key) -> Option<&Variants> {
        let node = self.node(key)?;
        // Most uses of what is used often change nothing, and so do not take the
        // cache line from other cores. Uses that meet here count as one.
        let uses = node.uses.load(Ordering::Relaxed);
        if uses < USES_MAX {
            node.uses.store(uses + 1, Ordering::Relaxed);
        }
        Some(&node.entry.as_ref()?.variants)
    }

    /// Every place, with what is there.
    pub(super) fn entries(&self) -> impl Iterator<Item = Option<(&Key, &Variants)>> {
        self.nodes.iter().map(|node| {
            let entry = node.entry.as_ref()?;
            Some((&entry.key, &entry.variants))
        })
    }

    /// Puts an entry in place of what `key` has, which is returned.
    pub(super) fn insert(&mut self, key: &Key, variants: Variants) -> Option<Variants> {
        let hash = key.hash_value();
        let found = self.table.find(hash, |place| self.is_at(*place, key));
        if let Some(place) = found.copied() {
            return self.replace(place, variants);
        }
        let is_kept = self.ghosts.take(hash);
        self.link_new(Node {
            entry: Some(Entry {
                key: key.clone(),
                variants,
            }),
            uses: AtomicU8::new(0),
            is_kept,
            before: NOWHERE,
            after: NOWHERE,
        });
        None
    }

    fn replace(&mut self, place: u32, variants: Variants) -> Option<Variants> {
        let node = self.nodes.get_mut(place as usize)?;
        let queue = if node.is_kept {
            &mut self.kept
        } else {
            &mut self.probation
        };
        queue.bytes = queue
            .bytes
            .saturating_sub(node.bytes())
            .saturating_add(variants.bytes());
        let entry = node.entry.as_mut()?;
        Some(std::mem::replace(&mut entry.variants, variants))
    }

    /// A place for `node`.
    fn place(&mut self, node: Node) -> u32 {
        match self.free.pop() {
            Some(place) => {
                self.nodes[place as usize] = node;
                place
            }
            None => {
                self.nodes.push(node);
                // Four thousand million entries are more than fit into memory.
                u32::try_from(self.nodes.len() - 1).unwrap_or(NOWHERE)
            }
        }
    }

    /// Removes what `key` has.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Variants> {
        let hash = key.hash_value();
        let nodes = &self.nodes;
        let found = self.table.find_entry(hash, |place| {
            let entry = nodes
                .get(*place as usize)
                .and_then(|node| node.entry.as_ref());
            entry.is_some_and(|entry| entry.key == *key)
        });
        let (place, _) = found.ok()?.remove();
        let removed = self.take(place)?.variants;
        self.shrink();
        Some(removed)
    }

    /// Evicts entries worth `bytes`, or those that it finds in `looks` looks:
    /// at least one, if there is any.
    pub(super) fn evict(&mut self, bytes: u64, looks: usize) -> Evicted {
        let mut evicted = Evicted::new();
        let mut freed = 0_u64;
        for look in 1..=looks {
            if freed >= bytes {
                break;
            }
            let from_probation = self.kept.tail == NOWHERE || self.is_probation_full();
            let place = if from_probation {
                self.probation.tail
            } else {
                self.kept.tail
            };
            if place == NOWHERE {
                break;
            }
            // Where all are used often, one goes all the same: nobody waits
            // while a whole shard is gone through.
            let must_go = look == looks && evicted.is_empty();
            if !must_go && self.spare(place) {
                continue;
            }
            if let Some(variants) = self.drop_at(place, from_probation) {
                freed = freed.saturating_add(variants.bytes());
                evicted.push(variants);
            }
        }
        self.shrink();
        evicted
    }

    /// Gives back the places of entries that are gone, once they are most of all: larger entries
    /// took their memory, and each counts for its own place only.
    fn shrink(&mut self) {
        if self.nodes.len() < SHRINK_MIN || self.table.len() > self.nodes.len() / 4 {
            return;
        }
        let room = self.table.len() * 2;
        let mut nodes = std::mem::replace(&mut self.nodes, Vec::with_capacity(room));
        self.table = HashTable::with_capacity(room);
        self.free = Vec::new();
        self.ghosts.shrink();
        let tails = [self.probation.tail, self.kept.tail];
        (self.probation, self.kept) = (Queue::EMPTY, Queue::EMPTY);
        for tail in tails {
            let mut place = tail;
            // From the tail on: each is linked in front of those before.
            while let Some(node) = nodes.get_mut(place as usize) {
                place = node.before;
                let moved = Node {
                    entry: node.entry.take(),
                    uses: AtomicU8::new(*node.uses.get_mut()),
                    is_kept: node.is_kept,
                    before: NOWHERE,
                    after: NOWHERE,
                };
                self.link_new(moved);
            }
        }
    }

    /// Puts `node`, whose key is in no place, in front of its queue.
    fn link_new(&mut self, node: Node) {
        let hash = node
            .entry
            .as_ref()
            .map_or(0, |entry| entry.key.hash_value());
        let place = self.place(node);
        let nodes = &self.nodes;
        self.table
            .insert_unique(hash, place, |place| hash_at(nodes, *place));
        self.link(place);
    }

    fn is_probation_full(&self) -> bool {
        let all = self.probation.bytes.saturating_add(self.kept.bytes);
        let full = u128::from(all) * u128::from(self.share) / 100;
        self.probation.tail != NOWHERE && u128::from(self.probation.bytes) >= full
    }

    /// Puts the entry at `place` among those that are kept, if it was used.
    fn spare(&mut self, place: u32) -> bool {
        let Some(node) = self.nodes.get_mut(place as usize) else {
            return false;
        };
        let uses = node.uses.get_mut();
        let was_used = *uses > 0;
        if was_used {
            *uses = if node.is_kept { *uses - 1 } else { 0 };
            self.unlink(place);
            if let Some(node) = self.nodes.get_mut(place as usize) {
                node.is_kept = true;
            }
            self.link(place);
        }
        was_used
    }

    fn drop_at(&mut self, place: u32, is_on_probation: bool) -> Option<Variants> {
        let nodes = &self.nodes;
        let hash = hash_at(nodes, place);
        let found = self.table.find_entry(hash, |other| *other == place);
        found.ok()?.remove();
        if is_on_probation {
            let max = self.table.len().max(GHOSTS_MIN);
            self.ghosts.remember(hash, max);
        }
        Some(self.take(place)?.variants)
    }

    /// Takes the entry at `place`, which is in no table any more, out of its queue.
    fn take(&mut self, place: u32) -> Option<Entry> {
        self.unlink(place);
        self.free.push(place);
        self.nodes.get_mut(place as usize)?.entry.take()
    }

    /// Takes the node at `place` out of its queue.
    fn unlink(&mut self, place: u32) {
        let node = &self.nodes[place as usize];
        let (before, after, bytes) = (node.before, node.after, node.bytes());
        let queue = if node.is_kept {
            &mut self.kept
        } else {
            &mut self.probation
        };
        queue.bytes = queue.bytes.saturating_sub(bytes);
        match before {
            NOWHERE => queue.head = after,
            before => self.nodes[before as usize].after = after,
        }
        match after {
            NOWHERE => queue.tail = before,
            after => self.nodes[after as usize].before = before,
        }
    }

    /// Puts the node at `place`, which is in no queue, in front of its own.
    fn link(&mut self, place: u32) {
        let node = &mut self.nodes[place as usize];
        let queue = if node.is_kept {
            &mut self.kept
        } else {
            &mut self.probation
        };
        queue.bytes = queue.bytes.saturating_add(node.bytes());
        let head = std::mem::replace(&mut queue.head, place);
        node.before = NOWHERE;
        node.after = head;
        match head {
            NOWHERE => queue.tail = place,
            head => self.nodes[head as usize].before = place,
        }
    }
}

fn hash_at(nodes: &[Node], place: u32) -> u64 {
    let entry = nodes
        .get(place as usize)
        .and_then(|node| node.entry.as_ref());
    entry.map_or(0, |entry| entry.key.hash_value())
}
