//! What is stored, in the place of an origin's error.
//!
//! Whether that is allowed is `verge_cache::policy::decide_stale_on_error`'s to say.

use std::sync::Arc;

use verge_cache::policy::{
    OriginError, StaleGrant, StaleOnError, ValidateReason, decide_stale_on_error,
};
use verge_cache::{Key, Released, StoredResponse};
use verge_http::Failure;
use verge_http::cache_control::RequestDirectives;
use verge_http::failure::{OriginFault, Side};

use super::super::answer::Answer;
use super::super::routed::Routed;
use super::{Search, from_stored};

/// Who allows `stored`, which was found under `key` before the origin was asked, to answer after
/// `error`; `None` if nobody does. Whatever waits for an origin and then answers with what it had
/// comes through here: what was purged meanwhile is gone for it, too.
pub(super) fn grant(
    routed: &Routed,
    (key, stored): (&Key, &Arc<StoredResponse>),
    directives: &RequestDirectives,
    error: OriginError,
) -> Option<StaleGrant> {
    if routed.node.cache.is_purged(key, stored) {
        return None;
    }
    allowed(routed, stored, directives, error)
}

fn allowed(
    routed: &Routed,
    stored: &Arc<StoredResponse>,
    directives: &RequestDirectives,
    error: OriginError,
) -> Option<StaleGrant> {
    if stored.head().status().is_server_error() {
        // One error is no better than another, and the newer one is true.
        return None;
    }
    let freshness = stored.freshness(routed.node.clock.now());
    match decide_stale_on_error(error, &freshness, directives) {
        StaleOnError::Serve(grant) => Some(grant),
        StaleOnError::PassError(_) => None,
    }
}

/// What the client is told of `failure`, which nobody allows `stored` to stand in for.
pub(super) fn explained(
    routed: &Routed,
    (key, stored): (&Key, Option<&Arc<StoredResponse>>),
    directives: &RequestDirectives,
    failure: Failure,
) -> Failure {
    let is_there = |stored: &&Arc<StoredResponse>| !routed.node.cache.is_purged(key, stored);
    let Some(stored) = stored.filter(is_there) else {
        return failure;
    };
    let freshness = stored.freshness(routed.node.clock.now());
    match decide_stale_on_error(OriginError::Failed(failure), &freshness, directives) {
        StaleOnError::PassError(refusal) => refusal.explain(failure),
        StaleOnError::Serve(_) => failure,
    }
}

/// Whether `stored`, stale, answers without another try: the last one failed just now, and took
/// so long that nobody else should wait for the next.
pub(super) fn answers_while_failing(
    routed: &Routed,
    stored: &Arc<StoredResponse>,
    directives: &RequestDirectives,
    reason: ValidateReason,
) -> bool {
    reason == ValidateReason::Stale
        && stored.is_origin_failing(routed.node.clock.now())
        && may_stand_in(routed, stored, directives)
}

/// Whether `stored` may answer for an origin that cannot be reached.
pub(super) fn may_stand_in(
    routed: &Routed,
    stored: &Arc<StoredResponse>,
    directives: &RequestDirectives,
) -> bool {
    let error = OriginError::Failed(Failure::unsent(OriginFault::DestinationUnavailable));
    allowed(routed, stored, directives, error).is_some()
}

/// The origin's error that a leader met. What failed on the leader's side of the origin may be
/// its own request's doing, and is none.
pub(super) fn error_of(released: Released) -> Option<OriginError> {
    match released {
        Released::Failed(failure) if failure.side() == Side::Origin => {
            Some(OriginError::Failed(failure))
        }
        Released::ErrorStatus(status) => Some(OriginError::Status(status)),
        _ => None,
    }
}

/// What a follower is answered with after its leader met an error of the origin: what is
/// stored, the same failure, or `None` for a try of its own.
pub(super) fn after_release(
    routed: &Routed,
    search: &Search,
    released: Released,
) -> Option<Result<Answer, Failure>> {
    let error = error_of(released)?;
    if let Some(stored) = &search.stale
        && let Some(grant) = grant(routed, (&search.key, stored), &search.directives, error)
    {
        let mut facts = search.facts;
        facts.collapsed = true;
        facts.detail = Some(grant.label());
        facts.stands_in = true;
        return Some(Ok(from_stored(routed, stored, facts)));
    }
    match error {
        OriginError::Failed(failure) => {
            let stored = (&search.key, search.stale.as_ref());
            Some(Err(explained(routed, stored, &search.directives, failure)))
        }
        OriginError::Status(_) | OriginError::Function(_) => None,
    }
}
