//! What memory has for a request, and what follows where that does not answer: decided here for a
//! request that is answered and for one that is explained. Nothing here acts.

use std::sync::Arc;
use std::time::Instant;

use verge_cache::policy::{
    LookupDecision, Onward, OnwardFacts, Reuse, ValidateReason, decide_onward, decide_reuse,
};
use verge_cache::{Key, Lookup, MissReason, StoredResponse};
use verge_http::cache_control::RequestDirectives;
use verge_http::cache_status::{Forward, Outcome};

use super::super::routed::Routed;
use super::super::triggers::ViewedRequest;
use super::part::Aim;
use super::{pass, slices, stale, tiers};
use crate::telemetry::CacheReceipt;

/// What was looked for, and what was found that does not answer as it is.
pub(super) struct Search {
    pub(super) key: Key,
    pub(super) directives: RequestDirectives,
    /// A stored response that has to be validated first.
    pub(super) stale: Option<Arc<StoredResponse>>,
    /// Other variants, one of which the origin may select by its entity tag (RFC 9111 4.3.1).
    pub(super) variants: Vec<Arc<StoredResponse>>,
    /// Pieces that are stored of a response that is not stored whole.
    pub(super) pieces: Option<Arc<StoredResponse>>,
    /// What is asked of the origin.
    pub(super) aim: Aim,
    pub(super) facts: CacheReceipt,
}

/// Why what memory has answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reusing {
    /// It may be reused.
    Allowed(Reuse),
    /// It is stale, and the origin failed just now (RFC 9111 4.2.4).
    OriginFailing,
}

/// What memory has where nothing of it answers.
pub(super) enum Lacking {
    /// It has to be validated.
    Stale(Arc<StoredResponse>, ValidateReason),
    /// It has nothing.
    Miss(MissReason),
}

/// Decides whether what memory selected answers.
pub(super) fn decide(
    routed: &Routed,
    found: Lookup,
    directives: &RequestDirectives,
    now: Instant,
) -> Result<(Arc<StoredResponse>, Reusing), Lacking> {
    let stored = match found {
        Lookup::Selected(stored) => stored,
        Lookup::Miss(reason) => return Err(Lacking::Miss(reason)),
    };
    match decide_reuse(directives, &stored.freshness(now)) {
        Reuse::Validate(reason)
            if stale::answers_while_failing(routed, &stored, directives, reason) =>
        {
            Ok((stored, Reusing::OriginFailing))
        }
        Reuse::Validate(reason) => Err(Lacking::Stale(stored, reason)),
        reuse => Ok((stored, Reusing::Allowed(reuse))),
    }
}

/// Decides what follows where neither memory nor stored pieces answer.
pub(super) fn onward(
    routed: &Routed,
    viewed: &ViewedRequest,
    search: &Search,
    lookup: LookupDecision,
) -> Onward {
    let head = &viewed.head;
    let only_if_cached = search.directives.only_if_cached;
    let may_be_stored =
        || tiers::may_answer(routed, viewed) || slices::hold_all(routed, viewed, search);
    decide_onward(&OnwardFacts {
        lookup,
        method: &head.method,
        only_if_cached,
        may_be_stored: only_if_cached && may_be_stored(),
        is_for_origin_to_check: pass::is_for_origin_to_check(&head.fields),
    })
}

impl Search {
    /// What to search for, where memory has no more than `lacking`.
    pub(super) fn new(
        routed: &Routed,
        key: Key,
        directives: RequestDirectives,
        lacking: Lacking,
    ) -> Self {
        let (facts, stale) = match lacking {
            Lacking::Stale(stored, reason) => (forwarded(reason), Some(stored)),
            Lacking::Miss(reason) => (CacheReceipt::forwarded(reason.forward(), None), None),
        };
        let variants = match facts.outcome {
            Outcome::Forward(Forward::VaryMiss) => routed.node.cache.tagged_variants(&key),
            _ => Vec::new(),
        };
        Self {
            key,
            directives,
            stale,
            variants,
            pieces: None,
            aim: Aim::Whole,
            facts,
        }
    }
}

/// What is said of a request for which what is stored has to be validated.
pub(super) fn forwarded(reason: ValidateReason) -> CacheReceipt {
    CacheReceipt::forwarded(reason.forward(), Some(reason.label()))
}

impl Reusing {
    /// The word of Cache-Status, where there is more to say than that it is a hit.
    pub(super) const fn detail(self) -> Option<&'static str> {
        match self {
            Self::Allowed(Reuse::Fresh) => None,
            Self::Allowed(_) | Self::OriginFailing => Some(self.label()),
        }
    }

    /// Whether it is validated in the background.
    pub(super) const fn is_due(self) -> bool {
        matches!(
            self,
            Self::Allowed(Reuse::RefreshAhead | Reuse::StaleWhileRevalidate)
        )
    }

    /// The word for metrics and the access log.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Allowed(reuse) => reuse.label(),
            Self::OriginFailing => "origin-failing",
        }
    }

    /// The rule's source.
    pub(super) const fn section(self) -> &'static str {
        match self {
            Self::Allowed(reuse) => reuse.section(),
            Self::OriginFailing => "RFC 9111 4.2.4",
        }
    }
}
