//! Whether a response may be stored, and for how long it is fresh (RFC 9111 3, 4.2.1).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, StatusCode, header};
use verge_http::cache_control::{Qualified, ResponseDirectives};
use verge_http::date::{self, FieldDate};
use verge_http::status;
use verge_http::vary::Vary;

use super::freshen::Validators;

/// What storing depends on of the request that a response answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// The method is GET.
    pub is_get: bool,
    /// The request as it was sent to the origin, or as the client sent it, had
    /// Authorization (RFC 9111 3.5).
    pub has_authorization: bool,
    /// The request said no-store (RFC 9111 5.2.1.5).
    pub no_store: bool,
    /// The origin saw input that is no part of the key: what it answered is
    /// for this request alone.
    pub has_unkeyed_input: bool,
}

/// What a route says about storing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoutePolicy {
    /// The freshness lifetime of responses that name none and whose status is
    /// heuristically cacheable (RFC 9111 4.2.2); zero for none.
    pub default_ttl: Duration,
}

/// All that [`decide_storage`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct StorageFacts<'a> {
    /// Of the request.
    pub request: RequestFacts,
    /// Of the response, after origin-response functions.
    pub status: StatusCode,
    /// Of the response, after origin-response functions.
    pub fields: &'a HeaderMap,
    /// When the response arrived, on the wall clock.
    pub received_wall: SystemTime,
    /// corrected_initial_age (RFC 9111 4.2.3).
    pub initial_age: Duration,
    /// Of the route.
    pub route: RoutePolicy,
}

/// Whether a response is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// It may be stored.
    Store(Box<StoragePlan>),
    /// It may not.
    Refuse(RefuseReason),
}

/// How a response is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoragePlan {
    /// freshness_lifetime (RFC 9111 4.2.1); zero if it is stale from the start.
    pub lifetime: Duration,
    /// Where the lifetime comes from.
    pub source: LifetimeSource,
    /// The response's directives.
    pub directives: ResponseDirectives,
    /// What the response varies by; never [`Vary::Any`].
    pub vary: Vary,
}

/// Where a freshness lifetime comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LifetimeSource {
    /// s-maxage (RFC 9111 5.2.2.10).
    SMaxage,
    /// max-age (RFC 9111 5.2.2.1).
    MaxAge,
    /// Expires less Date (RFC 9111 5.3).
    Expires,
    /// The route's default.
    Route,
    /// Nowhere: stored for its validator.
    Nowhere,
}

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefuseReason {
    /// The method is not GET (RFC 9111 3).
    Method,
    /// The request said no-store (RFC 9111 5.2.1.5).
    RequestNoStore,
    /// The origin saw input that is no part of the key.
    UnkeyedInput,
    /// An interim response (RFC 9111 3).
    StatusInterim,
    /// A part of a representation (RFC 9111 3.3).
    StatusPartial,
    /// 304 freshens what is stored, it is not stored itself (RFC 9111 4.3.3).
    StatusNotModified,
    /// must-understand, and the status is not understood (RFC 9111 5.2.2.3).
    StatusNotUnderstood,
    /// The response said no-store (RFC 9111 5.2.2.5).
    NoStore,
    /// The response is for one user (RFC 9111 5.2.2.7).
    Private,
    /// The request was authorised and the response does not allow to share it (RFC 9111 3.5).
    Authorization,
    /// It varies by more than the request (RFC 9111 4.1).
    VaryAny,
    /// It sets a cookie and does not say that it may be shared.
    SetCookie,
    /// It says nothing about freshness and its status is not heuristically cacheable (RFC 9111 3).
    NotCacheable,
    /// It could not be reused without validation, and has no validator.
    NoValidator,
    /// It is larger than a stored response may be.
    ObjectTooLarge,
    /// There is no memory for it.
    MemoryExhausted,
    /// Its URI was purged after the origin had been asked.
    Purged,
}

impl RequestFacts {
    /// The facts of a request; `has_unkeyed_input` is false.
    #[must_use]
    pub fn of(method: &Method, fields: &HeaderMap, no_store: bool) -> Self {
        Self {
            is_get: *method == Method::GET,
            has_authorization: fields.contains_key(header::AUTHORIZATION),
            no_store,
            has_unkeyed_input: false,
        }
    }
}

/// Decides whether a shared cache may store a response (RFC 9111 3).
#[must_use]
pub fn decide_storage(facts: &StorageFacts<'_>) -> Storage {
    let directives = ResponseDirectives::parse(facts.fields);
    let vary = Vary::parse(facts.fields);
    if let Some(reason) = refuse_by_request(facts.request)
        .or_else(|| refuse_by_status(facts.status, &directives))
        .or_else(|| refuse_by_directives(facts, &directives))
    {
        return Storage::Refuse(reason);
    }
    if vary == Vary::Any {
        return Storage::Refuse(RefuseReason::VaryAny);
    }
    let (lifetime, source) = freshness_lifetime(facts, &directives);
    if source == LifetimeSource::Nowhere
        && !directives.public
        && !status::is_heuristically_cacheable(facts.status)
    {
        return Storage::Refuse(RefuseReason::NotCacheable);
    }
    // What must be validated before its first reuse is worth storing only if it can be.
    let is_reusable = lifetime > facts.initial_age && directives.no_cache != Qualified::Whole;
    if !is_reusable && !Validators::of(facts.fields, facts.received_wall).is_any() {
        return Storage::Refuse(RefuseReason::NoValidator);
    }
    Storage::Store(Box::new(StoragePlan {
        lifetime,
        source,
        directives,
        vary,
    }))
}

