//! Stage 6: the client's preconditions against the selected response
//! (RFC 9110 13, RFC 9111 4.3.2). Ranges are `ranges.rs`.

use std::time::SystemTime;

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPIRES, IF_NONE_MATCH, LAST_MODIFIED, SET_COOKIE,
    TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use verge_http::Body;
use verge_http::conditional::{self, EntityTag, Evaluator, Precondition};

use super::answer::Answer;
use super::head::TrustedHead;

/// Turns the selected response into 304 or 412 if the client's preconditions say so.
pub(super) fn apply_preconditions(head: &TrustedHead, answer: &mut Answer, now: SystemTime) {
    if !answer.source.is_selected() || !conditional::has_preconditions(&head.fields) {
        return;
    }
    let verdict = conditional::decide_preconditions(
        Evaluator::Cache,
        &head.method,
        &head.fields,
        answer.status,
        &answer.fields,
        now,
    );
    match verdict {
        Precondition::Proceed => {}
        Precondition::NotModified => {
            answer.status = StatusCode::NOT_MODIFIED;
            remove_representation_fields(answer);
            answer.body = Body::Empty;
        }
        Precondition::Failed => {
            answer.status = StatusCode::PRECONDITION_FAILED;
            remove_selected_fields(answer);
            answer.body = Body::Empty;
        }
    }
}

/// RFC 9110 15.4.5: a 304 need not repeat metadata other than what guides caches.
pub(super) fn remove_representation_fields(answer: &mut Answer) {
    for name in [
        CONTENT_LENGTH,
        CONTENT_TYPE,
        CONTENT_ENCODING,
        CONTENT_LANGUAGE,
        CONTENT_RANGE,
        TRANSFER_ENCODING,
    ] {
        answer.fields.remove(name);
    }
}

/// What the selected response says of itself, and does not hold for an error that is answered in
/// its place: a cache on the way would take its freshness for the error's (RFC 9111 3).
pub(super) fn remove_selected_fields(answer: &mut Answer) {
    remove_representation_fields(answer);
    for name in [ETAG, EXPIRES, LAST_MODIFIED, SET_COOKIE] {
        answer.fields.remove(name);
    }
    // Targeted fields, too (RFC 9213): whatever they are called, they end so.
    let directives: Vec<HeaderName> = answer
        .fields
        .keys()
        .filter(|name| name.as_str().ends_with(CACHE_CONTROL.as_str()))
        .cloned()
        .collect();
    for name in directives {
        answer.fields.remove(name);
    }
}

/// The entity tags that a request to an origin names, for which functions answer, too.
pub(super) struct KnownTags(HeaderMap);

impl KnownTags {
    pub(super) fn of(request: &HeaderMap) -> Self {
        let listed = request.get_all(IF_NONE_MATCH).iter();
        Self(listed.map(|line| (IF_NONE_MATCH, line.clone())).collect())
    }

    /// A 304 says by the origin's tag that nothing has changed, and so about what functions made of
    /// that content; what was asked about has the same tag as a weak one.
    pub(super) fn detach(&self, not_modified: &mut HeaderMap) {
        let tag = EntityTag::of(not_modified);
        if tag.is_some_and(|tag| conditional::is_known_as_weak(&self.0, tag)) {
            detach_content(not_modified);
        }
    }
}

/// The same for the response to HEAD: what is stored has the origin's strong tag as a weak one.
pub(super) fn detach_like(stored: Option<EntityTag<'_>>, head: &mut HeaderMap) {
    let is_detached = match (stored, EntityTag::of(head)) {
        (Some(stored), Some(tag)) => stored.is_weak() && !tag.is_weak() && stored.weak_eq(tag),
        (Some(_) | None, _) => false,
    };
    if is_detached {
        detach_content(head);
    }
}

/// What a function made of the content is no longer the selected response's: its strong
/// validator and its ranges do not hold for it (RFC 9110 8.8.1).
pub(super) fn detach_content(fields: &mut HeaderMap) {
    if let Some(tag) = fields.get(ETAG)
        && !tag.as_bytes().starts_with(b"W/")
    {
        let weak = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat());
        match weak {
            Ok(weak) => fields.insert(ETAG, weak),
            Err(_) => fields.remove(ETAG),
        };
    }
    fields.remove(ACCEPT_RANGES);
    fields.remove(CONTENT_LENGTH);
}
