//! Fields that concern one connection are neither stored nor passed on (RFC 9111 3.1, 3.2).

use super::kit::{Case, Fields, case};

const HOP: Fields = &[
    ("cache-control", "max-age=60"),
    ("connection", "x-hop, X-Other"),
    ("x-hop", "1"),
    ("x-other", "1"),
    ("keep-alive", "timeout=5"),
    ("proxy-connection", "keep-alive"),
    ("proxy-authenticate", "Basic"),
    ("proxy-authentication-info", "a=b"),
    ("te", "trailers"),
    ("trailer", "x-end"),
    ("x-end", "1"),
];

const GONE: [&str; 8] = [
    "x-hop",
    "x-other",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authentication-info",
    "te",
    "upgrade",
];

fn without(case: Case) -> Case {
    GONE.into_iter().fold(case, Case::lacks)
}

pub(crate) fn cases() -> Vec<Case> {
    const STALE: Fields = &[("cache-control", "max-age=0"), ("etag", "\"a\"")];
    let first = case("9111 3.1", "in a response that is stored")
        .get(&[])
        .answer(200, HOP)
        .gives("x-end", "1");
    let first = without(first).get(&[]).hit().gives("x-end", "1");
    let freshened = case("9111 3.2", "in a 304")
        .get(&[])
        .answer(200, STALE)
        .get(&[])
        .answer(304, HOP)
        .status(200)
        .body("0123456789")
        .gives("x-end", "1");
    let freshened = without(freshened).get(&[]).hit().gives("x-end", "1");
    let passed = case("9110 7.6.1", "in a response that passes through")
        .ask("POST", &[])
        .answer(200, HOP)
        .gives("x-end", "1");
    // Trailers are not stored; they do pass through.
    let announced = |case: Case| without(case).lacks("trailer");
    vec![
        announced(first),
        announced(freshened),
        without(passed),
        case("9110 7.6.1", "in a request")
            .get(&[
                ("keep-alive", "5"),
                ("te", "trailers"),
                ("trailer", "x-end"),
            ])
            .answer(200, STALE)
            .asked_without("keep-alive")
            .asked_without("trailer"),
        case(
            "9111 2",
            "what overrides the target is no part of the key, nor passed on",
        )
        .get(&[
            ("x-forwarded-host", "a"),
            ("X_Original_URL", "/b"),
            ("x_real_ip", "c"),
        ])
        .answer(200, STALE)
        .asked_without("x-forwarded-host")
        .asked_without("x_original_url")
        .asked_without("x_real_ip"),
    ]
}
