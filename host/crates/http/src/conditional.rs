//! Validators and preconditions (RFC 9110 8.8, 13): what a conditional request
//! comes to against the response that was selected for it.

use std::time::{Duration, SystemTime};

use http::header::{
    DATE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use memchr::memchr;

use crate::date::{self, FieldDate, field_date};
use crate::syntax::trim_ows;

/// An entity tag (RFC 9110 8.8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag<'a> {
    weak: bool,
    /// What stands between the quotes.
    opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// Reads `[ "W/" ] DQUOTE *etagc DQUOTE`; the `W` is case-sensitive, and a
    /// backslash escapes nothing.
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        match Self::read_first(value)? {
            (tag, []) => Some(tag),
            (_, _) => None,
        }
    }

    /// The entity tag of a response, if it has one that is valid.
    #[must_use]
    pub fn of(fields: &'a HeaderMap) -> Option<Self> {
        let mut lines = fields.get_all(ETAG).iter();
        let first = lines.next()?;
        if lines.next().is_some() {
            return None;
        }
        Self::parse(first.as_bytes())
    }

    /// Whether it is weak (RFC 9110 8.8.1).
    #[must_use]
    pub const fn is_weak(self) -> bool {
        self.weak
    }

    /// Strong comparison (RFC 9110 8.8.3.2): equal, and neither is weak.
    #[must_use]
    pub fn strong_eq(self, other: EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// Weak comparison (RFC 9110 8.8.3.2): equal but for weakness.
    #[must_use]
    pub fn weak_eq(self, other: EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }

    /// The tag at the start of `value`, and what follows it.
    fn read_first(value: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (weak, rest) = match value.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, value),
        };
        let rest = rest.strip_prefix(b"\"")?;
        let (opaque, rest) = rest.split_at_checked(memchr(b'"', rest)?)?;
        // etagc: no whitespace and no control characters.
        let valid = opaque.iter().all(|byte| *byte > b' ' && *byte != 0x7f);
        valid.then_some((Self { weak, opaque }, rest.strip_prefix(b"\"")?))
    }
}

/// In which role preconditions are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evaluator {
    /// From a stored response: If-Match and If-Unmodified-Since do not apply
    /// to it and are left to the origin (RFC 9111 4.3.2).
    Cache,
    /// From a response that was made here.
    Origin,
}

/// What the preconditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The selected response is sent.
    Proceed,
    /// 304 Not Modified.
    NotModified,
    /// 412 Precondition Failed.
    Failed,
}

/// Whether the request has a precondition that a cache or origin evaluates;
/// If-Range is none of them.
#[must_use]
pub fn has_preconditions(request: &HeaderMap) -> bool {
    [
        &IF_NONE_MATCH,
        &IF_MODIFIED_SINCE,
        &IF_MATCH,
        &IF_UNMODIFIED_SINCE,
    ]
    .into_iter()
    .any(|name| request.contains_key(name))
}

/// Evaluates the preconditions in the order of RFC 9110 13.2.2 against the
/// selected response with `status` and the fields `selected`. `now` settles
/// two-digit years only.
#[must_use]
pub fn decide_preconditions(
    evaluator: Evaluator,
    method: &Method,
    request: &HeaderMap,
    status: StatusCode,
    selected: &HeaderMap,
    now: SystemTime,
) -> Precondition {
    // RFC 9110 13.2.1: only where the answer would be 2xx, and not for methods
    // that select no representation.
    let selects = !matches!(*method, Method::CONNECT | Method::OPTIONS | Method::TRACE);
    if !status.is_success() || !selects {
        return Precondition::Proceed;
    }
    if evaluator == Evaluator::Origin && !may_act(request, selected, now) {
        return Precondition::Failed;
    }
    let retrieves = *method == Method::GET || *method == Method::HEAD;
    if request.contains_key(IF_NONE_MATCH) {
        if !any_tag_matches(request, selected) {
            return Precondition::Proceed;
        }
        return if retrieves {
            Precondition::NotModified
        } else {
            Precondition::Failed
        };
    }
    if retrieves && !is_modified_since(evaluator, request, selected, now) {
        return Precondition::NotModified;
    }
    Precondition::Proceed
}

/// Steps 1 and 2: If-Match, or else If-Unmodified-Since.
fn may_act(request: &HeaderMap, selected: &HeaderMap, now: SystemTime) -> bool {
    if request.contains_key(IF_MATCH) {
        let tag = EntityTag::of(selected);
        return listed_tags(request, &IF_MATCH).any(|listed| match listed {
            ListedTag::Any => true,
            ListedTag::Tag(listed) => tag.is_some_and(|tag| tag.strong_eq(listed)),
        });
    }
    match field_date(request, &IF_UNMODIFIED_SINCE, now) {
        FieldDate::At(limit) => match field_date(selected, &LAST_MODIFIED, now) {
            FieldDate::At(modified) => modified <= limit,
            // RFC 9110 13.1.4 has the condition ignored if there is no
            // modification date.
            FieldDate::Absent | FieldDate::Invalid => true,
        },
        FieldDate::Absent | FieldDate::Invalid => true,
    }
}

