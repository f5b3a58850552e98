//! Preconditions (RFC 9110 13, RFC 9111 4.3.2) and ranges (RFC 9110 14) of a
//! client, answered from what is stored and from what is just arriving.

use super::kit::{Case, Fields, case};

const TAG: (&str, &str) = ("etag", "\"a\"");
const STORED: Fields = &[
    ("cache-control", "max-age=600"),
    TAG,
    ("last-modified", "@-10000"),
    ("content-type", "text/x"),
    ("vary", "accept"),
    ("date", "@-10"),
];

fn stored(section: &'static str, name: &'static str) -> Case {
    case(section, name)
        .get(&[])
        .answer(200, STORED)
        .cache("stored")
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = preconditions();
    cases.extend(preconditions_elsewhere());
    cases.extend(ranges());
    cases.extend(if_range());
    cases.extend(ranges_elsewhere());
    cases
}

fn preconditions() -> Vec<Case> {
    // Section, name, what is asked, what comes of it.
    let rows: [(&str, &str, Fields, u16); 14] = [
        (
            "9110 13.1.2",
            "the same tag",
            &[("if-none-match", "\"a\"")],
            304,
        ),
        (
            "9110 13.1.2",
            "weak comparison",
            &[("if-none-match", "W/\"a\"")],
            304,
        ),
        (
            "9110 13.1.2",
            "a list",
            &[("if-none-match", "\"x\", \"a\"")],
            304,
        ),
        (
            "9110 13.1.2",
            "a list on two lines",
            &[
                ("if-none-match", "\"x\""),
                ("if-none-match", "W/\"y\", \"a\""),
            ],
            304,
        ),
        ("9110 13.1.2", "any", &[("if-none-match", "*")], 304),
        (
            "9110 13.1.2",
            "other tags",
            &[("if-none-match", "\"x\", \"aa\"")],
            200,
        ),
        (
            "9110 13.1.2",
            "no tag at all",
            &[("if-none-match", "a")],
            200,
        ),
        (
            "9110 13.1.3",
            "the same date",
            &[("if-modified-since", "@-10000")],
            304,
        ),
        (
            "9110 13.1.3",
            "a later date",
            &[("if-modified-since", "@-9000")],
            304,
        ),
        (
            "9110 13.1.3",
            "an earlier date",
            &[("if-modified-since", "@-10001")],
            200,
        ),
        (
            "9110 13.1.3",
            "no date at all",
            &[("if-modified-since", "yesterday")],
            200,
        ),
        (
            "9110 13.2.2",
            "the tag decides, not the date",
            &[("if-none-match", "\"x\""), ("if-modified-since", "@0")],
            200,
        ),
        (
            "9110 13.2.2",
            "the tag decides, not the range",
            &[("if-none-match", "\"a\""), ("range", "bytes=0-1")],
            304,
        ),
        // For origins to evaluate; a cache may ignore it.
        (
            "9110 13.1.1",
            "If-Match does not concern a hit",
            &[("if-match", "\"x\"")],
            200,
        ),
    ];
    let mut cases = Vec::new();
    for (section, name, asked, status) in rows {
        let case = stored(section, name).get(asked).hit().status(status);
        cases.push(if status == 304 {
            case.gives("etag", "\"a\"")
                .gives("vary", "accept")
                .gives("cache-control", "max-age=600")
                .gives("date", "@-10")
                .age(10)
                .lacks("content-type")
                .lacks("content-length")
        } else {
            case
        });
    }
    cases
}

