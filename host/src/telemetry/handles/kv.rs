//! What a key-value store counts: operations by outcome, and how long they took.

use std::sync::Arc;
use std::time::Duration;

use verge_runtime::capabilities::KvOp;

use super::super::counters::{Histogram, LabelledCounters, ShardCount};
use super::LOOKUP_BOUNDS;

/// See the module.
#[derive(Debug)]
pub struct KvMetrics {
    name: Arc<str>,
    /// By [`KvOp::LABELS`].
    operations: [LabelledCounters<16>; KvOp::LABELS.len()],
    pub(in crate::telemetry) latency: Histogram,
}

impl KvMetrics {
    pub(in crate::telemetry) fn new(name: Arc<str>, shards: ShardCount) -> Self {
        Self {
            name,
            operations: KvOp::LABELS.map(|_| LabelledCounters::new(shards)),
            latency: Histogram::new(LOOKUP_BOUNDS, shards),
        }
    }

    /// The store's name in metrics.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts one operation.
    pub fn record(&self, operation: &str, outcome: &'static str, took: Duration) {
        let place = KvOp::LABELS.iter().position(|known| *known == operation);
        if let Some(counters) = place.and_then(|place| self.operations.get(place)) {
            counters.increment(outcome);
        }
        self.latency.observe(took);
    }

    /// Operation, outcome and number of all that were seen.
    pub(in crate::telemetry) fn operations(
        &self,
    ) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let all = KvOp::LABELS.iter().zip(&self.operations);
        all.flat_map(|(operation, counters)| {
            let outcomes = counters.all().into_iter();
            outcomes.map(|(outcome, number)| (*operation, outcome, number))
        })
    }
}
