//! What the requests of one scenario came to.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// Most failures whose words are kept.
const PROBLEMS_MAX: usize = 5;

/// See the module.
#[derive(Default)]
pub struct Tally {
    requests: AtomicU64,
    failures: AtomicU64,
    slowest_us: AtomicU64,
    problems: Mutex<Vec<String>>,
}

impl Tally {
    /// One request, and what came of it.
    pub fn count(&self, took: Duration, outcome: Result<(), String>) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.slowest_us.fetch_max(micros, Ordering::Relaxed);
        if let Err(what) = outcome {
            self.failures.fetch_add(1, Ordering::Relaxed);
            let mut problems = self.problems.lock();
            if problems.len() < PROBLEMS_MAX {
                problems.push(what);
            }
        }
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The first failures, in words.
    pub fn problems(&self) -> Vec<String> {
        self.problems.lock().clone()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:>9} {:>9} {:>11.1}",
            self.requests(),
            self.failures.load(Ordering::Relaxed),
            self.slowest_us.load(Ordering::Relaxed) as f64 / 1000.0
        )
    }
}
