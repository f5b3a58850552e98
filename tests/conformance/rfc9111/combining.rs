//! Partial responses that are combined and completed (RFC 9111 3.3, 3.4;
//! RFC 9110 15.3.7.3).

use super::kit::{Case, Fields, case};
use super::ranges::{FIRST, FIRST_PART, SECOND, SECOND_PART, WITHOUT_VALIDATOR, half};

pub(crate) fn cases() -> Vec<Case> {
    let mut all = combined();
    all.extend(completed());
    all.extend(validated());
    all
}

fn combined() -> Vec<Case> {
    vec![
        half("9111 3.4", "two parts are the whole", FIRST_PART)
            .get(SECOND)
            .answer_body(206, SECOND_PART, "56789")
            .asked_with("range", "bytes=5-9")
            .cache("fwd=partial fwd-status=206 stored")
            .get(&[])
            .hit()
            .body("0123456789")
            .gives("content-length", "10")
            .gives("content-type", "text/x")
            .lacks("content-range"),
        half("9111 3.4", "parts combine by a strong date", DATED_FIRST)
            .get(SECOND)
            .answer_body(206, DATED_SECOND, "56789")
            .get(&[])
            .hit()
            .body("0123456789"),
        half("9111 3.4", "the newer fields hold for both", FIRST_PART)
            .get(SECOND)
            .answer_body(
                206,
                &[
                    ("cache-control", "max-age=60"),
                    ("content-range", "bytes 5-9/10"),
                    ("etag", "\"a\""),
                    ("x-new", "1"),
                ],
                "56789",
            )
            .get(&[])
            .hit()
            .gives("x-new", "1")
            .gives("content-type", "text/x"),
        half("9111 3.4", "parts that overlap", FIRST_PART)
            .get(&[("range", "bytes=3-7")])
            .answer_body(
                206,
                &[
                    ("cache-control", "max-age=60"),
                    ("content-range", "bytes 5-7/10"),
                    ("etag", "\"a\""),
                ],
                "567",
            )
            .asked_with("range", "bytes=5-7")
            .asked_with("if-range", "\"a\"")
            .body("34567")
            .gives("content-range", "bytes 3-7/10")
            .gives("content-type", "text/x")
            .cache("fwd=partial stored")
            .get(&[("range", "bytes=0-7")])
            .hit()
            .status(206)
            .body("01234567"),
        half(
            "9111 3.4",
            "another tag replaces what is stored",
            FIRST_PART,
        )
        .get(SECOND)
        .answer_body(
            206,
            &[
                ("cache-control", "max-age=60"),
                ("content-range", "bytes 5-9/10"),
                ("etag", "\"b\""),
            ],
            "fghij",
        )
        .get(SECOND)
        .hit()
        .status(206)
        .body("fghij")
        .get(FIRST)
        .answer_body(206, FIRST_PART, "01234"),
        half("9111 3.4", "a weak tag does not combine", WEAK_FIRST)
            .get(SECOND)
            .answer_body(
                206,
                &[
                    ("cache-control", "max-age=60"),
                    ("content-range", "bytes 5-9/10"),
                    ("etag", "W/\"a\""),
                ],
                "56789",
            )
            .get(&[])
            .answer(200, &[("cache-control", "max-age=60")])
            .asked_without("range"),
        half(
            "9111 3.4",
            "without a validator nothing combines",
            WITHOUT_VALIDATOR,
        )
        .get(&[])
        .answer(200, &[("cache-control", "max-age=60")])
        .asked_without("range")
        .get(FIRST)
        .hit()
        .status(206)
        .body("01234"),
        half(
            "9111 3.4",
            "a whole response takes the place of parts",
            FIRST_PART,
        )
        .get(&[])
        .answer_body(
            200,
            &[("cache-control", "max-age=60"), ("etag", "\"b\"")],
            "abcdefghij",
        )
        .asked_with("if-range", "\"a\"")
        .get(FIRST)
        .hit()
        .status(206)
        .body("abcde"),
    ]
}

const WEAK_FIRST: Fields = &[
    ("cache-control", "max-age=60"),
    ("content-range", "bytes 0-4/10"),
    ("etag", "W/\"a\""),
];
const DATED_FIRST: Fields = &[
    ("cache-control", "max-age=60"),
    ("content-range", "bytes 0-4/10"),
    ("last-modified", "@-10000"),
];
const DATED_SECOND: Fields = &[
    ("cache-control", "max-age=60"),
    ("content-range", "bytes 5-9/10"),
    ("last-modified", "@-10000"),
];

