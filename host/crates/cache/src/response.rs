//! Stored responses: a head that is ready to be served, and content.
//!
//! All that a hit needs is worked out when the response is stored; a hit
//! parses nothing. Nothing here decides whether a response may be stored or
//! reused, and nothing here changes once it is stored.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};
use verge_base::Reservation;
use verge_http::cache_control::Qualified;
use verge_http::conditional::EntityTag;
use verge_http::range::ByteRange;
use verge_http::surrogate::SurrogateKeys;
use verge_http::vary::{VariantKey, Vary};
use verge_http::{Body, StoredBody, date};

use crate::age::{self, ResponseTimes};
use crate::derived::Derived;
use crate::fields::{compact, head_cost};
use crate::partial::Pieces;
use crate::policy::{
    Freshness, LifetimeSource, RoutePolicy, StaleWindows, StoragePlan, Validators, storable_fields,
};
use crate::segment::segment_cost;

/// A response as the origin, or an origin-response function, gave it.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub fields: &'a HeaderMap,
    /// When it was asked for and when it arrived.
    pub times: ResponseTimes,
    /// corrected_initial_age (RFC 9111 4.2.3); [`ResponseHead::initial_age`].
    pub initial_age: Duration,
}

/// All of a stored response but its content.
#[derive(Clone)]
pub struct StoredHead {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    pub(crate) date: SystemTime,
    pub(crate) last_modified: Option<SystemTime>,
    /// When the origin request was sent.
    pub(crate) requested: Instant,
    pub(crate) received: Instant,
    pub(crate) initial_age: Duration,
    pub(crate) lifetime: Duration,
    pub(crate) source: LifetimeSource,
    pub(crate) is_no_cache: bool,
    pub(crate) is_stale_forbidden: bool,
    pub(crate) is_immutable: bool,
    pub(crate) stale: StaleWindows,
    pub(crate) refresh_at: Option<Duration>,
    pub(crate) vary: Vary,
    pub(crate) variant_key: VariantKey,
    pub(crate) surrogate_keys: SurrogateKeys,
    /// Names of the functions that had a part in it, with their digests.
    pub(crate) made_by: Option<Arc<str>>,
    /// The configured name of its site.
    pub(crate) site: Option<Arc<str>>,
    /// The purge sequence that was seen when its origin request was sent.
    pub(crate) sequence: u64,
    pub(crate) cost: u64,
    /// Shared by copies of one head; `None` if it is used once and not stored.
    pub(crate) reservation: Option<Arc<Reservation>>,
    /// Coded representations of the content, once any is asked for.
    pub(crate) derived: OnceLock<Arc<Derived>>,
}

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

impl<'a> ResponseHead<'a> {
    /// A response of which `times` are known; its age is worked out from its
    /// Date and Age.
    #[must_use]
    pub fn new(status: StatusCode, fields: &'a HeaderMap, times: ResponseTimes) -> Self {
        let date = date::field_date(fields, &header::DATE, times.received_wall).valid();
        let age = verge_http::age::parse(fields);
        Self {
            status,
            fields,
            times,
            initial_age: age::corrected_initial_age(&times, date, age),
        }
    }
}

/// What [`StoredHead::new`] needs beside the response itself.
pub(crate) struct HeadParts<'a> {
    pub(crate) plan: StoragePlan,
    pub(crate) variant_key: VariantKey,
    pub(crate) made_by: Option<Arc<str>>,
    pub(crate) route: &'a RoutePolicy,
    pub(crate) sequence: u64,
}

