//! Counted things: connections, requests, instances.
//!
//! A [`Permit`] is an obligation: dropping it gives the place back, whatever
//! path the code took.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A named limit on how many of something exist at once.
#[derive(Clone, Debug)]
pub struct Permits(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    name: &'static str,
    limit: AtomicUsize,
    in_use: AtomicUsize,
    refused: AtomicU64,
}

/// One place out of a limit; dropping it gives the place back.
#[derive(Debug)]
#[must_use = "dropping a permit releases it"]
pub struct Permit(Arc<Shared>);

impl Permits {
    /// A limit of `limit` places; `name` is its name in configuration, metrics and messages.
    #[must_use]
    pub fn new(name: &'static str, limit: usize) -> Self {
        Self(Arc::new(Shared {
            name,
            limit: AtomicUsize::new(limit),
            in_use: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        }))
    }

    /// Takes a place, or counts a refusal and returns `None` when all are taken.
    #[must_use]
    pub fn try_acquire(&self) -> Option<Permit> {
        let limit = self.0.limit.load(Ordering::Relaxed);
        let taken = self
            .0
            .in_use
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |in_use| {
                (in_use < limit).then_some(in_use + 1)
            });
        if taken.is_err() {
            self.note_refusal();
            return None;
        }
        Some(Permit(Arc::clone(&self.0)))
    }

    /// Counts a refusal by a rule of the holder's own, such as a fair share of the places.
    pub fn note_refusal(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Changes the limit. Places above a lowered limit stay taken until they are given back.
    pub fn set_limit(&self, limit: usize) {
        self.0.limit.store(limit, Ordering::Relaxed);
    }

    /// The name given at construction.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// How many places there are.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// How many places are taken now.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.0.in_use.load(Ordering::Relaxed)
    }

    /// How often a place was refused since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_a_permit_frees_its_place() {
        let permits = Permits::new("connections", 1);
        let first = permits.try_acquire();
        assert!(first.is_some());
        assert!(permits.try_acquire().is_none());
        assert_eq!(permits.refused(), 1);
        drop(first);
        assert!(permits.try_acquire().is_some());
    }

    #[test]
    fn lowered_limit_holds_once_places_come_back() {
        let permits = Permits::new("connections", 2);
        let (a, b) = (permits.try_acquire(), permits.try_acquire());
        permits.set_limit(1);
        drop(a);
        assert!(permits.try_acquire().is_none());
        drop(b);
        assert!(permits.try_acquire().is_some());
    }
}
