use bytes::Bytes;

use crate::store::VARIANTS_MAX;
use crate::testkit::*;
use crate::{CacheSettings, Lookup, MissReason};

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];

#[test]
fn small_and_large_entries_are_found() {
    let kit = kit();
    let (small, large) = (kit.key("/small"), kit.key("/large"));
    let (few, many) = (pattern(1000), pattern(200_000));
    kit.store(&small, &[], FRESH, &few);
    kit.store(&large, &[], FRESH, &many);
    for (key, expected) in [(&small, &few), (&large, &many)] {
        let found = kit.selected(key, &[]).expect("stored");
        assert_eq!(content(found.body()), *expected);
    }
    assert_eq!(kit.cache.stats().entries, 2);
}

#[test]
fn an_entry_that_changes_size_changes_sides() {
    let kit = kit();
    let key = kit.key("/a");
    for len in [1000, 200_000, 500, 300_000, 100_000] {
        kit.store(&key, &[], FRESH, &pattern(len));
        let found = kit.selected(&key, &[]).expect("stored");
        assert_eq!(found.content_length(), len as u64);
        assert_eq!(kit.cache.stats().entries, 1, "{len}");
    }
    kit.cache.invalidate(&key);
    assert!(kit.selected(&key, &[]).is_none());
    assert_eq!(kit.cache.stats().entries, 0);
}

#[test]
fn misses_tell_the_uri_from_the_variant() {
    let kit = kit();
    let key = kit.key("/a");
    let miss = |request: &[(&str, &str)]| match kit.cache.lookup(&key, &map(request)) {
        Lookup::Miss(reason) => reason,
        Lookup::Selected(_) => panic!("found"),
    };
    assert_eq!(miss(&[]), MissReason::UriMiss);
    let vary = [("cache-control", "max-age=60"), ("vary", "accept")];
    kit.store(&key, &[("accept", "a/b")], &vary, &"ab".into());
    assert_eq!(miss(&[("accept", "c/d")]), MissReason::VaryMiss);
    assert_eq!(miss(&[]), MissReason::VaryMiss);
}

#[test]
fn variants_stand_side_by_side_and_equal_ones_replace_each_other() {
    let kit = kit();
    let key = kit.key("/a");
    let vary = [("cache-control", "max-age=60"), ("vary", "accept")];
    for (accept, body) in [("x", "1"), ("y", "2"), ("x", "3")] {
        kit.store(&key, &[("accept", accept)], &vary, &Bytes::from(body));
    }
    for (accept, body) in [("x", "3"), ("y", "2")] {
        let found = kit.selected(&key, &[("accept", accept)]).expect("stored");
        assert_eq!(content(found.body()), body.as_bytes());
    }
}

#[test]
fn of_several_that_match_the_most_recent_date_is_selected_rfc_9111_4_1() {
    let kit = kit();
    let key = kit.key("/a");
    let date = |second: &'static str| [("cache-control", "max-age=999999999"), ("date", second)];
    let newer = date("Tue, 14 Nov 2023 22:00:09 GMT");
    let older = date("Tue, 14 Nov 2023 22:00:01 GMT");
    let mut varying: Vec<_> = newer.to_vec();
    varying.push(("vary", "accept"));
    kit.store(&key, &[("accept", "x")], &varying, &"newer".into());
    kit.store(&key, &[], &older, &"older".into());
    let found = kit.selected(&key, &[("accept", "x")]).expect("stored");
    assert_eq!(content(found.body()), b"newer");
    let found = kit.selected(&key, &[("accept", "y")]).expect("stored");
    assert_eq!(content(found.body()), b"older");
}

