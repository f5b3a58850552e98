//! The tiers beside memory: asked by the leader of a fetch before the origin
//! is, and given what a fetch stored.
//!
//! What they have is published like a fill, so that followers share it; what
//! may not be reused as it is is validated like what stands in memory.

use std::sync::Arc;

use http::Method;
use verge_cache::policy::{Reuse, decide_reuse};
use verge_cache::tier::{Saved, TierHit, TierKey, TierName};
use verge_cache::{FillPermit, FillReader, Filling, Key, StoredHead, StoredResponse};
use verge_http::Body;

use super::super::routed::Routed;
use super::super::triggers::ViewedRequest;
use super::fill::{FillJob, FillOutcome};
use super::pass;
use super::pump::pump;
use crate::node::NodeState;
use crate::telemetry::FillReceipt;

/// Freshened responses up to this many bytes are saved again; larger ones keep the head that
/// the tiers have, and are validated again after a restart.
const SAVED_AGAIN_BYTES_MAX: u64 = 1 << 20;

/// What came of asking the tiers.
pub(super) enum Asked {
    /// One of them has the response.
    Found(FillOutcome),
    /// The origin has to be asked.
    Nothing(FillPermit),
}

/// A response from a tier, on its way into memory.
pub(super) struct FromTier {
    pub(super) head: Arc<StoredHead>,
    pub(super) reader: FillReader,
    pub(super) tier: TierName,
}

/// Whether tiers are asked for this request before an origin could be: those that others than
/// the leader of a fetch of the whole answer are not.
pub(super) fn may_answer(routed: &Routed, viewed: &ViewedRequest) -> bool {
    let head = &viewed.head;
    !routed.node.tiers.is_empty()
        && head.method == Method::GET
        && !pass::asks_for_less(&head.fields)
        && !pass::is_for_origin_to_check(&head.fields)
}

impl FillJob {
    /// Asks the tiers; what has to be validated stands in memory then, and is known to the job.
    pub(super) async fn ask_tiers(&mut self, permit: FillPermit) -> Asked {
        let node = Arc::clone(&self.routed.node);
        let key = TierKey::of(permit.key());
        let is_known = self.stale.is_some();
        let searched = node.tiers.load(&key, &self.head.fields, is_known).await;
        for looked in &searched.looked {
            node.telemetry.metrics().record_tier(looked);
        }
        let Some((tier, hit)) = searched.hit else {
            return Asked::Nothing(permit);
        };
        let TierHit { recorded, content } = *hit;
        let found = match permit.admit(recorded) {
            Ok(found) => found,
            Err(unusable) => {
                tracing::debug!(tier = tier.label(), reason = unusable.label(), "not used");
                if unusable.is_gone() {
                    node.tiers.forget(&key);
                }
                return Asked::Nothing(permit);
            }
        };
        let freshness = found.freshness(node.clock.now());
        match decide_reuse(&self.directives, &freshness) {
            Reuse::Fresh | Reuse::RefreshAhead => {
                let filling = permit.begin_found(found);
                Asked::Found(FillOutcome::FromTier(self.publish(filling, content, tier)))
            }
            // What memory has is no older.
            _ if is_known => Asked::Nothing(permit),
            Reuse::StaleAccepted | Reuse::StaleWhileRevalidate | Reuse::Validate(_) => {
                if let Ok(stored) = permit.restore(found, content).await {
                    self.stale = Some(stored);
                    self.variants.clear();
                }
                Asked::Nothing(permit)
            }
        }
    }

    /// Writes the content into memory on a task of its own.
    fn publish(&mut self, filling: Filling, content: Body, tier: TierName) -> FromTier {
        let Filling {
            head,
            writer,
            reader,
        } = filling;
        let (node, id) = (Arc::clone(&self.routed.node), self.routed.id);
        let place = self.place.take();
        let site = Arc::clone(&self.routed.site);
        let begun = node.clock.now();
        let guard = node.drain.guard();
        tokio::spawn(async move {
            let pumped = pump(content, writer).await;
            if let Some((key, stored)) = &pumped.stored {
                save(&node, key, stored, Some(tier));
            }
            node.telemetry.metrics().record_fill(
                &site.metrics,
                &FillReceipt {
                    id,
                    total: node.clock.now().saturating_duration_since(begun),
                    received_bytes: pumped.bytes,
                    outcome: pumped.outcome,
                    failure: pumped.failure,
                },
            );
            drop((guard, place));
        });
        FromTier { head, reader, tier }
    }
}

/// Gives what was stored to all tiers but the one it came from. Never waits.
pub(super) fn save(
    node: &NodeState,
    key: &Key,
    stored: &Arc<StoredResponse>,
    from: Option<TierName>,
) {
    if node.tiers.is_empty() {
        return;
    }
    for (tier, saved) in node.tiers.save(&TierKey::of(key), stored, from) {
        if let Saved::Dropped(_) = saved {
            tracing::debug!(tier = tier.label(), reason = saved.label(), "not saved");
        }
        node.telemetry.metrics().record_tier_save(tier, saved);
    }
}

/// The same for what was freshened.
pub(super) fn save_again(node: &NodeState, key: &Key, stored: &Arc<StoredResponse>) {
    if stored.content_length() <= SAVED_AGAIN_BYTES_MAX {
        save(node, key, stored, None);
    }
}
