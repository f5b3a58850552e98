//! Stored responses: a head that is ready to be served, and content.
//!
//! All that a hit needs is worked out when the response is stored; a hit
//! parses nothing. Nothing here decides whether a response may be stored or
//! reused, and nothing here changes once it is stored.

mod head;
pub(crate) mod made_by;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header;
use verge_http::range::ByteRange;
use verge_http::{Body, StoredBody};

use crate::partial::Pieces;
use crate::policy::Freshness;
use crate::segment::segment_cost;

pub(crate) use head::HeadParts;
pub use head::{ResponseHead, StoredHead};

/// A response that is found by its key: a complete one, or pieces of one.
pub struct StoredResponse {
    head: Arc<StoredHead>,
    pub(crate) segments: Arc<[Bytes]>,
    content_length: u64,
    /// Which pieces `segments` are; `None` if all of the content is there.
    pieces: Option<Box<Pieces>>,
    /// The purge sequence up to which it was looked whether this is purged.
    checked: AtomicU64,
    /// The age, in milliseconds, at which a soft purge ended its lifetime.
    soft_purged: AtomicU64,
    /// Until when its origin counts as failing, in milliseconds after it was received.
    failing_until: AtomicU64,
}

/// The age at which the lifetime of what was not purged ends.
const NOT_PURGED: u64 = u64::MAX;

/// What fails sooner keeps nobody waiting.
const FAILING_MIN: Duration = Duration::from_secs(1);

/// The longest time for which an origin counts as failing before it is asked again.
const FAILING_MAX: Duration = Duration::from_secs(30);

impl StoredResponse {
    /// A response with all of its content.
    pub(crate) fn new(head: Arc<StoredHead>, segments: Arc<[Bytes]>) -> Self {
        let content_length = segments.iter().map(|s| s.len() as u64).sum();
        let allows_content = !verge_http::status::forbids_content(head.status);
        let head = if allows_content && !head.fields.contains_key(header::CONTENT_LENGTH) {
            Arc::new(head.with_content_length(content_length))
        } else {
            head
        };
        Self {
            checked: AtomicU64::new(head.sequence),
            soft_purged: AtomicU64::new(NOT_PURGED),
            failing_until: AtomicU64::new(0),
            head,
            segments,
            content_length,
            pieces: None,
        }
    }

    /// An incomplete response with the content of `pieces`, one after the other.
    pub(crate) fn incomplete(
        head: Arc<StoredHead>,
        segments: Arc<[Bytes]>,
        pieces: Pieces,
    ) -> Self {
        Self {
            checked: AtomicU64::new(head.sequence),
            soft_purged: AtomicU64::new(NOT_PURGED),
            failing_until: AtomicU64::new(0),
            content_length: segments.iter().map(|s| s.len() as u64).sum(),
            head,
            segments,
            pieces: Some(Box::new(pieces)),
        }
    }

    /// The same content under a newer head (RFC 9111 3.2).
    pub(crate) fn freshened(&self, mut head: StoredHead) -> Self {
        head.derived = self.head.derived.clone();
        Self {
            checked: AtomicU64::new(head.sequence),
            soft_purged: AtomicU64::new(NOT_PURGED),
            failing_until: AtomicU64::new(0),
            head: Arc::new(head),
            segments: Arc::clone(&self.segments),
            content_length: self.content_length,
            pieces: self.pieces.clone(),
        }
    }

    /// All but the content.
    #[must_use]
    pub fn head(&self) -> &Arc<StoredHead> {
        &self.head
    }

    /// Which pieces of the content are there; `None` if all is.
    #[must_use]
    pub fn pieces(&self) -> Option<&Pieces> {
        self.pieces.as_deref()
    }

    /// The content that is there, piece after piece.
    pub(crate) fn segments(&self) -> &[Bytes] {
        &self.segments
    }

    /// The bytes of `range` of the whole content, if all of them are there.
    #[must_use]
    pub fn part(&self, range: ByteRange) -> Option<Body> {
        let start = match &self.pieces {
            None => (range.last < self.content_length).then_some(range.first)?,
            Some(pieces) => {
                let extents = pieces.extents();
                extents.contains(range).then(|| extents.rank(range.first))?
            }
        };
        Some(self.slice(start, range.len()))
    }

    /// Bytes of content that are stored.
    #[must_use]
    pub fn content_length(&self) -> u64 {
        self.content_length
    }

    /// All of the content; allocates nothing.
    #[must_use]
    pub fn body(&self) -> Body {
        match &*self.segments {
            [] => Body::Empty,
            [only] => Body::Full(only.clone()),
            _ => Body::Stored(StoredBody::new(Arc::clone(&self.segments))),
        }
    }

    /// The `length` bytes of content from `start`, for a 206.
    #[must_use]
    pub fn slice(&self, start: u64, length: u64) -> Body {
        let slice = StoredBody::slice(Arc::clone(&self.segments), start, length);
        if slice.remaining() == 0 {
            Body::Empty
        } else {
            Body::Stored(slice)
        }
    }

    /// Bytes that it takes in the store.
    pub(crate) fn cost(&self) -> u64 {
        let segments = self.segments.iter();
        let content: u64 = segments.map(|bytes| segment_cost(bytes.len())).sum();
        self.head.cost.saturating_add(content)
    }

    pub(crate) fn checked(&self) -> u64 {
        self.checked.load(Ordering::Acquire)
    }

    pub(crate) fn set_checked(&self, sequence: u64) {
        self.checked.fetch_max(sequence, Ordering::AcqRel);
    }

    /// Validating it failed at `now`, after `took`: for as long again its origin counts as failing,
    /// so that not everybody waits for one that does not answer. What fails at once is tried
    /// again at once.
    pub fn note_origin_failure(&self, now: Instant, took: Duration) {
        if took < FAILING_MIN {
            return;
        }
        let until = now.saturating_duration_since(self.head.received) + took.min(FAILING_MAX);
        let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        self.failing_until.fetch_max(until, Ordering::AcqRel);
    }

    /// Whether its origin counts as failing at `now`.
    #[must_use]
    pub fn is_origin_failing(&self, now: Instant) -> bool {
        let until = self.failing_until.load(Ordering::Acquire);
        now.saturating_duration_since(self.head.received) < Duration::from_millis(until)
    }

    /// How fresh it is at `now`: a soft purge ended its lifetime, so that all
    /// that holds for stale responses holds for it.
    #[must_use]
    pub fn freshness(&self, now: Instant) -> Freshness {
        let freshness = self.head.freshness(now);
        match self.soft_purged.load(Ordering::Acquire) {
            NOT_PURGED => freshness,
            age => Freshness {
                lifetime: freshness.lifetime.min(Duration::from_millis(age)),
                ..freshness
            },
        }
    }

    /// Whether a soft purge ended its lifetime.
    #[must_use]
    pub fn is_soft_purged(&self) -> bool {
        self.soft_purged.load(Ordering::Acquire) != NOT_PURGED
    }

    /// Ends its lifetime at `age`, or earlier if it was purged before.
    pub(crate) fn soft_purge(&self, age: Duration) {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX - 1);
        self.soft_purged
            .fetch_min(age.min(NOT_PURGED - 1), Ordering::AcqRel);
    }
}

impl fmt::Debug for StoredResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StoredResponse")
            .field("head", &self.head)
            .field("content_length", &self.content_length)
            .finish_non_exhaustive()
    }
}
