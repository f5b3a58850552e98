//! For how long a response is fresh (RFC 9111 4.2): what its origin names,
//! else what its route says, else a heuristic. Whether it is stored at all is
//! decided elsewhere.

use std::time::{Duration, SystemTime};

use http::header;
use verge_http::cache_control::ResponseDirectives;
use verge_http::date::{self, FieldDate};
use verge_http::status;

use super::reasons::LifetimeSource;
use super::route::OriginDirectives;
use super::storage::StorageFacts;

/// The lifetime before the route bounds it, and where it comes from.
pub(super) fn freshness_lifetime(
    facts: &StorageFacts<'_>,
    directives: &ResponseDirectives,
    is_targeted: bool,
    sets_cookie: bool,
) -> (Duration, LifetimeSource) {
    let route = facts.route;
    let is_cacheable = directives.public || status::is_heuristically_cacheable(facts.status);
    let explicit = match route.origin_directives {
        OriginDirectives::Ignore | OriginDirectives::IgnoreAll => None,
        OriginDirectives::Follow | OriginDirectives::Override => {
            explicit_lifetime(facts, directives, is_targeted)
        }
    };
    let follows = route.origin_directives != OriginDirectives::Override;
    if let Some(explicit) = explicit
        && (follows || sets_cookie)
    {
        return explicit;
    }
    if sets_cookie {
        return (Duration::ZERO, LifetimeSource::Nowhere);
    }
    if let Some(lifetime) = route.statuses.of(facts.status) {
        return (lifetime, LifetimeSource::RouteStatus);
    }
    if !route.default_ttl.is_zero() && (is_cacheable || explicit.is_some()) {
        return (route.default_ttl, LifetimeSource::Route);
    }
    if let Some(explicit) = explicit {
        return explicit;
    }
    match heuristic_lifetime(facts) {
        Some(lifetime) if is_cacheable => (lifetime, LifetimeSource::Heuristic),
        _ => (Duration::ZERO, LifetimeSource::Nowhere),
    }
}

/// The first that is given of s-maxage, max-age, Expires (RFC 9111 4.2.1); a
/// targeted field takes the place of Expires, too (RFC 9213 2.2).
fn explicit_lifetime(
    facts: &StorageFacts<'_>,
    directives: &ResponseDirectives,
    is_targeted: bool,
) -> Option<(Duration, LifetimeSource)> {
    if let Some(lifetime) = directives.s_maxage {
        return Some((lifetime, LifetimeSource::SMaxage));
    }
    if let Some(lifetime) = directives.max_age {
        return Some((lifetime, LifetimeSource::MaxAge));
    }
    if is_targeted {
        return None;
    }
    match date::first_field_date(facts.fields, &header::EXPIRES, facts.received_wall) {
        FieldDate::At(expires) => {
            let lifetime = expires.duration_since(date_of(facts)).unwrap_or_default();
            Some((lifetime, LifetimeSource::Expires))
        }
        // An invalid Expires, "0" above all, means already expired (RFC 9111 5.3).
        FieldDate::Invalid => Some((Duration::ZERO, LifetimeSource::Expires)),
        FieldDate::Absent => None,
    }
}

/// A tenth of the time for which the response had not been modified when it
/// was made (RFC 9111 4.2.2); none if it does not say.
fn heuristic_lifetime(facts: &StorageFacts<'_>) -> Option<Duration> {
    const SHARE: u32 = 10;
    let most = facts.route.heuristic_max;
    let modified = date::field_date(facts.fields, &header::LAST_MODIFIED, facts.received_wall);
    let unmodified = date_of(facts).duration_since(modified.valid()?).ok()?;
    let lifetime = (unmodified / SHARE).min(most);
    (!lifetime.is_zero()).then_some(lifetime)
}

/// Date, or when the response was received if it has no valid one (RFC 9110 6.6.1).
fn date_of(facts: &StorageFacts<'_>) -> SystemTime {
    let date = date::field_date(facts.fields, &header::DATE, facts.received_wall);
    date.valid().unwrap_or(facts.received_wall)
}
