//! Validations are collapsed, too: one 304 for all that wait.

use std::sync::Arc;

use http::{Method, StatusCode};
use verge_http::cache_control::RequestDirectives;
use verge_http::surrogate::SurrogateKey;

use super::FRESH;
use crate::policy::{RefuseReason, RequestFacts, RoutePolicy};
use crate::purge::{Hardness, PurgeScope, PurgeTarget};
use crate::testkit::*;
use crate::*;

fn stale(kit: &Kit, key: &Key) -> Arc<StoredResponse> {
    let response = [
        ("cache-control", "max-age=60"),
        ("etag", "\"a\""),
        ("age", "50"),
        ("x-old", "1"),
    ];
    kit.store(key, &[], &response, &"abc".into());
    kit.time.advance(20 * SECOND);
    kit.selected(key, &[]).expect("stored")
}

fn lead_validation(kit: &Kit, key: &Key, seen: &Arc<StoredResponse>) -> FillPermit {
    let fields = map(&[]);
    let joined = kit.cache.join(&Seeker {
        key,
        fields: &fields,
        directives: &RequestDirectives::default(),
        seen: Some(seen),
        hint: None,
    });
    match joined {
        Join::Leader(mut permit) => {
            permit.mark_sent();
            permit
        }
        other => panic!("{other:?}"),
    }
}

fn freshen(
    permit: FillPermit,
    seen: &Arc<StoredResponse>,
    not_modified: &[(&str, &str)],
) -> Freshened {
    let fields = map(not_modified);
    let head = ResponseHead::new(StatusCode::NOT_MODIFIED, &fields, permit.received_now());
    let request = map(&[]);
    let facts = RequestFacts::of(&Method::GET, &request, false);
    let answer = NotModified {
        response: &head,
        request: &request,
        facts,
        route: &RoutePolicy::default(),
        made_by: None,
    };
    permit.freshen(seen, &answer)
}

#[test]
fn a_validation_is_collapsed_and_freshens_for_all() {
    let kit = kit();
    let key = kit.key("/a");
    let seen = stale(&kit, &key);
    assert!(!seen.head().freshness(kit.clock.now()).is_fresh());
    let permit = lead_validation(&kit, &key, &seen);
    let mut waiter = kit.follow(&key, &[]);
    let not_modified = [
        ("etag", "\"a\""),
        ("cache-control", "max-age=90"),
        ("content-length", "0"),
    ];
    let Freshened::Stored(fresh) = freshen(permit, &seen, &not_modified) else {
        panic!("not stored");
    };
    assert_eq!(fresh.head().freshness(kit.clock.now()).ttl(), 90);
    assert_eq!(fresh.head().fields().get("x-old").expect("kept"), "1");
    assert_eq!(
        fresh.head().fields().get("content-length").expect("kept"),
        "3"
    );
    assert_eq!(content(fresh.body()), b"abc");
    let Some(Followed::Stored(followed)) = wait(&mut waiter, &[]) else {
        panic!("did not follow");
    };
    assert!(Arc::ptr_eq(&followed, &fresh));
    let found = kit.selected(&key, &[]).expect("stored");
    assert!(Arc::ptr_eq(&found, &fresh));
}

#[test]
fn what_functions_declared_stays_with_what_is_freshened() {
    let kit = kit();
    let key = kit.key("/a");
    let declared: Vec<_> = ["one", "two", "three"]
        .iter()
        .filter_map(|text| SurrogateKey::new(text))
        .collect();
    let mut seen = stale(&kit, &key);
    for (at, name) in ["x", "y"].into_iter().enumerate() {
        let permit = lead_validation(&kit, &key, &seen);
        let fields = map(&[("etag", "\"a\""), ("surrogate-key", name)]);
        let head = ResponseHead::new(StatusCode::NOT_MODIFIED, &fields, permit.received_now());
        let request = map(&[]);
        let answer = NotModified {
            response: &head,
            request: &request,
            facts: RequestFacts {
                declared_keys: &declared[at..=at + 1],
                ..RequestFacts::of(&Method::GET, &request, false)
            },
            route: &RoutePolicy::default(),
            made_by: None,
        };
        let Freshened::Stored(fresh) = permit.freshen(&seen, &answer) else {
            panic!("not stored");
        };
        seen = fresh;
    }
    let keys = seen.head().surrogate_keys().iter();
    let mut keys: Vec<_> = keys.map(SurrogateKey::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["one", "three", "two", "y"]);
}

#[test]
fn functions_of_a_304_are_named_with_those_of_what_it_freshens() {
    let kit = kit();
    let key = kit.key("/a");
    let mut seen = stale(&kit, &key);
    let request = map(&[]);
    let versions = crate::response::made_by::MADE_BY_MAX;
    for version in 0..=versions {
        let permit = lead_validation(&kit, &key, &seen);
        let fields = map(&[("etag", "\"a\"")]);
        let name = format!("f@{version}");
        let answer = NotModified {
            response: &ResponseHead::new(StatusCode::NOT_MODIFIED, &fields, permit.received_now()),
            request: &request,
            facts: RequestFacts::of(&Method::GET, &request, false),
            route: &RoutePolicy::default(),
            made_by: Some(&name),
        };
        match permit.freshen(&seen, &answer) {
            Freshened::Stored(fresh) => seen = fresh,
            Freshened::Used(_, reason) => {
                assert_eq!((version, reason), (versions, RefuseReason::Functions));
            }
            Freshened::OtherRepresentation(_) => panic!("it is the same"),
        }
        let names = seen.head().made_by().expect("functions had a part in it");
        let named = (version + 1).min(versions);
        assert_eq!(names.split(' ').count(), named, "{names}");
    }
    // What nobody could purge by all of its functions is not there.
    assert!(kit.selected(&key, &[]).is_none());
}

