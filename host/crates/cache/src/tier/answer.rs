//! What a tier says, each "no" with its name.

use verge_http::Body;

use crate::record::{RecordError, Recorded};

/// What came of asking a tier.
#[derive(Debug)]
pub enum TierAnswer {
    /// It has a response.
    Hit(Box<TierHit>),
    /// It has none that can be used.
    Miss(TierMiss),
    /// It does not work at present.
    Off(Off),
}

/// A response that a tier has.
#[derive(Debug)]
pub struct TierHit {
    /// All but the content. A tier that is shared sets the head's purge sequence by
    /// [`Recorded::with_sequence`]: numbers of other nodes mean nothing here.
    pub recorded: Recorded,
    /// The content; it fails if it turns out not to be what was saved.
    pub content: Body,
}

/// Why a tier has nothing to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TierMiss {
    /// Nothing is kept for the key.
    NotFound,
    /// Nothing is kept that the request selects.
    Variant,
    /// What is kept is purged.
    Purged,
    /// What was kept cannot be read back; it is removed.
    Corrupt(RecordError),
    /// It did not answer in time.
    Slow,
    /// Too many ask at once.
    Busy,
    /// It is not ready yet.
    Starting,
    /// Reading failed.
    Failed,
}

/// Why a tier does not work at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Off {
    /// There is no room left.
    Full,
    /// It may not be written.
    ReadOnly,
    /// It is not there.
    Missing,
    /// It fails otherwise.
    Failing,
    /// It did not answer several times in a row.
    Unresponsive,
}

/// What became of a response that was to be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is being saved.
    Queued,
    /// It is not.
    Dropped(Dropped),
}

/// Why a response is not saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dropped {
    /// It is larger than the tier keeps.
    TooLarge,
    /// Too much is being saved at once.
    QueueFull,
    /// It has been purged since it was asked for.
    Purged,
    /// The tier does not work at present.
    Off,
}

/// Why what a tier has cannot be used after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unusable {
    /// It was purged.
    Purged,
    /// It is larger than a response in memory may be.
    ObjectTooLarge,
    /// There is no memory for it.
    MemoryExhausted,
    /// Its content could not be read.
    Failed,
}

impl Unusable {
    /// Whether the tier need not keep it.
    #[must_use]
    pub const fn is_gone(self) -> bool {
        matches!(self, Self::Purged)
    }

    /// The word for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Purged => "purged",
            Self::ObjectTooLarge => "object-too-large",
            Self::MemoryExhausted => "memory-exhausted",
            Self::Failed => "failed",
        }
    }
}

impl TierAnswer {
    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Hit(_) => "hit",
            Self::Miss(miss) => miss.label(),
            Self::Off(off) => off.label(),
        }
    }
}

impl TierMiss {
    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotFound => "miss",
            Self::Variant => "variant",
            Self::Purged => "purged",
            Self::Corrupt(reason) => reason.label(),
            Self::Slow => "slow",
            Self::Busy => "busy",
            Self::Starting => "starting",
            Self::Failed => "failed",
        }
    }
}

impl Off {
    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Full => "off-full",
            Self::ReadOnly => "off-read-only",
            Self::Missing => "off-missing",
            Self::Failing => "off-failing",
            Self::Unresponsive => "off-unresponsive",
        }
    }
}

impl Saved {
    /// The word for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Dropped(Dropped::TooLarge) => "too-large",
            Self::Dropped(Dropped::QueueFull) => "queue-full",
            Self::Dropped(Dropped::Purged) => "purged",
            Self::Dropped(Dropped::Off) => "off",
        }
    }
}
