//! Entity tags of coded representations (RFC 9110 8.8.3.3).
//!
//! A strong tag gets the coding's name at its end, inside of the quotes. A
//! weak one stays: it says that representations are equivalent, which they are
//! in any coding (RFC 9110 8.8.1).

use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};

use super::Coding;
use crate::conditional::EntityTag;
use crate::syntax::field_members;

/// The tag of the representation in `coding` of what has `tag`; `None` if it is no tag.
#[must_use]
pub fn coded_tag(tag: &HeaderValue, coding: Coding) -> Option<HeaderValue> {
    let parsed = EntityTag::parse(tag.as_bytes())?;
    if parsed.is_weak() {
        return Some(tag.clone());
    }
    let open = tag.as_bytes().strip_suffix(b"\"")?;
    HeaderValue::from_bytes(&[open, b"-", coding.token().as_bytes(), b"\""].concat()).ok()
}

/// The tag of which `tag` is the coded one; `None` if it is not coded.
fn plain_tag(tag: &[u8]) -> Option<Vec<u8>> {
    let open = tag.strip_suffix(b"\"")?;
    if tag.starts_with(b"W/") {
        return None;
    }
    Coding::ALL.into_iter().find_map(|coding| {
        let plain = open.strip_suffix(coding.token().as_bytes())?;
        let plain = plain.strip_suffix(b"-")?;
        let plain = [plain, b"\""].concat();
        EntityTag::parse(&plain).is_some().then_some(plain)
    })
}

/// Adds to If-Match and If-None-Match of a request that goes to the origin the tags that the
/// origin gave for those that this node made of them. The others stay: the origin may have
/// given them itself.
pub fn add_plain_tags(request: &mut HeaderMap) {
    for name in [IF_MATCH, IF_NONE_MATCH] {
        let plain: Vec<Vec<u8>> = field_members(request, &name)
            .filter_map(plain_tag)
            .collect();
        if plain.is_empty() {
            continue;
        }
        let own = field_members(request, &name).map(<[u8]>::to_vec);
        let all: Vec<Vec<u8>> = own.chain(plain).collect();
        // Pieces of valid values make a valid value.
        if let Ok(value) = HeaderValue::from_bytes(&all.join(&b", "[..])) {
            request.insert(name, value);
        }
    }
}

/// The tag that the client knows a representation by that the origin calls `tag`: the coded
/// one of its If-None-Match, if that is all it has of it.
#[must_use]
pub fn select_coded_tag(request: &HeaderMap, tag: &HeaderValue) -> Option<HeaderValue> {
    let mut coded = None;
    for member in field_members(request, &IF_NONE_MATCH) {
        if member == tag.as_bytes() {
            return None;
        }
        if coded.is_none() && plain_tag(member).is_some_and(|plain| plain == tag.as_bytes()) {
            coded = HeaderValue::from_bytes(member).ok();
        }
    }
    coded
}
