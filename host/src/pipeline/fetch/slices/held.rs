//! Whether all slices that a request wants are stored, for a client that takes what is stored or
//! nothing (RFC 9111 5.2.1.7).

use http::Method;
use verge_cache::Lookup;
use verge_cache::policy::{Reuse, decide_reuse};
use verge_http::range;

use super::super::super::routed::Routed;
use super::super::super::triggers::ViewedRequest;
use super::super::Search;
use super::{Found, Slices, first_slice};
use crate::route::RangePolicy;

/// Most slices that are looked up before the first is sent; of more, one counts as missing.
const SLICES_LOOKED_UP_MAX: u64 = 1024;

/// Whether the route's slices answer the whole request from memory.
pub(in super::super) fn hold_all(routed: &Routed, viewed: &ViewedRequest, search: &Search) -> bool {
    let RangePolicy::Slices { size } = routed.route.ranges else {
        return false;
    };
    let head = &viewed.head;
    if head.method != Method::GET {
        return false;
    }
    let asked = range::single_range(&head.method, &head.fields);
    let slices = Slices::new(routed, viewed, search, size);
    let Some(found) = slices.held(first_slice(asked, slices.size)) else {
        return false;
    };
    let Some((want, _)) = found.wanted(asked) else {
        // That there is no such part is known, too.
        return true;
    };
    let (first, last) = (slices.number(want.first), slices.number(want.last));
    last.saturating_sub(first) < SLICES_LOOKED_UP_MAX
        && (first..=last).all(|number| slices.held(number).as_ref() == Some(&found))
}

impl Slices {
    /// What slice `number` says of its representation, if it is stored and answers as it is.
    fn held(&self, number: u64) -> Option<Found> {
        let node = &self.routed.node;
        let found = node.cache.peek(&self.key(number), &self.viewed.head.fields);
        let Lookup::Selected(stored) = found else {
            return None;
        };
        match decide_reuse(&self.directives, &stored.freshness(node.clock.now())) {
            Reuse::Fresh
            | Reuse::RefreshAhead
            | Reuse::StaleAccepted
            | Reuse::StaleWhileRevalidate => {
                let head = stored.head();
                self.found(number, head.status(), head.fields())
            }
            Reuse::Validate(_) => None,
        }
    }
}
