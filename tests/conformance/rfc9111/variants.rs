//! Which requests select the same variant (RFC 9111 4.1): what Vary names, in
//! any spelling, and values that mean the same.

use super::kit::{Case, Fields, case};

fn by(vary: &'static str) -> Fields {
    Vec::leak(vec![("cache-control", "max-age=60"), ("vary", vary)])
}

fn same(name: &'static str, vary: &'static str, first: Fields, second: Fields) -> Case {
    case("9111 4.1", name)
        .get(first)
        .answer(200, by(vary))
        .cache("stored")
        .get(second)
        .hit()
}

fn different(name: &'static str, vary: &'static str, first: Fields, second: Fields) -> Case {
    case("9111 4.1", name)
        .get(first)
        .answer_body(200, by(vary), "first")
        .cache("stored")
        .get(second)
        .answer_body(200, by(vary), "second")
        .cache("fwd=vary-miss stored")
        .get(first)
        .hit()
        .body("first")
}

fn encoding(value: &'static str) -> Fields {
    Vec::leak(vec![("accept-encoding", value)])
}

fn language(value: &'static str) -> Fields {
    Vec::leak(vec![("accept-language", value)])
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = spelled();
    cases.extend(normalised());
    cases
}

fn spelled() -> Vec<Case> {
    const FOO: Fields = &[("foo", "1")];
    let mut cases = Vec::new();
    for vary in [
        "foo", "Foo", "FOO", " foo ", "foo,", ",foo", "foo, foo", "bar,foo",
    ] {
        let name = Box::leak(format!("Vary: {vary:?}").into_boxed_str());
        cases.push(same(name, vary, FOO, &[("foo", "1"), ("other", "2")]));
        cases.push(different(name, vary, FOO, &[("foo", "2")]));
        cases.push(different(name, vary, FOO, &[]));
    }
    for vary in ["*", "foo, *", "*, foo", "foo,*", ", *"] {
        let name = Box::leak(format!("Vary: {vary:?} matches nothing").into_boxed_str());
        cases.push(
            case("9111 4.1", name)
                .get(FOO)
                .answer(200, by(vary))
                .cache("!stored")
                .get(FOO)
                .answer(200, by(vary))
                .cache("!stored"),
        );
    }
    cases.extend([
        same("an empty Vary", "", FOO, &[("foo", "2")]),
        same(
            "lines of a request are one value",
            "foo",
            &[("foo", "1"), ("foo", "2")],
            &[("foo", "1, 2")],
        ),
        different(
            "the order of unknown members",
            "foo",
            &[("foo", "1, 2")],
            &[("foo", "2, 1")],
        ),
        different(
            "the case of unknown values",
            "foo",
            &[("foo", "a")],
            &[("foo", "A")],
        ),
        different(
            "an empty field is not an absent one",
            "foo",
            &[("foo", "")],
            &[],
        ),
        different("part of a value", "foo", &[("foo", "1")], &[("foo", "1 2")]),
        different(
            "another cookie",
            "cookie",
            &[("cookie", "a=1; b=2")],
            &[("cookie", "b=2; a=1")],
        ),
        case(
            "9111 4.1",
            "three variants side by side, whatever the order of Vary",
        )
        .get(&[("foo", "1"), ("bar", "a")])
        .answer_body(200, by("foo, bar"), "1a")
        .get(&[("foo", "1"), ("bar", "b")])
        .answer_body(200, by("Bar, Foo"), "1b")
        .get(&[("bar", "a"), ("foo", "2")])
        .answer_body(200, by("foo, bar"), "2a")
        .get(&[("bar", "b"), ("foo", "1")])
        .hit()
        .body("1b")
        .get(&[("bar", "a"), ("foo", "1")])
        .hit()
        .body("1a")
        .get(&[("foo", "2"), ("bar", "a")])
        .hit()
        .body("2a"),
    ]);
    cases
}

fn normalised() -> Vec<Case> {
    const ENCODING: &str = "accept-encoding";
    const LANGUAGE: &str = "accept-language";
    let mut cases = Vec::new();
    for (first, second) in [
        ("gzip, br", "gzip,br"),
        ("gzip, br", "br, gzip"),
        ("gzip, br", "GZIP, Br"),
        ("gzip", "gzip;q=1"),
        ("gzip;q=0.5, br", "br, gzip ; q=0.500"),
        ("gzip, gzip", "gzip"),
    ] {
        let name = Box::leak(format!("Accept-Encoding: {first} is {second}").into_boxed_str());
        cases.push(same(name, ENCODING, encoding(first), encoding(second)));
    }
    for (first, second) in [
        ("gzip", "br"),
        ("gzip", "gzip;q=0"),
        ("gzip;q=0.5, br", "gzip, br;q=0.5"),
        ("gzip", "x-gzip"),
        ("*", "gzip"),
        ("gzip", "gzip;q=2"),
        ("gzip", ""),
    ] {
        let name = Box::leak(format!("Accept-Encoding: {first} is not {second}").into_boxed_str());
        cases.push(different(name, ENCODING, encoding(first), encoding(second)));
    }
    for (first, second) in [
        ("en, de", "en,de"),
        ("en-US", "en-us"),
        ("en;q=0.5, de", "de, en;q=0.50"),
    ] {
        let name = Box::leak(format!("Accept-Language: {first} is {second}").into_boxed_str());
        cases.push(same(name, LANGUAGE, language(first), language(second)));
    }
    for (first, second) in [
        ("en, de", "de, en"),
        ("en", "en-US"),
        ("en", "*"),
        ("en", "de"),
    ] {
        let name = Box::leak(format!("Accept-Language: {first} is not {second}").into_boxed_str());
        cases.push(different(name, LANGUAGE, language(first), language(second)));
    }
    cases
}
