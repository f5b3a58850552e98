use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;
use verge_base::Ledger;
use verge_http::Scheme;
use verge_http::surrogate::SurrogateKey;

use super::*;
use crate::key::KeyPart;
use crate::purge::PurgeTarget;
use crate::testkit::{Entry, head_of};

mod forgetting;
mod recent;

fn target<'a>(authority: &'a str, path: &'a str, query: Option<&'a str>) -> Target<'a> {
    Target {
        scheme: Scheme::Https,
        authority,
        path,
        query,
    }
}

fn at(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}

fn kit(max: usize) -> (KeyHasher, Purges) {
    let hasher = KeyHasher::new();
    (
        hasher.clone(),
        Purges::new(hasher, max, &Tables::new(&Ledger::new(u64::MAX))),
    )
}

fn uri(path: &str) -> PurgeScope {
    PurgeScope::Uri(PurgeTarget::new(target("a.example", path, None)).expect("a target"))
}

fn prefix(path: &str) -> PurgeScope {
    PurgeScope::prefix(target("a.example", path, None)).expect("a prefix")
}

fn name(text: &str) -> SurrogateKey {
    SurrogateKey::new(text).expect("a key")
}

fn group(authority: &str, text: &str) -> PurgeScope {
    let target = PurgeTarget::new(target(authority, "/", None)).expect("a target");
    PurgeScope::Group(target, name(text))
}

impl Purges {
    fn purge(&self, scope: &PurgeScope, hardness: Hardness, at: SystemTime) -> u64 {
        self.purge_from(scope, hardness, at, Source::Here)
    }
}

#[test]
fn the_time_of_another_nodes_purge_counts_with_its_skew() {
    let (hasher, purges) = kit(8);
    let key = Key::new(&hasher, target("a.example", "/a", None), &[]);
    let subject = Subject {
        key: &key,
        head: None,
        is_stored: false,
    };
    let source = Source::Elsewhere {
        skew: Duration::from_millis(100),
    };
    purges.purge_from(&uri("/a"), Hardness::Soft, at(1_000), source);
    for (since, expected) in [
        (999, Purged::Soft(at(1_000))),
        (1_000, Purged::Soft(at(1_000))),
        (1_100, Purged::Soft(at(1_000))),
        (1_101, Purged::No),
    ] {
        assert_eq!(purges.decide_kept(subject, 0, at(since)).purged, expected);
    }
    // What was asked for after it was heard of is newer in any case.
    assert_eq!(purges.decide_kept(subject, 1, at(999)).purged, Purged::No);
    // This node's own purges need no clock.
    purges.purge(&uri("/a"), Hardness::Hard, at(1_050));
    let decide = |seen| purges.decide_kept(subject, seen, at(2_000)).purged;
    assert_eq!((decide(1), decide(2)), (Purged::Hard, Purged::No));
    // Not when they are heard of again, either.
    purges.purge_from(&uri("/a"), Hardness::Hard, at(1_050), Source::Again(2));
    assert_eq!((decide(1), decide(2)), (Purged::Hard, Purged::No));
    assert_eq!(purges.decide(subject, 2).purged, Purged::Hard);
}

#[test]
fn what_concerns_a_response_is_told_and_what_is_forgotten_counted() {
    let (hasher, purges) = kit(2);
    let key = Key::new(&hasher, target("a.example", "/a/b", None), &[]);
    let subject = Subject {
        key: &key,
        head: None,
        is_stored: false,
    };
    purges.purge(&prefix("/a"), Hardness::Soft, at(5));
    purges.purge(&uri("/a/b"), Hardness::Hard, at(6));
    purges.purge(&uri("/a/c"), Hardness::Hard, at(7));
    let told = |seen| {
        let concerning = purges.concerning(subject, seen).into_iter();
        let told = concerning.map(|seen| (seen.scope, seen.hardness, seen.number, seen.at));
        told.collect::<Vec<_>>()
    };
    let by_uri = (Some(ScopeKind::Uri), Hardness::Hard, 2, at(6));
    assert_eq!(told(0), [(None, Hardness::Soft, 1, at(5)), by_uri]);
    assert_eq!(told(1), [by_uri]);
    assert_eq!(purges.counts(), (2, 1));
}

