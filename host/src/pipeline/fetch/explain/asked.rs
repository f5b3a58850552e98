//! A request that memory does not answer: from a tier, shared with a fetch that is under way, or
//! from the origin. Parts are `parts.rs`.

use std::sync::Arc;

use http::Method;
use verge_cache::policy::{Reuse, TierDecision, TierRefusal, ValidateReason};
use verge_cache::tier::{Offered, TierName};
use verge_cache::{AloneReason, Kept, Key, Lookup, MissReason, Seeker, StoredResponse, WouldJoin};
use verge_http::cache_status::Forward;

use super::super::super::answer::Answer;
use super::super::super::routed::Routed;
use super::super::super::triggers::ViewedRequest;
use super::super::listed::{Listed, WouldAsk};
use super::super::look_up::Search;
use super::super::{pass, tiers};
use super::next::{Told, with_status};
use super::words::{by_head, in_memory, in_tier, not_stored, validation, wanted, why_alone};
use super::{Holdings, outcome};
use crate::admin::explain::ExplainedNext;

/// A request that memory does not answer, and all that is kept for it.
pub(super) struct Asked<'a> {
    pub(super) routed: &'a Routed,
    pub(super) viewed: &'a ViewedRequest,
    pub(super) holdings: &'a Holdings,
    pub(super) search: Search,
    /// Why what memory selects has to be validated, if it has anything.
    pub(super) reason: Option<ValidateReason>,
}

/// What would be fetched.
pub(super) struct Sought<'a> {
    /// Under which key.
    pub(super) key: &'a Key,
    /// What tiers have for it.
    pub(super) listed: &'a Listed,
    /// What memory has that has to be validated.
    pub(super) stale: Option<&'a Arc<StoredResponse>>,
    /// Whether it is a slice of what the request wants.
    pub(super) is_slice: bool,
}

/// Who would get the response, or where it would come from.
pub(super) enum Led<'a> {
    /// A fetch that is under way, of which so many bytes have arrived.
    Follows(u64),
    /// The origin, for this request alone: no tier is asked.
    Alone(AloneReason),
    /// A tier has it.
    Tier(TierDecision, &'a Kept, TierName),
    /// The origin.
    Origin(TierRefusal),
}

