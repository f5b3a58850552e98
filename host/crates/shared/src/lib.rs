//! State that nodes share, in Redis: stored responses of a region, leases on
//! fetches, the stream of purges, rates, and key-value stores. The only user of
//! the `redis` library.
//!
//! Each use is bounded in time and number and stands behind a circuit breaker.
//! For all but key-value stores there is a fallback that is always right: a
//! miss, a fetch of one's own, a purge of everything, a counter of one's own. A
//! store that cannot be reached is told to the function that asked. Nothing here
//! fails a request, and nothing here decides what may be stored or reused.

mod breaker;
mod connect;
mod histogram;
mod kv;
mod l2;
mod lease;
mod link;
mod rates;
mod settings;
mod shared;
mod stream;
mod tier;
mod trouble;

pub use breaker::{Admission, Breaker, BreakerSettings, BreakerState, Verdict};
pub use histogram::HistogramSample;
pub use kv::{Expected, RegionKv, Versioned};
pub use l2::{Candidate, L2Sample, LoadedResponse, LookupOutcome, SavedResponse};
pub use lease::{AloneFor, Lease, Leasing};
pub use link::LinkSample;
pub use rates::{CounterId, RateReply, RegionRates};
pub use settings::{Mode, Password, Server, ServerSettings, SharedSettings};
pub use shared::{Shared, SharedSample};
pub use stream::{PurgeSink, StreamSample};
pub use tier::L2Tier;
pub use trouble::Trouble;
