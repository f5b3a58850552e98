//! The tiers beside memory: asked by the leader of a fetch before the origin
//! is, and given what a fetch stored.
//!
//! What they have is published like a fill, so that followers share it; what
//! may not be reused as it is is validated like what stands in memory.

use std::sync::Arc;

use http::header::RANGE;
use http::{HeaderMap, Method};
use verge_cache::policy::{
    Reuse, TierDecision, TierFacts, TierFound, ValidateReason, decide_reuse, decide_tier,
};
use verge_cache::tier::{
    Admitted, Offered, Restored, Saved, TierHit, TierKey, TierName, TierSearch, Want,
};
use verge_cache::{FillPermit, FillReader, Filling, Key, Seeker, StoredHead, StoredResponse};
use verge_http::Body;
use verge_http::cache_control::RequestDirectives;

use super::super::routed::Routed;
use super::super::triggers::ViewedRequest;
use super::fill::{FillJob, FillOutcome};
use super::part::Aim;
use super::pump::{Place, pump};
use super::slice::Slices;
use super::{Search, background, pass, slice};
use crate::node::NodeState;
use crate::route::RangePolicy;

/// What came of asking the tiers.
pub(super) enum Asked {
    /// One of them has the response.
    Found(FillOutcome),
    /// The origin has to be asked.
    Nothing(FillPermit),
}

/// A response from a tier.
pub(super) struct FromTier {
    pub(super) head: Arc<StoredHead>,
    pub(super) body: TierBody,
    pub(super) tier: TierName,
    /// Why it may be reused.
    pub(super) reuse: Reuse,
}

/// The content of a response from a tier.
pub(super) enum TierBody {
    /// On its way into memory.
    Arriving(FillReader),
    /// In memory.
    Stored(Arc<StoredResponse>),
}

/// What the tiers have for a HEAD.
pub(super) enum ForHead {
    /// It answers.
    Reusable(Arc<StoredHead>, TierName, Reuse),
    /// It stands in memory now, and has to be validated.
    Stale(Arc<StoredResponse>, ValidateReason),
    /// Nothing.
    Nothing,
}

/// Whether tiers are asked for this request before an origin could be.
pub(super) fn may_answer(routed: &Routed, viewed: &ViewedRequest) -> bool {
    let head = &viewed.head;
    let is_passed = routed.route.ranges == RangePolicy::Pass && head.fields.contains_key(RANGE);
    !routed.node.tiers.is_empty()
        && matches!(head.method, Method::GET | Method::HEAD)
        && !is_passed
        && !pass::is_for_origin_to_check(&head.fields)
}

/// Whether what a tier has is all that a request wants.
enum IsAll {
    Yes,
    /// It is a slice within its window (RFC 5861 3): yes if the others are kept, too.
    WithOthers(Arc<Slices>),
    No,
}

/// What a tier has.
type Found = (Admitted, Body);

/// Who asks the tiers, and for what.
struct Asking<'a> {
    node: &'a NodeState,
    permit: &'a FillPermit,
    fields: &'a HeaderMap,
    directives: &'a RequestDirectives,
    want: Want,
}

impl Asking<'_> {
    /// The response that the tiers have, if one can be used. If `is_known`, memory has one.
    async fn find(&self, is_known: bool) -> Option<Offered<Found>> {
        let key = TierKey::of(self.permit.key());
        let tiers = &self.node.tiers;
        let mut search = TierSearch::new(is_known);
        for tier in tiers.names() {
            if !search.asks(tier) {
                continue;
            }
            let loaded = tiers.load(tier, &key, self.fields, self.want).await;
            let Some((looked, hit)) = loaded else {
                continue;
            };
            self.node.telemetry.metrics().record_tier(&looked);
            if let Some(hit) = hit {
                search.offer(tier, self.admit(tier, &key, *hit));
            }
        }
        search.selected()
    }

    /// What a tier has, if it can be used.
    fn admit(&self, tier: TierName, key: &TierKey, hit: TierHit) -> Option<(TierFound, Found)> {
        let TierHit { recorded, content } = hit;
        match self.permit.admit(recorded) {
            Ok(admitted) => {
                let freshness = admitted.freshness(self.node.clock.now());
                let found = TierFound {
                    reuse: decide_reuse(self.directives, &freshness),
                    date: admitted.head().date(),
                };
                Some((found, (admitted, content)))
            }
            Err(unusable) => {
                tracing::debug!(tier = tier.label(), reason = unusable.label(), "not used");
                if unusable.is_gone() {
                    self.node.tiers.forget_in(tier, key);
                }
                None
            }
        }
    }
}

