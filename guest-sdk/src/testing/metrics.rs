//! Counters and histograms in tests.

use super::Host;
use crate::backend::native::{metrics, with};

impl Host {
    /// What the counter with these labels, in any order, has come to.
    #[must_use]
    pub fn counted(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let series = metrics::series(name, labels);
        with(|state| state.metrics.counters.get(&series).copied().unwrap_or(0))
    }

    /// The values of the histogram with these labels, in any order, as they came.
    #[must_use]
    pub fn observed(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let series = metrics::series(name, labels);
        with(|state| {
            let values = state.metrics.histograms.get(&series);
            values.cloned().unwrap_or_default()
        })
    }
}
