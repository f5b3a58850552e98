use parking_lot::Mutex;

use super::*;
use crate::testkit::{Kit, SECOND, content, kit, pattern, wait};
use crate::{CacheSettings, Followed, Join, PurgeScope, PurgeTarget};

const RED: &[(&str, &str)] = &[
    ("cache-control", "max-age=60, stale-while-revalidate=30"),
    ("surrogate-key", "red"),
];

fn red() -> PurgeScope {
    PurgeScope::SurrogateKey(SurrogateKey::new("red").expect("a key"))
}

fn uri(key: &Key) -> PurgeScope {
    PurgeScope::Uri(PurgeTarget::of(key.target()))
}

fn scopes(key: &Key) -> [PurgeScope; 4] {
    let below = PurgeScope::prefix(crate::testkit::target("/")).expect("a prefix");
    [uri(key), below, red(), PurgeScope::Everything]
}

fn store(kit: &Kit, key: &Key) {
    let _finished = kit.store(key, &[], RED, &pattern(10));
}

#[test]
fn a_fill_that_started_before_a_purge_does_not_survive_it() {
    for number in 0..4 {
        let kit = kit();
        let key = kit.key("/a");
        let permit = kit.lead(&key, &[]);
        let mut purged_first = kit.begin(permit, &[], RED);
        crate::testkit::push(&mut purged_first.writer, pattern(10)).expect("a reader");
        kit.cache
            .purge(scopes(&key)[number].clone(), Hardness::Hard);
        // Whoever comes now asks the origin again.
        assert!(matches!(kit.join(&key, &[]), Join::Leader(_)), "{number}");
        let _finished = purged_first.writer.finish(None);
        assert!(kit.selected(&key, &[]).is_none(), "{number}");
        store(&kit, &key);
        assert!(kit.selected(&key, &[]).is_some(), "{number}");
    }
}

#[test]
fn a_follower_that_came_after_a_purge_is_told_by_the_head() {
    let kit = kit();
    let key = kit.key("/a");
    let permit = kit.lead(&key, &[]);
    let mut before = kit.follow(&key, &[]);
    kit.cache.purge(red(), Hardness::Hard);
    // By a surrogate key nothing is known before the head has come.
    let mut after = kit.follow(&key, &[]);
    let _filling = kit.begin(permit, &[], RED);
    assert!(matches!(
        wait(&mut before, &[]),
        Some(Followed::Filling { .. })
    ));
    assert!(matches!(wait(&mut after, &[]), Some(Followed::Purged)));
    assert!(matches!(kit.join(&key, &[]), Join::Leader(_)));
}

#[test]
fn a_soft_purge_ends_the_lifetime_when_it_was_asked_for() {
    for number in 0..4 {
        let kit = kit();
        let key = kit.key("/a");
        store(&kit, &key);
        kit.time.advance(10 * SECOND);
        kit.cache
            .purge(scopes(&key)[number].clone(), Hardness::Soft);
        // It is looked at later than it was purged.
        kit.time.advance(5 * SECOND);
        let stored = kit.selected(&key, &[]).expect("it is stale, not gone");
        let freshness = stored.freshness(kit.clock.now());
        assert!(!freshness.is_fresh() && stored.is_soft_purged());
        assert_eq!(freshness.lifetime, 10 * SECOND);
        assert_eq!(freshness.staleness(), 5 * SECOND);
        // What replaces it is fresh.
        store(&kit, &key);
        let stored = kit.selected(&key, &[]).expect("it is stored");
        assert!(stored.freshness(kit.clock.now()).is_fresh());
    }
}

#[test]
fn a_fill_that_started_before_a_soft_purge_is_stored_stale() {
    let kit = kit();
    let key = kit.key("/a");
    let permit = kit.lead(&key, &[]);
    kit.cache.purge(red(), Hardness::Soft);
    let mut filling = kit.begin(permit, &[], RED);
    crate::testkit::push(&mut filling.writer, pattern(10)).expect("a reader");
    let _finished = filling.writer.finish(None);
    let stored = kit.selected(&key, &[]).expect("it is stored");
    assert!(!stored.freshness(kit.clock.now()).is_fresh());
}

