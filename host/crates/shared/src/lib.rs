//! State that nodes share, in Redis: stored responses of a region, leases on
//! fetches, and the stream of purges. The only user of the `redis` library.
//!
//! Redis is never needed: each use is bounded in time and number, stands behind
//! a circuit breaker, and has a fallback that is always right: a miss, a fetch
//! of one's own, a purge of everything. Nothing here fails a request, and
//! nothing here decides what may be stored or reused.

mod breaker;
mod connect;
mod histogram;
mod l2;
mod lease;
mod link;
mod settings;
mod shared;
mod stream;
mod tier;
mod trouble;

pub use breaker::{Admission, Breaker, BreakerSettings, BreakerState, Verdict};
pub use histogram::HistogramSample;
pub use l2::{Candidate, L2Sample, LoadedResponse, LookupOutcome, SavedResponse};
pub use lease::{AloneFor, Lease, Leasing};
pub use link::LinkSample;
pub use settings::{Mode, Password, Server, ServerSettings, SharedSettings};
pub use shared::{Shared, SharedSample};
pub use stream::{PurgeSink, StreamSample};
pub use tier::L2Tier;
pub use trouble::Trouble;