impl StoredHead {
    /// The head under which `response` is stored. It holds no reservation yet.
    pub(crate) fn new(response: &ResponseHead<'_>, parts: HeadParts<'_>) -> Self {
        let HeadParts {
            plan,
            variant_key,
            made_by,
            route,
            sequence,
        } = parts;
        let received_wall = response.times.received_wall;
        let mut fields = storable_fields(response.fields, &plan.directives);
        route.remove_internal_fields(&mut fields);
        let date = match date::field_date(&fields, &header::DATE, received_wall).valid() {
            Some(date) => date,
            // A recipient with a clock records when it received a response
            // that has no valid Date (RFC 9110 6.6.1).
            None => {
                fields.insert(header::DATE, date::fmt(received_wall));
                received_wall
            }
        };
        let last_modified =
            date::field_date(&fields, &header::LAST_MODIFIED, received_wall).valid();
        let fields = compact(&fields);
        let directives = &plan.directives;
        Self {
            status: response.status,
            date,
            last_modified,
            requested: response.times.requested,
            received: response.times.received,
            initial_age: response.initial_age,
            lifetime: plan.lifetime,
            source: plan.source,
            is_no_cache: directives.no_cache == Qualified::Whole,
            is_stale_forbidden: directives.must_revalidate
                || directives.proxy_revalidate
                || directives.s_maxage.is_some(),
            is_immutable: directives.immutable,
            stale: plan.stale,
            refresh_at: plan.refresh_at,
            cost: head_cost(&fields, &plan.vary, &variant_key)
                .saturating_add(plan.surrogate_keys.cost()),
            fields,
            vary: plan.vary,
            variant_key,
            surrogate_keys: plan.surrogate_keys,
            made_by,
            site: route.site.clone(),
            sequence,
            reservation: None,
            derived: OnceLock::new(),
        }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The fields, as they are sent but for Age and Cache-Status.
    #[must_use]
    pub fn fields(&self) -> &HeaderMap {
        &self.fields
    }

    /// The Date, or when the response was received if it had none.
    #[must_use]
    pub fn date(&self) -> SystemTime {
        self.date
    }

    /// When the response was received.
    #[must_use]
    pub fn received(&self) -> Instant {
        self.received
    }

    /// The validators with which it can be validated.
    #[must_use]
    pub fn validators(&self) -> Validators<'_> {
        Validators {
            entity_tag: EntityTag::of(&self.fields),
            last_modified: self.last_modified,
        }
    }

    /// current_age (RFC 9111 4.2.3), which is what the Age field says.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        age::current_age(self.initial_age, self.received, now)
    }

    /// freshness_lifetime (RFC 9111 4.2.1).
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Where the lifetime comes from.
    #[must_use]
    pub fn lifetime_source(&self) -> LifetimeSource {
        self.source
    }

    /// How fresh it is at `now`, for [`crate::policy::decide_reuse`].
    #[must_use]
    pub fn freshness(&self, now: Instant) -> Freshness {
        Freshness {
            age: self.age(now),
            lifetime: self.lifetime,
            is_no_cache: self.is_no_cache,
            is_stale_forbidden: self.is_stale_forbidden,
            is_immutable: self.is_immutable,
            stale: self.stale,
            refresh_at: self.refresh_at,
        }
    }

    /// What it varies by.
    #[must_use]
    pub fn vary(&self) -> &Vary {
        &self.vary
    }

    /// The values of the fields it varies by, of the request that it was fetched for.
    #[must_use]
    pub fn variant_key(&self) -> &VariantKey {
        &self.variant_key
    }

    /// Whether it answers a request with these fields (RFC 9111 4.1).
    #[must_use]
    pub fn is_selected_by(&self, request: &HeaderMap) -> bool {
        self.vary.is_empty() || self.vary.selects(&self.variant_key, request)
    }

    /// The names by which it is purged together with others.
    #[must_use]
    pub fn surrogate_keys(&self) -> &SurrogateKeys {
        &self.surrogate_keys
    }

    /// The coded representations of its content.
    #[must_use]
    pub fn derived(&self) -> &Arc<Derived> {
        self.derived.get_or_init(Arc::default)
    }

    /// Names and digests of the functions that had a part in it.
    #[must_use]
    pub fn made_by(&self) -> Option<&Arc<str>> {
        self.made_by.as_ref()
    }

    /// Its lifetime ends at `age` at the latest.
    pub(crate) fn end_lifetime(&mut self, age: Duration) {
        self.lifetime = self.lifetime.min(age);
    }

    /// The configured name of the site that it belongs to.
    #[must_use]
    pub fn site(&self) -> Option<&Arc<str>> {
        self.site.as_ref()
    }

    /// The purge sequence that was seen when its origin request was sent.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Bytes to reserve for it.
    pub(crate) fn cost(&self) -> u64 {
        self.cost
    }

    /// Whether `other` would be found by the same requests.
    pub(crate) fn is_same_variant(&self, other: &Self) -> bool {
        self.variant_key == other.variant_key && self.vary == other.vary
    }

    pub(crate) fn with_reservation(mut self, reservation: Reservation) -> Self {
        self.reservation = Some(Arc::new(reservation));
        self
    }

    /// The head of the whole response of which this is the head of a part.
    pub(crate) fn of_whole(&self, fields: HeaderMap) -> Self {
        Self {
            status: StatusCode::OK,
            fields,
            ..self.clone()
        }
    }

    /// The same head with the Content-Length that turned out in the end.
    fn with_content_length(&self, length: u64) -> Self {
        let mut head = self.clone();
        head.fields
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        head
    }
}

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

impl fmt::Debug for StoredHead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StoredHead")
            .field("status", &self.status)
            .field("lifetime", &self.lifetime)
            .field("vary", &self.vary)
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
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
