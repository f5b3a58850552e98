use proptest::prelude::*;

use super::*;
use crate::testing::fields;

fn rules() -> CodingRules {
    CodingRules {
        codings: Coding::ALL.to_vec(),
        types: MediaTypes::new(["text/*", "application/json", "application/*+json"]),
        min_size: 100,
        max_size: 10_000,
    }
}

fn accepting(lines: &[&str]) -> HeaderMap {
    let lines: Vec<_> = lines
        .iter()
        .map(|line| ("accept-encoding", *line))
        .collect();
    fields(&lines)
}

#[test]
fn codings_are_negotiated_by_weight() {
    use Coding::{Brotli, Gzip, Zstd};
    // (Accept-Encoding lines, the coding, whether identity is accepted): RFC 9110 12.5.3.
    let table: &[(&[&str], Option<Coding>, bool)] = &[
        (&[], None, true),
        (&[""], None, true),
        (&["gzip"], Some(Gzip), true),
        (&["x-gzip"], Some(Gzip), true),
        (&["GZip"], Some(Gzip), true),
        (&["gzip, deflate, br, zstd"], Some(Brotli), true),
        (&["gzip, deflate", "zstd"], Some(Zstd), true),
        (&["gzip;q=1.0, br;q=0.9"], Some(Gzip), true),
        (&["gzip; q=0.5 , br ;Q=0.51"], Some(Brotli), true),
        (&["br;q=0.5, gzip;q=0.5, zstd;q=0.5"], Some(Brotli), true),
        (&["br;q=0.001"], Some(Brotli), true),
        (&["gzip;q=0"], None, true),
        (&["gzip;q=0.000, br;q=0."], None, true),
        (&["identity"], None, true),
        (&["identity;q=1, gzip;q=0.5"], None, true),
        (&["identity;q=0.5, gzip;q=0.5"], Some(Gzip), true),
        (&["identity;q=0, gzip;q=0.1"], Some(Gzip), false),
        (&["identity;q=0"], None, false),
        (&["*"], Some(Brotli), true),
        (&["*;q=0"], None, false),
        (&["*;q=0, identity;q=0.1"], None, true),
        (&["*;q=0, gzip"], Some(Gzip), false),
        (&["gzip;q=0.3, *;q=0.5"], Some(Brotli), true),
        (&["br;q=0, *"], Some(Zstd), true),
        (&["deflate, compress"], None, true),
        // Malformed weights: not accepted.
        (&["gzip;q=1.1"], None, true),
        (&["gzip;q=-1"], None, true),
        (&["gzip;q=0.1234"], None, true),
        (&["gzip;q=.5"], None, true),
        (&["gzip;q="], None, true),
        (&["gzip;q"], None, true),
        (&["gzip;q=abc"], None, true),
        (&["gzip;q=\"1\""], None, true),
        // Twice: the lower weight.
        (&["gzip, gzip;q=0"], None, true),
        (&["gzip;q=0.2;q=0.7, zstd;q=0.5"], Some(Zstd), true),
        // A parameter that is no weight changes nothing.
        (&["gzip;level=9"], Some(Gzip), true),
        (&["gzip;level=9;q=0"], None, true),
        (&["gzipped, bro"], None, true),
        (&[",,gzip,,"], Some(Gzip), true),
    ];
    for (lines, expected, identity) in table {
        let accepted = AcceptedCodings::of(&accepting(lines));
        assert_eq!(accepted.select(&Coding::ALL), *expected, "{lines:?}");
        assert_eq!(accepted.accepts_identity(), *identity, "{lines:?}");
    }
    // The order of preference is the node's; a coding that it does not have is not chosen.
    let all = AcceptedCodings::of(&accepting(&["gzip, br, zstd"]));
    assert_eq!(all.select(&[Gzip, Brotli]), Some(Gzip));
    assert_eq!(all.select(&[]), None);
}

