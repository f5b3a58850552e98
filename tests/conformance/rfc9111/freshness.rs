//! Freshness lifetimes and age (RFC 9111 4.2).

use super::kit::{Case, Fields, case};

const TAG: (&str, &str) = ("etag", "\"a\"");

/// Fresh when it comes, `age` seconds old.
fn fresh(section: &'static str, name: &'static str, fields: Fields, age: u64) -> Case {
    case(section, name)
        .get(&[])
        .answer(200, fields)
        .cache("stored")
        .age(age)
        .get(&[])
        .hit()
        .age(age)
}

/// Stale when it comes.
fn stale(section: &'static str, name: &'static str, fields: Fields) -> Case {
    case(section, name)
        .get(&[])
        .answer(200, fields)
        .cache("stored")
        .get(&[])
        .answer(304, &[])
        .status(200)
        .body("0123456789")
        .cache("fwd=stale fwd-status=304 detail=stale")
        .asked_with("if-none-match", "\"a\"")
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = lifetimes();
    cases.extend(ages());
    cases
}

fn lifetimes() -> Vec<Case> {
    vec![
        fresh(
            "9111 4.2.1",
            "s-maxage before max-age",
            &[("cache-control", "max-age=0, s-maxage=60")],
            0,
        ),
        stale(
            "9111 4.2.1",
            "s-maxage before a longer max-age",
            &[("cache-control", "max-age=60, s-maxage=0"), TAG],
        ),
        fresh(
            "9111 4.2.1",
            "max-age before Expires",
            &[("cache-control", "max-age=60"), ("expires", "@-60")],
            0,
        ),
        stale(
            "9111 4.2.1",
            "max-age before a later Expires",
            &[("cache-control", "max-age=0"), ("expires", "@60"), TAG],
        ),
        fresh(
            "9111 4.2.1",
            "Expires less Date",
            &[("date", "@-30"), ("expires", "@30")],
            30,
        ),
        stale(
            "9111 4.2.1",
            "Expires less Date, used up",
            &[("date", "@-100"), ("expires", "@-40"), TAG],
        ),
        stale(
            "9111 4.2.1",
            "of two that differ the first counts",
            &[("cache-control", "max-age=0, max-age=60"), TAG],
        ),
        stale(
            "9111 4.2.1",
            "a lifetime that is no number is none",
            &[("cache-control", "max-age=soon"), TAG],
        ),
        fresh(
            "9111 1.2.2",
            "a number that is too large is a long time",
            &[("cache-control", "max-age=99999999999999999999")],
            0,
        ),
        fresh(
            "9111 4.2.2",
            "Last-Modified alone: a tenth of the time since then",
            &[("last-modified", "@-1000000")],
            0,
        ),
        case(
            "9111 4.2.2",
            "a tenth of the time between Last-Modified and Date",
        )
        .get(&[])
        .answer(200, &[("last-modified", "@-2050"), ("date", "@-50")])
        .cache("stored")
        .get(&[])
        .hit(),
        stale(
            "9111 4.2.2",
            "the heuristic lifetime is used up",
            &[("last-modified", "@-1000"), ("age", "1000"), TAG],
        ),
        stale(
            "9111 4.2.2",
            "a day is the most",
            &[("last-modified", "@-100000000"), ("age", "86400"), TAG],
        ),
        stale(
            "9111 4.2.2",
            "no heuristic for what was modified after its Date",
            &[("last-modified", "@1000"), TAG],
        ),
        stale(
            "9111 4.2.2",
            "no heuristic beside an explicit lifetime",
            &[
                ("last-modified", "@-1000000"),
                ("cache-control", "max-age=0"),
                TAG,
            ],
        ),
        stale(
            "9111 4.2.2",
            "nor beside one that is no number",
            &[
                ("last-modified", "@-1000000"),
                ("cache-control", "max-age=x"),
                TAG,
            ],
        ),
        stale(
            "9110 8.8.2",
            "an invalid Last-Modified is none",
            &[("last-modified", "yesterday"), TAG],
        ),
    ]
}

fn ages() -> Vec<Case> {
    vec![
        fresh(
            "9111 4.2.3",
            "the origin's Age counts",
            &[("cache-control", "max-age=600"), ("age", "50")],
            50,
        ),
        fresh(
            "9111 4.2.3",
            "apparent age by Date",
            &[("cache-control", "max-age=600"), ("date", "@-50")],
            50,
        ),
        fresh(
            "9111 4.2.3",
            "the greater of Age and apparent age: Date",
            &[
                ("cache-control", "max-age=600"),
                ("date", "@-50"),
                ("age", "20"),
            ],
            50,
        ),
        fresh(
            "9111 4.2.3",
            "the greater of Age and apparent age: Age",
            &[
                ("cache-control", "max-age=600"),
                ("date", "@-20"),
                ("age", "50"),
            ],
            50,
        ),
        fresh(
            "9111 4.2.3",
            "a Date in the future is no age",
            &[("cache-control", "max-age=600"), ("date", "@100")],
            0,
        ),
        fresh(
            "9111 5.1",
            "an Age that is no number is none",
            &[("cache-control", "max-age=600"), ("age", "old")],
            0,
        ),
        stale(
            "9111 4.2",
            "as old as its lifetime is stale",
            &[("cache-control", "max-age=60"), ("age", "60"), TAG],
        ),
        stale(
            "9111 4.2",
            "older than its lifetime by Date",
            &[("cache-control", "max-age=60"), ("date", "@-61"), TAG],
        ),
        case("9111 5.1", "an answer that passes through carries Age, too")
            .get(&[])
            .answer(200, &[("cache-control", "no-store")])
            .age(0)
            .get(&[])
            .answer(200, &[("cache-control", "no-store"), ("age", "7")])
            .age(7),
        case("9211 2.4", "ttl is what is left, negative when stale")
            .get(&[])
            .answer(200, &[("cache-control", "max-age=60"), ("age", "160"), TAG])
            .cache("fwd=uri-miss fwd-status=200 ttl=-100 stored"),
    ]
}
