//! The node's metrics: what is counted for the node as a whole, and where the
//! handles of its parts are found.
//!
//! Text is made only when someone scrapes (OpenMetrics 1.0), in `text`, the
//! only file that knows the metrics' names; counting never touches it. A
//! label's values come from configuration and from enums, never from a client.

mod text;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use verge_cache::tier::{Looked, Saved, TierName};
use verge_http::Failure;
use verge_http::failure::Side;

use super::counters::{Counters, Histogram, LabelledCounters, ShardCount};
use super::handles::{
    FunctionMetrics, KvMetrics, LOOKUP_BOUNDS, ListenerMetrics, NETWORK_BOUNDS, OriginMetrics,
    REQUEST_BOUNDS, SiteMetrics,
};
use crate::pipeline::compress::CodedBytes;

use super::receipt::{FillReceipt, Receipt};
use super::registry::Registry;
use super::sample::Sample;

/// The content type of [`Metrics::encode`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The site label of requests that no site served.
const NO_SITE: &str = "-";

/// A tier of the cache, as metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheTier {
    /// This process.
    Memory,
    /// This machine.
    Disk,
    /// This region.
    L2,
}

impl CacheTier {
    const ALL: [Self; 3] = [Self::Memory, Self::Disk, Self::L2];

    const fn label(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::L2 => "l2",
        }
    }
}

/// Everything that is counted; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

/// What the node counts, and its handles.
#[derive(Debug)]
struct Inner {
    registry: Registry,
    unserved: Arc<SiteMetrics>,
    /// One set of labels for each side; in the order of `SIDES`.
    failures: [LabelledCounters<40>; SIDES.len()],
    limits: LabelledCounters<40>,
    collapsed_wait: Histogram,
    /// By [`CacheTier`].
    lookups: [Histogram; CacheTier::ALL.len()],
    fill_duration: Histogram,
    /// One for each of [`TierName::ALL`].
    tiers: [TierMetrics; TierName::ALL.len()],
    reloads: LabelledCounters<4>,
    panics: Counters<1>,
    unkeyed: Counters<1>,
    codings: LabelledCounters<24>,
    compressions: LabelledCounters<8>,
    /// Bytes of content, and what became of them.
    compressed: Counters<2>,
    generation: AtomicU64,
    reload_failed: AtomicU64,
}

/// What is counted of one tier.
#[derive(Debug)]
struct TierMetrics {
    lookups: LabelledCounters<24>,
    saves: LabelledCounters<8>,
}

const SIDES: [&str; 4] = ["client", "origin", "function", "node"];

const fn side_index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Origin => 1,
        Side::Function => 2,
        Side::Node => 3,
    }
}

