//! Taking part in a fetch: as its leader, as one who follows it, or alone; and
//! the answer out of what it came to.

use std::sync::Arc;

use http::Response;
use http::header::RANGE;
use verge_cache::policy::{Freshness, RefuseReason, Reuse};
use verge_cache::tier::TierName;
use verge_cache::{
    FillPermit, Followed, Join, Seeker, StoredHead, StoredResponse, VariantHint, Waiter,
};
use verge_http::cache_status::Outcome;
use verge_http::{Body, Failure};

use super::super::answer::{Answer, Source};
use super::super::routed::Routed;
use super::super::triggers::ViewedRequest;
use super::fill::{FillJob, FillOutcome};
use super::look_up::Reusing;
use super::storing::Withheld;
use super::tiers::{FromTier, TierBody};
use super::{Search, forward, pass, stale};
use crate::telemetry::{CacheReceipt, Receipt};

/// Takes part in a fetch: leads it, follows it, or asks alone.
pub(super) async fn join(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    mut search: Search,
) -> Result<Answer, Failure> {
    if search.directives.only_if_cached {
        // It asks tiers and no origin: nobody else's request is to wait for that.
        return from_tiers(routed, receipt, viewed, search).await;
    }
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
        let waiter = match routed.node.cache.join(&seeker) {
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
        match follow(routed, viewed, &mut search, waiter).await {
            Came::Answer(answer) => return Ok(*answer),
            Came::Failure(failure) => {
                receipt.cache = Some(search.facts);
                return Err(failure);
            }
            Came::Variant(other) => hint = Some(other),
            Came::Purged => {}
            Came::Nothing(why) => {
                search.facts.detail = Some(why);
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

/// What came of following a fetch.
enum Came {
    Answer(Box<Answer>),
    /// The leader met an error of the origin, which is this request's, too.
    Failure(Failure),
    /// It is of another variant: the one that is wanted may be on its way as well.
    Variant(VariantHint),
    /// It was purged before it came.
    Purged,
    /// Nothing, and why: the origin is asked alone.
    Nothing(&'static str),
}

/// Waits for what a leader gets, for a bounded time.
async fn follow(
    routed: &Routed,
    viewed: &ViewedRequest,
    search: &mut Search,
    mut waiter: Waiter,
) -> Came {
    let begun = routed.node.clock.now();
    let wait = waiter.wait(&viewed.head.fields, &search.directives);
    let patience = routed.generation.settings.collapse_wait;
    let followed = tokio::time::timeout(patience, wait).await;
    search.facts.collapsed_wait += routed.node.clock.now().saturating_duration_since(begun);
    let answer = match followed {
        Ok(Followed::Filling { head, reader }) => {
            search.facts.collapsed = true;
            from_fill(routed, &head, Body::stream(reader), search.facts)
        }
        Ok(Followed::Stored(stored)) => {
            search.facts.collapsed = true;
            from_stored(routed, &stored, search.facts)
        }
        Ok(Followed::VariantDiffers(other)) => return Came::Variant(other),
        Ok(Followed::Purged) => return Came::Purged,
        Ok(Followed::Released(released)) => match stale::after_release(routed, search, released) {
            Some(Ok(answer)) => answer,
            Some(Err(failure)) => return Came::Failure(failure),
            None => return Came::Nothing(released.label()),
        },
        Err(_) => return Came::Nothing("collapse-wait"),
    };
    Came::Answer(Box::new(answer))
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

/// What the tiers have for a request that goes no further (RFC 9111 5.2.1.7).
async fn from_tiers(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    search: Search,
) -> Result<Answer, Failure> {
    let permit = routed.node.cache.alone(&Seeker {
        key: &search.key,
        fields: &viewed.head.fields,
        directives: &search.directives,
        seen: search.stale.as_ref(),
        hint: None,
    });
    let (facts, is_whole) = (search.facts, search.aim.is_whole());
    let mut job = FillJob::new(routed, viewed, search);
    job.lead();
    let outcome = job.run(permit).await;
    settle(routed, receipt, viewed, facts, is_whole, outcome).await
}

/// Asks the origin for this request alone.
async fn alone(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    search: Search,
    permit: FillPermit,
) -> Result<Answer, Failure> {
    let is_shorter =
        search.stale.is_none() && search.aim.is_whole() && pass::asks_for_less(&viewed.head.fields);
    if is_shorter && !search.directives.only_if_cached {
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
    if let Some(reason) = notes.restored {
        // Memory had nothing, or less than a tier.
        facts.outcome = Outcome::Forward(reason.forward());
        facts.detail = Some(reason.label());
    }
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
            Ok(from_freshened(routed, &stored, withheld, facts))
        }
        FillOutcome::FromTier(found) => Ok(from_found(routed, found, facts)),
        FillOutcome::Stale { stored, grant } => {
            facts.detail = Some(grant.label());
            facts.stands_in = true;
            Ok(from_stored(routed, &stored, facts))
        }
        FillOutcome::Passed { response, reason } => {
            facts.detail = Some(reason.label());
            let is_for_part = is_whole && viewed.head.fields.contains_key(RANGE);
            if is_for_part && reason == RefuseReason::ObjectTooLarge {
                // The whole was asked for in order to store it. It is not stored, so the client's
                // part is asked for alone, instead of reading all that lies before it.
                drop(response);
                return pass::pass(routed, receipt, viewed, Body::Empty, facts).await;
            }
            Ok(from_passed(response, facts))
        }
        FillOutcome::Failed(failure) => {
            receipt.cache = Some(facts);
            Err(failure)
        }
    }
}

/// What is for this request alone.
fn from_passed(response: Response<Body>, mut facts: CacheReceipt) -> Answer {
    facts.forward_status.get_or_insert(response.status());
    let mut answer = Answer::forwarded(response, Some(facts));
    answer.source = Source::Fetched;
    answer
}

/// What is said of a part that memory has.
pub(super) const fn part_hit(reusing: Reusing) -> CacheReceipt {
    let mut facts = CacheReceipt::new(Outcome::Hit);
    facts.detail = reusing.detail();
    facts
}

/// What is stored, with what of the 304 is for the client that asked.
fn from_freshened(
    routed: &Routed,
    stored: &StoredResponse,
    withheld: Withheld,
    facts: CacheReceipt,
) -> Answer {
    let mut answer = from_stored(routed, stored, facts);
    for (name, _) in &withheld {
        answer.fields.remove(name);
    }
    answer.fields.extend(withheld);
    answer
}

fn from_found(routed: &Routed, found: FromTier, facts: CacheReceipt) -> Answer {
    let facts = from_tier(facts, found.tier, found.reuse);
    match found.body {
        TierBody::Arriving(reader) => from_fill(routed, &found.head, Body::stream(reader), facts),
        TierBody::Stored(stored) => from_stored(routed, &stored, facts),
    }
}

/// What is said of a response that a tier had.
pub(super) fn from_tier(mut facts: CacheReceipt, tier: TierName, reuse: Reuse) -> CacheReceipt {
    facts.outcome = Outcome::Hit;
    facts.tier = Some(tier.label());
    facts.detail = match reuse {
        Reuse::Fresh => facts.tier,
        stale => Some(stale.label()),
    };
    facts
}

pub(super) fn from_stored(routed: &Routed, stored: &StoredResponse, facts: CacheReceipt) -> Answer {
    let freshness = stored.freshness(routed.node.clock.now());
    answer(routed, stored.head(), freshness, stored.body(), facts)
}

pub(super) fn from_fill(
    routed: &Routed,
    head: &Arc<StoredHead>,
    body: Body,
    facts: CacheReceipt,
) -> Answer {
    let freshness = head.freshness(routed.node.clock.now());
    answer(routed, head, freshness, body, facts)
}

pub(super) fn answer(
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