#[test]
fn a_response_without_a_head_fears_what_could_concern_it_and_nothing_else() {
    let (hasher, purges) = kit(PURGE_RECORDS_MAX);
    let key = Key::new(&hasher, target("a.example", "/a/b", None), &[]);
    let rows = [
        (uri("/a/c"), true),
        (uri("/a/b"), false),
        (prefix("/x"), true),
        (prefix("/a"), false),
        (PurgeScope::SurrogateKey(name("red")), false),
        (group("b.example", "g"), false),
        (PurgeScope::Everything, false),
    ];
    for (scope, expected) in rows {
        let seen = purges.sequence();
        assert!(purges.is_unpurged_since(&key, seen));
        purges.purge(&scope, Hardness::Hard, at(1));
        assert_eq!(purges.is_unpurged_since(&key, seen), expected, "{scope:?}");
    }
}

#[test]
fn each_scope_purges_what_it_names_and_nothing_else() {
    let entry = Entry {
        site: "shop",
        tags: "red big",
        groups: "\"g\"",
        made_by: Some("resize@abc auth@def"),
    };
    let rows: Vec<(&str, Option<&str>, PurgeScope, bool)> = vec![
        ("/a/b", None, uri("/a/b"), true),
        ("/a/b", Some("q"), uri("/a/b"), false),
        ("/a/b", None, uri("/a/b/"), false),
        ("/a/b", None, prefix("/a"), true),
        ("/a/b", Some("q"), prefix("/a/b"), true),
        ("/a/b", None, prefix("/a/b/"), false),
        ("/a/b/", None, prefix("/a/b/"), true),
        ("/a/b/", None, prefix("/a/b"), true),
        ("/a//b", None, prefix("/a//"), true),
        ("/a/b", None, prefix("/a//"), false),
        ("/ab", None, prefix("/a"), false),
        ("/ab", None, prefix("/"), true),
        ("/", None, prefix("/"), true),
        ("/a", None, PurgeScope::SurrogateKey(name("red")), true),
        ("/a", None, PurgeScope::SurrogateKey(name("g")), true),
        ("/a", None, PurgeScope::SurrogateKey(name("Red")), false),
        ("/a", None, group("a.example", "g"), true),
        ("/a", None, group("b.example", "g"), false),
        ("/a", None, group("a.example", "red"), false),
        ("/a", None, PurgeScope::Site("shop".into()), true),
        ("/a", None, PurgeScope::Site("sho".into()), false),
        ("/a", None, PurgeScope::Function("resize".into()), true),
        ("/a", None, PurgeScope::Function("def".into()), true),
        ("/a", None, PurgeScope::Function("de".into()), false),
        ("/a", None, PurgeScope::Everything, true),
    ];
    let head = head_of(&entry);
    for (path, query, scope, expected) in rows {
        for hardness in [Hardness::Hard, Hardness::Soft] {
            let (hasher, purges) = kit(8);
            let key = Key::new(&hasher, target("a.example", path, query), &[]);
            let subject = Subject {
                key: &key,
                head: Some(&head),
                is_stored: true,
            };
            assert_eq!(purges.purge(&scope, hardness, at(5)), 1);
            let found = match hardness {
                _ if !expected => Purged::No,
                Hardness::Hard => Purged::Hard,
                Hardness::Soft => Purged::Soft(at(5)),
            };
            let verdict = purges.decide(subject, 0);
            assert_eq!(verdict.purged, found, "{path} {query:?} {scope}");
            assert_eq!(verdict.sequence, 1);
            assert_eq!(purges.decide(subject, 1).purged, Purged::No);
            assert_eq!(purges.decide_kept(subject, 0, at(9)).purged, found);
            assert_eq!(purges.decide_kept(subject, 1, at(0)).purged, Purged::No);
        }
    }
}

