//! Counters and histograms that cores do not fight over.
//!
//! Each is split into shards, one cache line group for each worker thread, so
//! that counting is one uncontended atomic addition. Sums are made when they
//! are read. Nothing here knows a metric's name.

use std::cell::Cell;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// The most buckets a [`Histogram`] can have, the unbounded one included.
pub const MAX_BUCKETS: usize = 24;

/// The label that stands for all that found no room of their own.
pub const OVERFLOW_LABEL: &str = "other";

/// How many shards each counter has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardCount(usize);

impl ShardCount {
    /// Shards for `workers` threads that count; at least one, at most 256.
    #[must_use]
    pub fn for_workers(workers: usize) -> Self {
        Self(workers.clamp(1, 256).next_power_of_two())
    }

    fn build<T>(self, make: impl Fn() -> T) -> Box<[Padded<T>]> {
        (0..self.0).map(|_| Padded(make())).collect()
    }
}

/// Keeps neighbours in different cache lines. Two lines, because processors
/// fetch them in pairs.
#[repr(align(128))]
struct Padded<T>(T);

/// This thread's shard out of `shards`.
fn own<T>(shards: &[Padded<T>]) -> Option<&T> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    const UNASSIGNED: usize = usize::MAX;
    thread_local! {
        static THREAD: Cell<usize> = const { Cell::new(UNASSIGNED) };
    }
    let thread = THREAD.with(|cell| {
        if cell.get() == UNASSIGNED {
            cell.set(NEXT.fetch_add(1, Ordering::Relaxed) & (UNASSIGNED >> 1));
        }
        cell.get()
    });
    // The number of shards is a power of two.
    let mask = shards.len().wrapping_sub(1);
    shards.get(thread & mask).map(|padded| &padded.0)
}

/// `N` numbers that only grow, kept together because they are counted together.
pub struct Counters<const N: usize>(Box<[Padded<[AtomicU64; N]>]>);

impl<const N: usize> Counters<N> {
    /// All zero.
    #[must_use]
    pub fn new(shards: ShardCount) -> Self {
        Self(shards.build(|| std::array::from_fn(|_| AtomicU64::new(0))))
    }

    /// Adds `amount` to the number at `index`; does nothing if there is no such number.
    pub fn add(&self, index: usize, amount: u64) {
        if let Some(number) = own(&self.0).and_then(|shard| shard.get(index)) {
            number.fetch_add(amount, Ordering::Relaxed);
        }
    }

    /// The sum of the number at `index` over all threads. Wraps at 2^64.
    #[must_use]
    pub fn sum(&self, index: usize) -> u64 {
        let shards = self.0.iter().filter_map(|shard| shard.0.get(index));
        shards.fold(0, |sum, number| {
            sum.wrapping_add(number.load(Ordering::Relaxed))
        })
    }
}

impl<const N: usize> fmt::Debug for Counters<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sums = (0..N).map(|index| self.sum(index));
        f.debug_list().entries(sums).finish()
    }
}

/// Numbers that only grow, each with a word of the program as its label. The
/// words come from enums, so `N` is chosen to hold them all; whatever finds no
/// room is counted as [`OVERFLOW_LABEL`].
pub struct LabelledCounters<const N: usize> {
    labels: [OnceLock<&'static str>; N],
    numbers: Counters<N>,
    overflow: Counters<1>,
}

impl<const N: usize> LabelledCounters<N> {
    /// No labels yet.
    #[must_use]
    pub fn new(shards: ShardCount) -> Self {
        Self {
            labels: std::array::from_fn(|_| OnceLock::new()),
            numbers: Counters::new(shards),
            overflow: Counters::new(shards),
        }
    }

    /// Adds one to the number of `label`. Looks through the labels in the
    /// order of their first use; takes no lock.
    pub fn increment(&self, label: &'static str) {
        let place = self
            .labels
            .iter()
            .position(|slot| *slot.get_or_init(|| label) == label);
        match place {
            Some(index) => self.numbers.add(index, 1),
            None => self.overflow.add(0, 1),
        }
    }

    /// Every label that was counted, with its number.
    #[must_use]
    pub fn all(&self) -> Vec<(&'static str, u64)> {
        let known = self.labels.iter().map_while(|slot| slot.get().copied());
        let mut all: Vec<_> = known
            .enumerate()
            .map(|(index, label)| (label, self.numbers.sum(index)))
            .collect();
        let overflow = self.overflow.sum(0);
        if overflow > 0 {
            all.push((OVERFLOW_LABEL, overflow));
        }
        all
    }
}

impl<const N: usize> fmt::Debug for LabelledCounters<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.all()).finish()
    }
}

/// Upper bounds of a histogram's buckets, inclusive, ascending; one more
/// bucket takes what is above the last.
pub type Bounds = &'static [Duration];

/// A distribution of durations.
pub struct Histogram {
    bounds: Bounds,
    shards: Box<[Padded<HistogramShard>]>,
}

struct HistogramShard {
    sum_nanos: AtomicU64,
    buckets: [AtomicU64; MAX_BUCKETS],
}

/// What a [`Histogram`] held when it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramReading {
    /// The sum of all durations in seconds.
    pub sum_seconds: f64,
    /// How many durations were observed.
    pub count: u64,
    /// For each bucket its upper bound in seconds (the last is infinite) and
    /// how many fell into it and not into an earlier one.
    pub buckets: Vec<(f64, u64)>,
}

