//! What a site, a function, an origin or a listener counts about itself.
//!
//! A generation resolves each handle once, by name; counting on the request
//! path is then a few additions and no lookup. Handles outlive generations,
//! so that a reload does not set a counter back. Nothing here knows a
//! metric's name.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;

use super::counters::{Bounds, Counters, Histogram, LabelledCounters, ShardCount};
use verge_http::cache_status::{Forward, Outcome};

use super::receipt::{CacheReceipt, OriginReceipt, Receipt, StartClass, TriggerReceipt};

const fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// From a hit in memory to a slow origin.
pub(super) const REQUEST_BOUNDS: Bounds = &[
    us(10),
    us(25),
    us(50),
    us(100),
    us(250),
    us(500),
    ms(1),
    ms(2),
    ms(5),
    ms(10),
    ms(25),
    ms(50),
    ms(100),
    ms(250),
    ms(500),
    ms(1000),
    ms(2500),
    ms(5000),
    ms(10_000),
    ms(30_000),
    ms(60_000),
];

/// From a prepared instance to a compilation that should not have been there.
pub(super) const FUNCTION_BOUNDS: Bounds = &[
    us(1),
    us(2),
    us(5),
    us(10),
    us(15),
    us(20),
    us(30),
    us(50),
    us(100),
    us(250),
    us(500),
    ms(1),
    ms(2),
    ms(5),
    ms(10),
    ms(25),
    ms(50),
    ms(100),
    ms(250),
    ms(1000),
];

/// From a lookup in memory to a tier that answers too late.
pub(super) const LOOKUP_BOUNDS: Bounds = &[
    us(1),
    us(2),
    us(5),
    us(10),
    us(25),
    us(50),
    us(100),
    us(250),
    us(500),
    ms(1),
    ms(2),
    ms(5),
    ms(10),
    ms(20),
    ms(50),
    ms(100),
    ms(1000),
];

/// From the same rack to a timeout.
pub(super) const NETWORK_BOUNDS: Bounds = &[
    us(50),
    us(100),
    us(250),
    us(500),
    ms(1),
    ms(2),
    ms(5),
    ms(10),
    ms(25),
    ms(50),
    ms(100),
    ms(250),
    ms(500),
    ms(1000),
    ms(2500),
    ms(5000),
    ms(10_000),
    ms(30_000),
    ms(60_000),
];

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

/// What a function counts, over all its versions.
#[derive(Debug)]
pub struct FunctionMetrics {
    name: Arc<str>,
    shards: ShardCount,
    starts: [OnceLock<Histogram>; StartClass::ALL.len()],
    pub(super) cpu: Histogram,
    pub(super) outcomes: LabelledCounters<24>,
}

impl FunctionMetrics {
    pub(super) fn new(name: Arc<str>, shards: ShardCount) -> Self {
        Self {
            name,
            shards,
            starts: std::array::from_fn(|_| OnceLock::new()),
            cpu: Histogram::new(FUNCTION_BOUNDS, shards),
            outcomes: LabelledCounters::new(shards),
        }
    }

    /// The function's name in metrics and the access log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts one call. Whoever ran the trigger calls this once, whether the
    /// trigger belongs to a request or to a fill.
    pub fn record(&self, receipt: &TriggerReceipt) {
        self.outcomes.increment(receipt.outcome);
        // A call that never got an instance says nothing about starts and CPU time.
        let Some(class) = receipt.start_class else {
            return;
        };
        if let Some(slot) = self.starts.get(class as usize) {
            slot.get_or_init(|| Histogram::new(FUNCTION_BOUNDS, self.shards))
                .observe(receipt.start);
        }
        self.cpu.observe(receipt.cpu);
    }

    /// The start times of every class that was seen, with its label.
    pub(super) fn starts(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        let seen = StartClass::ALL.iter().zip(&self.starts);
        seen.filter_map(|(class, slot)| slot.get().map(|histogram| (class.label(), histogram)))
    }
}

/// What an origin counts.
#[derive(Debug)]
pub struct OriginMetrics {
    name: Arc<str>,
    pub(super) numbers: Counters<3>,
    pub(super) connect: Histogram,
    pub(super) tls: Histogram,
    pub(super) first_byte: Histogram,
    pub(super) failures: LabelledCounters<32>,
}

