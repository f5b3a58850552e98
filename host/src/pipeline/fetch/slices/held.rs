//! What memory has of a response in slices, looked up before the first is sent: for HEAD, for a
//! client that takes what is stored or nothing (RFC 9111 5.2.1.7), for slices that are being
//! validated, and for whoever explains. What tiers have is `kept.rs`.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderValue};
use http::{Method, StatusCode};
use verge_cache::StoredResponse;
use verge_cache::policy::Reuse;
use verge_http::Body;
use verge_http::range;

use super::super::super::answer::Answer;
use super::super::super::routed::Routed;
use super::super::super::triggers::ViewedRequest;
use super::super::join::part_hit;
use super::super::look_up::Reusing;
use super::super::{Search, from_stored};
use super::{AllKept, Found, Held, Slices, Wanted, first_slice};
use crate::route::RangePolicy;

/// Most slices that are looked up before the first is sent; of more, one counts as missing.
const SLICES_LOOKED_UP_MAX: u64 = 1024;

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
    /// if these are kept, too, and else after its validation (RFC 9111 3.4).
    pub(in super::super) async fn proven(&self, held: Held) -> Held {
        match held {
            Held::Answers(stored, found, Reusing::Allowed(reuse @ Reuse::StaleWhileRevalidate))
                if !Box::pin(self.are_proven()).await =>
            {
                match self.is_failing(&stored, &found, &self.directives) {
                    true => Held::Answers(stored, found, Reusing::OriginFailing),
                    false => Held::Stale(stored, reuse),
                }
            }
            held => held,
        }
    }

    /// Whether memory and tiers hold all that the request wants, of one representation. What
    /// memory holds stays in hand.
    pub(in super::super) async fn are_proven(&self) -> bool {
        let proof = self.proof.get_or_init(|| async {
            match self.held_all() {
                Some(held) => {
                    self.keep_in_hand(held);
                    true
                }
                None => self.all_kept_with_tiers().await == AllKept::Slices,
            }
        });
        *proof.await
    }

    /// Whether memory holds all that the request wants, of one representation.
    pub(in super::super) fn hold_all(&self) -> bool {
        self.held_all().is_some()
    }

    fn held_all(&self) -> Option<Vec<(u64, Arc<StoredResponse>)>> {
        let number = self.first();
        let Held::Answers(stored, found, _) = self.held(number) else {
            return None;
        };
        let want = match self.wanted(number, stored.head().fields(), &found) {
            Wanted::Slices(want, _) => want,
            // That there is no such part is known, too.
            Wanted::Nothing => return Some(Vec::new()),
            Wanted::Whole => return None,
        };
        let (first, last) = (self.number(want.first), self.number(want.last));
        if last.saturating_sub(first) >= SLICES_LOOKED_UP_MAX {
            return None;
        }
        let held = (first..=last).map(|number| match self.held(number) {
            Held::Answers(stored, other, _) if other == found => Some((number, stored)),
            _ => None,
        });
        held.collect()
    }

    /// Keeps what was found until it is sent: no more than one stored response may have. What is
    /// behind that is looked up when its turn comes.
    fn keep_in_hand(&self, held: Vec<(u64, Arc<StoredResponse>)>) {
        let mut room = self.routed.node.cache.settings().max_object;
        let held = held.into_iter().map_while(|(number, stored)| {
            room = room.checked_sub(stored.content_length())?;
            Some((number, stored))
        });
        *self.in_hand.lock() = held.collect();
    }

    /// What was in hand of slice `number`, unless memory `held` that answers, or it was purged: a
    /// response that was begun with what may be reused ends with it.
    pub(in super::super) fn or_in_hand(&self, number: u64, held: Held) -> Held {
        let Some(stored) = self.in_hand.lock().remove(&number) else {
            return held;
        };
        let is_purged = || self.routed.node.cache.is_purged(&self.key(number), &stored);
        if matches!(held, Held::Answers(..)) || is_purged() {
            return held;
        }
        let head = stored.head();
        match self.found(number, head.status(), head.fields()) {
            Some(found) => {
                let reusing = Reusing::Allowed(Reuse::StaleWhileRevalidate);
                Held::Answers(stored, found, reusing)
            }
            None => held,
        }
    }

    /// The answer to a HEAD out of the first slice, if that is stored and fresh.
    pub(in super::super) fn head(self: &Arc<Self>) -> Option<Answer> {
        let cache = &self.routed.node.cache;
        let key = self.key(0);
        let found = cache.lookup(&key, &self.viewed.head.fields);
        let decided = self.decide(0, found, |_| true, &self.directives);
        let Held::Answers(stored, found, reusing) = decided else {
            return None;
        };
        self.validate_if_due(0, key, &stored, reusing);
        Some(self.head_of(&stored, &found, reusing))
    }

    /// The answer to a HEAD that the first slice of `found` is.
    pub(in super::super) fn head_of(
        &self,
        first: &StoredResponse,
        found: &Found,
        reusing: Reusing,
    ) -> Answer {
        let mut answer = from_stored(&self.routed, first, part_hit(reusing));
        answer.status = StatusCode::OK;
        answer.body = Body::Empty;
        answer.fields.remove(CONTENT_RANGE);
        let length = HeaderValue::from(found.total);
        answer.fields.insert(CONTENT_LENGTH, length);
        answer
    }
}
