//! Targeted cache control (RFC 9213) with the default target list, and the
//! fields that name responses for purges.

use super::kit::{Case, Fields, case};

const TAG: (&str, &str) = ("etag", "\"a\"");

fn reused(section: &'static str, name: &'static str, fields: Fields) -> Case {
    case(section, name)
        .get(&[])
        .answer(200, fields)
        .cache("fwd=uri-miss stored")
        .get(&[])
        .hit()
}

fn refused(section: &'static str, name: &'static str, fields: Fields) -> Case {
    case(section, name)
        .get(&[])
        .answer(200, fields)
        .cache("!stored")
        .get(&[])
        .answer(200, fields)
        .cache("fwd=uri-miss !stored")
}

fn validated(section: &'static str, name: &'static str, fields: Fields) -> Case {
    case(section, name)
        .get(&[])
        .answer(200, fields)
        .cache("stored")
        .get(&[])
        .answer(304, &[])
        .status(200)
        .body("0123456789")
        .cache("fwd=stale fwd-status=304")
}

fn pair(targeted: &'static str, common: &'static str) -> Fields {
    Vec::leak(vec![
        ("cdn-cache-control", targeted),
        ("cache-control", common),
    ])
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = overriding();
    cases.extend(malformed());
    cases.extend(names());
    cases
}

fn overriding() -> Vec<Case> {
    vec![
        reused("9213 2.2", "alone", &[("cdn-cache-control", "max-age=60")]),
        reused(
            "9213 2.2",
            "no-store is overridden",
            pair("max-age=60", "no-store"),
        ),
        reused(
            "9213 2.2",
            "private is overridden",
            pair("max-age=60", "private, max-age=5"),
        ),
        reused(
            "9213 2.2",
            "no-cache is overridden",
            pair("max-age=60", "no-cache"),
        ),
        reused(
            "9213 2.2",
            "a lifetime of 0 is overridden",
            pair("max-age=60", "s-maxage=0"),
        ),
        reused(
            "9213 2.2",
            "Expires is overridden",
            &[("cdn-cache-control", "max-age=60"), ("expires", "0")],
        ),
        refused(
            "9213 2.2",
            "no-store overrides",
            pair("no-store", "max-age=60"),
        ),
        refused(
            "9213 2.2",
            "private overrides",
            pair("private", "public, max-age=60"),
        ),
        validated(
            "9213 2.2",
            "no-cache overrides",
            &[
                ("cdn-cache-control", "no-cache"),
                ("cache-control", "max-age=60"),
                TAG,
            ],
        ),
        validated(
            "9213 2.2",
            "max-age=0 overrides",
            &[
                ("cdn-cache-control", "max-age=0"),
                ("cache-control", "max-age=60"),
                TAG,
            ],
        ),
        refused(
            "9213 2.2",
            "a field without lifetime overrides the lifetime, too",
            pair("none", "max-age=60"),
        ),
        refused(
            "9213 2.2",
            "and that of Expires",
            &[("cdn-cache-control", "must-revalidate"), ("expires", "@60")],
        ),
        reused(
            "9213 2.2",
            "the more specific field comes first",
            &[
                ("cdn-cache-control", "no-store"),
                ("verge-cdn-cache-control", "max-age=60"),
            ],
        ),
        reused(
            "9213 2.2",
            "a field that is for other caches changes nothing",
            &[
                ("other-cdn-cache-control", "no-store"),
                ("surrogate-control", "no-store"),
                ("cache-control", "max-age=60"),
            ],
        ),
        reused(
            "9213 2.1",
            "parameters and unknown members are ignored",
            pair("max-age=60;no-store, foobar=(1 2);x", "no-store"),
        ),
        reused(
            "9213 2.1",
            "lines are one dictionary",
            &[
                ("cdn-cache-control", "public"),
                ("cdn-cache-control", "max-age=60"),
                ("cache-control", "no-store"),
            ],
        ),
        case("9213 3.1", "the field is passed on")
            .get(&[])
            .answer(200, pair("max-age=60", "max-age=5"))
            .gives("cdn-cache-control", "max-age=60")
            .get(&[])
            .hit()
            .gives("cdn-cache-control", "max-age=60")
            .gives("cache-control", "max-age=5"),
        case(
            "9111 3.5",
            "s-maxage of the field allows to share what was authorised",
        )
        .get(&[("authorization", "Basic YTpi")])
        .answer(200, pair("s-maxage=60", "private"))
        .cache("stored")
        .get(&[])
        .hit(),
        case("9111 3.2", "a 304 brings new directives")
            .get(&[])
            .answer(200, &[("cdn-cache-control", "max-age=0"), TAG])
            .get(&[])
            .answer(304, &[("cdn-cache-control", "max-age=60"), TAG])
            .status(200)
            .body("0123456789")
            .get(&[])
            .hit(),
    ]
}

fn malformed() -> Vec<Case> {
    let mut cases = Vec::new();
    for value in [
        "",
        "max-age=60,",
        "max-age=60 ,, no-store",
        "MAX-AGE=60",
        "max-age= 60",
        "max-age =60",
        "max-age='60'",
        "max-age=60s",
        "max-age=\"60",
        "max-age=60; no store",
        "max-age=99999999999999999999",
        "&max-age=60",
    ] {
        let name = Box::leak(format!("as if it were absent: {value:?}").into_boxed_str());
        cases.push(refused("9213 2.1", name, pair(value, "no-store")));
        let name = Box::leak(format!("Cache-Control counts: {value:?}").into_boxed_str());
        cases.push(reused("9213 2.1", name, pair(value, "max-age=60")));
    }
    for value in [
        "max-age=\"60\"",
        "max-age=60.5",
        "max-age=-60",
        "max-age=a",
        "max-age",
        "max-age=(60)",
        "max-age=:AAAA:",
    ] {
        let name = Box::leak(format!("no lifetime: {value}").into_boxed_str());
        cases.push(refused("9213 2.1", name, pair(value, "max-age=60")));
    }
    cases.push(reused(
        "9213 2.1",
        "a number of fifteen digits is a long time",
        pair("max-age=999999999999999", "no-store"),
    ));
    cases
}

fn names() -> Vec<Case> {
    vec![
        case("9875 2", "names for purges stay here, groups are passed on")
            .get(&[])
            .answer(
                200,
                &[
                    ("cache-control", "max-age=60"),
                    ("surrogate-key", "a b"),
                    ("cache-tag", "c,d"),
                    ("cache-groups", "\"g\""),
                ],
            )
            .lacks("surrogate-key")
            .lacks("cache-tag")
            .gives("cache-groups", "\"g\"")
            .get(&[])
            .hit()
            .lacks("surrogate-key")
            .lacks("cache-tag")
            .gives("cache-groups", "\"g\""),
        case("9875 2", "nor do they leave with what is not stored")
            .get(&[])
            .answer(
                200,
                &[
                    ("cache-control", "no-store"),
                    ("surrogate-key", "a"),
                    ("cache-tag", "b"),
                ],
            )
            .lacks("surrogate-key")
            .lacks("cache-tag")
            .ask("POST", &[])
            .answer(200, &[("surrogate-key", "a"), ("cache-tag", "b")])
            .lacks("surrogate-key")
            .lacks("cache-tag"),
    ]
}