#[test]
fn a_sweep_frees_what_was_purged_and_leaves_the_rest() {
    let kit = kit();
    for n in 0..50 {
        store(&kit, &kit.key(&format!("/red/{n}")));
    }
    let other = kit.key("/blue");
    let blue = [("cache-control", "max-age=60")];
    let _finished = kit.store(&other, &[], &blue, &pattern(10));
    let mut cursor = SweepCursor::default();
    assert!(
        kit.cache.sweep(&mut cursor, 10).is_done,
        "nothing was purged"
    );
    kit.cache.purge(red(), Hardness::Hard);
    let mut steps = 0;
    while !kit.cache.sweep(&mut cursor, 10).is_done {
        steps += 1;
        assert!(steps < 1_000, "a sweep ends");
    }
    let stats = kit.cache.stats();
    assert_eq!((stats.swept_removed, stats.swept_softened), (50, 0));
    assert_eq!(stats.entries, 1);
    assert!(kit.selected(&other, &[]).is_some());
}

#[test]
fn listeners_hear_of_purges_and_invalidations_of_this_node_alone() {
    let kit = kit();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&heard);
    kit.cache.on_purge(Arc::new(move |purge: &Purge| {
        listener.lock().push(purge.clone())
    }));
    let key = kit.key("/a");
    let first = kit.cache.purge(red(), Hardness::Soft);
    kit.cache.invalidate(&key);
    let elsewhere = Purge {
        id: PurgeId { node: 1, number: 9 },
        ..first.clone()
    };
    assert_eq!(kit.cache.purge_remote(&elsewhere), 3);
    let heard = heard.lock();
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[0], first);
    assert_eq!(heard[0].id.number, 1);
    assert_eq!(
        (&heard[1].scope, heard[1].cause),
        (&uri(&key), PurgeCause::Invalidation)
    );
    for purge in heard.iter() {
        assert_eq!(Purge::decode(&purge.encode()).as_ref(), Ok(purge));
    }
}

#[test]
fn an_own_purge_that_comes_back_is_not_counted_again() {
    let kit = kit();
    let own = kit.cache.purge(red(), Hardness::Hard);
    kit.cache.purge_remote(&own);
    assert_eq!(kit.cache.stats().purges, 1);
    assert_eq!(kit.cache.stats().purge_records, 1);
    let elsewhere = Purge {
        id: PurgeId { node: 1, number: 9 },
        ..own.clone()
    };
    kit.cache.purge_remote(&elsewhere);
    assert_eq!(kit.cache.stats().purges, 2);
    // What this node missed of others has no number.
    let missed = Purge {
        id: PurgeId {
            number: 0,
            ..own.id
        },
        ..own
    };
    kit.cache.purge_remote(&missed);
    assert_eq!(kit.cache.stats().purges, 3);
}

#[test]
fn groups_are_invalidated_on_their_own_origin_rfc_9875_3() {
    let kit = kit();
    let (member, other) = (kit.key("/a"), kit.key("/b"));
    let fields = [("cache-control", "max-age=60"), ("cache-groups", "\"g\"")];
    let _finished = kit.store(&member, &[], &fields, &pattern(10));
    store(&kit, &other);
    let group = SurrogateKey::new("g").expect("a group");
    let elsewhere = Target {
        authority: "other.example",
        ..crate::testkit::target("/")
    };
    let mut by = kit.cache.sent_at();
    kit.cache
        .invalidate_groups(elsewhere, std::slice::from_ref(&group), &mut by);
    assert!(kit.selected(&member, &[]).is_some());
    kit.cache
        .invalidate_groups(crate::testkit::target("/x"), &[group], &mut by);
    assert!(kit.selected(&member, &[]).is_none());
    assert!(kit.selected(&other, &[]).is_some());
}

/// What is kept on disk of the response that is stored for `key`.
fn recorded(kit: &Kit, key: &crate::Key) -> crate::record::Recorded {
    let stored = kit.selected(key, &[]).expect("stored");
    let walls = crate::record::Walls::new(kit.clock.clone());
    let encoded = crate::record::encode(stored.head(), stored.content_length(), &walls);
    let at = crate::record::ReadAt::now(&walls);
    crate::record::decode(&encoded.expect("a record"), at).expect("a record")
}