#[test]
fn coding_is_decided_by_response_and_request() {
    use CodingDecision::{Encode, Fixed, Identity};
    type Fields = &'static [(&'static str, &'static str)];
    const TEXT: (&str, &str) = ("content-type", "text/html; charset=utf-8");
    const GZIP: Fields = &[("accept-encoding", "gzip")];
    let gzip = Encode(Coding::Gzip);
    let table: &[(Fields, u16, Fields, Option<u64>, CodingDecision)] = &[
        (GZIP, 200, &[TEXT], Some(100), gzip),
        (GZIP, 200, &[TEXT], None, gzip),
        (GZIP, 404, &[TEXT], Some(100), gzip),
        (GZIP, 599, &[TEXT], Some(100), gzip),
        (
            GZIP,
            200,
            &[("content-type", "application/JSON")],
            Some(100),
            gzip,
        ),
        (
            GZIP,
            200,
            &[("content-type", "application/ld+json")],
            Some(100),
            gzip,
        ),
        (GZIP, 200, &[TEXT], Some(99), Fixed(FixedReason::TooSmall)),
        (GZIP, 200, &[TEXT], Some(0), Fixed(FixedReason::TooSmall)),
        (
            GZIP,
            200,
            &[TEXT],
            Some(10_001),
            Fixed(FixedReason::TooLarge),
        ),
        (GZIP, 204, &[TEXT], None, Fixed(FixedReason::Status)),
        (GZIP, 205, &[TEXT], None, Fixed(FixedReason::Status)),
        (GZIP, 304, &[TEXT], None, Fixed(FixedReason::Status)),
        (GZIP, 206, &[TEXT], Some(5), Identity(IdentityReason::Range)),
        (
            GZIP,
            416,
            &[TEXT, ("content-range", "bytes */500")],
            Some(500),
            Fixed(FixedReason::Ranged),
        ),
        (GZIP, 200, &[], Some(500), Fixed(FixedReason::MediaType)),
        (
            GZIP,
            200,
            &[("content-type", "image/png")],
            Some(500),
            Fixed(FixedReason::MediaType),
        ),
        (
            GZIP,
            200,
            &[("content-type", "textual/html")],
            Some(500),
            Fixed(FixedReason::MediaType),
        ),
        (
            GZIP,
            200,
            &[("content-type", "text/")],
            Some(500),
            Fixed(FixedReason::MediaType),
        ),
        (
            GZIP,
            200,
            &[TEXT, TEXT],
            Some(500),
            Fixed(FixedReason::MediaType),
        ),
        (
            GZIP,
            200,
            &[("content-type", "Text/Event-Stream")],
            None,
            Fixed(FixedReason::EventStream),
        ),
        (
            GZIP,
            200,
            &[TEXT, ("content-encoding", "br")],
            Some(500),
            Fixed(FixedReason::AlreadyCoded),
        ),
        (
            GZIP,
            200,
            &[TEXT, ("content-encoding", "identity")],
            Some(500),
            Fixed(FixedReason::AlreadyCoded),
        ),
        (
            GZIP,
            200,
            &[TEXT, ("cache-control", "max-age=5, No-Transform")],
            Some(500),
            Fixed(FixedReason::NoTransform),
        ),
        (
            GZIP,
            200,
            &[TEXT, ("repr-digest", "sha-256=:AAAA:")],
            Some(500),
            Fixed(FixedReason::Digest),
        ),
        (
            &[],
            200,
            &[TEXT],
            Some(500),
            Identity(IdentityReason::NotAccepted),
        ),
        (
            &[("accept-encoding", "gzip"), ("range", "bytes=0-1")],
            200,
            &[TEXT],
            Some(500),
            Identity(IdentityReason::Range),
        ),
        (
            &[
                ("accept-encoding", "gzip"),
                ("cache-control", "no-transform"),
            ],
            200,
            &[TEXT],
            Some(500),
            Identity(IdentityReason::NoTransform),
        ),
    ];
    for (request, status, response, length, expected) in table {
        let status = StatusCode::from_u16(*status).expect("a status");
        let decided = decide_coding(
            &rules(),
            &fields(request),
            status,
            &fields(response),
            *length,
        );
        assert_eq!(
            decided, *expected,
            "{request:?} {status} {response:?} {length:?}"
        );
    }
}

#[test]
fn tags_tell_codings_apart() {
    // (tag, coded tag): RFC 9110 8.8.3.3.
    for (tag, expected) in [
        ("\"abc\"", Some("\"abc-gzip\"")),
        ("\"\"", Some("\"-gzip\"")),
        ("W/\"abc\"", Some("W/\"abc\"")),
        ("abc", None),
        ("\"abc", None),
        ("w/\"abc\"", None),
    ] {
        let coded = coded_tag(&HeaderValue::from_static(tag), Coding::Gzip);
        assert_eq!(
            coded.as_ref().map(HeaderValue::as_bytes),
            expected.map(str::as_bytes)
        );
    }
}

#[test]
fn origin_gets_its_own_tags_beside_ours() {
    for (name, lines, expected) in [
        ("if-match", &["\"a-gzip\""][..], "\"a-gzip\", \"a\""),
        (
            "if-none-match",
            &["\"a-br\", \"b\"", "\"c-zstd\""][..],
            "\"a-br\", \"b\", \"c-zstd\", \"a\", \"c\"",
        ),
        ("if-none-match", &["\"a\""][..], "\"a\""),
        ("if-none-match", &["W/\"a-gzip\""][..], "W/\"a-gzip\""),
        ("if-match", &["*"][..], "*"),
        ("if-range", &["\"a-gzip\""][..], "\"a-gzip\""),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| (name, *line)).collect();
        let mut request = fields(&lines);
        add_plain_tags(&mut request);
        assert_eq!(request.get(name).expect("kept"), expected);
        assert_eq!(request.get_all(name).iter().count(), 1);
    }
}

