//! Partial responses (RFC 9110 14, 15.3.7; RFC 9111 3.3): 206 that are stored
//! and reused, and what is passed on.

use super::kit::{Case, Fields, case};

pub(crate) fn cases() -> Vec<Case> {
    let mut all = stored_parts();
    all.extend(not_stored());
    all.extend(passed_on());
    all
}

pub(super) const FIRST: Fields = &[("range", "bytes=0-4")];
pub(super) const SECOND: Fields = &[("range", "bytes=5-9")];

/// `bytes 0-4/10`, fresh, with a strong validator.
pub(super) const FIRST_PART: Fields = &[
    ("cache-control", "max-age=60"),
    ("content-range", "bytes 0-4/10"),
    ("content-type", "text/x"),
    ("etag", "\"a\""),
];
pub(super) const SECOND_PART: Fields = &[
    ("cache-control", "max-age=60"),
    ("content-range", "bytes 5-9/10"),
    ("content-type", "text/x"),
    ("etag", "\"a\""),
];
/// The same without a validator.
pub(super) const WITHOUT_VALIDATOR: Fields = &[
    ("cache-control", "max-age=60"),
    ("content-range", "bytes 0-4/10"),
];

/// The first half is stored, as `fields` say.
pub(super) fn half(section: &'static str, name: &'static str, fields: Fields) -> Case {
    case(section, name)
        .get(FIRST)
        .answer_body(206, fields, "01234")
        .gives("content-range", "bytes 0-4/10")
        .asked_with("range", "bytes=0-4")
        .cache("fwd=uri-miss fwd-status=206 stored")
}

