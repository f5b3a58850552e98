//! What is looked up of a generation when metrics are scraped.

use std::sync::Arc;

use super::Generation;
use crate::deploy::Share;
use crate::deploy::state::BesideMode;
use crate::route::FunctionEntry;
use crate::telemetry::FunctionDigest;
use crate::telemetry::sample::{IdleSample, ShareSample};

impl Generation {
    /// The versions that run, and the part of the requests that each gets.
    #[must_use]
    pub fn share_ratios(&self) -> Vec<ShareSample> {
        let sample = |entry: &FunctionEntry, hundredths: u16| ShareSample {
            function: Arc::clone(&entry.name),
            version: FunctionDigest::from_full(entry.function.digest().as_bytes()).to_string(),
            ratio: f64::from(hundredths) / f64::from(Share::WHOLE),
        };
        let mut samples = Vec::new();
        for entry in self.functions.values() {
            let beside = entry.beside.as_ref().map(|beside| match &beside.mode {
                BesideMode::Share(share) => (beside, share.share),
                BesideMode::Shadow => (beside, 0),
            });
            let others = beside.map_or(0, |(_, share)| share);
            samples.push(sample(entry, Share::WHOLE.saturating_sub(others)));
            samples.extend(beside.map(|(beside, share)| sample(&beside.entry, share)));
        }
        samples
    }

    /// Instances that wait for calls, of the functions that have such; those of a version beside the
    /// live one count with it.
    #[must_use]
    pub fn idle_instances(&self) -> Vec<IdleSample> {
        let waiting = |entry: &FunctionEntry| entry.function.idle_instances() as u64;
        let functions = self.functions.values();
        let samples = functions
            .filter(|entry| entry.settings.isolation != verge_config::Isolation::Fresh)
            .map(|entry| {
                let beside = entry.beside.as_ref();
                IdleSample {
                    function: Arc::clone(&entry.name),
                    instances: waiting(entry) + beside.map_or(0, |beside| waiting(&beside.entry)),
                }
            });
        samples.collect()
    }
}
