//! The fields of stored responses: how they are kept, what they cost, and
//! which are sent to validate. Which fields are stored is the policy's to say.

use std::sync::Arc;

use bytes::BytesMut;
use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};
use smallvec::SmallVec;
use verge_http::vary::{VariantKey, Vary};

use crate::response::{StoredHead, StoredResponse};

/// What a stored response costs beside key, fields and content: the head 448 bytes,
/// the response and its list of segments 128, the hash table of the fields 128, the
/// place in the store with what is empty beside it, and what is remembered of a key
/// once it is gone. The rest, a tenth of an entry, is for blocks that stay free
/// between others where several threads fill; with one thread it is too much.
const HEAD_OVERHEAD: u64 = 1024;

/// What a field costs beside its name and value: its place in a `HeaderMap`, 104 bytes, and
/// what blocks are rounded up by.
const FIELD_OVERHEAD: u64 = 128;

/// The fields that are sent to validate a stored response (RFC 9111 4.3.1).
#[must_use]
pub fn validation_fields(stored: &StoredHead) -> SmallVec<[(HeaderName, HeaderValue); 2]> {
    let mut fields = SmallVec::new();
    let validators = stored.validators();
    if validators.entity_tag.is_some()
        && let Some(tag) = stored.fields().get(header::ETAG)
    {
        fields.push((header::IF_NONE_MATCH, tag.clone()));
    }
    if validators.last_modified.is_some()
        && let Some(date) = stored.fields().get(header::LAST_MODIFIED)
    {
        fields.push((header::IF_MODIFIED_SINCE, date.clone()));
    }
    fields
}

/// Most bytes of the entity tags that are sent to let the origin select a variant.
const TAGS_BYTES_MAX: usize = 1024;

/// The entity tags of `variants` as If-None-Match, the first ones if they are many
/// (RFC 9111 4.3.1); `None` if there is none.
#[must_use]
pub fn listed_tags(variants: &[Arc<StoredResponse>]) -> Option<HeaderValue> {
    let mut list: Vec<u8> = Vec::new();
    for variant in variants {
        let head = variant.head();
        let Some(tag) = head.fields().get(header::ETAG) else {
            continue;
        };
        if head.validators().entity_tag.is_none() || list.len() + tag.len() > TAGS_BYTES_MAX {
            continue;
        }
        if !list.is_empty() {
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(tag.as_bytes());
    }
    // Each was a valid value.
    (!list.is_empty())
        .then(|| HeaderValue::from_bytes(&list).ok())
        .flatten()
}

/// Bytes to reserve for a head.
pub(crate) fn head_cost(fields: &HeaderMap, vary: &Vary, variant_key: &VariantKey) -> u64 {
    let length = length_cost(fields);
    let fields: u64 = fields
        .iter()
        .map(|(name, value)| (name.as_str().len() + value.len()) as u64 + FIELD_OVERHEAD)
        .sum();
    let names = vary.names().iter().map(|name| name.as_str().len());
    let varying = variant_key.as_bytes().len() + size_of_val(vary.names()) + names.sum::<usize>();
    HEAD_OVERHEAD
        .saturating_add(fields)
        .saturating_add(length)
        .saturating_add(varying as u64)
}

/// Bytes to reserve for the Content-Length that `fields` get once it is known.
fn length_cost(fields: &HeaderMap) -> u64 {
    if fields.contains_key(header::CONTENT_LENGTH) {
        return 0;
    }
    header::CONTENT_LENGTH.as_str().len() as u64 + LENGTH_DIGITS + FIELD_OVERHEAD
}

/// Bytes of the longest Content-Length.
const LENGTH_DIGITS: u64 = 20;

/// Fields that a node adds to a stored response when it serves it: room for them in the stored
/// hash table means that no hit rebuilds it.
const ADDED_TO_HITS: usize = 8;

/// A copy of `fields` that shares no memory with the connection it came from:
/// all values stand in one allocation, instead of keeping a read buffer alive.
pub(crate) fn compact(fields: &HeaderMap) -> HeaderMap {
    let total = fields.values().map(HeaderValue::len).sum();
    let mut values = BytesMut::with_capacity(total);
    for value in fields.values() {
        values.extend_from_slice(value.as_bytes());
    }
    let values = values.freeze();
    let mut compacted = HeaderMap::with_capacity(fields.len() + ADDED_TO_HITS);
    let mut start = 0_usize;
    for (name, value) in fields {
        let end = start.saturating_add(value.len());
        let copy = HeaderValue::from_maybe_shared(values.slice(start..end));
        start = end;
        // Neither fails: both were valid before they were copied.
        let (Ok(mut copy), Ok(name)) = (copy, HeaderName::from_bytes(name.as_str().as_bytes()))
        else {
            continue;
        };
        copy.set_sensitive(value.is_sensitive());
        compacted.append(name, copy);
    }
    // A clone keeps the room in the hash table, where it costs a few bytes, and gives back the
    // room for entries, where it would cost kilobytes.
    compacted.clone()
}
