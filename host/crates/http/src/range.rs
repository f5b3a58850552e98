//! Range requests (RFC 9110 14): which parts of the content a request asks
//! for, and the Content-Range that goes with them.
//!
//! A Range field is always optional to honour, so whatever is malformed, too
//! much or overlapping gets the whole content (RFC 9110 14.2).

use http::header::RANGE;
use http::{HeaderMap, HeaderValue, Method};
use smallvec::SmallVec;

use crate::structured::Writer;
use crate::syntax::{list_members, parse_digits, trim_ows};

/// Most ranges that one request may ask for.
pub const RANGES_MAX: usize = 16;

/// A part of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The position of the first byte.
    pub first: u64,
    /// The position of the last byte; never before the first.
    pub last: u64,
}

impl ByteRange {
    /// Bytes in the range; at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub const fn len(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    const fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Why the whole content is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WholeReason {
    /// There is no Range, or the method is not GET (RFC 9110 14.2).
    NotAsked,
    /// If-Range does not allow it.
    IfRangeDiffers,
    /// The unit is not bytes.
    UnitUnknown,
    /// The field is malformed or repeated.
    Malformed,
    /// There are more than [`RANGES_MAX`] ranges.
    TooMany,
    /// Ranges overlap (RFC 9110 17.15).
    Overlapping,
    /// The content is empty, of which no part can be named.
    ContentEmpty,
}

/// What part of the content is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeSelection {
    /// All of it: 200.
    Whole(WholeReason),
    /// One part: 206 with Content-Range.
    Single(ByteRange),
    /// At least two parts, none overlapping, in the client's order: 206 with
    /// `multipart/byteranges`, or 200.
    Multiple(SmallVec<[ByteRange; 4]>),
    /// Nothing of what is asked for exists: 416.
    Unsatisfiable,
}

/// One range-spec of the unit bytes (RFC 9110 14.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeSpec {
    /// `first-last`; first is not after last.
    Bounded(u64, u64),
    /// `first-`.
    From(u64),
    /// `-length`: the last bytes.
    Suffix(u64),
}

/// Selects what the Range field of a request asks of content of `total` bytes.
#[must_use]
pub fn select_ranges(
    method: &Method,
    request: &HeaderMap,
    if_range_allows: bool,
    total: u64,
) -> RangeSelection {
    let mut lines = request.get_all(RANGE).iter();
    let Some(value) = lines.next().filter(|_| *method == Method::GET) else {
        return RangeSelection::Whole(WholeReason::NotAsked);
    };
    if lines.next().is_some() {
        return RangeSelection::Whole(WholeReason::Malformed);
    }
    if !if_range_allows {
        return RangeSelection::Whole(WholeReason::IfRangeDiffers);
    }
    match parse(value.as_bytes()) {
        Ok(specs) => select(&specs, total),
        Err(reason) => RangeSelection::Whole(reason),
    }
}

/// Reads a Range field value. Numbers that are too large saturate.
///
/// # Errors
/// [`WholeReason::UnitUnknown`], [`WholeReason::Malformed`] or
/// [`WholeReason::TooMany`].
pub fn parse(value: &[u8]) -> Result<SmallVec<[RangeSpec; 4]>, WholeReason> {
    let at = memchr::memchr(b'=', value).ok_or(WholeReason::Malformed)?;
    let (unit, set) = value.split_at_checked(at).ok_or(WholeReason::Malformed)?;
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return Err(WholeReason::UnitUnknown);
    }
    let mut specs = SmallVec::new();
    for member in list_members(set.get(1..).unwrap_or_default()) {
        if specs.len() == RANGES_MAX {
            return Err(WholeReason::TooMany);
        }
        specs.push(parse_spec(member).ok_or(WholeReason::Malformed)?);
    }
    if specs.is_empty() {
        return Err(WholeReason::Malformed);
    }
    Ok(specs)
}

