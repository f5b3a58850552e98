//! Which purges a stored response has seen, told from one node to another.
//!
//! A node's purges have local sequence numbers; the stream's entries have
//! numbers that all nodes share. A node notes for each entry the local sequence
//! after it was applied. So a response that was asked for at a local sequence
//! has a position in the stream, and on another node that position is a local
//! sequence again: the cache's own purge check does the rest. Pure.

use std::collections::{BTreeSet, VecDeque};

use super::chain::Incarnation;

/// Most entries that are noted one by one; older positions are not trusted.
pub(crate) const POINTS_MAX: usize = 65_536;

/// Most purges of this node that are noted one by one while they are not back; of what is
/// beyond, only the first and the last are known.
pub(crate) const PENDING_MAX: usize = 4_096;

/// Up to where purges were known when a response was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Position {
    /// The stream.
    pub incarnation: Incarnation,
    /// The number of its last entry that had been applied.
    pub number: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Positions {
    incarnation: Option<Incarnation>,
    /// (number, local sequence), both rising.
    points: VecDeque<(u64, u64)>,
    points_max: usize,
    /// Local sequences of this node's purges that have not come back in the stream. Purges of
    /// two threads may be told, and come back, in another order than their numbers'.
    pending: BTreeSet<u64>,
    pending_max: usize,
    /// First and last of those that found no place there.
    beyond: Option<(u64, u64)>,
}

impl Positions {
    pub(crate) fn new() -> Self {
        Self::with_most(POINTS_MAX, PENDING_MAX)
    }

    fn with_most(points_max: usize, pending_max: usize) -> Self {
        Self {
            incarnation: None,
            points: VecDeque::new(),
            points_max,
            pending: BTreeSet::new(),
            pending_max,
            beyond: None,
        }
    }

    /// Begins anew: everything before `number` was purged at `sequence`, so nothing of it is
    /// worth more than a miss.
    pub(crate) fn reset(&mut self, incarnation: Incarnation, number: u64, sequence: u64) {
        self.incarnation = Some(incarnation);
        self.points.clear();
        self.points.push_back((number, sequence));
    }

    /// Nothing is comparable until [`Positions::reset`].
    pub(crate) fn forget(&mut self) {
        self.incarnation = None;
        self.points.clear();
    }

    /// Entry `number` has been applied; the local sequence is now `sequence`.
    pub(crate) fn applied(&mut self, number: u64, sequence: u64) {
        self.points.push_back((number, sequence));
        while self.points.len() > self.points_max {
            self.points.pop_front();
        }
    }

    /// This node purged something at `sequence` that the stream does not have yet.
    pub(crate) fn purged_here(&mut self, sequence: u64) {
        if self.pending.len() < self.pending_max {
            self.pending.insert(sequence);
        } else {
            let (first, last) = self.beyond.unwrap_or((sequence, sequence));
            self.beyond = Some((first.min(sequence), last.max(sequence)));
        }
    }

    /// The purge of this node at `sequence` has come back.
    pub(crate) fn came_back(&mut self, sequence: u64) {
        self.pending.remove(&sequence);
        self.beyond = self.beyond.filter(|(_, last)| *last > sequence);
    }

    /// Everything that this node purged up to `sequence` has come back, in whatever form.
    pub(crate) fn all_came_back(&mut self, sequence: u64) {
        self.pending = self.pending.split_off(&sequence.saturating_add(1));
        self.came_back(sequence);
    }

    /// The position of what was asked for at the local `sequence`.
    pub(crate) fn position_at(&self, sequence: u64) -> Option<Position> {
        let after = self.points.partition_point(|(_, known)| *known <= sequence);
        let (number, _) = self.points.get(after.checked_sub(1)?)?;
        Some(Position {
            incarnation: self.incarnation?,
            number: *number,
        })
    }

