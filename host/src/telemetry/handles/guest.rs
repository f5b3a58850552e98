//! What a function counts by itself: counters and histograms under names and
//! labels of its own, in a bounded number of series.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::super::counters::OVERFLOW_LABEL;

/// Upper bounds of the buckets; one more takes what is above the last.
pub(in crate::telemetry) const VALUE_BOUNDS: [f64; 22] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0,
    100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0,
];

/// Labels of a series, sorted by name.
pub(in crate::telemetry) type Labels = Vec<(String, String)>;

/// The counters and histograms of one function, over all its versions.
#[derive(Debug, Default)]
pub struct GuestMetrics {
    counters: RwLock<HashMap<SeriesName, Arc<AtomicU64>>>,
    histograms: RwLock<HashMap<SeriesName, Arc<ValueHistogram>>>,
    /// Updates that found no room for a series of their own.
    others: AtomicU64,
}

/// A metric with one set of labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::telemetry) struct SeriesName {
    pub(in crate::telemetry) name: String,
    pub(in crate::telemetry) labels: Labels,
}

impl SeriesName {
    fn new(name: &str, labels: &[(String, String)]) -> Self {
        Self {
            name: name.to_owned(),
            labels: labels.to_vec(),
        }
    }

    /// The one that takes what is over the limit.
    fn other() -> Self {
        Self::new(OVERFLOW_LABEL, &[])
    }
}

/// A distribution of values.
#[derive(Debug)]
pub(in crate::telemetry) struct ValueHistogram {
    buckets: [AtomicU64; VALUE_BOUNDS.len() + 1],
    /// The bits of a float.
    sum: AtomicU64,
}

impl Default for ValueHistogram {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            sum: AtomicU64::new(0_f64.to_bits()),
        }
    }
}

impl GuestMetrics {
    /// Adds to a counter; `most` series of the function, of both sorts, have a name.
    pub fn count(&self, name: &str, labels: &[(String, String)], amount: u64, most: usize) {
        let series = self.series(&self.counters, SeriesName::new(name, labels), most);
        series.fetch_add(amount, Ordering::Relaxed);
    }

    /// Adds a value to a histogram, with the same bound.
    pub fn observe(&self, name: &str, labels: &[(String, String)], value: f64, most: usize) {
        let series = self.series(&self.histograms, SeriesName::new(name, labels), most);
        series.observe(value);
    }

    /// The series of that name, made if there is room for it, or the one for all others.
    fn series<T: Default>(
        &self,
        all: &RwLock<HashMap<SeriesName, Arc<T>>>,
        name: SeriesName,
        most: usize,
    ) -> Arc<T> {
        if let Some(known) = all.read().get(&name) {
            return Arc::clone(known);
        }
        // Both are looked at before one is locked. Two threads may pass the bound together, by
        // as many series as there are threads: it bounds memory, not a quota.
        let used = self.counters.read().len() + self.histograms.read().len();
        let name = if used < most {
            name
        } else {
            self.others.fetch_add(1, Ordering::Relaxed);
            SeriesName::other()
        };
        Arc::clone(all.write().entry(name).or_default())
    }

    /// All counters, in the order of their names.
    pub(in crate::telemetry) fn counters(&self) -> Vec<(SeriesName, u64)> {
        let all = self.counters.read();
        let numbers = all.iter();
        let mut numbers: Vec<_> = numbers
            .map(|(name, number)| (name.clone(), number.load(Ordering::Relaxed)))
            .collect();
        numbers.sort_unstable();
        numbers
    }

    /// All histograms, in the order of their names.
    pub(in crate::telemetry) fn histograms(&self) -> Vec<(SeriesName, Arc<ValueHistogram>)> {
        let all = self.histograms.read();
        let mut all: Vec<_> = all
            .iter()
            .map(|(name, series)| (name.clone(), Arc::clone(series)))
            .collect();
        all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    /// Updates that were counted in `other`.
    pub(in crate::telemetry) fn others(&self) -> u64 {
        self.others.load(Ordering::Relaxed)
    }
}

impl ValueHistogram {
    fn observe(&self, value: f64) {
        let index = VALUE_BOUNDS.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
        // The closure always has a value: it ends when no other thread came between.
        let _ = self
            .sum
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// The sum of all values, and for each bucket its bound and how many fell into it alone.
    pub(in crate::telemetry) fn read(&self) -> (f64, Vec<(f64, u64)>) {
        let bounds = VALUE_BOUNDS.iter().copied().chain([f64::INFINITY]);
        let numbers = self
            .buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed));
        let sum = f64::from_bits(self.sum.load(Ordering::Relaxed));
        (sum, bounds.zip(numbers).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(value: &str) -> Labels {
        vec![("plan".to_owned(), value.to_owned())]
    }

    #[test]
    fn series_over_the_limit_are_one() {
        let metrics = GuestMetrics::default();
        for value in ["a", "b", "a", "c", "d"] {
            metrics.count("orders", &labels(value), 2, 2);
        }
        metrics.observe("basket", &[], 3.0, 2);
        let counters: Vec<(String, usize, u64)> = metrics
            .counters()
            .into_iter()
            .map(|(series, number)| (series.name, series.labels.len(), number))
            .collect();
        let expected = [
            ("orders".to_owned(), 1, 4),
            ("orders".to_owned(), 1, 2),
            (OVERFLOW_LABEL.to_owned(), 0, 4),
        ];
        let mut sorted = counters;
        sorted.sort_by_key(|(name, _, _)| name == OVERFLOW_LABEL);
        assert_eq!(sorted, expected);
        assert_eq!(metrics.histograms()[0].0.name, OVERFLOW_LABEL);
        assert_eq!(metrics.others(), 3);
    }

    #[test]
    fn values_fall_into_the_first_bucket_that_holds_them() {
        let histogram = ValueHistogram::default();
        for value in [-1.0, 0.001, 0.0011, 9.0, 1e9] {
            histogram.observe(value);
        }
        let (sum, buckets) = histogram.read();
        assert!((sum - 1_000_000_008.002_1).abs() < 1e-6, "{sum}");
        let filled: Vec<(f64, u64)> = buckets.into_iter().filter(|(_, n)| *n > 0).collect();
        assert_eq!(
            filled,
            [(0.001, 2), (0.0025, 1), (10.0, 1), (f64::INFINITY, 1)]
        );
    }
}
