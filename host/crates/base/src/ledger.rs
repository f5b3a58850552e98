//! Weighed things: bytes of memory, reserved before they are used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bound on bytes. Whoever holds bytes holds a [`Reservation`] for them.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Account>);

#[derive(Debug)]
struct Account {
    limit: u64,
    used: AtomicU64,
    peak: AtomicU64,
}

/// Bytes that are spoken for; dropping it gives them back.
#[derive(Debug)]
#[must_use = "dropping a reservation releases its bytes"]
pub struct Reservation {
    account: Arc<Account>,
    bytes: u64,
}

impl Ledger {
    /// A ledger that never lets more than `limit` bytes be reserved at once.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self(Arc::new(Account {
            limit,
            used: AtomicU64::new(0),
            peak: AtomicU64::new(0),
        }))
    }

    /// Reserves `bytes`, or returns `None` when that would pass the limit.
    #[must_use]
    pub fn try_reserve(&self, bytes: u64) -> Option<Reservation> {
        self.0.try_add(bytes).then(|| Reservation {
            account: Arc::clone(&self.0),
            bytes,
        })
    }

    /// The limit in bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.0.limit
    }

    /// Bytes reserved now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// The most bytes that were ever reserved at once.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.0.peak.load(Ordering::Relaxed)
    }
}

impl Account {
    fn try_add(&self, bytes: u64) -> bool {
        let added = self
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.limit)
            });
        match added {
            Ok(before) => {
                self.peak
                    .fetch_max(before.saturating_add(bytes), Ordering::Relaxed);
                true
            }
            Err(_) => false,
        }
    }

    fn subtract(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
    }
}

impl Reservation {
    /// Bytes held by this reservation.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds `bytes`; returns false and changes nothing when that would pass the limit.
    #[must_use]
    pub fn try_grow(&mut self, bytes: u64) -> bool {
        let grown = self.account.try_add(bytes);
        if grown {
            self.bytes += bytes;
        }
        grown
    }

    /// Holds what `other`, which is of the same ledger, held, too.
    pub fn merge(&mut self, mut other: Self) {
        debug_assert!(Arc::ptr_eq(&self.account, &other.account), "of one ledger");
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Gives back all but `bytes`; does nothing when it holds no more than that.
    pub fn shrink_to(&mut self, bytes: u64) {
        if let Some(surplus) = self.bytes.checked_sub(bytes) {
            self.account.subtract(surplus);
            self.bytes = bytes;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.account.subtract(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_never_pass_the_limit() {
        let ledger = Ledger::new(100);
        let mut first = ledger.try_reserve(60).expect("60 of 100 fit");
        assert!(ledger.try_reserve(41).is_none());
        assert!(first.try_grow(40));
        assert!(!first.try_grow(1));
        assert_eq!(ledger.used(), 100);
        first.shrink_to(10);
        assert_eq!(ledger.used(), 10);
        let second = ledger.try_reserve(5).expect("15 of 100 fit");
        first.merge(second);
        assert_eq!((first.bytes(), ledger.used()), (15, 15));
        drop(first);
        assert_eq!((ledger.used(), ledger.peak()), (0, 100));
    }

    #[test]
    fn a_size_that_overflows_is_refused() {
        let ledger = Ledger::new(u64::MAX);
        let _held = ledger.try_reserve(1);
        assert!(ledger.try_reserve(u64::MAX).is_none());
    }
}
