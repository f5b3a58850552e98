//! Dates on the wire (RFC 9110 5.6.7): all three formats are read, IMF-fixdate
//! is written.
//!
//! Case does not matter (RFC 9111 4.2); all else does: the widths of numbers,
//! the weekday, the zone, which is GMT alone. What is not exactly a date, and
//! any date before 1970, is none: its sender gets the treatment of an invalid
//! date, which is never looser than that of a valid one.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::syntax::parse_digits;

/// The last second of the year 9999, the end of what the format can say.
const LAST_SECOND: u64 = 253_402_300_799;
/// A year of the Gregorian calendar on average.
const SECONDS_PER_YEAR: u64 = 31_556_952;
const SECONDS_PER_DAY: u64 = 86_400;

const WEEKDAYS: [&[u8]; 7] = [
    b"Monday",
    b"Tuesday",
    b"Wednesday",
    b"Thursday",
    b"Friday",
    b"Saturday",
    b"Sunday",
];

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

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
    match memchr::memchr(b',', value) {
        Some(3) => parse_imf(value),
        Some(at) => parse_rfc850(value, at, now),
        None => parse_asctime(value),
    }
}

/// Reads the field `name`, which holds one date (Date, Last-Modified,
/// If-Modified-Since ...); lines that differ are none.
#[must_use]
pub fn field_date(fields: &HeaderMap, name: &HeaderName, now: SystemTime) -> FieldDate {
    let mut lines = fields.get_all(name).iter();
    let first = lines.next();
    if lines.any(|line| Some(line) != first) {
        return FieldDate::Invalid;
    }
    first_field_date(fields, name, now)
}

