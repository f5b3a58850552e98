//! The thread that advances the epoch, so that guests that run for long yield.
//!
//! It must not be a timer of the async runtime: a guest that spins would stop
//! that one. It sleeps while no guest runs, and ticks faster while one runs for
//! long: budgets and the others' turns are as precise as ticks are.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Ticks without any guest after which the thread goes to sleep. More than one, so that a guest
/// that began just before a tick is seen by the next; not few, because waking it costs a request
/// some microseconds.
const IDLE_TICKS: u32 = 50;

/// Parts of a tick into which it is cut while a guest runs for long.
const FINE: u32 = 4;
/// No tick is finer: each costs some microseconds of a core.
const FINEST: Duration = Duration::from_micros(100);
/// Fine ticks after the last one that met such a guest: the next is expected soon, and its first
/// slice should be short.
const FINE_TICKS: u32 = 400;

/// The epoch ticker; dropping it ends its thread and waits for that.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    fine: Duration,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// A guest was polled since the last tick.
    active: AtomicBool,
    asleep: AtomicBool,
    stop: AtomicBool,
    ticks: AtomicU64,
    /// Fine ticks to come.
    fine_ticks: AtomicU32,
    /// Polls in progress of guests that a tick had interrupted.
    resumed: AtomicU32,
}

/// While it is there, ticks go on.
pub(crate) struct Awake<'a>(&'a AtomicU32);

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Ticker {
    /// Starts the thread; it calls `advance` at each tick while guests run.
    pub(crate) fn start(tick: Duration, advance: impl Fn() + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            active: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            ticks: AtomicU64::new(0),
            fine_ticks: AtomicU32::new(0),
            resumed: AtomicU32::new(0),
        });
        let fine = (tick / FINE).max(FINEST).min(tick);
        let theirs = Arc::clone(&shared);
        let (started, has_started) = mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name("verge-epoch".into())
            .spawn(move || {
                raise_priority();
                let _ = started.send(());
                run(&theirs, tick, fine, &advance);
            })?;
        // On a busy machine a new thread waits for its first turn, and guests must not run without
        // ticks meanwhile.
        let _ = has_started.recv();
        Ok(Self {
            shared,
            fine,
            thread: Some(thread),
        })
    }

    /// Must be called before each poll of a guest; costs one load while ticks go on.
    ///
    /// A guest that polls just before the flag is cleared is still safe: the epoch advances at
    /// that tick and at each idle one after it, so the guest yields, is polled again, and lands
    /// here again. One that was interrupted takes [`Self::keep_awake`] before.
    pub(crate) fn touch(&self) {
        // Sequentially consistent with `asleep` and `resumed` in `run`: one of the two sees the
        // other.
        if !self.shared.active.load(Ordering::SeqCst) {
            self.shared.active.store(true, Ordering::SeqCst);
            if self.shared.asleep.load(Ordering::SeqCst) {
                self.wake();
            }
        }
    }

    /// Must be held, from before [`Self::touch`], during a poll of a guest that a tick had
    /// interrupted. Its next deadline is set within that poll: all ticks before are lost on it,
    /// and if its thread loses its core there, they may be the last ones.
    pub(crate) fn keep_awake(&self) -> Awake<'_> {
        self.shared.resumed.fetch_add(1, Ordering::SeqCst);
        Awake(&self.shared.resumed)
    }

    /// Must be called when a tick meets a guest, with the CPU time that it has used.
    pub(crate) fn note_running(&self, cpu: Duration) {
        // One that a tick met by chance changes nothing.
        if cpu >= self.fine && self.shared.fine_ticks.swap(FINE_TICKS, Ordering::Relaxed) == 0 {
            self.wake();
        }
    }

    /// How many ticks there were.
    pub(crate) fn ticks(&self) -> u64 {
        self.shared.ticks.load(Ordering::Relaxed)
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

/// On a machine with more to do than cores, a thread that sleeps most of the time still waits for
/// its turn, for milliseconds, and a guest goes on meanwhile. It may not be allowed, which is no
/// harm: then budgets are as precise as the scheduler is.
fn raise_priority() {
    // On Linux this is about the calling thread alone.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, -20) {
        tracing::debug!(%error, "the epoch thread has no priority over others");
    }
}

