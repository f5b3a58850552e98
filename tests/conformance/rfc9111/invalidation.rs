//! Invalidation by unsafe methods (RFC 9111 4.4).

use super::kit::{Case, Fields, case};

const MINUTE: Fields = &[("cache-control", "max-age=60")];

fn stored(name: &'static str) -> Case {
    case("9111 4.4", name)
        .get(&[])
        .answer(200, MINUTE)
        .get(&[])
        .hit()
}

fn gone(case: Case) -> Case {
    case.get(&[])
        .answer(200, MINUTE)
        .cache("fwd=uri-miss stored")
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = by_method_and_status();
    cases.extend(of_other_uris());
    cases.extend(by_post());
    cases.extend(by_groups());
    cases
}

fn by_method_and_status() -> Vec<Case> {
    let mut cases = Vec::new();
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        for status in [200, 201, 204, 303] {
            let name = "an unsafe request that succeeds";
            cases.push(gone(
                stored(name)
                    .ask(method, &[])
                    .answer(status, &[])
                    .cache("fwd=method"),
            ));
        }
        for status in [400, 404, 500, 503] {
            let name = "an unsafe request that fails";
            cases.push(
                stored(name)
                    .ask(method, &[])
                    .answer(status, &[])
                    .get(&[])
                    .hit(),
            );
        }
    }
    for method in ["OPTIONS", "PROPFIND", "REPORT", "SEARCH"] {
        cases.push(
            stored("a safe request")
                .ask(method, &[])
                .answer(200, &[])
                .get(&[])
                .hit(),
        );
    }
    for method in ["FROB", "M-SEARCH"] {
        cases.push(gone(
            stored("a method that nobody knows")
                .ask(method, &[])
                .answer(200, &[]),
        ));
        cases.push(
            stored("a method that nobody knows, and fails")
                .ask(method, &[])
                .answer(500, &[])
                .get(&[])
                .hit(),
        );
    }
    cases
}

/// RFC 9875 3.
fn by_groups() -> Vec<Case> {
    const GROUPED: Fields = &[
        ("cache-control", "max-age=60"),
        ("cache-groups", "\"one\", \"two\""),
    ];
    let grouped = |name| {
        case("9875 3", name)
            .get(&[])
            .at("/grouped")
            .answer(200, GROUPED)
    };
    vec![
        grouped("the response to an unsafe request names a group")
            .ask("POST", &[])
            .answer(200, &[("cache-group-invalidation", "\"two\"")])
            .get(&[])
            .at("/grouped")
            .answer(200, GROUPED),
        grouped("another group stays")
            .ask("POST", &[])
            .answer(200, &[("cache-group-invalidation", "\"three\"")])
            .get(&[])
            .at("/grouped")
            .hit(),
        grouped("the response to a safe request invalidates nothing")
            .get(&[])
            .answer(200, &[("cache-group-invalidation", "\"two\"")])
            .get(&[])
            .at("/grouped")
            .hit(),
    ]
}

/// RFC 9110 9.3.3.
fn by_post() -> Vec<Case> {
    const FRESH: Fields = &[
        ("cache-control", "max-age=60"),
        ("content-location", "$case"),
        ("etag", "\"a\""),
    ];
    const OTHER: Fields = &[
        ("cache-control", "max-age=60"),
        ("content-location", "$case/other"),
    ];
    const NOT_FRESH: Fields = &[("content-location", "$case"), ("etag", "\"a\"")];
    let post = |name, fields: Fields| {
        case("9110 9.3.3", name)
            .ask("POST", &[])
            .content("order")
            .answer(200, fields)
    };
    vec![
        post("explicitly fresh, and of the target", FRESH)
            .cache("fwd=method stored")
            .get(&[])
            .hit()
            .gives("etag", "\"a\"")
            .ask("HEAD", &[])
            .hit(),
        post("and takes the place of what was stored", FRESH)
            .ask("POST", &[])
            .content("order")
            .answer_body(200, FRESH, "second")
            .get(&[])
            .hit()
            .body("second"),
        post("it does not answer a later POST", FRESH)
            .ask("POST", &[])
            .content("order")
            .answer(200, &[])
            .cache("fwd=method !stored"),
        post("of another URI", OTHER)
            .cache("fwd=method !stored")
            .get(&[])
            .answer(200, MINUTE)
            .get(&[])
            .at("/other")
            .answer(200, MINUTE),
        post("without Content-Location", MINUTE)
            .cache("!stored")
            .get(&[])
            .answer(200, MINUTE),
        post("without explicit freshness", NOT_FRESH)
            .cache("!stored")
            .get(&[])
            .answer(200, MINUTE)
            .asked_without("if-none-match"),
    ]
}