#[test]
fn another_nodes_purge_counts_with_its_skew_where_only_time_tells() {
    let skew = CacheSettings::default().purge_skew;
    // (from the purge to the request, whether it counts as purged by time)
    for (after, expected) in [
        (Duration::ZERO, Purged::Hard),
        (skew, Purged::Hard),
        (skew + Duration::from_millis(1), Purged::No),
    ] {
        let kit = kit();
        let key = kit.key("/a");
        let purge = Purge {
            id: PurgeId { node: 1, number: 1 },
            scope: red(),
            hardness: Hardness::Hard,
            cause: PurgeCause::Operator,
            at: kit.clock.wall(),
        };
        kit.time.advance(after);
        store(&kit, &key);
        let recorded = recorded(&kit, &key);
        // It is heard of late: after a restart, say.
        kit.cache.purge_remote(&purge);
        let kept = kit.cache.kept_elsewhere(&key, recorded.clone());
        assert_eq!(kept.purged, expected, "{after:?}");
        // Where the place among the purges is known, no clock is asked.
        let sequence = kit.cache.purge_sequence();
        let kept = kit
            .cache
            .kept_elsewhere(&key, recorded.with_sequence(sequence));
        assert_eq!(kept.purged, Purged::No, "{after:?}");
    }
}

#[test]
fn what_the_disk_keeps_is_judged_by_the_numbers_of_own_purges() {
    let kit = kit();
    let key = kit.key("/a");
    store(&kit, &key);
    let before = recorded(&kit, &key);
    let own = kit.cache.purge(red(), Hardness::Hard);
    store(&kit, &key);
    let between = recorded(&kit, &key);
    // It comes back in the stream, at the very moment at which it was made.
    kit.cache.purge_remote(&own);
    store(&kit, &key);
    let after = recorded(&kit, &key);
    let purged = |recorded| kit.cache.kept_elsewhere(&key, recorded).purged;
    assert_eq!(purged(before), Purged::Hard);
    assert_eq!(purged(between), Purged::No);
    assert_eq!(purged(after), Purged::No);
}

#[test]
fn what_purged_a_url_is_told_the_latest_first() {
    let kit = kit();
    let key = kit.key("/a");
    store(&kit, &key);
    kit.cache.purge(uri(&kit.key("/b")), Hardness::Hard);
    kit.cache.purge(uri(&key), Hardness::Soft);
    kit.time.advance(SECOND);
    kit.cache.purge(red(), Hardness::Soft);
    let head = Arc::clone(kit.selected(&key, &[]).expect("stored").head());
    let told = |head| {
        let purges = kit.cache.purges_of(&key, head).into_iter();
        let told = purges.map(|seen| (seen.number, seen.scope, kit.cache.since(seen.at)));
        told.collect::<Vec<_>>()
    };
    let by_uri = (2, Some(ScopeKind::Uri), SECOND);
    let by_key = (3, Some(ScopeKind::SurrogateKey), Duration::ZERO);
    assert_eq!(told(Some(&head)), [by_key, by_uri]);
    assert_eq!(told(None), [by_uri]);
    assert!(matches!(kit.cache.kept(&key)[0].purged, Purged::Soft(_)));
}

#[test]
fn what_a_purge_takes_uncovers_what_else_a_request_selects() {
    let kit = kit();
    let key = kit.key("/a");
    let request = [("accept", "x")];
    let varies = [("cache-control", "max-age=60"), ("vary", "accept")];
    let tagged = [
        ("cache-control", "max-age=60"),
        ("surrogate-key", "red"),
        ("date", "Tue, 14 Nov 2023 22:13:21 GMT"),
    ];
    kit.store(&key, &[], &tagged, &"tagged".into());
    kit.store(&key, &request, &varies, &"other".into());
    let found = kit.selected(&key, &request).expect("stored");
    assert_eq!(content(found.body()), b"tagged", "the more recent one");
    kit.cache.purge(red(), Hardness::Hard);
    let found = kit.selected(&key, &request).expect("not purged");
    assert_eq!(content(found.body()), b"other");
}