    /// The local sequence that says the same as `position`; `None` if it cannot be told, and
    /// then a response from there is not used.
    ///
    /// Another node may be ahead: then what this node knows is what it knows. A purge of this
    /// node that has not come back yet counts as later than everything in the stream.
    pub(crate) fn sequence_at(&self, position: Position) -> Option<u64> {
        if self.incarnation? != position.incarnation {
            return None;
        }
        let after = self
            .points
            .partition_point(|(number, _)| *number <= position.number);
        let (_, sequence) = self.points.get(after.checked_sub(1)?)?;
        let pending = self.pending.first().copied().unwrap_or(u64::MAX);
        let beyond = self.beyond.map_or(u64::MAX, |(first, _)| first);
        Some((*sequence).min(pending.min(beyond).saturating_sub(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Incarnation = Incarnation(7);

    fn at(number: u64) -> Position {
        Position {
            incarnation: HERE,
            number,
        }
    }

    /// Read from number 10 at sequence 0; 11 applied as 1, 12 as 4.
    fn positions() -> Positions {
        let mut positions = Positions::new();
        positions.reset(HERE, 10, 0);
        positions.applied(11, 1);
        positions.applied(12, 4);
        positions
    }

    #[test]
    fn sequences_and_positions_say_the_same() {
        let positions = positions();
        for (sequence, number) in [(0, 10), (1, 11), (2, 11), (3, 11), (4, 12), (9, 12)] {
            assert_eq!(positions.position_at(sequence), Some(at(number)));
        }
        for (number, sequence) in [(10, 0), (11, 1), (12, 4), (13, 4)] {
            assert_eq!(positions.sequence_at(at(number)), Some(sequence));
        }
    }

    #[test]
    fn what_cannot_be_compared_is_not_used() {
        let mut positions = positions();
        assert_eq!(positions.sequence_at(at(9)), None);
        let other = Position {
            incarnation: Incarnation(8),
            number: 12,
        };
        assert_eq!(positions.sequence_at(other), None);
        positions.forget();
        assert_eq!(positions.sequence_at(at(12)), None);
        assert_eq!(positions.position_at(4), None);
        assert_eq!(Positions::new().position_at(0), None);
    }

    #[test]
    fn a_purge_of_this_node_counts_until_and_after_it_has_come_back() {
        let mut positions = positions();
        positions.purged_here(5);
        positions.applied(13, 6);
        // Stored by another node at 13, before it knew of the purge at 5.
        assert_eq!(positions.sequence_at(at(13)), Some(4));
        positions.came_back(5);
        positions.applied(14, 7);
        assert_eq!(positions.sequence_at(at(13)), Some(6));
        assert_eq!(positions.sequence_at(at(14)), Some(7));
    }

    #[test]
    fn purges_told_out_of_order_all_count_until_each_is_back() {
        let mut positions = positions();
        positions.purged_here(6);
        positions.purged_here(5);
        positions.applied(13, 7);
        assert_eq!(positions.sequence_at(at(13)), Some(4));
        positions.came_back(6);
        assert_eq!(positions.sequence_at(at(13)), Some(4));
        positions.came_back(5);
        assert_eq!(positions.sequence_at(at(13)), Some(7));
        positions.purged_here(9);
        positions.purged_here(8);
        positions.applied(14, 9);
        positions.all_came_back(9);
        assert_eq!(positions.sequence_at(at(14)), Some(9));
    }

    #[test]
    fn what_has_no_place_among_the_pending_counts_until_the_last_is_back() {
        let mut positions = Positions::with_most(POINTS_MAX, 1);
        positions.reset(HERE, 10, 0);
        for sequence in [1, 2, 3] {
            positions.purged_here(sequence);
        }
        positions.applied(11, 3);
        for (sequence, known) in [(1, 1), (2, 1), (3, 3)] {
            positions.came_back(sequence);
            assert_eq!(positions.sequence_at(at(11)), Some(known));
        }
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_is_not_trusted() {
        let mut positions = Positions::with_most(2, PENDING_MAX);
        positions.reset(HERE, 0, 0);
        for number in 1..=5 {
            positions.applied(number, number);
        }
        assert_eq!(positions.sequence_at(at(3)), None);
        assert_eq!(positions.sequence_at(at(4)), Some(4));
        assert_eq!(positions.position_at(3), None);
    }
}
