//! What memory has of a response in slices, looked up before the first is sent: for HEAD, for a
//! client that takes what is stored or nothing (RFC 9111 5.2.1.7), and for whoever explains.

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderValue};
use http::{Method, StatusCode};
use verge_http::Body;
use verge_http::range;

use super::super::super::answer::Answer;
use super::super::super::routed::Routed;
use super::super::super::triggers::ViewedRequest;
use super::super::join::part_hit;
use super::super::{Search, from_stored};
use super::{Held, Slices, Wanted, first_slice};
use crate::route::RangePolicy;

/// Most slices that are looked up before the first is sent; of more, one counts as missing.
const SLICES_LOOKED_UP_MAX: u64 = 1024;

/// Whether the route's slices answer the whole request from memory.
pub(in super::super) fn hold_all(routed: &Routed, viewed: &ViewedRequest, search: &Search) -> bool {
    let RangePolicy::Slices { size } = routed.route.ranges else {
        return false;
    };
    let slices = Slices::new(routed, viewed, search, size);
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

    /// Whether memory holds all that the request wants.
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
        let mut answer = from_stored(&self.routed, &stored, part_hit(reuse));
        answer.status = StatusCode::OK;
        answer.body = Body::Empty;
        answer.fields.remove(CONTENT_RANGE);
        let length = HeaderValue::from(found.total);
        answer.fields.insert(CONTENT_LENGTH, length);
        Some(answer)
    }
}
