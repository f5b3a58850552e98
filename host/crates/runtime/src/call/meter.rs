//! What one call used, as seen from inside the guest, from its poller
//! and from whoever waits for it.
//!
//! The guest's time is the CPU time of the thread while it polls the guest: its
//! start and what the host does in its hostcalls are its own, but not the time
//! for which the thread was kept off its core, nor what another guest did whose
//! content it read. A poll of less than 100 us counts by the wall clock, which
//! costs a tenth.
//!
//! Only one of them runs at a time; the atomics are there because a call may
//! move between threads.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use verge_base::Clock;
use verge_http::failure::FunctionFault;

use super::cpu::CpuClock;
use crate::limits::Limits;

/// Nanoseconds of a poll up to which the wall clock is precise enough.
const BRIEF: u64 = 100_000;

thread_local! {
    /// Nanoseconds of all guests that ran on this thread.
    static BILLED: Cell<u64> = const { Cell::new(0) };
}

/// Counts the time a guest runs and the time it waits for peers, its hostcalls and its memory.
pub(crate) struct Meter {
    clock: Clock,
    cpu_clock: CpuClock,
    start: Instant,
    /// Nanoseconds of finished polls.
    cpu: AtomicU64,
    /// When the poll in progress began, or [`NONE`].
    polling: AtomicU64,
    /// The thread's CPU time when it began, or a little less.
    polling_cpu: AtomicU64,
    /// [`BILLED`] when it began.
    polling_billed: AtomicU64,
    /// It was stopped by a tick and not because it waits for something.
    interrupted: AtomicBool,
    /// Nanoseconds of finished waits for content or room.
    waited: AtomicU64,
    /// The same for content of a peer and for what is behind a middleware: a guest may wait for
    /// something else besides, so only [`Limits::peer_wait`] of it is not counted.
    waited_for_peers: AtomicU64,
    /// When the wait in progress began, or [`NONE`].
    waiting: AtomicU64,
    /// The wait in progress is for a peer.
    is_for_peer: AtomicBool,
    /// Peers that something of the guest waits for, however often the guest itself is polled.
    peers: AtomicU32,
    /// How long instantiation took.
    instantiated: AtomicU64,
    hostcalls: AtomicU32,
    memory_peak: AtomicU64,
}

const NONE: u64 = u64::MAX;

impl Meter {
    pub(crate) fn new(clock: Clock) -> Self {
        Self::with(clock, CpuClock::Thread)
    }

    fn with(clock: Clock, cpu_clock: CpuClock) -> Self {
        Self {
            start: clock.now(),
            clock,
            cpu_clock,
            cpu: AtomicU64::new(0),
            polling: AtomicU64::new(NONE),
            polling_cpu: AtomicU64::new(0),
            polling_billed: AtomicU64::new(0),
            interrupted: AtomicBool::new(false),
            waited: AtomicU64::new(0),
            waited_for_peers: AtomicU64::new(0),
            waiting: AtomicU64::new(NONE),
            is_for_peer: AtomicBool::new(false),
            peers: AtomicU32::new(0),
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

    /// The guest's time. While it is polled, only the thread that does may ask.
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu.load(Ordering::Relaxed) + self.polled())
    }

    /// Nanoseconds of the poll in progress.
    fn polled(&self) -> u64 {
        let began = self.polling.load(Ordering::Relaxed);
        if began == NONE {
            return 0;
        }
        let at = self.clock.now();
        let wall = self.since_start(at).saturating_sub(began);
        let ran = if wall <= BRIEF {
            wall
        } else {
            let cpu = self.cpu_clock.read(at);
            wall.min(cpu.saturating_sub(self.polling_cpu.load(Ordering::Relaxed)))
        };
        let others = BILLED
            .get()
            .saturating_sub(self.polling_billed.load(Ordering::Relaxed));
        ran.saturating_sub(others)
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
        let at = self.clock.now();
        // What is off by a fraction of a millisecond must not add up over many slices.
        let cpu = if self.interrupted.swap(false, Ordering::Relaxed) {
            self.cpu_clock.read(at)
        } else {
            self.cpu_clock.at_least(at)
        };
        self.polling_cpu.store(cpu, Ordering::Relaxed);
        self.polling_billed.store(BILLED.get(), Ordering::Relaxed);
        self.polling.store(self.since_start(at), Ordering::Relaxed);
    }

    pub(crate) fn end_poll(&self) {
        let ran = self.polled();
        self.polling.store(NONE, Ordering::Relaxed);
        self.cpu.fetch_add(ran, Ordering::Relaxed);
        BILLED.set(BILLED.get().saturating_add(ran));
        let waits = self.waiting.load(Ordering::Relaxed) != NONE;
        if !waits && self.peers.load(Ordering::Relaxed) > 0 {
            self.begin_peer_wait();
        }
    }

