//! What would happen to a request, in the order in which it would: past the
//! cache, from memory, from parts, from a tier, or from the origin.

use std::sync::Arc;

use http::header::RANGE;
use http::{HeaderMap, Method, StatusCode};
use verge_cache::policy::{
    BypassReason, LookupDecision, LookupFacts, Reuse, ValidateReason, decide_lookup, decide_reuse,
};
use verge_cache::tier::TierName;
use verge_cache::{Kept, Lookup, MissReason, Purged, Seeker, StoredResponse};
use verge_http::cache_control::RequestDirectives;
use verge_http::cache_status::{Forward, Outcome};
use verge_http::coding::{CodingDecision, decide_coding};

use super::super::super::routed::Routed;
use super::super::super::triggers::ViewedRequest;
use super::super::super::{compress, ranges};
use super::super::{pass, stale, tiers};
use super::{Holdings, outcome, outcome_with, rule_text};
use crate::admin::explain::{ExplainedCoding, ExplainedNext};
use crate::telemetry::CacheReceipt;

/// What would happen, and what would answer if something stored does.
pub(super) type Told = (ExplainedNext, Option<Kept>);

/// Says what would happen to a request that has a key. Whether it goes past the cache is decided
/// by what the client asked; from there on the request is `viewed`, what its key says of it.
pub(super) fn decide(
    routed: &Routed,
    asked_for: &ViewedRequest,
    viewed: &ViewedRequest,
    holdings: &Holdings,
) -> Told {
    let facts = LookupFacts {
        method: &asked_for.head.method,
        directives: &RequestDirectives::parse(&asked_for.head.fields),
        has_content: false,
        fields: &asked_for.head.fields,
        route: &routed.route.policy,
    };
    let lookup = decide_lookup(&facts);
    let asked = Asked {
        routed,
        viewed,
        directives: RequestDirectives::parse(&viewed.head.fields),
        holdings,
    };
    if let Some(next) = asked.past(lookup, &asked_for.head.fields) {
        return (next, None);
    }
    let answered = asked.memory().or_else(|| asked.pieces());
    if let Some(told) = answered {
        return told;
    }
    let only_if_cached = asked.directives.only_if_cached;
    if only_if_cached && !tiers::may_answer(routed, viewed) {
        return (not_stored(), None);
    }
    if let LookupDecision::AnswerOnly(reason) = lookup {
        // What is stored could have answered.
        return (asked.bypass(reason, &asked_for.head.fields), None);
    }
    if let Some(next) = asked.origins_own().or_else(|| asked.under_way()) {
        return (next, None);
    }
    if let Some(told) = asked.part().or_else(|| asked.tier()) {
        return told;
    }
    if only_if_cached {
        return (not_stored(), None);
    }
    (asked.origin(), None)
}

/// How `kept` would be compressed for this client; `None` if the route does not compress.
pub(super) fn coding(
    routed: &Routed,
    viewed: &ViewedRequest,
    kept: &Kept,
) -> Option<ExplainedCoding> {
    if !routed.route.compresses {
        return None;
    }
    let rules = &routed.generation.settings.compression.rules;
    let head = &kept.head;
    let decision = decide_coding(
        rules,
        &viewed.head.fields,
        head.status(),
        head.fields(),
        Some(kept.content_length),
    );
    let (coding, reason, section) = match decision {
        CodingDecision::Encode(coding) => (coding.token(), None, "RFC 9110 8.4"),
        CodingDecision::Fixed(reason) => ("none", Some(reason.label()), reason.section()),
        CodingDecision::Identity(reason) => ("none", Some(reason.label()), reason.section()),
    };
    Some(ExplainedCoding {
        coding: coding.to_owned(),
        reason: reason.map(str::to_owned),
        section: section.to_owned(),
    })
}

/// A request, and all that is kept for it.
pub(super) struct Asked<'a> {
    pub(super) routed: &'a Routed,
    pub(super) viewed: &'a ViewedRequest,
    pub(super) directives: RequestDirectives,
    pub(super) holdings: &'a Holdings,
}