#[test]
fn version_that_runs_no_more_leaves_no_marker() {
    let kit = kit();
    let key = kit.key("/a");
    let permit = kit.lead(&key, &[]);
    let mut waiter = kit.follow(&key, &[]);
    permit.refuse(RefuseReason::VersionReplaced);
    let released = wait(&mut waiter, &[]);
    assert!(matches!(released, Some(Followed::Released(_))));
    assert!(matches!(kit.join(&key, &[]), Join::Leader(_)));
}

#[test]
fn a_304_about_another_representation_gives_the_permit_back() {
    let kit = kit();
    let key = kit.key("/a");
    let seen = stale(&kit, &key);
    let permit = lead_validation(&kit, &key, &seen);
    let mut waiter = kit.follow(&key, &[]);
    let Freshened::OtherRepresentation(permit) = freshen(permit, &seen, &[("etag", "\"b\"")])
    else {
        panic!("freshened by another representation");
    };
    assert!(wait(&mut waiter, &[]).is_none(), "still waits");
    let _filling = kit.begin(permit, &[], FRESH);
    assert!(matches!(
        wait(&mut waiter, &[]),
        Some(Followed::Filling { .. })
    ));
}

#[test]
fn a_304_that_forbids_to_store_is_used_once() {
    let kit = kit();
    let key = kit.key("/a");
    let seen = stale(&kit, &key);
    let permit = lead_validation(&kit, &key, &seen);
    let mut waiter = kit.follow(&key, &[]);
    let freshened = freshen(permit, &seen, &[("cache-control", "no-store")]);
    let Freshened::Used(response, RefuseReason::NoStore) = freshened else {
        panic!("{freshened:?}");
    };
    assert_eq!(content(response.body()), b"abc");
    assert!(kit.selected(&key, &[]).is_none());
    assert!(matches!(
        wait(&mut waiter, &[]),
        Some(Followed::Released(_))
    ));
}

#[test]
fn what_was_purged_before_it_was_asked_for_is_not_freshened() {
    let kit = kit();
    let key = kit.key("/a");
    let seen = stale(&kit, &key);
    kit.cache.purge(
        PurgeScope::Uri(PurgeTarget::of(key.target())),
        Hardness::Hard,
    );
    // Looked up before the purge, sent after it.
    let permit = kit.alone(&key, &[]);
    let Freshened::OtherRepresentation(_permit) = freshen(permit, &seen, &[("etag", "\"a\"")])
    else {
        panic!("a purged response came back");
    };
    assert!(kit.selected(&key, &[]).is_none());
}

#[test]
fn a_head_response_does_not_bring_back_what_was_purged() {
    let kit = kit();
    let key = kit.key("/a");
    let seen = stale(&kit, &key);
    kit.cache.purge(
        PurgeScope::Uri(PurgeTarget::of(key.target())),
        Hardness::Hard,
    );
    let (fields, request) = (map(&[("etag", "\"a\"")]), map(&[]));
    let permit = kit.alone(&key, &[]);
    let newer = Newer {
        response: &ResponseHead::new(StatusCode::OK, &fields, permit.received_now()),
        request: &request,
        facts: RequestFacts::of(&Method::HEAD, &request, false),
        route: &RoutePolicy::default(),
        made_by: None,
        sent: kit.cache.sent_at(),
    };
    kit.cache.freshen_by_head(&key, &seen, &newer);
    assert!(kit.selected(&key, &[]).is_none());
}

#[test]
fn an_older_304_does_not_take_the_place_of_a_newer_response() {
    let kit = kit();
    let key = kit.key("/a");
    let seen = stale(&kit, &key);
    let slow = lead_validation(&kit, &key, &seen);
    kit.store(&key, &[], FRESH, &"newer".into());
    let freshened = freshen(slow, &seen, &[("etag", "\"a\"")]);
    let Freshened::Used(response, RefuseReason::Superseded) = freshened else {
        panic!("{freshened:?}");
    };
    assert_eq!(content(response.body()), b"abc");
    let found = kit.selected(&key, &[]).expect("stored");
    assert_eq!(content(found.body()), b"newer");
}

#[test]
fn a_cookie_of_a_304_is_stored_only_if_the_304_itself_is_for_all() {
    let rows: [(&[(&str, &str)], bool); 4] = [
        (&[], false),
        (&[("cache-control", "no-cache")], false),
        (&[("cache-control", "max-age=60")], true),
        (&[("cache-control", "public")], true),
    ];
    for (said, is_stored) in rows {
        let kit = kit();
        let key = kit.key("/a");
        let seen = stale(&kit, &key);
        let permit = lead_validation(&kit, &key, &seen);
        let mut not_modified = vec![("etag", "\"a\""), ("set-cookie", "sid=1")];
        not_modified.extend(said);
        let Freshened::Stored(fresh) = freshen(permit, &seen, &not_modified) else {
            panic!("not stored: {said:?}");
        };
        let fields = fresh.head().fields();
        assert_eq!(fields.contains_key("set-cookie"), is_stored, "{said:?}");
    }
}