fn of_other_uris() -> Vec<Case> {
    const EN: Fields = &[("accept-language", "en")];
    const DE: Fields = &[("accept-language", "de")];
    const BY_LANGUAGE: Fields = &[("cache-control", "max-age=60"), ("vary", "accept-language")];
    vec![
        case("9111 4.4", "all variants go")
            .get(EN)
            .answer(200, BY_LANGUAGE)
            .get(DE)
            .answer(200, BY_LANGUAGE)
            .ask("POST", &[])
            .answer(200, &[])
            .get(EN)
            .answer(200, BY_LANGUAGE)
            .cache("fwd=uri-miss")
            .get(DE)
            .answer(200, BY_LANGUAGE)
            .cache("fwd=vary-miss"),
        case("9111 4.4", "another query is another URI")
            .get(&[])
            .at("?a=1")
            .answer(200, MINUTE)
            .ask("POST", &[])
            .answer(200, &[])
            .get(&[])
            .at("?a=1")
            .hit(),
        case(
            "9111 4.4",
            "what Location and Content-Location name on the origin goes, too",
        )
        .get(&[])
        .at("/one")
        .answer(200, MINUTE)
        .get(&[])
        .at("/two?q")
        .answer(200, MINUTE)
        .ask("POST", &[])
        .answer(
            201,
            &[
                ("location", "$case/one"),
                ("content-location", "$case/two?q"),
            ],
        )
        .get(&[])
        .at("/one")
        .answer(200, MINUTE)
        .cache("fwd=uri-miss")
        .get(&[])
        .at("/two?q")
        .answer(200, MINUTE)
        .cache("fwd=uri-miss"),
        case(
            "9111 4.4",
            "another origin's Location stays: one site cannot purge another",
        )
        .get(&[])
        .at("/one")
        .answer(200, MINUTE)
        .ask("POST", &[])
        .answer(201, &[("location", "ftp://shop.example$case/one")])
        .ask("POST", &[])
        .answer(201, &[("location", "//elsewhere.example$case/one")])
        .get(&[])
        .at("/one")
        .hit(),
        case("9111 4.4", "a reference that is needlessly encoded")
            .get(&[])
            .at("/~one")
            .answer(200, MINUTE)
            .ask("POST", &[])
            .answer(201, &[("location", "$case/%7Eon%65")])
            .get(&[])
            .at("/~one")
            .answer(200, MINUTE)
            .cache("fwd=uri-miss"),
        case("9111 4.4", "a reference relative to the path")
            .get(&[])
            .at("/folder/one")
            .answer(200, MINUTE)
            .ask("POST", &[])
            .at("/folder/two")
            .answer(201, &[("location", "./one")])
            .get(&[])
            .at("/folder/one")
            .answer(200, MINUTE)
            .cache("fwd=uri-miss"),
        case("9111 4.4", "what a GET names stays")
            .get(&[])
            .at("/one")
            .answer(200, MINUTE)
            .get(&[])
            .at("/two")
            .answer(
                200,
                &[
                    ("content-location", "$case/one"),
                    ("cache-control", "no-store"),
                ],
            )
            .get(&[])
            .at("/one")
            .hit(),
        case("9111 4.4", "what a failed request names stays")
            .get(&[])
            .at("/one")
            .answer(200, MINUTE)
            .ask("POST", &[])
            .answer(404, &[("location", "$case/one")])
            .get(&[])
            .at("/one")
            .hit(),
    ]
}
