//! Which stored response a request selects (RFC 9111 4, 4.1), and HEAD from GET.

use super::kit::{Case, Fields, case};

const BY_LANGUAGE: Fields = &[("cache-control", "max-age=60"), ("vary", "Accept-Language")];
const TAG: (&str, &str) = ("etag", "\"a\"");
const MINUTE: Fields = &[("cache-control", "max-age=60")];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = by_vary();
    cases.extend(by_uri());
    cases.extend(head());
    cases.extend(superseded());
    cases
}

fn by_vary() -> Vec<Case> {
    const EN: Fields = &[("accept-language", "en")];
    const DE: Fields = &[("accept-language", "de")];
    const BY_TWO: Fields = &[
        ("cache-control", "max-age=60"),
        ("vary", "accept"),
        ("vary", "accept-language"),
    ];
    vec![
        case("9111 4.1", "each variant is stored beside the others")
            .get(EN)
            .answer_body(200, BY_LANGUAGE, "hello")
            .cache("fwd=uri-miss stored")
            .get(DE)
            .answer_body(200, BY_LANGUAGE, "hallo")
            .cache("fwd=vary-miss stored")
            .get(&[])
            .answer_body(200, BY_LANGUAGE, "?")
            .cache("fwd=vary-miss stored")
            .get(EN)
            .hit()
            .body("hello")
            .get(DE)
            .hit()
            .body("hallo")
            .get(&[])
            .hit()
            .body("?"),
        case("9111 4.1", "an absent field is not an empty one")
            .get(&[])
            .answer(200, BY_LANGUAGE)
            .get(&[("accept-language", "")])
            .answer(200, BY_LANGUAGE)
            .cache("fwd=vary-miss"),
        case("9111 4.1", "all fields that Vary names must match")
            .get(&[("accept", "text/html"), ("accept-language", "en")])
            .answer(200, BY_TWO)
            .get(&[("accept", "text/html"), ("accept-language", "de")])
            .answer(200, BY_TWO)
            .cache("fwd=vary-miss stored")
            .get(&[("accept", "text/plain"), ("accept-language", "en")])
            .answer(200, BY_TWO)
            .cache("fwd=vary-miss stored")
            .get(&[("accept", "text/html"), ("accept-language", "en")])
            .hit(),
        case(
            "9111 4.3.4",
            "a 304 concerns all that its request could select and that have its strong validator",
        )
        .get(EN)
        .answer(
            200,
            &[
                ("cache-control", "max-age=60"),
                ("vary", "accept-language"),
                ("etag", "\"a\""),
                ("date", "@0"),
            ],
        )
        .get(DE)
        .answer(
            200,
            &[
                ("cache-control", "max-age=60"),
                ("etag", "\"a\""),
                ("date", "@-5"),
            ],
        )
        .get(&[("accept-language", "en"), ("cache-control", "no-cache")])
        .answer(304, &[("cache-control", "no-cache"), ("etag", "\"a\"")])
        .status(200)
        .body("0123456789")
        .get(DE)
        .answer(200, MINUTE)
        .cache("!hit"),
        case("9111 4.1", "fields that Vary does not name do not matter")
            .get(EN)
            .answer(200, BY_LANGUAGE)
            .get(&[("accept-language", "en"), ("user-agent", "other")])
            .hit(),
        case("9111 4.1", "a variant is validated with its own validator")
            .get(EN)
            .answer_body(
                200,
                &[
                    ("cache-control", "max-age=0"),
                    ("vary", "accept-language"),
                    ("etag", "\"en\""),
                ],
                "hello",
            )
            .get(DE)
            .answer_body(
                200,
                &[
                    ("cache-control", "max-age=0"),
                    ("vary", "accept-language"),
                    ("etag", "\"de\""),
                ],
                "hallo",
            )
            .get(EN)
            .answer(304, &[("etag", "\"en\""), ("vary", "accept-language")])
            .status(200)
            .body("hello")
            .asked_with("if-none-match", "\"en\""),
    ]
}