impl OriginMetrics {
    pub(super) const ON_NEW: usize = 0;
    pub(super) const ON_REUSED: usize = 1;
    pub(super) const RETRIES: usize = 2;

    pub(super) fn new(name: Arc<str>, shards: ShardCount) -> Self {
        Self {
            name,
            numbers: Counters::new(shards),
            connect: Histogram::new(NETWORK_BOUNDS, shards),
            tls: Histogram::new(NETWORK_BOUNDS, shards),
            first_byte: Histogram::new(NETWORK_BOUNDS, shards),
            failures: LabelledCounters::new(shards),
        }
    }

    /// The origin's name in metrics and the access log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts one exchange. Whoever asked the origin calls this once, when the
    /// response head is there or the exchange has failed.
    pub fn record(&self, receipt: &OriginReceipt) {
        let place = if receipt.reused {
            Self::ON_REUSED
        } else {
            Self::ON_NEW
        };
        self.numbers.add(place, 1);
        if receipt.retries > 0 {
            self.numbers.add(Self::RETRIES, u64::from(receipt.retries));
        }
        let phases = [
            (&self.connect, receipt.connect),
            (&self.tls, receipt.tls),
            (&self.first_byte, receipt.first_byte),
        ];
        for (histogram, phase) in phases {
            if let Some(duration) = phase {
                histogram.observe(duration);
            }
        }
        if let Some(failure) = receipt.failure {
            self.failures.increment(failure.label());
        }
    }

    /// Counts a failure that came after the response head, in the body.
    pub fn record_late_failure(&self, label: &'static str) {
        self.failures.increment(label);
    }
}

/// What a listener counts.
#[derive(Debug)]
pub struct ListenerMetrics {
    name: Arc<str>,
    pub(super) numbers: Counters<2>,
    pub(super) handshakes: Histogram,
    pub(super) resumptions: Histogram,
    pub(super) ends: LabelledCounters<64>,
}

impl ListenerMetrics {
    const OPENED: usize = 0;
    const CLOSED: usize = 1;

    pub(super) fn new(name: Arc<str>, shards: ShardCount) -> Self {
        Self {
            name,
            numbers: Counters::new(shards),
            handshakes: Histogram::new(NETWORK_BOUNDS, shards),
            resumptions: Histogram::new(NETWORK_BOUNDS, shards),
            ends: LabelledCounters::new(shards),
        }
    }

    /// The listener's name, as `http`, `https`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts a new connection, open until [`ListenerMetrics::record_closed`].
    pub fn record_opened(&self) {
        self.numbers.add(Self::OPENED, 1);
    }

    /// Counts the end of a connection.
    pub fn record_closed(&self) {
        self.numbers.add(Self::CLOSED, 1);
    }

    /// Counts a completed TLS handshake.
    pub fn record_handshake(&self, duration: Duration, resumed: bool) {
        let histogram = if resumed {
            &self.resumptions
        } else {
            &self.handshakes
        };
        histogram.observe(duration);
    }

    /// Counts why a connection ended, other than by the client's closing it:
    /// the word of a failure, of a limit, or of an error that the protocol
    /// library answered by itself.
    pub fn record_end(&self, reason: &'static str) {
        self.ends.increment(reason);
    }

    /// Connections accepted since the start.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.numbers.sum(Self::OPENED)
    }

    /// Connections open now.
    #[must_use]
    pub fn open_now(&self) -> u64 {
        // The closed ones are read first: whatever closed had opened before.
        let closed = self.numbers.sum(Self::CLOSED);
        self.opened().saturating_sub(closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_is_open_until_it_is_closed() {
        let listener = ListenerMetrics::new("https".into(), ShardCount::for_workers(2));
        listener.record_opened();
        listener.record_opened();
        listener.record_closed();
        assert_eq!((listener.opened(), listener.open_now()), (2, 1));
        listener.record_closed();
        assert_eq!((listener.opened(), listener.open_now()), (2, 0));
    }

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
