//! The key policy of a route as the pipeline asks for it, and what was told of
//! input that reaches the origin without being a part of the key.
//!
//! Names come from clients, so they are bounded in number, in length and in how
//! often they are told; each is told once.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method};
use parking_lot::Mutex;
use verge_cache::KeyHasher;
use verge_cache::policy::KeyPolicy;

/// Most names that one route tells.
const NAMES_MAX: usize = 256;
/// Most names that one route tells in a [`TELLING`].
const NAMES_AT_ONCE: u32 = 8;
/// The time in which so many are told; the others have their turn later.
const TELLING: Duration = Duration::from_secs(1);
/// Most characters of a name that are shown.
const NAME_SHOWN: usize = 64;

/// The key policy of a route.
#[derive(Debug)]
pub struct KeyRule {
    /// What is a part of the key.
    pub policy: KeyPolicy,
    route: String,
    hasher: KeyHasher,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// By hash, so that long names cost no more than short ones.
    names: HashSet<u64>,
    since: Option<Instant>,
    lines: u32,
    is_full: bool,
}

/// What became of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telling {
    /// It is told now.
    Now,
    /// It was told, or has its turn later.
    Not,
    /// There is no room for it, which is told now.
    Full,
}

impl KeyRule {
    /// The rule of the route whose path pattern is `route`.
    #[must_use]
    pub fn new(policy: KeyPolicy, route: &str) -> Self {
        Self {
            policy,
            route: route.to_owned(),
            hasher: KeyHasher::new(),
            told: Mutex::default(),
        }
    }

    /// Tells in the log which input of a request that goes to an origin is no part of its key.
    /// Returns whether there is any.
    pub fn tell_unkeyed(&self, now: Instant, request: &UnkeyedSource<'_>) -> bool {
        let is_keyed = *request.method == Method::GET || *request.method == Method::HEAD;
        if !is_keyed || !self.policy.lets_unkeyed_pass() {
            return false;
        }
        let reduced = self.policy.reduce_query(request.query);
        for name in &reduced.dropped {
            self.tell(now, "parameter", name);
        }
        let cookies = self.policy.unkeyed_cookies(request.fields);
        for name in &cookies {
            self.tell(now, "cookie", name);
        }
        !reduced.dropped.is_empty() || !cookies.is_empty()
    }

    fn tell(&self, now: Instant, kind: &'static str, name: &str) {
        let hash = self.hasher.hash_text(name) ^ kind.len() as u64;
        let telling = self.told.lock().settle(now, hash);
        let route = &*self.route;
        match telling {
            Telling::Now => {
                let shown: String = name.chars().take(NAME_SHOWN).collect();
                let shown = shown.escape_debug();
                tracing::warn!(
                    route,
                    "the {kind} \"{shown}\" reached the origin and is no part of the cache key"
                );
            }
            Telling::Full => tracing::warn!(
                route,
                "more input reaches the origin without being a part of the cache key: \
                 no further names are told"
            ),
            Telling::Not => {}
        }
    }
}

/// What of a request the rule looks at.
#[derive(Clone, Copy, Debug)]
pub struct UnkeyedSource<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its query as the origin sees it.
    pub query: Option<&'a str>,
    /// Its fields as the origin sees them.
    pub fields: &'a HeaderMap,
}

impl Told {
    fn settle(&mut self, now: Instant, name: u64) -> Telling {
        if self.names.contains(&name) || self.is_full {
            return Telling::Not;
        }
        if self.names.len() >= NAMES_MAX {
            self.is_full = true;
            return Telling::Full;
        }
        let is_over = self
            .since
            .is_none_or(|since| now.saturating_duration_since(since) >= TELLING);
        if is_over {
            self.since = Some(now);
            self.lines = 0;
        }
        if self.lines >= NAMES_AT_ONCE {
            return Telling::Not;
        }
        self.lines += 1;
        self.names.insert(name);
        Telling::Now
    }
}

#[cfg(test)]
mod tests {
    use verge_base::Clock;

    use super::*;

    #[test]
    fn names_are_told_once_and_not_all_at_once() {
        let now = Clock::system().now();
        let mut told = Told::default();
        assert_eq!(told.settle(now, 1), Telling::Now);
        assert_eq!(told.settle(now, 1), Telling::Not);
        for name in 2..=u64::from(NAMES_AT_ONCE) {
            assert_eq!(told.settle(now, name), Telling::Now);
        }
        assert_eq!(told.settle(now, 100), Telling::Not);
        assert_eq!(told.settle(now + TELLING, 100), Telling::Now);
    }

    #[test]
    fn names_are_bounded() {
        let mut now = Clock::system().now();
        let mut told = Told::default();
        for name in 0..NAMES_MAX as u64 {
            now += TELLING;
            assert_eq!(told.settle(now, name), Telling::Now);
        }
        assert_eq!(told.settle(now + TELLING, 1_000), Telling::Full);
        assert_eq!(told.settle(now + TELLING, 1_001), Telling::Not);
        assert_eq!(told.names.len(), NAMES_MAX);
    }
}
