//! How a stored response is updated by a 304 or by the response to HEAD
//! (RFC 9111 3.2, 4.3.4, 4.3.5), and which fields are stored at all (3.1).

use std::time::SystemTime;

use http::header::{self, HeaderName};
use http::{HeaderMap, StatusCode};
use verge_http::cache_control::{Qualified, ResponseDirectives};
use verge_http::conditional::EntityTag;
use verge_http::{date, fields};

/// The validators of a response (RFC 9110 8.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validators<'a> {
    /// ETag.
    pub entity_tag: Option<EntityTag<'a>>,
    /// Last-Modified.
    pub last_modified: Option<SystemTime>,
}

/// Whether a 304 is about the stored response that was validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Freshening {
    /// It updates the stored response.
    Update,
    /// It names another representation: it must not update anything
    /// (RFC 9111 4.3.4), and the request is sent again without preconditions.
    OtherRepresentation,
}

/// What the response to HEAD means for a stored response to GET (RFC 9111 4.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadFreshening {
    /// It updates the stored response.
    Update,
    /// The representation has changed: what is stored is stale.
    Invalidate,
    /// It says nothing about the stored response.
    Leave,
}

/// Fields of a newer response that do not update a stored one, beside those
/// that are not stored (RFC 9111 3.2): Content-Length, and Content-Range, which
/// says what piece is stored. All others do, Content-Encoding and Content-Type
/// among them, because content is stored as it was received; what this node
/// coded by itself is kept apart from it.
const NOT_UPDATED: [HeaderName; 2] = [header::CONTENT_LENGTH, header::CONTENT_RANGE];

/// Fields that a cache does not store (RFC 9111 3.1), beside those that are
/// connection-specific. Age is kept as a number; Trailer announces trailers,
/// and those are not stored (RFC 9110 6.6.2).
const NOT_STORED: [HeaderName; 5] = [
    header::AGE,
    header::TRAILER,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
];

impl<'a> Validators<'a> {
    /// The valid validators of a response; `now` is wall time (two-digit years need it).
    #[must_use]
    pub fn of(response: &'a HeaderMap, now: SystemTime) -> Self {
        Self {
            entity_tag: EntityTag::of(response),
            last_modified: date::field_date(response, &header::LAST_MODIFIED, now).valid(),
        }
    }

    /// Whether there is any.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.entity_tag.is_some() || self.last_modified.is_some()
    }
}

/// Decides whether a 304 to a request with `stored`'s validators freshens it (RFC 9111 4.3.4).
///
/// A 304 without validators is taken to be about what was asked: the
/// preconditions named this one stored response.
#[must_use]
pub fn decide_freshening(stored: &Validators<'_>, not_modified: &Validators<'_>) -> Freshening {
    let is_same = match (not_modified.entity_tag, not_modified.last_modified) {
        (Some(new), _) if new.is_weak() => stored.entity_tag.is_some_and(|old| old.weak_eq(new)),
        (Some(new), _) => stored.entity_tag.is_some_and(|old| old.strong_eq(new)),
        (None, Some(new)) => stored.last_modified.is_none_or(|old| old == new),
        (None, None) => true,
    };
    if is_same {
        Freshening::Update
    } else {
        Freshening::OtherRepresentation
    }
}

/// Which of several stored responses a 304 is about whose request named the entity tags of all
/// of them (RFC 9111 4.3.4): the one with its strong validator, else the one with its weak one,
/// else the only one there is.
#[must_use]
pub fn select_validated<'a>(
    stored: impl ExactSizeIterator<Item = Validators<'a>> + Clone,
    not_modified: &Validators<'_>,
) -> Option<usize> {
    let Some(tag) = not_modified.entity_tag else {
        return (stored.len() == 1).then_some(0);
    };
    let matches = |is_same: &dyn Fn(EntityTag<'_>) -> bool| {
        stored
            .clone()
            .position(|validators| validators.entity_tag.is_some_and(is_same))
    };
    if tag.is_weak() {
        matches(&|known| known.weak_eq(tag))
    } else {
        matches(&|known| known.strong_eq(tag))
    }
}