    /// Something of the guest waits for a peer, until [`Meter::remove_peer`].
    pub(crate) fn add_peer(&self) {
        self.peers.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remove_peer(&self) {
        self.peers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Until the next poll the guest makes way for others: it could go on.
    pub(crate) fn note_interrupted(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Until the next poll the guest waits for its reader: its deadline stands still. A wait that
    /// has begun goes on: several pieces can be taken from what the guest wrote at once.
    pub(crate) fn begin_wait(&self) {
        self.begin(false);
    }

    /// Until the next poll the guest waits for a peer, and perhaps for something else besides: its
    /// deadline stands still for as long as [`Limits::peer_wait`] allows.
    pub(crate) fn begin_peer_wait(&self) {
        self.begin(true);
    }

    fn begin(&self, for_peer: bool) {
        let is_waiting = self.waiting.load(Ordering::Relaxed) != NONE;
        if is_waiting && self.is_for_peer.load(Ordering::Relaxed) == for_peer {
            return;
        }
        self.end_wait();
        self.is_for_peer.store(for_peer, Ordering::Relaxed);
        self.waiting.store(self.now(), Ordering::Relaxed);
    }

    fn end_wait(&self) {
        let began = self.waiting.swap(NONE, Ordering::Relaxed);
        if began != NONE {
            let waited = self.now().saturating_sub(began);
            let sum = match self.is_for_peer.load(Ordering::Relaxed) {
                true => &self.waited_for_peers,
                false => &self.waited,
            };
            sum.fetch_add(waited, Ordering::Relaxed);
        }
    }

    /// How long it has waited for its reader and for peers.
    pub(crate) fn waited(&self) -> Duration {
        let (waited, for_peers) = self.waits(self.now());
        Duration::from_nanos(waited.saturating_add(for_peers))
    }

    /// Time until the deadline, as if no wait went on; zero when it has passed.
    pub(crate) fn time_left(&self, limits: &Limits) -> Duration {
        let now = self.now();
        let (mut waited, for_peers) = self.waits(now);
        waited += for_peers.min(nanos(limits.peer_wait));
        limits
            .deadline
            .saturating_sub(Duration::from_nanos(now.saturating_sub(waited)))
    }

    /// Whether the guest would be within its deadline if no wait for a peer counted.
    pub(crate) fn is_late_for_peers(&self, limits: &Limits) -> bool {
        let now = self.now();
        let (waited, for_peers) = self.waits(now);
        let own = now.saturating_sub(waited).saturating_sub(for_peers);
        own < nanos(limits.deadline)
    }

    /// How long the guest may wait from now on until it has passed its deadline; `None` while it
    /// waits for what does not count.
    pub(crate) fn wait_left(&self, limits: &Limits) -> Option<Duration> {
        let left = self.time_left(limits);
        if self.waiting.load(Ordering::Relaxed) == NONE {
            return Some(left);
        }
        let (_, for_peers) = self.waits(self.now());
        self.is_for_peer.load(Ordering::Relaxed).then(|| {
            let more = limits.peer_wait;
            left.saturating_add(more.saturating_sub(Duration::from_nanos(for_peers)))
        })
    }

    /// Nanoseconds of waits for readers and for peers, the one in progress included.
    fn waits(&self, now: u64) -> (u64, u64) {
        let mut waited = self.waited.load(Ordering::Relaxed);
        let mut for_peers = self.waited_for_peers.load(Ordering::Relaxed);
        let began = self.waiting.load(Ordering::Relaxed);
        if began != NONE {
            let current = now.saturating_sub(began);
            match self.is_for_peer.load(Ordering::Relaxed) {
                true => for_peers += current,
                false => waited += current,
            }
        }
        (waited, for_peers)
    }

    /// Which limit of time is passed, if one is, by a guest that has used `cpu`.
    pub(crate) fn exceeded(&self, cpu: Duration, limits: &Limits) -> Option<FunctionFault> {
        if cpu > limits.cpu {
            Some(FunctionFault::CpuExceeded)
        } else if self.time_left(limits).is_zero() {
            Some(FunctionFault::DeadlineExceeded)
        } else {
            None
        }
    }

    /// Nanoseconds since the start.
    fn now(&self) -> u64 {
        self.since_start(self.clock.now())
    }

    fn since_start(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(self.start))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NONE - 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use verge_base::ManualClock;

    use super::*;

    /// A thread's two clocks, and meters that go by them.
    struct Thread {
        clock: Clock,
        wall: ManualClock,
        cpu: Arc<AtomicU64>,
    }

    impl Thread {
        fn new() -> Self {
            let (clock, wall) = Clock::manual(SystemTime::UNIX_EPOCH);
            let cpu = Arc::new(AtomicU64::new(0));
            Self { clock, wall, cpu }
        }

        fn meter(&self) -> Meter {
            Meter::with(self.clock.clone(), CpuClock::Manual(Arc::clone(&self.cpu)))
        }

        /// The thread runs.
        fn runs(&self, milliseconds: u64) {
            self.cpu
                .fetch_add(milliseconds * 1_000_000, Ordering::Relaxed);
            self.waits(milliseconds);
        }

        /// The thread is kept off its core, or has nothing to do.
        fn waits(&self, milliseconds: u64) {
            self.wall.advance(Duration::from_millis(milliseconds));
        }
    }

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn cpu_counts_polls_only() {
        let thread = Thread::new();
        let meter = thread.meter();
        thread.runs(5);
        meter.begin_poll();
        thread.runs(2);
        assert_eq!(meter.cpu(), millis(2));
        meter.end_poll();
        thread.runs(5);
        meter.begin_poll();
        thread.runs(1);
        meter.end_poll();
        assert_eq!(meter.cpu(), millis(3));
        assert_eq!(meter.wall(), millis(13));
    }

    #[test]
    fn a_thread_that_is_kept_off_its_core_costs_the_guest_nothing() {
        let limits = Limits {
            cpu: millis(10),
            deadline: millis(1000),
            ..Limits::default()
        };
        let thread = Thread::new();
        let meter = thread.meter();
        meter.begin_poll();
        thread.runs(3);
        thread.waits(500);
        assert_eq!(meter.cpu(), millis(3));
        assert_eq!(meter.exceeded(meter.cpu(), &limits), None);
        thread.runs(8);
        assert_eq!(
            meter.exceeded(meter.cpu(), &limits),
            Some(FunctionFault::CpuExceeded)
        );
        meter.end_poll();
        assert_eq!(meter.cpu(), millis(11));
    }

    #[test]
    fn a_brief_poll_counts_by_the_wall_clock() {
        let thread = Thread::new();
        let meter = thread.meter();
        meter.begin_poll();
        thread.wall.advance(Duration::from_micros(7));
        meter.end_poll();
        assert_eq!(meter.cpu(), Duration::from_micros(7));
    }

    #[test]
    fn what_another_guest_does_within_a_poll_is_that_ones() {
        let thread = Thread::new();
        let (reader, writer) = (thread.meter(), thread.meter());
        reader.begin_poll();
        thread.runs(1);
        writer.begin_poll();
        thread.runs(5);
        writer.end_poll();
        thread.runs(1);
        assert_eq!(reader.cpu(), millis(2));
        reader.end_poll();
        assert_eq!(reader.cpu(), millis(2));
        assert_eq!(writer.cpu(), millis(5));
    }

    #[test]
    fn a_wait_that_has_begun_does_not_begin_again() {
        let limits = Limits {
            deadline: millis(10),
            ..Limits::default()
        };
        let thread = Thread::new();
        let meter = thread.meter();
        for _ in 0..3 {
            meter.begin_wait();
            thread.waits(60_000);
        }
        meter.begin_poll();
        meter.end_poll();
        assert_eq!(meter.time_left(&limits), millis(10));
    }

    #[test]
    fn the_deadline_stands_still_while_the_guest_waits_for_a_peer() {
        let limits = Limits {
            deadline: millis(10),
            ..Limits::default()
        };
        let thread = Thread::new();
        let meter = thread.meter();
        thread.waits(4);
        meter.begin_wait();
        thread.waits(60_000);
        assert_eq!(meter.time_left(&limits), millis(6));
        meter.begin_poll();
        meter.end_poll();
        thread.waits(5);
        assert_eq!(meter.exceeded(meter.cpu(), &limits), None);
        thread.waits(1);
        assert_eq!(
            meter.exceeded(meter.cpu(), &limits),
            Some(FunctionFault::DeadlineExceeded)
        );
    }

    #[test]
    fn a_wait_for_a_peer_outlasts_polls_for_something_else() {
        let limits = Limits {
            deadline: millis(10),
            peer_wait: millis(100),
            ..Limits::default()
        };
        let thread = Thread::new();
        let meter = thread.meter();
        meter.add_peer();
        for _ in 0..3 {
            meter.begin_poll();
            meter.end_poll();
            thread.waits(20);
        }
        assert_eq!(meter.time_left(&limits), millis(10));
        meter.begin_poll();
        meter.remove_peer();
        meter.end_poll();
        thread.waits(9);
        assert_eq!(meter.time_left(&limits), millis(1));
    }

    #[test]
    fn waits_for_peers_count_once_they_are_longer_than_allowed() {
        let limits = Limits {
            deadline: millis(10),
            peer_wait: millis(100),
            ..Limits::default()
        };
        let thread = Thread::new();
        let meter = thread.meter();
        thread.waits(4);
        meter.begin_peer_wait();
        assert_eq!(meter.wait_left(&limits), Some(millis(106)));
        thread.waits(60);
        meter.begin_poll();
        meter.end_poll();
        assert_eq!(meter.wait_left(&limits), Some(millis(6)));
        meter.begin_peer_wait();
        thread.waits(45);
        assert_eq!(meter.time_left(&limits), millis(1));
        assert_eq!(meter.wait_left(&limits), Some(millis(1)));
        thread.waits(1);
        assert_eq!(
            meter.exceeded(meter.cpu(), &limits),
            Some(FunctionFault::DeadlineExceeded)
        );
        assert!(meter.is_late_for_peers(&limits));
        meter.begin_poll();
        meter.end_poll();
        thread.waits(6);
        assert!(!meter.is_late_for_peers(&limits), "its own 10 ms are over");
        meter.begin_wait();
        assert_eq!(meter.wait_left(&limits), None);
    }
}
