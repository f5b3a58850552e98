//! Which records are dropped first, and that they were not needed.

use super::*;

#[test]
fn purges_of_one_scope_again_and_again_take_no_place_from_others() {
    let (hasher, purges) = kit(4);
    let key = Key::new(&hasher, target("a.example", "/x", None), &[]);
    let subject = Subject {
        key: &key,
        head: None,
        is_stored: false,
    };
    purges.purge(&prefix("/a"), Hardness::Soft, at(1));
    for round in 0..100 {
        purges.purge(&prefix("/b"), Hardness::Soft, at(2 + round));
        purges.purge(&uri("/c"), Hardness::Hard, at(2 + round));
    }
    assert_eq!(purges.counts(), (3, 0));
    assert_eq!(purges.decide(subject, 0).purged, Purged::No);
    // Different ones do.
    for path in ["/d", "/e"] {
        purges.purge(&prefix(path), Hardness::Soft, at(200));
    }
    assert_eq!(purges.counts(), (4, 1));
    assert_eq!(purges.decide(subject, 0).purged, Purged::Soft(at(1)));
}

#[test]
fn what_a_hard_purge_of_everything_says_too_is_not_remembered_beside_it() {
    let (hasher, purges) = kit(PURGE_RECORDS_MAX);
    let key = Key::new(&hasher, target("a.example", "/a", None), &[]);
    let subject = Subject {
        key: &key,
        head: None,
        is_stored: false,
    };
    for path in 0..5000 {
        purges.purge(&uri(&format!("/{path}")), Hardness::Soft, at(5));
    }
    // By the clock of another node this one came later than all of it; by number it did not.
    let elsewhere = Source::Elsewhere {
        skew: Duration::from_millis(100),
    };
    purges.purge_from(&prefix("/a"), Hardness::Soft, at(5), elsewhere);
    assert_eq!(purges.counts(), (5001, 0));
    purges.purge(&PurgeScope::Everything, Hardness::Soft, at(6));
    assert_eq!(purges.counts(), (5002, 0));
    purges.purge(&PurgeScope::Everything, Hardness::Hard, at(7));
    assert_eq!(purges.counts(), (1, 0));
    assert_eq!(purges.decide(subject, 0).purged, Purged::Hard);
    let last = purges.sequence();
    assert_eq!(purges.decide(subject, last).purged, Purged::No);
    let kept = |seen, since| purges.decide_kept(subject, seen, at(since)).purged;
    assert_eq!(kept(last - 1, 9), Purged::Hard);
    assert_eq!(kept(last, 5), Purged::No);
    // Another node's says less than one of this node: what is on disk may be newer, by time.
    purges.purge(&prefix("/a"), Hardness::Soft, at(10));
    purges.purge_from(&PurgeScope::Everything, Hardness::Hard, at(11), elsewhere);
    assert_eq!(purges.counts(), (2, 0));
    assert_eq!(kept(last, 111), Purged::Hard);
    assert_eq!(kept(last, 112), Purged::Soft(at(10)));
}

#[test]
fn purges_without_memory_are_forgotten_but_for_the_last_ones() {
    let hasher = KeyHasher::new();
    let tables = Tables::new(&Ledger::new(0));
    let purges = Purges::new(hasher, PURGE_RECORDS_MAX, &tables);
    for path in 0..3000 {
        purges.purge(&uri(&format!("/{path}")), Hardness::Hard, at(1));
    }
    assert_eq!(purges.counts(), (1024, 3000 - 1024));
    assert_eq!(tables.bytes(), 0);
}