/// Decides what a response to HEAD means for a stored response to GET (RFC 9111 4.3.5).
#[must_use]
pub fn decide_head_freshening(
    stored: &Validators<'_>,
    stored_length: u64,
    status: StatusCode,
    head: &HeaderMap,
    now: SystemTime,
) -> HeadFreshening {
    if status != StatusCode::OK {
        return HeadFreshening::Leave;
    }
    let new = Validators::of(head, now);
    let length_differs = head
        .get(header::CONTENT_LENGTH)
        .is_some_and(|value| parse_length(value.as_bytes()) != Some(stored_length));
    let tag_differs = match (stored.entity_tag, new.entity_tag) {
        (Some(old), Some(new)) => !old.weak_eq(new),
        (None, None) => false,
        (Some(_), None) | (None, Some(_)) => true,
    };
    let date_differs = new
        .last_modified
        .is_some_and(|new| stored.last_modified.is_some_and(|old| old != new));
    if length_differs || tag_differs || date_differs {
        HeadFreshening::Invalidate
    } else if stored.is_any() {
        HeadFreshening::Update
    } else {
        // Nothing says that it is the same representation.
        HeadFreshening::Leave
    }
}

fn parse_length(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    // `u64::from_str` would take a plus sign.
    text.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    text.parse().ok()
}

/// The fields of a response that are stored (RFC 9111 3.1); those that
/// `private` and `no-cache` name are left out (5.2.2.4, 5.2.2.7).
pub(crate) fn storable_fields(response: &HeaderMap, directives: &ResponseDirectives) -> HeaderMap {
    let mut stored = response.clone();
    fields::remove_connection_fields_of_response(&mut stored);
    for name in &NOT_STORED {
        stored.remove(name);
    }
    for qualified in [&directives.no_cache, &directives.private] {
        if let Qualified::Fields(names) = qualified {
            for name in names {
                stored.remove(name);
            }
        }
    }
    stored
}

