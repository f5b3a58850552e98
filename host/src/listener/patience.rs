//! How long the node waits for a peer that is slow: a bucket of waiting time.
//!
//! Time spent blocked on the peer empties it, bytes fill it again. A steady
//! peer above the floor is never cut, a peer that stalls is cut after the
//! grace, and one that trickles is cut soon after.

use std::time::{Duration, Instant};

/// How fast bytes must move while the node waits for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateFloor {
    /// Bytes per second; 0 lets every byte restore the whole grace.
    pub bytes_per_second: u64,
    /// Waiting time that a peer may owe; also how long it may stall.
    pub grace: Duration,
}

/// The waiting time that one peer has left in one direction.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    floor: RateFloor,
    left: Duration,
    blocked_since: Option<Instant>,
}

impl Patience {
    pub(super) fn new(floor: RateFloor) -> Self {
        Self {
            floor,
            left: floor.grace,
            blocked_since: None,
        }
    }

    /// Bytes moved. Ends a wait, and tells whether there was one; `now` is
    /// asked for only then.
    pub(super) fn moved(&mut self, bytes: usize, now: impl FnOnce() -> Instant) -> bool {
        let was_blocked = match self.blocked_since.take() {
            Some(since) => {
                let waited = now().saturating_duration_since(since);
                self.left = self.left.saturating_sub(waited);
                true
            }
            None => false,
        };
        if self.left < self.floor.grace && bytes > 0 {
            let earned = self.earned(bytes);
            self.left = self.left.saturating_add(earned).min(self.floor.grace);
        }
        was_blocked
    }

    /// The peer makes us wait. Returns when the patience ends if nothing moves.
    pub(super) fn blocked(&mut self, now: impl FnOnce() -> Instant) -> Instant {
        let since = *self.blocked_since.get_or_insert_with(now);
        since + self.left
    }

    /// The wait is over for a reason of ours: time from here on is not the peer's.
    pub(super) fn unblocked(&mut self, now: impl FnOnce() -> Instant) {
        self.moved(0, now);
    }

    /// Whether the wait goes on and has used up all patience.
    pub(super) fn is_exhausted(&self, now: Instant) -> bool {
        self.blocked_since
            .is_some_and(|since| now.saturating_duration_since(since) >= self.left)
    }

    /// The peer had yet to take what is there for it since the last look, and `bytes` have moved
    /// meanwhile. Returns whether the patience is used up.
    pub(super) fn looked_at(&mut self, bytes: u64, now: Instant) -> bool {
        let since = self.blocked_since.replace(now).unwrap_or(now);
        let earned = match bytes {
            0 => Duration::ZERO,
            bytes => self.earned(usize::try_from(bytes).unwrap_or(usize::MAX)),
        };
        let waited = now.saturating_duration_since(since);
        let left = self.left.saturating_add(earned).saturating_sub(waited);
        self.left = left.min(self.floor.grace);
        if self.floor.bytes_per_second == 0 && bytes > 0 {
            self.left = self.floor.grace;
        }
        self.left.is_zero()
    }

    fn earned(&self, bytes: usize) -> Duration {
        if self.floor.bytes_per_second == 0 {
            return self.floor.grace;
        }
        Duration::from_secs_f64(bytes as f64 / self.floor.bytes_per_second as f64)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use verge_base::Clock;

    use super::*;

    const FLOOR: RateFloor = RateFloor {
        bytes_per_second: 100,
        grace: Duration::from_secs(10),
    };

    #[test]
    fn a_peer_that_stalls_is_given_its_grace() {
        let (clock, time) = Clock::manual(SystemTime::UNIX_EPOCH);
        let mut patience = Patience::new(FLOOR);
        let end = patience.blocked(|| clock.now());
        assert_eq!(end, clock.now() + FLOOR.grace);
        time.advance(Duration::from_secs(9));
        assert!(!patience.is_exhausted(clock.now()));
        time.advance(Duration::from_secs(1));
        assert!(patience.is_exhausted(clock.now()));
    }

    #[test]
    fn a_trickle_below_the_floor_ends_in_exhaustion() {
        let (clock, time) = Clock::manual(SystemTime::UNIX_EPOCH);
        let mut patience = Patience::new(FLOOR);
        let mut seconds = 0;
        loop {
            patience.blocked(|| clock.now());
            time.advance(Duration::from_secs(1));
            if patience.is_exhausted(clock.now()) {
                break;
            }
            patience.moved(50, || clock.now());
            seconds += 1;
            assert!(seconds < 60, "half the floor must not last");
        }
        assert!(seconds >= 10);
    }

    #[test]
    fn a_steady_peer_above_the_floor_lasts() {
        let (clock, time) = Clock::manual(SystemTime::UNIX_EPOCH);
        let mut patience = Patience::new(FLOOR);
        for _ in 0..1000 {
            patience.blocked(|| clock.now());
            time.advance(Duration::from_secs(5));
            assert!(!patience.is_exhausted(clock.now()));
            patience.moved(600, || clock.now());
        }
    }

    #[test]
    fn looks_far_apart_judge_by_the_rate() {
        let (clock, time) = Clock::manual(SystemTime::UNIX_EPOCH);
        let looks = |bytes: u64| {
            let mut patience = Patience::new(FLOOR);
            assert!(!patience.looked_at(0, clock.now()));
            let mut lasted = 0;
            while lasted < 60 {
                time.advance(Duration::from_secs(60));
                if patience.looked_at(bytes, clock.now()) {
                    break;
                }
                lasted += 1;
            }
            lasted
        };
        assert_eq!(looks(0), 0);
        assert_eq!(looks(5_900), 9, "a second short each time, of ten");
        assert_eq!(looks(6_000), 60);
    }

    #[test]
    fn our_own_delay_is_not_held_against_the_peer() {
        let (clock, time) = Clock::manual(SystemTime::UNIX_EPOCH);
        let mut patience = Patience::new(FLOOR);
        patience.blocked(|| clock.now());
        time.advance(Duration::from_secs(4));
        patience.unblocked(|| clock.now());
        time.advance(Duration::from_secs(100));
        let end = patience.blocked(|| clock.now());
        assert_eq!(end, clock.now() + Duration::from_secs(6));
    }
}
