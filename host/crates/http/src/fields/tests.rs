use proptest::prelude::*;

use super::*;
use crate::testing::fields;

fn names(fields: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn nominated_and_connection_specific_fields_are_removed() {
    let mut request = fields(&[
        ("host", "a"),
        ("connection", "Keep-Alive, X-Hop"),
        ("connection", "te,, upgrade"),
        ("keep-alive", "timeout=5"),
        ("x-hop", "1"),
        ("x-hop", "2"),
        ("x-end", "1"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
        ("proxy-connection", "close"),
        ("proxy-authorization", "Basic eA=="),
    ]);
    assert_eq!(remove_connection_fields_of_request(&mut request), Ok(()));
    assert_eq!(names(&request), ["host", "x-end"]);
}

#[test]
fn nominating_what_must_reach_its_end_is_refused_in_requests() {
    for name in [
        "Host",
        "content-length",
        "Cache-Control",
        "authorization",
        "cookie",
        "X-Forwarded-For",
        "Forwarded",
        "via",
        "CDN-Loop",
        "range",
    ] {
        let mut request = fields(&[("connection", &format!("close, {name}"))]);
        assert_eq!(
            remove_connection_fields_of_request(&mut request),
            Err(ClientFault::ConnectionNominationForbidden),
            "{name}"
        );
    }
    let mut request = fields(&[("connection", "x y")]);
    assert_eq!(
        remove_connection_fields_of_request(&mut request),
        Err(ClientFault::FieldInvalid)
    );
}

#[test]
fn nominating_what_must_reach_its_end_is_ignored_in_responses() {
    let mut response = fields(&[
        ("connection", "set-cookie, x-hop, cache-control, \"x"),
        ("set-cookie", "a=b"),
        ("cache-control", "no-store"),
        ("x-hop", "1"),
    ]);
    remove_connection_fields_of_response(&mut response);
    assert_eq!(names(&response), ["cache-control", "set-cookie"]);
}

#[test]
fn http2_requests_have_no_connection_specific_fields() {
    for (name, value, forbidden) in [
        ("connection", "x", true),
        ("keep-alive", "x", true),
        ("proxy-connection", "x", true),
        ("transfer-encoding", "chunked", true),
        ("upgrade", "x", true),
        ("te", "gzip", true),
        ("te", "trailers, gzip", true),
        ("te", "trailers", false),
        ("host", "a", false),
    ] {
        let found = check_http2_request(&fields(&[(name, value)]));
        assert_eq!(found.is_err(), forbidden, "{name}: {value}");
    }
}

#[test]
fn override_fields_are_removed_unless_kept() {
    let lines: Vec<_> = OVERRIDE_FIELDS.iter().map(|name| (*name, "x")).collect();
    let mut request = fields(&lines);
    request.insert("x-api-key", HeaderValue::from_static("k"));
    remove_override_fields(&mut request, |name| name == "x-http-method-override");
    assert_eq!(names(&request), ["x-api-key", "x-http-method-override"]);
}

#[test]
fn a_claim_is_removed_in_every_spelling_of_its_name() {
    let respelled = |name: &str| {
        let all = name.replace('-', "_");
        let first = name.replacen('-', "_", 1);
        [all, first]
    };
    let claims = [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-real-ip",
    ];
    for name in OVERRIDE_FIELDS.into_iter().chain(claims) {
        for spelling in respelled(name) {
            let mut request = fields(&[(&*spelling, "x"), ("x_api_key", "k"), ("x_host_", "k")]);
            remove_override_fields(&mut request, |_| false);
            crate::forwarded::remove_claims(&mut request);
            assert_eq!(names(&request), ["x_api_key", "x_host_"], "{spelling}");
        }
    }
}

#[test]
fn trailers_carry_no_framing_and_no_routing() {
    let mut trailers = fields(&[
        ("content-length", "5"),
        ("host", "a"),
        ("set-cookie", "a=b"),
        ("transfer-encoding", "chunked"),
        ("x-original-url", "/"),
        ("etag", "\"x\""),
        ("grpc-status", "0"),
    ]);
    remove_forbidden_trailers(&mut trailers);
    assert_eq!(names(&trailers), ["etag", "grpc-status"]);
}

#[test]
fn cookie_lines_become_one() {
    let mut request = fields(&[("cookie", "a=1"), ("cookie", "b=2; c=3"), ("cookie", "d=4")]);
    join_cookie_lines(&mut request);
    let lines: Vec<_> = request.get_all("cookie").iter().collect();
    assert_eq!(lines, ["a=1; b=2; c=3; d=4"]);
    let mut request = fields(&[("cookie", "a=1")]);
    join_cookie_lines(&mut request);
    assert_eq!(request.get("cookie").expect("kept"), "a=1");
}

#[test]
fn trailers_are_accepted_where_te_says_so() {
    assert!(accepts_trailers(&fields(&[("te", "gzip;q=0.5, Trailers")])));
    assert!(!accepts_trailers(&fields(&[("te", "gzip")])));
}

proptest! {
    #[test]
    fn removal_is_complete_and_idempotent(connection in "[ -~]{0,40}") {
        let lines = [("connection", connection.as_str()), ("te", "x"), ("a", "1"), ("b", "2")];
        let mut once = fields(&lines);
        remove_connection_fields_of_response(&mut once);
        prop_assert!(!once.keys().any(is_connection_specific));
        let mut twice = once.clone();
        remove_connection_fields_of_response(&mut twice);
        prop_assert_eq!(once, twice);
    }
}
