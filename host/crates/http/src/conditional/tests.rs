//! Tables of preconditions, in the order of RFC 9110 13.2.2.

use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;
use crate::testing::fields;

const EARLY: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const LATEST: &str = "Mon, 07 Nov 1994 08:49:37 GMT";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

fn decide(
    evaluator: Evaluator,
    method: &Method,
    request: &[(&str, &str)],
    selected: &[(&str, &str)],
) -> Precondition {
    decide_preconditions(
        evaluator,
        method,
        &fields(request),
        StatusCode::OK,
        &fields(selected),
        now(),
    )
}

#[test]
fn strong_tag_is_known_as_weak_where_nothing_names_it_as_strong() {
    for (listed, tag, expected) in [
        ("W/\"a\"", "\"a\"", true),
        ("\"b\", W/\"a\"", "\"a\"", true),
        ("W/\"a\"", "W/\"a\"", false),
        ("\"a\", W/\"a\"", "\"a\"", false),
        ("W/\"b\"", "\"a\"", false),
        ("*", "\"a\"", false),
    ] {
        let tag = EntityTag::parse(tag.as_bytes()).unwrap();
        let asked = fields(&[("if-none-match", listed)]);
        assert_eq!(is_known_as_weak(&asked, tag), expected, "{listed}");
    }
}

#[test]
fn entity_tags_are_read_as_rfc_9110_8_8_3_says() {
    for (value, expected) in [
        ("\"\"", Some((false, ""))),
        ("\"a\"", Some((false, "a"))),
        ("W/\"a\"", Some((true, "a"))),
        ("\"a\\\"", Some((false, "a\\"))),
        ("\"a,b\"", Some((false, "a,b"))),
        ("w/\"a\"", None),
        ("W/a", None),
        ("a", None),
        ("\"a", None),
        ("\"a\" ", None),
        ("\"a\"b", None),
        ("\"a b\"", None),
        ("", None),
    ] {
        let found = EntityTag::parse(value.as_bytes());
        let expected = expected.map(|(weak, opaque): (bool, &str)| EntityTag {
            weak,
            opaque: opaque.as_bytes(),
        });
        assert_eq!(found, expected, "{value}");
    }
    assert_eq!(
        EntityTag::of(&fields(&[("etag", "\"a\""), ("etag", "\"b\"")])),
        None
    );
}

#[test]
fn comparison_follows_the_table_of_rfc_9110_8_8_3_2() {
    for (a, b, strong, weak) in [
        ("W/\"1\"", "W/\"1\"", false, true),
        ("W/\"1\"", "W/\"2\"", false, false),
        ("W/\"1\"", "\"1\"", false, true),
        ("\"1\"", "\"1\"", true, true),
    ] {
        let read = |text: &'static str| EntityTag::parse(text.as_bytes()).expect("valid");
        assert_eq!(read(a).strong_eq(read(b)), strong, "{a} {b}");
        assert_eq!(read(a).weak_eq(read(b)), weak, "{a} {b}");
    }
}

#[test]
fn if_none_match_answers_304_to_retrieval_and_412_to_the_rest() {
    let selected = [("etag", "W/\"a\""), ("last-modified", EARLY)];
    for (value, matches) in [
        ("\"a\"", true),
        ("W/\"a\"", true),
        ("\"b\"", false),
        ("\"b\", \"a\"", true),
        ("\"b\",,\t\"a\"", true),
        ("*", true),
        (" * ", true),
        ("\"b\", *", false),
        ("a", false),
        ("", false),
        // What follows something that is no tag is not believed.
        ("x, \"a\"", false),
        ("\"b\" \"a\"", false),
    ] {
        let request = [("if-none-match", value)];
        for (method, hit) in [
            (Method::GET, Precondition::NotModified),
            (Method::HEAD, Precondition::NotModified),
            (Method::PUT, Precondition::Failed),
        ] {
            let expected = if matches { hit } else { Precondition::Proceed };
            let found = decide(Evaluator::Cache, &method, &request, &selected);
            assert_eq!(found, expected, "{method} {value}");
        }
    }
}

#[test]
fn lines_of_if_none_match_are_one_list() {
    let request = [("if-none-match", "\"x\""), ("if-none-match", "\"a\"")];
    let found = decide(
        Evaluator::Cache,
        &Method::GET,
        &request,
        &[("etag", "\"a\"")],
    );
    assert_eq!(found, Precondition::NotModified);
}

