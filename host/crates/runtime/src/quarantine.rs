//! When a function fails again and again it is left out for a while.
//!
//! A pure state machine: time is passed in. After enough failures in a window
//! the function is out; when its back-off has passed, one trial call decides
//! whether it comes back or stays out for longer.

use std::time::{Duration, Instant};

/// When a function goes into quarantine, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuarantineSettings {
    /// Failures within `window` that put it out; 0 turns quarantine off.
    pub failures: u32,
    /// The least share of the window's calls that must have failed, in percent: a few requests
    /// that make a function fail do not put it out for all others.
    pub share_percent: u32,
    /// How long failures are counted together.
    pub window: Duration,
    /// How long it stays out at first; doubled after each failed trial.
    pub backoff: Duration,
    /// The longest it stays out before the next trial.
    pub backoff_max: Duration,
}

impl Default for QuarantineSettings {
    fn default() -> Self {
        Self {
            failures: 20,
            share_percent: 50,
            window: Duration::from_secs(10),
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
        }
    }
}

/// Whether a call may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// As usual.
    Open,
    /// As the one call that decides whether quarantine ends.
    Trial,
    /// It may not.
    Quarantined,
}

/// How an admitted call ended, as far as quarantine cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// The function did its work.
    Success,
    /// The function failed.
    Failure,
    /// Nothing can be said: the call was dropped, or never ran.
    Unknown,
}

/// The state of one function.
#[derive(Debug)]
pub struct Quarantine {
    settings: QuarantineSettings,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// No failure is remembered.
    Clean,
    /// Failures are counted until the window ends.
    Counting {
        until: Instant,
        calls: u32,
        failures: u32,
    },
    /// It is out.
    Out { until: Instant, backoff: Duration },
    /// It is out, and a trial runs; when it takes longer than `until`, because its client is slow,
    /// say, another call is a trial, too.
    OnTrial { until: Instant, backoff: Duration },
}

impl Quarantine {
    /// A function without failures.
    #[must_use]
    pub fn new(settings: QuarantineSettings) -> Self {
        Self {
            settings,
            state: State::Clean,
        }
    }

    /// True when no failure is remembered: neither admission nor success changes anything then.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        matches!(self.state, State::Clean)
    }

    /// True when calls are refused, but for a trial.
    #[must_use]
    pub fn is_out(&self) -> bool {
        matches!(self.state, State::Out { .. } | State::OnTrial { .. })
    }

    /// Decides whether a call that begins at `now` may run. What it answers must be given to
    /// [`Quarantine::conclude`] when the call has ended.
    #[must_use]
    pub fn admit(&mut self, now: Instant) -> Admission {
        match self.state {
            State::Clean | State::Counting { .. } => Admission::Open,
            State::Out { until, backoff } | State::OnTrial { until, backoff } if now >= until => {
                let until = now + backoff;
                self.state = State::OnTrial { until, backoff };
                Admission::Trial
            }
            State::Out { .. } | State::OnTrial { .. } => Admission::Quarantined,
        }
    }

    /// Takes into account how an admitted call ended.
    pub fn conclude(&mut self, admission: Admission, conclusion: Conclusion, now: Instant) {
        match (admission, self.state) {
            (Admission::Trial, State::OnTrial { backoff, .. }) => {
                self.state = match conclusion {
                    Conclusion::Success => State::Clean,
                    Conclusion::Failure => {
                        let backoff = backoff.saturating_mul(2).min(self.settings.backoff_max);
                        out(now, backoff)
                    }
                    // The next call is the trial.
                    Conclusion::Unknown => State::Out {
                        until: now,
                        backoff,
                    },
                };
            }
            (Admission::Open, State::Clean | State::Counting { .. }) => {
                self.count(conclusion, now);
            }
            // Calls that began before the function was put out say nothing new.
            (Admission::Open, State::Out { .. } | State::OnTrial { .. })
            | (Admission::Trial, State::Clean | State::Counting { .. } | State::Out { .. })
            | (Admission::Quarantined, _) => {}
        }
    }

    fn count(&mut self, conclusion: Conclusion, now: Instant) {
        let failed = match conclusion {
            Conclusion::Unknown => return,
            Conclusion::Success => false,
            Conclusion::Failure => true,
        };
        let (until, calls, failures) = match self.state {
            State::Counting {
                until,
                calls,
                failures,
            } if now < until => (until, calls, failures),
            State::Clean | State::Counting { .. } if failed => (now + self.settings.window, 0, 0),
            _ => {
                self.state = State::Clean;
                return;
            }
        };
        let calls = calls.saturating_add(1);
        let failures = failures.saturating_add(u32::from(failed));
        let enough = self.settings.failures > 0 && failures >= self.settings.failures;
        let share =
            u64::from(failures) * 100 >= u64::from(calls) * u64::from(self.settings.share_percent);
        self.state = if failed && enough && share {
            out(now, self.settings.backoff.min(self.settings.backoff_max))
        } else {
            State::Counting {
                until,
                calls,
                failures,
            }
        };
    }
}

