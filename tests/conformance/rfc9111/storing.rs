//! What may be stored (RFC 9111 3) and what of it is.

use super::kit::{Case, Fields, case};

/// Stored, and reused without asking.
fn stored(section: &'static str, name: &'static str, status: u16, fields: Fields) -> Case {
    case(section, name)
        .get(&[])
        .answer(status, fields)
        .cache("fwd=uri-miss stored")
        .get(&[])
        .status(status)
        .hit()
}

/// Stored for its validator: the next request asks whether it still holds.
fn validated(section: &'static str, name: &'static str, fields: Fields) -> Case {
    case(section, name)
        .get(&[])
        .answer(200, fields)
        .cache("fwd=uri-miss stored")
        .get(&[])
        .answer(304, fields)
        .status(200)
        .body("0123456789")
        .cache("fwd=stale fwd-status=304")
}

/// Not stored, for the reason `detail`: the next request is a miss again.
fn refused(
    section: &'static str,
    name: &'static str,
    asked: Fields,
    status: u16,
    fields: Fields,
    detail: &'static str,
) -> Case {
    case(section, name)
        .get(asked)
        .answer(status, fields)
        .cache(detail)
        .get(asked)
        .answer(status, fields)
        .cache(detail)
}

fn refused_200(
    section: &'static str,
    name: &'static str,
    fields: Fields,
    detail: &'static str,
) -> Case {
    refused(section, name, &[], 200, fields, detail)
}

const MINUTE: Fields = &[("cache-control", "max-age=60")];
const TAG: (&str, &str) = ("etag", "\"a\"");

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = by_status();
    cases.extend(by_directives());
    cases.extend(by_request());
    cases.extend(by_fields());
    cases
}

fn by_status() -> Vec<Case> {
    let mut cases = Vec::new();
    for status in [
        200, 201, 202, 203, 204, 299, 300, 301, 302, 303, 307, 308, 399, 400, 403, 404, 405, 406,
        410, 414, 418, 422, 451, 499, 500, 501, 502, 503, 504, 505, 599, 600, 700, 799, 999,
    ] {
        cases.push(stored(
            "9111 3",
            "any final status with explicit freshness",
            status,
            MINUTE,
        ));
    }
    for status in [203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        cases.push(stored(
            "9110 15.1",
            "a status that allows a heuristic",
            status,
            &[("last-modified", "@-1000000")],
        ));
    }
    for status in [299, 302, 400, 403, 499, 500, 599, 999] {
        cases.push(stored(
            "9111 3",
            "public allows a heuristic for any status",
            status,
            &[("last-modified", "@-1000000"), ("cache-control", "public")],
        ));
    }
    for status in [428, 429, 431, 511] {
        let name = "a status whose definition forbids it";
        let detail = "!stored detail=status-forbidden";
        cases.push(refused("6585 3", name, &[], status, MINUTE, detail));
    }
    for status in [200, 201, 302, 404, 422, 500, 505] {
        cases.push(stored(
            "9111 5.2.2.3",
            "must-understand and a status that is understood",
            status,
            &[("cache-control", "max-age=60, no-store, must-understand")],
        ));
    }
    for status in [302, 303, 307, 400, 403, 500, 503] {
        let name = "a status that is not heuristically cacheable needs explicit freshness";
        let detail = "!stored detail=not-cacheable";
        cases.push(refused("9111 3", name, &[], status, &[TAG], detail));
    }
    cases.push(refused(
        "9111 3.3",
        "a part is not stored",
        &[],
        206,
        &[
            ("cache-control", "max-age=60"),
            ("content-range", "bytes 0-9/20"),
        ],
        "!stored detail=status-partial",
    ));
    for status in [299, 499, 599, 999] {
        cases.push(refused(
            "9111 5.2.2.3",
            "must-understand and a status that is not understood",
            &[],
            status,
            &[("cache-control", "max-age=60, must-understand")],
            "!stored detail=status-not-understood",
        ));
    }
    let name = "a status that is not heuristically cacheable has no heuristic";
    let fields: Fields = &[("last-modified", "@-1000000")];
    for status in [201, 302, 403, 500, 503, 599] {
        let detail = "!stored detail=not-cacheable";
        cases.push(refused("9111 4.2.2", name, &[], status, fields, detail));
    }
    cases
}