#[test]
fn a_deep_path_is_found_by_as_many_borders_as_a_prefix_may_have() {
    let (hasher, purges) = kit(8);
    let deep = "/a".repeat(200);
    let key = Key::new(&hasher, target("a.example", &deep, None), &[]);
    let subject = Subject {
        key: &key,
        head: None,
        is_stored: true,
    };
    let longest = "/a".repeat(PREFIX_SEGMENTS_MAX);
    purges.purge(&prefix(&longest), Hardness::Hard, at(1));
    assert_eq!(purges.decide(subject, 0).purged, Purged::Hard);
    let over = "/a".repeat(PREFIX_SEGMENTS_MAX + 1);
    assert!(PurgeScope::prefix(target("a.example", &over, None)).is_err());
}

#[test]
fn keys_with_parts_are_purged_with_their_uri_however_old_the_record() {
    let (hasher, purges) = kit(2);
    let part = KeyPart {
        name: "user",
        value: b"7",
    };
    let parted = Key::new(&hasher, target("a.example", "/a", None), &[part]);
    let plain = Key::new(&hasher, target("a.example", "/a", None), &[]);
    let subject = |key, is_stored| Subject {
        key,
        head: None,
        is_stored,
    };
    for path in ["/a", "/b", "/c"] {
        purges.purge(&uri(path), Hardness::Hard, at(1));
    }
    assert_eq!(
        purges.decide(subject(&parted, true), 0).purged,
        Purged::Hard
    );
    assert_eq!(purges.decide(subject(&parted, true), 1).purged, Purged::No);
    assert_eq!(
        purges.decide(subject(&plain, false), 0).purged,
        Purged::Hard
    );
    // The purge took this one out of the store, so what is there came later.
    assert_eq!(purges.decide(subject(&plain, true), 0).purged, Purged::No);
}

/// What the property test purges and asks about: a small world, so that scopes meet.
#[derive(Clone, Debug)]
enum Step {
    Purge(PurgeScope, Hardness),
    /// Asked for now, stored at once.
    Store(usize),
    /// A lookup, which notes up to where it looked.
    Look(usize),
}

const PATHS: [&str; 5] = ["/", "/a", "/a/b", "/a/b/c", "/ab"];
const TAGS: [&str; 3] = ["red", "big", "red big"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let scope = prop_oneof![
        4 => (0..PATHS.len()).prop_map(|i| uri(PATHS[i])),
        2 => (0..PATHS.len()).prop_map(|i| prefix(PATHS[i])),
        2 => prop_oneof![Just("red"), Just("big")]
            .prop_map(|text| PurgeScope::SurrogateKey(name(text))),
        1 => prop_oneof![Just("shop"), Just("blog")]
            .prop_map(|site| PurgeScope::Site(site.into())),
        1 => (prop_oneof![Just("shop"), Just("blog")], prop_oneof![Just("red"), Just("big")])
            .prop_map(|(site, text)| PurgeScope::SiteKey(site.into(), name(text))),
        1 => Just(PurgeScope::Function("resize".into())),
        1 => Just(PurgeScope::Everything),
    ];
    let hardness = prop_oneof![Just(Hardness::Hard), Just(Hardness::Soft)];
    let step = prop_oneof![
        3 => (scope, hardness).prop_map(|(scope, hardness)| Step::Purge(scope, hardness)),
        2 => (0..30_usize).prop_map(Step::Store),
        3 => (0..30_usize).prop_map(Step::Look),
    ];
    proptest::collection::vec(step, 1..60)
}

