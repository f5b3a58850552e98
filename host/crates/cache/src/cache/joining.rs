//! How requests that need a response for the same key come together: one leads, others follow,
//! some go alone.

use std::sync::Arc;

use http::header::AUTHORIZATION;

use super::{Cache, Inner, Lookup};
use crate::collapse::{
    AloneReason, Entered, FillPermit, Flight, FlightKey, Join, Lead, Outcome, Seeker, Waiter,
    WouldJoin,
};
use crate::key::Key;
use crate::policy::{Reuse, decide_reuse};
use crate::purge::Purged;
use crate::response::StoredResponse;

impl Cache {
    /// Joins the requests that need a response for the same key.
    ///
    /// A leader that finds that the response has been stored since the caller
    /// looked steps back: between the end of a fill and the next lookup no
    /// second leader fits in.
    pub fn join(&self, seeker: &Seeker<'_>) -> Join {
        let inner = &self.0;
        let now = inner.clock.now();
        let key = inner.flight_key(seeker);
        let entered = inner.flights.enter(&key, now, |flight| {
            inner.is_flight_purged(seeker.key, flight)
        });
        match entered {
            Entered::Marked => Join::Alone(self.permit_alone(key), AloneReason::Marker),
            Entered::Existing(flight) => {
                if seeker.directives.no_cache {
                    return Join::Alone(self.permit_alone(key), AloneReason::Directives);
                }
                inner.stats.collapsed();
                Join::Follower(Waiter::new(
                    Arc::clone(inner),
                    seeker.key,
                    flight.outcome.subscribe(),
                ))
            }
            Entered::New(flight) => {
                let lead = Lead::new(Arc::clone(inner), key, Some(flight));
                match inner.arrived(seeker) {
                    Some(response) => {
                        lead.share(Outcome::Stored(Arc::clone(&response)));
                        Join::Arrived(response)
                    }
                    None => Join::Leader(FillPermit::new(lead)),
                }
            }
        }
    }

    /// How `seeker` would take part if it joined now; it does not. `None`: it would lead.
    #[must_use]
    pub fn peek_join(&self, seeker: &Seeker<'_>) -> Option<WouldJoin> {
        let inner = &self.0;
        let key = inner.flight_key(seeker);
        if inner.flights.is_marked(&key, inner.clock.now()) {
            return Some(WouldJoin::Alone(AloneReason::Marker));
        }
        let flight = inner.flights.find(&key)?;
        if inner.is_flight_purged(seeker.key, &flight) {
            return None;
        }
        Some(if seeker.directives.no_cache {
            WouldJoin::Alone(AloneReason::Directives)
        } else {
            WouldJoin::Follower
        })
    }

    /// Leads a fetch that no request waits for, if nobody else fetches the same and the last
    /// outcome could be shared.
    pub fn lead_in_background(&self, seeker: &Seeker<'_>) -> Option<FillPermit> {
        let inner = &self.0;
        let key = inner.flight_key(seeker);
        let Entered::New(flight) = inner.flights.enter(&key, inner.clock.now(), |_| false) else {
            return None;
        };
        let lead = Lead::new(Arc::clone(inner), key, Some(flight));
        match inner.arrived(seeker) {
            Some(response) => {
                lead.share(Outcome::Stored(response));
                None
            }
            None => Some(FillPermit::new(lead)),
        }
    }

    /// A permit for a request that waited in vain, or must not wait: it asks
    /// the origin for itself, and its answer may be stored.
    pub fn alone(&self, seeker: &Seeker<'_>) -> FillPermit {
        self.permit_alone(self.0.flight_key(seeker))
    }

    fn permit_alone(&self, key: FlightKey) -> FillPermit {
        FillPermit::new(Lead::new(Arc::clone(&self.0), key, None))
    }
}

impl Inner {
    pub(crate) fn flight_key(&self, seeker: &Seeker<'_>) -> FlightKey {
        let hint = seeker
            .hint
            .unwrap_or_else(|| self.store.hint(seeker.key, seeker.fields));
        let is_authorised = seeker.fields.contains_key(AUTHORIZATION);
        FlightKey::new(seeker.key, hint, is_authorised)
    }

    /// A request that comes after a purge must not get what was sent for before.
    fn is_flight_purged(&self, key: &Key, flight: &Flight) -> bool {
        let head = flight.head();
        flight
            .sent_sequence()
            .is_some_and(|sent| self.decide_arriving(key, head.as_deref(), sent) != Purged::No)
    }

    /// What answers `seeker` and was stored after it had looked.
    fn arrived(&self, seeker: &Seeker<'_>) -> Option<Arc<StoredResponse>> {
        let select = || self.store.peek(seeker.key, seeker.fields);
        let Lookup::Selected(response) = self.judged(seeker.key, select) else {
            return None;
        };
        let is_known = seeker.seen.is_some_and(|seen| Arc::ptr_eq(seen, &response));
        if is_known {
            return None;
        }
        let freshness = response.freshness(self.clock.now());
        // One that is stale is a lookup's to answer with: it is validated meanwhile.
        let reuse = decide_reuse(seeker.directives, &freshness);
        matches!(reuse, Reuse::Fresh | Reuse::RefreshAhead).then_some(response)
    }
}