fn by_directives() -> Vec<Case> {
    let no_store = "!stored detail=no-store";
    let private = "!stored detail=private";
    let none = "!stored detail=no-validator";
    vec![
        stored("9111 5.2.2.1", "max-age", 200, MINUTE),
        stored(
            "9111 5.2",
            "names have no case",
            200,
            &[("cache-control", "Max-Age=60")],
        ),
        stored(
            "9111 5.2",
            "arguments may be quoted",
            200,
            &[("cache-control", "max-age=\"60\"")],
        ),
        stored(
            "9111 5.2.3",
            "unknown directives are ignored",
            200,
            &[("cache-control", "max-age=60, x-future=1, community=\"a,b\"")],
        ),
        stored(
            "9111 5.2.2.10",
            "s-maxage",
            200,
            &[("cache-control", "s-maxage=60")],
        ),
        stored("9111 5.3", "Expires", 200, &[("expires", "@60")]),
        stored(
            "9111 5.2.2.9",
            "public",
            200,
            &[("cache-control", "public, max-age=60")],
        ),
        stored(
            "9111 5.2.2.3",
            "must-understand lets a known status be stored beside no-store",
            200,
            &[("cache-control", "max-age=60, no-store, must-understand")],
        ),
        stored(
            "9111 5.2.2.2",
            "must-revalidate forbids nothing while it is fresh",
            200,
            &[("cache-control", "max-age=60, must-revalidate")],
        ),
        refused_200(
            "9111 5.2.2.5",
            "no-store",
            &[("cache-control", "no-store")],
            no_store,
        ),
        refused_200(
            "9111 5.2.2.5",
            "no-store beats max-age and public",
            &[("cache-control", "public, max-age=60, no-store")],
            no_store,
        ),
        refused_200(
            "9111 5.2",
            "no-store on a line of its own",
            &[
                ("cache-control", "max-age=60"),
                ("cache-control", "No-Store"),
            ],
            no_store,
        ),
        refused_200(
            "9111 5.2.2.7",
            "private",
            &[("cache-control", "private, max-age=60")],
            private,
        ),
        refused_200(
            "9111 5.2.2.7",
            "private beats s-maxage",
            &[("cache-control", "s-maxage=60, private")],
            private,
        ),
        refused_200("9111 4.2.2", "nothing explicit and no validator", &[], none),
        refused_200(
            "9111 5.2.2.1",
            "max-age=0 and no validator",
            &[("cache-control", "max-age=0")],
            none,
        ),
        refused_200(
            "9111 5.3",
            "Expires in the past and no validator",
            &[("expires", "@-60")],
            none,
        ),
        refused_200("9111 5.3", "Expires: 0", &[("expires", "0")], none),
        refused_200(
            "9111 5.2.2.4",
            "no-cache and no validator",
            &[("cache-control", "no-cache, max-age=60")],
            none,
        ),
        validated("9111 4.2.2", "nothing explicit but a validator", &[TAG]),
        validated(
            "9111 5.2.2.1",
            "max-age=0 with a validator",
            &[("cache-control", "max-age=0"), TAG],
        ),
        validated(
            "9111 5.2.2.4",
            "no-cache with a validator",
            &[("cache-control", "no-cache, max-age=60"), TAG],
        ),
        validated(
            "9111 5.3",
            "Expires in the past with a validator",
            &[("expires", "@-60"), TAG],
        ),
    ]
}