#[test]
fn if_modified_since_counts_only_without_if_none_match_and_for_retrieval() {
    let none = Precondition::Proceed;
    let not_modified = Precondition::NotModified;
    let selected = [
        ("etag", "\"a\""),
        ("last-modified", LATER),
        ("date", LATEST),
    ];
    for (method, request, expected) in [
        (
            Method::GET,
            vec![("if-modified-since", LATER)],
            not_modified,
        ),
        (
            Method::GET,
            vec![("if-modified-since", LATEST)],
            not_modified,
        ),
        (Method::GET, vec![("if-modified-since", EARLY)], none),
        (
            Method::HEAD,
            vec![("if-modified-since", LATER)],
            not_modified,
        ),
        (Method::POST, vec![("if-modified-since", LATER)], none),
        (Method::GET, vec![("if-modified-since", "yesterday")], none),
        (
            Method::GET,
            vec![("if-modified-since", LATER), ("if-none-match", "\"b\"")],
            none,
        ),
        (
            Method::GET,
            vec![("if-modified-since", EARLY), ("if-none-match", "\"a\"")],
            not_modified,
        ),
    ] {
        let found = decide(Evaluator::Cache, &method, &request, &selected);
        assert_eq!(found, expected, "{method} {request:?}");
    }
}

#[test]
fn a_cache_goes_by_the_date_where_there_is_no_last_modified() {
    let request = [("if-modified-since", LATER)];
    let selected = [("date", EARLY)];
    let get = Method::GET;
    let found = decide(Evaluator::Cache, &get, &request, &selected);
    assert_eq!(found, Precondition::NotModified);
    let found = decide(Evaluator::Origin, &get, &request, &selected);
    assert_eq!(found, Precondition::Proceed);
}

#[test]
fn if_match_and_if_unmodified_since_are_for_origins() {
    let selected = [("etag", "\"a\""), ("last-modified", LATER)];
    for (request, expected) in [
        (vec![("if-match", "\"a\"")], Precondition::Proceed),
        (vec![("if-match", "*")], Precondition::Proceed),
        (vec![("if-match", "\"b\"")], Precondition::Failed),
        (vec![("if-match", "W/\"a\"")], Precondition::Failed),
        (vec![("if-unmodified-since", LATER)], Precondition::Proceed),
        (vec![("if-unmodified-since", EARLY)], Precondition::Failed),
        (vec![("if-unmodified-since", "x")], Precondition::Proceed),
        (
            vec![("if-match", "\"a\""), ("if-unmodified-since", EARLY)],
            Precondition::Proceed,
        ),
        (
            vec![("if-match", "\"b\""), ("if-none-match", "\"a\"")],
            Precondition::Failed,
        ),
    ] {
        let get = Method::GET;
        let found = decide(Evaluator::Origin, &get, &request, &selected);
        assert_eq!(found, expected, "{request:?}");
        if expected == Precondition::Failed && request.len() == 1 {
            let found = decide(Evaluator::Cache, &get, &request, &selected);
            assert_eq!(found, Precondition::Proceed, "{request:?}");
        }
    }
}

#[test]
fn preconditions_are_ignored_where_rfc_9110_13_2_1_says_so() {
    let request = fields(&[("if-none-match", "*")]);
    let selected = fields(&[]);
    for (method, status, expected) in [
        (Method::GET, 200, Precondition::NotModified),
        (Method::GET, 404, Precondition::Proceed),
        (Method::GET, 301, Precondition::Proceed),
        (Method::OPTIONS, 200, Precondition::Proceed),
        (Method::TRACE, 200, Precondition::Proceed),
    ] {
        let status = StatusCode::from_u16(status).expect("a status");
        let found = decide_preconditions(
            Evaluator::Cache,
            &method,
            &request,
            status,
            &selected,
            now(),
        );
        assert_eq!(found, expected, "{method} {status}");
    }
    assert!(has_preconditions(&request));
    assert!(!has_preconditions(&fields(&[("if-range", "\"a\"")])));
}

#[test]
fn if_range_needs_the_strong_validator() {
    let strong = [("etag", "\"a\""), ("last-modified", EARLY), ("date", LATER)];
    let weak = [
        ("etag", "W/\"a\""),
        ("last-modified", EARLY),
        ("date", EARLY),
    ];
    for (condition, selected, expected) in [
        (vec![], &strong, true),
        (vec!["\"a\""], &strong, true),
        (vec!["\"b\""], &strong, false),
        (vec!["W/\"a\""], &strong, false),
        (vec!["\"a\""], &weak, false),
        (vec![EARLY], &strong, true),
        (vec![EARLY], &weak, false),
        (vec![LATER], &strong, false),
        (vec!["x"], &strong, false),
        (vec!["\"a\"", "\"a\""], &strong, false),
    ] {
        let lines: Vec<_> = condition.iter().map(|value| ("if-range", *value)).collect();
        let found = if_range_allows(&fields(&lines), &fields(selected), now());
        assert_eq!(found, expected, "{condition:?} {selected:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = EntityTag::parse(&bytes);
        let _ = TagList { rest: &bytes }.count();
    }

    #[test]
    fn a_listed_tag_is_found(
        tags in proptest::collection::vec("[!#-~]{0,8}", 1..6),
        pick in any::<proptest::sample::Index>(),
    ) {
        let list: Vec<_> = tags.iter().map(|tag| format!("\"{tag}\"")).collect();
        let request = fields(&[("if-none-match", &list.join(","))]);
        let selected = fields(&[("etag", &list[pick.index(list.len())])]);
        prop_assert!(any_tag_matches(&request, &selected));
    }
}
