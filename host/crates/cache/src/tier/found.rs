//! What a tier had, published by the leader that asked for it.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use verge_http::Body;
use verge_http::cache_control::RequestDirectives;

use crate::collapse::{FillPermit, Filling};
use crate::partial::FillTarget;
use crate::policy::{Freshness, Reuse, decide_reuse};
use crate::record::Recorded;
use crate::response::{StoredHead, StoredResponse};
use crate::segment::{self, SEGMENT_BYTES};
use crate::tier::Unusable;

/// What a tier had and what can be used: nothing has purged it, and there is memory for its head.
#[derive(Debug)]
pub struct Admitted {
    head: Arc<StoredHead>,
    content_length: u64,
}

/// What stands in memory for what a tier had.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The tier's response, or one that took its place meanwhile.
    pub response: Arc<StoredResponse>,
    /// Whether that one may be reused for the request that asked the tier.
    pub reuse: Reuse,
}

impl Recorded {
    /// The same, as of the purge `sequence` of this node, which says what was purged since more
    /// exactly than any clock.
    #[must_use]
    pub fn with_sequence(mut self, sequence: u64) -> Self {
        self.head.sequence = sequence;
        self.sent_wall = None;
        self
    }
}

impl FillPermit {
    /// What a tier had, if it can be used: not if it was purged since it was asked for. A soft
    /// purge ends its lifetime.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn admit(&self, recorded: Recorded) -> Result<Admitted, Unusable> {
        let inner = self.inner();
        let content_length = recorded.content_length;
        if content_length > inner.settings.max_object {
            return Err(Unusable::ObjectTooLarge);
        }
        let head = inner
            .unpurged(self.key(), recorded)
            .ok_or(Unusable::Purged)?;
        let cost = head.cost.saturating_add(self.key().len() as u64);
        let reservation = inner.reserve(cost).ok_or(Unusable::MemoryExhausted)?;
        Ok(Admitted {
            head: Arc::new(head.with_reservation(reservation)),
            content_length,
        })
    }

    /// Publishes what may be reused as it is: followers whose requests it answers get it from
    /// its beginning. The caller writes the content.
    pub fn begin_found(mut self, found: Admitted) -> Filling {
        self.mark_found(found.head.sequence);
        self.fill(found.head, Some(found.content_length), FillTarget::Own)
    }

    /// Brings into memory what a request with these `directives` found in a tier, as it is. A
    /// response that somebody brought meanwhile and that is no older stays, so what stands there
    /// is judged anew (RFC 9111 4). The permit stands.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub async fn restore(
        &self,
        found: Admitted,
        content: Body,
        directives: &RequestDirectives,
    ) -> Result<Restored, Unusable> {
        let response = self.bring(found, content).await?;
        let freshness = response.freshness(self.inner().clock.now());
        let reuse = decide_reuse(directives, &freshness);
        Ok(Restored { response, reuse })
    }

    async fn bring(
        &self,
        found: Admitted,
        mut content: Body,
    ) -> Result<Arc<StoredResponse>, Unusable> {
        let Admitted {
            head,
            content_length,
        } = found;
        let inner = self.inner();
        let mut segments: Vec<Bytes> = Vec::new();
        let mut written = 0_u64;
        while let Some(frame) = content.frame().await {
            let Ok(mut data) = frame.map_err(|_| Unusable::Failed)?.into_data() else {
                continue;
            };
            while !data.is_empty() {
                let piece = data.split_to(data.len().min(SEGMENT_BYTES));
                written = written.saturating_add(piece.len() as u64);
                let reservation = inner
                    .reserve(segment::segment_cost(piece.len()))
                    .ok_or(Unusable::MemoryExhausted)?;
                segments.push(segment::copied(&piece, reservation));
            }
        }
        if written != content_length {
            return Err(Unusable::Failed);
        }
        let response = Arc::new(StoredResponse::new(head, segments.into()));
        let newer = RefCell::new(None);
        let is_stored = inner.store.insert(self.key(), &response, &|| {
            let mut others = inner.store.variants(self.key()).into_iter();
            *newer.borrow_mut() = others.find(|other| {
                other.head().is_same_variant(response.head())
                    && other.head().date() >= response.head().date()
            });
            newer.borrow().is_none() && inner.admits(self.key(), &response)
        });
        match newer.into_inner() {
            // Somebody has brought it, or a newer one, meanwhile.
            Some(newer) => Ok(newer),
            None if is_stored => Ok(response),
            None => Err(Unusable::Purged),
        }
    }
}

impl Admitted {
    /// The head.
    #[must_use]
    pub fn head(&self) -> &Arc<StoredHead> {
        &self.head
    }

    /// How fresh it is at `now`.
    #[must_use]
    pub fn freshness(&self, now: Instant) -> Freshness {
        self.head.freshness(now)
    }
}

#[cfg(test)]
mod tests;
