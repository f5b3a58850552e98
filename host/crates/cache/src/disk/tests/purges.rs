//! Purges on disk, and a disk without its log of them.

use std::fs;

use http_body_util::BodyExt as _;
use verge_http::cache_control::RequestDirectives;

use super::super::*;
use super::FRESH;
use super::bench::{Bench, bench};
use crate::CacheSettings;
use crate::disk::format::{Header, Kind};
use crate::purge::{Hardness, Purge, PurgeId, PurgeScope, PurgeTarget, Purged};
use crate::testkit::pattern;
use crate::tier::{Dropped, Saved, Tier as _, TierHit};

pub(super) fn purge(number: u64) -> LoggedPurge {
    LoggedPurge {
        number,
        wall: 7,
        purge: Arc::from(&b"a scope"[..]),
    }
}

#[test]
fn purges_are_kept_and_those_of_what_is_not_there_are_left_out() {
    let bench = bench();
    let (tier, before) = bench.start_with(bench.settings());
    bench.put(&tier, "/a", pattern(10));
    let (here, gone) = (bench.kit.key("/a"), bench.kit.key("/b"));
    tier.purge(purge(before.base + 1), Some(&gone.uri_digest()));
    tier.purge(purge(before.base + 2), Some(&here.uri_digest()));
    tier.purge(purge(before.base + 3), None);
    assert!(bench.runtime.block_on(tier.settle()));
    drop(tier);
    let (_tier, after) = bench.start_with(bench.settings());
    assert_eq!(
        after.purges,
        [purge(before.base + 2), purge(before.base + 3)]
    );
    assert!(after.base > before.base + 3);
}

#[test]
fn what_was_purged_before_it_is_saved_is_not_saved() {
    let bench = bench();
    let tier = bench.start();
    let key = bench.kit.key("/a");
    let stored = bench.stored(&key, FRESH, pattern(10));
    tier.purge(purge(stored.head().sequence() + 1), Some(&key.uri_digest()));
    let saved = tier.save(&TierKey::of(&key), &stored);
    assert_eq!(saved, Saved::Dropped(Dropped::Purged));
}

#[test]
fn what_was_refilled_after_a_purge_stays_when_that_is_told_again_after_a_restart() {
    let first = bench();
    let (tier, before) = first.start_with(first.settings());
    let tier = Arc::new(tier);
    first.kit.cache.keep_purges(Arc::clone(&tier), &before);
    first.put(&tier, "/a", pattern(10));
    let target = PurgeTarget::of(first.kit.key("/a").target());
    let told = first
        .kit
        .cache
        .purge(PurgeScope::Uri(target), Hardness::Hard);
    first.put(&tier, "/a", pattern(20));
    assert!(first.runtime.block_on(tier.settle()));
    tier.stop();
    // The next process, which hears of everything that is in the stream.
    let next = Bench {
        folder: first.folder,
        ..bench()
    };
    let (tier, before) = next.start_with(next.settings());
    let tier = Arc::new(tier);
    next.kit.cache.keep_purges(Arc::clone(&tier), &before);
    let purged = || {
        let TierAnswer::Hit(hit) = next.ask(&tier, "/a") else {
            panic!("no hit");
        };
        let kept = next
            .kit
            .cache
            .kept_elsewhere(&next.kit.key("/a"), hit.recorded);
        kept.purged
    };
    assert_eq!(purged(), Purged::No);
    next.kit.cache.purge_remote(&told);
    assert_eq!(purged(), Purged::No, "it was made before the refill");
    let skew = CacheSettings::default().purge_skew;
    let elsewhere = |number, at| Purge {
        id: PurgeId { node: 1, number },
        at,
        ..told.clone()
    };
    let long_ago = told.at - 2 * skew;
    next.kit.cache.purge_remote(&elsewhere(1, long_ago));
    assert_eq!(purged(), Purged::No, "of another node, by time");
    next.kit.cache.purge_remote(&elsewhere(2, told.at));
    assert_eq!(purged(), Purged::Hard, "too near to tell");
}

