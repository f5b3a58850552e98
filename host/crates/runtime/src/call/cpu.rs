//! The CPU time of the calling thread. To ask for it is a system call (a quarter
//! of a microsecond), so what was read a moment ago is used again where that is
//! precise enough.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// How old a reading may be where a bound will do.
const FRESH: Duration = Duration::from_micros(200);

thread_local! {
    /// When this thread last asked, and what it was told.
    static LAST: Cell<Option<(Instant, u64)>> = const { Cell::new(None) };
}

/// Tells how long the calling thread has run on a core, in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) enum CpuClock {
    /// The operating system's account.
    Thread,
    /// A test's.
    #[cfg(test)]
    Manual(std::sync::Arc<std::sync::atomic::AtomicU64>),
}

impl CpuClock {
    /// The thread's CPU time; `now` is the time of asking.
    pub(crate) fn read(&self, now: Instant) -> u64 {
        match self {
            Self::Thread => {
                let told = clock_gettime(ClockId::ThreadCPUTime);
                let told = Duration::new(
                    u64::try_from(told.tv_sec).unwrap_or(0),
                    u32::try_from(told.tv_nsec).unwrap_or(0),
                );
                let told = u64::try_from(told.as_nanos()).unwrap_or(u64::MAX);
                LAST.set(Some((now, told)));
                told
            }
            #[cfg(test)]
            Self::Manual(time) => time.load(std::sync::atomic::Ordering::Relaxed),
        }
    }

    /// A bound of the thread's CPU time: not more than it is, and at most 200 us less. On a thread
    /// with much to do, most calls find that somebody has just asked.
    pub(crate) fn at_least(&self, now: Instant) -> u64 {
        match (self, LAST.get()) {
            (Self::Thread, Some((then, told)))
                if now
                    .checked_duration_since(then)
                    .is_some_and(|age| age < FRESH) =>
            {
                told
            }
            _ => self.read(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use verge_base::Clock;

    use super::*;

    #[test]
    fn a_bound_is_never_above_the_threads_time() {
        let clock = Clock::system();
        let end = clock.now() + Duration::from_millis(5);
        let mut last = 0;
        while clock.now() < end {
            let bound = CpuClock::Thread.at_least(clock.now());
            assert!(bound >= last, "it goes back");
            assert!(bound <= CpuClock::Thread.read(clock.now()));
            last = bound;
        }
        assert!(last > 0);
    }

    #[test]
    fn each_thread_has_a_time_of_its_own() {
        let now = Clock::system().now();
        let here = CpuClock::Thread.read(now);
        let there = std::thread::spawn(move || CpuClock::Thread.at_least(now));
        // It has hardly begun, and knows nothing of this thread's reading.
        let there = there.join().unwrap();
        assert!(there > 0 && there != here);
    }
}
