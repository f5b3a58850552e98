//! A disk that cannot be used is off, and comes back.

use std::fs;

use super::super::*;
use super::FRESH;
use super::bench::{Bench, bench, until};
use super::purges::purge;
use crate::testkit::pattern;
use crate::tier::{Dropped, Saved, Tier as _};

#[test]
fn a_folder_belongs_to_one_tier() {
    let bench = bench();
    let _tier = bench.start();
    let walls = Walls::new(bench.kit.clock.clone());
    let refused = DiskTier::start(bench.settings(), walls).expect_err("in use");
    let text = refused.to_string();
    assert!(text.ends_with("is in use by another node"), "{text}");
}

#[test]
fn a_folder_that_cannot_be_is_off_and_comes_back() {
    let bench = bench();
    let path = bench.folder.path().join("disk");
    fs::write(&path, b"a file").expect("writable");
    let (tier, before) = bench.start_with_system_clock();
    assert_eq!(bench.got(&tier, "/a"), Err("off-missing"));
    let key = bench.kit.key("/a");
    let stored = bench.stored(&key, FRESH, pattern(10));
    let saved = tier.save(&TierKey::of(&key), &stored);
    assert_eq!(saved, Saved::Dropped(Dropped::Off));
    tier.purge(purge(before.base + 1), None);
    assert!(bench.runtime.block_on(tier.settle()));
    fs::remove_file(&path).expect("removable");
    until("the tier is on", || tier.stats().off.is_none());
    bench.put(&tier, "/a", pattern(10));
    assert_eq!(bench.got(&tier, "/a"), Ok(pattern(10)));
    drop(tier);
    // The purge that could not be written then is written now.
    let (_tier, after) = bench.start_with_system_clock();
    assert_eq!(after.purges, [purge(before.base + 1)]);
}

#[test]
fn a_folder_that_goes_away_turns_the_tier_off_and_purges_are_not_lost() {
    let bench = bench();
    let path = bench.folder.path().join("disk");
    let (tier, before) = bench.start_with_system_clock();
    bench.put(&tier, "/a", pattern(10));
    fs::remove_dir_all(&path).expect("removable");
    fs::write(&path, b"a file").expect("writable");
    // The next segment cannot be made.
    let key = bench.kit.key("/b");
    for more in 0..3 {
        let stored = bench.stored(&key, FRESH, pattern(900_000 + more));
        tier.save(&TierKey::of(&key), &stored);
    }
    until("the tier is off", || tier.stats().off == Some(Off::Missing));
    assert_eq!(bench.got(&tier, "/a"), Err("off-missing"));
    tier.purge(purge(before.base + 1), None);
    fs::remove_file(&path).expect("removable");
    until("the tier is on", || tier.stats().off.is_none());
    assert_eq!(bench.got(&tier, "/a"), Err("miss"));
    drop(tier);
    let (tier, after) = bench.start_with_system_clock();
    assert_eq!(after.purges, [purge(before.base + 1)]);
    assert_eq!(tier.stats().times_off, 0);
}

impl Bench {
    /// Trials of a disk that is off need a clock that goes.
    pub(super) fn start_with_system_clock(&self) -> (DiskTier, PurgesBefore) {
        let walls = Walls::new(verge_base::Clock::system());
        DiskTier::start(self.settings(), walls).expect("nobody else uses it")
    }
}

#[test]
fn a_file_that_cannot_be_read_turns_the_tier_off_until_it_is_gone() {
    let bench = bench();
    let tier = bench.start();
    bench.put(&tier, "/a", pattern(10));
    drop(tier);
    let no_segment = bench
        .folder
        .path()
        .join("disk/segments/00000000000000ff.seg");
    fs::create_dir(&no_segment).expect("a folder");
    let (tier, _) = bench.start_with_system_clock();
    until("the tier is off", || tier.stats().off == Some(Off::Failing));
    assert_eq!(bench.got(&tier, "/a"), Err("off-failing"));
    fs::remove_dir(&no_segment).expect("removable");
    until("the tier is on", || tier.stats().off.is_none());
    drop(tier);
    let tier = bench.start();
    assert!(tier.stats().is_ready);
    bench.put(&tier, "/b", pattern(10));
    assert_eq!(bench.got(&tier, "/b"), Ok(pattern(10)));
}

/// Many wait for a writer that is stuck: all of them together as long as one purge may take.
#[test]
fn a_disk_that_hangs_holds_up_one_purge_and_not_each() {
    let bench = bench();
    let (tier, before) = bench.start_with(bench.settings());
    let key = bench.kit.key("/a");
    let stored = bench.stored(&key, FRESH, pattern(10));
    // The writer needs the index for its next record.
    let index = tier.shared.index.lock();
    assert_eq!(tier.save(&TierKey::of(&key), &stored), Saved::Queued);
    until("the writer has begun", || tier.shared.queue.bytes() == 0);
    let settling = async {
        for number in 1..=50 {
            tier.purge(purge(before.base + number), None);
            assert!(!tier.settle().await);
        }
    };
    let patience = 20 * PURGE_PATIENCE;
    let bounded = async { tokio::time::timeout(patience, settling).await };
    bench.runtime.block_on(bounded).expect("no sum of waits");
    drop(index);
    until("the purges are on disk", || {
        bench.runtime.block_on(tier.settle())
    });
    tier.purge(purge(before.base + 51), None);
    assert!(bench.runtime.block_on(tier.settle()));
    drop(tier);
    let (_tier, after) = bench.start_with(bench.settings());
    assert_eq!(after.purges.len(), 51);
}

#[test]
fn nothing_is_waited_for_if_no_purge_waits() {
    let bench = bench();
    let tier = bench.start();
    let key = bench.kit.key("/a");
    let stored = bench.stored(&key, FRESH, pattern(10));
    let index = tier.shared.index.lock();
    tier.save(&TierKey::of(&key), &stored);
    assert!(bench.runtime.block_on(tier.settle()));
    drop(index);
}