#[test]
fn what_was_refilled_between_a_purge_and_its_echo_comes_back_into_memory() {
    let bench = bench();
    let (tier, before) = bench.start_with(bench.settings());
    let tier = Arc::new(tier);
    bench.kit.cache.keep_purges(Arc::clone(&tier), &before);
    let key = bench.kit.key("/a");
    let uri = || PurgeScope::Uri(PurgeTarget::of(key.target()));
    let told = bench.kit.cache.purge(uri(), Hardness::Hard);
    bench.put(&tier, "/a", pattern(20));
    let admitted = || {
        let TierAnswer::Hit(hit) = bench.ask(&tier, "/a") else {
            panic!("no hit");
        };
        let TierHit { recorded, content } = *hit;
        let permit = bench.kit.alone(&key, &[]);
        let admitted = permit.admit(recorded);
        admitted.map(|admitted| (permit, admitted, content))
    };
    // The purge comes back in the stream, under a higher number.
    bench.kit.cache.purge_remote(&told);
    assert!(bench.kit.selected(&key, &[]).is_none(), "memory forgot it");
    let (permit, found, content) = admitted().expect("it was refilled after the purge");
    let mut filling = permit.begin_found(found);
    let content = bench.runtime.block_on(content.collect());
    let content = content.expect("the disk has it").to_bytes();
    bench
        .runtime
        .block_on(filling.writer.push(content))
        .expect("it fits");
    let finished = filling.writer.finish(None);
    assert!(
        matches!(finished, Ok(crate::Finished::Stored(_))),
        "{finished:?}"
    );
    assert!(bench.kit.selected(&key, &[]).is_some());
    let (permit, found, content) = admitted().expect("still");
    let directives = RequestDirectives::default();
    let restored = permit.restore(found, content, &directives);
    let restored = bench.runtime.block_on(restored);
    assert!(restored.is_ok());
    // A purge that is new concerns it, wherever it is.
    bench.kit.cache.purge(uri(), Hardness::Hard);
    assert!(bench.kit.selected(&key, &[]).is_none());
    assert!(admitted().is_err());
}

#[test]
fn purge_of_what_is_being_kept_of_an_evicted_segment_is_written_down() {
    let bench = bench();
    let key = bench.kit.key("/a");
    let uri = first(&key.uri_digest());
    let mut index = Index::default();
    let file = Arc::new(tempfile::tempfile().expect("a file"));
    index.add_segment(1, Arc::clone(&file), 0);
    let header = Header {
        kind: Kind::Whole,
        head_len: 10,
        content_len: 10,
        digest: *TierKey::of(&key).digest(),
        uri,
        variant: 1,
        segment: 1,
        saved: 1,
        table_sum: 0,
    };
    index.insert(&header, 0, 200);
    index.find(&header.digest);
    let victim = index.evict(None).expect("one");
    assert_eq!((victim.used.len(), index.records()), (1, 0));
    // It is about to be written anew.
    assert!(index.knows_uri(uri));
    index.add_segment(2, file, 0);
    index.insert(
        &Header {
            segment: 2,
            ..header
        },
        0,
        200,
    );
    for uri in victim.uris {
        index.release(uri, 1);
    }
    assert!(index.knows_uri(uri));
    index.remove(&header.digest);
    assert!(!index.knows_uri(uri));
}

#[test]
fn without_its_purge_log_nothing_is_believed() {
    let bench = bench();
    for damage in [true, false] {
        let tier = bench.start();
        bench.put(&tier, "/a", pattern(10));
        assert!(bench.got(&tier, "/a").is_ok());
        drop(tier);
        let log = bench.folder.path().join("disk/purges.log");
        if damage {
            let mut bytes = fs::read(&log).expect("readable");
            bytes[5] ^= 1;
            fs::write(&log, bytes).expect("writable");
        } else {
            fs::remove_file(&log).expect("removable");
        }
        let tier = bench.start();
        assert_eq!(bench.got(&tier, "/a"), Err("miss"));
    }
}
