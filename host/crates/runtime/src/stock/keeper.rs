//! The thread that makes instances ahead, so that no request waits for it, and
//! drops those that are no longer wanted. It sleeps while there is nothing to do.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Runtime;
use verge_base::{Clock, Permit, Permits};

use super::{Isolation, Stock};
use crate::call::prepare;

/// How often the load is looked at while there is some.
const INTERVAL: Duration = Duration::from_millis(20);
/// How often instances that wait are looked at, for their age, while there is no load.
const SWEEP: Duration = Duration::from_secs(1);
/// Of the instance slots, one part in so many is left to calls: nothing is made ahead in it.
const RESERVE: usize = 4;
/// How long a function is left alone after an instance of it could not be made; doubled each time.
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// See the file's head. Dropping it ends the thread.
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    stocks: Mutex<Vec<Entry>>,
    stop: AtomicBool,
}

struct Entry {
    stock: Weak<Stock>,
    /// Times that an instance could not be made, one after the other.
    failures: u32,
    /// When it is tried again.
    pause: Option<Instant>,
}

impl Keeper {
    /// Starts the thread, asleep. `clock` is the functions'.
    pub(crate) fn start(slots: Permits, clock: Clock) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            stocks: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let (started, has_started) = mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name("verge-stock".into())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build();
                let (runtime, result) = match runtime {
                    Ok(runtime) => (Some(runtime), Ok(())),
                    Err(error) => (None, Err(error)),
                };
                let _ = started.send(result);
                if let Some(runtime) = runtime {
                    let watch = Clock::system();
                    let keeping = Keeping {
                        interval: watch.now(),
                        watch,
                        runtime,
                        slots,
                        clock,
                    };
                    keeping.run(&theirs);
                }
            })?;
        has_started.recv().map_err(io::Error::other)??;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Looks after this stock from now on, for as long as anybody has it.
    pub(super) fn enter(&self, stock: &Arc<Stock>) {
        let mut stocks = self.shared.stocks.lock();
        stocks.retain(|entry| entry.stock.strong_count() > 0);
        stocks.push(Entry {
            stock: Arc::downgrade(stock),
            failures: 0,
            pause: None,
        });
        drop(stocks);
        self.wake();
    }

    /// Something has run low.
    pub(super) fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    /// Instances of all functions that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.stocks().iter().map(|stock| stock.len()).sum()
    }

    fn stocks(&self) -> Vec<Arc<Stock>> {
        let stocks = self.shared.stocks.lock();
        stocks.iter().filter_map(|e| e.stock.upgrade()).collect()
    }

    /// The slot of an instance that waits, for a call that found none free.
    pub(crate) fn reclaim(&self) -> Option<Permit> {
        let stocks = self.stocks();
        let fullest = stocks.iter().max_by_key(|stock| stock.len())?;
        fullest.give_up()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.wake();
        let Some(thread) = self.thread.take() else {
            return;
        };
        // The last one that had the engine may have been a stock that the thread itself looked at.
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("the thread that keeps instances had panicked");
        }
    }
}

/// The thread's own side.
struct Keeping {
    /// Loads and pauses are of this world, whatever time the functions have.
    watch: Clock,
    /// When the interval began in which calls are counted.
    interval: Instant,
    runtime: Runtime,
    slots: Permits,
    clock: Clock,
}

impl Keeping {
    fn run(mut self, shared: &Shared) {
        while !shared.is_stopped() {
            // A wake-up that came before is kept until then.
            match self.look(shared) {
                _ if shared.is_stopped() => return,
                Some(next) => thread::park_timeout(next),
                None => thread::park(),
            }
        }
    }

    /// Brings each stock to its size. Returns how long to sleep; `None`: until it is woken.
    fn look(&mut self, shared: &Shared) -> Option<Duration> {
        let now = self.watch.now();
        let is_full = now.saturating_duration_since(self.interval) >= INTERVAL;
        if is_full {
            self.interval = now;
        }
        let mut sleep: Option<Duration> = None;
        let mut at_most = |time: Duration| sleep = Some(sleep.map_or(time, |s| s.min(time)));
        for (stock, pause) in shared.entries(now) {
            if shared.is_stopped() {
                return None;
            }
            match stock.isolation {
                Isolation::Fresh => {}
                Isolation::Reused { .. } => {
                    stock.sweep(self.clock.now());
                    at_most(SWEEP);
                }
                Isolation::Prepared { idle } => {
                    if !stock.adapt(idle, is_full) {
                        at_most(INTERVAL);
                    }
                    let pause = if pause.is_zero() {
                        let made = stock.fill(self, shared);
                        shared.note(&stock, made, now)
                    } else {
                        pause
                    };
                    if !pause.is_zero() {
                        at_most(pause);
                    }
                }
            }
        }
        sleep
    }
}

impl Stock {
    /// Counts what was taken since the last look, and sets how many are to wait. Returns whether
    /// there was no load for long.
    fn adapt(&self, most: usize, is_full: bool) -> bool {
        self.told.store(false, Ordering::Relaxed);
        let mut demand = self.demand.lock();
        if is_full {
            demand.note(self.calls.swap(0, Ordering::Relaxed));
        } else {
            demand.note_so_far(self.calls.load(Ordering::Relaxed));
        }
        let target = demand.target(most);
        self.target.store(target, Ordering::Relaxed);
        let too_many = {
            let mut idle = self.idle.lock();
            let from = idle.len().min(target);
            idle.split_off(from)
        };
        drop(too_many);
        demand.is_none()
    }

    /// Makes instances until there are enough, or the slots are needed for calls. An error when
    /// the function cannot be started.
    fn fill(&self, keeping: &Keeping, shared: &Shared) -> Result<(), String> {
        let slots = &keeping.slots;
        let reserve = (slots.limit() / RESERVE).max(1);
        while self.len() < self.target.load(Ordering::Relaxed)
            && slots.in_use() + reserve < slots.limit()
            && !shared.is_stopped()
        {
            let Some(slot) = slots.try_acquire() else {
                break;
            };
            let held = keeping.runtime.block_on(prepare(&self.function, slot))?;
            self.idle.lock().push(held);
        }
        Ok(())
    }
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// The stocks, and how long each is still left alone.
    fn entries(&self, now: Instant) -> Vec<(Arc<Stock>, Duration)> {
        let mut stocks = self.stocks.lock();
        stocks.retain(|entry| entry.stock.strong_count() > 0);
        let entries = stocks.iter().filter_map(|entry| {
            let pause = entry.pause.map(|end| end.saturating_duration_since(now));
            Some((entry.stock.upgrade()?, pause.unwrap_or_default()))
        });
        entries.collect()
    }

    /// Notes whether instances of a function can be made; returns how long it is left alone.
    fn note(&self, stock: &Arc<Stock>, made: Result<(), String>, now: Instant) -> Duration {
        let mut stocks = self.stocks.lock();
        let entry = stocks
            .iter_mut()
            .find(|entry| std::ptr::eq(entry.stock.as_ptr(), Arc::as_ptr(stock)));
        let Some(entry) = entry else {
            return Duration::ZERO;
        };
        let Err(detail) = made else {
            entry.failures = 0;
            entry.pause = None;
            return Duration::ZERO;
        };
        let factor = 1_u32 << entry.failures.min(6);
        let pause = BACKOFF.saturating_mul(factor).min(BACKOFF_MAX);
        entry.failures = entry.failures.saturating_add(1);
        entry.pause = Some(now + pause);
        tracing::warn!(
            target: "function",
            function = &*stock.function.name,
            "no instance can be made ahead: {}", detail.escape_debug()
        );
        pause
    }
}
