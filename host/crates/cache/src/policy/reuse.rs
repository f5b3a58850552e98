//! Whether a stored response answers a request without validation (RFC 9111 4, 4.2.4, 5.2.1).

use std::time::Duration;

use verge_http::cache_control::{MaxStale, RequestDirectives};
use verge_http::cache_status::Forward;

use super::stale::StaleWindows;

/// How fresh a stored response is at one moment, and what it forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// current_age (RFC 9111 4.2.3).
    pub age: Duration,
    /// freshness_lifetime (RFC 9111 4.2.1).
    pub lifetime: Duration,
    /// no-cache without field names: never reused without validation (RFC 9111 5.2.2.4).
    pub is_no_cache: bool,
    /// must-revalidate, proxy-revalidate or s-maxage: never reused stale
    /// (RFC 9111 5.2.2.2, 5.2.2.8, 5.2.2.10).
    pub is_stale_forbidden: bool,
    /// It does not change while it is fresh (RFC 8246).
    pub is_immutable: bool,
    /// For how long it may answer stale.
    pub stale: StaleWindows,
    /// The age from which it is validated ahead of need, while it is fresh; `None` for never.
    pub refresh_at: Option<Duration>,
}

/// Whether a stored response answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reuse {
    /// It does.
    Fresh,
    /// It does, and is validated in the background: little of its freshness is left.
    RefreshAhead,
    /// It does although it is stale, and is validated in the background (RFC 5861 3).
    StaleWhileRevalidate,
    /// It does although it is stale: the request's max-stale takes it (RFC 9111 5.2.1.2).
    StaleAccepted,
    /// Only after the origin has been asked.
    Validate(ValidateReason),
}

/// Why the origin has to be asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValidateReason {
    /// The response is stale (RFC 9111 4.2).
    Stale,
    /// The response said no-cache (RFC 9111 5.2.2.4).
    NoCache,
    /// The request said no-cache (RFC 9111 5.2.1.4).
    RequestNoCache,
    /// The response is older than the request's max-age (RFC 9111 5.2.1.1).
    RequestMaxAge,
    /// The response will not stay fresh for as long as min-fresh asks (RFC 9111 5.2.1.3).
    RequestMinFresh,
}

