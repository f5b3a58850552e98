//! The records of purges themselves: by scope, in order, and what is left of
//! those that were forgotten. Nothing here knows what a response is.

use std::collections::{HashMap, VecDeque};

use super::Hardness;
use super::scope::ScopeKind;
use crate::key::PrecomputedHash;

/// See the module.
#[derive(Default)]
pub(super) struct Records {
    /// By [`ScopeKind::index`], what was purged by the hash of its scope. Two
    /// scopes of one hash purge each other, which costs a fetch and nothing else.
    pub(super) tables: [HashMap<u64, Last, PrecomputedHash>; ScopeKind::ALL.len()],
    /// The same in order, so that the oldest can be forgotten.
    pub(super) order: VecDeque<(ScopeKind, u64, u64)>,
    /// What was forgotten of hard purges of one URI: they took all that has no
    /// declared parts out of the store at once.
    pub(super) uri_floor: Last,
    /// All else that was forgotten.
    pub(super) floor: Last,
    /// The last purge by what a response's head shows.
    pub(super) last_by_head: u64,
    /// How many were forgotten.
    pub(super) forgotten: u64,
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
    /// What was asked for until then, by the wall clock, counts as older than the purge.
    pub(super) until: u64,
}

impl Records {
    pub(super) fn has(&self, kind: ScopeKind) -> bool {
        self.tables
            .get(kind.index())
            .is_some_and(|table| !table.is_empty())
    }

    pub(super) fn add(&mut self, kind: ScopeKind, hash: u64, hardness: Hardness, mark: Mark) {
        if let Some(table) = self.tables.get_mut(kind.index()) {
            table.entry(hash).or_default().set(hardness, mark);
        }
        if kind.is_shown_by_head() {
            self.last_by_head = self.last_by_head.max(mark.number);
        }
        self.order.push_back((kind, hash, mark.number));
    }

    /// Forgets the oldest records above `max`.
    pub(super) fn forget(&mut self, max: usize) {
        while self.order.len() > max {
            let Some((kind, hash, number)) = self.order.pop_front() else {
                return;
            };
            let Some(table) = self.tables.get_mut(kind.index()) else {
                return;
            };
            // A scope that was purged again is still told of by a later place in the order.
            let Some(last) = table.get(&hash).copied() else {
                continue;
            };
            if last.number() != number {
                continue;
            }
            table.remove(&hash);
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
    /// The later of the two by number and by time, each for itself: a purge of
    /// another node may come late.
    fn raise(&mut self, other: Self) {
        self.number = self.number.max(other.number);
        self.at = self.at.max(other.at);
        self.until = self.until.max(other.until);
    }
}
