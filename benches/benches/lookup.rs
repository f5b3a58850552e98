//! What does finding a stored response cost, at one entry and at a million?
//!
//! `--entries N` for another number than a million. The keys are there
//! already, or built for each lookup, as a request does it: out of a path that
//! was just written, and so stands in the processor's cache.

#![allow(clippy::print_stdout, reason = "a bench prints what it found")]
#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use verge_base::Clock;
use verge_benches::process::cpu_of_thread;
use verge_benches::shop::Shop;
use verge_benches::{Rounds, Spread, interleave, machine};
use verge_cache::{CacheSettings, Key};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Lookups between two looks at the clock.
const BATCH: u64 = 2000;

/// One way of asking.
struct Contender {
    name: String,
    /// How many different entries are asked for.
    among: usize,
    threads: usize,
    builds_keys: bool,
}

/// The key of an entry; `path` is overwritten.
fn key(shop: &Shop, path: &mut String, index: usize) -> Result<Key> {
    path.clear();
    write!(path, "/articles/of/the/day/{index:08}")?;
    Ok(shop.key(path))
}

/// Nanoseconds of CPU time for each lookup, in one thread, until `end`: what
/// else the machine does meanwhile takes the core, and is not counted.
fn ask(shop: &Shop, keys: &[Key], contender: &Contender, end: Instant, seed: u64) -> Result<f64> {
    let (mut random, mut path) = (seed, String::new());
    let (mut asked, begun) = (0_u64, cpu_of_thread());
    loop {
        for _ in 0..BATCH {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let index = (random >> 16) as usize % contender.among;
            let found = if contender.builds_keys {
                shop.has(&key(shop, &mut path, index)?)
            } else {
                keys.get(index).is_some_and(|key| shop.has(key))
            };
            ensure!(found, "an entry is gone");
        }
        asked += BATCH;
        if Instant::now() >= end {
            let took = cpu_of_thread().saturating_sub(begun);
            return Ok(took.as_nanos() as f64 / asked as f64);
        }
    }
}

fn measure(shop: &Shop, keys: &[Key], contender: &Contender, seconds: f64) -> Result<f64> {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..contender.threads)
            .map(|thread| {
                let seed = 0x9E37_79B9_7F4A_7C15_u64.rotate_left(thread as u32 * 7);
                scope.spawn(move || ask(shop, keys, contender, end, seed))
            })
            .collect();
        let mut sum = 0.0;
        for thread in threads {
            sum += thread.join().ok().context("a thread ended")??;
        }
        Ok(sum / contender.threads as f64)
    })
}

fn main() -> Result<()> {
    let rounds = Rounds::from_arguments(9, 0.5)?;
    let entries = entries()?;
    println!("lookup: {entries} entries with 100 bytes of content");
    println!("{}", machine::describe());
    let memory = entries as u64 * 3000 + (256 << 20);
    let shop = Shop::new(CacheSettings::with_memory(memory), Clock::system());
    let content = Bytes::from_static(&[b'x'; 100]);
    let mut path = String::new();
    let keys = (0..entries)
        .map(|index| key(&shop, &mut path, index))
        .collect::<Result<Vec<Key>>>()?;
    for key in &keys {
        ensure!(shop.store(key, &content), "an entry was not stored");
    }
    println!("{:?}", shop.cache.stats());
    let mut contenders = Vec::new();
    for (among, label) in [(1, "one entry"), (1000, "a thousand"), (entries, "all")] {
        for threads in [1, 2] {
            for builds_keys in [false, true] {
                let key = if builds_keys {
                    "key built"
                } else {
                    "key there"
                };
                contenders.push(Contender {
                    name: format!("{label} | {threads} | {key}"),
                    among,
                    threads,
                    builds_keys,
                });
            }
        }
    }
    let samples = interleave(rounds.count, &mut contenders, |contender| {
        measure(&shop, &keys, contender, rounds.seconds)
    })?;
    println!("\n| asked for | threads | | CPU ns for each lookup |\n|---|---|---|---|");
    for (contender, samples) in contenders.iter().zip(&samples) {
        println!(
            "| {} | {:.0} |",
            contender.name,
            Spread::of(samples.iter().copied())
        );
    }
    Ok(())
}

fn entries() -> Result<usize> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--entries");
    match (arguments.next(), arguments.next()) {
        (Some(_), Some(number)) => Ok(number.parse()?),
        _ => Ok(1_000_000),
    }
}