#[test]
fn variants_of_one_key_are_bounded() {
    let kit = kit();
    let key = kit.key("/a");
    let vary = [("cache-control", "max-age=60"), ("vary", "accept")];
    for n in 0..VARIANTS_MAX + 10 {
        kit.store(&key, &[("accept", &n.to_string())], &vary, &pattern(10));
        kit.time.advance(SECOND / 10);
    }
    let stored = (0..VARIANTS_MAX + 10)
        .filter(|n| kit.selected(&key, &[("accept", &n.to_string())]).is_some())
        .count();
    assert_eq!(stored, VARIANTS_MAX);
    assert!(kit.selected(&key, &[("accept", "0")]).is_none());
}

#[test]
fn variants_of_one_key_do_not_take_all_memory() {
    let kit = kit_with(CacheSettings {
        max_object: MIB,
        ..CacheSettings::with_memory(16 * MIB)
    });
    let other = kit.key("/other");
    kit.store(&other, &[], FRESH, &pattern(500_000));
    let vary = [("cache-control", "max-age=60"), ("vary", "accept")];
    for n in 0..40 {
        let request = [("accept", &*n.to_string())];
        kit.store(&kit.key("/a"), &request, &vary, &pattern(900_000));
    }
    assert!(kit.selected(&other, &[]).is_some());
    assert!(kit.cache.stats().bytes < 6 * MIB);
}

#[test]
fn large_entries_go_by_recency() {
    let kit = kit_with(CacheSettings {
        max_object: MIB,
        ..CacheSettings::with_memory(4 * MIB)
    });
    let key = |n: usize| kit.key(&format!("/{n}"));
    for n in 0..8 {
        kit.store(&key(n), &[], FRESH, &pattern(400_000));
        assert!(kit.selected(&key(0), &[]).is_some(), "the one in use stays");
    }
    for n in 8..20 {
        kit.store(&key(n), &[], FRESH, &pattern(400_000));
        assert!(kit.selected(&key(0), &[]).is_some(), "the one in use stays");
    }
    assert!(kit.selected(&key(1), &[]).is_none());
    assert!(kit.selected(&key(19), &[]).is_some());
    assert!(kit.cache.stats().evictions >= 10);
    assert!(kit.cache.stats().bytes_peak <= 4 * MIB);
}

#[test]
fn many_small_entries_stay_within_memory() {
    let kit = kit_with(CacheSettings::with_memory(MIB));
    for n in 0..5000 {
        kit.store(&kit.key(&format!("/{n}")), &[], FRESH, &pattern(2000));
    }
    let stats = kit.cache.stats();
    assert!(stats.bytes_peak <= MIB, "{stats:?}");
    assert_eq!(stats.ledger_refusals, 0, "{stats:?}");
    assert!(stats.evictions > 0);
    assert!(stats.entries > 100, "{stats:?}");
}

#[test]
fn an_evicted_response_stays_counted_until_its_reader_is_done() {
    let kit = kit_with(CacheSettings {
        max_object: MIB,
        ..CacheSettings::with_memory(2 * MIB)
    });
    let key = kit.key("/a");
    kit.store(&key, &[], FRESH, &pattern(MIB as usize / 2));
    let body = kit.selected(&key, &[]).expect("stored").body();
    kit.cache.invalidate(&key);
    assert!(kit.cache.stats().bytes > MIB / 2);
    drop(body);
    assert!(kit.cache.stats().bytes < KIB * 4, "{:?}", kit.cache.stats());
}

#[test]
fn a_large_entry_makes_room_for_small_ones_up_to_their_share() {
    let kit = kit_with(CacheSettings {
        max_object: 2 * MIB,
        ..CacheSettings::with_memory(4 * MIB)
    });
    for n in 0..4 {
        kit.store(
            &kit.key(&format!("/large/{n}")),
            &[],
            FRESH,
            &pattern(900_000),
        );
    }
    for n in 0..1000 {
        let key = kit.key(&format!("/small/{n}"));
        kit.store(&key, &[], FRESH, &pattern(1000));
        assert!(kit.selected(&key, &[]).is_some());
    }
    let stats = kit.cache.stats();
    assert_eq!(stats.ledger_refusals, 0);
    assert!(stats.entries > 500, "{stats:?}");
    assert!(stats.bytes_peak <= 4 * MIB);
}

