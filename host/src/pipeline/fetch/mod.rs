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
pub(crate) mod key;
mod lease;
mod part;
mod pass;
mod pieces;
mod post;
mod pump;
mod sliced_body;
mod slices;
mod stale;
mod tiers;
mod validate;

use std::sync::Arc;

use http::Method;
use http::header::RANGE;
use verge_cache::policy::{
    Freshness, LookupDecision, LookupFacts, RefuseReason, Reuse, decide_lookup, decide_reuse,
};
use verge_cache::{
    FillPermit, Followed, Join, Key, Lookup, MissReason, Seeker, StoredHead, StoredResponse,
    VariantHint,
};
use verge_http::cache_control::RequestDirectives;
use verge_http::cache_status::{Forward, Outcome};
use verge_http::failure::ClientFault;
use verge_http::{Body, Failure};

pub(crate) use explain::explain;
pub(crate) use key::each_stored_target;

use super::answer::{Answer, Source};
use super::routed::Routed;
use super::triggers::ViewedRequest;
use crate::route::Target;
use crate::telemetry::{CacheReceipt, Receipt};
use fill::{FillJob, FillOutcome};
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

async fn cached(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    body: Body,
) -> Result<Answer, Failure> {
    let head = &viewed.head;
    let directives = RequestDirectives::parse(&head.fields);
    let has_content = !http_body::Body::is_end_stream(&body);
    if let LookupDecision::Bypass(reason) = decide_lookup(&LookupFacts {
        method: &head.method,
        directives: &directives,
        has_content,
        fields: &head.fields,
        route: &routed.route.policy,
    }) {
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
    if search.directives.only_if_cached && !tiers::may_answer(routed, viewed) {
        receipt.cache = Some(search.facts);
        return Err(ClientFault::OnlyIfCachedMissed.into());
    }
    if pass::is_for_origin_to_check(&head.fields) {
        // Preconditions that no cache evaluates (RFC 9111 4.3.2): with nothing to answer with,
        // the origin gets them as they are.
        let passed = pass::pass(routed, receipt, viewed, Body::Empty, search.facts);
        return Box::pin(passed).await;
    }
    if head.method == Method::HEAD {
        // A response to HEAD has no content to store.
        return match search.stale {
            Some(_) => Box::pin(head::ask(routed, receipt, viewed, &search)).await,
            None => {
                let passed = pass::pass(routed, receipt, viewed, Body::Empty, search.facts);
                Box::pin(passed).await
            }
        };
    }
    Box::pin(pieces::fetch(routed, receipt, viewed, search)).await
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
                    background::validate(routed, viewed, key, &stored);
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
    Err(Box::new(Search {
        key,
        directives,
        stale,
        variants,
        pieces: None,
        aim: Aim::Whole,
        facts,
    }))
}

/// Takes part in a fetch: leads it, follows it, or asks alone.
async fn join(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    mut search: Search,
) -> Result<Answer, Failure> {
    let mut hint: Option<VariantHint> = None;
    // A follower that turns out to want another variant joins once more.
    for _ in 0..2 {
        let seeker = Seeker {
            key: &search.key,
            fields: &viewed.head.fields,
            directives: &search.directives,
            seen: search.stale.as_ref(),
            hint,
        };
        let mut waiter = match routed.node.cache.join(&seeker) {
            Join::Leader(permit) => return lead(routed, receipt, viewed, search, permit).await,
            Join::Alone(permit, reason) => {
                search.facts.detail.get_or_insert(reason.label());
                return alone(routed, receipt, viewed, search, permit).await;
            }
            Join::Arrived(stored) => {
                search.facts.collapsed = true;
                return Ok(from_stored(routed, &stored, search.facts));
            }
            Join::Follower(waiter) => waiter,
        };
        let begun = routed.node.clock.now();
        let wait = waiter.wait(&viewed.head.fields, &search.directives);
        let patience = routed.generation.settings.collapse_wait;
        let followed = tokio::time::timeout(patience, wait).await;
        search.facts.collapsed_wait += routed.node.clock.now().saturating_duration_since(begun);
        match followed {
            Ok(Followed::Filling { head, reader }) => {
                search.facts.collapsed = true;
                return Ok(from_fill(routed, &head, Body::stream(reader), search.facts));
            }
            Ok(Followed::Stored(stored)) => {
                search.facts.collapsed = true;
                return Ok(from_stored(routed, &stored, search.facts));
            }
            Ok(Followed::VariantDiffers(other)) => hint = Some(other),
            Ok(Followed::Purged) => {}
            Ok(Followed::Released(released)) if stale::error_of(released).is_some() => {
                match stale::after_release(routed, &search, released) {
                    Some(Ok(answer)) => return Ok(answer),
                    Some(Err(failure)) => {
                        receipt.cache = Some(search.facts);
                        return Err(failure);
                    }
                    None => {
                        search.facts.detail = Some(released.label());
                        break;
                    }
                }
            }
            Ok(Followed::Released(released)) => {
                search.facts.detail = Some(released.label());
                break;
            }
            Err(_) => {
                search.facts.detail = Some("collapse-wait");
                break;
            }
        }
    }
    let seeker = Seeker {
        key: &search.key,
        fields: &viewed.head.fields,
        directives: &search.directives,
        seen: search.stale.as_ref(),
        hint,
    };
    let permit = routed.node.cache.alone(&seeker);
    alone(routed, receipt, viewed, search, permit).await
}

/// Leads a fetch that others may wait for. It goes on without this client: a
/// client that goes away never ends what others wait for.
async fn lead(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    search: Search,
    permit: FillPermit,
) -> Result<Answer, Failure> {
    let (facts, is_whole) = (search.facts, search.aim.is_whole());
    let mut job = FillJob::new(routed, viewed, search);
    job.lead();
    let Some(place) = routed.node.detached_fetches.try_acquire() else {
        // It ends with its client then, and who follows is released.
        let outcome = job.run(permit).await;
        return settle(routed, receipt, viewed, facts, is_whole, outcome).await;
    };
    job.detach(place);
    let (mut told, outcome) = tokio::sync::oneshot::channel();
    let guard = routed.node.drain.guard();
    tokio::spawn(async move {
        let outcome = job.run_while_wanted(permit, told.closed()).await;
        if let Some(outcome) = outcome {
            // A client that went away does not take its outcome; nothing is lost by that.
            let _ = told.send(outcome);
        }
        drop(guard);
    });
    match outcome.await {
        Ok(outcome) => settle(routed, receipt, viewed, facts, is_whole, outcome).await,
        // The task ends without an answer only by a panic, which nobody else sees.
        Err(_) => {
            routed.node.telemetry.metrics().record_panic();
            Err(verge_http::failure::NodeFault::FillAbandoned.into())
        }
    }
}

/// Asks the origin for this request alone.
async fn alone(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    search: Search,
    permit: FillPermit,
) -> Result<Answer, Failure> {
    if search.stale.is_none() && search.aim.is_whole() && pass::asks_for_less(&viewed.head.fields) {
        // What was not shared the last time is not worth more than was asked for; what is
        // stored is validated all the same, and answers whatever part is asked for.
        drop(permit);
        return pass::pass(routed, receipt, viewed, Body::Empty, search.facts).await;
    }
    let (facts, is_whole) = (search.facts, search.aim.is_whole());
    let job = FillJob::new(routed, viewed, search);
    let outcome = job.run(permit).await;
    settle(routed, receipt, viewed, facts, is_whole, outcome).await
}

/// The answer out of what a fetch came to.
async fn settle(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    mut facts: CacheReceipt,
    is_whole: bool,
    outcome: (FillOutcome, forward::ForwardNotes),
) -> Result<Answer, Failure> {
    let (outcome, notes) = outcome;
    facts.forward_status = notes.origin.as_ref().and_then(|origin| origin.status);
    receipt.triggers.extend(notes.triggers);
    receipt.origin = notes.origin;
    match outcome {
        FillOutcome::Filling {
            head,
            reader,
            withheld,
        } => {
            facts.stored = true;
            if let Some(origin) = &mut receipt.origin {
                origin.is_filling = true;
            }
            let mut answer = from_fill(routed, &head, Body::stream(reader), facts);
            answer.fields.extend(withheld);
            Ok(answer)
        }
        FillOutcome::Freshened {
            stored,
            is_stored,
            withheld,
        } => {
            facts.stored = is_stored;
            let mut answer = from_stored(routed, &stored, facts);
            answer.fields.extend(withheld);
            Ok(answer)
        }
        FillOutcome::FromTier(found) => {
            facts.outcome = Outcome::Hit;
            facts.tier = Some(found.tier.label());
            facts.detail = facts.tier;
            let body = Body::stream(found.reader);
            Ok(from_fill(routed, &found.head, body, facts))
        }
        FillOutcome::Stale { stored, grant } => {
            facts.detail = Some(grant.label());
            Ok(from_stored(routed, &stored, facts))
        }
        FillOutcome::Passed {
            response,
            reason: RefuseReason::ObjectTooLarge,
        } if is_whole && viewed.head.fields.contains_key(RANGE) => {
            // The whole was asked for in order to store it. It is not stored, so the client's
            // part is asked for alone, instead of reading all that lies before it.
            drop(response);
            facts.detail = Some(RefuseReason::ObjectTooLarge.label());
            pass::pass(routed, receipt, viewed, Body::Empty, facts).await
        }
        FillOutcome::Passed { response, reason } => {
            facts.detail = Some(reason.label());
            facts.forward_status.get_or_insert(response.status());
            let mut answer = Answer::forwarded(response, Some(facts));
            answer.source = Source::Fetched;
            Ok(answer)
        }
        FillOutcome::Failed(failure) => {
            receipt.cache = Some(facts);
            Err(failure)
        }
    }
}

fn from_stored(routed: &Routed, stored: &StoredResponse, facts: CacheReceipt) -> Answer {
    let freshness = stored.freshness(routed.node.clock.now());
    answer(routed, stored.head(), freshness, stored.body(), facts)
}

fn from_fill(routed: &Routed, head: &Arc<StoredHead>, body: Body, facts: CacheReceipt) -> Answer {
    let freshness = head.freshness(routed.node.clock.now());
    answer(routed, head, freshness, body, facts)
}

fn answer(
    routed: &Routed,
    head: &Arc<StoredHead>,
    freshness: Freshness,
    body: Body,
    mut facts: CacheReceipt,
) -> Answer {
    facts.ttl_seconds = Some(freshness.ttl());
    Answer {
        status: head.status(),
        fields: head.fields().clone(),
        body,
        source: Source::Stored { age: freshness.age },
        cache: Some(facts),
        stored: routed.route.compresses.then(|| Arc::clone(head)),
    }
}
