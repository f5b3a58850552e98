//! What a leader owes those that follow it, released on drop.

use std::fmt;
use std::sync::Arc;

use super::flights::{Flight, FlightKey};
use super::waiter::{Outcome, Released};
use crate::cache::Inner;
use crate::key::Key;

/// A place at the head of a flight, or alone. Dropping it releases all that
/// follow, if nothing was said to them before.
pub(crate) struct Lead {
    inner: Arc<Inner>,
    key: FlightKey,
    /// `None` once it was left, or for a request that goes alone.
    flight: Option<Arc<Flight>>,
}

impl Lead {
    pub(crate) fn new(inner: Arc<Inner>, key: FlightKey, flight: Option<Arc<Flight>>) -> Self {
        Self { inner, key, flight }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    pub(crate) fn key(&self) -> &Key {
        self.key.key()
    }

    pub(crate) fn is_followed(&self) -> bool {
        self.flight
            .as_ref()
            .is_some_and(|flight| flight.outcome.receiver_count() > 0)
    }

    pub(crate) fn mark_sent(&self, sequence: u64) {
        if let Some(flight) = &self.flight {
            flight.mark_sent(sequence);
        }
    }

    /// Tells those that follow, and those that come while the flight stands.
    pub(crate) fn share(&self, outcome: Outcome) {
        if let Some(flight) = &self.flight {
            flight.outcome.send_replace(outcome);
        }
    }

    /// New requests do not follow any more.
    pub(crate) fn leave(&mut self) {
        if let Some(flight) = self.flight.take() {
            self.inner.flights.leave(&self.key, &flight);
            release_pending(&flight, Released::Abandoned);
        }
    }

    /// New requests do not follow any more, nor do they collapse for a while.
    pub(crate) fn leave_marked(&mut self) {
        let now = self.inner.clock.now();
        let flight = self.flight.take();
        self.inner.make_table_room();
        self.inner
            .flights
            .leave_marked(&self.key, flight.as_ref(), now);
        if let Some(flight) = flight {
            release_pending(&flight, Released::Abandoned);
        }
    }

    /// The outcome could be shared: requests are collapsed again.
    pub(crate) fn unmark(&self) {
        self.inner.flights.unmark(&self.key);
    }
}

fn release_pending(flight: &Flight, released: Released) {
    flight.outcome.send_if_modified(|outcome| {
        let is_pending = matches!(outcome, Outcome::Pending);
        if is_pending {
            *outcome = Outcome::Released(released);
        }
        is_pending
    });
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Lead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Lead")
            .field("key", &self.key)
            .field("is_followed", &self.flight.is_some())
            .finish_non_exhaustive()
    }
}
