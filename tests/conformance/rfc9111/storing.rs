//! What may be stored by status and directives (RFC 9111 3).

use super::kit::{Case, Fields, case};

/// Stored, and reused without asking.
pub(super) fn stored(
    section: &'static str,
    name: &'static str,
    status: u16,
    fields: Fields,
) -> Case {
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
pub(super) fn refused(
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

pub(super) fn refused_200(
    section: &'static str,
    name: &'static str,
    fields: Fields,
    detail: &'static str,
) -> Case {
    refused(section, name, &[], 200, fields, detail)
}

pub(super) const MINUTE: Fields = &[("cache-control", "max-age=60")];
pub(super) const TAG: (&str, &str) = ("etag", "\"a\"");

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = by_status();
    cases.extend(by_directives());
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