/// `stored` with what `newer` changes (RFC 9111 3.2). Of `newer`, fields that
/// are not stored are left out by the caller's [`storable_fields`] on the result.
pub(crate) fn updated_fields(stored: &HeaderMap, newer: &HeaderMap) -> HeaderMap {
    let mut newer = newer.clone();
    fields::remove_connection_fields_of_response(&mut newer);
    for name in &NOT_UPDATED {
        newer.remove(name);
    }
    let mut updated = stored.clone();
    // The old Date would make the freshened response as old as the first one.
    updated.remove(header::DATE);
    for name in newer.keys() {
        updated.remove(name);
    }
    for (name, value) in &newer {
        updated.append(name.clone(), value.clone());
    }
    updated
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    type Fields = &'static [(&'static str, &'static str)];

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                    value.parse().expect("a value"),
                )
            })
            .collect()
    }

    const LM_1: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    const TAG: (&str, &str) = ("etag", "\"a\"");
    const LM_2: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:49:38 GMT");

    #[test]
    fn a_304_freshens_only_what_it_names_rfc_9111_4_3_4() {
        use Freshening::{OtherRepresentation, Update};
        let rows: [(Fields, Fields, Freshening); 9] = [
            (&[("etag", "\"a\"")], &[("etag", "\"a\"")], Update),
            (
                &[("etag", "\"a\"")],
                &[("etag", "\"b\"")],
                OtherRepresentation,
            ),
            (
                &[("etag", "W/\"a\"")],
                &[("etag", "\"a\"")],
                OtherRepresentation,
            ),
            (&[("etag", "W/\"a\"")], &[("etag", "W/\"a\"")], Update),
            (&[("etag", "\"a\"")], &[("etag", "W/\"a\"")], Update),
            (&[("etag", "\"a\"")], &[], Update),
            (&[LM_1], &[LM_1], Update),
            (&[LM_1], &[LM_2], OtherRepresentation),
            (&[LM_1], &[("etag", "\"a\"")], OtherRepresentation),
        ];
        for (stored, new, expected) in rows {
            let (stored, new) = (map(stored), map(new));
            assert_eq!(
                decide_freshening(
                    &Validators::of(&stored, UNIX_EPOCH),
                    &Validators::of(&new, UNIX_EPOCH)
                ),
                expected,
                "{stored:?} {new:?}"
            );
        }
    }

    #[test]
    fn a_304_selects_by_strong_then_weak_then_only_one_rfc_9111_4_3_4() {
        let rows: [(&[&str], &str, Option<usize>); 8] = [
            (&["\"a\"", "\"b\""], "\"b\"", Some(1)),
            (&["\"a\"", "W/\"b\""], "\"b\"", None),
            (&["\"a\"", "W/\"b\""], "W/\"b\"", Some(1)),
            (&["\"a\"", "\"b\""], "W/\"b\"", Some(1)),
            (&["\"a\"", "\"b\""], "\"c\"", None),
            (&["\"a\"", "\"b\""], "", None),
            (&["\"a\""], "", Some(0)),
            (&[], "\"a\"", None),
        ];
        for (stored, new, expected) in rows {
            let stored: Vec<_> = stored.iter().map(|tag| map(&[("etag", tag)])).collect();
            let stored = stored
                .iter()
                .map(|fields| Validators::of(fields, UNIX_EPOCH));
            let new = map(&[("etag", new)]);
            let new = Validators::of(&new, UNIX_EPOCH);
            let stored: Vec<_> = stored.collect();
            assert_eq!(
                select_validated(stored.iter().copied(), &new),
                expected,
                "{stored:?} {new:?}"
            );
        }
    }

    #[test]
    fn a_head_response_updates_or_invalidates_rfc_9111_4_3_5() {
        use HeadFreshening::{Invalidate, Leave, Update};
        let rows: [(Fields, u16, Fields, HeadFreshening); 7] = [
            (&[TAG], 200, &[TAG, ("content-length", "10")], Update),
            (&[TAG], 200, &[TAG, ("content-length", "11")], Invalidate),
            (&[TAG], 200, &[TAG, ("content-length", "+10")], Invalidate),
            (&[TAG], 200, &[("etag", "\"b\"")], Invalidate),
            (&[LM_1], 200, &[LM_2], Invalidate),
            (&[TAG], 404, &[], Leave),
            (&[], 200, &[], Leave),
        ];
        for (stored, status, head, expected) in rows {
            let (stored, head) = (map(stored), map(head));
            assert_eq!(
                decide_head_freshening(
                    &Validators::of(&stored, UNIX_EPOCH),
                    10,
                    StatusCode::from_u16(status).expect("a status"),
                    &head,
                    UNIX_EPOCH,
                ),
                expected,
                "{stored:?} {head:?}"
            );
        }
    }

    #[test]
    fn fields_of_one_hop_and_qualified_fields_are_not_stored_rfc_9111_3_1() {
        let response = map(&[
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("proxy-authenticate", "Basic"),
            ("age", "7"),
            ("set-cookie", "a=b"),
            ("x-kept", "1"),
        ]);
        let directives = ResponseDirectives {
            private: Qualified::Fields(vec![header::SET_COOKIE]),
            ..ResponseDirectives::default()
        };
        let stored = storable_fields(&response, &directives);
        assert_eq!(stored, map(&[("x-kept", "1")]));
    }

    #[test]
    fn freshening_replaces_all_fields_but_the_excepted_rfc_9111_3_2() {
        let stored = map(&[
            ("content-length", "10"),
            ("content-encoding", "gzip"),
            ("content-type", "text/plain"),
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("x-many", "1"),
            ("x-many", "2"),
            ("x-old", "kept"),
        ]);
        let newer = map(&[
            ("content-length", "0"),
            ("content-encoding", "br"),
            ("content-range", "bytes 0-1/2"),
            ("content-type", "text/html"),
            ("x-many", "3"),
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
        ]);
        let expected = map(&[
            ("content-length", "10"),
            ("content-encoding", "br"),
            ("content-type", "text/html"),
            ("x-many", "3"),
            ("x-old", "kept"),
        ]);
        assert_eq!(updated_fields(&stored, &newer), expected);
    }
}
