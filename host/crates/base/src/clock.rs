//! The one clock of the node.
//!
//! Ages and deadlines are computed from [`Clock::now`] (monotonic), dates on
//! the wire from [`Clock::wall`]. Both can be driven by hand in tests, so no
//! test waits for time to pass. Timers of the async runtime are not part of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

/// Where the time comes from; cheap to clone and to pass along.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    /// The system's clocks, ahead by so many nanoseconds.
    Ahead(Arc<AtomicU64>),
    Manual(Arc<Mutex<ManualTime>>),
}

#[derive(Debug)]
struct ManualTime {
    monotonic: Instant,
    wall: SystemTime,
}

/// The handle by which a test drives a manual [`Clock`].
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<ManualTime>>);

/// The handle by which a developer sends an [`Clock::ahead`] clock into the future.
#[derive(Clone, Debug)]
pub struct ClockJumps(Arc<AtomicU64>);

impl Clock {
    /// The operating system's clocks.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// The operating system's clocks, and by how much the handle has sent them ahead.
    #[must_use]
    pub fn ahead() -> (Self, ClockJumps) {
        let nanoseconds = Arc::new(AtomicU64::new(0));
        (
            Self(Source::Ahead(Arc::clone(&nanoseconds))),
            ClockJumps(nanoseconds),
        )
    }

    /// A clock that stands still at `wall` until its handle moves it.
    #[must_use]
    pub fn manual(wall: SystemTime) -> (Self, ManualClock) {
        let time = Arc::new(Mutex::new(ManualTime {
            monotonic: monotonic_now(),
            wall,
        }));
        (Self(Source::Manual(Arc::clone(&time))), ManualClock(time))
    }

    /// The monotonic time; never goes back.
    #[must_use]
    pub fn now(&self) -> Instant {
        match &self.0 {
            Source::System => monotonic_now(),
            Source::Ahead(by) => monotonic_now() + nanoseconds(by),
            Source::Manual(time) => time.lock().monotonic,
        }
    }

    /// The wall-clock time; may jump when the machine's clock is set.
    #[must_use]
    pub fn wall(&self) -> SystemTime {
        match &self.0 {
            Source::System => wall_now(),
            Source::Ahead(by) => wall_now() + nanoseconds(by),
            Source::Manual(time) => time.lock().wall,
        }
    }
}

fn nanoseconds(by: &AtomicU64) -> Duration {
    Duration::from_nanos(by.load(Ordering::Acquire))
}

impl ClockJumps {
    /// The furthest that a clock can be ahead: a hundred years.
    const MOST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

    /// Sends both clocks ahead by `step` more. Gives by how much they are ahead now, which is at
    /// most a hundred years.
    pub fn jump(&self, step: Duration) -> Duration {
        let most = Self::MOST.as_nanos() as u64;
        let step = u64::try_from(step.as_nanos()).unwrap_or(most);
        let further = |by: u64| Some(by.saturating_add(step).min(most));
        // The closure always gives a value.
        let _ = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, further);
        self.ahead()
    }

    /// By how much the clocks are ahead.
    #[must_use]
    pub fn ahead(&self) -> Duration {
        nanoseconds(&self.0)
    }
}

impl ManualClock {
    /// Moves both clocks forward by `step`.
    pub fn advance(&self, step: Duration) {
        let mut time = self.0.lock();
        time.monotonic += step;
        time.wall += step;
    }

    /// Sets the wall clock alone, as an operator or NTP would.
    pub fn set_wall(&self, wall: SystemTime) {
        self.0.lock().wall = wall;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the only place that asks the system for monotonic time"
)]
fn monotonic_now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the only place that asks the system for wall time"
)]
fn wall_now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_only_when_told() {
        let (clock, handle) = Clock::manual(SystemTime::UNIX_EPOCH);
        let before = clock.now();
        assert_eq!(clock.now(), before);
        handle.advance(Duration::from_secs(5));
        assert_eq!(clock.now() - before, Duration::from_secs(5));
        assert_eq!(
            clock.wall(),
            SystemTime::UNIX_EPOCH + Duration::from_secs(5)
        );
    }

    #[test]
    fn a_clock_that_is_ahead_goes_on() {
        let (clock, jumps) = Clock::ahead();
        let (before, wall) = (clock.now(), clock.wall());
        let hour = Duration::from_secs(3600);
        assert_eq!(jumps.jump(hour), hour);
        assert!(clock.now() - before >= hour);
        assert!(clock.wall() > wall + hour - Duration::from_secs(60));
        assert_eq!(jumps.jump(Duration::MAX), ClockJumps::MOST);
        assert!(clock.now() > before);
    }

    #[test]
    fn setting_the_wall_leaves_monotonic_time_alone() {
        let (clock, handle) = Clock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(100));
        let before = clock.now();
        handle.set_wall(SystemTime::UNIX_EPOCH);
        assert_eq!(clock.now(), before);
        assert_eq!(clock.wall(), SystemTime::UNIX_EPOCH);
    }
}