#[test]
fn client_gets_the_tag_that_it_knows() {
    let tag = HeaderValue::from_static("\"a\"");
    for (line, expected) in [
        ("\"a-gzip\"", Some("\"a-gzip\"")),
        ("\"b\", \"a-br\"", Some("\"a-br\"")),
        ("\"a\", \"a-gzip\"", None),
        ("\"a-gzip\", \"a\"", None),
        ("\"b-gzip\"", None),
        ("*", None),
    ] {
        let request = fields(&[("if-none-match", line)]);
        let selected = select_coded_tag(&request, &tag);
        assert_eq!(
            selected.as_ref().map(HeaderValue::as_bytes),
            expected.map(str::as_bytes)
        );
    }
}

#[test]
fn vary_is_merged() {
    for (lines, expected) in [
        (&[][..], &["Accept-Encoding"][..]),
        (&[""][..], &["Accept-Encoding"][..]),
        (&["Cookie"][..], &["Cookie, Accept-Encoding"][..]),
        (
            &["Cookie", "Origin"][..],
            &["Cookie, Accept-Encoding", "Origin"][..],
        ),
        (&["ACCEPT-encoding"][..], &["ACCEPT-encoding"][..]),
        (
            &["Cookie", "x, accept-encoding"][..],
            &["Cookie", "x, accept-encoding"][..],
        ),
        (&["*"][..], &["*"][..]),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| ("vary", *line)).collect();
        let mut response = fields(&lines);
        add_vary(&mut response);
        let merged: Vec<_> = response.get_all("vary").iter().collect();
        assert_eq!(merged, expected);
    }
}

#[test]
fn fields_of_the_coded_representation() {
    let mut response = fields(&[
        ("content-type", "text/html"),
        ("content-length", "500"),
        ("accept-ranges", "bytes"),
        ("etag", "\"a\""),
        ("vary", "Cookie"),
    ]);
    mark_coded(&mut response, Coding::Zstd);
    let expected = fields(&[
        ("content-type", "text/html"),
        ("content-encoding", "zstd"),
        ("etag", "\"a-zstd\""),
        ("vary", "Cookie, Accept-Encoding"),
    ]);
    assert_eq!(response, expected);
}

#[test]
fn labels_are_different() {
    let fixed = FixedReason::ALL.map(FixedReason::label);
    let identity = IdentityReason::ALL.map(IdentityReason::label);
    let codings = Coding::ALL.map(Coding::token);
    let mut labels: Vec<_> = fixed.into_iter().chain(identity).chain(codings).collect();
    let count = labels.len();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), count);
}

proptest! {
    /// Nothing is sent in a coding that the client did not accept, whatever it says.
    #[test]
    fn selected_coding_was_accepted(line in "[gzipbrstd*;q=01., ]{0,24}") {
        let accepted = AcceptedCodings::of(&accepting(&[&line]));
        if let Some(coding) = accepted.select(&Coding::ALL) {
            prop_assert!(accepted.weight(coding) > 0);
            prop_assert!(line.contains(coding.token()) || line.contains('*'));
            let best = Coding::ALL.map(|coding| accepted.weight(coding));
            prop_assert_eq!(best.iter().max().copied(), Some(accepted.weight(coding)));
        }
    }

    /// The order of members does not matter.
    #[test]
    fn order_of_members_does_not_matter(
        members in proptest::collection::vec("(gzip|br|zstd|identity|\\*)(;q=(0|1|0\\.[0-9]{1,3}))?", 0..5),
    ) {
        let text = members.join(",");
        let reversed: Vec<_> = members.iter().rev().cloned().collect();
        let one = AcceptedCodings::of(&accepting(&[&text]));
        prop_assert_eq!(one, AcceptedCodings::of(&accepting(&[&reversed.join(" , ")])));
    }

    /// Whatever tag the origin gives, it gets it back, and no two codings share one.
    #[test]
    fn coded_tags_lead_back(opaque in "[!#-~]{0,12}") {
        let tag = HeaderValue::from_str(&format!("\"{opaque}\"")).expect("a value");
        let mut seen = vec![tag.clone()];
        for coding in Coding::ALL {
            let coded = coded_tag(&tag, coding).expect("a tag");
            prop_assert!(!seen.contains(&coded));
            let request = coded.to_str().expect("text");
            let mut request = fields(&[("if-match", request)]);
            prop_assert_eq!(
                select_coded_tag(&fields(&[("if-none-match", coded.to_str().expect("text"))]), &tag),
                Some(coded.clone())
            );
            add_plain_tags(&mut request);
            let line = request.get("if-match").expect("kept").to_str().expect("text");
            prop_assert!(line.contains(tag.to_str().expect("text")));
            seen.push(coded);
        }
    }
}
