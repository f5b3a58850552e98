//! Range requests (RFC 9110 14): which parts of the content a request asks
//! for, and the Content-Range that goes with them.
//!
//! A Range field is always optional to honour, so whatever is malformed or too
//! much gets the whole content (RFC 9110 14.2). Two ranges that overlap become
//! one; more than two are an attack.

use http::header::RANGE;
use http::{HeaderMap, HeaderValue, Method};
use smallvec::SmallVec;

use crate::structured::Writer;
use crate::syntax::{list_members, parse_digits, trim_ows};

/// Most ranges that one request may ask for.
pub const RANGES_MAX: usize = 16;

/// Most ranges of one request that may overlap each other (RFC 9110 14.2).
const OVERLAPPING_MAX: usize = 2;

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

    /// Whether all of `other` lies within it.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
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
    /// More than two ranges overlap (RFC 9110 14.2, 17.15).
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

/// The one range that a request asks for, before the total is known; `None` if
/// there is no Range, or one that is ignored, or several.
#[must_use]
pub fn single_range(method: &Method, request: &HeaderMap) -> Option<RangeSpec> {
    let mut lines = request.get_all(RANGE).iter();
    let value = lines.next().filter(|_| *method == Method::GET)?;
    if lines.next().is_some() {
        return None;
    }
    match parse(value.as_bytes()).ok()?.as_slice() {
        [only] => Some(*only),
        _ => None,
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

impl RangeSpec {
    /// The part of content of `total` bytes that it names; `None` if there is nothing of it.
    #[must_use]
    pub fn within(self, total: u64) -> Option<ByteRange> {
        let (first, end) = match self {
            Self::Suffix(length) => (total.saturating_sub(length), total),
            Self::From(first) => (first, total),
            Self::Bounded(first, last) => (first, last.saturating_add(1).min(total)),
        };
        let last = end.checked_sub(1)?;
        (first <= last).then_some(ByteRange { first, last })
    }
}

fn select(specs: &[RangeSpec], total: u64) -> RangeSelection {
    let is_suffix = |spec: &RangeSpec| matches!(spec, RangeSpec::Suffix(length) if *length > 0);
    if total == 0 && specs.iter().any(is_suffix) {
        return RangeSelection::Whole(WholeReason::ContentEmpty);
    }
    let ranges: SmallVec<[ByteRange; 4]> =
        specs.iter().filter_map(|spec| spec.within(total)).collect();
    let Some(ranges) = coalesce(ranges) else {
        return RangeSelection::Whole(WholeReason::Overlapping);
    };
    match ranges.as_slice() {
        [] => RangeSelection::Unsatisfiable,
        [only] => RangeSelection::Single(*only),
        _ => RangeSelection::Multiple(ranges),
    }
}

/// Makes one range of two that overlap, in the place of the first (RFC 9110
/// 15.3.7.2); `None` if more overlap. At most [`RANGES_MAX`] ranges come here,
/// so comparing all pairs costs little.
fn coalesce(mut ranges: SmallVec<[ByteRange; 4]>) -> Option<SmallVec<[ByteRange; 4]>> {
    let overlapping: SmallVec<[usize; RANGES_MAX]> = (0..ranges.len())
        .filter(|at| {
            let mut others = ranges.iter().enumerate();
            let one = ranges.get(*at);
            others.any(|(other, range)| other != *at && one.is_some_and(|one| one.overlaps(*range)))
        })
        .collect();
    if overlapping.len() > OVERLAPPING_MAX {
        return None;
    }
    if let [first, second] = overlapping.as_slice() {
        let absorbed = ranges.remove(*second);
        if let Some(range) = ranges.get_mut(*first) {
            range.first = range.first.min(absorbed.first);
            range.last = range.last.max(absorbed.last);
        }
    }
    Some(ranges)
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

/// `bytes first-last/*`, where the total is not known (RFC 9110 14.4).
#[must_use]
pub fn content_range_of_unknown(range: ByteRange) -> HeaderValue {
    let mut number = itoa::Buffer::new();
    let mut value = Writer::default();
    value.raw("bytes ");
    value.raw(number.format(range.first));
    value.raw("-");
    value.raw(number.format(range.last));
    value.raw("/*");
    value.finish()
}

/// The Range field value that asks for `range` (RFC 9110 14.2).
#[must_use]
pub fn range_value(range: ByteRange) -> HeaderValue {
    let mut number = itoa::Buffer::new();
    let mut value = Writer::default();
    value.raw("bytes=");
    value.raw(number.format(range.first));
    value.raw("-");
    value.raw(number.format(range.last));
    value.finish()
}

/// The Range field value that asks for all from `first` on.
#[must_use]
pub fn range_value_from(first: u64) -> HeaderValue {
    let mut value = Writer::default();
    value.raw("bytes=");
    value.raw(itoa::Buffer::new().format(first));
    value.raw("-");
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
mod tests;