fn by_request() -> Vec<Case> {
    const ASKED: Fields = &[("authorization", "Basic YTpi")];
    const NO_STORE: Fields = &[("cache-control", "no-store")];
    let authorization = "!stored detail=authorization";
    let mut cases = Vec::new();
    for control in ["max-age=60", "max-age=60, proxy-revalidate"] {
        let fields: Fields = Vec::leak(vec![("cache-control", control)]);
        let name = "an authorised answer is not shared unless it says so";
        cases.push(refused("9111 3.5", name, ASKED, 200, fields, authorization));
    }
    for control in [
        "max-age=60, public",
        "s-maxage=60",
        "max-age=60, must-revalidate",
    ] {
        let fields: Fields = Vec::leak(vec![("cache-control", control)]);
        cases.push(
            case("9111 3.5", "an authorised answer that may be shared")
                .get(ASKED)
                .answer(200, fields)
                .cache("fwd=uri-miss stored")
                .get(&[])
                .hit(),
        );
    }
    cases.push(
        case("9111 5.2.1.5", "no-store of the request: nothing is stored")
            .get(NO_STORE)
            .answer(200, MINUTE)
            .cache("fwd=request !stored detail=request-no-store")
            .get(&[])
            .answer(200, MINUTE)
            .cache("fwd=uri-miss stored"),
    );
    cases.push(
        case(
            "9110 9.3.1",
            "the answer to a GET with content is for it alone",
        )
        .get(&[])
        .content("q")
        .answer(200, MINUTE)
        .cache("fwd=bypass !stored detail=request-content")
        .get(&[])
        .answer(200, MINUTE)
        .cache("fwd=uri-miss stored"),
    );
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        cases.push(
            case("9111 3", "the answers to other methods are not stored")
                .ask(method, &[])
                .answer(200, MINUTE)
                .cache("fwd=method !stored")
                .get(&[])
                .answer(200, MINUTE)
                .cache("fwd=uri-miss stored"),
        );
    }
    cases
}

fn by_fields() -> Vec<Case> {
    vec![
        refused_200(
            "9111 4.1",
            "Vary: *",
            &[("cache-control", "max-age=60"), ("vary", "*")],
            "!stored detail=vary-any",
        ),
        refused_200(
            "9111 4.1",
            "Vary: * among others",
            &[
                ("cache-control", "max-age=60"),
                ("vary", "accept"),
                ("vary", "accept-language, *"),
            ],
            "!stored detail=vary-any",
        ),
        refused_200(
            "9111 7.3",
            "a cookie of a response that is not called fresh",
            &[("last-modified", "@-1000"), TAG, ("set-cookie", "id=1")],
            "!stored detail=set-cookie",
        ),
        stored(
            "9111 7.3",
            "a cookie does not inhibit caching",
            200,
            &[("cache-control", "max-age=60"), ("set-cookie", "id=1")],
        ),
        stored(
            "9111 7.3",
            "a cookie that is said to be for all",
            200,
            &[
                ("cache-control", "public, max-age=60"),
                ("set-cookie", "theme=dark"),
            ],
        ),
        case(
            "9111 5.2.2.7",
            "a private field goes to its client and is not stored",
        )
        .get(&[])
        .answer(
            200,
            &[
                ("cache-control", "max-age=60, private=\"set-cookie\""),
                ("set-cookie", "id=1"),
                ("x-kept", "1"),
            ],
        )
        .cache("stored")
        .gives("set-cookie", "id=1")
        .get(&[])
        .hit()
        .lacks("set-cookie")
        .gives("x-kept", "1"),
        case(
            "9111 5.2.2.4",
            "a no-cache field goes to its client and is not stored",
        )
        .get(&[])
        .answer(
            200,
            &[
                ("cache-control", "max-age=60, no-cache=\"X-Nonce\""),
                ("x-nonce", "7"),
            ],
        )
        .cache("stored")
        .gives("x-nonce", "7")
        .get(&[])
        .hit()
        .lacks("x-nonce"),
        case("9111 3.1", "fields of one connection are not stored")
            .get(&[])
            .answer(
                200,
                &[
                    ("cache-control", "max-age=60"),
                    ("connection", "x-hop"),
                    ("x-hop", "1"),
                    ("proxy-authenticate", "Basic"),
                    ("x-kept", "1"),
                ],
            )
            .lacks("x-hop")
            .get(&[])
            .hit()
            .lacks("x-hop")
            .lacks("proxy-authenticate")
            .gives("x-kept", "1"),
    ]
}
