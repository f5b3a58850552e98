//! Validation that no client waits for: of a response that answered stale (RFC 5861 3), or
//! whose freshness is about to end.
//!
//! At most one at a time for what is stored, and a bounded number in all.

use std::sync::Arc;

use http::Method;
use http::header::{CACHE_CONTROL, PRAGMA};
use verge_cache::{Key, Seeker, StoredResponse};
use verge_http::cache_control::RequestDirectives;

use super::super::head::TrustedHead;
use super::super::routed::Routed;
use super::super::triggers::RequestMarks;
use super::fill::{FillJob, FillOutcome};
use super::part::Aim;
use crate::telemetry::FillReceipt;

/// Validates `stored`, of which `aim` asks for all, on a task of its own, unless that is under way.
pub(super) fn validate(
    routed: &Routed,
    request: &TrustedHead,
    marks: &RequestMarks,
    (key, aim): (Key, Aim),
    stored: &Arc<StoredResponse>,
) {
    let node = &routed.node;
    if stored.is_origin_failing(node.clock.now()) {
        return;
    }
    let Some(place) = node.background_validations.try_acquire() else {
        return;
    };
    let directives = RequestDirectives::default();
    let seeker = Seeker {
        key: &key,
        fields: &request.fields,
        directives: &directives,
        seen: Some(stored),
        hint: None,
    };
    let Some(permit) = node.cache.lead_in_background(&seeker) else {
        return;
    };
    let mut head = request.clone();
    // The cache asks for itself: what the client wanted of caches is answered.
    head.method = Method::GET;
    head.fields.remove(CACHE_CONTROL);
    head.fields.remove(PRAGMA);
    let mut job = FillJob::in_background(routed, head, marks, Arc::clone(stored), aim);
    job.detach(place);
    let (node, id) = (Arc::clone(node), routed.id);
    let site = Arc::clone(&routed.site);
    let guard = node.drain.guard();
    let begun = node.clock.now();
    tokio::spawn(async move {
        let (outcome, _notes) = job.run(permit).await;
        let (word, failure) = match outcome {
            // The pump counts it when it ends.
            FillOutcome::Filling { .. } | FillOutcome::FromTier(_) => return,
            FillOutcome::Freshened { .. } => ("freshened", None),
            FillOutcome::Passed { reason, .. } => (reason.label(), None),
            FillOutcome::Stale { .. } => ("failed", None),
            FillOutcome::Failed(failure) => ("failed", Some(failure)),
        };
        node.telemetry.metrics().record_fill(
            &site.metrics,
            &FillReceipt {
                id,
                total: node.clock.now().saturating_duration_since(begun),
                received_bytes: 0,
                outcome: word,
                failure,
            },
        );
        drop(guard);
    });
}