fn preconditions_elsewhere() -> Vec<Case> {
    const ASKED: Fields = &[("if-none-match", "\"a\"")];
    vec![
        case("9110 8.8.3", "what is no entity tag, as the origin sent it")
            .get(&[])
            .answer(200, &[("cache-control", "max-age=60"), ("etag", "a")])
            .get(&[("if-none-match", "a")])
            .hit()
            .status(304)
            .get(&[("if-none-match", "\"a\"")])
            .hit()
            .status(200),
        stored("9110 13.2.1", "HEAD")
            .ask("HEAD", ASKED)
            .status(304)
            .hit(),
        case("9110 13.2.1", "only where the answer would be a success")
            .get(&[])
            .answer(404, &[("cache-control", "max-age=60"), TAG])
            .get(ASKED)
            .status(404)
            .hit(),
        case(
            "9111 4.3.2",
            "Date stands in for a Last-Modified that is absent",
        )
        .get(&[])
        .answer(200, &[("cache-control", "max-age=60"), ("date", "@-10")])
        .get(&[("if-modified-since", "@-10")])
        .hit()
        .status(304),
        case(
            "9111 4.3.2",
            "on a miss all is asked for, and the client gets 304",
        )
        .get(ASKED)
        .answer(200, STORED)
        .status(304)
        .cache("fwd=uri-miss fwd-status=200 stored")
        .asked_without("if-none-match")
        .get(&[])
        .hit(),
        case(
            "9111 4.3.2",
            "after a validation the client's own tag is compared",
        )
        .get(&[])
        .answer(200, &[("cache-control", "max-age=0"), TAG])
        .get(&[])
        .answer_body(
            200,
            &[("cache-control", "max-age=60"), ("etag", "\"b\"")],
            "new",
        )
        .get(ASKED)
        .hit()
        .body("new"),
        case("9110 13.1.2", "what is not stored is compared, too")
            .get(ASKED)
            .answer(200, &[("cache-control", "private"), TAG])
            .status(304)
            .cache("fwd=uri-miss fwd-status=200 !stored detail=private"),
        case(
            "9110 13.1.2",
            "what could not be stored is asked for with the client's tag",
        )
        .get(&[])
        .answer(200, &[("cache-control", "private"), TAG])
        .get(ASKED)
        .answer(304, &[TAG])
        .cache("fwd=uri-miss fwd-status=304 !stored")
        .asked_with("if-none-match", "\"a\""),
    ]
}

/// The part that is sent and its Content-Range; `None` for all of it.
type Part = Option<(&'static str, &'static str)>;

