//! Dates and ages in every spelling, well and badly written (RFC 9111 4.2, 5.1,
//! 5.3; RFC 9110 5.6.7).

use super::kit::{Case, Fields, case};
use super::spelling::{reused, validated};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = expires();
    cases.extend(ages());
    cases
}

fn expires() -> Vec<Case> {
    let mut cases = Vec::new();
    for value in [
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "FRI, 31 DEC 9999 23:59:59 GMT",
        "fri, 31 dec 9999 23:59:59 gmt",
        "Fri Dec 31 23:59:59 9999",
    ] {
        let name = Box::leak(format!("fresh: {value}").into_boxed_str());
        let fields = vec![("expires", value)];
        cases.push(reused("9111 5.3", name, Vec::leak(fields)));
    }
    for value in [
        "0",
        "-1",
        "",
        "never",
        "253402300799",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Fri, 31 Dec 9999 23:59:59 PST",
        "Fri, 31 Dec 9999 23:59:59 UTC",
        "Fri, 31 Dec 9999 23:59:59 +0000",
        "Fri, 31 Dec 9999 23:59:59",
        "Fri 31 Dec 9999 23:59:59 GMT",
        "31 Dec 9999 23:59:59 GMT",
        "Mon, 31 Dec 9999 23:59:59 GMT",
        "Fri, 31 Dec 99 23:59:59 GMT",
        "Fri, 31-Dec-9999 23:59:59 GMT",
        "Fri, 31  Dec 9999 23:59:59 GMT",
        "Fri, 31 Dec 9999 23.59.59 GMT",
        "Fri, 31 Dec 9999 24:00:00 GMT",
        "Fri, 1 Jan 9999 0:00:00 GMT",
        "\"Fri, 31 Dec 9999 23:59:59 GMT\"",
        "Fri, 31 Dec 9999 23:59:59 GMT, Fri, 31 Dec 9999 23:59:59 GMT",
    ] {
        let name = Box::leak(format!("already expired: {value:?}").into_boxed_str());
        let fields = vec![("expires", value)];
        cases.push(validated("9111 5.3", name, Vec::leak(fields)));
    }
    cases.extend([
        reused(
            "9111 4.2.1",
            "of two Expires the first counts",
            &[
                ("expires", "Fri, 31 Dec 9999 23:59:59 GMT"),
                ("expires", "Thu, 30 Dec 1999 23:59:59 GMT"),
            ],
        ),
        reused(
            "9111 4.2.1",
            "of two Expires the first counts, and the other is invalid",
            &[
                ("expires", "Fri, 31 Dec 9999 23:59:59 GMT"),
                ("expires", "0"),
            ],
        ),
        validated(
            "9111 4.2.1",
            "of two Expires the first counts, and is over",
            &[
                ("expires", "Thu, 30 Dec 1999 23:59:59 GMT"),
                ("expires", "Fri, 31 Dec 9999 23:59:59 GMT"),
            ],
        ),
        validated(
            "9111 4.2.1",
            "of two Expires the first counts, and is invalid",
            &[
                ("expires", "0"),
                ("expires", "Fri, 31 Dec 9999 23:59:59 GMT"),
            ],
        ),
        validated(
            "9111 4.2.2",
            "no heuristic beside an invalid Expires",
            &[("expires", "0"), ("last-modified", "@-1000000")],
        ),
        validated(
            "9111 5.3",
            "Expires equal to Date",
            &[("date", "@0"), ("expires", "@0")],
        ),
        validated(
            "9111 5.3",
            "Expires is relative to Date, and Age counts against it",
            &[("date", "@-10"), ("expires", "@50"), ("age", "60")],
        ),
        reused(
            "9110 6.6.1",
            "an invalid Date is none",
            &[("date", "foo"), ("cache-control", "max-age=60")],
        ),
        reused(
            "9110 6.6.1",
            "Expires with an invalid Date",
            &[("date", "foo"), ("expires", "@600")],
        ),
    ]);
    cases
}

fn ages() -> Vec<Case> {
    let mut cases = Vec::new();
    let aged = |lines: &[&'static str]| -> Fields {
        let mut fields = vec![("cache-control", "max-age=600")];
        fields.extend(lines.iter().map(|line| ("age", *line)));
        Vec::leak(fields)
    };
    for (lines, age) in [
        (vec!["50"], 50),
        (vec!["0050"], 50),
        (vec!["50, 0"], 50),
        (vec!["50,700"], 50),
        (vec!["50", "700"], 50),
        (vec!["50", "50"], 50),
        (vec![", 50"], 50),
        (vec!["-50"], 0),
        (vec!["50.5"], 0),
        (vec!["50s"], 0),
        (vec!["a50"], 0),
        (vec!["\"50\""], 0),
        (vec!["50 50"], 0),
        (vec!["50;x=700"], 0),
        (vec![""], 0),
        (vec!["x, 700"], 0),
    ] {
        let name = Box::leak(format!("Age: {lines:?} is {age}").into_boxed_str());
        cases.push(
            case("9111 5.1", name)
                .get(&[])
                .answer(200, aged(&lines))
                .cache("stored")
                .age(age)
                .get(&[])
                .hit()
                .age(age),
        );
    }
    for line in ["600", "7200", "2147483648", "99999999999999999999999"] {
        let name = Box::leak(format!("Age: {line} is over the lifetime").into_boxed_str());
        cases.push(validated("9111 4.2.3", name, aged(&[line])));
    }
    for line in ["7200, 0", "0, 7200"] {
        let name = Box::leak(format!("of a list the first counts: {line}").into_boxed_str());
        cases.push(if line.starts_with('0') {
            reused("9111 5.1", name, aged(&[line]))
        } else {
            validated("9111 5.1", name, aged(&[line]))
        });
    }
    cases
}
