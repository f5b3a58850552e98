//! Which share of requests is a hit, beside plain LRU and moka, with and
//! without scans?
//!
//! Requests follow Zipf's law over so many objects of one size, and each
//! contender holds the same number of them. A scan is a run of requests for
//! objects that nobody asks for again; the hit ratio is that of the others.

#![allow(clippy::print_stdout, reason = "a bench prints what it found")]

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use bytes::Bytes;
use verge_base::Clock;
use verge_benches::machine;
use verge_benches::shop::Shop;
use verge_cache::CacheSettings;

/// Objects that are asked for again and again.
const OBJECTS: usize = 100_000;

/// Requests for them; the first half of these is not counted.
const REQUESTS: usize = 600_000;

/// After so many requests comes a scan.
const SCAN_EVERY: usize = 1000;

/// Requests of a scan.
const SCAN_LENGTH: usize = 500;

/// Content of each object.
const CONTENT: &[u8] = &[b'x'; 100];

/// What a contender does with a request: whether it was a hit, storing it if not.
trait Contender {
    fn ask(&mut self, object: u64) -> bool;
}

/// The one used longest ago goes first.
struct Lru {
    capacity: usize,
    used_at: HashMap<u64, u64>,
    by_use: BTreeMap<u64, u64>,
    uses: u64,
}

impl Contender for Lru {
    fn ask(&mut self, object: u64) -> bool {
        self.uses += 1;
        let before = self.used_at.insert(object, self.uses);
        if let Some(before) = before {
            self.by_use.remove(&before);
        }
        self.by_use.insert(self.uses, object);
        while self.by_use.len() > self.capacity {
            if let Some((_, oldest)) = self.by_use.pop_first() {
                self.used_at.remove(&oldest);
            }
        }
        before.is_some()
    }
}

impl Contender for moka::sync::Cache<u64, ()> {
    fn ask(&mut self, object: u64) -> bool {
        let is_hit = self.get(&object).is_some();
        if !is_hit {
            self.insert(object, ());
        }
        is_hit
    }
}

impl Contender for Shop {
    fn ask(&mut self, object: u64) -> bool {
        let key = self.key(&format!("/{object:012}"));
        let is_hit = self.has(&key);
        if !is_hit {
            self.store(&key, &Bytes::from_static(CONTENT));
        }
        is_hit
    }
}

/// Objects by Zipf's law, always the same sequence (xorshift64).
struct Zipf {
    /// The probability of an object or one before it.
    sums: Vec<f64>,
    random: u64,
}

impl Zipf {
    fn new(exponent: f64) -> Self {
        let mut sum = 0.0;
        let mut sums: Vec<f64> = (1..=OBJECTS)
            .map(|rank| {
                sum += (rank as f64).powf(-exponent);
                sum
            })
            .collect();
        for value in &mut sums {
            *value /= sum;
        }
        Self {
            sums,
            random: 0x9E37_79B9_7F4A_7C15,
        }
    }

    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let share = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
        self.sums.partition_point(|sum| *sum < share) as u64
    }
}

/// The hit ratio of `contender`.
fn ratio(contender: &mut dyn Contender, exponent: f64, scans: bool) -> f64 {
    let mut zipf = Zipf::new(exponent);
    let mut once = 1_u64 << 32;
    let (mut hits, mut counted) = (0_u32, 0_u32);
    for request in 0..REQUESTS {
        let is_hit = contender.ask(zipf.next());
        if request >= REQUESTS / 2 {
            counted += 1;
            hits += u32::from(is_hit);
        }
        if scans && request % SCAN_EVERY == 0 {
            for _ in 0..SCAN_LENGTH {
                once += 1;
                contender.ask(once);
            }
        }
    }
    f64::from(hits) / f64::from(counted)
}

/// Bytes that the cache reserves for one object.
fn cost() -> u64 {
    let mut shop = Shop::new(CacheSettings::with_memory(64 << 20), Clock::system());
    for object in 0..1000 {
        shop.ask(object);
    }
    let stats = shop.cache.stats();
    stats.bytes / stats.entries.max(1)
}

fn main() -> Result<()> {
    println!("admission: hits in percent, {OBJECTS} objects, {REQUESTS} requests");
    println!("{}", machine::describe());
    let cost = cost();
    println!(
        "{cost} bytes are counted for an object of {} bytes\n",
        CONTENT.len()
    );
    println!("| Zipf | scans | room for | LRU | moka | verge | verge - LRU |");
    println!("|---|---|---|---|---|---|---|");
    for exponent in [0.8, 1.0] {
        for scans in [false, true] {
            for percent in [1, 5, 10, 25] {
                let capacity = OBJECTS * percent / 100;
                let mut lru = Lru {
                    capacity,
                    used_at: HashMap::new(),
                    by_use: BTreeMap::new(),
                    uses: 0,
                };
                let mut moka = moka::sync::Cache::new(capacity as u64);
                let memory = cost * capacity as u64;
                let mut shop = Shop::new(CacheSettings::with_memory(memory), Clock::system());
                let [lru, moka, verge] = [&mut lru as &mut dyn Contender, &mut moka, &mut shop]
                    .map(|contender| ratio(contender, exponent, scans) * 100.0);
                println!(
                    "| {exponent:.1} | {} | {percent} % | {lru:.1} | {moka:.1} | **{verge:.1}** | {:+.1} |",
                    if scans { "yes" } else { "no" },
                    verge - lru,
                );
            }
        }
    }
    Ok(())
}
