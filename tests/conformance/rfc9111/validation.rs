//! Validation (RFC 9111 4.3).

use super::kit::{Case, Fields, case};

const TAG: (&str, &str) = ("etag", "\"a\"");
const STALE: Fields = &[("cache-control", "max-age=0"), TAG];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = requests();
    cases.extend(freshening());
    cases.extend(other_outcomes());
    cases.extend(variants());
    cases.extend(for_the_origin());
    cases.extend(by_head());
    cases
}

/// RFC 9111 4.3.2: what no cache evaluates reaches the origin as it is.
fn for_the_origin() -> Vec<Case> {
    vec![
        case("9111 4.3.2", "If-Match where nothing is stored")
            .get(&[("if-match", "\"x\"")])
            .answer(412, &[])
            .asked_with("if-match", "\"x\""),
        case("9111 4.3.2", "If-Unmodified-Since where nothing is stored")
            .get(&[("if-unmodified-since", "@-100")])
            .answer(412, &[])
            .asked_with("if-unmodified-since", "@-100"),
        case("9111 4.3.2", "If-Match where what is stored is stale")
            .get(&[])
            .answer(200, STALE)
            .get(&[("if-match", "\"x\"")])
            .answer(412, &[])
            .asked_with("if-match", "\"x\"")
            .asked_without("if-none-match"),
        case("9111 4.3.1", "conditions of the client are not the cache's")
            .get(&[("if-none-match", "\"a\""), ("if-modified-since", "@-100")])
            .answer(200, &[("cache-control", "max-age=60"), TAG])
            .status(304)
            .asked_without("if-none-match")
            .asked_without("if-modified-since")
            .get(&[])
            .hit()
            .body("0123456789"),
    ]
}

/// RFC 9111 4.3.5.
fn by_head() -> Vec<Case> {
    const HELD: Fields = &[("cache-control", "max-age=60"), ("age", "100"), TAG];
    let stored = |name| case("9111 4.3.5", name).get(&[]).answer(200, HELD);
    vec![
        stored("HEAD of the same representation freshens it")
            .ask("HEAD", &[])
            .answer(
                200,
                &[("cache-control", "max-age=600"), TAG, ("x-new", "1")],
            )
            .get(&[])
            .hit()
            .gives("x-new", "1")
            .body("0123456789"),
        stored("HEAD of another representation removes it")
            .ask("HEAD", &[])
            .answer(200, &[("cache-control", "max-age=600"), ("etag", "\"b\"")])
            .get(&[])
            .answer(200, HELD)
            .asked_without("if-none-match"),
        stored("HEAD of another length removes it")
            .ask("HEAD", &[])
            .answer_body(200, &[TAG], "of a length of its own")
            .get(&[])
            .answer(200, HELD)
            .asked_without("if-none-match"),
        stored("HEAD that fails leaves it")
            .ask("HEAD", &[])
            .answer(404, &[])
            .get(&[])
            .answer(304, &[])
            .status(200)
            .body("0123456789"),
    ]
}