impl Freshness {
    /// Whether it is fresh (RFC 9111 4.2).
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.lifetime > self.age
    }

    /// For how long it has been stale.
    #[must_use]
    pub fn staleness(&self) -> Duration {
        self.age.saturating_sub(self.lifetime)
    }

    /// Seconds of freshness that remain, negative once it is stale (RFC 9211 2.4).
    #[must_use]
    pub fn ttl(&self) -> i64 {
        seconds(self.lifetime).saturating_sub(seconds(self.age))
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Decides whether a stored response with `freshness` answers a request with `request`'s directives.
///
/// only-if-cached is for the caller: it turns [`Reuse::Validate`] into 504 (RFC 9111 5.2.1.7).
#[must_use]
pub fn decide_reuse(request: &RequestDirectives, freshness: &Freshness) -> Reuse {
    use ValidateReason::{NoCache, RequestMaxAge, RequestMinFresh, RequestNoCache, Stale};
    if request.no_cache {
        return Reuse::Validate(RequestNoCache);
    }
    if freshness.is_no_cache {
        return Reuse::Validate(NoCache);
    }
    let is_fresh = freshness.is_fresh();
    // An immutable response is not validated for a reload while it is fresh,
    // unless the client insists by no-cache (RFC 8246 2.1).
    if is_fresh && freshness.is_immutable {
        return decide_min_fresh(request, freshness);
    }
    if request.max_age.is_some_and(|limit| freshness.age > limit) {
        return Reuse::Validate(RequestMaxAge);
    }
    if is_fresh {
        return decide_min_fresh(request, freshness);
    }
    if freshness.is_stale_forbidden {
        return Reuse::Validate(Stale);
    }
    let staleness = freshness.staleness();
    let is_in_window = freshness
        .stale
        .while_revalidate
        .is_some_and(|window| staleness <= window);
    let accepted = match request.max_stale {
        // A client that names how stale it takes gets nothing staler (RFC 9111 5.2.1.2).
        Some(MaxStale::Within(limit)) if staleness > limit => None,
        // The validation's answer would be stored for a request that forbids it.
        _ if is_in_window && !request.no_store => Some(Reuse::StaleWhileRevalidate),
        Some(_) => Some(Reuse::StaleAccepted),
        None => None,
    };
    let Some(accepted) = accepted else {
        return Reuse::Validate(Stale);
    };
    match request.min_fresh {
        // What is stale already cannot stay fresh for a while, nor is it fresh now; max-stale
        // takes it as it is.
        Some(span)
            if freshness.age.saturating_add(span) > freshness.lifetime
                && (!span.is_zero() || request.max_stale.is_none()) =>
        {
            Reuse::Validate(RequestMinFresh)
        }
        _ => accepted,
    }
}

fn decide_min_fresh(request: &RequestDirectives, freshness: &Freshness) -> Reuse {
    let remaining = freshness.lifetime.saturating_sub(freshness.age);
    match request.min_fresh {
        Some(span) if span > remaining => Reuse::Validate(ValidateReason::RequestMinFresh),
        _ if request.no_store => Reuse::Fresh,
        _ if freshness.refresh_at.is_some_and(|at| freshness.age >= at) => Reuse::RefreshAhead,
        _ => Reuse::Fresh,
    }
}

impl Reuse {
    /// Whether the response answers now without anything that the client must have asked for:
    /// what one request was answered with may answer another.
    #[must_use]
    pub const fn is_sharable(self) -> bool {
        match self {
            Self::Fresh | Self::RefreshAhead | Self::StaleWhileRevalidate => true,
            Self::StaleAccepted | Self::Validate(_) => false,
        }
    }

    /// The word for Cache-Status (RFC 9211 2.2) if it is validated first all the same.
    #[must_use]
    pub const fn forward(self) -> Forward {
        match self {
            Self::Fresh | Self::RefreshAhead | Self::StaleWhileRevalidate | Self::StaleAccepted => {
                Forward::Stale
            }
            Self::Validate(reason) => reason.forward(),
        }
    }

    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::RefreshAhead => "refresh-ahead",
            Self::StaleWhileRevalidate => "stale-while-revalidate",
            Self::StaleAccepted => "max-stale",
            Self::Validate(reason) => reason.label(),
        }
    }

    /// The rule's source.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::Fresh | Self::RefreshAhead => "RFC 9111 4.2",
            Self::StaleWhileRevalidate => "RFC 5861 3",
            Self::StaleAccepted => "RFC 9111 5.2.1.2",
            Self::Validate(reason) => reason.section(),
        }
    }
}

impl ValidateReason {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 5] = [
        Self::Stale,
        Self::NoCache,
        Self::RequestNoCache,
        Self::RequestMaxAge,
        Self::RequestMinFresh,
    ];

    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::NoCache => "no-cache",
            Self::RequestNoCache => "request-no-cache",
            Self::RequestMaxAge => "request-max-age",
            Self::RequestMinFresh => "request-min-fresh",
        }
    }

    /// The rule's source.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::Stale => "RFC 9111 4.2",
            Self::NoCache => "RFC 9111 5.2.2.4",
            Self::RequestNoCache => "RFC 9111 5.2.1.4",
            Self::RequestMaxAge => "RFC 9111 5.2.1.1",
            Self::RequestMinFresh => "RFC 9111 5.2.1.3",
        }
    }

    /// The word for Cache-Status (RFC 9211 2.2): `request` where only the
    /// request's directives stood in the way.
    #[must_use]
    pub const fn forward(self) -> Forward {
        match self {
            Self::Stale | Self::NoCache => Forward::Stale,
            Self::RequestNoCache | Self::RequestMaxAge | Self::RequestMinFresh => Forward::Request,
        }
    }
}

#[cfg(test)]
mod tests;
