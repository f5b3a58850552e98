//! Entries of this node that Redis took and that it has not read yet: whatever
//! comes in their place shows that Redis lost them. Pure.

use std::collections::VecDeque;

use super::chain::{Incarnation, Tail};

/// Most that are waited for one by one. Of more, the first are not waited for: Redis loses the
/// end of a stream, and with it the last.
const AWAITED_MAX: usize = 4096;

/// See the module; in order.
#[derive(Debug, Default)]
pub(super) struct Awaited(VecDeque<Tail>);

impl Awaited {
    /// Redis has taken an entry as `tail`.
    pub(super) fn push(&mut self, tail: Tail) {
        if self.0.len() >= AWAITED_MAX {
            self.0.pop_front();
        }
        self.0.push_back(tail);
    }

    /// The last of them.
    pub(super) fn last(&self) -> Option<Tail> {
        self.0.back().copied()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// An entry has been read; false if it stands where one of this node had been.
    pub(super) fn arrive(&mut self, incarnation: Incarnation, number: u64, token: u64) -> bool {
        let mut is_right = true;
        while let Some(first) = self.0.front().copied() {
            if first.incarnation == incarnation && first.number > number {
                break;
            }
            self.0.pop_front();
            let is_it = first.number == number && first.token == token;
            is_right &= is_it || first.incarnation != incarnation;
        }
        is_right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Incarnation = Incarnation(7);

    fn tail(number: u64) -> Tail {
        Tail {
            incarnation: HERE,
            number,
            token: number + 100,
        }
    }

    #[test]
    fn what_comes_in_the_place_of_another_is_noticed() {
        let mut awaited = Awaited::default();
        awaited.push(tail(3));
        awaited.push(tail(5));
        assert!(awaited.arrive(HERE, 2, 1));
        assert!(awaited.arrive(HERE, 3, 103));
        assert!(!awaited.arrive(HERE, 5, 1));
        assert_eq!(awaited.last(), None);
        awaited.push(tail(6));
        assert!(!awaited.arrive(HERE, 7, 107), "it was passed over");
        awaited.push(tail(8));
        assert!(awaited.arrive(Incarnation(8), 1, 1), "of another stream");
    }

    #[test]
    fn no_more_than_a_bounded_number_is_kept_and_the_last_is_always() {
        let mut awaited = Awaited::default();
        let most = AWAITED_MAX as u64;
        for number in 1..=most + 10 {
            awaited.push(tail(number));
        }
        assert_eq!(awaited.0.len(), AWAITED_MAX);
        assert_eq!(awaited.last(), Some(tail(most + 10)));
        assert!(awaited.arrive(HERE, 1, 101));
        assert!(!awaited.arrive(HERE, most + 10, 1));
    }
}