fn parse_spec(spec: &[u8]) -> Option<RangeSpec> {
    let (first, last) = spec.split_at_checked(memchr::memchr(b'-', spec)?)?;
    let last = last.strip_prefix(b"-")?;
    match (first, last) {
        ([], length) => parse_digits(length).map(RangeSpec::Suffix),
        (first, []) => parse_digits(first).map(RangeSpec::From),
        (first, last) => {
            let (first, last) = (parse_digits(first)?, parse_digits(last)?);
            (first <= last).then_some(RangeSpec::Bounded(first, last))
        }
    }
}

fn select(specs: &[RangeSpec], total: u64) -> RangeSelection {
    let mut ranges: SmallVec<[ByteRange; 4]> = SmallVec::new();
    for spec in specs {
        let range = match *spec {
            RangeSpec::Suffix(length) if length > 0 && total == 0 => {
                return RangeSelection::Whole(WholeReason::ContentEmpty);
            }
            RangeSpec::Suffix(length) if length > 0 => Some((total.saturating_sub(length), total)),
            RangeSpec::Suffix(_) => None,
            RangeSpec::From(first) => Some((first, total)),
            RangeSpec::Bounded(first, last) => Some((first, last.saturating_add(1).min(total))),
        };
        if let Some((first, end)) = range.filter(|(first, end)| first < end) {
            let last = end - 1;
            ranges.push(ByteRange { first, last });
        }
    }
    match ranges.as_slice() {
        [] => RangeSelection::Unsatisfiable,
        [only] => RangeSelection::Single(*only),
        several => {
            // At most RANGES_MAX of them, so comparing all pairs costs little.
            let overlap = several.iter().enumerate().any(|(at, range)| {
                let mut others = several.iter().skip(at + 1);
                others.any(|other| range.overlaps(*other))
            });
            if overlap {
                RangeSelection::Whole(WholeReason::Overlapping)
            } else {
                RangeSelection::Multiple(ranges)
            }
        }
    }
}

/// `bytes first-last/total` (RFC 9110 14.4).
#[must_use]
pub fn content_range(range: ByteRange, total: u64) -> HeaderValue {
    let mut number = itoa::Buffer::new();
    let mut value = Writer::default();
    value.raw("bytes ");
    value.raw(number.format(range.first));
    value.raw("-");
    value.raw(number.format(range.last));
    value.raw("/");
    value.raw(number.format(total));
    value.finish()
}

/// `bytes */total`, for 416 (RFC 9110 15.5.17).
#[must_use]
pub fn content_range_unsatisfied(total: u64) -> HeaderValue {
    let mut value = Writer::default();
    value.raw("bytes */");
    value.raw(itoa::Buffer::new().format(total));
    value.finish()
}

/// What a Content-Range says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentRange {
    /// A part, and the total where it is known; the part lies within it.
    Part(ByteRange, Option<u64>),
    /// The total, with 416.
    Unsatisfied(u64),
}

/// Reads a Content-Range field value of the unit bytes (RFC 9110 14.4). None
/// if it is malformed, of another unit, or contradicts itself.
#[must_use]
pub fn parse_content_range(value: &[u8]) -> Option<ContentRange> {
    let (unit, rest) = value.split_at_checked(memchr::memchr(b' ', value)?)?;
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let rest = trim_ows(rest);
    let (part, total) = rest.split_at_checked(memchr::memchr(b'/', rest)?)?;
    let total = total.strip_prefix(b"/")?;
    if part == b"*" {
        return parse_position(total).map(ContentRange::Unsatisfied);
    }
    let (first, last) = part.split_at_checked(memchr::memchr(b'-', part)?)?;
    let first = parse_position(first)?;
    let last = parse_position(last.strip_prefix(b"-")?)?;
    let total = match total {
        b"*" => None,
        total => Some(parse_position(total)?),
    };
    let fits = first <= last && total.is_none_or(|total| last < total);
    fits.then_some(ContentRange::Part(ByteRange { first, last }, total))
}

