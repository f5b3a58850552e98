//! What one call used and logged, as seen from inside the guest, from its poller
//! and from whoever waits for it.
//!
//! Only one of them runs at a time; the atomics are there because a call may
//! move between threads.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use verge_base::Clock;
use verge_http::failure::FunctionFault;

use crate::capabilities::{CallId, Capabilities, LogLevel};
use crate::limits::Limits;

/// Counts the time a guest runs and the time it waits for peers, its hostcalls and its memory.
pub(crate) struct Meter {
    clock: Clock,
    start: Instant,
    /// Nanoseconds of finished polls.
    cpu: AtomicU64,
    /// When the poll in progress began, or [`NONE`].
    polling: AtomicU64,
    /// Nanoseconds of finished waits for content or room.
    waited: AtomicU64,
    /// When the wait in progress began, or [`NONE`].
    waiting: AtomicU64,
    /// How long instantiation took.
    instantiated: AtomicU64,
    hostcalls: AtomicU32,
    memory_peak: AtomicU64,
}

const NONE: u64 = u64::MAX;

impl Meter {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            start: clock.now(),
            clock,
            cpu: AtomicU64::new(0),
            polling: AtomicU64::new(NONE),
            waited: AtomicU64::new(0),
            waiting: AtomicU64::new(NONE),
            instantiated: AtomicU64::new(0),
            hostcalls: AtomicU32::new(0),
            memory_peak: AtomicU64::new(0),
        }
    }

    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    pub(crate) fn wall(&self) -> Duration {
        Duration::from_nanos(self.now())
    }

    pub(crate) fn cpu(&self) -> Duration {
        let polling = self.polling.load(Ordering::Relaxed);
        let current = if polling == NONE {
            0
        } else {
            self.now().saturating_sub(polling)
        };
        Duration::from_nanos(self.cpu.load(Ordering::Relaxed) + current)
    }

    pub(crate) fn instantiated(&self) -> Duration {
        Duration::from_nanos(self.instantiated.load(Ordering::Relaxed))
    }

    pub(crate) fn note_instantiated(&self) {
        self.instantiated.store(self.now(), Ordering::Relaxed);
    }

    pub(crate) fn hostcalls(&self) -> u32 {
        self.hostcalls.load(Ordering::Relaxed)
    }

    /// Counts a call into the host.
    pub(crate) fn count_hostcall(&self) {
        let calls = self.hostcalls().saturating_add(1);
        self.hostcalls.store(calls, Ordering::Relaxed);
    }

    pub(crate) fn memory_peak(&self) -> u64 {
        self.memory_peak.load(Ordering::Relaxed)
    }

    pub(crate) fn note_memory_peak(&self, bytes: u64) {
        self.memory_peak.store(bytes, Ordering::Relaxed);
    }

    /// The guest is polled now; whatever it waited for, it no longer does.
    pub(crate) fn begin_poll(&self) {
        self.end_wait();
        self.polling.store(self.now(), Ordering::Relaxed);
    }

    pub(crate) fn end_poll(&self) {
        let began = self.polling.swap(NONE, Ordering::Relaxed);
        if began != NONE {
            let ran = self.now().saturating_sub(began);
            self.cpu.fetch_add(ran, Ordering::Relaxed);
        }
    }

    /// Until the next poll the guest waits for a peer: its deadline stands still.
    pub(crate) fn begin_wait(&self) {
        self.waiting.store(self.now(), Ordering::Relaxed);
    }

    fn end_wait(&self) {
        let began = self.waiting.swap(NONE, Ordering::Relaxed);
        if began != NONE {
            let waited = self.now().saturating_sub(began);
            self.waited.fetch_add(waited, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) != NONE
    }

    /// Time until the deadline; zero when it has passed.
    pub(crate) fn time_left(&self, limits: &Limits) -> Duration {
        let now = self.now();
        let waiting = self.waiting.load(Ordering::Relaxed);
        let current = if waiting == NONE {
            0
        } else {
            now.saturating_sub(waiting)
        };
        let waited = self.waited.load(Ordering::Relaxed) + current;
        limits
            .deadline
            .saturating_sub(Duration::from_nanos(now.saturating_sub(waited)))
    }

    /// Which limit of time is passed, if one is.
    pub(crate) fn exceeded(&self, limits: &Limits) -> Option<FunctionFault> {
        if self.cpu() > limits.cpu {
            Some(FunctionFault::CpuExceeded)
        } else if self.time_left(limits).is_zero() {
            Some(FunctionFault::DeadlineExceeded)
        } else {
            None
        }
    }

    /// Nanoseconds since the start.
    fn now(&self) -> u64 {
        let elapsed = self.clock.now().saturating_duration_since(self.start);
        u64::try_from(elapsed.as_nanos()).unwrap_or(NONE - 1)
    }
}

/// What one call may still log.
pub(crate) struct LogBudget {
    left: AtomicU64,
    dropped: AtomicU32,
}

impl LogBudget {
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            left: AtomicU64::new(bytes),
            dropped: AtomicU32::new(0),
        }
    }

    pub(crate) fn dropped(&self) -> u32 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Logs a line, or counts it as dropped. An empty line counts one byte.
    pub(crate) fn write(
        &self,
        capabilities: &dyn Capabilities,
        id: &CallId,
        level: LogLevel,
        message: &str,
    ) {
        let cost = message.len().max(1) as u64;
        let left = self.left.load(Ordering::Relaxed);
        match left.checked_sub(cost) {
            None => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            Some(left) => {
                self.left.store(left, Ordering::Relaxed);
                if message.chars().any(char::is_control) {
                    capabilities.log(id, level, &escape_controls(message));
                } else {
                    capabilities.log(id, level, message);
                }
            }
        }
    }
}

/// A guest must not be able to forge lines or drive a terminal.
fn escape_controls(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if character.is_control() && character != '\t' {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn cpu_counts_polls_only() {
        let (clock, handle) = Clock::manual(SystemTime::UNIX_EPOCH);
        let meter = Meter::new(clock);
        handle.advance(Duration::from_millis(5));
        meter.begin_poll();
        handle.advance(Duration::from_millis(2));
        assert_eq!(meter.cpu(), Duration::from_millis(2));
        meter.end_poll();
        handle.advance(Duration::from_millis(5));
        meter.begin_poll();
        handle.advance(Duration::from_millis(1));
        meter.end_poll();
        assert_eq!(meter.cpu(), Duration::from_millis(3));
        assert_eq!(meter.wall(), Duration::from_millis(13));
    }

    #[test]
    fn the_deadline_stands_still_while_the_guest_waits_for_a_peer() {
        let limits = Limits {
            deadline: Duration::from_millis(10),
            ..Limits::default()
        };
        let (clock, handle) = Clock::manual(SystemTime::UNIX_EPOCH);
        let meter = Meter::new(clock);
        handle.advance(Duration::from_millis(4));
        meter.begin_wait();
        handle.advance(Duration::from_secs(60));
        assert_eq!(meter.time_left(&limits), Duration::from_millis(6));
        meter.begin_poll();
        meter.end_poll();
        handle.advance(Duration::from_millis(5));
        assert_eq!(meter.exceeded(&limits), None);
        handle.advance(Duration::from_millis(1));
        assert_eq!(
            meter.exceeded(&limits),
            Some(FunctionFault::DeadlineExceeded)
        );
    }

    #[test]
    fn control_characters_cannot_forge_lines() {
        assert_eq!(escape_controls("a\nb\u{1b}[31m\tc"), "a\\nb\\u{1b}[31m\tc");
    }
}