impl Metrics {
    /// Metrics that `workers` threads can count without getting in each other's way.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let shards = ShardCount::for_workers(workers);
        let registry = Registry::new(shards);
        Self(Arc::new(Inner {
            unserved: registry.sites.resolve(NO_SITE),
            registry,
            failures: std::array::from_fn(|_| LabelledCounters::new(shards)),
            limits: LabelledCounters::new(shards),
            collapsed_wait: Histogram::new(NETWORK_BOUNDS, shards),
            lookups: CacheTier::ALL.map(|_| Histogram::new(LOOKUP_BOUNDS, shards)),
            fill_duration: Histogram::new(REQUEST_BOUNDS, shards),
            tiers: TierName::ALL.map(|_| TierMetrics {
                lookups: LabelledCounters::new(shards),
                saves: LabelledCounters::new(shards),
            }),
            reloads: LabelledCounters::new(shards),
            panics: Counters::new(shards),
            unkeyed: Counters::new(shards),
            codings: LabelledCounters::new(shards),
            compressions: LabelledCounters::new(shards),
            compressed: Counters::new(shards),
            generation: AtomicU64::new(0),
            reload_failed: AtomicU64::new(0),
        }))
    }

    /// The handle of the site with this configured name. Locks: for building generations.
    #[must_use]
    pub fn site(&self, name: &str) -> Arc<SiteMetrics> {
        self.0.registry.sites.resolve(name)
    }

    /// The handle of a function, over all its versions. Locks: for building generations.
    #[must_use]
    pub fn function(&self, name: &str) -> Arc<FunctionMetrics> {
        self.0.registry.functions.resolve(name)
    }

    /// The handle of a key-value store. Locks: for building generations.
    #[must_use]
    pub fn kv(&self, name: &str) -> Arc<KvMetrics> {
        self.0.registry.kv.resolve(name)
    }

    /// The handle of an origin. Locks: for building generations.
    #[must_use]
    pub fn origin(&self, name: &str) -> Arc<OriginMetrics> {
        self.0.registry.origins.resolve(name)
    }

    /// The handle of a listener. Locks: for the start of the node.
    #[must_use]
    pub fn listener(&self, name: &str) -> Arc<ListenerMetrics> {
        self.0.registry.listeners.resolve(name)
    }

    /// Counts a finished request: its site, cache outcome, status, bytes and
    /// failure. Its triggers and its exchange with an origin are counted by
    /// whoever ran them, because they may belong to a fill.
    pub fn record(&self, receipt: &Receipt) {
        let route = receipt.route.as_ref();
        let site = route.map_or(&*self.0.unserved, |route| route.site());
        site.record(receipt);
        if let Some(cache) = receipt.cache {
            if cache.collapsed {
                self.0.collapsed_wait.observe(cache.collapsed_wait);
            }
            // Without a duration the cache was not asked.
            if !cache.lookup.is_zero() {
                self.record_lookup(CacheTier::Memory, cache.lookup);
            }
        }
        if let Some(failure) = receipt.failure {
            self.record_failure(failure);
        }
    }

    /// Counts how long a tier took to say what it has for a request.
    pub fn record_lookup(&self, tier: CacheTier, took: Duration) {
        if let Some(lookups) = self.0.lookups.get(tier as usize) {
            lookups.observe(took);
        }
    }

    /// Counts a failure that belongs to no receipt, as one that ends a
    /// connection before there is a request.
    pub fn record_failure(&self, failure: Failure) {
        if let Some(failures) = self.0.failures.get(side_index(failure.side())) {
            failures.increment(failure.label());
        }
    }

    /// Counts a finished fill of `site`.
    pub fn record_fill(&self, site: &SiteMetrics, receipt: &FillReceipt) {
        site.fills.increment(receipt.outcome);
        self.0.fill_duration.observe(receipt.total);
    }

    /// Counts a tier that was asked.
    pub fn record_tier(&self, looked: &Looked) {
        if let Some(tier) = self.tier(looked.tier) {
            tier.lookups.increment(looked.outcome);
        }
        let tier = match looked.tier {
            TierName::Disk => CacheTier::Disk,
            TierName::L2 => CacheTier::L2,
        };
        self.record_lookup(tier, looked.took);
    }

    /// Counts a response that was given to a tier to be saved.
    pub fn record_tier_save(&self, tier: TierName, saved: Saved) {
        if let Some(tier) = self.tier(tier) {
            tier.saves.increment(saved.label());
        }
    }

    fn tier(&self, name: TierName) -> Option<&TierMetrics> {
        let place = TierName::ALL.iter().position(|known| *known == name)?;
        self.0.tiers.get(place)
    }

    /// Counts that the limit called `limit` was hit. Limits that are permits
    /// count their refusals themselves and come with the [`Sample`].
    pub fn record_limit(&self, limit: &'static str) {
        self.0.limits.increment(limit);
    }

    /// Counts a request that reached an origin with input that is no part of its key.
    pub fn record_unkeyed(&self) {
        self.0.unkeyed.add(0, 1);
    }

    /// Counts a response of a route that compresses: the coding that it was sent in, or why it
    /// was sent as it is.
    pub fn record_coding(&self, outcome: &'static str) {
        self.0.codings.increment(outcome);
    }

    /// Counts a coded representation that was made, or how making it ended.
    pub fn record_compression(&self, outcome: &'static str, bytes: CodedBytes) {
        self.0.compressions.increment(outcome);
        self.0.compressed.add(0, bytes.content);
        self.0.compressed.add(1, bytes.coded);
    }

    /// Counts a reload that put generation `generation` in place.
    pub fn record_reload(&self, generation: u64) {
        self.0.reloads.increment("ok");
        self.set_generation(generation);
        self.0.reload_failed.store(0, Ordering::Relaxed);
    }

    /// Counts a reload that failed and left the old generation in place.
    pub fn record_failed_reload(&self) {
        self.0.reloads.increment("failed");
        self.0.reload_failed.store(1, Ordering::Relaxed);
    }

    /// Notes the number of the generation that the node started with.
    pub fn set_generation(&self, generation: u64) {
        self.0.generation.store(generation, Ordering::Relaxed);
    }

    /// Counts a panic that was caught.
    pub fn record_panic(&self) {
        self.0.panics.add(0, 1);
    }

    /// Panics that were caught since the start.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.0.panics.sum(0)
    }

    /// All metrics as OpenMetrics text, with the levels of `sample`.
    #[must_use]
    pub fn encode(&self, sample: Sample) -> String {
        text::encode(Arc::clone(&self.0), sample)
    }
}

#[cfg(test)]
mod tests;
