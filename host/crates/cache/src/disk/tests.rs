//! The disk tier on a real folder: what it gives back is what it was given, or nothing.

mod bench;
mod damage;
mod forgotten;
mod newer_heads;
mod purges;
mod trouble;

use std::time::SystemTime;

use http_body_util::BodyExt as _;

use super::*;
use crate::testkit::{SECOND, map, pattern};
use crate::tier::{Dropped, Saved, Tier as _};
use bench::bench;

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=600"), ("etag", "\"a\"")];
const MIB: u64 = 1024 * 1024;

#[test]
fn what_was_saved_is_there_after_a_restart_with_its_age() {
    let bench = bench();
    let tier = bench.start();
    let large = pattern(3_000_000);
    bench.put(&tier, "/small", Bytes::from_static(b"hello"));
    bench.put(&tier, "/large", large.clone());
    bench.put(&tier, "/empty", Bytes::new());
    assert_eq!(bench.got(&tier, "/small"), Ok(Bytes::from_static(b"hello")));
    drop(tier);
    bench.kit.time.advance(20 * SECOND);
    let tier = bench.start();
    assert_eq!(tier.stats().records, 3);
    let TierAnswer::Hit(hit) = bench.ask(&tier, "/small") else {
        panic!("no hit");
    };
    let now = bench.kit.clock.now();
    assert_eq!(hit.recorded.head.age(now), 20 * SECOND);
    assert_eq!(hit.recorded.head.lifetime(), 600 * SECOND);
    assert_eq!(bench.got(&tier, "/large"), Ok(large));
    assert_eq!(bench.got(&tier, "/empty"), Ok(Bytes::new()));
    assert_eq!(bench.got(&tier, "/other"), Err("miss"));
}

#[test]
fn a_later_response_replaces_an_earlier_one_also_after_a_restart() {
    let bench = bench();
    let tier = bench.start();
    bench.put(&tier, "/a", Bytes::from_static(b"old"));
    bench.put(&tier, "/a", Bytes::from_static(b"new"));
    assert_eq!(bench.got(&tier, "/a"), Ok(Bytes::from_static(b"new")));
    drop(tier);
    let tier = bench.start();
    assert_eq!(tier.stats().records, 1);
    assert_eq!(bench.got(&tier, "/a"), Ok(Bytes::from_static(b"new")));
}

#[test]
fn variants_stand_side_by_side() {
    let bench = bench();
    let tier = bench.start();
    let key = bench.kit.key("/a");
    let fields = [("cache-control", "max-age=60"), ("vary", "accept-language")];
    for language in ["en", "de"] {
        let request = [("accept-language", language)];
        let content = Bytes::from_static(language.as_bytes());
        let stored = bench.stored_for(&key, &request, &fields, content);
        tier.save(&TierKey::of(&key), &stored);
    }
    bench.flush(&tier);
    for (language, expected) in [
        ("en", Ok(Bytes::from_static(b"en"))),
        ("de", Ok(Bytes::from_static(b"de"))),
        ("fr", Err("variant")),
    ] {
        let answer = bench.ask_for(&tier, "/a", &[("accept-language", language)]);
        assert_eq!(bench.content(answer), expected);
    }
}

#[test]
fn segments_never_take_more_than_the_size_and_the_oldest_go_first() {
    let bench = bench();
    let size = 4 * MIB;
    let settings = DiskSettings {
        size,
        ..bench.settings()
    };
    let (tier, _) = bench.start_with(settings.clone());
    let content = pattern(60_000);
    for number in 0..200 {
        bench.put(&tier, &format!("/{number}"), content.clone());
        // Asked for again and again: it is written anew when its segment goes.
        assert_eq!(bench.got(&tier, "/0"), Ok(content.clone()), "{number}");
        assert!(bench.bytes_on_disk() <= size);
    }
    let stats = tier.stats();
    assert!(stats.evicted > 0 && stats.bytes <= size, "{stats:?}");
    assert_eq!(bench.got(&tier, "/1"), Err("miss"));
    assert_eq!(bench.got(&tier, "/199"), Ok(content.clone()));
    drop(tier);
    // A smaller size at the next start is kept to at once.
    let (tier, _) = bench.start_with(DiskSettings {
        size: 2 * MIB,
        ..settings
    });
    assert!(bench.bytes_on_disk() <= 2 * MIB);
    assert_eq!(bench.got(&tier, "/199"), Ok(content));
}

#[test]
fn what_is_larger_than_it_keeps_is_dropped() {
    let bench = bench();
    let (tier, _) = bench.start_with(DiskSettings {
        max_object: 1000,
        ..bench.settings()
    });
    let key = bench.kit.key("/a");
    let stored = bench.stored(&key, FRESH, pattern(1001));
    let saved = tier.save(&TierKey::of(&key), &stored);
    assert_eq!(saved, Saved::Dropped(Dropped::TooLarge));
    assert_eq!(tier.stats().dropped_too_large, 1);
}

#[test]
fn writes_over_the_rate_are_dropped() {
    let bench = bench();
    let (tier, _) = bench.start_with(DiskSettings {
        write_rate: 20_000,
        ..bench.settings()
    });
    for number in 0..5 {
        bench.put(&tier, &format!("/{number}"), pattern(8000));
    }
    assert_eq!((tier.stats().saved, tier.stats().dropped_over_rate), (2, 3));
    bench.kit.time.advance(SECOND);
    bench.put(&tier, "/later", pattern(8000));
    assert_eq!(tier.stats().saved, 3);
    assert!(bench.kit.clock.wall() > SystemTime::UNIX_EPOCH);
}

/// A response of which every byte is known from its name.
#[test]
fn many_threads_read_what_one_writes() {
    let bench = bench();
    let tier = bench.start();
    for number in 0..20_usize {
        bench.put(&tier, &format!("/{number}"), pattern(number * 50_000));
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .expect("a runtime");
                for number in 0..20_usize {
                    let key = TierKey::of(&bench.kit.key(&format!("/{number}")));
                    let answer = runtime.block_on(tier.load(&key, &map(&[]), Want::Whole));
                    let TierAnswer::Hit(hit) = answer else {
                        panic!("{}", answer.label());
                    };
                    let content = runtime.block_on(hit.content.collect());
                    let content = content.expect("whole").to_bytes();
                    assert_eq!(content, pattern(number * 50_000));
                }
            });
        }
    });
}
