//! What an origin counts: exchanges, retries, failures, and how long the phases of an exchange take.

use std::sync::Arc;

use super::super::counters::{Counters, Histogram, LabelledCounters, ShardCount};
use super::super::receipt::OriginReceipt;
use super::NETWORK_BOUNDS;

/// What an origin counts.
#[derive(Debug)]
pub struct OriginMetrics {
    name: Arc<str>,
    pub(in crate::telemetry) numbers: Counters<3>,
    pub(in crate::telemetry) connect: Histogram,
    pub(in crate::telemetry) tls: Histogram,
    pub(in crate::telemetry) first_byte: Histogram,
    pub(in crate::telemetry) failures: LabelledCounters<32>,
}

impl OriginMetrics {
    pub(in crate::telemetry) const ON_NEW: usize = 0;
    pub(in crate::telemetry) const ON_REUSED: usize = 1;
    pub(in crate::telemetry) const RETRIES: usize = 2;

    pub(in crate::telemetry) fn new(name: Arc<str>, shards: ShardCount) -> Self {
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