fn by_uri() -> Vec<Case> {
    vec![
        case("9111 2", "query is a part of the key, an empty one too")
            .get(&[])
            .answer_body(200, MINUTE, "none")
            .get(&[])
            .at("?")
            .answer_body(200, MINUTE, "empty")
            .cache("fwd=uri-miss stored")
            .get(&[])
            .at("?a=1")
            .answer_body(200, MINUTE, "one")
            .cache("fwd=uri-miss stored")
            .get(&[])
            .at("?a=2")
            .answer_body(200, MINUTE, "two")
            .cache("fwd=uri-miss stored")
            .get(&[])
            .hit()
            .body("none")
            .get(&[])
            .at("?")
            .hit()
            .body("empty")
            .get(&[])
            .at("?a=1")
            .hit()
            .body("one"),
        case("9111 2", "paths have case")
            .get(&[])
            .at("/a")
            .answer(200, MINUTE)
            .get(&[])
            .at("/A")
            .answer(200, MINUTE)
            .cache("fwd=uri-miss"),
    ]
}

fn head() -> Vec<Case> {
    vec![
        case("9110 9.3.2", "HEAD is answered from a stored GET")
            .get(&[])
            .answer(
                200,
                &[
                    ("cache-control", "max-age=60"),
                    ("etag", "\"a\""),
                    ("content-type", "text/x"),
                ],
            )
            .ask("HEAD", &[])
            .hit()
            .gives("content-length", "10")
            .gives("content-type", "text/x")
            .gives("etag", "\"a\""),
        case("9110 9.3.2", "HEAD is forwarded, and stores nothing")
            .ask("HEAD", &[])
            .answer(200, MINUTE)
            .cache("fwd=uri-miss !stored")
            .get(&[])
            .answer(200, MINUTE)
            .cache("fwd=uri-miss stored"),
        case(
            "9111 4.3.5",
            "HEAD that shows a change makes what is stored stale",
        )
        .get(&[])
        .answer(200, &[("cache-control", "max-age=0"), ("etag", "\"a\"")])
        .ask("HEAD", &[])
        .answer(200, &[("cache-control", "max-age=60"), ("etag", "\"b\"")])
        .cache("fwd=stale")
        .get(&[])
        .answer_body(
            200,
            &[("cache-control", "max-age=60"), ("etag", "\"b\"")],
            "new",
        )
        .cache("fwd=uri-miss stored"),
        case(
            "9111 4.3.5",
            "HEAD that shows no change freshens what is stored",
        )
        .get(&[])
        .answer(200, &[("cache-control", "max-age=0"), ("etag", "\"a\"")])
        .ask("HEAD", &[])
        .answer(
            200,
            &[
                ("cache-control", "max-age=60"),
                ("etag", "\"a\""),
                ("x-new", "1"),
            ],
        )
        .cache("fwd=stale")
        .get(&[])
        .hit()
        .gives("x-new", "1"),
    ]
}

/// What was nominated, and is answered with a full response that is not stored.
fn superseded() -> Vec<Case> {
    vec![
        case(
            "9111 4.3.3",
            "what a full response that is not stored has superseded is gone",
        )
        .get(&[])
        .answer(200, &[("cache-control", "max-age=60"), TAG])
        .get(&[("cache-control", "no-cache")])
        .answer_body(200, &[("cache-control", "no-store")], "newer")
        .asked_with("if-none-match", "\"a\"")
        .get(&[])
        .answer_body(200, &[("cache-control", "max-age=60")], "newest"),
        case("9111 4.3.3", "what is gone is gone")
            .get(&[])
            .answer(200, &[("cache-control", "max-age=60"), TAG])
            .get(&[("cache-control", "no-cache")])
            .answer_body(404, &[], "gone")
            .get(&[])
            .answer_body(404, &[], "gone"),
        case("9111 4.3.3", "what is for one client leaves what is stored")
            .get(&[])
            .answer(200, &[("cache-control", "max-age=60"), TAG])
            .get(&[("cache-control", "no-cache")])
            .answer_body(200, &[("cache-control", "private")], "mine")
            .get(&[])
            .hit()
            .body("0123456789"),
    ]
}
