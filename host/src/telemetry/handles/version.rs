//! What one version of a function counts.

use super::super::counters::{Counters, ShardCount};
use super::super::receipt::FunctionDigest;

/// The calls of one version. A function has those of its last few versions.
#[derive(Debug)]
pub struct VersionMetrics {
    pub(in crate::telemetry) digest: FunctionDigest,
    /// By [`OUTCOMES`](Self::OUTCOMES).
    calls: Counters<2>,
}

impl VersionMetrics {
    /// Most versions of a function that are counted apart.
    pub(super) const MOST: usize = 8;

    const OUTCOMES: [&str; 2] = ["good", "failed"];

    pub(super) fn new(digest: FunctionDigest, shards: ShardCount) -> Self {
        Self {
            digest,
            calls: Counters::new(shards),
        }
    }

    /// Counts a call that has ended.
    pub fn record(&self, is_failure: bool) {
        self.calls.add(usize::from(is_failure), 1);
    }

    /// The calls by outcome.
    pub(in crate::telemetry) fn calls(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = Self::OUTCOMES.iter().enumerate();
        all.map(|(place, label)| (*label, self.calls.sum(place)))
    }
}
