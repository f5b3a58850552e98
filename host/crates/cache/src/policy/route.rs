//! What a route says about storing, made once for each generation.
//!
//! The default is RFC 9111 and nothing else: every field that differs from it
//! is an operator's decision.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderMap, HeaderName};

use super::key::cookies;

/// The longest heuristic freshness lifetime unless a route says otherwise.
pub const HEURISTIC_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How stale a response may answer when its origin fails, unless a route says otherwise.
pub const STALE_ON_FAILURE: Duration = Duration::from_secs(60 * 60);

/// What a route says about storing and reusing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutePolicy {
    /// The configured name of the site, by which its responses are purged.
    pub site: Option<Arc<str>>,
    /// The freshness lifetime of responses that name none and whose status is
    /// heuristically cacheable (RFC 9111 4.2.2), in place of a heuristic one;
    /// zero for none.
    pub default_ttl: Duration,
    /// The longest freshness lifetime, whoever named it; none for no limit.
    pub max_ttl: Option<Duration>,
    /// The longest heuristic freshness lifetime (RFC 9111 4.2.2); zero for no heuristic.
    pub heuristic_max: Duration,
    /// Freshness lifetimes by status for responses that name none.
    pub statuses: StatusTtls,
    /// By how many percent at most a lifetime is shortened at random.
    pub jitter: u8,
    /// The last so many percent of a lifetime, in which a hit asks for a new
    /// response in the background.
    pub refresh_ahead: u8,
    /// For responses that name no stale-while-revalidate (RFC 5861 3).
    pub stale_while_revalidate: Option<Duration>,
    /// For responses that name no stale-if-error (RFC 5861 4).
    pub stale_if_error: Option<Duration>,
    /// How stale a response may answer when its origin fails and nobody said anything about
    /// it (RFC 9111 4.2.4); zero for not at all.
    pub stale_on_failure: Duration,
    /// What becomes of the origin's directives.
    pub origin_directives: OriginDirectives,
    /// What becomes of responses with Set-Cookie.
    pub set_cookie: SetCookie,
    /// Targeted fields in order, the most specific first (RFC 9213 2.2).
    pub targets: Vec<HeaderName>,
    /// Whether clients get the targeted fields.
    pub passes_targeted_fields: bool,
    /// Whether clients get Surrogate-Key and Cache-Tag.
    pub passes_surrogate_keys: bool,
    /// Requests that go past the cache.
    pub bypass: Vec<BypassRule>,
}

/// Freshness lifetimes by status; the first that fits counts, so exact ones
/// come before classes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusTtls(Vec<(StatusMatch, Duration)>);

/// The statuses that a lifetime is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatusMatch {
    /// One status.
    Exact(u16),
    /// All with this first digit.
    Class(u8),
}

/// What becomes of the origin's directives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OriginDirectives {
    /// They are followed.
    #[default]
    Follow,
    /// They are followed, but for the lifetime: that is the route's.
    Override,
    /// They are not looked at, apart from no-store and private.
    Ignore,
    /// They are not looked at, whatever they are.
    IgnoreAll,
}

/// What becomes of responses with Set-Cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SetCookie {
    /// They are stored where they are explicitly fresh (RFC 9111 7.3).
    #[default]
    Store,
    /// They are never stored with that field.
    Refuse,
}

/// Requests that go past the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BypassRule {
    /// Those with this field.
    Field(HeaderName),
    /// Those with a cookie of this name.
    Cookie(String),
}

impl Default for RoutePolicy {
    fn default() -> Self {
        Self {
            site: None,
            default_ttl: Duration::ZERO,
            max_ttl: None,
            heuristic_max: HEURISTIC_MAX,
            statuses: StatusTtls::default(),
            jitter: 0,
            refresh_ahead: 0,
            stale_while_revalidate: None,
            stale_if_error: None,
            stale_on_failure: STALE_ON_FAILURE,
            origin_directives: OriginDirectives::default(),
            set_cookie: SetCookie::default(),
            targets: vec![
                verge_http::targeted::VERGE_CDN_CACHE_CONTROL.clone(),
                verge_http::targeted::CDN_CACHE_CONTROL.clone(),
            ],
            passes_targeted_fields: true,
            passes_surrogate_keys: false,
            bypass: Vec::new(),
        }
    }
}

