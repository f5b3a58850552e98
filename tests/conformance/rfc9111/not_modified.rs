//! What a 304 is about, and what of it is for one client alone (RFC 9110 15.4.5, RFC 9213 2.2).

use super::kit::{Case, Fields, case};

const TAG: (&str, &str) = ("etag", "\"a\"");
const STALE: Fields = &[("cache-control", "max-age=0"), TAG];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = withheld();
    cases.extend(without_a_condition());
    cases
}

/// RFC 9213 2.2: what a 304 brings for its client alone is what the field says that counts.
fn withheld() -> Vec<Case> {
    vec![
        case("9213 2.2", "a targeted field withholds a field of a 304")
            .get(&[])
            .answer(200, STALE)
            .get(&[])
            .answer(
                304,
                &[
                    ("cdn-cache-control", "max-age=60, private=\"x-own\""),
                    ("x-own", "1"),
                ],
            )
            .status(200)
            .gives("x-own", "1")
            .body("0123456789")
            .get(&[])
            .hit()
            .lacks("x-own"),
        case(
            "9213 2.2",
            "Cache-Control withholds nothing beside a targeted field",
        )
        .get(&[])
        .answer(200, STALE)
        .get(&[])
        .answer(
            304,
            &[
                ("cache-control", "private=\"x-all\""),
                ("cdn-cache-control", "max-age=60"),
                ("x-all", "1"),
            ],
        )
        .status(200)
        .gives("x-all", "1")
        .body("0123456789")
        .get(&[])
        .hit()
        .gives("x-all", "1"),
    ]
}

/// RFC 9110 15.4.5: a 304 answers a condition.
fn without_a_condition() -> Vec<Case> {
    vec![
        case(
            "9110 15.4.5",
            "a 304 to a request without a condition is no answer",
        )
        .get(&[])
        .answer(304, &[TAG])
        .status(502),
        case(
            "9110 15.4.5",
            "nor is the second one, of another representation",
        )
        .get(&[])
        .answer(200, STALE)
        .get(&[])
        .answer(304, &[("etag", "\"b\"")])
        .answer(304, &[("etag", "\"b\"")])
        .status(502),
    ]
}