/// RFC 9111 4.3.1, 4.3.4: a request that no variant matches.
fn variants() -> Vec<Case> {
    const EN: Fields = &[("accept-language", "en")];
    const DE: Fields = &[("accept-language", "de")];
    const FR: Fields = &[("accept-language", "fr")];
    const A: Fields = &[
        ("cache-control", "max-age=60"),
        ("vary", "accept-language"),
        ("etag", "\"a\""),
    ];
    const B: Fields = &[
        ("cache-control", "max-age=60"),
        ("vary", "accept-language"),
        ("etag", "\"b\""),
        ("date", "@10"),
    ];
    const UNTAGGED: Fields = &[("cache-control", "max-age=60"), ("vary", "accept-language")];
    let two = |name| {
        case("9111 4.3.1", name)
            .get(EN)
            .answer_body(200, A, "a")
            .get(DE)
            .answer_body(200, B, "b")
    };
    vec![
        two("the origin selects one by its entity tag")
            .get(FR)
            .answer(304, A)
            .status(200)
            .body("a")
            .cache("fwd=vary-miss fwd-status=304 stored")
            .asked_with("if-none-match", "\"b\", \"a\"")
            .gives("etag", "\"a\"")
            .get(FR)
            .hit()
            .body("a")
            .get(EN)
            .hit()
            .body("a")
            .get(DE)
            .hit()
            .body("b"),
        two("the client's own condition is not sent, and is applied to what was selected")
            .get(&[("accept-language", "fr"), ("if-none-match", "\"a\"")])
            .answer(304, A)
            .cache("fwd=vary-miss stored")
            .asked_with("if-none-match", "\"b\", \"a\""),
        two("a 304 that names none of them: asked again for all")
            .get(FR)
            .answer(304, &[("etag", "\"c\"")])
            .answer_body(200, UNTAGGED, "c")
            .asked_without("if-none-match")
            .cache("fwd=vary-miss fwd-status=200 stored"),
        case(
            "9111 4.3.1",
            "nothing is asked with where nothing has a tag",
        )
        .get(EN)
        .answer(200, UNTAGGED)
        .get(FR)
        .answer(200, UNTAGGED)
        .asked_without("if-none-match"),
    ]
}

/// RFC 9111 4.3.1.
fn requests() -> Vec<Case> {
    let validate = |name, fields: Fields| {
        case("9111 4.3.1", name)
            .get(&[])
            .answer(200, fields)
            .cache("stored")
            .get(&[])
            .answer(304, &[])
            .status(200)
            .body("0123456789")
            .cache("fwd=stale fwd-status=304 stored")
    };
    vec![
        validate("by ETag", STALE)
            .asked_with("if-none-match", "\"a\"")
            .asked_without("if-modified-since"),
        validate(
            "by a weak ETag",
            &[("cache-control", "max-age=0"), ("etag", "W/\"a\"")],
        )
        .asked_with("if-none-match", "W/\"a\""),
        validate(
            "by Last-Modified",
            &[("cache-control", "max-age=0"), ("last-modified", "@-1000")],
        )
        .asked_with("if-modified-since", "@-1000")
        .asked_without("if-none-match"),
        validate(
            "by both",
            &[
                ("cache-control", "max-age=0"),
                ("last-modified", "@-1000"),
                TAG,
            ],
        )
        .asked_with("if-none-match", "\"a\"")
        .asked_with("if-modified-since", "@-1000"),
        case(
            "9111 4.3.1",
            "with the stored validator, whatever the client has",
        )
        .get(&[])
        .answer(200, &[("cache-control", "no-cache, max-age=60"), TAG])
        .get(&[("cache-control", "max-age=0")])
        .answer(304, &[])
        .status(200)
        .body("0123456789")
        .asked_with("if-none-match", "\"a\""),
    ]
}

