//! How many recordings are not on the disk yet: a node that ends waits for them, but not for long.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Recordings of all functions of a node that wait to be written, or are being written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    count: Mutex<usize>,
    none_left: Condvar,
}

/// One recording, until it is dropped.
pub(super) struct Waits(Waiting);

impl Waiting {
    pub(super) fn add(&self) -> Waits {
        *self.0.count.lock() += 1;
        Waits(self.clone())
    }

    /// Waits until all is written, for `patience` at most; false if it is not.
    #[must_use]
    pub(crate) fn finish(&self, patience: Duration) -> bool {
        let mut count = self.0.count.lock();
        let waited = self
            .0
            .none_left
            .wait_while_for(&mut count, |count| *count > 0, patience);
        !waited.timed_out()
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let inner = &self.0.0;
        let mut count = inner.count.lock();
        *count = count.saturating_sub(1);
        if *count == 0 {
            inner.none_left.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_what_is_not_written_and_not_for_ever() {
        let waiting = Waiting::default();
        assert!(waiting.finish(Duration::ZERO));
        let (one, other) = (waiting.add(), waiting.add());
        drop(one);
        assert!(!waiting.finish(Duration::ZERO));
        let writer = std::thread::spawn(move || drop(other));
        assert!(waiting.finish(Duration::from_secs(60)));
        writer.join().unwrap();
    }
}