#[test]
fn what_is_asked_for_often_survives_a_scan() {
    let kit = kit_with(CacheSettings::with_memory(2 * MIB));
    let hot: Vec<_> = (0..50).map(|n| kit.key(&format!("/hot/{n}"))).collect();
    for key in &hot {
        kit.store(key, &[], FRESH, &pattern(2000));
    }
    let mut lost = 0;
    for n in 0..5000 {
        // A request that is made once, on the way that every request takes.
        let key = kit.key(&format!("/once/{n}"));
        assert!(kit.selected(&key, &[]).is_none());
        let permit = kit.lead(&key, &[]);
        let mut filling = kit.begin(permit, &[], FRESH);
        push(&mut filling.writer, pattern(2000)).expect("it can be stored");
        filling.writer.finish(None).expect("complete");
        if kit.selected(&hot[n % hot.len()], &[]).is_none() {
            lost += 1;
            kit.store(&hot[n % hot.len()], &[], FRESH, &pattern(2000));
        }
    }
    assert!(lost < 50, "{lost} of 5000 requests for hot keys missed");
}

#[test]
fn a_walk_finds_every_response_once_in_bounded_steps() {
    let kit = kit();
    let vary = [("cache-control", "max-age=60"), ("vary", "accept")];
    for n in 0..50 {
        let key = kit.key(&format!("/{n}"));
        let size = if n % 10 == 0 { 200_000 } else { 100 };
        kit.store(&key, &[("accept", "x")], &vary, &pattern(size));
        kit.store(&key, &[("accept", "y")], &vary, &pattern(size));
    }
    kit.cache.invalidate(&kit.key("/7"));
    let mut cursor = crate::store::StoreCursor::default();
    let mut found = Vec::new();
    while !cursor.is_at_end() {
        let step = kit.cache.inner().store.walk(&mut cursor, 8);
        assert!(step.len() <= 8 + 2, "{}", step.len());
        found.extend(step.into_iter().map(|(key, _)| key.to_string()));
    }
    assert_eq!(found.len(), 98);
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 49);
}

#[test]
fn large_entries_in_use_survive_a_scan_of_large_ones() {
    let kit = kit_with(CacheSettings {
        max_object: 2 * MIB,
        ..CacheSettings::with_memory(32 * MIB)
    });
    let hot: Vec<_> = (0..10).map(|n| kit.key(&format!("/hot/{n}"))).collect();
    let content = pattern(MIB as usize);
    for key in &hot {
        kit.store(key, &[], FRESH, &content);
    }
    for n in 0..200 {
        assert!(kit.selected(&hot[n % hot.len()], &[]).is_some(), "{n}");
        kit.store(&kit.key(&format!("/once/{n}")), &[], FRESH, &content);
    }
    // One that is asked for again and again gets in beside them.
    let wanted = kit.key("/wanted");
    kit.store(&wanted, &[], FRESH, &content);
    assert!(kit.selected(&wanted, &[]).is_some());
    assert!(kit.cache.stats().bytes_peak <= 32 * MIB);
}

#[test]
fn a_large_entry_gets_in_beside_a_full_cache_of_small_ones() {
    let kit = kit_with(CacheSettings {
        max_object: 2 * MIB,
        ..CacheSettings::with_memory(8 * MIB)
    });
    for n in 0..5000 {
        let key = kit.key(&format!("/small/{n}"));
        kit.store(&key, &[], FRESH, &pattern(1024));
        kit.selected(&key, &[]);
    }
    let key = kit.key("/large");
    kit.store(&key, &[], FRESH, &pattern(MIB as usize));
    for n in 0..500 {
        assert!(kit.selected(&key, &[]).is_some(), "{n}");
        let small = kit.key(&format!("/more/{n}"));
        kit.store(&small, &[], FRESH, &pattern(1024));
    }
}
