//! Dates on the wire (RFC 9110 5.6.7): all three formats are read, IMF-fixdate
//! is written.
//!
//! Dates before 1970, weekdays that do not fit and leap seconds count as no
//! date: the sender gets the treatment of an invalid date, which is never
//! looser than that of a valid one.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The last second of the year 9999, the end of what the format can say.
const LAST_SECOND: u64 = 253_402_300_799;
/// A year of the Gregorian calendar on average.
const SECONDS_PER_YEAR: u64 = 31_556_952;

/// What a field that holds one date says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldDate {
    /// The field is absent.
    Absent,
    /// The field is not a date, or has lines that differ.
    Invalid,
    /// The field is this date.
    At(SystemTime),
}

impl FieldDate {
    /// The date, if there is a valid one.
    #[must_use]
    pub const fn valid(self) -> Option<SystemTime> {
        match self {
            Self::At(time) => Some(time),
            Self::Absent | Self::Invalid => None,
        }
    }
}

/// Reads a date in any of the three formats. `now` settles two-digit years: a
/// date is never taken to be more than 50 years in the future.
#[must_use]
pub fn parse(value: &[u8], now: SystemTime) -> Option<SystemTime> {
    let comma = memchr::memchr(b',', value);
    if comma.is_some_and(|at| at > 3) {
        return parse_rfc850(value, now);
    }
    let text = std::str::from_utf8(value).ok()?;
    httpdate::parse_http_date(text).ok()
}

/// Reads the field `name`, which holds one date (Date, Expires, Last-Modified,
/// If-Modified-Since ...).
#[must_use]
pub fn field_date(fields: &HeaderMap, name: &HeaderName, now: SystemTime) -> FieldDate {
    let mut lines = fields.get_all(name).iter();
    let Some(first) = lines.next() else {
        return FieldDate::Absent;
    };
    if lines.any(|line| line != first) {
        return FieldDate::Invalid;
    }
    parse(first.as_bytes(), now).map_or(FieldDate::Invalid, FieldDate::At)
}

/// Writes IMF-fixdate. Times outside of the years 1970 to 9999 become the
/// nearest that the format can say.
#[must_use]
pub fn fmt(time: SystemTime) -> HeaderValue {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs().min(LAST_SECOND));
    let date = httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(seconds));
    let mut text = [b' '; 29];
    // Writing 29 bytes into 29 bytes does not fail, and all of them are ASCII.
    let _ = write!(text.as_mut_slice(), "{date}");
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`: rewritten as IMF-fixdate in the latest
/// century that is not more than 50 years ahead.
fn parse_rfc850(value: &[u8], now: SystemTime) -> Option<SystemTime> {
    const WEEKDAYS: [&[u8]; 7] = [
        b"Monday",
        b"Tuesday",
        b"Wednesday",
        b"Thursday",
        b"Friday",
        b"Saturday",
        b"Sunday",
    ];
    let at = memchr::memchr(b',', value)?;
    let (weekday, rest) = value.split_at_checked(at)?;
    let rest: &[u8; 22] = rest.strip_prefix(b", ")?.try_into().ok()?;
    let [d1, d2, b'-', m1, m2, m3, b'-', y1, y2, time @ ..] = rest else {
        return None;
    };
    let [w1, w2, w3, ..] = WEEKDAYS.into_iter().find(|name| *name == weekday)? else {
        return None;
    };
    let two_digits: u64 = crate::syntax::parse_digits(&[*y1, *y2])?;
    let seconds_now = now.duration_since(UNIX_EPOCH).map_or(0, |s| s.as_secs());
    let century = 19 + (seconds_now / SECONDS_PER_YEAR).saturating_add(70) / 100;
    let latest = Duration::from_secs(seconds_now.saturating_add(50 * SECONDS_PER_YEAR));

    (century.saturating_sub(1)..=century.saturating_add(1))
        .rev()
        .filter_map(|century| {
            let year = century.checked_mul(100)?.checked_add(two_digits)?;
            let mut text = [0_u8; 29];
            let mut cursor = text.as_mut_slice();
            cursor
                .write_all(&[*w1, *w2, *w3, b',', b' ', *d1, *d2, b' '])
                .ok()?;
            cursor.write_all(&[*m1, *m2, *m3, b' ']).ok()?;
            write!(cursor, "{year:04}").ok()?;
            cursor.write_all(time).ok()?;
            httpdate::parse_http_date(std::str::from_utf8(&text).ok()?).ok()
        })
        .find(|date| {
            date.duration_since(UNIX_EPOCH)
                .is_ok_and(|since| since <= latest)
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::fields;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// 2026-01-01.
    const NOW: u64 = 1_767_225_600;

    #[test]
    fn all_three_formats_of_rfc_9110_5_6_7_are_read() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(
                parse(text.as_bytes(), at(NOW)),
                Some(at(784_111_777)),
                "{text}"
            );
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
            "Sun, 06 Nov 1994 08:49:37 PST",
            "Sun, 06 Nov 1994 08:49:37",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sunday, 06-Nov-9 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT ",
            "Someday, 06-Nov-94 08:49:37 GMT",
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
    }
}
