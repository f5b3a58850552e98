//! Whether a stored response answers a request without validation (RFC 9111 4, 4.2.4, 5.2.1).

use std::time::Duration;

use verge_http::cache_control::{MaxStale, RequestDirectives};
use verge_http::cache_status::Forward;

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
}

/// Whether a stored response answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reuse {
    /// It does.
    Fresh,
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
        return decide_min_fresh(request, freshness, Reuse::Fresh);
    }
    if request.max_age.is_some_and(|limit| freshness.age > limit) {
        return Reuse::Validate(RequestMaxAge);
    }
    if is_fresh {
        return decide_min_fresh(request, freshness, Reuse::Fresh);
    }
    if freshness.is_stale_forbidden {
        return Reuse::Validate(Stale);
    }
    let staleness = freshness.age.saturating_sub(freshness.lifetime);
    let is_accepted = match request.max_stale {
        Some(MaxStale::Any) => true,
        Some(MaxStale::Within(limit)) => staleness <= limit,
        None => false,
    };
    if !is_accepted {
        return Reuse::Validate(Stale);
    }
    match request.min_fresh {
        // What is stale already cannot stay fresh for a while.
        Some(span) if !span.is_zero() => Reuse::Validate(RequestMinFresh),
        _ => Reuse::StaleAccepted,
    }
}

fn decide_min_fresh(request: &RequestDirectives, freshness: &Freshness, otherwise: Reuse) -> Reuse {
    let remaining = freshness.lifetime.saturating_sub(freshness.age);
    match request.min_fresh {
        Some(span) if span > remaining => Reuse::Validate(ValidateReason::RequestMinFresh),
        _ => otherwise,
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
mod tests {
    use super::*;

    fn freshness(age: u64, lifetime: u64) -> Freshness {
        Freshness {
            age: Duration::from_secs(age),
            lifetime: Duration::from_secs(lifetime),
            is_no_cache: false,
            is_stale_forbidden: false,
            is_immutable: false,
        }
    }

    fn seconds_of(n: u64) -> Option<Duration> {
        Some(Duration::from_secs(n))
    }

    #[test]
    fn reuse_follows_age_and_directives() {
        use Reuse::{Fresh, StaleAccepted, Validate};
        use ValidateReason::{NoCache, RequestMaxAge, RequestMinFresh, RequestNoCache, Stale};
        let none = RequestDirectives::default;
        let within = |n| Some(MaxStale::Within(Duration::from_secs(n)));
        let no_cache = Freshness {
            is_no_cache: true,
            ..freshness(0, 10)
        };
        let strict = Freshness {
            is_stale_forbidden: true,
            ..freshness(20, 10)
        };
        let immutable = Freshness {
            is_immutable: true,
            ..freshness(5, 10)
        };
        let stale_immutable = Freshness {
            is_immutable: true,
            ..freshness(15, 10)
        };
        let rows: Vec<(&str, RequestDirectives, Freshness, Reuse)> = vec![
            ("9111 4.2: fresh", none(), freshness(9, 10), Fresh),
            (
                "9111 4.2: age equal to lifetime is stale",
                none(),
                freshness(10, 10),
                Validate(Stale),
            ),
            (
                "9111 4.2: lifetime 0",
                none(),
                freshness(0, 0),
                Validate(Stale),
            ),
            (
                "9111 5.2.1.1: max-age satisfied",
                RequestDirectives {
                    max_age: seconds_of(5),
                    ..none()
                },
                freshness(5, 10),
                Fresh,
            ),
            (
                "9111 5.2.1.1: max-age passed",
                RequestDirectives {
                    max_age: seconds_of(5),
                    ..none()
                },
                freshness(6, 10),
                Validate(RequestMaxAge),
            ),
            (
                "9111 5.2.1.1: max-age=0",
                RequestDirectives {
                    max_age: seconds_of(0),
                    ..none()
                },
                freshness(1, 10),
                Validate(RequestMaxAge),
            ),
            (
                "9111 5.2.1.2: max-stale any",
                RequestDirectives {
                    max_stale: Some(MaxStale::Any),
                    ..none()
                },
                freshness(99, 10),
                StaleAccepted,
            ),
            (
                "9111 5.2.1.2: max-stale within",
                RequestDirectives {
                    max_stale: within(5),
                    ..none()
                },
                freshness(15, 10),
                StaleAccepted,
            ),
            (
                "9111 5.2.1.2: max-stale passed",
                RequestDirectives {
                    max_stale: within(5),
                    ..none()
                },
                freshness(16, 10),
                Validate(Stale),
            ),
            (
                "9111 5.2.2.2: must-revalidate beats max-stale",
                RequestDirectives {
                    max_stale: Some(MaxStale::Any),
                    ..none()
                },
                strict,
                Validate(Stale),
            ),
            (
                "9111 5.2.1.3: min-fresh satisfied",
                RequestDirectives {
                    min_fresh: seconds_of(5),
                    ..none()
                },
                freshness(5, 10),
                Fresh,
            ),
            (
                "9111 5.2.1.3: min-fresh not satisfied",
                RequestDirectives {
                    min_fresh: seconds_of(6),
                    ..none()
                },
                freshness(5, 10),
                Validate(RequestMinFresh),
            ),
            (
                "9111 5.2.1.3: min-fresh beats max-stale",
                RequestDirectives {
                    min_fresh: seconds_of(1),
                    max_stale: Some(MaxStale::Any),
                    ..none()
                },
                freshness(15, 10),
                Validate(RequestMinFresh),
            ),
            (
                "9111 5.2.1.4: no-cache",
                RequestDirectives {
                    no_cache: true,
                    ..none()
                },
                freshness(0, 10),
                Validate(RequestNoCache),
            ),
            (
                "9111 5.2.2.4: no-cache of the response",
                none(),
                no_cache,
                Validate(NoCache),
            ),
            (
                "9111 5.2.2.4: beats max-stale",
                RequestDirectives {
                    max_stale: Some(MaxStale::Any),
                    ..none()
                },
                no_cache,
                Validate(NoCache),
            ),
            (
                "8246 2.1: reload of an immutable response",
                RequestDirectives {
                    max_age: seconds_of(0),
                    ..none()
                },
                immutable,
                Fresh,
            ),
            (
                "8246 2.1: forced reload",
                RequestDirectives {
                    no_cache: true,
                    ..none()
                },
                immutable,
                Validate(RequestNoCache),
            ),
            (
                "8246 2: no longer fresh",
                RequestDirectives {
                    max_age: seconds_of(20),
                    ..none()
                },
                stale_immutable,
                Validate(Stale),
            ),
        ];
        for (name, request, freshness, expected) in rows {
            assert_eq!(decide_reuse(&request, &freshness), expected, "{name}");
        }
    }

    #[test]
    fn ttl_is_negative_once_stale_and_never_overflows() {
        assert_eq!(freshness(3, 10).ttl(), 7);
        assert_eq!(freshness(13, 10).ttl(), -3);
        assert_eq!(freshness(u64::MAX, 0).ttl(), -i64::MAX);
    }
}