fn ranges() -> Vec<Case> {
    // What is asked, and either the part with its Content-Range, or all of it.
    let rows: [(&'static str, Fields, Part); 11] = [
        (
            "first to last",
            &[("range", "bytes=2-4")],
            Some(("234", "bytes 2-4/10")),
        ),
        (
            "one byte",
            &[("range", "bytes=0-0")],
            Some(("0", "bytes 0-0/10")),
        ),
        (
            "open",
            &[("range", "bytes=7-")],
            Some(("789", "bytes 7-9/10")),
        ),
        (
            "suffix",
            &[("range", "bytes=-3")],
            Some(("789", "bytes 7-9/10")),
        ),
        (
            "past the end",
            &[("range", "bytes=8-99")],
            Some(("89", "bytes 8-9/10")),
        ),
        (
            "suffix longer than all",
            &[("range", "bytes=-99")],
            Some(("0123456789", "bytes 0-9/10")),
        ),
        (
            "unit without case",
            &[("range", "BYTES=0-1")],
            Some(("01", "bytes 0-1/10")),
        ),
        ("last before first", &[("range", "bytes=4-2")], None),
        ("another unit", &[("range", "items=0-1")], None),
        ("no range at all", &[("range", "bytes=a-b")], None),
        ("three overlap", &[("range", "bytes=0-,0-,0-,0-")], None),
    ];
    let mut cases = Vec::new();
    for (name, asked, part) in rows {
        let case = stored("9110 14.1.2", name).get(asked).hit();
        cases.push(match part {
            Some((content, range)) => case
                .status(206)
                .body(content)
                .gives("content-range", range)
                .gives("etag", "\"a\"")
                .gives("content-type", "text/x"),
            None => case.lacks("content-range").gives("accept-ranges", "bytes"),
        });
    }
    for asked in ["bytes=10-", "bytes=99-100", "bytes=-0"] {
        let fields: Fields = Vec::leak(vec![("range", asked)]);
        cases.push(
            stored("9110 15.5.17", "nothing of it exists")
                .get(fields)
                .hit()
                .status(416)
                .gives("content-range", "bytes */10")
                // What the stored response says of itself is not said of the error.
                .lacks("cache-control")
                .lacks("etag"),
        );
    }
    cases
}

fn if_range() -> Vec<Case> {
    let rows: [(&str, Fields, u16); 6] = [
        (
            "the same tag",
            &[("range", "bytes=0-1"), ("if-range", "\"a\"")],
            206,
        ),
        (
            "another tag",
            &[("range", "bytes=0-1"), ("if-range", "\"b\"")],
            200,
        ),
        (
            "a weak tag",
            &[("range", "bytes=0-1"), ("if-range", "W/\"a\"")],
            200,
        ),
        (
            "the same date",
            &[("range", "bytes=0-1"), ("if-range", "@-10000")],
            206,
        ),
        (
            "another date",
            &[("range", "bytes=0-1"), ("if-range", "@-9999")],
            200,
        ),
        // What does not hold does not make a range unsatisfiable either.
        (
            "another tag, no such part",
            &[("range", "bytes=99-"), ("if-range", "\"b\"")],
            200,
        ),
    ];
    let mut cases = Vec::new();
    for (name, asked, status) in rows {
        let case = stored("9110 13.1.5", name).get(asked).hit().status(status);
        cases.push(if status == 206 { case.body("01") } else { case });
    }
    cases
}

fn ranges_elsewhere() -> Vec<Case> {
    const ASKED: Fields = &[("range", "bytes=2-4")];
    vec![
        stored("9110 14.2", "a range of HEAD means nothing")
            .ask("HEAD", ASKED)
            .hit()
            .lacks("content-range"),
        case(
            "9110 14.2",
            "a range of another status than 200 means nothing",
        )
        .get(&[])
        .answer(404, &[("cache-control", "max-age=60")])
        .get(ASKED)
        .status(404)
        .hit(),
        case(
            "9110 14.2",
            "an origin may send all of it, which is stored, and the client gets its part",
        )
        .get(ASKED)
        .answer(200, STORED)
        .status(206)
        .body("234")
        .gives("content-range", "bytes 2-4/10")
        .cache("fwd=uri-miss fwd-status=200 stored")
        .asked_with("range", "bytes=2-4")
        .get(&[])
        .hit(),
        case("9110 14.2", "a part after a validation")
            .get(&[])
            .answer(200, &[("cache-control", "max-age=0"), TAG])
            .get(ASKED)
            .answer(304, &[])
            .status(206)
            .body("234")
            .cache("fwd=stale fwd-status=304")
            .asked_without("range"),
        case("9110 14.2", "a part of what is not stored")
            .get(ASKED)
            .answer(200, &[("cache-control", "private"), TAG])
            .status(206)
            .body("234")
            .gives("content-range", "bytes 2-4/10")
            .cache("fwd=uri-miss !stored detail=private"),
        case(
            "9110 14.2",
            "what could not be stored is asked for in parts",
        )
        .get(&[])
        .answer(200, &[("cache-control", "private"), TAG])
        .get(ASKED)
        .answer_body(206, &[("content-range", "bytes 2-4/10")], "234")
        .gives("content-range", "bytes 2-4/10")
        .asked_with("range", "bytes=2-4"),
        case("9110 14.2", "no part of an empty content")
            .get(&[])
            .answer_body(200, &[("cache-control", "max-age=60")], "")
            .get(&[("range", "bytes=0-1")])
            .hit()
            .status(416)
            .gives("content-range", "bytes */0")
            .get(&[("range", "bytes=-1")])
            .hit()
            .body(""),
    ]
}
