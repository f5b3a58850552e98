//! When a stale response answers although the origin was not, or not
//! successfully, asked (RFC 9111 4.2.4, 4.3.3; RFC 5861).
//!
//! It knows how stale a response is and what went wrong; it does not know how
//! the origin was asked.

use std::time::Duration;

use http::StatusCode;
use verge_http::cache_control::{MaxStale, RequestDirectives, ResponseDirectives};
use verge_http::failure::{Failure, Side};

use super::reuse::Freshness;
use super::route::RoutePolicy;

/// For how long past its freshness a response may still answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StaleWindows {
    /// While it is validated in the background (RFC 5861 3).
    pub while_revalidate: Option<Duration>,
    /// When the origin fails (RFC 5861 4).
    pub if_error: Option<Duration>,
    /// When the origin fails and nobody named a window: the node counts as
    /// disconnected (RFC 9111 4.2.4).
    pub on_failure: Duration,
}

/// What an origin did instead of answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginError {
    /// There was no response.
    Failed(Failure),
    /// The response says that the origin could not answer: 5xx.
    Status(StatusCode),
    /// A function on the way failed, and its policy is that what is stored stands in for it.
    Function(Failure),
}

/// Whether a stale response answers in the place of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StaleOnError {
    /// It does.
    Serve(StaleGrant),
    /// The error is passed on.
    PassError(StaleRefusal),
}

/// Who allows a stale response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StaleGrant {
    /// stale-if-error of the response, or the route's default (RFC 5861 4).
    IfError,
    /// stale-if-error of the request (RFC 5861 4).
    RequestIfError,
    /// Nobody forbids it and the origin cannot be reached (RFC 9111 4.2.4, 4.3.3).
    Disconnected,
}

/// Why the error is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StaleRefusal {
    /// It is no error of the origin's.
    NotAnError,
    /// no-cache of the response (RFC 9111 5.2.2.4).
    NoCache,
    /// must-revalidate, proxy-revalidate or s-maxage of the response (RFC 9111 4.2.4).
    Forbidden,
    /// no-cache of the request (RFC 9111 5.2.1.4).
    RequestNoCache,
    /// max-stale of the request (RFC 9111 5.2.1.2).
    RequestMaxStale,
    /// It has been stale for too long.
    WindowPassed,
}

impl StaleWindows {
    /// The windows of a response with `directives` on a route with `route`'s defaults.
    #[must_use]
    pub fn of(directives: &ResponseDirectives, route: &RoutePolicy) -> Self {
        Self {
            while_revalidate: directives
                .stale_while_revalidate
                .or(route.stale_while_revalidate),
            if_error: directives.stale_if_error.or(route.stale_if_error),
            on_failure: route.stale_on_failure,
        }
    }

    /// Windows that are all closed.
    pub const NONE: Self = Self {
        while_revalidate: None,
        if_error: None,
        on_failure: Duration::ZERO,
    };
}

/// The age from which a response with `lifetime` is validated ahead of need, if the last
/// `percent` of it are for that.
pub(super) fn refresh_at(lifetime: Duration, percent: u8) -> Option<Duration> {
    let rest = lifetime.checked_mul(u32::from(percent.min(100)))? / 100;
    (!rest.is_zero()).then(|| lifetime.saturating_sub(rest))
}

impl OriginError {
    /// A response's status as an error, if it is one (RFC 5861 4, RFC 9111 4.3.3).
    #[must_use]
    pub fn of_status(status: StatusCode) -> Option<Self> {
        status.is_server_error().then_some(Self::Status(status))
    }

    /// Whether it is the origin's error, and no fault of the request or of this node.
    fn is_of_origin(self) -> bool {
        match self {
            Self::Failed(failure) => failure.side() == Side::Origin,
            Self::Status(status) => status.is_server_error(),
            // Behind this node's cache a function is a part of the origin.
            Self::Function(_) => true,
        }
    }

    /// Whether RFC 5861 4 names it: no answer, or 500, 502, 503 or 504.
    fn is_named_by_rfc_5861(self) -> bool {
        match self {
            Self::Failed(_) | Self::Function(_) => true,
            Self::Status(status) => matches!(status.as_u16(), 500 | 502 | 503 | 504),
        }
    }
}