/// RFC 9111 3.2, 4.3.4.
fn freshening() -> Vec<Case> {
    vec![
        case("9111 3.2", "304 updates fields and keeps the content")
            .get(&[])
            .answer(
                200,
                &[
                    ("cache-control", "max-age=0"),
                    TAG,
                    ("content-type", "text/x"),
                    ("x-old", "1"),
                    ("x-changed", "1"),
                ],
            )
            .get(&[])
            .answer(
                304,
                &[
                    ("cache-control", "max-age=60"),
                    TAG,
                    ("x-changed", "2"),
                    ("x-new", "3"),
                ],
            )
            .status(200)
            .body("0123456789")
            .cache("fwd=stale fwd-status=304 stored")
            .gives("x-changed", "2")
            .gives("x-new", "3")
            .get(&[])
            .hit()
            .body("0123456789")
            .gives("content-type", "text/x")
            .gives("content-length", "10")
            .gives("x-old", "1")
            .gives("x-changed", "2")
            .gives("x-new", "3"),
        case("9111 3.2", "304 does not update what describes the content")
            .get(&[])
            .answer(
                200,
                &[
                    ("cache-control", "max-age=0"),
                    TAG,
                    ("content-encoding", "x-a"),
                ],
            )
            .get(&[])
            .answer(
                304,
                &[
                    ("cache-control", "max-age=60"),
                    ("content-encoding", "x-b"),
                    ("content-range", "bytes 0-1/2"),
                ],
            )
            .status(200)
            .body("0123456789")
            .get(&[])
            .hit()
            .gives("content-encoding", "x-b")
            .gives("content-length", "10")
            .lacks("content-range"),
        case("9111 4.3.4", "a freshened response is as old as its 304")
            .get(&[])
            .answer(
                200,
                &[("cache-control", "max-age=60"), ("date", "@-1000"), TAG],
            )
            .age(1000)
            .get(&[])
            .answer(304, &[("age", "7")])
            .status(200)
            .body("0123456789")
            .age(7)
            .get(&[])
            .hit()
            .age(7),
        case(
            "9111 4.3.4",
            "304 about another representation: asked again for all",
        )
        .get(&[])
        .answer(200, STALE)
        .get(&[])
        .answer(304, &[("etag", "\"b\"")])
        .answer_body(
            200,
            &[("cache-control", "max-age=60"), ("etag", "\"b\"")],
            "new",
        )
        .cache("fwd=stale fwd-status=200 stored")
        .asked_without("if-none-match")
        .get(&[])
        .hit()
        .body("new"),
        case("9111 4.3.4", "304 that forbids to store is used once")
            .get(&[])
            .answer(200, STALE)
            .get(&[])
            .answer(304, &[("cache-control", "no-store")])
            .status(200)
            .body("0123456789")
            .cache("fwd=stale !stored")
            .get(&[])
            .answer(200, STALE)
            .cache("fwd=uri-miss")
            .asked_without("if-none-match"),
        case("9111 5.2.2.4", "no-cache is validated each time")
            .get(&[])
            .answer(200, &[("cache-control", "no-cache, max-age=60"), TAG])
            .get(&[])
            .answer(304, &[])
            .status(200)
            .body("0123456789")
            .cache("fwd=stale detail=no-cache stored")
            .get(&[])
            .answer(304, &[])
            .status(200)
            .body("0123456789")
            .cache("fwd=stale detail=no-cache stored"),
        case("9111 5.2.2.2", "must-revalidate is validated once stale")
            .get(&[])
            .answer(
                200,
                &[
                    ("cache-control", "max-age=60, must-revalidate"),
                    ("age", "70"),
                    TAG,
                ],
            )
            .get(&[])
            .answer(304, &[("cache-control", "max-age=60, must-revalidate")])
            .status(200)
            .body("0123456789")
            .cache("fwd=stale detail=stale stored")
            .get(&[])
            .hit(),
    ]
}

/// RFC 9111 4.3.3.
fn other_outcomes() -> Vec<Case> {
    vec![
        case(
            "9111 4.3.3",
            "a changed representation replaces the stored one",
        )
        .get(&[])
        .answer(200, STALE)
        .get(&[])
        .answer_body(
            200,
            &[("cache-control", "max-age=60"), ("etag", "\"b\"")],
            "new",
        )
        .cache("fwd=stale fwd-status=200 stored")
        .get(&[])
        .hit()
        .body("new")
        .gives("etag", "\"b\""),
        case(
            "9111 4.3.3",
            "a failure is passed on and what is stored stays",
        )
        .get(&[])
        .answer(200, &[("cache-control", "max-age=0, must-revalidate"), TAG])
        .get(&[])
        .answer_body(503, &[], "sorry")
        .cache("fwd=stale fwd-status=503 !stored")
        .get(&[])
        .answer(304, &[])
        .status(200)
        .body("0123456789")
        .asked_with("if-none-match", "\"a\""),
        case(
            "9111 4.3.3",
            "another answer that may be stored replaces it",
        )
        .get(&[])
        .answer(200, STALE)
        .get(&[])
        .answer_body(404, &[("cache-control", "max-age=60")], "gone")
        .cache("fwd=stale fwd-status=404 stored")
        .get(&[])
        .status(404)
        .hit()
        .body("gone"),
    ]
}
