//! More is asked for than fits, by several threads, in all sizes at once:
//! memory is used to the brim and never passed.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use proptest::prelude::*;
use verge_http::Body;

use crate::testkit::*;
use crate::{CacheSettings, Filling};

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];

/// The largest entry, 32 MiB.
const LARGEST: u64 = 32 * MIB;

/// What one thread does: fills of random sizes, some of which it leaves open
/// for a while, and bodies that it goes on reading.
struct Worker<'a> {
    kit: &'a Kit,
    content: &'a Bytes,
    random: u64,
    held: Vec<Body>,
    open: Vec<(Filling, Bytes)>,
}

impl Worker<'_> {
    /// Numbers that look random, the same in each run (xorshift64).
    fn next(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below.max(1)
    }

    /// From 100 bytes to `largest`, as many small ones as large ones.
    fn size(&mut self, largest: u64) -> usize {
        let doublings = u64::from((largest / 100).max(1).ilog2());
        let base = 100_u64 << self.next(doublings + 1);
        usize::try_from((base + self.next(base)).min(largest)).expect("it fits")
    }

    fn fill(&mut self, path: &str, largest: u64) {
        let size = self.size(largest);
        let key = self.kit.key(path);
        let permit = self.kit.alone(&key, &[]);
        let crate::Begun::Filling(mut filling) = self.kit.try_begin(permit, &[], FRESH) else {
            return;
        };
        let content = self.content.slice(..size);
        if self.next(4) == 0 {
            // Half of it now; the rest once others have come in between.
            let half = size / 2;
            if let Some(Ok(())) = try_push(&mut filling.writer, content.slice(..half)) {
                self.open.push((*filling, content.slice(half..)));
            }
            if self.open.len() > 2 {
                let (mut filling, rest) = self.open.remove(0);
                if let Some(Ok(())) = try_push(&mut filling.writer, rest) {
                    filling.writer.finish(None).expect("complete");
                }
            }
        } else if let Some(Ok(())) = try_push(&mut filling.writer, content) {
            filling.writer.finish(None).expect("complete");
        }
    }

    fn read(&mut self, path: &str) {
        if let Some(found) = self.kit.selected(&self.kit.key(path), &[]) {
            self.held.push(found.body());
        }
        if self.held.len() > 4 {
            self.held.remove(0);
        }
    }
}

#[derive(Debug)]
struct Outcome {
    /// The largest entry.
    largest: u64,
    peak: u64,
    limit: u64,
    /// Of the limit, in the mean, once more had been asked for than fits.
    mean_use: f64,
}

/// Threads that ask for `demand` bytes together, in entries up to `largest`.
fn press(memory: u64, largest: u64, demand: u64, seed: u64) -> Outcome {
    const THREADS: u64 = 4;
    let kit = kit_with(CacheSettings {
        max_object: largest,
        ..CacheSettings::with_memory(memory)
    });
    let content = pattern(usize::try_from(largest).expect("it fits"));
    let (asked, sum, samples) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (kit, content) = (&kit, &content);
            let (asked, sum, samples) = (&asked, &sum, &samples);
            scope.spawn(move || {
                let mut worker = Worker {
                    kit,
                    content,
                    random: (seed + thread + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15),
                    held: Vec::new(),
                    open: Vec::new(),
                };
                while asked.load(Ordering::Relaxed) < demand {
                    let path = format!("/{}", worker.next(5000));
                    let before = kit.cache.stats().bytes;
                    worker.fill(&path, largest);
                    let path = format!("/{}", worker.next(5000));
                    worker.read(&path);
                    let stats = kit.cache.stats();
                    assert!(stats.bytes <= stats.bytes_max, "{stats:?}");
                    // An entry without content takes memory, too.
                    let size = worker.size(largest) as u64 + KIB;
                    asked.fetch_add(size, Ordering::Relaxed);
                    if asked.load(Ordering::Relaxed) > 2 * memory {
                        sum.fetch_add(before, Ordering::Relaxed);
                        samples.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let stats = kit.cache.stats();
    let samples = samples.load(Ordering::Relaxed).max(1);
    let left = kit.cache.inner().store.usage().bytes;
    // No fills, no readers: what is counted is what is stored, to the byte.
    assert_eq!(
        (stats.bytes, stats.fills_in_progress),
        (left, 0),
        "{stats:?}"
    );
    Outcome {
        largest,
        peak: stats.bytes_peak,
        limit: stats.bytes_max,
        mean_use: sum.load(Ordering::Relaxed) as f64 / samples as f64 / memory as f64,
    }
}

impl Outcome {
    /// Never over the limit, at the limit at least once, and in the mean as
    /// near to it as what makes room lets it be: an entry goes as a whole, and
    /// what it leaves is filled again piece by piece.
    fn check(&self) {
        let limit = self.limit as f64;
        assert!(self.peak <= self.limit, "{self:?}");
        assert!(self.peak as f64 >= limit * 0.98, "{self:?}");
        let left_by_one = self.largest as f64 / limit;
        let expected = if left_by_one < 0.01 {
            0.98
        } else {
            0.97 - left_by_one
        };
        assert!(self.mean_use >= expected, "{self:?}");
    }
}

#[test]
fn memory_is_used_to_the_brim_and_never_passed_with_entries_up_to_32_mib() {
    press(512 * MIB, LARGEST, 2 * 1024 * MIB, 1).check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn memory_is_bounded_under_any_mix_of_sizes(
        largest in prop_oneof![100_u64..4 * KIB, 4 * KIB..64 * KIB, 64 * KIB..2 * MIB],
        seed in any::<u32>(),
    ) {
        press(8 * MIB, largest, 32 * MIB, u64::from(seed)).check();
    }
}
