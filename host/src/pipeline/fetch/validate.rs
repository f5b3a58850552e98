//! A fetch that validates what is stored: a 304, or an error of the origin.

use std::sync::Arc;
use std::time::Instant;

use http::Response;
use http::header::SET_COOKIE;
use verge_cache::policy::{OriginError, RefuseReason, directives_of};
use verge_cache::tier::TierKey;
use verge_cache::{
    FillPermit, Freshened, Key, NotModified, ResponseHead, ResponseTimes, StoredResponse,
};
use verge_http::Body;
use verge_http::cache_control::RequestDirectives;

use super::super::head::TrustedHead;
use super::super::routed::Routed;
use super::super::triggers::RequestMarks;
use super::fill::{FillJob, FillOutcome, Tried};
use super::forward::ForwardNotes;
use super::part::Aim;
use super::stale;
use super::storing::{made_by, withheld_fields};
use super::tiers;

impl FillJob {
    /// A validation that no client waits for; another node may have made it already.
    pub(super) fn in_background(
        routed: &Routed,
        head: TrustedHead,
        marks: &RequestMarks,
        stale: Arc<StoredResponse>,
        aim: Aim,
    ) -> Self {
        Self {
            routed: routed.without_client(),
            head,
            marks: marks.clone(),
            directives: RequestDirectives::default(),
            stale: Some(stale),
            variants: Vec::new(),
            place: None,
            asks_tiers: !routed.node.tiers.is_empty(),
            restored: None,
            is_for_nobody: true,
            lease: None,
            aim,
        }
    }

    /// The stored response that was to be validated, if it answers in the place of `error`.
    pub(super) fn stale_after(
        &self,
        key: &Key,
        error: OriginError,
        requested: Instant,
    ) -> Option<FillOutcome> {
        let stored = self.stale.as_ref()?;
        let grant = stale::grant(&self.routed, (key, stored), &self.directives, error)?;
        // A function that fails again and again has a quarantine of its own.
        if !matches!(error, OriginError::Function(_)) {
            let now = self.routed.node.clock.now();
            stored.note_origin_failure(now, now.saturating_duration_since(requested));
        }
        Some(FillOutcome::Stale {
            stored: Arc::clone(stored),
            grant,
        })
    }

    /// What was asked with the validators of stored responses is answered with 304.
    pub(super) fn freshen(
        &self,
        permit: FillPermit,
        not_modified: &Response<Body>,
        times: ResponseTimes,
        notes: &ForwardNotes,
    ) -> Tried {
        let fields = not_modified.headers();
        let head = ResponseHead::new(not_modified.status(), fields, times);
        let made_by = made_by(&self.routed);
        let answer = NotModified {
            response: &head,
            request: &self.head.fields,
            facts: self.facts(fields, notes),
            route: &self.routed.route.policy,
            made_by: made_by.as_deref(),
        };
        let key = permit.key().clone();
        let freshened = match &self.stale {
            Some(stale) => permit.freshen(stale, &answer),
            None => permit.adopt(&self.variants, &answer),
        };
        let (stored, is_stored) = match freshened {
            Freshened::Stored(stored) => {
                tiers::save(&self.routed.node, &key, &stored, None);
                (stored, true)
            }
            Freshened::Used(stored, RefuseReason::Superseded) => (stored, false),
            Freshened::Used(stored, _) => {
                self.routed.node.tiers.forget(&TierKey::of(&key));
                (stored, false)
            }
            Freshened::OtherRepresentation(permit) => return Tried::Again(permit),
        };
        // By what decided which fields are stored: the updated response says it, not this 304.
        let route = &self.routed.route.policy;
        let mut withheld = withheld_fields(fields, &directives_of(stored.head().fields(), route));
        let is_withheld = withheld.iter().any(|(name, _)| name == SET_COOKIE);
        let cookies = || fields.get_all(SET_COOKIE).iter();
        if !is_withheld && !cookies().eq(stored.head().fields().get_all(SET_COOKIE).iter()) {
            // Those of this 304 are for this client, in place of what is stored (RFC 9111 3.2).
            withheld.extend(cookies().map(|cookie| (SET_COOKIE, cookie.clone())));
        }
        Tried::Done(FillOutcome::Freshened {
            stored,
            is_stored,
            withheld,
        })
    }
}
