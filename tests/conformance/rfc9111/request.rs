//! What a request's directives ask of a cache (RFC 9111 5.2.1, 5.4; RFC 8246).

use super::kit::{Case, Fields, case};

const TAG: (&str, &str) = ("etag", "\"a\"");
/// Fresh for 550 seconds more.
const FRESH: Fields = &[("cache-control", "max-age=600"), ("age", "50"), TAG];
/// Stale for 40 seconds.
const STALE: Fields = &[("cache-control", "max-age=60"), ("age", "100"), TAG];

/// What is stored answers the second request.
fn accepts(section: &'static str, name: &'static str, fields: Fields, asked: Fields) -> Case {
    case(section, name)
        .get(&[])
        .answer(200, fields)
        .cache("stored")
        .get(asked)
        .hit()
}

/// What is stored is validated for the second request.
fn validates(
    section: &'static str,
    name: &'static str,
    fields: Fields,
    asked: Fields,
    why: &'static str,
) -> Case {
    case(section, name)
        .get(&[])
        .answer(200, fields)
        .cache("stored")
        .get(asked)
        .answer(304, &[])
        .status(200)
        .body("0123456789")
        .cache(why)
        .asked_with("if-none-match", "\"a\"")
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = fresh();
    cases.extend(stale());
    cases.extend(only_if_cached());
    cases
}

fn fresh() -> Vec<Case> {
    const IMMUTABLE: Fields = &[("cache-control", "max-age=600, immutable"), TAG];
    let no_cache = "fwd=request detail=request-no-cache";
    vec![
        accepts(
            "9111 5.2.1.1",
            "max-age that is not passed",
            FRESH,
            &[("cache-control", "max-age=100")],
        ),
        validates(
            "9111 5.2.1.1",
            "max-age that is passed",
            FRESH,
            &[("cache-control", "max-age=10")],
            "fwd=request detail=request-max-age",
        ),
        validates(
            "9111 5.2.1.1",
            "max-age=0",
            FRESH,
            &[("cache-control", "max-age=0")],
            "fwd=request detail=request-max-age",
        ),
        accepts(
            "9111 5.2.1.3",
            "min-fresh that is met",
            FRESH,
            &[("cache-control", "min-fresh=300")],
        ),
        validates(
            "9111 5.2.1.3",
            "min-fresh that is not met",
            FRESH,
            &[("cache-control", "min-fresh=551")],
            "fwd=request detail=request-min-fresh",
        ),
        validates(
            "9111 5.2.1.4",
            "no-cache",
            FRESH,
            &[("cache-control", "no-cache")],
            no_cache,
        ),
        validates(
            "9111 5.4",
            "Pragma: no-cache",
            FRESH,
            &[("pragma", "no-cache")],
            no_cache,
        ),
        accepts(
            "9111 5.4",
            "Pragma is ignored beside Cache-Control",
            FRESH,
            &[("pragma", "no-cache"), ("cache-control", "max-age=100")],
        ),
        accepts(
            "8246 2.1",
            "immutable is not validated for a reload",
            IMMUTABLE,
            &[("cache-control", "max-age=0")],
        ),
        validates(
            "8246 2.1",
            "immutable is validated for a forced reload",
            IMMUTABLE,
            &[("cache-control", "no-cache")],
            no_cache,
        ),
        case(
            "9111 5.2.1.5",
            "no-store is no matter of what is stored already",
        )
        .get(&[])
        .answer(200, FRESH)
        .get(&[("cache-control", "no-store")])
        .hit()
        .body("0123456789"),
        case(
            "9111 5.2.1.5",
            "no-store goes past what is stale and leaves it",
        )
        .get(&[])
        .answer(200, &[("cache-control", "max-age=60"), ("age", "100"), TAG])
        .get(&[("cache-control", "no-store")])
        .answer_body(200, FRESH, "other")
        .asked_without("if-none-match")
        .cache("fwd=request detail=request-no-store")
        .get(&[])
        .answer(304, &[])
        .asked_with("if-none-match", "\"a\"")
        .status(200)
        .body("0123456789"),
        case(
            "9111 5.2.1.5",
            "no-store: nothing of it is stored, nor by a validation behind it",
        )
        .get(&[])
        .answer(
            200,
            &[
                ("cache-control", "max-age=60, stale-while-revalidate=600"),
                ("age", "100"),
            ],
        )
        .get(&[("cache-control", "no-store")])
        .answer_body(200, FRESH, "other"),
    ]
}

fn stale() -> Vec<Case> {
    const ANY: Fields = &[("cache-control", "max-stale")];
    let detail = "fwd=stale detail=stale";
    let mut cases = vec![
        accepts("9111 5.2.1.2", "max-stale", STALE, ANY).age(100),
        accepts(
            "9111 5.2.1.2",
            "max-stale that is met",
            STALE,
            &[("cache-control", "max-stale=60")],
        ),
        validates(
            "9111 5.2.1.2",
            "max-stale that is passed",
            STALE,
            &[("cache-control", "max-stale=30")],
            detail,
        ),
        validates(
            "9111 5.2.2.4",
            "no-cache beats max-stale",
            &[("cache-control", "no-cache, max-age=60"), TAG],
            ANY,
            "fwd=stale detail=no-cache",
        ),
    ];
    for control in [
        "max-age=60, must-revalidate",
        "max-age=60, proxy-revalidate",
        "s-maxage=60",
    ] {
        let fields: Fields = Vec::leak(vec![("cache-control", control), ("age", "100"), TAG]);
        let name = "what must be validated once stale is not taken stale";
        cases.push(validates("9111 4.2.4", name, fields, ANY, detail));
    }
    cases
}

fn only_if_cached() -> Vec<Case> {
    const ONLY: Fields = &[("cache-control", "only-if-cached")];
    vec![
        accepts("9111 5.2.1.7", "only-if-cached, fresh", FRESH, ONLY),
        case("9111 5.2.1.7", "only-if-cached, nothing stored")
            .get(ONLY)
            .status(504)
            .cache("fwd=uri-miss !stored"),
        case("9111 5.2.1.7", "only-if-cached, stale")
            .get(&[])
            .answer(200, STALE)
            .get(ONLY)
            .status(504)
            .cache("fwd=stale"),
        accepts(
            "9111 5.2.1.7",
            "only-if-cached with max-stale",
            STALE,
            &[("cache-control", "only-if-cached, max-stale")],
        ),
        case("9111 5.2.1.7", "only-if-cached of HEAD")
            .ask("HEAD", ONLY)
            .status(504)
            .cache("fwd=uri-miss"),
    ]
}
