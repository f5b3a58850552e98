use proptest::prelude::*;

use super::*;
use crate::testing::fields;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// 2026-01-01.
const NOW: u64 = 1_767_225_600;

#[test]
fn all_three_formats_of_rfc_9110_5_6_7_are_read_in_any_case() {
    for text in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        // RFC 9111 4.2.
        "sun, 06 nov 1994 08:49:37 gmt",
        "SUNDAY, 06-NOV-94 08:49:37 GMT",
        "sUN nOV  6 08:49:37 1994",
        "Sun Nov 06 08:49:37 1994",
    ] {
        assert_eq!(
            parse(text.as_bytes(), at(NOW)),
            Some(at(784_111_777)),
            "{text}"
        );
    }
}

#[test]
fn days_are_those_of_the_calendar() {
    for (text, expected) in [
        ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
        ("Tue, 29 Feb 2000 23:59:59 GMT", Some(951_868_799)),
        ("Thu, 29 Feb 2024 00:00:00 GMT", Some(1_709_164_800)),
        ("Sat, 29 Feb 2025 00:00:00 GMT", None),
        ("Mon, 29 Feb 2100 00:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(LAST_SECOND)),
        // A leap second is the one before it.
        ("Sat, 31 Dec 2016 23:59:60 GMT", Some(1_483_228_799)),
        ("Sat, 31 Dec 2016 22:59:60 GMT", None),
    ] {
        assert_eq!(parse(text.as_bytes(), at(NOW)), expected.map(at), "{text}");
    }
}

#[test]
fn two_digit_years_are_at_most_fifty_years_ahead() {
    for (text, now, expected) in [
        // 2075-12-31 is less than 50 years after 2026-01-01.
        (
            "Tuesday, 31-Dec-75 00:00:00 GMT",
            NOW,
            "Tue, 31 Dec 2075 00:00:00 GMT",
        ),
        // 2077 is more, so this is 1977.
        (
            "Saturday, 01-Jan-77 00:00:00 GMT",
            NOW,
            "Sat, 01 Jan 1977 00:00:00 GMT",
        ),
        // Shortly before a century ends, small years are in the next one.
        (
            "Monday, 01-Jan-01 00:00:00 GMT",
            946_684_799,
            "Mon, 01 Jan 2001 00:00:00 GMT",
        ),
    ] {
        assert_eq!(
            parse(text.as_bytes(), at(now)),
            parse(expected.as_bytes(), at(now)),
            "{text}"
        );
        assert!(parse(expected.as_bytes(), at(now)).is_some(), "{expected}");
    }
}

#[test]
fn what_is_not_a_date_is_refused() {
    for text in [
        "",
        "0",
        "-1",
        "1767225600",
        "Sun, 06 Nov 1994 08:49:37 PST",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37",
        "Mon, 06 Nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06 Nov 1994 08.49.37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun,  06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sun 06 Nov 1994 08:49:37 GMT",
        "06 Nov 1994 08:49:37 GMT",
        "Sun, Nov 06 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "\"Sun, 06 Nov 1994 08:49:37 GMT\"",
        "Sunday, 06-Nov-9 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT ",
        "Someday, 06-Nov-94 08:49:37 GMT",
        "Monday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Mon Nov  6 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "Wed, 01 Jan 1969 00:00:00 GMT",
        "Sunday,",
    ] {
        assert_eq!(parse(text.as_bytes(), at(NOW)), None, "{text}");
    }
}

#[test]
fn repeated_lines_must_agree() {
    let one = "Sun, 06 Nov 1994 08:49:37 GMT";
    let name = http::header::EXPIRES;
    let same = fields(&[("expires", one), ("expires", one)]);
    assert_eq!(
        field_date(&same, &name, at(NOW)),
        FieldDate::At(at(784_111_777))
    );
    let differ = fields(&[("expires", one), ("expires", "Sun Nov  6 08:49:38 1994")]);
    assert_eq!(field_date(&differ, &name, at(NOW)), FieldDate::Invalid);
    assert_eq!(field_date(&fields(&[]), &name, at(NOW)), FieldDate::Absent);
    for (lines, expected) in [
        (vec![one, "0"], FieldDate::At(at(784_111_777))),
        (vec!["0", one], FieldDate::Invalid),
        (vec![], FieldDate::Absent),
    ] {
        let lines: Vec<_> = lines.into_iter().map(|line| ("expires", line)).collect();
        let first = first_field_date(&fields(&lines), &name, at(NOW));
        assert_eq!(first, expected, "{lines:?}");
    }
    let zero = fields(&[("expires", "0")]);
    assert_eq!(field_date(&zero, &name, at(NOW)), FieldDate::Invalid);
}

#[test]
fn times_beyond_the_format_are_clamped() {
    assert_eq!(
        fmt(UNIX_EPOCH - Duration::from_secs(5)),
        "Thu, 01 Jan 1970 00:00:00 GMT"
    );
    assert_eq!(
        fmt(at(u64::from(u32::MAX) * 1000)),
        "Fri, 31 Dec 9999 23:59:59 GMT"
    );
}

proptest! {
    #[test]
    fn dates_round_trip(seconds in 0..=LAST_SECOND) {
        let text = fmt(at(seconds));
        prop_assert_eq!(parse(text.as_bytes(), at(NOW)), Some(at(seconds)));
    }

    #[test]
    fn any_bytes_are_survived(
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
        now in 0..=LAST_SECOND,
    ) {
        let _ = parse(&bytes, at(now));
    }

    #[test]
    fn near_dates_are_survived(text in "(Sun|Sunday|Friday), [0-9]{2}[- ][A-Z][a-z]{2}[- ][0-9]{2,4} [0-9:]{8} GMT") {
        let _ = parse(text.as_bytes(), at(NOW));
    }

    #[test]
    fn what_is_read_is_what_another_reader_reads(
        text in "(Sun|Mon), [0-3][0-9] (Jan|Feb|Nov) (19|20)[0-9]{2} [0-2][0-9]:[0-5][0-9]:[0-5][0-9] GMT",
    ) {
        let other = httpdate::parse_http_date(&text).ok();
        if let Some(found) = parse(text.as_bytes(), at(NOW)) {
            prop_assert_eq!(Some(found), other);
        }
    }
}
