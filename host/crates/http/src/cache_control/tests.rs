//! Tables of Cache-Control values, well and badly written.

use proptest::prelude::*;

use super::*;
use crate::testing::fields;

fn request(lines: &[&str]) -> RequestDirectives {
    let lines: Vec<_> = lines.iter().map(|line| ("cache-control", *line)).collect();
    RequestDirectives::parse(&fields(&lines))
}

fn response(lines: &[&str]) -> ResponseDirectives {
    let lines: Vec<_> = lines.iter().map(|line| ("cache-control", *line)).collect();
    ResponseDirectives::parse(&fields(&lines))
}

const fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

fn names(list: &[&str]) -> Qualified {
    Qualified::Fields(list.iter().map(|n| n.parse().expect("a name")).collect())
}

#[test]
fn every_response_directive_is_known_in_any_case() {
    let found = response(&[
        "No-Store, no-cache, PRIVATE, public, max-age=1, s-maxage=2",
        "must-revalidate, proxy-revalidate, must-understand, no-transform",
        "immutable, stale-while-revalidate=3, stale-if-error=4, unknown, other=\"a, b\"",
    ]);
    let expected = ResponseDirectives {
        no_store: true,
        no_cache: Qualified::Whole,
        private: Qualified::Whole,
        public: true,
        max_age: seconds(1),
        s_maxage: seconds(2),
        must_revalidate: true,
        proxy_revalidate: true,
        must_understand: true,
        no_transform: true,
        immutable: true,
        stale_while_revalidate: seconds(3),
        stale_if_error: seconds(4),
    };
    assert_eq!(found, expected);
}

#[test]
fn every_request_directive_is_known() {
    let found = request(&[
        "no-store, no-cache, no-transform, only-if-cached, max-age=1",
        "max-stale=2, min-fresh=3, stale-if-error=4",
    ]);
    let expected = RequestDirectives {
        no_store: true,
        no_cache: true,
        no_transform: true,
        only_if_cached: true,
        max_age: seconds(1),
        max_stale: Some(MaxStale::Within(Duration::from_secs(2))),
        min_fresh: seconds(3),
        stale_if_error: seconds(4),
    };
    assert_eq!(found, expected);
    assert_eq!(request(&[]), RequestDirectives::default());
}

#[test]
fn a_max_age_that_is_no_number_makes_stale() {
    for (value, expected) in [
        ("max-age=60", seconds(60)),
        ("max-age=\"60\"", seconds(60)),
        ("max-age=0060", seconds(60)),
        ("MAX-AGE=60", seconds(60)),
        ("max-age=2147483648", seconds(DELTA_SECONDS_MAX)),
        (
            "max-age=99999999999999999999999",
            seconds(DELTA_SECONDS_MAX),
        ),
        ("max-age", seconds(0)),
        ("max-age=", seconds(0)),
        ("max-age=-1", seconds(0)),
        ("max-age=1.5", seconds(0)),
        ("max-age=60s", seconds(0)),
        ("max-age=a60", seconds(0)),
        ("max-age='60'", seconds(0)),
        ("max-age = 60", seconds(0)),
        ("max-age= 60", seconds(0)),
        ("max-age=30, max-age=60", seconds(30)),
        ("max-age=x, max-age=30", seconds(0)),
        ("max-age=\"60, max-age=5", seconds(0)),
        ("max-age=60;x", seconds(0)),
        ("max-age 60", seconds(0)),
        ("max-age:60", seconds(0)),
        ("max-age\t=60", seconds(0)),
        ("max-age==60", seconds(0)),
        ("max-age=+60", seconds(0)),
        ("max-age=0x3c", seconds(0)),
        ("max-age=6e1", seconds(0)),
        ("max-age=6 0", seconds(0)),
        ("max-age=60.", seconds(0)),
        ("max-age=\"60\"x", seconds(0)),
        ("max-age=\"\"", seconds(0)),
        ("max-age=\" 60\"", seconds(0)),
        ("max-age=\"\\60\"", seconds(60)),
        ("max-age=2147483647", seconds(DELTA_SECONDS_MAX - 1)),
        ("max-age=18446744073709551616", seconds(DELTA_SECONDS_MAX)),
        ("xmax-age=60", None),
        ("x-max-age=60", None),
        ("max-agent=60", None),
        ("\"max-age\"=60", None),
        ("other=\"max-age=60, x\"", None),
    ] {
        assert_eq!(response(&[value]).max_age, expected, "{value}");
        assert_eq!(request(&[value]).max_age, expected, "{value}");
    }
}