impl Asked<'_> {
    /// Past the cache.
    fn past(&self, lookup: LookupDecision, asked_for: &HeaderMap) -> Option<ExplainedNext> {
        if !self.routed.route.cached {
            let what = "The route does not use the cache: the request goes to the origin.";
            return Some(outcome("bypass", "route", "", what));
        }
        match lookup {
            LookupDecision::Bypass(reason) => Some(self.bypass(reason, asked_for)),
            LookupDecision::Allowed | LookupDecision::AnswerOnly(_) => None,
        }
    }

    fn bypass(&self, reason: BypassReason, asked_for: &HeaderMap) -> ExplainedNext {
        let rule = self.routed.route.policy.bypass_rule(asked_for);
        let what = match (reason, rule) {
            (BypassReason::RouteField | BypassReason::RouteCookie, Some(rule)) => format!(
                "The route sends requests with the {} past the cache, and stores nothing of them.",
                rule_text(rule)
            ),
            _ => {
                "The request goes past the cache, and nothing of its response is stored.".to_owned()
            }
        };
        outcome("bypass", reason.label(), reason.section(), what)
    }

    /// What memory selects, if it answers.
    fn memory(&self) -> Option<Told> {
        let Lookup::Selected(stored) = &self.holdings.found else {
            return None;
        };
        let now = self.routed.node.clock.now();
        let (reason, section, what) = match decide_reuse(&self.directives, &stored.freshness(now)) {
            Reuse::Validate(reason)
                if stale::answers_while_failing(self.routed, stored, &self.directives, reason) =>
            {
                let what = "What is stored answers although it is stale: the origin failed just \
                            now, and took its time.";
                ("origin-failing", "RFC 9111 4.2.4", what)
            }
            Reuse::Validate(_) => return None,
            reuse => (reuse.label(), reuse.section(), answered(reuse)),
        };
        let next = ExplainedNext {
            tier: Some("memory".to_owned()),
            ..outcome("hit", reason, section, what)
        };
        let next = outcome_with(next, self.status_of(stored));
        Some((next, self.kept(stored)))
    }

    fn kept(&self, stored: &Arc<StoredResponse>) -> Option<Kept> {
        let is_it = |kept: &&Kept| {
            let in_memory = kept.in_memory.as_ref();
            in_memory.is_some_and(|known| Arc::ptr_eq(known, stored))
        };
        self.holdings.memory.iter().find(is_it).cloned()
    }

    /// What the client gets of `stored`, as its preconditions and ranges say.
    fn status_of(&self, stored: &StoredResponse) -> StatusCode {
        let node = &self.routed.node;
        let facts = CacheReceipt::new(Outcome::Hit);
        let mut answer = super::super::from_stored(self.routed, stored, facts);
        let now = node.clock.wall();
        compress::apply_preconditions(self.routed, &self.viewed.head, &mut answer, now);
        let facts = ranges::RangeFacts {
            is_replaced: false,
            now,
            random: &node.random,
            metrics: node.telemetry.metrics(),
        };
        match ranges::settle_range(&self.viewed.head, &mut answer, facts) {
            Ok(()) => answer.status,
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What no cache may answer, and what is asked for by HEAD.
    fn origins_own(&self) -> Option<ExplainedNext> {
        let head = &self.viewed.head;
        if pass::is_for_origin_to_check(&head.fields) {
            let what = "If-Match and If-Unmodified-Since are for the origin to evaluate: it gets \
                        the request, and nothing is stored.";
            return Some(outcome("miss", self.forward(), "RFC 9111 4.3.2", what));
        }
        if head.method == Method::HEAD {
            let what = match self.stale() {
                Some(_) => "The origin is asked by HEAD, whose answer freshens what is stored.",
                None => "The origin is asked by HEAD, whose answer has nothing to store.",
            };
            return Some(outcome("miss", self.forward(), "RFC 9111 4.3.5", what));
        }
        None
    }

    /// A fetch that the request would wait for.
    fn under_way(&self) -> Option<ExplainedNext> {
        let stale = self.stale().map(|(stored, _)| stored);
        let flight = self.routed.node.cache.in_flight(&Seeker {
            key: &self.holdings.key,
            fields: &self.viewed.head.fields,
            directives: &self.directives,
            seen: stale,
            hint: None,
        })?;
        if self.directives.no_cache || self.viewed.head.fields.contains_key(RANGE) {
            return None;
        }
        let what = format!(
            "The origin is being asked for it ({} bytes have arrived): the request shares that \
             response.",
            flight.reach
        );
        Some(outcome("collapsed", self.forward(), "RFC 9111 4", what))
    }

    /// What a tier has, if the leader of a fetch would take it.
    pub(super) fn tier(&self) -> Option<Told> {
        let is_known = self.stale().is_some();
        let tiers = self.holdings.tiers.iter();
        let mut asked = tiers.filter(|(tier, _)| !is_known || tier.is_shared());
        let (tier, kept) = asked.find_map(|(tier, kept)| {
            // What was purged there hides nothing that a tier behind it has.
            let answering = kept
                .iter()
                .filter(|kept| kept.purged != Purged::Hard && self.is_selected(kept));
            let latest = answering.max_by_key(|kept| kept.head.date())?;
            Some((*tier, latest))
        })?;
        let limit = self.routed.node.cache.settings().max_object;
        if kept.content_length > limit {
            return None;
        }
        let reuse = decide_reuse(&self.directives, &kept.freshness);
        let place = match tier {
            TierName::Disk => "What is on disk",
            TierName::L2 => "What is in Redis",
        };
        let next = match reuse {
            Reuse::Fresh | Reuse::RefreshAhead => {
                let what = format!("{place} answers, and is kept in memory from then on.");
                let next = outcome("hit", reuse.label(), reuse.section(), what);
                outcome_with(next, kept.head.status())
            }
            _ if is_known => return None,
            Reuse::StaleAccepted | Reuse::StaleWhileRevalidate | Reuse::Validate(_) => {
                let what = format!(
                    "{place} may not answer as it is: the origin is asked whether it still holds."
                );
                outcome("validate", reuse.label(), reuse.section(), what)
            }
        };
        let next = ExplainedNext {
            tier: Some(tier.label().to_owned()),
            ..next
        };
        let answering = (next.outcome == "hit").then(|| kept.clone());
        Some((next, answering))
    }

    fn is_selected(&self, kept: &Kept) -> bool {
        kept.head.is_selected_by(&self.viewed.head.fields)
    }

    /// The origin is asked.
    fn origin(&self) -> ExplainedNext {
        if let Some((stored, reason)) = self.stale() {
            let (word, what) = validation(reason, stored);
            return ExplainedNext {
                tier: Some("memory".to_owned()),
                ..outcome(word, reason.label(), reason.section(), what)
            };
        }
        match &self.holdings.found {
            Lookup::Miss(MissReason::VaryMiss) => {
                let what = "Responses are stored for the URL, and none for these fields: the \
                            origin is asked.";
                outcome("miss", Forward::VaryMiss.label(), "RFC 9111 4.1", what)
            }
            Lookup::Miss(MissReason::UriMiss) | Lookup::Selected(_) => {
                let what = "Nothing that is stored can answer: the origin is asked.";
                outcome("miss", Forward::UriMiss.label(), "RFC 9111 4", what)
            }
        }
    }

    /// What memory selects and may not reuse as it is.
    pub(super) fn stale(&self) -> Option<(&Arc<StoredResponse>, ValidateReason)> {
        let Lookup::Selected(stored) = &self.holdings.found else {
            return None;
        };
        let now = self.routed.node.clock.now();
        match decide_reuse(&self.directives, &stored.freshness(now)) {
            Reuse::Validate(reason) => Some((stored, reason)),
            _ => None,
        }
    }

    /// The word of Cache-Status for asking the origin.
    pub(super) fn forward(&self) -> &'static str {
        match (&self.holdings.found, self.stale()) {
            (_, Some((_, reason))) => reason.forward().label(),
            (Lookup::Miss(MissReason::VaryMiss), None) => Forward::VaryMiss.label(),
            (Lookup::Miss(MissReason::UriMiss) | Lookup::Selected(_), None) => {
                Forward::UriMiss.label()
            }
        }
    }
}

