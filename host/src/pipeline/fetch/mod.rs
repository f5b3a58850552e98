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
mod listed;
mod look_up;
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

use verge_cache::Key;
use verge_cache::policy::{LookupDecision, LookupFacts, Onward, OriginError, decide_lookup};
use verge_http::cache_control::RequestDirectives;
use verge_http::cache_status::{Forward, Outcome};
use verge_http::failure::ClientFault;
use verge_http::{Body, Failure};

pub(crate) use explain::explain;
pub(super) use forward::{ForwardNotes, exchange_with, send, uri};
pub(crate) use key::each_stored_target;

use super::answer::{Answer, Source};
use super::routed::Routed;
use super::triggers::ViewedRequest;
use crate::route::Target;
use crate::telemetry::{CacheReceipt, Receipt};
use join::{answer, from_stored, join};
use look_up::Search;
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
        Target::Origin(_) | Target::Function(_) if !routed.route.cached || routed.rehearses => {
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

/// What memory has for a request whose function in front of the cache failed, fresh or as stale as
/// an origin's error would allow.
///
/// # Errors
/// `failure`, where nothing may answer in its place.
pub(super) fn instead_of_function(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    failure: Failure,
) -> Result<Answer, Failure> {
    let head = &viewed.head;
    let directives = RequestDirectives::parse(&head.fields);
    let lookup = decide_lookup(&LookupFacts {
        method: &head.method,
        directives: &directives,
        has_content: false,
        fields: &head.fields,
        route: &routed.route.policy,
    });
    if !routed.route.cached || matches!(lookup, LookupDecision::Bypass(_)) {
        return Err(failure);
    }
    let keyed = key::keyed(routed, viewed).map_err(|_| failure)?;
    let viewed = keyed.reduced.as_deref().unwrap_or(viewed);
    let found = routed.node.cache.lookup(&keyed.key, &viewed.head.fields);
    let now = routed.node.clock.now();
    let (stored, facts) = match look_up::decide(routed, found, &directives, now) {
        Ok((stored, reusing)) => {
            let mut facts = CacheReceipt::new(Outcome::Hit);
            facts.detail = reusing.detail();
            (stored, facts)
        }
        Err(look_up::Lacking::Miss(_)) => return Err(failure),
        Err(look_up::Lacking::Stale(stored, reason)) => {
            let error = OriginError::Function(failure);
            let held = (&keyed.key, &stored);
            let grant = stale::grant(routed, held, &directives, error).ok_or(failure)?;
            let mut facts = look_up::forwarded(reason);
            facts.detail = Some(grant.label());
            (stored, facts)
        }
    };
    receipt.cache = Some(facts);
    Ok(from_stored(routed, &stored, facts))
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
    match look_up::onward(routed, viewed, &search, lookup) {
        Onward::OnlyIfCached => {
            receipt.cache = Some(search.facts);
            Err(ClientFault::OnlyIfCachedMissed.into())
        }
        Onward::Bypass(reason) => {
            let facts = CacheReceipt::forwarded(reason.forward(), Some(reason.label()));
            Box::pin(pass::pass(routed, receipt, viewed, Body::Empty, facts)).await
        }
        // With nothing to answer with, the origin gets its preconditions as they are.
        Onward::OriginChecks => {
            let passed = pass::pass(routed, receipt, viewed, Body::Empty, search.facts);
            Box::pin(passed).await
        }
        // A response to HEAD has no content to store.
        Onward::Head => Box::pin(head::fetch(routed, receipt, viewed, search)).await,
        Onward::Fetch => Box::pin(pieces::fetch(routed, receipt, viewed, search)).await,
    }
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
    match look_up::decide(routed, found, &directives, now) {
        Ok((stored, reusing)) => {
            let mut facts = CacheReceipt::new(Outcome::Hit);
            facts.lookup = now.saturating_duration_since(begun);
            facts.detail = reusing.detail();
            if reusing.is_due() {
                let whole = (key, Aim::Whole);
                background::validate(routed, &viewed.head, &viewed.marks, whole, &stored);
            }
            Ok(from_stored(routed, &stored, facts))
        }
        Err(lacking) => {
            let mut search = Search::new(routed, key, directives, lacking);
            search.facts.lookup = now.saturating_duration_since(begun);
            Err(Box::new(search))
        }
    }
}