/// Reads the field `name` as [`field_date`] does, but of several lines the first counts, whatever
/// the others say: RFC 9111 4.2.1 allows that for Expires, and the other choice is to count the
/// response as stale.
#[must_use]
pub fn first_field_date(fields: &HeaderMap, name: &HeaderName, now: SystemTime) -> FieldDate {
    let Some(first) = fields.get(name) else {
        return FieldDate::Absent;
    };
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

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn parse_imf(value: &[u8]) -> Option<SystemTime> {
    let value: &[u8; 29] = value.try_into().ok()?;
    let [
        w1,
        w2,
        w3,
        b',',
        b' ',
        d1,
        d2,
        b' ',
        m1,
        m2,
        m3,
        b' ',
        y1,
        y2,
        y3,
        y4,
        b' ',
        rest @ ..,
    ] = value
    else {
        return None;
    };
    Civil {
        year: parse_digits(&[*y1, *y2, *y3, *y4])?,
        month: month([m1, m2, m3])?,
        day: parse_digits(&[*d1, *d2])?,
        second: gmt(rest)?,
    }
    .on_weekday(|name| {
        name.get(..3)
            .is_some_and(|name| is_word(name, &[*w1, *w2, *w3]))
    })
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`; `at` is where the comma stands.
fn parse_rfc850(value: &[u8], at: usize, now: SystemTime) -> Option<SystemTime> {
    let (weekday, rest) = value.split_at_checked(at)?;
    let rest: &[u8; 24] = rest.try_into().ok()?;
    let [
        b',',
        b' ',
        d1,
        d2,
        b'-',
        m1,
        m2,
        m3,
        b'-',
        y1,
        y2,
        b' ',
        rest @ ..,
    ] = rest
    else {
        return None;
    };
    let two_digits = parse_digits(&[*y1, *y2])?;
    let (month, day) = (month([m1, m2, m3])?, parse_digits(&[*d1, *d2])?);
    let second = gmt(rest)?;
    let seconds_now = now.duration_since(UNIX_EPOCH).map_or(0, |s| s.as_secs());
    let latest = Duration::from_secs(seconds_now.saturating_add(50 * SECONDS_PER_YEAR));
    let century = 19 + (seconds_now / SECONDS_PER_YEAR).saturating_add(70) / 100;
    // The latest century in which it is not more than 50 years ahead.
    let centuries = (century.saturating_sub(1)..=century.saturating_add(1)).rev();
    let date = centuries
        .map(|century| Civil {
            year: century.saturating_mul(100).saturating_add(two_digits),
            month,
            day,
            second,
        })
        .find(|date| {
            date.seconds()
                .is_some_and(|at| Duration::from_secs(at) <= latest)
        })?;
    date.on_weekday(|name| is_word(name, weekday))
}

/// `Sun Nov  6 08:49:37 1994`
fn parse_asctime(value: &[u8]) -> Option<SystemTime> {
    let value: &[u8; 24] = value.try_into().ok()?;
    let [w1, w2, w3, b' ', m1, m2, m3, b' ', d1, d2, b' ', rest @ ..] = value else {
        return None;
    };
    let [h1, h2, b':', n1, n2, b':', s1, s2, b' ', y1, y2, y3, y4] = rest else {
        return None;
    };
    let day = match d1 {
        b' ' => parse_digits(&[*d2])?,
        _ => parse_digits(&[*d1, *d2])?,
    };
    Civil {
        year: parse_digits(&[*y1, *y2, *y3, *y4])?,
        month: month([m1, m2, m3])?,
        day,
        second: second_of_day([*h1, *h2], [*n1, *n2], [*s1, *s2])?,
    }
    .on_weekday(|name| {
        name.get(..3)
            .is_some_and(|name| is_word(name, &[*w1, *w2, *w3]))
    })
}

/// A date of the calendar and the second of its day; any numbers.
#[derive(Clone, Copy)]
struct Civil {
    year: u64,
    month: u64,
    day: u64,
    second: u64,
}

impl Civil {
    /// Seconds since 1970; `None` if there is no such date, or it is before.
    fn seconds(self) -> Option<u64> {
        let is_leap = self.year.is_multiple_of(4)
            && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let days_of_month = match self.month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if !(1..=days_of_month).contains(&self.day) || !(1970..=9999).contains(&self.year) {
            return None;
        }
        // Years begin with March here, so that a leap day is the last of its year.
        let (year, month) = match self.month {
            1 | 2 => (self.year - 1, self.month + 9),
            _ => (self.year, self.month - 3),
        };
        let before_year = year * 365 + year / 4 - year / 100 + year / 400;
        let before_month = (153 * month + 2) / 5;
        // 719,468 days lie between the first of March of year 0 and 1970.
        let days = (before_year + before_month + self.day - 1).checked_sub(719_468)?;
        Some(days * SECONDS_PER_DAY + self.second)
    }

    /// The time, if its weekday has the name that `is_named` looks for.
    fn on_weekday(self, is_named: impl Fn(&[u8]) -> bool) -> Option<SystemTime> {
        let seconds = self.seconds()?;
        // 1970 began on a Thursday.
        let weekday = usize::try_from((seconds / SECONDS_PER_DAY + 3) % 7).ok()?;
        is_named(WEEKDAYS.get(weekday)?).then(|| UNIX_EPOCH + Duration::from_secs(seconds))
    }
}

/// Whether a word of a date is this one; case does not matter (RFC 9111 4.2).
fn is_word(word: &[u8], written: &[u8]) -> bool {
    word.eq_ignore_ascii_case(written)
}

/// The month of this name, from 1.
fn month(name: [&u8; 3]) -> Option<u64> {
    let name = name.map(|byte| *byte);
    let at = MONTHS.iter().position(|month| is_word(*month, &name))?;
    u64::try_from(at + 1).ok()
}

/// `08:49:37 GMT` as the second of the day.
fn gmt(text: &[u8; 12]) -> Option<u64> {
    let [h1, h2, b':', n1, n2, b':', s1, s2, b' ', zone @ ..] = text else {
        return None;
    };
    // Another zone makes a date invalid (RFC 9111 4.2).
    if !is_word(b"GMT", zone) {
        return None;
    }
    second_of_day([*h1, *h2], [*n1, *n2], [*s1, *s2])
}

fn second_of_day(hour: [u8; 2], minute: [u8; 2], second: [u8; 2]) -> Option<u64> {
    let (hour, minute) = (parse_digits(&hour)?, parse_digits(&minute)?);
    let second = match parse_digits(&second)? {
        // A leap second, which this clock does not have: the moment before it
        // (RFC 9111 4.2).
        60 if hour == 23 && minute == 59 => 59,
        second => second,
    };
    (hour < 24 && minute < 60 && second < 60).then_some(hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests;
