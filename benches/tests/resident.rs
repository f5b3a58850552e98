//! What an entry takes of real memory, with the allocator of the node, beside
//! what the ledger counts for it. A process of its own: it looks at the
//! resident memory of all that runs in it.

#![allow(
    clippy::print_stdout,
    reason = "the figures are for whoever reads them"
)]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::process::Command;

use bytes::Bytes;
use verge_base::Clock;
use verge_benches::shop::Shop;
use verge_cache::CacheSettings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MIB: u64 = 1024 * 1024;

/// So much of the limit may be resident with content of one segment or a few: 1.03 was measured.
const OVER: f64 = 1.06;

/// The same with content of many segments, whose pages come free and are kept for a while, in which
/// much is replaced here; 0.99 was measured.
const OVER_WHILE_REPLACED: f64 = 1.1;

/// Content whose entries take so many pages that they come free.
const MANY_SEGMENTS: usize = 1_000_000;

/// The same while entries of one size take the place of those of another, of which there are some
/// in every page; 1.43 was measured.
const OVER_WHILE_CHANGED: f64 = 1.6;

/// How long the allocator keeps pages that came free, in milliseconds: with its default, a second,
/// what is replaced meanwhile would be measured.
const PURGE_DELAY: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "10");

/// So much of what is counted is resident at least: else too much is counted. Of small entries a
/// tenth is counted for what several threads leave free between blocks; here is one thread.
const USED: f64 = 0.85;

/// Resident bytes of this process.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// A cache of `memory` bytes into which three times as much is put, in entries
/// of `size` bytes of content: what the ledger says, and what is resident.
fn measure(memory: u64, size: usize) {
    let before = resident();
    let shop = Shop::new(CacheSettings::with_memory(memory), Clock::system());
    let content: Bytes = (0..size).map(|index| (index % 251) as u8).collect();
    let count = 3 * memory / (size as u64 + 1500);
    for index in 0..count {
        let key = shop.key(&format!("/articles/of/the/day/{index:08}"));
        assert!(shop.store(&key, &content), "{index}");
    }
    let stats = shop.cache.stats();
    let taken = resident().saturating_sub(before);
    let each = |bytes: u64| bytes as f64 / stats.entries as f64;
    println!(
        "{size} bytes of content: {} entries, {:.0} bytes counted and {:.0} bytes resident for each, \
         so {:.0} and {:.0} beside the content; {:.1} MiB resident under a limit of {:.0} MiB",
        stats.entries,
        each(stats.bytes),
        each(taken),
        each(stats.bytes) - size as f64,
        each(taken) - size as f64,
        taken as f64 / MIB as f64,
        memory as f64 / MIB as f64,
    );
    assert!(stats.bytes as f64 >= memory as f64 * 0.98, "{stats:?}");
    assert!(stats.bytes_peak <= memory, "{stats:?}");
    let over = if size < MANY_SEGMENTS {
        OVER
    } else {
        OVER_WHILE_REPLACED
    };
    assert!(
        taken as f64 <= memory as f64 * over,
        "{taken} bytes resident, {stats:?}"
    );
    assert!(
        taken as f64 >= stats.bytes as f64 * USED,
        "{taken} bytes resident, {stats:?}"
    );
}

/// Entries of one size after the other, each twice the limit: what is resident at most, and in
/// the end of each.
fn measure_change(memory: u64, sizes: &[usize]) {
    let before = resident();
    let shop = Shop::new(CacheSettings::with_memory(memory), Clock::system());
    let share = |bytes: u64| bytes.saturating_sub(before) as f64 / memory as f64;
    let mut most = 0;
    for (round, size) in sizes.iter().enumerate() {
        let content: Bytes = (0..*size).map(|index| (index % 251) as u8).collect();
        let each = *size as u64 + 1500;
        let (mut in_round, mut unseen) = (0, 0);
        for index in 0..2 * memory / each {
            let key = shop.key(&format!("/articles/of/the/day/{round}/{index:08}"));
            assert!(shop.store(&key, &content), "{index}");
            unseen += each;
            if unseen > MIB {
                unseen = 0;
                in_round = resident().max(in_round);
            }
        }
        println!(
            "{size} bytes of content: {:.2} of the limit resident at most, {:.2} in the end",
            share(in_round),
            share(resident()),
        );
        most = in_round.max(most);
    }
    assert!(share(most) <= OVER_WHILE_CHANGED, "{:.2}", share(most));
}

/// Says to a process of this test which size it measures.
const SIZE: &str = "RESIDENT_SIZE";

#[test]
fn resident_memory_is_bounded_while_all_sizes_change() {
    if std::env::var_os(SIZE).is_some() {
        measure_change(
            128 * MIB,
            &[100, 3_000_000, 5000, 300_000, 40_000, 3_000_000, 1000],
        );
        return;
    }
    let measured = Command::new(std::env::current_exe().unwrap())
        .args(["--nocapture", "--exact"])
        .arg("resident_memory_is_bounded_while_all_sizes_change")
        .env(SIZE, "all")
        .env(PURGE_DELAY.0, PURGE_DELAY.1)
        .status()
        .unwrap();
    assert!(measured.success());
}

#[test]
fn resident_memory_stays_within_what_the_ledger_counts() {
    if let Ok(size) = std::env::var(SIZE) {
        measure(128 * MIB, size.parse().unwrap());
        return;
    }
    // One process for each: an allocator keeps what it once had.
    for size in [100, 1024, 5000, 40_000, 300_000, 3_000_000] {
        let measured = Command::new(std::env::current_exe().unwrap())
            .args(["--nocapture", "--exact"])
            .arg("resident_memory_stays_within_what_the_ledger_counts")
            .env(SIZE, size.to_string())
            .env(PURGE_DELAY.0, PURGE_DELAY.1)
            .status()
            .unwrap();
        assert!(measured.success(), "with {size} bytes of content");
    }
}
