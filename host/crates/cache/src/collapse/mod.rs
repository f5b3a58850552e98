//! Collapsed requests: one fetch for many (RFC 9111 4).
//!
//! The first request for a key leads; it holds a [`FillPermit`], the
//! obligation to say how its fetch ended. Others follow and wait, all of them
//! for the same event. An outcome that cannot be shared releases them together
//! and leaves a marker, under which requests are not collapsed for a while: no
//! follower is made the next leader while the rest wait on. Waiting is bounded
//! by the caller.

mod flights;
mod lead;
mod permit;
mod waiter;

pub(crate) use flights::{Entered, Flight, FlightKey, Flights, FlightsSettings};
pub(crate) use lead::Lead;
pub use permit::{Begun, FillPermit, FillStart, Filling, Freshened, NotModified, SentAt};
pub(crate) use waiter::Outcome;
pub use waiter::{Followed, Released, Waiter};

use std::sync::Arc;

use http::HeaderMap;
use verge_http::cache_control::RequestDirectives;

use crate::key::Key;
use crate::response::StoredResponse;
use crate::store::VariantHint;

/// A request that found nothing to be answered with, and wants to join others.
#[derive(Clone, Copy, Debug)]
pub struct Seeker<'a> {
    /// Its key.
    pub key: &'a Key,
    /// Its fields, as Vary sees them.
    pub fields: &'a HeaderMap,
    /// Its directives.
    pub directives: &'a RequestDirectives,
    /// The stored response that it must not be answered with as it is.
    pub seen: Option<&'a Arc<StoredResponse>>,
    /// The variant it turned out to be, after [`Followed::VariantDiffers`].
    pub hint: Option<VariantHint>,
}

/// How a request takes part.
#[derive(Debug)]
#[must_use = "others may wait for what this request does"]
pub enum Join {
    /// It asks the origin, for itself and for those that follow.
    Leader(FillPermit),
    /// It waits for the one that asks.
    Follower(Waiter),
    /// It asks the origin for itself alone; the answer may still be stored.
    Alone(FillPermit, AloneReason),
    /// What it needs has been stored since it looked.
    Arrived(Arc<StoredResponse>),
}

/// How a request would take part, if it does not lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WouldJoin {
    /// As [`Join::Follower`].
    Follower,
    /// As [`Join::Alone`].
    Alone(AloneReason),
}

/// Why a request is not collapsed with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AloneReason {
    /// The last outcome for its key could not be shared.
    Marker,
    /// Its directives ask for an answer newer than what others wait for.
    Directives,
}

impl AloneReason {
    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Marker => "marker",
            Self::Directives => "directives",
        }
    }
}

#[cfg(test)]
mod tests;