fn completed() -> Vec<Case> {
    vec![
        half(
            "9111 3.3",
            "the rest is asked for, and the whole sent",
            FIRST_PART,
        )
        .get(&[])
        .answer_body(206, SECOND_PART, "56789")
        .status(200)
        .body("0123456789")
        .asked_with("range", "bytes=5-")
        .asked_with("if-range", "\"a\"")
        .gives("content-length", "10")
        .gives("content-type", "text/x")
        .lacks("content-range")
        .cache("fwd=partial fwd-status=206 stored")
        .get(&[])
        .hit()
        .body("0123456789"),
        half("9111 3.3", "a part never answers for the whole", FIRST_PART)
            .get(&[("cache-control", "only-if-cached")])
            .status(504),
        case("9111 3.3", "the beginning is asked for")
            .get(SECOND)
            .answer_body(206, SECOND_PART, "56789")
            .get(&[])
            .answer_body(206, FIRST_PART, "01234")
            .asked_with("range", "bytes=0-4")
            .status(200)
            .body("0123456789"),
        half(
            "9110 14.2",
            "a range that is ignored asks for the whole",
            FIRST_PART,
        )
        .get(&[("range", "bytes=4-2")])
        .answer_body(206, SECOND_PART, "56789")
        .status(200)
        .body("0123456789"),
        half("9110 15.5.17", "it has become shorter", FIRST_PART)
            .get(&[])
            .answer_body(416, &[("content-range", "bytes */3")], "")
            .answer_body(200, &[("cache-control", "max-age=60")], "abc")
            .asked_without("range")
            .get(&[])
            .hit()
            .body("abc"),
        half(
            "9110 15.3.7.3",
            "the rest is of another representation",
            FIRST_PART,
        )
        .get(&[])
        .answer_body(
            206,
            &[("content-range", "bytes 5-9/10"), ("etag", "\"b\"")],
            "fghij",
        )
        .answer_body(200, &[("cache-control", "max-age=60")], "abcdefghij")
        .asked_without("range"),
        half(
            "9110 15.3.7",
            "more than was asked for completes it",
            FIRST_PART,
        )
        .get(&[])
        .answer_body(
            206,
            &[
                ("cache-control", "max-age=60"),
                ("content-range", "bytes 0-9/10"),
                ("etag", "\"a\""),
            ],
            "0123456789",
        )
        .status(200)
        .body("0123456789")
        .get(&[])
        .hit()
        .body("0123456789"),
        half("9111 4.4", "an unsafe method invalidates parts", FIRST_PART)
            .ask("POST", &[])
            .answer(200, &[])
            .get(FIRST)
            .answer_body(206, FIRST_PART, "01234"),
    ]
}

const STALE_FIRST: Fields = &[
    ("cache-control", "max-age=0"),
    ("content-range", "bytes 0-4/10"),
    ("etag", "\"a\""),
];

const ONCE_FRESH: Fields = &[
    ("cache-control", "max-age=60"),
    ("age", "100"),
    ("content-range", "bytes 0-4/10"),
    ("etag", "\"a\""),
];
const STRICT_FIRST: Fields = &[
    ("cache-control", "max-age=60, must-revalidate"),
    ("age", "100"),
    ("content-range", "bytes 0-4/10"),
    ("etag", "\"a\""),
];

/// What is stale is asked for again.
fn validated() -> Vec<Case> {
    vec![
        half("9111 4.2", "a stale part is not reused", STALE_FIRST)
            .get(&[("range", "bytes=1-3")])
            .answer_body(
                206,
                &[
                    ("cache-control", "max-age=60"),
                    ("content-range", "bytes 1-3/10"),
                    ("etag", "\"a\""),
                ],
                "123",
            )
            .asked_with("range", "bytes=1-3"),
        half(
            "9111 3.3",
            "a stale part is completed under If-Range",
            STALE_FIRST,
        )
        .get(&[])
        .answer_body(206, SECOND_PART, "56789")
        .asked_with("if-range", "\"a\"")
        .status(200)
        .body("0123456789"),
        half(
            "9111 4.2.4",
            "a stale part answers while the origin is gone",
            ONCE_FRESH,
        )
        .get(&[("range", "bytes=1-3")])
        .hang_up()
        .status(206)
        .body("123")
        .gives("content-range", "bytes 1-3/10")
        .cache("fwd=stale detail=stale-on-failure"),
        half("9111 4.3.3", "a stale part answers for 503", ONCE_FRESH)
            .get(&[("range", "bytes=1-3")])
            .answer_body(503, &[], "sorry")
            .status(206)
            .body("123"),
        half(
            "9111 5.2.2.2",
            "a stale part that must be validated does not",
            STRICT_FIRST,
        )
        .get(&[("range", "bytes=1-3")])
        .answer_body(503, &[], "sorry"),
        half("9111 5.2.1.4", "a client's no-cache asks again", FIRST_PART)
            .get(&[("range", "bytes=0-4"), ("cache-control", "no-cache")])
            .answer_body(206, FIRST_PART, "01234"),
        half(
            "9110 13.1.5",
            "If-Range that differs is the origin's",
            FIRST_PART,
        )
        .get(&[("range", "bytes=0-1"), ("if-range", "\"b\"")])
        .answer(200, &[("cache-control", "max-age=60"), ("etag", "\"c\"")])
        .asked_with("range", "bytes=0-1")
        .asked_with("if-range", "\"b\"")
        .get(&[])
        .hit(),
    ]
}