/// Decides whether a stored response with `freshness` answers a request with
/// `request`'s directives after `error`, which came of validating it.
#[must_use]
pub fn decide_stale_on_error(
    error: OriginError,
    freshness: &Freshness,
    request: &RequestDirectives,
) -> StaleOnError {
    use StaleOnError::{PassError, Serve};
    if !error.is_of_origin() {
        return PassError(StaleRefusal::NotAnError);
    }
    if freshness.is_no_cache {
        return PassError(StaleRefusal::NoCache);
    }
    let staleness = freshness.staleness();
    if freshness.is_stale_forbidden && !freshness.is_fresh() {
        return PassError(StaleRefusal::Forbidden);
    }
    if request.no_cache {
        return PassError(StaleRefusal::RequestNoCache);
    }
    // stale-if-error holds "regardless of other freshness information" (RFC 5861 4).
    let within = |window: Option<Duration>| window.is_some_and(|window| staleness <= window);
    if error.is_named_by_rfc_5861() {
        if within(freshness.stale.if_error) {
            return Serve(StaleGrant::IfError);
        }
        if within(request.stale_if_error) {
            return Serve(StaleGrant::RequestIfError);
        }
    }
    if is_too_stale(request, freshness) {
        return PassError(StaleRefusal::RequestMaxStale);
    }
    // A named window that has passed is the origin's word about how long; the
    // node's own bound is for responses that name none.
    let has_named = freshness.stale.if_error.is_some();
    let bound = freshness.stale.on_failure;
    if !has_named && !bound.is_zero() && staleness <= bound {
        Serve(StaleGrant::Disconnected)
    } else {
        PassError(StaleRefusal::WindowPassed)
    }
}

/// Whether the client named how stale a response it takes, and this is staler.
///
/// max-age and min-fresh say what the client prefers (RFC 9111 5.2.1.1, 5.2.1.3); with the origin
/// gone, a reload is better answered with what there is than with an error.
fn is_too_stale(request: &RequestDirectives, freshness: &Freshness) -> bool {
    match request.max_stale {
        Some(MaxStale::Within(limit)) => freshness.staleness() > limit,
        Some(MaxStale::Any) | None => false,
    }
}

impl StaleGrant {
    /// Every grant, for tables and tests.
    pub const ALL: [Self; 3] = [Self::IfError, Self::RequestIfError, Self::Disconnected];

    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::IfError => "stale-if-error",
            Self::RequestIfError => "request-stale-if-error",
            Self::Disconnected => "stale-on-failure",
        }
    }

    /// The rule's source.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::IfError | Self::RequestIfError => "RFC 5861 4",
            Self::Disconnected => "RFC 9111 4.2.4",
        }
    }
}

impl StaleRefusal {
    /// What is told to a client whose request came to `failure` because of this refusal: where
    /// the response itself forbids to be used stale, that is the reason, and the status is 504
    /// (RFC 9111 5.2.2.2, and 5.2.2.8 and 5.2.2.10 that refer to it).
    #[must_use]
    pub const fn explain(self, failure: Failure) -> Failure {
        match (self, failure) {
            (Self::Forbidden, Failure::Origin { fault, .. }) => Failure::Unvalidated(fault),
            (
                Self::Forbidden
                | Self::NotAnError
                | Self::NoCache
                | Self::RequestNoCache
                | Self::RequestMaxStale
                | Self::WindowPassed,
                failure,
            ) => failure,
        }
    }

    /// Every refusal, for tables and tests.
    pub const ALL: [Self; 6] = [
        Self::NotAnError,
        Self::NoCache,
        Self::Forbidden,
        Self::RequestNoCache,
        Self::RequestMaxStale,
        Self::WindowPassed,
    ];

    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotAnError => "not-an-error",
            Self::NoCache => "no-cache",
            Self::Forbidden => "stale-forbidden",
            Self::RequestNoCache => "request-no-cache",
            Self::RequestMaxStale => "request-max-stale",
            Self::WindowPassed => "stale-window-passed",
        }
    }

    /// The rule's source.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::NotAnError => "RFC 9111 4.3.3",
            Self::NoCache => "RFC 9111 5.2.2.4",
            Self::Forbidden => "RFC 9111 4.2.4",
            Self::RequestNoCache => "RFC 9111 5.2.1.4",
            Self::RequestMaxStale => "RFC 9111 5.2.1.2",
            Self::WindowPassed => "RFC 5861 4",
        }
    }
}

#[cfg(test)]
mod tests;
