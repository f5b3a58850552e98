use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::*;

fn patterns(names: &[&str]) -> Vec<NamePattern> {
    names.iter().map(|name| NamePattern::new(name)).collect()
}

fn policy(query: QueryRule, parameters: ParameterRule) -> KeyPolicy {
    KeyPolicy {
        query,
        parameters,
        ..KeyPolicy::default()
    }
}

fn dropping_tracking() -> KeyPolicy {
    policy(
        QueryRule::Sorted,
        ParameterRule::Drop(patterns(&TRACKING_PARAMETERS)),
    )
}

fn cookies(lines: &[&str]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in lines {
        fields.append(COOKIE, HeaderValue::from_str(line).expect("a value"));
    }
    fields
}

/// Policy, query, what is kept, what is dropped.
type Row<'a> = (
    &'a KeyPolicy,
    Option<&'a str>,
    Option<&'a str>,
    &'a [&'a str],
);

#[test]
fn queries_are_reduced_as_the_policy_says() {
    let as_is = policy(QueryRule::AsIs, ParameterRule::All);
    let sorted = policy(QueryRule::Sorted, ParameterRule::All);
    let none = policy(QueryRule::None, ParameterRule::All);
    let allow = policy(
        QueryRule::AsIs,
        ParameterRule::Allow(patterns(&["q", "p*"])),
    );
    let tracking = dropping_tracking();
    let table: &[Row<'_>] = &[
        (&as_is, None, None, &[]),
        (&as_is, Some(""), Some(""), &[]),
        (&as_is, Some("b=1&a=2"), Some("b=1&a=2"), &[]),
        (&as_is, Some("&&"), Some("&&"), &[]),
        (&sorted, Some("b=1&a=2&b=0"), Some("a=2&b=1&b=0"), &[]),
        (&sorted, Some("b&a&B"), Some("B&a&b"), &[]),
        // An encoded name is the same name, so its place among its equals stays.
        (&sorted, Some("q=2&%71=1&a"), Some("a&q=2&%71=1"), &[]),
        (&none, Some("a=1"), None, &["a"]),
        (&none, Some(""), None, &[]),
        (&none, None, None, &[]),
        (&allow, Some("q=1&x=2&page=3"), Some("q=1&page=3"), &["x"]),
        (&allow, Some("x=2&x=3"), None, &["x", "x"]),
        (&allow, Some("%71=1"), Some("%71=1"), &[]),
        (&allow, Some("Q=1"), None, &["Q"]),
        (&allow, Some("qq=1"), None, &["qq"]),
        // A semicolon is no separator: what a lenient origin would take for a second
        // parameter goes with the one that it hides in.
        (&allow, Some("x=1;q=evil"), None, &["x"]),
        (
            &tracking,
            Some("utm_source=a&gclid=b"),
            None,
            &["utm_source", "gclid"],
        ),
        (
            &tracking,
            Some("utm%5Fsource=a&q=1"),
            Some("q=1"),
            &["utm%5Fsource"],
        ),
        (&tracking, Some("utm=1"), Some("utm=1"), &[]),
        (&tracking, Some("fbclid"), None, &["fbclid"]),
        (&tracking, Some("&fbclid=1"), Some(""), &["fbclid"]),
        (&tracking, Some("q=utm_source"), Some("q=utm_source"), &[]),
    ];
    for (policy, query, kept, dropped) in table {
        let reduced = policy.reduce_query(*query);
        assert_eq!(reduced.kept.as_deref(), *kept, "{query:?}");
        assert_eq!(reduced.dropped.as_slice(), *dropped, "{query:?}");
        assert_eq!(reduced.differs_from(*query), kept != query, "{query:?}");
    }
}

#[test]
fn names_are_compared_as_an_origin_decodes_them() {
    // (pattern, name, whether it is meant)
    let table = [
        ("q", "q", true),
        ("q", "%71", true),
        ("q", "%7", false),
        ("%", "%", true),
        ("a b", "a+b", true),
        ("a b", "a%20b", true),
        ("q*", "q", true),
        ("q*", "quux", true),
        ("*", "", true),
        ("", "", true),
        ("", "q", false),
        ("q", "qq", false),
        ("qq", "q", false),
        ("é", "%C3%A9", true),
        ("%zz", "%zz", true),
    ];
    for (pattern, name, expected) in table {
        let matches = NamePattern::new(pattern).matches(name);
        assert_eq!(matches, expected, "{pattern} {name}");
    }
}

