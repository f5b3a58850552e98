//! How a version does: its calls within a window, and when they say that it must go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use verge_base::Clock;
use verge_config::Rollback;
use verge_runtime::{CallReceipt, Digest, Outcome};

use crate::telemetry::VersionMetrics;

/// Parts of a window: calls are forgotten a part at a time.
const PARTS: usize = 10;

/// Of so many calls one may be slower than `latency`.
const SLOW_ONE_IN: u64 = 20;

/// Versions that wait to be taken back, at most; what does not fit is told again by the next call.
pub(super) const TRIPS_MAX: usize = 64;

/// A version that must go.
#[derive(Debug)]
pub(crate) struct Trip {
    pub(crate) function: Arc<str>,
    pub(crate) digest: Digest,
    pub(crate) reason: String,
}

/// The calls of one loaded version.
pub(crate) struct VersionHealth {
    function: Arc<str>,
    digest: Digest,
    rules: Rollback,
    clock: Clock,
    trips: mpsc::Sender<Trip>,
    metrics: Arc<VersionMetrics>,
    /// Goes on when the version is loaded anew, with other settings.
    watched: Arc<Watched>,
}

/// Where a version runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Beside the live one: it is watched for as long as that lasts.
    Beside,
    /// As the live one: it is watched for the time that the rules say.
    Live {
        /// When it became so.
        since: SystemTime,
    },
}

/// A version that may be watched.
struct Watched {
    /// Whether anybody wants to know: calls of a version that is not watched take no lock.
    is_on: AtomicBool,
    watch: Mutex<Watch>,
}

/// What is known while a version is watched.
struct Watch {
    place: Option<Place>,
    begun: Instant,
    /// None: for as long as it runs beside another.
    until: Option<Instant>,
    parts: [Part; PARTS],
}

/// A part of the window.
#[derive(Clone, Copy, Default)]
struct Part {
    /// Which one, counted from the beginning.
    number: u64,
    calls: u64,
    failures: u64,
    slow: u64,
}

impl VersionHealth {
    /// Of a version that nobody watches yet, unless it is `held` from before, with a window as
    /// long.
    pub(super) fn new(
        (function, digest): (Arc<str>, Digest),
        rules: Rollback,
        clock: Clock,
        trips: mpsc::Sender<Trip>,
        metrics: Arc<VersionMetrics>,
        held: Option<&Self>,
    ) -> Arc<Self> {
        let held = held.filter(|held| held.digest == digest && held.rules.window == rules.window);
        let watched = match held {
            Some(held) => Arc::clone(&held.watched),
            None => Arc::new(Watched {
                is_on: AtomicBool::new(false),
                watch: Mutex::new(Watch::begin(None, clock.now())),
            }),
        };
        Arc::new(Self {
            function,
            digest,
            rules,
            clock,
            trips,
            metrics,
            watched,
        })
    }

    /// Watches it from now on, as long as its place asks for. What was counted in another place is
    /// forgotten, and what was in the same is not.
    pub(crate) fn watch(&self, place: Place) {
        let now = self.clock.now();
        let mut watch = self.watched.watch.lock();
        if watch.place != Some(place) {
            *watch = Watch::begin(Some(place), now);
        }
        watch.until = match place {
            Place::Beside => None,
            Place::Live { since } => {
                let past = self.clock.wall().duration_since(since).unwrap_or_default();
                Some(now + self.rules.watched.saturating_sub(past))
            }
        };
        let is_on = watch.until.is_none_or(|until| until > now);
        self.watched.is_on.store(is_on, Ordering::Relaxed);
    }

    /// Watches it as before, and forgets what was counted.
    pub(crate) fn watch_again(&self) {
        let now = self.clock.now();
        let mut watch = self.watched.watch.lock();
        (watch.begun, watch.parts) = (now, [Part::default(); PARTS]);
        self.watched.is_on.store(true, Ordering::Relaxed);
    }

    /// Watches it no more.
    pub(crate) fn rest(&self) {
        self.watched.is_on.store(false, Ordering::Relaxed);
    }

    /// Notes a call that has ended. Its time is its own: not what clients and origins took to send
    /// and to read content; nor is it at fault for an upload that was broken off, or for a peer that
    /// took longer than it may be waited for.
    pub(crate) fn note_call(&self, call: &CallReceipt) {
        if !(call.was_given_less || call.was_kept_waiting) {
            self.record(call.outcome, call.wall.saturating_sub(call.waited));
        }
    }