impl RoutePolicy {
    /// `lifetime` as this route limits and shortens it; `roll` is a random
    /// number of the whole range.
    #[must_use]
    pub fn bounded(&self, lifetime: Duration, roll: u32) -> Duration {
        let lifetime = self.max_ttl.map_or(lifetime, |max| lifetime.min(max));
        if self.jitter == 0 {
            return lifetime;
        }
        // Only ever shorter: whoever named the lifetime meant it as the longest.
        let share = f64::from(self.jitter.min(100)) / 100.0 * f64::from(roll) / f64::from(u32::MAX);
        lifetime.mul_f64(1.0 - share)
    }

    /// The rule by which a request goes past the cache, if there is one.
    #[must_use]
    pub fn bypass_rule(&self, request: &HeaderMap) -> Option<&BypassRule> {
        self.bypass.iter().find(|rule| rule.is_met(request))
    }

    /// Removes from a response what clients do not get.
    pub fn remove_internal_fields(&self, response: &mut HeaderMap) {
        if !self.passes_surrogate_keys {
            verge_http::surrogate::remove_keys(response);
        }
        if !self.passes_targeted_fields {
            for name in &self.targets {
                response.remove(name);
            }
        }
    }
}

impl StatusTtls {
    /// From lifetimes in any order.
    #[must_use]
    pub fn new(ttls: impl IntoIterator<Item = (StatusMatch, Duration)>) -> Self {
        let mut ttls: Vec<_> = ttls.into_iter().collect();
        ttls.sort_by_key(|(status, _)| *status);
        Self(ttls)
    }

    /// The lifetime for a status.
    #[must_use]
    pub fn of(&self, status: StatusCode) -> Option<Duration> {
        let found = self.0.iter().find(|(known, _)| known.is(status));
        found.map(|(_, ttl)| *ttl)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl StatusMatch {
    fn is(self, status: StatusCode) -> bool {
        match self {
            Self::Exact(code) => code == status.as_u16(),
            Self::Class(digit) => u16::from(digit) == status.as_u16() / 100,
        }
    }
}

impl BypassRule {
    fn is_met(&self, request: &HeaderMap) -> bool {
        match self {
            Self::Field(name) => request.contains_key(name),
            Self::Cookie(name) => cookies::is_sent(name, request),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(fields: &[(&str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&str, &str)| {
            let name: HeaderName = name.parse().expect("a name");
            (name, value.parse().expect("a value"))
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn exact_statuses_come_before_classes() {
        let seconds = Duration::from_secs;
        let ttls = StatusTtls::new([
            (StatusMatch::Class(4), seconds(1)),
            (StatusMatch::Exact(404), seconds(10)),
        ]);
        let of = |code| ttls.of(StatusCode::from_u16(code).expect("a status"));
        assert_eq!(of(404), Some(seconds(10)));
        assert_eq!(of(410), Some(seconds(1)));
        assert_eq!(of(500), None);
    }

    #[test]
    fn bypass_rules_look_at_fields_and_cookies() {
        let policy = RoutePolicy {
            bypass: vec![
                BypassRule::Field(HeaderName::from_static("x-preview")),
                BypassRule::Cookie("session".to_owned()),
            ],
            ..RoutePolicy::default()
        };
        let met = |fields: &[(&str, &str)]| policy.bypass_rule(&request(fields)).is_some();
        assert!(met(&[("x-preview", "")]));
        assert!(met(&[("cookie", "a=1; session=x")]));
        assert!(met(&[("cookie", "a=1"), ("cookie", "session=")]));
        // What is the cookie of this name for the key is so here, too.
        assert!(met(&[("cookie", "a=1; session\t =x")]));
        assert!(!met(&[(
            "cookie",
            "a=session=; sessions=1; Session=1; session"
        )]));
        assert!(!met(&[]));
    }

    proptest! {
        #[test]
        fn bounds_only_shorten(seconds in 0_u64..1 << 31, max in 0_u64..1 << 31,
                               jitter in 0_u8..=100, roll in any::<u32>()) {
            let lifetime = Duration::from_secs(seconds);
            let policy = RoutePolicy {
                max_ttl: Some(Duration::from_secs(max)),
                jitter,
                ..RoutePolicy::default()
            };
            let bounded = policy.bounded(lifetime, roll);
            prop_assert!(bounded <= lifetime.min(Duration::from_secs(max)));
            let least = lifetime.as_secs().min(max) * u64::from(100 - jitter) / 100;
            prop_assert!(bounded.as_secs() + 1 >= least);
        }
    }
}
