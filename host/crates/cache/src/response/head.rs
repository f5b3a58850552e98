//! The head of a stored response: status, fields, and all that reuse depends
//! on, worked out when it is stored.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};
use verge_base::Reservation;
use verge_http::cache_control::Qualified;
use verge_http::conditional::EntityTag;
use verge_http::date;
use verge_http::surrogate::SurrogateKeys;
use verge_http::vary::{VariantKey, Vary};

use super::made_by::made_by_cost;
use crate::age::{self, ResponseTimes};
use crate::derived::Derived;
use crate::fields::{compact, head_cost};
use crate::policy::{
    Freshness, LifetimeSource, RoutePolicy, StaleWindows, StoragePlan, Validators, storable_fields,
};

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
    /// The purge sequence that was seen when its origin request was sent, or up to which it was
    /// looked at when a tier gave it.
    pub(crate) sequence: u64,
    pub(crate) cost: u64,
    /// Shared by copies of one head; `None` if it is used once and not stored.
    pub(crate) reservation: Option<Arc<Reservation>>,
    /// Coded representations of the content, once any is asked for.
    pub(crate) derived: OnceLock<Arc<Derived>>,
}

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
                .saturating_add(plan.surrogate_keys.cost())
                .saturating_add(made_by_cost(made_by.as_ref())),
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

    /// It is purged together with others by `keys` from now on, for which more memory than was
    /// reserved may be needed.
    pub(crate) fn set_surrogate_keys(&mut self, keys: SurrogateKeys) {
        let others = self.cost.saturating_sub(self.surrogate_keys.cost());
        self.cost = others.saturating_add(keys.cost());
        self.surrogate_keys = keys;
    }

    /// The functions of `made_by` had a part in it; as above.
    pub(crate) fn set_made_by(&mut self, made_by: Option<Arc<str>>) {
        let others = self
            .cost
            .saturating_sub(made_by_cost(self.made_by.as_ref()));
        self.cost = others.saturating_add(made_by_cost(made_by.as_ref()));
        self.made_by = made_by;
    }

    /// Its lifetime ends at `age` at the latest.
    pub(crate) fn end_lifetime(&mut self, age: Duration) {
        self.lifetime = self.lifetime.min(age);
    }

    /// Purges up to `sequence` leave it as it is now.
    pub(crate) fn judged_up_to(&mut self, sequence: u64) {
        self.sequence = self.sequence.max(sequence);
    }

    /// The configured name of the site that it belongs to.
    #[must_use]
    pub fn site(&self) -> Option<&Arc<str>> {
        self.site.as_ref()
    }

    /// The purge sequence that was seen when its origin request was sent, or up to which it was
    /// looked at when a tier gave it.
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

    /// Whether it is the more recent answer to what `other` answers, too: asked for later, and
    /// no older by Date (RFC 9111 4).
    pub(crate) fn supersedes(&self, other: &Self) -> bool {
        self.requested > other.requested && self.date >= other.date && self.is_same_variant(other)
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
    pub(super) fn with_content_length(&self, length: u64) -> Self {
        let mut head = self.clone();
        head.fields
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        // A clone has no room for more fields, of which inserting one made as much as there was.
        head.fields = head.fields.clone();
        head
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