#[test]
fn cookies_are_reduced_to_those_that_count() {
    let policy = KeyPolicy {
        cookies: Some(vec!["currency".to_owned(), "lang".to_owned()]),
        ..KeyPolicy::default()
    };
    // (Cookie lines, what is left; None where nothing changes)
    let table: &[(&[&str], Option<&str>)] = &[
        (&[], None),
        (&["currency=EUR"], None),
        (&["lang=de; currency=EUR", "lang=fr"], None),
        (
            &["session=1; currency=EUR; lang = de"],
            Some("currency=EUR; lang = de"),
        ),
        (&["session=1", "currency=EUR"], Some("currency=EUR")),
        (&["session=1"], Some("")),
        (&["currency"], Some("")),
        (&["Currency=EUR"], Some("")),
        (&["xcurrency=EUR; ; =1"], Some("")),
    ];
    for (lines, expected) in table {
        let left = match policy.reduce_cookies(&cookies(lines)) {
            None => None,
            Some(CookieChange::Removed) => Some(String::new()),
            Some(CookieChange::Reduced(value)) => Some(value.to_str().expect("text").to_owned()),
        };
        assert_eq!(left.as_deref(), *expected, "{lines:?}");
    }
    let leaves = KeyPolicy::default();
    assert_eq!(leaves.reduce_cookies(&cookies(&["session=1"])), None);
    let unkeyed = cookies(&["session=1; lang=de"]);
    assert_eq!(policy.unkeyed_cookies(&unkeyed), ["session"]);
    assert!(leaves.unkeyed_cookies(&unkeyed).is_empty());
}

#[test]
fn fields_cookies_and_method_are_parts() {
    let policy = KeyPolicy {
        fields: vec![HeaderName::from_static("x-device")],
        cookies: Some(vec!["currency".to_owned()]),
        method: true,
        max_bytes: 40,
        ..KeyPolicy::default()
    };
    let parts = |method: &Method, device: Option<&str>, cookie: &str| {
        let mut fields = cookies(&[cookie]);
        if let Some(device) = device {
            fields.insert("x-device", HeaderValue::from_str(device).expect("a value"));
        }
        policy.parts(method, &fields)
    };
    let get = |device, cookie| parts(&Method::GET, device, cookie).expect("small");
    assert_eq!(get(Some("tv"), "currency=EUR").len(), 2);
    assert_ne!(get(Some("tv"), ""), get(Some("phone"), ""));
    assert_ne!(get(None, ""), get(Some(""), ""), "absent is not empty");
    assert_ne!(get(None, ""), get(None, "currency="));
    assert_ne!(
        get(None, "currency=A; currency=B"),
        get(None, "currency=B; currency=A")
    );
    assert_eq!(
        get(None, "currency=A; session=1"),
        get(None, "session=2; currency=A")
    );
    let head = parts(&Method::HEAD, None, "").expect("small");
    assert_ne!(head, get(None, ""));
    let long = "x".repeat(40);
    assert_eq!(
        parts(&Method::GET, Some(&long), ""),
        Err(KeyRefusal::TooLarge)
    );
    assert!(policy.keys_field(&HeaderName::from_static("x-device")));
    assert!(policy.keys_field(&COOKIE));
}

#[test]
fn what_reaches_the_origin_unkeyed_is_known() {
    let loose = |policy: KeyPolicy| KeyPolicy {
        unkeyed: UnkeyedInput::AsAsked,
        ..policy
    };
    assert!(!dropping_tracking().lets_unkeyed_pass());
    assert!(loose(dropping_tracking()).lets_unkeyed_pass());
    assert!(!loose(KeyPolicy::default()).lets_unkeyed_pass());
    let cookies = KeyPolicy {
        cookies: Some(Vec::new()),
        ..KeyPolicy::default()
    };
    assert!(!cookies.lets_unkeyed_pass());
    assert!(loose(cookies.clone()).lets_unkeyed_pass());
    assert!(!loose(cookies).keys_field(&COOKIE));
}

#[test]
fn labels_of_refusals_are_different() {
    let mut labels = KeyRefusal::ALL.map(KeyRefusal::label).to_vec();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), KeyRefusal::ALL.len());
}

/// A parameter out of few names, so that they repeat.
fn parameter() -> impl Strategy<Value = String> {
    (
        "(a|b|%61|utm_x|gclid|)",
        proptest::option::of("[0-9=]{0,2}"),
    )
        .prop_map(|(name, value)| {
            value.map_or_else(|| name.clone(), |value| format!("{name}={value}"))
        })
}

fn parameters() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(parameter(), 0..6)
}

fn text(parameters: &[String]) -> Option<String> {
    (!parameters.is_empty()).then(|| parameters.join("&"))
}

