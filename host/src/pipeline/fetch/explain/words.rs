//! What is told of single steps, in the words of the admin API.

use http::StatusCode;
use verge_cache::policy::{Onward, Reuse, ValidateReason};
use verge_cache::tier::TierName;
use verge_cache::{AloneReason, StoredHead, StoredResponse};

use super::{outcome, outcome_with};
use crate::admin::explain::ExplainedNext;

pub(super) fn in_memory(next: ExplainedNext) -> ExplainedNext {
    ExplainedNext {
        tier: Some("memory".to_owned()),
        ..next
    }
}

pub(super) fn in_tier(next: ExplainedNext, tier: TierName) -> ExplainedNext {
    ExplainedNext {
        tier: Some(tier.label().to_owned()),
        ..next
    }
}

pub(super) fn by_head(reason: &str, tier: Option<TierName>) -> ExplainedNext {
    let what = "The origin is asked by HEAD, whose answer freshens what is stored.";
    let next = outcome("miss", reason, "RFC 9111 4.3.5", what);
    match tier {
        Some(tier) => in_tier(next, tier),
        None => next,
    }
}

pub(super) fn not_stored() -> ExplainedNext {
    let what = "The request wants what is stored or nothing: 504.";
    let next = outcome(
        "error",
        Onward::OnlyIfCached.label(),
        Onward::OnlyIfCached.section(),
        what,
    );
    outcome_with(next, StatusCode::GATEWAY_TIMEOUT)
}

pub(super) fn answered(reuse: Reuse) -> &'static str {
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

/// Why nobody else gets what the origin is asked for, behind what is told of that.
pub(super) fn why_alone(reason: AloneReason) -> &'static str {
    match reason {
        AloneReason::Marker => {
            " The last response could not be shared, so nobody else waits for this one."
        }
        AloneReason::Directives => {
            " It is being asked for already, and the request wants a newer answer."
        }
    }
}

/// What becomes of a response that may not answer as it is, and the same in a sentence.
pub(super) fn validation(
    head: &StoredHead,
    what: impl FnOnce() -> String,
) -> (&'static str, String) {
    let validators = head.validators();
    if validators.entity_tag.is_none() && validators.last_modified.is_none() {
        let what = "What is stored has neither ETag nor Last-Modified to be validated by: the \
                    origin is asked for all of it.";
        return ("miss", what.to_owned());
    }
    ("validate", what())
}

pub(super) fn wanted(reason: ValidateReason, stored: &StoredResponse) -> &'static str {
    match reason {
        ValidateReason::Stale if stored.is_soft_purged() => {
            "What is stored was purged softly: the origin is asked whether it still holds."
        }
        ValidateReason::Stale => {
            "What is stored is stale: the origin is asked whether it still holds."
        }
        ValidateReason::NoCache => {
            "What is stored says `no-cache`: the origin is asked whether it still holds."
        }
        ValidateReason::RequestNoCache
        | ValidateReason::RequestMaxAge
        | ValidateReason::RequestMinFresh => {
            "The request wants the origin to be asked whether what is stored still holds."
        }
    }
}
