//! What would happen to a request, in the order in which it would: past the
//! cache, from memory, from parts, from a tier, or from the origin. Each step is
//! decided by what decides it for a request that is answered.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use verge_cache::policy::{BypassReason, LookupDecision, LookupFacts, Onward, decide_lookup};
use verge_cache::{Kept, StoredResponse};
use verge_http::cache_control::RequestDirectives;
use verge_http::cache_status::Outcome;
use verge_http::coding::{CodingDecision, decide_coding};

use super::super::super::answer::Answer;
use super::super::super::routed::Routed;
use super::super::super::triggers::ViewedRequest;
use super::super::super::{compress, ranges};
use super::super::from_stored;
use super::super::look_up::{self, Lacking, Reusing, Search};
use super::asked::Asked;
use super::words::{answered, in_memory, not_stored};
use super::{Holdings, outcome, outcome_with, rule_text};
use crate::admin::explain::{ExplainedCoding, ExplainedNext};
use crate::telemetry::CacheReceipt;

/// What would happen, and what would answer if something stored does.
pub(super) type Told = (ExplainedNext, Option<Kept>);

/// Whether a request is looked up, by what the client asked.
pub(super) fn lookup(routed: &Routed, viewed: &ViewedRequest) -> LookupDecision {
    decide_lookup(&LookupFacts {
        method: &viewed.head.method,
        directives: &RequestDirectives::parse(&viewed.head.fields),
        has_content: false,
        fields: &viewed.head.fields,
        route: &routed.route.policy,
    })
}

/// What is told of a request that goes past the cache without a lookup.
pub(super) fn past(
    routed: &Routed,
    lookup: LookupDecision,
    asked_for: &HeaderMap,
) -> Option<ExplainedNext> {
    if !routed.route.cached {
        let what = "The route does not use the cache: the request goes to the origin.";
        return Some(outcome("bypass", "route", "", what));
    }
    match lookup {
        LookupDecision::Bypass(reason) => Some(bypass(routed, reason, asked_for)),
        LookupDecision::Allowed | LookupDecision::AnswerOnly(_) => None,
    }
}

fn bypass(routed: &Routed, reason: BypassReason, asked_for: &HeaderMap) -> ExplainedNext {
    let rule = routed.route.policy.bypass_rule(asked_for);
    let what = match (reason, rule) {
        (BypassReason::RouteField | BypassReason::RouteCookie, Some(rule)) => format!(
            "The route sends requests with the {} past the cache, and stores nothing of them.",
            rule_text(rule)
        ),
        _ => "The request goes past the cache, and nothing of its response is stored.".to_owned(),
    };
    outcome("bypass", reason.label(), reason.section(), what)
}

/// Says what would happen to a request that is looked up. `asked_for` is what the client asked;
/// `viewed` what its key says of it.
pub(super) fn decide(
    routed: &Routed,
    lookup: LookupDecision,
    (asked_for, viewed): (&ViewedRequest, &ViewedRequest),
    holdings: &Holdings,
) -> Told {
    let directives = RequestDirectives::parse(&viewed.head.fields);
    let now = routed.node.clock.now();
    let found = holdings.found.clone();
    let (lacking, reason) = match look_up::decide(routed, found, &directives, now) {
        Ok((stored, reusing)) => return memory(routed, viewed, holdings, &stored, reusing),
        Err(Lacking::Stale(stored, reason)) => (Lacking::Stale(stored, reason), Some(reason)),
        Err(Lacking::Miss(reason)) => (Lacking::Miss(reason), None),
    };
    let mut asked = Asked {
        routed,
        viewed,
        holdings,
        search: Search::new(routed, holdings.key.clone(), directives, lacking),
        reason,
    };
    if let Some(told) = asked.pieces() {
        return told;
    }
    match look_up::onward(routed, viewed, &asked.search, lookup) {
        Onward::OnlyIfCached => (not_stored(), None),
        Onward::Bypass(reason) => (bypass(routed, reason, &asked_for.head.fields), None),
        onward @ Onward::OriginChecks => {
            let what = "If-Match and If-Unmodified-Since are for the origin to evaluate: it gets \
                        the request, and nothing is stored.";
            (
                outcome("miss", asked.forward(), onward.section(), what),
                None,
            )
        }
        Onward::Head => asked.head(),
        Onward::Fetch => asked.fetch(),
    }
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

/// What memory selects, which answers.
fn memory(
    routed: &Routed,
    viewed: &ViewedRequest,
    holdings: &Holdings,
    stored: &Arc<StoredResponse>,
    reusing: Reusing,
) -> Told {
    let what = match reusing {
        Reusing::Allowed(reuse) => answered(reuse),
        Reusing::OriginFailing => {
            "What is stored answers although it is stale: the origin failed just now, and took \
             its time."
        }
    };
    let next = in_memory(outcome("hit", reusing.label(), reusing.section(), what));
    let facts = CacheReceipt::new(Outcome::Hit);
    let answer = from_stored(routed, stored, facts);
    let is_it = |kept: &&Kept| {
        let in_memory = kept.in_memory.as_ref();
        in_memory.is_some_and(|known| Arc::ptr_eq(known, stored))
    };
    let kept = holdings.memory.iter().find(is_it).cloned();
    (with_status(routed, viewed, next, answer), kept)
}

/// The same with the status that the client gets of `answer`, as its preconditions and ranges say.
pub(super) fn with_status(
    routed: &Routed,
    viewed: &ViewedRequest,
    next: ExplainedNext,
    mut answer: Answer,
) -> ExplainedNext {
    let node = &routed.node;
    let now = node.clock.wall();
    compress::apply_preconditions(routed, &viewed.head, &mut answer, now);
    let facts = ranges::RangeFacts {
        is_replaced: false,
        now,
        random: &node.random,
        metrics: None,
    };
    let status = match ranges::settle_range(&viewed.head, &mut answer, facts) {
        Ok(()) => answer.status,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    outcome_with(next, status)
}
