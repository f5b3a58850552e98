//! Stale slices of an origin that fails: it is tried once for all of a response.

use std::sync::Arc;

use verge_cache::{Lookup, Seeker, StoredResponse};
use verge_http::cache_control::RequestDirectives;

use super::super::{stale, tiers};
use super::{Found, Held, Slices};

impl Slices {
    /// Whether `stored`, a stale slice of `found`, answers without another try: the origin failed
    /// just now for it, or for another slice of this response (RFC 9111 4.2.4).
    pub(in super::super) fn is_failing(
        &self,
        stored: &Arc<StoredResponse>,
        found: &Found,
        directives: &RequestDirectives,
    ) -> bool {
        let now = self.routed.node.clock.now();
        let is_known = self.failing.get() == Some(found);
        let is_failing = is_known || stored.is_origin_failing(now);
        let stands_in = is_failing && stale::may_stand_in(&self.routed, stored, directives);
        if stands_in && !is_known {
            self.failing.get_or_init(|| found.clone());
        }
        stands_in
    }

    /// What tiers have in the place of what memory `held` does not have, where the origin failed
    /// just now for what is `expected`.
    pub(in super::super) async fn or_brought(
        &self,
        number: u64,
        held: Held,
        expected: Option<&Found>,
    ) -> Held {
        let node = &self.routed.node;
        let is_failing = expected.is_some() && self.failing.get() == expected;
        if !matches!(held, Held::No) || !is_failing || node.tiers.is_empty() {
            return held;
        }
        let key = self.key(number);
        let seeker = Seeker {
            key: &key,
            fields: &self.viewed.head.fields,
            directives: &self.directives,
            seen: None,
            hint: None,
        };
        let Some(stored) = Box::pin(tiers::bring(&self.routed, &seeker)).await else {
            return held;
        };
        let is_expected = |found: &Found| Some(found) == expected;
        self.decide(
            number,
            Lookup::Selected(stored),
            is_expected,
            &self.directives,
        )
    }
}