fn stored_parts() -> Vec<Case> {
    let within: [(&'static str, Fields, &'static str, &'static str); 5] = [
        ("the same part", FIRST, "01234", "bytes 0-4/10"),
        (
            "a part of it",
            &[("range", "bytes=1-3")],
            "123",
            "bytes 1-3/10",
        ),
        ("its end", &[("range", "bytes=4-4")], "4", "bytes 4-4/10"),
        (
            "the same tag in If-Range",
            &[("range", "bytes=0-1"), ("if-range", "\"a\"")],
            "01",
            "bytes 0-1/10",
        ),
        (
            "a client that accepts what is stale",
            &[("range", "bytes=0-1"), ("cache-control", "max-stale")],
            "01",
            "bytes 0-1/10",
        ),
    ];
    let mut cases: Vec<Case> = within
        .into_iter()
        .map(|(name, asked, content, range)| {
            half("9111 3.3", name, FIRST_PART)
                .get(asked)
                .hit()
                .status(206)
                .body(content)
                .gives("content-range", range)
                .gives("content-type", "text/x")
                .gives("etag", "\"a\"")
        })
        .collect();
    cases.extend([
        half(
            "9111 3.3",
            "a part needs no validator to be reused",
            WITHOUT_VALIDATOR,
        )
        .get(&[("range", "bytes=1-3")])
        .hit()
        .status(206)
        .body("123"),
        case("9110 14.1.2", "an open part answers its end")
            .get(&[("range", "bytes=5-")])
            .answer_body(206, SECOND_PART, "56789")
            .asked_with("range", "bytes=5-")
            .get(SECOND)
            .hit()
            .status(206)
            .body("56789")
            .get(&[("range", "bytes=7-")])
            .hit()
            .status(206)
            .body("789")
            .gives("content-range", "bytes 7-9/10"),
        case("9110 14.1.2", "a suffix answers shorter ones")
            .get(&[("range", "bytes=-5")])
            .answer_body(206, SECOND_PART, "56789")
            .asked_with("range", "bytes=-5")
            .get(&[("range", "bytes=-5")])
            .hit()
            .status(206)
            .body("56789")
            .get(&[("range", "bytes=-1")])
            .hit()
            .status(206)
            .body("9")
            .gives("content-range", "bytes 9-9/10"),
        case("9110 14.4", "of an unknown total, what is named is known")
            .get(FIRST)
            .answer_body(
                206,
                &[
                    ("cache-control", "max-age=60"),
                    ("content-range", "bytes 0-4/*"),
                ],
                "01234",
            )
            .get(&[("range", "bytes=1-2")])
            .hit()
            .status(206)
            .body("12")
            .gives("content-range", "bytes 1-2/*")
            .get(&[("range", "bytes=-2")])
            .answer_body(
                206,
                &[("content-range", "bytes 8-9/10"), ("etag", "\"a\"")],
                "89",
            )
            .asked_with("range", "bytes=-2"),
        half("9111 4.1", "a part varies", FIRST_PART_OF_A)
            .get(&[("range", "bytes=0-4"), ("x-a", "2")])
            .answer_body(206, FIRST_PART_OF_A, "abcde")
            .asked_with("range", "bytes=0-4")
            .get(&[("range", "bytes=0-1"), ("x-a", "2")])
            .hit()
            .status(206)
            .body("ab"),
        half("9110 13.2.1", "a 304 from a part", FIRST_PART)
            .get(&[("range", "bytes=0-1"), ("if-none-match", "\"a\"")])
            .hit()
            .status(304)
            .lacks("content-range"),
    ]);
    cases
}

const FIRST_PART_OF_A: Fields = &[
    ("cache-control", "max-age=60"),
    ("content-range", "bytes 0-4/10"),
    ("etag", "\"a\""),
    ("vary", "x-a"),
];

/// A 206 that is passed on and not stored.
fn not_stored() -> Vec<Case> {
    let rows: [(&'static str, &'static str, Fields); 5] = [
        (
            "9111 3",
            "no-store holds for parts",
            &[
                ("cache-control", "no-store"),
                ("content-range", "bytes 0-4/10"),
            ],
        ),
        (
            "9111 3",
            "private holds for parts",
            &[
                ("cache-control", "private"),
                ("content-range", "bytes 0-4/10"),
            ],
        ),
        (
            "9110 15.3.7",
            "no Content-Range",
            &[("cache-control", "max-age=60")],
        ),
        (
            "9110 14.4",
            "a Content-Range that contradicts itself",
            &[
                ("cache-control", "max-age=60"),
                ("content-range", "bytes 4-0/10"),
            ],
        ),
        (
            "9110 14.4",
            "another unit",
            &[
                ("cache-control", "max-age=60"),
                ("content-range", "items 0-4/10"),
            ],
        ),
    ];
    rows.into_iter()
        .map(|(section, name, fields)| {
            case(section, name)
                .get(FIRST)
                .answer_body(206, fields, "01234")
                .cache("fwd=uri-miss fwd-status=206 !stored")
                .get(FIRST)
                .answer_body(206, FIRST_PART, "01234")
        })
        .collect()
}

fn passed_on() -> Vec<Case> {
    vec![
        case("9110 15.5.17", "the origin knows no such part")
            .get(&[("range", "bytes=20-")])
            .answer_body(
                416,
                &[
                    ("content-range", "bytes */10"),
                    ("cache-control", "max-age=60"),
                ],
                "",
            )
            .gives("content-range", "bytes */10")
            .get(FIRST)
            .answer_body(206, FIRST_PART, "01234"),
        case("9110 14.2", "what is no range is not asked for")
            .get(&[("range", "bytes=4-2")])
            .answer(200, &[("cache-control", "max-age=60")])
            .asked_without("range")
            .get(&[("range", "items=0-1")])
            .hit(),
        case("9110 14.2", "from the first byte on is the whole")
            .get(&[("range", "bytes=0-")])
            .answer(
                200,
                &[("cache-control", "max-age=60"), ("content-length", "10")],
            )
            .status(206)
            .body("0123456789")
            .gives("content-range", "bytes 0-9/10")
            .asked_without("range")
            .get(&[])
            .hit(),
        case("9111 3", "an error for a part is one for the whole")
            .get(FIRST)
            .answer(404, &[("cache-control", "max-age=60")])
            .get(&[])
            .status(404)
            .hit(),
    ]
}
