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
    vec![without(first), without(freshened), without(passed)]
}
