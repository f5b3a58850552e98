//! The one source of randomness that is not cryptographic: request ids,
//! jitter, balancing. Keys and tokens come from the TLS library instead.

use std::sync::Arc;

use parking_lot::Mutex;

/// Random numbers; cheap to clone. Seeded in tests, so that a run repeats.
#[derive(Clone, Debug)]
pub struct Random(Source);

#[derive(Clone, Debug)]
enum Source {
    /// One generator for each thread, seeded by the system.
    Threads,
    Seeded(Arc<Mutex<fastrand::Rng>>),
}

impl Random {
    /// Numbers that differ in every run; takes no lock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::Threads)
    }

    /// Numbers that are the same in every run with the same `seed`.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(
            fastrand::Rng::with_seed(seed),
        ))))
    }

    /// A number of the whole range.
    #[must_use]
    pub fn next_u64(&self) -> u64 {
        match &self.0 {
            Source::Threads => fastrand::u64(..),
            Source::Seeded(generator) => generator.lock().u64(..),
        }
    }

    /// A number below `bound`; 0 if `bound` is 0.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        match &self.0 {
            Source::Threads => fastrand::u64(..bound),
            Source::Seeded(generator) => generator.lock().u64(..bound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers() {
        let (a, b) = (Random::seeded(7), Random::seeded(7));
        for _ in 0..10 {
            assert_eq!(a.next_u64(), b.next_u64());
        }
    }

    #[test]
    fn below_stays_below_its_bound() {
        let random = Random::system();
        assert_eq!(random.below(0), 0);
        for _ in 0..1000 {
            assert!(random.below(3) < 3);
        }
    }
}