/// A number that is not so large that it could have been saturated.
fn parse_position(digits: &[u8]) -> Option<u64> {
    parse_digits(digits).filter(|position| *position < u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::fields;

    fn selected(value: &str, total: u64) -> RangeSelection {
        select_ranges(&Method::GET, &fields(&[("range", value)]), true, total)
    }

    fn range(first: u64, last: u64) -> ByteRange {
        ByteRange { first, last }
    }

    #[test]
    fn single_ranges_are_selected_as_rfc_9110_14_1_2_says() {
        let unsatisfiable = RangeSelection::Unsatisfiable;
        for (value, expected) in [
            ("bytes=0-0", RangeSelection::Single(range(0, 0))),
            ("bytes=0-499", RangeSelection::Single(range(0, 499))),
            ("bytes=500-999", RangeSelection::Single(range(500, 999))),
            ("bytes=500-5000", RangeSelection::Single(range(500, 999))),
            ("bytes=999-", RangeSelection::Single(range(999, 999))),
            ("bytes=-500", RangeSelection::Single(range(500, 999))),
            ("bytes=-5000", RangeSelection::Single(range(0, 999))),
            ("BYTES=0-0", RangeSelection::Single(range(0, 0))),
            ("bytes= 0-0 ,", RangeSelection::Single(range(0, 0))),
            ("bytes=0-0,5000-", RangeSelection::Single(range(0, 0))),
            (
                "bytes=0-99999999999999999999999",
                RangeSelection::Single(range(0, 999)),
            ),
            ("bytes=1000-", unsatisfiable.clone()),
            ("bytes=99999999999999999999999-", unsatisfiable.clone()),
            ("bytes=-0", unsatisfiable.clone()),
            ("bytes=-0,1000-", unsatisfiable),
        ] {
            assert_eq!(selected(value, 1000), expected, "{value}");
        }
    }

    #[test]
    fn several_ranges_keep_their_order_and_must_not_overlap() {
        let several = |list: &[(u64, u64)]| {
            RangeSelection::Multiple(list.iter().map(|(a, b)| range(*a, *b)).collect())
        };
        let overlapping = RangeSelection::Whole(WholeReason::Overlapping);
        for (value, expected) in [
            ("bytes=0-0,-1", several(&[(0, 0), (999, 999)])),
            ("bytes=500-600, 0-99", several(&[(500, 600), (0, 99)])),
            ("bytes=0-99,100-199", several(&[(0, 99), (100, 199)])),
            ("bytes=0-99,99-199", overlapping.clone()),
            ("bytes=0-,0-", overlapping.clone()),
            ("bytes=5-6,0-999", overlapping),
        ] {
            assert_eq!(selected(value, 1000), expected, "{value}");
        }
        let many = |count: usize| {
            let list: Vec<_> = (0..count).map(|n| format!("{}-{}", n * 2, n * 2)).collect();
            selected(&format!("bytes={}", list.join(",")), 1000)
        };
        assert!(matches!(many(RANGES_MAX), RangeSelection::Multiple(_)));
        assert_eq!(
            many(RANGES_MAX + 1),
            RangeSelection::Whole(WholeReason::TooMany)
        );
    }

    #[test]
    fn what_cannot_be_honoured_gets_the_whole_content() {
        for (value, reason) in [
            ("items=0-5", WholeReason::UnitUnknown),
            ("bytes =0-5", WholeReason::UnitUnknown),
            ("bytes", WholeReason::Malformed),
            ("bytes=", WholeReason::Malformed),
            ("bytes=,", WholeReason::Malformed),
            ("bytes=-", WholeReason::Malformed),
            ("bytes=5", WholeReason::Malformed),
            ("bytes=5-4", WholeReason::Malformed),
            ("bytes=a-b", WholeReason::Malformed),
            ("bytes=0 - 5", WholeReason::Malformed),
            ("bytes=0-5-9", WholeReason::Malformed),
            ("bytes=+0-5", WholeReason::Malformed),
            ("bytes=--5", WholeReason::Malformed),
            ("bytes=0-1,x", WholeReason::Malformed),
            ("bytes=0x0-5", WholeReason::Malformed),
        ] {
            assert_eq!(
                selected(value, 1000),
                RangeSelection::Whole(reason),
                "{value}"
            );
        }
    }

    #[test]
    fn empty_content_has_no_parts() {
        assert_eq!(selected("bytes=0-", 0), RangeSelection::Unsatisfiable);
        assert_eq!(
            selected("bytes=-5", 0),
            RangeSelection::Whole(WholeReason::ContentEmpty)
        );
    }

    #[test]
    fn range_is_for_get_and_for_the_right_validator() {
        let whole = RangeSelection::Whole;
        let asked = fields(&[("range", "bytes=0-0")]);
        let get = Method::GET;
        let found = select_ranges(&Method::HEAD, &asked, true, 9);
        assert_eq!(found, whole(WholeReason::NotAsked));
        let found = select_ranges(&get, &fields(&[]), true, 9);
        assert_eq!(found, whole(WholeReason::NotAsked));
        let found = select_ranges(&get, &asked, false, 9);
        assert_eq!(found, whole(WholeReason::IfRangeDiffers));
        let twice = fields(&[("range", "bytes=0-0"), ("range", "bytes=0-0")]);
        let found = select_ranges(&get, &twice, true, 9);
        assert_eq!(found, whole(WholeReason::Malformed));
    }

    #[test]
    fn content_range_is_read_strictly() {
        let part = |first, last, total| Some(ContentRange::Part(range(first, last), total));
        for (value, expected) in [
            ("bytes 0-4/10", part(0, 4, Some(10))),
            ("Bytes 0-9/10", part(0, 9, Some(10))),
            ("bytes 0-4/*", part(0, 4, None)),
            ("bytes */10", Some(ContentRange::Unsatisfied(10))),
            ("bytes 0-10/10", None),
            ("bytes 5-4/10", None),
            ("bytes */*", None),
            ("bytes 0-4", None),
            ("bytes=0-4/10", None),
            ("items 0-4/10", None),
            ("bytes 0-4/99999999999999999999", None),
            ("bytes -4/10", None),
            ("", None),
        ] {
            assert_eq!(parse_content_range(value.as_bytes()), expected, "{value}");
        }
        assert_eq!(content_range_unsatisfied(7), "bytes */7");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            total in any::<u64>(),
        ) {
            let _ = parse_content_range(&bytes);
            if let Ok(specs) = parse(&bytes) {
                let _ = select(&specs, total);
            }
        }

        #[test]
        fn what_is_selected_lies_within_the_content(
            specs in "bytes=([0-9]{0,3}-[0-9]{0,3},?){1,5}",
            total in 0_u64..500,
        ) {
            let ranges = match selected(&specs, total) {
                RangeSelection::Single(range) => vec![range],
                RangeSelection::Multiple(ranges) => {
                    prop_assert!(ranges.len() > 1);
                    ranges.to_vec()
                }
                RangeSelection::Whole(_) | RangeSelection::Unsatisfiable => vec![],
            };
            let sum: u64 = ranges.iter().map(|range| range.len()).sum();
            prop_assert!(sum <= total);
            for range in ranges {
                prop_assert!(range.first <= range.last && range.last < total);
            }
        }

        #[test]
        fn content_range_round_trips(first in 0_u64..1 << 60, len in 1_u64..1 << 60, more in 0_u64..1 << 60) {
            let range = range(first, first + len - 1);
            let total = first + len + more;
            let value = content_range(range, total);
            prop_assert_eq!(
                parse_content_range(value.as_bytes()),
                Some(ContentRange::Part(range, Some(total)))
            );
            // Asking for just that part gives it.
            let asked = format!("bytes={}-{}", range.first, range.last);
            prop_assert_eq!(selected(&asked, total), RangeSelection::Single(range));
        }
    }
}
