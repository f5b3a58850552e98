//! Records: stored responses outside of memory.
//!
//! A record's head is all of a [`StoredHead`] in a compact binary encoding
//! with a version and a checksum; what follows it is the tier's to frame. What
//! is read back is foreign data: any bytes are refused or decoded, never
//! trusted, and nothing here panics on them. Moments are written as wall time
//! and turned into an age once, when a record is read (RFC 9111 4.2.3); from
//! then on only the monotonic clock counts.

mod decode;
mod encode;
mod walls;

use std::time::SystemTime;

use bytes::Bytes;

use crate::policy::LifetimeSource;
use crate::response::StoredHead;

pub use decode::{ReadAt, decode};
pub use encode::encode;
pub use walls::Walls;

/// The encoding's version: one more whenever the meaning of any byte changes. What another
/// version wrote is refused.
pub const VERSION: u8 = 2;

/// Most bytes of an encoded head; a longer one is neither written nor read.
pub const HEAD_BYTES_MAX: usize = 256 * 1024;

/// Most field lines of a record.
const FIELDS_MAX: usize = 1024;

/// What the encoding begins with.
const MAGIC: [u8; 3] = *b"VRH";

/// Bytes of the checksum at the end.
const CHECKSUM_BYTES: usize = 8;

/// Stands for no value, where a value is optional.
const NONE: u64 = u64::MAX;

/// Stands for no text.
const TEXT_NONE: u32 = u32::MAX;

/// A head that was read.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The head; its age goes on from when it was read. It holds no reservation.
    pub head: StoredHead,
    /// Bytes of its content.
    pub content_length: u64,
    /// When its origin request was sent, for comparing with purges by wall time; `None` where
    /// its sequence alone tells, because it was worked out without any node's clock.
    pub sent_wall: Option<SystemTime>,
}

/// Why a record is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RecordError {
    /// It is longer than a record may be.
    #[error("longer than a record may be")]
    TooLarge,
    /// It is not a record, or it ends early.
    #[error("not a record")]
    Malformed,
    /// Another version wrote it.
    #[error("of another version")]
    Version,
    /// Its checksum does not match.
    #[error("its checksum does not match")]
    Checksum,
    /// It was received after now: the wall clock was set back, and its age is not known.
    #[error("from the future")]
    FromTheFuture,
}

impl RecordError {
    /// The word for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::TooLarge => "too-large",
            Self::Malformed => "malformed",
            Self::Version => "version",
            Self::Checksum => "checksum",
            Self::FromTheFuture => "from-the-future",
        }
    }
}

/// The checksum of records and of what tiers put around them: against accidents, not forgers.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// The checksum of content in pieces, however it is cut.
#[must_use]
pub fn checksum_of(pieces: &[Bytes]) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for piece in pieces {
        hasher.update(piece);
    }
    hasher.digest()
}

/// A flag of a head, by its bit.
#[derive(Clone, Copy)]
enum Flag {
    NoCache = 1,
    StaleForbidden = 2,
    Immutable = 4,
}

/// All bits that mean anything.
const FLAGS: u8 = 7;

/// The number of a lifetime's source; numbers are never used twice.
const fn source_code(source: LifetimeSource) -> u8 {
    match source {
        LifetimeSource::SMaxage => 1,
        LifetimeSource::MaxAge => 2,
        LifetimeSource::Expires => 3,
        LifetimeSource::Route => 4,
        LifetimeSource::Nowhere => 5,
        LifetimeSource::Heuristic => 6,
        LifetimeSource::RouteStatus => 7,
    }
}

const SOURCES: [LifetimeSource; 7] = [
    LifetimeSource::SMaxage,
    LifetimeSource::MaxAge,
    LifetimeSource::Expires,
    LifetimeSource::Route,
    LifetimeSource::Nowhere,
    LifetimeSource::Heuristic,
    LifetimeSource::RouteStatus,
];

fn source_of(code: u8) -> Option<LifetimeSource> {
    SOURCES
        .into_iter()
        .find(|source| source_code(*source) == code)
}

#[cfg(test)]
mod tests;
