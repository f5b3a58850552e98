//! Directives in every spelling, well and badly written (RFC 9111 1.2.2, 4.2.1,
//! 5.2, 5.4).

use super::kit::{Case, Fields, case};

const TAG: (&str, &str) = ("etag", "\"a\"");

/// A response with this Cache-Control is reused.
pub(super) fn reused(section: &'static str, name: &'static str, fields: Fields) -> Case {
    case(section, name)
        .get(&[])
        .answer(200, fields)
        .cache("fwd=uri-miss stored")
        .get(&[])
        .hit()
}

/// A response with these fields and a validator is validated before its first reuse.
pub(super) fn validated(section: &'static str, name: &'static str, fields: Fields) -> Case {
    let mut with_tag = fields.to_vec();
    with_tag.push(TAG);
    case(section, name)
        .get(&[])
        .answer(200, Vec::leak(with_tag))
        .cache("stored")
        .get(&[])
        .answer(304, &[])
        .status(200)
        .body("0123456789")
        .cache("fwd=stale fwd-status=304")
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

pub(super) fn control(value: &'static str) -> Fields {
    Vec::leak(vec![("cache-control", value)])
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = lifetimes();
    cases.extend(other_directives());
    cases.extend(requests());
    cases
}

fn lifetimes() -> Vec<Case> {
    let mut cases = Vec::new();
    for value in [
        "max-age=60",
        "MAX-AGE=60",
        "mAx-aGe=60",
        "max-age=0060",
        "max-age=\"60\"",
        "max-age=2147483647",
        "max-age=2147483648",
        "max-age=99999999999",
        "max-age=99999999999999999999999999999999",
        "s-maxage=60",
        "S-MaxAge=\"60\"",
        "s-maxage=99999999999999999999999999999999",
        "  max-age=60  ",
        ",,max-age=60,,",
        "max-age=60\t,\tpublic",
        "foobar, max-age=60",
        "max-age=60, foobar=\"max-age=0\"",
        "foobar=\"no-store, max-age=0\", max-age=60",
        "max-age=60, max-age=60",
        // Of repeated ones the first counts (RFC 9111 4.2.1).
        "max-age=60, max-age=0",
        "max-age=60, max-age=x",
        "s-maxage=60, s-maxage=0",
    ] {
        let name = Box::leak(format!("fresh: {value}").into_boxed_str());
        cases.push(reused("9111 5.2", name, control(value)));
    }
    for value in [
        "max-age=0",
        "max-age=000",
        "max-age=-60",
        "max-age=+60",
        "max-age=60.5",
        "max-age=60.0",
        "max-age=6e1",
        "max-age=0x60",
        "max-age=60s",
        "max-age=a60",
        "max-age=60 60",
        "max-age",
        "max-age=",
        "max-age=\"\"",
        "max-age=\" 60\"",
        "max-age='60'",
        "max-age=\"60",
        "max-age =60",
        "max-age= 60",
        "max-age = 60",
        "max-age:60",
        "max-age 60",
        "max-age=60;s-maxage=60",
        "max-age=0, max-age=60",
        "max-age=x, max-age=60",
        "s-maxage=0, s-maxage=60",
        "s-maxage=x, max-age=60",
        "s-maxage=-1, max-age=60",
        "s-maxage=1.5, max-age=60",
        "s-maxage=, max-age=60",
        "max-age=60, s-maxage=0",
        "max-age=60, no-cache",
        "no-cache=\"\", max-age=60",
        "no-cache=1, max-age=60",
    ] {
        let name = Box::leak(format!("not fresh: {value}").into_boxed_str());
        cases.push(validated("9111 4.2.1", name, control(value)));
    }
    for value in [
        "foobar=\"max-age=60\"",
        "xmax-age=60",
        "max-agent=60",
        "\"max-age\"=60",
        "foobar=\"x, max-age=60\"",
    ] {
        let name = Box::leak(format!("no lifetime: {value}").into_boxed_str());
        cases.push(refused("9111 5.2", name, control(value)));
    }
    cases.push(reused(
        "9111 5.2",
        "directives on lines of their own",
        &[
            ("cache-control", "public"),
            ("cache-control", "foobar"),
            ("cache-control", "max-age=60"),
        ],
    ));
    cases.extend([
        reused(
            "9111 4.2.1",
            "lifetimes on two lines: the first",
            &[
                ("cache-control", "max-age=60"),
                ("cache-control", "max-age=0"),
            ],
        ),
        validated(
            "9111 4.2.1",
            "lifetimes on two lines: the first, which is over",
            &[
                ("cache-control", "max-age=0"),
                ("cache-control", "max-age=60"),
            ],
        ),
    ]);
    cases
}

fn other_directives() -> Vec<Case> {
    let mut cases = Vec::new();
    for value in [
        "max-age=60, no-store",
        "max-age=60, NO-STORE",
        "max-age=60, no-store=1",
        "no-store=\"x\", max-age=60",
        "max-age=60, no-store;x",
        "foobar=\"x, no-store, max-age=60",
        "max-age=60, private",
        "max-age=60, PRIVATE",
        "max-age=60, private=\"\"",
        "max-age=60, private=1",
        "max-age=60, private=\"a b\"",
        "max-age=60, private=\"set-cookie",
        "max-age=60, private, private=\"a\"",
    ] {
        let name = Box::leak(format!("not stored: {value}").into_boxed_str());
        cases.push(refused("9111 5.2", name, control(value)));
    }
    for value in [
        "max-age=60, private=x-one",
        "max-age=60, private=\"x-one\"",
        "max-age=60, private=\" X-One ,x-two\"",
        "max-age=60, no-cache=x-one",
        "max-age=60, no-cache=\"X-ONE\"",
    ] {
        let name = Box::leak(format!("a field is withheld: {value}").into_boxed_str());
        let fields = vec![("cache-control", value), ("x-one", "1"), ("x-kept", "1")];
        cases.push(
            case("9111 5.2.2.7", name)
                .get(&[])
                .answer(200, Vec::leak(fields))
                .cache("stored")
                .gives("x-one", "1")
                .get(&[])
                .hit()
                .lacks("x-one")
                .gives("x-kept", "1"),
        );
    }
    cases.push(reused(
        "9111 5.4",
        "Pragma of a response means nothing",
        &[("cache-control", "max-age=60"), ("pragma", "no-cache")],
    ));
    cases
}

fn requests() -> Vec<Case> {
    const HOUR: Fields = &[("cache-control", "max-age=3600"), ("age", "100"), TAG];
    let mut cases = Vec::new();
    for value in [
        "max-age=200",
        "max-age=\"200\"",
        "MAX-AGE=00200",
        "max-age=99999999999999999999",
        "min-fresh=100",
        "max-stale",
        "max-stale=x",
        "foobar",
        "xno-cache",
        "foobar=\"no-cache\"",
        "only-if-cached",
        "ONLY-IF-CACHED",
    ] {
        let name = Box::leak(format!("answered from store: {value}").into_boxed_str());
        cases.push(
            case("9111 5.2.1", name)
                .get(&[])
                .answer(200, HOUR)
                .get(control(value))
                .hit(),
        );
    }
    for value in [
        "max-age=50",
        "max-age=0",
        "max-age=-1",
        "max-age=200.5",
        "max-age=x",
        "max-age",
        "max-age = 200",
        "max-age=200, max-age=50",
        "min-fresh=3600",
        "min-fresh=x",
        "min-fresh=99999999999999999999",
        "no-cache",
        "NO-CACHE",
        "no-cache=\"x\"",
        "max-stale, no-cache",
    ] {
        let name = Box::leak(format!("validated: {value}").into_boxed_str());
        cases.push(
            case("9111 5.2.1", name)
                .get(&[])
                .answer(200, HOUR)
                .get(control(value))
                .answer(304, &[])
                .status(200)
                .body("0123456789")
                .cache("fwd=request fwd-status=304"),
        );
    }
    cases.extend([
        case("9111 5.4", "Pragma counts without Cache-Control")
            .get(&[])
            .answer(200, HOUR)
            .get(&[("pragma", "No-Cache")])
            .answer(304, &[])
            .status(200)
            .body("0123456789"),
        case("9111 5.4", "Pragma does not count beside Cache-Control")
            .get(&[])
            .answer(200, HOUR)
            .get(&[("pragma", "no-cache"), ("cache-control", "foobar")])
            .hit(),
        case(
            "9111 5.2.1.2",
            "max-stale takes what was stale when it came",
        )
        .get(&[])
        .answer(200, &[("cache-control", "max-age=60"), ("age", "100")])
        .cache("stored")
        .get(&[("cache-control", "max-stale=600")])
        .hit(),
    ]);
    cases
}