/// Asks the tiers for what answers a HEAD. Their content is read only if it has to be validated:
/// then it comes into memory, to be freshened there.
pub(super) async fn ask_for_head(
    routed: &Routed,
    viewed: &ViewedRequest,
    search: &Search,
) -> ForHead {
    let (node, fields) = (&routed.node, &viewed.head.fields);
    let seeker = Seeker {
        key: &search.key,
        fields,
        directives: &search.directives,
        seen: None,
        hint: None,
    };
    // Nobody follows it: what a HEAD finds out answers no GET.
    let permit = node.cache.alone(&seeker);
    let mut asking = Asking {
        node,
        permit: &permit,
        fields,
        directives: &search.directives,
        want: Want::Head,
    };
    let Some(offered) = asking.find(false).await else {
        return ForHead::Nothing;
    };
    let facts = |found: TierFound| TierFacts {
        found: Some(found),
        known: None,
        is_for_nobody: false,
        is_all: true,
    };
    match decide_tier(&facts(offered.found)) {
        TierDecision::Answer(
            reuse @ (Reuse::Fresh | Reuse::RefreshAhead | Reuse::StaleAccepted),
        ) => {
            let head = Arc::clone(offered.response.0.head());
            return ForHead::Reusable(head, offered.tier, reuse);
        }
        TierDecision::Answer(_) | TierDecision::Validate(_) => {}
        TierDecision::Leave(_) => return ForHead::Nothing,
    }
    asking.want = Want::Whole;
    let Some(offered) = asking.find(false).await else {
        return ForHead::Nothing;
    };
    let (found, content) = offered.response;
    let restored = permit.restore(found, content, &search.directives).await;
    let Ok(Restored { response, reuse }) = restored else {
        return ForHead::Nothing;
    };
    match reuse {
        Reuse::Validate(reason) => return ForHead::Stale(response, reason),
        Reuse::StaleWhileRevalidate => {
            let (head, marks) = (&viewed.head, &viewed.marks);
            let whole = (search.key.clone(), Aim::Whole);
            background::validate(routed, head, marks, whole, &response);
        }
        Reuse::Fresh | Reuse::RefreshAhead | Reuse::StaleAccepted => {}
    }
    ForHead::Reusable(Arc::clone(response.head()), offered.tier, reuse)
}

/// Brings what the tiers have into memory, for a request that asks no origin for it.
pub(super) async fn bring(routed: &Routed, seeker: &Seeker<'_>) -> Option<Arc<StoredResponse>> {
    let node = &routed.node;
    let permit = node.cache.alone(seeker);
    let asking = Asking {
        node,
        permit: &permit,
        fields: seeker.fields,
        directives: seeker.directives,
        want: Want::Whole,
    };
    let (found, content) = asking.find(seeker.seen.is_some()).await?.response;
    let restored = permit.restore(found, content, seeker.directives).await;
    restored.ok().map(|restored| restored.response)
}

impl FillJob {
    /// Asks the tiers; what has to be validated stands in memory then, and is known to the job.
    pub(super) async fn ask_tiers(&mut self, permit: FillPermit) -> Asked {
        let node = Arc::clone(&self.routed.node);
        let asking = Asking {
            node: &node,
            permit: &permit,
            fields: &self.head.fields,
            directives: &self.directives,
            want: Want::Whole,
        };
        let offered = asking.find(self.stale.is_some()).await;
        let is_all = match self.is_all(offered.as_ref()) {
            IsAll::Yes => true,
            IsAll::WithOthers(slices) => Box::pin(async move { slices.are_proven().await }).await,
            IsAll::No => false,
        };
        let decision = decide_tier(&TierFacts {
            found: offered.as_ref().map(|offered| offered.found),
            known: self.stale.as_ref().map(|stale| stale.head().date()),
            is_for_nobody: self.is_for_nobody,
            is_all,
        });
        let Some(Offered { tier, response, .. }) = offered else {
            return Asked::Nothing(permit);
        };
        let (found, content) = response;
        match decision {
            TierDecision::Answer(Reuse::StaleAccepted) => {
                self.accept_stale(permit, found, content, tier).await
            }
            TierDecision::Answer(reuse) => {
                let filling = permit.begin_found(found);
                let found = self.publish(filling, content, tier, reuse);
                Asked::Found(FillOutcome::FromTier(found))
            }
            TierDecision::Validate(reuse) => {
                let restored = permit.restore(found, content, &self.directives).await;
                if let Ok(Restored { response, .. }) = restored {
                    self.validates(response, reuse);
                }
                Asked::Nothing(permit)
            }
            TierDecision::Leave(_) => Asked::Nothing(permit),
        }
    }

