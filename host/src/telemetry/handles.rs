//! What a site, a function, an origin or a listener counts about itself.
//!
//! A generation resolves each handle once, by name; counting on the request
//! path is then a few additions and no lookup. Handles outlive generations,
//! so that a reload does not set a counter back. Nothing here knows a
//! metric's name.

mod bounds;
mod function;
mod guest;
mod kv;
mod listener;
mod origin;
mod version;

use std::sync::{Arc, OnceLock};

use http::StatusCode;

use super::counters::{Counters, Histogram, LabelledCounters, ShardCount};
use verge_http::cache_status::{Forward, Outcome};

use super::receipt::{CacheReceipt, Receipt};
pub(super) use bounds::{FUNCTION_BOUNDS, LOOKUP_BOUNDS, NETWORK_BOUNDS, REQUEST_BOUNDS};
pub use function::{FunctionMetrics, RatesBy};
pub use guest::GuestMetrics;
pub use kv::KvMetrics;
pub use listener::ListenerMetrics;
pub use origin::OriginMetrics;
pub use version::VersionMetrics;

/// Classes of status codes (RFC 9110 15); the last is for requests that got no head.
pub(super) const STATUS_CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];

fn status_class(status: Option<StatusCode>) -> usize {
    match status.map(|status| status.as_u16() / 100) {
        Some(1) => 0,
        Some(2) => 1,
        Some(3) => 2,
        Some(4) => 3,
        Some(5) => 4,
        Some(_) | None => 5,
    }
}

/// What the cache did for a request, in the words of a hit ratio.
pub(super) const CACHE_RESULTS: [&str; 5] = ["hit", "collapsed", "validated", "miss", "bypass"];

/// The place in [`CACHE_RESULTS`]: who asked the origin for nothing but a 304,
/// or followed another request, cost the origin no content.
fn cache_result(cache: &CacheReceipt) -> usize {
    match cache.outcome {
        Outcome::Hit => 0,
        _ if cache.collapsed => 1,
        Outcome::Forward(Forward::Bypass | Forward::Method) => 4,
        Outcome::Forward(_) if cache.forward_status == Some(StatusCode::NOT_MODIFIED) => 2,
        Outcome::Forward(_) => 3,
    }
}

/// What a site counts. Its name is the configured one, never what a client sent.
#[derive(Debug)]
pub struct SiteMetrics {
    name: Arc<str>,
    shards: ShardCount,
    /// By status class, then the three of `ABORTED` and on.
    pub(super) numbers: Counters<9>,
    /// By [`CACHE_RESULTS`]: requests, then bytes of responses.
    pub(super) cached: Counters<{ 2 * CACHE_RESULTS.len() }>,
    /// Finished fills by outcome.
    pub(super) fills: LabelledCounters<48>,
    /// By cache outcome; the last is for requests that did not ask the cache.
    /// Most sites see few outcomes, so each is built when it is first seen.
    durations: [OnceLock<Histogram>; Outcome::ALL.len() + 1],
}

impl SiteMetrics {
    pub(super) const ABORTED: usize = 6;
    pub(super) const RECEIVED_BYTES: usize = 7;
    pub(super) const SENT_BYTES: usize = 8;
    /// The cache label of requests that did not ask the cache.
    const NO_CACHE: &str = "none";

    pub(super) fn new(name: Arc<str>, shards: ShardCount) -> Self {
        Self {
            name,
            shards,
            numbers: Counters::new(shards),
            cached: Counters::new(shards),
            fills: LabelledCounters::new(shards),
            durations: std::array::from_fn(|_| OnceLock::new()),
        }
    }

    /// The site's name in metrics and the access log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn record(&self, receipt: &Receipt) {
        self.numbers.add(status_class(receipt.status), 1);
        self.numbers
            .add(Self::RECEIVED_BYTES, receipt.received_bytes);
        self.numbers.add(Self::SENT_BYTES, receipt.sent_bytes);
        if receipt.aborted {
            self.numbers.add(Self::ABORTED, 1);
        }
        if let Some(cache) = receipt.cache {
            let result = cache_result(&cache);
            self.cached.add(result, 1);
            self.cached
                .add(result + CACHE_RESULTS.len(), receipt.sent_bytes);
        }
        let outcome = receipt.cache.map(|cache| cache.outcome);
        let index = outcome.map_or(Outcome::ALL.len(), |outcome| outcome.index());
        if let Some(slot) = self.durations.get(index) {
            slot.get_or_init(|| Histogram::new(REQUEST_BOUNDS, self.shards))
                .observe(receipt.total);
        }
    }

    /// The durations of every cache outcome that was seen, with its label.
    pub(super) fn durations(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        let labels = Outcome::ALL.iter().map(|outcome| outcome.label());
        let labels = labels.chain([Self::NO_CACHE]);
        let seen = labels.zip(&self.durations);
        seen.filter_map(|(label, slot)| slot.get().map(|histogram| (label, histogram)))
    }
}

/// A site together with one of its routes: what a receipt needs to name where
/// a request went. Built once for each route of a generation.
#[derive(Debug)]
pub struct RouteLabel {
    site: Arc<SiteMetrics>,
    route: Option<Box<str>>,
}

impl RouteLabel {
    /// The route with the pattern `route`, or the site alone when none of its routes matched.
    #[must_use]
    pub fn new(site: Arc<SiteMetrics>, route: Option<&str>) -> Self {
        Self {
            site,
            route: route.map(Into::into),
        }
    }

    /// The site.
    #[must_use]
    pub fn site(&self) -> &SiteMetrics {
        &self.site
    }

    /// The route's pattern as configured.
    #[must_use]
    pub fn route(&self) -> Option<&str> {
        self.route.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::super::receipt::StartClass;
    use super::*;

    #[test]
    fn status_classes_are_those_of_rfc_9110_section_15() {
        for (code, class) in [
            (103, "1xx"),
            (200, "2xx"),
            (304, "3xx"),
            (421, "4xx"),
            (599, "5xx"),
        ] {
            let status = StatusCode::from_u16(code).unwrap();
            assert_eq!(STATUS_CLASSES[status_class(Some(status))], class);
        }
        assert_eq!(STATUS_CLASSES[status_class(None)], "none");
    }

    #[test]
    fn cache_outcomes_index_their_own_labels() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome.index(), index);
        }
        for (index, class) in StartClass::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, index);
        }
    }
}