    /// Notes a call that has ended and took so long.
    pub(crate) fn record(&self, outcome: Outcome, wall: Duration) {
        let is_failure = match outcome {
            Outcome::Responded | Outcome::Continued => false,
            // The client went away, or the node had no place: neither is about the version.
            Outcome::Abandoned | Outcome::InstancesExhausted => return,
            Outcome::Trapped
            | Outcome::DeadlineExceeded
            | Outcome::CpuExceeded
            | Outcome::MemoryExceeded
            | Outcome::HostcallsExceeded
            | Outcome::NoResponse
            | Outcome::ResponseInvalid
            | Outcome::Refused
            | Outcome::Quarantined => true,
        };
        self.metrics.record(is_failure);
        if !self.watched.is_on.load(Ordering::Relaxed) {
            return;
        }
        let is_slow = self.rules.latency.is_some_and(|most| wall > most);
        if let Some(reason) = self.note(is_failure, is_slow) {
            let trip = Trip {
                function: Arc::clone(&self.function),
                digest: self.digest,
                reason,
            };
            if self.trips.try_send(trip).is_ok() {
                self.rest();
            }
        }
    }

    /// Counts a call within the window; why the version must go, if it must.
    fn note(&self, is_failure: bool, is_slow: bool) -> Option<String> {
        let now = self.clock.now();
        let mut watch = self.watched.watch.lock();
        if watch.until.is_some_and(|until| now >= until) {
            drop(watch);
            self.rest();
            return None;
        }
        let part = (self.rules.window / PARTS as u32).max(Duration::from_millis(1));
        let since = now.saturating_duration_since(watch.begun);
        let number = u64::try_from(since.as_nanos() / part.as_nanos()).unwrap_or(u64::MAX);
        let place = usize::try_from(number % PARTS as u64).unwrap_or(0);
        if let Some(part) = watch.parts.get_mut(place) {
            if part.number != number {
                *part = Part {
                    number,
                    ..Part::default()
                };
            }
            part.calls += 1;
            part.failures += u64::from(is_failure);
            part.slow += u64::from(is_slow);
        }
        let oldest = number.saturating_sub(PARTS as u64 - 1);
        let within = watch.parts.iter().filter(|part| part.number >= oldest);
        let all = within.fold(Part::default(), |sum, part| Part {
            number,
            calls: sum.calls + part.calls,
            failures: sum.failures + part.failures,
            slow: sum.slow + part.slow,
        });
        decide(&self.rules, all.calls, all.failures, all.slow)
    }
}

/// Why a version with so many calls must go; `None` if it may stay.
fn decide(rules: &Rollback, calls: u64, failures: u64, slow: u64) -> Option<String> {
    if calls < u64::from(rules.calls) {
        return None;
    }
    if failures.saturating_mul(10_000) > calls.saturating_mul(rules.failures.into()) {
        return Some(format!("{failures} of {calls} calls failed"));
    }
    if let Some(most) = rules.latency
        && slow.saturating_mul(SLOW_ONE_IN) > calls
    {
        let most = verge_config::show_duration(most);
        return Some(format!("{slow} of {calls} calls took more than {most}"));
    }
    None
}

impl Watch {
    const fn begin(place: Option<Place>, now: Instant) -> Self {
        Self {
            place,
            begun: now,
            until: None,
            parts: [Part {
                number: 0,
                calls: 0,
                failures: 0,
                slow: 0,
            }; PARTS],
        }
    }
}