    /// Whether what is found is all that the request wants.
    fn is_all(&self, offered: Option<&Offered<Found>>) -> IsAll {
        let (Aim::Part(aim), Some(offered)) = (&self.aim, offered) else {
            return IsAll::Yes;
        };
        let (head, wall) = (offered.response.0.head(), self.routed.node.clock.wall());
        if slice::is_all_wanted(&self.head, head, wall) {
            return IsAll::Yes;
        }
        let is_within_window = offered.found.reuse == Reuse::StaleWhileRevalidate;
        match &aim.slices {
            Some(slices) if is_within_window && !self.is_for_nobody => {
                IsAll::WithOthers(Arc::clone(slices))
            }
            _ => IsAll::No,
        }
    }

    /// This client takes what is stale (RFC 9111 5.2.1.2); what others take is theirs to say.
    async fn accept_stale(
        &mut self,
        permit: FillPermit,
        found: Admitted,
        content: Body,
        tier: TierName,
    ) -> Asked {
        match permit.restore(found, content, &self.directives).await {
            Ok(Restored {
                response,
                reuse: reuse @ Reuse::Validate(_),
            }) => {
                // What took its place meanwhile may not answer without the origin.
                self.validates(response, reuse);
                Asked::Nothing(permit)
            }
            Ok(Restored { response, reuse }) => {
                let what = (permit.key().clone(), self.aim.clone());
                // It leads no more, so that another may: for all, it is validated.
                drop(permit);
                if matches!(reuse, Reuse::RefreshAhead | Reuse::StaleWhileRevalidate) {
                    let routed = &self.routed;
                    background::validate(routed, &self.head, &self.marks, what, &response);
                }
                Asked::Found(FillOutcome::FromTier(FromTier {
                    head: Arc::clone(response.head()),
                    body: TierBody::Stored(response),
                    tier,
                    reuse,
                }))
            }
            Err(_) => Asked::Nothing(permit),
        }
    }

    /// The origin is asked about `stored`, which came into memory for that.
    fn validates(&mut self, stored: Arc<StoredResponse>, reuse: Reuse) {
        self.stale = Some(stored);
        self.variants.clear();
        self.restored = Some(reuse);
    }

    /// Writes the content into memory on a task of its own. What is due to be validated is then
    /// validated there, while it answers already (RFC 5861 3).
    fn publish(
        &mut self,
        filling: Filling,
        content: Body,
        tier: TierName,
        reuse: Reuse,
    ) -> FromTier {
        let Filling {
            head,
            writer,
            reader,
        } = filling;
        let (node, id) = (Arc::clone(&self.routed.node), self.routed.id);
        let mut place = Place::new(&node, self.place.take());
        let site = Arc::clone(&self.routed.site);
        let begun = node.clock.now();
        let guard = node.drain.guard();
        let due = matches!(reuse, Reuse::RefreshAhead | Reuse::StaleWhileRevalidate);
        let due = due.then(|| {
            let routed = self.routed.clone();
            Box::new((
                routed,
                self.head.clone(),
                self.marks.clone(),
                self.aim.clone(),
            ))
        });
        tokio::spawn(async move {
            let pumped = pump(content, writer, &mut place, &mut None).await;
            if let Some((key, stored)) = &pumped.stored {
                save(&node, key, stored, Some(tier));
                if let Some((routed, head, marks, aim)) = due.as_deref() {
                    let what = (key.clone(), aim.clone());
                    background::validate(routed, head, marks, what, stored);
                }
            }
            pumped.record(&node, &site, (id, begun));
            drop((guard, place));
        });
        FromTier {
            head,
            body: TierBody::Arriving(reader),
            tier,
            reuse,
        }
    }
}

/// Gives what was stored to all tiers but the one it came from. Never waits.
pub(super) fn save(
    node: &NodeState,
    key: &Key,
    stored: &Arc<StoredResponse>,
    from: Option<TierName>,
) {
    if node.tiers.is_empty() {
        return;
    }
    for (tier, saved) in node.tiers.save(&TierKey::of(key), stored, from) {
        if let Saved::Dropped(_) = saved {
            tracing::debug!(tier = tier.label(), reason = saved.label(), "not saved");
        }
        node.telemetry.metrics().record_tier_save(tier, saved);
    }
}