fn out(now: Instant, backoff: Duration) -> State {
    State::Out {
        until: now + backoff,
        backoff,
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use verge_base::Clock;

    use super::*;

    const SETTINGS: QuarantineSettings = QuarantineSettings {
        failures: 3,
        share_percent: 50,
        window: Duration::from_secs(10),
        backoff: Duration::from_secs(1),
        backoff_max: Duration::from_secs(4),
    };

    fn call(quarantine: &mut Quarantine, conclusion: Conclusion, now: Instant) -> Admission {
        let admission = quarantine.admit(now);
        quarantine.conclude(admission, conclusion, now);
        admission
    }

    fn start() -> Instant {
        Clock::manual(SystemTime::UNIX_EPOCH).0.now()
    }

    fn put_out(now: Instant) -> Quarantine {
        let mut quarantine = Quarantine::new(SETTINGS);
        for _ in 0..3 {
            assert_eq!(
                call(&mut quarantine, Conclusion::Failure, now),
                Admission::Open
            );
        }
        assert!(quarantine.is_out());
        quarantine
    }

    #[test]
    fn enough_failures_in_the_window_put_a_function_out() {
        let now = start();
        let mut quarantine = put_out(now);
        assert_eq!(quarantine.admit(now), Admission::Quarantined);
    }

    #[test]
    fn failures_of_an_old_window_are_forgotten() {
        let now = start();
        let mut quarantine = Quarantine::new(SETTINGS);
        for step in 0..10 {
            call(
                &mut quarantine,
                Conclusion::Failure,
                now + Duration::from_secs(6 * step),
            );
        }
        assert!(!quarantine.is_out());
        call(
            &mut quarantine,
            Conclusion::Success,
            now + Duration::from_secs(100),
        );
        assert!(quarantine.is_clean());
    }

    #[test]
    fn a_small_share_of_failures_leaves_a_function_in() {
        let now = start();
        let mut quarantine = Quarantine::new(SETTINGS);
        for _ in 0..10 {
            call(&mut quarantine, Conclusion::Failure, now);
            call(&mut quarantine, Conclusion::Success, now);
            call(&mut quarantine, Conclusion::Success, now);
        }
        assert!(!quarantine.is_out());
    }

    #[test]
    fn one_trial_runs_after_the_backoff_and_its_success_ends_it() {
        let now = start();
        let mut quarantine = put_out(now);
        let later = now + Duration::from_secs(1);
        let trial = quarantine.admit(later);
        assert_eq!(trial, Admission::Trial);
        assert_eq!(quarantine.admit(later), Admission::Quarantined);
        quarantine.conclude(trial, Conclusion::Success, later);
        assert!(quarantine.is_clean());
    }

    #[test]
    fn a_trial_that_takes_long_is_not_the_only_one() {
        let now = start();
        let mut quarantine = put_out(now);
        let first = now + Duration::from_secs(1);
        let slow = quarantine.admit(first);
        assert_eq!(slow, Admission::Trial);
        let second = first + Duration::from_secs(1);
        assert_eq!(quarantine.admit(second), Admission::Trial);
        assert_eq!(quarantine.admit(second), Admission::Quarantined);
        quarantine.conclude(Admission::Trial, Conclusion::Success, second);
        assert!(quarantine.is_clean());
        // What the slow one comes to in the end says nothing new.
        quarantine.conclude(slow, Conclusion::Failure, second);
        assert!(quarantine.is_clean());
    }

    #[test]
    fn failed_trials_double_the_backoff_up_to_its_maximum() {
        let mut now = start();
        let mut quarantine = put_out(now);
        for backoff in [1, 2, 4, 4] {
            now += Duration::from_secs(backoff) - Duration::from_millis(1);
            assert_eq!(quarantine.admit(now), Admission::Quarantined);
            now += Duration::from_millis(1);
            assert_eq!(
                call(&mut quarantine, Conclusion::Failure, now),
                Admission::Trial
            );
        }
    }

    #[test]
    fn an_abandoned_trial_leaves_the_next_call_to_be_the_trial() {
        let now = start() + Duration::from_secs(1);
        let mut quarantine = put_out(now - Duration::from_secs(1));
        assert_eq!(
            call(&mut quarantine, Conclusion::Unknown, now),
            Admission::Trial
        );
        assert_eq!(quarantine.admit(now), Admission::Trial);
    }

    #[test]
    fn zero_failures_turn_it_off() {
        let now = start();
        let mut quarantine = Quarantine::new(QuarantineSettings {
            failures: 0,
            ..SETTINGS
        });
        for _ in 0..100 {
            call(&mut quarantine, Conclusion::Failure, now);
        }
        assert!(!quarantine.is_out());
    }
}
