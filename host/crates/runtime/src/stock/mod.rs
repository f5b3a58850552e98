//! Instances that wait for calls: made ahead of need, or kept after a call.
//!
//! A stock never keeps a call from running: it takes no slot that a call could
//! want for long, and gives one back as soon as a call finds none free.

mod keeper;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use verge_base::Permit;

pub(crate) use self::keeper::Keeper;
use self::target::Demand;
use crate::call::Held;
use crate::function::Inner;

/// How the instances of a function are kept apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Each call makes an instance, on its own time.
    #[default]
    Fresh,
    /// Each call has an instance that served nobody before, made ahead off the request path. A call
    /// that finds none makes one.
    Prepared {
        /// Instances that may wait at most; how many do follows the load. At least 1.
        idle: usize,
    },
    /// An instance serves calls one after the other, and what it keeps in its memory stays.
    Reused {
        /// Instances that may wait at most; at least 1.
        idle: usize,
        /// Calls after which an instance is dropped; at least 1.
        requests: u32,
        /// Age at which it is dropped.
        time: Duration,
    },
}

/// The waiting instances of one function. It belongs to the function's handles: what waits holds
/// the function's inside, not the other way round.
pub(crate) struct Stock {
    function: Arc<Inner>,
    isolation: Isolation,
    idle: Mutex<Vec<Held>>,
    /// Calls since the keeper last looked.
    calls: AtomicU32,
    /// How many instances should wait.
    target: AtomicUsize,
    /// The keeper was told that it runs low.
    told: AtomicBool,
    /// The keeper's own account.
    demand: Mutex<Demand>,
}

impl Stock {
    /// The stock that this isolation needs, entered with the engine's keeper.
    pub(crate) fn open(function: &Arc<Inner>, isolation: Isolation) -> Option<Arc<Self>> {
        if isolation == Isolation::Fresh {
            return None;
        }
        let stock = Arc::new(Self {
            function: Arc::clone(function),
            isolation,
            idle: Mutex::default(),
            calls: AtomicU32::new(0),
            target: AtomicUsize::new(1),
            told: AtomicBool::new(false),
            demand: Mutex::default(),
        });
        function.engine.keeper.enter(&stock);
        Some(stock)
    }

    /// An instance for a call, if one waits.
    pub(crate) fn take(&self) -> Option<Held> {
        match self.isolation {
            Isolation::Fresh => None,
            Isolation::Prepared { .. } => {
                self.calls.fetch_add(1, Ordering::Relaxed);
                let (held, left) = {
                    let mut idle = self.idle.lock();
                    (idle.pop(), idle.len())
                };
                if left * 2 < self.target.load(Ordering::Relaxed).max(1)
                    && !self.told.swap(true, Ordering::Relaxed)
                {
                    self.function.engine.keeper.wake();
                }
                held
            }
            Isolation::Reused { time, .. } => {
                let now = self.function.engine.clock.now();
                let mut idle = self.idle.lock();
                let held = idle.pop()?;
                if !held.is_older(time, now) {
                    return Some(held);
                }
                // Those below it have waited longer, but may be younger.
                let young = idle.iter().rposition(|held| !held.is_older(time, now));
                let next = young.map(|place| idle.swap_remove(place));
                drop(idle);
                drop(held);
                next
            }
        }
    }

    /// Takes an instance back after a call; drops it when it has served enough.
    pub(crate) fn put(&self, held: Held) {
        let Isolation::Reused {
            idle: most,
            requests,
            time,
        } = self.isolation
        else {
            return;
        };
        let now = self.function.engine.clock.now();
        if held.calls() >= requests || held.is_older(time, now) {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.len() < most {
            idle.push(held);
        }
    }

    /// Whether instances stay after a call.
    pub(crate) fn keeps(&self) -> bool {
        matches!(self.isolation, Isolation::Reused { .. })
    }

    /// Instances that wait.
    pub(crate) fn len(&self) -> usize {
        self.idle.lock().len()
    }

    /// Gives up the instance that has waited longest, for its slot.
    fn give_up(&self) -> Option<Permit> {
        let mut idle = self.idle.lock();
        if idle.is_empty() {
            return None;
        }
        let held = idle.remove(0);
        drop(idle);
        Some(held.into_slot())
    }

    /// Drops what is too old.
    fn sweep(&self, now: Instant) {
        let Isolation::Reused { time, .. } = self.isolation else {
            return;
        };
        let mut old = Vec::new();
        {
            let mut idle = self.idle.lock();
            let mut place = 0;
            while let Some(held) = idle.get(place) {
                if held.is_older(time, now) {
                    old.push(idle.swap_remove(place));
                } else {
                    place += 1;
                }
            }
        }
    }
}