impl std::fmt::Debug for VersionHealth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VersionHealth")
            .field("function", &self.function)
            .field("digest", &self.digest.short())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{FunctionDigest, Metrics};

    fn rules() -> Rollback {
        let mut rules = Rollback::default();
        rules.failures = 1000;
        rules.latency = Some(Duration::from_millis(50));
        rules.calls = 20;
        rules.window = Duration::from_secs(10);
        rules.watched = Duration::from_secs(60);
        rules
    }

    #[test]
    fn too_many_failures_or_slow_calls_are_a_reason_once_there_are_enough_calls() {
        let rules = rules();
        for (calls, failures, slow, expected) in [
            (19, 19, 19, None),
            (20, 2, 1, None),
            (20, 3, 0, Some("3 of 20 calls failed")),
            (100, 10, 5, None),
            (100, 0, 6, Some("6 of 100 calls took more than 50ms")),
        ] {
            assert_eq!(decide(&rules, calls, failures, slow).as_deref(), expected);
        }
        let mut off = rules;
        (off.failures, off.latency) = (10_000, None);
        assert_eq!(decide(&off, 100, 100, 100), None);
    }

    const LIVE: Place = Place::Live {
        since: SystemTime::UNIX_EPOCH,
    };

    /// A version with these rules, which may be `held`, and what it tells.
    fn loaded(
        rules: Rollback,
        clock: &Clock,
        held: Option<&VersionHealth>,
    ) -> (Arc<VersionHealth>, mpsc::Receiver<Trip>) {
        let (trips, tripped) = mpsc::channel(TRIPS_MAX);
        let digest = Digest::of(b"one");
        let metrics = Metrics::new(1).function("f");
        let metrics = metrics.version(FunctionDigest::from_full(digest.as_bytes()));
        let named = ("f".into(), digest);
        let health = VersionHealth::new(named, rules, clock.clone(), trips, metrics, held);
        (health, tripped)
    }

    fn fail(health: &VersionHealth, times: usize) {
        for _ in 0..times {
            health.record(Outcome::Trapped, Duration::ZERO);
        }
    }

    #[test]
    fn calls_count_within_the_window_and_while_the_version_is_watched() {
        let (clock, handle) = Clock::manual(SystemTime::UNIX_EPOCH);
        let (health, mut tripped) = loaded(rules(), &clock, None);
        fail(&health, 100);
        assert!(tripped.try_recv().is_err(), "nobody watches");
        health.watch(LIVE);
        fail(&health, 19);
        handle.advance(Duration::from_secs(11));
        fail(&health, 19);
        assert!(tripped.try_recv().is_err(), "the first are forgotten");
        handle.advance(Duration::from_secs(60));
        fail(&health, 100);
        assert!(
            tripped.try_recv().is_err(),
            "it has been watched for long enough"
        );
        health.watch(Place::Beside);
        handle.advance(Duration::from_secs(600));
        for _ in 0..50 {
            health.record(Outcome::Abandoned, Duration::from_secs(9));
            health.record(Outcome::InstancesExhausted, Duration::from_secs(9));
        }
        fail(&health, 20);
        let trip = tripped.try_recv().unwrap();
        assert_eq!(trip.reason, "20 of 20 calls failed");
        fail(&health, 100);
        assert!(tripped.try_recv().is_err(), "it is told once");
        health.watch_again();
        fail(&health, 20);
        assert!(
            tripped.try_recv().is_ok(),
            "and again where that was in vain"
        );
    }

    #[test]
    fn watch_goes_on_when_the_version_is_loaded_anew_and_ends_when_it_would_have() {
        let (clock, handle) = Clock::manual(SystemTime::UNIX_EPOCH);
        let (first, mut told) = loaded(rules(), &clock, None);
        first.watch(LIVE);
        fail(&first, 10);
        let (second, mut tripped) = loaded(rules(), &clock, Some(&first));
        second.watch(LIVE);
        // A call that began before the reload.
        fail(&first, 5);
        fail(&second, 5);
        assert_eq!(tripped.try_recv().unwrap().reason, "20 of 20 calls failed");
        assert!(told.try_recv().is_err());
        // As after a restart: nothing is held, and the time counts from when it became live.
        let (third, mut tripped) = loaded(rules(), &clock, None);
        handle.advance(Duration::from_secs(59));
        third.watch(LIVE);
        fail(&third, 20);
        assert!(tripped.try_recv().is_ok());
        handle.advance(Duration::from_secs(1));
        third.watch(LIVE);
        fail(&third, 100);
        assert!(tripped.try_recv().is_err(), "its time is over");
        // Other rules, another end.
        let mut longer = rules();
        longer.watched = Duration::from_secs(120);
        let (fourth, mut tripped) = loaded(longer, &clock, Some(&third));
        fourth.watch(LIVE);
        fail(&fourth, 20);
        assert!(tripped.try_recv().is_ok());
    }
}
