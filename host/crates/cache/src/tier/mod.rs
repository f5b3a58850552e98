//! Tiers: where stored responses are kept beside memory.
//!
//! Only the leader of a fetch asks them, after memory had nothing and before
//! the origin is asked; what they have is published through its
//! [`crate::FillPermit`] like a fill. A tier is never waited for longer than it
//! promises, and never fails a request: what it cannot do is a miss with a
//! reason. What may be reused is decided elsewhere.

mod answer;
mod found;
mod list;
mod search;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderMap;

use crate::key::Key;
use crate::record::Recorded;
use crate::response::StoredResponse;

pub use answer::{Dropped, Off, Saved, TierAnswer, TierHit, TierMiss, Unusable};
pub use found::{Admitted, Restored};
pub use list::{Looked, Tiers};
pub use search::{Offered, TierSearch};

/// The answer of a tier, which may take a while.
pub type TierFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a tier has for a key, or the word of [`TierMiss`] or [`Off`] for why that cannot be told.
pub type Listed = Result<Vec<Recorded>, &'static str>;

/// Which tier; each stands at most once in a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TierName {
    /// A local disk.
    Disk,
    /// Redis, shared by the nodes of a region.
    L2,
}

impl TierName {
    /// Whether other nodes write to it: it may have what is newer than what this node has.
    #[must_use]
    pub const fn is_shared(self) -> bool {
        match self {
            Self::Disk => false,
            Self::L2 => true,
        }
    }

    /// All of them.
    pub const ALL: [Self; 2] = [Self::Disk, Self::L2];

    /// The word for metrics, the access log and Cache-Status.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::L2 => "l2",
        }
    }
}

/// What a tier finds a stored response by. It is the same in every process, and tells nothing
/// of the key's declared parts.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TierKey {
    digest: [u8; 32],
    uri: [u8; 32],
}

impl TierKey {
    /// The tiers' form of `key`.
    #[must_use]
    pub fn of(key: &Key) -> Self {
        let digest = key.digest();
        Self {
            digest,
            uri: if key.has_parts() {
                key.uri_digest()
            } else {
                digest
            },
        }
    }

    /// [`Key::digest`].
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// [`Key::uri_digest`].
    #[must_use]
    pub fn uri(&self) -> &[u8; 32] {
        &self.uri
    }
}

impl fmt::Debug for TierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TierKey(")?;
        for byte in self.digest.iter().take(6) {
            write!(formatter, "{byte:02x}")?;
        }
        formatter.write_str(")")
    }
}

/// What of a response is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// All of it.
    Whole,
    /// Its head; the content that comes with it is empty.
    Head,
}

/// A place where stored responses are kept beside memory.
pub trait Tier: Send + Sync + 'static {
    /// Which one it is.
    fn name(&self) -> TierName;

    /// What it has for `key` that a request with the fields `request` selects (RFC 9111 4.1),
    /// fresh or not. Answers within a bounded time.
    fn load<'a>(
        &'a self,
        key: &'a TierKey,
        request: &'a HeaderMap,
        want: Want,
    ) -> TierFuture<'a, TierAnswer>;

    /// All that it has for `key`, whatever the request and without content, as if nobody had
    /// asked; for operators. Of those that a request selects, [`Tier::load`] gives the first.
    /// Answers within a bounded time.
    fn list<'a>(&'a self, key: &'a TierKey) -> TierFuture<'a, Listed>;

    /// Takes `response` to be kept, in place of what the same requests select. Never blocks:
    /// what does not fit into a bounded queue is dropped, and counted. Large content that it
    /// has already is not written again.
    fn save(&self, key: &TierKey, response: &Arc<StoredResponse>) -> Saved;

    /// Returns once the purges that it was told of would outlive a crash, or after a bounded
    /// time.
    fn settle(&self) -> TierFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Removes what it has for `key`, soon. Never blocks.
    fn forget(&self, key: &TierKey);
}
