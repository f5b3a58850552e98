//! What the tiers have for a key, looked at and not used: nobody counts it, nothing comes into
//! memory. What asking them would come to is decided as for those who do.

use std::time::SystemTime;

use http::HeaderMap;
use verge_cache::policy::{TierDecision, TierFacts, TierFound, decide_reuse, decide_tier};
use verge_cache::tier::{Offered, TierKey, TierName, TierSearch};
use verge_cache::{Kept, Key};
use verge_http::cache_control::RequestDirectives;

use super::super::head::TrustedHead;
use super::slice;
use crate::node::NodeState;

/// Most responses of one tier that are looked at.
pub(super) const LISTED_MAX: usize = 64;

/// See the module.
pub(super) struct Listed {
    /// Of each tier that could be asked, the nearest first; those that it prefers come first.
    pub(super) tiers: Vec<(TierName, Vec<Kept>)>,
    /// Those that could not be asked, and why.
    pub(super) unknown: Vec<(TierName, &'static str)>,
}

/// Who would ask.
pub(super) struct WouldAsk<'a> {
    pub(super) fields: &'a HeaderMap,
    pub(super) directives: &'a RequestDirectives,
    /// The date of what memory has and may not be reused as it is.
    pub(super) known: Option<SystemTime>,
    /// The request, where a slice is asked for of what it wants.
    pub(super) in_slices: Option<&'a TrustedHead>,
    /// Whether the other slices are known to be kept, too.
    pub(super) is_proven: bool,
}

impl Listed {
    /// Nothing, of no tier.
    pub(super) const NOTHING: Self = Self {
        tiers: Vec::new(),
        unknown: Vec::new(),
    };

    /// What all tiers have for `key`; each answers within a bounded time.
    pub(super) async fn of(node: &NodeState, key: &Key) -> Self {
        let mut all = Self::NOTHING;
        for tier in node.tiers.names() {
            all.ask(node, key, tier).await;
        }
        all
    }

    /// What tiers have for `key` that a request would find: one after the other is asked, for as
    /// long as the next may have what is better.
    pub(super) async fn sought(node: &NodeState, key: &Key, asks: &WouldAsk<'_>) -> Self {
        let mut known = Self::NOTHING;
        for tier in node.tiers.names() {
            if known.search(node, asks).asks(tier) {
                known.ask(node, key, tier).await;
            }
        }
        known
    }

    async fn ask(&mut self, node: &NodeState, key: &Key, tier: TierName) {
        match node.tiers.list(tier, &TierKey::of(key)).await {
            Some(Ok(recorded)) => {
                let recorded = recorded.into_iter().take(LISTED_MAX);
                let kept = recorded.map(|recorded| node.cache.kept_elsewhere(key, recorded));
                self.tiers.push((tier, kept.collect()));
            }
            Some(Err(reason)) => self.unknown.push((tier, reason)),
            None => {}
        }
    }

    /// The search of a request through what is listed.
    fn search<'l>(&'l self, node: &NodeState, asks: &WouldAsk<'_>) -> TierSearch<&'l Kept> {
        let mut search = TierSearch::new(asks.known.is_some());
        for (tier, kept) in &self.tiers {
            let mut kept = kept.iter();
            if search.asks(*tier)
                && let Some(kept) = kept.find(|kept| kept.head.is_selected_by(asks.fields))
            {
                let found = TierFound {
                    reuse: decide_reuse(asks.directives, &kept.freshness),
                    date: kept.head.date(),
                };
                let is_usable = node.cache.unusable(kept).is_none();
                search.offer(*tier, is_usable.then_some((found, kept)));
            }
        }
        search
    }

    /// What would become of it if the tiers were asked for a request, and of which response.
    pub(super) fn decide(
        &self,
        node: &NodeState,
        asks: &WouldAsk<'_>,
    ) -> (TierDecision, Option<Offered<&Kept>>) {
        let offered = self.search(node, asks).selected();
        let decision = decide_tier(&TierFacts {
            found: offered.as_ref().map(|offered| offered.found),
            known: asks.known,
            is_for_nobody: false,
            is_all: match (asks.in_slices, &offered) {
                (Some(request), Some(offered)) if !asks.is_proven => {
                    slice::is_all_wanted(request, &offered.response.head, node.clock.wall())
                }
                _ => true,
            },
        });
        (decision, offered)
    }
}