fn kept(policy: &KeyPolicy, parameters: &[String]) -> Option<String> {
    let query = text(parameters);
    let reduced = policy.reduce_query(query.as_deref());
    reduced.kept.map(Cow::into_owned)
}

/// The name, decoded, of what `parameter` makes.
fn plain_name(parameter: &str) -> String {
    let name = parameter.split('=').next().unwrap_or_default();
    name.replace("%61", "a")
}

fn is_tracking(parameter: &str) -> bool {
    let name = plain_name(parameter);
    name.starts_with("utm_") || name == "gclid"
}

proptest! {
    /// The order of parameters with different names does not matter, and that of parameters
    /// of one name is kept.
    #[test]
    fn sorted_queries_forget_order_but_that_of_equal_names(
        one in parameters(),
        seed in proptest::collection::vec(any::<u8>(), 6),
    ) {
        let sorted = policy(QueryRule::Sorted, ParameterRule::All);
        // Another order, in which parameters of one name stand as before.
        let mut places: Vec<usize> = (0..one.len()).collect();
        places.sort_by_key(|place| seed[*place]);
        let mut other = vec![String::new(); one.len()];
        let mut of_name = std::collections::HashMap::<String, Vec<&String>>::new();
        for parameter in one.iter().rev() {
            of_name.entry(plain_name(parameter)).or_default().push(parameter);
        }
        for (to, from) in places.into_iter().enumerate() {
            let next = of_name.get_mut(&plain_name(&one[from])).and_then(Vec::pop);
            other[to].clone_from(next.expect("as many as there are"));
        }
        prop_assert_eq!(kept(&sorted, &one), kept(&sorted, &other));
        // Nothing is lost, and equal names keep their order.
        let result = kept(&sorted, &one).unwrap_or_default();
        for name in ["a", "b", "utm_x", "gclid", ""] {
            let of = |list: Vec<&str>| -> Vec<String> {
                list.into_iter().filter(|p| plain_name(p) == name).map(str::to_owned).collect()
            };
            let before = of(one.iter().map(String::as_str).collect());
            let after = if one.is_empty() { Vec::new() } else { of(result.split('&').collect()) };
            prop_assert_eq!(before, after);
        }
    }

    /// What is dropped never has a part in the key.
    #[test]
    fn dropped_parameters_have_no_influence(one in parameters()) {
        let policy = dropping_tracking();
        let clean: Vec<String> = one.iter().filter(|p| !is_tracking(p)).cloned().collect();
        prop_assert_eq!(kept(&policy, &one), kept(&policy, &clean));
    }

    /// Two queries of which different things are kept never have one key.
    #[test]
    fn what_is_kept_tells_queries_apart(one in parameters(), other in parameters()) {
        let policy = policy(
            QueryRule::AsIs,
            ParameterRule::Drop(patterns(&TRACKING_PARAMETERS)),
        );
        let clean = |list: &[String]| -> Vec<String> {
            list.iter().filter(|p| !is_tracking(p)).cloned().collect()
        };
        let same = clean(&one) == clean(&other);
        prop_assert_eq!(kept(&policy, &one) == kept(&policy, &other), same);
    }

    /// Reducing what is reduced changes nothing: a purge by either URL means one response.
    #[test]
    fn reducing_twice_is_reducing_once(query in "[a-c&=%61_;+]{0,12}") {
        for policy in [
            dropping_tracking(),
            policy(QueryRule::Sorted, ParameterRule::All),
            policy(QueryRule::AsIs, ParameterRule::Allow(patterns(&["a", "b*"]))),
        ] {
            let once = policy.reduce_query(Some(&query)).kept.map(Cow::into_owned);
            let twice = policy.reduce_query(once.as_deref()).kept.map(Cow::into_owned);
            prop_assert_eq!(once, twice);
        }
    }

    /// Nothing that a client sends breaks the reading of cookies.
    #[test]
    fn cookies_that_are_left_are_those_that_count(line in "[a-c=; ]{0,16}") {
        let policy = KeyPolicy {
            cookies: Some(vec!["a".to_owned(), "b".to_owned()]),
            ..KeyPolicy::default()
        };
        let mut request = cookies(&[&line]);
        let before = policy.parts(&Method::GET, &request);
        match policy.reduce_cookies(&request) {
            None => {}
            Some(CookieChange::Removed) => drop(request.remove(COOKIE)),
            Some(CookieChange::Reduced(value)) => drop(request.insert(COOKIE, value)),
        }
        prop_assert_eq!(policy.parts(&Method::GET, &request), before);
        prop_assert!(policy.unkeyed_cookies(&request).is_empty());
    }
}
