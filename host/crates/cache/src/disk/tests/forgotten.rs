//! What is forgotten, or older than what is not saved, stays away after a restart.

use std::fs;

use super::super::*;
use super::FRESH;
use super::bench::{bench, until};
use super::purges::purge;
use crate::testkit::pattern;
use crate::tier::{Dropped, Saved, Tier as _};

#[test]
fn what_is_forgotten_is_gone_after_a_restart_too() {
    let bench = bench();
    let tier = bench.start();
    bench.put(&tier, "/a", pattern(10));
    bench.put(&tier, "/b", pattern(10));
    tier.forget(&TierKey::of(&bench.kit.key("/a")));
    assert_eq!(bench.got(&tier, "/a"), Err("miss"));
    drop(tier);
    let tier = bench.start();
    assert_eq!(bench.got(&tier, "/a"), Err("miss"));
    assert_eq!(bench.got(&tier, "/b"), Ok(pattern(10)));
    assert_eq!(tier.stats().records, 1);
    bench.put(&tier, "/a", pattern(20));
    drop(tier);
    let tier = bench.start();
    assert_eq!(bench.got(&tier, "/a"), Ok(pattern(20)));
}

/// RFC 9111 4: of several that match, the most recent.
#[test]
fn newer_response_that_is_not_taken_takes_the_older_one_away() {
    let bench = bench();
    for is_restarted in [false, true] {
        let settings = DiskSettings {
            max_object: 1000,
            ..bench.settings()
        };
        let (tier, _) = bench.start_with(settings.clone());
        bench.put(&tier, "/a", pattern(10));
        let key = bench.kit.key("/a");
        let stored = bench.stored(&key, FRESH, pattern(1001));
        let saved = tier.save(&TierKey::of(&key), &stored);
        assert_eq!(saved, Saved::Dropped(Dropped::TooLarge));
        if !is_restarted {
            assert_eq!(bench.got(&tier, "/a"), Err("miss"));
            continue;
        }
        drop(tier);
        let (tier, _) = bench.start_with(settings);
        assert_eq!(bench.got(&tier, "/a"), Err("miss"));
    }
}

#[test]
fn what_is_over_the_rate_takes_the_older_one_away() {
    let bench = bench();
    let settings = DiskSettings {
        write_rate: 20_000,
        ..bench.settings()
    };
    let (tier, _) = bench.start_with(settings.clone());
    bench.put(&tier, "/a", pattern(8000));
    bench.put(&tier, "/b", pattern(8000));
    bench.put(&tier, "/a", pattern(8001));
    assert_eq!(tier.stats().dropped_over_rate, 1);
    assert_eq!(bench.got(&tier, "/a"), Err("miss"));
    drop(tier);
    let (tier, _) = bench.start_with(settings);
    assert_eq!(bench.got(&tier, "/a"), Err("miss"));
    assert_eq!(bench.got(&tier, "/b"), Ok(pattern(8000)));
}

#[test]
fn what_is_forgotten_while_it_is_written_is_not_found() {
    let bench = bench();
    let tier = bench.start();
    let key = bench.kit.key("/a");
    let stored = bench.stored(&key, FRESH, pattern(10));
    // The writer needs the index for its record.
    let mut index = tier.shared.index.lock();
    tier.save(&TierKey::of(&key), &stored);
    until("it is being written", || tier.shared.queue.bytes() == 0);
    let tier_key = TierKey::of(&key);
    index.forget(tier_key.digest(), first(tier_key.uri()));
    drop(index);
    tier.shared.queue.forget(&tier_key);
    bench.flush(&tier);
    assert_eq!(bench.got(&tier, "/a"), Err("miss"));
    drop(tier);
    let tier = bench.start();
    assert_eq!(bench.got(&tier, "/a"), Err("miss"));
}

#[test]
fn what_waits_is_forgotten_and_what_comes_later_is_kept() {
    let bench = bench();
    let tier = bench.start();
    let (key, other) = (bench.kit.key("/a"), bench.kit.key("/b"));
    let tier_key = TierKey::of(&key);
    let older = bench.stored(&key, FRESH, pattern(10));
    let newer = bench.stored(&key, FRESH, pattern(20));
    let busy = bench.stored(&other, FRESH, pattern(10));
    let index = tier.shared.index.lock();
    tier.save(&TierKey::of(&other), &busy);
    until("the writer is busy", || tier.shared.queue.bytes() == 0);
    tier.save(&tier_key, &older);
    drop(index);
    tier.forget(&tier_key);
    tier.save(&tier_key, &newer);
    bench.flush(&tier);
    assert_eq!(bench.got(&tier, "/a"), Ok(pattern(20)));
    drop(tier);
    let tier = bench.start();
    assert_eq!(bench.got(&tier, "/a"), Ok(pattern(20)));
}

#[test]
fn what_is_outdated_while_the_disk_is_off_does_not_come_back() {
    let bench = bench();
    let path = bench.folder.path().join("disk");
    let aside = bench.folder.path().join("aside");
    let (tier, _) = bench.start_with_system_clock();
    bench.put(&tier, "/a", pattern(10));
    bench.put(&tier, "/b", pattern(10));
    fs::rename(&path, &aside).expect("renamed");
    fs::write(&path, b"a file").expect("writable");
    tier.shared.reading_failed(Off::Failing);
    until("the tier is off", || tier.stats().records == 0);
    let key = bench.kit.key("/a");
    let stored = bench.stored(&key, FRESH, pattern(20));
    let saved = tier.save(&TierKey::of(&key), &stored);
    assert_eq!(saved, Saved::Dropped(Dropped::Off));
    fs::remove_file(&path).expect("removable");
    fs::rename(&aside, &path).expect("renamed");
    until("the tier is on", || tier.stats().off.is_none());
    assert_eq!(bench.got(&tier, "/a"), Err("miss"));
    assert_eq!(bench.got(&tier, "/b"), Ok(pattern(10)));
}

#[test]
fn purges_of_what_was_forgotten_are_kept_while_a_crash_could_bring_it_back() {
    let bench = bench();
    let (tier, before) = bench.start_with(bench.settings());
    bench.put(&tier, "/a", pattern(10));
    let key = bench.kit.key("/a");
    tier.forget(&TierKey::of(&key));
    tier.purge(purge(before.base + 1), Some(&key.uri_digest()));
    drop(tier);
    let (_tier, after) = bench.start_with(bench.settings());
    assert_eq!(after.purges, [purge(before.base + 1)]);
}

#[test]
fn more_than_can_be_told_is_everything() {
    let bench = bench();
    let tier = bench.start();
    bench.put(&tier, "/a", pattern(10));
    {
        let mut index = tier.shared.index.lock();
        for number in 0..70_000_u64 {
            let mut digest = [7; 32];
            digest[..8].copy_from_slice(&number.to_le_bytes());
            index.forget(&digest, 1);
        }
    }
    assert_eq!(bench.got(&tier, "/a"), Err("miss"));
    tier.shared.queue.write_forgotten();
    until("it is empty", || bench.bytes_on_disk() == 0);
    bench.put(&tier, "/b", pattern(10));
    drop(tier);
    let tier = bench.start();
    assert_eq!(bench.got(&tier, "/a"), Err("miss"));
    assert_eq!(bench.got(&tier, "/b"), Ok(pattern(10)));
}