impl Asked<'_> {
    pub(super) fn with_status(&self, next: ExplainedNext, answer: Answer) -> ExplainedNext {
        with_status(self.routed, self.viewed, next, answer)
    }

    /// `next`, for which the origin is asked; not if the client forbids that.
    pub(super) fn origin_with(&self, next: ExplainedNext) -> Told {
        match self.search.directives.only_if_cached {
            true => (not_stored(), None),
            false => (next, None),
        }
    }

    /// What would become of it if the tiers were asked.
    pub(super) fn decide_tier<'l>(
        &self,
        sought: &Sought<'l>,
    ) -> (TierDecision, Option<Offered<&'l Kept>>) {
        let request = &self.viewed.head;
        let asks = WouldAsk {
            fields: &request.fields,
            directives: &self.search.directives,
            known: sought.stale.map(|stored| stored.head().date()),
            in_slices: sought.is_slice.then_some(request),
            is_proven: self
                .holdings
                .slice
                .as_ref()
                .is_some_and(|slice| slice.is_proven),
        };
        sought.listed.decide(&self.routed.node, &asks)
    }

    /// All of the response, as it is sought.
    pub(super) fn sought(&self) -> Sought<'_> {
        Sought {
            key: &self.search.key,
            listed: &self.holdings.listed,
            stale: self.search.stale.as_ref(),
            is_slice: false,
        }
    }

    /// Who fetches under `key` already, or stands in the way of sharing.
    pub(super) fn joined<'l>(
        &self,
        key: &Key,
        stale: Option<&Arc<StoredResponse>>,
    ) -> Option<Led<'l>> {
        // Who takes what is stored or nothing asks the tiers for itself.
        if self.search.directives.only_if_cached {
            return None;
        }
        let cache = &self.routed.node.cache;
        let seeker = Seeker {
            key,
            fields: &self.viewed.head.fields,
            directives: &self.search.directives,
            seen: stale,
            hint: None,
        };
        Some(match cache.peek_join(&seeker)? {
            WouldJoin::Follower => {
                let flight = cache.in_flight(&seeker);
                Led::Follows(flight.map_or(0, |flight| flight.reach))
            }
            WouldJoin::Alone(reason) => Led::Alone(reason),
        })
    }

    /// Who would lead a fetch of what is sought, and where the response would come from.
    pub(super) fn led<'l>(&self, sought: &Sought<'l>) -> Led<'l> {
        if let Some(led) = self.joined(sought.key, sought.stale) {
            return led;
        }
        match self.decide_tier(sought) {
            (TierDecision::Leave(refusal), _) => Led::Origin(refusal),
            (_, None) => Led::Origin(TierRefusal::NotFound),
            (decision, Some(offered)) => Led::Tier(decision, offered.response, offered.tier),
        }
    }

    /// All of the response.
    pub(super) fn whole(&self) -> Told {
        match self.led(&self.sought()) {
            Led::Follows(reach) => {
                let what = format!(
                    "The origin is being asked for it ({reach} bytes have arrived): the request \
                     shares that response."
                );
                (
                    outcome("collapsed", self.forward(), "RFC 9111 4", what),
                    None,
                )
            }
            Led::Tier(decision, kept, tier) => self.tier(decision, kept, tier),
            Led::Alone(reason) => self.origin_with(self.alone(reason)),
            Led::Origin(refusal) => self.origin_with(self.origin(refusal)),
        }
    }

    /// The origin is asked for this request alone.
    fn alone(&self, reason: AloneReason) -> ExplainedNext {
        let mut next = self.origin(TierRefusal::NotFound);
        next.what.push_str(why_alone(reason));
        if self.search.stale.is_none() && pass::asks_for_less(&self.viewed.head.fields) {
            next.what.push_str(" Nothing of it is stored.");
        }
        next
    }

    /// What is asked for by HEAD.
    pub(super) fn head(&self) -> Told {
        if self.search.stale.is_none() {
            if let Some(next) = self.head_of_slices() {
                return (next, None);
            }
            if tiers::may_answer(self.routed, self.viewed)
                && let (decision, Some(offered)) = self.decide_tier(&self.sought())
            {
                match decision {
                    TierDecision::Answer(_) => {
                        return self.tier(decision, offered.response, offered.tier);
                    }
                    TierDecision::Validate(reuse) => {
                        return self.origin_with(by_head(reuse.label(), Some(offered.tier)));
                    }
                    TierDecision::Leave(_) => {}
                }
            }
        }
        self.origin_with(match self.reason {
            Some(reason) => in_memory(by_head(reason.label(), None)),
            None => {
                let what = "The origin is asked by HEAD, whose answer has nothing to store.";
                outcome("miss", self.forward(), "RFC 9111 4.3.5", what)
            }
        })
    }

    /// What a tier has, which answers or is validated.
    fn tier(&self, decision: TierDecision, kept: &Kept, tier: TierName) -> Told {
        let place = match tier {
            TierName::Disk => "What is on disk",
            TierName::L2 => "What is in Redis",
        };
        let (label, section) = (decision.label(), decision.section());
        let TierDecision::Answer(reuse) = decision else {
            let (word, what) = validation(&kept.head, || {
                format!(
                    "{place} may not answer as it is: the origin is asked whether it still holds."
                )
            });
            return self.origin_with(in_tier(outcome(word, label, section, what), tier));
        };
        let what = match reuse {
            Reuse::Fresh | Reuse::Validate(_) if self.viewed.head.method == Method::HEAD => {
                format!("{place} answers.")
            }
            Reuse::Fresh | Reuse::Validate(_) => {
                format!("{place} answers, and is kept in memory from then on.")
            }
            Reuse::RefreshAhead => {
                format!("{place} answers, and is validated in the background ahead of need.")
            }
            Reuse::StaleWhileRevalidate => {
                format!("{place} answers although it is stale, and is validated in the background.")
            }
            Reuse::StaleAccepted => {
                format!("{place} answers although it is stale: the request takes that.")
            }
        };
        let next = in_tier(outcome("hit", label, section, what), tier);
        let answer = self.answer_of(kept, reuse);
        (self.with_status(next, answer), Some(kept.clone()))
    }

    /// The origin is asked, by a request that leads or goes alone.
    fn origin(&self, refusal: TierRefusal) -> ExplainedNext {
        if let (Some(stored), Some(reason)) = (&self.search.stale, self.reason) {
            let (word, mut what) = validation(stored.head(), || wanted(reason, stored).to_owned());
            if refusal == TierRefusal::Superseded {
                what.push_str(" What Redis has is not newer.");
            }
            return in_memory(outcome(word, reason.label(), reason.section(), what));
        }
        let (section, what) = match &self.holdings.found {
            Lookup::Miss(MissReason::VaryMiss) => (
                "RFC 9111 4.1",
                "Responses are stored for the URL, and none for these fields: the origin is asked.",
            ),
            Lookup::Miss(MissReason::UriMiss) | Lookup::Selected(_) => (
                "RFC 9111 4",
                "Nothing that is stored can answer: the origin is asked.",
            ),
        };
        outcome("miss", self.forward(), section, what)
    }

    /// The word of Cache-Status for asking the origin.
    pub(super) fn forward(&self) -> &'static str {
        match (&self.holdings.found, self.reason) {
            (_, Some(reason)) => reason.forward().label(),
            (Lookup::Miss(reason), None) => reason.forward().label(),
            (Lookup::Selected(_), None) => Forward::UriMiss.label(),
        }
    }
}