/// Step 3: whether a listed tag is the selected response's (RFC 9110 13.1.2).
fn any_tag_matches(request: &HeaderMap, selected: &HeaderMap) -> bool {
    let Some(tag) = EntityTag::of(selected) else {
        return is_echo(request, selected)
            || listed_tags(request, &IF_NONE_MATCH).any(|listed| matches!(listed, ListedTag::Any));
    };
    listed_tags(request, &IF_NONE_MATCH).any(|listed| match listed {
        ListedTag::Any => true,
        ListedTag::Tag(listed) => tag.weak_eq(listed),
    })
}

/// Whether If-None-Match names a strong `tag` as a weak one only: whoever asks so has content that
/// somebody made out of the one that `tag` is for (RFC 9110 8.8.1).
#[must_use]
pub fn is_known_as_weak(request: &HeaderMap, tag: EntityTag<'_>) -> bool {
    let mut is_known = false;
    for listed in listed_tags(request, &IF_NONE_MATCH) {
        match listed {
            ListedTag::Any => return false,
            ListedTag::Tag(listed) if listed.strong_eq(tag) => return false,
            ListedTag::Tag(listed) => is_known |= listed.weak_eq(tag),
        }
    }
    is_known && !tag.is_weak()
}

/// Whether the client says what this response's ETag says, though that is no entity tag: an origin
/// that leaves out the quotes gets it back as it sent it, and meant no other.
fn is_echo(request: &HeaderMap, selected: &HeaderMap) -> bool {
    let only = |fields: &HeaderMap, name: &HeaderName| {
        let mut lines = fields.get_all(name).iter();
        let first = lines.next().cloned()?;
        lines.next().is_none().then_some(first)
    };
    only(request, &IF_NONE_MATCH)
        .is_some_and(|echoed| !echoed.is_empty() && Some(echoed) == only(selected, &ETAG))
}

/// Step 4 (RFC 9110 13.1.3, RFC 9111 4.3.2); true where the field does not
/// apply.
fn is_modified_since(
    evaluator: Evaluator,
    request: &HeaderMap,
    selected: &HeaderMap,
    now: SystemTime,
) -> bool {
    let FieldDate::At(since) = field_date(request, &IF_MODIFIED_SINCE, now) else {
        return true;
    };
    let modified = match (field_date(selected, &LAST_MODIFIED, now), evaluator) {
        (FieldDate::At(modified), _) => Some(modified),
        // A cache may go by the date of the response instead.
        (FieldDate::Absent, Evaluator::Cache) => field_date(selected, &DATE, now).valid(),
        (FieldDate::Absent, Evaluator::Origin) | (FieldDate::Invalid, _) => None,
    };
    modified.is_none_or(|modified| modified > since)
}

/// Step 5: whether a Range may be applied, because If-Range is absent or is
/// the selected response's strong validator (RFC 9110 13.1.5).
#[must_use]
pub fn if_range_allows(request: &HeaderMap, selected: &HeaderMap, now: SystemTime) -> bool {
    let mut lines = request.get_all(IF_RANGE).iter();
    let Some(condition) = lines.next() else {
        return true;
    };
    if lines.next().is_some() {
        return false;
    }
    if let Some(listed) = EntityTag::parse(condition.as_bytes()) {
        return EntityTag::of(selected).is_some_and(|tag| tag.strong_eq(listed));
    }
    let Some(asked) = date::parse(condition.as_bytes(), now) else {
        return false;
    };
    let modified = field_date(selected, &LAST_MODIFIED, now).valid();
    // RFC 9110 8.8.2.2: strong only if the response is at least a second
    // younger than the modification.
    let made = field_date(selected, &DATE, now).valid();
    modified == Some(asked)
        && made
            .and_then(|made| made.duration_since(asked).ok())
            .is_some_and(|younger| younger >= Duration::from_secs(1))
}

/// A member of If-Match or If-None-Match.
enum ListedTag<'a> {
    /// `*`, alone on its line.
    Any,
    Tag(EntityTag<'a>),
}

/// The valid members of all lines. A list ends at the first thing that is not
/// a tag, because nobody knows where the next one would begin.
fn listed_tags<'a>(
    request: &'a HeaderMap,
    name: &http::HeaderName,
) -> impl Iterator<Item = ListedTag<'a>> {
    request.get_all(name).iter().flat_map(|value| {
        let value = trim_ows(value.as_bytes());
        let any = (value == b"*").then_some(ListedTag::Any);
        any.into_iter()
            .chain(TagList { rest: value }.map(ListedTag::Tag))
    })
}

struct TagList<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for TagList<'a> {
    type Item = EntityTag<'a>;

    fn next(&mut self) -> Option<EntityTag<'a>> {
        while let [b',' | b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
        let (tag, rest) = EntityTag::read_first(self.rest)?;
        self.rest = trim_ows(rest);
        match self.rest {
            [] | [b',', ..] => Some(tag),
            _ => {
                self.rest = &[];
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
