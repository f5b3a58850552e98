//! Stage 5: the response, from the cache or through it.
//!
//! This file follows a request from its key to its answer; whether a stored
//! response may be used, and whether a new one may be stored, is decided by
//! `verge_cache::policy`.

mod background;
mod explain;
mod fill;
mod fixed;
mod forward;
mod head;
mod join;
pub(crate) mod key;
mod lease;
mod part;
mod pass;
mod pieces;
mod post;
mod pump;
mod rest;
mod slice;
mod sliced_body;
mod slices;
mod stale;
mod storing;
mod tiers;
mod validate;

use std::sync::Arc;

use http::Method;
use verge_cache::policy::{LookupDecision, LookupFacts, Reuse, decide_lookup, decide_reuse};
use verge_cache::{Key, Lookup, MissReason, StoredResponse};
use verge_http::cache_control::RequestDirectives;
use verge_http::cache_status::{Forward, Outcome};
use verge_http::failure::ClientFault;
use verge_http::{Body, Failure};

pub(crate) use explain::explain;
pub(super) use forward::exchange_with;
pub(crate) use key::each_stored_target;

use super::answer::{Answer, Source};
use super::routed::Routed;
use super::triggers::ViewedRequest;
use crate::route::Target;
use crate::telemetry::{CacheReceipt, Receipt};
use join::{answer, from_stored, join};
use part::Aim;

/// Gets the response for a request behind viewer-request.
///
/// # Errors
/// Why there is none.
pub(super) async fn fetch(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    body: Body,
) -> Result<Answer, Failure> {
    let mut answer = match &routed.route.target {
        Target::Redirect {
            status,
            to,
            keep_path,
        } => return fixed::redirect(&viewed.head, *status, to, *keep_path),
        Target::Static {
            status,
            content_type,
            body,
        } => return Ok(fixed::answer(*status, content_type, body)),
        Target::Origin(_) | Target::Function(_) if !routed.route.cached => {
            let facts = CacheReceipt::forwarded(Forward::Bypass, Some("route"));
            Box::pin(pass::pass(routed, receipt, viewed, body, facts)).await
        }
        Target::Origin(_) | Target::Function(_) => cached(routed, receipt, viewed, body).await,
    };
    if let Ok(answer) = &mut answer {
        receipt.cache = answer.cache;
        if !matches!(answer.source, Source::Stored { .. }) {
            // What is stored was stored without them.
            routed
                .route
                .policy
                .remove_internal_fields(&mut answer.fields);
        }
    }
    answer
}

/// What was looked for, and what was found that does not answer as it is.
struct Search {
    key: Key,
    directives: RequestDirectives,
    /// A stored response that has to be validated first.
    stale: Option<Arc<StoredResponse>>,
    /// Other variants, one of which the origin may select by its entity tag (RFC 9111 4.3.1).
    variants: Vec<Arc<StoredResponse>>,
    /// Pieces that are stored of a response that is not stored whole.
    pieces: Option<Arc<StoredResponse>>,
    /// What is asked of the origin.
    aim: Aim,
    facts: CacheReceipt,
}

impl Search {
    /// For all of a response, of which nothing is known yet.
    fn of_whole(key: Key, directives: RequestDirectives, facts: CacheReceipt) -> Self {
        Self {
            key,
            directives,
            stale: None,
            variants: Vec::new(),
            pieces: None,
            aim: Aim::Whole,
            facts,
        }
    }
}

async fn cached(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    body: Body,
) -> Result<Answer, Failure> {
    let head = &viewed.head;
    let directives = RequestDirectives::parse(&head.fields);
    let has_content = !http_body::Body::is_end_stream(&body);
    let lookup = decide_lookup(&LookupFacts {
        method: &head.method,
        directives: &directives,
        has_content,
        fields: &head.fields,
        route: &routed.route.policy,
    });
    if let LookupDecision::Bypass(reason) = lookup {
        let facts = CacheReceipt::forwarded(reason.forward(), Some(reason.label()));
        return Box::pin(pass::pass(routed, receipt, viewed, body, facts)).await;
    }
    let keyed = match key::keyed(routed, viewed) {
        Ok(keyed) => keyed,
        Err(refusal) => {
            let facts = CacheReceipt::forwarded(refusal.forward(), Some(refusal.label()));
            return Box::pin(pass::pass(routed, receipt, viewed, body, facts)).await;
        }
    };
    // From here on the request is what its key says of it.
    let viewed = keyed.reduced.as_deref().unwrap_or(viewed);
    // What comes after a hit is boxed: a future as large as a whole fetch would be moved for
    // each request, and kept by each connection.
    let mut search = match look_up(routed, viewed, keyed.key, directives) {
        Ok(answer) => return Ok(answer),
        Err(search) => *search,
    };
    if let Some(answer) = pieces::look_up(routed, viewed, &mut search) {
        return Ok(answer);
    }
    Box::pin(behind_memory(routed, receipt, viewed, search, lookup)).await
}

