//! A circuit breaker: a use of Redis that keeps failing is not tried for a
//! while, so that nobody waits for what will not come.
//!
//! A pure state machine over the time it is given; it does no I/O and holds no
//! clock.

use std::time::{Duration, Instant};

/// Results that are looked at together: the last so many.
const WINDOW: u32 = 20;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures among the last 20 results that open it; 1 to 20.
    pub failures: u32,
    /// How long it stays open before one trial is let through.
    pub open_for: Duration,
}

/// What a breaker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Everything passes.
    Closed,
    /// Nothing passes.
    Open,
    /// One trial is on its way; nothing else passes.
    HalfOpen,
}

impl BreakerState {
    /// The word for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// What a breaker says to one use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Go on.
    Pass,
    /// Go on; the outcome decides about all others.
    Trial,
    /// Do without.
    Refuse,
}

/// What came of one use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was answered, whatever the answer.
    Success,
    /// It failed, or took too long.
    Failure,
    /// It says nothing: it was given up before it was tried.
    Unknown,
}

/// See the module.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    state: State,
    opened: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The last results, one bit each, a failure being 1.
    Closed {
        results: u32,
    },
    Open {
        until: Instant,
    },
    /// A trial that never comes back frees its place after `open_for`.
    HalfOpen {
        until: Instant,
    },
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            state: State::Closed { results: 0 },
            opened: 0,
        }
    }

    /// Whether one more use may go on at `now`. Each that may is to be followed by
    /// [`Breaker::record`].
    pub fn admit(&mut self, now: Instant) -> Admission {
        match self.state {
            State::Closed { .. } => Admission::Pass,
            State::Open { until } | State::HalfOpen { until } if now >= until => {
                self.state = State::HalfOpen {
                    until: now + self.settings.open_for,
                };
                Admission::Trial
            }
            State::Open { .. } | State::HalfOpen { .. } => Admission::Refuse,
        }
    }

    /// Takes what came of an admitted use; whether that opened the breaker.
    pub fn record(&mut self, now: Instant, admission: Admission, verdict: Verdict) -> bool {
        match (self.state, admission, verdict) {
            (State::Closed { results }, Admission::Pass, Verdict::Success | Verdict::Failure) => {
                let failed = u32::from(verdict == Verdict::Failure);
                let results = ((results << 1) | failed) & ((1 << WINDOW) - 1);
                if failed == 1 && results.count_ones() >= self.settings.failures {
                    self.open(now);
                    return true;
                }
                self.state = State::Closed { results };
                false
            }
            (State::HalfOpen { .. }, Admission::Trial, Verdict::Success) => {
                self.state = State::Closed { results: 0 };
                false
            }
            (State::HalfOpen { .. }, Admission::Trial, Verdict::Failure) => {
                self.open(now);
                true
            }
            (State::HalfOpen { .. }, Admission::Trial, Verdict::Unknown) => {
                // The next use is the trial.
                self.state = State::HalfOpen { until: now };
                false
            }
            // What was admitted before the state changed decides nothing.
            _ => false,
        }
    }

    /// What it is.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// How often it has opened.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened
    }

    fn open(&mut self, now: Instant) {
        self.opened += 1;
        self.state = State::Open {
            until: now + self.settings.open_for,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use verge_base::Clock;

    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(1);

    fn breaker() -> Breaker {
        Breaker::new(BreakerSettings {
            failures: 3,
            open_for: OPEN_FOR,
        })
    }

    fn fail(breaker: &mut Breaker, now: Instant) -> bool {
        let admission = breaker.admit(now);
        assert_ne!(admission, Admission::Refuse);
        breaker.record(now, admission, Verdict::Failure)
    }

    #[test]
    fn opens_after_enough_failures_and_closes_after_a_good_trial() {
        let (clock, handle) = Clock::manual(SystemTime::UNIX_EPOCH);
        let mut breaker = breaker();
        assert!(!fail(&mut breaker, clock.now()));
        assert!(!fail(&mut breaker, clock.now()));
        assert!(fail(&mut breaker, clock.now()));
        assert_eq!(breaker.admit(clock.now()), Admission::Refuse);
        handle.advance(OPEN_FOR);
        assert_eq!(breaker.admit(clock.now()), Admission::Trial);
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert_eq!(breaker.admit(clock.now()), Admission::Refuse);
        assert!(!breaker.record(clock.now(), Admission::Trial, Verdict::Success));
        assert_eq!(breaker.admit(clock.now()), Admission::Pass);
        assert_eq!(breaker.opened(), 1);
    }

    #[test]
    fn failed_trial_opens_it_again() {
        let (clock, handle) = Clock::manual(SystemTime::UNIX_EPOCH);
        let mut breaker = breaker();
        for _ in 0..3 {
            fail(&mut breaker, clock.now());
        }
        handle.advance(OPEN_FOR);
        assert!(fail(&mut breaker, clock.now()));
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(breaker.admit(clock.now()), Admission::Refuse);
    }

    #[test]
    fn trial_that_was_given_up_leaves_its_place() {
        let (clock, handle) = Clock::manual(SystemTime::UNIX_EPOCH);
        let mut breaker = breaker();
        for _ in 0..3 {
            fail(&mut breaker, clock.now());
        }
        handle.advance(OPEN_FOR);
        assert_eq!(breaker.admit(clock.now()), Admission::Trial);
        breaker.record(clock.now(), Admission::Trial, Verdict::Unknown);
        assert_eq!(breaker.admit(clock.now()), Admission::Trial);
        // A trial of which nothing is heard does not keep it shut for ever.
        handle.advance(OPEN_FOR);
        assert_eq!(breaker.admit(clock.now()), Admission::Trial);
    }

    #[test]
    fn failures_that_are_far_apart_do_not_open_it() {
        let (clock, _) = Clock::manual(SystemTime::UNIX_EPOCH);
        let mut breaker = breaker();
        for _ in 0..10 {
            assert!(!fail(&mut breaker, clock.now()));
            for _ in 0..WINDOW {
                let admission = breaker.admit(clock.now());
                breaker.record(clock.now(), admission, Verdict::Success);
            }
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn late_results_of_closed_times_decide_nothing() {
        let (clock, handle) = Clock::manual(SystemTime::UNIX_EPOCH);
        let mut breaker = breaker();
        let late = breaker.admit(clock.now());
        for _ in 0..3 {
            fail(&mut breaker, clock.now());
        }
        assert!(!breaker.record(clock.now(), late, Verdict::Success));
        assert_eq!(breaker.state(), BreakerState::Open);
        handle.advance(OPEN_FOR);
        assert_eq!(breaker.admit(clock.now()), Admission::Trial);
        assert!(!breaker.record(clock.now(), late, Verdict::Success));
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
    }
}