/// What a purge of `scope` must take, told without hashes.
fn concerns(scope: &PurgeScope, path: &str, tags: &str, site: &str) -> bool {
    match scope {
        PurgeScope::Uri(of) => of.target().path == path,
        PurgeScope::Prefix(of) => {
            let prefix = of.target().path;
            let below = path.strip_prefix(prefix);
            below.is_some_and(|rest| {
                rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/')
            })
        }
        PurgeScope::SurrogateKey(key) => tags.split(' ').any(|tag| tag == key.as_str()),
        PurgeScope::Site(name) => &**name == site,
        PurgeScope::SiteKey(name, key) => {
            &**name == site && tags.split(' ').any(|tag| tag == key.as_str())
        }
        PurgeScope::Function(_) | PurgeScope::Everything => true,
        PurgeScope::Group(..) => false,
    }
}

/// One stored response beside what the model knows of it.
struct Known {
    key: Key,
    head: Arc<StoredHead>,
    seen: u64,
    hard: bool,
    soft: bool,
    found_soft: bool,
}

proptest! {
    /// A model that remembers everything, against records that forget: nothing
    /// purged is ever missed, and while nothing was forgotten nothing else is purged.
    #[test]
    fn purges_are_what_a_model_says(steps in steps(), max in prop_oneof![Just(3_usize), Just(1000)]) {
        let (hasher, purges) = kit(max);
        let mut stored: std::collections::HashMap<usize, Known> = std::collections::HashMap::new();
        for step in steps {
            match step {
                Step::Purge(scope, hardness) => {
                    purges.purge(&scope, hardness, at(1));
                    for (number, known) in &mut stored {
                        let (path, tags, site) = place(*number);
                        if concerns(&scope, path, tags, site) {
                            known.hard |= hardness == Hardness::Hard;
                            known.soft |= hardness == Hardness::Soft;
                        }
                    }
                    if hardness == Hardness::Hard && let PurgeScope::Uri(of) = &scope {
                        // As the cache does.
                        stored.retain(|number, _| place(*number).0 != of.target().path);
                    }
                }
                Step::Store(number) => {
                    let (path, tags, site) = place(number);
                    let head = head_of(&Entry { site, tags, groups: "", made_by: Some("resize@abc") });
                    stored.insert(number, Known {
                        key: Key::new(&hasher, target("a.example", path, None), &[]),
                        head: Arc::new(head),
                        seen: purges.sequence(),
                        hard: false,
                        soft: false,
                        found_soft: false,
                    });
                }
                Step::Look(number) => {
                    let Some(known) = stored.get_mut(&number) else { continue };
                    let subject = Subject { key: &known.key, head: Some(&known.head), is_stored: true };
                    let sequence = purges.sequence();
                    if !purges.may_concern(subject, known.seen) {
                        // As the cache does: the records are not looked at.
                        known.seen = sequence;
                        prop_assert!(!known.hard, "a hard purge was overlooked");
                        prop_assert!(known.found_soft || !known.soft, "a soft purge was overlooked");
                        continue;
                    }
                    let verdict = purges.decide(subject, known.seen);
                    known.seen = verdict.sequence;
                    known.found_soft |= matches!(verdict.purged, Purged::Soft(_));
                    let is_gone = verdict.purged == Purged::Hard;
                    prop_assert!(is_gone || !known.hard, "a hard purge was missed");
                    prop_assert!(is_gone || known.found_soft || !known.soft, "a soft purge was missed");
                    if max == 1000 {
                        prop_assert_eq!(is_gone, known.hard);
                        prop_assert!(is_gone || known.found_soft == known.soft);
                    }
                    if is_gone {
                        stored.remove(&number);
                    }
                }
            }
        }
    }
}

fn place(number: usize) -> (&'static str, &'static str, &'static str) {
    let site = if number.is_multiple_of(2) {
        "shop"
    } else {
        "blog"
    };
    (PATHS[number % 5], TAGS[number / 5 % 3], site)
}

#[test]
fn the_small_world_has_thirty_places() {
    let places: HashSet<_> = (0..30).map(place).collect();
    assert_eq!(places.len(), 30);
}
