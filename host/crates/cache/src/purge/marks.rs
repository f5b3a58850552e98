//! The records of purges themselves: by scope, in order, and what is left of
//! those that were forgotten. Nothing here knows what a response is.

use std::collections::{HashMap, VecDeque};

use super::Hardness;
use super::scope::ScopeKind;
use crate::counted::{Counted, Tables};
use crate::key::PrecomputedHash;

/// Bytes of a record: 73 in its table and 24 in the order, each with as much room beside it as
/// growing leaves, and with both copies while it grows.
const RECORD_BYTES: u64 = 328;

/// Records that are kept even where there is no memory for them.
const RECORDS_KEPT: usize = 1024;

/// A table with fewer places than this is left as it is when it empties.
const SHRINK_MIN: usize = 1024;

/// See the module.
pub(super) struct Records {
    /// By [`ScopeKind::index`], what was purged by the hash of its scope. Two
    /// scopes of one hash purge each other, which costs a fetch and nothing else.
    pub(super) tables: [HashMap<u64, Last, PrecomputedHash>; ScopeKind::ALL.len()],
    /// The same in order, so that the oldest can be forgotten.
    order: VecDeque<(ScopeKind, u64, u64)>,
    /// Places of the order whose scope was purged again since.
    outdated: usize,
    /// What was forgotten of hard purges of one URI: they took all that has no
    /// declared parts out of the store at once.
    pub(super) uri_floor: Last,
    /// All else that was forgotten.
    pub(super) floor: Last,
    /// The last purge by what a response's head shows.
    pub(super) last_by_head: u64,
    /// How many were forgotten.
    pub(super) forgotten: u64,
    /// The memory of all of them.
    counted: Counted,
}

/// The last purges of one scope.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Last {
    pub(super) hard: Mark,
    pub(super) soft: Mark,
}

/// One purge: its number, 0 for none, and its times in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    pub(super) number: u64,
    pub(super) at: u64,
    /// The number by which what is kept on disk is judged: the one that the purge was known by
    /// first, where it is heard of again; 0 for another node's, which its number tells of
    /// together with a time.
    pub(super) kept: u64,
    /// Until when what is kept on disk must have been asked for to be older than another node's
    /// purge; 0 for all others.
    pub(super) until: u64,
}

impl Records {
    /// None, whose memory is one of `tables`.
    pub(super) fn new(tables: &Tables) -> Self {
        Self {
            tables: Default::default(),
            order: VecDeque::new(),
            outdated: 0,
            uri_floor: Last::default(),
            floor: Last::default(),
            last_by_head: 0,
            forgotten: 0,
            counted: Counted::new(tables, RECORD_BYTES, RECORDS_KEPT),
        }
    }

    pub(super) fn has(&self, kind: ScopeKind) -> bool {
        self.tables
            .get(kind.index())
            .is_some_and(|table| !table.is_empty())
    }

    pub(super) fn add(&mut self, kind: ScopeKind, hash: u64, hardness: Hardness, mark: Mark) {
        if kind == ScopeKind::Everything && hardness == Hardness::Hard {
            self.drop_covered(mark);
        }
        if let Some(table) = self.tables.get_mut(kind.index()) {
            let last = table.entry(hash).or_default();
            self.outdated += usize::from(last.number() > 0);
            last.set(hardness, mark);
        }
        if kind.is_shown_by_head() {
            self.last_by_head = self.last_by_head.max(mark.number);
        }
        self.order.push_back((kind, hash, mark.number));
    }

    /// How many scopes are remembered one by one.
    pub(super) fn len(&self) -> usize {
        self.order.len().saturating_sub(self.outdated)
    }

    /// Drops what a hard purge of everything says, too: it came later by number and by time.
    fn drop_covered(&mut self, by: Mark) {
        let is_covered = |mark: &Mark| mark.is_covered(&by);
        for table in &mut self.tables {
            table.retain(|_, last| !(is_covered(&last.hard) && is_covered(&last.soft)));
        }
        self.drop_outdated();
        for table in &mut self.tables {
            shrink(table);
        }
    }

    /// Drops the places of scopes that were purged again since, or are told of no more.
    fn drop_outdated(&mut self) {
        let tables = &self.tables;
        self.order.retain(|(kind, hash, number)| {
            let last = tables.get(kind.index()).and_then(|table| table.get(hash));
            last.is_some_and(|last| last.number() == *number)
        });
        self.outdated = 0;
    }

    /// Forgets the oldest records above `max`, or for which there is no memory.
    pub(super) fn forget(&mut self, max: usize) {
        // Purges of the same scopes again and again take no place from others. It is gone through
        // once for so many that each purge pays for a few places.
        if self.order.len() > max && self.outdated > max / 4 {
            self.drop_outdated();
        }
        while self.order.len() > max || !self.counted.allows(self.order.len()) {
            let Some((kind, hash, number)) = self.order.pop_front() else {
                return;
            };
            let Some(table) = self.tables.get_mut(kind.index()) else {
                return;
            };
            // A scope that was purged again is still told of by a later place in the order.
            let last = table.get(&hash).copied();
            let Some(last) = last.filter(|last| last.number() == number) else {
                self.outdated = self.outdated.saturating_sub(1);
                continue;
            };
            table.remove(&hash);
            shrink(table);
            self.forgotten = self.forgotten.saturating_add(1);
            if kind == ScopeKind::Uri {
                self.uri_floor.raise(Last {
                    soft: Mark::default(),
                    ..last
                });
                self.floor.raise(Last {
                    hard: Mark::default(),
                    ..last
                });
            } else {
                self.floor.raise(last);
            }
        }
    }
}

/// Gives back what a table is too large for what is left in it.
fn shrink(table: &mut HashMap<u64, Last, PrecomputedHash>) {
    if table.capacity() >= SHRINK_MIN && table.len() < table.capacity() / 4 {
        table.shrink_to(table.len() * 2);
    }
}

impl Last {
    fn set(&mut self, hardness: Hardness, mark: Mark) {
        match hardness {
            Hardness::Hard => self.hard.raise(mark),
            Hardness::Soft => self.soft.raise(mark),
        }
    }

    fn number(&self) -> u64 {
        self.hard.number.max(self.soft.number)
    }

    fn raise(&mut self, other: Self) {
        self.hard.raise(other.hard);
        self.soft.raise(other.soft);
    }
}

impl Mark {
    /// Whether it concerns what is kept on disk, and was asked for at `since`, when `seen` was the
    /// number of the last purge.
    pub(super) const fn is_after(&self, seen: u64, since: u64) -> bool {
        self.kept > seen || (self.number > seen && self.until >= since)
    }

    /// Whether `by` says all that it says, of the same scope.
    const fn is_covered(&self, by: &Self) -> bool {
        let is_kept_covered = self.kept <= by.kept;
        let is_told_covered = self.until <= by.until || self.number <= by.kept;
        self.number <= by.number && is_kept_covered && is_told_covered
    }

    /// A purge that its number alone tells of.
    pub(super) const fn of_number(number: u64, at: u64) -> Self {
        Self {
            number,
            at,
            kept: number,
            until: 0,
        }
    }

    /// The later of the two by number and by time, each for itself: a purge of
    /// another node may come late.
    pub(super) fn raise(&mut self, other: Self) {
        self.number = self.number.max(other.number);
        self.kept = self.kept.max(other.kept);
        self.at = self.at.max(other.at);
        self.until = self.until.max(other.until);
    }
}
