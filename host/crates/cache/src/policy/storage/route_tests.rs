//! What a route's policy, targeted fields and surrogate keys make of storing,
//! and what no response can make of it.

use std::time::UNIX_EPOCH;

use http::HeaderName;
use proptest::prelude::*;

use super::super::route::{StatusMatch, StatusTtls};
use super::*;

const NOW: u64 = 784_111_777;

fn fields_of(lines: &[(&str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().expect("a name");
        (name, value.parse().expect("a value"))
    };
    lines.iter().map(field).collect()
}

fn decide(
    method: RequestMethod,
    status: u16,
    lines: &[(&str, &str)],
    route: &RoutePolicy,
) -> Result<StoragePlan, RefuseReason> {
    let fields = fields_of(lines);
    let request = RequestFacts {
        method,
        ..RequestFacts::of(&Method::GET, &fields, false)
    };
    let facts = StorageFacts {
        request,
        status: StatusCode::from_u16(status).expect("a status"),
        fields: &fields,
        received_wall: UNIX_EPOCH + Duration::from_secs(NOW),
        initial_age: Duration::ZERO,
        route,
    };
    match decide_storage(&facts) {
        Storage::Store(plan) => Ok(*plan),
        Storage::Refuse(reason) => Err(reason),
    }
}

fn get(
    status: u16,
    lines: &[(&str, &str)],
    route: &RoutePolicy,
) -> Result<(u64, LifetimeSource), RefuseReason> {
    let plan = decide(RequestMethod::Get, status, lines, route)?;
    Ok((plan.lifetime.as_secs(), plan.source))
}

fn policy(directives: OriginDirectives) -> RoutePolicy {
    RoutePolicy {
        default_ttl: Duration::from_secs(30),
        statuses: StatusTtls::new([
            (StatusMatch::Exact(404), Duration::from_secs(10)),
            (StatusMatch::Class(5), Duration::from_secs(1)),
        ]),
        origin_directives: directives,
        ..RoutePolicy::default()
    }
}

const MINUTE: (&str, &str) = ("cache-control", "max-age=60");
/// 1,000 seconds before now.
const MODIFIED: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:32:57 GMT");

#[test]
fn lifetimes_of_the_route_stand_in_where_none_is_named_rfc_9111_4_2_2() {
    use LifetimeSource::{Heuristic, MaxAge, Route, RouteStatus};
    let plain = RoutePolicy::default();
    let follow = policy(OriginDirectives::Follow);
    assert_eq!(get(200, &[MODIFIED], &plain), Ok((100, Heuristic)));
    assert_eq!(get(200, &[MODIFIED], &follow), Ok((30, Route)));
    assert_eq!(get(200, &[MINUTE], &follow), Ok((60, MaxAge)));
    assert_eq!(get(404, &[MODIFIED], &follow), Ok((10, RouteStatus)));
    assert_eq!(get(503, &[], &follow), Ok((1, RouteStatus)));
    assert_eq!(get(404, &[MINUTE], &follow), Ok((60, MaxAge)));
    assert_eq!(get(403, &[], &follow), Err(RefuseReason::NotCacheable));
    assert_eq!(
        get(302, &[MODIFIED], &plain),
        Err(RefuseReason::NotCacheable)
    );
    let public = [MODIFIED, ("cache-control", "public")];
    assert_eq!(get(302, &public, &plain), Ok((100, Heuristic)));
    let no_store = [("cache-control", "no-store")];
    assert_eq!(get(404, &no_store, &follow), Err(RefuseReason::NoStore));
}

#[test]
fn directives_of_the_origin_are_overridden_or_ignored_as_the_route_says() {
    use LifetimeSource::{MaxAge, Route, RouteStatus};
    let overriding = policy(OriginDirectives::Override);
    assert_eq!(get(200, &[MINUTE], &overriding), Ok((30, Route)));
    assert_eq!(get(302, &[MINUTE], &overriding), Ok((30, Route)));
    assert_eq!(get(404, &[MINUTE], &overriding), Ok((10, RouteStatus)));
    let strict = [("cache-control", "max-age=60, must-revalidate")];
    let plan = decide(RequestMethod::Get, 200, &strict, &overriding).expect("stored");
    assert!(plan.directives.must_revalidate);
    let private = [("cache-control", "private, max-age=60")];
    assert_eq!(get(200, &private, &overriding), Err(RefuseReason::Private));
    // A cookie is shared only for as long as its origin says.
    let cookie = [MINUTE, ("set-cookie", "a=b")];
    assert_eq!(get(200, &cookie, &overriding), Ok((60, MaxAge)));

    let ignoring = policy(OriginDirectives::Ignore);
    assert_eq!(get(200, &strict, &ignoring), Ok((30, Route)));
    assert_eq!(
        get(302, &[MINUTE], &ignoring),
        Err(RefuseReason::NotCacheable)
    );
    assert_eq!(get(200, &private, &ignoring), Err(RefuseReason::Private));
    assert_eq!(get(200, &cookie, &ignoring), Err(RefuseReason::SetCookie));
    let all = policy(OriginDirectives::IgnoreAll);
    assert_eq!(get(200, &private, &all), Ok((30, Route)));
}

#[test]
fn a_post_is_stored_for_its_own_uri_with_an_explicit_lifetime_rfc_9110_9_3_3() {
    let route = RoutePolicy {
        default_ttl: Duration::from_secs(30),
        ..RoutePolicy::default()
    };
    let post = |is_of_target, lines: &[(&str, &str)]| {
        let method = RequestMethod::Post { is_of_target };
        decide(method, 200, lines, &route).map(|plan| plan.lifetime.as_secs())
    };
    assert_eq!(post(true, &[MINUTE]), Ok(60));
    assert_eq!(post(false, &[MINUTE]), Err(RefuseReason::Post));
    assert_eq!(post(true, &[MODIFIED]), Err(RefuseReason::Post));
    assert_eq!(
        post(true, &[("cache-control", "no-store, max-age=60")]),
        Err(RefuseReason::NoStore)
    );
}

#[test]
fn keys_and_the_targeted_field_are_kept_with_the_plan() {
    let route = RoutePolicy::default();
    let lines = [
        ("cdn-cache-control", "max-age=60"),
        ("cache-control", "no-store"),
        ("surrogate-key", "a b"),
    ];
    let plan = decide(RequestMethod::Get, 200, &lines, &route).expect("stored");
    assert_eq!(plan.surrogate_keys.iter().count(), 2);
    assert_eq!(
        plan.targeted,
        Some(HeaderName::from_static("cdn-cache-control"))
    );
    let many: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    let lines = [MINUTE, ("cache-tag", &many.join(","))];
    assert_eq!(get(200, &lines, &route), Err(RefuseReason::SurrogateKeys));
}

fn directive() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "max-age=60",
        "max-age=0",
        "s-maxage=30",
        "public",
        "must-revalidate",
        "must-understand",
        "no-cache",
        "private=\"x\"",
        "immutable",
        "stale-if-error=9",
        "x",
    ])
}

