//! HEAD that memory does not answer. A tier may have a response to GET that does.
//! If that would have to be validated, or what memory has, the origin is asked,
//! and its answer freshens or removes what is stored (RFC 9111 4.3.5). The
//! answer itself is never stored.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::CONTENT_LENGTH;
use verge_cache::policy::{OriginError, RequestFacts};
use verge_cache::tier::TierKey;
use verge_cache::{FreshenedByHead, Newer, ResponseHead};
use verge_http::conditional::EntityTag;
use verge_http::failure::ClientFault;
use verge_http::{Body, Failure};

use super::super::answer::Answer;
use super::super::conditions;
use super::super::routed::Routed;
use super::super::triggers::ViewedRequest;
use super::forward::forward;
use super::join::{from_fill, from_stored, from_tier};
use super::storing::{depends_on_unkeyed, jitter_roll, made_by};
use super::tiers::{self, ForHead};
use super::{Search, look_up, pass, slices, stale};
use crate::route::RangePolicy;
use crate::telemetry::Receipt;

/// The answer to a HEAD that memory has none for: a tier's, or the origin's.
///
/// # Errors
/// Why there is none.
pub(super) async fn fetch(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    mut search: Search,
) -> Result<Answer, Failure> {
    if let (None, RangePolicy::Slices { size }) = (&search.stale, routed.route.ranges) {
        let slices = (&search.key, &search.directives);
        let slices = Arc::new(slices::Slices::new(routed, viewed, slices, size));
        if let Some(answer) = slices.head() {
            return Ok(answer);
        }
    }
    if search.stale.is_none() && tiers::may_answer(routed, viewed) {
        match tiers::ask_for_head(routed, viewed, &search).await {
            ForHead::Reusable(head, tier, reuse) => {
                let facts = from_tier(search.facts, tier, reuse);
                return Ok(from_fill(routed, &head, Body::Empty, facts));
            }
            ForHead::Stale(stored, reason) => {
                let lookup = search.facts.lookup;
                search.facts = look_up::forwarded(reason);
                search.facts.lookup = lookup;
                search.stale = Some(stored);
            }
            ForHead::Nothing => {}
        }
    }
    if search.directives.only_if_cached {
        receipt.cache = Some(search.facts);
        return Err(ClientFault::OnlyIfCachedMissed.into());
    }
    match search.stale {
        Some(_) => ask(routed, receipt, viewed, &search).await,
        None => pass::pass(routed, receipt, viewed, Body::Empty, search.facts).await,
    }
}

/// Forwards the HEAD as it is.
async fn ask(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    search: &Search,
) -> Result<Answer, Failure> {
    let cache = &routed.node.cache;
    let head = &viewed.head;
    let sent = cache.sent_at();
    let origin = viewed.marks.origin.clone();
    let (mut forwarded, arrived) = forward(routed, head.clone(), Body::Empty, origin).await;
    let has_own_content = routed.route.has_functions_behind_cache();
    if let (Ok(response), Some(stale), true) =
        (&mut forwarded.response, &search.stale, has_own_content)
    {
        let stored = EntityTag::of(stale.head().fields());
        conditions::detach_like(stored, response.headers_mut());
    }
    let mut request = RequestFacts::of(&head.method, &head.fields, search.directives.no_store);
    request.roll = jitter_roll(routed);
    request.has_authorization |= forwarded.notes.has_authorization;
    request.declared_keys = &viewed.marks.surrogate_keys;
    if let (Ok(response), Some(stale)) = (&forwarded.response, &search.stale) {
        let seen = &forwarded.notes.seen;
        let mut fields = Cow::Borrowed(response.headers());
        if has_own_content {
            // It is that of the origin's content, and not of what functions made of it.
            fields.to_mut().remove(CONTENT_LENGTH);
        }
        let fields = &*fields;
        request.has_unkeyed_input = depends_on_unkeyed(routed, &viewed.marks, seen, fields);
        request.is_version_replaced = routed.runs_replaced_version();
        request.is_function_skipped = viewed.marks.is_function_skipped || seen.is_function_skipped;
        let times = arrived.after(&sent);
        let made_by = made_by(routed);
        let newer = Newer {
            response: &ResponseHead::new(response.status(), fields, times),
            request: &head.fields,
            facts: request,
            route: &routed.route.policy,
            made_by: made_by.as_deref(),
            sent,
        };
        // What becomes of it is the cache's affair: the client gets the origin's answer.
        match cache.freshen_by_head(&search.key, stale, &newer) {
            FreshenedByHead::Stored(stored) => {
                tiers::save(&routed.node, &search.key, &stored, None);
            }
            FreshenedByHead::Removed => routed.node.tiers.forget(&TierKey::of(&search.key)),
            FreshenedByHead::Left => {}
        }
    }
    let error = match &forwarded.response {
        Ok(response) => OriginError::of_status(response.status()),
        Err(failure) => Some(forwarded.notes.error(*failure)),
    };
    if let (Some(error), Some(stored)) = (error, &search.stale)
        && let Some(grant) = stale::grant(routed, (&search.key, stored), &search.directives, error)
    {
        let mut facts = search.facts;
        facts.detail = Some(grant.label());
        if let Ok(passed) = pass::answer(receipt, forwarded, facts) {
            facts.forward_status = Some(passed.status);
        }
        return Ok(from_stored(routed, stored, facts));
    }
    pass::answer(receipt, forwarded, search.facts).map_err(|failure| {
        let stored = (&search.key, search.stale.as_ref());
        stale::explained(routed, stored, &search.directives, failure)
    })
}