/// Gets what memory has no answer for: from the tiers and the origin, as far as the request and
/// its preconditions allow.
async fn behind_memory(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    search: Search,
    lookup: LookupDecision,
) -> Result<Answer, Failure> {
    let head = &viewed.head;
    let is_for_origin = matches!(lookup, LookupDecision::AnswerOnly(_))
        || pass::is_for_origin_to_check(&head.fields);
    if search.directives.only_if_cached
        && (is_for_origin
            || !tiers::may_answer(routed, viewed) && !slices::hold_all(routed, viewed, &search))
    {
        receipt.cache = Some(search.facts);
        return Err(ClientFault::OnlyIfCachedMissed.into());
    }
    if let LookupDecision::AnswerOnly(reason) = lookup {
        let facts = CacheReceipt::forwarded(reason.forward(), Some(reason.label()));
        return pass::pass(routed, receipt, viewed, Body::Empty, facts).await;
    }
    if pass::is_for_origin_to_check(&head.fields) {
        // Preconditions that no cache evaluates (RFC 9111 4.3.2): with nothing to answer with,
        // the origin gets them as they are.
        return pass::pass(routed, receipt, viewed, Body::Empty, search.facts).await;
    }
    if head.method == Method::HEAD {
        // A response to HEAD has no content to store.
        return head::fetch(routed, receipt, viewed, search).await;
    }
    pieces::fetch(routed, receipt, viewed, search).await
}

/// A stored response that answers as it is, or what to search for.
fn look_up(
    routed: &Routed,
    viewed: &ViewedRequest,
    key: Key,
    directives: RequestDirectives,
) -> Result<Answer, Box<Search>> {
    let clock = &routed.node.clock;
    let begun = clock.now();
    let found = routed.node.cache.lookup(&key, &viewed.head.fields);
    let now = clock.now();
    let (mut facts, stale) = match found {
        Lookup::Selected(stored) => {
            let reuse = decide_reuse(&directives, &stored.freshness(now));
            let mut facts = CacheReceipt::new(Outcome::Hit);
            facts.lookup = now.saturating_duration_since(begun);
            match reuse {
                Reuse::Fresh => return Ok(from_stored(routed, &stored, facts)),
                Reuse::StaleAccepted => {
                    facts.detail = Some(reuse.label());
                    return Ok(from_stored(routed, &stored, facts));
                }
                Reuse::RefreshAhead | Reuse::StaleWhileRevalidate => {
                    facts.detail = Some(reuse.label());
                    let whole = (key, Aim::Whole);
                    background::validate(routed, &viewed.head, &viewed.marks, whole, &stored);
                    return Ok(from_stored(routed, &stored, facts));
                }
                Reuse::Validate(reason)
                    if stale::answers_while_failing(routed, &stored, &directives, reason) =>
                {
                    facts.detail = Some("origin-failing");
                    return Ok(from_stored(routed, &stored, facts));
                }
                Reuse::Validate(reason) => {
                    let facts = CacheReceipt::forwarded(reason.forward(), Some(reason.label()));
                    (facts, Some(stored))
                }
            }
        }
        Lookup::Miss(MissReason::UriMiss) => {
            (CacheReceipt::forwarded(Forward::UriMiss, None), None)
        }
        Lookup::Miss(MissReason::VaryMiss) => {
            (CacheReceipt::forwarded(Forward::VaryMiss, None), None)
        }
    };
    facts.lookup = now.saturating_duration_since(begun);
    let variants = match facts.outcome {
        Outcome::Forward(Forward::VaryMiss) => routed.node.cache.tagged_variants(&key),
        _ => Vec::new(),
    };
    let mut search = Search::of_whole(key, directives, facts);
    (search.stale, search.variants) = (stale, variants);
    Err(Box::new(search))
}