proptest! {
    /// no-store, private and no-cache never make a response storable that was
    /// not, nor fresh for longer.
    #[test]
    fn restricting_never_loosens(
        directives in proptest::collection::vec(directive(), 0..5),
        more in proptest::sample::select(vec!["no-store", "private", "no-cache", "max-age=0"]),
        status in proptest::sample::select(vec![200_u16, 299, 302, 404, 503]),
        has_tag in any::<bool>(),
    ) {
        let route = RoutePolicy::default();
        let tag = has_tag.then_some(("etag", "\"a\""));
        let lifetime = |control: &str| {
            let mut lines = vec![("cache-control", control), MODIFIED];
            lines.extend(tag);
            let plan = decide(RequestMethod::Get, status, &lines, &route).ok()?;
            let is_reused = plan.directives.no_cache != Qualified::Whole;
            Some(if is_reused { plan.lifetime } else { Duration::ZERO })
        };
        let before = directives.join(", ");
        // A lifetime of zero is explicit: it makes storable what names none.
        if more != "max-age=0" || lifetime(&before).is_some() {
            let after = format!("{before}, {more}");
            prop_assert!(lifetime(&after) <= lifetime(&before), "{}", after);
        }
    }

    #[test]
    fn private_and_no_store_win_whatever_stands_beside_them(
        directives in proptest::collection::vec(directive(), 0..5),
        status in 200_u16..=999,
    ) {
        let route = RoutePolicy::default();
        let control = format!("{}, private", directives.join(", "));
        prop_assert!(get(status, &[("cache-control", &control)], &route).is_err());
        if !directives.contains(&"must-understand") {
            let control = format!("no-store, {}", directives.join(", "));
            prop_assert!(get(status, &[("cache-control", &control)], &route).is_err());
        }
    }
}
