//! The Age field (RFC 9111 5.1) and the range of delta-seconds (1.2.2).

use std::time::Duration;

use http::header::AGE;
use http::{HeaderMap, HeaderValue};

use crate::syntax::{list_members, parse_digits};

/// The greatest number of seconds that is told apart: what is larger counts as
/// this (RFC 9111 1.2.2).
pub const DELTA_SECONDS_MAX: u64 = 1 << 31;

/// The Age that a response came with. Of a list the first member counts; what
/// is not an integer is ignored (RFC 9111 5.1). At most 2^31 seconds.
#[must_use]
pub fn parse(fields: &HeaderMap) -> Option<Duration> {
    let first = list_members(fields.get(AGE)?.as_bytes()).next()?;
    parse_delta_seconds(first)
}

/// An Age field value in whole seconds, at most 2^31.
#[must_use]
pub fn fmt(age: Duration) -> HeaderValue {
    HeaderValue::from(age.as_secs().min(DELTA_SECONDS_MAX))
}

/// Delta-seconds (RFC 9111 1.2.2): digits only, clamped to 2^31.
pub(crate) fn parse_delta_seconds(bytes: &[u8]) -> Option<Duration> {
    parse_digits(bytes).map(|seconds| Duration::from_secs(seconds.min(DELTA_SECONDS_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fields;

    #[test]
    fn age_is_read_as_rfc_9111_5_1_says() {
        for (lines, expected) in [
            (vec![], None),
            (vec!["0"], Some(0)),
            (vec!["17"], Some(17)),
            (vec!["17, 30"], Some(17)),
            (vec!["17", "30"], Some(17)),
            (vec!["x, 30"], None),
            (vec!["-3"], None),
            (vec!["1.5"], None),
            (vec!["\"3\""], None),
            (vec![""], None),
            (vec!["99999999999999999999"], Some(DELTA_SECONDS_MAX)),
        ] {
            let lines: Vec<_> = lines.into_iter().map(|value| ("age", value)).collect();
            let age = parse(&fields(&lines)).map(|age| age.as_secs());
            assert_eq!(age, expected, "{lines:?}");
        }
    }

    #[test]
    fn age_is_written_in_whole_seconds() {
        assert_eq!(fmt(Duration::from_millis(1999)), "1");
        assert_eq!(fmt(Duration::MAX), "2147483648");
    }
}