impl Histogram {
    /// An empty histogram. Bounds past the first 23 are not used.
    #[must_use]
    pub fn new(bounds: Bounds, shards: ShardCount) -> Self {
        let used = bounds.len().min(MAX_BUCKETS - 1);
        Self {
            bounds: bounds.get(..used).unwrap_or_default(),
            shards: shards.build(|| HistogramShard {
                sum_nanos: AtomicU64::new(0),
                buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            }),
        }
    }

    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let Some(shard) = own(&self.shards) else {
            return;
        };
        let index = self.bounds.partition_point(|bound| *bound < duration);
        if let Some(bucket) = shard.buckets.get(index) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        shard.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// The sums over all threads. The count is the sum of the buckets, so a
    /// reading is consistent even while others count.
    #[must_use]
    pub fn read(&self) -> HistogramReading {
        let mut buckets: Vec<(f64, u64)> = self
            .bounds
            .iter()
            .map(Duration::as_secs_f64)
            .chain([f64::INFINITY])
            .map(|bound| (bound, 0))
            .collect();
        let mut sum_nanos = 0_u64;
        for Padded(shard) in &self.shards {
            for ((_, total), bucket) in buckets.iter_mut().zip(&shard.buckets) {
                *total += bucket.load(Ordering::Relaxed);
            }
            sum_nanos = sum_nanos.wrapping_add(shard.sum_nanos.load(Ordering::Relaxed));
        }
        HistogramReading {
            sum_seconds: Duration::from_nanos(sum_nanos).as_secs_f64(),
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    const BOUNDS: Bounds = &[
        Duration::from_micros(10),
        Duration::from_micros(100),
        Duration::from_millis(1),
    ];

    #[test]
    fn duration_falls_into_the_first_bucket_that_holds_it() {
        // (nanoseconds, bucket); a bound is inclusive, as Prometheus' `le` says.
        let table = [
            (0, 0),
            (9_999, 0),
            (10_000, 0),
            (10_001, 1),
            (100_000, 1),
            (100_001, 2),
            (1_000_000, 2),
            (1_000_001, 3),
            (u64::MAX, 3),
        ];
        for (nanos, expected) in table {
            let histogram = Histogram::new(BOUNDS, ShardCount::for_workers(1));
            histogram.observe(Duration::from_nanos(nanos));
            let reading = histogram.read();
            let bucket = reading.buckets.iter().position(|(_, count)| *count == 1);
            assert_eq!(bucket, Some(expected), "{nanos} ns");
            assert_eq!(reading.count, 1);
        }
    }

    #[test]
    fn counts_of_all_threads_are_summed() {
        let shards = ShardCount::for_workers(3);
        let histogram = Arc::new(Histogram::new(BOUNDS, shards));
        let counters = Arc::new(Counters::<2>::new(shards));
        let threads: Vec<_> = (0..7)
            .map(|_| {
                let (histogram, counters) = (Arc::clone(&histogram), Arc::clone(&counters));
                thread::spawn(move || {
                    for _ in 0..1000 {
                        histogram.observe(Duration::from_micros(50));
                        counters.add(1, 2);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let reading = histogram.read();
        assert_eq!(reading.count, 7000);
        assert_eq!(reading.buckets[1], (0.0001, 7000));
        assert!((reading.sum_seconds - 0.35).abs() < 1e-9);
        assert_eq!((counters.sum(0), counters.sum(1)), (0, 14_000));
    }

    #[test]
    fn bounds_past_the_most_buckets_are_not_used() {
        static MANY: [Duration; 40] = [Duration::from_secs(1); 40];
        let histogram = Histogram::new(&MANY, ShardCount::for_workers(1));
        histogram.observe(Duration::from_secs(2));
        assert_eq!(histogram.read().buckets.len(), MAX_BUCKETS);
        assert_eq!(histogram.read().count, 1);
    }

    #[test]
    fn index_out_of_range_counts_nothing() {
        let counters = Counters::<1>::new(ShardCount::for_workers(1));
        counters.add(1, 5);
        assert_eq!((counters.sum(0), counters.sum(1)), (0, 0));
    }

    #[test]
    fn labels_past_the_bound_are_counted_as_other() {
        let counters = LabelledCounters::<2>::new(ShardCount::for_workers(1));
        for label in ["a", "b", "a", "c", "d"] {
            counters.increment(label);
        }
        assert_eq!(counters.all(), [("a", 2), ("b", 1), (OVERFLOW_LABEL, 2)]);
    }

    #[test]
    fn equal_labels_from_different_places_are_one() {
        let counters = LabelledCounters::<2>::new(ShardCount::for_workers(1));
        let leaked: &'static str = Box::leak(String::from("a").into_boxed_str());
        counters.increment("a");
        counters.increment(leaked);
        assert_eq!(counters.all(), [("a", 2)]);
    }

    #[test]
    fn shards_are_a_power_of_two() {
        for (workers, shards) in [(0, 1), (1, 1), (3, 4), (8, 8), (100_000, 256)] {
            assert_eq!(ShardCount::for_workers(workers), ShardCount(shards));
        }
    }
}