#[test]
fn of_repeated_lifetimes_of_a_response_the_first_counts_rfc_9111_4_2_1() {
    for value in ["max-age=60, max-age=30", "max-age=60, max-age=x"] {
        assert_eq!(response(&[value]).max_age, seconds(60), "{value}");
        // The client's wish is the stricter of the two.
        assert!(request(&[value]).max_age < seconds(60), "{value}");
    }
    let two = response(&["s-maxage=60", "s-maxage=30"]);
    assert_eq!(two.s_maxage, seconds(60));
}

#[test]
fn an_open_quote_does_not_hide_what_follows() {
    assert!(response(&["foo=\"bar, no-store"]).no_store);
    assert!(response(&["foo=\"bar", "no-store"]).no_store);
    assert!(!response(&["foo=\"bar, no-store\""]).no_store);
}

#[test]
fn what_restricts_holds_with_any_argument_and_what_loosens_with_none() {
    assert!(response(&["no-store;x"]).no_store);
    assert!(response(&["no-store "]).no_store);
    assert!(!response(&["no-stores, xno-store, no store"]).no_store);
    assert!(!response(&["public;max-age=5"]).public);
    let found = response(&[
        "no-store=1, must-revalidate=x, proxy-revalidate=\"\", no-transform=0, \
         public=1, immutable=x, must-understand=\"y\"",
    ]);
    assert!(found.no_store && found.must_revalidate && found.proxy_revalidate);
    assert!(found.no_transform);
    assert!(!found.public && !found.immutable && !found.must_understand);
}

#[test]
fn qualified_forms_are_restricted_only_where_that_is_clear() {
    for (value, expected) in [
        ("no-cache", Qualified::Whole),
        ("no-cache=\"set-cookie\"", names(&["set-cookie"])),
        ("no-cache=\" B , a,A\"", names(&["a", "b"])),
        ("no-cache=\"a\", no-cache=\"b\"", names(&["a", "b"])),
        ("no-cache=\"a\", no-cache", Qualified::Whole),
        ("no-cache, no-cache=\"a\"", Qualified::Whole),
        ("no-cache=a", names(&["a"])),
        ("no-cache=Set-Cookie", names(&["set-cookie"])),
        ("no-cache=1", Qualified::Whole),
        ("no-cache=True", Qualified::Whole),
        ("no-cache='a'", names(&["'a'"])),
        ("no-cache=a b", Qualified::Whole),
        ("no-cache;a", Qualified::Whole),
        ("no-cache=\"\"", Qualified::Whole),
        ("no-cache=\"a b\"", Qualified::Whole),
        ("no-cache=\"a", Qualified::Whole),
        ("no-cache =\"a\"", Qualified::Whole),
        ("max-age=1", Qualified::Absent),
    ] {
        assert_eq!(response(&[value]).no_cache, expected, "{value}");
        let private = value.replace("no-cache", "private");
        assert_eq!(response(&[&private]).private, expected, "{private}");
    }
    let many: Vec<_> = (0..=QUALIFIED_FIELDS_MAX)
        .map(|n| format!("f{n}"))
        .collect();
    let value = format!("private=\"{}\"", many.join(","));
    assert_eq!(response(&[&value]).private, Qualified::Whole);
}

#[test]
fn request_directives_that_repeat_restrict() {
    let within = |s| Some(MaxStale::Within(Duration::from_secs(s)));
    for (value, expected) in [
        ("max-stale", Some(MaxStale::Any)),
        ("max-stale=5", within(5)),
        ("max-stale, max-stale=5", within(5)),
        ("max-stale=5, max-stale", within(5)),
        ("max-stale=5, max-stale=3", within(3)),
        ("max-stale=x", within(0)),
    ] {
        assert_eq!(request(&[value]).max_stale, expected, "{value}");
    }
    assert_eq!(request(&["min-fresh=5, min-fresh=9"]).min_fresh, seconds(9));
    assert_eq!(
        request(&["min-fresh=x"]).min_fresh,
        seconds(DELTA_SECONDS_MAX)
    );
}