fn run(shared: &Shared, tick: Duration, fine: Duration, advance: &dyn Fn()) {
    let mut idle = 0_u32;
    loop {
        let fine_ticks = shared.fine_ticks.load(Ordering::Relaxed);
        // A left-over wake-up makes one tick come early, which does no harm.
        thread::park_timeout(if fine_ticks > 0 { fine } else { tick });
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        advance();
        shared.ticks.fetch_add(1, Ordering::Relaxed);
        if let Some(rest) = fine_ticks.checked_sub(1) {
            // Unless a guest has asked for more meanwhile.
            let _ = shared.fine_ticks.compare_exchange(
                fine_ticks,
                rest,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
        idle = if shared.active.swap(false, Ordering::SeqCst) {
            0
        } else {
            idle.saturating_add(1)
        };
        if idle < IDLE_TICKS || shared.resumed.load(Ordering::SeqCst) > 0 {
            continue;
        }
        shared.asleep.store(true, Ordering::SeqCst);
        while !shared.active.load(Ordering::SeqCst) && !shared.stop.load(Ordering::SeqCst) {
            thread::park();
        }
        shared.asleep.store(false, Ordering::SeqCst);
        idle = 0;
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the epoch thread had panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_until(condition: impl Fn() -> bool) {
        for _ in 0..5000 {
            if condition() {
                return;
            }
            thread::park_timeout(Duration::from_millis(1));
        }
        panic!("waited for 5 seconds in vain");
    }

    #[test]
    fn ticks_stop_when_nothing_runs_and_begin_again_with_the_next_guest() {
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        let ticker = Ticker::start(Duration::from_micros(100), move || {
            counted.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
        wait_until(|| ticker.shared.asleep.load(Ordering::SeqCst));
        let slept_at = count.load(Ordering::Relaxed);
        assert_eq!(slept_at, u64::from(IDLE_TICKS));
        ticker.touch();
        wait_until(|| count.load(Ordering::Relaxed) > slept_at);
        assert!(ticker.ticks() > slept_at);
    }

    #[test]
    fn ticks_go_on_while_an_interrupted_guest_is_polled() {
        let ticker = Ticker::start(Duration::from_micros(100), || {}).unwrap();
        let awake = ticker.keep_awake();
        // It may have fallen asleep before it was told.
        ticker.touch();
        wait_until(|| ticker.ticks() > 3 * u64::from(IDLE_TICKS));
        assert!(!ticker.shared.asleep.load(Ordering::SeqCst));
        drop(awake);
        wait_until(|| ticker.shared.asleep.load(Ordering::SeqCst));
    }

    #[test]
    fn ticks_are_fine_while_a_guest_runs_for_long() {
        let ticker = Ticker::start(Duration::from_millis(1), || {}).unwrap();
        let left = || ticker.shared.fine_ticks.load(Ordering::Relaxed);
        ticker.note_running(Duration::from_micros(249));
        assert_eq!(left(), 0);
        for _ in 0..2 {
            ticker.touch();
            ticker.note_running(Duration::from_micros(250));
            assert!(left() > 0);
            wait_until(|| left() < FINE_TICKS);
        }
    }

    #[test]
    fn dropping_ends_the_thread_also_while_it_sleeps() {
        for asleep in [false, true] {
            let alive = Arc::new(());
            let held = Arc::clone(&alive);
            let ticker = Ticker::start(Duration::from_micros(100), move || {
                let _ = &held;
            })
            .unwrap();
            wait_until(|| !asleep || ticker.shared.asleep.load(Ordering::SeqCst));
            drop(ticker);
            assert_eq!(Arc::strong_count(&alive), 1);
        }
    }
}
