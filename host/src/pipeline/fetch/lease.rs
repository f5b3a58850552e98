//! Who of the nodes of a region asks the origin: the one that holds the lease on
//! a fetch; the others wait, bounded, and look into the tiers again.
//!
//! Nothing here fails a request: in doubt, the origin is asked.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use verge_cache::FillPermit;
use verge_cache::tier::TierKey;
use verge_shared::{Lease, Leasing, Shared};

use super::fill::{FillJob, FillOutcome};
use super::pump::Pumped;
use super::tiers::Asked;

/// The right to fetch for all nodes. Dropping it lets the others go on.
pub(super) struct FetchLease {
    shared: Arc<Shared>,
    lease: Lease,
    refused_for: Duration,
}

impl FillJob {
    /// Asks the tiers, and takes the lease on the fetch or waits for the node that has it.
    pub(super) async fn ask_region(&mut self, mut permit: FillPermit) -> Asked {
        let node = Arc::clone(&self.routed.node);
        let begun = node.clock.now();
        loop {
            permit = match self.ask_tiers(permit).await {
                Asked::Nothing(permit) => permit,
                found @ Asked::Found(_) => return found,
            };
            let Some(shared) = self.sharing() else {
                return Asked::Nothing(permit);
            };
            let key = TierKey::of(permit.key());
            let waited = node.clock.now().saturating_duration_since(begun);
            match shared.lease(key.digest(), waited).await {
                Leasing::Held(lease) => {
                    let refused_for = node.cache.settings().uncollapsible_for;
                    self.lease = Some(FetchLease {
                        shared,
                        lease,
                        refused_for,
                    });
                    return Asked::Nothing(permit);
                }
                Leasing::LookAgain => {}
                Leasing::Alone(_) => return Asked::Nothing(permit),
            }
        }
    }

    /// What is shared, where others could find what this fetch stores. What a client is
    /// authorised for is mostly for that client (RFC 9111 3.5), and a part is not saved.
    fn sharing(&self) -> Option<Arc<Shared>> {
        let is_for_all = self.aim.is_whole()
            && !self.directives.only_if_cached
            && !self.head.fields.contains_key(AUTHORIZATION);
        let shared = self.routed.node.shared.as_ref();
        let shared = shared.filter(|shared| is_for_all && shared.is_trusted());
        shared.map(Arc::clone)
    }

    /// The fetch has come to `outcome`: others go on, unless content is still on its way.
    pub(super) fn settle_lease(&mut self, outcome: &FillOutcome) {
        match outcome {
            FillOutcome::Filling { .. } => {}
            FillOutcome::Passed { .. } => {
                if let Some(lease) = self.lease.take() {
                    lease.refuse();
                }
            }
            FillOutcome::Freshened { .. } => {
                if let Some(lease) = self.lease.take() {
                    lease.saved();
                }
            }
            FillOutcome::FromTier(_) | FillOutcome::Stale { .. } | FillOutcome::Failed(_) => {
                drop(self.lease.take());
            }
        }
    }
}

impl FetchLease {
    /// The content has ended.
    pub(super) fn pumped(self, pumped: &Pumped) {
        if pumped.stored.is_some() {
            self.saved();
        }
    }

    /// What is fetched is not stored: nobody waits for it.
    pub(super) fn refuse(self) {
        self.lease.refuse(self.refused_for);
    }

    /// Others go on once what was queued before is saved.
    fn saved(self) {
        self.shared.release_when_saved(self.lease);
    }
}