#[test]
fn pragma_counts_where_cache_control_is_absent() {
    let parse = |lines: &[(&str, &str)]| RequestDirectives::parse(&fields(lines)).no_cache;
    assert!(parse(&[("pragma", "No-Cache")]));
    assert!(parse(&[("pragma", "x, no-cache")]));
    assert!(!parse(&[("pragma", "x")]));
    assert!(!parse(&[
        ("pragma", "no-cache"),
        ("cache-control", "max-age=5")
    ]));
    assert!(!parse(&[("pragma", "no-cache"), ("cache-control", "")]));
}

fn directive() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("no-store"),
        Just("no-cache"),
        Just("private"),
        Just("public"),
        Just("max-age"),
        Just("s-maxage"),
        Just("must-revalidate"),
        Just("stale-if-error"),
        Just("immutable"),
        Just("max-stale"),
        Just("min-fresh"),
        Just("x"),
    ];
    let argument = prop_oneof![
        Just(String::new()),
        "=[0-9]{1,12}",
        "=\"[0-9a-z, ]{0,8}\"",
        "=[ -~]{0,6}",
    ];
    (name, argument).prop_map(|(name, argument)| format!("{name}{argument}"))
}

/// Whether `a` allows no more than `b`.
fn restricts(a: &ResponseDirectives, b: &ResponseDirectives) -> bool {
    let shorter = |a: Option<Duration>, b: Option<Duration>| match (a, b) {
        (Some(a), Some(b)) => a <= b,
        (_, None) => true,
        (None, Some(_)) => false,
    };
    let is_given = |named: &Qualified| *named != Qualified::Absent;
    a.no_store >= b.no_store
        && a.must_revalidate >= b.must_revalidate
        && is_given(&a.private) >= is_given(&b.private)
        && is_given(&a.no_cache) >= is_given(&b.no_cache)
        && shorter(a.max_age, b.max_age)
        && shorter(a.s_maxage, b.s_maxage)
}

proptest! {
    #[test]
    fn any_value_is_survived(value in "[ -~\t]{0,80}") {
        let _ = (request(&[&value]), response(&[&value]));
    }

    #[test]
    fn any_bytes_are_survived(value in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = ResponseDirectives::parse_values(std::iter::once(value.as_slice()));
    }

    #[test]
    fn order_and_lines_matter_to_repeated_lifetimes_only(list in proptest::collection::vec(directive(), 0..6)) {
        let lines: Vec<&str> = list.iter().map(String::as_str).collect();
        let backwards: Vec<&str> = lines.iter().rev().copied().collect();
        // A quote that stays open reaches as far as its line does.
        if list.iter().all(|d| d.matches('"').count() % 2 == 0 && !d.contains('\\')) {
            prop_assert_eq!(response(&[&list.join(", ")]), response(&lines));
        }
        // Of those the first counts.
        let rest = |directives: ResponseDirectives| ResponseDirectives {
            max_age: None,
            s_maxage: None,
            ..directives
        };
        prop_assert_eq!(rest(response(&backwards)), rest(response(&lines)));
        prop_assert_eq!(request(&backwards), request(&lines));
    }

    #[test]
    fn repeating_changes_nothing(list in proptest::collection::vec(directive(), 0..6)) {
        let lines: Vec<&str> = list.iter().map(String::as_str).collect();
        let twice: Vec<&str> = lines.iter().chain(&lines).copied().collect();
        prop_assert_eq!(response(&twice), response(&lines));
        prop_assert_eq!(request(&twice), request(&lines));
    }

    #[test]
    fn one_more_directive_never_loosens_storage(
        list in proptest::collection::vec(directive(), 0..5),
        more in directive(),
    ) {
        let mut lines: Vec<&str> = list.iter().map(String::as_str).collect();
        let before = response(&lines);
        lines.push(&more);
        prop_assert!(restricts(&response(&lines), &before));
    }
}
