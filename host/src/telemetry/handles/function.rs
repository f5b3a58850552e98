//! What a function counts: starts by class, CPU time, outcomes.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::super::counters::{Counters, Histogram, LabelledCounters, ShardCount};
use super::super::receipt::{FunctionDigest, StartClass, TriggerReceipt};
use super::{FUNCTION_BOUNDS, GuestMetrics, VersionMetrics};
use crate::line_budget::LineBudget;

/// Who answered a question about a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RatesBy {
    /// This node, which did not have to ask.
    Node,
    /// The region.
    Region,
    /// This node, because the region did not answer.
    Fallback,
}

impl RatesBy {
    const LABELS: [&str; 3] = ["node", "region", "fallback"];
}

/// What a function counts, over all its versions.
#[derive(Debug)]
pub struct FunctionMetrics {
    name: Arc<str>,
    shards: ShardCount,
    starts: [OnceLock<Histogram>; StartClass::ALL.len()],
    pub(in crate::telemetry) cpu: Histogram,
    pub(in crate::telemetry) outcomes: LabelledCounters<24>,
    /// Failed calls by the policy that answered.
    pub(in crate::telemetry) failures: LabelledCounters<4>,
    /// By [`RatesBy`].
    rates: Counters<{ RatesBy::LABELS.len() }>,
    pub(in crate::telemetry) dropped_lines: Counters<1>,
    pub(in crate::telemetry) deferred: LabelledCounters<8>,
    guest: GuestMetrics,
    pub(in crate::telemetry) fetches: LabelledCounters<8>,
    /// Deploys, promotions and rollbacks.
    pub(in crate::telemetry) deploys: LabelledCounters<8>,
    /// Calls of versions in the shadow.
    pub(in crate::telemetry) shadows: LabelledCounters<8>,
    /// Calls that were to be recorded.
    pub(in crate::telemetry) recordings: LabelledCounters<8>,
    /// The last few, the oldest first.
    versions: Mutex<Vec<Arc<VersionMetrics>>>,
    /// Lines of the log that tell of denied requests.
    denials: LineBudget,
}

impl FunctionMetrics {
    pub(in crate::telemetry) fn new(name: Arc<str>, shards: ShardCount) -> Self {
        Self {
            name,
            shards,
            starts: std::array::from_fn(|_| OnceLock::new()),
            cpu: Histogram::new(FUNCTION_BOUNDS, shards),
            outcomes: LabelledCounters::new(shards),
            failures: LabelledCounters::new(shards),
            rates: Counters::new(shards),
            dropped_lines: Counters::new(shards),
            deferred: LabelledCounters::new(shards),
            guest: GuestMetrics::default(),
            fetches: LabelledCounters::new(shards),
            deploys: LabelledCounters::new(shards),
            shadows: LabelledCounters::new(shards),
            recordings: LabelledCounters::new(shards),
            versions: Mutex::default(),
            denials: LineBudget::default(),
        }
    }

    /// How often it is told in the log that a request of the function was denied.
    pub(crate) fn denials(&self) -> &LineBudget {
        &self.denials
    }

    /// The function's name in metrics and the access log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The counters of one version. Of those that no loaded version has, the ones that were asked
    /// for longest ago make room for those of a new one.
    #[must_use]
    pub fn version(&self, digest: FunctionDigest) -> Arc<VersionMetrics> {
        let mut versions = self.versions.lock();
        let known = versions.iter().position(|known| known.digest == digest);
        let version = match known {
            Some(place) => versions.remove(place),
            None => Arc::new(VersionMetrics::new(digest, self.shards)),
        };
        versions.push(Arc::clone(&version));
        if versions.len() > VersionMetrics::MOST {
            // Of what runs, the counters are looked at: there are not many, as each is loaded.
            let unused = |known: &Arc<VersionMetrics>| Arc::strong_count(known) == 1;
            if let Some(place) = versions.iter().position(unused) {
                versions.remove(place);
            }
        }
        version
    }

    /// The counters of the last few versions.
    pub(in crate::telemetry) fn versions(&self) -> Vec<Arc<VersionMetrics>> {
        self.versions.lock().clone()
    }

    /// Counts a deploy, a promotion or a rollback by its word.
    pub(crate) fn record_deploy(&self, event: &'static str) {
        self.deploys.increment(event);
    }

    /// Counts a call of a version in the shadow by what became of it.
    pub(crate) fn record_shadow(&self, rehearsed: &'static str) {
        self.shadows.increment(rehearsed);
    }

    /// Counts a call that was to be recorded by what became of the recording.
    pub(crate) fn record_recording(&self, result: &'static str) {
        self.recordings.increment(result);
    }

    /// What it counts by itself.
    #[must_use]
    pub fn guest(&self) -> &GuestMetrics {
        &self.guest
    }

    /// Counts a failed call by the policy that said what becomes of its request.
    pub fn record_failure(&self, policy: &'static str) {
        self.failures.increment(policy);
    }

    /// Counts what became of work for after a response.
    pub fn record_deferred(&self, outcome: &'static str) {
        self.deferred.increment(outcome);
    }

    /// Counts lines that were over the log limit of a call.
    pub fn record_dropped_lines(&self, lines: u32) {
        if lines > 0 {
            self.dropped_lines.add(0, lines.into());
        }
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

    /// Counts an answer about a rate.
    pub fn record_rate(&self, by: RatesBy) {
        self.rates.add(by as usize, 1);
    }

    /// Counts a request that the function sent, by its outcome's word.
    pub(crate) fn record_fetch(&self, outcome: &'static str) {
        self.fetches.increment(outcome);
    }

    /// How many answers about rates there were, by who decided.
    pub(in crate::telemetry) fn rates(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = RatesBy::LABELS.iter().enumerate();
        let all = all.map(|(place, label)| (*label, self.rates.sum(place)));
        all.filter(|(_, number)| *number > 0)
    }

    /// The start times of every class that was seen, with its label.
    pub(in crate::telemetry) fn starts(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        let seen = StartClass::ALL.iter().zip(&self.starts);
        seen.filter_map(|(class, slot)| slot.get().map(|histogram| (class.label(), histogram)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_are_loaded_stay_whatever_came_after_them() {
        let function = FunctionMetrics::new("f".into(), ShardCount::for_workers(1));
        let digest = |number: u8| FunctionDigest::from_full(&[number; 32]);
        let live = function.version(digest(0));
        for number in 1..=20 {
            let _tried = function.version(digest(number));
            assert!(function.versions().len() <= VersionMetrics::MOST + 1);
        }
        live.record(true);
        let versions = function.versions();
        assert_eq!(versions.len(), VersionMetrics::MOST);
        let listed = versions.iter().find(|known| known.digest == digest(0));
        let failed: u64 = listed.unwrap().calls().map(|(_, number)| number).sum();
        assert_eq!(failed, 1);
        assert!(versions.iter().any(|known| known.digest == digest(20)));
    }
}
