//! What is kept of a response in slices, looked up before the first is sent: for HEAD, for a
//! client that takes what is stored or nothing (RFC 9111 5.2.1.7), for slices that are being
//! validated, and for whoever explains.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderValue};
use http::{Method, StatusCode};
use verge_cache::policy::{Reuse, TierDecision};
use verge_cache::{StoredHead, StoredResponse};
use verge_http::Body;
use verge_http::range;

use super::super::super::answer::Answer;
use super::super::super::routed::Routed;
use super::super::super::triggers::ViewedRequest;
use super::super::join::part_hit;
use super::super::listed::{Listed, WouldAsk};
use super::super::{Search, from_stored};
use super::{Found, Held, Slices, Wanted, first_slice};
use crate::route::RangePolicy;

/// Most slices that are looked up before the first is sent; of more, one counts as missing.
const SLICES_LOOKED_UP_MAX: u64 = 1024;

/// The same where memory does not hold all of them, and tiers have to be asked.
const SLICES_ASKED_FOR_MAX: u64 = 256;

/// Whether the route's slices answer the whole request from memory.
pub(in super::super) fn hold_all(routed: &Routed, viewed: &ViewedRequest, search: &Search) -> bool {
    let RangePolicy::Slices { size } = routed.route.ranges else {
        return false;
    };
    let slices = Slices::new(routed, viewed, (&search.key, &search.directives), size);
    if viewed.head.method == Method::HEAD {
        return matches!(slices.held(0), Held::Answers(..));
    }
    slices.hold_all()
}

impl Slices {
    /// The slice that is asked for first.
    pub(in super::super) fn first(&self) -> u64 {
        let head = &self.viewed.head;
        first_slice(range::single_range(&head.method, &head.fields), self.size)
    }

    /// What memory has of slice `number`, as if nobody had asked.
    pub(in super::super) fn held(&self, number: u64) -> Held {
        let found = self
            .routed
            .node
            .cache
            .peek(&self.key(number), &self.viewed.head.fields);
        self.decide(number, found, |_| true, &self.directives)
    }

    /// The same of a slice with which others are to be sent. While one is validated in the
    /// background (RFC 5861 3), it tells nothing of what the origin has of the others: it answers
    /// if these are held, too, and else after its validation (RFC 9111 3.4).
    pub(in super::super) fn proven(&self, held: Held) -> Held {
        match held {
            Held::Answers(stored, _, reuse @ Reuse::StaleWhileRevalidate)
                if !*self.holds_all.get_or_init(|| self.hold_all()) =>
            {
                Held::Stale(stored, reuse)
            }
            held => held,
        }
    }

    /// Whether memory holds all that the request wants, of one representation.
    pub(in super::super) fn hold_all(&self) -> bool {
        let number = self.first();
        let Held::Answers(stored, found, _) = self.held(number) else {
            return false;
        };
        let want = match self.wanted(number, stored.head().fields(), &found) {
            Wanted::Slices(want, _) => want,
            // That there is no such part is known, too.
            Wanted::Nothing => return true,
            Wanted::Whole => return false,
        };
        let (first, last) = (self.number(want.first), self.number(want.last));
        last.saturating_sub(first) < SLICES_LOOKED_UP_MAX
            && (first..=last).all(
                |number| matches!(self.held(number), Held::Answers(_, other, _) if other == found),
            )
    }

    /// Whether memory and tiers together hold all that the request wants, and may answer it as it
    /// is.
    pub(in super::super) async fn are_all_kept(&self) -> bool {
        if self.hold_all() {
            return true;
        }
        if self.routed.node.tiers.is_empty() {
            return false;
        }
        let number = self.first();
        let Some((head, found)) = self.kept(number).await else {
            return false;
        };
        let want = match self.wanted(number, head.fields(), &found) {
            Wanted::Slices(want, _) => want,
            Wanted::Nothing => return true,
            Wanted::Whole => return self.is_whole_kept().await,
        };
        let (first, last) = (self.number(want.first), self.number(want.last));
        if last.saturating_sub(first) >= SLICES_ASKED_FOR_MAX {
            return false;
        }
        for other in (first..=last).filter(|other| *other != number) {
            if self.kept(other).await.is_none_or(|(_, it)| it != found) {
                return false;
            }
        }
        true
    }

    /// Slice `number`, if memory or a tier has it and it may answer as it is.
    async fn kept(&self, number: u64) -> Option<(Arc<StoredHead>, Found)> {
        let stale = match self.proven(self.held(number)) {
            Held::Answers(stored, found, _) => return Some((Arc::clone(stored.head()), found)),
            Held::Stale(stored, _) => Some(stored),
            Held::Other(_) | Held::No => None,
        };
        let listed = Listed::of(&self.routed.node, &self.key(number)).await;
        let head = self.answered_by(&listed, stale.as_deref(), true)?;
        let found = self.found(number, head.status(), head.fields())?;
        Some((head, found))
    }

    /// Whether a tier has the whole in one, and that may answer as it is.
    async fn is_whole_kept(&self) -> bool {
        let listed = Listed::of(&self.routed.node, &self.whole).await;
        self.answered_by(&listed, None, false).is_some()
    }

    fn answered_by(
        &self,
        listed: &Listed,
        stale: Option<&StoredResponse>,
        is_slice: bool,
    ) -> Option<Arc<StoredHead>> {
        let request = &self.viewed.head;
        let asks = WouldAsk {
            fields: &request.fields,
            directives: &self.directives,
            known: stale.map(|stored| stored.head().date()),
            in_slices: is_slice.then_some(request),
        };
        match listed.decide(&self.routed.node, &asks) {
            (TierDecision::Answer(_), Some(offered)) => Some(Arc::clone(&offered.response.head)),
            _ => None,
        }
    }

    /// The answer to a HEAD out of the first slice, if that is stored and fresh.
    pub(in super::super) fn head(&self) -> Option<Answer> {
        let cache = &self.routed.node.cache;
        let key = self.key(0);
        let found = cache.lookup(&key, &self.viewed.head.fields);
        let decided = self.decide(0, found, |_| true, &self.directives);
        let Held::Answers(stored, found, reuse) = decided else {
            return None;
        };
        self.validate_if_due(0, key, &stored, reuse);
        Some(self.head_of(&stored, &found, reuse))
    }

    /// The answer to a HEAD that the first slice of `found` is.
    pub(in super::super) fn head_of(
        &self,
        first: &StoredResponse,
        found: &Found,
        reuse: Reuse,
    ) -> Answer {
        let mut answer = from_stored(&self.routed, first, part_hit(reuse));
        answer.status = StatusCode::OK;
        answer.body = Body::Empty;
        answer.fields.remove(CONTENT_RANGE);
        let length = HeaderValue::from(found.total);
        answer.fields.insert(CONTENT_LENGTH, length);
        answer
    }
}
