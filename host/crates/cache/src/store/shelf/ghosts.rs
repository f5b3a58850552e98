//! Keys that left their probation unused, by hash: one that comes back soon is
//! asked for more than once.

use std::collections::{HashMap, VecDeque};

use crate::key::PrecomputedHash;

/// See the module. Two keys of one hash share a place, which at worst keeps an
/// entry that nobody asks for again.
#[derive(Default)]
pub(super) struct Ghosts {
    /// The number with which a hash was remembered last.
    numbers: HashMap<u64, u32, PrecomputedHash>,
    order: VecDeque<(u64, u32)>,
    next: u32,
}

impl Ghosts {
    /// Remembers `hash`, and forgets the oldest above `max`.
    pub(super) fn remember(&mut self, hash: u64, max: usize) {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.numbers.insert(hash, number);
        self.order.push_back((hash, number));
        while self.order.len() > max {
            let Some((oldest, number)) = self.order.pop_front() else {
                break;
            };
            // It may have been remembered again since.
            if self.numbers.get(&oldest) == Some(&number) {
                self.numbers.remove(&oldest);
            }
        }
    }

    /// Gives back what is left over of having remembered more.
    pub(super) fn shrink(&mut self) {
        self.numbers.shrink_to(self.order.len() * 2);
        self.order.shrink_to(self.order.len() * 2);
    }

    /// Whether `hash` is remembered; it is not any more after this.
    pub(super) fn take(&mut self, hash: u64) -> bool {
        self.numbers.remove(&hash).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_and_the_rest_is_told_once() {
        let mut ghosts = Ghosts::default();
        for hash in [1, 2, 1, 3] {
            ghosts.remember(hash, 3);
        }
        // 1 was remembered again after 2.
        assert!(ghosts.take(1) && ghosts.take(2) && ghosts.take(3));
        assert!(!ghosts.take(1) && !ghosts.take(4));
        for hash in 10..20 {
            ghosts.remember(hash, 3);
        }
        assert!(!ghosts.take(16));
        assert!(ghosts.take(17));
        assert!(ghosts.order.len() <= 3 && ghosts.numbers.len() <= 3);
    }
}
