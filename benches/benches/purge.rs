//! Does a purge of one key among a million disturb the hits of others?
//!
//! One thread looks entries up and times each hit; in every other round a
//! second thread purges one key after the other, and stores it again, so that
//! the cache stays full.

#![allow(clippy::print_stdout, reason = "a bench prints what it found")]
#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use verge_base::Clock;
use verge_benches::shop::Shop;
use verge_benches::{Rounds, Spread, interleave, machine};
use verge_cache::{CacheSettings, Key};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Entries in the cache.
const ENTRIES: usize = 1_000_000;

/// Entries of these are purged, the others are asked for.
const PURGED: usize = 10_000;

/// Purges for each second.
const PURGES_PER_SECOND: f64 = 1000.0;

/// What one round showed.
#[derive(Clone, Copy, Default)]
struct Sample {
    p50: f64,
    p99: f64,
    p999: f64,
    purges: f64,
    purge_us: f64,
}

struct Bench {
    shop: Shop,
    keys: Vec<Key>,
    content: Bytes,
}

impl Bench {
    fn new() -> Result<Self> {
        let memory = ENTRIES as u64 * 3000 + (256 << 20);
        let shop = Shop::new(CacheSettings::with_memory(memory), Clock::system());
        let content = Bytes::from_static(&[b'x'; 100]);
        let path = |index| format!("/articles/of/the/day/{index:08}");
        let keys: Vec<Key> = (0..ENTRIES).map(|index| shop.key(&path(index))).collect();
        for key in &keys {
            ensure!(shop.store(key, &content), "an entry was not stored");
        }
        Ok(Self {
            shop,
            keys,
            content,
        })
    }

    /// Hits for `seconds`, in nanoseconds, of entries that are not purged.
    fn hits(&self, seconds: f64) -> Result<Histogram<u64>> {
        let keys = self.keys.get(PURGED..).unwrap_or_default();
        let mut histogram = Histogram::new_with_bounds(1, 10_000_000_000, 3)?;
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let mut before = Instant::now();
        while before < end {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let key = keys
                .get((random >> 16) as usize % keys.len())
                .context("a key")?;
            before = Instant::now();
            ensure!(self.shop.has(key), "an entry is gone");
            let took = u64::try_from(before.elapsed().as_nanos()).unwrap_or(u64::MAX);
            histogram.saturating_record(took.max(1));
        }
        Ok(histogram)
    }

    /// Purges until `is_over`; how many, and the time they took together.
    fn purge(&self, is_over: &AtomicBool) -> Result<(u64, Duration)> {
        let (mut count, mut took) = (0_u64, Duration::ZERO);
        let pause = Duration::from_secs_f64(1.0 / PURGES_PER_SECOND);
        for key in self.keys.iter().take(PURGED).cycle() {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let begun = Instant::now();
            self.shop.cache.invalidate(key);
            took += begun.elapsed();
            count += 1;
            ensure!(self.shop.store(key, &self.content), "not stored again");
            std::thread::sleep(pause);
        }
        Ok((count, took))
    }

    fn measure(&self, purges: bool, seconds: f64) -> Result<Sample> {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let purging = purges.then(|| scope.spawn(|| self.purge(&is_over)));
            let hits = self.hits(seconds);
            is_over.store(true, Ordering::Relaxed);
            let mut sample = Sample::default();
            if let Some(purging) = purging {
                let (count, took) = purging.join().ok().context("the thread ended")??;
                sample.purges = count as f64 / seconds;
                sample.purge_us = took.as_secs_f64() * 1e6 / count.max(1) as f64;
            }
            let hits = hits?;
            let at = |share| hits.value_at_quantile(share) as f64;
            [sample.p50, sample.p99, sample.p999] = [at(0.5), at(0.99), at(0.999)];
            Ok(sample)
        })
    }
}

fn main() -> Result<()> {
    let rounds = Rounds::from_arguments(15, 1.0)?;
    println!("purge: one key after the other among {ENTRIES}, while others are asked for");
    println!("{}", machine::describe());
    let bench = Bench::new()?;
    let mut contenders = [("without purges", false), ("with purges", true)];
    let samples = interleave(rounds.count, &mut contenders, |(_, purges)| {
        bench.measure(*purges, rounds.seconds)
    })?;
    println!(
        "\n| | hits p50 ns | p99 ns | p99.9 ns | purges/s | us for each purge |\n|---|---|---|---|---|---|"
    );
    for ((name, _), samples) in contenders.iter().zip(&samples) {
        let of = |value: fn(&Sample) -> f64| Spread::of(samples.iter().map(value));
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} |",
            of(|sample| sample.p50),
            of(|sample| sample.p99),
            of(|sample| sample.p999),
            of(|sample| sample.purges).median,
            of(|sample| sample.purge_us),
        );
    }
    if let [without, with] = samples.as_slice() {
        let ratio = Spread::of_ratios(
            with.iter().map(|sample| sample.p99),
            without.iter().map(|sample| sample.p99),
        );
        println!(
            "\np99 of hits with purges / without: {ratio:.3}, {}",
            ratio.verdict("slower", "faster")
        );
    }
    Ok(())
}
