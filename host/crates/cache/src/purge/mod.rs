//! Purges: what an operator, or an unsafe request, takes out of the cache, in
//! constant time whatever the cache holds.
//!
//! A purge takes the next number of one sequence and leaves a record; it
//! touches no stored response. A stored response carries the number that was
//! seen when its origin request was sent, and a lookup looks at the records
//! only when the sequence has moved since its last look. So a response that was
//! on its way when it was purged can never come back into the store.
//!
//! Nothing here speaks to other nodes: [`Purge::encode`] is what travels.

mod marks;
mod recent;
mod records;
mod scope;
mod wire;

use std::fmt;
use std::time::SystemTime;

pub use records::{PURGE_RECORDS_MAX, PurgeSeen};
pub(crate) use records::{Purges, Source, Subject, Verdict};
pub use scope::{
    PREFIX_SEGMENTS_MAX, PurgeScope, PurgeTarget, SCOPE_TEXT_MAX, ScopeInvalid, ScopeKind,
};
pub use wire::{PURGE_WIRE_MAX, WireInvalid};

/// What becomes of purged responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hardness {
    /// They are gone.
    Hard,
    /// They are stale from now on: they may be validated, or served where a
    /// stale response may be (RFC 5861, RFC 9111 4.2.4).
    Soft,
}

/// Who asked for a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PurgeCause {
    /// An operator.
    Operator,
    /// An unsafe request (RFC 9111 4.4).
    Invalidation,
}

/// A purge's name among all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PurgeId {
    /// The node that was asked, by a number it drew when it started.
    pub node: u64,
    /// The purge's number on that node.
    pub number: u64,
}

/// One purge, as nodes tell it to each other and as disks keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// Its name.
    pub id: PurgeId,
    /// What is purged.
    pub scope: PurgeScope,
    /// What becomes of it.
    pub hardness: Hardness,
    /// Who asked for it.
    pub cause: PurgeCause,
    /// When, by the clock of the node that was asked; in milliseconds.
    pub at: SystemTime,
}

/// Whether purges concern a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purged {
    /// None does.
    No,
    /// It is stale since this time.
    Soft(SystemTime),
    /// It is gone.
    Hard,
}

impl Hardness {
    /// The word for metrics, logs and the admin API.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
        }
    }
}

impl PurgeCause {
    /// The word for metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Invalidation => "invalidation",
        }
    }
}

/// 32 hexadecimal digits: the node, then the number.
impl fmt::Display for PurgeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}{:016x}", self.node, self.number)
    }
}
