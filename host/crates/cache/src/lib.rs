//! The shared HTTP cache (RFC 9111): what may be stored and reused, how it is
//! found, how requests are collapsed, and how content is stored while it is
//! passed on.
//!
//! [`policy`] decides and does nothing; [`Cache`] does and decides nothing.
//! The crate speaks neither to origins nor to clients and spawns no task.
//!
//! The way of a request through it:
//! 1. [`policy::decide_lookup`], then [`Cache::key`] and [`Cache::lookup`];
//! 2. [`policy::decide_reuse`] of what was found;
//! 3. else [`Cache::join`]: a leader asks the origin and [`FillPermit::begin`]s,
//!    [`FillPermit::freshen`]s, [`FillPermit::refuse`]s or [`FillPermit::fail`]s;
//!    a follower [`Waiter::wait`]s;
//! 4. the leader's content goes through [`FillWriter`], and from there to any
//!    number of [`FillReader`]s.
//!
//! Beside memory there may be [`tier`]s, in which stored responses are
//! [`record`]s: a leader asks them before the origin.

pub mod age;
mod body;
mod cache;
mod collapse;
mod counted;
mod derived;
pub mod disk;
mod explain;
mod fields;
mod key;
pub mod partial;
pub mod policy;
mod purge;
pub mod record;
mod refusals;
mod response;
mod segment;
mod settings;
mod stats;
pub mod store;
#[cfg(test)]
mod testkit;
pub mod tier;

pub use age::ResponseTimes;
pub use body::{FillReader, FillWriter, Finished, Stopped};
pub use cache::{
    Cache, FreshenedByHead, Lookup, MissReason, Newer, PurgeListener, SweepCursor, Swept,
};
pub use collapse::{
    AloneReason, Begun, FillPermit, FillStart, Filling, Followed, Freshened, Join, NotModified,
    Released, Seeker, SentAt, Waiter, WouldJoin,
};
pub use derived::{Derive, DerivePlan, Derived, DerivedContent, DerivedWriter};
pub use explain::Kept;
pub use fields::{listed_tags, validation_fields};
pub use key::{Key, KeyHasher, KeyPart, Target};
pub use purge::{
    Hardness, PREFIX_SEGMENTS_MAX, PURGE_RECORDS_MAX, PURGE_WIRE_MAX, Purge, PurgeCause, PurgeId,
    PurgeScope, PurgeSeen, PurgeTarget, Purged, SCOPE_TEXT_MAX, ScopeInvalid, ScopeKind,
    WireInvalid,
};
pub use refusals::{LastRefusal, NotStored, REFUSALS_MAX};
pub use response::{ResponseHead, StoredHead, StoredResponse};
pub use settings::CacheSettings;
pub use stats::CacheStats;
pub use store::{SiteEvictions, VariantHint};
