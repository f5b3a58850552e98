//! Requests that go past the cache: nothing of the answer is stored, and a
//! successful unsafe one invalidates what is.

use http::header::{
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderMap, StatusCode};
use verge_cache::policy::{Invalidation, decide_invalidation, is_safe, select_related_targets};
use verge_cache::{SentAt, Target as KeyTarget};
use verge_http::{Body, Failure, coding, surrogate};

use super::super::answer::Answer;
use super::super::head::TrustedHead;
use super::super::routed::Routed;
use super::super::triggers::ViewedRequest;
use super::forward::{Forwarded, forward};
use super::{key, post};
use crate::telemetry::{CacheReceipt, Receipt};

/// Forwards the request as it is.
pub(super) async fn pass(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    body: Body,
    facts: CacheReceipt,
) -> Result<Answer, Failure> {
    let head = &viewed.head;
    let sent = routed.node.cache.sent_at();
    let origin = viewed.marks.origin.clone();
    let mut outgoing = head.clone();
    if routed.route.compresses {
        // The client may know the response by the tag of a coding that this node applied.
        coding::add_plain_tags(&mut outgoing.fields);
    }
    if routed.route.asks_for_whole() {
        outgoing.fields.remove(RANGE);
        outgoing.fields.remove(IF_RANGE);
    }
    let (forwarded, times) = forward(routed, outgoing, body, origin).await;
    let (mut stored_as_of, mut has_purged) = (None, false);
    if !is_safe(&head.method) {
        // Its own invalidation is none that it has to fear; one of others from here on is.
        let mut as_of = routed.node.cache.sent_at();
        as_of.requested = sent.requested;
        let changed = forwarded.notes.changed;
        match &forwarded.response {
            Ok(response) => {
                let fields = response.headers();
                let may_be_stored = post::may_be_stored(routed, viewed, fields, &sent);
                // What a function made an error of is done all the same.
                let own = response.status();
                let status = changed.filter(|_| is_error(own)).unwrap_or(own);
                has_purged = invalidate(routed, head, (status, fields), &mut as_of);
                stored_as_of = may_be_stored.then_some(as_of);
            }
            // The origin did it, and a function failed behind it.
            Err(_) => {
                if let Some(status) = changed {
                    let nothing = HeaderMap::new();
                    has_purged = invalidate(routed, head, (status, &nothing), &mut as_of);
                }
            }
        }
    }
    if has_purged {
        // The client hears of its change when no restart can bring back what was before.
        routed.node.tiers.settle().await;
    }
    if let Some(as_of) = stored_as_of {
        let arrived = (as_of, times.after(&sent));
        return post::answer(routed, receipt, viewed, forwarded, arrived, facts);
    }
    answer(receipt, forwarded, facts)
}

/// The origin's response as it came.
pub(super) fn answer(
    receipt: &mut Receipt,
    forwarded: Forwarded,
    mut facts: CacheReceipt,
) -> Result<Answer, Failure> {
    let notes = forwarded.notes;
    facts.forward_status = notes.origin.as_ref().and_then(|origin| origin.status);
    receipt.triggers.extend(notes.triggers);
    receipt.origin = notes.origin;
    receipt.cache = Some(facts);
    let response = forwarded.response?;
    facts.forward_status.get_or_insert(response.status());
    Ok(Answer::forwarded(response, Some(facts)))
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// Whether the client asks for a part, or for nothing if it has the current state.
pub(super) fn asks_for_less(fields: &HeaderMap) -> bool {
    [
        RANGE,
        IF_RANGE,
        IF_MATCH,
        IF_NONE_MATCH,
        IF_MODIFIED_SINCE,
        IF_UNMODIFIED_SINCE,
    ]
    .iter()
    .any(|name| fields.contains_key(name))
}

/// Whether the request has a precondition that only an origin evaluates (RFC 9111 4.3.2).
pub(super) fn is_for_origin_to_check(fields: &HeaderMap) -> bool {
    fields.contains_key(IF_MATCH) || fields.contains_key(IF_UNMODIFIED_SINCE)
}

/// RFC 9111 4.4: the target URI, and what Location and Content-Location name on its origin;
/// RFC 9875 3: the groups that the origin names. The request was sent at `sent`; its response is
/// not older than what it invalidates itself. Says whether it invalidates anything.
fn invalidate(
    routed: &Routed,
    head: &TrustedHead,
    (status, fields): (StatusCode, &HeaderMap),
    sent: &mut SentAt,
) -> bool {
    let cache = &routed.node.cache;
    let target = key::target_of(head);
    let groups = surrogate::invalidated_groups(fields);
    cache.invalidate_groups(target, &groups, sent);
    match decide_invalidation(&head.method, status) {
        Invalidation::Keep(_) => !groups.is_empty(),
        Invalidation::Target => {
            // What is stored for a URI may stand under a key that is coarser than it.
            let mut invalidate = |target: KeyTarget<'_>| {
                key::each_stored_target(&routed.generation.sites, target, |stored| {
                    cache.invalidate_target(stored, sent);
                });
            };
            invalidate(target);
            for related in select_related_targets(&target, fields) {
                invalidate(related.on(head.scheme, head.authority.as_str()));
            }
            true
        }
    }
}
