//! Durations counted in buckets, for metrics. No lock, no allocation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in microseconds.
const BOUNDS_US: [u64; 14] = [
    250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000, 30_000_000,
];

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

/// What a histogram has counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramSample {
    /// Upper bound in seconds and how many were in this bucket alone; the last bound is infinite.
    pub buckets: Vec<(f64, u64)>,
    /// Sum in seconds.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
}

impl Histogram {
    pub(crate) fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    pub(crate) fn sample(&self) -> HistogramSample {
        let bounds = BOUNDS_US.iter().map(|us| *us as f64 / 1e6);
        let bounds = bounds.chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|n| n.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        HistogramSample {
            count: buckets.iter().map(|(_, count)| count).sum(),
            sum: self.sum_us.load(Ordering::Relaxed) as f64 / 1e6,
            buckets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_once_below_its_bound() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_micros(250));
        histogram.observe(Duration::from_micros(251));
        histogram.observe(Duration::from_secs(3600));
        let sample = histogram.sample();
        assert_eq!(sample.count, 3);
        let counts: Vec<u64> = sample.buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts[..2], [1, 1]);
        assert_eq!(counts.last(), Some(&1));
    }
}