fn not_stored() -> ExplainedNext {
    let what = "The request wants what is stored or nothing: 504.";
    let next = outcome("error", "only-if-cached", "RFC 9111 5.2.1.7", what);
    outcome_with(next, StatusCode::GATEWAY_TIMEOUT)
}

fn answered(reuse: Reuse) -> &'static str {
    match reuse {
        Reuse::RefreshAhead => {
            "What is stored answers, and is validated in the background ahead of need."
        }
        Reuse::StaleWhileRevalidate => {
            "What is stored answers although it is stale, and is validated in the background."
        }
        Reuse::StaleAccepted => {
            "What is stored answers although it is stale: the request takes that."
        }
        Reuse::Fresh | Reuse::Validate(_) => "What is stored answers.",
    }
}

fn validation(reason: ValidateReason, stored: &StoredResponse) -> (&'static str, &'static str) {
    let validators = stored.head().validators();
    if validators.entity_tag.is_none() && validators.last_modified.is_none() {
        return (
            "miss",
            "What is stored has neither ETag nor Last-Modified to be validated by: the origin is \
             asked for all of it.",
        );
    }
    let what = match reason {
        ValidateReason::Stale if stored.is_soft_purged() => {
            "What is stored was purged softly: the origin is asked whether it still holds."
        }
        ValidateReason::Stale => {
            "What is stored is stale: the origin is asked whether it still holds."
        }
        ValidateReason::NoCache => {
            "What is stored says `no-cache`: the origin is asked whether it still holds."
        }
        _ => "The request wants the origin to be asked whether what is stored still holds.",
    };
    ("validate", what)
}