fn refuse_by_request(request: RequestFacts) -> Option<RefuseReason> {
    if !request.is_get {
        return Some(RefuseReason::Method);
    }
    if request.no_store {
        return Some(RefuseReason::RequestNoStore);
    }
    request
        .has_unkeyed_input
        .then_some(RefuseReason::UnkeyedInput)
}

fn refuse_by_status(status: StatusCode, directives: &ResponseDirectives) -> Option<RefuseReason> {
    if status.is_informational() {
        return Some(RefuseReason::StatusInterim);
    }
    match status {
        StatusCode::PARTIAL_CONTENT => Some(RefuseReason::StatusPartial),
        StatusCode::NOT_MODIFIED => Some(RefuseReason::StatusNotModified),
        _ => (directives.must_understand && !status::is_understood(status))
            .then_some(RefuseReason::StatusNotUnderstood),
    }
}

fn refuse_by_directives(
    facts: &StorageFacts<'_>,
    directives: &ResponseDirectives,
) -> Option<RefuseReason> {
    // A cache that understands the status ignores no-store beside
    // must-understand (RFC 9111 5.2.2.3); other statuses were refused before.
    if directives.no_store && !directives.must_understand {
        return Some(RefuseReason::NoStore);
    }
    if directives.private == Qualified::Whole {
        return Some(RefuseReason::Private);
    }
    // RFC 9111 3.5.
    if facts.request.has_authorization
        && !directives.public
        && !directives.must_revalidate
        && directives.s_maxage.is_none()
    {
        return Some(RefuseReason::Authorization);
    }
    // RFC 9111 7.3 leaves this to the origin; a cookie that was meant for one
    // user is the costlier mistake, so an origin must say that it may be shared.
    let withholds_cookie = excludes(&directives.private, &header::SET_COOKIE)
        || excludes(&directives.no_cache, &header::SET_COOKIE);
    if facts.fields.contains_key(header::SET_COOKIE)
        && !withholds_cookie
        && !directives.public
        && directives.s_maxage.is_none()
    {
        return Some(RefuseReason::SetCookie);
    }
    None
}

fn excludes(directive: &Qualified, name: &http::HeaderName) -> bool {
    matches!(directive, Qualified::Fields(names) if names.contains(name))
}

/// The first that is given of s-maxage, max-age, Expires (RFC 9111 4.2.1),
/// then the route's default.
fn freshness_lifetime(
    facts: &StorageFacts<'_>,
    directives: &ResponseDirectives,
) -> (Duration, LifetimeSource) {
    if let Some(lifetime) = directives.s_maxage {
        return (lifetime, LifetimeSource::SMaxage);
    }
    if let Some(lifetime) = directives.max_age {
        return (lifetime, LifetimeSource::MaxAge);
    }
    match date::field_date(facts.fields, &header::EXPIRES, facts.received_wall) {
        FieldDate::At(expires) => {
            let date = date::field_date(facts.fields, &header::DATE, facts.received_wall)
                .valid()
                .unwrap_or(facts.received_wall);
            let lifetime = expires.duration_since(date).unwrap_or_default();
            return (lifetime, LifetimeSource::Expires);
        }
        // An invalid Expires, "0" above all, means already expired (RFC 9111 5.3).
        FieldDate::Invalid => return (Duration::ZERO, LifetimeSource::Expires),
        FieldDate::Absent => {}
    }
    if !facts.route.default_ttl.is_zero() && status::is_heuristically_cacheable(facts.status) {
        return (facts.route.default_ttl, LifetimeSource::Route);
    }
    (Duration::ZERO, LifetimeSource::Nowhere)
}

impl LifetimeSource {
    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::SMaxage => "s-maxage",
            Self::MaxAge => "max-age",
            Self::Expires => "expires",
            Self::Route => "route",
            Self::Nowhere => "nowhere",
        }
    }
}

impl RefuseReason {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 17] = [
        Self::Method,
        Self::RequestNoStore,
        Self::UnkeyedInput,
        Self::StatusInterim,
        Self::StatusPartial,
        Self::StatusNotModified,
        Self::StatusNotUnderstood,
        Self::NoStore,
        Self::Private,
        Self::Authorization,
        Self::VaryAny,
        Self::SetCookie,
        Self::NotCacheable,
        Self::NoValidator,
        Self::ObjectTooLarge,
        Self::MemoryExhausted,
        Self::Purged,
    ];

    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::RequestNoStore => "request-no-store",
            Self::UnkeyedInput => "unkeyed-input",
            Self::StatusInterim => "status-interim",
            Self::StatusPartial => "status-partial",
            Self::StatusNotModified => "status-not-modified",
            Self::StatusNotUnderstood => "status-not-understood",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::VaryAny => "vary-any",
            Self::SetCookie => "set-cookie",
            Self::NotCacheable => "not-cacheable",
            Self::NoValidator => "no-validator",
            Self::ObjectTooLarge => "object-too-large",
            Self::MemoryExhausted => "memory-exhausted",
            Self::Purged => "purged",
        }
    }
}

#[cfg(test)]
mod tests;
