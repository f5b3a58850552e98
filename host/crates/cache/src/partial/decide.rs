//! Whether a 206 may be stored, and whether it belongs to what is stored
//! (RFC 9110 15.3.7, RFC 9111 3.3, 3.4).

use std::time::{Duration, SystemTime};

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, StatusCode};
use verge_http::conditional::EntityTag;
use verge_http::date;
use verge_http::range::{ByteRange, ContentRange, parse_content_range};

use crate::policy::{RefuseReason, Storage, StorageFacts, StoragePlan, decide_storage};

/// How young a response must be beside its Last-Modified for that to be a
/// strong validator (RFC 9110 8.8.2.2).
const STRONG_DATE_AGE: Duration = Duration::from_secs(1);

/// Which part of a representation a 206 holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The bytes.
    pub range: ByteRange,
    /// Bytes of the whole representation, if the origin says so.
    pub total: Option<u64>,
}

/// Whether a 206 may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartialStorage {
    /// It may, as this part.
    Store(Part, Box<StoragePlan>),
    /// It may not.
    Refuse(RefuseReason),
}

/// Whether a 206 is combined with what is stored (RFC 9111 3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Combination {
    /// Both are of one representation.
    Combine,
    /// What is stored gives way.
    Replace(ReplaceReason),
}

/// Why stored pieces give way to a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplaceReason {
    /// One of them has no strong validator.
    ValidatorWeak,
    /// Their validators differ.
    ValidatorDiffers,
    /// Their totals differ.
    TotalDiffers,
}

/// A validator that says that bytes are the same (RFC 9110 8.8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strong<'a> {
    Tag(EntityTag<'a>),
    Date(SystemTime),
}

/// Which part a response with these fields holds; `None` if it is no 206 with
/// one part whose length is what its Content-Range says.
#[must_use]
pub fn part_of(status: StatusCode, fields: &HeaderMap) -> Option<Part> {
    if status != StatusCode::PARTIAL_CONTENT || is_multipart(fields) {
        return None;
    }
    let mut lines = fields.get_all(CONTENT_RANGE).iter();
    let value = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    let ContentRange::Part(range, total) = parse_content_range(value.as_bytes())? else {
        return None;
    };
    let length_fits = fields
        .get(CONTENT_LENGTH)
        .is_none_or(|length| *length == HeaderValue::from(range.len()));
    length_fits.then_some(Part { range, total })
}

fn is_multipart(fields: &HeaderMap) -> bool {
    fields.get(CONTENT_TYPE).is_some_and(|value| {
        let name = value.as_bytes().get(.."multipart/byteranges".len());
        name.is_some_and(|name| name.eq_ignore_ascii_case(b"multipart/byteranges"))
    })
}

/// Decides whether a 206 may be stored. What holds for the 200 of the same
/// fields holds for it (RFC 9111 3): this cache understands the status.
#[must_use]
pub fn decide_partial_storage(facts: &StorageFacts<'_>) -> PartialStorage {
    let Some(part) = part_of(facts.status, facts.fields) else {
        return PartialStorage::Refuse(RefuseReason::StatusPartial);
    };
    let as_whole = StorageFacts {
        status: StatusCode::OK,
        ..*facts
    };
    match decide_storage(&as_whole) {
        Storage::Store(plan) => PartialStorage::Store(part, plan),
        Storage::Refuse(reason) => PartialStorage::Refuse(reason),
    }
}

/// Decides whether a 206 with these fields joins pieces stored under others.
#[must_use]
pub fn decide_combination(
    stored: (&HeaderMap, Option<u64>),
    new: (&HeaderMap, Option<u64>),
    now: SystemTime,
) -> Combination {
    let ((stored, stored_total), (new, new_total)) = (stored, new);
    let validators = (strong_validator(stored, now), strong_validator(new, now));
    let (Some(old_validator), Some(new_validator)) = validators else {
        return Combination::Replace(ReplaceReason::ValidatorWeak);
    };
    if !old_validator.is(new_validator) {
        return Combination::Replace(ReplaceReason::ValidatorDiffers);
    }
    if stored_total != new_total {
        return Combination::Replace(ReplaceReason::TotalDiffers);
    }
    Combination::Combine
}

/// The If-Range value by which the rest of a response with these fields is
/// asked for (RFC 9110 13.1.5); `None` without a strong validator.
#[must_use]
pub fn if_range_value(fields: &HeaderMap, now: SystemTime) -> Option<HeaderValue> {
    let name = match strong_validator(fields, now)? {
        Strong::Tag(_) => ETAG,
        Strong::Date(_) => LAST_MODIFIED,
    };
    fields.get(name).cloned()
}

/// The strong validator of a response: its ETag, or its Last-Modified if it
/// has no ETag at all.
fn strong_validator(fields: &HeaderMap, now: SystemTime) -> Option<Strong<'_>> {
    if fields.contains_key(ETAG) {
        return EntityTag::of(fields)
            .filter(|tag| !tag.is_weak())
            .map(Strong::Tag);
    }
    let modified = date::field_date(fields, &LAST_MODIFIED, now).valid()?;
    let made = date::field_date(fields, &DATE, now).valid()?;
    let age = made.duration_since(modified).ok()?;
    (age >= STRONG_DATE_AGE).then_some(Strong::Date(modified))
}

impl Strong<'_> {
    fn is(self, other: Strong<'_>) -> bool {
        match (self, other) {
            (Self::Tag(one), Strong::Tag(other)) => one.strong_eq(other),
            (Self::Date(one), Strong::Date(other)) => one == other,
            (Self::Tag(_), Strong::Date(_)) | (Self::Date(_), Strong::Tag(_)) => false,
        }
    }
}

impl ReplaceReason {
    /// All of them.
    pub const ALL: [Self; 3] = [
        Self::ValidatorWeak,
        Self::ValidatorDiffers,
        Self::TotalDiffers,
    ];

    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ValidatorWeak => "validator-weak",
            Self::ValidatorDiffers => "validator-differs",
            Self::TotalDiffers => "total-differs",
        }
    }

    /// Where the rule stands.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::ValidatorWeak | Self::ValidatorDiffers => "RFC 9111 3.4",
            Self::TotalDiffers => "RFC 9110 15.3.7.3",
        }
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
