//! Stale answers (RFC 9111 4.2.4, 4.3.3; RFC 5861 4). What is validated in the background is
//! tested with the cache's other concurrency.

use super::kit::{Case, Fields, case};

const TAG: (&str, &str) = ("etag", "\"a\"");

/// Stored, and stale for 40 seconds.
fn stale(section: &'static str, name: &'static str, fields: Fields) -> Case {
    case(section, name)
        .get(&[])
        .answer(200, fields)
        .cache("stored")
}

const PLAIN: Fields = &[("cache-control", "max-age=60"), ("age", "100")];
const TAGGED: Fields = &[("cache-control", "max-age=60"), ("age", "100"), TAG];
const NO_CACHE: Fields = &[
    ("cache-control", "max-age=600, no-cache"),
    ("age", "100"),
    TAG,
];
const FORBIDDING: [Fields; 3] = [
    &[
        (
            "cache-control",
            "max-age=60, must-revalidate, stale-if-error=600",
        ),
        ("age", "100"),
        TAG,
    ],
    &[
        (
            "cache-control",
            "max-age=60, proxy-revalidate, stale-if-error=600",
        ),
        ("age", "100"),
        TAG,
    ],
    &[
        ("cache-control", "s-maxage=60, stale-if-error=600"),
        ("age", "100"),
        TAG,
    ],
];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = allowed();
    cases.extend(forbidden());
    cases.extend(by_request());
    cases
}

fn allowed() -> Vec<Case> {
    const WINDOW: Fields = &[
        ("cache-control", "max-age=60, stale-if-error=600"),
        ("age", "100"),
        TAG,
    ];
    let mut cases = vec![
        stale("9111 4.2.4", "the origin closes the connection", TAGGED)
            .get(&[])
            .hang_up()
            .body("0123456789")
            .cache("fwd=stale detail=stale-on-failure !stored ttl=-40")
            .age(100),
        stale(
            "5861 4",
            "the origin closes the connection within the window",
            WINDOW,
        )
        .get(&[])
        .hang_up()
        .body("0123456789")
        .cache("fwd=stale detail=stale-if-error"),
        stale(
            "9111 4.3.3",
            "what is stored stays, and is validated again",
            TAGGED,
        )
        .get(&[])
        .answer_body(503, &[], "sorry")
        .status(200)
        .body("0123456789")
        .get(&[])
        .answer(304, &[("cache-control", "max-age=60")])
        .status(200)
        .body("0123456789")
        .asked_with("if-none-match", "\"a\"")
        .get(&[])
        .hit(),
        stale("9111 4.3.3", "HEAD is answered, too", TAGGED)
            .ask("HEAD", &[])
            .hang_up()
            .cache("fwd=stale detail=stale-on-failure")
            .gives("content-length", "10"),
        stale(
            "9111 4.3.3",
            "a new 5xx that may be stored does not take its place",
            TAGGED,
        )
        .get(&[])
        .answer_body(503, &[("cache-control", "max-age=600")], "sorry")
        .status(200)
        .body("0123456789")
        .cache("fwd-status=503 !stored"),
        stale("9111 5.5 (obsolete Warning)", "no Warning is added", TAGGED)
            .get(&[])
            .hang_up()
            .body("0123456789")
            .lacks("warning"),
    ];
    for status in [500, 502, 503, 504] {
        cases.push(
            stale("9111 4.3.3", "the origin answers 5xx", PLAIN)
                .get(&[])
                .answer_body(status, &[], "sorry")
                .status(200)
                .body("0123456789")
                .cache("fwd=stale detail=stale-on-failure !stored"),
        );
        cases.push(
            stale("5861 4", "the origin answers 5xx within the window", WINDOW)
                .get(&[])
                .answer_body(status, &[], "sorry")
                .status(200)
                .body("0123456789")
                .cache("fwd=stale detail=stale-if-error"),
        );
    }
    cases
}

fn forbidden() -> Vec<Case> {
    const PASSED: Fields = &[
        ("cache-control", "max-age=60, stale-if-error=20"),
        ("age", "100"),
        TAG,
    ];
    let mut cases = vec![
        stale("9111 5.2.2.4", "no-cache: the origin closes", NO_CACHE)
            .get(&[])
            .hang_up()
            .status(502)
            .cache("fwd=stale"),
        stale("9111 5.2.2.4", "no-cache: 503", NO_CACHE)
            .get(&[])
            .answer_body(503, &[], "sorry"),
        stale("5861 4", "the window has passed", PASSED)
            .get(&[])
            .hang_up()
            .status(502),
        stale("5861 4", "404 is no error of the origin's", TAGGED)
            .get(&[])
            .answer_body(404, &[], "gone"),
        stale("5861 4", "the window does not open before an error", PASSED)
            .get(&[])
            .answer(304, &[])
            .status(200)
            .body("0123456789")
            .asked_with("if-none-match", "\"a\""),
    ];
    for fields in FORBIDDING {
        cases.push(
            stale("9111 5.2.2.2", "forbidden: the origin closes", fields)
                .get(&[])
                .hang_up()
                .status(504)
                .gives(
                    "proxy-status",
                    "verge; error=connection_terminated; \
                     details=\"what is stored must be validated\"",
                )
                .cache("fwd=stale"),
        );
        cases.push(
            stale("9111 5.2.2.2", "forbidden: HEAD", fields)
                .ask("HEAD", &[])
                .hang_up()
                .status(504),
        );
        cases.push(
            stale("9111 4.2.4", "forbidden: 503", fields)
                .get(&[])
                .answer_body(503, &[], "sorry")
                .cache("fwd=stale fwd-status=503"),
        );
        cases.push(
            stale("9111 5.2.1.2", "forbidden: max-stale", fields)
                .get(&[("cache-control", "max-stale")])
                .answer(304, &[])
                .status(200)
                .body("0123456789"),
        );
    }
    cases
}

fn by_request() -> Vec<Case> {
    const NARROW: Fields = &[("cache-control", "max-age=60"), ("age", "8000"), TAG];
    vec![
        stale("9111 5.2.1.4", "no-cache is asked for", TAGGED)
            .get(&[("cache-control", "no-cache")])
            .hang_up()
            .status(502),
        stale("9111 5.4", "Pragma asks for it", TAGGED)
            .get(&[("pragma", "no-cache")])
            .answer_body(503, &[], "sorry"),
        stale("9111 5.2.1.2", "staler than max-stale takes", TAGGED)
            .get(&[("cache-control", "max-stale=10")])
            .hang_up()
            .status(502),
        stale("9111 5.2.1.2", "max-stale without a value", TAGGED)
            .get(&[("cache-control", "max-stale")])
            .cache("hit detail=max-stale"),
        stale("9111 4.2.4", "older than the node's own bound", NARROW)
            .get(&[])
            .hang_up()
            .status(502),
        stale("5861 4", "stale-if-error of the request", NARROW)
            .get(&[("cache-control", "stale-if-error=10000")])
            .hang_up()
            .body("0123456789")
            .cache("fwd=stale detail=request-stale-if-error"),
    ]
}
