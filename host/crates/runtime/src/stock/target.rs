//! How many instances should wait: enough for what a moment of the load takes,
//! no more than allowed, and one when there is none.

/// What the load of the last interval counts for, against all before: one part in so many.
const WEIGHT: u32 = 4;
/// Fractions in which the average is kept.
const UNIT: u32 = 256;
/// Intervals for which the stock could serve the average load without being refilled.
const COVERED: u32 = 2;

/// The calls of an interval, averaged with falling weight; the calls of a burst count at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Demand {
    average: u32,
}

impl Demand {
    /// Takes an interval into account.
    pub(super) fn note(&mut self, calls: u32) {
        let calls = calls.saturating_mul(UNIT);
        self.average = if calls > self.average {
            calls
        } else {
            self.average - self.average.div_ceil(WEIGHT) + calls / WEIGHT
        };
    }

    /// Takes into account what an interval has brought that has not ended yet.
    pub(super) fn note_so_far(&mut self, calls: u32) {
        self.average = self.average.max(calls.saturating_mul(UNIT));
    }

    /// How many instances should wait, 1 to `most`.
    pub(super) fn target(self, most: usize) -> usize {
        let wanted = self.average.saturating_mul(COVERED).div_ceil(UNIT);
        usize::try_from(wanted)
            .unwrap_or(usize::MAX)
            .clamp(1, most.max(1))
    }

    /// Whether nothing is left of any load.
    pub(super) fn is_none(self) -> bool {
        self.average == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_counts_at_once_and_is_forgotten_slowly() {
        let mut demand = Demand::default();
        assert_eq!(demand.target(100), 1);
        demand.note(20);
        assert_eq!(demand.target(100), 40);
        demand.note(0);
        assert_eq!(demand.target(100), 30);
        let mut last = 30;
        for _ in 0..40 {
            demand.note(0);
            assert!(demand.target(100) <= last);
            last = demand.target(100);
        }
        assert_eq!(last, 1);
        assert!(demand.is_none());
    }

    #[test]
    fn it_stays_within_its_bounds() {
        let mut demand = Demand::default();
        demand.note(u32::MAX);
        assert_eq!(demand.target(7), 7);
        assert_eq!(demand.target(0), 1);
    }

    #[test]
    fn a_steady_load_keeps_its_target() {
        let mut demand = Demand::default();
        for _ in 0..50 {
            demand.note(10);
        }
        assert!((18..=20).contains(&demand.target(100)), "{demand:?}");
    }
}
